"""The bounded form of ``make payouts``: a few random consortia, and what must hold in each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import payouts


@pytest.mark.parametrize("seed", [8, 17, 24, 33])
def test_poisoners_lose_honest_sites_gain_and_copies_do_not_pay(seed: int) -> None:
    found = payouts.consortium(seed, rounds=5)
    assert found["poisoner"] < 0
    assert found["caught"]
    assert found["lowest"] > 0
    assert not found["slashed"]
    assert not found["slashed_beside"]
    gain = next((found[name] for name in payouts.IDENTITIES if name in found and "update from" in name), 0.0)
    assert gain < 0.01
