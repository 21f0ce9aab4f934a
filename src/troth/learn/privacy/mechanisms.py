"""What was done to records, as canonical data: from it anybody computes the same epsilon again.

A *mechanism* releases, ``steps`` times, a sum of vectors plus noise. Each record (or site, see ``unit``) contributes
one vector of Euclidean norm at most ``sensitivity``, or none; before each step every record is drawn independently with
chance ``rate`` / 2**32 (Poisson sampling). Neighbours differ by one record being there or not. Steps may depend on what
earlier ones released, and on anything that does not come from the records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from troth.core.encoding import take
from troth.core.errors import BadInput
from troth.learn.privacy.noise import MAX_SIGMA

DISCRETE, FLOAT = "discrete_gaussian", "gaussian"
"""Noise drawn exactly over the integers (`noise`); or in floating point, whose low bits may give it away."""
RECORD, SITE = "record", "site"
EVERY = 1 << 32
"""The rate at which every record takes part in every step."""
MAX_STEPS = 1 << 24
MAX_DIMENSION = 1 << 26
MAX_SHARES = 1 << 20
LEAST_SIGMA = 4
"""Below it the accounting's bound on discrete against continuous noise would no longer be negligible."""
LEAST_MULTIPLIER, MOST_MULTIPLIER = 0.1, 10_000.0
MICRO = 1_000_000
MAX_EPSILON = 10**12
"""A million: nothing is private long before."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """``steps`` noisy sums. Units of ``sensitivity`` and ``sigma`` are the same, and any.

    sigma: of one share of the noise. shares: how many independent shares are surely in each sum: 1 where one party
    adds the noise, the number of sites relied upon where each adds its own. dimension: of the vectors.

    Raises BadInput for anything out of range.
    """

    sensitivity: int
    sigma: int
    steps: int = 1
    rate: int = EVERY
    dimension: int = 1
    shares: int = 1
    noise: str = DISCRETE
    unit: str = RECORD

    def __post_init__(self) -> None:
        for name, value, least, most in (
                ("sensitivity", self.sensitivity, 1, MAX_SIGMA), ("sigma", self.sigma, LEAST_SIGMA, MAX_SIGMA),
                ("steps", self.steps, 1, MAX_STEPS), ("rate", self.rate, 1, EVERY),
                ("dimension", self.dimension, 1, MAX_DIMENSION), ("shares", self.shares, 1, MAX_SHARES)):
            if type(value) is not int or not least <= value <= most:
                raise BadInput(f"a mechanism's {name} is out of range", expected=f"{least} to {most}", actual=value)
        if self.noise not in (DISCRETE, FLOAT) or self.unit not in (RECORD, SITE):
            raise BadInput("a mechanism of unknown noise or unit",
                           expected=f"{DISCRETE} or {FLOAT}; {RECORD} or {SITE}", actual=f"{self.noise}, {self.unit}")
        if not LEAST_MULTIPLIER <= self.multiplier <= MOST_MULTIPLIER:
            raise BadInput("noise too weak or too strong to account for",
                           expected=f"{LEAST_MULTIPLIER} to {MOST_MULTIPLIER} of the sensitivity",
                           actual=f"{self.multiplier:.4g}")

    @property
    def multiplier(self) -> float:
        """The noise's standard deviation over the sensitivity, never above the true ratio."""
        ratio = self.sigma * math.sqrt(self.shares) / self.sensitivity
        return ratio if self.shares == 1 and self.sigma % self.sensitivity == 0 else ratio * (1 - 2.0**-50)

    def body(self) -> dict[str, Any]:
        """The description, for claims."""
        return {"dimension": self.dimension, "noise": self.noise, "rate": self.rate, "sensitivity": self.sensitivity,
                "shares": self.shares, "sigma": self.sigma, "steps": self.steps, "unit": self.unit}

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read a description. Raises BadInput."""
        dimension, noise, rate, sensitivity, shares, sigma, steps, unit = take(
            value, dimension=int, noise=str, rate=int, sensitivity=int, shares=int, sigma=int, steps=int, unit=str)
        return cls(sensitivity, sigma, steps, rate, dimension, shares, noise, unit)

    def text(self) -> str:
        """In one line, for people."""
        sampled = "" if self.rate == EVERY else f", each {self.unit} drawn with chance {self.rate / EVERY:.6f}"
        shares = "" if self.shares == 1 else f" in {self.shares} shares"
        return f"{self.steps} x {self.noise} {self.multiplier:.4f}{shares} of {self.dimension} numbers{sampled}"


def delta_text(text: str) -> str:
    """A delta's one spelling in claims, from any decimal number: ``1e-5`` becomes ``0.00001``.

    Raises BadInput unless it is above 0, below 1 and has at most 18 places.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or not 0 < value < 1 or value != round(value, 18):
        raise BadInput("not a delta", expected="a decimal number above 0 and below 1, at most 18 places",
                       actual=ascii(text[:40]))
    return format(value.normalize(), "f")


def delta_of(text: Any) -> Decimal:
    """A delta in a claim. Raises BadInput for another spelling than ``delta_text``'s."""
    if type(text) is not str or len(text) > 20 or delta_text(text) != text:
        raise BadInput("a delta is not in canonical form", expected="as 0.00001", actual=ascii(str(text)[:40]))
    return Decimal(text)


def micro(text: str) -> int:
    """An epsilon in micro-epsilon from decimal text, which it must equal. Raises BadInput."""
    try:
        value = Decimal(text.strip()) * MICRO
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or not 0 < value <= MAX_EPSILON or value != int(value):
        raise BadInput("not an epsilon", expected="a decimal number above 0, at most 6 places", actual=ascii(text[:40]))
    return int(value)


def epsilon_text(micro_epsilon: int) -> str:
    """Micro-epsilon as a decimal number."""
    return format((Decimal(micro_epsilon) / MICRO).normalize(), "f")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a claim says of the privacy spent: what was done, and the epsilon at a delta, rounded up."""

    mechanism: Mechanism
    epsilon: int
    delta: str

    def __post_init__(self) -> None:
        delta_of(self.delta)
        if not 1 <= self.epsilon <= MAX_EPSILON:
            raise BadInput("an epsilon is out of range", expected=f"1 to {MAX_EPSILON} micro-epsilon",
                           actual=self.epsilon)

    def body(self) -> dict[str, Any]:
        """For a claim's body."""
        return {"delta": self.delta, "mechanism": self.mechanism.body(), "micro_epsilon": self.epsilon}

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read it. Raises BadInput."""
        delta, mechanism, epsilon = take(value, delta=str, mechanism=dict, micro_epsilon=int)
        return cls(Mechanism.of(mechanism), epsilon, delta)


def merged(mechanisms: Iterable[Mechanism]) -> dict[tuple[float, int], int]:
    """(multiplier, rate) -> steps: all that an ideal accounting depends on, in one order."""
    found: dict[tuple[float, int], int] = {}
    for one in mechanisms:
        key = (one.multiplier, one.rate)
        found[key] = found.get(key, 0) + one.steps
    return dict(sorted(found.items()))
