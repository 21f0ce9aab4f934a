"""The log: append, find, prove, forget, verify; one truth for writers, readers and a second process."""

import random
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_parts import LOG_SIGNER, ORIGIN, SITE, OneKey, batch, claim, statement

from troth.core import merkle
from troth.core.claims import Envelope, Membership, Signature, seal_of_member, seal_of_signatures
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.ledger import batches
from troth.ledger import index as ledger_index
from troth.ledger.audit import check_log, check_tiles
from troth.ledger.batches import Member, WholeBatch
from troth.ledger.checkpoints import WITNESS_KEY, Checkpoint, NoteSigner, cosign, witnessed
from troth.ledger.index import Index
from troth.ledger.log import Log
from troth.ledger.tiles import TileFiles

READER = LOG_SIGNER.verifier


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.create(tmp_path / "log", LOG_SIGNER) as found:
        yield found


def state(directory: Path) -> dict[str, bytes]:
    """Every byte that matters: the index is derived and its pages move."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*")
            if path.is_file() and "index" not in path.name and path.name not in ("lock", "checkpoint.new")}


def test_an_empty_log(log: Log, tmp_path: Path) -> None:
    assert (log.size, log.origin, log.root()) == (0, ORIGIN, merkle.EMPTY_ROOT)
    assert list(log.iterate()) == []
    assert log.find(bytes(32)) is None
    assert log.verify().claims == 0
    assert log.append([]) == []
    with pytest.raises(Misuse, match="already"):
        Log.create(tmp_path / "log", LOG_SIGNER)
    with pytest.raises(BadInput):
        log.entry(0)


def test_what_is_appended_is_found_and_proven(log: Log, tmp_path: Path) -> None:
    claims = [claim(n) for n in range(5)]
    assert log.append(claims[:2]) == [0, 1]
    assert log.append(claims[2:]) == [2, 3, 4]
    whole = batch(100, 300)
    assert log.append_batch(whole) == range(6, 306)
    for reader in (log, Log(tmp_path / "log", READER)):
        assert reader.size == 306
        for position, one in enumerate(claims):
            found = reader.find(one.id)
            assert found is not None
            assert (found.position, found.envelope()) == (position, one)
            assert found.seal == seal_of_signatures(one.signatures)
            assert reader.leaf(position) == one.id + found.seal
        for index in (0, 1, 150, 299):
            found = reader.find(whole.ids[index])
            assert found is not None
            assert (found.position, found.payload, found.batch, found.index, found.path) == (
                6 + index, whole.payloads[index], whole.envelope.id, index, None)
            assert found.seal == seal_of_member(whole.envelope.id, index)
            place = reader.membership(6 + index)
            assert place == batches.member(whole, index).membership
            batches.check_member(whole.envelope, Member(whole.payloads[index], place))
        assert reader.find(bytes(32)) is None
        assert [entry.position for entry in reader.iterate(3, 20)] == list(range(3, 20))
        assert [entry.id for entry in reader.iterate()] == [one.id for one in claims] + [
            whole.envelope.id, *whole.ids]
        for size in (1, 5, 256, 257, 306):
            root = reader.root(size)
            for position in {0, size // 2, size - 1}:
                merkle.verify_inclusion(merkle.leaf_hash(reader.leaf(position)), position, size,
                                        reader.inclusion(position, size), root)
            merkle.verify_consistency(size, 306, root, reader.checkpoint().root, reader.consistency(size))
    audit = log.verify()
    assert (audit.claims, audit.signed, audit.members, audit.forgotten, audit.orphans) == (306, 6, 300, 0, 0)
    assert check_tiles(TileFiles(tmp_path / "log"), READER).claims == 306
    with pytest.raises(Misuse):
        log.membership(0)
    with pytest.raises(Misuse):
        log.entry(7).envelope()
    for bad in (-1, 306):
        with pytest.raises(BadInput):
            log.inclusion(bad)
    with pytest.raises(BadInput):
        log.root(307)


def test_the_tiles_are_those_of_the_specification(log: Log, tmp_path: Path) -> None:
    log.append_batch(batch(0, 600))
    log.append([claim(9000)])
    directory = tmp_path / "log" / "tile"
    assert sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()) == sorted([
        "0/000", "0/001", "0/002.p/89", "0/002.p/90", "1/000.p/2", "entries/000", "entries/001", "entries/002.p/89",
        "entries/002.p/90"])
    log.append_batch(batch(10_000, 300))
    assert not (directory / "0" / "002.p").exists()  # full now


def test_a_claim_received_twice_is_there_once(log: Log, tmp_path: Path) -> None:
    one, two, three = claim(1), claim(2), claim(3)
    whole = batch(10, 4)
    log.append([one])
    log.append_batch(whole)
    before = state(tmp_path / "log")
    assert log.append([one, one]) == [0, 0]
    assert log.append_batch(whole) == range(2, 6)
    assert log.append([whole.envelope, batches.member(whole, 2)]) == [1, 4]
    assert state(tmp_path / "log") == before
    assert log.append([two, one, two, three]) == [6, 0, 6, 7]
    assert log.size == 8


def test_the_same_claim_with_other_signatures_is_refused_and_nothing_changes(log: Log, tmp_path: Path) -> None:
    one, whole = claim(1), batch(10, 4)
    log.append([one])
    log.append_batch(whole)
    before = state(tmp_path / "log")
    forged = Envelope(one.payload, (Signature("did:example:site#key", bytes(64)),))
    resigned = Envelope(whole.envelope.payload, forged.signatures)
    alone = Envelope(whole.payloads[0], claim(10).signatures)
    for items in ([claim(50), forged], [resigned], [alone], [claim(60), Envelope(claim(60).payload, ())]):
        with pytest.raises(Misuse, match="other signatures"):
            log.append(items)
        assert state(tmp_path / "log") == before
    overlapping = batches.build([statement(n) for n in (12, 77)], SITE, 9)
    with pytest.raises(Misuse, match="in the log already"):
        log.append_batch(overlapping)
    assert state(tmp_path / "log") == before
    assert log.find(overlapping.envelope.id) is None
    assert log.append([claim(50)]) == [6]


def test_single_members_join_with_their_path(log: Log) -> None:
    whole = batch(0, 9)
    lone = [batches.member(whole, index) for index in (3, 7)]
    with pytest.raises(Undecidable, match="batch is not in the log"):
        log.append([lone[0]])
    assert log.size == 0
    assert log.append([whole.envelope, *lone]) == [0, 1, 2]
    assert log.append([batches.member(whole, 0)]) == [3]
    assert log.membership(2) == lone[1].membership
    assert log.entry(2).path == lone[1].membership.path
    assert log.find(whole.ids[3]) == log.entry(1)
    audit = log.verify()
    assert (audit.signed, audit.members) == (1, 3)
    bad = Member(whole.payloads[4], lone[0].membership)
    with pytest.raises(Refuted):
        log.append([claim(77), bad])
    assert log.size == 4
    assert log.append_batch(batch(20, 1)) == range(5, 6)
    assert log.membership(5) == Membership(batch(20, 1).envelope.id, 0, ())


def test_claims_that_cannot_be_read_are_refused_before_anything_is_written(log: Log, tmp_path: Path) -> None:
    before = state(tmp_path / "log")
    for payload in (b"", b"{}", claim(1).payload + b" ", claim(1).payload[:-1]):
        with pytest.raises(BadInput):
            log.append([claim(5), Envelope(payload, claim(1).signatures)])
    assert state(tmp_path / "log") == before


def test_a_reader_writes_nothing(log: Log, tmp_path: Path) -> None:
    log.append([claim(1)])
    reader = Log(tmp_path / "log", READER)
    for act in (lambda: reader.append([claim(2)]), lambda: reader.append_batch(batch(5, 2)), lambda: reader.forget(0)):
        with pytest.raises(Misuse, match="for reading"):
            act()
    log.append([claim(2)])
    assert reader.size == 2  # it sees what is appended meanwhile
    assert reader.entry(1).envelope() == claim(2)
    assert reader.find(claim(2).id) is not None


def test_a_reader_needs_no_index(log: Log, tmp_path: Path) -> None:
    log.append([claim(n) for n in range(4)])
    log.close()
    for path in (tmp_path / "log").glob("index*"):
        path.unlink()
    reader = Log(tmp_path / "log", READER)
    assert reader.find(claim(3).id) == reader.entry(3)
    assert reader.find(claim(9).id) is None
    assert reader.beginning(claim(3).id.hex()[:8]) == [claim(3).id]
    assert reader.beginning(claim(9).id.hex()[:8]) == []


def test_a_forgotten_body_is_gone_and_every_proof_stays(log: Log, tmp_path: Path) -> None:
    secret = claim(1, text="a name that must go")
    whole = batch(10, 5)
    log.append([secret])
    log.append_batch(whole)
    before, root = log.entry(0), log.root()
    log.forget(0)
    log.forget(4)
    assert log.root() == root
    assert log.entry(0) == type(before)(0, before.id, before.seal, None)
    assert log.inclusion(0)
    assert all(b"a name that must go" not in content for content in state(tmp_path / "log").values())
    audit = log.verify()
    assert (audit.claims, audit.signed, audit.members, audit.forgotten) == (7, 1, 4, 2)
    assert log.membership(5) == batches.member(whole, 3).membership
    with pytest.raises(Misuse):
        log.entry(0).envelope()
    assert log.append([secret]) == [0]  # known, and not written again
    assert log.entry(0).payload is None
    log.forget(0)
    log.forget(1)  # the batch's claim: its members are nobody's now
    assert log.verify().orphans == 4
    with pytest.raises(Undecidable):
        Log(tmp_path / "log", READER).membership(5)


def test_forget_twice_and_reopen(log: Log, tmp_path: Path) -> None:
    log.append([claim(n) for n in range(3)])
    log.forget(2)
    log.close()
    with Log(tmp_path / "log", LOG_SIGNER) as again:
        again.forget(2)
        assert again.append([claim(3)]) == [3]
        assert again.verify().forgotten == 1


def test_a_half_forgotten_body_is_named(log: Log, tmp_path: Path) -> None:
    log.append([claim(0)])
    path = tmp_path / "log" / "journal"
    data = bytearray(path.read_bytes())
    kind = data.index(claim(0).id) - 5  # a record is kind, length, entry
    assert data[kind:kind + 1] == b"S"
    data[kind:kind + 1] = b"F"
    path.write_bytes(data)
    with pytest.raises(Refuted, match="only half"):
        log.verify()
    log.forget(0)
    assert log.verify().forgotten == 1


def test_ids_that_share_their_first_bytes_are_all_kept(tmp_path: Path) -> None:
    """More of them than a chunk of the table holds, and other ids on both sides."""
    index = Index(tmp_path / "index.sqlite", writable=True)
    alike = [b"\x77" * 8 + n.to_bytes(24, "big") for n in range(600)]
    others = [bytes([n]) * 32 for n in range(256) if n != 0x77]
    for first, ids in ((0, alike[:1]), (1, [*alike[1:], *others])):
        index.insert(ids, first)
        index.commit()
    assert index.check()
    assert index.count() == 855
    assert sorted(index.candidates(alike[5])) == list(range(600))
    assert index.candidates(bytes([0x78]) * 32) == [600 + 0x77]
    assert sorted(index.beginning("77777777")) == list(range(600))
    assert index.beginning("777777778") == []
    assert index.beginning("787878787") == [600 + 0x77]
    index.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9) | st.sampled_from([64, 300, 600]), max_size=60), st.integers(0, 2**32))
def test_the_index_is_a_table_of_ids(tmp_path_factory: pytest.TempPathFactory, sizes: list[int],
                                     seed: int) -> None:
    """Whatever the appends' sizes, and whether they are kept: it finds what is there, and runs stay few."""
    path = tmp_path_factory.mktemp("index") / "index.sqlite"
    chance, index = random.Random(seed), Index(path, writable=True)
    model: list[bytes] = []
    for size in sizes:
        ids = [chance.randbytes(32) for _ in range(size)]
        if chance.random() < 0.5:
            assert index.perhaps(model) == model
            assert len(index.perhaps(ids)) <= 3 + size // 20
        index.insert(ids, len(model))
        if chance.random() < 0.2:
            index.rollback()
        else:
            index.commit()
            model += ids
        if chance.random() < 0.1:
            index.close()
            index = Index(path, writable=True)
        assert index.count() == len(model)
    assert index.check()
    assert index.perhaps(model) == model
    for _ in range(min(20, len(model))):
        at = chance.randrange(len(model))
        assert index.candidates(model[at]) == [at]
        assert index.candidates(chance.randbytes(32)) == []
    assert len(index._runs()) <= 7 * 5
    index.close()


