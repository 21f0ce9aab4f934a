"""Robust aggregation in integers: the same bits from the same updates, in whatever order they arrive.

Rules by name, each from the updates as rows of a matrix, sorted by site, to one vector:

- ``mean``: federated averaging weighted by claimed examples (McMahan et al., 2017). No protection; for comparison.
- ``centered_clipping`` (default elsewhere): from the coordinate median, five times add the mean of the differences
  clipped to the lower median of their norms (after Karimireddy et al., 2021, with the radius taken from the updates).
- ``nnm+trimmed_mean``: each update becomes the mean of its n - f nearest, then per coordinate the f smallest and
  largest are dropped (Allouah et al., 2023).
- ``median``: per coordinate.
- ``trusted_reference`` (default for open rounds of dense networks): updates brought to one length and weighted by
  their squared cosine with a reference (`learn.trusted`; after Cao et al., 2021). The one rule that may hold against a
  majority.

Robust rules ignore the claimed numbers of examples: a claim of 10**9 records must not buy influence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.exact import QUOTIENT_LIMIT, round_quotient, row_squares, truncate_quotient
from troth.fixed.numbers import (
    INT64_MAX,
    IntArray,
    divide_round,
    matmul,
    multiply,
    root_above,
    squared_distances,
    sum_of_squares,
    total,
)
from troth.fixed.order import median, sort_rows
from troth.learn import trusted
from troth.learn.arrays import Rows, State, form, unflatten
from troth.learn.dense import Dense

MAX_EXAMPLES = (1 << 31) - 1
DEFAULT_RULE = "centered_clipping"
"""The default where no reference can be had."""


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """One site's word for a round: its canonical key (a DID), the examples it claims, and its delta.

    bound: the norm at 2**16 that the site says it kept to; None where it says nothing of its own.
    """

    site: str
    examples: int
    delta: State
    bound: int | None = None


def tolerated(count: int) -> int:
    """How many of ``count`` updates may be hostile: a third rounded down below it, and at least one from three on."""
    return max((count - 1) // 3, 1 if count >= 3 else 0)


def _mean(rows: Rows, examples: tuple[int, ...]) -> IntArray:
    weights, whole = np.array(examples, dtype=np.int64), sum(examples)
    found = np.empty(rows.size, dtype=np.int64)
    if rows.bound * whole <= QUOTIENT_LIMIT:
        for at, block in rows.blocks(np.float64):
            found[at] = round_quotient(weights.astype(np.float64) @ block, whole)
        return found
    for at, block in rows.blocks():
        found[at] = divide_round(total(multiply(block, weights[:, None]), axis=0), whole)
    return found


_MANY = 64
"""Rows from which mixing is one matrix product."""


def _farthest(rows: IntArray, far: int) -> IntArray:
    """For each row the ``far`` rows (n, far) that are left out of its mean; of equally near ones the later."""
    return np.argsort(squared_distances(rows), axis=1, kind="stable")[:, len(rows) - far:]


def _sums_of_nearest(block: IntArray, farthest: IntArray) -> IntArray:
    """For each row the sum of all rows but its farthest."""
    if len(block) >= _MANY:
        chosen = np.ones((len(block), len(block)), dtype=np.int64)
        np.put_along_axis(chosen, farthest, 0, axis=1)
        return matmul(chosen, block)
    found = np.tile(total(block, axis=0), (len(block), 1))
    for row, far in zip(found, farthest.tolist(), strict=True):
        for index in far:
            row -= block[index]  # the rest of a sum that was bounded: no term can make it overflow
    return found


def _nnm_trimmed_mean(rows: Rows, _: tuple[int, ...]) -> IntArray:
    count, trim = len(rows), tolerated(len(rows))
    farthest, found = _farthest(rows.matrix(), trim), np.empty(rows.size, dtype=np.int64)
    for at, block in rows.blocks():
        # Rounding keeps the order, so the sums are sorted and only those kept are divided.
        sums = sort_rows(_sums_of_nearest(block, farthest))[trim:count - trim]
        found[at] = divide_round(total(divide_round(sums, count - trim), axis=0), count - 2 * trim)
    return found


CLIPPING_STEPS = 5


def _centered_clipping(rows: Rows, _: tuple[int, ...]) -> IntArray:
    """Block by block, so that a step reads the updates once: it moves the centre and measures from where that is.

    In doubles, exactly, where all of it is small enough: always within a round's norm bound.
    """
    count, bound = len(rows), 2 * rows.bound  # of any gap: the centre stays between the least and the greatest
    if bound > INT64_MAX:
        raise BadInput("integer overflow in a difference", expected=f"at most {INT64_MAX}", actual=bound)
    centre, squares = np.empty(rows.size, dtype=np.int64), [0] * count
    for at, block in rows.blocks():
        centre[at] = median(block)
        _measure(squares, block - centre[at])
    for _step in range(CLIPPING_STEPS):
        radius, lengths = _radius(squares)
        squares = [0] * count
        for at, block in rows.blocks(np.float64 if bound * max(radius, count) <= QUOTIENT_LIMIT else np.int64):
            here: Any = centre[at].astype(block.dtype)
            gaps = block - here
            for gap, length in zip(gaps, lengths, strict=True):
                if length > radius:
                    _shorten(gap, radius, length)
            here += _divide(gaps.sum(axis=0), count)
            _measure(squares, np.subtract(block, here, out=gaps))
            centre[at] = here
    return centre


def _measure(squares: list[int], gaps: Any) -> None:
    """Add each row's squares, of integers or of doubles."""
    found = row_squares(gaps) if gaps.dtype == np.float64 else map(sum_of_squares, gaps)
    squares[:] = map(sum, zip(squares, found, strict=True))


