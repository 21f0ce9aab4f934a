"""Hybrid documents, their histories, and the key book: who must sign, and every way to get around it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
from identities import counted, make

from troth.core.claims import Envelope, Evidence, Ref, Signature, Statement, Subject
from troth.core.encoding import decode_object, encode, sha256
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.documents import (
    SUITES,
    Document,
    DocumentHistory,
    commitment,
    rotation_document,
    rotation_statement,
    signature_pairs,
)
from troth.identity.hybrid import HybridIdentity, Recipient
from troth.identity.keybook import KeyBook
from troth.identity.signers import (
    SCHEMES,
    Ed25519Signer,
    HybridSigner,
    Scheme,
    Secp256k1Signer,
    attest,
    signer_of,
)

MESSAGE = b"DSSEv1 3 x/y 2 {}"


def claim(issuer: str) -> Statement:
    return Statement("listing", issuer, 5, (Subject("data", {"sha256": "ab" * 32}),), {"rows": 3})


def verify(book: KeyBook, envelope: Envelope, version: int | None = None) -> None:
    book.verify(envelope.statement().issuer, envelope.signed_bytes(), signature_pairs(envelope), version)


def test_a_hybrid_claim_is_upheld(alice: HybridIdentity, book: KeyBook) -> None:
    envelope = attest(claim(alice.did), alice.signer())
    verify(book, envelope)
    verify(book, envelope, 0)
    assert [item.method for item in envelope.signatures] == [
        f"{alice.did}#ed25519-0", f"{alice.did}#ml-dsa-65-0"]


@pytest.mark.parametrize("kind", [Ed25519Signer, Secp256k1Signer])
def test_single_key_claims_need_no_document(kind: type[Ed25519Signer]) -> None:
    signer = kind(b"\x05" * 32)
    envelope = attest(claim(signer.did), signer)
    verify(KeyBook(), envelope)
    verify(KeyBook(), envelope, 0)
    with pytest.raises(Refuted, match="one document"):
        verify(KeyBook(), envelope, 1)


def test_an_issuer_signs_for_itself(alice: HybridIdentity, mallory: HybridIdentity) -> None:
    with pytest.raises(Misuse, match="signed by its issuer"):
        attest(claim(alice.did), mallory.signer())


# --- attacks on the set of signatures ---------------------------------------------------------------------------------

def attacks(alice: HybridIdentity, mallory: HybridIdentity) -> dict[str, list[tuple[str, bytes]]]:
    """Every list of signatures here is made from genuine ones over MESSAGE; none is the genuine list."""
    (ed_id, ed), (pq_id, pq) = alice.signer().sign(MESSAGE)
    (_, m_ed), (_, m_pq) = mallory.signer().sign(MESSAGE)
    other_ed, other_pq = (value for _, value in alice.signer().sign(MESSAGE + b"!"))
    single = Ed25519Signer(alice.current[0].reveal_seed())
    return {
        "none": [],
        "stripped of the post-quantum signature": [(ed_id, ed)],
        "stripped of the elliptic-curve signature": [(pq_id, pq)],
        "empty post-quantum signature": [(ed_id, ed), (pq_id, b"")],
        "suites in the other order": [(pq_id, pq), (ed_id, ed)],
        "values swapped under the right names": [(ed_id, pq), (pq_id, ed)],
        "names swapped over the right values": [(pq_id, ed), (ed_id, pq)],
        "first signature twice": [(ed_id, ed), (ed_id, ed)],
        "second in place of the first too": [(ed_id, ed), (pq_id, ed)],
        "a duplicate appended": [(ed_id, ed), (pq_id, pq), (pq_id, pq)],
        "a foreign one appended": [(ed_id, ed), (pq_id, pq), (f"{mallory.did}#ed25519-0", m_ed)],
        "a foreign one before": [(f"{mallory.did}#ed25519-0", m_ed), (ed_id, ed), (pq_id, pq)],
        "another's signatures under the right names": [(ed_id, m_ed), (pq_id, m_pq)],
        "another's post-quantum signature": [(ed_id, ed), (pq_id, m_pq)],
        "another's elliptic-curve signature": [(ed_id, m_ed), (pq_id, pq)],
        "the right values under another's names": [(f"{mallory.did}#ed25519-0", ed),
                                                   (f"{mallory.did}#ml-dsa-65-0", pq)],
        "names without the identifier": [("#ed25519-0", ed), ("#ml-dsa-65-0", pq)],
        "names of a later version": [(f"{alice.did}#ed25519-1", ed), (f"{alice.did}#ml-dsa-65-1", pq)],
        "empty names": [("", ed), ("", pq)],
        "over another message": [(ed_id, other_ed), (pq_id, other_pq)],
        "half over another message": [(ed_id, ed), (pq_id, other_pq)],
        "the same key as a did:key": [*single.sign(MESSAGE), (pq_id, pq)],
    }


NAMES = list(attacks(make("alice"), make("mallory")))


@pytest.mark.parametrize("name", NAMES)
def test_attacks_on_the_signatures(name: str, alice: HybridIdentity, mallory: HybridIdentity, book: KeyBook) -> None:
    book.verify(alice.did, MESSAGE, alice.signer().sign(MESSAGE))
    with pytest.raises(Refuted, match="signature"):
        book.verify(alice.did, MESSAGE, attacks(alice, mallory)[name])


def test_a_malleable_ed25519_half_is_refused(alice: HybridIdentity, book: KeyBook) -> None:
    (ed_id, ed), second = alice.signer().sign(MESSAGE)
    order = 2**252 + 27742317777372353535851937790883648493
    moved = ed[:32] + (int.from_bytes(ed[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(Refuted, match="wrong signature"):
        book.verify(alice.did, MESSAGE, [(ed_id, moved), second])


def test_who_is_not_known_is_undecidable(alice: HybridIdentity) -> None:
    signatures = alice.signer().sign(MESSAGE)
    for issuer in (alice.did, "did:web:example.com", "", "did:peer:4zQmX", "did:pkh:eip155:1:0x00"):
        with pytest.raises(Undecidable, match="not known"):
            KeyBook().verify(issuer, MESSAGE, signatures)
    for method in (KeyBook().history, KeyBook().head):
        with pytest.raises(Undecidable):
            method(alice.did)
    with pytest.raises(BadInput):
        KeyBook().verify("did:key:zzz", MESSAGE, signatures)


def test_an_unknown_version_is_undecidable(alice: HybridIdentity, book: KeyBook) -> None:
    for version in (1, -1, 99):
        with pytest.raises(Undecidable, match="version"):
            book.verify(alice.did, MESSAGE, alice.signer().sign(MESSAGE), version)


# --- documents --------------------------------------------------------------------------------------------------------

def test_the_identifier_is_the_first_documents_hash(alice: HybridIdentity, mallory: HybridIdentity) -> None:
    assert dids.peer4(alice.genesis) == (alice.did, alice.long_did)
    assert dids.read_peer4(alice.long_did) == (alice.did, alice.genesis)
    assert Document.from_bytes(alice.genesis).to_bytes() == alice.genesis
    with pytest.raises(Refuted, match="another identity"):
        KeyBook().learn(mallory.genesis, alice.did)
    resolved = dids.peer4_document(alice.long_did)
    assert {method["controller"] for method in resolved["verificationMethod"]} == {alice.long_did}


def test_a_weakened_document_is_refused_whatever_it_is_said_to_be(alice: HybridIdentity) -> None:
    ed, pq = alice.history.head.keys
    following = alice.history.head.next
    for chosen, promised in (((ed,), following[:1]), ((pq,), following[1:]), ((pq, ed), following),
                             ((ed, ed), following), ((ed, pq, pq), following), ((), ()),
                             ((ed, pq), following[:1]), ((ed, pq), (*following, bytes(32)))):
        with pytest.raises(Refuted, match="weakens its suites"):
            Document(0, None, chosen, promised)
    for suites in (["ed25519"], ["ml-dsa-65"], ["ml-dsa-65", "ed25519"], [], ["ed25519", "ml-dsa-65", "none"], None):
        value = decode_object(alice.genesis)
        value["troth"]["suites"] = suites
        for did in (None, alice.did):
            with pytest.raises(Refuted, match="weakens its suites"):
                KeyBook().learn(encode(value), did)
    value = decode_object(alice.genesis)
    del value["verificationMethod"][1]
    with pytest.raises(Refuted, match="weakens its suites"):
        KeyBook().learn(encode(value))


def edits() -> dict[str, Any]:
    """Changes to a document's JSON that leave it readable JSON; each must be refused."""
    def change(**members: Any) -> Any:
        return lambda value: value.update(members)

    def own(**members: Any) -> Any:
        return lambda value: value["troth"].update(members)

    def method(index: int, **members: Any) -> Any:
        return lambda value: value["verificationMethod"][index].update(members)

    return {
        "id inside": change(id="did:peer:4zQm"), "surplus member": change(service=[]),
        "surplus own member": own(threshold=1), "one suite may assert": change(assertionMethod=["#ed25519-0"]),
        "nobody asserts": change(assertionMethod=[]), "another context": change(**{"@context": []}),
        "no context": lambda value: value.pop("@context"), "version 1 without previous": own(version=1),
        "version as text": own(version="0"), "version true": own(version=True), "negative version": own(version=-1),
        "text version with previous": own(version="1", previous="ab" * 32), "no commitments": own(next=None),
        "true version with previous": own(version=True, previous="ab" * 32),
        "negative version with previous": own(version=-1, previous="ab" * 32),
        "previous on version 0": own(previous="ab" * 32), "previous of wrong size": own(previous="ab"),
        "next not a list": own(next="ab"), "one commitment": lambda value: value["troth"]["next"].pop(),
        "commitment in capitals": lambda value: value["troth"]["next"].__setitem__(0, "AB" * 32),
        "renamed key": method(0, id="#ed25519"), "another's controller": method(0, controller="did:key:z6Mk"),
        "another type": method(0, type="Ed25519VerificationKey2020"),
        "key as base64url": method(0, publicKeyMultibase="u7QE" + "A" * 43),
        "no key": method(1, publicKeyMultibase=None), "method is text": change(verificationMethod=["#x"]),
        "recipient of another type": method(2, type="Multikey"), "empty recipient": method(2, publicKeyMultibase="u"),
        "huge recipient": method(2, publicKeyMultibase="u" + "AAAA" * 1366),
        "key agreement without key": lambda value: value["verificationMethod"].pop(),
        "key without key agreement": change(keyAgreement=[]), "methods missing": change(verificationMethod=[]),
        "no own member": change(troth={}), "x25519 as signing key": method(0, publicKeyMultibase="z6LSbysY2xFMRpGMhb7t"
                                                                           "FTLMpeuPRaqaWM1yECx2AtzE3KCc"),
        "swapped keys": lambda value: value["verificationMethod"].reverse(),
    }


