"""The bundle's container (``.troth``): one file without slack bytes. The format is docs/reference/bundle.md.

``BundleReader`` checks the frame by position (tags, lengths, the end) before it reads anything else, then streams each
section through a buffer of one chunk, so a bundle of any size takes the same memory, and a truncated one costs eight
seeks. It says what is written, not whether it is true: that is ``troth.verify.bundle``. ``BundleWriter`` writes the
same sections in the same order.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256 as _sha256
from typing import BinaryIO, NamedTuple, NoReturn

from troth.core.encoding import MAX_INT
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.ports import Readable
from troth.ledger.receipts import ReceiptProof

MAGIC = b"\x89TROTH\n\x01"
TAGS = (b"HEAD", b"IDEN", b"NOTE", b"CLMS", b"TREE", b"BTCH", b"ANCH", b"BLOB")
MAX_DOCUMENT = 1 << 16
MAX_NOTE = 1 << 16
MAX_PAYLOAD = 1 << 24
MAX_ANCHOR = 1 << 26
MAX_BLOB = 1 << 20
HASH = 32
CHUNK = 1 << 18
SIGNED, MEMBER = 0, 1
_FRAME = struct.Struct(">4sQ")
_CLAIM = struct.Struct(">QB")
_MEMBER = struct.Struct(">QBIQI")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")


class RawClaim(NamedTuple):
    """A claim as the file holds it.

    ``signatures``: values in the document's suite order, or None for a member of a batch. ``batch``: number of the
    batch claim in this file (-1 if signed), ``place``: index in it. ``at``: offset of the payload's length field.
    """

    position: int
    signatures: tuple[bytes, ...] | None
    batch: int
    place: int
    payload: bytes
    at: int


class RawAnchor(NamedTuple):
    """The anchor as the file holds it: consistency proof from the anchored size, and the receipt's proof."""

    consistency: tuple[bytes, ...]
    receipt: ReceiptProof


