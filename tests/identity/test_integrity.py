"""Data Integrity proofs: others' vectors, properties, and what must not pass."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity import integrity as di
from troth.identity import keys
from troth.identity.jsondoc import canonical, read_json, time_text, unix_time
from troth.identity.methods import AUTHENTICATION, key_of, known_resolver, resolve_offline
from troth.identity.multibase import multibase_base64url, multibase_decode

VECTORS = Path(__file__).parent.parent / "vectors"
NOW = 1_800_000_000
WANTED = di.Wanted(NOW)
ISSUER = "did:example:issuer"
PAIRS = {suite: keys.key_pair(suite, bytes(range(32))) for suite in (keys.ED25519, keys.ML_DSA_44)}
OTHER = keys.key_pair(keys.ED25519, bytes(32))


def document_of(*suites: str, did: str = ISSUER, **more: Any) -> dict[str, Any]:
    """A DID document with one key a suite."""
    names = [f"#{suite}" for suite in suites]
    return {"id": did, "assertionMethod": names, **more, "verificationMethod": [
        {"id": f"#{suite}", "type": "Multikey", "controller": did,
         "publicKeyMultibase": dids.key_text(PAIRS[suite].public)} for suite in suites]}


HYBRID = document_of(*PAIRS, troth={"cryptosuites": list(di.HYBRID)})
RESOLVE = known_resolver({ISSUER: HYBRID})
SIGNERS = [di.MethodKey(f"{ISSUER}#{suite}", pair) for suite, pair in PAIRS.items()]
DOCUMENT: dict[str, Any] = {"@context": ["https://www.w3.org/ns/credentials/v2"], "issuer": ISSUER,
                            "a": {"b": [1, "ö"]}}
SECURED = di.secure(DOCUMENT, SIGNERS, di.Options(NOW - 10))
CHAINED = di.secure(DOCUMENT, SIGNERS, di.Options(NOW - 10), chain="urn:uuid:1")


def load(*parts: str) -> Any:
    return json.loads((VECTORS / "data-integrity").joinpath(*parts).read_text())


def proven_vector(document: dict[str, Any]) -> di.Proven:
    signer = di.read_proofs(document)[0].method.partition("#")[0]
    return di.verify_proofs(document, signer, WANTED, resolve_offline)


# Vectors


def test_eddsa_jcs_2022_vector_is_made_and_checked() -> None:
    folder = VECTORS / "data-integrity" / "eddsa-jcs-2022"
    signed = load("eddsa-jcs-2022", "signedJCS.json")
    assert proven_vector(signed).suites == (di.EDDSA,)
    assert canonical(di.unsecured(signed)).decode() == (folder / "canonDocJCS.txt").read_text()
    options = di.read_proofs(signed)[0].options
    assert canonical(options).decode() == (folder / "proofCanonJCS.txt").read_text()
    secret = multibase_decode(load("eddsa-jcs-2022", "keyPair.json")["privateKeyMultibase"])
    pair = keys.key_pair(keys.ED25519, secret[2:])
    made = di.secure(di.unsecured(signed), [di.MethodKey(options["verificationMethod"], pair)],
                     di.Options(unix_time(options["created"])))
    assert made == signed


@pytest.mark.parametrize(("name", "suite"), [("p256", keys.P256), ("p384", keys.P384)])
def test_ecdsa_jcs_2019_vectors(name: str, suite: str) -> None:
    signed = load("ecdsa-jcs-2019", f"{name}.json")
    assert proven_vector(signed).suites == (di.ECDSA,)
    assert dids.read_key_did(di.read_proofs(signed)[0].method.partition("#")[0]).suite == suite
    signed["name"] += "!"
    with pytest.raises(Refuted, match="wrong proof"):
        proven_vector(signed)


def test_mldsa44_jcs_2024_vector_signs_over_the_documents_context() -> None:
    signed = load("mldsa44-jcs-2024", "signed.json")
    assert "@context" not in signed["proof"]
    assert proven_vector(signed).suites == (di.MLDSA44,)
    signed["@context"].append("https://other.example")
    with pytest.raises(Refuted, match="wrong proof"):
        proven_vector(signed)


def test_proof_set_and_chain_vectors_are_told_apart_and_say_the_same_bytes() -> None:
    """They are of ``eddsa-rdfc-2022``, which is not known here; what a link of the chain signs over is theirs too."""
    chain = load("proof-set-chain", "signedProofChain2.json")
    for place, expected in ((2, "proofChainTempDoc1.json"), (3, "proofChainTempDoc2.json")):
        proofs = di.read_proofs(chain)
        body = di.unsecured(chain) | {"proof": [one.json() for one in di._earlier(proofs[place], proofs)]}
        assert body == load("proof-set-chain", expected)
    for name in ("signedProofSet2.json", "signedProofChain2.json"):
        with pytest.raises(Undecidable, match="could not be checked"):
            proven_vector(load("proof-set-chain", name))


def test_the_vectors_chain_signed_again_with_our_suite() -> None:
    """The same documents, keys and links as W3C's chain, under ``eddsa-jcs-2022``."""
    theirs = load("proof-set-chain", "signedProofChain2.json")
    pairs = {pair["publicKeyMultibase"]: keys.key_pair(keys.ED25519, multibase_decode(pair["privateKeyMultibase"])[2:])
             for pair in load("proof-set-chain", "multiKeyPairs.json").values()}
    made = di.unsecured(theirs)
    for proof in di.read_proofs(theirs):
        key = di.MethodKey(proof.method, pairs[proof.method.partition("#")[2]])
        made = di.secure(made, [key], di.Options(proof.created or 0, id=proof.id, previous=proof.previous))
    for proof in di.read_proofs(made):
        signer = proof.method.partition("#")[0]
        assert di.verify_proofs(made, signer, WANTED, resolve_offline).suites == (di.EDDSA,)
        # Whoever signed at the root of the chain cannot be taken away under those who signed over it.
    made["proof"] = made["proof"][1:]
    with pytest.raises(Refuted, match="earlier proof"):
        proven_vector({**made, "proof": [made["proof"][1]]})


