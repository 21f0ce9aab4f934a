"""The journal: the file a log's truth lives in, and its records.

The file is a magic line and records; a record is a kind (1 byte), a length (4 bytes, big-endian) and that many bytes.
A claim's record starts with its 64-byte entry (id and seal), then its body; a commit's is a signed checkpoint. An
append is one write: claims' records, then the commit. Whatever follows the last whole commit was never acknowledged.

=========== ==== =====================================================================================
kind        byte body after the entry
=========== ==== =====================================================================================
signed      S    count (1); per signature: method's length (2), value's length (4), method, value; payload
member      M    position of the batch's claim (8); payload. The member's index follows from its position
loose       L    batch's id (32), index (8), path's length (1), path (32 each); payload
forgotten   F    zeros
commit      C    (no entry) a signed checkpoint
=========== ==== =====================================================================================
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from troth.core.claims import Envelope, Membership, Signature, claim_id, seal_of_member, seal_of_signatures
from troth.core.errors import BadInput, Misuse, Refuted

MAGIC = b"troth journal v1\n"
HEADER = struct.Struct(">cI")
ENTRY = 64
SIGNED, MEMBER, LOOSE, FORGOTTEN, COMMIT = b"S", b"M", b"L", b"F", b"C"
MAX_RECORD = 2**28
_BLOCK = 2**20
_SIGNATURE = struct.Struct(">HI")
_LOOSE = struct.Struct(">32sQB")
_POSITION = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in the file at ``offset``; ``end`` is the offset after it."""

    kind: bytes
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """Where the next record starts."""
        return self.offset + HEADER.size + len(self.data)

    @property
    def entry(self) -> bytes:
        """A claim's id and seal, 64 bytes."""
        return self.data[:ENTRY]


@dataclass(frozen=True, slots=True)
class Entry:
    """A claim in the log.

    ``payload`` None: the body was forgotten. A signed claim has ``signatures``; a batch's member has ``batch`` (its
    id) and ``index``, and a ``path`` if it came alone. Members of a batch that came whole stand right after the
    batch's claim, in order, and have ``path`` None: ``Log.membership`` gives the path of any.
    """

    position: int
    id: bytes
    seal: bytes
    payload: bytes | None
    signatures: tuple[Signature, ...] = ()
    batch: bytes | None = None
    index: int | None = None
    path: tuple[bytes, ...] | None = None

    def envelope(self) -> Envelope:
        """The signed claim. Raises Misuse for a member or a forgotten body."""
        if self.payload is None or self.batch is not None:
            raise Misuse("no envelope here", expected="a signed claim with its body",
                         actual=f"position {self.position}")
        return Envelope(self.payload, self.signatures)


def record(kind: bytes, data: bytes) -> bytes:
    """A record's bytes. Raises Misuse for data too long to be read back."""
    if len(data) > MAX_RECORD:
        raise Misuse("claim too long for a log", expected=f"at most {MAX_RECORD} bytes", actual=len(data))
    return HEADER.pack(kind, len(data)) + data


def signed_record(envelope: Envelope, entry: bytes) -> bytes:
    """The record of a signed claim."""
    parts = [entry, bytes([len(envelope.signatures)])]
    for signature in envelope.signatures:
        method = signature.method.encode()
        parts += (_SIGNATURE.pack(len(method), len(signature.value)), method, signature.value)
    return record(SIGNED, b"".join([*parts, envelope.payload]))


def loose_record(payload: bytes, membership: Membership, entry: bytes) -> bytes:
    """The record of a batch's member that came with its path."""
    head = _LOOSE.pack(membership.batch, membership.index, len(membership.path))
    return record(LOOSE, b"".join([entry, head, *membership.path, payload]))


def scan(file: BinaryIO, offset: int, end: int) -> Iterator[Record]:
    """The whole records in [offset, end) of the file, in order. Stops before a torn one."""
    for kind, at, data in scan_raw(file, offset, end):
        yield Record(kind, at, data)


def scan_raw(file: BinaryIO, offset: int, end: int) -> Iterator[tuple[bytes, int, bytes]]:
    """``scan`` as bare (kind, offset, data), reading big blocks: for whole-log checks."""
    descriptor, unpack, head = file.fileno(), HEADER.unpack_from, HEADER.size
    buffer, base, size = b"", offset, 0
    while True:
        start = offset - base
        while start + head <= size:
            kind, length = unpack(buffer, start)
            stop = start + head + length
            if stop > size:
                break
            yield kind, base + start, buffer[start + head:stop]
            start = stop
        else:
            length = 0
        offset = base + start
        if offset + head + length > end or length > MAX_RECORD:
            return
        buffer = buffer[start:]
        base, size = offset, len(buffer)
        more = os.pread(descriptor, min(max(_BLOCK, head + length), end - base - size), base + size)
        if not more:
            return
        buffer += more
        size += len(more)


def entry_of(found: Record, position: int, batch_of: Callable[[int], bytes]) -> Entry:
    """Read a claim's record; ``batch_of(position)`` gives the id of the claim there. Raises Refuted if unreadable."""
    data, kind = found.data, found.kind
    claim, seal = data[:32], data[32:ENTRY]
    try:
        if len(data) < ENTRY:
            raise BadInput("record without an entry")
        if kind == FORGOTTEN:
            return Entry(position, claim, seal, None)
        if kind == MEMBER:
            at = _POSITION.unpack_from(data, ENTRY)[0]
            return Entry(position, claim, seal, data[ENTRY + 8:], (), batch_of(at), position - at - 1)
        if kind == LOOSE:
            batch, index, count = _LOOSE.unpack_from(data, ENTRY)
            start = ENTRY + _LOOSE.size
            stop = start + 32 * count
            path = tuple(data[i:i + 32] for i in range(start, stop, 32))
            return Entry(position, claim, seal, data[stop:], (), batch, index, path)
        if kind == SIGNED:
            signatures, start = [], ENTRY + 1
            for _ in range(data[ENTRY]):
                method, value = _SIGNATURE.unpack_from(data, start)
                middle = start + _SIGNATURE.size + method
                signatures.append(Signature(data[start + _SIGNATURE.size:middle].decode(), data[middle:middle + value]))
                start = middle + value
            return Entry(position, claim, seal, data[start:], tuple(signatures))
    except (struct.error, IndexError, UnicodeDecodeError, BadInput):
        pass
    raise Refuted(f"the log's record at position {position} is damaged", do="Restore the log's directory.")


def check_body(entry: Entry) -> None:
    """Refuted unless the body gives the entry's id and seal. A forgotten body cannot be checked and passes."""
    if entry.payload is None:
        return
    if entry.batch is None:
        seal = seal_of_signatures(entry.signatures)
    else:
        seal = seal_of_member(entry.batch, entry.index or 0)
    if claim_id(entry.payload) != entry.id or seal != entry.seal:
        raise Refuted(f"the claim at position {entry.position} is not the one the log committed to",
                      expected=entry.id.hex(), actual=claim_id(entry.payload).hex())
