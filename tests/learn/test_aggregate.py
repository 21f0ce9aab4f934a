"""Aggregation: exact, order-free, robust where it says so, and deaf to malformed updates."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed.numbers import INT64_MAX, ONE, IntArray
from troth.learn.aggregate import CLIPPING_STEPS, MAX_EXAMPLES, RULES, Update, aggregate, tolerated
from troth.learn.arrays import encode, equal

ROBUST = tuple(rule for rule in RULES if rule != "mean")
CELLS = st.integers(-(1 << 24), 1 << 24)
MATRICES = st.integers(1, 9).flatmap(
    lambda n: st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=n, max_size=n))


def update(site: str, values: list[int], examples: int = 10) -> Update:
    return Update(site, examples, {"bias": np.array(values[:1], np.int64), "weights": np.array(values[1:], np.int64)})


def many(rows: list[list[int]]) -> list[Update]:
    return [update(f"s{k:02d}", row, 5 + k) for k, row in enumerate(rows)]


def vector(found: dict[str, IntArray]) -> list[int]:
    return [*found["bias"].tolist(), *found["weights"].tolist()]


@pytest.mark.parametrize("rule", RULES)
@given(rows=MATRICES, shuffle=st.randoms())
def test_the_order_of_arrival_cannot_matter(rule: str, rows: list[list[int]], shuffle: random.Random) -> None:
    updates = many(rows)
    expected = encode(aggregate(rule, updates))
    shuffle.shuffle(updates)
    assert encode(aggregate(rule, updates)) == expected


@given(rows=MATRICES)
def test_mean_is_the_weighted_mean_in_exact_arithmetic(rows: list[list[int]]) -> None:
    weights = [5 + k for k in range(len(rows))]
    expected = [round(Fraction(sum(w * row[c] for w, row in zip(weights, rows, strict=True)), sum(weights)))
                for c in range(3)]
    assert vector(aggregate("mean", many(rows))) == expected


def reference_nnm(rows: list[list[int]]) -> list[int]:
    """The default rule written a second time, with unbounded integers and fractions only."""
    n, f = len(rows), tolerated(len(rows))
    mixed = []
    for row in rows:
        far = sorted(range(n), key=lambda k: (sum((a - b) ** 2 for a, b in zip(row, rows[k], strict=True)), k))[:n - f]
        mixed.append([round(Fraction(sum(rows[k][c] for k in far), n - f)) for c in range(3)])
    columns = [sorted(row[c] for row in mixed)[f:n - f] for c in range(3)]
    return [round(Fraction(sum(column), len(column))) for column in columns]


def reference_clipping(rows: list[list[int]]) -> list[int]:
    """Centred clipping written a second time, the same way."""
    n, columns = len(rows), list(zip(*rows, strict=True))
    ordered = [sorted(column) for column in columns]
    centre = [round(Fraction(column[(n - 1) // 2] + column[n // 2], 2)) for column in ordered]
    for _ in range(CLIPPING_STEPS):
        gaps = [[value - at for value, at in zip(row, centre, strict=True)] for row in rows]
        lengths = [math.isqrt(square - 1) + 1 if square else 0 for square in (sum(g * g for g in gap) for gap in gaps)]
        radius = sorted(lengths)[(n - 1) // 2]
        moved = [[g if length <= radius else int(math.copysign(1, g)) * (abs(g) * radius // length) for g in gap]
                 for gap, length in zip(gaps, lengths, strict=True)]
        centre = [at + round(Fraction(sum(column), n)) for at, column in zip(centre, zip(*moved, strict=True),
                                                                             strict=True)]
    return centre


@given(rows=MATRICES)
def test_centred_clipping_equals_a_second_implementation(rows: list[list[int]]) -> None:
    assert vector(aggregate("centered_clipping", many(rows))) == reference_clipping(rows)


@pytest.mark.parametrize("scale", [1, 1 << 12, 1 << 24])
def test_centred_clipping_of_several_blocks(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small values, whose squares a double sums exactly by the block, and the largest of a round."""
    monkeypatch.setattr("troth.learn.arrays.Rows.CELLS", 5 * 64)
    rows = np.random.default_rng(scale).integers(-scale, scale + 1, (5, 300))
    rows[3] *= 2
    found = aggregate("centered_clipping", [Update(f"s{k}", 1, {"x": row}) for k, row in enumerate(rows)])
    assert found["x"].tolist() == reference_clipping(rows.tolist())


