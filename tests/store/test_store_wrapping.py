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


def test_a_stored_wrapping_still_opens() -> None:
    """Pins the format: these bytes were wrapped by its first version."""
    assert unwrap(bytes.fromhex(PINNED), KEY, INFO) == SECRET


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


PINNED = (
    "3eb0366522a5c382856981999931ec45ad212e63d1d7fa7de8a521b5260f21ac7f62243496d842aff1dce56c99f8d539355fbb6ad6ddd6bf"
    "c49ee64dd2e0a79d88e2a84fe424f7f80b9ae167b138184b36ccd5e54e1d14fb9bf27398ecf580010e71317175aa390b51628fcba002bde9"
    "7f2a3d33c226c9140c2feb5bff3ceb78c386c0be2974e8f9928a42fd50b67f89d7e8e70c8b3495c224ca1574dabe31d8ee35e2a8ee01893f"
    "d5aeeca0d7e4dfea371b5a25cb74a05b849d2b0da4db96d97f792693ee393c2e028d1cfa48903d76690347cf8becfe243cb98feb8be8ea4b"
    "a7bc253f814a8b85e205e6fcc218d4261a48efe307ca9f967585bc32f2f28b9024cb64ffa003471b8da0957e23139160e1c534d432bd1942"
    "3d98219a307c3a10266c4a5b006c642fcc275953568b49ed4aa36947aaca1270e8069d05e7529068919237bfbe6043d6265be8286dfcfbf9"
    "87c48363a7908ab76447fbfc6f0eb5343dbcf1c0afeae83bc58be743c1450b47350968c8475703a2023431f1152af302addfac929f32c910"
    "f0a8f83f22a951e4d825824d48dbe84f15a4f07b6537e0b1dd2a18cf6ded22efb322ab9daa2caf261f1668d9f8bc1608dccc1d24e4334a17"
    "4ea31d1a323851b73a403d5e57ed0ab2b78b6bbd713fb496f21475bc65c60bbb8686be492cf2f7b2bcbb1eac5b596f6e79bffba83a881a8d"
    "b108b5e50ea1eaa5a152a9b6e93f94f598219b38a7da7cc55b8077721ba621132a568bef26d63e91c55f637eb8993fa42c147a3ea298848a"
    "d5cf3e3a26eeb9eebee03e804bdd87c5977c0b5db1776ea7d5e673141401aac5c6584071a9bba5ef5eedfb8d5948030c09deb70289faf915"
    "95a296a8a56cc530c32fb9e9e1106e3b54f9b3aa6f466a224eee6a04619bb24894774f97287f4307fc3d68843b35e07d55b75b09e328c722"
    "d9fd94e8c7a51648eb8e25e52c65e1de8e192b2c98218c885952cdaa9ce1ea34bef023d253431e5246a5bf6d2a25c35acdd387332bfdcd78"
    "c91b709c8b01df74326351210a2e81159289effcffcce2d6cca521ef9824e3e6a164f4a643fe7304033a5c33d696387bc2c23355795a0f60"
    "09366e997aefb26c3d69f484cde4dc715da0ab25734b47cc8d1af243b4d7588e8f8592501dcd0ddcab9d168137aae7d6d6819a9685c4bfe5"
    "e089e44fb2996f3eafd5460aff3de1fbcc5a1add39e6f38c9569d345f0b73aa58056d5cec04c6ff4783a0ed7ffc075b76ae2c8f5efc8a151"
    "bd386b512d7d2f90c660c29f3850695965177ff2467063d41191637adb5f6c7582ea9795bd7a912f509ed8f8cecb3c1d9036f415e98bfaa2"
    "88c05ff41ed9e6d8c649fa26892fb3415b3851dbbfb8ef870d179b6b3cf7100ef67355cdee6fe0eeae86dc67cb54486037f014622b4c84d9"
    "321d622c45a35f9b8fddf58794310f926bd1bc774c60468b0a83b99bd50ec7b7d49edb94c8e6e14b71ea5c4694bec287d2d8abbd129c2475"
    "df5632cc4f0e53fb2303a199e7b48c5e73134b60e093297fcaa4d5f8d39c7956897406b05744b3dddbe70594e37393b60d6f07d5af310d61"
    "95fd1916e2044f6f2fc18bf808ab8146e519e953b2e5f366976f66ea142cdf85b76b8382fbbf11a01a3f957e81537ad3"
)
