"""What a site does alone: train in floating point from an integer base, and send an integer update.

Local training is not re-executed by anyone, since nobody else may see the records; it may therefore use floats. What
leaves the site is an integer delta within the round's norm bound, and everything from there on is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Self

import numpy as np

from troth.core.encoding import take
from troth.core.errors import BadInput
from troth.fixed.numbers import LIMIT, ONE, FloatArray, IntArray, clip_norm, dequantise, magnitude, multiply, quantise
from troth.learn.arrays import State, flatten
from troth.learn.data import Part, Scaling
from troth.learn.dense import Dense
from troth.learn.draws import permutation
from troth.learn.privacy import training as private_training
from troth.learn.privacy.training import PrivateSteps

DEFAULT_CLIP = 2 * ONE
"""Largest Euclidean norm of an update, at 2**16: 2.0."""


UNBOUNDED = LIMIT
"""A norm bound that nothing trained here reaches: for training outside a round."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Local training: gradient steps, the rate, weight decay, the update's norm bound at 2**16, and how many records a
    step takes (0: all of them)."""

    steps: int = 10
    rate: float = 0.2
    decay: float = 0.003
    clip: int = DEFAULT_CLIP
    batch: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 100_000 or not 0 < self.rate <= 100 or not 0 <= self.decay <= 1 or self.batch < 0:
            raise BadInput("local training is out of range", actual=self,
                           expected="steps >= 1, rate > 0, 0 <= decay <= 1, batch >= 0")
        if not 1 <= self.clip <= LIMIT:
            raise BadInput("a norm bound is out of range", expected=f"1 to {LIMIT}", actual=self.clip)

    def json(self) -> dict[str, object]:
        """What a plan asks of its sites; the norm bound stands in the plan itself. Real numbers are decimal texts."""
        return {"batch": self.batch, "decay": str(self.decay), "rate": str(self.rate), "steps": self.steps}

    @classmethod
    def of(cls, said: Mapping[str, Any], clip: int) -> Self:
        """Read `json` back. Raises BadInput."""
        batch, decay, rate, steps = take(dict(said), batch=int, decay=str, rate=str, steps=int)
        return cls(steps, _real(rate), _real(decay), clip, batch)


def _real(text: str) -> float:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or len(text) > 40:
        raise BadInput("not a decimal number", actual=ascii(text[:40]))
    return float(found)


def descend(task: Dense, base: State, part: Part, by: Scaling, fit: Fit, seed: bytes = bytes(32)) -> FloatArray:
    """The flat parameter vector as floats after ``fit.steps`` gradient steps on ``part`` from ``base``.

    Minimises mean loss + decay/2 * |weights|^2: log-loss, or for numbers the Huber loss. seed: orders the records where
    a step takes a batch of them. The same inputs give the same bits on one machine. Raises BadInput for a part without
    records.
    """
    task.check(base)
    return descend_floats(task, dequantise(flatten(base)), part, by, fit, seed)


def descend_floats(task: Dense, start: FloatArray, part: Part, by: Scaling, fit: Fit,
                   seed: bytes = bytes(32)) -> FloatArray:
    """`descend` from a flat vector of floats: what plain averaging does, round after round."""
    if not len(part):
        raise BadInput("training needs records", expected="at least one", actual=0)
    data = by.inputs(part)
    features = np.ascontiguousarray(dequantise(data.features))
    labels = dequantise(data.labels) if not task.classes else data.labels
    state, at = {}, 0
    for name, shape in task.layout:
        state[name] = start[at:at + math.prod(shape)].reshape(shape)
        at += math.prod(shape)
    network = _Network(task, state, fit)
    count = len(part)
    size = min(fit.batch or count, count)
    order, at = np.arange(count), count if size < count else 0
    for step in range(fit.steps):
        if size < count and at + size > count:
            order, at = np.asarray(permutation(seed, f"batch {step}", count)), 0
        chosen = order[at:at + size] if size < count else slice(None)
        network.step(features[chosen], labels[chosen])
        at += size
    return np.concatenate([network.state[name].reshape(-1) for name, _ in task.layout])


class _Network:
    """A dense network in floats, and one gradient step of it."""

    def __init__(self, task: Dense, state: dict[str, FloatArray], fit: Fit) -> None:
        self._task, self.state, self._fit = task, state, fit
        self._layers = list(task.layers())

    def step(self, features: FloatArray, labels: IntArray | FloatArray) -> None:
        """Move the parameters against the gradient of the mean loss on these records."""
        inputs = [features]
        for prefix, before, after in self._layers:
            out = inputs[-1] @ self.state[f"{prefix}weights"].reshape(before, after) + self.state[f"{prefix}bias"]
            inputs.append(np.maximum(out, 0.0) if prefix else out)
        error = self._error(inputs.pop(), labels) / len(labels)
        for (prefix, before, after), given in zip(self._layers[::-1], inputs[::-1], strict=True):
            name = f"{prefix}weights"
            weights = self.state[name].reshape(before, after)
            slope = (given.T @ error + self._fit.decay * weights).reshape(self.state[name].shape)
            self.state[name] = self.state[name] - self._fit.rate * slope
            self.state[f"{prefix}bias"] = self.state[f"{prefix}bias"] - self._fit.rate * error.sum(axis=0)
            if given is not features:  # nobody asks for the slope of the records themselves
                error = (error @ weights.T) * (given > 0)

    def each(self, features: FloatArray, labels: IntArray | FloatArray) -> FloatArray:
        """The gradient of each record's own loss, (n, D) in the order of flat parameter vectors; without decay."""
        inputs = [features]
        for prefix, before, after in self._layers:
            out = inputs[-1] @ self.state[f"{prefix}weights"].reshape(before, after) + self.state[f"{prefix}bias"]
            inputs.append(np.maximum(out, 0.0) if prefix else out)
        error = self._error(inputs.pop(), labels)
        found: dict[str, FloatArray] = {}
        for (prefix, before, after), given in zip(self._layers[::-1], inputs[::-1], strict=True):
            found[f"{prefix}bias"] = error
            found[f"{prefix}weights"] = (given[:, :, None] * error[:, None, :]).reshape(len(features), -1)
            if given is not features:
                error = (error @ self.state[f"{prefix}weights"].reshape(before, after).T) * (given > 0)
        return np.concatenate([found[name] for name, _ in self._task.layout], axis=1)

    def _error(self, out: FloatArray, labels: IntArray | FloatArray) -> FloatArray:
        """Derivative of each record's loss by the head's outputs."""
        if self._task.outputs > 1:
            shifted = np.exp(out - out.max(axis=1, keepdims=True))
            found: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
            found[np.arange(len(labels)), labels.astype(np.int64)] -= 1.0
            return found
        if self._task.classes:
            # tanh form of the sigmoid: no overflow for large logits
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * out)) - labels[:, None])
        return np.asarray(np.clip(out - labels[:, None], -1.0, 1.0))


