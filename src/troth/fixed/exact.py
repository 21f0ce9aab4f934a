"""Integers in doubles, where that is the same: several times as fast, because processors multiply and divide doubles in
vectors and 64-bit integers not.

A double holds every integer up to ``2**53``, so sums and products below it are exact in any order, with and without
fused multiply-add. Two more steps are exact though their results are no integers before they are rounded:

- *Dividing by a power of two* changes the exponent alone.
- *Dividing integers*, for dividends up to ``QUOTIENT_LIMIT``. A quotient v / d that is no multiple of 1/2 lies at least
  1 / (2 d) from the next one; the double nearest to it is off by at most |v / d| * 2**-53 <= 1 / (4 d). So it lies on
  the same side, and rounds and truncates like the quotient itself; multiples of 1/2 are doubles.

Arrays here are float64 and hold integers. Whoever calls sees to the bounds, which are given with each function;
`affine` sees to its own.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import (
    EXACT_DOUBLE,
    ONE,
    SURELY_EXACT,
    FloatArray,
    Numbers,
    as_ints,
    magnitude,
    matmul,
    shift_round,
    sum_of_squares,
)

QUOTIENT_LIMIT = 1 << 51
"""Largest magnitude of a dividend."""


def doubles(values: Numbers) -> FloatArray:
    """The same integers; doubles as they are. Raises BadInput beyond EXACT_DOUBLE."""
    if values.dtype == np.float64:
        return cast(FloatArray, values)
    size = magnitude(as_ints(values))
    if size > EXACT_DOUBLE:
        raise BadInput("a value is no exact double", expected=f"magnitude at most {EXACT_DOUBLE}", actual=size)
    return values.astype(np.float64)


def peak(values: FloatArray) -> int:
    """Largest absolute value, 0 for an empty array."""
    return int(max(values.max(), -values.min())) if values.size else 0


def round_quotient(values: FloatArray, divisor: int) -> FloatArray:
    """``values / divisor`` rounded half to even, in place. Magnitudes up to QUOTIENT_LIMIT, and a divisor from 1 on."""
    np.divide(values, divisor, out=values)
    return np.rint(values, out=values)


def truncate_quotient(values: FloatArray, divisor: int) -> FloatArray:
    """``values / divisor`` towards zero, in place. Limits as for `round_quotient`."""
    np.divide(values, divisor, out=values)
    return np.trunc(values, out=values)


def row_squares(rows: FloatArray) -> list[int]:
    """Each row's squares together, exact."""
    found = np.einsum("ij,ij->i", rows, rows)
    return [int(squares) if squares < SURELY_EXACT else sum_of_squares(row.astype(np.int64))
            for row, squares in zip(rows, found.tolist(), strict=True)]


def rounded_product(left: FloatArray, right: FloatArray) -> FloatArray:
    """The matrix product of two at 2**16, at 2**16 again: ``shift_round(matmul(left, right))``.

    Beyond EXACT_DOUBLE it is computed in integers. Raises BadInput where a sum could pass int64.
    """
    bound = left.shape[-1] * peak(left) * peak(right)
    if bound > EXACT_DOUBLE:
        return shift_round(matmul(left.astype(np.int64), right.astype(np.int64))).astype(np.float64)
    found = left @ right
    found *= 1.0 / ONE
    return np.rint(found, out=found)


def affine(given: FloatArray, weights: FloatArray, bias: FloatArray) -> FloatArray:
    """A layer's sums at 2**16: the rounded product of ``given`` (n, k) and ``weights`` (k, m), plus ``bias`` (m,).

    Raises BadInput as `rounded_product`, and for a bias beyond 2**52.
    """
    if peak(bias) > EXACT_DOUBLE >> 1:
        raise BadInput("integer overflow in a sum", expected=f"at most {EXACT_DOUBLE >> 1}", actual=peak(bias))
    found = rounded_product(given, weights)  # at most 2**47
    found += bias
    return found
