"""The claims of a bundle by id, in a few dozen bytes each: what the verification keeps of them, and policies see."""

from __future__ import annotations

from array import array
from base64 import b32encode
from collections.abc import Iterator

from troth.core.claims import Statement
from troth.core.errors import Undecidable
from troth.ledger.bundle import HASH, BundleReader

_FIRST_SLOTS = 1 << 10
_RAW_CID = b"\x01\x55\x12\x20"


class IdTable:
    """Distinct 32-byte ids in order of arrival, with look-up: about 44 bytes an id where a dict takes 170.

    Open addressing over the ids themselves. Python's hash of bytes is keyed anew in each process, so ids cannot be
    ground to collide.
    """

    __slots__ = ("_ids", "_mask", "_slots", "count")

    def __init__(self) -> None:
        self._ids = bytearray()
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))
        self._mask = _FIRST_SLOTS - 1
        self.count = 0

    def add(self, claim: bytes) -> bool:
        """Append an id; False, and nothing changes, if it is here already."""
        slots, mask, ids = self._slots, self._mask, self._ids
        slot = hash(claim) & mask
        while number := slots[slot]:
            if ids[HASH * number - HASH : HASH * number] == claim:
                return False
            slot = (slot + 1) & mask
        ids += claim
        self.count += 1
        slots[slot] = self.count
        if 3 * self.count > 2 * mask:
            self._grow()
        return True

    def find(self, claim: bytes) -> int:
        """The id's number (from 0), or -1."""
        slots, mask, ids = self._slots, self._mask, self._ids
        slot = hash(claim) & mask
        while number := slots[slot]:
            if ids[HASH * number - HASH : HASH * number] == claim:
                return number - 1
            slot = (slot + 1) & mask
        return -1

    def at(self, number: int) -> bytes:
        """The id with this number."""
        return bytes(self._ids[HASH * number : HASH * number + HASH])

    def _grow(self) -> None:
        mask = 2 * self._mask + 1
        slots = array("I", bytes(4 * (mask + 1)))
        for number in range(self.count):
            slot = hash(self.at(number)) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number + 1
        self._slots, self._mask = slots, mask


class BundleView:
    """``troth.core.ports.ClaimView`` over an open bundle. Filled by the verification, read by policies."""

    __slots__ = ("_blobs", "_kinds", "_names", "_offsets", "_positions", "_reader", "table", "target")

    def __init__(self, reader: BundleReader) -> None:
        self._reader = reader
        self.target = reader.target
        self.table = IdTable()
        self._positions = array("Q")
        self._offsets = array("Q")
        self._kinds = array("I")
        self._names: dict[str, int] = {}
        self._blobs: dict[str, tuple[int, int]] = {}

    def add(self, claim: bytes, position: int, offset: int, kind: str) -> bool:
        """Take in a claim; False if its id is here already. ``offset``: of its payload's length field."""
        self._positions.append(position)
        self._offsets.append(offset)
        self._kinds.append(self._names.setdefault(kind, len(self._names)))
        return self.table.add(claim)

    def add_blob(self, digest: bytes, offset: int) -> None:
        """Take in embedded evidence. ``offset``: of its length field."""
        self._blobs[raw_cid(digest)] = (offset, len(self._blobs))

    def blob_number(self, cid: str) -> int:
        """Which embedded blob this is (from 0), or -1."""
        return self._blobs.get(cid, (0, -1))[1]

    def ids(self) -> Iterator[bytes]:
        """Every claim's id, in log order."""
        return map(self.table.at, range(self.table.count))

    def has(self, claim: bytes) -> bool:
        """Whether the claim is here."""
        return self.table.find(claim) >= 0

    def statement(self, claim: bytes) -> Statement:
        """What the claim says. Raises Undecidable if it is not here."""
        return self._statement(self._number(claim))

    def position(self, claim: bytes) -> int:
        """The claim's place in the log. Raises Undecidable if it is not here."""
        return self._positions[self._number(claim)]

    def statements(self, kind: str | None = None) -> Iterator[tuple[bytes, Statement]]:
        """(id, statement) in log order, of one kind if given."""
        wanted = None if kind is None else self._names.get(kind, -1)
        for number, found in enumerate(self._kinds):
            if wanted is None or found == wanted:
                yield self.table.at(number), self._statement(number)

    def blob(self, cid: str) -> bytes | None:
        """Embedded public evidence by CID, or None if the bundle does not hold it."""
        found = self._blobs.get(cid)
        return None if found is None else self._reader.bytes_at(found[0])

    def _number(self, claim: bytes) -> int:
        number = self.table.find(claim)
        if number < 0:
            raise Undecidable("this claim is not in the bundle", expected=claim.hex(),
                              do="Ask for a bundle that holds it.")
        return number

    def _statement(self, number: int) -> Statement:
        return Statement.from_bytes(self._reader.bytes_at(self._offsets[number]))


def raw_cid(digest: bytes) -> str:
    """Text form of the CIDv1 of one raw block with this SHA-256 (``troth.store.cid``, without loading the store)."""
    return "b" + b32encode(_RAW_CID + digest).decode().rstrip("=").lower()
