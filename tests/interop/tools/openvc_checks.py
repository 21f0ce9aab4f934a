"""Run in openvc-core's own environment, with Troth's sources on the path: both libraries over the same documents.

Not collected by the repository's own tests: ``test_interop_credentials.py`` runs it.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from openvc import Ed25519SigningKey, P256SigningKey, P384SigningKey
from openvc.did.base import DidResolverRegistry
from openvc.did.did_key import DidKeyResolver
from openvc.errors import OpenvcError
from openvc.proof.di_jcs import EcdsaJcsProofSuite, EddsaJcsProofSuite
from openvc.proof.sd_jwt import SdJwtVcProofSuite
from openvc.status.bitstring import decode_bitstring

from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity import integrity as di
from troth.identity import keys, sdjwt
from troth.identity.methods import AUTHENTICATION, resolve_offline
from troth.identity.statuslist import StatusBits

NOW = int(time.time())
DOCUMENT = {"@context": ["https://www.w3.org/ns/credentials/v2"], "type": ["VerifiableCredential"],
            "validFrom": "2024-01-01T00:00:00Z", "credentialSubject": {"id": "did:example:1", "mark": 1.5, "é": "ü"}}
VCT, AUDIENCE, NONCE = "https://guild.example/membership", "x509_san_dns:shop.example", "n-0S6_WzA2Mj"


def party(seed: int) -> di.MethodKey:
    pair = keys.key_pair(keys.ED25519, bytes([seed]) * 32)
    return di.MethodKey(dids.key_method(dids.key_did(pair.public)), pair)


ISSUER, HOLDER, THIEF = party(1), party(2), party(3)


def did(key: di.MethodKey) -> str:
    return key.method.partition("#")[0]


def registry() -> DidResolverRegistry:
    return DidResolverRegistry([DidKeyResolver()])


# Data Integrity


@pytest.mark.parametrize("purpose", ["assertionMethod", AUTHENTICATION])
def test_openvc_upholds_what_we_sign(purpose: str) -> None:
    options = di.Options(NOW, purpose, "shop.example", "c-1") if purpose == AUTHENTICATION else di.Options(NOW)
    made = di.secure(DOCUMENT | {"issuer": did(ISSUER)}, [ISSUER], options)
    expected: dict[str, Any] = {"expected_proof_purpose": purpose}
    if purpose == AUTHENTICATION:
        expected |= {"expected_challenge": "c-1", "expected_domain": "shop.example"}
    EddsaJcsProofSuite().verify(made, resolver=registry(), **expected)
    with pytest.raises(OpenvcError):
        EddsaJcsProofSuite().verify(made | {"more": 1}, resolver=registry(), **expected)


def test_we_uphold_what_openvc_signs() -> None:
    made = [(EddsaJcsProofSuite(), Ed25519SigningKey(ed25519.Ed25519PrivateKey.generate(), "k"), keys.ED25519),
            (EcdsaJcsProofSuite(), P256SigningKey(ec.generate_private_key(ec.SECP256R1()), "k"), keys.P256),
            (EcdsaJcsProofSuite(), P384SigningKey(ec.generate_private_key(ec.SECP384R1()), "k"), keys.P384)]
    for suite, signer, kind in made:
        jwk = signer.public_jwk()
        name = "did:example:openvc"
        document = {"id": name, "assertionMethod": [f"{name}#k"], "verificationMethod": [
            {"id": f"{name}#k", "type": "JsonWebKey2020", "controller": name, "publicKeyJwk": jwk}]}
        signed = suite.add_proof(DOCUMENT | {"issuer": name}, signing_key=signer, verification_method=f"{name}#k")
        found = di.verify_proofs(signed, name, di.Wanted(NOW + 5), lambda _, one=document: one)
        assert found.suites, kind
        with pytest.raises(Refuted):
            di.verify_proofs(signed | {"more": 1}, name, di.Wanted(NOW + 5), lambda _, one=document: one)


def test_status_lists_are_read_alike() -> None:
    bits = StatusBits()
    for index in (0, 7, 8, 131_071):
        bits[index] = True
    theirs = decode_bitstring(bits.encode())
    assert bytes(theirs) == bytes(theirs)[:16_384]
    assert [theirs[0], theirs[1], theirs[16_383]] == [0x81, 0x80, 0x01]


# SD-JWT and OpenID4VP through our adapter


def issued(**more: Any) -> str:
    return sdjwt.issue({"name": "Ann", "age": 41, "guild": "weavers"} | more, VCT, ISSUER, did(HOLDER),
                       ("name", "age"), 3_600)


def answered(show: tuple[str, ...] = ("age",), key: di.MethodKey = HOLDER, audience: str = AUDIENCE,
             nonce: str = NONCE, credential: str | None = None) -> str:
    return sdjwt.answer("member", sdjwt.present(credential or issued(), show, key, audience, nonce))


def check(token: str, **changes: Any) -> tuple[sdjwt.Shown, ...]:
    use = {"asked": sdjwt.query("member", VCT), "audience": AUDIENCE, "nonce": NONCE, "issuers": [did(ISSUER)],
           "now": int(time.time())} | changes
    return sdjwt.check(token, **use)


def test_what_is_shown_is_what_the_holder_chose() -> None:
    credential = issued()
    assert set(sdjwt.disclosures(credential)) == {"name", "age"}
    [shown] = check(answered(("age",), credential=credential))
    assert (shown.claims["age"], shown.claims["guild"], shown.vct) == (41, "weavers", VCT)
    assert (shown.issuer, shown.holder) == (did(ISSUER), did(HOLDER))
    assert "name" not in shown.claims
    token = answered((), credential=credential)
    assert "age" not in check(token)[0].claims


@pytest.mark.parametrize(("change", "kind"), [
    ({"nonce": "another"}, Refuted), ({"audience": "x509_san_dns:other.example"}, Refuted),
    ({"issuers": []}, Undecidable), ({"now": NOW + 4_000}, Refuted),
    ({"asked": sdjwt.query("member", "https://other.example/type")}, Refuted),
    ({"asked": sdjwt.query("other", VCT)}, BadInput)])
def test_an_answer_to_another_request_is_refused(change: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        check(answered(), **change)


def test_a_stripped_or_borrowed_key_binding_is_refused() -> None:
    with pytest.raises(Refuted):
        check(answered(key=THIEF))
    good = json.loads(answered())["member"][0]
    stripped = good.rpartition("~")[0] + "~"
    with pytest.raises((Refuted, BadInput)):
        check(sdjwt.answer("member", stripped))
    parts = good.split("~")
    added = "~".join([parts[0], sdjwt.disclosures(issued())["name"], *parts[1:]])
    with pytest.raises(Refuted):
        check(sdjwt.answer("member", added))


def test_rubbish_is_bad_input_and_keys_of_other_kinds_are_misuse() -> None:
    for token in ("", "[]", "{", '{"member": "x"}', '{"member": []}', "x" * (sdjwt.MAX_TEXT + 1)):
        with pytest.raises(BadInput):
            check(token)
    with pytest.raises(Misuse, match="no such claim"):
        sdjwt.present(issued(), ["shoe size"], HOLDER, AUDIENCE, NONCE)
    with pytest.raises(Misuse, match="cannot be issued"):
        sdjwt.issue({"exp": 5}, VCT, ISSUER, did(HOLDER), ("exp",), 60)
    mldsa = keys.key_pair(keys.ML_DSA_44, bytes(32))
    with pytest.raises(Misuse, match="Ed25519"):
        sdjwt.issue({}, VCT, di.MethodKey(dids.key_method(dids.key_did(mldsa.public)), mldsa), did(HOLDER), (), 60)
    with pytest.raises(BadInput):
        sdjwt.disclosures("a~!!~")


def test_not_yet_good_is_pending() -> None:
    with pytest.raises(Pending):
        check(answered(credential=issued(nbf=NOW + 3_000)))


def test_the_librarys_own_verifier_agrees() -> None:
    text = json.loads(answered())["member"][0]
    found = SdJwtVcProofSuite().verify(text, public_key_jwk=sdjwt._jwk(ISSUER.pair.public), audience=AUDIENCE,
                                       nonce=NONCE, require_key_binding=True)
    assert found.key_bound
    assert resolve_offline(found.claims["sub"])["id"] == did(HOLDER)