def _radius(squares: list[int]) -> tuple[int, list[int]]:
    """The lower median of the norms, and the norms. Raises BadInput where clipping to it could overflow."""
    lengths = [root_above(square) for square in squares]
    radius = sorted(lengths)[(len(lengths) - 1) // 2]
    bound = max(lengths) * max(radius, len(lengths))  # no coordinate is longer than its row
    if bound > INT64_MAX:
        raise BadInput("integer overflow in clipping", expected=f"at most {INT64_MAX}", actual=bound)
    return radius, lengths


def _shorten(gap: Any, radius: int, length: int) -> None:
    """`clip_norm` where the norm is known, in place: each coordinate times radius / length, towards zero."""
    gap *= radius
    if gap.dtype == np.float64:
        truncate_quotient(gap, length)
        return
    gap += (gap >> 63) & (length - 1)  # below zero the floor of this is what the ceiling was
    gap //= np.int64(length)


def _divide(values: Any, divisor: int) -> Any:
    """Rounded half to even."""
    return round_quotient(values, divisor) if values.dtype == np.float64 else divide_round(values, divisor)


def _median(rows: Rows, _: tuple[int, ...]) -> IntArray:
    found = np.empty(rows.size, dtype=np.int64)
    for at, block in rows.blocks():
        found[at] = median(block)
    return found


RULES: Mapping[str, Callable[[Rows, tuple[int, ...]], IntArray]] = MappingProxyType({
    "mean": _mean, "nnm+trimmed_mean": _nnm_trimmed_mean, "centered_clipping": _centered_clipping, "median": _median,
})
NAMES = (*RULES, trusted.NAME)
"""Every rule that a plan may name."""


def default_rule(family: str) -> str:
    """The rule of a plan that names none, by its family of models, where updates are open: see decision record 33."""
    return trusted.NAME if family == Dense.FAMILY else DEFAULT_RULE


def aggregate(rule: str, updates: Sequence[Update], reference: IntArray | None = None) -> dict[str, IntArray]:
    """One delta from many, by the named rule; independent of the order of ``updates``.

    reference: flat, for ``trusted_reference`` and no other. Raises BadInput for an unknown rule, a missing reference,
    no updates, two from one site, unlike names or shapes, examples outside 1 … MAX_EXAMPLES, and when a sum or a
    distance could overflow.
    """
    if rule not in NAMES:
        raise BadInput("unknown aggregation rule", expected=", ".join(NAMES), actual=rule)
    if (reference is not None) != (rule == trusted.NAME):
        raise BadInput("a reference goes with one rule and no other", expected=trusted.NAME, actual=rule)
    ordered = sorted(updates, key=lambda update: update.site)
    if not ordered or len({update.site for update in ordered}) != len(ordered):
        raise BadInput("aggregation takes one update per site and at least one", actual=[u.site for u in ordered])
    shapes = form(ordered[0].delta)
    for update in ordered:
        if (found := form(update.delta)) != shapes:
            raise BadInput(f"the update of {update.site} has other names or shapes", expected=shapes, actual=found)
        if not 1 <= update.examples <= MAX_EXAMPLES:
            raise BadInput(f"{update.site} claims an impossible number of examples", expected=f"1 to {MAX_EXAMPLES}",
                           actual=update.examples)
    rows = Rows([update.delta for update in ordered], shapes)
    if reference is not None:
        if reference.shape != (rows.size,):
            raise BadInput("a reference of another size", expected=(rows.size,), actual=reference.shape)
        return unflatten(trusted.weigh(rows, reference), shapes)
    return unflatten(RULES[rule](rows, tuple(update.examples for update in ordered)), shapes)
