"""A job: annotation, a freelancer's deliverable or computing, in one flow: order, result, review.

Claims: order, result, review (docs/kinds). Terms: `job_terms`. A milestone goes like this; each act is one call here:

1. the client orders: attests, opens the first milestone's deal, deposits price (and fee), hands the sealed brief over;
2. provider and reviewers look at the order and take their seats: each deposits its stake, and then the time runs;
3. the provider delivers: the output sealed to the client and the reviewers, a result claim, its answer on chain;
4. reviewers who look first give their verdicts; else the result stands, unless somebody asks for a review within the
   window (the client, who refuses), with a bond: the provider shows its result again, and the reviewers judge;
5. anybody settles: the deal pays by what was found.

The output is sealed to the reviewers too from the beginning: so a provider that sends it to them and not to the client
has delivered, and the client gets it from them; one that sends it to nobody has not, and loses its stake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from troth.compute.runners import FORMS, Job, Ran, Runner
from troth.core import encoding
from troth.core.claims import Evidence, Ref, Statement, Subject
from troth.core.encoding import from_hex, sha256
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import REFUTED, SUBMISSION, UPHELD, VERDICT, Account, DealState, Entry, Result
from troth.core.typed_data import verdict_digest
from troth.flows.job_terms import FEE_POT, FIRST, ORDER, PRICE_POT, RERUN, Order, Seat
from troth.flows.parts import Party, Pin, join_all
from troth.verify.policies.voices import commit_data, evidence_root, reveal_data, verdict_data

RESULT, REVIEW = "result", "review"
CODE, INPUT, BRIEF, OUTPUT = "code", "input", "brief", "output"
SURE = 10_000


@dataclass(frozen=True, slots=True)
class ResultClaim:
    """What a provider says that it made. output: SHA-256 of the bytes that are sealed. fuel: what computing used.
    trace: of a stepped job, the root over the digests of all its states, and how many these are; zeros else."""

    deal: bytes
    milestone: int
    output: bytes
    note: str = ""
    fuel: int = 0
    trace: bytes = bytes(32)
    states: int = 0

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"deal": self.deal.hex(), "fuel": str(self.fuel), "milestone": self.milestone, "note": self.note,
                "output": self.output.hex(), "states": self.states, "trace": self.trace.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        deal, fuel, milestone, note, output, states, trace = encoding.take(
            _body(statement, RESULT), deal=str, fuel=str, milestone=int, note=str, output=str, states=int, trace=str)
        return cls(from_hex(deal, 32), milestone, from_hex(output, 32), note, encoding.amount(fuel),
                   from_hex(trace, 32), states)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reviewer found. outcome: UPHELD or REFUTED. confidence: in parts of 10,000. why: for people to read.
    output: SHA-256 of what executing again gave; zeros where nothing was executed."""

    outcome: int
    why: str
    confidence: int = SURE
    output: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class ReviewClaim:
    """A reviewer's verdict on one milestone, or (by the client) why it refuses. model: empty for people."""

    deal: bytes
    milestone: int
    opinion: Opinion
    model: str = ""

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        said = self.opinion
        return {"confidence": said.confidence, "deal": self.deal.hex(), "milestone": self.milestone,
                "model": self.model, "outcome": said.outcome, "output": said.output.hex(), "why": said.why}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        confidence, deal, milestone, model, outcome, output, why = encoding.take(
            _body(statement, REVIEW), confidence=int, deal=str, milestone=int, model=str, outcome=int, output=str,
            why=str)
        if outcome not in (UPHELD, REFUTED) or not 0 <= confidence <= SURE:
            raise BadInput("not a review", expected=f"outcome 1 or 2, confidence 0 to {SURE}",
                           actual=f"{outcome}, {confidence}")
        return cls(from_hex(deal, 32), milestone, Opinion(outcome, why, confidence, from_hex(output, 32)), model)


