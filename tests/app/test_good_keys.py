"""Was this key good when this was anchored: claims and anchors before, between and after changes of keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from places import PASSPHRASE, Place, attest, meet

from troth.app import Troth, file_subject, verify_bundle
from troth.app.keys import date, good, revoke, rotate, signed_under
from troth.core.claims import Signature, Statement, claim_id
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Pending, Refuted, Undecidable
from troth.core.verdicts import Outcome
from troth.identity.signers import attest as sign
from troth.verify.dated import Dated


@pytest.fixture
def pair(place: Place) -> tuple[Troth, Troth]:
    alice, bob = place.make("alice"), place.make("bob")
    bob.use_contracts(alice.deploy())
    return alice, bob


def later(place: Place) -> None:
    place.clock.advance(100)


def anchored(party: Troth, text: str) -> bytes:
    claim = attest(party, text)
    party.anchor()
    return claim


def test_who_was_killed_after_anchoring_goes_on_with_the_same_anchor(pair: tuple[Troth, Troth], tmp_path: Path) -> None:
    alice, _ = pair
    claim = attest(alice, "one")
    sent = alice.anchor()
    (alice.root / "anchor").unlink()  # sent, and killed before it was noted
    assert alice.anchor() == sent
    assert alice.bundle(claim, tmp_path / "one.troth") == 1
    attest(alice, "two")
    assert alice.anchor() != sent


def test_claims_stay_good_that_were_anchored_before_the_change(place: Place, pair: tuple[Troth, Troth]) -> None:
    alice, bob = pair
    alice.register()
    first = anchored(alice, "one")
    later(place)
    rotate(alice, PASSPHRASE)
    later(place)
    second = anchored(alice, "two")
    later(place)
    meet(alice, bob)
    for claim, version in ((first, 0), (second, 1)):
        found = Dated.from_bytes(date(alice, claim).to_bytes())
        at, said = good(bob, found)
        assert f"version {version} of" in said
        assert bob.registered.version_at(alice.did, at.time) == version == signed_under(found.claim)
    # A workspace that learned of the change first, and cannot take the claim in, has its answer here all the same.
    assert good(bob, date(alice, first))[0].owner == alice.account


def stolen(place: Place, alice: Troth) -> bytes:
    """A claim that a thief of the old keys makes after the change, in a log of its own; alone in it. Its file."""
    return Statement("dataset", alice.did, alice.clock.now(), (file_subject("it", b"forged"),), {"rows": 1}).to_bytes()


def test_old_keys_after_the_change(place: Place, pair: tuple[Troth, Troth]) -> None:
    """The thief has the old keys, an account, and a log of its own, which it may anchor as anybody may."""
    alice, bob = pair
    alice.register()
    thief_keys = alice.identity.signer()
    meet(alice, bob)
    later(place)
    rotate(alice, PASSPHRASE)
    meet(alice, bob)
    forged = sign(Statement.from_bytes(stolen(place, alice)), thief_keys)
    bob.log.append([forged])  # Bob is the thief here: his log takes in what intake would refuse
    bob.anchor()
    with pytest.raises(Refuted, match="anchored when the keys were changed already"):
        good(alice, date(bob, forged.id))
    later(place)
    revoke(alice, PASSPHRASE)
    again = sign(replace(Statement.from_bytes(stolen(place, alice)), issued_at=1), thief_keys)
    bob.log.append([again])
    bob.anchor()
    with pytest.raises(Refuted, match="keys were changed already"):
        good(alice, date(bob, again.id))


def test_after_the_end(place: Place, pair: tuple[Troth, Troth]) -> None:
    alice, bob = pair
    alice.register()
    thief_keys = alice.identity.signer()
    meet(alice, bob)
    before = anchored(alice, "before")
    later(place)
    revoke(alice, PASSPHRASE)
    later(place)
    forged = sign(Statement.from_bytes(stolen(place, alice)), thief_keys)
    bob.log.append([forged])
    bob.anchor()
    with pytest.raises(Refuted, match="identity was revoked already"):
        good(bob, date(bob, forged.id))
    assert "in force from block" in good(bob, date(alice, before))[1]


def test_before_the_registration_and_before_the_change_is_published(place: Place, pair: tuple[Troth, Troth]) -> None:
    alice, _ = pair
    early = anchored(alice, "before the registration")
    with pytest.raises(Undecidable, match="says nothing of this identity"):
        good(alice, date(alice, early))
    later(place)
    alice.register()
    with pytest.raises(Undecidable, match="says nothing of this identity at that block"):
        good(alice, date(alice, early))
    later(place)
    # The keys are changed here, and the registry has not heard of it: a claim under keys that it does not have.
    alice.become(lambda identity: identity.rotate(alice.clock.now())[0], PASSPHRASE)
    unpublished = anchored(alice, "before the change is published")
    with pytest.raises(Pending, match="does not have these keys yet"):
        good(alice, date(alice, unpublished))
    later(place)
    alice.register()
    with pytest.raises(Undecidable, match="before the registry had these keys"):
        good(alice, date(alice, unpublished))


def test_a_claim_that_no_anchor_covers(pair: tuple[Troth, Troth]) -> None:
    alice, _ = pair
    alice.register()
    anchored(alice, "one")
    claim = attest(alice, "two")
    with pytest.raises(Pending, match="no anchor covers"):
        date(alice, claim)
    with pytest.raises(Undecidable, match="not in the log"):
        date(alice, bytes(32))
    alice.anchor()
    first = date(alice, claim).last_block
    anchored(alice, "three")
    assert date(alice, claim).last_block == first  # the first anchor that covers it, not the last


def test_tampering_with_a_dating(pair: tuple[Troth, Troth]) -> None:
    alice, bob = pair
    alice.register()
    anchored(alice, "one")
    claim, other = anchored(alice, "two"), attest(alice, "three")
    meet(alice, bob)
    found = date(alice, claim)
    good(bob, found)
    signatures = found.claim.signatures
    flipped = Signature(signatures[0].method, bytes([signatures[0].value[0] ^ 1]) + signatures[0].value[1:])
    for bad in (replace(found, position=0), replace(found, position=1), replace(found, path=()),
                replace(found, path=(*found.path, bytes(32))), replace(found, claim=alice.envelope(other)),
                replace(found, claim=type(found.claim)(found.claim.payload, signatures[:1])),
                replace(found, claim=type(found.claim)(found.claim.payload, (flipped, *signatures[1:])))):
        with pytest.raises(Refuted, match="no anchor in this transaction holds the claim"):
            good(bob, bad)
    with pytest.raises(Refuted):  # the block that the node has at this number is another
        good(bob, replace(found, receipt=replace(found.receipt, headers=(
            found.receipt.headers[0][:-1] + b"\1",))))
    with pytest.raises(Refuted, match="no anchor in this transaction"):  # of another contract
        found.check(bytes(20), keccak256(found.receipt.headers[-1]))
    for data in (found.to_bytes() + b" ", found.to_bytes().replace(b'"version":1}', b'"version":2}'), b"{}"):
        with pytest.raises(BadInput):
            Dated.from_bytes(data)
    with pytest.raises(BadInput, match="without block headers"):
        good(bob, replace(found, receipt=replace(found.receipt, headers=())))


def test_a_bundle_asks_the_registry(place: Place, pair: tuple[Troth, Troth]) -> None:
    """With the last anchor after the change, the log's order upholds, and the registry does not say."""
    alice, bob = pair
    alice.register()
    claim = anchored(alice, "one")
    meet(alice, bob)
    alice.bundle(claim, place.root / "b")

    def verified(registry: bool) -> dict[str, Outcome | None]:
        trust = bob.trust({"issuer": (alice.did,)}, alice.log_pin(), {"name": "attested"})
        report = verify_bundle(place.root / "b", trust, None, bob.registered if registry else None)
        return {"all": report.outcome} | {step.name: step.outcome for step in report.steps if step.n == 9}

    assert verified(registry=False) == {"all": Outcome.UPHELD, "anchor": Outcome.UPHELD}
    assert verified(registry=True) == {"all": Outcome.UPHELD, "anchor": Outcome.UPHELD,
                                       "anchor: keys in force": Outcome.UPHELD}
    later(place)
    rotate(alice, PASSPHRASE)
    meet(alice, bob)
    alice.anchor()
    alice.bundle(claim, place.root / "b")
    assert verified(registry=False)["all"] is Outcome.UPHELD
    assert verified(registry=True) == {"all": Outcome.UNDECIDABLE, "anchor": Outcome.UPHELD,
                                       "anchor: keys in force": Outcome.UNDECIDABLE}
    assert "version 0" in good(bob, date(alice, claim))[1]


def test_a_signature_that_names_no_version(pair: tuple[Troth, Troth]) -> None:
    alice, _ = pair
    claim = alice.envelope(attest(alice, "one"))
    assert claim_id(claim.payload) == claim.id
    for method in ("x", "#ed25519-", "#ed25519-٣", "#ed25519-9999999999"):
        with pytest.raises(Refuted, match="names no version"):
            signed_under(type(claim)(claim.payload, (Signature(method, b"x"),)))
    with pytest.raises(Undecidable):
        date(alice, bytes(31))
