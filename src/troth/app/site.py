"""Who takes part in a plan besides its coordinator: a site or a verifier, and how it answers calls.

A call is a small ``Message`` by the sponsor: an act, a plan, a round, a deal. It only says *now*: what may be done is
the plan's, which must be what was agreed to before, and the deal's on chain, whose terms must be exactly those
that the plan leads to. So the worst that a false call does is nothing. What passes besides goes through the exchange,
from party to party. Every act can be asked for again: what was done is found, in the log or on chain, and not redone.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from troth.app import privacy
from troth.app.running import environment
from troth.core.claims import Evidence
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, TrothError, Undecidable
from troth.core.terms import CHALLENGE, SUBMISSION, UPHELD, VERDICT, Account, DealState
from troth.flows import round as flow
from troth.flows.roles import Role
from troth.flows.terms import Words, join_all, round_terms
from troth.identity.messages import Message
from troth.learn import claims as kinds
from troth.learn import site as training
from troth.learn.arrays import State
from troth.learn.claims import AggregateClaim, Plan
from troth.learn.code import Code
from troth.learn.data import Part, scaling
from troth.learn.dense import Dense
from troth.learn.lineage import check_correction
from troth.learn.privacy.mechanisms import Spent, epsilon_text
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.rounds import Agreed

CALL = "troth-round-call-1"
JOIN, UPDATE, OPEN, TAKE, EVIDENCE, SHARE, COMMIT, REVEAL = (
    "join", "update", "open", "take", "evidence", "share", "commit", "reveal")
CLOCKS_APART = 60
"""Seconds that a deal's time to fund may end later here than for the sponsor who opened it."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be done now, in which round's deal."""

    act: str
    plan: bytes
    round: int
    deal: bytes

    def to_bytes(self, sponsor: Troth) -> bytes:
        """The call, signed by its sponsor."""
        body = encode({"act": self.act, "deal": self.deal.hex(), "plan": self.plan.hex(), "round": self.round})
        return Message.sign(CALL, body, sponsor.identity.signer()).to_bytes()

    @classmethod
    def of(cls, data: bytes, party: Troth) -> tuple[str, Call]:
        """(sender, call). Raises BadInput, Refuted or Undecidable where it is not its sender's."""
        message = Message.from_bytes(data)
        message.check(CALL, party.keybook)
        act, deal, plan, round_ = take(decode_object(message.body), act=str, deal=str, plan=str, round=int)
        return message.sender, cls(act, from_hex(plan, 32), round_, from_hex(deal, 32))


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
        if state.final.outcome == UPHELD:
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
        if (plan != agreed.plan(plan.sites, plan.aggregator, plan.verifiers) or plan.aggregator.did != aggregator
                or (len(plan.sites), len(plan.verifiers)) != (agreed.sites, agreed.verifiers)
                or seats.get(party.did, party.account) != party.account):
            raise Refuted("the plan is not what was agreed to", expected=agreed.json(), actual=plan.body(),
                          do="Nothing was deposited. Ask the sponsor.")
        return claim
    return None


