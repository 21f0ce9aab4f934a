"""Vote: the holders of a token decided by their votes at a snapshot. Twin of contracts' ``Vote``.

The rung's last ask names one account, where holders cast (``troth.ledger.ballots``); the tally it submits is evidence
like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.terms import REFUTED, UPHELD, Account, Result, Rung, is_role
from troth.verify.policies.voices import read, submissions

WHOLE = 1_000_000
"""Quorum and threshold are parts of a million."""
TALLY = ("uint128", "uint128", "uint128", "uint128", "uint48")
"""Votes against, for, abstaining; the whole supply; the snapshot, in the token's clock."""
LEAST_PERIOD = 8


def token_param(token: Account) -> bytes:
    """What a rung's ``param`` says: the token whose holders vote."""
    return token.rjust(32, b"\x00")


@dataclass(frozen=True, slots=True)
class Vote:
    """ballots: where holders cast. quorum: the least share of the supply that is for or abstains. threshold: the share
    of those for or against that must be passed. Both in parts of a million.
    """

    ballots: Account
    quorum: int
    threshold: int = WHOLE // 2

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *vote*, of ``ballots`` alone, one slot, at least 8 seconds, ``param`` a token."""
        last = rung.asks[-1]
        return (last.kind == "vote" and last.slots == 1 and last.period >= LEAST_PERIOD
                and rung.bench == (self.ballots,) and rung.param[:12] == bytes(12) and not is_role(rung.param[12:]))

    def tick(self) -> int:
        """It gives no values, so that another rung can find the same."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """Upheld above the threshold, else refuted; None without the quorum or a tally."""
        last = len(question.terms.asks) - 1
        said = submissions(question, last).get(self.ballots)
        tally = read(TALLY, said.data) if said is not None else None
        if tally is None:
            return None
        against, yes, abstain, supply, _ = tally
        assert isinstance(against, int)
        assert isinstance(yes, int)
        assert isinstance(abstain, int)
        assert isinstance(supply, int)
        if not supply or (yes + abstain) * WHOLE < supply * self.quorum:
            return None
        return Result(UPHELD if yes * WHOLE > (yes + against) * self.threshold else REFUTED).to_bytes()
