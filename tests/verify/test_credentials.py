"""Verification of credentials, presentations and status lists: each answer, and each attack the page names."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from credentials_parts import (
    CHALLENGE,
    DOMAIN,
    HOLDER,
    ISSUER,
    LIST,
    NOW,
    THIEF,
    believed,
    credential,
    entry,
    issued,
    key_of,
    presented,
    status_list,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.encoding import encode
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.core.verdicts import Outcome, Report
from troth.identity import integrity as di
from troth.identity.credentials import CONTEXT, ENVELOPED
from troth.identity.did import KEPT, peer4
from troth.identity.jsondoc import time_text
from troth.identity.methods import _offline, documents_by, resolve_offline
from troth.identity.multibase import multibase_base64url
from troth.identity.party import DocumentParty
from troth.identity.resolution import Resolution
from troth.identity.statuslist import (
    MAX_ENTRIES,
    MIN_ENTRIES,
    REVOCATION,
    SUSPENSION,
    StatusBits,
    StatusEntry,
    list_document,
)
from troth.verify.credentials import (
    Believed,
    Issuer,
    Lists,
    Remembered,
    verify_credential,
    verify_document,
    verify_presentation,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "data-integrity"
W3C_EMPTY = "uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA"
"""The empty list of the specification's example."""


def lists(data: bytes) -> Lists:
    def get(url: str) -> bytes:
        if url != LIST:
            raise Undecidable("not here", actual=url)
        return data
    return get


def outcome(report: Report, name: str) -> Outcome | None:
    [step] = [step for step in report.steps if step.name == name]
    return step.outcome


def detail(report: Report, name: str) -> str:
    return " | ".join(step.detail for step in report.steps if step.name == name)


# Answers


def test_upheld_and_each_step_says_what_it_checked() -> None:
    report = verify_credential(issued(credentialStatus=entry()), believed(lists=lists(data=status_list())))
    assert report.outcome is Outcome.UPHELD
    assert [(step.n, step.name) for step in report.steps] == [
        (1, "form"), (2, "issuer"), (3, "proofs"), (4, "time"), (5, "status"), (7, "trust")]
    assert "eddsa-jcs-2022 and mldsa44-jcs-2024" in detail(report, "proofs")


def test_without_trust_the_best_answer_is_undecidable() -> None:
    report = verify_credential(issued(), Believed(NOW))
    assert report.outcome is Outcome.UNDECIDABLE
    assert outcome(report, "proofs") is Outcome.UPHELD
    assert "nobody you trust" in detail(report, "trust")


def test_long_and_short_form_of_an_issuer_are_one() -> None:
    for name in (ISSUER.did, ISSUER.short):
        assert verify_credential(issued(), believed(issuers={name: Issuer()})).outcome is Outcome.UPHELD


def test_time() -> None:
    early = issued(validFrom=time_text(NOW + 1))
    assert verify_credential(early, believed()).outcome is Outcome.PENDING
    assert verify_credential(early, believed(now=NOW + 1)).outcome is Outcome.UPHELD
    late = issued(validUntil=time_text(NOW - 1))
    report = verify_credential(late, believed())
    assert (report.outcome, outcome(report, "time")) == (Outcome.REFUTED, Outcome.REFUTED)
    assert verify_credential(late, believed(now=NOW - 1)).outcome is Outcome.UPHELD


def test_a_schema_is_kept_and_not_fetched() -> None:
    schema = {"id": "https://x.example/s", "type": "JsonSchema"}
    report = verify_credential(issued(credentialSchema=schema), believed())
    assert report.outcome is Outcome.UPHELD
    assert outcome(report, "schema") is None
    assert "https://x.example/s" in detail(report, "schema")


@pytest.mark.parametrize(("path", "issuer_did"), [
    ("eddsa-jcs-2022/signedJCS.json", None), ("ecdsa-jcs-2019/p256.json", None), ("ecdsa-jcs-2019/p384.json", None)])
def test_vectors_whose_issuer_is_a_web_address(path: str, issuer_did: str | None) -> None:
    """Who signs for a web address is the verifier's knowledge: without it undecidable, with it upheld."""
    data = (VECTORS / path).read_bytes()
    document = json.loads(data)
    signer = document["proof"]["verificationMethod"].partition("#")[0]
    assert verify_document(data, Believed(NOW)).outcome is Outcome.UNDECIDABLE
    knowing = Believed(NOW, {document["issuer"]: Issuer(signer)})
    assert verify_document(data, knowing).outcome is Outcome.UPHELD
    lying = Believed(NOW, {document["issuer"]: Issuer(key_of(9).method.partition("#")[0])})
    assert verify_document(data, lying).outcome is Outcome.REFUTED


