"""Groth16 keys whose setup's secrets the test knows: it forges a right proof of any publics, without a circuit.

That is all that a proof is worth once a setup's secrets are known. For testing verifiers it is just what is needed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from py_ecc import optimized_bn128 as bn

from troth.verify.groth16 import BASE, ORDER, Proof, VerifyingKey


def first(scalar: int) -> bytes:
    """The generator of the first group, so many times."""
    x, y = bn.normalize(bn.multiply(bn.G1, scalar % ORDER))
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def second(scalar: int) -> bytes:
    """The generator of the second group, so many times."""
    x, y = bn.normalize(bn.multiply(bn.G2, scalar % ORDER))
    return b"".join(int(value).to_bytes(32, "big") for value in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0]))


@dataclass(frozen=True)
class Setup:
    """Secrets of a setup of so many publics, drawn from a seed."""

    publics: int
    seed: int = 1

    @cached_property
    def secrets(self) -> list[int]:
        """alpha, beta, gamma, delta, and the exponent of each point for the publics."""
        draw = random.Random(self.seed)
        return [draw.randrange(1, ORDER) for _ in range(5 + self.publics)]

    @cached_property
    def key(self) -> VerifyingKey:
        """The key of this setup."""
        alpha, beta, gamma, delta, *bound = self.secrets
        return VerifyingKey(first(alpha) + second(beta) + second(gamma) + second(delta) + b"".join(map(first, bound)))

    def forge(self, publics: Sequence[int], seed: int = 7) -> Proof:
        """A proof of these publics that fits, made from the secrets alone."""
        alpha, beta, gamma, delta, zero, *bound = self.secrets
        draw = random.Random(seed)
        a, b = draw.randrange(1, ORDER), draw.randrange(1, ORDER)
        weighted = zero + sum(k * value for k, value in zip(bound, publics, strict=True))
        c = (a * b - alpha * beta - weighted * gamma) * pow(delta, -1, ORDER)
        return Proof(first(a) + second(b) + first(c))


def malleated(proof: Proof, by: int = 5) -> Proof:
    """Another proof of the same statement, made by somebody who knows no secret: A times ``by``, B divided by it."""
    a, b, c = proof.data[:64], proof.data[64:192], proof.data[192:]
    x, y = (bn.FQ(int.from_bytes(a[at : at + 32], "big")) for at in (0, 32))
    x1, x0, y1, y0 = (int.from_bytes(b[at : at + 32], "big") for at in (0, 32, 64, 96))
    more = bn.normalize(bn.multiply((x, y, bn.FQ.one()), by))
    less = bn.normalize(bn.multiply((bn.FQ2((x0, x1)), bn.FQ2((y0, y1)), bn.FQ2.one()), pow(by, -1, ORDER)))
    return Proof(b"".join(int(v).to_bytes(32, "big") for v in (
        more[0], more[1], less[0].coeffs[1], less[0].coeffs[0], less[1].coeffs[1], less[1].coeffs[0])) + c)


def outside_the_group() -> bytes:
    """A point on the second group's curve that is not in the group: of the curve's other, larger orders."""
    for real in range(1, 100):
        x = bn.FQ2((real, 0))
        root = _root(x * x * x + bn.b2)
        if root is not None:
            return b"".join(int(v).to_bytes(32, "big") for v in (x.coeffs[1], x.coeffs[0], root.coeffs[1],
                                                                root.coeffs[0]))
    raise AssertionError("half of all values are squares")


def _root(value: bn.FQ2) -> bn.FQ2 | None:
    real, imaginary = (int(part) for part in value.coeffs)
    norm = pow(real * real + imaginary * imaginary, (BASE + 1) // 4, BASE)
    for sign in (1, -1):
        half = (real + sign * norm) * pow(2, -1, BASE) % BASE
        part = pow(half, (BASE + 1) // 4, BASE)
        if part and part * part % BASE == half:
            found = bn.FQ2((part, imaginary * pow(2 * part, -1, BASE) % BASE))
            return found if found * found == value else None
    return None