class _Stream:
    """A window of a file, read forward through a buffer. Every read seeks, so streams may share one file."""

    __slots__ = ("_at", "_buffer", "_end", "_file", "_next", "_what")

    def __init__(self, file: Readable, start: int, end: int, what: str) -> None:
        self._file, self._next, self._end, self._what = file, start, end, what
        self._buffer, self._at = b"", 0

    def left(self) -> int:
        """Bytes not taken yet."""
        return self._end - self._next + len(self._buffer) - self._at

    def offset(self) -> int:
        """Where in the file the next byte to be taken is."""
        return self._next - len(self._buffer) + self._at

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes. Raises BadInput if the section is shorter."""
        at, buffer = self._at, self._buffer
        if len(buffer) - at < size:
            self._fill(size)
            at, buffer = self._at, self._buffer
        self._at = at + size
        return buffer[at : at + size]

    def window(self, size: int) -> tuple[bytes, int]:
        """The buffer and the place in it where the next bytes are: ``size`` of them, or as many as are left."""
        if len(self._buffer) - self._at < size:
            self._fill(min(size, self.left()))
        return self._buffer, self._at

    def skip(self, size: int) -> None:
        """Move over bytes seen through ``window``."""
        self._at += size

    def u32(self) -> int:
        """The next four bytes as an integer."""
        found: int = _U32.unpack(self.take(4))[0]
        return found

    def hashes(self, count: int) -> Iterator[bytes]:
        """The next ``count`` hashes."""
        for _ in range(count):
            yield self.take(HASH)

    def strings(self) -> tuple[bytes, ...]:
        """A counted list of byte strings, each with its length."""
        return tuple(self.take(self.u32()) for _ in range(self.u32()))

    def done(self) -> None:
        """BadInput unless everything was taken."""
        if self.left():
            raise BadInput(f"section {self._what} has bytes after its last field", actual=f"{self.left()} bytes",
                           do="The file was changed or written by something else; get the bundle again.")

    def short(self) -> NoReturn:
        """BadInput: a field reaches beyond the section."""
        raise BadInput(f"a field reaches beyond the end of section {self._what}", expected=f"{self.left()} bytes",
                       do="The file was changed or written by something else; get the bundle again.")

    def _fill(self, size: int) -> None:
        if size > self.left():
            self.short()
        rest = self._buffer[self._at :]
        wanted = min(max(size - len(rest), CHUNK), self._end - self._next)
        self._buffer, self._at = rest + _read_at(self._file, self._next, wanted), 0
        self._next += wanted


def _read_at(file: Readable, offset: int, size: int) -> bytes:
    """Exactly ``size`` bytes from ``offset``. Raises OutsideFailed if the disk does not give them."""
    try:
        file.seek(offset)
        parts: list[bytes] = []
        while size > 0:
            part = file.read(size)
            if not part:
                raise OutsideFailed("the file became shorter while it was read", do="Try again on an unchanged file.")
            parts.append(part)
            size -= len(part)
    except OSError as error:
        raise OutsideFailed("the bundle cannot be read", actual=error) from error
    return b"".join(parts)


class BundleReader:
    """The sections of a bundle. Raises BadInput, naming what is wrong, where the file is not one."""

    __slots__ = ("_file", "_spans", "target")

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._spans = _scan(file)
        start, end = self._spans[b"HEAD"]
        if end - start != HASH:
            raise BadInput("section HEAD has the wrong length", expected=f"{HASH} bytes", actual=end - start)
        self.target = _read_at(file, start, HASH)
        """Id of the claim that the bundle is about."""
        note = self._spans[b"NOTE"]
        if not 1 <= note[1] - note[0] <= MAX_NOTE:
            raise BadInput("section NOTE has the wrong length", expected=f"1 to {MAX_NOTE} bytes",
                           actual=note[1] - note[0])
        tree = self._spans[b"TREE"]
        if (tree[1] - tree[0]) % HASH:
            raise BadInput("section TREE is not a list of hashes", expected=f"a multiple of {HASH} bytes",
                           actual=tree[1] - tree[0])

    def _stream(self, tag: bytes) -> _Stream:
        return _Stream(self._file, *self._spans[tag], tag.decode())

    def documents(self) -> Iterator[bytes]:
        """Genesis identity documents, in the file's order."""
        stream = self._stream(b"IDEN")
        for _ in range(stream.u32()):
            size = stream.u32()
            if size > MAX_DOCUMENT:
                raise BadInput("identity document too long", expected=f"at most {MAX_DOCUMENT} bytes", actual=size)
            yield stream.take(size)
        stream.done()

    def note(self) -> bytes:
        """The presented checkpoint, a signed note."""
        start, end = self._spans[b"NOTE"]
        return _read_at(self._file, start, end - start)

    def claim_count(self) -> int:
        """How many claims the section says it holds."""
        return self._stream(b"CLMS").u32()

    def claims(self) -> Iterator[RawClaim]:
        """The claims in log order. Raises BadInput for positions that do not ascend and for impossible batches."""
        stream = self._stream(b"CLMS")
        count, last = stream.u32(), -1
        if not count:
            raise BadInput("a bundle without claims", expected="at least one")
        size_of_head = _MEMBER.size
        for number in range(count):
            buffer, at = stream.window(size_of_head)
            if len(buffer) - at >= size_of_head and buffer[at + 8] == MEMBER:
                position, _, batch, index, size = _MEMBER.unpack_from(buffer, at)
                if batch >= number or index > MAX_INT:
                    raise BadInput("a member of no earlier claim", expected=f"a batch below {number}", actual=batch)
                stream.skip(size_of_head)
                signatures = None
            else:
                batch, index = -1, 0
                position, signatures = _signed(stream)
                size = stream.u32()
            if not last < position <= MAX_INT:
                raise BadInput("claims out of log order", expected=f"a position after {last}", actual=position)
            last = position
            if size > MAX_PAYLOAD:
                raise BadInput("payload too long", expected=f"at most {MAX_PAYLOAD} bytes", actual=size)
            yield RawClaim(position, signatures, batch, index, stream.take(size), stream.offset() - size - 4)
        stream.done()

    def bytes_at(self, at: int) -> bytes:
        """The payload or blob whose length field is at this offset (``RawClaim.at``)."""
        size: int = _U32.unpack(_read_at(self._file, at, 4))[0]
        return _read_at(self._file, at + 4, size)

    def tree(self) -> Iterator[bytes]:
        """The log's multi-proof, left to right."""
        start, end = self._spans[b"TREE"]
        return self._stream(b"TREE").hashes((end - start) // HASH)

    def batch_proofs(self) -> Iterator[Iterator[bytes]]:
        """One multi-proof for each batch with members here. Each must be used up before the next is taken."""
        stream = self._stream(b"BTCH")
        while stream.left():
            yield stream.hashes(stream.u32())

    def anchor(self) -> RawAnchor | None:
        """The anchor, or None."""
        start, end = self._spans[b"ANCH"]
        if start == end:
            return None
        if end - start > MAX_ANCHOR:
            raise BadInput("anchor too long", expected=f"at most {MAX_ANCHOR} bytes", actual=end - start)
        stream = self._stream(b"ANCH")
        consistency = tuple(stream.hashes(stream.u32()))
        index = stream.u32()
        headers, nodes = stream.strings(), stream.strings()
        receipt = stream.take(stream.u32())
        stream.done()
        return RawAnchor(consistency, ReceiptProof(headers, nodes, index, receipt))

    def blobs(self) -> Iterator[tuple[bytes, int, bytes]]:
        """(SHA-256, offset of the length field, bytes) of each embedded blob. Raises BadInput for disorder."""
        stream, last = self._stream(b"BLOB"), b""
        while stream.left():
            at, size = stream.offset(), stream.u32()
            if not 1 <= size <= MAX_BLOB:
                raise BadInput("embedded evidence of a wrong length", expected=f"1 to {MAX_BLOB} bytes", actual=size)
            blob = stream.take(size)
            digest = _sha256(blob).digest()
            if digest <= last:
                raise BadInput("embedded evidence out of order", expected=f"a digest after {last.hex()}",
                               actual=digest.hex())
            last = digest
            yield digest, at, blob


def _signed(stream: _Stream) -> tuple[int, tuple[bytes, ...]]:
    """Position and signatures of a claim of form 0."""
    position, form = _CLAIM.unpack(stream.take(_CLAIM.size))
    if form == MEMBER:  # too near the section's end for a member's fields
        stream.short()
    if form != SIGNED:
        raise BadInput("unknown form of claim", expected="0 (signed) or 1 (member)", actual=form)
    count = stream.take(1)[0]
    if not count:
        raise BadInput("a claim without signatures", expected="at least one")
    return position, tuple(stream.take(_U16.unpack(stream.take(2))[0]) for _ in range(count))


def _scan(file: Readable) -> dict[bytes, tuple[int, int]]:
    """Where each section is, as (start, end). Reads the frame only."""
    try:
        file.seek(0, os.SEEK_END)
        end = file.tell()
    except OSError as error:
        raise OutsideFailed("the bundle cannot be read", actual=error) from error
    at = len(MAGIC)
    magic = _read_at(file, 0, min(at, end))
    if magic != MAGIC:
        known = magic[:7] == MAGIC[:7] and len(magic) == at
        raise BadInput("a bundle of another version" if known else "not a bundle",
                       expected=f"a file that starts with {MAGIC.hex()}", actual=magic.hex() or "an empty file",
                       do="Use the Troth that made it." if known else None)
    spans: dict[bytes, tuple[int, int]] = {}
    for tag in TAGS:
        if end - at < _FRAME.size:
            raise _truncated(tag, end - at)
        found, length = _FRAME.unpack(_read_at(file, at, _FRAME.size))
        if found != tag:
            raise BadInput("sections out of order", expected=tag.decode(), actual=repr(found))
        at += _FRAME.size
        if length > end - at:
            raise _truncated(tag, end - at, length)
        spans[tag] = (at, at + length)
        at += length
    _check_end(at, end)
    return spans


def _check_end(at: int, end: int) -> None:
    """BadInput unless the last section ends where the file does."""
    if at != end:
        raise BadInput("bytes after the last section", expected=f"{at} bytes", actual=end,
                       do="Get the bundle again: nothing may stand after its end.")


def _truncated(tag: bytes, left: int, length: int = _FRAME.size) -> BadInput:
    return BadInput(f"the bundle is cut off in section {tag.decode()}", expected=f"{length} bytes more",
                    actual=f"{left} bytes", do="Get the whole file again.")


class BundleWriter:
    """Writes a bundle section by section, in order, to a seekable file. The caller renames it into place."""

    def __init__(self, out: BinaryIO, target: bytes) -> None:
        self._out = out
        self._next = 0
        self._write(MAGIC)
        self.section(b"HEAD", [target])

    def section(self, tag: bytes, parts: Iterable[bytes]) -> None:
        """Write one section from its parts, streaming; its length is filled in at the end."""
        if self._next >= len(TAGS) or TAGS[self._next] != tag:
            raise Misuse("sections are written in order", expected=TAGS[min(self._next, len(TAGS) - 1)], actual=tag)
        self._next += 1
        start = self._out.tell()
        self._write(_FRAME.pack(tag, 0))
        length = 0
        for part in parts:
            self._write(part)
            length += len(part)
        try:
            self._out.seek(start)
            self._out.write(_FRAME.pack(tag, length))
            self._out.seek(0, os.SEEK_END)
        except OSError as error:
            raise OutsideFailed("the bundle cannot be written", actual=error) from error

    def _write(self, data: bytes) -> None:
        try:
            self._out.write(data)
        except OSError as error:
            raise OutsideFailed("the bundle cannot be written", actual=error) from error


def list_of(items: Sequence[bytes]) -> Iterator[bytes]:
    """A counted list of byte strings, each with its length (IDEN, ANCH)."""
    yield _U32.pack(len(items))
    for item in items:
        yield _U32.pack(len(item)) + item


def hashes_of(hashes: Sequence[bytes]) -> bytes:
    """A counted list of hashes (BTCH, ANCH)."""
    return _U32.pack(len(hashes)) + b"".join(hashes)


def signed_record(position: int, signatures: Sequence[bytes], payload: bytes) -> bytes:
    """A claim of form 0."""
    parts = [_CLAIM.pack(position, SIGNED), bytes((len(signatures),))]
    for value in signatures:
        parts += [_U16.pack(len(value)), value]
    return b"".join([*parts, _U32.pack(len(payload)), payload])


def member_record(position: int, batch: int, index: int, payload: bytes) -> bytes:
    """A claim of form 1."""
    return _MEMBER.pack(position, MEMBER, batch, index, len(payload)) + payload


def anchor_parts(anchor: RawAnchor) -> Iterator[bytes]:
    """Section ANCH."""
    proof = anchor.receipt
    yield hashes_of(anchor.consistency)
    yield _U32.pack(proof.index)
    yield from list_of(proof.headers)
    yield from list_of(proof.nodes)
    yield _U32.pack(len(proof.receipt)) + proof.receipt


def blob_parts(blobs: Iterable[bytes]) -> Iterator[bytes]:
    """Section BLOB: ascending by digest, each once. Raises Misuse for a blob of more than one block."""
    found = {_sha256(blob).digest(): blob for blob in blobs}
    for _, blob in sorted(found.items()):
        if not 1 <= len(blob) <= MAX_BLOB:
            raise Misuse("embedded evidence of a wrong length", expected=f"1 to {MAX_BLOB} bytes", actual=len(blob))
        yield _U32.pack(len(blob)) + blob
