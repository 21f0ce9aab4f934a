"""Sigmoid and softplus in integers: a table of integers and linear interpolation between its entries.

Both tables (`troth.fixed.tables`) are sampled at steps of 1/32 from 0 to 12; entry ``i`` is the function at ``i/32``
times 2**16, rounded half to even. They were computed with 60 decimal digits and are stored as integers, so no machine
ever evaluates an exponential; a test recomputes them. Interpolation adds an error of at most ``h**2/8 * max|f''|``:
the results are within 3 units of 2**-16 of the true function.
"""

from __future__ import annotations

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE, IntArray, add, as_ints, shift_round
from troth.fixed.tables import SIGMOID, SOFTPLUS_NEGATIVE

STEP_BITS = 11
"""A table step is 2**11 units of 2**-16: 1/32."""
_SIGMOID = np.array(SIGMOID, dtype=np.int64)
_SOFTPLUS = np.array(SOFTPLUS_NEGATIVE, dtype=np.int64)
_END = (len(SIGMOID) - 1) << STEP_BITS


def _interpolate(table: IntArray, distance: IntArray) -> IntArray:
    """The table's function at ``distance`` >= 0 (2**-16 units); its last entry from the end of the table on."""
    capped = np.minimum(distance, _END - 1)
    index = capped >> STEP_BITS
    rest = capped & ((1 << STEP_BITS) - 1)
    low, high = table[index], table[index + 1]
    value = low + shift_round((high - low) * rest, STEP_BITS)
    return np.asarray(np.where(distance >= _END, table[-1], value))


def sigmoid(values: IntArray) -> IntArray:
    """``1 / (1 + exp(-x))`` at scale 2**16: 0 to 65536, non-decreasing, and sigmoid(-x) = 65536 - sigmoid(x)."""
    positive = _interpolate(_SIGMOID, np.abs(as_ints(values)))
    return np.where(values >= 0, positive, ONE - positive)


def softplus(values: IntArray) -> IntArray:
    """``ln(1 + exp(x))`` at scale 2**16, non-negative and non-decreasing; softplus(x) - softplus(-x) = x exactly."""
    tail = _interpolate(_SOFTPLUS, np.abs(as_ints(values)))
    return add(tail, np.maximum(values, 0))


def log_loss(logits: IntArray, labels: IntArray) -> IntArray:
    """Logistic loss of each row in nats at scale 2**16: softplus(-z) for label 1, softplus(z) for label 0.

    Raises BadInput for unequal shapes and for labels other than 0 and 1.
    """
    if logits.shape != labels.shape:
        raise BadInput("one label per logit", expected=logits.shape, actual=labels.shape)
    if labels.size and not ((labels == 0) | (labels == 1)).all():
        raise BadInput("labels are 0 or 1", actual=sorted(set(labels.tolist()))[:5])
    return softplus(np.where(labels == 1, -logits, logits))