def test_a_large_run_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_index, "_LARGEST", 100)
    index, at = Index(tmp_path / "index.sqlite", writable=True), 0
    ids = [sha256(n.to_bytes(4, "big")).digest() for n in range(1500)]
    for size in [30] * 20 + [1] * 30 + [200, 30] * 3:
        index.insert(ids[at:at + size], at)
        index.commit()
        at += size
    sizes = [stop - first for first, stop in index._runs()]
    assert sum(sizes) == at
    assert [size for size in sizes if size > 100] == [200] * 3
    assert len(sizes) < 35
    assert index.check()
    assert all(index.candidates(ids[n]) == [n] for n in range(0, at, 7))
    index.close()


def test_cosigned_checkpoints_are_kept(log: Log) -> None:
    witness = NoteSigner("witness.example", b"\x07" * 32, WITNESS_KEY)
    log.append([claim(1)])
    old = cosign(log.note(), witness, 99)
    log.append([claim(2)])
    with pytest.raises(Refuted, match="not the newest"):
        log.cosign(old, [witness.verifier])
    fresh = cosign(log.note(), witness, 100)
    log.cosign(fresh, [witness.verifier])
    assert witnessed(log.note(), [witness.verifier], 1) == (100,)
    assert log.append([claim(3)]) == [2]
    with pytest.raises(Undecidable):
        log.cosign(log.note(), [witness.verifier])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["one", "many", "batch", "again", "open"]), st.integers(1, 300)), max_size=8))
