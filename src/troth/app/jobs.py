"""Jobs for a workspace: offers, a JOB.toml made into an order, what is next for each seat, and how jobs stand.

Everything moves through ``flows.job``; here are files, the chain's time, approvals of the token, and runners.
"""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.compute.bisect import trace_of
from troth.compute.runners import PROGRAM, WASM, Job, Limits, Ran, Runner, runner, runner_for
from troth.compute.runners.wasm import Compiled, Failed
from troth.core import encoding
from troth.core.claims import Subject
from troth.core.deals import entry_cost, phase
from troth.core.encoding import from_hex, sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD, Account, DealState
from troth.flows import job as flow
from troth.flows.job import BRIEF, CODE, INPUT, Trusted, Voice
from troth.flows.job_again import execute_again, first_wrong_step
from troth.flows.job_claims import Opinion
from troth.flows.job_market import PROVIDER, WORK, Match, Needs, Provider, known_forms, match, offers_of, records
from troth.flows.job_terms import ASKED, FIRST, JOB, RERUN, Milestone, Money, Order, Periods, Seat
from troth.flows.parts import Above, Pin
from troth.identity.binding import BINDING

if TYPE_CHECKING:
    from troth.app import Troth

MOST_TRACED = 1 << 20
"""States whose digests are handed over with a result: 32 MiB."""
EXAMPLE = "docs/reference/jobs.md shows one."
Judge = Callable[[bytes, bytes], Opinion]
"""A model that reviews: from the brief and what was delivered to its opinion, with a confidence."""


# Offers


def offer(party: Troth, provider: Provider, to: Iterable[str]) -> bytes:
    """Say what this party does for pay, and hand it to these DIDs; the claim. A newer offer replaces an older one.

    Raises Misuse for a form of job that there is not: nobody would read such an offer.
    """
    known_forms(provider.does)
    subject = Subject("account", {"sha256": sha256(provider.account).hex()})
    claim = party.attest(PROVIDER, [subject], provider.body())
    party.send(to, [claim])
    return claim


def find(party: Troth, needs: Needs) -> list[Match]:
    """The offers here, those that fit first, by what the chain says of how their jobs ended. Raises Misuse as above."""
    known_forms([needs.does])
    return match(needs, offers_of(party.claims(PROVIDER)), records(_jobs(party)), party.chain.now())


def _jobs(party: Troth) -> Iterable[DealState]:
    with party.readings() as now:
        for line in now.deals(status="closed"):
            try:
                yield now.deal(line.id).state
            except BadInput:  # names that are no text: no job of ours
                continue


# Orders


@dataclass(frozen=True, slots=True)
class JobFile:
    """A JOB.toml, read. files: what is handed over, by its name in the order; models: DID to what it is."""

    what: str
    provider: str
    reviewers: tuple[str, ...]
    models: Mapping[str, str]
    milestones: tuple[Milestone, ...]
    money: Money
    review: str
    form: str
    limits: Limits
    periods: Periods
    needs: Mapping[str, Any]
    court: Mapping[str, Any]
    files: Mapping[str, bytes]


def load(path: Path | str) -> JobFile:
    """Read a JOB.toml strictly; file names in it are relative to its folder. Raises BadInput, OutsideFailed."""
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is no TOML", actual=error, do=EXAMPLE) from None
    known: dict[str, Any] = {"brief": "", "code": "", "court": {}, "form": "", "input": "", "limits": {},
                             "milestones": [], "models": {}, "money": {}, "needs": {}, "periods": {}, "price": "0",
                             "provider": "", "review": ""}
    (brief, code, court, form, given_input, limits, milestones, models, money, needs, periods, price, provider, review,
     reviewers, what) = encoding.take(known | given, brief=str, code=str, court=dict, form=str, input=str, limits=dict,
                                      milestones=list, models=dict, money=dict, needs=dict, periods=dict, price=str,
                                      provider=str, review=str, reviewers=list, what=str)
    review = review or (RERUN if form in (WASM, PROGRAM) else ASKED)
    parts = [_milestone(one) for one in milestones] or [_milestone({"name": "all", "price": price})]
    named = {CODE: code, INPUT: given_input} if form else {BRIEF: brief}
    if not all(named.values()):
        raise BadInput("a job without its files", expected=" and ".join(sorted(named)), actual=named, do=EXAMPLE)
    return JobFile(what, provider, tuple(map(str, reviewers)), models, tuple(parts),
                   _money(money, review, len(reviewers), bool(court)), review, form,
                   Limits.of(Limits().json() | limits), _periods(periods), needs, court,
                   {name: _file(path.parent / file) for name, file in named.items()})


