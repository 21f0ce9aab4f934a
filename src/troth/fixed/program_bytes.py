"""Programs as bytes: canonical JSON, so that equal programs have equal bytes, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from troth.core.encoding import take
from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray
from troth.fixed.steps import (
    LIMIT,
    Affine,
    Clamp,
    Conv,
    Forest,
    Gather,
    Maximum,
    Rescale,
    Step,
    Sum,
    Tree,
)


def said_of(step: Step) -> dict[str, object]:
    """A step as JSON says it: its kind, its source, and what belongs to that kind, in integers and lists."""
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


def read_step(said: Any) -> Step:
    """A step again, read strictly.

    Raises BadInput for an unknown kind, a field missing or surplus, or another shape.
    """
    kind = said.get("kind") if isinstance(said, Mapping) else None
    if kind == Affine.KIND:
        bias, _, source, weights = take(said, bias=list, kind=str, source=int, weights=list)
        return Affine(source, ints_of(weights, 2), ints_of(bias, 1))
    if kind == Conv.KIND:
        bias, _, pad, shape, source, stride, weights = take(
            said, bias=list, kind=str, pad=list, shape=list, source=int, stride=list, weights=list)
        top, left, bottom, right = _few(pad, 4)
        channels, height, width = _few(shape, 3)
        down, across = _few(stride, 2)
        return Conv(source, ints_of(weights, 4), ints_of(bias, 1), (channels, height, width), (down, across),
                    (top, left, bottom, right))
    if kind == Rescale.KIND:
        bits, _, source = take(said, bits=int, kind=str, source=int)
        return Rescale(source, bits)
    if kind == Clamp.KIND:
        high, _, low, source = take(said, high=str, kind=str, low=str, source=int)
        return Clamp(source, _signed(low), _signed(high))
    if kind == Maximum.KIND:
        groups, _, source = take(said, groups=list, kind=str, source=int)
        return Maximum(source, ints_of(groups, 2))
    if kind == Gather.KIND:
        _, places, source = take(said, kind=str, places=list, source=int)
        return Gather(source, ints_of(places, 1))
    if kind == Sum.KIND:
        _, other, source = take(said, kind=str, other=int, source=int)
        return Sum(source, other)
    if kind == Forest.KIND:
        bias, _, source, trees = take(said, bias=list, kind=str, source=int, trees=list)
        return Forest(source, tuple(_read_tree(tree) for tree in trees), ints_of(bias, 1))
    raise BadInput("an unknown step", expected="a kind of step", actual=kind)


def _read_tree(said: Any) -> Tree:
    feature, leaf, left, right, threshold = take(said, feature=list, leaf=list, left=list, right=list, threshold=list)
    return Tree(ints_of(feature, 1), ints_of(threshold, 1), ints_of(left, 1), ints_of(right, 1), ints_of(leaf, 2))


def ints_of(values: Any, dimensions: int) -> IntArray:
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