@pytest.mark.parametrize(("name", "suite"), [
    ("ed25519", keys.ED25519), ("mldsa_44_verify", keys.ML_DSA_44), ("ecdsa_secp256r1_sha256_p1363", keys.P256),
    ("ecdsa_secp384r1_sha384_p1363", keys.P384)])
def test_wycheproof(name: str, suite: str) -> None:
    counted = 0
    for case in json.loads((VECTORS / "wycheproof" / f"{name}.json").read_text()):
        if case.get("ctx"):
            continue  # the cryptosuite uses no context
        raw = bytes.fromhex(case["key"])
        if suite in (keys.P256, keys.P384):
            half = len(raw) // 2
            raw = bytes([2 + (raw[-1] & 1)]) + raw[1:half + 1]
        try:
            found = keys.public_key(suite, raw).verify(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
        except BadInput:
            found = False
        assert found == (case["result"] == "valid"), (case["id"], case["comment"])
        counted += 1
    assert counted > 10


# Properties

JSON = st.recursive(st.none() | st.booleans() | st.integers(-2**53 + 1, 2**53 - 1) | st.text(max_size=8)
                    | st.floats(allow_nan=False, allow_infinity=False),
                    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=6), part, max_size=4),
                    max_leaves=12)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5))
@settings(max_examples=40, deadline=None)
def test_what_is_secured_is_proven_and_nothing_else(body: dict[str, Any]) -> None:
    body.pop("proof", None)
    body.pop("@context", None)
    secured = di.secure(body, SIGNERS[:1], di.Options(NOW))
    again = read_json(json.dumps(secured).encode())
    plain = known_resolver({ISSUER: document_of(keys.ED25519)})
    assert di.verify_proofs(again, ISSUER, WANTED, plain).suites == (di.EDDSA,)
    with pytest.raises(Refuted, match="wrong proof"):
        di.verify_proofs(again | {"surplus": 1}, ISSUER, WANTED, plain)


@given(st.sampled_from(["created", "verificationMethod", "proofPurpose", "cryptosuite", "@context", "proofValue"]),
       st.integers(0, 1))
@settings(max_examples=30, deadline=None)
def test_no_member_of_a_proof_can_be_changed(name: str, place: int) -> None:
    changed = copy.deepcopy(SECURED)
    proof = changed["proof"][place]
    proof[name] = {"created": time_text(NOW - 11), "verificationMethod": f"{ISSUER}#other",
                   "proofPurpose": "authentication", "cryptosuite": di.ECDSA, "@context": [],
                   "proofValue": SECURED["proof"][1 - place]["proofValue"]}[name]
    with pytest.raises((Refuted, BadInput)):
        di.verify_proofs(changed, ISSUER, WANTED, RESOLVE)


