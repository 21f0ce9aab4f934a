"""UnixFS files: bytes of any length under one CID, written and read as a stream with flat memory.

Profile ``unixfs-v1-2025`` (IPIP-499): chunks of 1 MiB as raw leaves, a balanced tree of at most 1024 links a node,
CIDv1, SHA-256, dag-pb nodes with their links first. A file of one chunk is that raw leaf. Sources: dag-pb
(https://ipld.io/specs/codecs/dag-pb/spec/), UnixFS (https://specs.ipfs.tech/unixfs/).

The shape of a tree follows from its size alone, so the reader computes it and refuses every other tree: there is
one CID for given bytes, no nesting deeper than the size needs, and no size that is only claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted
from troth.core.ports import Blobs
from troth.store.blocks import get_block, put_block
from troth.store.cid import BINARY_LENGTH, Cid, Codec

_FILE = 2  # UnixFS DataType.File
_MAX_VARINT_BYTES = 9  # 63 bits: sizes beyond are no sizes


@dataclass(frozen=True, slots=True)
class Profile:
    """How a file becomes a tree: bytes a chunk, links a node. The same bytes have another CID under another one."""

    name: str
    chunk: int
    width: int

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.width < 2:
            raise Misuse("a profile needs chunks of at least 1 byte and nodes of at least 2 links",
                         actual=f"{self.chunk} bytes, {self.width} links")


PROFILE = Profile("unixfs-v1-2025", chunk=1 << 20, width=1024)
"""The profile Troth writes. Its name goes into every claim that names a CID."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A file in a store: its CID, its size in bytes, the profile's name."""

    cid: Cid
    size: int
    profile: str


@dataclass(frozen=True, slots=True)
class _Link:
    """A link to a subtree: ``size`` bytes of file, ``tsize`` bytes of blocks."""

    cid: Cid
    size: int
    tsize: int


class Importer:
    """Builds a file's tree chunk by chunk. Memory: at most ``width`` links a level.

    ``keep(cid, block)`` is called once for each block, leaves before their node. Chunks must be full except the
    last; ``add`` refuses anything else with Misuse.
    """

    def __init__(self, keep: Callable[[Cid, bytes], None], profile: Profile = PROFILE) -> None:
        self._keep = keep
        self._profile = profile
        self._levels: list[list[_Link]] = [[]]
        self._size = 0
        self._last = False

    def add(self, chunk: bytes) -> None:
        """Append one chunk of the file."""
        if self._last or not 0 < len(chunk) <= self._profile.chunk:
            raise Misuse("chunks must be full except the last", expected=f"{self._profile.chunk} bytes",
                         actual=len(chunk), do="Cut the stream with import_stream.")
        self._last = len(chunk) < self._profile.chunk
        self._size += len(chunk)
        cid = Cid.of(chunk)
        self._keep(cid, chunk)
        self._push(0, _Link(cid, len(chunk), len(chunk)))

    def finish(self) -> Imported:
        """Close the tree and name it."""
        if not self._size:
            cid = Cid.of(b"")
            self._keep(cid, b"")
            return Imported(cid, 0, self._profile.name)
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            if self._levels[level]:
                self._reduce(level)
            level += 1
        return Imported(self._levels[level][0].cid, self._size, self._profile.name)

    def _push(self, level: int, link: _Link) -> None:
        # A full level becomes a node only when one more link arrives: 1 node of width links needs no parent.
        if len(self._levels[level]) == self._profile.width:
            self._reduce(level)
        self._levels[level].append(link)

    def _reduce(self, level: int) -> None:
        links, self._levels[level] = self._levels[level], []
        block = _encode_node(links)
        cid = Cid.of(block, Codec.DAG_PB)
        self._keep(cid, block)
        if level + 1 == len(self._levels):
            self._levels.append([])
        self._push(level + 1, _Link(cid, sum(link.size for link in links),
                                    len(block) + sum(link.tsize for link in links)))


