"""What a seat does by itself: what its deals ask of it on chain, whether the sponsor calls or not.

A missed ask costs a stake, and an aggregate that nobody challenges stands. So whoever does not call must gain nothing
by it: a site delivers its evidence as soon as the verifiers are called, and looks at an aggregate that it was not asked
about when half of the time to challenge is over; a verifier shares what it holds, commits in the second half of the
time for that, and reveals. What was done when it was called is not done again.

Which deals a seat deposited in stands in its workspace before it deposits.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from troth.app.following import COMMIT, EVIDENCE, REVEAL, SHARE, TAKE
from troth.core.deals import phase
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.terms import VERDICT, DealState
from troth.store.files import replacing

FILE = "staked.json"


@dataclass(frozen=True, slots=True)
class Stake:
    """What a deal is of: its plan, and the round."""

    plan: bytes
    round: int


class Staked:
    """The rounds' deals that a seat deposited in and that are not closed, in its workspace. Raises OSError.

    A workspace may have had seats in several plans: whose deal it is stands beside it.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / FILE

    def deals(self) -> dict[bytes, Stake]:
        """What each is of."""
        try:
            found = decode_object(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        said = {from_hex(deal, 32): take(one, plan=str, round=int) for deal, one in found.items()}
        return {deal: Stake(from_hex(plan, 32), round_) for deal, (plan, round_) in said.items()}

    def note(self, deal: bytes, stake: Stake) -> None:
        """Before it deposits."""
        self._write(self.deals() | {deal: stake})

    def drop(self, deal: bytes) -> None:
        """Once it is closed."""
        self._write({one: stake for one, stake in self.deals().items() if one != deal})

    def _write(self, deals: dict[bytes, Stake]) -> None:
        with replacing(self._path, 0o600) as out:
            out.write(encode({deal.hex(): {"plan": stake.plan.hex(), "round": stake.round}
                              for deal, stake in deals.items()}))


def due(state: DealState, now: int, acts: Collection[str]) -> tuple[str, ...]:
    """The acts, of these, that a running deal asks for at this time of the chain's."""
    if state.rung == 0:
        window = state.terms.rungs[0].window
        since = next((now - entry.at for entry in state.history if entry.kind == VERDICT), -1)
        found: tuple[str, ...] = (TAKE,) if window // 2 <= since < window else ()
    else:
        at = phase(state, now)
        asks = state.terms.rungs[state.rung].asks
        late = at.ask < len(asks) and now - at.ask_start >= asks[at.ask].period // 2
        found = {0: (EVIDENCE,), 1: (SHARE, COMMIT) if late else (SHARE,), 2: (REVEAL,)}.get(at.ask, ())
    return tuple(act for act in found if act in acts)
