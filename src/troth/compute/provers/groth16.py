"""Groth16 (Groth: On the Size of Pairing-based Non-interactive Arguments, EUROCRYPT 2016) over BN254.

The key holds a point for each wire in each role, so that wires of value 0 cost nothing and bits next to nothing. The
quotient is given by its values on the odd powers of a root of twice the order, where the vanishing polynomial is
constant: that spares the division and one transform, and it is how iden3's keys have it, so theirs are ours.

The right sides of the rows enter the quotient as a sum, not as products: what they add there is known for each wire
from the setup on, and our own keys hold it (`Proving.c`). That spares a third of the transforms.

One row for the constant and for each public input has it as ``a`` and nothing else, so that the points of the public
inputs are independent and none of them can be traded for another.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from operator import mul
from typing import Any

from troth.compute.circuits.builder import Circuit
from troth.compute.circuits.field import R, centred
from troth.compute.provers import points
from troth.compute.provers.points import Point, Scalars, full_sum, sum_of_products
from troth.compute.provers.port import DEV, Keys
from troth.core.errors import BadInput, Misuse, Refuted

PROOF_BYTES = 256
MAX_POWER = 24


@dataclass(frozen=True, eq=False)
class Proving:
    """The prover's points, `power` the binary logarithm of the domain.

    a, b1, b2: for every wire. l: for every private wire. h: for every place of the domain. c: for every wire that a
    right side reads, minus what its polynomial adds to the sum over h: c(tau) z / (2 delta). Empty in a key of others.
    """

    power: int
    alpha: Point
    beta1: Point
    beta2: Point
    delta1: Point
    delta2: Point
    a: Sequence[Point]
    b1: Sequence[Point]
    b2: Sequence[Point]
    l: Sequence[Point]  # noqa: E741 - its name in the paper's successors
    h: Sequence[Point]
    c: Mapping[int, Point] = field(default_factory=dict)

    @cached_property
    def folded(self) -> Sequence[Point]:
        """l with c added."""
        publics, found = len(self.a) - len(self.l), list(self.l)
        wires = [wire for wire in self.c if wire >= publics]
        added = points.normal([self.l[wire - publics] + self.c[wire] for wire in wires], 1)
        for wire, point in zip(wires, added, strict=True):
            found[wire - publics] = point
        return found

    @cached_property
    def blinds(self) -> tuple[Point, Point]:
        """delta in both groups, checked once. Raises BadInput for a key that would not hide the witness: somebody made
        it so."""
        found = decoded(encoded([self.delta1], 1), 1), decoded(encoded([self.delta2], 2), 2)
        if any(point.is_zero() for point in found):
            raise BadInput("a key whose proofs would show what they are to hide", expected="delta in both groups",
                           actual="none", do="Prove nothing under it. Whoever made this key made it to look.")
        return found

    @cached_property
    def known(self) -> tuple[list[Point | None], list[Point | None], list[Point | None]]:
        """a, b1 and b2 without the points of wires that a side does not read: sums pass them over."""
        return points.known(self.a), points.known(self.b1), points.known(self.b2)


def power_of(circuit: Circuit) -> int:
    """The binary logarithm of the domain: room for the constraints and a row for the constant and each public input."""
    power = max(1, (circuit.constraints + len(circuit.publics)).bit_length())
    if power > MAX_POWER:
        raise BadInput("the circuit is too large", expected=f"below {1 << MAX_POWER} constraints")
    return power


def public_rows(circuit: Circuit) -> Sequence[int]:
    """The wires that have a row of their own: the constant and each public input."""
    return range(1 + len(circuit.publics))


class Groth16:
    """The prover over the package `zksnake`'s arithmetic."""

    name = "groth16"

    def setup(self, circuit: Circuit) -> Keys:
        """Keys whose secrets (tau, alpha, beta, gamma, delta) are drawn here and forgotten here: origin `DEV`."""
        tau, alpha, beta, gamma, delta = (secrets.randbelow(R - 1) + 1 for _ in range(5))
        power = power_of(circuit)
        a, b, c = _at(circuit, tau, power)
        publics = 1 + len(circuit.publics)
        shared = [(beta * a[wire] + alpha * b[wire] + c[wire]) % R for wire in range(circuit.wires)]
        by_gamma, by_delta = pow(gamma, -1, R), pow(delta, -1, R)
        h = [value * by_delta % R for value in _lagrange(tau, power + 1)[1::2]]
        half = (pow(tau, 1 << power, R) - 1) * by_delta * pow(2, -1, R) % R
        right = [wire for wire, value in enumerate(c) if value]
        g1 = points.normal(list(points.products(points.generator(1), [
            alpha, beta, delta, *(value * by_gamma % R for value in shared[:publics]), *a, *b,
            *(value * by_delta % R for value in shared[publics:]), *h, *(c[wire] * half % R for wire in right)], 1)), 1)
        g2 = points.normal(list(points.products(points.generator(2), [beta, gamma, delta, *b], 2)), 2)
        ends = [3, publics, circuit.wires, circuit.wires, circuit.wires - publics, len(h), len(right)]
        (alpha1, beta1, delta1), ic, a1, b1, l, h1, c1 = _cut(g1, ends)  # noqa: E741
        beta2, gamma2, delta2 = g2[:3]
        proving = Proving(power, alpha1, beta1, beta2, delta1, delta2, a1, b1, g2[3:], l, h1,
                          dict(zip(right, c1, strict=True)))
        verifying = encoded([alpha1], 1) + encoded([beta2, gamma2, delta2], 2) + encoded(ic, 1)
        return Keys(circuit.digest, verifying, DEV, proving,
                    transcript(tau, 1 << power, alpha, beta, gamma, delta))

    def prove(self, keys: Keys, circuit: Circuit, witness: Sequence[int]) -> bytes:
        """See `Prover.prove`. Blinded by r and s from the system's randomness: two proofs of one thing differ.

        Whoever made the key learns nothing else from a proof: with both deltas in their groups and none neutral, A and
        B are uniform, and C follows from them by the equation that is checked at the end (Fuchsbauer: Subversion-
        Zero-Knowledge SNARKs, PKC 2018). Under a key that is no setup at all it may be that none comes out.
        """
        key: Proving = keys.proving
        if keys.circuit != circuit.digest or len(key.a) != circuit.wires:
            raise Misuse("keys of another circuit", expected=keys.circuit, actual=circuit.digest)
        delta1, delta2 = key.blinds
        left, right = circuit.products(witness)
        publics = 1 + len(circuit.publics)
        rows = [*left, *[0] * publics]
        for wire in public_rows(circuit):
            rows[circuit.constraints + wire] = witness[wire] % R
        quotient = _quotient(rows, right, key.power, folded=bool(key.c))
        r, s = secrets.randbelow(R), secrets.randbelow(R)
        held, private = Scalars.of(witness), Scalars.of(witness[publics:])
        side_a, side_b1, side_b2 = key.known
        a = key.alpha + held.light(side_a, 1) + full_sum([*held.heavy(side_a), (delta1, r)], 1)
        b2 = key.beta2 + held.light(side_b2, 2) + full_sum([*held.heavy(side_b2), (delta2, s)], 2)
        # C = L + H + s A + r B1 - r s delta, where B1 = beta + sum + s delta: the last two cancel, and what is left is
        # one long sum.
        c = private.light(key.folded, 1) + full_sum([
            *private.heavy(key.folded),
            *((key.c[wire], witness[wire] % R) for wire in range(publics) if wire in key.c),
            *zip(key.h, quotient, strict=True), (a, s), (key.beta1 + held.light(side_b1, 1), r),
            *((point, value * r % R) for point, value in held.heavy(side_b1))], 1)
        proof = encoded([a], 1) + encoded([b2], 2) + encoded([c], 1)
        self.verify(keys.verifying, proof, circuit.public_values(witness))
        return proof

    def verify(self, verifying: bytes, proof: bytes, publics: Sequence[int]) -> None:
        """See `Prover.verify`."""
        count = (len(verifying) - 448) // 64
        if len(verifying) != 448 + 64 * count or count != len(publics) + 1:
            raise BadInput("the key is for another number of public inputs", expected=f"{count - 1}",
                           actual=len(publics))
        if len(proof) != PROOF_BYTES:
            raise BadInput("a proof of another length", expected=PROOF_BYTES, actual=len(proof))
        for value in publics:
            if not 0 <= value < R:
                raise BadInput("a public input that is not below the field's prime", actual=value)
        target, gamma, delta, ic = _key_points(verifying)
        a, b, c = decoded(proof[:64], 1), decoded(proof[64:192], 2), decoded(proof[192:], 1)
        bound = sum_of_products(ic, [1, *(centred(value) for value in publics)], 1)
        if points.pairing([(a, b), (-bound, gamma), (-c, delta)]) != target:
            raise Refuted("the proof does not hold", expected="e(A, B) = e(alpha, beta) e(publics, gamma) e(C, delta)")


