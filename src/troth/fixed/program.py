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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from troth.core.encoding import MAX_INT, decode_object, encode, sha256, take
from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, as_ints, matmul

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
        self._ranges.extend(_ranges(self))
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
        return sum(array.size for step in self.steps for array in _learned(step))

    def run(self, inputs: IntArray) -> IntArray:
        """(n, features) -> (n, outputs) scores. Raises BadInput for another shape or an input beyond its range."""
        if as_ints(inputs, "inputs").ndim != 2 or inputs.shape[1] != len(self.low):
            raise BadInput("inputs of another shape", expected=f"(n, {len(self.low)})", actual=inputs.shape)
        beyond = (inputs < self.low) | (inputs > self.high)
        if beyond.any():
            row, place = (int(v) for v in np.argwhere(beyond)[0])
            raise BadInput("an input beyond the model's range", actual=f"{inputs[row, place]} in row {row}",
                           expected=f"{self.low[place]} to {self.high[place]} for {self.name(place)}",
                           do="The range is part of the model: values are refused, never clamped.")
        vectors = [inputs]
        for step in self.steps:
            vectors.append(_apply(step, vectors))
        return vectors[-1]

    def labels(self, scores: IntArray) -> IntArray:
        """(n, outputs) scores -> (n,) labels by the head; for ``number`` the scores themselves."""
        if self.head == "largest":
            return np.asarray(scores.argmax(axis=1), dtype=np.int64)
        return np.asarray((scores[:, 0] > 0).astype(np.int64) if self.head == "sign" else scores[:, 0])

    def name(self, place: int) -> str:
        """A feature's name, or its number."""
        return self.features[place] if self.features else f"feature {place}"

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal programs have equal bytes."""
        return encode({"classes": list(self.classes), "features": list(self.features), "head": self.head,
                       "high": self.high.tolist(), "input_scale": self.input_scale, "low": self.low.tolist(),
                       "output_scale": self.output_scale, "steps": [_said(step) for step in self.steps]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read strictly. Raises BadInput."""
        classes, features, head, high, input_scale, low, output_scale, steps = take(
            decode_object(data), classes=list, features=list, head=str, high=list, input_scale=int, low=list,
            output_scale=int, steps=list)
        if any(type(text) is not str for text in (*classes, *features)):
            raise BadInput("names are texts", expected="texts", actual="something else")
        return cls(_ints(low, 1), _ints(high, 1), tuple(_read(step) for step in steps), head, input_scale,
                   output_scale, tuple(features), tuple(classes))

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that name this model."""
        return sha256(b"troth/program/1\n" + self.to_bytes())


def _learned(step: Step) -> tuple[IntArray, ...]:
    if isinstance(step, Affine | Conv):
        return step.weights, step.bias
    if isinstance(step, Forest):
        return step.bias, *(array for tree in step.trees for array in (tree.threshold, tree.leaf))
    return ()


def _apply(step: Step, vectors: Sequence[IntArray]) -> IntArray:
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


def fall(tree: Tree, x: IntArray) -> IntArray:
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


# ---- what fits, and how large values can be ----

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
    if not all(0 <= places <= 61 for places in (program.input_scale, program.output_scale)):
        raise BadInput("binary places are out of range", expected="0 to 61",
                       actual=f"{program.input_scale}, {program.output_scale}")


def _ranges(program: Program) -> list[Interval]:
    """Interval arithmetic in unbounded integers. Raises BadInput where a value could pass LIMIT."""
    found = [(program.low, program.high)]
    for number, step in enumerate(program.steps, 1):
        sources = (step.source, step.other) if isinstance(step, Sum) else (step.source,)
        if any(not 0 <= source < number for source in sources):
            raise BadInput(f"step {number} reads a step that is not before it", actual=sources)
        low, high, worst = _bounds(step, number, found)
        worst = max([worst, *(abs(v) for v in (*low, *high))])
        if worst > LIMIT:
            raise BadInput(f"step {number} ({step.KIND}) could overflow", expected=f"magnitudes up to {LIMIT}",
                           actual=worst, do="Quantise with fewer bits, or clamp before it.")
        found.append((np.array(low, dtype=np.int64), np.array(high, dtype=np.int64)))
    return found


def _bounds(step: Step, number: int, found: Sequence[Interval]) -> tuple[list[int], list[int], int]:
    """(lowest, highest, largest magnitude on the way) of one step, in Python's integers."""
    low, high = found[step.source]

    if isinstance(step, Affine | Conv | Forest) and step.bias.size and int(np.abs(step.bias).max()) > MAX_INT:
        raise BadInput(f"a bias of step {number} is out of range", expected=f"magnitudes up to {MAX_INT}")

    def need(right: bool, what: str) -> None:
        if not right:
            raise BadInput(f"step {number} ({step.KIND}) does not fit", expected=what, actual=f"{len(low)} values in")

    if isinstance(step, Affine):
        need(step.weights.ndim == 2 and step.weights.shape[1] == len(low)
             and step.bias.shape == (len(step.weights),), "weights (outputs, inputs), bias (outputs,)")
        _small(number, step.weights)
        return _affine(step.weights, step.bias, low, high)
    if isinstance(step, Conv):
        need(step.weights.ndim == 4 and step.weights.shape[1] == step.shape[0] and min(step.shape) >= 1
             and step.bias.shape == (len(step.weights),) and step.shape[0] * step.shape[1] * step.shape[2] == len(low)
             and min(step.stride) >= 1 and min(step.pad) >= 0 and min(step.places) >= 1
             and len(step.weights) * step.places[0] * step.places[1] <= MAX_WIDTH,
             "weights (out, channels, height, width) over an image of the source's size")
        _small(number, step.weights)
        seen, kernel = windows(step), step.weights.reshape(len(step.weights), -1)
        parts = [_affine(kernel, step.bias, np.where(at < 0, 0, low[at]), np.where(at < 0, 0, high[at]))
                 for at in seen]
        return ([part[0][out] for out in range(len(kernel)) for part in parts],
                [part[1][out] for out in range(len(kernel)) for part in parts], max(part[2] for part in parts))
    if isinstance(step, Rescale):
        need(1 <= step.bits <= 61, "1 to 61 bits")
        half = 1 << step.bits - 1
        return ([(v + half) >> step.bits for v in low.tolist()], [(v + half) >> step.bits for v in high.tolist()],
                max(abs(v) for v in (*low.tolist(), *high.tolist())) + half)
    if isinstance(step, Clamp):
        need(step.low <= step.high and max(abs(step.low), abs(step.high)) <= LIMIT, "low at most high")
        return (np.clip(low, step.low, step.high).tolist(), np.clip(high, step.low, step.high).tolist(), 0)
    if isinstance(step, Maximum):
        need(step.groups.ndim == 2 and step.groups.size > 0 and _inside(step.groups, len(low)), "places in the source")
        return low[step.groups].max(axis=1).tolist(), high[step.groups].max(axis=1).tolist(), 0
    if isinstance(step, Gather):
        need(step.places.ndim == 1 and step.places.size > 0 and _inside(step.places, len(low)), "places in the source")
        return low[step.places].tolist(), high[step.places].tolist(), 0
    if isinstance(step, Sum):
        other_low, other_high = found[step.other]
        need(other_low.shape == low.shape, "two sources of one width")
        return ([a + b for a, b in zip(low.tolist(), other_low.tolist(), strict=True)],
                [a + b for a, b in zip(high.tolist(), other_high.tolist(), strict=True)], 0)
    return _forest(step, number, len(low))


