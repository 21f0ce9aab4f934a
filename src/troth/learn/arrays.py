"""A model's parameters: named int64 arrays, with one canonical byte form.

::

    "troth-arrays-1\\n"                            magic, 15 bytes
    u32 count                                     little-endian, as all that follows
    count times, names ascending and distinct:
        u8 length, name                           ASCII, [a-z][a-z0-9_.]*, at most 64
        u8 dimensions (1 to 4), u32 each          each at least 1
        int64 each element                        C order, two's complement

Nothing before, between or after: two byte strings never decode to the same state. The SHA-256 of the bytes names it.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, Vector, as_ints, magnitude, of_ints

State: TypeAlias = Mapping[str, IntArray]
Layout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]

MAGIC = b"troth-arrays-1\n"
MAX_ARRAYS = 4096
MAX_ELEMENTS = 1 << 26
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)


def layout(state: State) -> Layout:
    """Names and shapes, in canonical order. Raises BadInput for anything that has no byte form."""
    found = form(state)
    for name, _ in found:
        as_ints(state[name], name)
    return found


def form(state: State) -> Layout:
    """`layout` for who looks at the elements anyhow: this does not."""
    if len(state) > MAX_ARRAYS:
        raise BadInput("too many arrays", expected=f"at most {MAX_ARRAYS}", actual=len(state))
    found = tuple((name, of_ints(state[name], name).shape) for name in sorted(state))
    _check_layout(found)
    return found


@lru_cache(maxsize=256)
def _check_layout(shapes: Layout) -> None:
    for name, shape in shapes:
        _check(name, shape)
    if sum(math.prod(shape) for _, shape in shapes) > MAX_ELEMENTS:
        raise BadInput("too many elements", expected=f"at most {MAX_ELEMENTS}")


def _check(name: str, shape: tuple[int, ...]) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput("an array's name is malformed", expected="[a-z][a-z0-9_.]*, at most 64", actual=ascii(name))
    if not 1 <= len(shape) <= 4 or min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise BadInput(f"array {name} has a shape without a byte form", expected="1 to 4 dimensions, none empty",
                       actual=shape)


def encode(state: State) -> bytes:
    """The canonical bytes of a state. Raises BadInput for other dtypes, malformed names and empty arrays."""
    return b"".join(_pieces(state))


def _pieces(state: State) -> Iterator[bytes | memoryview]:
    """The canonical bytes, the elements where they are and not a copy."""
    shapes = layout(state)
    yield MAGIC + struct.pack("<I", len(shapes))
    for name, shape in shapes:
        yield b"".join((bytes((len(name),)), name.encode("ascii"), struct.pack(f"<B{len(shape)}I", len(shape), *shape)))
        yield np.ascontiguousarray(state[name]).astype("<i8", copy=False).data.cast("B")


class _Reader:
    """Takes bytes off the front and refuses to read past the end. They are not copied."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, count: int) -> memoryview:
        start = self._at
        if count > len(self._data) - start:
            raise BadInput("model bytes end too early", expected=f"{count} more bytes at {start}",
                           actual=len(self._data) - start, do="Fetch the artefact again.")
        self._at = start + count
        return self._data[start:self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def rest(self) -> int:
        return len(self._data) - self._at


def decode(data: bytes | memoryview) -> dict[str, IntArray]:
    """The state whose canonical bytes are ``data``.

    Its arrays are read-only views of ``data``, which must not change and stays in memory as long as they do; they may
    lie at odd addresses (``flags.aligned``), which NumPy minds little.

    Raises BadInput unless ``encode(decode(data)) == data``: wrong magic, names out of order, early end, slack bytes.
    """
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise BadInput("not a model state", expected=MAGIC, actual=bytes(data[:len(MAGIC)]))
    count, = reader.numbers(1)
    if count > MAX_ARRAYS:
        raise BadInput("too many arrays", expected=f"at most {MAX_ARRAYS}", actual=count)
    state: dict[str, IntArray] = {}
    last, elements = "", 0
    for _ in range(count):
        name = str(reader.take(reader.byte()), "ascii", "replace")
        shape = reader.numbers(min(reader.byte(), 5))
        _check(name, shape)
        elements += math.prod(shape)
        if name <= last or elements > MAX_ELEMENTS:
            raise BadInput("array names out of order, or too many elements", expected=f"a name after {last!r}",
                           actual=name)
        found = np.frombuffer(reader.take(8 * math.prod(shape)), dtype="<i8").astype(np.int64, copy=False)
        found.flags.writeable = False
        state[name] = as_ints(found.reshape(shape), name)
        last = name
    if reader.rest():
        raise BadInput("bytes after the end of a model state", expected="none", actual=reader.rest())
    return state


def digest(state: State) -> bytes:
    """SHA-256 of the canonical bytes: the state's name in claims."""
    found = hashlib.sha256()
    for piece in _pieces(state):
        found.update(piece)
    return found.digest()


def flatten(state: State) -> IntArray:
    """All elements as one vector, arrays in canonical order."""
    return np.concatenate([state[name].reshape(-1) for name, _ in form(state)]) if state else np.zeros(0, np.int64)


class Rows:
    """States of one layout, which the caller has checked, as the rows of a matrix (n, d).

    The matrix itself is not built: rules work on some columns at a time, which stay in the processor's cache.
    """

    CELLS = 1 << 17
    """Elements of a block of columns."""

    def __init__(self, states: Sequence[State], shapes: Layout) -> None:
        self._rows = [[state[name].reshape(-1) for name, _ in shapes] for state in states]
        self._sizes = [math.prod(shape) for _, shape in shapes]
        self.size = sum(self._sizes)
        self.bound = max(magnitude(as_ints(array)) for row in self._rows for array in row)
        """The largest magnitude of an element."""

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self, kind: type[np.int64 | np.float64] = np.int64) -> Iterator[tuple[slice, Any]]:
        """(columns, those columns of the matrix as integers or doubles), left to right.

        One array serves all: the next overwrites it. For doubles the caller has looked at `bound`.
        """
        wide = min(self.size, max(64, self.CELLS // len(self._rows)))
        buffer = np.empty((len(self._rows), wide), dtype=kind)
        for start in range(0, self.size, wide):
            end, at = min(start + wide, self.size), 0
            for number, size in enumerate(self._sizes):
                first, last = max(start, at), min(end, at + size)
                if first < last:
                    for row, arrays in zip(buffer, self._rows, strict=True):
                        row[first - start:last - start] = arrays[number][first - at:last - at]
                at += size
            yield slice(start, end), buffer[:, :end - start]

    def matrix(self) -> IntArray:
        """All of it."""
        found = np.empty((len(self._rows), self.size), dtype=np.int64)
        for row, arrays in zip(found, self._rows, strict=True):
            np.concatenate(arrays, out=row)
        return found


def unflatten(vector: Vector, shapes: Layout) -> dict[str, Vector]:
    """Inverse of `flatten` for a layout. Raises BadInput if the length does not fit."""
    if vector.shape != (sum(math.prod(shape) for _, shape in shapes),):
        raise BadInput("a parameter vector does not fit its layout", expected=shapes, actual=vector.shape)
    state, at = {}, 0
    for name, shape in shapes:
        state[name] = vector[at:at + math.prod(shape)].reshape(shape)
        at += math.prod(shape)
    return state


def equal(left: State, right: State) -> bool:
    """Same names, shapes and elements."""
    return layout(left) == layout(right) and all(bool((left[name] == right[name]).all()) for name in left)
