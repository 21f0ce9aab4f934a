"""Provers that cheat. Each is refused, and each gets through once the constraints it is held by are taken out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from compute.cheating import Lie, forged, without
from troth.compute.circuits.builder import Circuit
from troth.compute.circuits.field import R, centred
from troth.compute.circuits.model import (
    COMMITTED,
    FIXED,
    LABEL,
    PUBLIC,
    SCORES,
    ModelCircuit,
    Modes,
    commitment,
    input_commitment,
    learned_parts,
)
from troth.compute.provers import groth16
from troth.compute.provers.groth16 import Groth16
from troth.core.errors import Refuted
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Step, Tree

SALT, OTHER_SALT = 7**80 % 2**248, 5**80 % 2**248


def ints(*values: Any) -> Any:
    return np.array(values, dtype=np.int64)


def program(*steps: Step, width: int = 3, low: int = -100, high: int = 99, head: str = "number") -> Program:
    return Program(np.full(width, low), np.full(width, high), steps, head)


def held_and_let_through(circuit: Circuit, witness: list[int], label: str) -> None:
    """The constraints hold the cheat, and those of this label do."""
    with pytest.raises(Refuted, match="breaks constraint"):
        circuit.check(witness)
    without(circuit, label).check(witness)


LINEAR = program(Affine(0, ints([3, -5, 7]), ints(11)))


# ---- what is committed ----

def test_other_weights_than_committed():
    made = ModelCircuit(LINEAR, Modes(COMMITTED, PUBLIC, SCORES), bits=(4, 5))
    other = program(Affine(0, ints([-3, 5, 7]), ints(0)))
    witness = made.witness([1, 2, 3], 5, model=other, weights_salt=SALT)
    witness[2] = centred(commitment(LINEAR, SALT, made.bits))   # wire 2 is `model`
    held_and_let_through(made.circuit, witness, "weights commitment")
    assert made.read(made.circuit.public_values(witness)).scores != tuple(LINEAR.run(ints([1, 2, 3]))[0].tolist())


def test_another_input_than_committed():
    made = ModelCircuit(LINEAR, Modes(FIXED, COMMITTED, SCORES))
    witness = made.witness([9, 9, 9], 5, row_salt=SALT)
    witness[2] = centred(input_commitment(LINEAR, [1, 2, 3], SALT))
    held_and_let_through(made.circuit, witness, "input commitment")


def test_another_input_than_the_public_one():
    made = ModelCircuit(LINEAR, Modes(FIXED, PUBLIC, SCORES))
    witness = made.witness([9, 9, 9], 5)
    witness[2] = made.witness([1, 2, 3], 5)[2]
    held_and_let_through(made.circuit, witness, "published")


def test_weights_packed_otherwise_with_the_same_commitment():
    """Weights of 4 bits: 16 more in one place are 1 more in the next."""
    made = ModelCircuit(LINEAR, Modes(COMMITTED, PUBLIC, SCORES), bits=(4, 5))
    weights = [value for _, _, part in learned_parts(LINEAR) for value in part]
    weights[0], weights[1] = weights[0] + 16, weights[1] - 1
    witness = made.circuit.witness({"context": 5, "row": [1, 2, 3], "weights": weights, "weights salt": SALT})
    assert made.read(made.circuit.public_values(witness)).model == commitment(LINEAR, SALT, made.bits)
    held_and_let_through(made.circuit, witness, "packed ranges")
    assert made.read(made.circuit.public_values(witness)).scores != tuple(LINEAR.run(ints([1, 2, 3]))[0].tolist())


def test_inputs_packed_otherwise_with_the_same_commitment():
    made = ModelCircuit(LINEAR, Modes(FIXED, COMMITTED, SCORES))
    witness = made.circuit.witness({"context": 5, "row": [1 + 256, 2 - 1, 3], "row salt": SALT})
    assert made.read(made.circuit.public_values(witness)).input == input_commitment(LINEAR, [1, 2, 3], SALT)
    held_and_let_through(made.circuit, witness, "input range")


@pytest.mark.parametrize("value", [100, -101, 155, R // 3])
def test_an_input_beyond_its_range(value):
    made = ModelCircuit(LINEAR, Modes(FIXED, COMMITTED, SCORES))
    witness = made.circuit.witness({"context": 5, "row": [value, 2, 3], "row salt": SALT})
    held_and_let_through(made.circuit, witness, "input range")


def test_a_weight_so_large_that_the_product_wraps():
    """Any score, by a weight that is the score divided by the input modulo the prime."""
    made = ModelCircuit(LINEAR, Modes(COMMITTED, PUBLIC, SCORES), bits=(4, 5))
    weights = [centred(777 * pow(3, -1, R)), 0, 0, 0]
    witness = made.circuit.witness({"context": 5, "row": [3, 2, 1], "weights": weights, "weights salt": SALT})
    held_and_let_through(made.circuit, witness, "packed ranges")
    assert made.read(made.circuit.public_values(witness)).scores == (777,)


# ---- the steps ----

def by(place: int, more: int) -> Lie:
    """One wire of the hint changed by so much."""
    def lie(honest: list[int]) -> list[int]:
        return [centred(value + more) if at == place else value for at, value in enumerate(honest)]
    return lie


def flipped(place: int) -> Lie:
    """One bit of the hint the other way."""
    def lie(honest: list[int]) -> list[int]:
        return [1 - value if at == place % len(honest) else value for at, value in enumerate(honest)]
    return lie


def told(*values: int) -> Lie:
    """These values whatever is honest."""
    return lambda honest: values


NINES = (Affine(0, ints([9, 0, 0]), ints(0)), Rescale(1, 2))
STUMPS = Forest(0, (
    Tree(ints(0, 1, 2, -1, -1, -1, -1), ints(5, -3, 7, 0, 0, 0, 0), ints(1, 3, 5, 0, 0, 0, 0),
         ints(2, 4, 6, 0, 0, 0, 0), ints([0], [0], [0], [-20], [10], [30], [50])),), ints(0))
MANY = Forest(0, tuple(
    Tree(ints(0, -1, -1), ints(at, 0, 0), ints(1, 0, 0), ints(2, 0, 0), ints([0], [-at - 50], [at + 1]))
    for at in range(-60, 60, 6)), ints(0))


@dataclass(frozen=True)
class Cheat:
    """A lie at one hint of a model, and the label of what holds it."""

    model: Program
    label: str
    held_by: str
    lie: Lie
    number: int = 0
    row: tuple[int, ...] = (40, -50, 60)
    output: str = SCORES


CHEATS = {
    "a quotient one larger": Cheat(program(Affine(0, ints([1, 1, 1]), ints(0)), Rescale(1, 3)), "step 2 rescale",
                                   "step 2 rescale", by(2, 1)),
    "an overflowed quotient": Cheat(program(Affine(0, ints([1, 1, 1]), ints(0)), Rescale(1, 3)), "step 2 rescale",
                                    "step 2 rescale", by(5, R // 7)),
    "a negative value let through a ReLU": Cheat(program(Gather(0, ints(1)), Clamp(1, 0, 1 << 40)), "step 2 clamp",
                                                 "step 2 clamp", flipped(-1)),
    "a positive value held back by a ReLU": Cheat(
        program(Affine(0, ints([9, 0, 0]), ints(0)), Rescale(1, 2), Clamp(2, 0, 1 << 40)), "step 2 rescale",
        "step 2 rescale", flipped(-1)),
    "a ReLU's product": Cheat(program(Affine(0, ints([9, 0, 0]), ints(0)), Rescale(1, 2), Clamp(2, 0, 1 << 40)),
                              "step 3 clamp", "step 3 clamp", by(0, -1)),
    "a value above its clamp": Cheat(program(Gather(0, ints(0)), Clamp(1, -1000, 20)), "step 2 clamp", "step 2 clamp",
                                     flipped(-1)),
    "no bit above the clamp": Cheat(program(*NINES, Clamp(2, 0, 63)), "step 3 clamp", "step 3 clamp", by(0, 1)),
    "none of many bits above the clamp": Cheat(program(*NINES, Clamp(2, 0, 7)), "step 3 clamp", "step 3 clamp",
                                               told(0)),
    "less than the clamp": Cheat(program(*NINES, Clamp(2, 0, 63)), "step 3 clamp", "step 3 clamp", by(0, -1), number=1),
    "not the largest": Cheat(program(Maximum(0, ints([0, 1, 2]))), "step 1 maximum", "step 1 maximum", flipped(-1),
                              number=2),
    "more than the largest": Cheat(program(Maximum(0, ints([0, 1, 2]))), "step 1 maximum", "step 1 maximum", by(0, 500),
                                   number=-1),
    "another leaf": Cheat(program(STUMPS, low=-8000, high=8000), "path", "what the path says", told(0, 0, 1)),
    "two leaves and one less": Cheat(program(STUMPS, low=-8000, high=8000), "path", "one leaf", told(0, 0, -1)),
    "another bin": Cheat(program(MANY), "bins", "edges", lambda honest: [1, *[0] * (len(honest) - 1)]),
    "two bins and one less": Cheat(program(MANY), "bins", "bins", lambda honest: [2, -1, *[0] * (len(honest) - 2)]),
    "a choice at a node": Cheat(program(Forest(0, (*MANY.trees, STUMPS.trees[0]), ints(0))), "bins", "bins", by(0, 3),
                                number=-1),
    "another class": Cheat(program(Gather(0, ints(0, 1, 2)), head="largest"), "label", "label", flipped(-1),
                           row=(60, -50, 40), output=LABEL),
    "another sign": Cheat(program(Gather(0, ints(1)), head="sign"), "label", "label", flipped(-1), output=LABEL),
    "other scores than came out": Cheat(LINEAR, "published", "published", by(0, 1), number=-1),
    "a hash's power": Cheat(LINEAR, "input commitment", "input commitment", by(2, 1)),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_lie_on_the_way(name):
    cheat = CHEATS[name]
    made = ModelCircuit(cheat.model, Modes(FIXED, COMMITTED, cheat.output))
    given = {"context": 5, "row": list(cheat.row), "row salt": SALT}
    honest = made.circuit.public_values(made.circuit.witness(given))
    made.circuit.check(made.circuit.witness(given))
    witness = forged(made.circuit, given, cheat.label, cheat.number, cheat.lie)
    assert made.circuit.public_values(witness) != honest   # it would have gained something
    held_and_let_through(made.circuit, witness, cheat.held_by)


def test_a_product_of_committed_weights():
    made = ModelCircuit(program(Conv(0, ints([[[2, 3]]]), ints(1), (1, 1, 3)), Maximum(1, ints([0, 1]))),
                        Modes(COMMITTED, PUBLIC, SCORES))
    given = {"context": 5, "row": [1, 2, 3], "weights": [2, 3, 1], "weights salt": OTHER_SALT}
    witness = forged(made.circuit, given, "step 1 conv", 0, by(0, 100))
    held_and_let_through(made.circuit, witness, "step 1 conv")


# ---- the proof ----

def test_a_proof_replayed_elsewhere(monkeypatch):
    """`context` is in no constraint of the statement. The row of its own that a setup adds is what binds it."""
    prover, made = Groth16(), ModelCircuit(LINEAR, Modes(FIXED, PUBLIC, SCORES))
    witness = made.witness([1, 2, 3], 5)
    publics = made.circuit.public_values(witness)
    elsewhere = (6, *publics[1:])
    keys = prover.setup(made.circuit)
    with pytest.raises(Refuted):
        prover.verify(keys.verifying, prover.prove(keys, made.circuit, witness), elsewhere)
    honest = groth16.public_rows
    monkeypatch.setattr(groth16, "public_rows", lambda circuit: [wire for wire in honest(circuit) if wire != 1])
    loose = prover.setup(made.circuit)
    prover.verify(loose.verifying, prover.prove(loose, made.circuit, witness), elsewhere)
