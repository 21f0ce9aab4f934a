"""Federated learning: data, integer models, robust aggregation, contribution and the round that re-executes.

``to_state`` and ``into`` turn anybody's model into named integers and back; ``Partial`` sends some of its arrays alone;
``give`` lets plans run a file of code that you read. Loaded when first used: libraries are extras, and slow to load.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from troth.learn.adapters import into as into
    from troth.learn.adapters import to_state as to_state
    from troth.learn.adapters.partial import Partial as Partial
    from troth.learn.code import give as give

__all__ = ["Partial", "give", "into", "to_state"]

_PLACES = {"Partial": "troth.learn.adapters.partial", "give": "troth.learn.code", "into": "troth.learn.adapters",
           "to_state": "troth.learn.adapters"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'troth.learn' has no attribute {name!r}")
    from importlib import import_module  # with its reason above

    return getattr(import_module(_PLACES[name]), name)
