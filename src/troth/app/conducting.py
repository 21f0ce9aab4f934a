"""Conducting the rounds of a plan: the coordinator's side, one step at a time, each found again if it was done before.

Time is the chain's. A chain in the coordinator's folder is nobody's but its process's: its clock is moved instead of
waited for.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    judged,
    seated,
)
from troth.core.deals import Phase, phase
from troth.core.encoding import decode_object, encode, sha256
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Undecidable
from troth.core.terms import Result, deal_id
from troth.flows import round as flow
from troth.flows.parts import join_all
from troth.flows.roles import AggregatorRole
from troth.flows.terms import round_terms
from troth.learn import claims as kinds
from troth.learn.claims import AggregateClaim, VerdictClaim
from troth.learn.lineage import STANDS
from troth.store.files import replacing

if TYPE_CHECKING:
    from troth.app.training import Coordinator

JOURNAL = "rounds.json"
SPONSOR, AGGREGATOR = "sponsor", "aggregator"
PATIENCE = 20.0
"""Seconds that one call to invited sites waits; whoever is absent is called again while the deal's time lasts."""
FLOWER_PATIENCE = 120.0
"""The same over Flower, which starts a process for each call at each site."""


@dataclass(frozen=True, slots=True)
class Row:
    """One round as it stands. loss at 2**16, score in parts per million, paid by site's DID in the smallest unit."""

    round: int
    deal: bytes
    aggregate: bytes
    loss: int
    score: int
    params: bytes
    outcome: int
    paid: Mapping[str, int]
    counted: int
    rejected: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """For ``--json`` and result.json."""
        return {"aggregate": self.aggregate.hex(), "counted": self.counted, "deal": self.deal.hex(), "loss": self.loss,
                "outcome": self.outcome, "paid": {did: str(amount) for did, amount in self.paid.items()},
                "params": self.params.hex(), "rejected": list(self.rejected), "round": self.round,
                "score_ppm": self.score}


