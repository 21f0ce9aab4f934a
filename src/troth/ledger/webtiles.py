"""A tile log over HTTP, as a client: any log that speaks C2SP tlog-tiles, by its URL.

Nothing that comes is believed: ``troth.ledger.views`` checks it against the checkpoint, and the checkpoint's signature
is the caller's to check. What is checked can be kept in a directory, in the same layout: it is fetched once.
"""

from __future__ import annotations

import os
from pathlib import Path

from troth.core.errors import OutsideFailed
from troth.ledger.checkpoints import MAX_NOTE
from troth.ledger.tiles import ENTRIES, HASH, MAX_ENTRY, WIDTH, TileFiles, Tiles, tile_index, tile_path
from troth.ledger.wire import Site

MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)


class WebTiles(Tiles):
    """The log at a site."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site

    def fetch(self, path: str) -> bytes | None:
        if path == "checkpoint":
            return self.site.get(path, MAX_NOTE)
        level, _, width = tile_index(path)
        return self.site.get(path, MAX_BUNDLE if level == ENTRIES else width * HASH)


class KeptTiles(Tiles):
    """Tiles of ``source``, each kept in ``directory`` once it was checked. Checkpoints are always the source's.

    What is kept is not synced, since it can be fetched again: an empty file counts as none.
    """

    def __init__(self, source: Tiles, directory: Path) -> None:
        super().__init__()
        self._source, self._directory = source, directory
        self._here = TileFiles(directory)

    def fetch(self, path: str) -> bytes | None:
        found = None if path == "checkpoint" else self._here.fetch(path)
        return found or self._source.fetch(path)

    def keep(self, level: int | str, index: int, width: int, data: bytes) -> None:
        """Keep a tile of so many hashes as a file, whole or not there. Raises OutsideFailed."""
        path = self._directory / tile_path(level, index, width)
        if path.exists() and path.stat().st_size == len(data):
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}.{os.getpid()}")
            unfinished.write_bytes(data)
            os.replace(unfinished, path)
        except OSError as error:
            raise OutsideFailed(f"{path} cannot be kept", actual=error.strerror) from None


def tiles_at(place: str, *, private: bool = False, timeout: float | None = None) -> Tiles:
    """The tiles at a URL or in a directory. private: whether a URL may be this machine's or a private network's."""
    if place.startswith(("http://", "https://")):
        return WebTiles(Site(place, private=private) if timeout is None
                        else Site(place, private=private, timeout=timeout))
    return TileFiles(Path(place))
