"""Forests in a circuit: which leaf the input falls into, proven the cheaper of two ways.

*Bins*: each feature's value is proven to lie between two neighbours of all its thresholds, chosen by a bit each; every
comparison of the forest is then a sum of those bits. Two range proofs a feature, whatever the number of thresholds, and
the feature's own range with them. For constant thresholds and many trees.

*Path*: the prover names one leaf of each tree by a bit; at each depth, what the node on its path says of the input must
be 0 or more. One range proof for each depth of each tree. For single deep trees, and for thresholds that are committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from troth.compute.circuits.builder import ONE, ZERO, Builder, Lin, combine, total
from troth.compute.circuits.gadgets import bits, inner, select
from troth.compute.circuits.vectors import Learned, Vector
from troth.fixed.program import Forest, Tree


@dataclass(frozen=True, eq=False)
class LearnedTree:
    """thresholds: of the inner nodes in order. leaves: of the leaves in order, output by output."""

    thresholds: Learned
    leaves: Learned


def forest(builder: Builder, step: Forest, source: Vector, trees: Sequence[LearnedTree], bias: Learned,
           proven: Callable[[int], None]) -> Vector:
    """The scores. proven: called with each place of the source whose range came with the proof."""
    constant = all(tree.thresholds.low == tree.thresholds.high for tree in trees)
    if constant and _bins_cost(step, source) <= _paths_cost(step, source):
        with builder.group("bins"):
            compared = _Bins(builder, step, source, proven)
            sums = [_by_nodes(builder, tree, compared, learned)
                    for tree, learned in zip(step.trees, trees, strict=True)]
    else:
        sums = []
        for tree, learned in zip(step.trees, trees, strict=True):
            with builder.group("path"):
                sums.append(_by_path(builder, tree, source, learned))
    low, high = list(bias.low), list(bias.high)
    for learned in trees:
        for output in range(len(low)):
            low[output] += min(learned.leaves.low[output::len(low)])
            high[output] += max(learned.leaves.high[output::len(low)])
    return Vector([total([start, *(found[output] for found in sums)]) for output, start in enumerate(bias.lins)],
                  low, high)


def inner_nodes(tree: Tree) -> list[int]:
    """Nodes that compare, in order."""
    return [node for node, feature in enumerate(tree.feature.tolist()) if feature >= 0]


def leaf_nodes(tree: Tree) -> list[int]:
    """Nodes that end, in order."""
    return [node for node, feature in enumerate(tree.feature.tolist()) if feature < 0]


# ---- bins ----

def _thresholds(step: Forest, source: Vector) -> dict[int, list[int]]:
    """Each feature's distinct thresholds that its range leaves open, in order."""
    found: dict[int, set[int]] = defaultdict(set)
    for tree in step.trees:
        for node in inner_nodes(tree):
            feature, threshold = int(tree.feature[node]), int(tree.threshold[node])
            if source.low[feature] <= threshold < source.high[feature]:
                found[feature].add(threshold)
    return {feature: sorted(thresholds) for feature, thresholds in found.items()}


def _edges(thresholds: Sequence[int], low: int, high: int) -> list[tuple[int, int]]:
    """(lowest, highest) value of each bin."""
    return list(zip([low, *(threshold + 1 for threshold in thresholds)], [*thresholds, high], strict=True))


def _width(edges: Sequence[tuple[int, int]]) -> int:
    return max(high - low for low, high in edges).bit_length()


