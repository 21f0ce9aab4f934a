"""Attacks on a round by everybody in it, in money: the cheat ends poorer, the others whole but for fees they chose.

What a round cannot see, and no stake in it deters:

* k verifiers who agree on a falsehood: the top rung is final. They are chosen by name for that reason.
* a site that trains on the public validation records, or copies another's update and adds noise: worth is measured on
  those records. Exact copies share one update's worth (``troth.learn.round``).
* harm that nobody calls: rung 0 is assumed. Every site sees the model's score, its own update's place and what is on
  chain, and gains by calling; a site that never looks protects nobody.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from small import MONEY, SITES, VERIFIERS, Run, Small

from troth.core.errors import ActRefused, Misuse
from troth.core.terms import REFUTED, UPHELD, Result
from troth.flows.terms import Money
from troth.learn import arrays
from troth.learn.claims import OMITTED, WITHHELD
from troth.learn.round import owed

FEE, KEEPER = MONEY.fee, MONEY.keeper
SEAT = MONEY.verifier_fee // len(VERIFIERS)


def fair(small: Small, result: Result, gains: dict[str, int], aside: set[str]) -> None:
    """Every site is paid what the result says, no verifier has lost anything; ``aside``: slashed or challenging."""
    for name in {*SITES} - aside:
        assert gains[name] == result.values[small.index(name)]
    assert all(gains[name] in (0, SEAT) for name in {*VERIFIERS} - aside)
    assert gains["stranger"] == 0


def caught(small: Small, run: Run, by: str, outcome: int, slashed: set[str]) -> dict[str, int]:
    """Challenge, execute again, settle: this outcome, exactly these slashed; the gains."""
    small.challenge(run, by)
    small.evidence(run)
    result = small.rerun(run)
    assert result.outcome == outcome
    assert result.slashed == {small[name].account for name in slashed}
    gains = small.settle(run)
    fair(small, result, gains, {by, *slashed})
    return gains


def test_an_honest_round_pays_by_contribution(small: Small) -> None:
    run = small.open()
    small.honest(run)
    assert run.output is not None
    assert [small.sites[name].doubt(run.aggregate) for name in SITES] == [None] * 3
    gains = small.settle(run)
    for name in SITES:
        assert gains[name] == run.output.payments[small.index(name)]
    assert sum(run.output.payments) == MONEY.reward
    assert gains["aggregator"] == FEE + KEEPER // 2
    assert gains["sponsor"] == -MONEY.reward - FEE - KEEPER // 2


# Sites


def test_a_site_that_sends_two_updates_frames_nobody(small: Small) -> None:
    run = small.open()
    zero = {name: array * 0 for name, array in small.deltas["site-1"].items()}
    pair = [small.update("site-1", run), small.update("site-1", run, delta=zero)]  # both are handed over
    for name in SITES[1:]:
        small.update(name, run)
    small.aggregate(run)
    assert len({*pair} & {*run.updates}) == 1, "the list names one of them"
    gains = caught(small, run, "site-1", UPHELD, set())
    assert run.output is not None
    assert gains["site-1"] == run.output.payments[small.index("site-1")] - MONEY.bond - MONEY.verifier_fee
    assert gains["commons"] == MONEY.bond
    assert gains["aggregator"] == FEE


@pytest.mark.parametrize("what", ["deal", "round", "base", "examples"])
def test_an_update_of_something_else_is_nobody_s(small: Small, what: str) -> None:
    run = small.open()
    wrong = {"deal": {"deal": b"\1" * 32}, "round": {"round": 2}, "base": {"base": b"\1" * 32},
             "examples": {"examples": 0}}[what]
    small.update("site-1", run, **wrong)
    for name in SITES[1:]:
        small.update(name, run)
    small.aggregate(run)
    assert run.output is not None
    assert run.output.payments[small.index("site-1")] == 0
    assert sum(run.output.payments) == MONEY.reward
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


def test_a_stranger_s_and_a_malformed_update_stop_nobody(small: Small) -> None:
    run = small.open()
    stranger = small["stranger"]
    subject = stranger.statement(stranger.bind_account()).subjects
    bad = stranger.attest("update", subject, {"nonsense": 1})
    stranger.send([small[name].did for name in ("aggregator", *VERIFIERS)], [bad])
    mine = small["site-1"].attest("update", subject, {"round": "one"})
    small["site-1"].send([small[name].did for name in ("aggregator", *VERIFIERS)], [mine])
    small.honest(run)
    assert len(run.updates) == 3
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


def test_a_copied_update_shares_one_update_s_pay(small: Small) -> None:
    alone = small.open()
    small.honest(alone)
    run = small.open()
    small.update("site-1", run)
    small.update("site-2", run, delta=small.deltas["site-1"])
    small.update("site-3", run)
    small.aggregate(run)
    assert alone.output is not None
    assert run.output is not None
    one, two = (run.output.payments[small.index(name)] for name in ("site-1", "site-2"))
    assert abs(one - two) <= 1
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff" * 300])
def test_garbage_whose_digest_fits_counts_for_nothing(small: Small, data: bytes) -> None:
    run = small.open()
    small.update("site-1", run, inner=data)
    for name in SITES[1:]:
        small.update(name, run)
    small.aggregate(run)
    assert run.output is not None
    assert run.output.rejected == ((small["site-1"].did, "bytes"),)
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


def test_an_update_of_another_shape_or_beyond_the_bound_is_rejected_by_name(small: Small) -> None:
    run = small.open()
    small.update("site-1", run, delta={"weights": small.deltas["site-1"]["weights"]})
    small.update("site-2", run, delta={name: array * 0 + (1 << 40) for name, array in small.deltas["site-2"].items()})
    small.update("site-3", run)
    small.aggregate(run)
    assert run.output is not None
    assert sorted(reason for _, reason in run.output.rejected) == ["layout", "norm"]
    assert {result.outcome for _, result in small.findings(run).values()} == {UPHELD}


def test_a_site_that_withholds_its_evidence_loses_its_stake(small: Small) -> None:
    run = small.open()
    small.update("site-1", run, to=["aggregator"])
    for name in SITES[1:]:
        small.update(name, run)
    small.aggregate(run)
    assert small.verifiers["verifier-1"].missing(run.aggregate) == (small["site-1"].did,)
    small.challenge(run, "site-2")
    small.evidence(run, missing=["site-1"])
    result = small.rerun(run)
    assert (result.outcome, result.slashed) == (WITHHELD, {small["site-1"].account})
    gains = small.settle(run)
    assert gains["site-1"] == -MONEY.site_stake
    assert gains["site-2"] >= MONEY.site_stake // 2 - MONEY.verifier_fee
    assert gains["aggregator"] == FEE


def test_a_site_that_shows_its_update_to_one_verifier_sets_them_not_apart(small: Small) -> None:
    run = small.open()
    own = small.update("site-1", run, to=[])
    for name in SITES[1:]:
        small.update(name, run)
    small.aggregate(run)
    # too late for the aggregator, and only one verifier sees it
    small["site-1"].send([small["verifier-1"].did], [own], small["site-1"].statement(own).evidence)
    small.receive()
    gains = caught(small, run, "site-1", OMITTED, set())
    assert gains["aggregator"] == 0, "it loses its fee, which nobody gains by"
    assert gains["site-1"] > 0


# The aggregator


def test_leaving_a_site_out_is_seen_by_it_and_put_right(small: Small) -> None:
    run = small.open()
    for name in SITES:
        small.update(name, run)
    small.fix(run)
    small.reveal(run)
    updates = tuple(claim for claim in small.aggregator.updates(1, run.deal)
                    if small["aggregator"].statement(claim).issuer != small["site-2"].did)
    output = small.aggregator.replay.run(1, None, small.aggregator.replay.gather(updates).updates)
    small.publish(run, output, updates)
    assert small.sites["site-1"].doubt(run.aggregate) is None
    assert "leaves out" in str(small.sites["site-2"].doubt(run.aggregate))
    gains = caught(small, run, "site-2", OMITTED, set())
    assert gains["aggregator"] == 0
    assert gains["site-2"] > output.payments[small.index("site-2")] == 0


def false(small: Small, run: Run, how: str) -> None:
    """Publish an aggregate that lies."""
    for name in SITES:
        small.update(name, run)
    small.fix(run)
    small.reveal(run)
    honest, updates = small.aggregator.aggregate(run.deal, 1)
    if how == "friend":
        index = small.index("site-3")
        small.publish(run, replace(honest, payments=tuple(
            MONEY.reward if seat == index else 0 for seat in range(3))), updates)
    elif how == "accuracy":
        small.publish(run, replace(honest, score=honest.score + 1), updates)
    elif how == "model":
        wrong = {name: array + 1 for name, array in honest.params.items()}
        small.publish(run, replace(honest, params=wrong, digest=arrays.digest(wrong)), updates)
    elif how == "twice":
        small.publish(run, honest, [*updates, small.update("site-3", run, to=["aggregator"], late=True)])
    elif how == "chain":  # the claim is honest; what it puts on chain pays a friend
        small.publish(run, honest, updates, submit=False)
        index = small.index("site-3")
        bought = Result(UPHELD, tuple(MONEY.reward if seat == index else 0 for seat in range(3)))
        small["aggregator"].book.submit(small["aggregator"].account, run.deal, 0, 0, run.aggregate, bought.to_bytes())
        small["aggregator"].book.judge(small["aggregator"].account, run.deal)
    elif how == "rob":  # slashes a site that did nothing
        small.publish(run, replace(honest, slashed=(small.index("site-1"),)), updates)
    elif how in ("mute", "value"):  # pays by a record of its own
        values, counted = list(honest.record.values), list(honest.record.counted)
        values[small.index("site-1")] = 0
        counted[small.index("site-1")] = how == "value"
        record = replace(honest.record, values=tuple(values), counted=tuple(counted))
        due = owed([record], MONEY.reward)
        small.publish(run, replace(honest, record=record, smoothed=due.smoothed, payments=due.payments), updates)


@pytest.mark.parametrize("how", ["friend", "accuracy", "model", "twice", "chain", "rob", "mute", "value"])
def test_a_lying_aggregator_loses_its_stake_and_the_sites_are_paid_right(small: Small, how: str) -> None:
    run = small.open()
    false(small, run, how)
    doubt = small.sites["site-1"].doubt(run.aggregate)
    assert (doubt is not None) == (how != "value"), "what an update was worth takes all of them"
    gains = caught(small, run, "site-1", REFUTED, {"aggregator"})
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert gains["site-1"] >= MONEY.aggregator_stake // 2 - MONEY.verifier_fee
    assert gains["site-3"] < MONEY.reward, "no friend is paid what was promised to it"


def test_an_aggregator_that_challenges_itself_gets_half_back_at_most(small: Small) -> None:
    run = small.open()
    false(small, run, "friend")
    small.challenge(run, "stranger")
    small.evidence(run)
    small.rerun(run)
    gains = small.settle(run)
    assert gains["aggregator"] + gains["stranger"] <= -MONEY.aggregator_stake // 2


def test_an_aggregator_that_is_silent_loses_its_stake_alone(small: Small) -> None:
    run = small.open()
    for name in SITES:
        small.update(name, run)
    small.fix(run)
    small.reveal(run)
    small.chain.advance(small.words.periods.answer)
    with pytest.raises(ActRefused, match="TooLate"):
        small["aggregator"].book.submit(small["aggregator"].account, run.deal, 0, 0, bytes(32), b"")
    small.chain.advance(small.words.periods.verdict)
    gains = small.settle(run)
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert [gains[name] for name in (*SITES, *VERIFIERS)] == [0] * 6
    assert 0 <= -gains["sponsor"] <= KEEPER, "nobody gains by another's fall, the sponsor neither"
    assert gains["commons"] == MONEY.aggregator_stake


def test_a_claim_that_was_never_handed_over_is_refuted(small: Small) -> None:
    run = small.open()
    for name in SITES:
        small.update(name, run)
    small.fix(run)
    small.reveal(run)
    small["aggregator"].book.submit(small["aggregator"].account, run.deal, 0, 0, b"\7" * 32,
                                    Result(UPHELD, (MONEY.reward, 0, 0)).to_bytes())
    small["aggregator"].book.judge(small["aggregator"].account, run.deal)
    assert "not handed over" in str(small.sites["site-1"].doubt(b"\7" * 32))
    small.challenge(run, "site-1")
    small.evidence(run)
    for output, result in small.findings(run).values():
        assert (result.outcome, result.slashed) == (REFUTED, {small["aggregator"].account})
        assert result.values == output.payments
    assert small.rerun(run).outcome == REFUTED
    assert small.settle(run)["aggregator"] == -MONEY.aggregator_stake


# Verifiers


def test_a_verifier_that_copies_a_commitment_or_reveals_garbage_or_sleeps_loses_its_stake(small: Small) -> None:
    run = small.open()
    false(small, run, "model")
    small.challenge(run, "site-1")
    small.evidence(run)
    found = small.findings(run)
    first = small.verifiers["verifier-1"]
    output, result = found["verifier-1"]
    claim, salt = first.commit(run.aggregate, output, result)
    copied = next(entry.data for entry in small["sponsor"].book.state(run.deal).history
                  if entry.by == small["verifier-1"].account and entry.rung == 1)
    thief = small["verifier-2"]
    thief.book.submit(thief.account, run.deal, 1, 0, bytes(32), copied)
    third = small.verifiers["verifier-3"].commit(run.aggregate, *found["verifier-3"])
    first.reveal(claim, salt)
    revealed = next(entry.data for entry in small["sponsor"].book.state(run.deal).history
                    if entry.by == small["verifier-1"].account and entry.rung == 1 and entry.ask == 2)
    thief.book.submit(thief.account, run.deal, 2, 0, bytes(32), revealed)
    small.verifiers["verifier-3"].reveal(*third)
    judged = small["sponsor"].book.judge(small["sponsor"].account, run.deal)
    assert judged.slashed == {small["aggregator"].account, thief.account}
    gains = small.settle(run)
    assert gains["verifier-2"] == -MONEY.verifier_stake
    assert gains["verifier-1"] == gains["verifier-3"] == SEAT


def test_one_verifier_asleep_costs_it_and_nobody_else(small: Small) -> None:
    run = small.open()
    false(small, run, "model")
    small.challenge(run, "site-1")
    small.evidence(run)
    result = small.rerun(run, asleep=["verifier-3"])
    assert result.outcome == REFUTED
    gains = small.settle(run)
    assert gains["verifier-3"] == -MONEY.verifier_stake
    assert gains["verifier-1"] == gains["verifier-2"] == SEAT
    assert gains["aggregator"] == -MONEY.aggregator_stake


def test_a_challenger_that_meets_sleepers_gets_its_bond_back(small: Small) -> None:
    run = small.open()
    small.honest(run)
    small.challenge(run, "site-1")
    small.evidence(run)
    small.chain.advance(2 * small.words.periods.answer + small.words.periods.verdict)
    gains = small.settle(run)
    assert run.output is not None
    assert gains["site-1"] - run.output.payments[small.index("site-1")] in (0, -MONEY.verifier_fee)
    assert gains["commons"] <= MONEY.verifier_stake * 3 + MONEY.verifier_fee
    assert [gains[name] for name in VERIFIERS] == [-MONEY.verifier_stake] * 3
    assert gains["site-2"] == run.output.payments[small.index("site-2")]


def test_a_challenge_of_honest_work_costs_the_bond_and_the_fees(small: Small) -> None:
    run = small.open()
    small.honest(run)
    assert run.output is not None
    gains = caught(small, run, "site-2", UPHELD, set())
    assert gains["site-2"] == run.output.payments[small.index("site-2")] - MONEY.bond - MONEY.verifier_fee
    assert gains["commons"] == MONEY.bond
    assert gains["site-1"] == run.output.payments[small.index("site-1")]


# The sponsor, and anybody


def test_a_sponsor_that_does_not_fund_gets_nobody_s_money(small: Small) -> None:
    run = small.open(join=(*SITES, "aggregator", *VERIFIERS))
    with pytest.raises(ActRefused):
        small["aggregator"].book.submit(small["aggregator"].account, run.deal, 0, 0, bytes(32), b"")
    small.chain.advance(small.words.periods.fund)
    assert set(small.settle(run, by="stranger").values()) == {0}


def test_anybody_may_close_and_is_paid_for_it(small: Small) -> None:
    run = small.open()
    small.honest(run)
    with pytest.raises(ActRefused):
        small["stranger"].book.close(small["stranger"].account, run.deal)
    gains = small.settle(run, by="stranger")
    assert gains["stranger"] == KEEPER - KEEPER // 2


def test_nobody_outside_acts_in_a_round(small: Small) -> None:
    run = small.open()
    small.honest(run)
    stranger = small["stranger"]
    for act in (lambda: stranger.book.submit(stranger.account, run.deal, 0, 0, bytes(32), b""),
                lambda: stranger.book.judge(stranger.account, run.deal),
                lambda: stranger.book.join(stranger.account, run.deal, 0)):
        with pytest.raises(ActRefused):
            act()
    with pytest.raises(ActRefused, match="BenchMember"):
        small.challenge(run, "verifier-1")
    small.settle(run)


@pytest.mark.parametrize("weak", [{"aggregator_stake": 2 * (MONEY.reward + FEE)}, {"site_stake": MONEY.reward // 3 * 2},
                                  {"verifier_stake": 2 * SEAT}, {"bond": MONEY.verifier_fee}])
def test_terms_whose_stakes_do_not_deter_are_refused(weak: dict[str, int]) -> None:
    amounts = {name: getattr(MONEY, name) for name in Money.__dataclass_fields__}
    MONEY.check(3, 3)
    with pytest.raises(Misuse):
        Money(**amounts | weak).check(3, 3)


def test_stakes_must_still_deter_when_fewer_sites_are_seated() -> None:
    MONEY.check(3, 3)
    with pytest.raises(Misuse, match="site's stake"):
        MONEY.check(2, 3)


def test_a_right_challenger_may_not_lose_by_calling() -> None:
    amounts = {name: getattr(MONEY, name) for name in Money.__dataclass_fields__}
    dear = amounts | {"verifier_fee": MONEY.site_stake // 2, "bond": MONEY.site_stake}
    with pytest.raises(Misuse, match="right challenger"):
        Money(**dear).check(3, 3)
    Money(**dear | {"verifier_fee": MONEY.site_stake // 2 - 1}).check(3, 3)
