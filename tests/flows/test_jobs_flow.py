"""Jobs between workspaces: work and computing, paid when it is done; each cheat ends poorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hired import BOND, FEE, GIVEN, HOUR, PRICE, REVIEWERS, SEAT, STAKE, TEXT, Gains, Hired

from ports.wat_modules import summed
from troth.app import Settings, Troth, jobs
from troth.compute.bisect import WasmSteps, trace_of
from troth.compute.runners import Job, Ran
from troth.compute.runners.wasm import Wasm
from troth.core.errors import ActRefused, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD
from troth.flows import job as flow
from troth.flows.job import BRIEF
from troth.flows.job_again import execute_again, first_wrong_step, shown_wrong, trace_said
from troth.flows.job_claims import Opinion, ReviewClaim
from troth.flows.job_terms import ASKED, FIRST, RERUN, UNSEEN, Milestone, Money, Order, Periods, Seat
from troth.flows.parts import Above
from troth.identity.keystore import MIN_COST
from troth.verify.bisect import Trace

GOOD, BAD = Opinion(UPHELD, "as ordered"), Opinion(REFUTED, "it is a dog")


@pytest.fixture(scope="module")
def hired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hired]:
    found = Hired(tmp_path_factory.mktemp("hired"))
    yield found
    found.close()


# Work


def test_annotation_that_nobody_refuses_is_paid(hired: Hired) -> None:
    gains = Gains(hired)
    order, claim = hired.place(ASKED)
    brief = next(item for item in hired["provider"].statement(claim).evidence if item.name == BRIEF)
    assert hired["provider"].read(brief) == TEXT
    hired.deliver(claim, b"cat")
    assert flow.output_of(hired["client"], order) == b"cat"
    with pytest.raises(ActRefused, match="NotYet"):
        flow.settle(hired["client"], claim)
    assert hired.settle(claim).final.outcome == UPHELD
    assert gains("client", "provider", *REVIEWERS) == (-PRICE, PRICE, 0, 0, 0)


def test_only_those_named_can_open_what_is_delivered(hired: Hired) -> None:
    order, claim = hired.place(ASKED)
    mine = hired.deliver(claim, b"cat")
    hired["provider"].send([hired["rival"].did], [claim, mine], hired["provider"].statement(mine).evidence)
    hired["rival"].receive()
    with pytest.raises(Undecidable, match="sealed"):
        flow.output_of(hired["rival"], order)
    for name in ("client", *REVIEWERS):
        assert flow.output_of(hired[name], order) == b"cat"


def test_reviewers_who_look_first(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(FIRST)
    with pytest.raises(Pending):
        flow.review(hired["anna"], claim, GOOD, hired.voice("anna"))
    hired.deliver(claim, b"cat")
    hired.verdicts(claim, {"anna": GOOD, "ben": GOOD, "clever": replace(GOOD, confidence=9_000)})
    assert hired.settle(claim, 0).final.outcome == UPHELD
    assert gains("client", "provider", *REVIEWERS) == (-PRICE - FEE, PRICE, 10, 10, 10)


def test_milestones_are_paid_one_by_one(hired: Hired) -> None:
    parts = (Milestone("sketch", 50, 150), Milestone("picture", PRICE, STAKE))
    gains = Gains(hired)
    order, claim = hired.place(ASKED, milestones=parts)
    hired.deliver(claim, b"sketch")
    hired.settle(claim)
    assert gains("client", "provider") == (-50, 50)
    with pytest.raises(Refuted, match="has not deposited"):
        flow.take(hired["provider"], claim, hired.trusted, 1)
    flow.fund(hired["client"], order, 1)
    for name in ("provider", *REVIEWERS):
        flow.take(hired[name], claim, hired.trusted, 1)
    hired.deliver(claim, b"picture", 1)
    assert flow.output_of(hired["client"], order, 1) == b"picture"
    hired.world.advance(HOUR)
    flow.settle(hired["client"], claim, 1)
    assert gains("client", "provider") == (-50 - PRICE, 50 + PRICE)


def test_an_order_that_nobody_takes_gives_the_price_back(hired: Hired) -> None:
    gains = Gains(hired)
    order = hired.order(ASKED)
    claim = flow.place(hired["client"], order, hired.evidence(order))
    hired.receive()
    assert gains("client") == (-PRICE,)
    assert hired.settle(claim).status == "void"
    assert gains("client") == (0,)


# Cheats


def test_a_provider_that_delivers_something_else_loses_its_stake(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(ASKED)
    hired.deliver(claim, b"dog")
    flow.refuse(hired["client"], claim, 0, "there is no dog")
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.verdicts(claim, {"anna": BAD, "ben": BAD, "clever": replace(GOOD, confidence=9_900)})
    assert hired.settle(claim, 0).final.outcome == REFUTED
    assert gains("client", "provider", "anna") == (STAKE - FEE, -STAKE, FEE // 3)


def test_a_client_that_refuses_good_work_pays_and_loses_its_bond(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(ASKED)
    hired.deliver(claim, b"cat")
    flow.refuse(hired["client"], claim, 0, "I do not like cats")
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.verdicts(claim, {name: GOOD for name in REVIEWERS})
    assert hired.settle(claim, 0).final.outcome == UPHELD
    assert gains("client", "provider") == (-PRICE - FEE - BOND, PRICE)


def test_a_silent_provider_loses_its_stake_to_the_client(hired: Hired) -> None:
    for review in (ASKED, FIRST):
        gains = Gains(hired)
        _, claim = hired.place(review)
        hired.world.advance(HOUR)
        if review == FIRST:
            hired.verdicts(claim, {name: BAD for name in REVIEWERS})
        hired.settle(claim, 0 if review == FIRST else 3 * HOUR)
        assert gains("client", "provider") == (STAKE - (FEE if review == FIRST else 0), -STAKE)


def test_a_provider_that_does_not_show_again_loses_its_stake(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(ASKED)
    hired.deliver(claim, b"cat")
    flow.refuse(hired["client"], claim, 0, "nothing came")
    hired.receive()
    hired.world.advance(HOUR)
    hired.verdicts(claim, {name: GOOD for name in REVIEWERS})
    hired.settle(claim)
    assert gains("provider") == (-STAKE,)
    assert gains("client")[0] > 0


def test_a_reviewer_that_sleeps_loses_its_stake_and_decides_nothing(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(FIRST)
    hired.deliver(claim, b"cat")
    hired.verdicts(claim, {"anna": GOOD, "ben": GOOD})
    hired.settle(claim)
    assert gains("provider", "anna", "clever") == (PRICE, FEE // 3, -SEAT)


@pytest.mark.slow
def test_reviewers_who_all_sleep_give_the_job_to_neither_side(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(FIRST)
    hired.deliver(claim, b"cat")
    assert hired.settle(claim, 3 * HOUR).final.outcome == UNSEEN
    assert gains("client", "provider") == (-PRICE // 2, PRICE // 2)
    assert gains(*REVIEWERS) == (-SEAT,) * 3


def test_a_model_is_one_voice(hired: Hired) -> None:
    """It is outvoted by people; unsure, it is no voice at all, and loses nothing."""
    _, claim = hired.place(FIRST)
    hired.deliver(claim, b"cat")
    hired.verdicts(claim, {"anna": GOOD, "clever": replace(BAD, confidence=9_999), "ben": GOOD})
    assert hired.settle(claim, 0).final.outcome == UPHELD
    for confidence, outcome in ((7_999, UNSEEN), (8_000, REFUTED)):
        gains = Gains(hired)
        _, claim = hired.place(FIRST)
        hired.deliver(claim, b"cat")
        hired.verdicts(claim, {"anna": BAD, "clever": replace(BAD, confidence=confidence), "ben": GOOD})
        if outcome == UNSEEN:
            with pytest.raises(ActRefused, match="NotYet"):  # there is no verdict to close by
                hired.settle(claim, 0)
        assert hired.settle(claim, HOUR if outcome == UNSEEN else 0).final.outcome == outcome
        assert gains("clever")[0] >= 0


def test_a_model_reviews_what_it_is_shown(hired: Hired) -> None:
    shown = []

    def judge(brief: bytes, output: bytes) -> Opinion:
        shown.append((brief, output))
        return Opinion(UPHELD if output in brief else REFUTED, "by its words", 9_000)

    for output, outcome in ((b"cat", UPHELD), (b"dog", REFUTED)):
        _, claim = hired.place(FIRST)
        hired.deliver(claim, output)
        assert jobs.review_with(hired["clever"], claim, judge) == "said"
        hired.verdicts(claim, {"anna": Opinion(outcome, "seen"), "ben": Opinion(outcome, "seen")})
        assert hired.settle(claim, 0).final.outcome == outcome
    assert shown == [(TEXT, b"cat"), (TEXT, b"dog")]


def test_models_alone_never_judge_above_the_set_amount(hired: Hired) -> None:
    models = (hired.seat("anna"), hired.seat("ben", "one model"), hired.seat("clever", "another"))
    with pytest.raises(Misuse, match="models alone"):
        hired.place(FIRST, reviewers=models)
    with pytest.raises(Misuse, match="models alone"):
        hired.place(ASKED, reviewers=models[2:], money=Money(FEE, 61, BOND))
    cheap = Money(FEE, SEAT, 0, models_alone=PRICE)
    hired.order(FIRST, reviewers=models, money=cheap).check()
    with pytest.raises(Misuse, match="models alone"):
        hired.order(FIRST, reviewers=models, money=replace(cheap, models_alone=PRICE - 1)).check()


# Computing


def test_computing_is_paid(hired: Hired) -> None:
    gains = Gains(hired)
    order, claim = hired.place(RERUN)
    ran = Wasm().run(flow.job_of(hired["provider"], claim))
    hired.deliver(claim, ran.output)
    assert flow.output_of(hired["client"], order) == summed(GIVEN)
    hired.settle(claim)
    assert gains("client", "provider") == (-PRICE, PRICE)


def test_wrong_output_is_executed_again_and_costs_the_stake(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(RERUN)
    hired.deliver(claim, bytes(8))
    opinion = execute_again(hired["client"], claim, 0, Wasm())
    assert opinion.outcome == REFUTED
    flow.refuse(hired["client"], claim, 0, opinion.why)
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.receive()
    assert [one.outcome for one in hired.rerun(claim)] == [REFUTED] * 3
    state = hired.settle(claim, 0)
    assert (state.final.outcome, state.final.slashed) == (REFUTED, frozenset({hired["provider"].account}))
    assert gains("client", "provider", *REVIEWERS) == (STAKE - FEE, -STAKE, 10, 10, 10)


def test_right_output_survives_a_refusal(hired: Hired) -> None:
    gains = Gains(hired)
    _, claim = hired.place(RERUN)
    hired.deliver(claim)
    flow.refuse(hired["client"], claim, 0, "I would rather not pay")
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.receive()
    hired.rerun(claim)
    hired.settle(claim, 0)
    assert gains("client", "provider") == (-PRICE - FEE - BOND, PRICE)


def test_a_verdict_is_nobodys_before_it_is_revealed(hired: Hired) -> None:
    _, claim = hired.place(RERUN)
    hired.deliver(claim, bytes(8))
    flow.refuse(hired["client"], claim, 0, "no")
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.receive()
    opinion = execute_again(hired["anna"], claim, 0, Wasm())
    mine = flow.review(hired["anna"], claim, opinion, hired.voice("anna"))
    hired.receive()
    with pytest.raises(Undecidable):
        hired["ben"].statement(mine)
    entries = hired["ben"].book.state(hired["client"].statement(claim) and flow.order_of(
        hired["client"], claim).deal(0)).history
    assert mine not in [entry.claim for entry in entries]


class Idle(Wasm):
    """Executes nothing."""

    def run(self, job: Job) -> Ran:
        raise AssertionError("the whole job was executed")


def cheated(job: Job, at: int) -> tuple[Trace, bytes]:
    """A trace that is wrong at one step and follows from it afterwards, and what it gives."""
    machine = WasmSteps(job)
    states = list(machine.states())[:at + 1]
    states[at] = states[at][:17] + bytes([states[at][17] ^ 1]) + states[at][18:]
    while states[-1][0] == 0:
        states.append(machine.step(states[-1]))
    return Trace(machine, states, apart=1), machine.output(states[-1])


def refused(hired: Hired, claim: bytes, wrong: flow.WrongStep | None) -> None:
    flow.refuse(hired["client"], claim, 0, "a wrong step", wrong)
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.receive()


@pytest.mark.parametrize("at", [
    13, pytest.param(1, marks=pytest.mark.slow), pytest.param(len(GIVEN), marks=pytest.mark.slow)])
def test_a_wrong_step_is_shown_and_reviewers_execute_no_other(hired: Hired, at: int) -> None:
    gains = Gains(hired)
    _, claim = hired.place(RERUN)
    trace, output = cheated(flow.job_of(hired["provider"], claim), at)
    hired.deliver(claim, output, trace=trace)
    wrong = first_wrong_step(hired["client"], claim)
    assert wrong is not None
    assert wrong.step == at
    refused(hired, claim, wrong)
    opinions = hired.rerun(claim, by=Idle())
    assert {(one.outcome, one.step) for one in opinions} == {(REFUTED, at)}
    hired.settle(claim, 0)
    assert gains("client", "provider") == (STAKE - FEE, -STAKE)


@pytest.mark.slow
def test_a_provider_that_stops_too_early_is_shown_to(hired: Hired) -> None:
    _, claim = hired.place(RERUN)
    machine = WasmSteps(flow.job_of(hired["provider"], claim))
    trace = Trace(machine, list(machine.states())[:5])
    hired.deliver(claim, bytes(8), trace=trace)
    wrong = first_wrong_step(hired["client"], claim)
    assert wrong is not None
    refused(hired, claim, wrong)
    assert execute_again(hired["anna"], claim, 0, Idle()) == Opinion(
        REFUTED, "step 5 does not follow from the state before it", step=5)


@pytest.mark.parametrize("number", [
    0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_false_accusations_show_nothing(hired: Hired, number: int) -> None:
    """A state that the provider never had there, a right step, one beyond its trace: the job is executed again."""
    order, claim = hired.place(RERUN)
    trace, output = trace_of(flow.job_of(hired["provider"], claim))
    hired.deliver(claim, output, trace=trace)
    assert first_wrong_step(hired["client"], claim) is None
    last = trace.committed.states - 1
    wrong = (flow.WrongStep(3, trace.state(1)), flow.WrongStep(3, trace.state(2)),
             flow.WrongStep(last + 1, trace.state(last)))[number]
    flow.refuse(hired["client"], claim, 0, "a wrong step", wrong)
    hired.receive()
    assert shown_wrong(hired["anna"], claim, order, 0) is None
    assert execute_again(hired["anna"], claim, 0, Wasm()).outcome == UPHELD


@pytest.mark.slow
def test_a_right_trace_beside_a_wrong_output_saves_nobody(hired: Hired) -> None:
    _, claim = hired.place(RERUN)
    trace, _ = trace_of(flow.job_of(hired["provider"], claim))
    hired.deliver(claim, bytes(8), trace=trace)
    assert first_wrong_step(hired["client"], claim) is None
    assert execute_again(hired["client"], claim, 0, Wasm()).outcome == REFUTED


@pytest.mark.slow
def test_a_trace_that_is_not_the_one_committed_to(hired: Hired) -> None:
    order, claim = hired.place(RERUN)
    job = flow.job_of(hired["provider"], claim)
    right, _ = trace_of(job)
    other, output = cheated(job, 9)
    other.committed = right.committed  # says one root, hands over other digests
    hired.deliver(claim, output, trace=other)
    with pytest.raises(Refuted, match="committed to"):
        trace_said(hired["client"], order, 0)
    assert first_wrong_step(hired["client"], claim) is None
    assert execute_again(hired["client"], claim, 0, Wasm()).outcome == REFUTED


# A court above


def test_a_court_corrects_reviewers_who_were_bought(hired: Hired) -> None:
    """They uphold a dog for a cat; the client appeals, and the court refuses: who voted loses nothing, the provider its
    stake, and both of the client's bonds come back."""
    court = Above(hired.court_pin, hired.seat_of_court, HOUR)
    gains = Gains(hired)
    order, claim = hired.place(ASKED, court=court)
    hired.deliver(claim, b"dog")
    flow.refuse(hired["client"], claim, 0, "it is a dog")
    hired.receive()
    flow.show_again(hired["provider"], claim)
    hired.verdicts(claim, {name: GOOD for name in REVIEWERS})
    hired["client"].book.judge(hired["client"].account, order.deal(0))
    flow.refuse(hired["client"], claim, 0, "they were bought")
    hired["client"].book.submit(hired.seat_of_court, order.deal(0), 0, 0, bytes(32), order.refusal().to_bytes())
    assert hired.settle(claim, 0).final.outcome == REFUTED
    assert gains("client", "provider") == (STAKE - FEE, -STAKE)