@pytest.mark.parametrize("name", list(edits()))
def test_a_document_has_one_form(name: str, alice: HybridIdentity) -> None:
    value = decode_object(alice.genesis)
    edits()[name](value)
    with pytest.raises((BadInput, Refuted)):
        KeyBook().learn(encode(value))
    with pytest.raises((BadInput, Refuted)):
        Document.from_bytes(encode(value))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"{" * 100_000])
def test_a_document_is_canonical_json(data: bytes, alice: HybridIdentity) -> None:
    for wrong in (data, alice.genesis + data or b"x", b" " + alice.genesis):
        if wrong == alice.genesis:
            continue
        with pytest.raises(BadInput):
            KeyBook().learn(wrong)


def test_a_document_does_not_commit_to_its_own_keys(alice: HybridIdentity) -> None:
    own = tuple(map(commitment, alice.history.head.keys))
    for following in (own, (own[1], own[0]), (bytes(32), own[0])):
        with pytest.raises(Refuted, match="own keys"):
            Document(0, None, alice.history.head.keys, following)


def test_a_commitment_names_suite_and_key() -> None:
    ed = keys.key_pair(keys.ED25519, b"\x01" * 32).public
    assert commitment(ed) == sha256(b"troth/next-key/v1\n\xed\x01" + ed.raw)