@dataclass(frozen=True, slots=True)
class Voice:
    """What a reviewer needs besides its seat. sign: a digest, with the account's key (65 bytes). secret: 32 bytes of
    its own, from which what it commits with is made again after a crash."""

    sign: Callable[[bytes], bytes] = field(repr=False)
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a party takes from an order that others wrote: the token, and policies that judge it."""

    token: Account
    policies: tuple[Pin, ...]


# The client


def place(party: Party, order: Order, evidence: Iterable[Evidence] = (), besides: Iterable[bytes] = ()) -> bytes:
    """The client orders: attest, fund the first milestone, hand the order and what it needs to everybody named.

    evidence: sealed to all of them. besides: claims that make them known to each other. The order's claim. Raises Misuse for an order that should not be made, or of
    another client; ActRefused where the Book refuses.
    """
    order.check()
    if (order.client.did, order.client.account) != (party.did, party.account):
        raise Misuse("somebody else's order", expected=party.account.hex(), actual=order.client.account.hex())
    items = tuple(evidence)
    needed = {CODE, INPUT} if order.form else {BRIEF}
    if {item.name for item in items} - {BRIEF} != needed - {BRIEF}:
        raise Misuse("an order without what it takes to do it", expected=", ".join(sorted(needed)),
                     actual=", ".join(item.name for item in items))
    fund(party, order, 0)
    claim = party.attest(ORDER, _about(order, 0), order.body(), evidence=items)
    party.send(order.others(party.did), [*besides, claim], items)
    return claim


def fund(party: Party, order: Order, milestone: int) -> bytes:
    """The client opens a milestone's deal and deposits price and fee; the deal's id. Raises ActRefused."""
    terms, salt = order.terms(milestone), order.salt(milestone)
    deal = party.book.open_and_join(party.account, terms, salt, terms.pot(PRICE_POT))
    join_all(party, deal)
    return deal


def refuse(party: Party, claim: bytes, milestone: int, why: str) -> bytes:
    """Somebody, mostly the client, asks for a review within the window, with the bond; its review claim.

    Raises Misuse where reviewers looked first; ActRefused where the Book refuses.
    """
    order = order_of(party, claim)
    if order.review == FIRST:
        raise Misuse("this order's reviewers look first, and theirs is the last word")
    party.book.challenge(party.account, order.deal(milestone))
    mine = _say(party, order, claim, milestone, Opinion(REFUTED, why), "")
    party.send(order.others(party.did), [mine])
    return mine


# Everybody


def order_of(party: Party, claim: bytes) -> Order:
    """An order that is here, its client's own and sound. Raises Misuse or BadInput for another, Undecidable without."""
    statement = party.statement(claim)
    order = Order.of(_body(statement, ORDER))
    if statement.issuer != order.client.did:
        raise Misuse("an order in somebody else's name", expected=order.client.did, actual=statement.issuer)
    order.check()
    return order


def take(party: Party, claim: bytes, trusted: Trusted, milestone: int = 0) -> int:
    """The provider or a reviewer takes its seat: deposits its stake, after checking the order; the amount.

    Raises Misuse for an order that names this party in no such seat, or tokens and policies that it does not trust;
    Refuted where the price is not deposited; ActRefused where the Book refuses.
    """
    order = order_of(party, claim)
    seat_of(party, order, order.provider, *order.reviewers)
    if order.token != trusted.token:
        raise Misuse("an order in another token", expected=trusted.token.hex(), actual=order.token.hex())
    for pin in (order.result_policy, order.review_policy):
        if pin not in trusted.policies:
            raise Misuse("an order that another policy judges", actual=pin.address.hex(),
                         expected=", ".join(one.address.hex() for one in trusted.policies))
    state = standing(party, order, milestone)
    terms = order.terms(milestone)
    paid = {index for index, pot in enumerate(terms.pots) if pot.name in (PRICE_POT, FEE_POT)
            and pot.depositor == order.client.account}
    if state is None or not paid <= state.joined:
        raise Refuted("the client has not deposited what it promises", expected="price and fee in the deal",
                      actual="no such deal" if state is None else state.status)
    return join_all(party, order.deal(milestone))


def settle(party: Party, claim: bytes, milestone: int = 0) -> DealState:
    """Judge what is due to be judged, and close: everybody is paid by what was found. Anybody may.

    Raises ActRefused (NotYet, TooEarly) while the time for that has not come.
    """
    order = order_of(party, claim)
    deal = order.deal(milestone)
    state = party.book.state(deal)
    judged = any(entry.kind == VERDICT and entry.rung == state.rung for entry in state.history)
    if state.status == "running" and not judged:
        try:
            party.book.judge(party.account, deal)
        except ActRefused as refusal:
            if refusal.code not in ("NoVerdict", "TooLate", "TooEarly"):
                raise
    party.book.close(party.account, deal)
    return party.book.state(deal)


def standing(party: Party, order: Order, milestone: int) -> DealState | None:
    """A milestone's deal as the chain has it; None where it was not opened."""
    try:
        return party.book.state(order.deal(milestone))
    except ActRefused as refusal:
        if refusal.code == "Unknown":
            return None
        raise


def seat_of(party: Party, order: Order, *seats: Seat) -> Seat:
    """This party's seat among these. Raises Misuse where it has none."""
    for seat in seats:
        if (seat.did, seat.account) == (party.did, party.account):
            return seat
    raise Misuse("this order names this party in no such seat", expected=", ".join(one.did for one in seats),
                 actual=party.did)


# The provider


