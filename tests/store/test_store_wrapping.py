"""Wrapping data keys to recipients."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, Undecidable
from troth.store.cid import Cid
from troth.store.wrapping import OVERHEAD, PUBLIC_LENGTH, RecipientKey, RecipientPublic, unwrap, wrap

KEY = RecipientKey(bytes(range(32)))
OTHER = RecipientKey(bytes(range(1, 33)))
INFO = Cid.of(b"ciphertext").encode()
SECRET = bytes(range(100, 132))
WRAPPED = wrap(SECRET, KEY.public(), INFO)


def test_round_trip() -> None:
    key = RecipientKey.generate()
    public = RecipientPublic(key.public().data)  # as it arrives elsewhere
    for length in (1, 32, 48, 1000):
        secret = os.urandom(length)
        wrapped = wrap(secret, public, INFO)
        assert len(wrapped) == length + OVERHEAD
        assert unwrap(wrapped, RecipientKey(key.seed), INFO) == secret
        assert wrap(secret, public, INFO) != wrapped


def test_outside_vector() -> None:
    """draft-ietf-hpke-pq's vector: its seed gives its public key, and that key opens its ciphertext.

    The vector's suite has another AEAD and associated data, which the library offers only to its own tests.
    """
    file = Path(__file__).parents[1] / "vectors/hpke-pq/mlkem768-x25519.json"
    vector = json.loads(file.read_text())
    key = RecipientKey(bytes.fromhex(vector["skRm"]))
    assert key.public().data.hex() == vector["pkRm"]
    first = vector["encryptions"][0]
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    text = openssl.hpke._decrypt_with_aad(
        suite, bytes.fromhex(vector["enc"] + first["ct"]), hpke.MLKEM768X25519PrivateKey(*key._halves()),
        bytes.fromhex(vector["info"]), bytes.fromhex(first["aad"]))
    assert text.hex() == first["pt"]


def test_keys_follow_x_wing() -> None:
    """Seed to key as draft-connolly-cfrg-xwing-kem says: SHAKE-256 to 96 bytes, ML-KEM-768 first, X25519 last."""
    expanded = hashlib.shake_256(KEY.seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key().public_bytes_raw()
    x25519 = X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()
    assert KEY.public().data == mlkem + x25519
    assert len(KEY.public().data) == PUBLIC_LENGTH == 1216


def test_another_recipient_or_purpose_is_undecidable() -> None:
    for key, info in ((OTHER, INFO), (KEY, Cid.of(b"another").encode()), (KEY, b""), (KEY, INFO + b"\0")):
        with pytest.raises(Undecidable, match="this key does not open it"):
            unwrap(WRAPPED, key, info)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(WRAPPED) - 1), st.integers(0, 7))
def test_a_flipped_bit_never_gives_another_secret(at: int, bit: int) -> None:
    changed = bytearray(WRAPPED)
    changed[at] ^= 1 << bit
    with pytest.raises(Undecidable):
        unwrap(bytes(changed), KEY, INFO)


def test_even_the_bit_x25519_ignores_counts() -> None:
    """X-Wing hashes the encapsulation's bytes, so there is one spelling of it."""
    with pytest.raises(Undecidable):
        unwrap(WRAPPED[:1119] + bytes([WRAPPED[1119] ^ 0x80]) + WRAPPED[1120:], KEY, INFO)


def test_cut_or_longer() -> None:
    for changed in (WRAPPED[:-1], WRAPPED + b"\0", WRAPPED[1:]):
        with pytest.raises(Undecidable):
            unwrap(changed, KEY, INFO)
    for short in (b"", WRAPPED[:OVERHEAD]):
        with pytest.raises(BadInput, match="not a wrapped key"):
            unwrap(short, KEY, INFO)


def test_public_keys_that_are_none() -> None:
    data = KEY.public().data
    for bad in (b"", data[:-1], data + b"\0", b"\xff" * PUBLIC_LENGTH):
        with pytest.raises(BadInput, match="public key"):
            RecipientPublic(bad)
    for point in (bytes(32), b"\x01" + bytes(31)):  # small order: the shared secret would be known to all
        with pytest.raises(BadInput, match="public key"):
            wrap(SECRET, RecipientPublic(data[:1184] + point), INFO)
    with pytest.raises(Undecidable):
        unwrap(WRAPPED[:1088] + bytes(32) + WRAPPED[1120:], KEY, INFO)


def test_private_keys_have_one_length_and_are_not_shown() -> None:
    for bad in (b"", bytes(31), bytes(33), bytes(96)):
        with pytest.raises(BadInput, match="private key"):
            RecipientKey(bad)
    for text in (repr(KEY), str(KEY), f"{KEY}"):
        assert KEY.seed.hex() not in text
        assert repr(KEY.seed) not in text


def test_nothing_to_wrap_is_misuse() -> None:
    for secret, info in ((b"", INFO), (SECRET, b"")):
        with pytest.raises(Misuse):
            wrap(secret, KEY.public(), info)
