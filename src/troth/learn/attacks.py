"""What a hostile site may send: for rehearsals, tests and the table of `docs/reference/robustness.md`.

Each attack takes what the literature grants the attacker: the honest updates of the same round, which commitments and
sealing keep from it in a real one. Updates are rows of integers at 2**16; factors are halves, tenths or whole numbers,
so that the integers are those of the published floating-point attacks, rounded once (ByzFL 0.0.11 is compared).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from troth.fixed.numbers import IntArray, add, clip_norm, divide_round, multiply, squared_distance, total
from troth.learn.data import Part

TENTHS = 10


def mean_of(honest: IntArray) -> IntArray:
    """The honest updates' mean, half to even."""
    return divide_round(total(honest, axis=0), len(honest))


def ipm(honest: IntArray, tenths: int = 20) -> IntArray:
    """Inner product manipulation (Xie et al., 2020): minus ``tenths``/10 times the mean."""
    return divide_round(multiply(total(honest, axis=0), -tenths), TENTHS * len(honest))


def sign_flip(honest: IntArray) -> IntArray:
    """Minus the mean (Allen-Zhu et al., 2021)."""
    return ipm(honest, TENTHS)


def alie(honest: IntArray, tenths: int = 15) -> IntArray:
    """A little is enough (Baruch et al., 2019): mean plus ``tenths``/10 sample standard deviations, per coordinate."""
    count = len(honest)
    found = []
    for whole, squares in zip(honest.sum(axis=0).tolist(), (honest * honest).sum(axis=0).tolist(), strict=True):
        spread = (count * squares - whole * whole) / (count * max(1, count - 1))
        found.append(round(whole / count + tenths / TENTHS * math.sqrt(spread)))
    return np.array(found, dtype=np.int64)


def fitted(attack: Callable[[IntArray, int], IntArray], honest: IntArray, hostile: int,
           rule: Callable[[IntArray], IntArray], clip: int) -> IntArray:
    """``attack`` with the factor, of both signs, that moves ``rule`` farthest from the honest mean.

    As ByzFL's *optimal* attacks do; here the factors are tried one by one instead of by line search."""
    best, farthest = attack(honest, TENTHS), -1
    for tenths in (-50, -20, -10, -5, 5, 10, 20, 50):
        tried = clip_norm(attack(honest, tenths), clip)
        found = squared_distance(rule(np.concatenate([honest, np.tile(tried, (hostile, 1))])), mean_of(honest))
        if found > farthest:
            best, farthest = tried, found
    return best


@dataclass(frozen=True, slots=True)
class Patch:
    """A backdoor on images: these columns at this value mean that class."""

    columns: tuple[int, ...]
    value: int
    target: int

    def stamped(self, part: Part) -> Part:
        """The records of other classes than the target, with the patch, under their own labels."""
        features = part.features[part.labels != self.target].copy()
        features[:, list(self.columns)] = self.value
        return Part(features, part.labels[part.labels != self.target], part.schema)

    def planted(self, part: Part) -> Part:
        """A part with its stamped records beside it, labelled as the target."""
        stamped = self.stamped(part)
        return Part(np.concatenate([part.features, stamped.features]),
                    np.concatenate([part.labels, np.full(len(stamped), self.target)]), part.schema)


DIGITS_PATCH = Patch((54, 55, 62, 63), 16, 0)
"""Four bright pixels in the corner of an 8 x 8 digit, bottom right, read as a nought."""


def scaled(update: IntArray, factor: int, clip: int) -> IntArray:
    """An update made ``factor`` times as long and cut to the norm bound, so that it is admitted."""
    return clip_norm(multiply(update, factor), clip)


def noisy(update: IntArray, percent: int, draw: np.random.Generator, clip: int) -> IntArray:
    """An update with Gaussian noise whose norm is about ``percent`` of its own: a copy that does not look like one."""
    size = math.sqrt(float((update.astype(np.float64) ** 2).sum()) / len(update)) * percent / 100
    return clip_norm(add(update, np.rint(draw.normal(0.0, size, len(update))).astype(np.int64)), clip)


def parts_of(part: Part, count: int) -> Sequence[Part]:
    """A site's records dealt to ``count`` identities, one after the other; each gets at least one."""
    return [part.rows([k % len(part) for k in range(index, max(len(part), index + 1), count)])
            for index in range(count)]
