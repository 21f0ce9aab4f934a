"""Random programs of every kind of step, for the tests of what runs them elsewhere."""

from collections.abc import Callable

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray
from troth.fixed.program import (
    Affine,
    Clamp,
    Conv,
    Forest,
    Gather,
    Maximum,
    Program,
    Rescale,
    Step,
    Sum,
    Tree,
)


def inputs(program: Program, rng: np.random.Generator, count: int) -> IntArray:
    """Random rows in range, the corners of the range among them."""
    rows = rng.integers(program.low, program.high + 1, (count, len(program.low)))
    rows[0], rows[-1] = program.low, program.high
    return rows


def tree(rng: np.random.Generator, low: IntArray, high: IntArray, depth: int, outputs: int, most: int = 300) -> Tree:
    """A random tree, not complete as a rule; some thresholds beyond their feature's range."""
    nodes: list[tuple[int, int, int, int, list[int]]] = []
    waiting = [0]
    depths = {0: depth}
    nodes.append((-1, 0, 0, 0, [0] * outputs))
    while waiting:
        node = waiting.pop(0)
        if depths[node] == 0 or (node and rng.random() < 0.25):
            nodes[node] = (-1, 0, 0, 0, rng.integers(-most, most, outputs).tolist())
            continue
        feature = int(rng.integers(len(low)))
        left, right = len(nodes), len(nodes) + 1
        nodes[node] = (feature, int(rng.integers(low[feature] - 2, high[feature] + 3)), left, right, [0] * outputs)
        nodes.extend([(-1, 0, 0, 0, [0] * outputs)] * 2)
        waiting += [left, right]
        depths[left] = depths[right] = depths[node] - 1
    columns = [np.array([node[at] for node in nodes], dtype=np.int64) for at in range(4)]
    return Tree(*columns, np.array([node[4] for node in nodes], dtype=np.int64))


def program(rng: np.random.Generator) -> Program:
    """Up to five random steps on a small image or vector, and a head that fits."""
    channels, side = int(rng.integers(1, 3)), int(rng.integers(2, 4))
    width = channels * side * side
    low = rng.integers(-300, 5, width)
    high = low + rng.integers(0, 500, width)
    steps: list[Step] = []
    shape: list[tuple[int, int, int] | None] = [(channels, side, side)]
    for number in range(int(rng.integers(1, 6))):
        source = int(rng.integers(max(0, number - 1), number + 1))
        made, image = _step(rng, source, low, high, steps, shape[source])
        try:
            Program(low, high, (*steps, made), _head(low, high, (*steps, made)))
        except BadInput:   # beyond the bounds: another number of random steps then
            break
        steps.append(made)
        shape.append(image)
    if not steps:
        steps.append(Gather(0, np.arange(width)))
    return Program(low, high, tuple(steps), _head(low, high, tuple(steps)))


def _head(low: IntArray, high: IntArray, steps: tuple[Step, ...]) -> str:
    for head in ("largest", "sign"):
        try:
            Program(low, high, steps, head)
        except BadInput as refused:
            if "head" not in refused.message:
                raise
        else:
            return head
    raise AssertionError


def _step(rng: np.random.Generator, source: int, low: IntArray, high: IntArray, steps: list[Step],
          image: tuple[int, int, int] | None) -> tuple[Step, tuple[int, int, int] | None]:
    ranges = Program(low, high, (*steps, Gather(len(steps), np.arange(1))), "number").ranges[source]
    width = len(ranges[0])
    kinds: list[Callable[[], Step]] = [
        lambda: Affine(source, rng.integers(-9, 10, (3, width)), rng.integers(-50, 50, 3)),
        lambda: Rescale(source, int(rng.integers(1, 7))),
        lambda: Clamp(source, 0, 1 << 40),
        lambda: Clamp(source, 0, (1 << int(rng.integers(1, 10))) - 1),
        lambda: Clamp(source, *sorted(int(v) for v in rng.integers(-200, 200, 2))),
        lambda: Maximum(source, rng.integers(0, width, (3, 3))),
        lambda: Gather(source, rng.integers(0, width, 4)),
        lambda: Sum(source, source),
        lambda: Forest(source, tuple(tree(rng, *ranges, int(rng.integers(0, 5)), 2)
                                     for _ in range(int(rng.integers(1, 5)))), rng.integers(-9, 9, 2)),
    ]
    if image is not None and rng.random() < 0.5:
        kernel = rng.integers(-9, 10, (2, image[0], 2, 2))
        made = Conv(source, kernel, rng.integers(-9, 9, 2), image, (1, int(rng.integers(1, 3))), (1, 0, 0, 1))
        return made, (2, *made.places)
    made_step = kinds[int(rng.integers(len(kinds)))]()
    return made_step, image if isinstance(made_step, Rescale | Clamp | Sum) else None