@pytest.mark.slow
def test_an_appeal_from_reviewers_who_look_first(hired: Hired) -> None:
    court = Above(hired.court_pin, hired.seat_of_court, HOUR)
    gains = Gains(hired)
    order, claim = hired.place(FIRST, court=court, money=Money(FEE, SEAT, BOND))
    hired.deliver(claim, b"cat")
    hired.verdicts(claim, {name: BAD for name in REVIEWERS})
    hired["client"].book.judge(hired["client"].account, order.deal(0))
    mine = flow.refuse(hired["provider"], claim, 0, "it is a cat")
    assert ReviewClaim.of(hired["provider"].statement(mine)).opinion.outcome == UPHELD
    hired["client"].book.submit(hired.seat_of_court, order.deal(0), 0, 0, bytes(32), b"nothing that is a result")
    assert hired.settle(claim).final.outcome == REFUTED, "a court that says nothing leaves the verdict"
    assert gains("provider") == (-STAKE,), "and an appeal that met silence gets its bond back"
    assert Order.of(order.body()) == order


# Orders


@pytest.mark.parametrize(("review", "changes", "why"), [
    (ASKED, {"milestones": (Milestone("all", PRICE, 2 * PRICE),)}, "stake does not deter"),
    (ASKED, {"money": Money(FEE, 20, BOND)}, "reviewer's stake does not deter"),
    (ASKED, {"money": Money(FEE, SEAT, FEE)}, "bond does not deter"),
    (ASKED, {"money": Money(149, 150, 200)}, None),
    (ASKED, {"money": Money(150, 150, 200)}, "right challenger would lose"),
    (FIRST, {"money": Money(FEE, SEAT, BOND)}, "no bond"),
    (ASKED, {"form": "wasm"}, "same bits everywhere"),
    (ASKED, {"form": "python"}, "models among the reviewers"),
    (RERUN, {"form": "python"}, "same bits everywhere"),
    (RERUN, {"form": ""}, "same bits everywhere"),
    (ASKED, {"milestones": ()}, "too few"),
    (ASKED, {"reviewers": ()}, "too few"),
    (ASKED, {"review": "never"}, "unknown kind of review"),
])
def test_an_order_that_deters_nobody_is_refused(hired: Hired, review: str, changes: dict[str, object],
                                                why: str | None) -> None:
    order = replace(hired.order(review), **changes)  # type: ignore[arg-type]
    if why is None:
        order.check()
        return
    with pytest.raises(Misuse, match=why):
        order.check()


