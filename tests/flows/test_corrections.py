"""After a refutation training goes on: from what more than half of the verifiers found, whatever few of them say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from small import MONEY, SITES, VERIFIERS, Run, Small

from troth.core.errors import Refuted
from troth.core.terms import REFUTED, Result
from troth.flows import round as flow
from troth.learn import arrays
from troth.learn import claims as kinds
from troth.learn.claims import WITHHELD, AggregateClaim, VerdictClaim
from troth.learn.lineage import check_correction
from troth.learn.worth import Record


def verdicts(small: Small, run: Run) -> dict[bytes, VerdictClaim]:
    """What the aggregator holds of what was found of its aggregate."""
    aggregator = small["aggregator"]
    return {claim: VerdictClaim.of(said) for claim, said in aggregator.claims(kinds.VERDICT)
            if said.all_refs("of") == (run.aggregate,)}


def corrected(small: Small, run: Run) -> AggregateClaim:
    """The correction by what stands on chain, as every reader checks it."""
    state = small["sponsor"].book.state(run.deal)
    assert state.final is not None
    claim = flow.correct(small.aggregator, run.aggregate, verdicts(small, run), state.final)
    small.receive()
    step = small.sites["site-3"].step(claim)
    assert check_correction(small["site-3"], small.plan, step) is not None
    return step.claim


def lie(small: Small, run: Run) -> None:
    """Everybody's update, and another model than they give."""
    for name in SITES:
        small.update(name, run)
    small.fix(run)
    small.reveal(run)
    honest, updates = small.aggregator.aggregate(run.deal, 1)
    wrong = {name: array + 1 for name, array in honest.params.items()}
    small.publish(run, replace(honest, params=wrong, digest=arrays.digest(wrong)), updates)
    small.challenge(run, "site-1")
    small.evidence(run)


def one_round(history: Sequence[Record]) -> frozenset[int]:
    """The evidence of harm, as if one round of it were enough instead of four."""
    return frozenset(seat for seat, ceiling in enumerate(history[-1].ceilings) if ceiling < 0)


def test_who_did_harm_is_counted_where_another_withheld(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.learn.round.evidence", one_round)
    run = small.open()
    small.update("site-1", run, to=["aggregator"])
    small.update("site-2", run, delta={name: -2 * array for name, array in small.deltas["site-2"].items()})
    small.update("site-3", run)
    small.aggregate(run)
    small.challenge(run, "site-3")
    small.evidence(run, missing=["site-1"])
    result = small.rerun(run)
    assert result.outcome == WITHHELD
    assert result.slashed == {small[name].account for name in ("site-1", "site-2")}
    assert {said.withheld for said in verdicts(small, run).values()} == {(small["site-1"].did,)}
    gains = small.settle(run)
    assert [gains[name] for name in ("site-1", "site-2")] == [-MONEY.site_stake] * 2
    said = corrected(small, run)
    assert said.flags("counted") == tuple(did != small["site-1"].did for did in small.plan.keys)
    assert said.numbers("slashed") == (small.index("site-2"),)


def test_a_verifier_that_slept_does_not_stop_the_plan(small: Small) -> None:
    run = small.open()
    lie(small, run)
    result = small.rerun(run, asleep=["verifier-3"])
    assert result.outcome == REFUTED
    assert small.settle(run)["verifier-3"] == -MONEY.verifier_stake
    final = small["sponsor"].book.state(run.deal).final
    assert final is not None
    assert small["verifier-3"].account in final.slashed
    assert corrected(small, run).flags("counted") == (True,) * 3


def test_one_verifier_s_other_words_for_the_same_result_do_not_stop_the_plan(small: Small) -> None:
    run = small.open()
    lie(small, run)
    found = small.findings(run)
    voices = {}
    for name, (output, result) in found.items():
        if name == "verifier-2":  # what it puts on chain is right, and so it is paid; what it signs is not
            output = replace(output, digest=bytes(32), params={})
        voices[name] = small.verifiers[name].commit(run.aggregate, output, result)
    for name, (claim, salt) in voices.items():
        small.verifiers[name].reveal(claim, salt)
    small["sponsor"].book.judge(small["sponsor"].account, run.deal)
    small.receive()
    small.settle(run)
    assert {said.params for said in verdicts(small, run).values()} == {found[VERIFIERS[0]][0].digest, bytes(32)}
    assert corrected(small, run).params == found[VERIFIERS[0]][0].digest


def test_half_of_the_verifiers_are_not_enough(small: Small) -> None:
    run = small.open()
    lie(small, run)
    result: Result = small.rerun(run)
    few = dict(list(verdicts(small, run).items())[:1])
    assert len(few) == 1
    with pytest.raises(Refuted, match="another model"):
        flow.correct(small.aggregator, run.aggregate, few, result)
    small.settle(run)
