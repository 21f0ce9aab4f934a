"""Masks: a 32-byte seed stretched by AES-256-CTR to words that are added modulo 2**32 or 2**64.

A seed is used once, for one mask, so the counter starts at zero. The words' width follows from the sum's bound: as the
sum of all vectors lies strictly within half the modulus, it is read back as a signed number without doubt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray
from troth.learn.masking.port import Session

Words = npt.NDArray[Any]
"""Unsigned little-endian words, of 4 or 8 bytes."""

SEED = 32
_CHUNK = 1 << 17
"""Bytes stretched at a time: they stay in the processor's cache."""
_ZEROS = bytes(_CHUNK)


def word_size(session: Session) -> int:
    """Bytes of a word: 4 where the sum of every site's bound is below 2**31, else 8."""
    return 4 if len(session.sites) * session.bound < 1 << 31 else 8


def seed(material: bytes, session: Session, label: str, view: bytes, *indices: int) -> bytes:
    """A 32-byte key for one use: HKDF-SHA256 (RFC 5869), bound to the session, the keys seen by all, and the sites."""
    info = b"troth/masking/" + label.encode() + b"/1\n" + view + bytes(indices)
    return HKDF(SHA256(), SEED, salt=session.id, info=info).derive(material)


def to_words(vector: IntArray, size: int) -> Words:
    """A vector as words, two's complement, in an array of its own."""
    return vector.astype("<i8").astype(f"<i{size}").view(f"<u{size}")


def from_bytes(data: bytes, session: Session) -> Words:
    """Words from bytes, read-only. Raises BadInput for another length."""
    size = word_size(session)
    if len(data) != size * session.length:
        raise BadInput("a masked vector of another length", expected=size * session.length, actual=len(data))
    return np.frombuffer(data, dtype=f"<u{size}")


def to_vector(words: Words) -> IntArray:
    """The signed numbers that the words stand for."""
    return words.view(words.dtype.str.replace("u", "i")).astype(np.int64)


def apply(words: Words, key: bytes, *, subtract: bool = False) -> None:
    """Add the mask of a seed to ``words``, in place, or take it away."""
    size = words.dtype.itemsize
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    buffer = bytearray(_CHUNK + 15)  # the library asks for a block more than it writes
    mask = np.frombuffer(buffer, dtype=words.dtype, count=_CHUNK // size)
    combine = np.subtract if subtract else np.add
    for start in range(0, len(words), _CHUNK // size):
        piece = words[start:start + _CHUNK // size]
        stream.update_into(_ZEROS, buffer)
        combine(piece, mask[:len(piece)], out=piece)