@given(st.integers(0, 4_000_000_000))
@settings(max_examples=50, deadline=None)
def test_times_come_back(seconds: int) -> None:
    assert unix_time(time_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", None, 5,
                                  "2026-01-01T00:00:00Z ", "Sat 25 Feb 2023 07:16:31 PM CST", "2026-01-01t00:00:00z",
                                  "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"])
def test_times_without_a_zone_or_in_another_form_are_refused(text: object) -> None:
    with pytest.raises(BadInput, match="not a time"):
        unix_time(text)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_the_first_and_the_last_second_come_back(text: str) -> None:
    assert time_text(unix_time(text)) == text


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**53 - 1, 2**256, -62_135_596_801, -2**64])
def test_a_second_that_no_calendar_has_is_shown_and_is_no_time(seconds: int) -> None:
    """A stranger's consent or block may name it; showing that must not break."""
    with pytest.raises(BadInput, match="not a time"):
        unix_time(time_text(seconds))


# Attacks


def test_both_suites_are_needed_in_any_order() -> None:
    assert di.verify_proofs(SECURED, ISSUER, WANTED, RESOLVE).suites == di.HYBRID
    turned = SECURED | {"proof": SECURED["proof"][::-1]}
    assert di.verify_proofs(turned, ISSUER, WANTED, RESOLVE).suites == di.HYBRID[::-1]


@pytest.mark.parametrize("place", [0, 1])
def test_a_stripped_proof_set_is_refused(place: int) -> None:
    stripped = SECURED | {"proof": SECURED["proof"][place]}
    with pytest.raises(Refuted, match="required proof is missing"):
        di.verify_proofs(stripped, ISSUER, WANTED, RESOLVE)


def test_a_proof_twice_does_not_stand_for_two_suites() -> None:
    with pytest.raises(Refuted, match="required proof is missing"):
        di.verify_proofs(SECURED | {"proof": [SECURED["proof"][0]] * 2}, ISSUER, WANTED, RESOLVE)


def test_the_verifier_may_demand_more_than_the_issuer_and_the_message_nothing_less() -> None:
    plain = known_resolver({ISSUER: document_of(*PAIRS)})
    one = SECURED | {"proof": SECURED["proof"][0]}
    assert di.verify_proofs(one, ISSUER, WANTED, plain).suites == (di.EDDSA,)
    with pytest.raises(Refuted, match=di.MLDSA44):
        di.verify_proofs(one, ISSUER, WANTED, plain, (di.MLDSA44,))
    lying = di.secure(DOCUMENT | {"troth": {"cryptosuites": [di.EDDSA]}}, SIGNERS[:1], di.Options(NOW))
    with pytest.raises(Refuted, match="required proof is missing"):
        di.verify_proofs(lying, ISSUER, WANTED, RESOLVE)


def test_the_last_link_of_a_chain_needs_the_first() -> None:
    assert di.verify_proofs(CHAINED, ISSUER, WANTED, RESOLVE).suites == di.HYBRID
    assert di.verify_proofs(CHAINED | {"proof": CHAINED["proof"][::-1]}, ISSUER, WANTED, RESOLVE).suites
    with pytest.raises(Refuted, match="earlier proof"):
        di.verify_proofs(CHAINED | {"proof": CHAINED["proof"][1]}, ISSUER, WANTED, RESOLVE)
    swapped = copy.deepcopy(CHAINED)
    swapped["proof"][0]["created"] = time_text(NOW - 9)
    with pytest.raises(Refuted, match="wrong proof"):
        di.verify_proofs(swapped, ISSUER, WANTED, RESOLVE)


def test_a_link_signs_over_the_very_proof_before_it() -> None:
    """Another good proof of the same signer under the same id is not the one that was signed over."""
    other = di.prove(di.unsecured(CHAINED), SIGNERS[0], di.Options(NOW - 5, id="urn:uuid:1-0"))
    with pytest.raises(Refuted, match="wrong proof"):
        di.verify_proofs(CHAINED | {"proof": [other, CHAINED["proof"][1]]}, ISSUER, WANTED, RESOLVE)


