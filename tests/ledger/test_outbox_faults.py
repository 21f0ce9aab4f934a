"""No act lost, none done twice: random schedules of several processes, deaths at every point, and a node with moods.

A contract that counts acts by their id is the judge: every count must be exactly 1. Acts that expire are done once or
never, and none is handed to a node after its time: whatever is done of them was sent before.

- Schedules in one process (``ledger.moody`` says what of the node is simulated): writers are stopped around every
  request, write and try for the lock, and die there by an exception.
- Schedules with real processes, killed by SIGKILL, on anvil with real re-organisations.

``make faults`` runs many more: TROTH_FAULTS schedules of the first sort, TROTH_KILLS of the second.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ledger.moody import SHARED, Stage

SCHEDULES = int(os.environ.get("TROTH_FAULTS", "60"))


def test_random_schedules(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        stage = Stage(seed, tmp_path / f"{seed}")
        seen["steps"] += stage.run()
        counts = stage.counts()
        expiring = {int.from_bytes(act, "big"): act for act in stage.expiries}
        assert {count for act, count in counts.items() if act not in expiring} == {1}, f"seed {seed}: {counts}"
        assert not stage.late, f"seed {seed}: broadcast after its time: {stage.late}"
        for number, act in expiring.items():
            done = {act in writer.receipts for writer in stage.writers if act in writer.acts}
            assert done == {counts[number] == 1}, f"seed {seed}: {act.hex()} was done {counts[number]} times"
            seen["in time" if counts[number] else "expired"] += 1
        told = {writer.receipts[SHARED].tx_hash for writer in stage.writers}
        assert len(told) == 1, f"seed {seed}: the act that all were told to do has one receipt"
        node = stage.node
        seen.update(deaths=sum(writer.deaths for writer in stage.writers), reorgs=node.reorgs, foreign=node.foreign,
                    replaced=node.replaced, fillers=stage.fillers(), taken=stage.taken(), dropped=stage.dropped(),
                    refilled=stage.replaced())
        node.chain.close()
    print(f"\n{SCHEDULES} schedules: {dict(seen)}")
    assert all(seen[what] for what in ("deaths", "reorgs", "foreign", "replaced", "fillers", "taken", "in time",
                                       "expired", "dropped", "refilled")), seen
