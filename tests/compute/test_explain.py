"""Explanations against their definitions: all coalitions counted, slopes measured, and sums that add up exactly."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.families import fitted, quantised
from compute.programs import random_tree
from troth.compute.explain import ENUMERATED, GRADIENTS, SHAPLEY, Explanation, explain
from troth.compute.models.build import ints
from troth.core.errors import BadInput
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Sum


def by_orders(program: Program, row: np.ndarray, background: np.ndarray, outputs: tuple[int, ...]) -> list[Fraction]:
    """Shapley's own definition: what a feature adds when it joins, over all orders and background rows."""
    count = len(row)
    values = [Fraction(0)] * count
    for other in background:
        for order in itertools.permutations(range(count)):
            mixed = other.copy()
            before = int(program.run(mixed[None])[0] @ np.array(outputs))
            for place in order:
                mixed[place] = row[place]
                after = int(program.run(mixed[None])[0] @ np.array(outputs))
                values[place] += after - before
                before = after
    return [value / (math.factorial(count) * len(background)) for value in values]


def fractions(found: Explanation) -> list[Fraction]:
    return [Fraction(value, found.denominator) for value in found.values]


def forest(rng: np.random.Generator, features: int, outputs: int) -> Program:
    trees = tuple(random_tree(rng, features, outputs, -4, 5, 100) for _ in range(3))
    return Program(np.full(features, -5), np.full(features, 5), (Forest(0, trees, rng.integers(-9, 9, outputs)),),
                   "sign" if outputs == 1 else "largest")


def network(rng: np.random.Generator, features: int) -> Program:
    return Program(np.full(features, -5), np.full(features, 5), (
        Affine(0, rng.integers(-9, 9, (4, features)), rng.integers(-9, 9, 4)), Rescale(1, 2), Clamp(2, 0, 31),
        Affine(3, rng.integers(-9, 9, (3, 4)), rng.integers(-9, 9, 3))), "largest")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), outputs=st.integers(1, 3))
def test_trees_get_shapleys_values_by_his_definition(seed: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    program = forest(rng, 4, outputs)
    rows = rng.integers(-5, 6, (4, 4))
    found = explain(program, rows[0], rows[1:])
    assert (found.method, found.error) == (SHAPLEY, 0)
    assert fractions(found) == by_orders(program, rows[0], rows[1:], found.outputs)
    assert fractions(explain(program, rows[0], rows[1:], ENUMERATED)) == fractions(found)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_affine_map_gets_its_closed_form_and_a_network_all_coalitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-5, 6, (4, 4))
    line = Program(np.full(4, -5), np.full(4, 5), (Affine(0, rng.integers(-99, 99, (3, 4)), rng.integers(-9, 9, 3)),),
                   "largest")
    found = explain(line, rows[0], rows[1:])
    assert (found.method, found.error) == (SHAPLEY, 0)
    assert fractions(found) == by_orders(line, rows[0], rows[1:], found.outputs)
    program = network(rng, 4)
    again = explain(program, rows[0], rows[1:], ENUMERATED)
    assert again.error == 0
    assert fractions(again) == by_orders(program, rows[0], rows[1:], again.outputs)


@pytest.mark.parametrize("family", ["logistic", "softmax", "tree", "forest binary", "boosting", "binned number"])
def test_a_real_models_shares_add_up_exactly(family: str) -> None:
    program = quantised(family).program
    rows = np.clip(ints(program, fitted(family).unseen[:25]), program.low, program.high)
    found = explain(program, rows[0], rows[1:])
    assert found.error == 0
    scores = program.run(rows).astype(object) @ np.array(found.outputs, dtype=object)
    mean = Fraction(int(sum(scores[1:])), 24)
    assert sum(fractions(found)) == Fraction(int(scores[0])) - mean
    assert any(found.values)
    unused = set(range(len(program.low))) - {int(place) for step in program.steps if isinstance(step, Forest)
                                             for tree in step.trees for place in tree.feature}
    if not isinstance(program.steps[0], Affine):
        assert all(found.values[place] == 0 for place in unused)  # who plays no part gets nothing
    assert Explanation.from_bytes(found.to_bytes()) == found
    assert explain(program, rows[0], rows[1:]).to_bytes() == found.to_bytes()


