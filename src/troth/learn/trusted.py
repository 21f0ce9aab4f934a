"""A trusted reference (after FLTrust: Cao, Fang, Liu, Gong, 2021) in integers: what the validation records ask for.

The rule weighs each update by how far it points the way of one update that nobody hostile made. FLTrust brings every
update to that one's length and weighs by the cosine; the median length and the squared cosine lost fewer points, with
attacks and without (`docs/reference/robustness.md`). Here that update is not
anybody's message: it is computed from the model and the sponsor's public validation records, in integers, so that
aggregator and verifiers find the same one and there is nothing to hand over, to withhold or to lie about. Who chose the
validation records decides; they already decide who is paid.

The reference: STEPS times the gradient of the mean loss, each as long as lowers the loss most among powers of two
(steepest descent), cut to the round's norm bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.exact import QUOTIENT_LIMIT, doubles, peak, round_quotient, rounded_product, row_squares
from troth.fixed.functions import sigmoid, softplus
from troth.fixed.numbers import (
    EXACT_DOUBLE,
    ONE,
    SURELY_EXACT,
    FloatArray,
    IntArray,
    add,
    clip_norm,
    divide_int,
    divide_round,
    matmul,
    multiply,
    norm,
    root_above,
    subtract,
    sum_of_squares,
    total,
)
from troth.learn.arrays import Rows, State, flatten
from troth.learn.data import Inputs
from troth.learn.dense import Dense

NAME = "trusted_reference"
STEPS = 5
LENGTHS = (16, 8, 4, 2, 1)
"""Lengths of a step, in units of the gradient; and HALVES of one below, down to one 16th."""
HALVES = 4
BLOCK = 1 << 16
"""Parameters worked on at a time."""
_SLOPE_LIMIT = 4 * ONE
"""Errors carried back through hidden layers are clamped to 4.0, by definition: no layer can overflow."""


def weigh(rows: Rows, reference: IntArray) -> IntArray:
    """The mean of ``rows`` (n, d), each brought to one length and weighted by its squared cosine with the reference.

    Cosines are integers at 2**16, half to even; those below zero count as zero. The length is the lower median of the
    norms of those that count, so a few cannot stretch the step or stop it. The reference gives a direction only: it is
    no summand, so that the model learns from the sites' records and not from those that judge it. Nobody pointing the
    reference's way: zeros, and the model stays. Raises BadInput where an inner product could overflow: never within a
    round's bound.
    """
    size, count = norm(reference), len(rows)
    squares, inner = [0] * count, [0] * count
    for at, block in rows.blocks(np.float64 if rows.bound <= EXACT_DOUBLE else np.int64):
        for index, (square, along) in enumerate(_squares_and_products(block, reference[at])):
            squares[index] += square
            inner[index] += along
    lengths = [root_above(square) for square in squares]
    weights = [_weight(along, size * length) for along, length in zip(inner, lengths, strict=True)]
    counted = [index for index in range(count) if weights[index]]
    whole = np.zeros(rows.size, dtype=np.int64)
    if not counted:
        return whole
    middle = sorted(lengths[index] for index in counted)[(len(counted) - 1) // 2]
    small = rows.bound * middle <= QUOTIENT_LIMIT and middle * sum(weights) <= QUOTIENT_LIMIT
    for at, block in rows.blocks(np.float64 if small else np.int64):
        if small:
            for index in counted:
                block[index] *= middle
                round_quotient(block[index], lengths[index])
            scaled = np.array([float(weight) for weight in weights]) @ block
            whole[at] = round_quotient(scaled, sum(weights))
        else:
            for index in counted:
                part = divide_round(multiply(block[index], middle), lengths[index])
                whole[at] = add(whole[at], multiply(part, weights[index]))
            whole[at] = divide_round(whole[at], sum(weights))
    return whole


def _squares_and_products(block: Any, reference: IntArray) -> Iterator[tuple[int, int]]:
    """Of each row: its squares together, and its inner product with the reference. A block of integers or doubles."""
    if block.dtype == np.float64:
        squares = row_squares(block)
        if max(*squares, sum_of_squares(reference)) < SURELY_EXACT:  # and so are the products', by Cauchy and Schwarz
            return zip(squares, map(int, (block @ reference.astype(np.float64)).tolist()), strict=True)
    whole = block.astype(np.int64, copy=False)
    return zip(map(sum_of_squares, whole), matmul(whole, reference).tolist(), strict=True)


def _weight(along: int, lengths: int) -> int:
    """The squared cosine of two vectors at 2**16, by their inner product and their lengths' product; 0 below zero."""
    cosine = divide_int(max(0, along) * ONE, lengths) if lengths else 0
    return divide_int(cosine * cosine, ONE)


def reference(task: Dense, base: State, data: Inputs, clip: int) -> IntArray:
    """The reference update (d,) from model ``base`` on validation records. Raises BadInput for no records."""
    start = doubles(flatten(base))
    here, best, features = start, 0, doubles(data.features)
    for step in range(STEPS):
        if not step:
            best = _losses(task, [start], features, data)[0]
        slope = _gradient(task, here, features, data.labels)
        room = _Tries(here, slope, task.limit)
        losses = _losses(task, (room.at(number) for number in range(len(room))), features, data)
        if min(losses) >= best:
            break
        best = min(losses)
        here = room.at(losses.index(best))
    return clip_norm((here - start).astype(np.int64), clip)


