"""Following a plan's rounds: the sponsor's calls, which deals are the plan's, which aggregates stand.

A call is a small ``Message`` by the sponsor: an act, a plan, a round, a deal. It only says *now*: what may be done is
the plan's, which must be what was agreed to before, and the deal's on chain, whose terms must be exactly those
that the plan leads to. So the worst that a false call does is nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from troth.app.rounds import RECORDS, Agreed
from troth.core.claims import from_base64
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import ActRefused, BadInput, Refuted, Undecidable
from troth.core.terms import SUBMISSION, VERDICT, Account, DealState
from troth.flows.roles import Role
from troth.flows.terms import Words, round_terms
from troth.identity.messages import Message
from troth.learn import claims as kinds
from troth.learn.claims import AggregateClaim, Plan
from troth.learn.lineage import STANDS, check_correction

if TYPE_CHECKING:
    from troth.app import Troth

CALL = "troth-round-call-1"
JOIN, UPDATE, OPEN, SUM, TAKE, EVIDENCE, SHARE, COMMIT, REVEAL = (
    "join", "update", "open", "sum", "take", "evidence", "share", "commit", "reveal")


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be done now, in which round's deal. data: what an act needs besides."""

    act: str
    plan: bytes
    round: int
    deal: bytes
    data: bytes = b""

    def to_bytes(self, sponsor: Troth) -> bytes:
        """The call, signed by its sponsor."""
        body = encode({"act": self.act, "data": base64.b64encode(self.data).decode(), "deal": self.deal.hex(),
                       "plan": self.plan.hex(), "round": self.round})
        return Message.sign(CALL, body, sponsor.identity.signer()).to_bytes()

    @classmethod
    def of(cls, data: bytes, party: Troth) -> tuple[str, Call]:
        """(sender, call). Raises BadInput, Refuted or Undecidable where it is not its sender's."""
        message = Message.from_bytes(data)
        message.check(CALL, party.keybook)
        act, more, deal, plan, round_ = take(decode_object(message.body), act=str, data=str, deal=str, plan=str,
                                             round=int)
        return message.sender, cls(act, from_hex(plan, 32), round_, from_hex(deal, 32), from_base64(more))


def seated(seat: Role) -> frozenset[str]:
    """The sites that no aggregate up to ``seat.last`` found to have done harm."""
    plan, unseated, at = seat.plan, set[str](), seat.last
    while at is not None:
        step = seat.step(at)
        unseated |= {plan.keys[index] for index in step.claim.numbers("slashed") if 0 <= index < len(plan.keys)}
        bases = step.statement.all_refs("base")
        at = bases[0] if bases else None
    return frozenset(plan.keys) - unseated


@dataclass(slots=True)
class Follower:
    """Follows a plan's rounds from this party's log and the chain: which aggregates stand, which deals are the plan's.

    seat: the party's. words: of every round's deal. sponsor: who may open them.
    """

    seat: Role
    words: Words
    sponsor: str
    stands: list[bytes] = field(default_factory=list)

    def advance(self) -> int:
        """Move on to the newest aggregate whose deal is closed with it, or with what corrects it; how many stand."""
        while (found := self._next()) is not None:
            self.stands.append(found)
            self.seat.last = found
        return len(self.stands)

    def _next(self) -> bytes | None:
        party, number = self.seat.party, len(self.stands) + 1
        base = (self.seat.last,) if self.seat.last else ()
        for claim, statement in party.claims(kinds.AGGREGATE):
            try:
                said = AggregateClaim.of(statement)
                if (said.round, statement.issuer) == (number, self.seat.plan.aggregator.did) and (
                        statement.all_refs("plan") == (self.seat.plan_id,) and statement.all_refs("base") == base
                        and self._closed_with(claim, said)):
                    return claim
            except (BadInput, Refuted, Undecidable):  # somebody's words that are no aggregate of this plan
                continue
        return None

    def _closed_with(self, claim: bytes, said: AggregateClaim) -> bool:
        state = self.state(said.deal)
        entry = self.seat.submitted(said.deal)
        if state.final is None:
            return False
        step = self.seat.step(claim)
        if state.final.outcome in STANDS:
            return entry is not None and entry.claim == claim
        wrong = step.statement.all_refs("corrects")
        return (check_correction(self.seat.party, self.seat.plan, step) is not None
                and (entry is None or wrong == (entry.claim,)))

    def state(self, deal: bytes) -> DealState:
        """A deal, if its terms are exactly what the plan leads to. Raises Refuted for another, Undecidable for none."""
        try:
            state = self.seat.party.book.state(deal)
        except ActRefused as refusal:
            raise Undecidable("there is no such deal here", actual=deal.hex()) from refusal
        terms = round_terms(self.words, self.seat.plan, seated(self.seat), state.terms.fund_by
                            - self.words.periods.fund)
        if state.terms != terms:
            raise Refuted("this deal's terms are not the plan's", expected=terms.hash().hex(),
                          actual=state.terms.hash().hex(), do="Nothing was deposited. Ask the sponsor.")
        return state


def the_plan(party: Troth, agreed: Agreed, sponsor: str, aggregator: str) -> bytes | None:
    """The plan in this party's log that was called as agreed; None while there is none.

    A plan of this sponsor that names this party and differs from what was agreed raises Refuted.
    """
    for claim, statement in party.claims(kinds.PLAN):
        if statement.issuer != sponsor:
            continue
        plan = Plan.of(statement)
        seats = {seat.did: seat.account for seat in (*plan.sites, plan.aggregator, *plan.verifiers)}
        if party.did not in seats and party.did != sponsor:
            continue
        if (plan != agreed.plan(plan.sites, plan.aggregator, plan.verifiers, plan.records)
                or bool(plan.records) != (agreed.pay == RECORDS) or plan.aggregator.did != aggregator
                or (len(plan.sites), len(plan.verifiers)) != (agreed.sites, agreed.verifiers)
                or seats.get(party.did, party.account) != party.account):
            raise Refuted("the plan is not what was agreed to", expected=agreed.json(), actual=plan.body(),
                          do="Nothing was deposited. Ask the sponsor.")
        return claim
    return None


def answered(state: DealState, rung: int, ask: int, by: Account) -> bytes | None:
    """The claim that an account submitted to an ask; None for none."""
    return next((entry.claim for entry in state.history
                 if (entry.kind, entry.rung, entry.ask, entry.by) == (SUBMISSION, rung, ask, by)), None)


def judged(state: DealState, rung: int) -> bool:
    """Whether a rung has its verdict."""
    return any(entry.kind == VERDICT and entry.rung == rung for entry in state.history)