# --- rotation ---------------------------------------------------------------------------------------------------------

def test_a_rotation(alice: HybridIdentity, book: KeyBook) -> None:
    before = attest(claim(alice.did), alice.signer())
    later, rotation = alice.rotate(10, random=counted("later"))
    assert later.did == alice.did
    assert book.learn_rotation(rotation) == alice.did
    assert book.head(alice.did) == (1, later.history.head.digest)
    after = attest(claim(alice.did), later.signer())
    verify(book, after)
    verify(book, after, 1)
    verify(book, before, 0)
    verify(book, rotation, 1)
    for envelope, version in ((before, None), (before, 1), (after, 0), (rotation, 0)):
        with pytest.raises(Refuted, match="signature"):
            verify(book, envelope, version)
    book.learn_rotation(rotation)
    book.learn(alice.genesis, alice.did)
    assert book.head(alice.did)[0] == 1
    assert book.require(alice.did, Document.from_bytes(alice.genesis).digest) == 0
    assert book.require(alice.did, later.history.head.digest) == 1
    assert later.history.head.recipient == alice.history.head.recipient


def test_the_recipient_key_changes_only_when_asked(alice: HybridIdentity) -> None:
    fresh = Recipient(b"\x09" * 1216, b"new secret")
    later, _ = alice.rotate(10, fresh, counted("later"))
    assert later.history.head.recipient == fresh.public
    assert [item.public for item in later.recipients] == [alice.history.head.recipient, fresh.public]
    bare = HybridIdentity.create(random=counted("bare"))
    assert bare.history.head.recipient is None
    assert bare.rotate(1, fresh, counted("later"))[0].history.head.recipient == fresh.public
    assert Document.from_bytes(bare.genesis).recipient is None


