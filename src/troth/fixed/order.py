"""Order statistics over rows of integers: median and trimmed mean, with the rounding defined."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, as_ints, divide_round, total

FEW = 24
"""Rows up to which a sorting network is faster than sorting every column."""


def sort_rows(rows: IntArray) -> IntArray:
    """A copy of ``rows`` (n, d) with every column in ascending order.

    Few rows go through Batcher's network (1968): which two are compared does not depend on what they hold, so all
    columns are compared at once.
    """
    if len(rows) > FEW or rows.shape[1] < len(rows):
        return np.sort(rows, axis=0)
    found, spare = list(rows.copy()), np.empty(rows.shape[1], dtype=rows.dtype)
    for first, second in _network(len(rows)):
        left, right = found[first], found[second]
        found[first], spare = np.minimum(left, right, out=spare), left
        np.maximum(left, right, out=right)
    return np.stack(found)


@lru_cache(maxsize=FEW)
def _network(count: int) -> tuple[tuple[int, int], ...]:
    """The pairs that are compared, in order: merge exchange for any count (Knuth, volume 3, algorithm 5.2.2M)."""
    pairs, top = list[tuple[int, int]](), 1 << max(count - 1, 1).bit_length() - 1
    step = top
    while step:
        reach, rest, apart = top, 0, step
        while True:
            pairs += [(at, at + apart) for at in range(count - apart) if at & step == rest]
            if reach == step:
                break
            apart, reach, rest = reach - step, reach >> 1, step
        step >>= 1
    return tuple(pairs)


def _sorted_rows(rows: IntArray) -> IntArray:
    if as_ints(rows).ndim != 2 or len(rows) == 0:
        raise BadInput("order statistics take a matrix with at least one row", expected="(n, d)", actual=rows.shape)
    return sort_rows(rows)


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
