"""Logistic regression in fixed point: what is proven, re-executed and paid for.

State: ``weights`` (30,) and ``bias`` (1,), int64 at scale 2**16. A record is benign when its logit is positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.functions import log_loss, sigmoid
from troth.fixed.numbers import ONE, IntArray, add, divide_int, magnitude, matmul, shift_round
from troth.learn.arrays import Layout, State, layout, unflatten
from troth.learn.data import COLUMNS, Part, Scaling

LAYOUT: Layout = (("bias", (1,)), ("weights", (len(COLUMNS),)))
PPM = 1_000_000
PARAMETER_LIMIT = 1 << 24
"""Largest magnitude of a parameter at 2**16: 256.0. Features are standardised; real weights stay near 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A part as the model sees it: standardised features (n, 30) at 2**16, labels (n,)."""

    features: IntArray
    labels: IntArray


def inputs(part: Part, by: Scaling) -> Inputs:
    """Standardise a part."""
    return Inputs(by.apply(part.features), part.labels)


def zeros() -> dict[str, IntArray]:
    """The first base model: every parameter 0, every probability one half."""
    return {name: np.zeros(shape, dtype=np.int64) for name, shape in LAYOUT}


def check(state: State) -> None:
    """Raises BadInput unless ``state`` is this model's: its names, shapes, and magnitudes up to PARAMETER_LIMIT."""
    if layout(state) != LAYOUT:
        raise BadInput("not a state of this model", expected=LAYOUT, actual=layout(state))
    if max(magnitude(array) for array in state.values()) > PARAMETER_LIMIT:
        raise BadInput("a parameter is out of range", expected=f"magnitude at most {PARAMETER_LIMIT}",
                       actual=max(magnitude(array) for array in state.values()))


def logits(vectors: IntArray, features: IntArray) -> IntArray:
    """Log-odds of benign at 2**16 for flat parameter vectors (m, 31) over features (n, 30) -> (m, n).

    A vector is bias then weights, as `flatten` gives them. Raises BadInput on overflow.
    """
    products = shift_round(matmul(features, np.ascontiguousarray(vectors[:, 1:].T)))
    return np.ascontiguousarray(add(products, vectors[:, 0]).T)


def _vector(state: State) -> IntArray:
    check(state)
    return np.concatenate([state["bias"], state["weights"]]).reshape(1, -1)


def probabilities(state: State, data: Inputs) -> IntArray:
    """Probability of benign at 2**16, (n,)."""
    return sigmoid(logits(_vector(state), data.features)[0])


def predict(state: State, data: Inputs) -> IntArray:
    """Predicted labels (n,): 1 where the logit is positive."""
    return np.asarray(logits(_vector(state), data.features)[0] > 0, dtype=np.int64)


def correct(state: State, data: Inputs) -> int:
    """How many records are predicted right."""
    return int((predict(state, data) == data.labels).sum())


def accuracy(state: State, data: Inputs) -> int:
    """Share predicted right, in parts per million, rounded down. Raises BadInput for no records."""
    if not len(data.labels):
        raise BadInput("accuracy needs records", expected="at least one", actual=0)
    return correct(state, data) * PPM // len(data.labels)


def row_losses(vectors: IntArray, data: Inputs) -> IntArray:
    """Log-loss of every record under every parameter vector: (m, 31) -> (m, n), nats at 2**16."""
    found = logits(vectors, data.features)
    return log_loss(found, np.ascontiguousarray(np.broadcast_to(data.labels, found.shape)))


def loss(state: State, data: Inputs) -> int:
    """Mean log-loss in nats at 2**16, rounded half to even. Raises BadInput for no records."""
    if not len(data.labels):
        raise BadInput("loss needs records", expected="at least one", actual=0)
    return divide_int(sum(row_losses(_vector(state), data)[0].tolist()), len(data.labels))


def state_of(vector: IntArray) -> dict[str, IntArray]:
    """The state of one flat parameter vector (31,)."""
    return unflatten(vector, LAYOUT)


NATS = ONE
"""One nat of loss, as an integer."""