def test_an_old_signature_does_not_count_under_the_new_names(alice: HybridIdentity, book: KeyBook) -> None:
    book.learn_rotation(alice.rotate(10, random=counted("later"))[1])
    renamed = [(name.removesuffix("0") + "1", value) for name, value in alice.signer().sign(MESSAGE)]
    with pytest.raises(Refuted, match="wrong signature"):
        book.verify(alice.did, MESSAGE, renamed)


def test_an_old_history_lacks_what_the_truster_knows(alice: HybridIdentity, book: KeyBook) -> None:
    later, _ = alice.rotate(10, random=counted("later"))
    with pytest.raises(Refuted, match="old or forked"):
        book.require(alice.did, later.history.head.digest)


def next_document(owner: HybridIdentity, **changes: Any) -> Document:
    document = owner.rotate(10, random=counted("next"))[0].history.head
    return replace(document, **changes)


def signed(owner: HybridIdentity, document: Document, pairs: tuple[keys.KeyPair, ...],
           statement: Statement | None = None) -> Envelope:
    """A rotation signed by any keys, under the names the document asks for."""
    envelope = Envelope((statement or rotation_statement(owner.did, document, 10)).to_bytes(), ())
    message = envelope.signed_bytes()
    return replace(envelope, signatures=tuple(
        Signature(owner.did + name, pair.sign(message))
        for name, pair in zip(document.methods(), pairs, strict=False)))


def stolen_rotations(alice: HybridIdentity) -> dict[str, Envelope]:
    """Rotations by thieves; each holds some of alice's keys, none those she committed to under both suites."""
    thief = make("thief")
    mine = thief.current
    theirs = next_document(alice, keys=tuple(pair.public for pair in mine),
                           next=tuple(commitment(pair.public) for pair in thief.following))
    ec = (alice.following[0], mine[1])
    half = replace(theirs, keys=tuple(pair.public for pair in ec))
    good = next_document(alice)
    reused = replace(good, keys=alice.history.head.keys)
    return {
        "current keys, signing for the thief's": signed(alice, theirs, alice.current),
        "current keys, revealed again": signed(alice, reused, alice.current),
        "the thief's own keys": signed(alice, theirs, mine),
        "only the elliptic-curve key committed to": signed(alice, half, ec),
        "the right document, signed by the current keys": signed(alice, good, alice.current),
        "the right document, elliptic-curve half only": signed(alice, good, alice.following[:1]),
        "the right document, post-quantum half by the thief": signed(alice, good, (alice.following[0], mine[1])),
        "the right document, unsigned": signed(alice, good, ()),
        "the committed keys, another previous document": signed(alice, replace(good, previous=bytes(32)),
                                                                alice.following),
        "the committed keys, swapped commitments": signed(
            alice, replace(good, keys=tuple(pair.public for pair in alice.following), previous=sha256(b"x")),
            alice.following),
    }


