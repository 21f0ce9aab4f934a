"""Models as integer programs: the one canonical form of a model that is proven or re-executed.

A program is a list of steps over vectors of integers. The same program gives the same bits in NumPy (`run`), in
WebAssembly and in a circuit (`troth.compute`), because every step is defined here by integer arithmetic alone, and
because `ranges` proves before anything runs that no value on the way passes its declared bounds.

Steps are numbered from 0; step 0 is the input. Each later step reads earlier ones only. What a step means, element by
element (``x`` is the source's vector, all divisions exact as written):

========== ============================================================================================================
Affine     ``weights @ x + bias``
Conv       the two-dimensional cross-correlation of ``x`` read as (channels, height, width) with zero padding, + bias
Rescale    ``floor((x + 2**(bits-1)) / 2**bits)``: divided by ``2**bits``, rounded half up
Clamp      ``min(max(x, low), high)``; ReLU is ``Clamp(0, high)`` with a bound no value reaches
Maximum    the largest of each group of elements
Gather     the elements named, in that order
Sum        two vectors added
Forest     each output's bias plus the leaves that ``x`` falls into; left at a node where ``x[feature] <= threshold``
========== ============================================================================================================

The last step gives the scores. ``head`` says how a person reads them: ``number`` (one score), ``sign`` (one score:
class 1 where it is above 0, else class 0) or ``largest`` (the class with the largest score, the lowest of equal ones).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from troth.core.encoding import MAX_INT, decode_object, encode, sha256, take
from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, as_ints
from troth.fixed.program_bytes import ints_of, read_step, said_of
from troth.fixed.ranges import ranges_of
from troth.fixed.steps import (
    HEADS,
    LIMIT,
    MAX_STEPS,
    MAX_WEIGHTS,
    MAX_WIDTH,
    WEIGHT_LIMIT,
    Affine,
    Clamp,
    Conv,
    Forest,
    Gather,
    Interval,
    Maximum,
    Rescale,
    Step,
    Sum,
    Tree,
    apply,
    fall,
    learned,
    windows,
)

__all__ = ["HEADS", "LIMIT", "MAX_STEPS", "MAX_WEIGHTS", "MAX_WIDTH", "WEIGHT_LIMIT", "Affine", "Clamp", "Conv",
           "Forest", "Gather", "Interval", "Maximum", "Program", "Rescale", "Step", "Sum", "Tree", "fall", "windows"]


@dataclass(frozen=True, eq=False)
class Program:
    """A model. low, high: (features,) the range of each input; an input beyond it is refused, never clamped.

    scale: the input's and the scores' binary places, for people and converters only: the arithmetic knows integers.
    classes: names of the classes, in the order of the labels; none for ``number``.

    Raises BadInput for steps that do not fit each other, weights beyond 2**31, or a value on the way that could pass
    2**62.
    """

    low: IntArray
    high: IntArray
    steps: tuple[Step, ...]
    head: str
    input_scale: int = 0
    output_scale: int = 0
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    _ranges: list[Interval] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_shape(self)
        self._ranges.extend(ranges_of(self.low, self.high, self.steps))
        width = len(self._ranges[-1][0])
        wanted = {"number": width == 1, "sign": width == 1, "largest": width >= 2}
        if not wanted.get(self.head, False):
            raise BadInput("the scores do not fit the head", expected=", ".join(HEADS), actual=f"{self.head}, {width}")
        labels = {"number": 0, "sign": 2, "largest": width}[self.head]
        if self.classes and len(self.classes) != labels:
            raise BadInput("the classes do not fit the scores", expected=labels, actual=len(self.classes))

    @property
    def ranges(self) -> Sequence[Interval]:
        """The proven range of every vector, step by step, the input first."""
        return self._ranges

    @property
    def outputs(self) -> int:
        """How many scores there are."""
        return len(self._ranges[-1][0])

    @property
    def weights(self) -> int:
        """How many integers were learned."""
        return sum(array.size for step in self.steps for array in learned(step))

    def run(self, inputs: IntArray) -> IntArray:
        """(n, features) -> (n, outputs) scores. Raises BadInput for another shape or an input beyond its range."""
        self.admit(inputs)
        vectors = [inputs]
        for step in self.steps:
            vectors.append(apply(step, vectors))
        return vectors[-1]

    def admit(self, inputs: IntArray) -> None:
        """Refuse (n, features) that ``run`` would, without running. Raises BadInput."""
        if as_ints(inputs, "inputs").ndim != 2 or inputs.shape[1] != len(self.low):
            raise BadInput("inputs of another shape", expected=f"(n, {len(self.low)})", actual=inputs.shape)
        beyond = (inputs < self.low) | (inputs > self.high)
        if beyond.any():
            row, place = (int(v) for v in np.argwhere(beyond)[0])
            low, high, found = (int(value) for value in (self.low[place], self.high[place], inputs[row, place]))
            raise BadInput("an input beyond the model's range", actual=f"{found}{self._units(found)} in row {row}",
                           expected=f"{low} to {high}{self._units(low, high)} for {self.name(place)}",
                           do="The range is part of the model: values are refused, never clamped.")

    def labels(self, scores: IntArray) -> IntArray:
        """(n, outputs) scores -> (n,) labels by the head; for ``number`` the scores themselves."""
        if self.head == "largest":
            return np.asarray(scores.argmax(axis=1), dtype=np.int64)
        return np.asarray((scores[:, 0] > 0).astype(np.int64) if self.head == "sign" else scores[:, 0])

    def _units(self, *values: int) -> str:
        """What scaled integers are in the feature's own units."""
        if not self.input_scale:
            return ""
        return f" ({' to '.join(f'{math.ldexp(value, -self.input_scale):.6g}' for value in values)} unscaled)"

    def name(self, place: int) -> str:
        """A feature's name, or its number."""
        return self.features[place] if self.features else f"feature {place}"

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal programs have equal bytes."""
        return encode({"classes": list(self.classes), "features": list(self.features), "head": self.head,
                       "high": self.high.tolist(), "input_scale": self.input_scale, "low": self.low.tolist(),
                       "output_scale": self.output_scale, "steps": [said_of(step) for step in self.steps]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read strictly. Raises BadInput."""
        classes, features, head, high, input_scale, low, output_scale, steps = take(
            decode_object(data), classes=list, features=list, head=str, high=list, input_scale=int, low=list,
            output_scale=int, steps=list)
        return cls(ints_of(low, 1), ints_of(high, 1), tuple(read_step(step) for step in steps), head, input_scale,
                   output_scale, tuple(features), tuple(classes))

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that name this model."""
        return sha256(b"troth/program/1\n" + self.to_bytes())


def _check_shape(program: Program) -> None:
    low, high = as_ints(program.low, "the inputs' lowest values"), as_ints(program.high, "the inputs' highest values")
    if low.ndim != 1 or low.shape != high.shape or not 1 <= len(low) <= MAX_WIDTH or (low > high).any():
        raise BadInput("the inputs' range is none", expected="lowest and highest of each feature, in order",
                       actual=f"{low.shape}, {high.shape}")
    if not 1 <= len(program.steps) <= MAX_STEPS or program.weights > MAX_WEIGHTS:
        raise BadInput("a program is out of range", actual=f"{len(program.steps)} steps, {program.weights} weights",
                       expected=f"1 to {MAX_STEPS} steps, at most {MAX_WEIGHTS} weights")
    if max(int(np.abs(low).max()), int(np.abs(high).max())) > MAX_INT:
        raise BadInput("an input's range is too wide", expected=f"magnitudes up to {MAX_INT}")
    if program.features and len(program.features) != len(low):
        raise BadInput("names do not fit the inputs", expected=len(low), actual=len(program.features))
    if any(type(text) is not str for text in (*program.features, *program.classes)):
        raise BadInput("names are texts", expected="str", actual="something else")
    if not all(0 <= places <= 61 for places in (program.input_scale, program.output_scale)):
        raise BadInput("binary places are out of range", expected="0 to 61",
                       actual=f"{program.input_scale}, {program.output_scale}")
