"""Blobs in memory: for tests, dry runs and small workspaces. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Iterator

from troth.core.errors import Undecidable
from troth.core.ports import Blobs
from troth.store.names import check_name


class MemoryBlobs(Blobs):
    """A dictionary of blobs."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        self._blobs.setdefault(check_name(name), bytes(data))  # bytes() copies only what could change later

    def get(self, name: str) -> bytes:
        try:
            return self._blobs[check_name(name)]
        except KeyError:
            raise Undecidable(f"{name} is not in this store", do="Pull it from someone who has it.") from None

    def has(self, name: str) -> bool:
        return check_name(name) in self._blobs

    def delete(self, name: str) -> bool:
        return self._blobs.pop(check_name(name), None) is not None

    def names(self) -> Iterator[str]:
        return iter(tuple(self._blobs))