def import_stream(readable: BinaryIO, blobs: Blobs, profile: Profile = PROFILE) -> Imported:
    """Read ``readable`` to its end, keep its blocks in ``blobs``, and name it.

    Blocks reach the store before the node that names them, so a stop half way leaves unnamed blocks and no file.
    Raises OutsideFailed if reading or storing fails.
    """
    return _import(readable, lambda cid, block: blobs.put(str(cid), block), profile)


def cid_of(readable: BinaryIO, profile: Profile = PROFILE) -> Imported:
    """What ``import_stream`` would return, storing nothing."""
    return _import(readable, lambda cid, block: None, profile)


def blocks(cid: Cid, blobs: Blobs, *, max_size: int | None = None, profile: Profile = PROFILE) -> Iterator[bytes]:
    """The file's chunks in order, each checked before it is handed over. Memory: one path of the tree.

    max_size: bytes above which the file is refused from its root, before anything is handed over. Raises
    Undecidable for a block the store lacks, Refuted where bytes or sizes are not what the tree above them says,
    BadInput for a block that is not a node of this profile.
    """
    return (leaf.block for leaf in _walk(cid, blobs, max_size, profile) if leaf.is_chunk)


def export(cid: Cid, blobs: Blobs, out: BinaryIO, *, max_size: int | None = None, profile: Profile = PROFILE) -> int:
    """Write the file named ``cid`` to ``out``, checking every block and size; the bytes written.

    What was written before an error is genuine but incomplete: write to ``files.replacing`` or throw it away.
    Raises as ``blocks``, and OutsideFailed if ``out`` cannot be written.
    """
    written = 0
    for chunk in blocks(cid, blobs, max_size=max_size, profile=profile):
        write(out, chunk)
        written += len(chunk)
    return written


def size_of(cid: Cid, blobs: Blobs, profile: Profile = PROFILE) -> int:
    """The file's size in bytes as its root block says it. Raises as ``blocks``.

    For more than one chunk this is the root's word until ``blocks`` has read the leaves.
    """
    return _read_root(cid, blobs, profile).size


def copy(cid: Cid, source: Blobs, target: Blobs, *, max_size: int | None = None, profile: Profile = PROFILE) -> int:
    """Copy a file between stores, every block checked on the way; the file's size in bytes.

    The root is put last, so ``target`` has the root only if it has the file. Raises as ``blocks``.
    """
    size = 0
    for piece in _walk(cid, source, max_size, profile):
        put_block(target, piece.cid, piece.block)
        size += len(piece.block) if piece.is_chunk else 0
    return size


def cids(cid: Cid, blobs: Blobs, profile: Profile = PROFILE) -> Iterator[Cid]:
    """The CIDs of every block of the file, leaves before their node, the root last. Raises as ``blocks``.

    This reads the leaves too; blocks that occur twice are named twice.
    """
    return (piece.cid for piece in _walk(cid, blobs, None, profile))


def read_chunk(readable: BinaryIO, size: int) -> bytes:
    """The next ``size`` bytes, fewer only at the end, whatever piece sizes the stream likes. Raises OutsideFailed."""
    try:
        data = readable.read(size)
        if len(data) == size or not data:
            return data
        parts = [data]
        left = size - len(data)
        while left and (more := readable.read(left)):
            parts.append(more)
            left -= len(more)
    except OSError as error:
        raise OutsideFailed(f"reading the input failed: {error}", do="Check the file or device.") from error
    return b"".join(parts)


def read_into(readable: BinaryIO, buffer: memoryview) -> int:
    """Fill ``buffer`` from the stream; the bytes read, fewer only at the end. Raises OutsideFailed."""
    readinto = getattr(readable, "readinto", None)  # not every readable object has it
    if readinto is None:
        data = read_chunk(readable, len(buffer))
        buffer[: len(data)] = data
        return len(data)
    at = 0
    try:
        while at < len(buffer) and (taken := readinto(buffer[at:])):
            at += taken
    except OSError as error:
        raise OutsideFailed(f"reading the input failed: {error}", do="Check the file or device.") from error
    return at


