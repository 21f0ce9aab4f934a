"""Discrete Gaussian noise: its distribution, exactness where floats cannot decide, and independence of the source."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from troth.core.errors import BadInput
from troth.learn.privacy import noise
from troth.learn.privacy.noise import MAX_SIGMA, Source, discrete_gaussian, uniform

SAMPLES = 200_000


def repeatable(seed: int) -> Source:
    """A source for tests: nobody's secret."""
    return np.random.default_rng(seed).bytes


@pytest.mark.parametrize("sigma", [1, 2, 5])
def test_small_sigmas_have_the_defined_distribution(sigma: int) -> None:
    found = discrete_gaussian(sigma, SAMPLES, repeatable(sigma))
    reach = 4 * sigma
    weights = np.array([math.exp(-x * x / (2 * sigma * sigma)) for x in range(-20 * sigma, 20 * sigma + 1)])
    chances = weights / weights.sum()
    inner = chances[16 * sigma:24 * sigma + 1]
    counts = np.array([(found == x).sum() for x in range(-reach, reach + 1)] + [(np.abs(found) > reach).sum()])
    expected = np.append(inner, 1 - inner.sum()) * SAMPLES
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("sigma", [1 << 12, 1 << 28, MAX_SIGMA])
def test_large_sigmas_are_gaussian_and_whole(sigma: int) -> None:
    found = discrete_gaussian(sigma, SAMPLES, repeatable(7))
    assert found.dtype == np.int64
    assert stats.kstest(found / sigma, "norm").pvalue > 1e-3
    assert stats.chisquare(np.bincount(found % 16, minlength=16)).pvalue > 1e-3, "the low bits must be noise too"


def test_a_comparison_too_close_for_floats_is_made_exactly() -> None:
    chance = Fraction(decimal.Context(prec=60).exp(decimal.Decimal(-1) / 2))  # k = 0, j = sigma = 1: exp(-1/2)
    near = int(chance * 2**53)
    calls: list[int] = []

    def source(more: int) -> Callable[[int], bytes]:
        def read(count: int) -> bytes:
            calls.append(count)
            # First the 53 bits that agree with the chance; then what decides.
            return (near << 11).to_bytes(8, "little") if len(calls) == 1 else more.to_bytes(8, "little")
        return read

    rest = int((chance * 2**53 - near) * 2**64)
    for more, below in ((rest - 1, True), (rest + 1, False), (0, True), (2**64 - 1, False)):
        calls.clear()
        one, zero = np.array([1]), np.array([0])
        assert noise._chances(zero, one, 1, source(more)).tolist() == [below]
        assert len(calls) == 2, "the first bits cannot decide this"


@pytest.mark.parametrize(("k", "j", "sigma"), [(0, 3, 7), (1, 1, 5), (1, 4, 5), (2, 1, 2), (3, 999, 1000)])
def test_every_proposal_is_accepted_with_its_own_chance(k: int, j: int, sigma: int) -> None:
    gamma = decimal.Decimal((k * (k - 1)) * sigma**2 + j * (2 * k * sigma + j)) / (2 * sigma**2)
    chance = int(Fraction(decimal.Context(prec=60).exp(-gamma)) * 2**53)
    for shift, accepted in ((-2**20, True), (2**20, False)):
        drawn = ((chance + shift) << 11).to_bytes(8, "little")
        assert noise._chances(np.array([k]), np.array([j]), sigma, lambda _, bits=drawn: bits).tolist() == [accepted]


def test_two_calls_never_repeat() -> None:
    assert (discrete_gaussian(1 << 30, 1000) != discrete_gaussian(1 << 30, 1000)).mean() > 0.99


def test_uniform_draws_refuse_the_last_uneven_words() -> None:
    words = [2**64 - 1, 5]
    found = uniform(3, 1, lambda count: words.pop(0).to_bytes(count, "little"))
    assert found.tolist() == [2], "2**64 - 1 is the one word above the last multiple of 3"
    assert words == []


@pytest.mark.parametrize("sigma", [0, -1, MAX_SIGMA + 1, 1.5, True])
def test_other_sigmas_are_refused(sigma: object) -> None:
    with pytest.raises(BadInput):
        discrete_gaussian(sigma, 1)  # type: ignore[arg-type]
    assert len(discrete_gaussian(1, 0)) == 0