def _affine(weights: IntArray, bias: IntArray, low: IntArray, high: IntArray) -> tuple[list[int], list[int], int]:
    """Bounds of ``weights @ x + bias``, and of every partial sum in any order."""
    w, lowest, highest = weights.astype(object), low.astype(object), high.astype(object)
    up, down = np.maximum(w, 0), np.minimum(w, 0)
    size = np.maximum(np.abs(lowest), np.abs(highest))
    worst = int((np.abs(w) @ size + np.abs(bias.astype(object))).max(initial=0))
    # `run` multiplies by NumPy's rule, whose bound is coarser: terms times the largest of each.
    coarse = weights.shape[1] * max((abs(v) for v in w.reshape(-1)), default=0) * max(size, default=0)
    return ((up @ lowest + down @ highest + bias.astype(object)).tolist(),
            (up @ highest + down @ lowest + bias.astype(object)).tolist(), max(worst, int(coarse)))


def _forest(step: Forest, number: int, width: int) -> tuple[list[int], list[int], int]:
    low = high = step.bias.astype(object)
    worst = int(np.abs(low).max(initial=0))
    for tree in step.trees:
        _check_tree(tree, number, width, len(step.bias))
        leaves = tree.leaf[tree.feature < 0].astype(object)
        low, high = low + leaves.min(axis=0), high + leaves.max(axis=0)
        worst += int(np.abs(leaves).max())
    return low.tolist(), high.tolist(), worst


def _check_tree(tree: Tree, number: int, width: int, outputs: int) -> None:
    nodes = len(tree.feature)
    inner = tree.feature >= 0
    places = np.arange(nodes)
    children = np.sort(np.concatenate([tree.left[inner], tree.right[inner]]))
    right = (nodes >= 1 and all(array.shape == (nodes,) for array in (tree.threshold, tree.left, tree.right))
             and tree.leaf.shape == (nodes, outputs) and bool((tree.feature < width).all())
             and bool((tree.feature >= -1).all())
             and bool(((tree.left > places) & (tree.right > places))[inner].all())
             and np.array_equal(children, places[1:])  # every node but the root is one node's child: a tree
             and not tree.leaf[inner].any()
             and not any(array[~inner].any() for array in (tree.threshold, tree.left, tree.right)))
    if not right:
        raise BadInput(f"step {number} holds a tree that is none", actual=f"{nodes} nodes",
                       expected="nodes numbered parents first, each but the root the child of one")
    _small(number, tree.threshold, tree.leaf)


