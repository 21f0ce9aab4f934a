"""Order statistics over rows of integers: median and trimmed mean, with the rounding defined."""

from __future__ import annotations

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, as_ints, divide_round, total


def _sorted_rows(rows: IntArray) -> IntArray:
    if as_ints(rows).ndim != 2 or len(rows) == 0:
        raise BadInput("order statistics take a matrix with at least one row", expected="(n, d)", actual=rows.shape)
    return np.sort(rows, axis=0)


def trimmed_mean(rows: IntArray, trim: int) -> IntArray:
    """Per column: drop the ``trim`` smallest and largest values, mean of the rest, rounded half to even.

    rows: (n, d) int64; ``0 <= 2 * trim < n``. Raises BadInput otherwise, or if a column's sum could overflow.
    """
    ordered = _sorted_rows(rows)
    if not 0 <= 2 * trim < len(rows):
        raise BadInput("too many rows trimmed", expected=f"0 <= trim < {len(rows)}/2", actual=trim)
    kept = ordered[trim:len(rows) - trim]
    return divide_round(total(kept, axis=0), len(kept))


def median(rows: IntArray) -> IntArray:
    """Per column: the middle value, or for an even count the mean of the middle two, rounded half to even."""
    return trimmed_mean(rows, (len(rows) - 1) // 2) if len(rows) else _sorted_rows(rows)