def test_any_order_of_acts_leaves_the_log_that_a_list_would_be(tmp_path_factory: pytest.TempPathFactory,
                                                             acts: list[tuple[str, int]]) -> None:
    directory = tmp_path_factory.mktemp("log") / "log"
    log, model, roots, fresh = Log.create(directory, LOG_SIGNER), [], {}, 0
    for act, n in acts:
        if act == "one":
            log.append([claim(fresh)])
            model.append(claim(fresh).id)
            fresh += 1
        elif act == "many":
            claims = [claim(fresh + i) for i in range(n % 7)]
            log.append(claims)
            model += [one.id for one in claims]
            fresh += len(claims)
        elif act == "batch":
            whole = batch(fresh, n)
            log.append_batch(whole)
            model += [whole.envelope.id, *whole.ids]
            fresh += n
        elif act == "again" and model:
            found = log.find(model[n % len(model)])
            assert found is not None
            if found.batch is None:
                assert log.append([found.envelope()]) == [found.position]
        else:
            log.close()
            log = Log(directory, LOG_SIGNER)
        assert log.size == len(model)
        roots[log.size] = log.checkpoint().root
    assert [entry.id for entry in log.iterate()] == model
    assert all(log.root(size) == root for size, root in roots.items())
    assert log.verify().claims == len(model)
    log.close()
    shutil.rmtree(directory)


