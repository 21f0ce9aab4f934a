"""Bytes by CID: stores, UnixFS files, sealing, key wrapping, commitments to records.

``open_store("files:PATH")`` opens a backend; each is imported only when it is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from troth.core.errors import Misuse
from troth.core.ports import Blobs


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a backend lives and what it wants after the colon (empty: nothing). ``install``: how to get it."""

    module: str
    name: str
    argument: str
    install: str


BACKENDS: dict[str, Backend] = {
    "files": Backend("troth.store.files", "FileBlobs", "PATH", "part of troth"),
    "memory": Backend("troth.store.memory", "MemoryBlobs", "", "part of troth"),
}


def open_store(spec: str) -> Blobs:
    """Open the store that ``spec`` names: ``files:PATH`` or ``memory:``.

    Raises Misuse for an unknown backend, a missing or surplus argument, or a backend that is not installed.
    """
    scheme, colon, argument = spec.partition(":")
    backend = BACKENDS.get(scheme)
    if backend is None or not colon or bool(argument) != bool(backend.argument):
        known = ", ".join(f"{name}:{each.argument}" for name, each in sorted(BACKENDS.items()))
        raise Misuse("no such store", expected=known, actual=spec or "nothing")
    try:
        # Lazy: a backend's libraries are loaded only by those who use it.
        module = importlib.import_module(backend.module)
    except ModuleNotFoundError as error:
        raise Misuse(f"the {scheme} store is not installed", actual=str(error), do=backend.install) from error
    opened = getattr(module, backend.name)(*([argument] if backend.argument else []))
    assert isinstance(opened, Blobs)  # a wrong line in BACKENDS, not a caller's mistake
    return opened
