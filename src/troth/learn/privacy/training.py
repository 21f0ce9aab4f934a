"""Training that bounds what any one record can change (DP-SGD; Abadi et al., 2016), summed and noised in integers.

Each step draws every record independently, clips each drawn record's gradient to a norm, sums, adds noise, and moves.

**What makes the accounting hold.** The clipped gradient of a record is an integer vector, in units of the clip norm
over 2**28, whose Euclidean norm is at most 2**28 by an exact check; a gradient that is not finite counts as zero. The
sum of integers is exact and does not depend on its order, and the noise is an exact discrete Gaussian. So the only
float arithmetic that touches a record is inside that record's own gradient, where any function is allowed. Sampling is
Poisson with a chance that is an exact multiple of 2**-32, and a step without a single record releases its noise too.

Assumed: the gradient of a record depends on that record and on the released parameters alone (no batch normalisation);
scaling, the number of records and every hyper-parameter come from elsewhere or are public.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray, IntArray
from troth.learn.privacy.mechanisms import EVERY, MAX_STEPS, Mechanism
from troth.learn.privacy.noise import Source, discrete_gaussian

BOUND = 1 << 28
"""The clip norm, in the units that gradients are summed in."""
Gradients = Callable[[FloatArray, IntArray], FloatArray]
"""(parameters (d,), indices (b,)) -> the gradient of each of these records' losses, (b, d)."""
_CHUNK = 1 << 22  # numbers of per-record gradients at once: 32 MiB


@dataclass(frozen=True, slots=True)
class PrivateSteps:
    """How one site trains on its records for one round.

    sigma: of the noise, in units of the clip norm over 2**28. sampled: chance of each record in each step, in 2**-32.
    rate: learning rate. norm: the clip norm. decay: weight decay, which tells nothing of records.
    """

    steps: int
    sigma: int
    sampled: int = EVERY
    rate: float = 0.5
    norm: float = 1.0
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS or not 0 < self.rate <= 1000 or not 0 <= self.decay <= 1:
            raise BadInput("private training is out of range", expected="steps >= 1, rate > 0, 0 <= decay <= 1",
                           actual=self)
        if not 1e-6 <= self.norm <= 1e6:
            raise BadInput("a clip norm is out of range", expected="0.000001 to 1000000", actual=self.norm)
        self.mechanism(1)

    def mechanism(self, dimension: int) -> Mechanism:
        """What it does to the records, for the accounting. Raises BadInput for noise out of range."""
        return Mechanism(BOUND, self.sigma, self.steps, self.sampled, dimension)


def chance(batch: int, count: int) -> int:
    """The chance that draws ``batch`` of ``count`` records on average, in units of 2**-32, rounded up.

    Raises BadInput for a batch outside 1 … count.
    """
    if not 1 <= batch <= count:
        raise BadInput("an average batch does not fit the records", expected=f"1 to {count}", actual=batch)
    return -(-batch * EVERY // count)


def bounded(gradients: FloatArray, norm: float) -> IntArray:
    """Each row clipped to ``norm``, in units of norm / 2**28, rounded towards zero: no row's norm passes 2**28.

    A row that is not finite becomes zero.
    """
    finite = np.isfinite(gradients).all(axis=1, keepdims=True)
    rows = np.where(finite, gradients, 0.0)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    # Scaled by its largest element first: no square overflows or vanishes.
    scale = np.where(largest > 0, largest, 1.0)
    lengths = np.sqrt(np.square(rows / scale[:, None]).sum(axis=1)) * scale
    with np.errstate(over="ignore", invalid="ignore"):
        factor = np.minimum(1.0, norm / np.where(lengths > 0, lengths, 1.0)) * (BOUND / norm)
        whole = np.trunc(rows * (factor * (1 - 2.0**-40))[:, None])
    # A float slip beyond the bound would break the promise, so the check is exact; such a row is dropped.
    sane = np.abs(whole).max(axis=1, initial=0.0) <= BOUND  # false for NaN
    found: IntArray = np.where(sane[:, None], whole, 0.0).astype(np.int64)
    squares = np.square(found).sum(axis=1)
    return np.where(((squares >= 0) & (squares <= BOUND * BOUND))[:, None], found, 0)


def drawn(count: int, sampled: int, source: Source = os.urandom) -> IntArray:
    """Indices of a Poisson sample of ``count`` records: each independently with chance ``sampled`` / 2**32."""
    words = np.frombuffer(source(4 * count), dtype="<u4")
    return np.flatnonzero(words < sampled).astype(np.int64)


def noisy_sum(gradients: Gradients, at: FloatArray, chosen: IntArray, how: PrivateSteps,
              source: Source = os.urandom) -> FloatArray:
    """The sum of the clipped gradients of the chosen records, with noise, in real units."""
    summed = np.zeros(len(at), dtype=np.int64)
    rows = max(1, _CHUNK // len(at))
    for start in range(0, len(chosen), rows):
        found = np.asarray(gradients(at, chosen[start:start + rows]), dtype=np.float64)
        if found.shape != (len(chosen[start:start + rows]), len(at)):
            raise BadInput("gradients of another shape", expected=(len(chosen[start:start + rows]), len(at)),
                           actual=found.shape)
        summed += bounded(found, how.norm).sum(axis=0)
    return np.asarray((summed + discrete_gaussian(how.sigma, len(at), source)) * (how.norm / BOUND))


def descend(gradients: Gradients, start: FloatArray, count: int, how: PrivateSteps,
            source: Source = os.urandom) -> FloatArray:
    """Parameters after ``how.steps`` private steps from ``start`` on ``count`` records.

    Everything computed from the result is as private as it. source: leave it alone; whoever knows the bytes knows the
    noise. Raises BadInput for no records or gradients of another shape.
    """
    if count < 1 or start.ndim != 1 or not len(start):
        raise BadInput("private training needs records and parameters", actual=f"{count}, {start.shape}")
    vector = start.astype(np.float64)
    average = float(Fraction(how.sampled, EVERY) * count)
    for _ in range(how.steps):
        chosen = drawn(count, how.sampled, source)
        vector = vector - how.rate * (noisy_sum(gradients, vector, chosen, how, source) / average + how.decay * vector)
    return vector
