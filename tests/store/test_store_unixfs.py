"""UnixFS: the CIDs of another implementation, then attacks on the reader."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.store import unixfs
from troth.store.cid import Cid, Codec
from troth.store.memory import MemoryBlobs
from troth.store.unixfs import PROFILE, Profile, cid_of, export, import_stream

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/unixfs/ipfs-unixfs-importer-17.1.1.json").read_text())
MIB = 1 << 20
TINY = Profile("tiny", chunk=4, width=3)


class Pattern(io.RawIOBase):
    """The vectors' file of ``size`` bytes, made as it is read."""

    def __init__(self, size: int) -> None:
        self.at, self.size, self.index, self.block = 0, size, -1, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        index, offset = divmod(self.at, MIB)
        if index != self.index:
            seed = b"troth unixfs vector" + index.to_bytes(8, "big")
            self.index, self.block = index, hashlib.sha256(seed).digest() * 32768
        data = self.block[offset:offset + min(size, self.size - self.at)]
        self.at += len(data)
        return data


def put(blobs: MemoryBlobs, data: bytes, profile: Profile = TINY) -> Cid:
    return import_stream(io.BytesIO(data), blobs, profile).cid


def read(blobs: MemoryBlobs, cid: Cid, profile: Profile = TINY, max_size: int | None = None) -> bytes:
    out = io.BytesIO()
    size = export(cid, blobs, out, profile=profile, max_size=max_size)
    assert size == len(out.getvalue())
    return out.getvalue()


# -- outside vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["profile"], ids=lambda vector: str(vector["size"]))
def test_profile_vectors(vector: dict[str, int | str]) -> None:
    done = cid_of(Pattern(int(vector["size"])))
    assert (str(done.cid), done.size, done.profile) == (vector["cid"], vector["size"], "unixfs-v1-2025")


@pytest.mark.parametrize("vector", VECTORS["small"],
                         ids=lambda vector: f"{vector['chunk']}x{vector['width']}-{vector['size']}")
def test_small_vectors(vector: dict[str, int | str]) -> None:
    profile = Profile("small", int(vector["chunk"]), int(vector["width"]))
    size = int(vector["size"])
    blobs = MemoryBlobs()
    done = import_stream(Pattern(size), blobs, profile)
    assert (str(done.cid), done.size) == (vector["cid"], size)
    assert sum(len(blobs.get(str(cid))) for cid in unixfs.cids(done.cid, blobs, profile)) == vector["dag_size"]
    assert read(blobs, done.cid, profile) == Pattern(size).read(size)


# -- properties ----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 9), st.integers(2, 5))
def test_round_trip(data: bytes, chunk: int, width: int) -> None:
    profile = Profile("any", chunk, width)
    blobs = MemoryBlobs()
    done = import_stream(io.BytesIO(data), blobs, profile)
    assert done.size == len(data) == unixfs.size_of(done.cid, blobs, profile)
    assert read(blobs, done.cid, profile) == data
    assert cid_of(io.BytesIO(data), profile) == done
    assert {str(cid) for cid in unixfs.cids(done.cid, blobs, profile)} == set(blobs.names())


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time, as pipes and sockets do."""

    def __init__(self, data: bytes, seed: int) -> None:
        self.inner, self.random = io.BytesIO(data), random.Random(seed)

    def read(self, size: int = -1, /) -> bytes:
        return self.inner.read(min(size, self.random.randint(1, 3)))


@settings(deadline=None)
@given(st.binary(max_size=100), st.integers())
def test_how_a_stream_is_cut_does_not_matter(data: bytes, seed: int) -> None:
    assert cid_of(Dribble(data, seed), TINY) == cid_of(io.BytesIO(data), TINY)  # type: ignore[arg-type]


class Narrow(io.RawIOBase):
    """An output that takes three bytes at a time."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: object, /) -> int:
        taken = bytes(memoryview(data)[:3])  # type: ignore[arg-type]
        self.data += taken
        return len(taken)


def test_an_output_that_takes_little_gets_everything() -> None:
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(50)))
    out = Narrow()
    export(cid, blobs, out, profile=TINY)  # type: ignore[arg-type]
    assert out.data == bytes(range(50))


