"""The closed form against the definition, and what it finds on real records."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.learn.data import Inputs, Part, scaling
from troth.learn.data_worth import UNIT, knn_shapley, worth_of_parts
from troth.learn.sets import Consortium


def by_definition(train: Inputs, validation: Inputs, neighbours: int) -> list[Fraction]:
    """Shapley's formula over every coalition; a coalition is worth the share of its nearest k with the right label."""
    count = len(train.labels)

    def gain(members: tuple[int, ...]) -> Fraction:
        found = Fraction(0)
        for row, label in zip(validation.features.tolist(), validation.labels.tolist(), strict=True):
            far = sorted((sum((a - b) ** 2 for a, b in zip(train.features[at].tolist(), row, strict=True)), at)
                         for at in members)
            found += Fraction(sum(int(train.labels[at]) == label for _, at in far[:neighbours]), neighbours)
        return found

    values = [Fraction(0)] * count
    for size in range(count):
        for members in combinations(range(count), size):
            weight = Fraction(math.factorial(size) * math.factorial(count - size - 1), math.factorial(count))
            before = gain(members)
            for at in set(range(count)) - set(members):
                values[at] += weight * (gain((*members, at)) - before)
    return values


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 6), st.integers(1, 3), st.integers(1, 7))
def test_the_closed_form_is_the_definition(seed: int, count: int, asked: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)

    def some(size: int) -> Inputs:  # few distinct points, so that distances tie
        return Inputs(rng.integers(-2, 3, (size, 2), dtype=np.int64), rng.integers(0, 2, size, dtype=np.int64))

    train, validation = some(count), some(asked)
    found = knn_shapley(train, validation, neighbours)
    for value, right in zip(found.tolist(), by_definition(train, validation, neighbours), strict=True):
        assert abs(Fraction(value, UNIT) - right) <= Fraction(count * asked, UNIT)


def turned(part: Part, seed: int, percent: int) -> tuple[Part, np.ndarray]:
    """The part with some labels the other way round, and which."""
    rng = np.random.default_rng(seed)
    bad = rng.permutation(len(part))[:len(part) * percent // 100]
    labels = part.labels.copy()
    labels[bad] = 1 - labels[bad]
    marks = np.zeros(len(part), dtype=bool)
    marks[bad] = True
    return Part(part.features, labels, part.schema), marks


def auc(marks: np.ndarray, values: np.ndarray) -> float:
    """The chance that a bad record is valued below a good one; 1/2 for a guess."""
    bad, good = values[marks], values[~marks]
    below = (bad[:, None] < good[None, :]).sum() + 0.5 * (bad[:, None] == good[None, :]).sum()
    return float(below / (len(bad) * len(good)))


def test_wrong_labels_are_found_and_cost_their_part(four: Consortium) -> None:
    """Two parts of one kind, 15 % of the labels of one turned: it is worth less, and its bad records are at the end."""
    whole = four.pooled()
    order = np.random.default_rng(1).permutation(len(whole)).tolist()
    good, spoiled = whole.rows(order[::2]), whole.rows(order[1::2])
    fair = worth_of_parts([good, spoiled], four.validation)
    assert 0.8 < fair[1] / fair[0] < 1.25, "halves of one pot are worth about the same"
    bad, marks = turned(spoiled, 2, 15)
    first, second = worth_of_parts([good, bad], four.validation)
    assert second < 0.75 * first
    by = scaling(four.validation)
    assert auc(marks, knn_shapley(by.inputs(bad), by.inputs(four.validation))) > 0.9


def test_records_listed_twice_are_not_paid_twice(four: Consortium) -> None:
    """A copy of somebody's records shares their worth; it does not add as much again."""
    part = four.sites[1]
    (alone,) = worth_of_parts([part], four.validation)
    first, copy = worth_of_parts([part, part], four.validation)
    assert first + copy < 1.1 * alone


def test_what_cannot_be_valued(four: Consortium) -> None:
    by = scaling(four.validation)
    with pytest.raises(BadInput, match="no records"):
        knn_shapley(by.inputs(four.validation.rows([])), by.inputs(four.validation))
    with pytest.raises(BadInput, match="no records"):
        knn_shapley(by.inputs(four.validation), by.inputs(four.validation), 0)
    with pytest.raises(BadInput):
        worth_of_parts([], four.validation)
