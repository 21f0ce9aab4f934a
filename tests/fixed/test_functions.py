"""The tables are what their docstring says, and the functions are near the real ones."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal, getcontext, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed.functions import log_loss, sigmoid, softplus
from troth.fixed.numbers import INT64_MAX, ONE
from troth.fixed.tables import SIGMOID, SOFTPLUS_NEGATIVE

WHOLE = np.arange(-14 * ONE, 14 * ONE + 1, 7, dtype=np.int64)


def test_every_table_entry_recomputed_with_decimals() -> None:
    with localcontext(getcontext()) as context:
        context.prec = 60
        for index, (one, other) in enumerate(zip(SIGMOID, SOFTPLUS_NEGATIVE, strict=True)):
            small = (-Decimal(index) / 32).exp()
            assert one == int((65536 / (1 + small)).to_integral_value(ROUND_HALF_EVEN))
            assert other == int(((1 + small).ln() * 65536).to_integral_value(ROUND_HALF_EVEN))
    assert len(SIGMOID) == 12 * 32 + 1


def test_within_three_units_everywhere() -> None:
    reals = WHOLE / ONE
    assert np.abs(sigmoid(WHOLE) - ONE / (1 + np.exp(-reals))).max() <= 3
    assert np.abs(softplus(WHOLE) - ONE * np.logaddexp(0, reals)).max() <= 3


def test_monotone_and_in_range() -> None:
    assert (np.diff(sigmoid(WHOLE)) >= 0).all()
    assert (np.diff(softplus(WHOLE)) >= 0).all()
    assert int(sigmoid(WHOLE).min()) >= 0
    assert int(sigmoid(WHOLE).max()) <= ONE
    assert int(softplus(WHOLE).min()) >= 0


@given(st.integers(-(INT64_MAX // 2), INT64_MAX // 2))
def test_symmetries_hold_exactly(value: int) -> None:
    up, down = np.array([value], dtype=np.int64), np.array([-value], dtype=np.int64)
    if value:
        assert int(sigmoid(up)[0]) + int(sigmoid(down)[0]) == ONE
    assert int(softplus(up)[0]) - int(softplus(down)[0]) == value


def test_known_points() -> None:
    assert sigmoid(np.array([0, ONE, -ONE], dtype=np.int64)).tolist() == [32768, 47911, 17625]
    assert softplus(np.zeros(1, dtype=np.int64)).tolist() == [round(math.log(2) * ONE)]


def test_log_loss_is_softplus_of_the_signed_logit() -> None:
    z = np.array([ONE, ONE, -3 * ONE], dtype=np.int64)
    labels = np.array([1, 0, 1], dtype=np.int64)
    assert log_loss(z, labels).tolist() == [*softplus(-z[:1]).tolist(), *softplus(z[1:2]).tolist(),
                                            *softplus(-z[2:]).tolist()]


@pytest.mark.parametrize("labels", [[0, 2], [1], [-1, 0]])
def test_log_loss_refuses_other_labels(labels: list[int]) -> None:
    with pytest.raises(BadInput):
        log_loss(np.zeros(2, dtype=np.int64), np.array(labels, dtype=np.int64))


def test_a_softplus_that_would_overflow_is_refused() -> None:
    with pytest.raises(BadInput, match="overflow"):
        softplus(np.array([0, INT64_MAX], dtype=np.int64))
