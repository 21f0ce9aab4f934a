"""Whether a key is of a circuit: checked by whoever has the circuit and the whole key, whoever made it.

A verifying key alone shows nothing of its circuit. The proving key does, with seven points more that a setup leaves
(`groth16.transcript`): tau in G2; z = tau**n - 1 in both groups; alpha z in G1; beta z, gamma z, delta z in G2. From
those it follows by pairings that the key is a Groth16 setup of this very system, for some secrets. Nobody's secrets
follow from them, and nothing is shown of who knows them: whoever made a dev setup can still forge under its key.

With rho random numbers of 128 bits, so that one wrong point passes once in 2**128, and Q(p) = p(tau) z / delta, which
the key's points h give for any polynomial p below degree n:

1. Q(1), Q(X), Q(X^2), ... are steps of tau; Q(1) delta is z; Q(X^(n-1)) tau is Q(1) (z + 1).
2. a and b are the wires' polynomials at tau: Q(p) delta = (sum of points) z; b is the same in both groups.
3. beta and delta are the same in both groups, and the transcript's products are theirs.
4. l and the publics' points: l delta z = beta z a + alpha z b + Q(c) delta, and with gamma for the publics.
5. The points of the right sides, which only our own prover reads: twice their sum is Q(c).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from troth.compute.circuits.builder import Circuit, Rows
from troth.compute.circuits.field import R
from troth.compute.provers import groth16, points
from troth.compute.provers.groth16 import Proving, decoded, public_rows
from troth.compute.provers.points import Point
from troth.compute.provers.port import Keys
from troth.core.errors import BadInput, Misuse, Refuted

SIZES = (64, 64, 128, 128, 128, 128, 128)
"""z, alpha z; tau, z, beta z, gamma z, delta z."""
_RANDOM = 128
_LEAST, _SUMS = 10_069, 10


def check(keys: Keys, circuit: Circuit) -> None:
    """Raises Refuted where the key is not of this circuit, Misuse for one that came without a transcript."""
    if not keys.transcript:
        raise Misuse("a key without its transcript", do="Of a ceremony's key: snarkjs zkey verify, with the circuit's "
                     ".r1cs file and the powers of tau.")
    if len(keys.transcript) != sum(SIZES):
        raise BadInput("not a transcript", expected=f"{sum(SIZES)} bytes", actual=len(keys.transcript))
    _Check(keys, circuit).run()


class _Check:
    """The steps, with what they share."""

    def __init__(self, keys: Keys, circuit: Circuit) -> None:
        self.key: Proving = keys.proving
        self.circuit, self.size = circuit, 1 << self.key.power
        at = [sum(SIZES[:number]) for number in range(len(SIZES))]
        self.z1, self.alpha_z, self.tau, self.z, self.beta_z, self.gamma_z, self.delta_z = (
            decoded(keys.transcript[start:start + size], size // 64) for start, size in zip(at, SIZES, strict=True))
        self.gamma = decoded(keys.verifying[192:320], 2)
        self.ic = [decoded(keys.verifying[start:start + 64], 1) for start in range(448, len(keys.verifying), 64)]
        self.one1, self.one2 = points.generator(1), points.generator(2)
        for point in (self.z, self.tau, self.gamma, self.key.delta2, self.key.beta2, self.key.alpha):
            if point.is_zero():
                raise Refuted("a setup with a secret that is 0")

    def run(self) -> None:
        """Every check, in the order above. Raises Refuted at the first that does not hold."""
        key, powers = self.key, [_random() for _ in range(self.size - 1)]
        self._in_group([*key.b2, key.beta2, key.delta2])
        # 1. The steps of tau.
        lower, upper = self._of([*powers, 0]), self._of([0, *powers])
        first, last = self._of([1]), self._of([0] * (self.size - 1) + [1])
        self._same("the powers of tau", [(upper, self.one2)], [(lower, self.tau)])
        self._same("the powers of tau begin", [(first, key.delta2)], [(self.one1, self.z)])
        self._same("the powers of tau end", [(last, self.tau)], [(first, self.z + self.one2)])
        # 2. The wires' polynomials.
        wires = [_random() for _ in range(self.circuit.wires)]
        a, b1, b2 = (points.full_sum(list(zip(held, wires, strict=True)), group)
                     for held, group in ((key.a, 1), (key.b1, 1), (key.b2, 2)))
        self._same("a", [(self._values(self.circuit.a, wires, True), key.delta2)], [(a, self.z)])
        self._same("b", [(self._values(self.circuit.b, wires), key.delta2)], [(b1, self.z)])
        self._same("b in both groups", [(b1, self.one2)], [(self.one1, b2)])
        # 3. The secrets in both groups, and times z.
        for name, one, two in (("z", self.z1, self.z), ("beta", key.beta1, key.beta2),
                               ("delta", key.delta1, key.delta2)):
            self._same(f"{name} in both groups", [(one, self.one2)], [(self.one1, two)])
        self._same("alpha z", [(self.alpha_z, self.one2)], [(key.alpha, self.z)])
        for name, point, product in (("beta z", key.beta2, self.beta_z), ("gamma z", self.gamma, self.gamma_z),
                                     ("delta z", key.delta2, self.delta_z)):
            self._same(name, [(self.z1, point)], [(self.one1, product)])
        # 4. What the private wires and the publics add.
        publics = 1 + len(self.circuit.publics)
        self._shares("l", key.l, range(publics, self.circuit.wires), self.delta_z)
        self._shares("the publics", self.ic, range(publics), self.gamma_z)
        # 5. What spares our prover a transform.
        if key.c:
            right = points.full_sum([(point, wires[wire]) for wire, point in key.c.items()], 1)
            self._same("c", [(right + right, self.one2)], [(self._values(self.circuit.c, wires), self.one2)])

    @staticmethod
    def _in_group(held: Sequence[Point]) -> None:
        """G2's curve has the group's order times a number whose least factor is 10,069: one random sum misses a wrong
        point once in so many, however large the numbers are, and ten of them once in 2**132."""
        for _ in range(_SUMS):
            found = points.sum_of_products(held, [secrets.randbelow(_LEAST) for _ in held], 2)
            if found * (R - 1) != -found:
                raise Refuted("the key is not of this circuit", actual="points outside the group")

    def _shares(self, name: str, held: Sequence[Point], wires: range, by: Point) -> None:
        chosen = [_random() if wire in wires else 0 for wire in range(self.circuit.wires)]
        of = [(wire, chosen[wire]) for wire in wires]
        given = points.full_sum([(point, scalar) for point, (_, scalar) in zip(held, of, strict=True)], 1)
        a = points.full_sum([(self.key.a[wire], scalar) for wire, scalar in of], 1)
        b = points.full_sum([(self.key.b2[wire], scalar) for wire, scalar in of], 2)
        c = self._values(self.circuit.c, chosen)
        self._same(name, [(given, by)], [(a, self.beta_z), (self.alpha_z, b), (c, self.key.delta2)])

    def _values(self, rows: Rows, chosen: Sequence[int], publics: bool = False) -> Point:
        """Q of a sum of wires' polynomials, which are known by their values on the domain."""
        values = [sum(coefficient * chosen[wire] for wire, coefficient in zip(wires, coefficients, strict=True)) % R
                  for wires, coefficients in zip(rows.wires, rows.coefficients, strict=True)]
        values += [chosen[wire] for wire in public_rows(self.circuit)] if publics else []
        values += [0] * (self.size - len(values))
        return self._of(groth16.transforms().ifft(values, self.size))

    def _of(self, coefficients: Sequence[int]) -> Point:
        """Q of a polynomial: X**n - 1 is -2 on the odd powers, and 0 on the others."""
        moves = groth16.shifts(self.key.power)
        shifted = [value * move % R for value, move in zip(coefficients, moves, strict=False)]
        values = groth16.transforms().fft([*shifted, *[0] * (self.size - len(shifted))], self.size)
        return points.full_sum([(point, -2 * value % R) for point, value in zip(self.key.h, values, strict=True)], 1)

    @staticmethod
    def _same(name: str, left: Sequence[tuple[Point, Point]], right: Sequence[tuple[Point, Point]]) -> None:
        if not points.pairings_equal(left, right):
            raise Refuted("the key is not of this circuit", expected="a setup of it, whatever its secrets",
                          actual=f"wrong points: {name}")


def _random() -> int:
    return secrets.randbits(_RANDOM)