def test_two_seats_for_one(hired: Hired) -> None:
    with pytest.raises(Misuse, match="two seats"):
        hired.order(ASKED, provider=hired.seat("anna")).check()
    with pytest.raises(Misuse, match="two seats"):
        hired.order(ASKED, client=replace(hired.seat("client"), account=hired["ben"].account)).check()


def test_an_order_reads_as_it_was_written(hired: Hired) -> None:
    for order in (hired.order(ASKED), hired.order(RERUN), hired.order(FIRST, periods=Periods())):
        assert Order.of(order.body()) == order
        assert Order.of(order.body()).deal(0) == order.deal(0)


def test_what_a_party_does_not_trust_it_does_not_take(hired: Hired) -> None:
    order = hired.order(ASKED)
    claim = flow.place(hired["client"], order, hired.evidence(order))
    hired.receive()
    for hasty in (hired.order(ASKED, periods=Periods(HOUR, 1, HOUR, HOUR, HOUR)),
                  hired.order(RERUN, periods=Periods(HOUR, HOUR, 100, HOUR, HOUR))):  # a job may run for 60 of them
        trap = flow.place(hired["client"], hasty, hired.evidence(hasty))
        hired.receive()
        with pytest.raises(Misuse, match="leaves no time"):
            flow.take(hired["provider"], trap, hired.trusted)
    with pytest.raises(Misuse, match="another token"):
        flow.take(hired["provider"], claim, replace(hired.trusted, token=bytes(20)))
    with pytest.raises(Misuse, match="another policy"):
        flow.take(hired["provider"], claim, replace(hired.trusted, policies=(hired.pin("assumed"),)))
    with pytest.raises(Misuse, match="no such seat"):
        flow.take(hired["client"], claim, hired.trusted)
    forged = hired["rival"].attest("job", flow._about(order, 0), order.body())
    with pytest.raises(Misuse, match="somebody else's name"):
        flow.order_of(hired["rival"], forged)
    unpaid = hired["client"].attest("job", flow._about(order, 0), replace(order, nonce=bytes(32)).body())
    hired["client"].send([hired["provider"].did], [unpaid])
    hired.receive()
    with pytest.raises(Refuted, match="has not deposited"):
        flow.take(hired["provider"], unpaid, hired.trusted)


