"""What a round trains: the port between rounds and model families, and how a plan names one.

A task fixes the names and shapes of the parameters, where training starts, and what a model is worth on records. Its
values are integers, so that aggregators and verifiers find the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray
from troth.learn.arrays import Layout, State
from troth.learn.code import Code
from troth.learn.data import Inputs, Schema
from troth.learn.dense import Dense

PPM = 1_000_000


class Task(Protocol):
    """A family of models with everything open fixed. Vectors are `arrays.flatten` of states."""

    @property
    def layout(self) -> Layout:
        """Names and shapes of the parameters, in canonical order."""
        ...

    @property
    def limit(self) -> int:
        """Largest magnitude of a parameter at 2**16; aggregation clamps to it, by definition."""
        ...

    def json(self) -> dict[str, object]:
        """What a plan says of it."""
        ...

    def start(self, seed: bytes) -> dict[str, IntArray]:
        """The untrained model, from the plan's 32-byte seed."""
        ...

    def check(self, state: State) -> None:
        """Raises BadInput unless ``state`` is of this task: names, shapes, magnitudes."""
        ...

    def row_losses(self, vectors: IntArray, data: Inputs) -> IntArray:
        """(m, D) parameter vectors on n records -> (m, n) losses at 2**16; at least 0, lower is better."""
        ...

    def loss(self, state: State, data: Inputs) -> int:
        """Mean loss at 2**16, rounded half to even. Raises BadInput for no records."""
        ...

    def score(self, state: State, data: Inputs) -> int:
        """How good a model is, in parts per million, higher is better: the share predicted right, or for numbers the
        coefficient of determination. Raises BadInput for no records."""
        ...


def task_of(said: Mapping[str, Any], schema: Schema) -> Task:
    """The task that a plan names, on records of ``schema``. Raises BadInput for another family or unread words."""
    family = said.get("family")
    if family == Code.FAMILY:
        return Code.of(said, schema)
    if family != Dense.FAMILY:
        raise BadInput("an unknown family of models", expected=f"{Dense.FAMILY} or {Code.FAMILY}", actual=family)
    return Dense.of(said, schema)
