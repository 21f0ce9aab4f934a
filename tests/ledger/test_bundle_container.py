"""The container: frames, streaming, and files that are not bundles."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.ledger import bundle
from troth.ledger.bundle import MAGIC, TAGS, BundleReader, BundleWriter, RawAnchor
from troth.ledger.receipts import ReceiptProof
from troth.verify.bundle import verify
from troth.verify.view import IdTable

digests = st.binary(min_size=32, max_size=32)
hashes = st.lists(digests, max_size=5)
strings = st.lists(st.binary(max_size=70), max_size=4).map(tuple)
claims = st.lists(st.tuples(st.integers(0, 50), st.lists(st.binary(max_size=80), min_size=1, max_size=3),
                            st.binary(min_size=8, max_size=300), st.booleans()), min_size=1, max_size=12)
anchors = st.none() | st.builds(RawAnchor, hashes.map(tuple), st.builds(
    ReceiptProof, strings, strings, st.integers(0, 2**32 - 1), st.binary(max_size=60)))


def written(target: bytes, documents: list[bytes], note: bytes, records: list[bytes], tree: list[bytes],
            proofs: list[list[bytes]], anchor: RawAnchor | None, blobs: list[bytes]) -> bytes:
    out = io.BytesIO()
    writer = BundleWriter(out, target)
    writer.section(b"IDEN", bundle.list_of(documents))
    writer.section(b"NOTE", [note])
    writer.section(b"CLMS", [len(records).to_bytes(4, "big"), *records])
    writer.section(b"TREE", tree)
    writer.section(b"BTCH", map(bundle.hashes_of, proofs))
    writer.section(b"ANCH", [] if anchor is None else bundle.anchor_parts(anchor))
    writer.section(b"BLOB", bundle.blob_parts(blobs))
    return out.getvalue()


@settings(max_examples=60, deadline=None)
@given(digests, st.lists(st.binary(max_size=99), max_size=3), st.binary(min_size=1, max_size=200), claims, hashes,
       st.lists(hashes, max_size=3), anchors, st.lists(st.binary(min_size=1, max_size=40), max_size=4),
       st.integers(1, 64))
def test_what_is_written_is_what_is_read(target, documents, note, drawn, tree, proofs, anchor, blobs, chunk) -> None:
    records, expected, position = [], [], -1
    for number, (gap, signatures, payload, member) in enumerate(drawn):
        position += gap + 1
        if member and number:
            records.append(bundle.member_record(position, number - 1, gap, payload))
            expected.append((position, None, number - 1, gap, payload))
        else:
            records.append(bundle.signed_record(position, signatures, payload))
            expected.append((position, tuple(signatures), -1, 0, payload))
    data = written(target, documents, note, records, tree, proofs, anchor, blobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "CHUNK", chunk)  # a buffer that ends anywhere inside a field
        reader = BundleReader(io.BytesIO(data))
        read = list(reader.claims())
        assert [one[:5] for one in read] == expected
        assert [reader.bytes_at(one.at) for one in read] == [one.payload for one in read]
        assert (reader.target, list(reader.documents()), reader.note()) == (target, documents, note)
        assert (list(reader.tree()), [list(proof) for proof in reader.batch_proofs()]) == (tree, proofs)
        assert reader.anchor() == anchor
        assert sorted(blob for _, _, blob in reader.blobs()) == sorted(set(blobs))
        assert all(reader.bytes_at(at) == blob for _, at, blob in reader.blobs())


GOOD = written(bytes(32), [], b"note", [bundle.signed_record(0, [b"s"], b"{" + b" " * 40)], [], [], None, [])


def patched(tag: bytes, body: bytes) -> bytes:
    """The good file with another body in one section."""
    out, at = bytearray(MAGIC), len(MAGIC)
    for found in TAGS:
        _, length = struct.unpack_from(">4sQ", GOOD, at)
        old = GOOD[at + 12 : at + 12 + length]
        new = body if found == tag else old
        out += struct.pack(">4sQ", found, len(new)) + new
        at += 12 + length
    return bytes(out)


def read_all(data: bytes) -> None:
    reader = BundleReader(io.BytesIO(data))
    for section in (reader.documents(), reader.claims(), reader.tree(), reader.blobs()):
        list(section)
    for proof in reader.batch_proofs():
        list(proof)
    reader.anchor()


def signed(position: int = 0, payload: bytes = b"x" * 40) -> bytes:
    return bundle.signed_record(position, [b"s"], payload)


ONE, TWO = (1).to_bytes(4, "big"), (2).to_bytes(4, "big")
WRONG = {
    "nothing": b"",
    "a text": b"PK\x03\x04 is not a bundle",
    "magic alone": MAGIC,
    "another version": MAGIC[:7] + b"\x02" + GOOD[8:],
    "a target too short": patched(b"HEAD", bytes(31)),
    "a target too long": patched(b"HEAD", bytes(33)),
    "no checkpoint": patched(b"NOTE", b""),
    "a checkpoint too long": patched(b"NOTE", bytes(bundle.MAX_NOTE + 1)),
    "half a hash": patched(b"TREE", bytes(33)),
    "no claims": patched(b"CLMS", bytes(4)),
    "fewer claims than said": patched(b"CLMS", TWO + signed()),
    "more claims than said": patched(b"CLMS", ONE + signed() + signed(1)),
    "four billion claims": patched(b"CLMS", b"\xff" * 4 + signed()),
    "positions that do not ascend": patched(b"CLMS", TWO + signed(3) + signed(3)),
    "a position beyond 2^53": patched(b"CLMS", ONE + signed(2**53)),
    "a form unknown": patched(b"CLMS", ONE + bytes(8) + b"\x02" + signed()[9:]),
    "a claim without signatures": patched(b"CLMS", ONE + bundle.signed_record(0, [], b"x" * 40)),
    "a member of itself": patched(b"CLMS", ONE + bundle.member_record(0, 0, 0, b"x" * 40)),
    "a member of a later claim": patched(b"CLMS", TWO + bundle.member_record(0, 1, 0, b"x" * 40) + signed(1)),
    "a place beyond 2^53": patched(b"CLMS", TWO + signed() + bundle.member_record(1, 0, 2**53, b"x" * 40)),
    "a member cut in its head": patched(b"CLMS", TWO + signed() + bundle.member_record(1, 0, 0, b"")[:-1]),
    "a payload that does not end": patched(b"CLMS", ONE + signed()[:-1]),
    "a payload too long": patched(b"CLMS", ONE + signed(payload=bytes(bundle.MAX_PAYLOAD + 1))),
    "a payload of 4 GB": patched(b"CLMS", ONE + signed()[:12] + b"\xff" * 4 + b"x" * 40),
    "a record cut in its head": patched(b"CLMS", ONE + signed()[:10]),
    "more documents than said": patched(b"IDEN", ONE + ONE + b"d" + b"d"),
    "fewer documents than said": patched(b"IDEN", TWO + ONE + b"d"),
    "a document too long": patched(b"IDEN", b"".join(bundle.list_of([bytes(bundle.MAX_DOCUMENT + 1)]))),
    "a batch proof cut off": patched(b"BTCH", TWO + bytes(32)),
    "an anchor cut off": patched(b"ANCH", bytes(11)),
    "an anchor with slack": patched(b"ANCH", bytes(21)),
    "an empty file embedded": patched(b"BLOB", bytes(4)),
    "a file embedded twice": patched(b"BLOB", (ONE + b"b") * 2),
    "a file too long": patched(b"BLOB", (bundle.MAX_BLOB + 1).to_bytes(4, "big") + bytes(bundle.MAX_BLOB + 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_a_bundle_is_refused(name: str) -> None:
    read_all(GOOD)
    with pytest.raises(BadInput):
        read_all(WRONG[name])


def test_a_bundle_of_2_gb_cut_off_is_refused_at_once_and_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.troth"
    size = 2 << 30
    with path.open("wb") as file:
        head = GOOD[: GOOD.index(b"CLMS")]
        file.write(head + struct.pack(">4sQ", b"CLMS", size * 2) + b"\xff" * 4)
        file.truncate(size)
    tracemalloc.start()
    start = time.process_time()
    try:
        with path.open("rb") as file, pytest.raises(BadInput, match=r"step 1 .*cut off in section CLMS"):
            verify(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 10  # a read of the whole file would not end in time under tracing
    assert peak < 4 << 20


def test_a_bundle_of_2_gb_of_zeros_is_refused_without_reading_it(tmp_path: Path) -> None:
    """Its frame is right; its claims are not, and the first one says so."""
    path = tmp_path / "zeros.troth"
    size = 2 << 30
    with path.open("wb") as file:
        head = GOOD[: GOOD.index(b"CLMS")]
        rest = b"".join(struct.pack(">4sQ", tag, 0) for tag in (b"TREE", b"BTCH", b"ANCH", b"BLOB"))
        file.write(head + struct.pack(">4sQ", b"CLMS", size - len(head) - 12 - len(rest)) + b"\xff" * 4)
        file.seek(size - len(rest))
        file.write(rest)
    tracemalloc.start()
    try:
        with path.open("rb") as file, pytest.raises(BadInput):
            verify(file)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_sections_are_written_in_order() -> None:
    writer = BundleWriter(io.BytesIO(), bytes(32))
    with pytest.raises(Misuse, match="in order"):
        writer.section(b"NOTE", [b"n"])


class Full(io.BytesIO):
    """A disk with room for a hundred bytes."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > 100:
            raise OSError(28, os.strerror(28))
        return super().write(data)


