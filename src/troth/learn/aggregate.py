"""Robust aggregation in integers: the same bits from the same updates, in whatever order they arrive.

Rules by name, each from the matrix of updates, rows sorted by site, to one vector:

- ``mean``: federated averaging weighted by claimed examples (McMahan et al., 2017). No protection; for comparison.
- ``nnm+trimmed_mean`` (default): each update becomes the mean of its n - f nearest, then per coordinate the f smallest
  and largest are dropped (Allouah et al., 2023).
- ``centered_clipping``: from the coordinate median, five times add the mean of the differences clipped to the lower
  median of their norms (after Karimireddy et al., 2021, with the radius taken from the updates).
- ``median``: per coordinate.

Robust rules ignore the claimed numbers of examples: a claim of 10**9 records must not buy influence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import (
    IntArray,
    add,
    clip_norm,
    divide_round,
    multiply,
    norm,
    squared_distances,
    stack,
    subtract,
    total,
)
from troth.fixed.order import median, trimmed_mean
from troth.learn.arrays import State, flatten, layout, unflatten

MAX_EXAMPLES = (1 << 31) - 1
DEFAULT_RULE = "nnm+trimmed_mean"


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """One site's word for a round: its canonical key (a DID), the examples it claims, and its delta."""

    site: str
    examples: int
    delta: State


def tolerated(count: int) -> int:
    """How many of ``count`` updates may be hostile: a third rounded down below it, and at least one from three on."""
    return max((count - 1) // 3, 1 if count >= 3 else 0)


def _mean(rows: IntArray, examples: tuple[int, ...]) -> IntArray:
    weights = np.array(examples, dtype=np.int64).reshape(-1, 1)
    return divide_round(total(multiply(rows, weights), axis=0), sum(examples))


def _mixed(rows: IntArray) -> IntArray:
    """Each row replaced by the mean of its n - f nearest rows, itself among them; ties go to the earlier row."""
    near = len(rows) - tolerated(len(rows))
    distances = squared_distances(rows)
    mixed = []
    for index in range(len(rows)):
        order = np.argsort(distances[index], kind="stable")[:near]
        mixed.append(divide_round(total(rows[order], axis=0), near))
    return stack(mixed)


def _nnm_trimmed_mean(rows: IntArray, _: tuple[int, ...]) -> IntArray:
    return trimmed_mean(_mixed(rows), tolerated(len(rows)))


CLIPPING_STEPS = 5


def _centered_clipping(rows: IntArray, _: tuple[int, ...]) -> IntArray:
    centre = median(rows)
    for _step in range(CLIPPING_STEPS):
        gaps = subtract(rows, centre)
        radius = sorted(norm(gap) for gap in gaps)[(len(rows) - 1) // 2]
        clipped = stack([clip_norm(gap, radius) for gap in gaps])
        centre = add(centre, divide_round(total(clipped, axis=0), len(rows)))
    return centre


def _median(rows: IntArray, _: tuple[int, ...]) -> IntArray:
    return median(rows)


RULES: Mapping[str, Callable[[IntArray, tuple[int, ...]], IntArray]] = MappingProxyType({
    "mean": _mean, "nnm+trimmed_mean": _nnm_trimmed_mean, "centered_clipping": _centered_clipping, "median": _median,
})


def aggregate(rule: str, updates: Sequence[Update]) -> dict[str, IntArray]:
    """One delta from many, by the named rule; independent of the order of ``updates``.

    Raises BadInput for an unknown rule, no updates, two from one site, unlike names or shapes, examples outside
    1 … MAX_EXAMPLES, and when a sum or a distance could overflow.
    """
    if rule not in RULES:
        raise BadInput("unknown aggregation rule", expected=", ".join(RULES), actual=rule)
    ordered = sorted(updates, key=lambda update: update.site)
    if not ordered or len({update.site for update in ordered}) != len(ordered):
        raise BadInput("aggregation takes one update per site and at least one", actual=[u.site for u in ordered])
    shapes = layout(ordered[0].delta)
    for update in ordered:
        if layout(update.delta) != shapes:
            raise BadInput(f"the update of {update.site} has other names or shapes", expected=shapes,
                           actual=layout(update.delta))
        if not 1 <= update.examples <= MAX_EXAMPLES:
            raise BadInput(f"{update.site} claims an impossible number of examples", expected=f"1 to {MAX_EXAMPLES}",
                           actual=update.examples)
    rows = stack([flatten(update.delta) for update in ordered])
    return unflatten(RULES[rule](rows, tuple(update.examples for update in ordered)), shapes)
