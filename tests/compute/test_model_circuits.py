"""A program's circuit gives what the program gives, bit by bit, for every kind of step."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.small_programs import inputs, program
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
    declared_bits,
    input_commitment,
    learned_parts,
)
from troth.core.errors import BadInput, Misuse, Refuted
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Sum

EXAMPLES = int(os.environ.get("TROTH_CIRCUIT_EXAMPLES", "15"))
"""`make circuits` sets more."""
SALT, OTHER = 11**60 % 2**248, 13**60 % 2**248
seeds = st.integers(0, 2**32)
seen: set[str] = set()


def answers(made: ModelCircuit, row, **salts):
    witness = made.witness(row, 5, **salts)
    made.circuit.check(witness)
    return made.read(made.circuit.public_values(witness))


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_fixed_weights(seed):
    rng = np.random.default_rng(seed)
    model = program(rng)
    seen.update(step.KIND for step in model.steps)
    rows = inputs(model, rng, 4)
    scores, labels = model.run(rows), model.labels(model.run(rows))
    for modes in (Modes(FIXED, PUBLIC, SCORES), Modes(FIXED, PUBLIC, LABEL)):
        made = ModelCircuit(model, modes)
        for row, wanted, label in zip(rows, scores, labels, strict=True):
            answer = answers(made, row)
            assert (answer.context, answer.model, answer.input, answer.row) == (5, None, None, tuple(row.tolist()))
            assert (answer.scores, answer.label) == (
                (tuple(wanted.tolist()), None) if modes.output == SCORES else (None, label))


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_committed_weights_and_inputs(seed):
    rng = np.random.default_rng(seed)
    model = program(rng)
    seen.update(step.KIND for step in model.steps)
    rows = inputs(model, rng, 3)
    made = ModelCircuit(model, Modes(COMMITTED, COMMITTED, SCORES))
    for row, wanted in zip(rows, model.run(rows), strict=True):
        answer = answers(made, row, row_salt=SALT, weights_salt=OTHER)
        assert answer.scores == tuple(wanted.tolist())
        assert answer.model == commitment(model, OTHER)
        assert answer.input == input_commitment(model, row.tolist(), SALT)


def test_every_kind_of_step_was_seen():
    """By the two tests before this one."""
    if len(seen) > 1:   # not where this test runs alone
        assert seen == {kind.KIND for kind in (Affine, Clamp, Conv, Forest, Gather, Maximum, Rescale, Sum)}


def test_one_circuit_serves_every_model_of_an_architecture():
    first = two_layers(1)
    made = ModelCircuit(first, Modes(COMMITTED, PUBLIC, SCORES), bits=(8, 20, 8, 20))
    for seed in (2, 3):
        other = two_layers(seed)
        row = np.array([3, -7, 100])
        answer = answers(made, row, model=other, weights_salt=SALT)
        assert answer.scores == tuple(other.run(row[None])[0].tolist())
        assert answer.model == commitment(other, SALT, (8, 20, 8, 20)) != commitment(first, SALT, (8, 20, 8, 20))
        assert ModelCircuit(other, made.modes, made.bits).circuit.digest == made.circuit.digest
    with pytest.raises(BadInput, match="another architecture"):
        made.witness([0, 0, 0], 5, model=two_layers(1, bits=5), weights_salt=SALT)


def two_layers(seed: int, bits: int = 4) -> Program:
    rng = np.random.default_rng(seed)
    return Program(np.full(3, -128), np.full(3, 127), (
        Affine(0, rng.integers(-100, 100, (4, 3)), rng.integers(-99, 99, 4)), Rescale(1, bits), Clamp(2, 0, 1 << 40),
        Affine(3, rng.integers(-100, 100, (2, 4)), rng.integers(-99, 99, 2))), "largest")


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 7])
@pytest.mark.parametrize("steps", [(), (Rescale(0, 2),)], ids=["alone", "after a rescale"])
def test_a_clamp_at_a_power_of_two_is_read_from_bits(bits, steps):
    """Every input, on both sides of both bounds, with none, one and many bits above the clamp."""
    model = Program(np.array([-90]), np.array([121]), (*steps, Clamp(len(steps), 0, (1 << bits) - 1)), "number")
    made = ModelCircuit(model, Modes(FIXED, PUBLIC, SCORES))
    upper = max(0, (int(model.ranges[-2][1].max())).bit_length() - bits)
    assert sum("clamp" in label for label in made.circuit.labels) == (
        1 + (upper > 0) + min(max(upper - 1, 0), 2) + (0 if steps else 8))
    for value in range(-90, 122, 1 if upper else 7):
        witness = made.witness([value], 5)
        made.circuit.check(witness)
        said = made.read(made.circuit.public_values(witness))
        assert said.scores == tuple(model.run(np.array([[value]]))[0].tolist())


def test_a_label_that_ties_is_the_lowest():
    model = Program(np.zeros(3, dtype=np.int64), np.full(3, 9), (Gather(0, np.arange(3)),), "largest")
    made = ModelCircuit(model, Modes(FIXED, PUBLIC, LABEL))
    for row, label in (([4, 4, 4], 0), ([3, 4, 4], 1), ([0, 0, 1], 2)):
        assert answers(made, row).label == label


def test_bits_are_declared_and_kept():
    model = two_layers(1)
    assert declared_bits(model) == (8, 8, 8, 7)
    assert [len(values) for _, _, values in learned_parts(model)] == [12, 4, 8, 2]
    with pytest.raises(BadInput, match="beyond its range"):
        commitment(model, SALT, (3, 8, 8, 8))
    with pytest.raises(BadInput, match="wrap around the field"):
        _ = ModelCircuit(model, Modes(COMMITTED), bits=(246, 8, 8, 8)).circuit


def test_bad_input_is_refused_before_anything_is_computed():
    model = two_layers(1)
    made = ModelCircuit(model)
    for row, what in (([0, 0, 128], "beyond its range"), ([0, 0], "other numbers")):
        with pytest.raises(BadInput, match=what):
            made.witness(row, 5)
    with pytest.raises(BadInput, match="context"):
        made.witness([0, 0, 0], 1 << 248)
    with pytest.raises(BadInput, match="salt"):
        made.witness([0, 0, 0], 5, row_salt=R)
    with pytest.raises(Misuse, match="no such way"):
        Modes("private")
    with pytest.raises(Misuse, match="no label"):
        ModelCircuit(Program(np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64), (Gather(0, np.arange(1)),),
                             "number"), Modes(output=LABEL))
    with pytest.raises(Misuse, match="constants of this circuit"):
        made.witness([0, 0, 0], 5, model=two_layers(2))


def test_public_values_are_read_strictly():
    model = two_layers(1)
    made = ModelCircuit(model, Modes(FIXED, PUBLIC, SCORES))
    witness = made.witness([1, 2, 3], 5)
    publics = list(made.circuit.public_values(witness))
    for place, value in ((0, R), (1, 1 << 60), (2, 1 << 200), (2, -1)):
        changed = list(publics)
        changed[place] = value
        with pytest.raises(BadInput):
            made.read(changed)
    with pytest.raises(BadInput):
        made.read(publics[:-1])


def test_only_what_the_hints_give_passes():
    """Random changes of a random wire of a model's witness: a constraint breaks, whatever the wire."""
    rng = np.random.default_rng(3)
    model = program(np.random.default_rng(17))
    for modes in (Modes(FIXED, PUBLIC, SCORES), Modes(COMMITTED, COMMITTED, SCORES)):
        made = ModelCircuit(model, modes)
        witness = made.witness(inputs(model, rng, 2)[0], 5, row_salt=SALT, weights_salt=SALT)
        made.circuit.check(witness)
        for wire in rng.choice(np.arange(2, len(witness)), 25, replace=False).tolist():
            for value in (witness[wire] + 1, 1 - witness[wire]):
                if (value - witness[wire]) % R:
                    changed = list(witness)
                    changed[wire] = centred(value)
                    with pytest.raises(Refuted):
                        made.circuit.check(changed)
