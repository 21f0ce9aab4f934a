"""NumPy: a dict of named arrays. Writing puts new arrays into the dict; the old ones stay whoever else holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray
from troth.learn.adapters.form import FLOATS, Form, Raw, Slot, narrow


def split(arrays: Mapping[str, Any]) -> Form:
    """The form of NumPy arrays by name. Raises BadInput for anything that is no plain array of numbers."""
    slots, kept = [], []
    for name, array in arrays.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise BadInput(f"{name!r} is no named NumPy array", expected="text to numpy.ndarray, not masked",
                           actual=type(array).__name__)
        if array.dtype.kind in "iub":
            kept.append(name)
        elif array.dtype.name in FLOATS:
            slots.append(Slot(name, array.shape, array.dtype.name))
        else:
            raise BadInput(f"array {name} is of a type that no state carries", expected=", ".join(FLOATS),
                           actual=array.dtype)
    return Form(tuple(slots), tuple(kept))


def exactly(array: Any) -> Raw:
    """A NumPy array as it is."""
    little = array.dtype.newbyteorder("<")
    return Raw(array.dtype.name, array.shape, np.ascontiguousarray(array).astype(little, copy=False).tobytes())


class NamedArrays:
    """The `Model` port over a dict."""

    def __init__(self, arrays: MutableMapping[str, Any]) -> None:
        self._arrays = arrays
        self.form = split(arrays)

    def read(self, form: Form) -> dict[str, FloatArray]:
        return {slot.name: self._arrays[slot.name].astype(np.float64) for slot in form.slots}

    def write(self, form: Form, values: Mapping[str, FloatArray]) -> None:
        self._arrays.update({slot.name: narrow(values[slot.name], slot.dtype) for slot in form.slots})

    def raw(self, names: Iterable[str]) -> dict[str, Raw]:
        return {name: exactly(self._arrays[name]) for name in names}
