"""What is known of public chains: how long "finalized" takes, and how long an outage can keep an act out.

A deal's periods are promises in the chain's own time, which runs on while nobody can send. On a rollup one sequencer
orders everything; while it is down, an act gets in only through the layer below, after a delay that the rollup's rules
set. So an ask or a window shorter than that delay can pass without its owner ever having had a chance to answer.
``docs/reference/rollups.md`` says where the figures come from.
"""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.errors import Misuse
from troth.core.terms import Rung, Terms

HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Profile:
    """finality: seconds until a block is usually finalized. outage: seconds for which an honest act can be kept out by
    rule (0: no such rule is known). below: the chain that this one is finalized by, or None.
    """

    name: str
    finality: int
    outage: int
    below: int | None = None


UNKNOWN = Profile("a chain nothing is known of", 0, 0)
PROFILES = {
    1: Profile("Ethereum", 15 * 60, 0),
    10: Profile("OP Mainnet", 30 * 60, 12 * HOUR, 1),
    8_453: Profile("Base", 30 * 60, 12 * HOUR, 1),
    42_161: Profile("Arbitrum One", 30 * 60, 24 * HOUR, 1),
    11_155_111: Profile("Sepolia", 15 * 60, 0),
    11_155_420: Profile("OP Sepolia", 30 * 60, 12 * HOUR, 11_155_111),
    84_532: Profile("Base Sepolia", 30 * 60, 12 * HOUR, 11_155_111),
    421_614: Profile("Arbitrum Sepolia", 30 * 60, 24 * HOUR, 11_155_111),
}
"""By chain id."""


def profile_of(chain_id: int) -> Profile:
    """What is known of the chain; ``UNKNOWN`` for others, the embedded one among them."""
    return PROFILES.get(chain_id, UNKNOWN)


def outlives(terms: Terms, outage: int) -> None:
    """Refuse terms with a period that an outage of ``outage`` seconds can swallow whole. Raises Misuse.

    Looked at: every ask, every window, and every verdict period but where one seat is asked last, whose answer can be
    judged in the same act.
    """
    for index, rung in enumerate(terms.rungs):
        for what, period in _periods(rung):
            if period <= outage:
                raise Misuse(f"an outage of the chain could outlast the {what} of rung {index}", actual=f"{period} s",
                             expected=f"more than {outage} s",
                             do="Lengthen it, or set [chain] outage to what you accept.")


def _periods(rung: Rung) -> list[tuple[str, int]]:
    found = [(f"ask {ask.kind!r}", ask.period) for ask in rung.asks]
    if rung.window:
        found.append(("window", rung.window))
    if rung.asks and len(rung.bench) * rung.asks[-1].slots > 1:  # without asks the Book refuses it, not we
        found.append(("verdict period", rung.verdict_period))
    return found
