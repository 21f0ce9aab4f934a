"""Sealing: a stream encrypted under one data key, bound to a commitment to that key, stored as a UnixFS file.

The normative description is ``docs/reference/sealing.md``. In short: a header of 80 bytes (magic, random salt, key
commitment), then AES-256-GCM frames in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, 2015), each
frame with its header exactly one UnixFS chunk. Opening runs in this order:

1. the header is read: another magic is BadInput;
2. the key commitment is compared in constant time: another key is Refuted, and nothing has been decrypted;
3. each frame is authenticated under its index and whether it is the last: Refuted if altered, moved, repeated, cut;
4. only then is its plaintext handed over.

AES-GCM alone is not key committing: one ciphertext can open under two keys. Step 2 is what makes "this data key opens
this ciphertext to these bytes" have one answer.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.ports import Blobs
from troth.store import unixfs
from troth.store.cid import Cid

FORMAT = "troth-sealing-1"
"""Name of the format, for claims."""

MAGIC = b"troth sealing 1\n"
HEADER_LENGTH = 80
KEY_LENGTH = 32
FRAME = unixfs.PROFILE.chunk
"""Bytes of a full frame on disk; the first frame's include the header."""

TAG_LENGTH = 16
MAX_FRAMES = 1 << 32

_STREAM_LABEL = b"troth/sealing/1/stream key"
KEY_COMMITMENT_INFO = b"troth/sealing/1/key commitment\x01"
"""What the key commitment is the expansion's HMAC of: its label and HKDF's counter."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing returns. ``data_key`` is the secret; everything else may be public.

    size: bytes of ciphertext. key_commitment: 32 bytes, also in the ciphertext's header. There is no digest of the
    plaintext here: published, it would let anyone test guesses about data of low entropy.
    """

    cid: Cid
    size: int
    profile: str
    key_commitment: bytes
    data_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Header:
    """The first 80 bytes of a sealing."""

    salt: bytes
    key_commitment: bytes

    @classmethod
    def read(cls, data: bytes) -> Header:
        """Read a header from the first bytes of a sealing. Raises BadInput if it is not one."""
        if len(data) < HEADER_LENGTH or not data.startswith(MAGIC):
            raise BadInput("not a sealed file", expected=f"{MAGIC!r} and {HEADER_LENGTH} bytes of header",
                           actual=repr(data[: len(MAGIC)]), do="Is this the CID of a sealed file?")
        return cls(data[16:48], data[48:HEADER_LENGTH])

    def encode(self) -> bytes:
        """The 80 bytes."""
        return MAGIC + self.salt + self.key_commitment


def seal(readable: BinaryIO, blobs: Blobs, key: bytes | None = None) -> Sealed:
    """Encrypt ``readable`` to its end into ``blobs`` in one pass with flat memory.

    key: 32 random bytes, by default new ones. A key may seal many files (each has its own salt), but then giving it
    for one gives all. Raises Misuse for a key of another length, OutsideFailed if reading or storing fails.
    """
    data_key = secrets.token_bytes(KEY_LENGTH) if key is None else _check_key(key)
    salt = secrets.token_bytes(32)
    stream_key, commitment = _derive(data_key, salt)
    header = Header(salt, commitment).encode()
    importer = unixfs.Importer(lambda cid, block: blobs.put(str(cid), block))
    _encrypt(readable, AESGCM(stream_key), header, importer.add)
    done = importer.finish()
    return Sealed(done.cid, done.size, done.profile, commitment, data_key)


def unseal(cid: Cid, key: bytes, blobs: Blobs, out: BinaryIO, *, max_size: int | None = None) -> int:
    """Decrypt the sealed file ``cid`` to ``out``, every block checked against its CID; the bytes of plaintext.

    What was written before an error is genuine but incomplete: write to ``files.replacing`` or throw it away.
    max_size: bytes of ciphertext above which it is refused. Raises Refuted for a wrong key or a changed file,
    BadInput for a file that is not sealed, Undecidable for a missing block, OutsideFailed if ``out`` fails.
    """
    return _decrypt(unixfs.blocks(cid, blobs, max_size=max_size), _check_key(key), out)


def unseal_stream(readable: BinaryIO, key: bytes, out: BinaryIO) -> int:
    """Decrypt a sealing read from a file or pipe; as ``unseal`` without CIDs."""
    return _decrypt(iter(lambda: unixfs.read_chunk(readable, FRAME), b""), _check_key(key), out)


