"""Detached signatures: checked step by step, and everything that can be wrong with one; wishes about training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.claims import Envelope, Ref, Statement
from troth.core.errors import BadInput
from troth.core.verdicts import Outcome, Report
from troth.identity.hybrid import HybridIdentity
from troth.identity.signers import attest
from troth.ledger.exchange import Parcel
from troth.verify.content import KIND, Signed, embedded_wish, verify_detached

DATA = b"a photograph, say\n" * 100
ISSUER = HybridIdentity.create()
SIGNED = Signed("a.jpg", hashlib.sha256(DATA).hexdigest(), len(DATA), "mine", "notAllowed")


def envelope(signed: Signed = SIGNED, issuer: HybridIdentity = ISSUER) -> Envelope:
    return attest(Statement(KIND, issuer.did, 5, (signed.subject(),), signed.body()), issuer.signer())


GOOD = Parcel((ISSUER.genesis,), (envelope(),))


def outcome(parcel: Parcel, data: bytes = DATA, who: dict[str, bytes | None] | None = None) -> Report:
    return verify_detached(io.BytesIO(data), parcel.to_bytes(), {ISSUER.did: None} if who is None else who)


def test_a_signed_file_is_upheld() -> None:
    found = outcome(GOOD)
    assert (found.outcome, [step.outcome for step in found.steps]) == (Outcome.UPHELD, [Outcome.UPHELD] * 4)
    assert "training: notAllowed" in found.steps[1].detail


def test_whom_one_does_not_know_is_undecidable() -> None:
    found = outcome(GOOD, who={})
    assert found.outcome is Outcome.UNDECIDABLE
    assert "nobody you trust" in found.steps[3].detail
    assert outcome(replace(GOOD, documents=())).outcome is Outcome.UNDECIDABLE


@settings(max_examples=30)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_no_changed_file_is_upheld(at: int, flip: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= flip
    assert outcome(GOOD, bytes(changed)).outcome is Outcome.REFUTED


def test_a_cut_or_longer_file_is_refuted() -> None:
    for data in (b"", DATA[:-1], DATA + b"\n"):
        assert outcome(GOOD, data).outcome is Outcome.REFUTED


def test_signatures_that_are_not_the_signers() -> None:
    whole = envelope()
    other = HybridIdentity.create()
    forged = Envelope(whole.payload, envelope(issuer=other).signatures)
    for claim in (Envelope(whole.payload, whole.signatures[:1]), Envelope(whole.payload, whole.signatures[::-1]),
                  Envelope(whole.payload, whole.signatures * 2), forged):
        assert outcome(Parcel((ISSUER.genesis,), (claim,))).outcome is Outcome.REFUTED, claim.signatures
    stolen = Parcel((ISSUER.genesis, other.genesis), (envelope(issuer=other),))
    assert outcome(stolen).outcome is Outcome.UNDECIDABLE  # by somebody whom the reader does not believe


def test_an_old_document_is_not_enough_where_a_newer_one_is_pinned() -> None:
    pinned = {ISSUER.did: hashlib.sha256(b"a newer document").digest()}
    assert outcome(GOOD, who=dict(pinned)).outcome is Outcome.REFUTED


def test_signing_goes_on_after_a_rotation_and_not_with_the_old_keys() -> None:
    first = HybridIdentity.create()
    before = envelope(issuer=first)
    identity, rotation = first.rotate(6)
    after = envelope(issuer=identity)
    who = {identity.did: identity.history.head.digest}
    documents = (identity.genesis,)
    assert outcome(Parcel(documents, (rotation, after)), who=dict(who)).outcome is Outcome.UPHELD
    assert outcome(Parcel(documents, (rotation, before)), who=dict(who)).outcome is Outcome.REFUTED
    assert outcome(Parcel(documents, (before, rotation)), who=dict(who)).outcome is Outcome.REFUTED
    assert outcome(Parcel(documents, (before,)), who=dict(who)).outcome is Outcome.REFUTED  # the rotation is hidden


@pytest.mark.parametrize("parcel", [
    Parcel((ISSUER.genesis,), ()), Parcel((ISSUER.genesis,), (envelope(), envelope(replace(SIGNED, note="x")))),
    Parcel((ISSUER.genesis,), (attest(Statement("note", ISSUER.did, 5, (SIGNED.subject(),), {}), ISSUER.signer()),)),
    replace(GOOD, blocks={"bafkqaaa": b""})])
def test_parcels_that_are_no_signature(parcel: Parcel) -> None:
    with pytest.raises(BadInput):
        outcome(parcel)


@pytest.mark.parametrize("change", [
    lambda said: replace(said, version=2), lambda said: replace(said, subjects=said.subjects * 2),
    lambda said: replace(said, refs=(Ref("x", bytes(32)),)), lambda said: replace(said, body={}),
    lambda said: replace(said, body=dict(said.body) | {"more": 1}),
    lambda said: replace(said, body=dict(said.body) | {"training": "perhaps"}),
    lambda said: replace(said, body=dict(said.body) | {"size": "01"}),
    lambda said: replace(said, body=dict(said.body) | {"size": 1})])
def test_claims_that_are_no_signature(change: Callable[[Statement], Statement]) -> None:
    with pytest.raises(BadInput):
        Signed.of(change(envelope().statement()))


@pytest.mark.parametrize("data", [b"", b"{}", b"not json", bytes(2 << 20)])
def test_bytes_that_are_no_signature(data: bytes) -> None:
    with pytest.raises(BadInput):
        verify_detached(io.BytesIO(DATA), data, {})


def test_wishes_are_seen_in_manifests_alone() -> None:
    manifest = b"\x00jumdc2pa\x00" + b"x" * 50 + b"cawg.training-mining\xa1gentries\xa2pcawg.ai_training\xa1cuse"
    assert embedded_wish(manifest + b"jnotAllowed")
    assert embedded_wish(manifest.replace(b"cawg", b"c2pa") + b"kconstrained")
    assert not embedded_wish(manifest + b"gallowed")
    assert not embedded_wish(b"The assertion cawg.training-mining says cawg.ai_training: notAllowed")  # words about it
    assert not embedded_wish(DATA)


@given(st.integers(1, 60), st.integers(0, 40))
def test_a_manifest_cut_across_the_segments_of_a_jpeg_is_seen(step: int, before: int) -> None:
    box = b"\0\0\1\0jumb" + b"jumdc2pa" + b"x" * before + b"cawg.training-mining cawg.ai_training\xa1cusejnotAllowed"
    parts = [box[:8 + step], *(box[:8] + box[at:at + step] for at in range(8 + step, len(box), step))]
    segments = [b"JP\0\1" + number.to_bytes(4, "big") + part for number, part in enumerate(parts, 1)]
    jpeg = b"\xff\xd8" + b"".join(b"\xff\xeb" + (len(one) + 2).to_bytes(2, "big") + one for one in segments)
    assert embedded_wish(jpeg + b"\xff\xda\0\2pixels\xff\xd9")
    assert not embedded_wish(jpeg.replace(b"\xff\xeb", b"\xff\xe1") + b"\xff\xda\0\2" + box)  # not where C2PA puts it


@given(st.binary(max_size=200))
def test_a_look_into_anything_ends(data: bytes) -> None:
    assert not embedded_wish(b"\xff\xd8" + data)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import json
    import sys

    from troth.cli.main import main

    monkeypatch.setenv("TROTH_PASSPHRASE", "correct horse")
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(DATA)

    def run(*words: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["troth", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert (end.value.code or 0) == status, (words, out, err)
        return out + err

    run("init", "ann")
    did = json.loads(run("id", "show", "--home", "ann", "--json"))["did"]
    run("sign", "photo.jpg", "--no-training", "--home", "ann")
    assert json.loads(run("verify", "photo.jpg", "--by", did, "--json"))["outcome"] == "upheld"
    run("verify", "photo.jpg", status=3)
    Path("elsewhere").write_bytes(Path("photo.jpg.troth-sig").read_bytes())
    run("verify", "photo.jpg", "--signature", "elsewhere", "--by", did)
    assert "not to be trained on" in run("attest", "listing", "--subject", "photo.jpg", "--home", "ann", status=2)
    assert "not to be trained on" in run("add", "photo.jpg", "--home", "ann")
    run("attest", "note", "--subject", "photo.jpg", "--home", "ann")  # any other kind may name it
    Path("photo.jpg").write_bytes(DATA + b"\n")
    run("verify", "photo.jpg", "--by", did, status=1)
    run("verify", "elsewhere", "--by", did, status=2)
    run("verify", "nowhere", status=2)
    Path("photo.jpg.troth-sig").write_bytes(b"nonsense")
    run("verify", "photo.jpg", "--by", did, status=2)
    run("attest", "listing", "--subject", "photo.jpg", "--home", "ann")  # what lies beside is no signature
    assert "pip install" in run("media", "verify", "photo.jpg", status=5)
