"""A step of training in the circuit is the one in plain Python, and a false one has no witness."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_statement_attacks import stopped

from troth.compute.statements.tables import Column, Layout, Table
from troth.compute.statements.training import Step, caught
from troth.core.errors import BadInput, Refuted

KEY = bytes(range(32))
LAYOUT = Layout((Column("a", -100, 100), Column("b", 0, 100), Column("y", 0, 1)), 4, 4)
STEP = Step(LAYOUT, "y", 20, 100, 9, 10)
WEIGHT = st.integers(-(1 << 20), 1 << 20)


def weights(values, key=KEY):
    return Table.of(STEP.weights, [values], key)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-100, 100), st.integers(0, 100), st.integers(0, 1)), min_size=4, max_size=4),
       st.tuples(WEIGHT, WEIGHT, WEIGHT), st.integers(0, 2), st.sampled_from([-1, 1]))
def test_the_circuit_takes_the_same_step(rows, before, place, error) -> None:
    table, first = Table.of(LAYOUT, rows, KEY), weights(before)
    try:
        after = STEP.step(table, before)
    except Refuted:
        return
    instance = STEP.instance(table, first, weights(after))
    circuit = STEP.circuit
    given_ = {"context": 1, **instance.publics, **instance.secrets}
    circuit.check(circuit.witness(given_))
    false = [value + error * (at == place) for at, value in enumerate(after)]
    if abs(false[place]) <= 1 << 20:
        other = weights(false)
        with pytest.raises(Refuted, match="do not follow"):
            STEP.instance(table, first, other)
        with pytest.raises(Refuted, match="after"):
            circuit.check(circuit.witness(given_ | {"after": other.commitment, "after leaf": false}))


def test_a_step_from_other_weights_or_rows() -> None:
    table, before = Table.of(LAYOUT, [(10, 5, 1), (-9, 3, 0), (50, 99, 1), (0, 0, 0)], KEY), weights([100, -200, 300])
    honest = STEP.instance(table, before, weights(STEP.step(table, [100, -200, 300])))
    made_up = STEP.step(table, [0, 0, 0])
    stopped(STEP, honest, "path", leaf=[0, 0, 0], after=weights(made_up).commitment, after_leaf=made_up)
    fewer = Table.of(LAYOUT, [(0, 0, 0), *table.rows[1:]], KEY)
    without = STEP.step(fewer, [100, -200, 300])
    stopped(STEP, honest, "commitment", leaf_0=fewer.values(range(4)), after=weights(without).commitment,
            after_leaf=without)


def test_a_weight_that_leaves_its_range_is_refused() -> None:
    table = Table.of(LAYOUT, [(100, 100, 1)] * 4, KEY)
    steep = Step(LAYOUT, "y", 4, 100, 9, 10)
    with pytest.raises(Refuted, match="leaves its range"):
        steep.step(table, [0, 0, 0])
    with pytest.raises(BadInput, match="not a table to learn from"):
        Step(LAYOUT, "a", 20, 100, 9, 10)
    with pytest.raises(BadInput, match="not a step"):
        Step(LAYOUT, "y", 20, 100, 0, 10)


def test_it_learns() -> None:
    """Forty steps separate what a line separates."""
    drawn = np.random.default_rng(7)
    points = drawn.integers(-100, 101, (64, 2))
    layout = Layout((Column("a", -100, 100), Column("b", -100, 100), Column("y", 0, 1)), 64)
    table = Table.of(layout, [(int(a), int(b), int(a + 2 * b > 10)) for a, b in points], KEY)
    step, found = Step(layout, "y", 24, 100, 9, 8), [0, 0, 0]
    for _ in range(40):
        found = step.step(table, found)
    right = sum((found[0] * a + found[1] * b + found[2] * 100 > 0) == bool(y) for a, b, y in table.rows)
    assert right >= 60


def test_sampling_steps_catches_with_the_chance_that_is_said() -> None:
    assert caught(1000, 10, 100) == pytest.approx(1 - math.comb(990, 100) / math.comb(1000, 100))
    assert caught(1000, 0, 500) == 0
    assert caught(1000, 1, 1000) == 1
    assert caught(10, 6, 5) == 1
    with pytest.raises(BadInput):
        caught(10, 11, 1)
