"""Dense networks in fixed point: what is re-executed and paid for.

No hidden layers: logistic regression (two classes), softmax regression (more), linear regression (a number). Hidden
layers are affine maps followed by max(0, x). Parameters, activations and outputs are integers at 2**16.

State: ``hidden1.bias`` (h1,), ``hidden1.weights`` (inputs, h1), … and the head's ``bias`` (outputs,) and ``weights``
(last, outputs), or (last,) where there is one output. Two classes have one output, the log-odds of class 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from troth.core.encoding import take
from troth.core.errors import BadInput
from troth.fixed.exact import affine, doubles
from troth.fixed.functions import log_loss, sigmoid, softplus
from troth.fixed.numbers import (
    ONE,
    FloatArray,
    IntArray,
    Numbers,
    Vector,
    add,
    divide_int,
    magnitude,
    matmul,
    shift_round,
    subtract,
)
from troth.learn.arrays import Layout, State, flatten, form, unflatten
from troth.learn.data import Inputs, Schema
from troth.learn.draws import uniform

PARAMETER_LIMIT = 1 << 24
"""Largest magnitude of a parameter at 2**16: 256.0. Features are standardised; real weights stay near 1."""
ACTIVATION_LIMIT = 1 << 24
"""Activations of hidden layers are clamped to 256.0, by definition: no layer can overflow."""
MAX_WIDTH = 1 << 14
MAX_HIDDEN = 8
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Dense:
    """One architecture. inputs: features. classes: of the label, 0 for a number. hidden: widths, first to last.

    Raises BadInput beyond MAX_HIDDEN layers of MAX_WIDTH.
    """

    inputs: int
    classes: int
    hidden: tuple[int, ...] = ()
    limit: int = PARAMETER_LIMIT

    FAMILY: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        if len(self.hidden) > MAX_HIDDEN or not all(1 <= width <= MAX_WIDTH for width in (self.inputs, *self.hidden)):
            raise BadInput("a dense network is out of range", actual=self.hidden,
                           expected=f"at most {MAX_HIDDEN} hidden layers, 1 to {MAX_WIDTH} wide")

    @classmethod
    def of(cls, said: Mapping[str, Any], schema: Schema) -> Self:
        """The network that a plan names. Raises BadInput."""
        _, hidden = take(dict(said), family=str, hidden=list)
        if any(type(width) is not int for width in hidden):
            raise BadInput("hidden layers are widths", expected="integers", actual=hidden)
        return cls(len(schema.columns), len(schema.classes), tuple(hidden))

    def json(self) -> dict[str, object]:
        """What a plan says: the rest follows from the records' schema."""
        return {"family": self.FAMILY, "hidden": list(self.hidden)}

    @property
    def outputs(self) -> int:
        """Numbers that the head gives."""
        return self.classes if self.classes > 2 else 1

    def layers(self) -> Iterator[tuple[str, int, int]]:
        """(prefix of the names, inputs, outputs) of every layer, first to last."""
        widths = (self.inputs, *self.hidden)
        for index, width in enumerate(self.hidden):
            yield f"hidden{index + 1}.", widths[index], width
        yield "", widths[-1], self.outputs

    @property
    def layout(self) -> Layout:
        """Names and shapes, in canonical order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for prefix, before, after in self.layers():
            shapes[f"{prefix}bias"] = (after,)
            shapes[f"{prefix}weights"] = (before,) if not prefix and after == 1 else (before, after)
        return tuple(sorted(shapes.items()))

    def state_of(self, vector: Vector) -> dict[str, Vector]:
        """The state of one flat parameter vector."""
        return unflatten(vector, self.layout)

    def zeros(self) -> dict[str, IntArray]:
        """Every parameter 0."""
        return {name: np.zeros(shape, dtype=np.int64) for name, shape in self.layout}

    def start(self, seed: bytes) -> dict[str, IntArray]:
        """The untrained model: hidden weights uniform within sqrt(6 / (inputs + outputs)) (Glorot, Bengio, 2010) by
        draws that anyone can repeat; the head 0, so that every class starts equally likely."""
        state = self.zeros()
        for prefix, before, after in self.layers():
            if prefix:
                bound = math.isqrt(6 * ONE * ONE // (before + after))
                state[f"{prefix}weights"] = uniform(seed, f"{prefix}weights", before * after, bound).reshape(
                    before, after)
        return state

    def check(self, state: State) -> None:
        """Raises BadInput unless ``state`` is of this network: names, shapes, and magnitudes up to PARAMETER_LIMIT."""
        if form(state) != self.layout:
            raise BadInput("not a state of this model", expected=self.layout, actual=form(state))
        worst = max(magnitude(array) for array in state.values())
        if worst > self.limit:
            raise BadInput("a parameter is out of range", expected=f"magnitude at most {self.limit}", actual=worst)

    def outputs_of(self, vectors: IntArray, features: IntArray) -> IntArray:
        """(m, D) parameter vectors over (n, inputs) features -> (m, n, outputs) at 2**16: logits, or the number."""
        if not self.hidden:  # all vectors in one product
            heads = vectors[:, self.outputs:].reshape(len(vectors), self.inputs, self.outputs)
            flat = np.ascontiguousarray(heads.transpose(1, 0, 2)).reshape(self.inputs, -1)
            products = shift_round(matmul(features, flat)).reshape(len(features), len(vectors), self.outputs)
            return np.ascontiguousarray(add(products, vectors[:, :self.outputs]).transpose(1, 0, 2))
        given = doubles(features)
        return np.stack([self.forward(self.state_of(vector), given)[-1] for vector in vectors]).astype(np.int64)

    def forward(self, state: Mapping[str, Numbers], features: FloatArray) -> list[FloatArray]:
        """What each layer puts out on ``features`` (n, inputs), first to last; the last is the outputs (n, outputs).

        In doubles that hold integers at 2**16 (`fixed.exact`), and so are the features; parameters are integers or
        such doubles.
        """
        found = [features]
        for prefix, before, after in self.layers():
            here = affine(found[-1], doubles(state[f"{prefix}weights"]).reshape(before, after),
                          doubles(state[f"{prefix}bias"]))
            found.append(np.clip(here, 0, ACTIVATION_LIMIT, out=here) if prefix else here)
        return found[1:]

    def row_losses(self, vectors: IntArray, data: Inputs) -> IntArray:
        """(m, D) on n records -> (m, n) at 2**16: log-loss in nats, or for numbers the Huber loss of one deviation."""
        return self.losses_of(self.outputs_of(vectors, data.features), data)

    def losses_of(self, found: IntArray, data: Inputs) -> IntArray:
        """The losses (m, n) of what `outputs_of` gives, (m, n, outputs)."""
        if self.outputs > 1:
            own = np.take_along_axis(found, np.broadcast_to(data.labels[:, None], (*found.shape[:2], 1)), 2)[..., 0]
            return subtract(_log_sum_exp(found), own)
        single = np.ascontiguousarray(found[..., 0])
        if self.classes:
            return log_loss(single, np.ascontiguousarray(np.broadcast_to(data.labels, single.shape)))
        return _huber(subtract(single, data.labels))

    def predict(self, state: State, data: Inputs) -> IntArray:
        """(n,): the class with the largest logit, the lowest of equal ones; or the number, standardised at 2**16."""
        found = self._outputs(state, data)
        if self.outputs > 1:
            return np.asarray(found.argmax(axis=1), dtype=np.int64)
        return (found[:, 0] > 0).astype(np.int64) if self.classes else np.ascontiguousarray(found[:, 0])

    def probabilities(self, state: State, data: Inputs) -> IntArray:
        """(n,) probability of class 1 at 2**16. Raises BadInput unless there are two classes."""
        if self.classes != 2:
            raise BadInput("one probability is for two classes", actual=self.classes)
        return sigmoid(np.ascontiguousarray(self._outputs(state, data)[:, 0]))

    def _outputs(self, state: State, data: Inputs) -> IntArray:
        self.check(state)
        found: IntArray = self.outputs_of(flatten(state).reshape(1, -1), data.features)[0]
        return found

    def correct(self, state: State, data: Inputs) -> int:
        """How many records are predicted right. Raises BadInput where the label is a number."""
        if not self.classes:
            raise BadInput("numbers are not right or wrong", do="Use score.")
        return int((self.predict(state, data) == data.labels).sum())

    def score(self, state: State, data: Inputs) -> int:
        """Share predicted right, or for numbers 1 - squared error / squared deviation (may be below 0), in parts per
        million, rounded down. Raises BadInput for no records."""
        if not len(data.labels):
            raise BadInput("a score needs records", expected="at least one", actual=0)
        if self.classes:
            return self.correct(state, data) * PPM // len(data.labels)
        labels = data.labels.tolist()
        error = sum((a - b) ** 2 for a, b in zip(self.predict(state, data).tolist(), labels, strict=True))
        count = len(labels)
        spread = count * sum(v * v for v in labels) - sum(labels) ** 2  # count times the squared deviation
        return PPM - error * count * PPM // spread if spread else 0

    def loss(self, state: State, data: Inputs) -> int:
        """Mean loss at 2**16, rounded half to even. Raises BadInput for no records."""
        if not len(data.labels):
            raise BadInput("loss needs records", expected="at least one", actual=0)
        self.check(state)
        return divide_int(sum(self.row_losses(flatten(state).reshape(1, -1), data)[0].tolist()), len(data.labels))


def _log_sum_exp(logits: IntArray) -> IntArray:
    """ln of the sum of exponentials over the last axis, at 2**16: ln(e^a + e^b) = a + softplus(b - a), class by class,
    by definition in the classes' order. Each step is within 3 units of 2**-16."""
    found = np.ascontiguousarray(logits[..., 0])
    for index in range(1, logits.shape[-1]):
        found = add(found, softplus(subtract(np.ascontiguousarray(logits[..., index]), found)))
    return found


def _huber(gaps: IntArray) -> IntArray:
    """gap**2 / 2 up to one deviation, |gap| - 1/2 beyond (Huber, 1964)."""
    size = np.abs(gaps)
    near = np.minimum(size, ONE)
    return np.where(size <= ONE, shift_round(near * near, 17), size - ONE // 2)
