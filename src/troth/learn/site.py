"""What a hospital does alone: train in floating point from an integer base, and send an integer update.

Local training is not re-executed by anyone, since nobody else may see the records; it may therefore use floats. What
leaves the site is an integer delta within the round's norm bound, and everything from there on is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import LIMIT, ONE, FloatArray, IntArray, clip_norm, dequantise, magnitude, multiply, quantise
from troth.learn import model
from troth.learn.arrays import State, flatten
from troth.learn.data import Part, Scaling

DEFAULT_CLIP = 2 * ONE
"""Largest Euclidean norm of an update, at 2**16: 2.0."""


UNBOUNDED = LIMIT
"""A norm bound that nothing trained here reaches: for training outside a round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Local training: full-batch gradient steps, the rate, weight decay, and the update's norm bound at 2**16."""

    steps: int = 10
    rate: float = 0.2
    decay: float = 0.003
    clip: int = DEFAULT_CLIP

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 100_000 or not 0 < self.rate <= 100 or not 0 <= self.decay <= 1:
            raise BadInput("a training plan is out of range", expected="steps >= 1, rate > 0, 0 <= decay <= 1",
                           actual=self)
        if not 1 <= self.clip <= LIMIT:
            raise BadInput("a norm bound is out of range", expected=f"1 to {LIMIT}", actual=self.clip)


def descend(base: State, part: Part, by: Scaling, plan: Plan) -> FloatArray:
    """Parameters (31,) as floats, bias first, after ``plan.steps`` gradient steps on ``part`` from ``base``.

    Minimises mean log-loss + decay/2 * |weights|^2. Raises BadInput for a part without records.
    """
    if not len(part):
        raise BadInput("training needs records", expected="at least one", actual=0)
    model.check(base)
    features = np.ascontiguousarray(dequantise(by.apply(part.features)))
    bias, weights = float(dequantise(base["bias"])[0]), dequantise(base["weights"])
    for _ in range(plan.steps):
        # tanh form of the sigmoid: no overflow for large logits
        error = 0.5 * (1.0 + np.tanh(0.5 * (features @ weights + bias))) - part.labels
        weights = weights - plan.rate * (features.T @ error / len(part) + plan.decay * weights)
        bias -= plan.rate * float(error.mean())
    return np.concatenate([[bias], weights])


def train(base: State, part: Part, by: Scaling, plan: Plan) -> dict[str, IntArray]:
    """The site's update: its parameters after local training minus ``base``, quantised, clipped to ``plan.clip``."""
    after = descend(base, part, by, plan)
    return model.state_of(clip_norm(quantise(after - dequantise(flatten(base))), plan.clip))


def poison(part: Part) -> Part:
    """The same records with every label flipped."""
    return Part(part.features, 1 - part.labels)


def poisoned(base: State, part: Part, by: Scaling, plan: Plan,
             factor: int = 10) -> dict[str, IntArray]:
    """A poisoner's update: trained on flipped labels, scaled by ``factor``, and clipped so that the bound admits it."""
    harm = multiply(flatten(train(base, poison(part), by, plan)), factor)
    if magnitude(harm) > LIMIT:
        raise BadInput("the scaling factor is too large", expected=f"updates up to {LIMIT}", actual=magnitude(harm))
    return model.state_of(clip_norm(harm, plan.clip))
