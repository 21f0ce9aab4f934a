"""Sealing: round trips, then everything an attacker may do to a ciphertext."""

from __future__ import annotations

import hashlib
import hmac
import io
import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.store import sealing, unixfs
from troth.store.memory import MemoryBlobs
from troth.store.sealing import HEADER_LENGTH, MAGIC, Header, Sealed, check_key, seal, unseal, unseal_stream

MIB = 1 << 20
FIRST = MIB - 96  # plaintext bytes of a full first frame
NEXT = MIB - 16
KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


def sealed_bytes(data: bytes, key: bytes = KEY) -> tuple[Sealed, bytes]:
    blobs = MemoryBlobs()
    done = seal(io.BytesIO(data), blobs, key)
    out = io.BytesIO()
    unixfs.export(done.cid, blobs, out)
    return done, out.getvalue()


def opened(ciphertext: bytes, key: bytes = KEY) -> bytes:
    out = io.BytesIO()
    unseal_stream(io.BytesIO(ciphertext), key, out)
    return out.getvalue()


def refused_unwritten(ciphertext: bytes, key: bytes, match: str) -> None:
    out = io.BytesIO()
    with pytest.raises(Refuted, match=match):
        unseal_stream(io.BytesIO(ciphertext), key, out)
    assert out.getvalue() == b""


# -- what it does --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1, FIRST + NEXT,
                                  FIRST + NEXT + 1, FIRST + 3 * NEXT])