def test_clipping_that_could_overflow_is_refused() -> None:
    for largest in (INT64_MAX // 2 + 1, 1 << 40):
        rows = [[0, 0, 0], [1, 0, 0], [largest, 0, 0], [0, largest, 0], [0, 0, largest]]
        with pytest.raises(BadInput, match="overflow"):
            aggregate("centered_clipping", many(rows))


@given(rows=MATRICES)
def test_nnm_trimmed_mean_equals_a_second_implementation(rows: list[list[int]]) -> None:
    assert vector(aggregate("nnm+trimmed_mean", many(rows))) == reference_nnm(rows)


def test_mixing_of_many_rows_equals_a_second_implementation() -> None:
    rows = np.random.default_rng(2).integers(-900, 900, (70, 3)).tolist()
    assert vector(aggregate("nnm+trimmed_mean", many(rows))) == reference_nnm(rows)


@pytest.mark.parametrize("rule", RULES)
@given(row=st.lists(CELLS, min_size=3, max_size=3), count=st.integers(1, 8))
def test_unanimity(rule: str, row: list[int], count: int) -> None:
    assert vector(aggregate(rule, many([row] * count))) == row


@pytest.mark.parametrize("rule", ROBUST)
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=3, max_size=8), hostile=st.data())
def test_robust_rules_stay_near_the_honest_whatever_a_third_sends(
        rule: str, rows: list[list[int]], hostile: st.DataObject) -> None:
    count = len(rows)
    bad = tolerated(count + 1)
    honest = rows[:count + 1 - bad]
    attack = hostile.draw(st.lists(st.lists(st.integers(-(1 << 28), 1 << 28), min_size=3, max_size=3),
                                   min_size=bad, max_size=bad))
    found = vector(aggregate(rule, many(honest + attack)))
    for column in range(3):
        values = [row[column] for row in honest]
        spread = max((max(r[c] for r in honest) - min(r[c] for r in honest)) for c in range(3))
        slack = 4 * 3 * spread + 8
        assert min(values) - slack <= found[column] <= max(values) + slack


@pytest.mark.parametrize("rule", ROBUST)
def test_claimed_examples_buy_nothing(rule: str) -> None:
    rows = [[10, 20, 30], [12, 18, 33], [9, 22, 28], [-900, -900, -900]]
    modest = aggregate(rule, many(rows))
    greedy = [*many(rows)[:3], update("s03", rows[3], MAX_EXAMPLES)]
    assert equal(aggregate(rule, greedy), modest)


def test_plain_averaging_is_bought_by_a_claim_of_many_examples() -> None:
    rows = [[10, 20, 30], [12, 18, 33], [9, 22, 28]]
    assert vector(aggregate("mean", [*many(rows), update("s03", [-900] * 3, MAX_EXAMPLES)])) == [-900] * 3


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [
    Update("x", 1, {"weights": np.ones(2, np.int64)}),
    Update("x", 1, {"bias": np.ones(2, np.int64), "weights": np.ones(2, np.int64)}),
    Update("x", 1, {"bias": np.ones(1, np.int64), "weights": np.ones(2, np.int64), "more": np.ones(1, np.int64)}),
    Update("x", 1, {"bias": np.ones(1), "weights": np.ones(2, np.int64)}),
    Update("x", 0, {"bias": np.ones(1, np.int64), "weights": np.ones(2, np.int64)}),
    Update("x", MAX_EXAMPLES + 1, {"bias": np.ones(1, np.int64), "weights": np.ones(2, np.int64)}),
    update("s00", [1, 2, 3]),
    update("x", [INT64_MAX, -INT64_MAX, INT64_MAX]),
], ids=["missing", "shape", "extra", "float", "no examples", "too many", "twice", "overflow"])
def test_malformed_updates_are_refused(rule: str, bad: Update) -> None:
    honest = many([[ONE, 2, 3], [4, 5, 6]])
    if rule == "median" and bad.site == "x" and bad.delta["weights"].max() == INT64_MAX:
        assert vector(aggregate(rule, [*honest, bad])) == [ONE, 2, 6]  # a middle value of three needs no sum
        return
    with pytest.raises(BadInput):
        aggregate(rule, [*honest, bad])


def test_unknown_rules_and_no_updates_are_refused() -> None:
    with pytest.raises(BadInput, match="unknown"):
        aggregate("krum", many([[1, 2, 3]]))
    with pytest.raises(BadInput):
        aggregate("mean", [])


def test_tolerated() -> None:
    assert [tolerated(n) for n in range(1, 11)] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 3]