def test_a_seat_that_is_given_to_another_account_is_not_taken(hired: Hired) -> None:
    """A client names a reviewer whom the provider trusts, with an account of its own."""
    order = hired.order(ASKED)
    theirs = replace(order.reviewers[0], account=hired["rival"].account)
    order = replace(order, reviewers=(theirs, *order.reviewers[1:]))
    claim = flow.place(hired["client"], order, hired.evidence(order))
    hired.receive()
    for name in ("provider", "ben"):
        before = hired.balances()
        with pytest.raises(Refuted, match="another account"):
            flow.take(hired[name], claim, hired.trusted)
        assert hired.balances() == before


def test_a_provider_that_could_not_deliver_to_all_takes_no_seat(hired: Hired, tmp_path: Path) -> None:
    with Troth.init(tmp_path / "stranger", "x", Settings("stranger", "", str(tmp_path / "exchange")), cost=MIN_COST,
                    clock=hired.world.clock) as stranger:
        order = hired.order(ASKED)
        order = replace(order, reviewers=(*order.reviewers[:2], Seat(stranger.did, stranger.account)))
        hired["client"].meet(stranger.introduction())
        claim = flow.place(hired["client"], order, hired.evidence(order))
        hired.receive()
        trusted = replace(hired.trusted, account_of=lambda did: stranger.account if did == stranger.did
                          else hired.account_of(did))
        before = hired.balances()
        with pytest.raises(Undecidable):
            flow.take(hired["provider"], claim, trusted)
        assert hired.balances() == before