def deliver(party: Party, claim: bytes, output: bytes, milestone: int = 0, *, note: str = "", fuel: int = 0,
            trace: bytes = bytes(32), states: int = 0) -> bytes:
    """The provider seals its output, says so and answers on chain; the result's claim.

    Raises Misuse for somebody else's seat; ActRefused where it is too early or too late.
    """
    order = order_of(party, claim)
    seat_of(party, order, order.provider)
    item = party.add(OUTPUT, output, order.others(party.did))
    said = ResultClaim(order.deal(milestone), milestone, sha256(output), note, fuel, trace, states)
    mine = party.attest(RESULT, _about(order, milestone), said.body(), refs=[Ref(ORDER, claim)], evidence=[item])
    # Handed over before it counts: what is on chain is in everybody's hands.
    party.send(order.others(party.did), [mine], [item])
    if order.review == FIRST:
        party.book.submit(party.account, said.deal, 0, 0, mine, b"")
    else:
        party.book.submit_and_judge(party.account, said.deal, 0, 0, mine, Result(UPHELD).to_bytes())
    return mine


def show_again(party: Party, claim: bytes, milestone: int = 0) -> None:
    """The provider answers a request for a review: result, and what it was made from, to the reviewers once more.

    So a client cannot win by keeping from the reviewers what it gave the provider. A provider that does not answer in
    time loses its stake. Raises ActRefused.
    """
    order = order_of(party, claim)
    seat_of(party, order, order.provider)
    mine, _ = result_of(party, order, milestone)
    to = tuple(seat.did for seat in order.reviewers)
    items = (*party.statement(claim).evidence, *party.statement(mine).evidence)
    for item in items:
        if item.sealed:
            party.share(item, to)
    party.send(to, [claim, mine], items)
    party.book.submit(party.account, order.deal(milestone), 0, 0, mine, b"")


# The reviewers


def result_of(party: Party, order: Order, milestone: int) -> tuple[bytes, ResultClaim]:
    """The result that counts, which is the one on chain. Raises Pending where there is none, Undecidable where it was
    not handed over, Refuted where it is none of this deal or of this provider."""
    entry = _answer(party, order, milestone)
    if entry is None:
        raise Pending("nothing is delivered yet", expected=f"a result of milestone {milestone}")
    statement = party.statement(entry.claim)
    try:
        said = ResultClaim.of(statement)
    except BadInput as error:
        raise Refuted(f"what was answered is no result: {error.message}") from None
    if (statement.issuer, said.deal, said.milestone) != (order.provider.did, order.deal(milestone), milestone):
        raise Refuted("what was answered is another deal's result", expected=order.deal(milestone).hex(),
                      actual=said.deal.hex())
    return entry.claim, said


def output_of(party: Party, order: Order, milestone: int = 0) -> bytes:
    """What was delivered, unsealed and as the result says. Raises Refuted where it is something else, Undecidable where
    it was not handed over or not to this party, Pending where nothing was delivered."""
    mine, said = result_of(party, order, milestone)
    items = [item for item in party.statement(mine).evidence if item.name == OUTPUT]
    if len(items) != 1:
        raise Refuted("a result without its output", expected="one", actual=len(items))
    output = party.read(items[0])
    if sha256(output) != said.output:
        raise Refuted("the output is not the one that the result names", expected=said.output.hex(),
                      actual=sha256(output).hex())
    return output


def job_of(party: Party, claim: bytes) -> Job:
    """What an order asks to execute. Raises Misuse for an order of other work; Undecidable where it is not here."""
    order, statement = order_of(party, claim), party.statement(claim)
    if order.form not in FORMS:
        raise Misuse("this order asks for work, not for computing", actual=order.what)
    parts = {item.name: party.read(item) for item in statement.evidence if item.name in (CODE, INPUT)}
    if parts.keys() != {CODE, INPUT}:
        raise BadInput("an order without its code and input", expected=f"{CODE}, {INPUT}", actual=sorted(parts))
    return Job(order.form, parts[CODE], parts[INPUT], order.limits)


def execute_again(party: Party, claim: bytes, milestone: int, runner: Runner) -> tuple[Opinion, Ran]:
    """A reviewer's finding by re-execution, for a result whose bits are the same everywhere.

    Withheld or unreadable: refuted. What this machine cannot tell (`Ran.same`): the result stands. Raises Undecidable
    where the order's own code and input are not here, so that nothing can be found.
    """
    order = order_of(party, claim)
    ran = runner.run(job_of(party, claim))
    found = sha256(ran.output) if ran.ending == "done" else bytes(32)
    try:
        output = output_of(party, order, milestone)
    except (Refuted, Undecidable) as error:
        return Opinion(REFUTED, f"no output to be seen: {error.message}", output=found), ran
    if ran.ending == "done" and output == ran.output:
        return Opinion(UPHELD, "executed again: the same bytes", output=found), ran
    if not ran.same:
        return Opinion(UPHELD, f"this machine cannot tell ({ran.why}): the result stands", 0, found), ran
    why = "executed again: other bytes" if ran.ending == "done" else f"executed again: {ran.ending}, {ran.why}"
    return Opinion(REFUTED, why, output=found), ran