def train(task: Dense, base: State, part: Part, by: Scaling, fit: Fit, seed: bytes = bytes(32)) -> dict[str, IntArray]:
    """The site's update: its parameters after local training minus ``base``, quantised, clipped to ``fit.clip``."""
    task.check(base)
    start = dequantise(flatten(base))
    return _update(task, start, descend_floats(task, start, part, by, fit, seed), fit.clip)


def train_privately(task: Dense, base: State, part: Part, by: Scaling, how: PrivateSteps,
                    clip: int = DEFAULT_CLIP) -> dict[str, IntArray]:
    """The site's update by training that bounds what any one record can change (`privacy.training`).

    What it spends is ``how.mechanism(...)`` of the task's parameters; reserve that before. by: from records that are
    not the site's own. Fresh noise each time: the same inputs do not give the same update. Raises BadInput for a part
    without records.
    """
    task.check(base)
    data = by.inputs(part)
    features = np.ascontiguousarray(dequantise(data.features))
    labels = dequantise(data.labels) if not task.classes else data.labels
    fit = Fit()

    def gradients(vector: FloatArray, chosen: IntArray) -> FloatArray:
        state: dict[str, FloatArray] = {}
        at = 0
        for name, shape in task.layout:
            size = int(np.prod(shape))
            state[name] = vector[at:at + size].reshape(shape)
            at += size
        return _Network(task, state, fit).each(features[chosen], labels[chosen])

    start = dequantise(flatten(base))
    return _update(task, start, private_training.descend(gradients, start, len(part), how), clip)


def _update(task: Dense, start: FloatArray, after: FloatArray, clip: int) -> dict[str, IntArray]:
    """after: overwritten."""
    return task.state_of(clip_norm(quantise(np.subtract(after, start, out=after)), clip))


def poison(part: Part) -> Part:
    """The same records with every label turned: class k becomes class K - 1 - k."""
    return Part(part.features, len(part.schema.classes) - 1 - part.labels, part.schema)


def poisoned(task: Dense, base: State, part: Part, by: Scaling, fit: Fit, seed: bytes = bytes(32),
             factor: int = 10) -> dict[str, IntArray]:
    """A poisoner's update: trained on turned labels, scaled by ``factor``, and clipped so that the bound admits it."""
    harm = multiply(flatten(train(task, base, poison(part), by, fit, seed)), factor)
    if magnitude(harm) > LIMIT:
        raise BadInput("the scaling factor is too large", expected=f"updates up to {LIMIT}", actual=magnitude(harm))
    return task.state_of(clip_norm(harm, fit.clip))
