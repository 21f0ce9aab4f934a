"""Epsilon against formulas and figures of others; how it grows; what the discrete noise adds; calibration."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm as normal

from troth.core.errors import BadInput, Misuse
from troth.learn.privacy import accounting
from troth.learn.privacy.accounting import agrees, calibrate, distance, epsilon, spent
from troth.learn.privacy.client import SiteNoise
from troth.learn.privacy.mechanisms import (
    EVERY,
    MICRO,
    Mechanism,
    Spent,
    delta_text,
    epsilon_text,
    micro,
)

UNIT = 1 << 28
DELTA = "0.00001"


def gaussian(multiplier: float, steps: int = 1, chance: float = 1.0) -> Mechanism:
    return Mechanism(UNIT, round(multiplier * UNIT), steps, round(chance * EVERY), 100)


def exact_delta(multiplier: float, found: float, chance: float) -> float:
    """One sampled Gaussian's delta at an epsilon, in closed form, the larger of both directions (Balle, Wang, 2018)."""
    def beyond(at: float, mean: float) -> float:
        return float(normal.sf((at - mean) / multiplier))

    def point(growth: float) -> float:
        return multiplier**2 * math.log(growth) + 0.5

    # There and not there: (1-q) N(0) + q N(1) against N(0), and the other way round.
    growth = (math.exp(found) - 1 + chance) / chance
    at = point(growth)
    there = chance * beyond(at, 1) - (math.exp(found) - 1 + chance) * beyond(at, 0)
    growth = (math.exp(-found) - 1 + chance) / chance
    if growth <= 0:
        return there
    at = point(growth)
    away = (1 - math.exp(found) * (1 - chance)) * (1 - beyond(at, 0)) - math.exp(found) * chance * (1 - beyond(at, 1))
    return max(there, away)


@pytest.mark.parametrize(("multiplier", "chance"), [(1.0, 1.0), (4.0, 1.0), (0.7, 0.01), (1.1, 0.2), (2.0, 0.5)])
def test_one_step_is_the_closed_form(multiplier: float, chance: float) -> None:
    found = epsilon([gaussian(multiplier, chance=chance)], DELTA) / MICRO
    assert exact_delta(multiplier, found, chance) <= 1e-5, "never below the truth"
    assert exact_delta(multiplier, found - 0.001, chance) > 1e-5, "and near it"


def test_unsampled_steps_compose_like_one_of_less_noise() -> None:
    # 16 Gaussians of 4 s are exactly one of s.
    assert epsilon([gaussian(8.0, 16)], DELTA) == pytest.approx(epsilon([gaussian(2.0)], DELTA), rel=1e-3)


def test_published_figures() -> None:
    """Abadi et al., 2016, section 3.2: q = 0.01, sigma = 4, 10,000 steps: 1.26 by moments, which later ways improve."""
    assert 0.9 < epsilon([gaussian(4.0, 10_000, 0.01)], DELTA) / MICRO < 1.26


def test_another_library_gives_more_but_not_much() -> None:
    """Opacus's Renyi accountant is an upper bound of another kind."""
    peer = pytest.importorskip("opacus.accountants").RDPAccountant()
    peer.history = [(1.1, 0.05, 500)]
    ours, theirs = epsilon([gaussian(1.1, 500, 0.05)], DELTA) / MICRO, peer.get_epsilon(1e-5)
    assert 0.85 * theirs < ours < theirs


@settings(max_examples=3, deadline=None)
@given(parts=st.lists(st.tuples(st.sampled_from([1.7, 4.0]), st.sampled_from([1.0, 0.1]),
                                st.integers(1, 5)), min_size=1, max_size=3))
def test_more_is_never_less_and_order_does_not_matter(parts: list[tuple[float, float, int]]) -> None:
    items = [gaussian(multiplier, steps, chance) for multiplier, chance, steps in parts]
    whole = epsilon(items, DELTA)
    assert whole == epsilon(items[::-1], DELTA)
    assert epsilon(items[:-1], DELTA) < whole <= sum(epsilon([one], DELTA) for one in items)
    assert epsilon([], DELTA) == 0