def review(party: Party, claim: bytes, opinion: Opinion, voice: Voice, milestone: int = 0) -> bytes:
    """A reviewer gives its verdict, signed; of a re-execution it commits to it, and reveals it later. Its claim.

    A model that is less sure than the order's ``least`` answers without a verdict: it keeps its stake and counts for
    nothing. Raises Misuse for somebody else's seat, Pending before there is something to review; ActRefused.
    """
    order = order_of(party, claim)
    seat = seat_of(party, order, *order.reviewers)
    deal = order.deal(milestone)
    state = party.book.state(deal)
    if opinion.outcome == UPHELD and _answer(party, order, milestone) is None:
        raise Pending("nothing is delivered yet", expected=f"a result of milestone {milestone}")
    found = Result(UPHELD) if opinion.outcome == UPHELD else order.refusal()
    mine = _say(party, order, claim, milestone, opinion, seat.model)
    if order.review == RERUN:
        # What it found stays its own until all have committed: the claim's id is hidden, and the claim not handed over.
        data = commit_data(deal, 1, party.account, found.to_bytes(), _salt(voice, deal))
        party.book.submit(party.account, deal, 1, 0, sha256(mine), data)
        return mine
    data = b""
    if not seat.model or opinion.confidence >= order.money.least:
        data = _signed(order, state, deal, found, voice)
    party.send(order.others(party.did), [mine])
    party.book.submit(party.account, deal, 1, 0, mine, data)
    return mine


def reveal(party: Party, claim: bytes, voice: Voice, milestone: int = 0) -> None:
    """A reviewer of a re-execution reveals what it committed to, and hands its claim over.

    Raises Misuse where it committed to nothing; ActRefused.
    """
    order = order_of(party, claim)
    deal = order.deal(milestone)
    said = own_review(party, order, milestone)
    if said is None:
        raise Misuse("nothing was committed to", do="Review first (troth job review).")
    mine, opinion = said
    found = Result(UPHELD) if opinion.outcome == UPHELD else order.refusal()
    party.book.submit(party.account, deal, 2, 0, mine, reveal_data(found.to_bytes(), _salt(voice, deal)))
    party.send(order.others(party.did), [mine])


def own_review(party: Party, order: Order, milestone: int) -> tuple[bytes, Opinion] | None:
    """This party's newest review of a milestone, if there is one."""
    deal, found = order.deal(milestone).hex(), None
    for claim, said in party.claims(REVIEW):
        if said.issuer == party.did and said.body.get("deal") == deal:
            found = claim, ReviewClaim.of(said).opinion
    return found


# Inside


def _say(party: Party, order: Order, claim: bytes, milestone: int, opinion: Opinion, model: str) -> bytes:
    said = ReviewClaim(order.deal(milestone), milestone, opinion, model)
    refs = [Ref(ORDER, claim)]
    entry = _answer(party, order, milestone)
    if entry is not None:
        refs.append(Ref(RESULT, entry.claim))
    return party.attest(REVIEW, _about(order, milestone), said.body(), refs=refs)


def _signed(order: Order, state: DealState, deal: bytes, found: Result, voice: Voice) -> bytes:
    rung = 0 if order.review == FIRST else 1
    root = _root(state, deal, rung, 1)
    expiry = (1 << 63) - 1  # the Book's own deadline ends it
    digest = verdict_digest(order.chain_id, order.book, deal, rung, root, found.to_bytes(), expiry)
    return verdict_data(found.to_bytes(), expiry, voice.sign(digest))


def _root(state: DealState, deal: bytes, rung: int, ask: int) -> bytes:
    """The history's hash before the first answer to an ask."""
    # Imported here: what a policy is asked with, which nothing else here needs.
    from troth.core.deals import Question

    return evidence_root(Question(deal, rung, state.terms.rungs[rung], 0, state.history), ask)


def _answer(party: Party, order: Order, milestone: int) -> Entry | None:
    """What the provider put on chain first."""
    state = standing(party, order, milestone)
    return next((entry for entry in (state.history if state else ()) if entry.kind == SUBMISSION
                 and (entry.rung, entry.ask, entry.by) == (0, 0, order.provider.account)), None)


def _salt(voice: Voice, deal: bytes) -> bytes:
    return sha256(b"troth/job/salt/1\n" + voice.secret + deal)


def _about(order: Order, milestone: int) -> tuple[Subject, ...]:
    return (Subject("deal", {"keccak256": order.deal(milestone).hex()}),)


def _body(statement: Statement, kind: str) -> Mapping[str, Any]:
    if (statement.kind, statement.version) != (kind, 1):
        found = f"{statement.kind} v{statement.version}"
        raise BadInput("a claim of another kind", expected=f"{kind} v1", actual=found)
    return statement.body
