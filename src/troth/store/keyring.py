"""Data keys wrapped to parties, kept in files of their own so that they can be deleted.

Layout: ``<folder>/<CID of what the key opens>/<name of whom it is wrapped to>``. Wrapping says nothing about who
wrapped, so whoever can write into a mailbox can send a key. ``offer`` keeps one only if it opens for this party and is
the key that the sealed file commits to; it never lets go of one that is so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.ports import Blobs
from troth.store.cid import Cid
from troth.store.files import replacing
from troth.store.sealing import check_key
from troth.store.wrapping import RecipientKey, unwrap


class Keyring:
    """The wrapped keys in one folder. keys: this party's own, oldest first; what an old one opens still opens."""

    def __init__(self, folder: Path, keys: Sequence[RecipientKey]) -> None:
        self._folder, self._keys = folder, tuple(keys)

    def get(self, cid: str, name: str) -> bytes | None:
        """The key of a sealed file as it was wrapped to ``name``. Raises BadInput for no CID, OutsideFailed."""
        path = self._place(cid) / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None

    def holds(self, cid: str) -> bool:
        """Whether any key of this file is here: whether it is sealed."""
        return self._place(cid).is_dir()

    def keep(self, cid: str, name: str, wrapped: bytes) -> None:
        """Keep a key that this party wrapped. Raises OutsideFailed."""
        place = self._place(cid)
        try:
            place.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutsideFailed(f"cannot keep a key in {place}", actual=error.strerror) from None
        with replacing(place / name, 0o600) as out:
            out.write(wrapped)

    def offer(self, cid: str, name: str, wrapped: bytes, blobs: Blobs) -> bool:
        """Keep a key that somebody sent, if it is the file's; whether this party now has the file's key.

        One that fits already stays as it is. The file's first block must be in ``blobs``: without it nothing can be
        told of a key.
        """
        at = Cid.parse(cid)
        old = self.get(cid, name)
        if old is not None and self._fits(at, old, blobs):
            return True
        if not self._fits(at, wrapped, blobs):
            return False
        self.keep(cid, name, wrapped)
        return True

    def open(self, cid: Cid, wrapped: bytes) -> bytes:
        """The key inside: this party's keys are tried newest first. Raises Undecidable if none opens it."""
        for key in reversed(self._keys):
            try:
                return unwrap(wrapped, key, cid.encode())
            except (Undecidable, BadInput):
                continue
        raise Undecidable("no key of this party opens what was wrapped for it", actual=cid,
                          do="Ask whoever sealed it to hand it over again.")

    def forget(self, cid: str) -> None:
        """Delete every key of a file. Doing it again is a no-op. Raises OutsideFailed."""
        place = self._place(cid)
        try:
            if place.is_dir():
                for path in place.iterdir():
                    path.unlink()
                place.rmdir()
                handle = os.open(self._folder, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        except OSError as error:
            raise OutsideFailed(f"cannot delete the keys in {place}", actual=error.strerror,
                                do="Repair the disk, then erase again.") from None

    def _fits(self, cid: Cid, wrapped: bytes, blobs: Blobs) -> bool:
        try:
            check_key(cid, self.open(cid, wrapped), blobs)
        except (Undecidable, Refuted, Misuse):  # Misuse: also a key of another length than keys have
            return False
        return True

    def _place(self, cid: str) -> Path:
        return self._folder / str(Cid.parse(cid))
