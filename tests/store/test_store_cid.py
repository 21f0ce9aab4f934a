"""CIDs: one spelling each."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.store.cid import Cid, Codec

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


def test_the_well_known_empty_block() -> None:
    assert str(Cid.of(b"")) == EMPTY
    assert Cid.parse(EMPTY) == Cid(Codec.RAW, hashlib.sha256(b"").digest())


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.sampled_from(Codec))
def test_both_forms_round_trip(digest: bytes, codec: Codec) -> None:
    cid = Cid(codec, digest)
    assert Cid.parse(str(cid)) == Cid.from_bytes(cid.encode()) == cid
    assert len(str(cid)) == 59
    assert len(cid.encode()) == 36


@pytest.mark.parametrize("text", [
    "", "b", EMPTY[:-1], EMPTY + "a", EMPTY + "=", EMPTY.upper(), EMPTY[:9] + EMPTY[9].upper() + EMPTY[10:],
    EMPTY[:-1] + "v", EMPTY[:-1] + "x", EMPTY[:-1] + "w",  # the two bits beyond the digest must be zero
    EMPTY.replace("7", "1"), EMPTY[:-1] + "é", EMPTY[:30] + " " + EMPTY[31:], EMPTY[:30] + "\n" + EMPTY[31:],
    "f" + EMPTY[1:], "z" + EMPTY[1:], "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
    "b" + "a" * 58, "b" + "=" * 58,
])
def test_refuses_every_other_spelling(text: str) -> None:
    with pytest.raises(BadInput):
        Cid.parse(text)


@settings(deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=58, max_size=58))
def test_what_is_accepted_is_its_own_spelling(rest: str) -> None:
    for text in ("b" + rest, "bafkrei" + rest[:52], "bafybei" + rest[:52]):
        try:
            cid = Cid.parse(text)
        except BadInput:
            continue
        assert str(cid) == text


@pytest.mark.parametrize("change", [(0, 0), (0, 2), (1, 0x71), (1, 0), (2, 0x13), (3, 31), (3, 33)])
def test_refuses_other_versions_codecs_and_hashes(change: tuple[int, int]) -> None:
    data = bytearray(Cid.of(b"").encode())
    data[change[0]] = change[1]
    with pytest.raises(BadInput):
        Cid.from_bytes(bytes(data))


def test_refuses_other_lengths() -> None:
    data = Cid.of(b"").encode()
    for bad in (b"", data[:-1], data + b"\0"):
        with pytest.raises(BadInput):
            Cid.from_bytes(bad)
    with pytest.raises(BadInput):
        Cid(Codec.RAW, bytes(31))
