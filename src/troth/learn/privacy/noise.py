"""Noise in integers, drawn exactly: discrete Gaussian samples from the operating system's secure randomness.

The discrete Gaussian over the integers has P(x) proportional to exp(-x^2 / (2 sigma^2)) (Canonne, Kamath, Steinke,
2020). For an integer sigma write |x| = k sigma + j with 0 <= j < sigma: then x^2 / (2 sigma^2) = k/2 + gamma with
gamma = k(k-1)/2 + t(2k + t)/2 and t = j / sigma, which a rejection takes (Karney, 2016): draw k as the number of
successes, each of chance exp(-1/2), before the first failure; j uniformly; a sign (minus zero is refused); and accept
with chance exp(-gamma).

**Exactly.** A comparison of a uniform number with exp(-gamma) is made on the first 53 bits against the float value,
and only where these are nearer to each other than the float's error could be are more bits drawn, and the exponential
computed to as many digits as it takes. So every sample has its defined chance, and no low bits of a float give the
noise away (Mironov, 2012).

**Secretly.** Whoever knows the noise subtracts it. The bytes come from ``os.urandom``; a caller who passes another
source answers for its secrecy. Time taken depends on the draws: whoever can time this process learns something.
"""

from __future__ import annotations

import decimal
import os
from collections.abc import Callable

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray

Source = Callable[[int], bytes]
"""So many uniform secret bytes."""
MAX_SIGMA = 1 << 40
MAX_SAMPLES = 1 << 26
_BATCH = 1 << 16  # proposals at once: some 3 MiB of work
_MARGIN = 2.0**-40
"""More than the float error of exp(-gamma): gamma has a relative error below 2**-50, and exp(-gamma) gamma is below 1;
where gamma is large, both sides of a close comparison are small and the exact one is made."""


def _words(count: int, source: Source) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.frombuffer(source(8 * count), dtype="<u8").astype(np.uint64, copy=False)


def uniform(bound: int, count: int, source: Source = os.urandom) -> IntArray:
    """``count`` integers, each uniform in 0 … bound - 1. Raises BadInput for a bound outside 1 … 2**62."""
    if not 1 <= bound <= 1 << 62 or not 0 <= count <= MAX_SAMPLES:
        raise BadInput("a uniform draw is out of range", expected="a bound of 1 to 2**62", actual=(bound, count))
    whole = (1 << 64) // bound * bound
    found: list[IntArray] = [np.zeros(0, dtype=np.int64)]
    missing = count
    while missing:
        words = _words(missing, source)
        if whole < 1 << 64:
            words = words[words < np.uint64(whole)]
        found.append((words % np.uint64(bound)).astype(np.int64))
        missing -= len(words)
    return np.concatenate(found)


def _below_exp(bits: int, count: int, halves: Callable[[decimal.Context], decimal.Decimal], source: Source) -> bool:
    """Whether the uniform number that begins with ``count`` bits, ``bits``, is below exp(-gamma); exactly.

    halves: gamma, rounded once in a context. Decimal's exponential is correctly rounded.
    """
    while True:
        context = decimal.Context(prec=count // 3 + 20)
        gamma = halves(context)
        value = context.exp(context.minus(gamma))
        # gamma's one rounding and the exponential's move the value by less than this.
        error = value * (gamma + 2) * decimal.Decimal(10) ** (2 - context.prec)
        scaled = decimal.Decimal(1 << count)
        exact = decimal.Context(prec=4 * context.prec)
        if exact.multiply(exact.subtract(value, error), scaled) >= bits + 1:
            return True
        if exact.multiply(exact.add(value, error), scaled) <= bits:
            return False
        bits, count = bits << 64 | int(_words(1, source)[0]), count + 64


def _chances(ks: IntArray, js: IntArray, sigma: int, source: Source) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """One draw each of chance exp(-gamma) for k and j."""
    k, t = ks.astype(np.float64), js / sigma
    chance = np.exp(-(k * (k - 1) / 2 + t * (2 * k + t) / 2))
    bits = (_words(len(ks), source) >> np.uint64(11)).astype(np.int64)
    drawn = bits * 2.0**-53
    accepted = drawn < chance
    for at in np.flatnonzero(np.abs(drawn - chance) <= _MARGIN).tolist():
        top = int(ks[at]) * (int(ks[at]) - 1) * sigma * sigma + int(js[at]) * (2 * int(ks[at]) * sigma + int(js[at]))
        below = 2 * sigma * sigma

        def gamma(context: decimal.Context, top: int = top, below: int = below) -> decimal.Decimal:
            return context.divide(decimal.Decimal(top), decimal.Decimal(below))

        accepted[at] = _below_exp(int(bits[at]), 53, gamma, source)
    return accepted


def _successes(count: int, source: Source) -> IntArray:
    """How often each of ``count`` draws of chance exp(-1/2) succeeded before it failed."""
    found = np.zeros(count, dtype=np.int64)
    going = np.arange(count)
    while len(going):
        # exp(-1/2) is the chance of k = 0 and j = sigma, for any sigma.
        going = going[_chances(np.zeros(len(going), np.int64), np.ones(len(going), np.int64), 1, source)]
        found[going] += 1
    return found


def discrete_gaussian(sigma: int, count: int, source: Source = os.urandom) -> IntArray:
    """``count`` independent samples of the discrete Gaussian of parameter ``sigma``, int64.

    sigma: an integer, 1 … 2**40; the standard deviation is sigma, up to an error like exp(-2 pi^2 sigma^2). Below
    1 µs a sample. Raises BadInput otherwise.
    """
    if type(sigma) is not int or not 1 <= sigma <= MAX_SIGMA or not 0 <= count <= MAX_SAMPLES:
        raise BadInput("discrete Gaussian noise out of range", expected=f"an integer sigma of 1 to {MAX_SIGMA}",
                       actual=(sigma, count))
    found: list[IntArray] = [np.zeros(0, dtype=np.int64)]
    missing = count
    while missing > 0:
        many = min(_BATCH, 2 * missing + 64)  # about half are accepted
        ks, js = _successes(many, source), uniform(sigma, many, source)
        minus = (_words(many, source) & np.uint64(1)).astype(bool)
        kept = _chances(ks, js, sigma, source) & ~(minus & (ks == 0) & (js == 0))
        samples = (ks * sigma + js)[kept]
        found.append(np.where(minus[kept], -samples, samples)[:missing])
        missing -= len(found[-1])
    return np.concatenate(found)
