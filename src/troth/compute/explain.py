"""Why a program answered so: each feature's share of a score, in exact numbers that anybody computes again.

What is explained is a score: of ``number`` and ``sign`` the one there is, of ``largest`` the answered class's less the
runner-up's. The shares are compared with a *background*: rows that stand for whom the person is compared with. Another
background gives other shares, so that it belongs to the explanation.

=================== =================================================================================================
shapley             Shapley values of the game whose players are the features, and whose coalitions keep the row's own
                    values and take the others from a background row, averaged over these rows ("interventional"). For
                    one affine map, and for trees: exact rational numbers; they sum to the score less the background's
                    mean score.
integrated-gradients For networks: the gradient of the program's own piecewise linear map at points on the straight line
                    from the background's mean row, times the way (Sundararajan, Taly and Yan, 2017). The points are
                    rounded to the integers that a program reads, so that the sum misses the score by ``error``.
enumerated          Shapley values of any program of a few features, from all of their coalitions.
=================== =================================================================================================

What it does not say: that a feature *causes* anything, or what would have to change for another answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np

from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput
from troth.fixed.numbers import INT64_MAX, IntArray, as_ints, magnitude
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Step, Sum, Tree, windows
from troth.fixed.steps import apply

SHAPLEY, GRADIENTS, ENUMERATED = "shapley", "integrated-gradients", "enumerated"
METHODS = (SHAPLEY, GRADIENTS, ENUMERATED)
POINTS = 64
"""Points on the line of integrated gradients."""
MOST_FEATURES = 12
"""Features whose coalitions are all enumerated."""
MOST_BACKGROUND = 1024


@dataclass(frozen=True, slots=True)
class Explanation:
    """Shares of a score. values: one a feature; base: the background's mean score (of gradients: the mean row's);
    error: the score less base less all values. All as numerators over ``denominator``, at the program's output scale.

    outputs: the scores' factors, 1 for the answered class and -1 for the runner-up.
    """

    method: str
    label: int
    score: int
    outputs: tuple[int, ...]
    denominator: int
    base: int
    values: tuple[int, ...]
    error: int

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.denominator < 1 or self.error + self.base + sum(self.values) != (
                self.score * self.denominator):
            raise BadInput("an explanation that does not add up", expected="base, values and error give the score",
                           actual=self.method)

    def shares(self, scale: int) -> list[float]:
        """The values as real numbers, for people. scale: the program's output scale."""
        return [float(Fraction(value, self.denominator << scale)) for value in self.values]

    def json(self) -> dict[str, Any]:
        """Integers beyond 2**53 as texts."""
        return {"base": str(self.base), "denominator": str(self.denominator), "error": str(self.error),
                "label": str(self.label), "method": self.method, "outputs": list(self.outputs),
                "score": str(self.score), "values": [str(value) for value in self.values]}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """Read `json` strictly. Raises BadInput."""
        base, denominator, error, label, method, outputs, score, values = take(
            dict(said), base=str, denominator=str, error=str, label=str, method=str, outputs=list, score=str,
            values=list)
        if any(type(one) is not int for one in outputs):
            raise BadInput("an explanation's outputs are factors", expected="integers")
        return cls(method, whole(label), whole(score), tuple(outputs), whole(denominator), whole(base),
                   tuple(whole(value) for value in values), whole(error))

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode(self.json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises BadInput."""
        return cls.read(decode_object(data))


def whole(text: object) -> int:
    """An integer as Python prints it, of at most 10,000 digits. Raises BadInput."""
    try:
        value = int(text) if type(text) is str and len(text) <= 4000 else None
    except ValueError:
        value = None
    if value is None or str(value) != text:
        raise BadInput("not an integer in its one form", actual=ascii(str(text)[:20]))
    return value


def explain(program: Program, row: IntArray, background: IntArray, method: str | None = None) -> Explanation:
    """The shares of one row's features. row: (features,) integers. background: (n, features), within the range.

    method: by default shapley where it is exact, else integrated gradients. The same arguments give the same numbers
    on every machine. Raises BadInput for rows beyond the range, and for a method that a program does not allow.
    """
    rows = as_ints(background, "the background")
    if rows.ndim != 2 or not 1 <= len(rows) <= MOST_BACKGROUND or rows.shape[1:] != row.shape:
        raise BadInput("a background of another shape", expected=f"1 to {MOST_BACKGROUND} rows like the one explained",
                       actual=rows.shape)
    scores = program.run(np.concatenate([row[None], rows]))
    label = int(program.labels(scores[:1])[0])
    outputs = _explained(program, scores[0], label)
    found = scores.astype(object) @ np.array(outputs, dtype=object)
    only = program.steps[0] if len(program.steps) == 1 and program.steps[0].source == 0 else None
    exact = isinstance(only, Affine | Forest)
    kind = method or (SHAPLEY if exact else GRADIENTS)
    if kind == SHAPLEY and isinstance(only, Affine):
        values, denominator = _affine(only, outputs, row, rows), len(rows)
    elif kind == SHAPLEY and isinstance(only, Forest):
        values, denominator = _forest(only, outputs, row, rows)
    elif kind == ENUMERATED:
        values, denominator = _enumerated(program, outputs, row, rows)
    elif kind == GRADIENTS:
        return _gradients(program, (label, outputs, int(found[0])), row, rows)
    else:
        raise BadInput(f"no {kind} of this program", expected=f"{GRADIENTS}, or {ENUMERATED} of few features",
                       actual=", ".join(step.KIND for step in program.steps), do="Leave the method out.")
    base, rest = divmod(int(sum(found[1:])) * denominator, len(rows))
    assert not rest  # every denominator here is a multiple of the number of rows
    score = int(found[0])
    return Explanation(kind, label, score, outputs, denominator, base, tuple(values),
                       score * denominator - base - sum(values))


def _explained(program: Program, scores: IntArray, label: int) -> tuple[int, ...]:
    if program.head != "largest":
        return (1,)
    others = [int(score) if place != label else -INT64_MAX for place, score in enumerate(scores)]
    second = int(np.argmax(others))
    return tuple(1 if place == label else -1 if place == second else 0 for place in range(len(scores)))


# ---- exact Shapley values ----

def _affine(step: Affine, outputs: Sequence[int], row: IntArray, rows: IntArray) -> list[int]:
    """A weight times how far the row lies from the background's mean; over the number of rows."""
    weights = np.array(outputs, dtype=object) @ step.weights.astype(object)
    away = row.astype(object) * len(rows) - rows.astype(object).sum(axis=0)
    return [int(weight * far) for weight, far in zip(weights, away, strict=True)]


def _forest(step: Forest, outputs: Sequence[int], row: IntArray, rows: IntArray) -> tuple[list[int], int]:
    """For each leaf and background row: of the features on its path, u are right for the row alone and v for the
    background row alone; if none is wrong for both, a coalition reaches the leaf when it holds the u and none of the v.
    Its value is shared as (u-1)! v! / (u+v)! to each of the u, and -u! (v-1)! / (u+v)! to each of the v.
    """
    paths = [path for tree in step.trees for path in _paths(tree)]
    longest = max((len(bounds) for bounds, _ in paths), default=0)
    unit = math.lcm(*range(1, longest + 1)) if longest else 1  # k * C(n, k) divides lcm(1 … n)
    kind = np.dtype(np.int64 if unit * len(rows) <= INT64_MAX else object)
    gives, takes = (np.array([[unit // (k * math.comb(u + v, k)) if (k := (v if turned else u)) and u + v <= longest
                               else 0 for v in range(longest + 1)] for u in range(longest + 1)], dtype=kind)
                    for turned in (False, True))
    factors = np.array(outputs, dtype=object)
    values = [0] * len(row)
    for bounds, leaf in paths:
        worth = int(factors @ leaf.astype(object))
        if not bounds or not worth:
            continue
        places = np.array(list(bounds))
        low, high = (np.array([bound[side] for bound in bounds.values()]) for side in (0, 1))
        mine = (row[places] > low) & (row[places] <= high)
        theirs = (rows[:, places] > low) & (rows[:, places] <= high)
        theirs = theirs[(mine | theirs).all(axis=1)]
        ours, others = mine & ~theirs, ~mine & theirs
        u, v = ours.sum(axis=1), others.sum(axis=1)
        shares = (ours * gives[u, v][:, None]).sum(axis=0) - (others * takes[u, v][:, None]).sum(axis=0)
        for place, share in zip(places.tolist(), shares.tolist(), strict=True):
            values[place] += worth * int(share)
    return values, unit * len(rows)


def _paths(tree: Tree) -> list[tuple[dict[int, tuple[int, int]], IntArray]]:
    """Each leaf: (feature -> (above, up to), what it adds)."""
    found, to_do = [], [(0, dict[int, tuple[int, int]]())]
    while to_do:
        at, bounds = to_do.pop()
        feature, threshold = int(tree.feature[at]), int(tree.threshold[at])
        if feature < 0:
            found.append((bounds, tree.leaf[at]))
            continue
        low, high = bounds.get(feature, (-INT64_MAX, INT64_MAX))
        if low < threshold:
            to_do.append((int(tree.left[at]), bounds | {feature: (low, min(high, threshold))}))
        if threshold < high:
            to_do.append((int(tree.right[at]), bounds | {feature: (max(low, threshold), high)}))
    return found


def _enumerated(program: Program, outputs: Sequence[int], row: IntArray, rows: IntArray) -> tuple[list[int], int]:
    count = len(row)
    if count > MOST_FEATURES:
        raise BadInput("too many features to enumerate their coalitions", expected=f"at most {MOST_FEATURES}",
                       actual=count)
    worth = []
    for kept in itertools.product((False, True), repeat=count):
        scores = program.run(np.where(np.array(kept), row, rows))
        worth.append(int((scores.astype(object) @ np.array(outputs, dtype=object)).sum()))
    values = [0] * count
    for place in range(count):
        bit = 1 << count - 1 - place  # the first feature is the highest bit of `product`'s order
        for members in range(1 << count):
            if not members & bit:
                size = members.bit_count()
                weight = math.factorial(size) * math.factorial(count - size - 1)
                values[place] += weight * (worth[members | bit] - worth[members])
    return values, math.factorial(count) * len(rows)


# ---- integrated gradients ----

def _gradients(program: Program, asked: tuple[int, tuple[int, ...], int], row: IntArray, rows: IntArray) -> Explanation:
    label, outputs, score = asked
    total = rows.astype(object).sum(axis=0)
    mean = np.array([(2 * int(one) + len(rows)) // (2 * len(rows)) for one in total], dtype=np.int64)
    away = row - mean
    steps = 2 * np.arange(POINTS, dtype=np.int64)[:, None] + 1
    line = mean + (away * steps + POINTS) // (2 * POINTS)  # the middles of POINTS equal parts, rounded half up
    vectors = [line]
    for step in program.steps:
        vectors.append(apply(step, vectors))
    slope, places = _backward(program, vectors, outputs)
    whole_slope = slope.astype(object).sum(axis=0)
    denominator = POINTS << places
    values = [int(one) * int(far) for one, far in zip(whole_slope, away.astype(object), strict=True)]
    [start] = program.run(mean[None]).astype(object) @ np.array(outputs, dtype=object)
    base = int(start) * denominator
    return Explanation(GRADIENTS, label, score, outputs, denominator, base, tuple(values),
                       score * denominator - base - sum(values))


def _backward(program: Program, vectors: Sequence[IntArray], outputs: Sequence[int]) -> tuple[Any, int]:
    """(points, features) slopes of the explained score, exact: integers over 2**places; and places."""
    slopes: dict[int, tuple[Any, int]] = {len(program.steps): (np.tile(np.array(outputs, dtype=np.int64),
                                                                     (len(vectors[0]), 1)), 0)}
    for number in range(len(program.steps), 0, -1):
        if number not in slopes:
            continue
        slope, places = slopes.pop(number)
        step = program.steps[number - 1]
        more = step.bits if isinstance(step, Rescale) else 0
        for source in ((step.source, step.other) if isinstance(step, Sum) else (step.source,)):
            found = (_through(step, vectors[step.source], slope), places + more)
            slopes[source] = _sum(slopes[source], found) if source in slopes else found
    return slopes.get(0, (np.zeros(vectors[0].shape, dtype=np.int64), 0))


def _sum(first: tuple[Any, int], second: tuple[Any, int]) -> tuple[Any, int]:
    places = max(first[1], second[1])
    return sum((slope.astype(object) << places - own) for slope, own in (first, second)), places


def _through(step: Step, x: IntArray, slope: Any) -> Any:
    """Slopes of a step's source, of those of what it gives. A Clamp has none at its ends."""
    if isinstance(step, Affine):
        return _times(slope, step.weights)
    if isinstance(step, Clamp):
        return slope * ((x > step.low) & (x < step.high))
    if isinstance(step, Rescale | Sum):
        return slope
    if isinstance(step, Conv):
        seen, kernel = windows(step), step.weights.reshape(len(step.weights), -1)
        parts = slope.reshape(len(slope), len(kernel), -1).transpose(0, 2, 1)
        found = _times(parts.reshape(-1, len(kernel)), kernel).reshape(len(slope), len(seen), -1)
        return _scattered(found, seen, x.shape[1])
    if isinstance(step, Maximum):
        first = np.take_along_axis(np.broadcast_to(step.groups, (len(x), *step.groups.shape)),
                                   x[:, step.groups].argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        slope = _roomy(slope)
        out = np.zeros(x.shape, dtype=slope.dtype)
        np.add.at(out, (np.arange(len(x))[:, None], first), slope)
        return out
    if isinstance(step, Gather):
        return _scattered(slope, step.places, x.shape[1])
    raise BadInput("trees have no gradient", expected="trees alone, or a network alone", do=f"Ask for {ENUMERATED}.")


def _times(slope: Any, weights: IntArray) -> Any:
    """The product in words where it fits them, else in Python's integers."""
    if slope.dtype == np.int64 and slope.shape[1] * magnitude(slope) * magnitude(weights) <= INT64_MAX:
        return slope @ weights
    return slope.astype(object) @ weights.astype(object)


def _roomy(slope: Any) -> Any:
    """In words only where all of a point's slopes added up fit one."""
    fits = slope.dtype == np.int64 and magnitude(slope) * (slope.size // len(slope)) <= INT64_MAX
    return slope if fits else slope.astype(object)


def _scattered(slope: Any, places: IntArray, width: int) -> Any:
    """Slopes added up where they belong; place -1 is padding."""
    slope = _roomy(slope)
    out = np.zeros((len(slope), width + 1), dtype=slope.dtype)
    for point, own in enumerate(slope):
        np.add.at(out[point], places, own)
    return out[:, :width]
