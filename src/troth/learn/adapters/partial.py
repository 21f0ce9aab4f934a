"""Partial updates: some arrays are trained and sent, the rest is frozen and named by digest.

A delta of a few arrays means something only on top of the others. So the frozen rest, integers included, is named by a
SHA-256 over its exact bytes, number types and all; a model with another rest is refused before anything is read from it
or written into it. A batch norm in training mode changes its running statistics and thereby the rest: train it in
``eval`` mode, or send them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from troth.core.encoding import from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.fixed.numbers import IntArray
from troth.learn.adapters import adapt
from troth.learn.adapters.form import Model, digest_of
from troth.learn.arrays import State

_T = TypeVar("_T")


def _rest(model: Model, sent: Iterable[str]) -> bytes:
    everything = [*(slot.name for slot in model.form.slots), *model.form.kept]
    return digest_of(model.raw(set(everything) - set(sent)))


@dataclass(frozen=True, slots=True)
class Partial:
    """names: the arrays that are trained and sent, the model's own names, ascending. rest: digest of all others."""

    names: tuple[str, ...]
    rest: bytes

    def __post_init__(self) -> None:
        if not self.names or list(self.names) != sorted(set(self.names)) or len(self.rest) != 32:
            raise BadInput("a partial update names arrays, ascending, and a digest of 32 bytes", actual=self.names)

    @classmethod
    def of(cls, model: Any, names: Iterable[str]) -> Partial:
        """What is sent of this model, and what its rest is now. Raises BadInput for a name that is none of its arrays
        of floats."""
        seen, chosen = adapt(model), tuple(sorted(set(names)))
        seen.form.only(chosen)
        return cls(chosen, _rest(seen, chosen))

    def _of(self, model: Any) -> Model:
        seen = adapt(model)
        seen.form.only(self.names)
        found = _rest(seen, self.names)
        if found != self.rest:
            raise Refuted("the frozen part of this model is not the one that the updates rest on",
                          expected=self.rest.hex(), actual=found.hex(), do="Load the base model that the plan names.")
        return seen

    def to_state(self, model: Any) -> dict[str, IntArray]:
        """The trained arrays as integers. Raises Refuted for a model with another rest; BadInput as `to_state`."""
        seen = self._of(model)
        form = seen.form.only(self.names)
        return form.encode(seen.read(form))

    def into(self, model: _T, state: State) -> _T:
        """Put trained arrays into a model with this rest. Raises Refuted for another; BadInput as `into`."""
        seen = self._of(model)
        form = seen.form.only(self.names)
        seen.write(form, form.decode(state))
        return model

    def json(self) -> dict[str, Any]:
        """As a plan carries it."""
        return {"names": list(self.names), "rest": self.rest.hex()}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Partial:
        """From a plan. Raises BadInput."""
        names, rest = take(dict(value), names=list, rest=str)
        if any(type(name) is not str for name in names):
            raise BadInput("names of arrays are text", actual=names)
        return cls(tuple(names), from_hex(rest, 32))
