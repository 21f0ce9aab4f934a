"""Troth: check what was done with AI, and hold people to what they promised.

``troth.Troth`` is a workspace of one party; ``troth.verify_bundle`` checks a bundle; ``troth.resolve_did`` finds an
identifier's document; ``troth.train`` trains among several; ``troth.load`` opens what was bought; ``TrothError`` roots
the errors.
"""

from typing import TYPE_CHECKING, Any

from troth.core.version import VERSION

if TYPE_CHECKING:
    from troth.app import Settings as Settings
    from troth.app import Troth as Troth
    from troth.app import file_subject as file_subject
    from troth.app import verify_bundle as verify_bundle
    from troth.app.learning import train as train
    from troth.app.loading import load as load
    from troth.app.mlflow import autolog as autolog
    from troth.app.resolving import resolve_did as resolve_did
    from troth.app.running import run as run
    from troth.core.errors import TrothError as TrothError
    from troth.identity.resolution import When as When
    from troth.verify.trust import Trust as Trust

__version__ = VERSION
__all__ = ["Settings", "Troth", "TrothError", "Trust", "When", "autolog", "file_subject", "load", "resolve_did", "run",
           "train", "verify_bundle"]

_PLACES = {"Settings": "troth.app", "Troth": "troth.app", "file_subject": "troth.app", "verify_bundle": "troth.app",
           "TrothError": "troth.core.errors", "Trust": "troth.verify.trust", "autolog": "troth.app.mlflow",
           "train": "troth.app.learning", "load": "troth.app.loading",
           "run": "troth.app.running", "resolve_did": "troth.app.resolving", "When": "troth.identity.resolution"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: importing one room must not load all of them."""
    if name not in _PLACES:
        raise AttributeError(f"module 'troth' has no attribute {name!r}")
    from importlib import import_module  # with its reason above

    return getattr(import_module(_PLACES[name]), name)
