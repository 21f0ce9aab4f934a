"""Identity tokens checked offline against pinned keys: each rule upheld once, and refuted by each wrong thing."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from workload_parts import ISSUER, NOW, Issuer, base64url, compact

from troth.core.errors import BadInput, Refuted, TrothError, Undecidable
from troth.identity.tokens import TokenKey, audience_of, read_issuer

DID = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
OTHER = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def check(issuer: Issuer, token: bytes, did: str = DID, at: int = NOW + 10, **pinned: Any) -> Any:
    return read_issuer(issuer.pinned(**pinned)).check(token, did, at)


@pytest.mark.parametrize("key", ["rsa-1", "ec-1"])
@pytest.mark.parametrize("audience", [audience_of(DID), [audience_of(DID)]])
def test_a_token_that_binds_the_key_is_upheld(issuer: Issuer, key: str, audience: Any) -> None:
    found = check(issuer, issuer.token(audience, key=key))
    assert (found.subject, found.claims["workflow"]) == ("repo:org/model:ref:refs/heads/main", "train")


def test_a_nonce_binds_where_an_audience_is_pinned(issuer: Issuer) -> None:
    token = issuer.token("troth", nonce=DID)
    assert check(issuer, token, audience="troth").issuer == ISSUER
    for pinned in ({}, {"audience": "another"}):
        with pytest.raises(Refuted, match="binds another key"):
            check(issuer, token, **pinned)
    for nonce in (OTHER, None, ""):
        with pytest.raises(Refuted, match="binds another key"):
            check(issuer, issuer.token("troth", nonce=nonce), audience="troth")


@pytest.mark.parametrize("audience", [audience_of(OTHER), DID, "troth", [], [audience_of(DID), "sigstore"], None, 1,
                                      [audience_of(DID), audience_of(DID)], audience_of(DID) + " "])
def test_a_token_for_another_key_is_refuted(issuer: Issuer, audience: Any) -> None:
    with pytest.raises(Refuted, match="binds another key"):
        check(issuer, issuer.token(audience, nonce=DID))


@pytest.mark.parametrize(("changed", "at"), [
    ({}, NOW - 100), ({}, NOW + 361), ({"nbf": NOW + 200}, NOW + 10), ({"exp": NOW}, NOW), ({"exp": NOW - 1}, NOW),
    ({"exp": NOW + 90_000}, NOW), ({"exp": None}, NOW), ({"iat": None}, NOW), ({"exp": str(NOW + 300)}, NOW),
    ({"exp": NOW + 300.5}, NOW), ({"iat": True}, NOW), ({"iat": -1}, NOW), ({"nbf": "now"}, NOW)])
def test_a_token_out_of_its_time_is_refuted(issuer: Issuer, changed: dict[str, Any], at: int) -> None:
    with pytest.raises(Refuted, match="token"):
        check(issuer, issuer.token(audience_of(DID), **changed), at=at)


def test_clocks_may_differ_by_a_minute(issuer: Issuer) -> None:
    for at in (NOW - 60, NOW + 360):
        check(issuer, issuer.token(audience_of(DID)), at=at)


@pytest.mark.parametrize(("changed", "what"), [
    ({"iss": "https://elsewhere.example"}, "another issuer"), ({"iss": None}, "another issuer"),
    ({"iss": ISSUER + "/"}, "another issuer"), ({"sub": None}, "about nobody"), ({"sub": ""}, "about nobody"),
    ({"repository": "org/other"}, "repository is another"), ({"ref": "refs/pull/1/merge"}, "ref is another"),
    ({"repository": None}, "repository is another")])
def test_another_workload_is_refuted(issuer: Issuer, changed: dict[str, Any], what: str) -> None:
    with pytest.raises(Refuted, match=what):
        check(issuer, issuer.token(audience_of(DID), **changed))


# Confusion of algorithms and keys

def test_an_unsigned_token_is_refuted(issuer: Issuer) -> None:
    claims = json.loads(base64.urlsafe_b64decode(issuer.token(audience_of(DID)).split(b".")[1] + b"=="))
    for algorithm in ("none", "None", "", None):
        with pytest.raises(Refuted, match="another algorithm"):
            check(issuer, compact({"alg": algorithm, "kid": "rsa-1"}, claims))
    with pytest.raises(Refuted, match="not signed"):
        check(issuer, compact({"alg": "RS256", "kid": "rsa-1"}, claims))


def test_a_public_key_is_no_shared_secret(issuer: Issuer) -> None:
    pem = issuer.rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = json.loads(base64.urlsafe_b64decode(issuer.token(audience_of(DID)).split(b".")[1] + b"=="))
    message = compact({"alg": "HS256", "kid": "rsa-1"}, claims).rpartition(b".")[0]
    token = message + b"." + base64url(hmac.digest(pem, message, "sha256")).encode()
    with pytest.raises(Refuted, match="another algorithm"):
        check(issuer, token)


@pytest.mark.parametrize("header", [{"alg": "ES256"}, {"alg": "RS384"}, {"alg": "PS256"}, {"crit": ["exp"]},
                                    {"alg": ["RS256"]}])
def test_the_algorithm_is_the_key_s(issuer: Issuer, header: dict[str, Any]) -> None:
    with pytest.raises(Refuted, match="another algorithm"):
        check(issuer, issuer.token(audience_of(DID), header=header))


def test_a_key_in_the_token_counts_for_nothing(issuer: Issuer) -> None:
    stranger = Issuer()
    header = {"jwk": stranger.jwks()[0], "jku": "https://elsewhere.example/keys", "x5c": ["MII"]}
    with pytest.raises(Refuted, match="not signed by its issuer"):
        check(issuer, stranger.token(audience_of(DID), header=header))
    for kid in ("rsa-2", None, 1, "../rsa-1"):
        with pytest.raises(Undecidable, match="does not pin"):
            check(issuer, stranger.token(audience_of(DID), header={"kid": kid}))


def test_one_key_s_signature_is_not_another_s(issuer: Issuer) -> None:
    with pytest.raises(Refuted):
        check(issuer, issuer.token(audience_of(DID), key="ec-1", header={"kid": "rsa-1", "alg": "RS256"}))
    message, _, signature = issuer.token(audience_of(DID), key="ec-1").rpartition(b".")
    raw = base64.urlsafe_b64decode(signature + b"==")
    for other in (raw[:63], raw + b"\0", bytes(64), raw[32:] + raw[:32], raw[:32] + b"\0" + raw[32:]):
        with pytest.raises(Refuted, match="not signed"):
            check(issuer, message + b"." + base64url(other).encode())


# What cannot be read

@pytest.mark.parametrize("token", [
    b"", b"..", b"a.b", b"a.b.c.d", b"!!!.e30.e30", b"e30=.e30.e30", b"e30.e30.e31", "é.e30.e30".encode(),
    b"x" * 20_000, compact(b'{"alg":"RS256","alg":"none"}', {}), compact({"alg": "RS256"}, b'{"aud":"a","aud":"b"}'),
    compact(b"[" * 5_000, {}), compact(b"[]", {}), compact(b"\xff", {}), compact(b'"x"', b"1")])
def test_what_is_no_token_is_bad_input_and_is_not_quoted(issuer: Issuer, token: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        check(issuer, token)
    text = token.decode(errors="replace")
    assert len(text) < 8 or text not in str(caught.value)


@given(at=st.integers(0, 5_000), bit=st.integers(0, 7))
def test_a_flipped_bit_never_passes(issuer: Issuer, at: int, bit: int) -> None:
    token = bytearray(issuer.token(audience_of(DID)))
    token[at % len(token)] ^= 1 << bit
    with pytest.raises(TrothError) as caught:
        check(issuer, bytes(token))
    assert token.split(b".")[1].decode(errors="replace") not in str(caught.value)


# What a trust file may pin

@pytest.mark.parametrize("change", [
    {"kid": ""}, {"kid": None}, {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "OKP"}, {"alg": "PS256"}, {"use": "enc"},
    {"d": "AQAB"}, {"n": "AQAB"}, {"n": "not base64!"}, {"e": "AQ"}, {"n": None}])
def test_other_keys_are_not_pinned(issuer: Issuer, change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        TokenKey.of(issuer.jwks()[0] | change)


def test_points_off_the_curve_and_weak_keys_are_not_pinned(issuer: Issuer) -> None:
    for change in ({"x": base64url(bytes(32))}, {"x": base64url(bytes(31))}, {"crv": "P-384"}):
        with pytest.raises(BadInput):
            TokenKey.of(issuer.jwks()[1] | change)
    weak = rsa.generate_private_key(65_537, 1_024).public_key().public_numbers()
    with pytest.raises(BadInput, match="size"):
        TokenKey.of({"kty": "RSA", "kid": "weak", "n": base64url(weak.n.to_bytes(128)), "e": "AQAB"})


@pytest.mark.parametrize("change", [
    {"issuer": "http://plain.example"}, {"issuer": 1}, {"keys": []}, {"keys": {}}, {"require": {}}, {"require": []},
    {"require": {"sub": 1}}, {"audience": 1}, {"surplus": 1}])
def test_an_issuer_is_pinned_strictly(issuer: Issuer, change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        read_issuer(issuer.pinned(**change))


def test_two_keys_of_one_id_are_refused(issuer: Issuer) -> None:
    with pytest.raises(BadInput, match="two keys"):
        read_issuer(issuer.pinned(keys=[issuer.jwks()[0]] * 2))