def write(out: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of ``data``, however little a raw stream takes at a time. Raises OutsideFailed."""
    view = memoryview(data)
    try:
        while view:
            written = out.write(view)
            view = view[written:]
    except OSError as error:
        raise OutsideFailed(f"writing the output failed: {error}", do="Free space or choose another place.") from error


def _import(readable: BinaryIO, keep: Callable[[Cid, bytes], None], profile: Profile) -> Imported:
    importer = Importer(keep, profile)
    while chunk := read_chunk(readable, profile.chunk):
        importer.add(chunk)
        del chunk  # before the next is read: its memory is used again while it is in the cache
    return importer.finish()


# -- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """A checked block, and whether it is a chunk of the file or a node above."""

    cid: Cid
    block: bytes = field(repr=False)
    is_chunk: bool


@dataclass(frozen=True, slots=True)
class _Node:
    links: tuple[_Link, ...]
    size: int
    block: bytes = field(repr=False)

    @property
    def tsize(self) -> int:
        return len(self.block) + sum(link.tsize for link in self.links)


@dataclass(frozen=True, slots=True)
class _Root:
    """The root block read once: a chunk (no node) or a node."""

    size: int
    block: bytes = field(repr=False)
    node: _Node | None


def _read_root(cid: Cid, blobs: Blobs, profile: Profile) -> _Root:
    block = get_block(blobs, cid)
    if cid.codec is Codec.RAW:
        if len(block) > profile.chunk:
            raise BadInput(f"{cid} is not a file of {profile.name}", actual=len(block),
                           expected=f"at most {profile.chunk} bytes in a chunk")
        return _Root(len(block), block, None)
    node = _decode_node(cid, block)
    return _Root(node.size, block, node)


def _walk(cid: Cid, blobs: Blobs, max_size: int | None, profile: Profile) -> Iterator[_Piece]:
    root = _read_root(cid, blobs, profile)
    if max_size is not None and root.size > max_size:
        raise BadInput(f"{cid} is larger than this reader accepts", expected=f"{max_size} bytes at most",
                       actual=root.size, do="Raise the limit if you want it.")
    if root.node is None:
        yield _Piece(cid, root.block, True)
        return
    if root.size <= profile.chunk:
        raise BadInput(f"{cid} wraps a single chunk in a node, which {profile.name} does not",
                       expected="the chunk's own CID", actual=f"a node of {root.size} bytes")
    span = profile.chunk
    while span * profile.width < root.size:
        span *= profile.width
    yield from _walk_node(cid, root.node, span, blobs, profile)


def _walk_node(cid: Cid, node: _Node, span: int, blobs: Blobs, profile: Profile) -> Iterator[_Piece]:
    """The pieces under ``node``, whose links must cover ``span`` bytes each except the last."""
    count = -(-node.size // span)
    sizes = [span] * (count - 1) + [node.size - span * (count - 1)]
    if [link.size for link in node.links] != sizes:
        raise BadInput(f"node {cid} does not have the shape {profile.name} gives {node.size} bytes",
                       expected=f"{count} links of {span} bytes", actual=f"{len(node.links)} links",
                       do="Import the bytes again under this profile.")
    for link in node.links:
        if span == profile.chunk:
            if link.cid.codec is not Codec.RAW:
                raise BadInput(f"node {cid} has a node where {profile.name} has a chunk", actual=str(link.cid))
            chunk = get_block(blobs, link.cid)
            _check_size(link.cid, "chunk", link.size, len(chunk))
            _check_size(link.cid, "link", link.tsize, len(chunk))
            yield _Piece(link.cid, chunk, True)
        else:
            if link.cid.codec is not Codec.DAG_PB:
                raise BadInput(f"node {cid} has a chunk where {profile.name} has a node", actual=str(link.cid))
            child = _decode_node(link.cid, get_block(blobs, link.cid))
            _check_size(link.cid, "node", link.size, child.size)
            _check_size(link.cid, "link", link.tsize, child.tsize)
            yield from _walk_node(link.cid, child, span // profile.width, blobs, profile)
    yield _Piece(cid, node.block, False)


def _check_size(cid: Cid, what: str, declared: int, actual: int) -> None:
    if declared != actual:
        raise Refuted(f"the tree lies about the size of {what} {cid}", expected=declared, actual=actual,
                      do="Refuse this CID; its maker did not import it honestly.")


# -- dag-pb and UnixFS, only the forms this profile has -------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _encode_node(links: list[_Link] | tuple[_Link, ...]) -> bytes:
    """PBNode {Links = 2, Data = 1}; PBLink {Hash = 1, Name = 2 (empty), Tsize = 3}; Data {Type = 1, filesize = 3,
    blocksizes = 4}."""
    out = bytearray()
    for link in links:
        entry = b"\x0a\x24" + link.cid.encode() + b"\x12\x00\x18" + _varint(link.tsize)
        out += b"\x12" + _varint(len(entry)) + entry
    data = bytes((0x08, _FILE, 0x18)) + _varint(sum(link.size for link in links))
    data += b"".join(b"\x20" + _varint(link.size) for link in links)
    return bytes(out + b"\x0a" + _varint(len(data)) + data)


class _Reader:
    """Takes what _encode_node writes out of a block, in order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def skip(self, prefix: bytes) -> bool:
        """Step over ``prefix`` if it comes next."""
        if self.data.startswith(prefix, self.at):
            self.at += len(prefix)
            return True
        return False

    def need(self, prefix: bytes) -> None:
        if not self.skip(prefix):
            raise ValueError(f"{prefix.hex()} at byte {self.at}")

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise ValueError(f"{length} bytes at byte {self.at}")
        self.at += length
        return self.data[self.at - length : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError(f"a number below 2^63 before byte {self.at}")


def _decode_node(cid: Cid, block: bytes) -> _Node:
    try:
        named, sizes, size = _parse_node(_Reader(block))
    except ValueError as error:
        raise BadInput(f"block {cid} is not a UnixFS file node", expected=str(error)) from error
    if len(named) != len(sizes):
        raise BadInput(f"block {cid} is not a UnixFS file node", expected=f"{len(named)} sizes", actual=len(sizes))
    if sum(sizes) != size:
        raise Refuted(f"the tree lies about the size of node {cid}", expected=f"{sum(sizes)}, the sum of its links",
                      actual=size, do="Refuse this CID; its maker did not import it honestly.")
    links = tuple(_Link(link, part, tsize) for (link, tsize), part in zip(named, sizes, strict=True))
    if not links or _encode_node(links) != block:
        raise BadInput(f"block {cid} is not a UnixFS file node in its canonical form", expected="the shortest encoding")
    return _Node(links, size, block)


def _parse_node(node: _Reader) -> tuple[list[tuple[Cid, int]], list[int], int]:
    """(links with their tsizes, block sizes, file size). Raises ValueError saying what was expected.

    Reads what it knows and no more: the caller encodes the result again and compares, so that bytes between and after
    are refused there.
    """
    named = []
    while node.skip(b"\x12"):
        entry = _Reader(node.take(node.varint()))
        entry.need(b"\x0a\x24")
        name = entry.take(BINARY_LENGTH)
        entry.need(b"\x12\x00\x18")
        try:
            named.append((Cid.from_bytes(name), entry.varint()))
        except BadInput as error:
            raise ValueError("links by CIDv1 and SHA-256") from error
    node.need(b"\x0a")
    data = _Reader(node.take(node.varint()))
    data.need(bytes((0x08, _FILE, 0x18)))
    size = data.varint()
    sizes = []
    while data.skip(b"\x20"):
        sizes.append(data.varint())
    return named, sizes, size