def test_contexts_may_be_added_behind_and_are_noted_but_never_exchanged() -> None:
    base = DOCUMENT["@context"]
    longer = di.verify_proofs(SECURED | {"@context": [*base, "https://more.example"]}, ISSUER, WANTED, RESOLVE)
    assert "goes on after what was signed" in longer.notes[0]
    for changed in (["https://other.example"], ["https://more.example", *base], [], "x"):
        with pytest.raises(Refuted, match="does not begin with"):
            di.verify_proofs(SECURED | {"@context": changed}, ISSUER, WANTED, RESOLVE)


def test_a_chain_that_goes_round_is_refused() -> None:
    round_ = copy.deepcopy(CHAINED)
    round_["proof"][0]["previousProof"] = "urn:uuid:1-1"
    with pytest.raises(Refuted, match="circle"):
        di.verify_proofs(round_, ISSUER, WANTED, RESOLVE)
    twice = copy.deepcopy(CHAINED)
    twice["proof"][1]["id"] = "urn:uuid:1-0"
    with pytest.raises(BadInput, match="two proofs of one id"):
        di.verify_proofs(twice, ISSUER, WANTED, RESOLVE)


def test_a_key_of_one_suite_is_not_taken_for_another() -> None:
    """Key confusion: the cryptosuite is the message's word, the key's suite is the document's."""
    confused = copy.deepcopy(SECURED)
    confused["proof"][0]["cryptosuite"] = di.ECDSA
    with pytest.raises(Refuted, match="another suite"):
        di.verify_proofs(confused, ISSUER, WANTED, RESOLVE)
    moved = copy.deepcopy(SECURED)
    moved["proof"][1]["verificationMethod"] = f"{ISSUER}#{keys.ED25519}"
    with pytest.raises(Refuted, match="another suite"):
        di.verify_proofs(moved, ISSUER, WANTED, RESOLVE)


def test_a_key_is_good_only_for_what_its_document_allows() -> None:
    """Our key is named for assertions alone; a stranger's document cannot lend the issuer one."""
    with pytest.raises(Refuted, match="does not allow this key for authentication"):
        key_of(HYBRID, f"{ISSUER}#{keys.ED25519}", AUTHENTICATION, NOW)
    agreement = HYBRID | {"assertionMethod": [], "keyAgreement": [f"#{keys.ED25519}"]}
    with pytest.raises(Refuted, match="keyAgreement"):
        di.verify_proofs(SECURED, ISSUER, WANTED, known_resolver({ISSUER: agreement}))
    foreign = copy.deepcopy(HYBRID)
    foreign["verificationMethod"][0]["controller"] = "did:example:other"
    with pytest.raises(Refuted, match="another's"):
        di.verify_proofs(SECURED, ISSUER, WANTED, known_resolver({ISSUER: foreign}))
    for member in ("revoked", "expires"):
        old = copy.deepcopy(HYBRID)
        old["verificationMethod"][0][member] = time_text(NOW - 1)
        with pytest.raises(Refuted, match=r"revoked|expired"):
            di.verify_proofs(SECURED, ISSUER, WANTED, known_resolver({ISSUER: old}))


def test_a_strangers_proof_never_counts_for_the_issuer() -> None:
    stranger = dids.key_did(OTHER.public)
    beside = di.secure(SECURED, [di.MethodKey(dids.key_method(stranger), OTHER)], di.Options(NOW))
    found = di.verify_proofs(beside, ISSUER, WANTED, RESOLVE)
    assert found.suites == di.HYBRID
    assert "also signed by" in found.notes[0]
    with pytest.raises(Refuted, match="none by the signer"):
        di.verify_proofs(beside | {"proof": beside["proof"][2]}, ISSUER, WANTED, RESOLVE)


def test_an_identity_for_claims_does_not_sign_documents_with_half_its_keys() -> None:
    half = document_of(keys.ED25519, troth={"suites": ["ed25519", "ml-dsa-65"]})
    with pytest.raises(Undecidable, match="signs claims, not documents"):
        di.verify_proofs(SECURED, ISSUER, WANTED, known_resolver({ISSUER: half}))


@pytest.mark.parametrize("rule", [{"cryptosuites": []}, {"cryptosuites": "eddsa-jcs-2022"}, [],
                                  {"cryptosuites": [di.EDDSA, di.EDDSA]}, {"cryptosuites": [di.EDDSA, "future-2040"]}])
def test_a_rule_that_cannot_be_read_weakens_nothing(rule: Any) -> None:
    with pytest.raises((BadInput, Undecidable)):
        di.verify_proofs(SECURED, ISSUER, WANTED, known_resolver({ISSUER: HYBRID | {"troth": rule}}))