def test_a_full_disk_is_said_to_be_full() -> None:
    writer = BundleWriter(Full(), bytes(32))
    with pytest.raises(OutsideFailed, match="cannot be written"):
        writer.section(b"IDEN", [bytes(60)])


class Shrinking(io.BytesIO):
    """A file that another process cuts while it is read."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) if self.tell() < 20 else b""


def test_a_file_that_shrinks_is_not_the_bundles_fault() -> None:
    with pytest.raises(OutsideFailed, match="shorter"):
        BundleReader(Shrinking(GOOD))


def test_an_anchor_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = patched(b"ANCH", bytes(20))  # no hashes, index 0, no headers, no nodes, an empty receipt
    assert BundleReader(io.BytesIO(data)).anchor() is not None
    monkeypatch.setattr(bundle, "MAX_ANCHOR", 19)
    with pytest.raises(BadInput, match="anchor too long"):
        BundleReader(io.BytesIO(data)).anchor()


class Failing(io.BytesIO):
    """A disk that cannot be read."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, os.strerror(5))


def test_a_disk_that_fails_is_not_the_bundles_fault() -> None:
    with pytest.raises(OutsideFailed, match="cannot be read"):
        BundleReader(Failing(GOOD))


def test_embedded_files_are_of_one_block() -> None:
    with pytest.raises(Misuse, match="length"):
        list(bundle.blob_parts([b""]))


@settings(max_examples=40, deadline=None)
@given(st.lists(digests, max_size=60), st.lists(digests, max_size=5))
def test_the_table_of_ids_is_a_set_in_order(ids: list[bytes], others: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("troth.verify.view._FIRST_SLOTS", 2)
        table = IdTable()
    model: dict[bytes, int] = {}
    for claim in ids + ids[:3]:
        assert table.add(claim) is (claim not in model)
        model.setdefault(claim, len(model))
    assert table.count == len(model)
    assert [table.at(number) for number in range(table.count)] == list(model)
    assert [table.find(claim) for claim in ids + others] == [model.get(claim, -1) for claim in ids + others]
