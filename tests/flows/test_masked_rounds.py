"""Rounds behind masks as deals: paid by rule, nobody sees an update, and whoever cheats ends poorer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from behind import FOUR, Behind, silent
from small import MONEY, VERIFIERS

from troth.core.terms import UPHELD
from troth.learn.masking.wire import Phase


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    found = Behind(tmp_path_factory.mktemp("behind"))
    yield found
    found.close()


def test_an_honest_round_pays_all_alike_and_nobody_doubts_it(behind: Behind) -> None:
    run = behind.open()
    behind.honest(run)
    assert [seat.doubt(run.aggregate) for seat in behind.sites.values()] == [None] * 4
    gains = behind.settle(run)
    assert [gains[name] for name in FOUR] == [MONEY.reward // 4] * 4
    assert gains["aggregator"] >= MONEY.fee  # and what a keeper gets


def test_who_is_called_sums_again_and_finds_the_same(behind: Behind) -> None:
    run = behind.open()
    behind.say(run)
    output = behind.conclude(run, behind.sums(run, silent("site-3", Phase.MASKED)))
    assert output.record.counted[behind.index("site-3")] is False
    result, gains = behind.judged(run, by="stranger")
    assert result.outcome == UPHELD
    assert gains["stranger"] == -MONEY.bond - MONEY.verifier_fee
    assert gains["aggregator"] >= MONEY.fee  # and what a keeper gets
    assert gains["site-3"] == 0
    assert [gains[name] for name in FOUR if name != "site-3"] == [MONEY.reward // 3] * 3
    assert all(gains[name] > 0 for name in VERIFIERS)
