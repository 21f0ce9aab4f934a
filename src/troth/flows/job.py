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

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from troth.compute.runners import FORMS, Job
from troth.core.claims import Evidence, Ref, Subject
from troth.core.encoding import sha256
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted
from troth.core.terms import REFUTED, SUBMISSION, UPHELD, VERDICT, Account, DealState, Entry, Result
from troth.core.typed_data import verdict_digest
from troth.flows.job_claims import RESULT, REVIEW, Opinion, ResultClaim, ReviewClaim, body_of
from troth.flows.job_terms import FEE_POT, FIRST, JOB, PRICE_POT, RERUN, Order, Seat
from troth.flows.parts import Party, Pin, join_all
from troth.verify.bisect import Committed, Trace
from troth.verify.policies.voices import commit_data, evidence_root, reveal_data, verdict_data

CODE, INPUT, BRIEF, OUTPUT, TRACE, STATE = "code", "input", "brief", "output", "trace", "state"
LEAST_TIME = 60
"""Seconds for an act on chain, besides those that a job of computing may run: with less a seat is a trap."""


@dataclass(frozen=True, slots=True)
class WrongStep:
    """A step of a provider's own trace that does not follow. step: the number of the state after it; before: the state
    before it, whose digest is the one that the provider committed to."""

    step: int
    before: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Voice:
    """What a reviewer needs besides its seat. sign: a digest, with the account's key (65 bytes). secret: 32 bytes of
    its own, from which what it commits with is made again after a crash."""

    sign: Callable[[bytes], bytes] = field(repr=False)
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a party takes from an order that others wrote: the token, and policies that judge it. account_of: a DID's
    account by its own word; raises Undecidable for one that is not known."""

    token: Account
    policies: tuple[Pin, ...]
    account_of: Callable[[str], Account]


# The client


def place(party: Party, order: Order, evidence: Iterable[Evidence] = (), besides: Iterable[bytes] = ()) -> bytes:
    """The client orders: attest, fund the first milestone, hand the order and what it needs to everybody named.

    evidence: sealed to all of them. besides: claims that make them known to each other. The order's claim. Raises
    Misuse for an order that should not be made, or of another client; ActRefused where the Book refuses.
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
    claim = party.attest(JOB, _about(order, 0), order.body(), evidence=items)
    party.send(order.others(party.did), [*besides, claim], items)
    return claim


def fund(party: Party, order: Order, milestone: int) -> bytes:
    """The client opens a milestone's deal and deposits price and fee; the deal's id. Raises ActRefused."""
    terms, salt = order.terms(milestone), order.salt(milestone)
    deal = party.book.open_and_join(party.account, terms, salt, terms.pot(PRICE_POT))
    join_all(party, deal)
    return deal


def refuse(party: Party, claim: bytes, milestone: int, why: str, wrong: WrongStep | None = None) -> bytes:
    """Somebody asks for a review within the window, with the bond: the client of a result, either side of a verdict
    where there is a court above. Its review claim. wrong: of a stepped job, the step that reviewers need to execute.
    Raises Misuse for a last word; ActRefused where the Book refuses.
    """
    order = order_of(party, claim)
    if order.review == FIRST and order.court is None:
        raise Misuse("this order's reviewers look first, and theirs is the last word")
    party.book.challenge(party.account, order.deal(milestone))
    found = UPHELD if party.account == order.provider.account else REFUTED
    items = [] if wrong is None else [party.add(STATE, wrong.before, order.others(party.did))]
    opinion = Opinion(found, why, step=0 if wrong is None else wrong.step)
    mine = _say(party, order, claim, milestone, opinion, "", items)
    party.send(order.others(party.did), [mine], items)
    return mine


# Everybody


def order_of(party: Party, claim: bytes) -> Order:
    """An order that is here, its client's own and sound. Raises Misuse or BadInput for another, Undecidable without."""
    statement = party.statement(claim)
    order = Order.of(body_of(statement, JOB))
    if statement.issuer != order.client.did:
        raise Misuse("an order in somebody else's name", expected=order.client.did, actual=statement.issuer)
    order.check()
    return order


def take(party: Party, claim: bytes, trusted: Trusted, milestone: int = 0) -> int:
    """The provider or a reviewer takes its seat: deposits its stake, after checking the order; the amount.

    Raises Misuse for an order that names this party in no such seat, leaves it no time, or has tokens and policies that
    it does not trust;
    Refuted where a seat is given an account that is not its party's, or the price is not deposited; Undecidable where
    a provider could not seal to everybody named, which would cost it its stake; ActRefused where the Book refuses.
    """
    order = order_of(party, claim)
    mine = seat_of(party, order, order.provider, *order.reviewers)
    for seat in (order.provider, *order.reviewers):
        account = party.account if seat is mine else trusted.account_of(seat.did)
        if account != seat.account:
            raise Refuted("an order that gives somebody's seat to another account", expected=account.hex(),
                          actual=seat.account.hex(), do="Whoever holds that account would judge in their name.")
    if mine is order.provider:
        party.add("seal", b"", order.others(party.did))
    if order.token != trusted.token:
        raise Misuse("an order in another token", expected=trusted.token.hex(), actual=order.token.hex())
    for pin in (order.result_policy, order.review_policy, *((order.court.policy,) if order.court else ())):
        if pin not in trusted.policies:
            raise Misuse("an order that another policy judges", actual=pin.address.hex(),
                         expected=", ".join(one.address.hex() for one in trusted.policies))
    needed = LEAST_TIME + (order.limits.seconds if order.form else 0)
    if min(order.periods.work, order.periods.review) < needed:
        raise Misuse("an order that leaves no time to deliver or to review: the stake would be lost",
                     expected=f"work and review of at least {needed} s",
                     actual=f"{order.periods.work} s and {order.periods.review} s")
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
            trace: Trace | None = None) -> bytes:
    """The provider seals its output, says so and answers on chain; the result's claim.

    trace: of a stepped job; the digests of its states are handed over too, so that whoever finds a wrong step can show
    it. Raises Misuse for somebody else's seat; ActRefused where it is too early or too late.
    """
    order = order_of(party, claim)
    seat_of(party, order, order.provider)
    items = [party.add(OUTPUT, output, order.others(party.did))]
    committed = Committed(bytes(32), 0)
    if trace is not None:
        committed = trace.committed
        items.append(party.add(TRACE, b"".join(trace.digests), order.others(party.did)))
    said = ResultClaim(order.deal(milestone), milestone, sha256(output), note, fuel, committed.root, committed.states)
    mine = party.attest(RESULT, _about(order, milestone), said.body(), refs=[Ref(JOB, claim)], evidence=items)
    # Handed over before it counts: what is on chain is in everybody's hands.
    party.send(order.others(party.did), [mine], items)
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


def _say(party: Party, order: Order, claim: bytes, milestone: int, opinion: Opinion, model: str,
         evidence: Iterable[Evidence] = ()) -> bytes:
    said = ReviewClaim(order.deal(milestone), milestone, opinion, model)
    refs = [Ref(JOB, claim)]
    entry = _answer(party, order, milestone)
    if entry is not None:
        refs.append(Ref(RESULT, entry.claim))
    return party.attest(REVIEW, _about(order, milestone), said.body(), refs=refs, evidence=evidence)


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
