"""Reading what others wrote: JSON, envelopes, keys; and keeping it as its bytes with a link claim."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from formats_parts import authority, issue
from hypothesis import given
from hypothesis import strategies as st

from troth.app import Troth, formats
from troth.core.claims import Ref, Statement, pae
from troth.core.errors import BadInput, Misuse, Refuted
from troth.formats.foreign import ForeignEnvelope, ForeignKey, ForeignStatement, from_any_base64, read_json
from troth.formats.links import LINK, Link

STATEMENT = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
             "subject": [{"name": "a.bin", "digest": {"sha256": "ab" * 32}}], "predicate": {"x": 1.5}}
KIND = "application/vnd.in-toto+json"


def envelope(key: ed25519.Ed25519PrivateKey, payload: bytes, kind: str = KIND) -> bytes:
    return json.dumps({"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [
        {"keyid": "anything", "sig": base64.b64encode(key.sign(pae(kind, payload))).decode()}]}, indent=2).encode()


@pytest.fixture(scope="module")
def signer() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def public_of(key: Any) -> ForeignKey:
    return ForeignKey.checked(key.public_key())


# JSON

@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'[{"a":1,"\\u0061":2}]', b"{", b"\xff",
                                  b'"\xed\xa0\x80"', b"[" * 500_000, b"nope", b""])
def test_json_that_can_be_read_in_two_ways_or_none_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput):
        read_json(text)


def test_depth_and_length_are_bounded() -> None:
    assert read_json(b"[" * 64 + b"]" * 64) is not None
    for text in (b"[" * 65 + b"]" * 65, b"[" * 900 + b"]" * 900, b'{"a":' * 500 + b"1" + b"}" * 500):
        with pytest.raises(BadInput):
            read_json(text)
    with pytest.raises(BadInput, match="too long"):
        read_json(b"[" + b"1," * 100 + b"1]", limit=100)


@given(st.recursive(st.none() | st.booleans() | st.integers(-2**60, 2**60) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_what_others_write_reads_as_the_standard_parser_reads_it(value: Any) -> None:
    text = json.dumps(value, indent=1)
    assert read_json(text.encode()) == json.loads(text)


@given(st.binary(max_size=40))
def test_both_alphabets_of_base64_are_read(data: bytes) -> None:
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        assert from_any_base64(text) == data


@pytest.mark.parametrize("text", ["YQ", "YQ=", "YR==", "YQ==\n", "Y Q==", "YQ==YQ=="])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(BadInput):
        from_any_base64(text)


# Envelopes and keys

@pytest.mark.parametrize("change", [
    {"payload": 1}, {"payload": "%"}, {"payloadType": None}, {"signatures": []}, {"signatures": [1]},
    {"signatures": [{"sig": 1}]}, {"signatures": [{"keyid": 1, "sig": "YQ=="}]}, {"signatures": {}}])
def test_a_malformed_envelope_is_bad_input(signer: ed25519.Ed25519PrivateKey, change: dict[str, Any]) -> None:
    value = json.loads(envelope(signer, b"{}")) | change
    with pytest.raises(BadInput):
        ForeignEnvelope.of(value)


@pytest.mark.parametrize("change", [
    {"_type": "https://in-toto.io/Statement/v0.1"}, {"predicateType": 1}, {"predicate": []}, {"subject": []},
    {"subject": [{"name": "a"}]}, {"subject": [{"name": "a", "digest": {}}]},
    {"subject": [{"name": 1, "digest": {"sha256": "a"}}]}, {"subject": [{"digest": {"sha256": 1}}]}])
def test_a_malformed_statement_is_bad_input(change: dict[str, Any]) -> None:
    ForeignStatement.of(json.dumps(STATEMENT).encode())
    with pytest.raises(BadInput):
        ForeignStatement.of(json.dumps(STATEMENT | change).encode())


def test_each_kind_of_key_checks_its_own_algorithm() -> None:
    message = b"message"
    numbers = rsa.generate_private_key(65_537, 2_048)
    assert public_of(numbers).signed(message, numbers.sign(message, padding.PKCS1v15(), SHA256()))
    assert not public_of(numbers).signed(message, numbers.sign(b"other", padding.PKCS1v15(), SHA256()))
    curve = ec.generate_private_key(ec.SECP256R1())
    assert public_of(curve).signed(message, curve.sign(message, ec.ECDSA(SHA256())))
    assert not public_of(curve).signed(message, numbers.sign(message, padding.PKCS1v15(), SHA256()))
    edwards = ed25519.Ed25519PrivateKey.generate()
    assert public_of(edwards).signed(message, edwards.sign(message))
    assert not public_of(edwards).signed(message, b"")


def test_other_keys_are_not_read() -> None:
    weak = rsa.generate_private_key(65_537, 1_024).public_key()
    koblitz, old = ec.generate_private_key(ec.SECP256K1()), dsa.generate_private_key(1_024)
    for key in (weak, koblitz.public_key(), old.public_key()):
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(BadInput, match="not read"):
            ForeignKey.of(pem)
    for text in (b"", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", bytes(1 << 17)):
        with pytest.raises(BadInput, match="not a public key"):
            ForeignKey.of(text)


# Keeping them

def test_a_foreign_statement_is_kept_as_its_bytes(party: Troth, signer: ed25519.Ed25519PrivateKey) -> None:
    about = party.attest("dataset", [_subject()], {})
    data = envelope(signer, json.dumps(STATEMENT).encode())
    found, key = formats.check_signed(data, key=public_of(signer))
    claim = formats.import_signed(party, data, key, [Ref("about", about)])
    statement = party.statement(claim)
    link = Link.of(statement)
    assert link.issuer == key.name
    assert link.predicate_type == "https://slsa.dev/provenance/v1"
    assert link.foreign == hashlib.sha256(found.signed_bytes()).digest() == found.id
    assert statement.all_refs("about") == (about,)
    assert [one.name for one in statement.subjects] == ["foreign", "a.bin"]
    kept = party.read(statement.evidence[0])
    assert kept == data  # spacing and all: the signature is over the payload's very bytes
    link.check(formats.read_signed(kept)[0], key)


def test_a_link_says_whose_and_which(party: Troth, signer: ed25519.Ed25519PrivateKey) -> None:
    data = envelope(signer, json.dumps(STATEMENT).encode())
    key, other = public_of(signer), ed25519.Ed25519PrivateKey.generate()
    link = Link.of(party.statement(formats.import_signed(party, data, key)))
    with pytest.raises(Refuted):
        link.check(formats.read_signed(data)[0], public_of(other))
    second = envelope(signer, json.dumps(STATEMENT | {"predicate": {}}).encode())
    with pytest.raises(BadInput, match="another document"):
        link.check(formats.read_signed(second)[0], key)


def test_nothing_is_kept_of_what_another_signed(party: Troth, signer: ed25519.Ed25519PrivateKey) -> None:
    data, stranger = envelope(signer, json.dumps(STATEMENT).encode()), ed25519.Ed25519PrivateKey.generate()
    size = party.log.size
    with pytest.raises(Refuted, match="no signature is this key's"):
        formats.import_signed(party, data, public_of(stranger))
    assert party.log.size == size
    assert not list(party.blobs.names())
    with pytest.raises(Misuse, match="whom you believe"):
        formats.check_signed(data)


def test_a_payload_that_is_no_statement_is_kept_too(party: Troth, signer: ed25519.Ed25519PrivateKey) -> None:
    data = envelope(signer, b"anything", "application/octet-stream")
    statement = party.statement(formats.import_signed(party, data, public_of(signer)))
    assert Link.of(statement).predicate_type == ""
    assert [one.name for one in statement.subjects] == ["foreign"]


def test_a_statement_must_be_about_the_file_asked_for(signer: ed25519.Ed25519PrivateKey, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"content")
    said = STATEMENT | {"subject": [{"name": "a.bin", "digest": {"sha256": hashlib.sha256(b"content").hexdigest()}}]}
    data = envelope(signer, json.dumps(said).encode())
    formats.check_signed(data, key=public_of(signer), file=file)
    file.write_bytes(b"another")
    with pytest.raises(Refuted, match="about something else"):
        formats.check_signed(data, key=public_of(signer), file=file)


def test_a_certificate_can_say_who_signed(signer: ed25519.Ed25519PrivateKey) -> None:
    root, root_key = authority("root")
    leaf, private = issue("signer", root, root_key)
    payload = json.dumps(STATEMENT).encode()
    signature = private.sign(pae(KIND, payload), ec.ECDSA(SHA256()))
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {
        "x509CertificateChain": {"certificates": [
            {"rawBytes": base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()}]}},
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": KIND,
                         "signatures": [{"sig": base64.b64encode(signature).decode()}]}}
    now = 1_790_000_000
    found, key = formats.check_signed(json.dumps(bundle).encode(), roots=[root], now=now)
    assert found.statement().predicate_type == "https://slsa.dev/provenance/v1"
    assert key.name == ForeignKey.checked(leaf.public_key()).name
    with pytest.raises(BadInput, match="no certificate"):
        formats.check_signed(envelope(signer, payload), roots=[root], now=now)
    with pytest.raises(Refuted, match="no root"):
        formats.check_signed(json.dumps(bundle).encode(), roots=[authority("other")[0]], now=now)


@pytest.mark.parametrize("change", [{"document": "ab"}, {"foreign": 1}, {"surplus": ""}, {"issuer": None}])
def test_a_link_is_read_strictly(party: Troth, signer: ed25519.Ed25519PrivateKey, change: dict[str, Any]) -> None:
    statement = party.statement(formats.import_signed(party, envelope(signer, b"x", "text/plain"), public_of(signer)))
    body = dict(statement.body) | change
    with pytest.raises(BadInput):
        Link.of(Statement(LINK, statement.issuer, 1, statement.subjects, body, evidence=statement.evidence))
    with pytest.raises(BadInput, match="foreign document"):
        Link.of(Statement(LINK, statement.issuer, 1, statement.subjects, statement.body))


def _subject() -> Any:
    from troth.app import file_subject  # only this test needs a claim of its own

    return file_subject("rows.csv", b"rows")
