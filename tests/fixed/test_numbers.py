"""Every operation equals Python's unbounded integers on random input, or refuses; nothing wraps."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from troth.core.errors import BadInput
from troth.fixed import numbers as fx
from troth.fixed.order import median, trimmed_mean

INT64 = st.integers(-fx.INT64_MAX, fx.INT64_MAX)
STORED = st.integers(-fx.LIMIT, fx.LIMIT)


def ints(*values: int) -> fx.IntArray:
    return np.array(values, dtype=np.int64)


def vectors(elements: st.SearchStrategy[int], low: int = 1, high: int = 12) -> st.SearchStrategy[list[int]]:
    return st.lists(elements, min_size=low, max_size=high)


def half_even(value: Fraction) -> int:
    return round(value)  # Python's round of a Fraction is exact and half to even


@given(vectors(INT64), st.integers(1, 62))
def test_shift_round_is_exact_division_rounded_half_even(values: list[int], bits: int) -> None:
    expected = [half_even(Fraction(v, 1 << bits)) for v in values]
    assert fx.shift_round(ints(*values), bits).tolist() == expected


@given(vectors(INT64), st.integers(1, 1 << 61))
def test_divide_round_is_exact_division_rounded_half_even(values: list[int], divisor: int) -> None:
    expected = [half_even(Fraction(v, divisor)) for v in values]
    assert fx.divide_round(ints(*values), divisor).tolist() == expected
    assert [fx.divide_int(v, divisor) for v in values] == expected


@given(st.integers(-20, 20), st.integers(1, 8))
def test_ties_go_to_even(value: int, divisor: int) -> None:
    assert fx.divide_round(ints(value), divisor).tolist() == [half_even(Fraction(value, divisor))]
    assert fx.divide_int(value, divisor) == half_even(Fraction(value, divisor))


@pytest.mark.parametrize("divisor", [0, -1, (1 << 61) + 1])
def test_divisors_out_of_range_are_refused(divisor: int) -> None:
    with pytest.raises(BadInput):
        fx.divide_round(ints(1), divisor)


@given(vectors(st.floats(-32767.9, 32767.9)))
def test_quantise_is_the_nearest_multiple(values: list[float]) -> None:
    found = fx.quantise(values)
    assert found.tolist() == [half_even(Fraction(v) * fx.ONE) for v in values]
    assert fx.quantise(fx.dequantise(found)).tolist() == found.tolist()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 32768.0, -32768.0, 1e300])
def test_quantise_refuses_what_does_not_fit(value: float) -> None:
    with pytest.raises(BadInput):
        fx.quantise([0.0, value])


def test_dequantise_refuses_out_of_range() -> None:
    with pytest.raises(BadInput):
        fx.dequantise(ints(fx.LIMIT + 1))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.data())
def test_matmul_equals_unbounded_integers_or_is_refused(n: int, k: int, m: int, data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([1 << 10, 1 << 30, 1 << 31, 1 << 40]))
    cells = st.integers(-size, size)
    left = data.draw(hnp.arrays(np.int64, (n, k), elements=cells))
    right = data.draw(hnp.arrays(np.int64, (k, m), elements=cells))
    exact = [[sum(int(left[i, x]) * int(right[x, j]) for x in range(k)) for j in range(m)] for i in range(n)]
    bound = k * fx.magnitude(left) * fx.magnitude(right)
    if bound > fx.INT64_MAX:
        with pytest.raises(BadInput, match="overflow"):
            fx.matmul(left, right)
    else:
        assert fx.matmul(left, right).tolist() == exact


@given(vectors(st.tuples(st.integers(-(1 << 29), 1 << 29), st.integers(-(1 << 29), 1 << 29)), 1, 31), st.randoms())  # type: ignore[arg-type]
def test_the_order_of_accumulation_cannot_matter(pairs: list[tuple[int, int]], random: object) -> None:
    left, right = (ints(*side) for side in zip(*pairs, strict=True))
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other_left, other_right = (ints(*side) for side in zip(*shuffled, strict=True))
    assert fx.dot(left, right) == fx.dot(other_left, other_right) == sum(a * b for a, b in pairs)


def test_shapes_that_do_not_fit_are_refused() -> None:
    row, grid = ints(1, 2), np.ones((2, 2), np.int64)
    for left, right in ((row, grid), (grid, row), (grid, grid), (row, ints(1))):
        with pytest.raises(BadInput):
            fx.dot(left, right)
    for left, right in ((row, ints(1, 2, 3)), (grid.reshape(2, 2, 1), row), (ints(1), grid.reshape(1, 2, 2))):
        with pytest.raises(BadInput):
            fx.matmul(left, right)
    for rows in ([], [row, ints(1)], [grid]):
        with pytest.raises(BadInput):
            fx.stack(rows)


@given(vectors(INT64), st.data())
def test_sums_differences_and_products_equal_or_are_refused(values: list[int], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.one_of(INT64, st.integers(-8, 8)), min_size=len(values), max_size=len(values)))
    for operation, exact in ((fx.add, lambda a, b: a + b), (fx.subtract, lambda a, b: a - b),
                             (fx.multiply, lambda a, b: a * b)):
        try:
            found = operation(ints(*values), ints(*others)).tolist()
        except BadInput:
            big = max(map(abs, values)), max(map(abs, others))
            assert (big[0] * big[1] if operation is fx.multiply else sum(big)) > fx.INT64_MAX
        else:
            assert found == [exact(a, b) for a, b in zip(values, others, strict=True)]


@given(vectors(INT64))
def test_total_equals_or_is_refused(values: list[int]) -> None:
    try:
        assert fx.total(ints(*values)) == sum(values)
    except BadInput:
        assert max(map(abs, values)) * len(values) > fx.INT64_MAX


@given(vectors(INT64, 0))
def test_norm_is_exact_rounded_up_and_never_refuses(values: list[int]) -> None:
    squares = sum(v * v for v in values)
    assert (fx.norm(ints(*values)) - 1) ** 2 < squares <= fx.norm(ints(*values)) ** 2 or squares == 0


@given(vectors(STORED), st.integers(0, 1 << 31))
def test_clipping_never_leaves_the_bound_and_keeps_what_is_within(values: list[int], bound: int) -> None:
    clipped = fx.clip_norm(ints(*values), bound)
    assert fx.norm(clipped) <= bound
    if fx.norm(ints(*values)) <= bound:
        assert clipped.tolist() == values
    assert all(abs(c) <= abs(v) and c * v >= 0 for c, v in zip(clipped.tolist(), values, strict=True))


@given(st.integers(1, 7), st.integers(1, 5), st.data())
def test_distances_equal_unbounded_integers(n: int, d: int, data: st.DataObject) -> None:
    rows = data.draw(hnp.arrays(np.int64, (n, d), elements=st.integers(-(1 << 28), 1 << 28)))
    found = fx.squared_distances(rows)
    for i in range(n):
        for j in range(n):
            exact = sum((int(a) - int(b)) ** 2 for a, b in zip(rows[i], rows[j], strict=True))
            assert int(found[i, j]) == exact == fx.squared_distance(rows[i], rows[j])


def test_a_distance_that_would_overflow_is_refused() -> None:
    rows = np.array([[1 << 31], [-(1 << 31)]], dtype=np.int64)
    for attempt in (lambda: fx.squared_distances(rows), lambda: fx.squared_distance(rows[0], rows[1])):
        with pytest.raises(BadInput, match="overflow"):
            attempt()


@pytest.mark.parametrize("values", [[1, 2], np.array([1.0]), np.array([1], dtype=np.int32),
                                    np.array([-(1 << 63)], dtype=np.int64), np.array([1], dtype=np.uint64)])
def test_only_int64_is_taken(values: object) -> None:
    with pytest.raises(BadInput):
        fx.as_ints(values)


@given(st.integers(1, 9), st.integers(1, 4), st.data())
def test_median_and_trimmed_mean_round_half_even_in_any_order(n: int, d: int, data: st.DataObject) -> None:
    rows = data.draw(hnp.arrays(np.int64, (n, d), elements=STORED))
    columns = [[int(v) for v in column] for column in rows.T]
    assert median(rows).tolist() == [half_even(Fraction(statistics.median(map(Fraction, c)))) for c in columns]
    trim = data.draw(st.integers(0, (n - 1) // 2))
    kept = [sorted(column)[trim:n - trim] for column in columns]
    assert trimmed_mean(rows, trim).tolist() == [half_even(Fraction(sum(k), len(k))) for k in kept]
    order = data.draw(st.permutations(range(n)))
    assert trimmed_mean(rows[list(order)], trim).tolist() == trimmed_mean(rows, trim).tolist()


def test_order_statistics_refuse_nonsense() -> None:
    rows = np.ones((4, 2), dtype=np.int64)
    for attempt in (lambda: trimmed_mean(rows, 2), lambda: trimmed_mean(rows, -1), lambda: median(rows[:0]),
                    lambda: median(rows[0])):
        with pytest.raises(BadInput):
            attempt()


def test_an_extreme_outlier_does_not_move_the_median() -> None:
    rows = np.array([[5], [6], [fx.LIMIT]], dtype=np.int64)
    assert median(rows).tolist() == [6]


def test_large_products_and_distances_in_doubles_are_the_integers_ones() -> None:
    draw = np.random.default_rng(5)
    size = 340  # above the size from which doubles are used, and just below the bound up to which they are exact
    top = math.isqrt(fx.EXACT_DOUBLE // size)
    left, right = (draw.integers(-top, top, (size, size), dtype=np.int64, endpoint=True) for _ in range(2))
    left[0], right[:, 0] = top, top
    assert (fx.matmul(left, right) == left @ right).all()
    rows = draw.integers(-(1 << 16), 1 << 16, (5, 70_000), dtype=np.int64)
    gaps = [[int(((a - b) ** 2).sum()) for b in rows] for a in rows]
    assert fx.squared_distances(rows).tolist() == gaps


def test_a_vector_too_long_for_int64_is_clipped_all_the_same() -> None:
    assert fx.clip_norm(ints(1 << 62, -(1 << 62), 1 << 62, 1 << 62), 10).tolist() == [5, -5, 5, 5]


@given(st.lists(INT64, min_size=1, max_size=4), st.integers(1, 1 << 61))
def test_one_divisor_rounds_as_many_do(values: list[int], divisor: int) -> None:
    one = fx.divide_round(ints(*values), divisor).tolist()
    assert one == fx.divide_round(ints(*values), ints(*[divisor] * len(values))).tolist() == [
        fx.divide_int(value, divisor) for value in values]