def test_copy_checks_and_puts_the_root_last() -> None:
    source, target = MemoryBlobs(), MemoryBlobs()
    cid = put(source, bytes(range(100)))
    assert unixfs.copy(cid, source, target, profile=TINY) == 100
    assert read(target, cid) == bytes(range(100))
    assert list(target.names())[-1] == str(cid)
    lost = list(source.names())[3]
    source.delete(lost)
    half = MemoryBlobs()
    with pytest.raises(Undecidable):
        unixfs.copy(cid, source, half, profile=TINY)
    assert not half.has(str(cid))


def test_refuses_chunks_that_are_not_full() -> None:
    importer = unixfs.Importer(lambda cid, block: None, TINY)
    importer.add(b"ab")
    with pytest.raises(Misuse):
        importer.add(b"abcd")
    for bad in (b"", b"abcde"):
        with pytest.raises(Misuse):
            unixfs.Importer(lambda cid, block: None, TINY).add(bad)
    with pytest.raises(Misuse):
        Profile("none", 0, 2)
    with pytest.raises(Misuse):
        Profile("list", 4, 1)


class Broken(io.RawIOBase):
    def read(self, size: int = -1, /) -> bytes:
        raise OSError(5, "Input/output error")

    def write(self, data: object, /) -> int:
        raise OSError(28, "No space left on device")


def test_what_fails_outside_is_said() -> None:
    blobs = MemoryBlobs()
    with pytest.raises(OutsideFailed, match="reading the input failed"):
        import_stream(Broken(), blobs)  # type: ignore[arg-type]
    cid = put(blobs, bytes(10))
    with pytest.raises(OutsideFailed, match="No space left"):
        export(cid, blobs, Broken(), profile=TINY)  # type: ignore[arg-type]


# -- attacks -------------------------------------------------------------------------------------------------------


