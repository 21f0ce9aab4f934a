"""Rounds behind masks as deals: paid by rule, nobody sees an update, and whoever cheats ends poorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from behind import FOUR, Behind, silent
from small import MONEY, VERIFIERS, Run

from troth.core.errors import Refuted
from troth.core.terms import REFUTED, UPHELD
from troth.flows import masked
from troth.learn.arrays import digest
from troth.learn.claims import UNSUMMED, AggregateClaim, Plan, VerdictClaim
from troth.learn.masked_recheck import Shown
from troth.learn.masking.kept import Sums
from troth.learn.masking.terms import GROUPED, MASKED, Noise, Terms
from troth.learn.masking.wire import Message, Phase, sign


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    found = Behind(tmp_path_factory.mktemp("behind"))
    yield found
    found.close()


def summed(behind: Behind, run: Run) -> tuple[tuple[bytes | None, ...], Shown]:
    """Everybody takes part: the transcripts, and what they show."""
    behind.say(run)
    transcripts = behind.sums(run)
    return transcripts, behind.aggregator.shown(run.deal, 1, transcripts)


def output_of(behind: Behind, run: Run, shown: Shown) -> masked.RoundOutput:
    return behind.aggregator.replay.sum_up(1, None, shown.sums, behind.aggregator.seated(run.deal))


# Honest rounds

def test_an_honest_round_pays_all_alike_and_nobody_doubts_it(behind: Behind) -> None:
    run = behind.open()
    behind.honest(run)
    assert [seat.doubt(run.aggregate) for seat in behind.sites.values()] == [None] * 4
    gains = behind.settle(run)
    assert [gains[name] for name in FOUR] == [MONEY.reward // 4] * 4
    assert gains["aggregator"] >= MONEY.fee  # and what a keeper gets


def test_who_is_called_sums_again_and_a_wrong_call_costs_the_bond(behind: Behind) -> None:
    run = behind.open()
    behind.say(run)
    output = behind.conclude(run, behind.sums(run, silent("site-3", Phase.MASKED)))
    assert output.record.counted[behind.index("site-3")] is False
    result, gains = behind.judged(run, by="stranger")
    assert result.outcome == UPHELD
    assert gains["stranger"] == -MONEY.bond - MONEY.verifier_fee
    assert gains["aggregator"] >= MONEY.fee
    assert gains["site-3"] == 0
    assert [gains[name] for name in FOUR if name != "site-3"] == [MONEY.reward // 3] * 3
    assert all(gains[name] > 0 for name in VERIFIERS)


def test_a_sum_that_does_not_come_out_leaves_the_model_and_pays_no_fee(behind: Behind) -> None:
    run = behind.open()
    behind.say(run)
    transcripts = behind.sums(run, lambda phase, site, answer: None if site in FOUR[:2] and phase >= Phase.MASKED
                              else answer)
    output = behind.conclude(run, transcripts)
    assert transcripts == (None,)
    assert output.digest == digest(behind.aggregator.base())
    result, gains = behind.judged(run, by="stranger")
    assert result.outcome == UNSUMMED
    assert [gains[name] for name in FOUR] == [0] * 4
    assert gains["aggregator"] <= MONEY.keeper
    assert gains["stranger"] < 0


def test_who_did_not_say_so_is_not_asked(behind: Behind) -> None:
    run = behind.open()
    behind.say(run, FOUR[:3])
    behind.journals["site-4"].begin(behind.plan_id, 1, behind.sites["site-4"].session(1, run.deal).id, bytes(32),
                                    behind.vector("site-4")[0])
    output = behind.conclude(run, behind.sums(run))
    assert [output.record.counted[behind.index(name)] for name in FOUR] == [True, True, True, False]
    behind.settle(run)


# A lying aggregator

def test_another_result_than_the_transcripts_give_is_refuted(behind: Behind) -> None:
    run = behind.open()
    _, shown = summed(behind, run)
    output = output_of(behind, run, shown)
    lie = replace(output, payments=(MONEY.reward, 0, 0, 0))
    behind.claim(run, lie, shown)
    assert all("payments are" in str(site.doubt(run.aggregate)) for site in behind.sites.values())
    result, gains = behind.judged(run)
    assert result.outcome == REFUTED
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert [gains[name] for name in FOUR[1:]] == [MONEY.reward // 4] * 3
    verdicts = {claim: VerdictClaim.of(said) for claim, said in behind["aggregator"].claims("verdict")
                if said.all_refs("of") == (run.aggregate,)}
    corrected = masked.correct(behind.aggregator, run.aggregate, verdicts, result)
    said = AggregateClaim.of(behind["aggregator"].statement(corrected))
    assert said.result == output.to_json()


def test_a_lie_about_who_dropped_out_is_seen_by_whom_it_is_about(behind: Behind) -> None:
    run = behind.open()
    _, shown = summed(behind, run)
    (whole,) = shown.sums
    assert whole is not None
    gone = behind["site-3"].did
    less = replace(whole, included=tuple(did for did in whole.included if did != gone), dropped=(gone,))
    false = Shown(shown.transcripts, (less,), ())
    behind.claim(run, output_of(behind, run, false), false)
    assert "dropped out of a sum that it is in" in str(behind.sites["site-3"].doubt(run.aggregate))
    assert behind.sites["site-1"].doubt(run.aggregate) is None
    result, gains = behind.judged(run, by="site-3")
    assert result.outcome == REFUTED
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert gains["site-3"] > MONEY.reward // 4


def test_no_sum_said_of_one_that_came_out_earns_nothing(behind: Behind) -> None:
    run = behind.open()
    summed(behind, run)
    output = behind.conclude(run, (None,))
    assert not any(output.record.counted)
    assert all(site.unsummed(run.aggregate) for site in behind.sites.values()), "they see it, and cannot prove it"
    gains = behind.settle(run)
    assert gains["aggregator"] <= MONEY.keeper


def test_withheld_transcripts_refute(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    run = behind.open()
    _, shown = summed(behind, run)
    with monkeypatch.context() as patch:
        patch.setattr(masked.Aggregator, "overseers", lambda aggregator: ())
        behind.claim(run, output_of(behind, run, shown), shown)
    result, gains = behind.judged(run)
    assert result.outcome == REFUTED
    assert gains["aggregator"] == -MONEY.aggregator_stake
    verdicts = {claim: VerdictClaim.of(said) for claim, said in behind["aggregator"].claims("verdict")
                if said.all_refs("of") == (run.aggregate,)}
    corrected = AggregateClaim.of(behind["aggregator"].statement(
        masked.correct(behind.aggregator, run.aggregate, verdicts, result)))
    assert corrected.params == corrected.base, "what nobody was shown moved nothing"


def test_transcripts_shown_to_one_verifier_set_them_not_apart(behind: Behind) -> None:
    run = behind.open()
    behind.say(run)
    transcripts = behind.sums(run)
    away = behind["verifier-2"].did, behind["verifier-3"].did
    real = masked.Aggregator.overseers

    def some(aggregator: masked.Aggregator) -> tuple[str, ...]:
        return tuple(did for did in real(aggregator) if did not in away)

    masked.Aggregator.overseers = some  # type: ignore[method-assign]
    try:
        behind.conclude(run, transcripts)
    finally:
        masked.Aggregator.overseers = real  # type: ignore[method-assign]
    result, _ = behind.judged(run)  # `findings` asserts that all find the same
    assert result.outcome == UPHELD


@pytest.mark.parametrize("swap", ["deal", "round"])
def test_transcripts_of_another_sum_refute(behind: Behind, swap: str) -> None:
    if swap == "deal":
        other = behind.open()
        transcripts, _ = summed(behind, other)
        behind.conclude(other, (None,))
        behind.settle(other)
        run = behind.open()
        behind.say(run)
    else:
        run = behind.open()
        behind.say(run)
        transcripts = another_round(behind, run)
    foreign = replace(summed_by(behind, run), transcripts=transcripts)
    behind.claim(run, output_of(behind, run, foreign), foreign)
    result, gains = behind.judged(run)
    assert result.outcome == REFUTED
    assert gains["aggregator"] == -MONEY.aggregator_stake


def summed_by(behind: Behind, run: Run) -> Shown:
    return behind.aggregator.shown(run.deal, 1, behind.sums(run))


def another_round(behind: Behind, run: Run) -> tuple[bytes | None, ...]:
    """The transcripts of a sum of round 2, in the same deal, by journals that know nothing."""
    sessions = behind.aggregator.replay.sessions(2, run.deal, None, behind.aggregator.seated(run.deal))
    ends = {}
    for name in behind.names:
        journal = behind.journals[name]
        part = journal.begin(bytes(32), 2, sessions[0].id, bytes([len(ends)]) * 32, behind.vector(name)[0])
        ends[behind[name].did] = masked.KeptSite(sessions[0], behind[name].identity.signer(), behind[name].keybook,
                                                 part, journal)
    sums = Sums(sessions, behind["aggregator"].keybook, sorted(ends), behind.journals["aggregator"])
    return sums.run(lambda calls, dids, phase: {
        did: ends[did].answer(masked.split_calls(calls)[sessions[0].id]) for did in dids})


def test_a_sum_with_somebody_who_did_not_say_so_counts_for_nothing(behind: Behind) -> None:
    run = behind.open()
    _, shown = summed(behind, run)
    aggregate = behind.aggregator
    output, said = output_of(behind, run, shown), behind.aggregator.said(1, run.deal)
    names = [said[behind[name].did] for name in FOUR[:3]]
    run.output = output
    run.aggregate = aggregate.publish(run.deal, 1, output, names,
                                      transcripts=masked.write_transcripts(shown.transcripts))
    aggregate.submit(run.deal, run.aggregate, output)
    behind.receive()
    assert "other updates than those it counts" in str(behind.sites["site-4"].doubt(run.aggregate))
    result, gains = behind.judged(run, by="site-4")
    assert result.outcome == REFUTED
    assert gains["aggregator"] == -MONEY.aggregator_stake


# A lying site

def test_a_site_that_breaks_the_protocol_is_named_and_slashed(behind: Behind) -> None:
    run = behind.open()
    behind.say(run)
    liar = behind["site-2"]

    def wrong(phase: Phase, site: str, answer: bytes) -> bytes:
        if site != "site-2" or phase is not Phase.UNMASK:
            return answer
        said = Message.from_bytes(answer)
        head = said.head[:-1] + bytes([said.head[-1] ^ 1])
        return sign(liar.identity.signer(), phase, said.session, said.sender, head).to_bytes()

    output = behind.conclude(run, behind.sums(run, wrong))
    assert output.slashed == (behind.index("site-2"),)
    assert output.rejected == ((liar.did, "protocol"),)
    assert output.record.counted == (True,) * 4, "its vector was in before"
    assert behind.sites["site-1"].doubt(run.aggregate) is None
    result, gains = behind.judged(run, by="stranger")
    assert result.outcome == UPHELD
    assert gains["site-2"] == -MONEY.site_stake
    assert gains["stranger"] == -MONEY.bond - MONEY.verifier_fee
    assert [gains[name] for name in FOUR if name != "site-2"] == [MONEY.reward // 3] * 3


# A vector goes into one sum

def test_a_vector_goes_into_no_second_sum_also_after_a_restart(behind: Behind) -> None:
    run = behind.open()
    behind.say(run)
    behind.sums(run)
    behind.conclude(run, (None,))  # "it failed: again, please"
    behind.settle(run)
    journals = dict(behind.journals)
    second = behind.open()
    for name in FOUR:
        behind.journals[name].close()
        behind.journals[name] = masked.SumJournal(journals[name].path)
        again = behind.site(name)  # a new process, with the file of before
        with pytest.raises(Refuted, match="in another sum"):
            again.take_part(second.deal, 1, lambda name=name: behind.vector(name), 1)  # type: ignore[misc]
        assert again.own(1, second.deal) is None
    behind.conclude(second, (None,))
    behind.settle(second)


def test_a_site_killed_before_it_said_so_keeps_its_vector(behind: Behind) -> None:
    run = behind.open()
    made = []

    def make() -> tuple[masked.IntArray, None]:
        made.append(1)
        return behind.vector("site-1")[0], None

    def killed(*words: object, **named: object) -> bytes:
        raise KeyboardInterrupt

    site = behind.sites["site-1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behind["site-1"], "attest", killed)
        with pytest.raises(KeyboardInterrupt):
            site.take_part(run.deal, 1, make, 1)
    claim = behind.site("site-1").take_part(run.deal, 1, make, 1)
    assert made == [1], "noise is drawn once a round, and spent once"
    assert behind["site-1"].statement(claim).kind == "update"
    behind.say(run)
    behind.honest(run)
    behind.settle(run)


# The plan

def test_a_plan_says_how_it_is_masked_and_is_read_strictly(behind: Behind) -> None:
    statement = behind["sponsor"].statement(behind.plan_id)
    plan = Plan.of(statement)
    assert plan.masking == Terms(MASKED)
    for masking in (Terms(MASKED, stakes=(1, 2, 3, 4), noise=Noise(9, 2)), Terms(MASKED)):
        said = replace(statement, body=replace(plan, masking=masking).body())
        assert Plan.of(said).masking == masking
    for change in ({"masking": None}, {"masking": {"group": 0, "stakes": []}}, {"privacy": "open"},
                   {"privacy": GROUPED}, {"masking": {"group": 3, "noise": None, "stakes": []}},
                   {"masking": {"group": 0, "noise": None, "stakes": ["1"]}},
                   {"masking": {"group": 0, "noise": {"relied": 0, "sigma": 4}, "stakes": []}}):
        with pytest.raises(masked.BadInput):
            Plan.of(replace(statement, body={**statement.body, **change}))