def test_verify_calls_the_check_for_every_signed_claim(log: Log) -> None:
    log.append([claim(1), claim(2)])
    whole = batch(10, 3)
    log.append_batch(whole)
    seen: list[tuple[int, str]] = []
    log.verify(lambda position, envelope, statement: seen.append((position, statement.kind)))
    assert seen == [(0, "note"), (1, "note"), (2, "batch")]

    def refuse(position: int, envelope: Envelope, said: object) -> None:
        raise Refuted(f"not signed, at {position}")

    with pytest.raises(Refuted, match="at 0"):
        log.verify(refuse)


def test_another_signers_log_is_refused(log: Log, tmp_path: Path) -> None:
    log.append([claim(1)])
    log.close()
    before = state(tmp_path / "log")
    for other in (NoteSigner(ORIGIN, b"\x05" * 32), NoteSigner("example.org/other", b"\x01" * 32)):
        for key in (other, other.verifier):
            with pytest.raises((Refuted, Undecidable)):
                Log(tmp_path / "log", key)
        with pytest.raises((Refuted, Undecidable)):
            check_log(tmp_path / "log", other.verifier)
    assert state(tmp_path / "log") == before
    with pytest.raises(Undecidable, match="no log here"):
        Log(tmp_path / "nothing", LOG_SIGNER)


def test_a_checkpoint_of_every_size_stays_verifiable(log: Log) -> None:
    seen = []
    for n in range(6):
        log.append([claim(n)])
        seen.append(Checkpoint.open(log.note(), READER))
    for one in seen:
        for other in seen:
            if one.size <= other.size:
                merkle.verify_consistency(one.size, other.size, one.root, other.root,
                                          log.consistency(one.size, other.size))


def test_other_issuers_batches_live_in_the_same_log(log: Log) -> None:
    other = OneKey("other", b"\x04" * 32)
    log.append_batch(batch(0, 3))
    received = batch(0, 3, other)
    log.append_batch(batches.gather(received.envelope, received.payloads))
    assert log.verify().members == 6


def test_a_batch_with_a_member_twice_or_already_there_is_refused_and_nothing_changes(log: Log, tmp_path: Path) -> None:
    whole, other = batch(0, 3), batch(2, 3)
    log.append_batch(whole)
    before = state(tmp_path)
    twice = WholeBatch(other.envelope, (other.payloads[1],) * 2, (other.ids[1],) * 2)
    for refused in (other, twice):
        with pytest.raises(Misuse, match="already"):
            log.append_batch(refused)
        assert state(tmp_path) == before
    assert log.append_batch(whole) == range(1, 4)
    assert log.append_batch(batch(10, 3)) == range(5, 8)
