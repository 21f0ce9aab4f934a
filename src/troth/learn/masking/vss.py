"""Verifiable secret sharing: Shamir's shares (1979) with Pedersen's commitments (1991), over secp256k1.

A secret is a number modulo the group's order. Its dealer draws a polynomial f of degree t - 1 with f(0) the secret, and
a blinding one r, and commits to each pair of coefficients: C_k = f_k G + r_k H. The holder of (f(x), r(x)) checks

    f(x) G + r(x) H = sum of x^k C_k

so shares that do not lie on one polynomial are refused when they are dealt, not when they are needed. The commitments
hide the secret whatever the computer (Pedersen: r is uniform), so they add nothing for a quantum computer to break.
That nobody opens one in two ways rests on discrete logarithms, and with it only that a sum comes out, not secrecy.

H is the first point whose x is SHA-256 of a fixed text and a counter: nobody knows its logarithm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import coincurve

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
SCALAR, POINT = 32, 33
"""Bytes of a number and of a compressed point."""


@dataclass(frozen=True, slots=True)
class Share:
    """A point of the polynomials: f(x), and r(x) which proves it. A secret: no ``repr``."""

    value: int = field(repr=False)
    blind: int = field(repr=False)

    def to_bytes(self) -> bytes:
        """64 bytes."""
        return self.value.to_bytes(SCALAR, "big") + self.blind.to_bytes(SCALAR, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Share:
        """Of 64 bytes; `holds` refuses numbers out of range."""
        return cls(int.from_bytes(data[:SCALAR], "big"), int.from_bytes(data[SCALAR:], "big"))


def _second_base() -> coincurve.PublicKey:
    counter = 0
    while True:
        x = hashlib.sha256(b"troth/masking/second-base/1\n" + bytes([counter])).digest()
        try:
            return coincurve.PublicKey(b"\2" + x)
        except ValueError:  # about every second x is on no point
            counter += 1


_H = _second_base()


def scalar(random: Callable[[int], bytes]) -> int:
    """A uniform number from 1 to ORDER - 1."""
    while True:
        found = int.from_bytes(random(SCALAR), "big")
        if 0 < found < ORDER:
            return found


def _commit(value: int, blind: int) -> coincurve.PublicKey:
    return coincurve.PublicKey.combine_keys([
        coincurve.PrivateKey(value.to_bytes(SCALAR, "big")).public_key, _H.multiply(blind.to_bytes(SCALAR, "big"))])


def _at(coefficients: Sequence[int], x: int) -> int:
    found = 0
    for coefficient in reversed(coefficients):
        found = (found * x + coefficient) % ORDER
    return found


def deal(secret: int, threshold: int, places: Iterable[int],
         random: Callable[[int], bytes]) -> tuple[bytes, dict[int, Share]]:
    """(commitments, ``threshold`` of them at 33 bytes each; shares by place). Places are from 1 on."""
    values = [secret, *(scalar(random) for _ in range(threshold - 1))]
    blinds = [scalar(random) for _ in range(threshold)]
    commitments = b"".join(_commit(value, blind).format() for value, blind in zip(values, blinds, strict=True))
    return commitments, {x: Share(_at(values, x), _at(blinds, x)) for x in places}


def well_formed(commitments: bytes, threshold: int) -> bool:
    """Whether these are ``threshold`` points in their one spelling."""
    points = [commitments[at:at + POINT] for at in range(0, len(commitments), POINT)]
    try:
        return len(commitments) == POINT * threshold and all(
            coincurve.PublicKey(point).format() == point for point in points)
    except ValueError:
        return False


def holds(commitments: bytes, x: int, share: Share) -> bool:
    """Whether a share lies on the committed polynomials, at place ``x``. The commitments are `well_formed`."""
    if not (0 < share.value < ORDER and 0 < share.blind < ORDER):
        return False  # an honest share is 0 with a chance of 2**-256
    place = x.to_bytes(SCALAR, "big")
    points = [coincurve.PublicKey(commitments[at:at + POINT]) for at in range(0, len(commitments), POINT)]
    try:
        found = points[-1]
        for point in reversed(points[:-1]):
            found = coincurve.PublicKey.combine_keys([found.multiply(place), point])
        return bool(found.format() == _commit(share.value, share.blind).format())
    except ValueError:  # the point at infinity: an honest dealer meets it with a chance of 2**-256
        return False


def recover(shares: Mapping[int, Share], threshold: int) -> int:
    """The secret, from the first ``threshold`` shares by place, each of which `holds`."""
    places = sorted(shares)[:threshold]
    found = 0
    for x in places:
        above = below = 1
        for other in places:
            if other != x:
                above, below = above * other % ORDER, below * (other - x) % ORDER
        found += shares[x].value * above * pow(below, -1, ORDER)
    return found % ORDER