@pytest.mark.parametrize("name", list(stolen_rotations(make("alice"))))
def test_a_thief_cannot_rotate(name: str, alice: HybridIdentity, book: KeyBook) -> None:
    before = book.history(alice.did)
    with pytest.raises(Refuted):
        book.learn_rotation(stolen_rotations(alice)[name])
    assert book.history(alice.did) is before
    book.learn_rotation(signed(alice, next_document(alice), alice.following))


def test_a_rotation_cannot_drop_a_suite(alice: HybridIdentity, book: KeyBook) -> None:
    good = rotation_statement(alice.did, next_document(alice), 10)
    value = decode_object(str(good.body["document"]).encode())
    value["troth"]["suites"] = ["ed25519"]
    del value["verificationMethod"][1]
    value["assertionMethod"] = value["authentication"] = ["#ed25519-1"]
    value["troth"]["next"] = value["troth"]["next"][:1]
    data = encode(value)
    weak = replace(good, body={"document": data.decode(), "version": 1},
                   subjects=(Subject(alice.did, {"sha256": sha256(data).hex()}),))
    with pytest.raises(Refuted, match="weakens its suites"):
        book.learn_rotation(signed(alice, next_document(alice), alice.following, weak))


def test_a_forked_history_is_refused(alice: HybridIdentity, book: KeyBook) -> None:
    one, two = (alice.rotate(10, random=counted(name))[1] for name in ("one", "two"))
    book.learn_rotation(one)
    with pytest.raises(Refuted, match="forked history"):
        book.learn_rotation(two)
    assert book.head(alice.did)[1] == rotation_document(one.statement()).digest


def test_a_known_rotation_with_bad_signatures_is_still_refused(alice: HybridIdentity, book: KeyBook) -> None:
    _, rotation = alice.rotate(10, random=counted("one"))
    book.learn_rotation(rotation)
    with pytest.raises(Refuted, match="missing signature"):
        book.learn_rotation(replace(rotation, signatures=rotation.signatures[:1]))


def test_rotations_come_in_order(alice: HybridIdentity, book: KeyBook) -> None:
    first, one = alice.rotate(10, random=counted("one"))
    second, two = first.rotate(20, random=counted("two"))
    with pytest.raises(Undecidable, match="versions of this identity are missing"):
        book.learn_rotation(two)
    with pytest.raises(Undecidable, match="not known"):
        KeyBook().learn_rotation(one)
    book.learn_rotation(one)
    book.learn_rotation(two)
    assert book.head(alice.did) == (2, second.history.head.digest)
    assert KeyBook([book.history(alice.did)]).dids() == (alice.did,)


def test_another_identitys_rotation_is_refused(alice: HybridIdentity, mallory: HybridIdentity, book: KeyBook) -> None:
    _, theirs = mallory.rotate(10, random=counted("m"))
    document = rotation_document(theirs.statement())
    pasted = rotation_statement(alice.did, document, 10)
    with pytest.raises(Refuted, match="does not follow"):
        book.learn_rotation(Envelope(pasted.to_bytes(), theirs.signatures))
    with pytest.raises(Refuted, match="another identity"):
        DocumentHistory.start(alice.genesis).extend(theirs)


@pytest.mark.parametrize("change", [
    {"kind": "listing"}, {"version": 2}, {"subjects": (Subject("x", {"sha256": "ab" * 32}),)}, {"body": {}},
    {"body": {"document": "{}", "version": 1}}, {"body": {"document": 1, "version": 1}},
    {"refs": (Ref("a", bytes(32)),)}, {"evidence": (Evidence("a", "b", "c", False),)},
])
def test_a_rotation_claim_has_one_form(change: dict[str, Any], alice: HybridIdentity, book: KeyBook) -> None:
    statement = replace(rotation_statement(alice.did, next_document(alice), 10), **change)
    with pytest.raises((BadInput, Refuted)):
        book.learn_rotation(signed(alice, next_document(alice), alice.following, statement))


def test_a_rotations_version_is_its_documents(alice: HybridIdentity, book: KeyBook) -> None:
    good = rotation_statement(alice.did, next_document(alice), 10)
    with pytest.raises(BadInput, match="version is not its document's"):
        rotation_document(replace(good, body={**good.body, "version": 2}))
    with pytest.raises(BadInput, match="version is not its document's"):
        rotation_document(rotation_statement(alice.did, alice.history.head, 10))
    with pytest.raises(BadInput, match="not a first document"):
        DocumentHistory.start(next_document(alice).to_bytes())


