"""Anybody's model as a `State`, and back: NumPy dicts, scikit-learn estimators, PyTorch modules.

    state = to_state(model)        # integers at 2**16; the model is not changed
    into(model, state)             # the state's values, in the model's own types; checked whole before anything changes

The rules are those of `troth.learn.adapters.form`; what each library adds is in the module of its name.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeVar

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray
from troth.learn.adapters.form import Model
from troth.learn.arrays import State

_T = TypeVar("_T")


def adapt(model: Any) -> Model:
    """The adapter for a model. Raises BadInput for a kind of model that there is none for.

    The library is told from the class's ancestors, so that no library is loaded to find out that it is another's.
    """
    libraries = {ancestor.__module__.split(".")[0] for ancestor in type(model).__mro__}
    if isinstance(model, MutableMapping):
        # Each adapter is imported when a model asks for it: the libraries are extras, and slow to load.
        from troth.learn.adapters.plain import NamedArrays

        return NamedArrays(model)
    if "torch" in libraries:
        from troth.learn.adapters.torch import Module  # see above

        return Module(model)
    if "sklearn" in libraries:
        from troth.learn.adapters.sklearn import Estimator  # see above

        return Estimator(model)
    raise BadInput("no adapter for this model", actual=type(model).__name__,
                   expected="a dict of NumPy arrays, a fitted scikit-learn estimator, or a torch.nn.Module")


def to_state(model: Any) -> dict[str, IntArray]:
    """A model's arrays of floats as integers at 2**16. Raises BadInput for NaN, values too large and foreign types."""
    seen = adapt(model)
    return seen.form.encode(seen.read(seen.form))


def into(model: _T, state: State) -> _T:
    """Put a state's values into a model that has exactly its arrays; the model itself is returned.

    Raises BadInput, with the model as it was, for a missing or surplus array, another shape or type, a value out of
    range.
    """
    seen = adapt(model)
    seen.write(seen.form, seen.form.decode(state))
    return model