def test_gradients_are_the_programs_own_slopes() -> None:
    """Where no bend lies on the line, the slope is the same all along it, and the values add up."""
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 9, (2, 3))
    steep = (Affine(0, weights << 12, np.full(2, 1 << 20)), Rescale(1, 6), Clamp(2, 0, 1 << 40),
             Affine(3, np.array([[5, 7]]), np.array([3])))
    program = Program(np.full(3, -9), np.full(3, 9), steep, "sign")
    row, background = np.array([9, -3, 4]), np.array([[0, 1, 2], [0, 1, 2]])
    found = explain(program, row, background)
    assert (found.method, found.error) == (GRADIENTS, 0)
    slope = np.array([5, 7]) @ weights * (1 << 6)
    assert fractions(found) == [Fraction(int(one)) for one in slope * (row - background[0])]


def test_slopes_of_every_step_are_those_that_are_measured() -> None:
    """On a short line, on which the largest stay the largest, a slope is the difference quotient: nothing rounds."""
    straight = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image = Conv(0, rng.integers(-3, 4, (2, 1, 2, 2)), rng.integers(-9, 9, 2), (1, 3, 4), (1, 2), (1, 0, 0, 1))
        count = 2 * image.places[0] * image.places[1]
        steps = (image, Clamp(1, -(1 << 50), 1 << 50), Gather(2, rng.integers(0, count, 6)), Sum(3, 3),
                 Maximum(4, np.array([[0, 1], [2, 3], [4, 5]])), Affine(5, rng.integers(-9, 10, (1, 3)), np.array([0])))
        program = Program(np.full(12, -(1 << 20)), np.full(12, 1 << 20), steps, "number")
        row = rng.integers(-(1 << 19), 1 << 19, 12)
        found = explain(program, row, (row - 64)[None])
        if found.error:
            continue
        straight += 1
        apart = 2 * np.eye(12, dtype=np.int64)
        moved = program.run(row + apart)[:, 0] - program.run(row - apart)[:, 0]
        assert [Fraction(value, found.denominator * 64) * 4 for value in found.values] == moved.tolist()
    assert straight >= 20


@pytest.mark.parametrize("family", ["mlp", "mlp binary"])
def test_a_real_networks_gradients_miss_little_and_say_how_much(family: str) -> None:
    program = quantised(family).program
    rows = np.clip(ints(program, fitted(family).unseen[:30]), program.low, program.high)
    misses = []
    for row in rows[:6]:
        found = explain(program, row, rows)
        assert found.method == GRADIENTS
        misses.append(abs(Fraction(found.error, max(1, abs(found.score * found.denominator - found.base)))))
    assert sorted(misses)[3] < Fraction(1, 10)


def test_what_is_no_explanation_is_refused() -> None:
    rng = np.random.default_rng(2)
    program, rows = forest(rng, 4, 1), rng.integers(-5, 6, (4, 4))
    for bad, why in ((rows[:0], "another shape"), (rows[:, :3], "another shape"), (rows * 9 + 50, "beyond the")):
        with pytest.raises(BadInput, match=why):
            explain(program, rows[0], bad)
    with pytest.raises(BadInput, match="beyond the model's range"):
        explain(program, rows[0] + 99, rows)
    with pytest.raises(BadInput, match="trees have no gradient"):
        explain(program, rows[0], rows, GRADIENTS)
    with pytest.raises(BadInput, match="no shapley of this program"):
        explain(network(rng, 4), rows[0], rows, SHAPLEY)
    wide = forest(rng, 13, 1)
    with pytest.raises(BadInput, match="too many features"):
        explain(wide, wide.low, wide.low[None], ENUMERATED)
    said = explain(program, rows[0], rows).json()
    for change in ({"score": str(int(str(said["score"])) + 1)}, {"method": "tea leaves"}, {"values": ["01"] * 4},
                   {"error": "0x1"}, {"outputs": ["1"]}, {"more": 1}):
        with pytest.raises(BadInput):
            Explanation.read(said | change)
