"""What passes between parties: parcels of claims, documents, ciphertext and wrapped keys, through mailboxes.

A parcel proves nothing by itself: its claims carry their signatures, its blocks their CIDs, its wrapped keys open only
for the addressee. Whoever keeps the mailboxes can drop, delay, repeat, reorder and add parcels, never change what is
said in them.

An *address* is a party's DID, for its parcels, or the DID with a word behind ``#``, for something else of that party's
(``troth.ledger.letters``). Mailboxes lie in a shared folder (here) or at a post office (``troth.ledger.postoffice``).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO

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

    @property
    def size(self) -> int:
        """Bytes of its documents, claims and blocks, before they are written as JSON."""
        return sum(map(len, (*self.documents, *(claim.to_bytes() for claim in self.claims), *self.blocks.values())))

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


class Exchange(ABC):
    """Mailboxes by address. Every backend inherits ``tests/ports/exchange_suite.py``.

    All raise OutsideFailed where the mailboxes cannot be used. One object serves one thread.
    """

    @abstractmethod
    def put(self, to: str, data: bytes) -> PurePath:
        """Put bytes into a mailbox, whole or not at all; their place. Raises BadInput for more than MAX_PARCEL."""

    @abstractmethod
    def waiting(self, address: str, patience: float = 0.0) -> tuple[PurePath, ...]:
        """The places of what waits in this party's own mailbox, oldest first. patience: seconds to wait for a first.

        A mailbox may show some of what waits, and the rest once that is done.
        """

    @abstractmethod
    def read(self, place: PurePath) -> bytes | None:
        """The bytes of a place; None for one that another process has taken meanwhile. Raises BadInput for no file."""

    @abstractmethod
    def done(self, place: PurePath, *, refused: bool = False) -> None:
        """Take a place's bytes out of the mailbox. refused: they are set aside, where the backend has a place for it.

        Where they do not go they are shown again: taking them in again changes nothing, refusing them again neither.
        """

    def close(self) -> None:  # noqa: B027  (a folder has nothing to close)
        """Hang up. Nothing is lost without it."""

    def send(self, to: str, parcel: Parcel) -> PurePath:
        """Put a parcel into a party's mailbox, whole or not at all."""
        return self.put(to, parcel.to_bytes())

    def open(self, place: PurePath) -> Parcel | None:
        """Read one parcel; None for one that another process has taken in meanwhile. Raises BadInput for none."""
        data = self.read(place)
        return None if data is None else Parcel.from_bytes(data)


def box_of(address: str) -> str:
    """What an address's mailbox is called: of one length, and no path."""
    return hashlib.sha256(address.encode()).hexdigest()[:32]


def check_size(size: int) -> None:
    """Raises BadInput for more than a mailbox takes."""
    if size > MAX_PARCEL:
        raise BadInput("parcel too large", expected=f"at most {MAX_PARCEL} bytes", actual=size,
                       do="Send fewer claims or less evidence at once.")


class FolderExchange(Exchange):
    """Mailboxes in one shared folder: one subfolder an addressee, one file a parcel, taken in name order.

    Raises OutsideFailed where the folder cannot be used.
    """

    LOOK = 0.05
    """Seconds between two looks into a mailbox that one waits at: a folder tells nobody what came."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _box(self, address: str) -> Path:
        return self.path / box_of(address)

    def put(self, to: str, data: bytes) -> Path:
        """A file in the addressee's folder, whole or not there.

        Raises BadInput beyond `MAX_PARCEL`, OutsideFailed where the folder cannot be written.
        """
        check_size(len(data))
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

    def waiting(self, address: str, patience: float = 0.0) -> tuple[Path, ...]:
        """The mailbox's files, oldest first, after at most ``patience`` seconds. Raises OutsideFailed."""
        box, until = self._box(address), time.monotonic() + patience
        while True:
            try:
                found = tuple(sorted(path for path in box.iterdir() if path.suffix == _SUFFIX)) if box.is_dir() else ()
            except OSError as error:
                raise OutsideFailed(f"the mailbox {box} cannot be read", actual=error.strerror) from None
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(left, self.LOOK))

    def read(self, place: PurePath) -> bytes | None:
        """The bytes of a file; None for one that another process has taken meanwhile.

        Whoever can write into a mailbox can put anything there, so links are not followed, and nothing is read but a
        regular file of a bounded size. Raises BadInput for anything else, OutsideFailed where it cannot be read.
        """
        file = _opened(place)
        if file is None:
            return None
        try:
            with file:
                data = file.read(MAX_PARCEL + 1)
        except OSError as error:
            raise OutsideFailed(f"cannot read {place}", actual=error.strerror) from None
        check_size(len(data))
        return data

    def done(self, place: PurePath, *, refused: bool = False) -> None:
        with contextlib.suppress(OSError):
            if refused:
                os.rename(place, place.with_suffix(".refused"))
            else:
                os.unlink(place)


def _opened(place: PurePath) -> BinaryIO | None:
    """A regular file of a bounded size, to read; None where there is none. Raises as ``FolderExchange.read``."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise BadInput("not a parcel but a link or a device", actual=place.name) from None
        raise OutsideFailed(f"cannot read {place}", actual=error.strerror) from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_PARCEL:
        os.close(handle)
        raise BadInput("not a parcel", expected=f"a file of at most {MAX_PARCEL} bytes",
                       actual=f"{stat.filemode(found.st_mode)}, {found.st_size} bytes")
    return open(handle, "rb")


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise BadInput("unexpected JSON in a parcel", expected="base64 text", actual=type(value).__name__)
    return from_base64(value)