class _Tries:
    """Where a step of each length leads from ``here``: one at a time, in one place, block by block."""

    def __init__(self, here: FloatArray, slope: FloatArray, limit: int) -> None:
        bound = peak(here) + max(LENGTHS) * peak(slope)
        if bound > EXACT_DOUBLE:
            raise BadInput("integer overflow in a step", expected=f"at most {EXACT_DOUBLE}", actual=bound)
        self._here, self._slope, self._limit, self._found = here, slope, limit, np.empty_like(here)

    def __len__(self) -> int:
        return len(LENGTHS) + HALVES

    def at(self, number: int) -> FloatArray:
        """A try; it is overwritten by the next."""
        found, long = self._found, number < len(LENGTHS)
        factor = LENGTHS[number] if long else 2.0 ** (len(LENGTHS) - number - 1)
        for start in range(0, len(found), BLOCK):
            here, into = self._here[start:start + BLOCK], found[start:start + BLOCK]
            np.multiply(self._slope[start:start + BLOCK], factor, out=into)
            if long:
                np.subtract(here, into, out=into)
                np.clip(into, -self._limit, self._limit, out=into)
            else:
                np.rint(into, out=into)
                np.subtract(here, into, out=into)
        return found


def _losses(task: Dense, vectors: Iterable[FloatArray], features: FloatArray, data: Inputs) -> list[int]:
    """Each vector's loss over all records. One vector at a time, however large; what they put out together."""
    found = np.stack([task.forward(state, features)[-1] for state in map(task.state_of, vectors)])
    return [int(total(row)) for row in task.losses_of(found.astype(np.int64), data)]


def gradient(task: Dense, vector: IntArray, data: Inputs) -> IntArray:
    """Gradient of the mean loss at parameters ``vector`` (d,), at 2**16, every step rounded half to even."""
    return _gradient(task, doubles(vector), doubles(data.features), data.labels).astype(np.int64)


def _gradient(task: Dense, vector: FloatArray, features: FloatArray, labels: IntArray) -> FloatArray:
    count = len(labels)
    if not count:
        raise BadInput("a reference needs validation records", expected="at least one", actual=0)
    state = task.state_of(vector)
    *given, out = features, *task.forward(state, features)
    error = doubles(_error(task, out.astype(np.int64), labels))
    found = np.empty_like(vector)
    into = task.state_of(found)
    layers = list(zip(task.layers(), given, strict=True))
    for (prefix, before, after), inputs in layers[::-1]:
        weights = f"{prefix}weights"
        into[weights][...] = _mean_slope(inputs, error).reshape(into[weights].shape)
        into[f"{prefix}bias"][...] = round_quotient(error.sum(axis=0), count)
        if inputs is not features:
            error = rounded_product(error, state[weights].reshape(before, after).T)
            np.clip(error, -_SLOPE_LIMIT, _SLOPE_LIMIT, out=error)
            error *= inputs > 0
    return found


def _mean_slope(inputs: FloatArray, error: FloatArray) -> FloatArray:
    """The mean over records of inputs times errors, at 2**16. Raises BadInput where a sum could pass int64."""
    parts = len(inputs) * ONE
    if len(inputs) * peak(inputs) * peak(error) <= QUOTIENT_LIMIT:
        return round_quotient(inputs.T @ error, parts)
    return divide_round(matmul(inputs.T.astype(np.int64), error.astype(np.int64)), parts).astype(np.float64)


def _error(task: Dense, out: IntArray, labels: IntArray) -> IntArray:
    """Derivative of each record's loss by the head's outputs (n, outputs), at 2**16."""
    if task.outputs == 1:
        if task.classes:
            return sigmoid(out) - labels.reshape(-1, 1) * ONE
        return np.clip(subtract(out, labels.reshape(-1, 1)), -ONE, ONE)
    others = _others(out)
    chances = sigmoid(subtract(out, others))  # e^a / (e^a + the rest) is the sigmoid of a - ln(the rest)
    chances[np.arange(len(labels)), labels] -= ONE
    return chances


def _others(logits: IntArray) -> IntArray:
    """For each class ln of the sum of the others' exponentials, at 2**16, from both ends in the classes' order."""
    classes = logits.shape[1]
    before, after = [logits[:, 0]], [logits[:, classes - 1]]
    for index in range(1, classes - 1):
        before.append(_both(before[-1], logits[:, index]))
        after.append(_both(after[-1], logits[:, classes - 1 - index]))
    middle = [_both(before[index - 1], after[classes - 2 - index]) for index in range(1, classes - 1)]
    return np.ascontiguousarray(np.stack([after[-1], *middle, before[-1]], axis=1))


def _both(left: IntArray, right: IntArray) -> IntArray:
    return add(left, softplus(np.ascontiguousarray(subtract(right, left))))
