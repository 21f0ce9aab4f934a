"""Commitments to records: one root over many, each openable alone, and unlinkable once the key is gone.

From one listing key of 32 random bytes follows a key for each record; a record's leaf is an HMAC under its key; the
root is the RFC 6962 tree over the leaves. Publishing root and size reveals nothing about a record to those without the
listing key, even where the record has few possible values; opening one record reveals nothing about the others.

Deleting the listing key makes leaves and root unlinkable to the records, except through what was already opened: an
opening carries its record's key and stays valid. See ``docs/adr/0005-commitments.md``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from troth.core import merkle
from troth.core.errors import BadInput, Misuse, Refuted

KEY_LENGTH = 32
SCHEME = "troth-commitment-1"
"""Name of the scheme, for claims."""

MAX_RECORDS = 1 << 48

_LABEL = b"troth/commitment/1/record key"


@dataclass(frozen=True, slots=True)
class Commitment:
    """A root over ``size`` records: the public part."""

    root: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What shows one record to be in a commitment. Give it to those who may see the record, and to nobody else."""

    index: int
    record: bytes = field(repr=False)
    record_key: bytes = field(repr=False)
    path: tuple[bytes, ...]


class Listing:
    """Records' leaves, with the key to open them. Holds 32 bytes a record, not the records."""

    def __init__(self, listing_key: bytes, records: Iterable[bytes]) -> None:
        """Commit to ``records`` in their order under ``listing_key``. Raises Misuse for a key of another length."""
        self._key = _check_key(listing_key)
        leaves = [leaf(record_key(listing_key, index), record) for index, record in enumerate(records)]
        self._hashes = [merkle.leaf_hash(each) for each in leaves]

    @property
    def commitment(self) -> Commitment:
        """Root and size."""
        return Commitment(merkle.root_of_hashes(self._hashes), len(self._hashes))

    def open(self, index: int, record: bytes) -> Opening:
        """The opening of the record at ``index``. Raises BadInput if that is not the record committed to there."""
        size = len(self._hashes)
        if not 0 <= index < size:
            raise BadInput("no record at this index", expected=f"0 to {size - 1}", actual=index)
        key = record_key(self._key, index)
        if merkle.leaf_hash(leaf(key, record)) != self._hashes[index]:
            raise BadInput(f"this is not record {index} of the listing", do="Open it with the bytes that were listed.")
        path = merkle.inclusion_proof(index, size, merkle.node_of(self._hashes))
        return Opening(index, record, key, tuple(path))


def new_listing_key() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(KEY_LENGTH)


def commit(listing_key: bytes, records: Iterable[bytes]) -> Commitment:
    """The commitment to ``records`` in their order. Raises Misuse for a key of another length."""
    return Listing(listing_key, records).commitment


def record_key(listing_key: bytes, index: int) -> bytes:
    """The key of the record at ``index``: HMAC-SHA256 of a label and the index under the listing key.

    Raises Misuse for a listing key of another length or an index that is out of range.
    """
    if not 0 <= index < MAX_RECORDS:
        raise Misuse("no such record index", expected=f"0 to {MAX_RECORDS - 1}", actual=index)
    return hmac.digest(_check_key(listing_key), _LABEL + index.to_bytes(8, "big"), "sha256")


def leaf(key: bytes, record: bytes) -> bytes:
    """The leaf of ``record``: HMAC-SHA256 under its record key (32 bytes, or Misuse)."""
    return hmac.digest(_check_key(key), record, "sha256")


def verify(opening: Opening, commitment: Commitment) -> None:
    """Refuted unless the opened record is the one at its index under ``commitment``.

    Raises BadInput for an index outside the commitment or a record key of another length.
    """
    # HMAC pads short keys with zeros, so keys of several lengths could open one leaf; only one length is a key.
    if len(opening.record_key) != KEY_LENGTH:
        raise BadInput("not a record key", expected=f"{KEY_LENGTH} bytes", actual=len(opening.record_key))
    hashed = merkle.leaf_hash(leaf(opening.record_key, opening.record))
    try:
        merkle.verify_inclusion(hashed, opening.index, commitment.size, opening.path, commitment.root)
    except Refuted as error:
        raise Refuted(f"record {opening.index} is not the one committed to", expected=error.expected,
                      actual=error.actual, do="Refuse the opening.") from error


def _check_key(key: bytes) -> bytes:
    if len(key) != KEY_LENGTH:
        raise Misuse("a commitment key has another length", expected=f"{KEY_LENGTH} bytes", actual=len(key))
    return key
