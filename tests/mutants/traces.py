"""Runs of the state machine, recorded once and replayed on a mutant: every answer and every balance must be the same.

Recorded with ``MemoryBook``; before any mutant of the contract is judged, the runs are replayed on the contract as it
is, so that what a mutant is held to is what both Books say.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ports.books import Addresses, MemoryWorld, World
from stateful.drawn import EVERYBODY
from stateful.machine import COUNTS, DealMachine, endow, perform


@dataclass
class Trace:
    """What was done, in order, and the labels of what happened."""

    events: list[tuple[Any, ...]]
    labels: Counter[str] = field(default_factory=Counter)


@dataclass
class Runs:
    """Traces, and where everything was: the contract's addresses, so that the deals' ids are the same on both."""

    addresses: Addresses
    traces: list[Trace]


def record(addresses: Addresses, examples: int) -> Runs:
    """Runs of the machine, the same ones each time."""
    found: list[Trace] = []

    class Recorder(DealMachine):
        def worlds(self) -> tuple[MemoryWorld, World | None]:
            return MemoryWorld(addresses=addresses), None

        def teardown(self) -> None:
            super().teardown()
            found.append(Trace(self.trace, COUNTS.copy()))
            COUNTS.clear()

    COUNTS.clear()
    run_state_machine_as_test(Recorder, settings=settings(
        max_examples=examples, stateful_step_count=12, deadline=None, database=None, derandomize=True,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck)))
    return Runs(addresses, found)


def covering(runs: Runs) -> Runs:
    """Few and short traces that show every label that any of them shows, the most telling first."""
    traces = runs.traces
    chosen: list[Trace] = []
    seen: set[str] = set()
    wanted = {label for trace in traces for label in trace.labels}
    while wanted - seen:
        best = max(traces, key=lambda trace: (len(set(trace.labels) - seen) / (30 + len(trace.events))))
        chosen.append(best)
        seen |= set(best.labels)
    return Runs(runs.addresses, chosen)


def replay(trace: Trace, world: World, balances: Any) -> str | None:
    """Do it again on another Book: the first thing that is not as recorded, or None. ``balances``: of an account."""
    accounts = [*EVERYBODY, world.addresses.book, world.addresses.owner]
    for event in trace.events:
        if event[0] == "until":
            world.until(event[1])
        elif event[0] == "fail":
            world.fail(event[1], event[2])
        elif event[0] == "fund":
            world.fund(event[1], event[2], approve=event[3])
        else:
            _, name, who, arguments, told, held = event
            found = perform(world, name, who, arguments)
            if found != told:
                return f"{name}: {found} instead of {told}"[:200]
            if told[0] == "done" and tuple(map(balances, accounts)) != held:
                return f"{name}: other balances"
    return None


def replay_in_memory(runs: Runs) -> str | None:
    """Every trace on a fresh ``MemoryBook``."""
    for trace in runs.traces:
        world = MemoryWorld(addresses=runs.addresses)
        endow(world)
        wrong = replay(trace, world, world.balance)
        if wrong is not None:
            return wrong
    return None


def save(path: Path, runs: Runs) -> None:
    path.write_bytes(pickle.dumps(runs))


def load(path: Path) -> Runs:
    """Written by ``save`` in the same run, never read from elsewhere."""
    found: Runs = pickle.loads(path.read_bytes())
    return found
