"""No act lost, none done twice: random schedules of several processes, deaths at every point, and a node with moods.

A contract that counts acts by their id is the judge: every count must be exactly 1.

- Schedules in one process (``ledger.moody`` says what of the node is simulated): writers are stopped around every
  request, write and try for the lock, and die there by an exception.
- Schedules with real processes, killed by SIGKILL, on anvil with real re-organisations.

``make faults`` runs many more: TROTH_FAULTS schedules of the first sort, TROTH_KILLS of the second.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ledger.moody import Stage

SCHEDULES = int(os.environ.get("TROTH_FAULTS", "60"))


def test_random_schedules(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        stage = Stage(seed, tmp_path / f"{seed}")
        seen["steps"] += stage.run()
        counts = stage.counts()
        assert set(counts.values()) == {1}, f"seed {seed}: {counts}"
        for act in stage.writers[0].acts[:1]:  # the act that all were told to do: one receipt
            assert len({writer.receipts[act].tx_hash for writer in stage.writers}) == 1, f"seed {seed}"
        node = stage.node
        seen.update(deaths=sum(writer.deaths for writer in stage.writers), reorgs=node.reorgs, foreign=node.foreign,
                    replaced=node.replaced, fillers=stage.fillers(), taken=stage.taken())
        node.chain.close()
    print(f"\n{SCHEDULES} schedules: {dict(seen)}")
    assert all(seen[what] for what in ("deaths", "reorgs", "foreign", "replaced", "fillers", "taken")), seen
