"""Proofs from end to end, and provers that cheat with them."""

import pytest

from ports.prover_suite import ProverSuite, statement
from troth.compute.circuits.field import R
from troth.compute.provers import points
from troth.compute.provers.groth16 import Groth16
from troth.core.errors import BadInput, Refuted

pytest.importorskip("zksnake")
PROVER = Groth16()


class TestGroth16(ProverSuite):
    @classmethod
    def prover(cls):
        return PROVER


@pytest.fixture(scope="module")
def made():
    """(circuit, keys, witness, publics, proof)."""
    circuit = statement(100)
    keys = PROVER.setup(circuit)
    witness = circuit.witness({"context": 99, "x": [42, 12345678901234567890]})
    return circuit, keys, witness, circuit.public_values(witness), PROVER.prove(keys, circuit, witness)


def refused(keys, proof, publics, kind=Refuted):
    with pytest.raises(kind):
        PROVER.verify(keys.verifying, proof, publics)


def test_publics_beyond_the_field_are_refused(made):
    """The same number modulo the prime, and none at all."""
    _, keys, _, publics, proof = made
    for other in ((R, publics[1]), (R + 99, publics[1]), (-1, publics[1]), (publics[0], publics[1] + R), publics[:1]):
        refused(keys, proof, other, BadInput)


@pytest.mark.parametrize("place", [0, 40, 64, 100, 191, 192, 255])
def test_a_changed_proof_does_not_hold(made, place):
    _, keys, _, publics, proof = made
    changed = bytearray(proof)
    changed[place] ^= 1
    with pytest.raises((Refuted, BadInput)):
        PROVER.verify(keys.verifying, bytes(changed), publics)


def test_a_malleated_proof_says_the_same_and_nothing_else(made):
    """Groth16 proofs can be rerandomised by anyone: (-A, -B, C) holds too, for these publics alone. So whether a proof
    was seen before says nothing; `context` is what binds it to its use."""
    _, keys, _, publics, proof = made
    turned = bytearray(proof)
    for at, size in ((32, 32), (128, 32), (160, 32)):   # the y of A, and both parts of the y of B
        value = int.from_bytes(proof[at:at + size], "big")
        turned[at:at + size] = ((points.P - value) % points.P).to_bytes(size, "big")
    assert bytes(turned) != proof
    PROVER.verify(keys.verifying, bytes(turned), publics)
    refused(keys, bytes(turned), (publics[0] + 1, publics[1]))


def test_points_that_are_none_are_refused(made):
    _, keys, _, publics, proof = made
    off = proof[:63] + bytes([proof[63] ^ 1]) + proof[64:]
    refused(keys, off, publics, BadInput)
    large = points.P.to_bytes(32, "big") + proof[32:]
    refused(keys, large, publics, BadInput)
    refused(keys, proof[:-1], publics, BadInput)
    # On the curve of G2 and outside its group: the first of small x.
    outside = off_group()
    refused(keys, proof[:64] + outside + proof[192:], publics, BadInput)
    refused(keys, bytes(256), publics)              # all neutral


def off_group() -> bytes:
    p = points.P
    twist = (3 * 9 * pow(82, -1, p) % p, -3 * pow(82, -1, p) % p)
    for x in range(1, 50):
        a, b = (pow(x, 3, p) + twist[0]) % p, twist[1]   # y*y = x**3 + twist for a real x
        norm = pow(a * a + b * b, (p + 1) // 4, p)
        if norm * norm % p != (a * a + b * b) % p:
            continue
        for sign in (1, -1):
            half = (a + sign * norm) * pow(2, -1, p) % p
            y0 = pow(half, (p + 1) // 4, p)
            if y0 and y0 * y0 % p == half:
                y1 = b * pow(2 * y0, -1, p) % p
                return b"".join(value.to_bytes(32, "big") for value in (0, x, y1, y0))
    raise AssertionError("no point found")


def test_points_keep_their_coordinates_both_ways():
    for group in (1, 2):
        base = points.generator(group)
        many = [points.zero(group), base, -base, base * 5 + base, base * (R - 2)]
        data = points.to_bytes(many, group)
        assert points.from_bytes(data, group) == many
        assert points.affine(many[:1], group) == [(0,) * (2 * group)]


def test_points_are_the_same_without_knowing_their_layout(monkeypatch):
    base = {group: [points.zero(group), points.generator(group) * 12345] for group in (1, 2)}
    quick = {group: points.to_bytes(base[group], group) for group in (1, 2)}
    monkeypatch.setattr(points, "_layout", lambda: False)
    for group in (1, 2):
        assert points.to_bytes(base[group], group) == quick[group]
        assert points.from_bytes(quick[group], group) == base[group]


def test_sums_by_buckets_are_sums():
    for group in (1, 2):
        base = points.generator(group)
        scalars = [0, 1, -1, 2, -2, 255, 256, -70000, 2**31, -(2**32) + 1, 2**40, R // 2, -(R // 2), 5, 5, 0]
        many = list(points.products(base, range(3, 3 + len(scalars)), group))
        assert many[:3] == [base * 3, base * 4, base * 5]
        wanted = sum(scalar * place for place, scalar in enumerate(scalars, 3)) % R
        assert points.sum_of_products(many, scalars, group) == base * wanted
    assert list(points.products(points.generator(1), [R - 1, 0], 1)) == [-points.generator(1), points.zero(1)]
