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

from collections.abc import Iterable

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.functions import sigmoid, softplus
from troth.fixed.numbers import (
    INT64_MAX,
    ONE,
    IntArray,
    add,
    clip_norm,
    divide_int,
    divide_round,
    dot,
    magnitude,
    matmul,
    multiply,
    norm,
    shift_round,
    subtract,
    total,
)
from troth.learn.arrays import State, flatten
from troth.learn.data import Inputs
from troth.learn.dense import ACTIVATION_LIMIT, Dense

NAME = "trusted_reference"
STEPS = 5
LENGTHS = (16, 8, 4, 2, 1)
"""Lengths of a step, in units of the gradient; and HALVES of one below, down to one 16th."""
HALVES = 4
BLOCK = 1 << 16
"""Parameters worked on at a time."""
_SLOPE_LIMIT = 4 * ONE
"""Errors carried back through hidden layers are clamped to 4.0, by definition: no layer can overflow."""


def weigh(rows: IntArray, reference: IntArray) -> IntArray:
    """The mean of ``rows`` (n, d), each brought to one length and weighted by its squared cosine with the reference.

    Cosines are integers at 2**16, half to even; those below zero count as zero. The length is the lower median of the
    norms of those that count, so a few cannot stretch the step or stop it. The reference gives a direction only: it is
    no summand, so that the model learns from the sites' records and not from those that judge it. Nobody pointing the
    reference's way: zeros, and the model stays. Raises BadInput where an inner product could overflow: never within a
    round's bound.
    """
    size, counted = norm(reference), list[tuple[IntArray, int, int]]()
    for row in rows:
        length = norm(row)
        cosine = divide_int(max(0, dot(row, reference)) * ONE, size * length) if size and length else 0
        if weight := divide_int(cosine * cosine, ONE):
            counted.append((row, length, weight))
    whole = np.zeros(rows.shape[1], dtype=np.int64)
    if not counted:
        return whole
    middle = sorted(length for _, length, _ in counted)[(len(counted) - 1) // 2]
    for row, length, weight in counted:
        whole = add(whole, multiply(divide_round(multiply(row, middle), length), weight))
    return divide_round(whole, sum(weight for _, _, weight in counted))


def reference(task: Dense, base: State, data: Inputs, clip: int) -> IntArray:
    """The reference update (d,) from model ``base`` on validation records. Raises BadInput for no records."""
    start = flatten(base)
    here, best = start, _losses(task, [start], data)[0]
    for _ in range(STEPS):
        slope = gradient(task, here, data)
        room = _Tries(here, slope, task.limit)
        losses = _losses(task, (room.at(number) for number in range(len(room))), data)
        if min(losses) >= best:
            break
        best = min(losses)
        here = room.at(losses.index(best))
    return clip_norm(subtract(here, start), clip)


class _Tries:
    """Where a step of each length leads from ``here``: one at a time, in one place, block by block."""

    def __init__(self, here: IntArray, slope: IntArray, limit: int) -> None:
        bound = magnitude(here) + max(LENGTHS) * magnitude(slope)
        if bound > INT64_MAX:
            raise BadInput("integer overflow in a step", expected=f"at most {INT64_MAX}", actual=bound)
        self._here, self._slope, self._limit, self._found = here, slope, limit, np.empty_like(here)

    def __len__(self) -> int:
        return len(LENGTHS) + HALVES

    def at(self, number: int) -> IntArray:
        """A try; it is overwritten by the next."""
        found = self._found
        for start in range(0, len(found), BLOCK):
            block = slice(start, start + BLOCK)
            if number < len(LENGTHS):
                np.subtract(self._here[block], self._slope[block] * LENGTHS[number], out=found[block])
                np.clip(found[block], -self._limit, self._limit, out=found[block])
            else:
                part = divide_round(self._slope[block], 2 ** (number - len(LENGTHS) + 1))
                np.subtract(self._here[block], part, out=found[block])
        return found


def _losses(task: Dense, vectors: Iterable[IntArray], data: Inputs) -> list[int]:
    """Each vector's loss over all records. One vector at a time, however large; what they put out together."""
    found = np.concatenate([task.outputs_of(vector.reshape(1, -1), data.features) for vector in vectors])
    return [int(total(row)) for row in task.losses_of(found, data)]


def gradient(task: Dense, vector: IntArray, data: Inputs) -> IntArray:
    """Gradient of the mean loss at parameters ``vector`` (d,), at 2**16, every step rounded half to even."""
    count = len(data.labels)
    if not count:
        raise BadInput("a reference needs validation records", expected="at least one", actual=0)
    state = task.state_of(vector)
    layers, given = list(task.layers()), [data.features]
    for prefix, before, after in layers:
        weights = np.ascontiguousarray(state[f"{prefix}weights"].reshape(before, after))
        out = add(shift_round(matmul(given[-1], weights)), state[f"{prefix}bias"])
        given.append(np.clip(out, 0, ACTIVATION_LIMIT) if prefix else out)
    error = _error(task, given.pop(), data.labels)
    found: dict[str, IntArray] = {}
    for (prefix, before, after), inputs in zip(layers[::-1], given[::-1], strict=True):
        name = f"{prefix}weights"
        slope = matmul(np.ascontiguousarray(inputs.T), error)
        found[name] = divide_round(slope, count * ONE).reshape(state[name].shape)
        found[f"{prefix}bias"] = divide_round(np.asarray(total(error, axis=0)), count)
        back = shift_round(matmul(error, np.ascontiguousarray(state[name].reshape(before, after).T)))
        error = np.clip(back, -_SLOPE_LIMIT, _SLOPE_LIMIT) * (inputs > 0)
    return flatten(found)


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