def test_purpose_domain_challenge_and_time_are_the_verifiers() -> None:
    pair = PAIRS[keys.ED25519]
    did = dids.key_did(pair.public)
    key = di.MethodKey(dids.key_method(did), pair)
    shown = di.secure(DOCUMENT, [key], di.Options(NOW, AUTHENTICATION, "a.example", "n1", NOW + 60))

    def check(**change: Any) -> None:
        wanted = {"now": NOW, "purpose": AUTHENTICATION, "domain": "a.example", "challenge": "n1"} | change
        di.verify_proofs(shown, did, di.Wanted(**wanted), resolve_offline)

    check()
    for change, words in (({"purpose": "assertionMethod"}, "another purpose"),
                          ({"domain": "b.example"}, "another verifier"),
                          ({"challenge": "n2"}, "another challenge"), ({"now": NOW + 60}, "expired"),
                          ({"now": NOW - di.SKEW - 1}, "from the future")):
        with pytest.raises(Refuted, match=words):
            check(**change)


def test_a_document_with_no_proof_or_too_many_is_bad_input() -> None:
    for proofs in (None, [], "x", [SECURED["proof"][0]] * (di.MAX_PROOFS + 1), [{"kind": "Other"}],
                   [{"type": "DataIntegrityProof", "cryptosuite": 5}], [SECURED["proof"][0] | {"previousProof": [1]}]):
        with pytest.raises(BadInput):
            di.read_proofs(DOCUMENT | {"proof": proofs})
    with pytest.raises(Misuse):
        di.secure(DOCUMENT, [], di.Options(NOW))
    with pytest.raises(Misuse, match="no cryptosuite signs"):
        di.cryptosuite_of(keys.SECP256K1)


def test_values_in_another_base_or_cut_short_do_not_pass() -> None:
    changed = copy.deepcopy(SECURED)
    proof = changed["proof"][0]
    proof["proofValue"] = multibase_base64url(multibase_decode(proof["proofValue"]))
    with pytest.raises(BadInput, match="another base"):
        di.verify_proofs(changed, ISSUER, WANTED, RESOLVE)
    changed["proof"][0]["proofValue"] = SECURED["proof"][0]["proofValue"][:-1]
    with pytest.raises(Refuted, match="wrong proof"):
        di.verify_proofs(changed, ISSUER, WANTED, RESOLVE)


@pytest.mark.parametrize("text", [
    b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"a":"\\ud800"}', b'{"a":9007199254740993}', b'{"a":1e400}',
    b'{"a":NaN}', b'{"a":Infinity}', b"[]", b"", b'{"a":"\xff"}', b'{"a":' * 70 + b"1" + b"}" * 70,
    b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":"' + b"x" * (1 << 20) + b'"}'])
def test_documents_that_two_readers_could_read_in_two_ways_are_refused(text: bytes) -> None:
    with pytest.raises(BadInput):
        read_json(text)


@pytest.mark.parametrize("name", ["french", "structures", "unicode", "values", "weird"])
def test_rfc_8785_vectors(name: str) -> None:
    folder = VECTORS / "jcs"
    value = read_json((folder / "input" / f"{name}.json").read_bytes())
    assert canonical(value) == (folder / "output" / f"{name}.json").read_bytes()


def test_numbers_are_signed_as_doubles_are_written() -> None:
    assert canonical(read_json(b'{"c":1e2,"a":1.0,"b":-0.0,"d":1E21,"e":0.000001}')) == (
        b'{"a":1,"b":0,"c":100,"d":1e+21,"e":0.000001}')


def test_jwk_methods_are_read_and_secret_ones_refused() -> None:
    pair = PAIRS[keys.ED25519]
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": multibase_base64url(pair.public.raw)[1:]}
    method = {"id": f"{ISSUER}#{keys.ED25519}", "type": "JsonWebKey2020", "publicKeyJwk": jwk, "controller": ISSUER}
    document = {"id": ISSUER, "assertionMethod": [method]}
    assert key_of(document, method["id"], "assertionMethod", NOW) == pair.public
    for bad in (method | {"publicKeyJwk": jwk | {"d": "AA"}}, method | {"secretKeyMultibase": "z"}):
        with pytest.raises(BadInput, match="publishes a secret key"):
            key_of(document | {"assertionMethod": [bad]}, method["id"], "assertionMethod", NOW)
