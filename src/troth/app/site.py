"""Who takes part in a plan besides its coordinator: a site or a verifier, and how it answers calls.

What passes besides goes through the exchange, from party to party. Every act can be asked for again: what was done is
found, in the log or on chain, and not redone.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.app import privacy
from troth.app.alone import Stake, Staked, due
from troth.app.following import (
    COMMIT,
    EVIDENCE,
    JOIN,
    OPEN,
    REVEAL,
    SHARE,
    TAKE,
    UPDATE,
    Call,
    Follower,
    answered,
    the_plan,
)
from troth.app.running import environment
from troth.core.claims import Evidence
from troth.core.encoding import encode, from_hex
from troth.core.errors import Misuse, Pending, Refuted, TrothError, Undecidable
from troth.core.terms import CHALLENGE, Account, DealState
from troth.flows import round as flow
from troth.flows.parts import join_all
from troth.flows.roles import Role, SiteRole, VerifierRole
from troth.learn import claims as kinds
from troth.learn import site as training
from troth.learn.arrays import State
from troth.learn.claims import AggregateClaim
from troth.learn.code import Code
from troth.learn.data import Part, scaling
from troth.learn.dense import Dense
from troth.learn.privacy.mechanisms import Spent, epsilon_text
from troth.learn.tasks import Task
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.app.rounds import Agreed

CLOCKS_APART = 60
"""Seconds that a deal's time to fund may end later here than for the sponsor who opened it."""
Say = Callable[[str], None]
Act = Callable[[Call, DealState], str]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a site trains on. part: its own records, read when they are needed. listing: what they are listed as.

    private: train within the budget of the listing's records, each record's gradient clipped to this norm
    (docs/reference/privacy.md); None to train without noise.
    """

    part: Callable[[], Part]
    listing: bytes = b""
    private: float | None = None


class Member:
    """Answers calls for one seat. holding: a site's; None for a verifier. say: told what happens, a line each."""

    def __init__(self, party: Troth, agreed: Agreed, sponsor: tuple[str, Account], aggregator: str,
                 holding: Holding | None = None, say: Say | None = None) -> None:
        self.party, self.agreed, self.say, self.holding = party, agreed, say or _nobody, holding
        self._sponsor, self._aggregator = sponsor, aggregator
        self._follower: Follower | None = None
        self._staked = Staked(party.root)
        self._done = set[tuple[str, bytes]]()
        self._told = set[tuple[bytes, str]]()
        self._waiting = dict[bytes, int]()

    @property
    def follower(self) -> Follower:
        """This seat in the plan. Raises Pending while no plan was called."""
        if self._follower is None:
            plan = the_plan(self.party, self.agreed, self._sponsor[0], self._aggregator)
            if plan is None:
                raise Pending("no plan has been called yet", do="Wait until every seat is taken.")
            seat = self._seat(plan)
            if self.holding is not None and self.holding.listing not in seat.replay.rule.listings.values():
                raise Refuted("the plan does not name this site's listing", expected=self.holding.listing.hex())
            words = self.agreed.words(self.party.contracts, self._sponsor[1])
            self._follower = Follower(seat, words, self._sponsor[0])
        return self._follower

    def _seat(self, plan: bytes) -> Role:
        """The role of whoever has this seat."""
        return (flow.Verifier(self.party, plan) if self.holding is None
                else flow.Site(self.party, plan, listing=self.holding.listing))

    def close(self) -> None:
        """Let go of what is open."""

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

    def tend(self) -> None:
        """Do what this seat's deals ask of it now, called or not (`troth.app.alone`). Raises nothing that a deal can
        cause; what it cannot do it says once."""
        for deal, stake in self._staked.deals().items():
            try:
                self._tend(deal, stake)
            except Pending:
                continue
            except TrothError as error:
                if (deal, error.message) not in self._told:
                    self._told.add((deal, error.message))
                    self.say(f"round {stake.round}: {error.message}")

    def _tend(self, deal: bytes, stake: Stake) -> None:
        follower, state = self.follower, self.party.book.state(deal)
        if state.final is not None or state.status == "void":
            self._staked.drop(deal)
            return
        self._settle(deal, state)
        if state.status != "running" or stake.plan != follower.seat.plan_id:
            return  # another plan's aggregate starts from another model: by this one's it would be refuted
        stood, acts = follower.advance(), self._acts()
        for act in due(state, self.party.chain.now(), acts):
            # An answer to an ask is owed whatever became of the round; an aggregate is looked at in its turn.
            if (act, deal) not in self._done and (act != TAKE or stood == stake.round - 1):
                self.party.receive()
                acts[act](Call(act, stake.plan, stake.round, deal), self.party.book.state(deal))

    def _settle(self, deal: bytes, state: DealState) -> None:
        """Judge or close what has been due for long and nobody did: this seat's stake lies there."""
        from troth.ledger.keeper import Keeper  # it brings web3, which takes half a second to load

        now = self.party.chain.now()
        keeper = Keeper(self.party.book, self.party.account, now=self.party.chain.now)
        due = keeper.look([(deal, state)])
        if not due:
            self._waiting.pop(deal, None)
        elif now - self._waiting.setdefault(deal, now) > self.agreed.periods.answer + self.agreed.periods.verdict:
            self._waiting[deal] = now  # each try may cost gas: a token can refuse on chain what it lets be estimated
            keeper.keep(due, at_a_loss=True)

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
        acts = self._acts()
        if call.act not in acts:
            raise Misuse("nothing that this seat does", expected=", ".join(acts), actual=call.act)
        return acts[call.act](call, state)

    def _acts(self) -> dict[str, Act]:
        """What this seat does when it is called."""
        if isinstance(self.follower.seat, SiteRole):
            return {JOIN: self._join, UPDATE: self._update, OPEN: self._open, TAKE: self._take,
                    EVIDENCE: self._evidence}
        return {JOIN: self._join, SHARE: self._share, COMMIT: self._commit, REVEAL: self._reveal}

    def _join(self, call: Call, state: DealState) -> str:
        if state.status == "funding":
            latest = self.party.chain.now() + self.agreed.periods.fund + CLOCKS_APART
            if state.terms.fund_by > latest:
                # Deposits of a deal that is never funded whole lie there until its time to fund is over.
                raise Refuted("this deal would hold deposits longer than was agreed", actual=state.terms.fund_by,
                              expected=f"fund_by up to {latest}", do="Nothing was deposited. Ask the sponsor.")
            self._alone_in(call)
            self._staked.note(call.deal, Stake(call.plan, call.round))
            staked = join_all(self.party, call.deal)
            if staked:
                self.say(f"round {call.round}: staked {staked}")
        return "joined"

    def _alone_in(self, call: Call) -> None:
        """Raises Refuted where another deal of this round may still cost this seat's stake."""
        for deal, stake in self._staked.deals().items():
            if stake != Stake(call.plan, call.round) or deal == call.deal:
                continue
            other = self.party.book.state(deal)
            lapsed = other.status == "funding" and self.party.chain.now() >= other.terms.fund_by
            if other.final is None and other.status != "void" and not lapsed:
                raise Refuted("this round has another deal that is open", expected=deal.hex(), actual=call.deal.hex(),
                              do="Nothing was deposited. Ask the sponsor.")

    # A site

    def _update(self, call: Call, state: DealState) -> str:
        site = self._running(call, state)
        if self._own(call) is not None:
            # Said before: the same claim again, so that a crash gives nobody two updates of one round.
            self._say_so(site, call)
            return "sent again"
        private = self._say_so(site, call)
        self.say(f"round {call.round}: trained on {len(self._records())} records{private}, committed to the update")
        return "committed"

    def _say_so(self, site: SiteRole, call: Call) -> str:
        """Commit to this round's update, or send that commitment again; what was spent, in words."""
        if not isinstance(site, flow.Site):
            raise Misuse("this site's updates are not open")
        own = self._own(call)
        if own is not None:
            site.tell(own)
            return ""
        part = self._records()
        delta, spent = self.trained(site, call.round, part)
        site.commit(call.deal, call.round, delta, len(part), site.training(environment(), spent))
        return in_words(spent)

    def _running(self, call: Call, state: DealState) -> SiteRole:
        """This site, where the deal runs and it has a seat in it."""
        site = self._site()
        if state.status != "running" or self.party.did not in site.seated(call.deal):
            raise Misuse("this deal takes no update of this site", actual=state.status)
        return site

    def _open(self, call: Call, state: DealState) -> str:
        site = self._site()
        if not isinstance(site, flow.Site):
            raise Misuse("nobody is shown this site's updates")
        site.reveal(call.deal, call.round)
        self.say(f"round {call.round}: update handed over, sealed to the aggregator and the verifiers")
        return "opened"

    def trained(self, site: SiteRole, round_: int, part: Part) -> tuple[State, Spent | None]:
        """The update, and what it spent of the records' privacy: the plan's local training on this site's records.

        Without privacy it is the same each time it is asked for; refused where a budget holds for the records. With it,
        each time is charged anew, so what was sent is sent again and never made again (``_update``).
        """
        replay, plan = site.replay, site.plan
        held = self._held()
        private = held.private is not None or privacy.kept(self.party)
        if private and isinstance(replay.task, Code):
            raise Misuse("a file of code trains without a privacy budget", do="Take another task, or no budget.")
        if private:
            with privacy.opened(self.party) as ledger:
                if held.private is not None:
                    fit, by = training.Fit.of(plan.fit, plan.clip), scaling(replay.validation)
                    wish = privacy.Wish(fit, held.private, plan.rounds - round_ + 1, purpose(site, round_))
                    return ledger.train(held.listing, _dense(replay.task), site.base(), (part, by), wish)
                ledger.refuse_plain(held.listing)
        return self._plainly(site, round_, part), None

    def _plainly(self, site: SiteRole, round_: int, part: Part) -> State:
        """The update by the plan's local training, as it is."""
        replay, plan = site.replay, site.plan
        by = scaling(replay.validation)
        if isinstance(replay.task, Code):
            return replay.task.update(site.base(), by.inputs(part), plan.fit, plan.clip)
        seed = hashlib.sha256(plan.seed + round_.to_bytes(4, "big") + self.party.did.encode()).digest()
        return training.train(_dense(replay.task), site.base(), part, by, training.Fit.of(plan.fit, plan.clip), seed)

    def _take(self, call: Call, state: DealState) -> str:
        site = self._site()
        entry = site.submitted(call.deal)
        if entry is None:
            raise Pending("the aggregator has submitted nothing")
        if any(one.kind == CHALLENGE for one in state.history):
            return "challenged"
        why = site.doubt(entry.claim)
        self._done.add((TAKE, call.deal))
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
        if state.rung != 1 or answered(state, 1, 0, self.party.account):
            return "nothing is asked"
        own = self._own(call)
        items: tuple[Evidence, ...] = self.party.evidence_here([own]) if own else ()
        self._site().deliver(call.deal, call.round, items, [own] if own else [])
        return "delivered"

    def _own(self, call: Call) -> bytes | None:
        return next((one for one in self._site().updates(call.round, call.deal)
                     if self.party.statement(one).issuer == self.party.did), None)

    def _held(self) -> Holding:
        if self.holding is None:
            raise Misuse("a verifier has no records")
        return self.holding

    def _records(self) -> Part:
        return self._held().part()

    def _site(self) -> SiteRole:
        seat = self.follower.seat
        if not isinstance(seat, SiteRole):
            raise Misuse("a verifier trains nothing")
        return seat

    # A verifier

    def _verifier(self) -> VerifierRole:
        seat = self.follower.seat
        if not isinstance(seat, VerifierRole):
            raise Misuse("a site judges nothing")
        return seat

    def _share(self, call: Call, state: DealState) -> str:
        self._verifier().share(call.deal, call.round)
        self._done.add((SHARE, call.deal))
        return "shared"

    def _commit(self, call: Call, state: DealState) -> str:
        verifier = self._verifier()
        entry = verifier.submitted(call.deal)
        if state.rung != 1 or answered(state, 1, 1, self.party.account):
            return "nothing is asked"
        # Who called the verifiers over an aggregator's silence must not have their stakes for it.
        claim = bytes(32) if entry is None else entry.claim
        output, result = verifier.find(claim, call.deal, call.round)
        verifier.commit(claim, output, result, self._salt(call.deal), deal=call.deal, round_=call.round)
        self.say(f"round {call.round}: executed again; outcome {result.outcome}, committed")
        return "committed"

    def _reveal(self, call: Call, state: DealState) -> str:
        verifier = self._verifier()
        committed = answered(state, 1, 1, self.party.account)
        if committed is None:
            raise Pending("nothing was committed to")
        for claim, statement in self.party.claims(kinds.VERDICT):
            if statement.issuer == self.party.did and hashlib.sha256(claim).digest() == committed:
                if answered(state, 1, 2, self.party.account) is None:
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


def purpose(site: SiteRole, round_: int) -> str:
    """What a round spends privacy for, in the ledger's list."""
    return f"plan {site.plan_id.hex()[:16]} round {round_}"


def _dense(task: Task) -> Dense:
    if not isinstance(task, Dense):
        raise Misuse("no ready training for this family of models", expected=Dense.FAMILY)
    return task


def in_words(spent: Spent | None) -> str:
    """What was spent, for a line on the screen."""
    return f" privately, epsilon {epsilon_text(spent.epsilon)} of this round alone" if spent else ""


def _nobody(text: str) -> None:
    """Told to nobody."""

