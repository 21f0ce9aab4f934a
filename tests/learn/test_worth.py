"""Contributions obey Shapley's axioms, pay is exact to the unit, evidence needs repetition."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, divide_int, norm
from troth.learn.data import Inputs, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.sets import Consortium
from troth.learn.worth import MIN_ROUNDS, Record, evidence, exact, pay, sampled, shortened, smooth, worth

LINEAR = Dense(30, 2)

SEED = seed_of(3)
BASE = np.zeros(31, np.int64)


@pytest.fixture(scope="module")
def validation(four: Consortium) -> Inputs:
    return scaling(four.validation).inputs(four.validation)


def rows_from(seed: int, count: int, size: int = 1 << 15) -> IntArray:
    return np.random.default_rng(seed).integers(-size, size, (count, 31), dtype=np.int64)


def gain(members: tuple[int, ...], rows: IntArray, data: Inputs) -> int:
    """A coalition's gain, written again with Python integers."""
    if not members:
        return 0
    mean = [divide_int(sum(int(rows[k, c]) for k in members), len(members)) for c in range(31)]
    before, after = (LINEAR.row_losses(np.array([v], np.int64), data)[0] for v in (BASE, mean))
    return sum(before.tolist()) - sum(after.tolist())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_exact_equals_the_average_over_all_orders(count: int, validation: Inputs) -> None:
    rows = rows_from(count, count)
    sums = [0] * count
    for order in itertools.permutations(range(count)):
        for at, player in enumerate(order):
            sums[player] += gain(tuple(sorted(order[:at + 1])), rows, validation) - gain(
                tuple(sorted(order[:at])), rows, validation)
    expected = tuple(round(Fraction(s, math.factorial(count))) for s in sums)
    found = exact(LINEAR, BASE, rows, validation)
    assert found.values == expected
    assert found.evaluations == 2**count - 1


@pytest.mark.parametrize("count", [2, 4, 5])
def test_efficiency_symmetry_and_null_player(count: int, validation: Inputs) -> None:
    rows = rows_from(9, count)
    rows[1] = rows[0]
    found = exact(LINEAR, BASE, rows, validation)
    assert abs(sum(found.values) - gain(tuple(range(count)), rows, validation)) <= count
    assert found.values[0] == found.values[1]
    assert all(ceiling >= value for value, ceiling in zip(found.values, found.ceilings, strict=True))
    assert exact(LINEAR, BASE, rows * 0, validation).values == (0,) * count


def test_reordering_players_reorders_values(validation: Inputs) -> None:
    rows = rows_from(4, 5)
    straight, back = exact(LINEAR, BASE, rows, validation), exact(LINEAR, BASE, rows[::-1].copy(), validation)
    assert straight.values == back.values[::-1]
    assert straight.ceilings == back.ceilings[::-1]


def test_the_ceiling_covers_what_resampled_records_give(validation: Inputs) -> None:
    """A bootstrap over validation records stays below the ceiling in nearly all draws."""
    rows = rows_from(5, 3, 1 << 13)
    found = exact(LINEAR, BASE, rows, validation)
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(200):
        chosen = rng.integers(0, len(validation.labels), len(validation.labels))
        again = exact(LINEAR, BASE, rows, Inputs(validation.features[chosen], validation.labels[chosen]))
        above += again.values[0] > found.ceilings[0]
    assert above <= 3


def test_sampled_is_repeatable_close_to_exact_and_cheaper(validation: Inputs) -> None:
    rows = rows_from(6, 10, 1 << 14)
    one, again, other = (sampled(LINEAR, BASE, rows, validation, s) for s in (SEED, SEED, seed_of(4)))
    whole = exact(LINEAR, BASE, rows, validation)
    assert one == again
    assert one.values != other.values
    assert one.evaluations < whole.evaluations // 2
    assert float(np.corrcoef(one.values, whole.values)[0, 1]) > 0.9


