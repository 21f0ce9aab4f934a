"""Key pairs: known answers, one form for one signature, weak keys, and secrets that never show."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse
from troth.identity import keys

SUITES = [keys.ED25519, keys.SECP256K1, keys.ML_DSA_65]
SEED = bytes(range(1, 33))
PAIRS = {suite: keys.key_pair(suite, SEED) for suite in SUITES}
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def test_rfc_8032_section_7_1() -> None:
    first = keys.key_pair(keys.ED25519, bytes.fromhex(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert first.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert first.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b")


@pytest.mark.parametrize("suite", SUITES)
def test_what_one_key_signs_only_it_verifies(suite: str) -> None:
    pair, other = PAIRS[suite], keys.key_pair(suite, bytes(31) + b"\x07")
    signature = pair.sign(b"message")
    assert len(signature) == pair.public.signature_size
    assert pair.public.verify(b"message", signature)
    assert not pair.public.verify(b"messagf", signature)
    assert not other.public.verify(b"message", signature)
    assert keys.public_key(suite, pair.public.raw) == pair.public
    assert keys.from_multikey(pair.public.multikey) == pair.public
    assert pair.public != other.public
    assert pair.public != pair.public.raw
    assert hash(keys.from_multikey(pair.public.multikey)) == hash(pair.public)
    assert pair.reveal_seed() == SEED


@pytest.mark.parametrize("suite", SUITES)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_a_changed_signature_never_verifies(suite: str, at: int, bit: int) -> None:
    signature = bytearray(PAIRS[suite].sign(b"message"))
    signature[at % len(signature)] ^= 1 << bit
    assert not PAIRS[suite].public.verify(b"message", bytes(signature))


@pytest.mark.parametrize("suite", SUITES)
def test_a_signature_has_one_length(suite: str) -> None:
    signature = PAIRS[suite].sign(b"message")
    for wrong in (b"", signature[:-1], signature + b"\x00", b"\x00" + signature, bytes(len(signature)),
                  b"\xff" * len(signature)):
        assert not PAIRS[suite].public.verify(b"message", wrong)


def test_ed25519_is_not_malleable() -> None:
    signature = PAIRS[keys.ED25519].sign(b"message")
    moved = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    assert not PAIRS[keys.ED25519].public.verify(b"message", signature[:32] + moved.to_bytes(32, "little"))


def test_secp256k1_is_not_malleable() -> None:
    signature = PAIRS[keys.SECP256K1].sign(b"message")
    moved = SECP256K1_ORDER - int.from_bytes(signature[32:], "big")
    assert not PAIRS[keys.SECP256K1].public.verify(b"message", signature[:32] + moved.to_bytes(32, "big"))


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18,
                               keys.ed25519_y(bytes.fromhex(
                                   "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
                               keys.ed25519_y(bytes.fromhex(
                                   "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))])
@pytest.mark.parametrize("sign", [0, 2**255])
def test_ed25519_refuses_small_order_and_non_canonical_points(y: int, sign: int) -> None:
    with pytest.raises(BadInput, match="weak or malformed"):
        keys.public_key(keys.ED25519, (y | sign).to_bytes(32, "little"))


def test_the_order_eight_points_are_what_they_are_taken_for() -> None:
    # Twice a point has y = 0 exactly where d y^4 + 2 y^2 - 1 = 0; y = 0 has order four.
    p, d = 2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19)
    assert (d * keys._ORDER8_Y**4 + 2 * keys._ORDER8_Y**2 - 1) % p == 0


def test_ed25519_refuses_what_is_not_on_the_curve() -> None:
    refused = 0
    for y in range(2, 42):
        try:
            keys.public_key(keys.ED25519, y.to_bytes(32, "little"))
        except BadInput:
            refused += 1
    assert 10 < refused < 30  # about half of all numbers are no y coordinate


@pytest.mark.parametrize("raw", [bytes(33), b"\x02" + b"\xff" * 32, b"\x04" + bytes(32), b"\x02" * 32, b"\x02" * 34])
def test_secp256k1_refuses_what_is_no_point(raw: bytes) -> None:
    with pytest.raises(BadInput):
        keys.public_key(keys.SECP256K1, raw)


@pytest.mark.parametrize("suite", SUITES)
def test_sizes_are_exact(suite: str) -> None:
    raw = PAIRS[suite].public.raw
    for wrong in (b"", raw[:-1], raw + b"\x00"):
        with pytest.raises(BadInput, match="wrong size"):
            keys.public_key(suite, wrong)
    for seed in (b"", SEED[:-1], SEED + b"\x00"):
        with pytest.raises(BadInput, match="wrong size"):
            keys.key_pair(suite, seed)


def test_a_secp256k1_scalar_is_between_one_and_the_order() -> None:
    for scalar in (0, SECP256K1_ORDER, 2**256 - 1):
        with pytest.raises(BadInput, match="not a secp256k1 private key"):
            keys.key_pair(keys.SECP256K1, scalar.to_bytes(32, "big"))


def test_unknown_codecs_are_refused() -> None:
    for data in (b"", b"\xed", b"\xec\x01" + bytes(32), b"\x80\x24" + bytes(33)):
        with pytest.raises(BadInput):
            keys.from_multikey(data)


def test_ml_dsa_signs_in_its_own_domain() -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import mldsa

    foreign = mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED)
    public = PAIRS[keys.ML_DSA_65].public
    assert foreign.public_key().public_bytes_raw() == public.raw
    assert public.verify(b"m", foreign.sign(b"m", b"troth/v1"))
    for context in (b"", b"troth", b"troth/v2"):
        assert not public.verify(b"m", foreign.sign(b"m", context))
    with pytest.raises(InvalidSignature):
        foreign.public_key().verify(PAIRS[keys.ML_DSA_65].sign(b"m"), b"m")


def test_ml_dsa_signing_is_hedged() -> None:
    assert PAIRS[keys.ML_DSA_65].sign(b"m") != PAIRS[keys.ML_DSA_65].sign(b"m")


def test_an_account_signs_digests_and_is_recovered() -> None:
    pair = keys.Secp256k1KeyPair(SEED)
    digest = keccak256(b"text")
    signature = pair.sign_digest(digest)
    assert keys.recover_account(digest, signature) == pair.public.account
    assert keys.recover_account(keccak256(b"other"), signature) != pair.public.account
    moved = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    high = signature[:32] + moved.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])
    for wrong in (b"", signature[:64], signature + b"\x00", signature[:64] + b"\x00", signature[:64] + b"\x1d", high,
                  bytes(64) + b"\x1b", b"\xff" * 32 + signature[32:]):
        assert keys.recover_account(digest, wrong) is None
    with pytest.raises(BadInput, match="wrong size of a digest"):
        pair.sign_digest(b"short")


@pytest.mark.parametrize("suite", SUITES)
def test_secrets_never_show(suite: str) -> None:
    pair = PAIRS[suite]
    for text in (repr(pair), str(pair), f"{pair}", repr(pair.public)):
        assert SEED.hex() not in text
        assert repr(SEED) not in text
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(Misuse, match="never pickled") as refusal:
            leak(pair)
        assert SEED.hex() not in "".join(traceback.format_exception(refusal.value))


def test_a_refused_seed_does_not_show() -> None:
    for suite, seed in (("ed25519", b"\x11" * 31), ("secp256k1", b"\xff" * 32)):
        with pytest.raises(BadInput) as refusal:
            keys.key_pair(suite, seed)
        shown = "".join(traceback.format_exception(refusal.value))
        assert seed.hex() not in shown
        assert repr(seed) not in shown
