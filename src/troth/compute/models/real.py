"""Models in real numbers: what the converters make of a library's model, and what `quantise` makes a program of.

The nodes are those of `troth.fixed.program` before quantisation: the same names and shapes, in floats, without Rescale.
A model here computes what the library's does up to rounding; its ``run`` is only for comparing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray, IntArray
from troth.fixed.steps import fall

MOST_NODES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """weights: (outputs, inputs). bias: (outputs,)."""

    source: int
    weights: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """As `program.Conv`."""

    source: int
    weights: FloatArray
    bias: FloatArray
    shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """``min(max(x, low), high)``; ReLU is Clip(source, 0)."""

    source: int
    low: float = 0.0
    high: float = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """groups: (outputs, k) places in the source."""

    source: int
    groups: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """places: (outputs,) places in the source."""

    source: int
    places: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """Two sources of one width."""

    source: int
    other: int


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """As `program.Tree`, with real thresholds and leaves: left where ``x[feature] <= threshold``."""

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    leaf: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """bias: (outputs,)."""

    source: int
    trees: tuple[Tree, ...]
    bias: FloatArray


Node = Affine | Conv | Clip | Maximum | Gather | Sum | Forest


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """A model in real numbers. inputs: how many features. head, features, classes: as a program's.

    Raises BadInput for a weight that is not finite, nodes that do not fit each other, and more than MOST_NODES.
    """

    inputs: int
    nodes: tuple[Node, ...]
    head: str
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.nodes) <= MOST_NODES:
            raise BadInput("a model is out of range", expected=f"1 to {MOST_NODES} nodes", actual=len(self.nodes))
        widths = [self.inputs]
        for number, node in enumerate(self.nodes, 1):
            widths.append(_width(node, widths, number))
            for what, array in _learned(node):
                if not np.isfinite(array).all():
                    raise BadInput(f"{what} of node {number} ({type(node).__name__}) hold NaN or infinity",
                                   expected="finite numbers", do="The model is broken; train it again.")

    def vectors(self, rows: FloatArray) -> list[FloatArray]:
        """(n, inputs) -> every vector, the input first. Raises BadInput for another shape."""
        if rows.ndim != 2 or rows.shape[1] != self.inputs:
            raise BadInput("rows of another shape", expected=f"(n, {self.inputs})", actual=rows.shape)
        found = [rows]
        for node in self.nodes:
            found.append(_apply(node, found))
        return found

    def run(self, rows: FloatArray) -> FloatArray:
        """(n, inputs) -> (n, outputs) scores."""
        return self.vectors(rows)[-1]

    def labels(self, scores: FloatArray) -> FloatArray:
        """(n,) labels by the head; for ``number`` the scores themselves."""
        if self.head == "largest":
            return np.asarray(scores.argmax(axis=1), dtype=np.float64)
        return (scores[:, 0] > 0).astype(np.float64) if self.head == "sign" else scores[:, 0]

    def named(self, features: Sequence[str] = (), classes: Sequence[str] = ()) -> Real:
        """The same model with these names, where they are given."""
        return replace(self, features=tuple(map(str, features)) or self.features,
                       classes=tuple(map(str, classes)) or self.classes)


def shifted(node: Node, scale: FloatArray, offset: FloatArray) -> Node:
    """A node that reads ``x * scale + offset`` as one that reads x: how a scaler before a model is folded in.

    Raises BadInput for a node that it cannot be folded into, and for a scale that is not above zero before a tree.
    """
    if isinstance(node, Affine):
        return replace(node, weights=node.weights * scale, bias=node.bias + node.weights @ offset)
    if isinstance(node, Forest):
        return shifted_trees(node, scale, offset)
    raise BadInput(f"a scaler cannot be folded into {type(node).__name__}", expected="an affine map or trees")


def shifted_trees(forest: Forest, scale: FloatArray, offset: FloatArray) -> Forest:
    """`shifted` for trees: each threshold is moved to where the feature is before scaling."""
    if not (scale > 0).all():
        raise BadInput("a scaler before trees turns a feature around", expected="scales above zero")
    trees = []
    for tree in forest.trees:
        at = np.maximum(tree.feature, 0)
        moved = (tree.threshold - offset[at]) / scale[at]
        trees.append(replace(tree, threshold=np.where(tree.feature < 0, 0.0, moved)))
    return replace(forest, trees=tuple(trees))


def one_score(model: Real) -> Real:
    """Of two scores their difference: class 1 where it is above 0, which is where the second score is the larger."""
    last = model.nodes[-1]
    if isinstance(last, Affine) and len(last.bias) == 2:
        found: Node = replace(last, weights=last.weights[1:] - last.weights[:1], bias=last.bias[1:] - last.bias[:1])
    elif isinstance(last, Forest) and len(last.bias) == 2:
        found = replace(last, bias=last.bias[1:] - last.bias[:1], trees=tuple(
            replace(tree, leaf=tree.leaf[:, 1:] - tree.leaf[:, :1]) for tree in last.trees))
    else:
        return model
    return replace(model, nodes=(*model.nodes[:-1], found), head="sign")


def ordered(feature: Sequence[int], threshold: Sequence[float], left: Sequence[int], right: Sequence[int],
            leaf: FloatArray) -> Tree:
    """A tree whose nodes may be numbered in any way, renumbered parents first from node 0; unreachable ones are left
    out. feature is below 0 at a leaf. Raises BadInput for children that are none, or a node with two parents."""
    order, seen = [0], {0: 0}
    for at in order:
        if feature[at] < 0:
            continue
        for child in (int(left[at]), int(right[at])):
            if not 0 <= child < len(feature) or child in seen:
                raise BadInput("a tree that is none", expected="each node one parent, the first none", actual=child)
            seen[child] = len(order)
            order.append(child)
    inner = np.array([feature[at] >= 0 for at in order])
    return Tree(np.array([feature[at] if feature[at] >= 0 else -1 for at in order], dtype=np.int64),
                np.array([threshold[at] if feature[at] >= 0 else 0.0 for at in order], dtype=np.float64),
                np.array([seen[int(left[at])] if feature[at] >= 0 else 0 for at in order], dtype=np.int64),
                np.array([seen[int(right[at])] if feature[at] >= 0 else 0 for at in order], dtype=np.int64),
                np.where(inner[:, None], 0.0, np.asarray(leaf, dtype=np.float64)[order]))


def narrow(threshold: FloatArray, strict: bool = False) -> FloatArray:
    """Thresholds of a library that rounds its inputs to 32 bits first, as thresholds of what comes before rounding.

    ``float32(x) <= t`` (strict: ``< t``) holds exactly where ``x <= narrow(t)``: up to the middle between the last
    32-bit number that passes and the next, which itself goes to the even one of the two.
    """
    last = threshold.astype(np.float32)
    over = (last.astype(np.float64) >= threshold) if strict else (last.astype(np.float64) > threshold)
    last = np.where(over, np.nextafter(last, np.float32(-np.inf)), last)
    following = np.nextafter(last, np.float32(np.inf))
    middle = (last.astype(np.float64) + following.astype(np.float64)) / 2
    odd = (last.view(np.int32) & 1) == 1
    return np.asarray(np.where(odd, np.nextafter(middle, -np.inf), middle), dtype=np.float64)


def _width(node: Node, widths: Sequence[int], number: int) -> int:
    """How many elements a node gives. Raises BadInput where it does not fit what it reads."""
    sources = (node.source, node.other) if isinstance(node, Sum) else (node.source,)
    width = widths[node.source] if all(0 <= source < len(widths) for source in sources) else -1
    found = width
    if isinstance(node, Affine):
        fits, found = node.weights.shape == (len(node.bias), width), len(node.bias)
    elif isinstance(node, Conv):
        _, (rows, columns) = windows(node.shape[0], node.shape[1:], node.weights.shape[2:], node.stride, node.pad)
        fits, found = math.prod(node.shape) == width, len(node.bias) * rows * columns
    elif isinstance(node, Maximum | Gather):
        places = node.groups if isinstance(node, Maximum) else node.places
        fits, found = bool(places.size and places.min() >= 0 and places.max() < width), len(places)
    elif isinstance(node, Sum):
        fits = widths[node.other] == width
    elif isinstance(node, Forest):
        found = len(node.bias)
        fits = all(int(tree.feature.max(initial=-1)) < width and tree.leaf.shape[1] == found for tree in node.trees)
    else:
        fits = node.low <= node.high
    if width < 0 or not fits:
        raise BadInput(f"node {number} ({type(node).__name__}) does not fit", expected="a source of its size",
                       actual=f"{width} values")
    return found


def _learned(node: Node) -> list[tuple[str, FloatArray]]:
    if isinstance(node, Affine | Conv):
        return [("weights", node.weights), ("biases", node.bias)]
    if isinstance(node, Forest):  # a threshold may be infinite: everything goes left
        return [("leaves", node.bias), *(("leaves", tree.leaf) for tree in node.trees),
                *(("thresholds", np.where(np.isinf(tree.threshold), 0.0, tree.threshold)) for tree in node.trees)]
    return []


def windows(channels: int, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
            pad: tuple[int, int, int, int]) -> tuple[IntArray, tuple[int, int]]:
    """(places, channels, kernel height * kernel width): which element of an image each window holds, -1 for padding;
    and the (height, width) of the places."""
    (height, width), (top, left, bottom, right) = size, pad
    rows = (height + top + bottom - kernel[0]) // stride[0] + 1
    columns = (width + left + right - kernel[1]) // stride[1] + 1
    y = np.arange(rows)[:, None, None, None, None] * stride[0] - top + np.arange(kernel[0])[:, None]
    x = np.arange(columns)[None, :, None, None, None] * stride[1] - left + np.arange(kernel[1])
    c = np.arange(channels)[None, None, :, None, None]
    found = np.where((y >= 0) & (y < height) & (x >= 0) & (x < width), (c * height + y) * width + x, -1)
    return np.asarray(np.broadcast_to(found, (rows, columns, channels, *kernel)).reshape(
        rows * columns, channels, kernel[0] * kernel[1]), dtype=np.int64), (rows, columns)


def _apply(node: Node, found: Sequence[FloatArray]) -> FloatArray:
    x = found[node.source]
    if isinstance(node, Affine):
        return np.asarray(x @ node.weights.T + node.bias, dtype=np.float64)
    if isinstance(node, Conv):
        out, channels, tall, wide = node.weights.shape
        seen, _ = windows(channels, node.shape[1:], (tall, wide), node.stride, node.pad)
        padded = np.concatenate([x, np.zeros((len(x), 1))], axis=1)[:, seen.reshape(len(seen), -1)]
        flat = padded @ node.weights.reshape(out, -1).T + node.bias
        return np.asarray(flat.transpose(0, 2, 1).reshape(len(x), -1), dtype=np.float64)
    if isinstance(node, Clip):
        return np.clip(x, node.low, node.high)
    if isinstance(node, Maximum):
        return np.asarray(x[:, node.groups].max(axis=2), dtype=np.float64)
    if isinstance(node, Gather):
        return x[:, node.places]
    if isinstance(node, Sum):
        return x + found[node.other]
    scores = np.tile(node.bias, (len(x), 1))
    for tree in node.trees:
        scores += tree.leaf[fall(tree, x)]
    return scores


def as_rows(values: npt.ArrayLike, what: str = "rows") -> FloatArray:
    """Rows of finite numbers as (n, features) floats. Raises BadInput."""
    try:
        rows = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{what} hold something that is no number", expected="numbers") from None
    if rows.ndim != 2 or not rows.size:
        raise BadInput(f"{what} of another shape", expected="(rows, features)", actual=rows.shape)
    if not np.isfinite(rows).all():
        raise BadInput(f"{what} hold NaN or infinity", expected="finite numbers",
                       do="Models here know no missing values: fill them first.")
    return rows

