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
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, as_ints

State: TypeAlias = Mapping[str, IntArray]
Layout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]

MAGIC = b"troth-arrays-1\n"
MAX_ARRAYS = 4096
MAX_ELEMENTS = 1 << 26
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)


def layout(state: State) -> Layout:
    """Names and shapes, in canonical order. Raises BadInput for anything that has no byte form."""
    if len(state) > MAX_ARRAYS:
        raise BadInput("too many arrays", expected=f"at most {MAX_ARRAYS}", actual=len(state))
    found = []
    for name in sorted(state):
        shape = as_ints(state[name], name).shape
        _check(name, shape)
        found.append((name, shape))
    if sum(math.prod(shape) for _, shape in found) > MAX_ELEMENTS:
        raise BadInput("too many elements", expected=f"at most {MAX_ELEMENTS}")
    return tuple(found)


def _check(name: str, shape: tuple[int, ...]) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput("an array's name is malformed", expected="[a-z][a-z0-9_.]*, at most 64", actual=ascii(name))
    if not 1 <= len(shape) <= 4 or min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise BadInput(f"array {name} has a shape without a byte form", expected="1 to 4 dimensions, none empty",
                       actual=shape)


def encode(state: State) -> bytes:
    """The canonical bytes of a state. Raises BadInput for other dtypes, malformed names and empty arrays."""
    parts: list[bytes | memoryview] = [MAGIC, struct.pack("<I", len(state))]
    for name, shape in layout(state):
        parts.append(struct.pack("<B", len(name)) + name.encode("ascii"))
        parts.append(struct.pack(f"<B{len(shape)}I", len(shape), *shape))
        # The elements where they are, not a copy: joining copies them once.
        parts.append(np.ascontiguousarray(state[name]).astype("<i8", copy=False).data.cast("B"))
    return b"".join(parts)


class _Reader:
    """Takes bytes off the front and refuses to read past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise BadInput("model bytes end too early", expected=f"{count} more bytes at {self._at}",
                           actual=len(self._data) - self._at, do="Fetch the artefact again.")
        self._at += count
        return self._data[self._at - count:self._at]

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0])

    def rest(self) -> int:
        return len(self._data) - self._at


def decode(data: bytes) -> dict[str, IntArray]:
    """The state whose canonical bytes are ``data``; its arrays are read-only.

    Raises BadInput unless ``encode(decode(data)) == data``: wrong magic, names out of order, early end, slack bytes.
    """
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise BadInput("not a model state", expected=MAGIC, actual=data[:len(MAGIC)])
    count = reader.number("I")
    if count > MAX_ARRAYS:
        raise BadInput("too many arrays", expected=f"at most {MAX_ARRAYS}", actual=count)
    state: dict[str, IntArray] = {}
    last, elements = "", 0
    for _ in range(count):
        name = reader.take(reader.number("B")).decode("ascii", errors="replace")
        shape = tuple(reader.number("I") for _ in range(min(reader.number("B"), 5)))
        _check(name, shape)
        elements += math.prod(shape)
        if name <= last or elements > MAX_ELEMENTS:
            raise BadInput("array names out of order, or too many elements", expected=f"a name after {last!r}",
                           actual=name)
        state[name] = as_ints(np.frombuffer(reader.take(8 * math.prod(shape)), dtype="<i8").astype(
            np.int64, copy=False).reshape(shape), name)
        last = name
    if reader.rest():
        raise BadInput("bytes after the end of a model state", expected="none", actual=reader.rest())
    return state


def digest(state: State) -> bytes:
    """SHA-256 of the canonical bytes: the state's name in claims."""
    return hashlib.sha256(encode(state)).digest()


def flatten(state: State) -> IntArray:
    """All elements as one vector, arrays in canonical order."""
    return np.concatenate([state[name].reshape(-1) for name, _ in layout(state)]) if state else np.zeros(0, np.int64)


def matrix(states: Sequence[State], shapes: Layout) -> IntArray:
    """States of one layout, which the caller has checked, as the rows of a matrix; each element is copied once."""
    rows = np.empty((len(states), sum(math.prod(shape) for _, shape in shapes)), dtype=np.int64)
    for row, state in zip(rows, states, strict=True):
        at = 0
        for name, shape in shapes:
            row[at:at + math.prod(shape)] = state[name].reshape(-1)
            at += math.prod(shape)
    return rows


def unflatten(vector: IntArray, shapes: Layout) -> dict[str, IntArray]:
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