def _bins_cost(step: Forest, source: Vector) -> int:
    """Constraints, less those that the features' own ranges would have cost."""
    cost = sum(max(0, len(inner_nodes(tree)) // 2) * max(1, len(step.bias)) for tree in step.trees)
    for feature, thresholds in _thresholds(step, source).items():
        low, high = source.low[feature], source.high[feature]
        cost += 2 * _width(_edges(thresholds, low, high)) + len(thresholds) + 2 - (high - low).bit_length()
    return cost


class _Bins:
    """Which of a node's sides the input is on, as a combination of the bins' bits."""

    def __init__(self, builder: Builder, step: Forest, source: Vector, proven: Callable[[int], None]) -> None:
        self._source = source
        self._below: dict[tuple[int, int], Lin] = {}
        for feature, thresholds in _thresholds(step, source).items():
            edges = _edges(thresholds, source.low[feature], source.high[feature])
            value, width = source.lins[feature], _width(edges)
            chosen = builder.hint(_Bin(thresholds), (value,), len(thresholds))
            chosen.append(ONE - total(chosen))
            with builder.group("one bin"):
                for bit in chosen:
                    builder.require(bit, ONE - bit, ZERO)
            with builder.group("edges"):
                bits(builder, value - combine([low for low, _ in edges], chosen), width)
                bits(builder, combine([high for _, high in edges], chosen) - value, width)
            proven(feature)
            for place, threshold in enumerate(thresholds):
                self._below[feature, threshold] = total(chosen[:place + 1])

    def left(self, feature: int, threshold: int) -> Lin:
        """1 where the feature is at most the threshold."""
        if threshold < self._source.low[feature]:
            return ZERO
        return ONE if threshold >= self._source.high[feature] else self._below[feature, threshold]


class _Bin:
    """Which bin a value is in, a bit for each but the last."""

    def __init__(self, thresholds: Sequence[int]) -> None:
        self.edges = list(zip([None, *thresholds[:-1]], thresholds, strict=True))

    def __call__(self, value: int) -> list[int]:
        return [int((low is None or value > low) and value <= high) for low, high in self.edges]


def _by_nodes(builder: Builder, tree: Tree, compared: _Bins, learned: LearnedTree) -> list[Lin]:
    """Choices from the leaves up: a product for each node and output whose sides are not both constants."""
    outputs = tree.leaf.shape[1]
    found: dict[int, list[Lin]] = {}
    for number, node in enumerate(leaf_nodes(tree)):
        found[node] = list(learned.leaves.lins[number * outputs:(number + 1) * outputs])
    for node in reversed(inner_nodes(tree)):
        left = compared.left(int(tree.feature[node]), int(tree.threshold[node]))
        yes, no = found[int(tree.left[node])], found[int(tree.right[node])]
        found[node] = [select(builder, left, a, b) for a, b in zip(yes, no, strict=True)]
    return found[0]


# ---- paths ----

def _depths(tree: Tree) -> dict[int, list[int]]:
    """Inner nodes by depth."""
    depth, found = {0: 0}, defaultdict(list)
    for node in inner_nodes(tree):
        found[depth[node]].append(node)
        for child in (int(tree.left[node]), int(tree.right[node])):
            depth[child] = depth[node] + 1
    return dict(found)


def _paths_cost(step: Forest, source: Vector) -> int:
    return sum(len(tree.feature) + sum(max((source.high[f] - source.low[f]).bit_length()
                                           for f in (int(tree.feature[node]) for node in nodes))
                                       for nodes in _depths(tree).values()) for tree in step.trees)


def _by_path(builder: Builder, tree: Tree, source: Vector, learned: LearnedTree) -> list[Lin]:
    inner_at, leaves = inner_nodes(tree), leaf_nodes(tree)
    thresholds = learned.thresholds
    place = {node: number for number, node in enumerate(inner_at)}
    slack = {node: thresholds.lins[place[node]] - source.lins[int(tree.feature[node])] for node in inner_at}
    chosen = builder.hint(_Leaf(tree, inner_at, leaves), [slack[node] for node in inner_at], len(leaves) - 1)
    chosen.append(ONE - total(chosen))
    with builder.group("one leaf"):
        for bit in chosen:
            builder.require(bit, ONE - bit, ZERO)
    under = dict(zip(leaves, chosen, strict=True))
    for node in reversed(inner_at):
        under[node] = under[int(tree.left[node])] + under[int(tree.right[node])]
    for nodes in _depths(tree).values():
        # Of the node on the path: threshold - value where it goes left, value - threshold - 1 where it goes right.
        said, size = [], 0
        for node in nodes:
            left, right = under[int(tree.left[node])], under[int(tree.right[node])]
            said.append(builder.product(left - right, slack[node]) - right)
            feature = int(tree.feature[node])
            size = max(size, (thresholds.high[place[node]] - source.low[feature]).bit_length(),
                       (source.high[feature] - thresholds.low[place[node]] - 1).bit_length())
        with builder.group("what the path says"):
            bits(builder, total(said), size)
    outputs = tree.leaf.shape[1]
    return [inner(builder, chosen, learned.leaves.lins[output::outputs]) for output in range(outputs)]


class _Leaf:
    """Which leaf it is, a bit for each but the last, from threshold - value at each inner node."""

    def __init__(self, tree: Tree, inner_at: Sequence[int], leaves: Sequence[int]) -> None:
        self.place = {node: number for number, node in enumerate(inner_at)}
        self.children = {node: (int(tree.left[node]), int(tree.right[node])) for node in inner_at}
        self.leaves = leaves

    def __call__(self, *slack: int) -> list[int]:
        node = 0
        while node in self.place:
            node = self.children[node][slack[self.place[node]] < 0]
        return [int(node == leaf) for leaf in self.leaves[:-1]]
