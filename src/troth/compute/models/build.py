"""A model in real numbers as the integer program of one setting of bits, and what such a program costs a circuit.

What costs in a circuit is the width of what is compared: ranges before Rescale and Clamp, features under a tree. Affine
maps cost nothing there. ``price`` counts those bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from troth.compute.models import real
from troth.compute.models.real import Node, Real, as_rows
from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray, IntArray
from troth.fixed.program import (
    LIMIT,
    Affine,
    Clamp,
    Conv,
    Forest,
    Gather,
    Interval,
    Maximum,
    Program,
    Rescale,
    Step,
    Sum,
    Tree,
)
from troth.fixed.ranges import ranges_of

MOST_PLACES = 40


@dataclass(frozen=True, slots=True)
class Bits:
    """One setting. inputs: binary places of the features. weights: bits of the largest weight of a step before a Clip,
    with its sign. activations: bits of the largest value after a Clip on the calibration rows. head: bits of the
    largest weight or leaf of a step after the last Clip."""

    inputs: int
    weights: int
    activations: int
    head: int

    def json(self) -> dict[str, int]:
        """As a report says it."""
        return {"activations": self.activations, "head": self.head, "inputs": self.inputs, "weights": self.weights}

    def with_guard(self, guard: int, spare: int = 4) -> Bits:
        """More of each. spare: more still for the head, whose bits are compared once where they are constants."""
        return Bits(self.inputs + guard, self.weights + guard, self.activations + guard,
                    self.head + (guard and guard + spare))


def ints(program: Program, rows: npt.ArrayLike) -> IntArray:
    """Real features -> the program's inputs: ``floor(x * 2**input_scale + 1/2)``.

    Raises BadInput for NaN, infinity and what no range allows. The range itself is the program's to check.
    """
    scaled = np.floor(np.ldexp(as_rows(rows), program.input_scale) + 0.5)
    if np.abs(scaled).max() > LIMIT:
        raise BadInput("a feature is too large", expected=f"up to {math.ldexp(LIMIT, -program.input_scale)}")
    return scaled.astype(np.int64)


def price(program: Program) -> int:
    """Bits that a circuit compares or divides: about one constraint each."""
    total, done = 0, set()
    for number, step in enumerate(program.steps, 1):
        wide = bits_of(program.ranges[step.source])
        if isinstance(step, Rescale) or (isinstance(step, Clamp) and step.source not in done):
            total += int(wide.sum())
            done.add(number)  # a Clamp after a Rescale reads the bits that it made
        elif isinstance(step, Maximum):
            total += int(bits_of(program.ranges[number]).sum()) * (step.groups.shape[1] - 1)
        elif isinstance(step, Forest):
            total += sum(int(wide[tree.feature[tree.feature >= 0]].sum()) for tree in step.trees)
    last = bits_of(program.ranges[-1])
    return total + int(bits_of(program.ranges[0]).sum()) + (0 if program.head == "number" else
                                                          int(last.max()) * max(1, program.outputs - 1))


def bits_of(interval: Interval) -> IntArray:
    """(width,) bits that hold each element of a range, sign included where there is one."""
    low, high = interval
    return np.array([max(b.bit_length(), (-a - 1).bit_length() if a < 0 else 0) + (a < 0)
                     for a, b in zip(low.tolist(), high.tolist(), strict=True)], dtype=np.int64)


class _Builder:
    """Steps of a program, and the binary places of each vector."""

    def __init__(self, inputs: int, limits: tuple[IntArray, IntArray]) -> None:
        self.steps: list[Step] = []
        self.places = [inputs]
        self._limits = limits

    def limits(self, source: int) -> tuple[IntArray, IntArray]:
        """(lowest, highest) of each element of a vector."""
        return ranges_of(*self._limits, self.steps)[source]

    def add(self, step: Step, places: int) -> int:
        self.steps.append(step)
        self.places.append(places)
        return len(self.steps)

    def rescaled(self, source: int, bits: int) -> int:
        """The source with so many places less; itself for none."""
        return self.add(Rescale(source, bits), self.places[source] - bits) if bits > 0 else source


def build(model: Real, bits: Bits, limits: tuple[IntArray, IntArray], peaks: Sequence[float]) -> Program:
    """The program of one setting. limits: (low, high) of the features at ``bits.inputs`` places. peaks: the largest
    magnitude of every vector on the calibration rows. Raises BadInput where it would overflow."""
    made = _Builder(bits.inputs, limits)
    at = [0]  # which vector of the program each of the model's is
    last = max((number for number, node in enumerate(model.nodes, 1) if isinstance(node, real.Clip)), default=0)
    for number, node in enumerate(model.nodes, 1):
        at.append(_place(made, node, at, replace(bits, weights=bits.head) if number > last else bits, peaks[number]))
    scale = made.places[-1]
    if not 0 <= scale <= 61:
        raise BadInput("the scores have no binary places to speak of", expected="0 to 61", actual=scale)
    return Program(*limits, tuple(made.steps), model.head, bits.inputs, scale, model.features, model.classes)


def _place(made: _Builder, node: Node, at: Sequence[int], bits: Bits, peak: float) -> int:
    source = at[node.source]
    places = made.places[source]
    if isinstance(node, real.Affine | real.Conv):
        own = _own_places(node.weights, bits.weights)
        weights, own = _without_zeros(_round(node.weights, own), own)
        bias = _round(node.bias, places + own)
        if isinstance(node, real.Affine):
            return made.add(Affine(source, weights, bias), places + own)
        return made.add(Conv(source, weights, bias, node.shape, node.stride, node.pad), places + own)
    if isinstance(node, real.Clip):
        shift = places - math.floor(bits.activations - math.log2(max(peak, 1e-9)))
        source = made.rescaled(source, min(max(shift, 0), 61))
        places = made.places[source]
        # One bit above the largest value seen; a power of two, so that a circuit sees it in the bits it has anyway.
        high = (1 << bits.activations + 1) - 1
        low = -high if np.isneginf(node.low) else max(-high, _scalar(node.low, places))
        return made.add(Clamp(source, low, min(high, high if np.isposinf(node.high) else _scalar(node.high, places))),
                        places)
    if isinstance(node, real.Maximum):
        return made.add(Maximum(source, node.groups), places)
    if isinstance(node, real.Gather):
        return made.add(Gather(source, node.places), places)
    if isinstance(node, real.Sum):
        other = at[node.other]
        common = min(places, made.places[other])
        return made.add(Sum(made.rescaled(source, places - common),
                            made.rescaled(other, made.places[other] - common)), common)
    own = _own_places(np.concatenate([tree.leaf.reshape(-1) for tree in node.trees] or [np.ones(1)]), bits.weights)
    trees = tuple(_tree(tree, places, own, made.limits(source)) for tree in node.trees)
    return made.add(Forest(source, trees, _round(node.bias, own)), own)


def _own_places(values: FloatArray, bits: int) -> int:
    """Binary places at which the largest magnitude has this many bits with its sign."""
    worst = float(np.abs(values).max(initial=0.0))
    return 0 if worst == 0 else min(bits - 1 - math.frexp(worst)[1], MOST_PLACES)


def _round(values: FloatArray, places: int) -> IntArray:
    scaled = np.rint(np.ldexp(values, places))
    if np.abs(scaled).max(initial=0.0) >= LIMIT:
        raise BadInput("a number needs more than 62 bits", expected="fewer binary places", actual=places)
    return np.asarray(np.clip(scaled, -(LIMIT - 1), LIMIT - 1).astype(np.int64))


def _without_zeros(weights: IntArray, places: int) -> tuple[IntArray, int]:
    """The same numbers without the binary places that none of them needs: 0.25 alone is 1 at two places."""
    together = int(np.bitwise_or.reduce(weights.reshape(-1))) if weights.size else 0
    spare = (together & -together).bit_length() - 1 if together else 0
    return weights >> spare, places - spare


def _scalar(value: float, places: int) -> int:
    return round(math.ldexp(value, places))


def _tree(tree: real.Tree, places: int, own: int, limits: tuple[IntArray, IntArray]) -> Tree:
    """x <= t holds in real numbers where it holds for the integers x * 2**places and floor(t * 2**places).

    Beyond a feature's range every threshold says the same: an infinite one becomes a number there.
    """
    scaled, at = np.floor(np.ldexp(np.clip(tree.threshold, -1e300, 1e300), places)), np.maximum(tree.feature, 0)
    threshold = np.where(tree.feature < 0, 0.0, np.clip(scaled, limits[0][at] - 1.0, limits[1][at] + 0.0))
    return Tree(tree.feature, threshold.astype(np.int64), tree.left, tree.right, _round(tree.leaf, own))


def limits_of(rows: FloatArray, margin: int, places: int) -> tuple[IntArray, IntArray]:
    """The range of each feature: the rows' own, widened on each side by ``margin`` thousandths of its span, then to a
    power of two of values, which a circuit proves with a third fewer constraints."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    more = (high - low) * (margin / 1000)
    scaled = np.floor(np.ldexp(low - more, places)), np.ceil(np.ldexp(high + more, places))
    if max(np.abs(scaled[0]).max(), np.abs(scaled[1]).max()) >= 1 << 52:
        raise BadInput("a feature's range is too wide at so many binary places", expected="magnitudes below 2**52")
    lowest, highest = scaled[0].astype(np.int64), scaled[1].astype(np.int64)
    spare = np.array([(1 << int(span).bit_length()) - 1 - int(span) for span in highest - lowest], dtype=np.int64)
    return lowest - spare // 2, highest + spare - spare // 2
