"""Draws that anyone can repeat: permutations from SHA-256 of a seed, not from a library's generator.

A library may change its generator between versions; a re-executed round may not.
"""

from __future__ import annotations

import hashlib

from troth.core.errors import BadInput


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
