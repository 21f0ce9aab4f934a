"""Privacy of whole sites: each adds its share of discrete Gaussian noise before its update is masked.

Only the sum of the masked updates is seen, so only the sum of the shares counts: with ``relied`` honest sites in it,
each adding sigma, the sum holds at least a discrete Gaussian of sigma * sqrt(relied) that nobody knows (the distributed
discrete Gaussian; Kairouz, Liu, Steinke, 2021). Further shares only add to it.

**Who knows what.** A site knows its own share and can subtract it; sites that pool their knowledge can subtract all of
theirs. What protects an honest site is the noise of the other honest ones *and its own*: so ``relied`` is how many
honest sites, itself among them, it takes for granted in every sum that is opened. A site that trusts nobody relies on
itself alone and adds it all. The aggregator sees sums only; where updates are open (privacy mode *open*) the sum of
others' noise protects nobody, and the share alone is what counts: ``relied`` is 1 there.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, add, norm
from troth.learn.privacy.mechanisms import LEAST_SIGMA, MAX_SHARES, SITE, Mechanism
from troth.learn.privacy.noise import Source, discrete_gaussian


@dataclass(frozen=True, slots=True)
class SiteNoise:
    """The noise of one round. Updates and noise are integers of one scale.

    clip: bound on the Euclidean norm of each site's update. sigma: of each site's share. relied: honest shares taken
    for granted.
    """

    clip: int
    sigma: int
    relied: int

    def __post_init__(self) -> None:
        self.of_sites(1)

    @classmethod
    def together(cls, clip: int, multiplier: float, relied: int) -> SiteNoise:
        """Shares of which ``relied`` together have ``multiplier`` times the clip norm. Raises BadInput."""
        if not 1 <= relied <= MAX_SHARES or not math.isfinite(multiplier):
            raise BadInput("a number of honest sites out of range", expected=f"1 to {MAX_SHARES}", actual=relied)
        # A little more, so that no rounding of the root leaves less.
        sigma = math.ceil(clip * multiplier / math.sqrt(relied) * (1 + 2.0**-40))
        return cls(clip, max(LEAST_SIGMA, sigma), relied)

    def add_to(self, update: IntArray, source: Source = os.urandom) -> IntArray:
        """The update with this site's share of noise. Raises BadInput for one above the clip norm: clip it first."""
        if norm(update) > self.clip:
            raise BadInput("an update above the clip norm is not covered", expected=f"at most {self.clip}",
                           actual=norm(update), do="Clip it, then add noise.")
        return add(update, discrete_gaussian(self.sigma, len(update), source))

    def of_sites(self, dimension: int, rounds: int = 1) -> Mechanism:
        """What all rounds do: neighbours differ by one site's updates being there or not."""
        return Mechanism(self.clip, self.sigma, rounds, dimension=dimension, shares=self.relied, unit=SITE)

    def of_records(self, dimension: int, rounds: int = 1) -> Mechanism:
        """The same seen from one record of a site: it can move the site's update by twice the clip norm at most.

        This is what a site's own ledger is charged with, where nothing finer bounds a record's influence.
        """
        return Mechanism(2 * self.clip, self.sigma, rounds, dimension=dimension, shares=self.relied)
