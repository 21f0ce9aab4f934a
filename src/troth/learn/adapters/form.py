"""What lies between a model's own named arrays of floats and a `State`: names, shapes and number types, exactly.

**Names.** A name that is a state's name already stays as it is, unless it begins with ``q.`` or ``h.``. Any other is
*quoted*: ``q.`` and then its UTF-8 bytes, of which ``a-z``, ``0-9`` and ``.`` stay and every other becomes ``_`` and
two hexadecimal digits. Where that is longer than 64, it is ``h.`` and the first 60 digits of its SHA-256. Quoted names
can be read back; hashed ones are found again through the model's own names. Two names never become one.

**Shapes.** A scalar becomes (1,); five dimensions and more become one; all else stays. An array without elements has
no byte form and is refused.

**Numbers.** float64, float32, float16 and bfloat16 go to float64, which is exact, and are quantised to integers at
2**16, half to even: an error of at most 2**-17. NaN, infinities and magnitudes above 32767.99998 are refused. On the
way back an integer becomes a float64, exactly; for narrower types it is rounded to float32 (exact up to 256.0) and from
there to the type, each to the nearest, ties to even. So a model in a narrow type holds less than the state: what
the next round starts from is the state, never a model's rounded copy of it.

**Integers and booleans** (a batch norm's ``num_batches_tracked``, an index) are no parameters: a mean of them means
nothing. They are left out, by name (`Form.kept`), and stay in the model as they are. Complex numbers, text and objects
are refused.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray, IntArray, dequantise, quantise
from troth.learn.arrays import Layout, State, layout

FLOATS = ("float64", "float32", "float16", "bfloat16")
_LEGAL = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)
_QUOTED = re.compile(r"q\.((?:[a-z0-9.]|_[0-9a-f]{2})*)", re.ASCII)
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789.")


def key_of(name: str) -> str:
    """The state's name for a model's ``name``. Raises BadInput for text that UTF-8 cannot hold."""
    if _LEGAL.fullmatch(name) and not name.startswith(("q.", "h.")):
        return name
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raise BadInput("an array's name is no text", expected="text that UTF-8 can hold", actual=ascii(name)) from None
    quoted = "q." + "".join(chr(byte) if byte in _PLAIN else f"_{byte:02x}" for byte in raw)
    return quoted if len(quoted) <= 64 else "h." + hashlib.sha256(raw).hexdigest()[:60]


def name_of(key: str) -> str:
    """The model's name behind a state's. Raises BadInput for a hashed one, and for one that `key_of` never gives."""
    if key.startswith("h."):
        raise BadInput("a hashed name cannot be read back", actual=key, do="Look it up among the model's own names.")
    if not key.startswith("q."):
        name = key
    else:
        found = _QUOTED.fullmatch(key)
        raw = re.sub(rb"_(..)", lambda part: bytes.fromhex(part[1].decode()), found[1].encode()) if found else b"\xff"
        name = raw.decode(errors="replace")
    if key_of(name) != key:
        raise BadInput("not the state's name of anything", expected="what key_of gives", actual=ascii(key))
    return name


@dataclass(frozen=True, slots=True)
class Slot:
    """One array of a model: its own name, shape and number type, and what it is called in a state."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def key(self) -> str:
        """Its name in a state."""
        return key_of(self.name)

    @property
    def packed(self) -> tuple[int, ...]:
        """Its shape in a state."""
        if not self.shape:
            return (1,)
        return self.shape if len(self.shape) <= 4 else (math.prod(self.shape),)


