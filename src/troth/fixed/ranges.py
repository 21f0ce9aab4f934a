"""How large every value of a program can be, proved before anything runs, in unbounded integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from troth.core.encoding import MAX_INT
from troth.core.errors import BadInput
from troth.fixed.numbers import INT64_MAX, IntArray, as_ints, magnitude
from troth.fixed.steps import (
    LIMIT,
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
    windows,
)


def ranges_of(low: IntArray, high: IntArray, steps: Sequence[Step]) -> list[Interval]:
    """Interval arithmetic in unbounded integers. Raises BadInput where a value could pass LIMIT."""
    found = [(low, high)]
    for number, step in enumerate(steps, 1):
        sources = (step.source, step.other) if isinstance(step, Sum) else (step.source,)
        if any(not 0 <= source < number for source in sources):
            raise BadInput(f"step {number} reads a step that is not before it", actual=sources)
        lowest, highest, worst = _bounds(step, number, found)
        worst = max([worst, *(abs(v) for v in (*lowest, *highest))])
        if worst > LIMIT:
            raise BadInput(f"step {number} ({step.KIND}) could overflow", expected=f"magnitudes up to {LIMIT}",
                           actual=worst, do="Quantise with fewer bits, or clamp before it.")
        found.append((np.array(lowest, dtype=np.int64), np.array(highest, dtype=np.int64)))
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
        return _affine(step.weights, step.bias, low[:, None], high[:, None])
    if isinstance(step, Conv):
        need(step.weights.ndim == 4 and step.weights.shape[1] == step.shape[0] and min(step.shape) >= 1
             and step.bias.shape == (len(step.weights),) and step.shape[0] * step.shape[1] * step.shape[2] == len(low)
             and min(step.stride) >= 1 and min(step.pad) >= 0 and min(step.places) >= 1
             and len(step.weights) * step.places[0] * step.places[1] <= MAX_WIDTH
             and step.places[0] * step.places[1] * step.weights[0].size <= MAX_WEIGHTS,
             f"weights (out, channels, height, width) over an image of the source's size, at most {MAX_WEIGHTS} values "
             "in its windows together")
        _small(number, step.weights)
        seen, kernel = windows(step), step.weights.reshape(len(step.weights), -1)
        inside = seen.T >= 0  # one column a place; padding is 0
        return _affine(kernel, step.bias, np.where(inside, low[seen.T], 0), np.where(inside, high[seen.T], 0))
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
    """Bounds of ``weights @ x + bias``, and of every partial sum in any order. low, high: of x, a column a place."""
    # `run` multiplies by NumPy's rule, whose bound is coarse: terms times the largest of each.
    coarse = weights.shape[1] * magnitude(weights) * max(magnitude(low), magnitude(high))
    # Where that bound fits a word no sum below can pass it, and words do; else Python's integers.
    kind = np.dtype(np.int64 if coarse + magnitude(bias) <= INT64_MAX else object)
    w, lowest, highest, b = (np.asarray(array.astype(kind)) for array in (weights, low, high, bias[:, None]))
    up, down = np.maximum(w, 0), np.minimum(w, 0)
    size = np.maximum(np.abs(lowest), np.abs(highest))
    worst = int((np.abs(w) @ size + np.abs(b)).max(initial=0))
    least, most = up @ lowest + down @ highest + b, up @ highest + down @ lowest + b
    return least.reshape(-1).tolist(), most.reshape(-1).tolist(), max(worst, coarse)


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