def _milestone(value: Any) -> Milestone:
    if type(value) is not dict:
        raise BadInput("not a milestone", expected="name and price", actual=value)
    name, price, stake = encoding.take({"stake": "0"} | value, name=str, price=str, stake=str)
    # The least that deters, and the half that a right challenger gets pays the reviewers: one and a half on top.
    return Milestone(name, encoding.amount(price), encoding.amount(stake) or 3 * encoding.amount(price))


def _money(value: Mapping[str, Any], review: str, reviewers: int, court: bool) -> Money:
    names = ("bond", "fee", "least", "models_alone", "reviewer_stake")
    fee = encoding.amount(str(value.get("fee", "0")))
    last_word = review == FIRST and not court
    default = {"bond": str(0 if last_word else fee + 1), "fee": "0", "least": "8000", "models_alone": "0",
               "reviewer_stake": str(2 * (fee // max(1, reviewers)) + 1)}
    bond, fee, least, models_alone, stake = map(encoding.amount, encoding.take(
        default | dict(value), **dict.fromkeys(names, str)))
    return Money(fee, stake, bond, models_alone, least)


def _periods(value: Mapping[str, Any]) -> Periods:
    plain = Periods()
    fund, review, verdict, window, work = encoding.take(
        {"fund": plain.fund, "review": plain.review, "verdict": plain.verdict, "window": plain.window,
         "work": plain.work} | dict(value), fund=int, review=int, verdict=int, window=int, work=int)
    return Periods(fund, work, review, verdict, window)


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None


def order(party: Troth, file: JobFile) -> tuple[bytes, Order]:
    """Order what a JOB.toml says: the deposit goes in, everybody named is told. The order's claim, and the order.

    Where it names no provider, the best match among the offers here is taken. Raises Refuted where nobody fits, and as
    ``flows.job.place``.
    """
    made = _order(party, file, file.provider or _best(party, file))
    others = made.others(party.did)
    _allow(party, made)
    evidence = [party.add(name, data, others) for name, data in file.files.items()]
    return flow.place(party, made, evidence, _introductions(party, made)), made


def _order(party: Troth, file: JobFile, provider: str) -> Order:
    contracts, k = party.contracts, len(file.reviewers) // 2 + 1
    judge = contracts[f"{'rerun' if file.review == RERUN else 'signed'}:{k}"]
    first = judge if file.review == FIRST else contracts["assumed"]
    return Order(contracts.chain_id, contracts["book"].address, contracts["token"].address,
                 Seat(party.did, party.account), _seat(party, provider),
                 tuple(_seat(party, did, file.models.get(did, "")) for did in file.reviewers), file.what,
                 file.milestones, file.money, file.review, Pin.of(first), Pin.of(judge),
                 party.chain.now() + file.periods.fund, secrets.token_bytes(32),
                 file.form, file.limits, file.periods, _court(party, file.court))


def _court(party: Troth, said: Mapping[str, Any]) -> Above | None:
    if not said:
        return None
    period, seat = encoding.take(said, period=int, seat=str)
    return Above(Pin.of(party.contracts["court"]), from_hex(seat.removeprefix("0x").lower(), 20), period)


def _best(party: Troth, file: JobFile) -> str:
    processors, memory, gpu = encoding.take({"gpu": "", "memory": file.limits.memory, "processors": 1}
                                            | dict(file.needs), processors=int, memory=int, gpu=str)
    needs = Needs(file.form or WORK, party.contracts["token"].address, min(one.price for one in file.milestones),
                  max(one.stake for one in file.milestones), processors, memory, gpu, file.limits.seconds)
    found = [one for one in find(party, needs) if one.did != party.did and one.did not in file.reviewers]
    if not found or found[0].why:
        raise Refuted("no offer here fits this job", expected=f"one that does {needs.does} for {needs.price}",
                      actual="; ".join(f"{one.did[:24]}…: {one.why}" for one in found) or "no offers",
                      do="Pay more, ask for less, or get other offers (troth job offer --to).")
    return found[0].did


def _seat(party: Troth, did: str, model: str = "") -> Seat:
    offers = offers_of(party.claims(PROVIDER))
    return Seat(did, offers[did].account if did in offers else party.account_of(did), model)


def _introductions(party: Troth, made: Order) -> list[bytes]:
    """The newest offer or account binding of each seat: with them go their documents."""
    newest = {said.issuer: claim for claim, said in party.claims(BINDING, PROVIDER)}
    return [newest[did] for did in made.others(party.did) if did in newest]


# Seats


def take(party: Troth, claim: bytes, milestone: int = 0) -> int:
    """Deposit this party's stake in a milestone, after looking at the order; the amount.

    Raises Misuse for a provider's order that pays less or asks for a higher stake than this party offers, or is of a
    form that it does not; and as ``flows.job.take``.
    """
    made = flow.order_of(party, claim)
    _offered(party, made, milestone)
    _allow(party, made, milestone)
    return flow.take(party, claim, _trusted(party), milestone)


def _offered(party: Troth, made: Order, milestone: int) -> None:
    """Refuse an order to this provider that is beyond its own newest offer. Raises Misuse."""
    mine = offers_of(party.claims(PROVIDER)).get(party.did)
    if mine is None or made.provider.did != party.did:
        return
    part = made.milestones[milestone] if milestone < len(made.milestones) else made.milestones[0]
    needs = Needs(made.form or WORK, made.token, part.price, part.stake, memory=made.limits.memory if made.form else 1,
                  seconds=made.limits.seconds)
    why = needs.unmet(mine, party.chain.now())
    if why:
        raise Misuse(f"an order beyond what you offer: {why}", expected=f"for {part.price}, with a stake of "
                     f"{part.stake}", do="Offer anew (troth job offer), or leave it.")


def fund(party: Troth, claim: bytes, milestone: int) -> bytes:
    """The client funds a later milestone; its deal. Raises Misuse for another's order."""
    made = flow.order_of(party, claim)
    flow.seat_of(party, made, made.client)
    _allow(party, made, milestone)
    return flow.fund(party, made, milestone)


def do(party: Troth, claim: bytes, milestone: int = 0, by: Runner | None = None) -> tuple[bytes, Ran]:
    """The provider of computing executes the job, takes its seat, and delivers; the result's claim and the run.

    The job runs before the stake is deposited: one that does not end well here is not taken. Raises Refuted then, and
    with nothing executed where the client deposited nothing; Misuse for an order beyond what this party offers;
    Pending while others have not taken their seats (nothing is lost: the same again later).
    """
    made = flow.order_of(party, claim)
    flow.seat_of(party, made, made.provider)
    job, state = flow.job_of(party, claim), flow.standing(party, made, milestone)
    if state is None:
        raise Refuted("the client has not deposited what it promises, so nothing is executed", expected="a deal")
    if state.status == "funding":
        _offered(party, made, milestone)
    ran = (by or runner_for(job.form)).run(job)
    if ran.ending != "done":
        raise Refuted(f"this job has {ran.ending} here, so it is not taken: {ran.why}", expected="a job that ends")
    if made.review == RERUN and not ran.same:
        raise Undecidable("this job's output is this machine's alone, so it is not taken")
    if state.status == "funding":
        take(party, claim, milestone)
        state = flow.standing(party, made, milestone)
    if state is None or state.status == "funding":
        raise Pending("not everybody has taken a seat", do="Try again when they have (troth job show).")
    trace = trace_of(job)[0] if has_steps(job) else None
    if trace is not None and trace.committed.states > MOST_TRACED:
        trace = None
    return flow.deliver(party, claim, ran.output, milestone, fuel=ran.fuel, trace=trace), ran


def has_steps(job: Job) -> bool:
    """Whether each step of this job can be executed by somebody else (`compute.bisect`)."""
    if job.form != WASM:
        return job.form == PROGRAM
    try:
        return {"input", "step", "output"} <= Compiled(job.code).exports
    except Failed:
        return False


def deliver(party: Troth, claim: bytes, output: bytes, milestone: int = 0, note: str = "") -> bytes:
    """The provider delivers; or, where a review was asked for, shows its result again. The result's claim."""
    made = flow.order_of(party, claim)
    state = flow.standing(party, made, milestone)
    if state is not None and made.review != FIRST and state.rung == 1:
        flow.show_again(party, claim, milestone)
        return flow.result_of(party, made, milestone)[0]
    return flow.deliver(party, claim, output, milestone, note=note)


def review(party: Troth, claim: bytes, milestone: int = 0, opinion: Opinion | None = None,
           by: Runner | None = None) -> str:
    """What is next for a reviewer: "taken" (its seat), "committed", "revealed" or "said" (its verdict).

    opinion: of work; of computing it is found by executing again. Raises Pending while there is nothing to do, Misuse
    without an opinion on work, and as ``flows.job``.
    """
    made = flow.order_of(party, claim)
    flow.seat_of(party, made, *made.reviewers)
    state = flow.standing(party, made, milestone)
    if state is None or state.status == "funding":
        if take(party, claim, milestone):
            return "taken"
        raise Pending("not everybody has taken a seat", expected="a deal that runs")
    if state.status != "running" or state.rung != (0 if made.review == FIRST else 1):
        raise Pending("nothing is asked of the reviewers", actual=f"{state.status}, rung {state.rung}")
    if made.review != RERUN:
        if opinion is None:
            raise Misuse("a review of work needs a verdict", expected="--accept or --refuse, and --why")
        flow.review(party, claim, opinion, voice(party), milestone)
        return "said"
    asked = phase(state, party.chain.now()).ask
    if asked == 0:
        raise Pending("the provider has not shown its result again yet", expected="its answer, or the end of its time")
    if asked == 1 and flow.own_review(party, made, milestone) is None:
        found = execute_again(party, claim, milestone, by or runner_for(made.form))
        flow.review(party, claim, found, voice(party), milestone)
        return "committed"
    if asked == 1:
        raise Pending("others have not committed yet", expected="all commitments, or the end of their time")
    flow.reveal(party, claim, voice(party), milestone)
    return "revealed"


def review_with(party: Troth, claim: bytes, judge: Judge, milestone: int = 0) -> str:
    """A model's review of work: it is shown the brief and what was delivered, and its opinion is this seat's voice.

    What was delivered and is not what the result says is refuted without asking it. Raises as ``review``.
    """
    made = flow.order_of(party, claim)
    brief = next((item for item in party.statement(claim).evidence if item.name == BRIEF), None)
    if brief is None:
        raise BadInput("an order without a brief", do="Computing is reviewed by executing it again.")
    try:
        opinion = judge(party.read(brief), flow.output_of(party, made, milestone))
    except Refuted as error:
        opinion = Opinion(REFUTED, error.message)
    return review(party, claim, milestone, opinion)


def refuse(party: Troth, claim: bytes, milestone: int, why: str) -> bytes:
    """Ask for a review, or appeal, within the window: with the bond, and the fee of who judges next; its claim.

    Of a stepped job the first wrong step is looked for, and shown where there is one.
    """
    made = flow.order_of(party, claim)
    state = party.book.state(made.deal(milestone))
    _allow(party, made, milestone, entry_cost(state.terms, state.rung))
    wrong = first_wrong_step(party, claim, milestone) if made.review == RERUN and state.rung == 0 else None
    return flow.refuse(party, claim, milestone, why, wrong)


def check(party: Troth, claim: bytes, milestone: int = 0, by: Runner | None = None) -> Opinion:
    """Execute a delivered job again, and say what was found; nothing is sent. Raises as ``flows.job_again``."""
    made = flow.order_of(party, claim)
    return execute_again(party, claim, milestone, by or runner_for(made.form))


def voice(party: Troth) -> Voice:
    """What this party reviews with."""
    key = party.identity.account
    return Voice(key.sign_digest, key.reveal_seed())


def _trusted(party: Troth) -> Trusted:
    contracts = party.contracts
    names = [name for name in contracts.named
             if name in ("assumed", "court") or name.startswith(("rerun:", "signed:"))]
    return Trusted(contracts["token"].address,
                   tuple(Pin.of(contracts[name]) for name in names),
                   lambda did: _seat(party, did).account)


def _allow(party: Troth, made: Order, milestone: int = 0, extra: int = 0) -> None:
    """Let the Book take what this party deposits in a milestone, and ``extra``; and no more."""
    # Imported here: the chain's libraries take a second to load.
    from troth.ledger.erc20 import Erc20

    needed = extra or sum(pot.amount for pot in made.terms(milestone).pots if pot.depositor == party.account)
    token, book = Erc20(party.chain.web3, made.token), party.contracts["book"].address
    if token.allowance(party.account, book) < needed:
        token.approve(party.sender, book, needed)


# Standing


def standing(party: Troth, claim: bytes) -> dict[str, Any]:
    """An order and how each milestone stands, for a person or a program."""
    made = flow.order_of(party, claim)
    return {"claim": claim.hex(), "what": made.what, "form": made.form or WORK, "review": made.review,
            "client": made.client.did, "provider": made.provider.did,
            "reviewers": [{"did": one.did, "model": one.model} for one in made.reviewers],
            "milestones": [_milestone_standing(party, made, number) for number in range(len(made.milestones))]}


def _milestone_standing(party: Troth, made: Order, milestone: int) -> dict[str, Any]:
    part, state = made.milestones[milestone], flow.standing(party, made, milestone)
    found: dict[str, Any] = {"name": part.name, "price": str(part.price), "stake": str(part.stake),
                             "deal": made.deal(milestone).hex(), "status": "not funded", "missing": [], "asked": "",
                             "due": None, "outcome": None, "slashed": []}
    if state is None:
        return found
    seats: dict[Account, str] = {one.account: one.did for one in (made.client, made.provider, *made.reviewers)}
    found["status"] = state.status
    if state.status == "funding":
        found["due"] = state.terms.fund_by
        found["missing"] = sorted({seats[pot.depositor] for index, pot in enumerate(state.terms.pots)
                                   if index not in state.joined and pot.depositor in seats})
    if state.status == "running":
        asks, at = state.terms.rungs[state.rung].asks, phase(state, party.chain.now())
        waits = at.ask < len(asks)
        found["asked"] = asks[at.ask].kind if waits else "settle"
        found["due"] = at.ask_start + asks[at.ask].period if waits else None
    if state.final is not None:
        found["outcome"] = {UPHELD: "paid", REFUTED: "refunded"}.get(state.final.outcome, "halved")
        found["slashed"] = sorted(seats[one] for one in state.final.slashed if one in seats)
    return found


def orders(party: Troth) -> list[bytes]:
    """Orders in this log that name this party; what cannot be read is nobody's order."""
    found = []
    for claim, said in party.claims(JOB):
        try:
            made = Order.of(said.body)
        except BadInput:
            continue
        if said.issuer == made.client.did and party.did in (party.did, *made.others(party.did)) and (
                party.account in (made.client.account, made.provider.account, *made.bench)):
            found.append(claim)
    return found


def run(job: Job, name: str = "") -> Ran:
    """Execute a job here, for nobody but oneself. name: the runner's; by the job's form where empty."""
    return (runner(name) if name else runner_for(job.form)).run(job)
