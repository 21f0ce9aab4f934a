"""The resolver port, and the methods that need nobody: did:key of every type, did:pkh, long did:peer:4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted, TrothError, Undecidable
from troth.identity import did as dids
from troth.identity import keydids, keys, keytypes
from troth.identity.multibase import multibase_base58, multibase_base64url, multibase_decode, varint
from troth.identity.resolution import (
    InvalidDocument,
    MethodNotSupported,
    NotFound,
    Resolution,
    Resolvers,
    When,
    check_document,
    code,
    parts,
    read_time,
    read_url,
    refused,
    write_time,
)

VECTORS = Path(__file__).parents[1] / "vectors"
ALL = Resolvers({"key": keydids.KeyMethod(), "pkh": keydids.PkhMethod(), "peer": keydids.LongPeerMethod()})
FORMS = {"JsonWebKey2020": "jwk"}
# The vector of a G1 and a G2 key in one: a document of the G1 half alone, in a spelling of its key of its own.
NOT_OURS = ("did:key:z5Tc",)


def cases() -> list[tuple[str, dict[str, Any]]]:
    """(did, document) of the vectors of the types that Troth does not sign with."""
    found = []
    for name in ("nist-curves", "rsa", "bls12381"):
        found += [(did, case["didDocument"])
                  for did, case in json.loads((VECTORS / "did-key" / f"{name}.json").read_text()).items()]
    return found + list(json.loads((VECTORS / "did-key" / "x25519.json").read_text())["didDocument"].items())


CASES = cases()
OURS = [(did, document) for did, document in CASES if not did.startswith(NOT_OURS)]


def test_all_vectors_of_other_key_types_are_here() -> None:
    kinds = [keydids.read_any_key(did).kind.name for did, _ in OURS]
    assert {name: kinds.count(name) for name in kinds} == {"p-256": 3, "p-384": 2, "p-521": 2, "rsa": 2,
                                                           "bls12-381-g2": 5, "x25519": 4}
    assert len(CASES) == len(OURS) + 1


@pytest.mark.parametrize(("did", "document"), OURS, ids=[did[-8:] for did, _ in OURS])
def test_did_key_vectors_of_other_types(did: str, document: dict[str, Any]) -> None:
    form = FORMS.get(document["verificationMethod"][0]["type"], "2018")
    assert keydids.key_document(did, form) == document
    resolved = ALL.resolve(did).document
    assert resolved is not None
    assert resolved["verificationMethod"][0]["publicKeyMultibase"] == did.removeprefix("did:key:")
    assert [name for name in resolved if name not in ("@context", "verificationMethod")] == \
        [name for name in ("id", "assertionMethod", "authentication", "capabilityInvocation", "capabilityDelegation",
                           "keyAgreement") if name in document]


def test_the_vector_of_two_keys_in_one_is_refused() -> None:
    (did,) = [did for did, _ in CASES if did.startswith(NOT_OURS)]
    with pytest.raises(BadInput, match="unknown key type"):
        ALL.resolve(did)


def test_did_key_of_ml_dsa_in_the_spelling_of_its_vector() -> None:
    vector = json.loads((VECTORS / "did-key-pq" / "mldsa44.json").read_text())
    key = keydids.read_any_key(vector["did"])
    assert (key.kind.name, key.raw.hex()) == ("ml-dsa-44", vector["publicKeyHex"])
    document = ALL.resolve(vector["did"]).document
    assert document is not None
    assert document["verificationMethod"][0]["publicKeyMultibase"] == vector["did"].removeprefix("did:key:")
    assert "keyAgreement" not in document
    assert keydids.key_document(vector["did"], "jwk")["verificationMethod"][0]["publicKeyJwk"]["alg"] == "ML-DSA-44"


@pytest.mark.parametrize(("codec", "size"), [(0x1210, 1312), (0x1211, 1952), (0x1212, 2592)])
def test_did_key_of_each_ml_dsa(codec: int, size: int) -> None:
    data = varint(codec) + bytes(size)
    for text in (multibase_base58(data), multibase_base64url(data)):
        document = ALL.resolve("did:key:" + text).document
        assert document is not None
        assert document["verificationMethod"][0]["publicKeyMultibase"] == text
    for wrong in (size - 1, size + 1):
        with pytest.raises(BadInput, match="wrong size"):
            ALL.resolve("did:key:" + multibase_base58(varint(codec) + bytes(wrong)))


@pytest.mark.parametrize("data", [
    varint(0x1200) + b"\x02" + b"\xff" * 32,  # no point of P-256
    varint(0x1200) + b"\x04" + bytes(32),  # another form of a point
    varint(0x1201) + b"\x02" + b"\xff" * 48,
    varint(0x1202) + b"\x02" + b"\xff" * 66,
    varint(0x1205) + bytes.fromhex("3006020100020103"),  # no modulus
    varint(0x1205) + bytes.fromhex("300902040fffffff020103"),  # 28 bits
    varint(0x1205) + b"\x30",
    varint(0xEB) + b"\xc0" + bytes(95),  # the point at infinity
    varint(0xEB) + b"\xff" * 96,
    varint(0xEB) + b"\x80" + bytes(94) + b"\x02",  # a point of the curve, not of the subgroup
    varint(0xEC) + bytes(31),
    varint(0x1209) + bytes(32),
    b"\x80\xa4\x00" + b"\x02" + bytes(32),  # a longer spelling of P-256's codec
], ids=lambda data: data[:4].hex())
def test_did_key_refuses_what_is_no_key(data: bytes) -> None:
    with pytest.raises(BadInput):
        ALL.resolve("did:key:" + multibase_base58(data))


def test_an_rsa_key_in_another_spelling_is_refused() -> None:
    did = next(did for did, _ in CASES if did.startswith("did:key:z4MX"))
    raw = keydids.read_any_key(did).raw
    assert raw[:2] == b"\x30\x82"
    # DER's length in one byte more, a zero in front of the modulus, and a byte after the key.
    for other in (b"\x30\x83\x00" + raw[2:], raw[:4] + b"\x02\x82\x01\x02\0" + raw[8:], raw + b"\0"):
        with pytest.raises(BadInput):
            ALL.resolve("did:key:" + multibase_base58(varint(0x1205) + other))


def test_key_confusion_one_key_under_two_codecs_is_two_identifiers() -> None:
    ed = keys.key_pair(keys.ED25519, bytes(range(32))).public
    other = "did:key:" + multibase_base58(varint(0xEC) + ed.raw)
    document = ALL.resolve(other).document
    assert document is not None
    assert "assertionMethod" not in document  # a key that agrees signs nothing
    with pytest.raises(BadInput, match="another spelling"):
        ALL.resolve("did:key:" + multibase_base64url(ed.multikey))
    with pytest.raises(BadInput):
        dids.read_key_did(other)


@given(st.sampled_from(OURS), st.data())
def test_a_changed_letter_is_another_key_or_none(case: tuple[str, Any], data: st.DataObject) -> None:
    did = case[0]
    at = data.draw(st.integers(len("did:key:z"), len(did) - 1))
    letter = data.draw(st.sampled_from("123456789ABCabc"))
    changed = did[:at] + letter + did[at + 1:]
    try:
        found = keydids.read_any_key(changed)
    except BadInput:
        return
    assert (found.multikey == multibase_decode(did.removeprefix("did:key:"))) == (changed == did)


@pytest.mark.parametrize("name", ["eip155-1", "eip155-137", "eip155-42220"])
def test_did_pkh_vectors(name: str) -> None:
    document = json.loads((VECTORS / "did-pkh" / f"{name}.json").read_text())
    assert ALL.resolve(document["id"]).document == document


def test_did_pkh_of_a_checksummed_address_and_of_a_wrong_one() -> None:
    did = dids.ChainAccount(1, bytes(range(0xA0, 0xB4))).did
    document = ALL.resolve(did).document
    assert document is not None
    assert document["verificationMethod"][0]["blockchainAccountId"] == did.removeprefix("did:pkh:")
    assert any(letter.isupper() for letter in did)
    with pytest.raises(BadInput, match="checksum"):
        ALL.resolve(did.swapcase().replace("DID:PKH:EIP155", "did:pkh:eip155").replace("0X", "0x"))


def test_did_pkh_of_another_family_is_not_supported() -> None:
    with pytest.raises(MethodNotSupported):
        ALL.resolve("did:pkh:bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6")


def test_long_did_peer_4() -> None:
    short, long = dids.peer4(b'{"verificationMethod":[{"id":"#a","type":"Multikey"}]}')
    found = ALL.resolve(long)
    assert found.document is not None
    assert found.document["id"] == long
    assert found.metadata == {"equivalentId": [short]}
    with pytest.raises(BadInput):
        ALL.resolve(short)
    with pytest.raises(MethodNotSupported):
        ALL.resolve("did:peer:2.Ez6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc")
    other = dids.peer4(b'{"verificationMethod":[{"id":"#b","type":"Multikey"}]}')[1]
    with pytest.raises(Refuted):
        ALL.resolve(short + other[other.index(":z"):])


def test_long_did_peer_4_with_two_methods_of_one_name_is_refused() -> None:
    _, long = dids.peer4(b'{"verificationMethod":[{"id":"#a","type":"x"},{"id":"#a","type":"y"}]}')
    with pytest.raises(Refuted, match="one name"):
        ALL.resolve(long)


@pytest.mark.parametrize("did", ["", "did", "did:", "did:key", "did:key:", "DID:key:z6Mk", "did:Key:z6Mk", "did:a:b c",
                                 "did:key:z6Mk#z6Mk", "did:web:example.com/path", "did:web:example.com?versionId=1",
                                 "did:web:example.com%3", "did:web:example.com:", "did:key:ü", "did:key:z\n",
                                 "did:key:" + "z" * 20_000])
def test_what_is_no_did_is_refused(did: str) -> None:
    with pytest.raises(BadInput, match="not a DID"):
        parts(did)


def test_did_urls_that_ask_for_a_version() -> None:
    assert read_url("did:x:y") == ("did:x:y", When())
    assert read_url("did:x:y?versionId=1-a%20b") == ("did:x:y", When("1-a b"))
    assert read_url("did:x:y?versionTime=1970-01-01T00:01:00Z") == ("did:x:y", When(time=60))
    assert read_url("did:x:y?versionTime=1970-01-01T00%3A01%3A00Z") == ("did:x:y", When(time=60))
    for wrong in ("did:x:y?", "did:x:y?versionId=", "did:x:y?versionId=1&versionTime=2", "did:x:y?service=files",
                  "did:x:y/path?versionId=1", "did:x:y#a?versionId=1", "did:x:y?versionTime=1", "?versionId=1"):
        with pytest.raises(BadInput):
            read_url(wrong)


def test_an_unknown_method_is_not_supported() -> None:
    with pytest.raises(MethodNotSupported) as caught:
        ALL.resolve("did:example:123")
    assert caught.value.exit_status == 3
    assert refused(caught.value)["didResolutionMetadata"]["error"] == "methodNotSupported"


def test_methods_without_history_refuse_a_version() -> None:
    did = dids.key_did(keys.key_pair(keys.ED25519, bytes(32)).public)
    for when in (When("1"), When(time=1)):
        with pytest.raises(NotFound):
            ALL.resolve(did, when)
    with pytest.raises(Misuse):
        When("1", 1)


@pytest.mark.parametrize(("error", "name"), [
    (NotFound("x"), "notFound"), (MethodNotSupported("x"), "methodNotSupported"), (BadInput("x"), "invalidDid"),
    (Refuted("x"), "invalidDid"), (InvalidDocument("x"), "invalidDidDocument"),
    (Undecidable("x"), "internalError"), (Pending("x"), "internalError"),
    (OutsideFailed("x"), "internalError")])
def test_codes_of_errors(error: TrothError, name: str) -> None:
    assert code(error) == name


def test_results_as_w3c_writes_them() -> None:
    found = Resolution("did:x:y", None, {"deactivated": True})
    assert found.deactivated
    assert found.to_dict() == {"didDocument": None, "didDocumentMetadata": {"deactivated": True},
                               "didResolutionMetadata": {"contentType": "application/did"}}


@pytest.mark.parametrize("document", [[], "x", None, {"id": "did:x:y", "verificationMethod": {}},
                                      {"id": "did:x:y", "verificationMethod": ["x"]},
                                      {"id": "did:x:y", "verificationMethod": [{"id": "#a"}]},
                                      {"id": "did:x:y", "verificationMethod": [{"id": 1, "type": "x"}]}])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(InvalidDocument):
        check_document(document, "did:x:y")


@pytest.mark.parametrize("identifier", ["did:x:z", None, 1, ["did:x:y"]])
def test_a_document_of_another_identifier_is_refused(identifier: Any) -> None:
    with pytest.raises(Refuted, match="another identifier"):
        check_document({"id": identifier}, "did:x:y")


@given(st.integers(0, 4_102_444_799))
def test_times_are_read_as_they_are_written(seconds: int) -> None:
    assert read_time(write_time(seconds)).timestamp() == seconds


@pytest.mark.parametrize("text", ["", "2025-01-01", "2025-01-01T00:00:00", "2025-01-01T00:00:00+01:00",
                                  "2025-02-30T00:00:00Z", "2025-01-01T24:00:00Z", "2025-01-01t00:00:00z",
                                  "2025-01-01T00:00:00.Z", " 2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z\n"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_time(text)


def test_the_table_of_types_has_one_row_a_codec() -> None:
    assert len({kind.codec for kind in keytypes.TYPES}) == len(keytypes.TYPES) == 11