@dataclass(frozen=True, slots=True)
class Form:
    """All arrays of a model that a state carries, and the names of those that it leaves out (integers, booleans)."""

    slots: tuple[Slot, ...]
    kept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keys = [slot.key for slot in self.slots]
        if not keys or len(set(keys)) != len(keys):
            raise BadInput("a model without arrays of floats, or with two of one name", actual=keys)
        for slot in self.slots:
            if slot.dtype not in FLOATS:
                raise BadInput(f"array {slot.name} is of a type that no state carries", expected=", ".join(FLOATS),
                               actual=slot.dtype)
            if math.prod(slot.shape) < 1:
                raise BadInput(f"array {slot.name} has no elements", expected="at least one", actual=slot.shape,
                               do="Leave it out of what is trained.")

    @property
    def layout(self) -> Layout:
        """Names and shapes of the state."""
        return tuple(sorted((slot.key, slot.packed) for slot in self.slots))

    def only(self, names: Iterable[str]) -> Form:
        """The form of these arrays alone, by the model's own names. Raises BadInput for one that is not there."""
        wanted = set(names)
        missing = wanted - {slot.name for slot in self.slots}
        if missing:
            raise BadInput("the model has no such array of floats", actual=", ".join(sorted(missing)),
                           expected=", ".join(slot.name for slot in self.slots[:8]) + " …")
        return Form(tuple(slot for slot in self.slots if slot.name in wanted))

    def encode(self, values: Mapping[str, FloatArray]) -> dict[str, IntArray]:
        """Floats by the model's own names -> state. Raises BadInput, naming the array."""
        state = {}
        for slot in self.slots:
            try:
                state[slot.key] = quantise(values[slot.name]).reshape(slot.packed)
            except BadInput as error:
                raise BadInput(f"array {slot.name}: {error.message}", expected=error.expected, actual=error.actual,
                               do=error.do) from None
        layout(state)
        return state

    def decode(self, state: State) -> dict[str, FloatArray]:
        """State -> floats (float64, exact) by the model's own names and in its shapes.

        Strict: raises BadInput for a missing or surplus name, another shape or type, a magnitude out of range.
        """
        found, wanted = dict(layout(state)), dict(self.layout)
        for what, names in (("lacks", wanted.keys() - found.keys()), ("has surplus", found.keys() - wanted.keys())):
            if names:
                raise BadInput(f"the state {what} arrays", actual=", ".join(sorted(names)),
                               expected=f"{len(wanted)} arrays, the model's")
        for key, shape in wanted.items():
            if found[key] != shape:
                raise BadInput(f"array {key} has another shape than the model's", expected=shape, actual=found[key])
        return {slot.name: dequantise(state[slot.key]).reshape(slot.shape) for slot in self.slots}


def narrow(values: FloatArray, dtype: str) -> Any:
    """float64 -> a NumPy float type, by way of float32 for those below it."""
    wide = values if dtype == "float64" else values.astype(np.float32)
    return np.array(wide, dtype=np.dtype(dtype), order="C")


@dataclass(frozen=True, slots=True)
class Raw:
    """One array exactly as a model holds it: little-endian bytes, C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Model(Protocol):
    """A model through which a state is read and written; one adapter per library."""

    @property
    def form(self) -> Form:
        """Its arrays."""
        ...

    def read(self, form: Form) -> dict[str, FloatArray]:
        """These arrays as float64."""
        ...

    def write(self, form: Form, values: Mapping[str, FloatArray]) -> None:
        """Put these values into the model in its own types, whole or not at all. Raises BadInput for values that this
        kind of model cannot have, before any is put."""
        ...

    def raw(self, names: Iterable[str]) -> dict[str, Raw]:
        """Arrays of any type exactly as they are, those of `Form.kept` too."""
        ...


def digest_of(raw: Mapping[str, Raw]) -> bytes:
    """SHA-256 that names arrays exactly, of whatever type: each name, type and shape in front of its bytes."""
    running = hashlib.sha256(b"troth-frozen-1\n")
    for name in sorted(raw):
        one = raw[name]
        for part in (name.encode(), one.dtype.encode(), repr(one.shape).encode(), one.data):
            running.update(len(part).to_bytes(8, "big") + part)
    return running.digest()