def test_the_mldsa44_vector_is_signed_by_another_key_than_its_issuers() -> None:
    """Its issuer is a P-256 did:key; the draft's vector was signed by an ML-DSA key of its own."""
    data = (VECTORS / "mldsa44-jcs-2024" / "signed.json").read_bytes()
    document = json.loads(data)
    name = document["issuer"]["id"]
    assert verify_document(data, Believed(NOW, {name: Issuer()})).outcome is Outcome.REFUTED
    pinned = Believed(NOW, {name: Issuer(document["proof"]["verificationMethod"])})
    assert verify_document(data, pinned).outcome is Outcome.UPHELD


# Proofs and issuers


@pytest.mark.parametrize("place", [0, 1])
def test_a_stripped_signature_is_refuted_whoever_asks(place: int) -> None:
    stripped = issued()
    stripped["proof"] = stripped["proof"][place]
    report = verify_credential(stripped, believed())
    assert outcome(report, "proofs") is Outcome.REFUTED


def test_the_verifier_may_require_more() -> None:
    single = issued(by=THIEF, issuer=THIEF.did)
    assert verify_credential(single, believed(issuers={THIEF.did: Issuer()})).outcome is Outcome.UPHELD
    strict = believed(issuers={THIEF.did: Issuer(suites=(di.MLDSA44,))})
    assert verify_credential(single, strict).outcome is Outcome.REFUTED


def test_anything_changed_is_refuted_and_anything_absent_is_not_upheld() -> None:
    for path, value in ((("credentialSubject", "skill"), "ruling"), (("issuer",), THIEF.did),
                        (("validFrom",), time_text(NOW - 101)), (("extra",), 1)):
        changed = copy.deepcopy(issued())
        place: Any = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        assert verify_credential(changed, believed()).outcome is Outcome.REFUTED
    bare = issued()
    del bare["proof"]
    assert verify_credential(bare, believed()).outcome is Outcome.REFUTED


def test_somebody_elses_signature_under_the_issuers_name_is_refuted() -> None:
    report = verify_credential(issued(by=THIEF), believed())
    assert outcome(report, "proofs") is Outcome.REFUTED


def test_a_document_that_adds_or_weakens_its_own_suites_is_another_identifier() -> None:
    """The thief strikes the rule from the issuer's document; what remains no longer hashes to the issuer."""
    document = {name: value for name, value in resolve_offline(ISSUER.did).items()
                if name not in ("troth", "id", "alsoKnownAs")}
    document["verificationMethod"] = [{name: value for name, value in method.items() if name != "controller"}
                                      for method in document["verificationMethod"]]
    weak = f"{ISSUER.short}:{peer4(encode(document))[1].rpartition(':')[2]}"
    method = di.MethodKey(f"{weak}#ed25519", ISSUER.keys[0].pair)
    forged = di.secure(credential(issuer=weak), [method], di.Options(NOW))
    with pytest.raises(Refuted, match="not the one that the identifier hashes"):
        resolve_offline(weak)
    report = verify_credential(forged, believed())
    assert (report.outcome, outcome(report, "issuer")) == (Outcome.REFUTED, Outcome.REFUTED)


def test_huge_identifiers_are_read_and_not_remembered() -> None:
    document = {"verificationMethod": [], "x": "y" * 9_000}
    before = _offline.cache_info().currsize
    long = peer4(encode(document))[1]
    assert len(long) > KEPT
    assert resolve_offline(long)["x"] == "y" * 9_000
    assert _offline.cache_info().currsize == before


def test_an_ended_identifier_signs_nothing() -> None:
    class Ended:
        def resolve(self, did: str, when: object = None) -> Resolution:
            return Resolution(did, None, {"deactivated": True})

    report = verify_credential(issued(), believed(resolve=documents_by(Ended())))  # type: ignore[arg-type]
    assert outcome(report, "issuer") is Outcome.REFUTED


def test_malformed_is_bad_input_and_names_the_step() -> None:
    with pytest.raises(BadInput, match=r"step 1 \(form\)"):
        verify_credential(issued() | {"type": ["Other"]}, believed())
    with pytest.raises(BadInput):
        verify_document(b"{" * 1000, believed())


# Status


