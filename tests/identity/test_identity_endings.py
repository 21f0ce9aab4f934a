"""Documents that end an identity or say that guardians made them, and what no document can say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from identities import counted, make

from troth.core.encoding import encode
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.identity.documents import Document, DocumentHistory, Recovery, place_of, rotation_statement
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.signers import HybridSigner, attest

PLACE = place_of(1, bytes([1]) * 20, bytes([2]) * 20)


@pytest.fixture
def alice() -> HybridIdentity:
    """At version 0."""
    return make("alice")


@pytest.fixture
def guarded(alice: HybridIdentity) -> HybridIdentity:
    """At version 1, which names an entry in a registry."""
    return alice.rotate(5, random=counted("guarded"), place=PLACE)[0]


def test_after_the_end_nothing_counts(alice: HybridIdentity) -> None:
    ended, rotation = alice.end(10)
    assert ended.ended
    assert not alice.ended
    assert DocumentHistory.start(alice.genesis).extend(rotation).head == ended.history.head
    book = KeyBook([DocumentHistory.start(alice.genesis)])
    book.verify(alice.did, b"x", alice.signer().sign(b"x"))
    book.learn_rotation(rotation)
    for version in (None, 1):
        with pytest.raises(Refuted, match="end"):
            book.verify(alice.did, b"x", alice.signer().sign(b"x"), version)
    book.verify(alice.did, b"x", alice.signer().sign(b"x"), 0)
    with pytest.raises(Misuse, match="has ended"):
        ended.signer()
    with pytest.raises(Misuse, match="has ended"):
        ended.rotate(11)
    # Another branch from the document before is a fork, and a later document does not follow.
    with pytest.raises(Refuted, match="forked"):
        book.learn_rotation(alice.rotate(11)[1])
    with pytest.raises(Refuted, match="not recovered"):
        HybridIdentity.recover(ended.history, Recovery(2, 3), 12)


def test_the_end_survives_the_keystore(alice: HybridIdentity) -> None:
    ended, _ = alice.rotate(9, random=counted("r"))[0].end(10)
    again = HybridIdentity.from_secrets(ended.to_secrets())
    assert again.history == ended.history
    assert again.turn_keys()[1].public == alice.rotate(9, random=counted("r"))[0].turn_keys()[1].public


def test_only_whoever_holds_the_next_keys_can_end_it(alice: HybridIdentity) -> None:
    thief = HybridIdentity(alice.history, alice.current, alice.current, alice.account, alice.recipients)
    with pytest.raises(Refuted, match="not committed to"):
        thief.end(10)


def test_a_recovery_counts_where_somebody_vouches(guarded: HybridIdentity) -> None:
    recovered, rotation = HybridIdentity.recover(guarded.history, Recovery(2, 3), 10, random=counted("new"))
    asked: list[tuple[str, Document]] = []
    with pytest.raises(Undecidable, match="nobody here vouches"):
        guarded.history.extend(rotation)
    known = guarded.history.extend(rotation, lambda did, document: asked.append((did, document)))
    assert asked == [(guarded.did, recovered.history.head)]
    assert known.recoveries == {2: Recovery(2, 3)}
    assert str(known.recoveries[2]) == "2 of 3 guardians"
    # It is an identity like any other: it signs, rotates, and survives its keystore.
    book = KeyBook([known])
    book.verify(guarded.did, b"x", recovered.signer().sign(b"x"))
    with pytest.raises(Refuted):
        book.verify(guarded.did, b"x", guarded.signer().sign(b"x"))
    later, next_rotation = HybridIdentity.from_secrets(recovered.to_secrets()).rotate(11)
    book.learn_rotation(next_rotation)
    assert book.head(guarded.did) == (3, later.history.head.digest)
    assert later.history.head.place == PLACE


def test_nobody_recovers_what_names_no_entry(alice: HybridIdentity, guarded: HybridIdentity) -> None:
    """Whoever stole the keys in use cannot name one, and another one does not count."""
    with pytest.raises(Refuted, match="does not name"):
        HybridIdentity.recover(alice.history, Recovery(1, 1), 10)
    left, _ = guarded.rotate(11, place=b"")
    with pytest.raises(Refuted, match="does not name"):
        HybridIdentity.recover(left.history, Recovery(1, 1), 12)
    recovered, _ = HybridIdentity.recover(guarded.history, Recovery(2, 3), 10, random=counted("new"))
    for place in (None, bytes(32)):
        other = replace(recovered.history.head, place=place)
        signer = HybridSigner(guarded.did, other, recovered.current)
        with pytest.raises(Refuted, match="does not name"):
            guarded.history.extend(attest(rotation_statement(guarded.did, other, 10), signer), lambda *_: None)


def test_a_recovery_is_signed_under_both_suites_by_its_own_keys(guarded: HybridIdentity) -> None:
    _, rotation = HybridIdentity.recover(guarded.history, Recovery(2, 3), 10, random=counted("new"))
    for signatures in (rotation.signatures[:1], rotation.signatures[1:], rotation.signatures[::-1], ()):
        forged = type(rotation)(rotation.payload, signatures)
        with pytest.raises(TrothError):
            guarded.history.extend(forged, lambda *_: None)


def written(document: Document, **changes: object) -> bytes:
    said = json.loads(document.to_bytes())
    said["troth"] |= changes
    return encode(said)


@pytest.mark.parametrize(("changes", "error"), [
    ({"suites": ["ed25519"]}, Refuted),
    ({"suites": []}, Refuted),
    ({"next": ["00" * 32]}, Refuted),
    ({"next": []}, Refuted),  # an end, and a recovery at once
    ({"recovery": {"by": 0, "of": 3}}, BadInput),
    ({"recovery": {"by": 4, "of": 3}}, BadInput),
    ({"recovery": {"by": 2, "of": 17}}, BadInput),
    ({"recovery": {"by": 2, "of": 3, "all": True}}, BadInput),
    ({"recovery": {"by": True, "of": 3}}, BadInput),
    ({"recovery": []}, BadInput),
    ({"guardians": 3}, BadInput),
    ({"place": "00"}, BadInput),
    ({"place": None}, BadInput),
    ({"version": 0, "previous": None}, Refuted),
])
def test_no_recovery_says_less(guarded: HybridIdentity, changes: dict[str, object], error: type[TrothError]) -> None:
    """Fewer suites, fewer commitments, or a quorum that is none, in an otherwise good document of guardians."""
    recovered, _ = HybridIdentity.recover(guarded.history, Recovery(2, 3), 10, random=counted("new"))
    good = recovered.history.head
    assert Document.from_bytes(good.to_bytes()) == good
    with pytest.raises(error):
        Document.from_bytes(written(good, **changes))


def test_a_first_document_has_no_end_and_no_guardians(alice: HybridIdentity) -> None:
    first = alice.history.head
    for changed in (written(first, next=[]), written(first, recovery={"by": 1, "of": 1})):
        with pytest.raises(Refuted, match="first document"):
            Document.from_bytes(changed)
