"""Random programs with every kind of step, and inputs at the edges of their ranges."""

from __future__ import annotations

import numpy as np

from troth.core.errors import BadInput
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

KINDS = ("affine", "conv", "rescale", "clamp", "maximum", "gather", "sum", "forest")


def random_tree(rng: np.random.Generator, width: int, outputs: int, low: int, high: int, large: int) -> Tree:
    """A tree of a few splits, parents first."""
    feature, threshold, left, right = [-1], [0], [0], [0]
    for _ in range(int(rng.integers(0, 7))):
        leaves = [at for at, one in enumerate(feature) if one < 0]
        at = int(rng.choice(leaves))
        feature[at], threshold[at] = int(rng.integers(width)), int(rng.integers(low, high + 1))
        left[at], right[at] = len(feature), len(feature) + 1
        feature += [-1, -1]
        threshold += [0, 0]
        left += [0, 0]
        right += [0, 0]
    leaf = rng.integers(-large, large + 1, (len(feature), outputs))
    leaf[np.array(feature) >= 0] = 0
    return Tree(np.array(feature), np.array(threshold), np.array(left), np.array(right), leaf)


def random_step(rng: np.random.Generator, kind: str, source: int, widths: list[int], bound: int) -> tuple[Step, int]:
    """A step and the width of what it gives. bound: how large the source's values are, about."""
    width, large = widths[source], int(rng.choice([1, 9, 200, 40_000, 1 << 31]))
    outs = int(rng.integers(1, 6))
    if kind == "affine":
        weights = rng.integers(-large, large + 1, (outs, width))
        return Affine(source, weights, rng.integers(-bound, bound + 1, outs)), outs
    if kind == "conv":
        channels = next(c for c in (3, 2, 1) if width % c == 0)
        across = next(a for a in (4, 3, 2, 1) if width // channels % a == 0)
        shape = (channels, width // channels // across, across)
        kernel = (int(rng.integers(1, min(3, shape[1]) + 1)), int(rng.integers(1, min(3, shape[2]) + 1)))
        weights = rng.integers(-large, large + 1, (int(rng.integers(1, 4)), channels, *kernel))
        top, left, bottom, right = (int(v) for v in rng.integers(0, 3, 4))
        step = Conv(source, weights, rng.integers(-bound, bound + 1, len(weights)), shape,
                    (int(rng.integers(1, 3)), int(rng.integers(1, 3))), (top, left, bottom, right))
        return step, len(weights) * step.places[0] * step.places[1]
    if kind == "rescale":
        return Rescale(source, int(rng.integers(1, 20))), width
    if kind == "clamp":
        low, high = sorted(int(v) for v in rng.integers(-bound, bound + 1, 2))
        return Clamp(source, low, high), width
    if kind == "maximum":
        return Maximum(source, rng.integers(0, width, (outs, int(rng.integers(1, 4))))), outs
    if kind == "gather":
        return Gather(source, rng.integers(0, width, outs)), outs
    if kind == "sum":
        return Sum(source, int(rng.choice([at for at, one in enumerate(widths) if one == width]))), width
    trees = tuple(random_tree(rng, width, outs, -bound, bound, large) for _ in range(int(rng.integers(0, 4))))
    return Forest(source, trees, rng.integers(-bound, bound + 1, outs)), outs


def random_program(seed: int, kinds: tuple[str, ...] = KINDS) -> Program:
    """A program of these kinds in random order, each of them at least once where it fits, on random ranges."""
    rng = np.random.default_rng(seed)
    features = int(rng.choice([1, 2, 6, 12, 24]))
    reach = int(rng.choice([0, 1, 500, 1 << 20]))
    low = -rng.integers(0, reach + 1, features)
    high = low + rng.integers(0, 2 * reach + 1, features)
    steps: list[Step] = []
    widths = [features]
    program = None
    for kind in (*rng.permutation(kinds), *rng.choice(kinds, 4)):
        source = len(steps) if rng.random() < 0.8 else int(rng.integers(0, len(steps) + 1))
        for attempt in range(4):
            bound = 1 << int(rng.integers(1, 16))
            step, width = random_step(rng, kind if attempt < 3 else "clamp", source, widths, bound)
            try:
                program = Program(low, high, (*steps, step), "number" if width == 1 else "largest")
            except BadInput:  # too large: other weights, or a clamp
                continue
            steps.append(step)
            widths.append(width)
            break
    assert program is not None
    return program


def edges(program: Program, seed: int, count: int = 6) -> np.ndarray:
    """Rows of inputs: all lowest, all highest, a mixture of both, and random ones."""
    rng = np.random.default_rng(seed)
    mixed = np.where(rng.random((count, len(program.low))) < 0.5, program.low, program.high)
    inside = rng.integers(program.low, program.high + 1, (count, len(program.low)))
    return np.concatenate([program.low[None], program.high[None], mixed, inside])