class Lying(MemoryBlobs):
    """A store that answers some names with other bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.lies: dict[str, bytes] = {}

    def get(self, name: str) -> bytes:
        return self.lies.get(name, super().get(name))


def every_block() -> Iterator[tuple[Lying, Cid, str]]:
    for index in range(14):
        blobs = Lying()
        cid = put(blobs, bytes(range(40)))
        yield blobs, cid, list(blobs.names())[index]


def test_a_store_with_other_bytes_is_refuted() -> None:
    for blobs, cid, name in every_block():
        others = [each for each in blobs.names() if each != name]
        for lie in (b"", blobs.get(name) + b"\0", blobs.get(name)[:-1], blobs.get(others[0])):
            blobs.lies = {name: lie}
            with pytest.raises(Refuted, match="not those of block"):
                read(blobs, cid)


def test_a_missing_block_is_undecidable() -> None:
    for blobs, cid, name in every_block():
        blobs.delete(name)
        with pytest.raises(Undecidable):
            read(blobs, cid)


def test_put_block_refuses_poison() -> None:
    blobs = MemoryBlobs()
    with pytest.raises(Refuted):
        unixfs.put_block(blobs, Cid.of(b"right"), b"wrong")
    assert list(blobs.names()) == []


def node(blobs: MemoryBlobs, links: list[tuple[Cid, int, int]]) -> Cid:
    """Keep a node with these (cid, declared size, declared tsize)."""
    block = unixfs._encode_node([unixfs._Link(*link) for link in links])
    cid = Cid.of(block, Codec.DAG_PB)
    blobs.put(str(cid), block)
    return cid


def leaf(blobs: MemoryBlobs, data: bytes) -> Cid:
    cid = Cid.of(data)
    blobs.put(str(cid), data)
    return cid


def test_two_gigabytes_declared_ten_bytes_there() -> None:
    blobs = MemoryBlobs()
    ten = leaf(blobs, b"0123456789")
    root = node(blobs, [(node(blobs, [(ten, MIB, MIB)] * 1024), 1024 * MIB, 1024 * MIB)] * 2)
    assert unixfs.size_of(root, blobs) == 2048 * MIB
    out = io.BytesIO()
    with pytest.raises(Refuted, match="lies about the size"):
        export(root, blobs, out)
    assert out.getvalue() == b""
    with pytest.raises(BadInput, match="larger than this reader accepts"):
        export(root, blobs, out, max_size=MIB)


def test_sizes_that_lie() -> None:
    for part, size, tsize in ((b"abc", 4, 3), (b"abc", 4, 4), (b"abcd", 4, 5), (b"abcd", 4, 3), (b"", 4, 0)):
        blobs = MemoryBlobs()
        root = node(blobs, [(leaf(blobs, part), size, tsize), (leaf(blobs, b"z"), 1, 1)])
        with pytest.raises(Refuted, match="lies about the size"):
            read(blobs, root)
    blobs = MemoryBlobs()
    parts = [(leaf(blobs, bytes([index]) * 4), 4, 4) for index in range(3)]
    child = node(blobs, parts)
    good = len(blobs.get(str(child))) + 12
    tail = leaf(blobs, b"tail")
    assert len(read(blobs, node(blobs, [(child, 12, good), (node(blobs, [(tail, 4, 4)]), 4, 4 + len(
        blobs.get(str(node(blobs, [(tail, 4, 4)])))))]))) == 16
    for lie in (good - 1, good + 1, 0):
        with pytest.raises(Refuted, match="lies about the size of link"):
            read(blobs, node(blobs, [(child, 12, lie), (node(blobs, [(tail, 4, 4)]), 4, 50)]))
    short = node(blobs, parts[:2])
    with pytest.raises(Refuted, match="lies about the size of node"):
        read(blobs, node(blobs, [(short, 12, good), (node(blobs, [(tail, 4, 4)]), 4, 50)]))


def test_file_size_that_is_not_the_sum() -> None:
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(8)))
    block = blobs.get(str(cid))
    bad = block.replace(b"\x08\x02\x18\x08", b"\x08\x02\x18\x07")
    assert bad != block
    root = Cid.of(bad, Codec.DAG_PB)
    blobs.put(str(root), bad)
    with pytest.raises(Refuted, match="lies about the size of node"):
        read(blobs, root)


def test_other_shapes_are_refused() -> None:
    blobs = MemoryBlobs()
    one, four, last = leaf(blobs, b"a"), leaf(blobs, b"abcd"), leaf(blobs, b"xy")
    pair = node(blobs, [(four, 4, 4), (four, 4, 4)])
    shapes = [
        node(blobs, [(four, 4, 4)]),                                    # one chunk wrapped
        node(blobs, [(one, 1, 1), (four, 4, 4)]),                       # a short chunk first
        node(blobs, [(four, 4, 4)] * 4),                                # wider than the profile
        node(blobs, [(four, 4, 4), (one, 0, 0), (last, 2, 2)]),         # an empty part
        node(blobs, [(pair, 8, 90), (four, 4, 4)]),                     # a node where a chunk belongs
        node(blobs, [(four, 12, 12), (four, 4, 4)]),                    # a chunk where a node belongs
        node(blobs, [(one, 1, 1)] * 5),
    ]
    for root in shapes:
        with pytest.raises(BadInput):
            read(blobs, root)
    with pytest.raises(BadInput, match="bytes in a chunk"):
        read(blobs, leaf(blobs, b"abcde"))


def test_a_node_under_a_raw_cid_is_a_chunk() -> None:
    """The same block has two CIDs, by codec; only one of them may stand for a node."""
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(16)))
    top = unixfs._decode_node(cid, blobs.get(str(cid)))
    disguised = []
    for link in top.links:
        raw = Cid(Codec.RAW, link.cid.digest)
        blobs.put(str(raw), blobs.get(str(link.cid)))
        disguised.append((raw, link.size, link.tsize))
    with pytest.raises(BadInput, match="has a chunk where"):
        read(blobs, node(blobs, disguised))


def test_links_and_sizes_must_be_as_many() -> None:
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(8)))
    block = blobs.get(str(cid))
    for sizes in (b"\x20\x08", b"\x20\x04\x20\x04\x20\x00", b""):
        data = b"\x08\x02\x18\x08" + sizes
        bad = block[:-10] + b"\x0a" + bytes([len(data)]) + data
        root = Cid.of(bad, Codec.DAG_PB)
        blobs.put(str(root), bad)
        with pytest.raises(BadInput, match="expected 2 sizes"):
            read(blobs, root)


def test_bytes_in_between_are_refused() -> None:
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(8)))
    block = blobs.get(str(cid))
    assert block[:2] == b"\x12\x2a"
    for bad in (block + b"\0", block + b"\x1a\0", b"\x12\x2c" + block[2:44] + b"\x20\x01" + block[44:],
                block[:-9] + b"\x0a" + block[-8:] + b"\x28\x01"):
        root = Cid.of(bad, Codec.DAG_PB)
        blobs.put(str(root), bad)
        with pytest.raises(BadInput, match="not a UnixFS file node"):
            read(blobs, root)


def test_sizes_beyond_63_bits_are_refused() -> None:
    blobs = MemoryBlobs()
    chunk = leaf(blobs, b"abcd")
    for size, tsize in ((1 << 63, 4), (4, 1 << 63)):
        with pytest.raises(BadInput, match="a number below"):
            read(blobs, node(blobs, [(chunk, size, tsize), (chunk, 4, 4)]))


def test_nesting_bomb() -> None:
    """A thousand nodes that each wrap the next: refused at the first that the size does not need."""
    blobs = MemoryBlobs()
    inner, size, tsize = leaf(blobs, b"abcd"), 4, 4
    for _ in range(1000):
        inner = node(blobs, [(inner, size, tsize)])
        tsize += len(blobs.get(str(inner)))
    with pytest.raises(BadInput, match="wraps a single chunk"):
        read(blobs, inner)
    two = node(blobs, [(inner, 4, tsize), (inner, 4, tsize)])
    with pytest.raises(BadInput, match="has a node where"):
        read(blobs, two)


def test_a_cycle_is_refuted() -> None:
    """A digest cannot contain itself, so a cycle needs a store that lies, and the lie shows."""
    blobs = Lying()
    cid = put(blobs, bytes(range(40)))
    child = unixfs._decode_node(cid, blobs.get(str(cid))).links[0].cid
    blobs.lies = {str(child): blobs.get(str(cid))}
    with pytest.raises(Refuted, match="not those of block"):
        read(blobs, cid)


def test_exabytes_from_one_block_stop_at_the_limit() -> None:
    """Shared subtrees let a few blocks name 2^60 bytes; the reader refuses from the root if it has a limit."""
    blobs = MemoryBlobs()
    inner, size, tsize = leaf(blobs, bytes(MIB)), MIB, MIB
    for _ in range(4):
        inner = node(blobs, [(inner, size, tsize)] * 1024)
        size, tsize = size * 1024, tsize * 1024 + len(blobs.get(str(inner)))
    assert unixfs.size_of(inner, blobs) == 1 << 60
    out = io.BytesIO()
    with pytest.raises(BadInput, match="larger than this reader accepts"):
        export(inner, blobs, out, max_size=1 << 40)
    assert out.getvalue() == b""


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_nodes_are_never_read_as_something_else(data: st.DataObject) -> None:
    """Whatever bytes a node has, under its own genuine CID: an error, or exactly what importing gives that CID."""
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(30)))
    block = bytearray(blobs.get(str(cid)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(block) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "end"]))
        if kind == "flip":
            block[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del block[at:at + 1]
        elif kind == "insert":
            block.insert(at, data.draw(st.integers(0, 255)))
        else:
            del block[at:]
        block = block or bytearray(1)
    changed = Cid.of(block, Codec.DAG_PB)
    blobs.put(str(changed), bytes(block))
    try:
        text = read(blobs, changed)
    except TrothError:
        return
    assert cid_of(io.BytesIO(text), TINY).cid == changed


@pytest.mark.parametrize("block", [
    b"", b"\x0a", b"\x0a\x00", b"\x12\x00", b"\xff" * 20, b"\x0a\x04\x08\x02\x18\x00", b"\x0a\x04\x08\x01\x18\x00",
    b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
], ids=lambda block: block.hex()[:16] or "empty")
def test_rubbish_is_bad_input(block: bytes) -> None:
    blobs = MemoryBlobs()
    cid = Cid.of(block, Codec.DAG_PB)
    blobs.put(str(cid), block)
    with pytest.raises(BadInput):
        read(blobs, cid, PROFILE)


def test_a_longer_spelling_of_a_number_is_refused() -> None:
    blobs = MemoryBlobs()
    cid = put(blobs, bytes(range(8)))
    block = blobs.get(str(cid))
    long = block.replace(b"\x0a\x08\x08\x02\x18\x08", b"\x0a\x09\x08\x02\x18\x88\x00")
    assert long != block
    root = Cid.of(long, Codec.DAG_PB)
    blobs.put(str(root), long)
    with pytest.raises(BadInput, match="canonical"):
        read(blobs, root)