@pytest.mark.parametrize("count", [2, 3])
def test_sampling_a_small_game_visits_every_order_and_is_exact(count: int, validation: Inputs) -> None:
    """Rotations and reversals of up to three players are all orders, so only truncation can differ."""
    rows = rows_from(11, count)
    one, other = sampled(LINEAR, BASE, rows, validation, SEED), exact(LINEAR, BASE, rows, validation)
    assert all(abs(a - b) <= abs(sum(other.values)) // 500 + 1 for a, b in zip(one.values, other.values, strict=True))


def test_sampling_is_exact_in_an_additive_game_and_for_twins(validation: Inputs) -> None:
    rows = rows_from(12, 10)
    rows[:] = rows[0]
    found = sampled(LINEAR, BASE, rows, validation, SEED)
    assert len(set(found.values)) == 1


def test_worth_enumerates_up_to_ten_and_samples_above(validation: Inputs) -> None:
    assert worth(LINEAR, BASE, rows_from(7, 10), validation, SEED).evaluations == 1023
    rows = rows_from(7, 11)
    assert worth(LINEAR, BASE, rows, validation, SEED) == sampled(LINEAR, BASE, rows, validation, SEED)
    with pytest.raises(BadInput):
        worth(LINEAR, BASE, rows_from(7, 2), validation, b"short")
    with pytest.raises(BadInput):
        exact(LINEAR, BASE, rows_from(7, 13), validation)
    with pytest.raises(BadInput):
        worth(LINEAR, BASE, rows_from(7, 2), Inputs(validation.features[:0], validation.labels[:0]), SEED)


@given(st.lists(st.integers(-(10**12), 10**12), max_size=12), st.integers(0, 10**30))
def test_pay_is_exact_proportional_and_never_negative(contributions: list[int], reward: int) -> None:
    paid = pay(contributions, reward)
    positive = sum(max(0, value) for value in contributions)
    assert sum(paid) == (reward if positive else 0)
    for value, amount in zip(contributions, paid, strict=True):
        assert amount >= 0
        if positive:
            assert abs(Fraction(reward * max(0, value), positive) - amount) < 1
        if value <= 0:
            assert amount == 0


def test_pay_examples() -> None:
    assert pay((1, 1, 1), 10) == (4, 3, 3)
    assert pay((-5, 0, 2), 7) == (0, 0, 7)
    assert pay((-5, 0), 7) == (0, 0)
    with pytest.raises(BadInput):
        pay((1,), -1)


def record(*values: int, ceilings: tuple[int, ...] | None = None, counted: tuple[bool, ...] | None = None) -> Record:
    return Record(values, values if ceilings is None else ceilings, counted or (True,) * len(values))


def test_one_round_of_harm_is_never_evidence() -> None:
    assert evidence([record(-(10**12), 5)]) == frozenset()
    assert evidence([record(-9, 5)] * (MIN_ROUNDS - 1)) == frozenset()


def test_evidence_needs_repetition_significance_and_a_negative_sum() -> None:
    harm = record(-9, 5)
    assert evidence([harm] * MIN_ROUNDS) == {0}
    assert evidence([record(-9, 5, ceilings=(1, 6))] * 8) == frozenset()  # negative, but not significantly
    assert evidence([harm] * 5 + [record(12, 5)] * 3) == frozenset()  # -36 without the lowest, +36
    assert evidence([harm] * 5 + [record(11, 5)] * 3) == {0}
    assert evidence([record(-(10**15), 5), *[record(0, 5)] * 9]) == frozenset()  # one round never decides
    assert evidence([record(-(10**15), 5), record(-1, 5), *[record(0, 5)] * 9]) == {0}
    absent = record(0, 5, counted=(False, True))
    assert evidence([harm] * 3 + [absent] * 9) == frozenset()  # absence is no harm
    assert evidence([harm] * 4 + [absent] * 9) == {0}
    assert evidence([]) == frozenset()


def test_smoothing_is_the_mean_over_rounds() -> None:
    assert smooth([record(1, 4), record(2, 4)]) == (2, 4)  # 1.5 to even
    assert smooth([record(2, 4), record(3, -9)]) == (2, -2)  # 2.5 and -2.5 to even
    for bad in ([], [record(1), record(1, 2)]):
        with pytest.raises(BadInput):
            smooth(bad)
    with pytest.raises(BadInput):
        Record((1,), (1, 2), (True,))


@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=8))
def test_no_player_is_longer_than_the_upper_median_and_the_shorter_ones_stay(lengths: list[int]) -> None:
    rows = np.zeros((len(lengths), 31), np.int64)
    for row, length in zip(rows, lengths, strict=True):
        row[0], row[1] = 3 * length, -4 * length
    found, middle = shortened(rows), 5 * sorted(lengths)[len(lengths) // 2]
    for before, after in zip(rows, found, strict=True):
        assert norm(after) <= max(middle, 0)
        assert bool((after == before).all()) == (norm(before) <= middle)
        assert (np.abs(after) <= np.abs(before)).all()
        assert (after * before >= 0).all()


def test_shortening_takes_rows() -> None:
    with pytest.raises(BadInput, match="no updates"):
        shortened(np.zeros((0, 31), np.int64))
