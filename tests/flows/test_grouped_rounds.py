"""Rounds in groups as deals, end to end: three sums of three sites, paid by what each group was worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from behind import Behind
from small import MONEY, Run

from troth.core.terms import REFUTED
from troth.learn.arrays import digest
from troth.learn.masked_recheck import Shown
from troth.learn.masked_round import owed_behind
from troth.learn.masking.terms import GROUPED, Terms
from troth.learn.masking.wire import Phase

NINE = tuple(f"site-{number}" for number in range(1, 10))


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    found = Behind(tmp_path_factory.mktemp("grouped"), NINE, Terms(GROUPED, 3))
    yield found
    found.close()


def groups(behind: Behind, run: Run) -> list[list[str]]:
    """The names in each sum, as every party knows them."""
    return [sorted(behind.dids[did] for did in behind.sites[NINE[0]].replay.sessions(
        1, run.deal, None, behind.aggregator.seated(run.deal))[number].sites) for number in range(3)]


def test_groups_are_paid_by_worth_and_one_whose_sum_does_not_come_out_is_not(grouped: Behind) -> None:
    run = grouped.open()
    here = groups(grouped, run)
    assert sorted(name for group in here for name in group) == list(NINE)
    assert [len(group) for group in here] == [3, 3, 3]
    grouped.say(run)
    gone = here[1]
    transcripts = grouped.sums(run, lambda phase, site, answer: None if site in gone[:2] and phase >= Phase.MASKED
                               else answer)
    output = grouped.conclude(run, transcripts)
    assert [found is None for found in transcripts] == [False, True, False]
    assert output.digest != digest(grouped.aggregator.base())
    assert sum(output.payments) == MONEY.reward
    counted = {name: output.record.counted[grouped.index(name)] for name in NINE}
    assert counted == {name: name not in gone for name in NINE}
    for group in here:
        assert len({output.record.values[grouped.index(name)] for name in group}) == 1, "nobody is told apart in a sum"
    assert [grouped.sites[name].doubt(run.aggregate) for name in NINE] == [None] * 9
    gains = grouped.settle(run)
    assert gains["aggregator"] >= MONEY.fee
    assert {name: gains[name] for name in NINE} == {name: output.payments[grouped.index(name)] for name in NINE}
    assert [gains[name] for name in gone] == [0, 0, 0]


def test_an_aggregator_that_moves_one_group_s_worth_to_another_loses_its_stake(grouped: Behind) -> None:
    run = grouped.open()
    here = groups(grouped, run)
    grouped.say(run)
    shown: Shown = grouped.aggregator.shown(run.deal, 1, grouped.sums(run))
    honest = grouped.aggregator.replay.sum_up(1, None, shown.sums, grouped.aggregator.seated(run.deal))
    values = list(honest.record.values)
    for rich, poor in zip(here[0], here[2], strict=True):
        one, other = grouped.index(rich), grouped.index(poor)
        values[one], values[other] = values[one] + values[other], 0
    record = replace(honest.record, values=tuple(values))
    due = owed_behind(Terms(GROUPED, 3), (record,), frozenset(), frozenset(), MONEY.reward)
    grouped.claim(run, replace(honest, record=record, smoothed=due.smoothed, payments=due.payments), shown)
    result, gains = grouped.judged(run, by=here[2][0])
    assert result.outcome == REFUTED
    assert gains["aggregator"] == -MONEY.aggregator_stake
    assert [gains[name] for name in here[0]] == [honest.payments[grouped.index(name)] for name in here[0]]
    assert gains[here[2][0]] > honest.payments[grouped.index(here[2][0])], "who called is paid for it"