def divergence(sigma: int) -> float:
    """KL of the rounded Gaussian from the discrete one, summed."""
    reach = range(-12 * sigma, 12 * sigma + 1)
    total = sum(math.exp(-k * k / (2 * sigma**2)) for k in reach)
    found = 0.0
    for k in reach:
        rounded = float(normal.cdf((0.5 - abs(k)) / sigma) - normal.cdf((-0.5 - abs(k)) / sigma))
        found += rounded * math.log(rounded * total / math.exp(-k * k / (2 * sigma**2))) if rounded > 0 else 0.0
    return found


@pytest.mark.parametrize("sigma", [4, 5, 9])
def test_discrete_noise_is_as_near_to_rounded_noise_as_the_bound_says(sigma: int) -> None:
    assert 0 < divergence(sigma) <= 1 / (100 * sigma**4)


def test_coarse_noise_costs_and_too_coarse_noise_is_refused() -> None:
    fine, coarse = (Mechanism(unit, 2 * unit, 1, dimension=1000) for unit in (UNIT, 2000))
    assert distance([fine]) < 1e-15 < 1e-7 < distance([coarse])
    assert epsilon([coarse], DELTA) > epsilon([fine], DELTA)
    with pytest.raises(BadInput, match="no epsilon holds"):
        epsilon([Mechanism(4, 8, 1, dimension=1_000_000)], DELTA)


def test_shares_of_noise_add_up() -> None:
    noise = SiteNoise.together(1 << 17, 2.0, 4)
    assert noise.of_sites(31).multiplier == pytest.approx(2.0, rel=1e-4)
    assert noise.of_sites(31).multiplier >= 2.0
    assert epsilon([noise.of_sites(31)], DELTA) == pytest.approx(epsilon([gaussian(2.0)], DELTA), rel=1e-3)
    assert epsilon([noise.of_records(31)], DELTA) == pytest.approx(epsilon([gaussian(1.0)], DELTA), rel=1e-3)


@pytest.mark.parametrize("target", ["8"])
def test_calibrated_noise_keeps_within_the_target_and_hardly_less_does(target: str) -> None:
    found = calibrate(gaussian(1.0, 200, 0.1), micro(target), DELTA)
    assert epsilon([found], DELTA) <= micro(target)
    assert epsilon([gaussian(found.multiplier * 0.98, 200, 0.1)], DELTA) > micro(target)


def test_no_noise_makes_room_where_all_is_spent() -> None:
    before = [gaussian(1.0)]
    with pytest.raises(Misuse, match="no noise keeps"):
        calibrate(gaussian(1.0), epsilon(before, DELTA) - 1, DELTA, before)


def test_a_description_is_canonical_and_gives_its_epsilon_again() -> None:
    said = spent(gaussian(1.3, 20, 0.25), DELTA)
    again = Spent.of(said.body())
    assert again == said
    assert agrees(again.epsilon, epsilon([again.mechanism], again.delta))
    assert not agrees(said.epsilon - accounting.TOLERANCE - 1, said.epsilon), "an understatement is seen"
    for change in ({"sigma": 0}, {"sigma": 1.5}, {"rate": EVERY + 1}, {"steps": 0}, {"noise": "laplace"},
                   {"unit": "table"}, {"sigma": UNIT // 100}, {"more": 1}):
        with pytest.raises(BadInput):
            Mechanism.of(said.mechanism.body() | change)
    for gone in said.mechanism.body():
        with pytest.raises(BadInput):
            Mechanism.of({name: value for name, value in said.mechanism.body().items() if name != gone})


def test_numbers_in_text() -> None:
    assert delta_text("1e-5") == "0.00001" == delta_text(" 0.000010 ")
    assert (micro("0.5"), epsilon_text(1_500_000)) == (500_000, "1.5")
    for bad in ("0", "1", "-0.1", "nan", "x", "1e-19", ""):
        with pytest.raises(BadInput):
            delta_text(bad)
    for bad in ("0", "-1", "inf", "0.0000001", "x"):
        with pytest.raises(BadInput):
            micro(bad)
    with pytest.raises(BadInput):
        Spent(gaussian(1.0), 1, "1e-5")