class Member:
    """Answers calls for one seat. part: a site's own records, read when they are needed; None for a verifier.

    listing: the site's. private: train within the budget of the listing's records, each record's gradient clipped to
    this norm (docs/reference/privacy.md). say: told what happens, a line each.
    """

    def __init__(self, party: Troth, agreed: Agreed, sponsor: tuple[str, Account], aggregator: str, *,
                 part: Callable[[], Part] | None = None, listing: bytes = b"", private: float | None = None,
                 say: Say | None = None) -> None:
        self.party, self.agreed, self.say = party, agreed, say or _nobody
        self._sponsor, self._aggregator = sponsor, aggregator
        self._part, self._listing, self._private = part, listing, private
        self._follower: Follower | None = None

    @property
    def follower(self) -> Follower:
        """This seat in the plan. Raises Pending while no plan was called."""
        if self._follower is None:
            plan = the_plan(self.party, self.agreed, self._sponsor[0], self._aggregator)
            if plan is None:
                raise Pending("no plan has been called yet", do="Wait until every seat is taken.")
            seat: Role = (flow.Verifier(self.party, plan) if self._part is None
                               else flow.Site(self.party, plan, listing=self._listing))
            if isinstance(seat, flow.Site) and self._listing not in seat.replay.rule.listings.values():
                raise Refuted("the plan does not name this site's listing", expected=self._listing.hex())
            words = self.agreed.words(self.party.contracts, self._sponsor[1])
            self._follower = Follower(seat, words, self._sponsor[0])
        return self._follower

    def finished(self) -> bool:
        """Whether every round of the plan stands, as far as this party knows."""
        try:
            return self.follower.advance() >= self.agreed.rounds
        except Pending:
            return False

    def answer(self, call: bytes) -> bytes:
        """The answer to a call: what was done, or why it was not. Raises nothing that a call can cause."""
        try:
            self.party.receive()
            sender, said = Call.of(call, self.party)
            if sender != self._sponsor[0]:
                raise Refuted("only the sponsor calls", expected=self._sponsor[0], actual=sender)
            done = self._do(said)
            return encode({"act": said.act, "done": done, "round": said.round})
        except TrothError as error:
            return encode({"error": error.message, "status": error.exit_status})

    def _do(self, call: Call) -> str:
        follower = self.follower
        if call.plan != follower.seat.plan_id:
            raise Refuted("a call of another plan", expected=follower.seat.plan_id.hex(), actual=call.plan.hex())
        stood = follower.advance()
        if stood >= call.round:
            return "over"
        if stood != call.round - 1:
            raise Pending("an earlier round is not settled here", expected=call.round - 1, actual=stood)
        state = follower.state(call.deal)
        acts: dict[str, Callable[[Call, DealState], str]] = {JOIN: self._join}
        if isinstance(follower.seat, flow.Site):
            acts |= {UPDATE: self._update, OPEN: self._open, TAKE: self._take, EVIDENCE: self._evidence}
        else:
            acts |= {SHARE: self._share, COMMIT: self._commit, REVEAL: self._reveal}
        if call.act not in acts:
            raise Misuse("nothing that this seat does", expected=", ".join(acts), actual=call.act)
        return acts[call.act](call, state)

    def _join(self, call: Call, state: DealState) -> str:
        if state.status == "funding":
            latest = self.party.chain.now() + self.agreed.periods.fund + CLOCKS_APART
            if state.terms.fund_by > latest:
                # Deposits of a deal that is never funded whole lie there until its time to fund is over.
                raise Refuted("this deal would hold deposits longer than was agreed", actual=state.terms.fund_by,
                              expected=f"fund_by up to {latest}", do="Nothing was deposited. Ask the sponsor.")
            staked = join_all(self.party, call.deal)
            if staked:
                self.say(f"round {call.round}: staked {staked}")
        return "joined"

    # A site

    def _update(self, call: Call, state: DealState) -> str:
        site = self._site()
        if state.status != "running" or self.party.did not in site.seated(call.deal):
            raise Misuse("this deal takes no update of this site", actual=state.status)
        own = self._own(call)
        if own is not None:
            # Said before: the same claim again, so that a crash gives nobody two updates of one round.
            site.tell(own)
            return "sent again"
        part = self._records()
        delta, spent = self.trained(site, call.round, part)
        site.commit(call.deal, call.round, delta, len(part), site.training(environment(), spent))
        private = f" privately, epsilon {epsilon_text(spent.epsilon)} of this round alone" if spent else ""
        self.say(f"round {call.round}: trained on {len(part)} records{private}, committed to the update")
        return "committed"

    def _open(self, call: Call, state: DealState) -> str:
        self._site().reveal(call.deal, call.round)
        self.say(f"round {call.round}: update handed over, sealed to the aggregator and the verifiers")
        return "opened"

    def trained(self, site: flow.Site, round_: int, part: Part) -> tuple[State, Spent | None]:
        """The update, and what it spent of the records' privacy: the plan's local training on this site's records.

        Without privacy it is the same each time it is asked for; refused where a budget holds for the records. With it,
        each time is charged anew, so what was sent is sent again and never made again (``_update``).
        """
        replay, plan = site.replay, site.plan
        if isinstance(replay.task, Code):
            if self._private is not None or privacy.kept(self.party):
                raise Misuse("a file of code trains without a privacy budget", do="Take another task, or no budget.")
            inputs = scaling(replay.validation).inputs(part)
            return replay.task.update(site.base(), inputs, plan.fit, plan.clip), None
        if not isinstance(replay.task, Dense):
            raise Misuse("no ready training for this family of models", expected=Dense.FAMILY)
        fit, by = training.Fit.of(plan.fit, plan.clip), scaling(replay.validation)
        if self._private is not None or privacy.kept(self.party):
            with privacy.opened(self.party) as ledger:
                if self._private is not None:
                    wish = privacy.Wish(fit, self._private, plan.rounds - round_ + 1,
                                        f"plan {site.plan_id.hex()[:16]} round {round_}")
                    return ledger.train(self._listing, replay.task, site.base(), (part, by), wish)
                ledger.refuse_plain(self._listing)
        seed = hashlib.sha256(plan.seed + round_.to_bytes(4, "big") + self.party.did.encode()).digest()
        return training.train(replay.task, site.base(), part, by, fit, seed), None

    def _take(self, call: Call, state: DealState) -> str:
        site = self._site()
        entry = site.submitted(call.deal)
        if entry is None:
            raise Pending("the aggregator has submitted nothing")
        if any(one.kind == CHALLENGE for one in state.history):
            return "challenged"
        why = site.doubt(entry.claim)
        if why is None:
            said = AggregateClaim.of(self.party.statement(entry.claim))
            score = said.result.get("score_ppm")
            self.say(f"round {call.round}: the aggregate holds; loss {int(said.result['loss']) / 65536:.4f}, "
                     f"score {(score if isinstance(score, int) else 0) / 10_000:.2f} %")
            return "fine"
        self.say(f"round {call.round}: {why}; challenging with {self.agreed.money.bond}")
        self.party.book.challenge(self.party.account, call.deal)
        return f"challenged: {why}"

    def _evidence(self, call: Call, state: DealState) -> str:
        if state.rung != 1 or _answered(state, 1, 0, self.party.account):
            return "nothing is asked"
        own = self._own(call)
        items: tuple[Evidence, ...] = self.party.evidence_here([own]) if own else ()
        self._site().deliver(call.deal, call.round, items, [own] if own else [])
        return "delivered"

    def _own(self, call: Call) -> bytes | None:
        return next((one for one in self._site().updates(call.round, call.deal)
                     if self.party.statement(one).issuer == self.party.did), None)

    def _records(self) -> Part:
        if self._part is None:
            raise Misuse("a verifier has no records")
        return self._part()

    def _site(self) -> flow.Site:
        seat = self.follower.seat
        if not isinstance(seat, flow.Site):
            raise Misuse("a verifier trains nothing")
        return seat

    # A verifier

    def _verifier(self) -> flow.Verifier:
        seat = self.follower.seat
        if not isinstance(seat, flow.Verifier):
            raise Misuse("a site judges nothing")
        return seat

    def _share(self, call: Call, state: DealState) -> str:
        self._verifier().share(call.deal, call.round)
        return "shared"

    def _commit(self, call: Call, state: DealState) -> str:
        verifier = self._verifier()
        entry = verifier.submitted(call.deal)
        if state.rung != 1 or _answered(state, 1, 1, self.party.account) or entry is None:
            return "nothing is asked"
        output, result = verifier.find(entry.claim, call.deal, call.round)
        verifier.commit(entry.claim, output, result, self._salt(call.deal), deal=call.deal, round_=call.round)
        self.say(f"round {call.round}: executed again; outcome {result.outcome}, committed")
        return "committed"

    def _reveal(self, call: Call, state: DealState) -> str:
        verifier = self._verifier()
        committed = _answered(state, 1, 1, self.party.account)
        if committed is None:
            raise Pending("nothing was committed to")
        for claim, statement in self.party.claims(kinds.VERDICT):
            if statement.issuer == self.party.did and hashlib.sha256(claim).digest() == committed:
                if _answered(state, 1, 2, self.party.account) is None:
                    verifier.reveal(claim, self._salt(call.deal))
                else:
                    self.party.send(verifier.everybody(), [claim])
                return "revealed"
        raise Undecidable("the verdict that was committed to is not here")

    def _salt(self, deal: bytes) -> bytes:
        """What the commitment in this deal is made with: put away before anything is committed to."""
        path = self.party.root / f"salt-{deal.hex()[:32]}"
        try:
            return from_hex(path.read_text(), 32)
        except FileNotFoundError:
            salt = secrets.token_bytes(32)
            with replacing(path, 0o600) as out:
                out.write(salt.hex().encode())
            return salt


def _answered(state: DealState, rung: int, ask: int, by: Account) -> bytes | None:
    """The claim that an account submitted to an ask; None for none."""
    return next((entry.claim for entry in state.history
                 if (entry.kind, entry.rung, entry.ask, entry.by) == (SUBMISSION, rung, ask, by)), None)


def judged(state: DealState, rung: int) -> bool:
    """Whether a rung has its verdict."""
    return any(entry.kind == VERDICT and entry.rung == rung for entry in state.history)


def _nobody(text: str) -> None:
    """Told to nobody."""

