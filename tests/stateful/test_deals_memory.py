"""The rules alone, on ``MemoryBook``: many short lives of many deals, and every transition again and again."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from stateful import labels
from stateful.machine import COUNTS, DEEP, DealMachine

LEAST = 200
BATCHES = 15


def test_deals() -> None:
    """Deep (TROTH_STATEFUL=deep): again until every label was seen at least 200 times; counts printed."""
    COUNTS.clear()
    for _ in range(BATCHES if DEEP else 1):
        run_state_machine_as_test(DealMachine, settings=settings(
            max_examples=1000 if DEEP else 25, stateful_step_count=25, deadline=None, database=None,
            suppress_health_check=list(HealthCheck)))
        rare = {label: COUNTS[label] for label in labels.EXPECTED if COUNTS[label] < LEAST}
        if not rare:
            break
    print(labels.table(COUNTS, "MemoryBook alone"))
    assert not DEEP or not rare
