"""Each kind of a program's steps as constraints. Every number's range is known on the way, so that nothing wraps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from troth.compute.circuits.builder import Builder, Lin, combine, total
from troth.compute.circuits.field import SAFE_BITS
from troth.compute.circuits.gadgets import (
    any_of,
    at_least_zero,
    bit_size,
    bits,
    joined,
    less_or_equal,
    maximum,
    select,
    signed_bits,
)
from troth.compute.circuits.vectors import Learned, Vector
from troth.fixed.program import Clamp, Conv, Gather, Maximum, Rescale, windows

SAFE = 1 << SAFE_BITS - 2
"""No value of a circuit is of a magnitude above this: sums and differences of two stay apart modulo the prime."""


def affine(builder: Builder, source: Vector, weights: Learned, bias: Learned) -> Vector:
    """``weights @ x + bias``: free for constant weights, a constraint for each product else."""
    width = len(source)
    rows = [slice(at * width, (at + 1) * width) for at in range(len(bias.lins))]
    source = source.short(builder) if _constant(weights) else source.short(builder, 1)
    return _sums(builder, [(source.lins, weights.lins[row], bias.lins[out]) for out, row in enumerate(rows)],
                 [_bounds(source.low, source.high, weights.low[row], weights.high[row], bias.low[out], bias.high[out])
                  for out, row in enumerate(rows)])


def convolution(builder: Builder, step: Conv, source: Vector, weights: Learned, bias: Learned) -> Vector:
    """The same at every place of an image."""
    source = source.short(builder) if _constant(weights) else source.short(builder, 1)
    seen, size = windows(step), int(np.prod(step.weights.shape[1:]))
    terms, ranges = [], []
    for out, start in enumerate(bias.lins):
        kernel = range(out * size, (out + 1) * size)
        for window in seen.tolist():
            pairs = [(at, weight) for at, weight in zip(window, kernel, strict=True) if at >= 0]
            places, chosen = [at for at, _ in pairs], [weight for _, weight in pairs]
            terms.append(([source.lins[at] for at in places], [weights.lins[at] for at in chosen], start))
            ranges.append(_bounds([source.low[at] for at in places], [source.high[at] for at in places],
                                  [weights.low[at] for at in chosen], [weights.high[at] for at in chosen],
                                  bias.low[out], bias.high[out]))
    return _sums(builder, terms, ranges)


def rescale(builder: Builder, step: Rescale, source: Vector) -> Vector:
    """Rounded division by a power of two: the value's bits, the lower ones dropped. Where a result may have either
    sign, its highest bit is its sign."""
    half, lins, kept = 1 << step.bits - 1, [], {}
    low, high = ([value + half >> step.bits for value in bound] for bound in (source.low, source.high))
    for place, lin in enumerate(source.lins):
        if low[place] < 0 <= high[place]:
            size = bit_size(low[place], high[place])
            start, count = -1 << size, step.bits + size + 1
        else:
            start, count = low[place], step.bits + (high[place] - low[place]).bit_length()
        found = bits(builder, lin + (half - (start << step.bits)), count)
        lins.append(joined(found[step.bits:]) + start)
        if low[place] < 0 <= high[place]:
            kept[place] = found[step.bits:]
    return Vector(lins, low, high, kept)


def clamp(builder: Builder, step: Clamp, source: Vector) -> Vector:
    """Each bound costs nothing where the range shows that no value passes it. Between 0 and a power of two less one,
    the value's bits say all: its sign, and whether one of those above the bound is set."""
    lins = []
    for place, lin in enumerate(source.lins):
        low, high = source.low[place], source.high[place]
        if low >= step.high or high <= step.low:
            lins.append(Lin.of(min(max(low, step.low), step.high)))
            continue
        if low < 0 and step.low == 0:
            found = source.bits.get(place) or signed_bits(builder, lin, bit_size(low, high))
            size = step.high.bit_length()
            if high > step.high == (1 << size) - 1:
                lin = select(builder, any_of(builder, found[size:-1]), Lin.of(step.high), joined(found[:size]))
                high = step.high
            lin, low = builder.product(found[-1], lin), 0
        elif low < step.low:
            above = at_least_zero(builder, lin - step.low, bit_size(low - step.low, high - step.low))
            lin, low = select(builder, above, lin, Lin.of(step.low)), step.low
        if high > step.high:
            below = less_or_equal(builder, lin, Lin.of(step.high), bit_size(step.high - high, step.high - low))
            lin = select(builder, below, lin, Lin.of(step.high))
        lins.append(lin)
    return Vector(lins, [min(max(v, step.low), step.high) for v in source.low],
                  [min(max(v, step.low), step.high) for v in source.high])


def largest(builder: Builder, step: Maximum, source: Vector) -> Vector:
    """The largest of each group."""
    lins, low, high = [], [], []
    for group in step.groups.tolist():
        lows, highs = [source.low[at] for at in group], [source.high[at] for at in group]
        lins.append(maximum(builder, [source.lins[at] for at in group], bit_size(min(lows) - max(highs),
                                                                                max(highs) - min(lows))))
        low.append(max(lows))
        high.append(max(highs))
    return Vector(lins, low, high)


def gather(step: Gather, source: Vector) -> Vector:
    """Free."""
    places = step.places.tolist()
    return Vector([source.lins[at] for at in places], [source.low[at] for at in places],
                  [source.high[at] for at in places],
                  {new: source.bits[at] for new, at in enumerate(places) if at in source.bits})


def added(source: Vector, other: Vector) -> Vector:
    """Free."""
    return Vector([total([a, b]) for a, b in zip(source.lins, other.lins, strict=True)],
                  [a + b for a, b in zip(source.low, other.low, strict=True)],
                  [a + b for a, b in zip(source.high, other.high, strict=True)])


def _constant(learned: Learned) -> bool:
    return list(learned.low) == list(learned.high)


def _sums(builder: Builder, terms: Sequence[tuple[Sequence[Lin], Sequence[Lin], Lin]],
          ranges: Sequence[tuple[int, int]]) -> Vector:
    lins = []
    for values, weights, start in terms:
        constants = [weight.constant for weight in weights]
        if None in constants:
            lins.append(total([start, *(builder.product(w, x) for w, x in zip(weights, values, strict=True))]))
        else:
            lins.append(total([start, combine([c for c in constants if c is not None], values)]))
    return Vector(lins, [low for low, _ in ranges], [high for _, high in ranges])


def _bounds(low: Sequence[int], high: Sequence[int], weight_low: Sequence[int], weight_high: Sequence[int],
            bias_low: int, bias_high: int) -> tuple[int, int]:
    """The range of a sum of products."""
    least, most = bias_low, bias_high
    for a, b, c, d in zip(low, high, weight_low, weight_high, strict=True):
        corners = (a * c, a * d, b * c, b * d)
        least += min(corners)
        most += max(corners)
    return least, most