class Rounds(ABC):
    """The rounds of one plan, from the coordinator's side."""

    def __init__(self, home: Coordinator, plan: bytes) -> None:
        self.home, self.plan_id, self.agreed = home, plan, home.agreed
        self.sponsor, self.aggregator = home.seats(plan)
        self.plan = self.sponsor.seat.plan
        self._engines = home.engines()
        self._patience = PATIENCE if home._link is None else FLOWER_PATIENCE
        self._verifiers = [seat.did for seat in self.plan.verifiers]

    def run(self, progress: Callable[[Row], None] | None) -> list[Row]:
        """Every round; see ``Coordinator.run``."""
        rows: list[Row] = []
        for number in range(1, self.agreed.rounds + 1):
            self._receive()
            if self.aggregator.advance() < number:
                self._round(number)
                self._receive()
            if self.aggregator.advance() < number or self.sponsor.advance() < number:
                raise Undecidable(f"round {number} is over, and no aggregate stands",
                                  do="Look at its deal: troth deal show.")
            rows.append(self.row(number))
            if progress:
                progress(rows[-1])
        return rows

    def row(self, number: int) -> Row:
        """What stands after a round."""
        seat = self.sponsor.seat
        claim = self.sponsor.stands[number - 1]
        said = AggregateClaim.of(seat.party.statement(claim))
        final = seat.party.book.state(said.deal).final
        if final is None:
            raise Undecidable("a round that stands, and whose deal is open", actual=said.deal.hex())
        paid = dict(zip(self.plan.keys, final.values, strict=True))
        loss, score = said.result.get("loss"), said.result.get("score_ppm")
        rejected = tuple(f"{one['site']}: {one['reason']}" for one in said.result.get("rejected", ()))
        return Row(number, said.deal, claim, int(loss or 0), int(score or 0), said.params, final.outcome, paid,
                   sum(said.flags("counted")), rejected)

    # One round

    def _round(self, number: int) -> None:
        home, book = self.home, self.sponsor.seat.party.book
        deal = self._deal(number)
        self._join(number, deal)
        state = self.sponsor.state(deal)
        if self._submitted(deal) is None and state.final is None:
            self._updates(number, deal, state.ask_start)
            self._aggregate(number, deal, state.ask_start)
        state = self.sponsor.state(deal)
        if state.final is None:
            if not judged(state, 0) and state.rung == 0:
                book.judge(self.sponsor.seat.party.account, deal)
            answers = self._ask(TAKE, number, deal, self._sites(deal), until=None)
            for did, said in answers.items():
                if said.startswith("challenged"):
                    home.say(f"round {number}: {did[-12:]}: {said}")
            if self.sponsor.state(deal).rung == 1:
                self._dispute(number, deal)
            self._close(deal)
        if self.sponsor.state(deal).rung == 1:
            self._correct(number, deal)

    @abstractmethod
    def _updates(self, number: int, deal: bytes, start: int) -> None:
        """Ask the sites for what a round needs of them. start: when the deal's first ask began."""

    @abstractmethod
    def _output(self, number: int, deal: bytes, start: int) -> bytes:
        """Publish the aggregate that follows; its claim."""

    @abstractmethod
    def _corrected(self, wrong: bytes, verdicts: Mapping[bytes, VerdictClaim], result: Result) -> None:
        """Publish what the agreeing verifiers found."""

    def _aggregating(self) -> AggregatorRole:
        if not isinstance(self.aggregator.seat, AggregatorRole):
            raise Misuse("this seat aggregates nothing")
        return self.aggregator.seat

    def _deal(self, number: int) -> bytes:
        """The round's deal: found, or opened for a moment that was written down before."""
        journal = self.home.out / JOURNAL
        tried: dict[str, list[int]] = decode_object(journal.read_bytes()) if journal.exists() else {}
        seat, chain = self.sponsor.seat, self.home.chain
        if chain is None:
            raise Misuse("there is no chain", do="Prepare first.")
        book, account = seat.party.book, seat.party.account
        for attempt in range(1_000):
            moments = tried.setdefault(str(number), [])
            if attempt == len(moments):
                moments.append(chain.now())
                with replacing(journal) as out:
                    out.write(encode(tried))
            terms = round_terms(self.sponsor.words, self.plan, seated(seat), moments[attempt])
            salt = sha256(b"troth round" + self.plan_id + number.to_bytes(4, "big") + attempt.to_bytes(4, "big"))
            deal = deal_id(book.chain_id, book.address, account, salt, terms.hash())
            try:
                if book.state(deal).status != "void" and not self._lapsed(deal):
                    return deal
            except ActRefused:
                if chain.now() < terms.fund_by:
                    return book.open(account, terms, salt)
        raise Undecidable("this round's deal was opened too often")

    def _lapsed(self, deal: bytes) -> bool:
        """Whether a deal was not funded in time; it is then closed, and its deposits go back."""
        seat, chain = self.sponsor.seat, self.home.chain
        state = seat.party.book.state(deal)
        if state.status != "funding" or chain is None or chain.now() < state.terms.fund_by:
            return False
        seat.party.book.close(seat.party.account, deal)
        return True

    def _join(self, number: int, deal: bytes) -> None:
        state = self.sponsor.state(deal)
        if state.status != "funding":
            return
        for follower in (self.sponsor, self.aggregator):
            join_all(follower.seat.party, deal)
        self._ask(JOIN, number, deal, [*self._sites(deal), *self._verifiers], until=state.terms.fund_by)
        state = self.sponsor.state(deal)
        if state.status == "funding":
            missing = [pot.name for index, pot in enumerate(state.terms.pots)
                       if index not in state.joined and len(pot.depositor) == 20]
            raise Pending(f"round {number} is not funded: somebody did not deposit", actual=", ".join(missing),
                          do="Run troth train again when they are back: deposits of a deal that lapsed go back.")

    def _aggregate(self, number: int, deal: bytes, start: int) -> None:
        """Publish and submit. What was published of this deal before is submitted as it was."""
        aggregator, party = self._aggregating(), self.home[AGGREGATOR]
        claim = next((claim for claim, said in party.claims(kinds.AGGREGATE)
                      if said.issuer == party.did and AggregateClaim.of(said).deal == deal), None)
        if claim is None:
            claim = self._output(number, deal, start)
        else:
            party.send(aggregator.everybody(), [claim], party.evidence_here([claim]))
        result = aggregator.replay.promised(aggregator.step(claim).claim, aggregator.seated(deal))
        party.book.submit(party.account, deal, 0, 0, claim, result.to_bytes())

    def _submitted(self, deal: bytes) -> bytes | None:
        entry = self.aggregator.seat.submitted(deal)
        return None if entry is None else entry.claim

    # A dispute

    def _dispute(self, number: int, deal: bytes) -> None:
        """Everybody delivers, the verifiers execute again; without a call each could do so by itself."""
        aggregator = self.aggregator.seat
        party, claim = self.home[AGGREGATOR], self._submitted(deal)
        if claim is not None and not any(entry.rung == 1 and entry.ask == 0 and entry.by == party.account
                                         for entry in self.sponsor.state(deal).history):
            aggregator.deliver(deal, number, party.evidence_here([claim]))
        start = self.sponsor.state(deal).ask_start
        self._ask(EVIDENCE, number, deal, self._sites(deal), until=start + self.agreed.periods.answer)
        self._past(deal, 1)  # the evidence is whole: only now do verifiers share what they have of it
        start = self._asked(deal).ask_start
        self._ask(SHARE, number, deal, self._verifiers, until=start + self.agreed.periods.answer // 3)
        self._ask(COMMIT, number, deal, self._verifiers, until=start + self.agreed.periods.answer)
        self._past(deal, 2)
        start = self._asked(deal).ask_start
        self._ask(REVEAL, number, deal, self._verifiers, until=start + self.agreed.periods.answer)
        self._receive()
        if not judged(self.sponsor.state(deal), 1):
            sponsor = self.sponsor.seat.party
            self._until(lambda: sponsor.book.judge(sponsor.account, deal), "TooEarly")

    def _past(self, deal: bytes, ask: int) -> None:
        """Wait until rung 1 asks this: it does as soon as all have answered the one before, or its time is over."""
        while (at := self._asked(deal)).ask < ask:
            self._sleep_until(at.ask_start + self.agreed.periods.answer)

    def _asked(self, deal: bytes) -> Phase:
        """Which ask of the deal's rung runs now, and since when: the deal itself keeps only what an act moved on."""
        chain = self.home.chain
        return phase(self.sponsor.state(deal), chain.now() if chain else 0)

    def _correct(self, number: int, deal: bytes) -> None:
        """After a challenge: publish what the agreeing verifiers found, unless the aggregate was upheld."""
        party, wrong = self._aggregating().party, self._submitted(deal)
        final = self.sponsor.state(deal).final
        if wrong is None or final is None or final.outcome in STANDS:
            return
        if any(said.all_refs("corrects") == (wrong,) for _, said in party.claims(kinds.AGGREGATE)):
            return
        verdicts = {claim: VerdictClaim.of(said) for claim, said in party.claims(kinds.VERDICT)
                    if said.issuer in self._verifiers and said.all_refs("of") == (wrong,)}
        self._corrected(wrong, verdicts, final)

    def _close(self, deal: bytes) -> None:
        party = self.sponsor.seat.party
        if party.book.state(deal).final is None:
            self._until(lambda: party.book.close(party.account, deal), "NotYet")

    # Inside

    def _sites(self, deal: bytes) -> list[str]:
        return sorted(self.sponsor.seat.seated(deal))

    def _receive(self) -> None:
        for follower in (self.sponsor, self.aggregator):
            follower.seat.party.receive()

    def _ask(self, act: str, number: int, deal: bytes, dids: Iterable[str], until: int | None,
             data: bytes = b"") -> dict[str, str]:
        """Call them; what each did, by DID. until: the chain's time up to which the absent are called again.

        A site that says why it does not is told of once, and called again too: it may be behind.
        """
        left, done, told = list(dids), dict[str, str](), set[str]()
        call = Call(act, self.plan_id, number, deal, data).to_bytes(self.home[SPONSOR])
        while left:
            for did, answer in self._once(call, left).items():
                said = _read_answer(answer)
                if "done" in said:
                    done[did] = str(said["done"])
                elif str(said.get("error")) not in told:
                    told.add(str(said.get("error")))
                    self.home.say(f"round {number}: {did[-12:]} does not {act}: {said.get('error')}")
            left = [did for did in left if did not in done]
            now = 0 if self.home.chain is None else self.home.chain.now()
            if not left or until is None or self.home.local_chain or now >= until - 1:
                break
            time.sleep(0.2)
        for did in left:
            self.home.say(f"round {number}: no answer to {act} from {did[-12:]}")
        return done

    def _once(self, call: bytes, dids: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for engine, reached in self._engines:
            mine = [did for did in dids if did in reached or (not reached and not self._elsewhere(did))]
            if mine:
                found |= engine.ask(call, mine, self._patience if not reached else 3600.0)
        return found

    def _elsewhere(self, did: str) -> bool:
        return any(did in reached for _, reached in self._engines)

    def _until(self, act: Callable[[], object], early: str) -> None:
        """Do something as soon as the chain's time lets it."""
        while True:
            try:
                act()
                return
            except ActRefused as refusal:
                if refusal.code != early:
                    raise
            chain = self.home.chain
            self._sleep_until((chain.now() if chain else 0) + max(1, self.agreed.periods.window // 4))

    def _sleep_until(self, moment: int) -> None:
        chain = self.home.chain
        if chain is None:
            return
        # Imported here: the chain's libraries take a second to load.
        from troth.ledger.chains.embedded import EmbeddedChain

        if isinstance(chain, EmbeddedChain) and self.home.local_chain:
            chain.advance(max(0, moment - chain.now()))
            return
        while chain.now() < moment:
            time.sleep(min(1.0, moment - chain.now()))


class OpenRounds(Rounds):
    """Rounds whose updates the aggregator and the verifiers see."""

    def _open(self) -> flow.Aggregator:
        seat = self._aggregating()
        if not isinstance(seat, flow.Aggregator):
            raise Misuse("this plan's updates are not open")
        return seat

    def _updates(self, number: int, deal: bytes, start: int) -> None:
        """Commitments, the list of them, and only then the updates; each takes a third of the answer's time at most."""
        aggregator, answer = self._open(), self.agreed.periods.answer
        if not aggregator.held(number, deal).lists:
            self._ask(UPDATE, number, deal, self._sites(deal), until=start + answer // 3)
            self._receive()
        aggregator.fix(deal, number)
        fixed = aggregator.held(number, deal).fixed
        sites = {aggregator.party.statement(claim).issuer for claim in fixed}
        self._ask(OPEN, number, deal, sorted(sites), until=start + 2 * answer // 3)
        self._receive()

    def _output(self, number: int, deal: bytes, start: int) -> bytes:
        aggregator = self._open()
        output, updates = aggregator.aggregate(deal, number)
        return aggregator.publish(deal, number, output, updates)

    def _corrected(self, wrong: bytes, verdicts: Mapping[bytes, VerdictClaim], result: Result) -> None:
        flow.correct(self._open(), wrong, verdicts, result)


def _read_answer(answer: bytes) -> dict[str, Any]:
    try:
        return decode_object(answer)
    except BadInput as error:
        return {"error": error.message}