def _small(number: int, *arrays: IntArray) -> None:
    for array in arrays:
        worst = int(np.abs(as_ints(array)).max(initial=0))
        if worst > WEIGHT_LIMIT:
            raise BadInput(f"a weight of step {number} is out of range", expected=f"magnitudes up to {WEIGHT_LIMIT}",
                           actual=worst)


def _inside(places: IntArray, width: int) -> bool:
    return bool(((places >= 0) & (places < width)).all())


# ---- bytes ----

def _said(step: Step) -> dict[str, object]:
    said: dict[str, object] = {"kind": step.KIND, "source": step.source}
    if isinstance(step, Affine):
        return said | {"bias": step.bias.tolist(), "weights": step.weights.tolist()}
    if isinstance(step, Conv):
        return said | {"bias": step.bias.tolist(), "pad": list(step.pad), "shape": list(step.shape),
                       "stride": list(step.stride), "weights": step.weights.tolist()}
    if isinstance(step, Rescale):
        return said | {"bits": step.bits}
    if isinstance(step, Clamp):
        return said | {"high": str(step.high), "low": str(step.low)}
    if isinstance(step, Maximum):
        return said | {"groups": step.groups.tolist()}
    if isinstance(step, Gather):
        return said | {"places": step.places.tolist()}
    if isinstance(step, Sum):
        return said | {"other": step.other}
    return said | {"bias": step.bias.tolist(), "trees": [
        {"feature": tree.feature.tolist(), "leaf": tree.leaf.tolist(), "left": tree.left.tolist(),
         "right": tree.right.tolist(), "threshold": tree.threshold.tolist()} for tree in step.trees]}


def _read(said: Any) -> Step:
    kind = said.get("kind") if isinstance(said, Mapping) else None
    if kind == Affine.KIND:
        bias, _, source, weights = take(said, bias=list, kind=str, source=int, weights=list)
        return Affine(source, _ints(weights, 2), _ints(bias, 1))
    if kind == Conv.KIND:
        bias, _, pad, shape, source, stride, weights = take(
            said, bias=list, kind=str, pad=list, shape=list, source=int, stride=list, weights=list)
        top, left, bottom, right = _few(pad, 4)
        channels, height, width = _few(shape, 3)
        down, across = _few(stride, 2)
        return Conv(source, _ints(weights, 4), _ints(bias, 1), (channels, height, width), (down, across),
                    (top, left, bottom, right))
    if kind == Rescale.KIND:
        bits, _, source = take(said, bits=int, kind=str, source=int)
        return Rescale(source, bits)
    if kind == Clamp.KIND:
        high, _, low, source = take(said, high=str, kind=str, low=str, source=int)
        return Clamp(source, _signed(low), _signed(high))
    if kind == Maximum.KIND:
        groups, _, source = take(said, groups=list, kind=str, source=int)
        return Maximum(source, _ints(groups, 2))
    if kind == Gather.KIND:
        _, places, source = take(said, kind=str, places=list, source=int)
        return Gather(source, _ints(places, 1))
    if kind == Sum.KIND:
        _, other, source = take(said, kind=str, other=int, source=int)
        return Sum(source, other)
    if kind == Forest.KIND:
        bias, _, source, trees = take(said, bias=list, kind=str, source=int, trees=list)
        return Forest(source, tuple(_read_tree(tree) for tree in trees), _ints(bias, 1))
    raise BadInput("an unknown step", expected="a kind of step", actual=kind)


def _read_tree(said: Any) -> Tree:
    feature, leaf, left, right, threshold = take(said, feature=list, leaf=list, left=list, right=list, threshold=list)
    return Tree(_ints(feature, 1), _ints(threshold, 1), _ints(left, 1), _ints(right, 1), _ints(leaf, 2))


def _ints(values: Any, dimensions: int) -> IntArray:
    """Nested lists of integers as an array of so many dimensions. Raises BadInput for anything else."""
    try:
        array = np.array(values)
    except ValueError:
        array = np.zeros(0)
    if array.size == 0 or array.dtype != np.dtype(np.int64) or array.ndim != dimensions:
        raise BadInput("not an array of integers", expected=f"{dimensions} dimensions, equal lengths",
                       actual=f"{array.dtype}, {array.shape}")
    return array


def _few(values: Any, count: int) -> list[int]:
    if len(values) != count or any(type(value) is not int for value in values):
        raise BadInput("not a shape", expected=f"{count} integers", actual=values)
    return list(values)


def _signed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = LIMIT + 1
    if abs(value) > LIMIT or str(value) != text:
        raise BadInput("not an integer in range", expected=f"-{LIMIT} to {LIMIT}", actual=text)
    return value
