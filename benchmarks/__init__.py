"""Benchmarks: one module a subject, each with ``run(quick)``. Run them all with ``python -m benchmarks``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_seconds(action: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The median time of an action. clock: ``time.process_time`` for the processor's seconds."""
    taken = []
    for _ in range(repeats):
        start = clock()
        action()
        taken.append(clock() - start)
    return statistics.median(taken)
