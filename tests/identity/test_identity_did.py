"""did:key against the official vectors, did:peer:4 against the method's own examples, did:pkh against EIP-55's."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, Refuted
from troth.identity import did as dids
from troth.identity import keydids, keys
from troth.identity.multibase import (
    base58_decode,
    base58_encode,
    multibase_base58,
    multibase_base64url,
    multibase_decode,
    varint,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "did-key"
CASES = [(name, did, case) for name in ("ed25519-x25519", "secp256k1")
         for did, case in json.loads((VECTORS / f"{name}.json").read_text()).items()]

# From the README of the method's reference implementation (decentralized-identity/did-peer-4, Apache-2.0).
HELLO = (b'{"hello":"world"}',
         "did:peer:4zQmb7xLdVY9TXx8oov5XgpGUmGELgqiAV2699s43i6Qdm3M:zQSJgiFTYiCHjQ9MktwNThRXM7a")
KEYED_SHORT = "did:peer:4zQmQabhRUiFPAmn7CX6B8V6qmfrs7nQQyFb6zAD7EAWvW3c"
KEYED = {
    "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
    "verificationMethod": [
        {"id": "#key-0", "type": "Multikey", "publicKeyMultibase": "z6MkqRYqQiSgvZQdnBytw86Qbs2ZWUkGv22od935YF4s8M7V"},
        {"id": "#key-1", "type": "Multikey", "publicKeyMultibase": "z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc"},
    ],
    "authentication": ["#key-0"],
    "capabilityDelegation": ["#key-0"],
    "service": [{"id": "#didcomm-0", "type": "DIDCommMessaging",
                 "serviceEndpoint": {"uri": "didcomm:transport/queue", "accept": ["didcomm/v2"]}}],
    "keyAgreement": ["#key-1"],
}


def test_all_eleven_vectors_are_here() -> None:
    assert [name for name, _, _ in CASES] == ["ed25519-x25519"] * 5 + ["secp256k1"] * 6


@pytest.mark.parametrize(("name", "did", "case"), CASES, ids=[did[-8:] for _, did, _ in CASES])
def test_did_key_vectors(name: str, did: str, case: dict[str, Any]) -> None:
    key = dids.read_key_did(did)
    assert dids.key_did(key) == did
    pair = case["verificationKeyPair"]
    assert pair["controller"] == did
    assert (did + pair["id"] if pair["id"].startswith("#") else pair["id"]) == dids.key_method(did)
    if "publicKeyBase58" in pair:
        assert base58_encode(key.raw) == pair["publicKeyBase58"]
    seed = _seed(case)
    mine = keys.key_pair(key.suite, seed)
    assert mine.public == key
    assert key.verify(b"message", mine.sign(b"message"))
    form = {"JsonWebKey2020": "jwk"}.get(case["didDocument"]["verificationMethod"][0]["type"], "2018")
    expected = dict(case["didDocument"])
    assert keydids.key_document(did, form) == expected
    if name == "ed25519-x25519":
        agreement = case["keyAgreementKeyPair"]
        derived = keys.x25519_of_ed25519(key.raw)
        if "publicKeyBase58" in agreement:
            assert base58_encode(derived) == agreement["publicKeyBase58"]
        else:
            assert base64.urlsafe_b64encode(derived).rstrip(b"=").decode() == agreement["publicKeyJwk"]["x"]


def _seed(case: dict[str, Any]) -> bytes:
    if "seed" in case:
        return bytes.fromhex(case["seed"])
    text = case["verificationKeyPair"]["privateKeyJwk"]["d"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_todays_document_of_a_did_key() -> None:
    did = CASES[0][1]
    document = keydids.key_document(did)
    assert [method["type"] for method in document["verificationMethod"]] == ["Multikey", "Multikey"]
    assert did.endswith(document["verificationMethod"][0]["publicKeyMultibase"])
    assert dids.key_did(keys.key_pair(keys.ML_DSA_65, bytes(32)).public).startswith("did:key:u")
    with pytest.raises(BadInput, match="no such did:key document"):
        keydids.key_document(did, "jwks")


@pytest.mark.parametrize("did", [
    "", "did:key:", "did:key:z", "did:web:example.com", "DID:key:z6Mk", "did:key:f00",
    CASES[0][1] + "#x", CASES[0][1] + "1", CASES[0][1][:-1], CASES[0][1] + "\n", CASES[0][1].replace("z6", "z16"),
    CASES[0][1].replace("z6Mk", "z6Ml0"), "did:key:" + multibase_base58(varint(0xEC) + bytes(32)),
    "did:key:" + multibase_base58(varint(0xED) + bytes(31)), "did:key:" + multibase_base58(varint(0xE7) + bytes(33)),
    "did:key:" + multibase_base64url(varint(0xED) + bytes(range(32))), "did:key:z" + "2" * 70_000,
    # A key whose multicodec prefix is a longer spelling of the same number.
    "did:key:" + multibase_base58(b"\xed\x81\x00" + base58_decode(CASES[0][1][9:])[2:]),
])
def test_did_key_refuses(did: str) -> None:
    with pytest.raises(BadInput):
        dids.read_key_did(did)


def test_did_peer_4_examples() -> None:
    document, long = HELLO
    short = long.partition(":z")[0]
    assert dids.peer4(document) == (short, long)
    assert dids.read_peer4(long) == (short, document)
    assert dids.peer4_document(long) == {"hello": "world", "alsoKnownAs": [short], "id": long}
    assert dids.is_peer4(short)
    assert not dids.is_peer4(long)


def test_did_peer_4_example_with_keys() -> None:
    document = json.dumps(KEYED, separators=(",", ":")).encode()
    short, long = dids.peer4(document)
    assert short == KEYED_SHORT
    resolved = dids.peer4_document(long)
    assert [method["controller"] for method in resolved["verificationMethod"]] == [long, long]
    assert {name: resolved[name] for name in ("id", "alsoKnownAs")} == {"id": long, "alsoKnownAs": [short]}
    assert {**resolved, "verificationMethod": 0} == {**KEYED, "verificationMethod": 0, "id": long,
                                                     "alsoKnownAs": [short]}


def test_did_peer_4_refuses_a_document_that_is_not_the_hashed_one() -> None:
    short, _ = dids.peer4(b'{"a":1}')
    with pytest.raises(Refuted, match="not the one"):
        dids.read_peer4(short + ":z" + dids.peer4(b'{"a":2}')[1].partition(":z")[2])


@pytest.mark.parametrize("long", [
    "", HELLO[1].partition(":z")[0], HELLO[1].replace("4z", "2z"), HELLO[1] + "0", "did:peer:4zQm:zabc",
    dids.peer4(b"{}")[0] + ":" + multibase_base58(b"{}"), dids.peer4(b"{}")[0] + ":" + multibase_base58(b"\x81\x04{}"),
])
def test_did_peer_4_refuses_other_shapes(long: str) -> None:
    with pytest.raises(BadInput):
        dids.read_peer4(long)


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b'{"id":"did:peer:4"}', b'{"verificationMethod":{}}',
                                      b'{"verificationMethod":["x"]}', b"[" * 20_000, b"\xff"])
def test_did_peer_4_refuses_what_is_no_input_document(document: bytes) -> None:
    with pytest.raises(BadInput):
        dids.peer4_document(dids.peer4(document)[1])


# The examples of EIP-55.
ADDRESSES = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
             "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
             "0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_did_pkh(address: str) -> None:
    account = dids.read_pkh(f"did:pkh:eip155:31337:{address}")
    assert (account.chain, account.account) == (31337, bytes.fromhex(address[2:]))
    assert dids.checksum_address(account.account) == address
    assert account.did == f"did:pkh:eip155:31337:{address}"


@pytest.mark.parametrize("did", [
    f"did:pkh:eip155:1:{ADDRESSES[0].lower()}", f"did:pkh:eip155:1:{ADDRESSES[0].replace('aA', 'Aa')}",
    f"did:pkh:eip155:0:{ADDRESSES[0]}", f"did:pkh:eip155:01:{ADDRESSES[0]}", f"did:pkh:eip155:-1:{ADDRESSES[0]}",
    f"did:pkh:solana:1:{ADDRESSES[0]}", f"did:pkh:eip155:1:{ADDRESSES[0]}\n", f"did:pkh:eip155:1:{ADDRESSES[0]}00",
    "did:pkh:eip155:1:0x", "", f"did:pkh:eip155:１:{ADDRESSES[0]}",
])
def test_did_pkh_refuses(did: str) -> None:
    with pytest.raises(BadInput):
        dids.read_pkh(did)


def test_an_address_has_twenty_bytes() -> None:
    with pytest.raises(BadInput):
        dids.checksum_address(bytes(19))


def test_the_account_of_a_key() -> None:
    # The first account of every development chain, and the private key of the yellow paper's community examples.
    key = keys.Secp256k1KeyPair(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
    assert dids.checksum_address(key.public.account) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@given(st.binary(max_size=80))
def test_base58_round_trip(data: bytes) -> None:
    assert base58_decode(base58_encode(data)) == data
    assert multibase_decode(multibase_base58(data)) == multibase_decode(multibase_base64url(data)) == data


@given(st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", max_size=40))
def test_base58_has_one_spelling(text: str) -> None:
    assert base58_encode(base58_decode(text)) == text


def test_base58_known_answers() -> None:
    # draft-msporny-base58, section 5.
    assert base58_encode(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert base58_encode(b"The quick brown fox jumps over the lazy dog.") == (
        "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z")
    assert base58_encode(bytes.fromhex("0000287fb4cd")) == "11233QC4"


@pytest.mark.parametrize("text", ["", "z0", "zO", "zI", "zl", "mAAAA", "u=", "uAA==", "uAB", "u A", "uA", "fff", "zé"])
def test_multibase_refuses(text: str) -> None:
    with pytest.raises(BadInput):
        multibase_decode(text)


def test_varint() -> None:
    assert [varint(value).hex() for value in (0, 1, 0x7F, 0x80, 0xED, 0x200, 0x1211)] == [
        "00", "01", "7f", "8001", "ed01", "8004", "9124"]


def test_unknown_suites_are_misuse() -> None:
    with pytest.raises(Misuse, match="unknown signature suite"):
        keys.key_pair("rsa", bytes(32))
    with pytest.raises(Misuse, match="unknown signature suite"):
        keys.public_key("rsa", bytes(32))