def test_revoked_suspended_and_unreachable() -> None:
    document = issued(credentialStatus=[entry(7), entry(9, SUSPENSION)])
    both = {7: status_list((7,)), 9: status_list((9,), purpose=SUSPENSION)}

    def answer(data: bytes, only: int) -> Report:
        return verify_credential(issued(credentialStatus=entry(only, "revocation" if only == 7 else SUSPENSION)),
                                 believed(lists=lists(data=data)))

    assert answer(both[7], 7).outcome is Outcome.REFUTED
    assert answer(both[9], 9).outcome is Outcome.PENDING
    assert answer(status_list((8,)), 7).outcome is Outcome.UPHELD
    assert verify_credential(document, believed()).outcome is Outcome.UNDECIDABLE


@pytest.mark.parametrize(("data", "expected"), [
    (status_list(list_id="https://issuer.example/status/2"), Outcome.REFUTED),  # another list of the same issuer
    (status_list(by=HOLDER), Outcome.REFUTED),  # the holder's own list under that name
    (status_list(purpose=SUSPENSION), Outcome.REFUTED),  # a list that answers another question
    (status_list(now=NOW - 90_000), Outcome.UNDECIDABLE),  # one from before it was revoked: over
    (status_list(now=NOW + 1_000), Outcome.REFUTED)])
def test_a_swapped_or_stale_list_does_not_pass(data: bytes, expected: Outcome) -> None:
    report = verify_credential(issued(credentialStatus=entry()), believed(lists=lists(data=data)))
    assert outcome(report, "status") is expected


def test_a_list_in_another_issuers_name_is_refused_whoever_signed_it() -> None:
    document = list_document(LIST, HOLDER.did, REVOCATION, StatusBits(), NOW - 50)
    data = json.dumps(di.secure(document, ISSUER.keys, di.Options(NOW - 50))).encode()
    report = verify_credential(issued(credentialStatus=entry()), believed(lists=lists(data=data)))
    assert "a status list of another issuer" in detail(report, "status")


def test_a_verifier_may_want_a_fresher_list_than_the_issuer_promises() -> None:
    old = status_list(now=NOW - 4_000)
    document = issued(credentialStatus=entry())
    assert verify_credential(document, believed(lists=lists(data=old))).outcome is Outcome.UPHELD
    report = verify_credential(document, believed(lists=lists(data=old), fresh=3_600))
    assert outcome(report, "status") is Outcome.UNDECIDABLE


def test_a_list_with_a_stripped_signature_or_changed_bits_is_refuted() -> None:
    revoked = json.loads(status_list((7,)))
    stripped = revoked | {"proof": revoked["proof"][0]}
    changed = json.loads(json.dumps(revoked))
    changed["credentialSubject"]["encodedList"] = StatusBits().encode()
    for one in (stripped, changed):
        report = verify_credential(issued(credentialStatus=entry()),
                                   believed(lists=lists(data=json.dumps(one).encode())))
        assert outcome(report, "status") is Outcome.REFUTED


def test_a_remembered_list_answers_alike_and_is_still_dated() -> None:
    """Remembering skips the signature of bytes already checked, and nothing else."""
    kept = Remembered(2)
    document, revoked = issued(credentialStatus=entry(8)), issued(credentialStatus=entry(7))
    data = status_list((7,), lasts=600)
    for one, expected in ((document, Outcome.UPHELD), (revoked, Outcome.REFUTED)) * 2:
        assert verify_credential(one, believed(lists=lists(data=data), remembered=kept)).outcome is expected
    later = believed(lists=lists(data=data), remembered=kept, now=NOW + 700)
    assert verify_credential(document, later).outcome is Outcome.UNDECIDABLE
    changed = json.loads(data)
    changed["validUntil"] = time_text(NOW + 9_000)
    forged = believed(lists=lists(data=json.dumps(changed).encode()), remembered=kept)
    assert verify_credential(document, forged).outcome is Outcome.REFUTED
    for number in range(5):
        kept.put((number,), *kept.get(next(iter(kept._found))))  # type: ignore[misc]
    assert len(kept._found) == 2


def test_an_index_beyond_the_list_is_refuted_and_another_kind_of_status_undecidable() -> None:
    for status, expected in ((entry(MIN_ENTRIES), Outcome.REFUTED),
                             ({"id": "https://x.example/1", "type": "OtherStatus"}, Outcome.UNDECIDABLE)):
        report = verify_credential(issued(credentialStatus=status), believed(lists=lists(data=status_list())))
        assert outcome(report, "status") is expected