def test_round_trip_at_every_boundary(size: int) -> None:
    data = os.urandom(size)
    blobs = MemoryBlobs()
    done = seal(io.BytesIO(data), blobs)
    frames = 1 + max(0, -(-(size - FIRST) // NEXT))
    assert done.size == 80 + size + 16 * frames
    assert done.profile == "unixfs-v1-2025"
    out = io.BytesIO()
    assert unseal(done.cid, done.data_key, blobs, out) == size
    assert out.getvalue() == data
    leaves = list(unixfs.blocks(done.cid, blobs))
    assert len(leaves) == frames
    assert opened(b"".join(leaves), done.data_key) == data
    assert check_key(done.cid, done.data_key, blobs) == done.key_commitment == leaves[0][48:80]
    assert unixfs.cid_of(io.BytesIO(b"".join(leaves))).cid == done.cid


def test_the_format_page_by_hand() -> None:
    """Opens a sealing with nothing of Troth's but docs/reference/sealing.md, HKDF from another library."""
    data = os.urandom(FIRST + 10)
    _, ciphertext = sealed_bytes(data)
    assert ciphertext[:16] == b"troth sealing 1\n"
    salt, commitment = ciphertext[16:48], ciphertext[48:80]

    def hkdf(label: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt, label).derive(KEY)

    assert hkdf(b"troth/sealing/1/key commitment") == commitment
    cipher = AESGCM(hkdf(b"troth/sealing/1/stream key"))
    header = ciphertext[:80]
    first = cipher.decrypt(bytes(12), ciphertext[80:MIB], header + bytes(9))
    last = cipher.decrypt(bytes(7) + b"\0\0\0\1\1", ciphertext[MIB:], header + b"\0\0\0\0\0\0\0\1\1")
    assert first + last == data


def test_a_stored_sealing_still_opens() -> None:
    """Pins the format: these bytes were sealed by its first version."""
    assert opened(bytes.fromhex(PINNED)) == b"a record of 2026"


class Dribble(io.RawIOBase):
    """Gives a few bytes at a time, as pipes do; with or without ``readinto``."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return self.inner.readinto(memoryview(buffer)[:70_001])  # RawIOBase.read passes a bytearray


class OnlyRead:
    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self.inner.read(min(size, 70_001))


@pytest.mark.parametrize("stream", [Dribble, OnlyRead])
def test_how_a_stream_is_cut_does_not_matter(stream: type[Dribble] | type[OnlyRead]) -> None:
    data = os.urandom(FIRST + NEXT + 10)
    blobs = MemoryBlobs()
    done = seal(stream(data), blobs, KEY)  # type: ignore[arg-type]
    out = io.BytesIO()
    unseal(done.cid, KEY, blobs, out)
    assert out.getvalue() == data
    out = io.BytesIO()
    unseal_stream(stream(b"".join(unixfs.blocks(done.cid, blobs))), KEY, out)  # type: ignore[arg-type]
    assert out.getvalue() == data


class Failing(io.RawIOBase):
    def readinto(self, buffer: object, /) -> int:
        raise OSError(5, "Input/output error")


def test_a_failing_input_names_no_file() -> None:
    with pytest.raises(OutsideFailed, match="reading the input failed"):
        seal(Failing(), MemoryBlobs())  # type: ignore[arg-type]


def test_each_sealing_is_new() -> None:
    blobs = MemoryBlobs()
    one, two = (seal(io.BytesIO(b"text"), blobs) for _ in range(2))
    assert one.data_key != two.data_key
    three, four = (seal(io.BytesIO(b"text"), blobs, KEY) for _ in range(2))
    assert three.key_commitment != four.key_commitment
    assert three.cid != four.cid


def test_public_parts_hold_no_secret_and_no_digest_of_the_text() -> None:
    text = b"yes"  # one of two possible answers: a digest would give it away
    done, ciphertext = sealed_bytes(text)
    for digest in (hashlib.sha256(text).digest(), KEY, hashlib.sha256(KEY).digest()):
        assert digest not in ciphertext
    assert KEY.hex() not in repr(done)
    assert repr(KEY) not in repr(done)
    assert "data_key" not in repr(done)


class Broken(io.RawIOBase):
    def write(self, data: object, /) -> int:
        raise OSError(28, "No space left on device")


def test_what_fails_outside_is_said() -> None:
    blobs = MemoryBlobs()
    done = seal(io.BytesIO(b"text"), blobs, KEY)
    with pytest.raises(OutsideFailed, match="No space left"):
        unseal(done.cid, KEY, blobs, Broken())  # type: ignore[arg-type]
    blobs.delete(str(done.cid))
    with pytest.raises(Undecidable):
        unseal(done.cid, KEY, blobs, io.BytesIO())


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(16)])
def test_keys_have_one_length(key: bytes) -> None:
    blobs = MemoryBlobs()
    with pytest.raises(Misuse, match="length"):
        seal(io.BytesIO(b"x"), blobs, key)
    assert list(blobs.names()) == []
    cid = seal(io.BytesIO(b"x"), blobs).cid
    for act in (lambda: unseal(cid, key, blobs, io.BytesIO()), lambda: check_key(cid, key, blobs),
                lambda: unseal_stream(io.BytesIO(b""), key, io.BytesIO())):
        with pytest.raises(Misuse, match="length"):
            act()


# -- attacks -------------------------------------------------------------------------------------------------------


class NoDecryption:
    """Stands where the cipher is made: whoever gets here has begun to decrypt."""

    def __init__(self, key: bytes) -> None:
        raise AssertionError("decrypted before the key commitment was checked")


def test_another_key_is_refuted_before_any_decryption(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = MemoryBlobs()
    done = seal(io.BytesIO(b"text"), blobs, KEY)
    monkeypatch.setattr(sealing, "AESGCM", NoDecryption)
    with pytest.raises(Refuted, match="wrong key"):
        unseal(done.cid, OTHER, blobs, io.BytesIO())
    with pytest.raises(Refuted, match="wrong key"):
        check_key(done.cid, OTHER, blobs)
    with pytest.raises(AssertionError):  # the guard itself works
        unseal(done.cid, KEY, blobs, io.BytesIO())


def test_another_files_commitment_does_not_help() -> None:
    """The commitment of the attacker's own key, put into the header of a genuine file."""
    _, victim = sealed_bytes(b"text")
    salt = victim[16:48]
    forged = victim[:48] + sealing._derive(OTHER, salt)[1] + victim[80:]
    refused_unwritten(forged, OTHER, "does not authenticate")
    refused_unwritten(forged, KEY, "wrong key")
    _, mine = sealed_bytes(b"text", OTHER)
    refused_unwritten(mine[:80] + victim[80:], OTHER, "does not authenticate")
    refused_unwritten(mine[:80] + victim[80:], KEY, "wrong key")


def multiply(x: int, y: int) -> int:
    """In GF(2^128) with GCM's bit order (NIST SP 800-38D, 6.3)."""
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return z


def power(x: int, n: int) -> int:
    result = 1 << 127
    while n:
        if n & 1:
            result = multiply(result, x)
        x, n = multiply(x, x), n >> 1
    return result


def block_cipher(key: bytes, block: bytes) -> int:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # only this attack needs AES itself

    return int.from_bytes(Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block), "big")


def salamander(one: bytes, two: bytes, nonce: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag that AES-GCM accepts under both keys (Dodis, Grubbs, Ristenpart, Woodage, 2018).

    Three free blocks c, of which the last solves: tag under ``one`` = tag under ``two``. GHASH is linear in it.
    """
    padded = aad + bytes(-len(aad) % 16)
    body = os.urandom(32)
    blocks = [int.from_bytes((padded + body)[at:at + 16], "big") for at in range(0, len(padded + body), 16)]
    lengths = len(aad) * 8 << 64 | 48 * 8
    total, weight = 0, 0
    for key in (one, two):
        h = block_cipher(key, bytes(16))
        y = 0
        for block in blocks:
            y = multiply(y ^ block, h)
        # tag = ((y ^ x) h ^ lengths) h ^ E(nonce, 1), x the last ciphertext block
        square = multiply(h, h)
        total ^= multiply(y, square) ^ multiply(lengths, h) ^ block_cipher(key, nonce + b"\0\0\0\1")
        weight ^= square
    last = multiply(total, power(weight, (1 << 128) - 2)).to_bytes(16, "big")
    h = block_cipher(one, bytes(16))
    y = 0
    for block in [*blocks, int.from_bytes(last, "big")]:
        y = multiply(y ^ block, h)
    tag = multiply(y ^ lengths, h) ^ block_cipher(one, nonce + b"\0\0\0\1")
    return body + last + tag.to_bytes(16, "big")


def test_a_ciphertext_that_opens_under_two_keys_opens_under_one() -> None:
    """The invisible salamander: real, and refused by the commitment."""
    salt = os.urandom(32)
    stream_one, commitment_one = sealing._derive(KEY, salt)
    stream_two, commitment_two = sealing._derive(OTHER, salt)
    for commitment, good, bad in ((commitment_one, KEY, OTHER), (commitment_two, OTHER, KEY)):
        header = Header(salt, commitment).encode()
        nonce, associated = sealing._nonce(0, True), sealing._associated(header, 0, True)
        frame = salamander(stream_one, stream_two, nonce, associated)
        texts = [AESGCM(key).decrypt(nonce, frame, associated) for key in (stream_one, stream_two)]
        assert texts[0] != texts[1]  # AES-GCM itself accepts both
        assert opened(header + frame, good) == texts[[KEY, OTHER].index(good)]
        refused_unwritten(header + frame, bad, "wrong key")


def three_frames(key: bytes = KEY) -> tuple[bytes, list[bytes]]:
    data = os.urandom(FIRST + NEXT + 500)
    _, ciphertext = sealed_bytes(data, key)
    return data, [ciphertext[:80], ciphertext[80:MIB], ciphertext[MIB:2 * MIB], ciphertext[2 * MIB:]]


def test_frames_swapped_cut_repeated_moved_or_appended() -> None:
    data, (header, one, two, three) = three_frames()
    _, (_, other_one, other_two, other_three) = three_frames()  # the same key
    _, short = sealed_bytes(b"short")
    assert opened(header + one + two + three) == data
    changed = {
        "cut at a frame": header + one + two,
        "cut at the first frame": header + one,
        "cut to the header": header,
        "cut in a frame": header + one + two[:1000],
        "cut in the tag": header + one + two + three[:-1],
        "last frame twice": header + one + two + three + three,
        "full frame twice": header + one + two + two + three,
        "in another order": header + one + three + two,
        "middle left out": header + one + three,
        "a byte appended": header + one + two + three + b"\0",
        "a frame of nothing appended": header + one + two + three + bytes(16),
        "another sealing appended": header + one + two + three + short,
        "second frame of another sealing": header + one + other_two + three,
        "last frame of another sealing": header + one + two + other_three,
        "frames of another sealing": header + other_one + other_two + other_three,
        "first frame aligned as second": header + one + two[:80] + one + three,
    }
    for name, ciphertext in changed.items():
        out = io.BytesIO()
        with pytest.raises(Refuted, match="does not authenticate"):
            unseal_stream(io.BytesIO(ciphertext), KEY, out)
        assert data.startswith(out.getvalue()), name  # nothing false was handed over
        assert len(out.getvalue()) < len(data), name


def test_swaps_through_the_store_are_refuted_too() -> None:
    """An honest tree over dishonest frames: the CIDs hold, the sealing does not."""
    _, (header, one, two, three) = three_frames()
    for ciphertext in (header + one + two, header + one + three, header + one + two + two + three):
        blobs = MemoryBlobs()
        cid = unixfs.import_stream(io.BytesIO(ciphertext), blobs).cid
        with pytest.raises(Refuted, match="does not authenticate"):
            unseal(cid, KEY, blobs, io.BytesIO())


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.integers(min_value=0), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(data: bytes, at: int, bit: int) -> None:
    _, ciphertext = sealed_bytes(data)
    changed = bytearray(ciphertext)
    at %= len(changed)
    changed[at] ^= 1 << bit
    out = io.BytesIO()
    with pytest.raises(BadInput if at < len(MAGIC) else Refuted):
        unseal_stream(io.BytesIO(bytes(changed)), KEY, out)
    assert out.getvalue() == b""


def test_a_flipped_bit_in_any_part_of_a_long_file() -> None:
    data, parts = three_frames()
    for part in range(4):
        for at in (0, len(parts[part]) // 2, len(parts[part]) - 1):
            changed = list(parts)
            changed[part] = parts[part][:at] + bytes([parts[part][at] ^ 0x80]) + parts[part][at + 1:]
            out = io.BytesIO()
            with pytest.raises((Refuted, BadInput)):
                unseal_stream(io.BytesIO(b"".join(changed)), KEY, out)
            assert data.startswith(out.getvalue())


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_cut_is_refused(data: bytes) -> None:
    _, ciphertext = sealed_bytes(data)
    for length in range(0, len(ciphertext), 7):
        with pytest.raises(BadInput if length < HEADER_LENGTH else Refuted):
            opened(ciphertext[:length])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_rubbish_never_opens(data: bytes) -> None:
    for text in (data, MAGIC + data, MAGIC + bytes(64) + data):
        with pytest.raises(TrothError):
            opened(text)


def test_an_ordinary_file_is_not_sealed() -> None:
    blobs = MemoryBlobs()
    for text in (b"", b"text", bytes(3 * MIB)):
        cid = unixfs.import_stream(io.BytesIO(text), blobs).cid
        for act in (lambda cid=cid: unseal(cid, KEY, blobs, io.BytesIO()),
                    lambda cid=cid: check_key(cid, KEY, blobs)):
            with pytest.raises(BadInput, match="not a sealed file"):
                act()


def test_too_large_is_refused_before_anything_is_written() -> None:
    blobs = MemoryBlobs()
    done = seal(io.BytesIO(bytes(2 * MIB)), blobs, KEY)
    out = io.BytesIO()
    with pytest.raises(BadInput, match="larger than this reader accepts"):
        unseal(done.cid, KEY, blobs, out, max_size=MIB)
    assert out.getvalue() == b""


def test_too_many_frames_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (header, one, two, three) = three_frames()
    monkeypatch.setattr(sealing, "MAX_FRAMES", 2)
    with pytest.raises(BadInput, match="too long"):
        sealed_bytes(bytes(2 * MIB))
    with pytest.raises(Refuted, match="longer than a sealing"):
        opened(header + one + two + three)


def test_the_associated_data_covers_header_index_and_end() -> None:
    """Each of them changed alone breaks a frame, whatever the nonce says."""
    _, ciphertext = sealed_bytes(b"text")
    header, frame = ciphertext[:80], ciphertext[80:]
    cipher = AESGCM(sealing._derive(KEY, header[16:48])[0])
    nonce = sealing._nonce(0, True)
    assert cipher.decrypt(nonce, frame, sealing._associated(header, 0, True)) == b"text"
    for associated in (sealing._associated(b"T" + header[1:], 0, True), sealing._associated(header, 1, True),
                       sealing._associated(header, 0, False), header, b""):
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, frame, associated)
    assert hmac.compare_digest(sealing._nonce(0xFFFFFFFF, False), bytes(7) + b"\xff\xff\xff\xff\0")


PINNED = (
    "74726f7468207365616c696e6720310a6c4973d5fdf9425ab6144d12c34bccc22a6cf4b620303d1b0a1eb9e9ff50368a"
    "0b8f00e71258b3fc6e8f5348251071d09d37aa648a68e74f08f17658f7351a0150ba7ced7e073a6518e1abc6a5f3b541"
    "62b5b94daf50e01b7cc1ee467102a081"
)
