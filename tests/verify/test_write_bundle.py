"""``write_bundle`` from a real log: what it collects is what the verification wants, and byte for byte what the
format says."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import forge
import pytest
from forge import ORIGIN, OWNER, Rec, party, rotated, say, seed, statement
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core import merkle
from troth.core.claims import Envelope, Signature
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.verdicts import Outcome
from troth.identity.keybook import KeyBook
from troth.ledger import batches, bundling
from troth.ledger.bundling import proof_from_paths, write_bundle
from troth.ledger.checkpoints import WITNESS_KEY, NoteSigner, cosign
from troth.ledger.log import Log
from troth.verify.bundle import verify
from troth.verify.trust import LogPin, Trust, Witnesses
from troth.verify.view import raw_cid


def envelope(rec: Rec) -> Envelope:
    return Envelope(rec.payload, tuple(Signature(*one) for one in rec.signatures or []))


def keybook() -> KeyBook:
    keys = KeyBook()
    for name in ("lab", "clinic"):
        keys.learn(party(name).genesis)
    keys.learn_rotation(rotated("clinic")[1])
    return keys


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log.create(tmp_path / "log", NoteSigner(ORIGIN, seed("log")))


def fill(log: Log, story: forge.Story, *, whole: bool) -> None:
    """Append the story's claims: the batch whole, or member by member as they come from somebody else."""
    entries = story.ledger.entries
    batch = next(n for n, rec in enumerate(entries) if rec.id == story.names["batch"])
    members = [rec for rec in entries if rec.batch]
    gathered = batches.gather(envelope(entries[batch]), [rec.payload for rec in members])
    log.append([envelope(rec) for rec in entries[: batch + (not whole)]])
    if whole:
        log.append_batch(gathered)
    else:
        log.append([batches.member(gathered, n) for n in range(len(members))])
    log.append([envelope(rec) for rec in entries[batch + 1 + len(members):]])


@pytest.mark.parametrize("sweep", [0, 32], ids=["found one by one", "found by sweeps"])
@pytest.mark.parametrize("whole", [True, False], ids=["batch made here", "members received one by one"])
def test_a_log_gives_the_bundle_that_the_format_says(log: Log, whole: bool, sweep: int,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "_SWEEP", sweep)
    story = forge.story()
    fill(log, story, whole=whole)
    log.cosign(cosign(log.note(), NoteSigner("witness.example", seed("witness"), WITNESS_KEY), 1_700_000_500),
               [story.trust.witnesses.keys[0]])
    out = io.BytesIO()
    count = write_bundle(out, story.names["model"], log=log, keys=keybook(), receipt=story.parts.anchor.receipt,
                         embed={raw_cid(sha256(forge.LISTING)): forge.LISTING}.get)
    assert count == 7
    assert out.getvalue() == story.parts.to_bytes()
    assert verify(out, story.trust, policies=forge.POLICIES).outcome is Outcome.UPHELD


def test_witnesses_are_written_in_one_order_each_once(log: Log) -> None:
    """However they came: the log keeps cosignatures as it got them."""
    rec = say(party("lab").signer(), "listing", {})
    log.append([envelope(rec)])
    witnesses = [NoteSigner(name, seed(name), WITNESS_KEY) for name in ("zoe.example", "ada.example")]
    for number, witness in enumerate([*witnesses, witnesses[0]]):
        known = [one.verifier for one in witnesses[: number + 1]]
        log.cosign(cosign(log.note(), witness, 1_700_000_000 + number), known)
    out = io.BytesIO()
    write_bundle(out, rec.id, log=log, keys=keybook())
    trust = Trust(log=LogPin(ORIGIN, log.key, OWNER), witnesses=Witnesses(2, tuple(one.verifier for one in witnesses)))
    step = next(step for step in verify(out, trust).steps if step.n == 8)
    assert (step.outcome, "seen by 2 witnesses" in step.detail) == (Outcome.UPHELD, True)


