"""Doubles in place of integers: the same numbers as unbounded integers give, up to the limits and beyond."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed import exact
from troth.fixed.numbers import EXACT_DOUBLE, INT64_MAX, ONE
from troth.fixed.order import FEW, sort_rows

DIVIDENDS = st.integers(-exact.QUOTIENT_LIMIT, exact.QUOTIENT_LIMIT)


@given(st.data(), st.integers(1, exact.QUOTIENT_LIMIT))
def test_quotients_round_and_truncate_as_fractions_do(data: st.DataObject, divisor: int) -> None:
    """Also next to the halves, where a rounding of the quotient itself would show."""
    middle = data.draw(st.integers(-2 * exact.QUOTIENT_LIMIT // divisor, 2 * exact.QUOTIENT_LIMIT // divisor))
    near = [middle * divisor // 2 + off for off in (-1, 0, 1)]
    values = [v for v in [*near, data.draw(DIVIDENDS)] if abs(v) <= exact.QUOTIENT_LIMIT]
    rounded = exact.round_quotient(np.array(values, dtype=np.float64), divisor)
    assert [int(v) for v in rounded] == [round(Fraction(v, divisor)) for v in values]  # round: half to even
    cut = exact.truncate_quotient(np.array(values, dtype=np.float64), divisor)
    assert [int(v) for v in cut] == [int(Fraction(v, divisor)) for v in values]


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 10, 2**16, 2**26 + 1, 2**51 - 1])
def test_the_largest_dividends(divisor: int) -> None:
    values = [sign * (exact.QUOTIENT_LIMIT - off) for sign in (1, -1) for off in range(64)]
    rounded = exact.round_quotient(np.array(values, dtype=np.float64), divisor)
    assert [int(v) for v in rounded] == [round(Fraction(v, divisor)) for v in values]


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 40), st.data())
def test_a_layer_is_that_of_unbounded_integers_or_refused(n: int, k: int, m: int, bits: int,
                                                          data: st.DataObject) -> None:
    """Small products go through doubles, large ones through integers, and the largest nowhere."""
    cells = st.integers(-(1 << bits), 1 << bits)
    given_, weights = (np.array(data.draw(st.lists(cells, min_size=a * b, max_size=a * b)), dtype=np.int64).reshape(
        a, b) for a, b in ((n, k), (k, m)))
    bias = np.array(data.draw(st.lists(cells, min_size=m, max_size=m)), dtype=np.int64)
    bound = k * int(np.abs(given_).max()) * int(np.abs(weights).max())
    if bound > INT64_MAX:
        with pytest.raises(BadInput, match="overflow"):
            exact.affine(*map(exact.doubles, (given_, weights, bias)))
        return
    found = exact.affine(*map(exact.doubles, (given_, weights, bias)))
    sums = given_.astype(object) @ weights.astype(object)
    assert found.astype(np.int64).tolist() == [
        [round(Fraction(v, ONE)) + b for v, b in zip(row, bias.tolist(), strict=True)] for row in sums.tolist()]


@given(st.lists(st.lists(st.integers(-EXACT_DOUBLE, EXACT_DOUBLE) | st.integers(-(1 << 26), 1 << 26), min_size=3,
                         max_size=3), min_size=1, max_size=4))
def test_squares_are_exact_however_large(rows: list[list[int]]) -> None:
    assert exact.row_squares(np.array(rows, dtype=np.float64)) == [sum(v * v for v in row) for row in rows]


def test_squares_at_the_border_of_what_is_surely_exact() -> None:
    for value in range((1 << 26) - 3, (1 << 26) + 3):
        rows = np.full((2, 5), value, dtype=np.float64)
        rows[1, :] += np.arange(5)
        assert exact.row_squares(rows) == [5 * value * value, sum((value + k) ** 2 for k in range(5))]


def test_what_no_double_holds_is_refused() -> None:
    with pytest.raises(BadInput, match="double"):
        exact.doubles(np.array([EXACT_DOUBLE + 1]))
    assert exact.doubles(np.array([EXACT_DOUBLE])).tolist() == [EXACT_DOUBLE]


@pytest.mark.parametrize("count", [*range(1, FEW + 3)])
def test_a_network_sorts_every_column(count: int) -> None:
    draw = np.random.default_rng(count)
    for high in (2, 5, 1 << 60):
        rows = draw.integers(-high, high, (count, 64))
        before = rows.copy()
        assert (sort_rows(rows) == np.sort(rows, axis=0)).all()
        assert (rows == before).all()


@pytest.mark.parametrize("count", range(1, 13))
def test_a_network_sorts_whatever_it_gets(count: int) -> None:
    """By the 0-1 principle (Knuth, volume 3, 5.3.4): who sorts all rows of zeros and ones sorts everything."""
    columns = np.arange(1 << count)
    rows = np.stack([(columns >> bit) & 1 for bit in range(count)])
    assert (sort_rows(rows) == np.sort(rows, axis=0)).all()
