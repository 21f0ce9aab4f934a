"""Models that act and models that are asked, on handwritten digits, and inputs made to fool the first.

The actor is a small neural network. The verifiers are of other families (neighbours, trees, Gaussians) and know it not.
All are trained on the same thousand digits; everything is measured on the others. Pixels lie between 0 and 1.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]
TRAINED = 1_000
SURE = 0.8
STEPS = 20


@dataclass(frozen=True)
class Zoo:
    """The actor, those who are asked, and digits that none of them was trained on."""

    actor: MLPClassifier
    verifiers: tuple[Any, ...]
    digits: Floats
    labels: npt.NDArray[np.int64]

    def acts(self, inputs: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
        """What the actor takes each input for, and how sure it is."""
        found = self.actor.predict_proba(inputs)
        return found.argmax(1), found.max(1)

    def heard(self, inputs: Floats, chosen: npt.NDArray[np.int64]) -> Floats:
        """How sure each verifier is of what the actor chose: a row a verifier."""
        at = np.arange(len(chosen))
        return np.stack([one.predict_proba(inputs)[at, chosen] for one in self.verifiers])

    def pass_(self, inputs: Floats, agree: int) -> tuple[float, float]:
        """The share of inputs on which a wrong act passes that the actor is sure of, and that of right ones."""
        chosen, sure = self.acts(inputs)
        good = (sure >= SURE) & ((self.heard(inputs, chosen) >= SURE).sum(0) >= agree)
        wrong = chosen != self.labels
        return float((good & wrong).mean()), float((good & ~wrong).mean())


# More threads than cores that are free wait for each other, and burn what they wait for.
threadpool_limits(1)


@cache
def zoo() -> Zoo:
    """Trained once."""
    digits, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(7).permutation(len(digits))
    train, rest = order[:TRAINED], order[TRAINED:]
    digits = digits / 16.0
    models: list[Any] = [MLPClassifier((64,), max_iter=200, random_state=0),
                         KNeighborsClassifier(7, weights="distance"), ExtraTreesClassifier(100, random_state=0),
                         QuadraticDiscriminantAnalysis(reg_param=0.3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for one in models:
            one.fit(digits[train], labels[train])
    return Zoo(models[0], tuple(models[1:]), digits[rest], labels[rest])


def gradient(actor: MLPClassifier, inputs: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Of the network's loss, by each pixel."""
    layers = [inputs]
    for weights, bias in zip(actor.coefs_, actor.intercepts_, strict=True):
        layers.append(np.maximum(layers[-1] @ weights + bias, 0))
    scores = layers[-2] @ actor.coefs_[-1] + actor.intercepts_[-1]
    back = np.exp(scores - scores.max(1, keepdims=True))
    back /= back.sum(1, keepdims=True)
    back[np.arange(len(labels)), labels] -= 1
    for at in range(len(actor.coefs_) - 1, -1, -1):
        back = back @ actor.coefs_[at].T
        if at:
            back = back * (layers[at] > 0)
    return back


def fooled(found: Zoo, epsilon: float) -> Floats:
    """Projected gradient descent (Madry and others, 2018) that knows all of the actor and none of the others.

    No pixel moves by more than epsilon.
    """
    rng, start = np.random.default_rng(1), found.digits
    inputs = np.clip(start + rng.uniform(-epsilon, epsilon, start.shape), 0, 1)
    for _ in range(STEPS):
        step = epsilon / 5 * np.sign(gradient(found.actor, inputs, found.labels))
        inputs = np.clip(np.clip(inputs + step, start - epsilon, start + epsilon), 0, 1)
    return inputs
