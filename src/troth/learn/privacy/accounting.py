"""Epsilon from described mechanisms, by privacy loss distributions (`dp-accounting`, extra ``privacy``).

The ideal mechanism adds a Gaussian in real numbers and rounds; rounding gives nothing away. Its privacy loss
distribution, Poisson-sampled and composed over all steps, is computed pessimistically on a grid of 10**-4 (connect the
dots; Doroshenko et al., 2022), so its epsilon is never below the true one, but for the rounding of 64-bit floats.

The real noise is a discrete Gaussian, or a sum of several, and not the ideal one. Over N coordinates and steps the two
differ in total variation by at most eta, the sum of

- sqrt(N) / (14 sigma^2), between discrete and rounded Gaussians. With f the Gaussian's density and S its sum over the
  integers, R(k) = f(k) (1 + g(k)) is the rounded one and f / S the discrete one. -1 / (24 sigma^2) <= g(k) <=
  k^2 / (24 sigma^4) cosh(k / (2 sigma^2)), and sum f g = 1 - S <= 0, so the divergence KL(R || f / S) is at most
  sum f g^2 + ln S, below 1 / (100 sigma^4) for sigma of 4 or more. Divergences add up, also where a step depends on
  those before; Pinsker's inequality takes the root.
- 10 N n exp(-pi^2 sigma^2), between n summed discrete Gaussians and one (Kairouz, Liu, Steinke, 2021, theorem 1).

Whatever is (epsilon, delta) for the ideal mechanism is (epsilon, delta + (1 + exp(epsilon)) eta) for the real one. That
is counted in: nothing is called negligible.

For noise ``gaussian`` (in floating point) there is no such bound, and none is counted: the epsilon is of an ideal that
the computation only approximates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.learn.privacy.mechanisms import (
    DISCRETE,
    EVERY,
    LEAST_SIGMA,
    MAX_EPSILON,
    MICRO,
    MOST_MULTIPLIER,
    Mechanism,
    Spent,
    delta_of,
    merged,
)

SCHEME = "troth-pld-1"
"""Name of this way of computing, with all its constants."""
GRID, COARSE = 1e-4, 1e-3
TOLERANCE = 2
"""Micro-epsilon by which two machines' results may differ: floats are summed in other orders there."""


def _library() -> Any:
    try:
        # Imported here: an optional extra, and two seconds that only accounting needs.
        from dp_accounting.pld import privacy_loss_distribution
    except ImportError as missing:
        raise OutsideFailed("accounting for privacy needs dp-accounting, which is not installed",
                            do="Run: pip install 'troth[privacy]'") from missing
    return privacy_loss_distribution


def ready() -> None:
    """Load what accounting needs. Raises OutsideFailed with the install hint without the extra."""
    _library()


@functools.lru_cache(maxsize=64)
def _one(multiplier: float, rate: int, grid: float) -> Any:
    """The loss distribution of one step."""
    return _library().from_gaussian_mechanism(multiplier, sensitivity=1.0, pessimistic_estimate=True,
                                              value_discretization_interval=grid, sampling_prob=rate / EVERY)


@functools.lru_cache(maxsize=64)
def _several(multiplier: float, rate: int, steps: int, grid: float) -> Any:
    one = _one(multiplier, rate, grid)
    return one if steps == 1 else one.self_compose(steps)


def distance(mechanisms: Iterable[Mechanism]) -> float:
    """Eta: the total variation between these mechanisms and the ideal ones, together."""
    divergence = summed = 0.0
    for one in mechanisms:
        if one.noise == DISCRETE:
            size = one.steps * one.dimension
            divergence += size / (100 * float(one.sigma) ** 4 * one.shares**2)
            if one.shares > 1:
                summed += 10 * size * one.shares * math.exp(-math.pi**2 * one.sigma**2)
    return math.sqrt(divergence / 2) * (1 + 1e-9) + summed


def epsilon(mechanisms: Iterable[Mechanism], delta: str, *, grid: float = GRID) -> int:
    """Micro-epsilon at ``delta`` of all these mechanisms on the same records, rounded up; 0 for none.

    grid: another than GRID only to search quickly. Raises BadInput where the noise is too coarse for this delta or
    epsilon passes a million, OutsideFailed without the extra.
    """
    items = tuple(mechanisms)
    exact = delta_of(delta)
    if not items:
        return 0
    losses: Any = None
    for (multiplier, rate), steps in merged(items).items():
        several = _several(multiplier, rate, steps, grid)
        losses = several if losses is None else losses.compose(several)
    found = _with_distance(losses, float(exact), distance(items))
    if not found * MICRO < MAX_EPSILON:
        raise BadInput("no epsilon holds at this delta", expected=f"below {MAX_EPSILON // MICRO}", actual=found,
                       do="Add noise, take fewer steps, or use a finer unit for the noise.")
    return math.ceil(Decimal(found) * MICRO)


def _with_distance(losses: Any, delta: float, eta: float) -> float:
    """The least epsilon found with ideal delta + (1 + exp(epsilon)) eta <= delta; infinite if there is none."""
    found = max(0.0, float(losses.get_epsilon_for_delta(delta)))
    while eta:
        if not found < 700:  # exp would overflow
            return math.inf
        left = delta - (1 + math.exp(found)) * eta
        if left <= 0:
            return math.inf
        again = float(losses.get_epsilon_for_delta(left))
        # `again` is right for the distance at `found`, so it is right for itself once it does not exceed it.
        if again <= found:
            break
        found = again * (1 + 1e-9)
    return found


def spent(mechanism: Mechanism, delta: str) -> Spent:
    """What a claim says of this mechanism alone. Raises as ``epsilon``."""
    return Spent(mechanism, epsilon([mechanism], delta), delta)


def agrees(said: int, found: int) -> bool:
    """Whether an epsilon in a claim is as large as what was computed again, up to TOLERANCE."""
    return said >= found - TOLERANCE


def calibrate(mechanism: Mechanism, target: int, delta: str, before: Sequence[Mechanism] = ()) -> Mechanism:
    """The same mechanism with about the least sigma for which it and ``before`` spend at most ``target`` micro-epsilon.

    Within 1 % of the least. Raises Misuse where no noise is enough, OutsideFailed without the extra.
    """
    def fits(multiplier: float, grid: float = COARSE) -> bool:
        try:
            return epsilon([*before, _with_noise(mechanism, multiplier)], delta, grid=grid) <= target
        except BadInput:
            return False

    # A first guess from the Gaussian mechanism's tail, then doubling, then halving the ratio between the bounds.
    guess = mechanism.rate / EVERY * math.sqrt(mechanism.steps * 2 * math.log(1.25 / float(delta))) * MICRO / target
    high = min(max(guess, 0.5), MOST_MULTIPLIER / 4)
    while not fits(high):
        if high > MOST_MULTIPLIER / 4:
            raise Misuse("no noise keeps within this epsilon", expected=f"at most {target} micro-epsilon at {delta}",
                         do="Raise the epsilon or take fewer steps. What earlier rounds spent stays spent.")
        high *= 2
    low = high / 2
    while low > 0.15 and fits(low):
        low, high = low / 2, low
    low = max(low, 0.15)
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    while not fits(high, GRID):
        high *= 1.002
    return _with_noise(mechanism, high)


def _with_noise(mechanism: Mechanism, multiplier: float) -> Mechanism:
    sigma = math.ceil(multiplier * mechanism.sensitivity / math.sqrt(mechanism.shares))
    return replace(mechanism, sigma=max(LEAST_SIGMA, sigma))