def test_the_specifications_list_is_read_and_lists_are_canonical() -> None:
    empty = StatusBits.decode(W3C_EMPTY)
    assert len(empty) == MIN_ENTRIES
    assert not any(empty[index] for index in range(0, MIN_ENTRIES, 997))
    assert StatusBits.decode(StatusBits().encode()).encode() == StatusBits().encode()


@given(st.sets(st.integers(0, MIN_ENTRIES - 1), max_size=20))
@settings(max_examples=25, deadline=None)
def test_bits_come_back_where_they_were_set(places: set[int]) -> None:
    bits = StatusBits()
    for place in places:
        bits[place] = True
    again = StatusBits.decode(bits.encode())
    assert {place for place in range(MIN_ENTRIES) if again[place]} == places
    for place in places:
        again[place] = False
    assert again.encode() == StatusBits().encode()


def test_the_first_entry_is_the_highest_bit_of_the_first_byte() -> None:
    assert StatusBits(bits=b"\x80" + bytes(MIN_ENTRIES // 8 - 1))[0]
    assert StatusBits(bits=b"\x01" + bytes(MIN_ENTRIES // 8 - 1))[7]


def test_lists_that_are_too_short_or_unpack_without_end_are_refused() -> None:
    bomb = multibase_base64url(gzip.compress(bytes(MAX_ENTRIES // 8 + 1)))
    short = multibase_base64url(gzip.compress(bytes(MIN_ENTRIES // 8 - 1)))
    for text in (bomb, short, "u", "z11", 5, W3C_EMPTY[:-8], "uAAAA"):
        with pytest.raises(BadInput):
            StatusBits.decode(text)
    with pytest.raises(BadInput):
        StatusBits()[MIN_ENTRIES]


@pytest.mark.parametrize("change", [{"statusListIndex": "07"}, {"statusListIndex": 7}, {"statusListIndex": "-1"},
                                    {"statusPurpose": 1}, {"statusListCredential": None}, {"statusSize": 2},
                                    {"statusListIndex": "9" * 5000}, {"statusListIndex": "٧"}])
def test_unreadable_entries(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        StatusEntry.of(entry() | change)


# Presentations


def test_a_presentation_for_this_verifier_and_this_request() -> None:
    report = verify_presentation(presented(issued()), believed(), DOMAIN, CHALLENGE)
    assert report.outcome is Outcome.UPHELD
    assert "credential 1: subject" in [step.name for step in report.steps]


@pytest.mark.parametrize(("domain", "challenge", "expected"), [
    ("other.example", CHALLENGE, Outcome.REFUTED), (DOMAIN, "c-2", Outcome.REFUTED),
    (None, CHALLENGE, Outcome.UNDECIDABLE), (DOMAIN, None, Outcome.UNDECIDABLE)])
def test_a_presentation_made_for_others_or_for_nobody(domain: str | None, challenge: str | None,
                                                      expected: Outcome) -> None:
    report = verify_presentation(presented(issued()), believed(), domain, challenge)
    assert outcome(report, "proofs") is expected


def test_whoever_stole_a_credential_cannot_show_it_as_its_own() -> None:
    report = verify_presentation(presented(issued(), by=THIEF), believed(), DOMAIN, CHALLENGE)
    assert report.outcome is Outcome.UNDECIDABLE
    assert outcome(report, "credential 1: subject") is Outcome.UNDECIDABLE
    pretending = presented(issued(), by=THIEF, holder=HOLDER.did)
    assert outcome(verify_presentation(pretending, believed(), DOMAIN, CHALLENGE), "proofs") is Outcome.REFUTED


def test_a_key_for_assertions_alone_does_not_authenticate() -> None:
    document = json.loads(json.dumps(resolve_offline(HOLDER.did))) | {"authentication": []}
    one = believed(resolve=lambda did: document if did == HOLDER.did else resolve_offline(did))
    report = verify_presentation(presented(issued()), one, DOMAIN, CHALLENGE)
    assert outcome(report, "proofs") is Outcome.REFUTED


def test_a_credential_is_not_a_presentation_proof() -> None:
    """A holder's proof for assertions does not stand for one that answers a verifier."""
    wrong = di.secure({**presented(issued())} | {"proof": []}, HOLDER.keys,
                      di.Options(NOW, domain=DOMAIN, challenge=CHALLENGE))
    assert outcome(verify_presentation(wrong, believed(), DOMAIN, CHALLENGE), "proofs") is Outcome.REFUTED


def test_unsigned_credentials_count_only_as_the_holders_own_word() -> None:
    own = credential(issuer=HOLDER.did)
    report = verify_presentation(presented(own), believed(issuers={HOLDER.short: Issuer()}), DOMAIN, CHALLENGE)
    assert report.outcome is Outcome.UPHELD
    assert outcome(report, "credential 1: proofs") is None
    report = verify_presentation(presented(credential()), believed(), DOMAIN, CHALLENGE)
    assert outcome(report, "credential 1: proofs") is Outcome.REFUTED


def test_the_holders_own_word_is_signed_under_what_is_demanded_of_it() -> None:
    """Otherwise a credential without a proof would pass where one with a single proof does not."""
    own = credential(issuer=THIEF.did, credentialSubject={"id": THIEF.did, "skill": "weaving"})
    shown = presented(own, by=THIEF)
    for suites, expected in (((), Outcome.UPHELD), ((di.EDDSA,), Outcome.UPHELD), (di.HYBRID, Outcome.REFUTED)):
        known = believed(issuers={THIEF.did: Issuer(suites=suites)})
        assert verify_presentation(shown, known, DOMAIN, CHALLENGE).outcome is expected
        signed = presented(di.secure(own, THIEF.keys, di.Options(NOW - 100)), by=THIEF)
        assert verify_presentation(signed, known, DOMAIN, CHALLENGE).outcome is expected


def test_enveloped_credentials_and_holders_nobody_names_are_undecidable() -> None:
    enveloped = {"@context": CONTEXT, "type": ENVELOPED, "id": "data:application/vc+jwt,x"}
    report = verify_presentation(presented(enveloped), believed(), DOMAIN, CHALLENGE)
    assert report.outcome is Outcome.UNDECIDABLE
    nameless = di.unsecured(presented(issued()))
    del nameless["holder"]
    assert verify_presentation(nameless, believed(), DOMAIN, CHALLENGE).outcome is Outcome.UNDECIDABLE


# Anything at all

JSON = st.recursive(st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4) | st.floats(0, 1)
                    | st.sampled_from(["VerifiableCredential", "DataIntegrityProof", "did:key:z6Mk", ISSUER.did]),
                    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(
                        ["id", "type", "@context", "proof", "mandate", "statusPurpose"]), part, max_size=3),
                    max_leaves=6)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    return [path, *(one for name, item in inner for one in places(item, (*path, name)))]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_is_put_anywhere_is_answered_or_refused_as_ours(data: st.DataObject) -> None:
    """No document makes the verification fail in a way of Python's; and none that was changed is upheld."""
    whole = data.draw(st.sampled_from([issued(credentialStatus=entry()), presented(issued())]))
    changed = copy.deepcopy(whole)
    path = data.draw(st.sampled_from(places(changed)[1:]))
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    value = data.draw(JSON)
    before, place[path[-1]] = place[path[-1]], value
    try:
        found = verify_document(json.dumps(changed).encode(), believed(lists=lists(data=status_list())), DOMAIN,
                                CHALLENGE)
    except TrothError:
        return
    assert found.outcome is not Outcome.UPHELD or json.dumps(before) == json.dumps(value)


# The parties' keys


def test_a_credential_identity_never_shows_its_secrets_and_comes_back_from_them() -> None:
    seed = bytes([2]) * 32
    assert seed.hex() not in repr(HOLDER) + str(HOLDER.keys)
    assert DocumentParty.from_secrets(HOLDER.to_secrets()).did == HOLDER.did
    assert DocumentParty.create().did != DocumentParty.create().did
    with pytest.raises(Misuse):
        copy.copy(HOLDER)
    with pytest.raises(Misuse):
        DocumentParty.create("rsa")
    for bad in ({"kind": "rsa", "seeds": []}, {"kind": "hybrid", "seeds": ["00" * 32]}):
        with pytest.raises(BadInput):
            DocumentParty.from_secrets(bad)


@pytest.mark.parametrize("body", [b"{}", b'{"issuers":[]}', b'{"issuers":{"a":5}}', b'{"issuers":{"a":{"did":5}}}',
                                  b'{"issuers":{"a":{"x":1}}}', b'{"issuers":{"a":{"suites":"x"}}}'])
def test_unreadable_trust(body: bytes) -> None:
    with pytest.raises(BadInput):
        Believed.issuers_of(body)


def test_trust_file() -> None:
    entry_of = b'{"issuers": {"https://a.example": {"did": "did:key:z6", "suites": ["eddsa-jcs-2022"]}}}'
    found = Believed.issuers_of(entry_of)
    assert found == {"https://a.example": Issuer("did:key:z6", ("eddsa-jcs-2022",))}