def test_every_claim_of_the_log_can_be_a_target(log: Log) -> None:
    story = forge.story()
    fill(log, story, whole=True)
    for name, claim in story.names.items():
        out = io.BytesIO()
        write_bundle(out, claim, log=log, keys=keybook())
        report = verify(out)
        steps = {step.n: step.outcome for step in report.steps}
        assert all(steps[n] is Outcome.UPHELD for n in range(1, 8)), name
        assert report.outcome is Outcome.UNDECIDABLE


def test_what_the_log_lacks_is_undecidable_and_named(log: Log) -> None:
    missing = sha256(b"elsewhere")
    rec = say(party("lab").signer(), "model", {}, [("aggregate", missing)])
    log.append([envelope(rec)])
    with pytest.raises(Undecidable, match=missing.hex()):
        write_bundle(io.BytesIO(), rec.id, log=log, keys=keybook())
    with pytest.raises(Undecidable, match="not in this log"):
        write_bundle(io.BytesIO(), missing, log=log, keys=keybook())
    log.forget(0)
    with pytest.raises(Undecidable, match="forgotten"):
        write_bundle(io.BytesIO(), rec.id, log=log, keys=keybook())


def test_a_known_change_of_keys_must_be_in_the_log(log: Log) -> None:
    rec = say(party("clinic").signer(), "listing", {})
    log.append([envelope(rec)])
    with pytest.raises(Misuse, match="change of an issuer's documents"):
        write_bundle(io.BytesIO(), rec.id, log=log, keys=keybook())


def test_a_receipt_of_another_log_is_refused(log: Log) -> None:
    rec = say(party("lab").signer(), "listing", {})
    log.append([envelope(rec)])
    chain = forge.Chain()
    block = chain.mine((forge.anchored("another.example/log", 1, log.root(1), owner=OWNER),))
    with pytest.raises(Misuse, match="does not anchor this log"):
        write_bundle(io.BytesIO(), rec.id, log=log, keys=keybook(), receipt=chain.prove(block))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40).flatmap(lambda size: st.tuples(
    st.just(size), st.sets(st.integers(0, size - 1), min_size=1))))
def test_a_multi_proof_from_paths_equals_the_one_from_the_tree(drawn: tuple[int, set[int]]) -> None:
    size, places = drawn
    leaves = [merkle.leaf_hash(b"%d" % n) for n in range(size)]
    node = merkle.node_of(leaves)
    paths = {place: merkle.inclusion_proof(place, size, node) for place in places}
    assert proof_from_paths(size, paths) == merkle.multi_proof(sorted(places), size, node)


def test_paths_of_the_wrong_length_are_refused() -> None:
    leaves = [merkle.leaf_hash(b"%d" % n) for n in range(5)]
    path = merkle.inclusion_proof(1, 5, merkle.node_of(leaves))
    for wrong in (path[:-1], [*path, bytes(32)]):
        with pytest.raises(BadInput, match="audit path"):
            proof_from_paths(5, {1: wrong})


def test_several_batches_and_ladders_of_references(log: Log) -> None:
    """Members of two batches, received out of order, with references between them."""
    lab = party("lab")
    first = batches.build([statement(lab.did, "leaf", {"n": n}) for n in range(5)], lab.signer(), 1)
    second = batches.build([statement(lab.did, "middle", {"n": n}, [("leaf", first.ids[n]), ("leaf", first.ids[4 - n])])
                            for n in range(3)], lab.signer(), 2)
    log.append([second.envelope, first.envelope])
    log.append([batches.member(first, n) for n in (3, 0, 4, 2, 1)])
    log.append([batches.member(second, n) for n in (2, 0, 1)])
    for chosen in itertools.chain(([n] for n in range(3)), [[0, 2]]):
        top = say(lab.signer(), "top", {"chosen": chosen}, [("middle", second.ids[n]) for n in chosen])
        log.append([envelope(top)])
        out = io.BytesIO()
        write_bundle(out, top.id, log=log, keys=keybook())
        assert {step.n for step in verify(out).steps if step.outcome is Outcome.UPHELD} >= set(range(1, 8))
