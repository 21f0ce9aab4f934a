"""Draws that anyone can repeat: from SHA-256 and AES of a seed, not from a library's generator.

A library may change its generator between versions; a re-executed round may not.
"""

from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray


def permutation(seed: bytes, label: str, size: int) -> tuple[int, ...]:
    """A uniform permutation of ``range(size)``: indices ordered by SHA-256(seed, label, index).

    seed: 32 bytes. label: at most 255 bytes of UTF-8, separating draws from one seed. Raises BadInput otherwise.
    """
    name = label.encode()
    if len(seed) != 32 or len(name) > 255 or not 0 <= size < 1 << 32:
        raise BadInput("a draw takes a 32-byte seed, a short label and a size below 2**32", actual=len(seed))
    start = hashlib.sha256(b"troth-draw-1" + seed + bytes([len(name)]) + name)

    def place(index: int) -> bytes:
        at = start.copy()
        at.update(index.to_bytes(4, "big"))
        return at.digest()

    return tuple(sorted(range(size), key=place))


def seed_of(number: int) -> bytes:
    """A 32-byte seed from a small number, for demonstrations and studies. Raises BadInput outside 0 … 2**64-1."""
    if not 0 <= number < 1 << 64:
        raise BadInput("a seed number is out of range", expected="0 … 2**64-1", actual=number)
    return hashlib.sha256(b"troth-seed-1" + number.to_bytes(8, "big")).digest()


def uniform(seed: bytes, label: str, size: int, bound: int) -> IntArray:
    """``size`` integers drawn evenly from -bound … bound (AES-256 in counter mode under SHA-256 of seed and label).

    Each is 8 bytes of the stream, little-endian, modulo 2 * bound + 1: for bounds up to 2**31 the remainder's bias is
    below 2**-31. Raises BadInput as `permutation`, and for a bound outside 0 … 2**31.
    """
    name = label.encode()
    if len(seed) != 32 or len(name) > 255 or not 0 <= size < 1 << 32 or not 0 <= bound <= 1 << 31:
        raise BadInput("a draw takes a 32-byte seed, a short label, a size below 2**32 and a bound up to 2**31",
                       actual=f"{len(seed)}, {len(name)}, {size}, {bound}")
    key = hashlib.sha256(b"troth-draw-2" + seed + bytes([len(name)]) + name).digest()
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * size))
    words = np.frombuffer(stream, dtype="<u8") % np.uint64(2 * bound + 1)
    return words.astype(np.int64) - bound
