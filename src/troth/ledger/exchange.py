"""What passes between parties: parcels of claims, documents, ciphertext and wrapped keys, through shared folders.

A parcel proves nothing by itself: its claims carry their signatures, its blocks their CIDs, its wrapped keys open only
for the addressee. Whoever can write into the folder can drop, repeat, reorder and add parcels, never change what is
said in them.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from troth.core.claims import Envelope, from_base64
from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput, OutsideFailed
from troth.store.cid import Cid
from troth.store.files import replacing

MAX_PARCEL = 256 << 20
_FORMAT = "troth-parcel-1"
_SUFFIX = ".parcel"


@dataclass(frozen=True, slots=True)
class Parcel:
    """documents: first documents of issuers. claims: in an order in which rotations come before what they sign.

    blocks: bytes by CID. keys: data keys by the sealed file's CID, wrapped to the addressee.
    """

    documents: tuple[bytes, ...] = ()
    claims: tuple[Envelope, ...] = ()
    blocks: Mapping[str, bytes] = field(default_factory=dict)
    keys: Mapping[str, bytes] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON, bytes in base64."""
        return encode({
            "blocks": {cid: base64.b64encode(data).decode() for cid, data in self.blocks.items()},
            "claims": [base64.b64encode(claim.to_bytes()).decode() for claim in self.claims],
            "documents": [base64.b64encode(document).decode() for document in self.documents],
            "format": _FORMAT,
            "keys": {cid: base64.b64encode(key).decode() for cid, key in self.keys.items()},
        })

    @classmethod
    def from_bytes(cls, data: bytes) -> Parcel:
        """Read a parcel strictly. Raises BadInput. Nothing in it is checked yet: ``troth.ledger.intake`` does."""
        blocks, claims, documents, format_, keys = take(
            decode_object(data), blocks=dict, claims=list, documents=list, format=str, keys=dict)
        if format_ != _FORMAT:
            raise BadInput("not a parcel", expected=_FORMAT, actual=format_)
        return cls(tuple(map(_bytes, documents)), tuple(Envelope.from_bytes(_bytes(claim)) for claim in claims),
                   {cid: _bytes(block) for cid, block in blocks.items()},
                   {cid: _bytes(key) for cid, key in keys.items()})

    def check(self) -> None:
        """Raises BadInput for a block that is not what its CID names, and for a key of no CID."""
        for name, block in self.blocks.items():
            cid = Cid.parse(name)
            if Cid.of(block, cid.codec) != cid:
                raise BadInput("a block that is not what its CID names", expected=name)
        for name in self.keys:
            Cid.parse(name)


class FolderExchange:
    """Mailboxes in one shared folder: one subfolder an addressee, one file a parcel, taken in name order.

    Raises OutsideFailed where the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def _box(self, did: str) -> Path:
        return self.path / hashlib.sha256(did.encode()).hexdigest()[:32]

    def send(self, to: str, parcel: Parcel) -> Path:
        """Put a parcel into a mailbox, whole or not at all."""
        data = parcel.to_bytes()
        if len(data) > MAX_PARCEL:
            raise BadInput("parcel too large", expected=f"at most {MAX_PARCEL} bytes", actual=len(data))
        box = self._box(to)
        try:
            box.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutsideFailed(f"the exchange folder {self.path} cannot be used", actual=error.strerror) from None
        # The clock only orders a mailbox; a parcel taken in out of order is taken in all the same.
        path = box / f"{time.time_ns():020d}-{hashlib.sha256(data).hexdigest()[:16]}{_SUFFIX}"
        with replacing(path) as out:
            out.write(data)
        return path

    def waiting(self, did: str) -> tuple[Path, ...]:
        """Parcels in this party's mailbox, oldest first."""
        box = self._box(did)
        try:
            return tuple(sorted(path for path in box.iterdir() if path.suffix == _SUFFIX)) if box.is_dir() else ()
        except OSError as error:
            raise OutsideFailed(f"the mailbox {box} cannot be read", actual=error.strerror) from None

    @staticmethod
    def open(path: Path) -> Parcel | None:
        """Read one parcel; None for one that another process has taken in meanwhile.

        Whoever can write into a mailbox can put anything there, so links are not followed, and nothing is read but a
        regular file of a bounded size. Raises BadInput for anything else and for a malformed parcel, OutsideFailed
        where it cannot be read.
        """
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise BadInput("not a parcel but a link or a device", actual=path.name) from None
            raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_PARCEL:
                raise BadInput("not a parcel", expected=f"a file of at most {MAX_PARCEL} bytes",
                               actual=f"{stat.filemode(found.st_mode)}, {found.st_size} bytes")
            with open(handle, "rb", closefd=False) as file:
                data = file.read(MAX_PARCEL + 1)
        except OSError as error:
            raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None
        finally:
            os.close(handle)
        if len(data) > MAX_PARCEL:
            raise BadInput("parcel too large", expected=f"at most {MAX_PARCEL} bytes", actual="more")
        return Parcel.from_bytes(data)

    @staticmethod
    def done(path: Path, *, refused: bool = False) -> None:
        """Take a parcel out of the mailbox; one that was refused is kept beside, out of the way.

        Where the folder does not let it go it stays: taking it in again changes nothing, and refusing it again neither.
        """
        with contextlib.suppress(OSError):
            if refused:
                os.rename(path, path.with_suffix(".refused"))
            else:
                path.unlink()


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise BadInput("unexpected JSON in a parcel", expected="base64 text", actual=type(value).__name__)
    return from_base64(value)
