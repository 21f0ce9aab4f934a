"""What a plan fixes of rounds in which nobody but its owner sees an update, as text and numbers: no arrays here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from troth.core.encoding import amount, take
from troth.core.errors import BadInput

OPEN, MASKED, GROUPED = "open", "masked", "grouped"
LEAST_SITES, MOST_SITES = 3, 128
"""A sum over two shows each the other's vector. Above 128 the bytes that every pair exchanges outgrow the vectors."""
MIN_GROUPS = 3
"""Of two groups no robust rule could tell which one is wrong."""


def default_threshold(count: int) -> int:
    """How many of ``count`` sites must stay: floor(2 count / 3) + 1.

    With it the protocol holds against a server that lies together with up to `Session.colluders` sites (Bonawitz et al.
    2017, section 6.2), fewer than a third of them.
    """
    return 2 * count // 3 + 1


def opened(privacy: object) -> bool:
    """Whether a privacy mode shows updates to the aggregator and the verifiers."""
    return privacy == OPEN


@dataclass(frozen=True, slots=True)
class Noise:
    """What each site adds to its update before it is masked: its share of a discrete Gaussian.

    sigma: of one share, at 2**16. relied: honest sites taken for granted in every sum (`learn.privacy.client`).
    """

    sigma: int
    relied: int

    def __post_init__(self) -> None:
        if self.sigma < 1 or not 1 <= self.relied <= MOST_SITES:
            raise BadInput("shares of noise out of range", expected=f"a sigma from 1 on, 1 to {MOST_SITES} sites",
                           actual=f"{self.sigma}, {self.relied}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan fixes of a round without open updates.

    privacy: ``masked`` or ``grouped``. size: the least seats of a group; 0 for masked. stakes: what each seat's rounds
    count for in a masked round's pay, in the order of seats; none for equal. noise: None for none.

    Raises BadInput for another mode, groups below 3 seats, or stakes where they say nothing.
    """

    privacy: str = MASKED
    size: int = 0
    stakes: tuple[int, ...] = ()
    noise: Noise | None = None

    def __post_init__(self) -> None:
        if self.privacy not in (MASKED, GROUPED):
            raise BadInput("an unknown privacy mode", expected=f"{MASKED} or {GROUPED}", actual=self.privacy)
        if self.privacy == MASKED and self.size != 0:
            raise BadInput("a masked round has one group", expected="size 0", actual=self.size)
        if self.privacy == GROUPED and (self.size < LEAST_SITES or self.stakes):
            raise BadInput("groups are of at least 3, and paid by value", actual=f"{self.size}, {self.stakes}")
        if any(stake < 1 for stake in self.stakes):
            raise BadInput("a stake is positive", actual=self.stakes)

    @property
    def least(self) -> int:
        """As many seats a round needs: three for a sum, three groups for a robust rule over groups."""
        return LEAST_SITES if self.privacy == MASKED else MIN_GROUPS * self.size

    def check_seats(self, count: int) -> None:
        """Raises BadInput unless so many seats can take part in such rounds."""
        if not self.least <= count <= MOST_SITES:
            raise BadInput(f"a {self.privacy} round needs other seats", actual=count,
                           expected=f"{self.least} to {MOST_SITES} sites",
                           do="Choose smaller groups, or the mode masked.")
        least = default_threshold(self.size or count)
        if self.noise is not None and self.noise.relied > least:
            raise BadInput("not every sum that comes out holds the noise of so many sites", actual=self.noise.relied,
                           expected=f"at most {least}, the least that stay")
        if len(self.stakes) not in (0, count):
            raise BadInput("stakes of other seats", expected=f"{count}, or none", actual=len(self.stakes))

    def json(self) -> dict[str, Any]:
        """What a plan says beside its mode; stakes are text."""
        noise = None if self.noise is None else {"relied": self.noise.relied, "sigma": self.noise.sigma}
        return {"group": self.size, "noise": noise, "stakes": [str(stake) for stake in self.stakes]}

    @classmethod
    def of(cls, privacy: str, value: Any) -> Self:
        """Read ``json`` back. Raises BadInput."""
        if type(value) is not dict or "noise" not in value:
            raise BadInput("a round behind masks that is silent on noise", expected="what is added, or null")
        rest = {name: one for name, one in value.items() if name != "noise"}
        group, stakes = take(rest, group=int, stakes=list)
        if any(type(stake) is not str for stake in stakes):
            raise BadInput("stakes are amounts", expected="decimal text")
        noise = None
        if value["noise"] is not None:
            relied, sigma = take(value["noise"], relied=int, sigma=int)
            noise = Noise(sigma, relied)
        return cls(privacy, group, tuple(map(amount, stakes)), noise)