def check_key(cid: Cid, key: bytes, blobs: Blobs) -> bytes:
    """Compare ``key`` with the key commitment of the sealed file ``cid``; the commitment (32 bytes).

    Reads the first frame only and decrypts nothing. Raises Refuted for another key; otherwise as ``unseal``.
    """
    header = Header.read(next(unixfs.blocks(cid, blobs)))
    _stream_key(header, _check_key(key))
    return header.key_commitment


def key_commitment(key: bytes, salt: bytes) -> bytes:
    """The commitment to a data key under a file's salt, as its header has it. Raises Misuse for another length."""
    return _derive(_check_key(key), salt)[1]


def _check_key(key: bytes) -> bytes:
    if len(key) != KEY_LENGTH:
        raise Misuse("a data key has another length", expected=f"{KEY_LENGTH} bytes", actual=len(key))
    return key


def _derive(data_key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """(stream key, key commitment): HKDF-SHA256 (RFC 5869), two outputs of one block each, by label.

    The salt is the extraction's HMAC key and has a fixed length, as has the data key, so two data keys with one
    commitment under one salt are a SHA-256 collision.
    """
    extracted = hmac.digest(salt, data_key, "sha256")
    return (hmac.digest(extracted, _STREAM_LABEL + b"\x01", "sha256"),
            hmac.digest(extracted, KEY_COMMITMENT_INFO, "sha256"))


def _stream_key(header: Header, data_key: bytes) -> bytes:
    stream_key, commitment = _derive(data_key, header.salt)
    if not hmac.compare_digest(commitment, header.key_commitment):
        raise Refuted("wrong key: it is not the one this file commits to", expected=header.key_commitment.hex(),
                      actual=commitment.hex(), do="Ask for the data key of this CID. Nothing was decrypted.")
    return stream_key


def _nonce(index: int, last: bool) -> bytes:
    """STREAM: seven zero bytes (the key is used for this stream alone), the frame's index, 1 for the last frame."""
    return bytes(7) + index.to_bytes(4, "big") + bytes((last,))


def _associated(header: bytes, index: int, last: bool) -> bytes:
    """What a frame vouches for besides its bytes: the whole header, its index, whether it is the last."""
    return header + index.to_bytes(8, "big") + bytes((last,))


def _encrypt(readable: BinaryIO, cipher: AESGCM, header: bytes, keep: Callable[[bytes], None]) -> None:
    """Hand over the frames as they are stored, each one chunk. Reads one frame ahead to know which is the last.

    Two buffers take turns, and each frame is let go before the next is made: new memory for every frame costs as much
    as half the hashing.
    """
    plain, ahead = (memoryview(bytearray(FRAME - TAG_LENGTH)) for _ in range(2))
    size = unixfs.read_into(readable, plain[:-HEADER_LENGTH])
    prefix = header
    for index in range(MAX_FRAMES):
        following = unixfs.read_into(readable, ahead)
        last = not following
        frame = cipher.encrypt(_nonce(index, last), plain[:size], _associated(header, index, last))
        keep(prefix + frame if prefix else frame)
        del frame
        if last:
            return
        plain, ahead, size, prefix = ahead, plain, following, b""
    raise BadInput("the input is too long for one sealing", expected=f"at most {MAX_FRAMES} frames of 1 MiB",
                   do="Seal it in parts.")


def _decrypt(frames: Iterator[bytes], data_key: bytes, out: BinaryIO) -> int:
    frame = next(frames, b"")
    header = Header.read(frame)
    cipher = AESGCM(_stream_key(header, data_key))
    sealed, associated = memoryview(frame)[HEADER_LENGTH:], header.encode()
    plain = memoryview(bytearray(FRAME))
    written = 0
    for index in range(MAX_FRAMES):
        following = next(frames, b"")
        last = not following
        size = len(sealed) - TAG_LENGTH
        try:  # fewer bytes than a tag do not authenticate either
            cipher.decrypt_into(_nonce(index, last), sealed, _associated(associated, index, last), plain[:size])
        except InvalidTag:
            raise Refuted(f"frame {index} of the sealed file does not authenticate" + (" as the last" if last else ""),
                          expected="the bytes that were sealed, whole and in their order",
                          actual="changed, moved, repeated, cut or appended bytes",
                          do="Discard the output and fetch the file again.") from None
        unixfs.write(out, plain[:size])
        written += size
        if last:
            return written
        sealed = memoryview(following)
    raise Refuted("the sealed file is longer than a sealing can be", expected=f"{MAX_FRAMES} frames at most")