@lru_cache(maxsize=32)
def _key_points(verifying: bytes) -> tuple[Any, Point, Point, Sequence[Point]]:
    """(e(alpha, beta), gamma, delta, the publics' points) of a key, checked. Kept: a prover verifies each proof."""
    alpha, beta, gamma, delta = (decoded(verifying[at:at + size], size // 64)
                                 for at, size in ((0, 64), (64, 128), (192, 128), (320, 128)))
    ic = [decoded(verifying[at:at + 64], 1) for at in range(448, len(verifying), 64)]
    return points.pairing([(alpha, beta)]), gamma, delta, ic


def transcript(tau: int, size: int, alpha: int, beta: int, gamma: int, delta: int) -> bytes:
    """What a setup leaves for `keycheck`: tau in G2; tau**size - 1 in both groups; alpha times it in G1; beta,
    gamma and delta times it in G2. size: of the domain."""
    z = (pow(tau, size, R) - 1) % R
    first = list(points.products(points.generator(1), [z, alpha * z], 1))
    second = list(points.products(points.generator(2), [tau, z, beta * z, gamma * z, delta * z], 2))
    return encoded(first, 1) + encoded(second, 2)


# ---- polynomials ----

@cache
def transforms() -> Any:
    """The package's transforms."""
    points.arithmetic()  # with its hint where it is missing
    from zksnake._algebra import polynomial_bn254  # an extra

    return polynomial_bn254


def root(power: int) -> int:
    """The root of unity of order 2**power that arkworks and iden3 take: a power of 5."""
    return pow(5, (R - 1) >> power, R)


def _lagrange(tau: int, power: int) -> list[int]:
    """Each Lagrange polynomial of the domain of 2**power at tau."""
    return list(transforms().evaluate_lagrange_coefficients(1 << power, tau))


def _at(circuit: Circuit, tau: int, power: int) -> tuple[list[int], list[int], list[int]]:
    """Each wire's three polynomials at tau."""
    weights = _lagrange(tau, power)
    found = []
    for rows in (circuit.a, circuit.b, circuit.c):
        values = [0] * circuit.wires
        for weight, wires, coefficients in zip(weights, rows.wires, rows.coefficients, strict=False):
            for wire, coefficient in zip(wires, coefficients, strict=True):
                values[wire] += coefficient * weight
        found.append([value % R for value in values])
    for wire in public_rows(circuit):
        found[0][wire] = (found[0][wire] + weights[circuit.constraints + wire]) % R
    return found[0], found[1], found[2]


def _quotient(left: Sequence[int], right: Sequence[int], power: int, folded: bool) -> list[int]:
    """a * b - c at the odd powers of the root of twice the order, 0..R-1. folded: a * b alone."""
    size = 1 << power
    moves = shifts(power)
    right = [*right, *[0] * (len(left) - len(right))]
    moved = []
    for values in (left, right) if folded else (left, right, [a * b % R for a, b in zip(left, right, strict=True)]):
        coefficients = transforms().ifft([*values, *[0] * (size - len(values))], size)
        moved.append(transforms().fft([value % R for value in map(mul, coefficients, moves)], size))
    products = [a * b % R for a, b in zip(moved[0], moved[1], strict=True)]
    return products if folded else [(a - b) % R for a, b in zip(products, moved[2], strict=True)]


@cache
def shifts(power: int) -> list[int]:
    """The powers of the root of twice the order: times these, a polynomial's values move to the odd powers."""
    step, found = root(power + 1), [1]
    for _ in range((1 << power) - 1):
        found.append(found[-1] * step % R)
    return found


# ---- bytes of EIP-197 ----

def encoded(given: Sequence[Point], group: int) -> bytes:
    """Points as the contract takes them: each coordinate of 32 bytes, in G2 the imaginary part first."""
    if group == 1:
        return b"".join(value.to_bytes(32, "big") for pair in points.affine(given, 1) for value in pair)
    return b"".join(value.to_bytes(32, "big") for x0, x1, y0, y1 in points.affine(given, 2)
                    for value in (x1, x0, y1, y0))


def decoded(data: bytes, group: int) -> Point:
    """A point of these bytes. Raises BadInput where it is not on the curve or not in the group."""
    values = [int.from_bytes(data[at:at + 32], "big") for at in range(0, len(data), 32)]
    if any(value >= points.P for value in values):
        raise BadInput("a coordinate that is not below the field's prime")
    if not any(values):
        return points.zero(group)
    if group == 2:
        values = [values[1], values[0], values[3], values[2]]
    return points.checked(values, group)


def _cut(values: list[Point], sizes: Sequence[int]) -> list[list[Point]]:
    found, at = [], 0
    for size in sizes:
        found.append(values[at:at + size])
        at += size
    return found
