"""What records were worth for a training, in integers: the Shapley value under a k-nearest-neighbours model.

Jia et al. (2019, "Efficient task-specific data valuation for nearest neighbor algorithms", theorem 1) give the value in
closed form: sort the training records by their distance to a validation record, and with a_i = 1 where the i-th has its
label (else 0),

    s_N = a_N min(k, N) / (N k)        s_i = s_(i+1) + (a_i - a_(i+1)) min(k, i) / (k i)

The value of a record is the sum over validation records. Here every coefficient is an integer at 2**40 (floor), so the
same records give the same values on every machine; a value is off by less than N units of 2**-40.

What it does not say: what another model than nearest neighbours learned from the records. It ranks wrong labels low
(`benchmarks/royalties.py`) and is cheap enough to be computed again by whoever may see the records.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, matmul
from troth.learn.data import Inputs, Part, pooled, scaling

UNIT = 1 << 40
NEIGHBOURS = 5
MAX_RECORDS = 1 << 20
_CELLS = 1 << 24
"""Distances held at a time."""


def knn_shapley(train: Inputs, validation: Inputs, neighbours: int = NEIGHBOURS) -> IntArray:
    """The value of each training record at 2**40, summed over the validation records.

    Equally distant records count in their order. Raises BadInput for no records, too many, or no neighbours.
    """
    count, asked = len(train.labels), len(validation.labels)
    if not 1 <= count <= MAX_RECORDS or not 1 <= asked <= MAX_RECORDS or neighbours < 1:
        raise BadInput("no records to value, or too many", expected=f"1 to {MAX_RECORDS}, and at least one neighbour",
                       actual=f"{count} records, {asked} to validate on, {neighbours} neighbours")
    steps = np.array([UNIT * min(neighbours, at) // (neighbours * at) for at in range(1, count + 1)], dtype=np.int64)
    values = np.zeros(count, dtype=np.int64)
    size = max(1, _CELLS // count)
    own = np.sum(train.features * train.features, axis=1)  # at most 4096 columns of 2**38: no overflow
    for first in range(0, asked, size):
        some = validation.features[first:first + size]
        # |a - b|**2 without |b|**2, which orders nothing.
        order = np.argsort(own - 2 * matmul(some, train.features.T), axis=1, kind="stable")
        right = (train.labels[order] == validation.labels[first:first + size, None]).astype(np.int64)
        change = right.copy()
        change[:, :-1] -= right[:, 1:]
        found = np.cumsum((change * steps)[:, ::-1], axis=1)[:, ::-1]
        np.add.at(values, order.ravel(), found.ravel())
    return values


def worth_of_parts(parts: Sequence[Part], validation: Part, neighbours: int = NEIGHBOURS) -> tuple[int, ...]:
    """The value of each part: the sum over its records in the game of all of them, at 2**40; below 0 where it harms.

    The validation records give the scale of the columns. Raises BadInput for unlike schemas, or a label that is a
    number.
    """
    if not validation.schema.classes:
        raise BadInput("nearest neighbours value classes", expected="a label of classes", actual="a number")
    by = scaling(validation)
    values = knn_shapley(by.inputs(pooled(parts)), by.inputs(validation), neighbours)
    ends = np.cumsum([len(part) for part in parts])
    return tuple(int(some.sum()) for some in np.split(values, ends[:-1]))
