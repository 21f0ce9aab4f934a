"""The steps of integer programs, and what each does to vectors. `troth.fixed.program` says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from troth.fixed.numbers import FloatArray, IntArray, matmul

LIMIT = 1 << 62
"""No value on the way is ever of a magnitude above this, by `ranges`: sums of two still fit a signed word."""
WEIGHT_LIMIT = 1 << 31
MAX_STEPS = 256
MAX_WIDTH = 1 << 20
MAX_WEIGHTS = 1 << 26
HEADS = ("number", "sign", "largest")

Interval = tuple[IntArray, IntArray]
"""(lowest, highest) of each element of a vector, both reachable or beyond what is."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """weights: (outputs, inputs). bias: (outputs,)."""

    source: int
    weights: IntArray
    bias: IntArray

    KIND: ClassVar[str] = "affine"


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """weights: (out channels, channels, kernel height, kernel width). bias: (out channels,).

    shape: (channels, height, width) of the source. stride: both ways. pad: zeros on each side, (top, left, bottom,
    right).
    """

    source: int
    weights: IntArray
    bias: IntArray
    shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    KIND: ClassVar[str] = "conv"

    @property
    def places(self) -> tuple[int, int]:
        """(height, width) of what comes out."""
        (_, height, width), (top, left, bottom, right) = self.shape, self.pad
        kernel = self.weights.shape[2:]
        return ((height + top + bottom - kernel[0]) // self.stride[0] + 1,
                (width + left + right - kernel[1]) // self.stride[1] + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Rescale:
    """bits: 1 to 61."""

    source: int
    bits: int

    KIND: ClassVar[str] = "rescale"


@dataclass(frozen=True, slots=True, eq=False)
class Clamp:
    """low <= high."""

    source: int
    low: int
    high: int

    KIND: ClassVar[str] = "clamp"


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """groups: (outputs, k) places in the source."""

    source: int
    groups: IntArray

    KIND: ClassVar[str] = "maximum"


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """places: (outputs,) places in the source."""

    source: int
    places: IntArray

    KIND: ClassVar[str] = "gather"


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """Two sources of one width."""

    source: int
    other: int

    KIND: ClassVar[str] = "sum"


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One binary tree of a forest. Nodes are numbered parents first, 0 is the root.

    feature: (nodes,) place in the source, -1 at a leaf. threshold: (nodes,), 0 at a leaf. left, right: (nodes,) the
    children, 0 at a leaf. leaf: (nodes, outputs) what a leaf adds to the scores; zeros elsewhere.
    """

    feature: IntArray
    threshold: IntArray
    left: IntArray
    right: IntArray
    leaf: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """bias: (outputs,)."""

    source: int
    trees: tuple[Tree, ...]
    bias: IntArray

    KIND: ClassVar[str] = "forest"


Step = Affine | Conv | Rescale | Clamp | Maximum | Gather | Sum | Forest


def learned(step: Step) -> tuple[IntArray, ...]:
    if isinstance(step, Affine | Conv):
        return step.weights, step.bias
    if isinstance(step, Forest):
        return step.bias, *(array for tree in step.trees for array in (tree.threshold, tree.leaf))
    return ()


def apply(step: Step, vectors: Sequence[IntArray]) -> IntArray:
    """One step over (n, width) vectors. No bound is checked here: `ranges` holds for every input in range."""
    x = vectors[step.source]
    if isinstance(step, Affine):
        return matmul(x, np.ascontiguousarray(step.weights.T)) + step.bias
    if isinstance(step, Conv):
        return _convolve(step, x)
    if isinstance(step, Rescale):
        return (x + (1 << step.bits - 1)) >> step.bits
    if isinstance(step, Clamp):
        return np.clip(x, step.low, step.high)
    if isinstance(step, Maximum):
        return np.asarray(x[:, step.groups].max(axis=2), dtype=np.int64)
    if isinstance(step, Gather):
        return x[:, step.places]
    if isinstance(step, Sum):
        return x + vectors[step.other]
    scores = np.tile(step.bias, (len(x), 1))
    for tree in step.trees:
        scores += tree.leaf[fall(tree, x)]
    return scores


class Splits(Protocol):
    """The nodes of a tree, of integers or of reals, as `Tree` numbers them."""

    @property
    def feature(self) -> IntArray: ...

    @property
    def threshold(self) -> IntArray | FloatArray: ...

    @property
    def left(self) -> IntArray: ...

    @property
    def right(self) -> IntArray: ...


def fall(tree: Splits, x: IntArray | FloatArray) -> IntArray:
    """(n,) the leaf that each row of (n, width) falls into."""
    at, rows = np.zeros(len(x), dtype=np.int64), np.arange(len(x))
    while (inner := tree.feature[at] >= 0).any():
        left = x[rows, np.maximum(tree.feature[at], 0)] <= tree.threshold[at]
        at = np.where(inner, np.where(left, tree.left[at], tree.right[at]), at)
    return at


def windows(step: Conv) -> IntArray:
    """(places, channels * kernel height * kernel width): which element of the source each weight of a window meets;
    -1 where it meets padding. Places row by row, weights channel by channel, then row by row."""
    (channels, height, width), (top, left, _, _) = step.shape, step.pad
    rows, columns = step.places
    kernel = step.weights.shape[2:]
    y = np.arange(rows)[:, None, None, None, None] * step.stride[0] - top + np.arange(kernel[0])[:, None]
    x = np.arange(columns)[None, :, None, None, None] * step.stride[1] - left + np.arange(kernel[1])
    c = np.arange(channels)[None, None, :, None, None]
    found = np.where((y >= 0) & (y < height) & (x >= 0) & (x < width), (c * height + y) * width + x, -1)
    return np.asarray(np.broadcast_to(found, (rows, columns, channels, *kernel)).reshape(rows * columns, -1),
                      dtype=np.int64)


def _convolve(step: Conv, x: IntArray) -> IntArray:
    padded = np.concatenate([x, np.zeros((len(x), 1), dtype=np.int64)], axis=1)  # place -1 is a zero
    seen = padded[:, windows(step)]
    kernel = np.ascontiguousarray(step.weights.reshape(len(step.weights), -1).T)
    found = matmul(np.ascontiguousarray(seen.reshape(-1, seen.shape[2])), kernel) + step.bias
    return np.ascontiguousarray(found.reshape(len(x), -1, len(step.bias)).transpose(0, 2, 1)).reshape(len(x), -1)
