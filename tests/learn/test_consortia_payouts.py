"""The bounded form of ``make payouts``: a few random consortia, and what must hold in each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import payouts

from troth.learn.sets import breast_cancer, skewed


@pytest.mark.parametrize("seed", [8, 17, 24, 33])
def test_poisoners_lose_honest_sites_gain_and_copies_do_not_pay(seed: int) -> None:
    found = payouts.consortium(seed, rounds=5)
    assert found["poisoner"] < 0
    assert found["caught"]
    assert found["lowest"] > 0
    assert not found["slashed"]
    assert not found["slashed_beside"]
    name = next(name for name in payouts.IDENTITIES if name in found)
    assert found[name] < (0.2 if payouts.IDENTITIES[name][0] == 1 else 0.01), name


def test_a_stretched_or_stale_update_is_worth_its_direction_alone() -> None:
    """Pay by worth alone: what being long gained before it was left out of the value is in record 47."""
    split = skewed(breast_cancer(), 5, 4, 10.0)
    honest = payouts.play(split.sites, split.validation, 5, rounds=5).by_power[0.0]
    for way in ("sends its first update again", "sends its update 3 times as long"):
        cheated = payouts.play(split.sites, split.validation, 5, (1, *payouts.IDENTITIES[way]), rounds=5)
        assert cheated.by_power[0.0][1] - honest[1] < 0.12, way