# --- the holder's side ------------------------------------------------------------------------------------------------

def test_secrets_round_trip(alice: HybridIdentity) -> None:
    later, _ = alice.rotate(10, random=counted("later"))
    for identity in (alice, later):
        again = HybridIdentity.from_secrets(identity.to_secrets())
        assert again.to_secrets() == identity.to_secrets()
        assert (again.did, again.history) == (identity.did, identity.history)
        KeyBook([identity.history]).verify(identity.did, MESSAGE, again.signer().sign(MESSAGE))
        assert again.account.public == identity.account.public
    # The keys committed to are kept too: the reloaded identity can rotate.
    assert HybridIdentity.from_secrets(later.to_secrets()).rotate(20)[0].history.head.version == 2


@pytest.mark.parametrize("change", [
    {"type": "single"}, {"current": []}, {"current": ["00" * 32, "00" * 32]}, {"following": ["00" * 32, "00" * 32]},
    {"following": ["00" * 32]}, {"account": "00"}, {"account": "00" * 32}, {"genesis": "{}"}, {"rotations": ["{}"]},
    {"recipients": [{"public": "ab"}]}, {"surplus": 1}, {"current": [1, 2]}, {"recipients": ["ab"]},
    {"rotations": [7]},
])
def test_secrets_that_do_not_fit_are_refused(change: dict[str, Any], alice: HybridIdentity) -> None:
    with pytest.raises(BadInput):
        HybridIdentity.from_secrets(encode(decode_object(alice.to_secrets()) | change))


def test_an_identity_shows_no_secret(alice: HybridIdentity) -> None:
    shown = f"{alice!r} {alice} {alice.recipients} {alice.signer()}"
    for pair in (*alice.current, *alice.following, alice.account):
        assert pair.reveal_seed().hex() not in shown
        assert repr(pair.reveal_seed())[2:-1] not in shown
    assert "secret" not in shown
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(Misuse, match="never pickled"):
            leak(alice)


def test_identities_from_the_system_differ_in_everything() -> None:
    one, two = HybridIdentity.create(), HybridIdentity.create()
    assert one.did != two.did
    seeds = [pair.reveal_seed() for identity in (one, two)
             for pair in (*identity.current, *identity.following, identity.account)]
    assert len(set(seeds)) == 10


def test_a_hybrid_signer_holds_its_documents_keys(alice: HybridIdentity) -> None:
    with pytest.raises(Misuse, match="not the document's"):
        HybridSigner(alice.did, alice.history.head, alice.following)


def test_schemes_load_by_name() -> None:
    assert set(SCHEMES) == {"ed25519", "hybrid", "pkcs11", "secp256k1"}
    assert signer_of("ed25519")(b"\x01" * 32).did.startswith("did:key:z6Mk")
    assert signer_of("secp256k1")(b"\x01" * 32).did.startswith("did:key:zQ3s")
    assert signer_of("hybrid") is HybridSigner
    with pytest.raises(Misuse, match="unknown signature scheme"):
        signer_of("rsa")
    with pytest.raises(Misuse, match="needs no_such_module"):
        Scheme("no_such_module:Signer", "Run: pip install no-such").load()


def test_every_error_here_is_one_of_the_tree(alice: HybridIdentity, mallory: HybridIdentity, book: KeyBook) -> None:
    for signatures in attacks(alice, mallory).values():
        with pytest.raises(TrothError) as refusal:
            book.verify(alice.did, MESSAGE, signatures)
        assert refusal.value.exit_status == 1
        assert refusal.value.expected
    assert SUITES == ("ed25519", "ml-dsa-65")


@pytest.mark.parametrize("did", [
    "did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv",  # P-256
    dids.key_did(keys.key_pair(keys.ML_DSA_44, bytes(32)).public)])
def test_a_did_key_of_a_suite_for_other_things_signs_no_claims(did: str) -> None:
    """Key confusion: that a key can be read, and checked elsewhere, lets nobody issue claims with it."""
    signature = keys.key_pair(keys.ML_DSA_44, bytes(32)).sign(b"message")
    with pytest.raises(BadInput, match="signs no claims"):
        KeyBook().verify(did, b"message", [(dids.key_method(did), signature)])
