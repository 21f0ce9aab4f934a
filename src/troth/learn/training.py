"""A whole training run in one process: rounds of local updates, one hospital perhaps poisoning, `run_round` each time.

The story's own rounds go through claims and deals; this is the same arithmetic without them, for studies and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from troth.learn import site
from troth.learn.aggregate import DEFAULT_RULE, Update
from troth.learn.arrays import State
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, RoundOutput, run_round
from troth.learn.sets import Consortium
from troth.learn.worth import Record

START = seed_of(0)
"""The plan's seed, for the untrained model."""
Attack = Callable[[Dense, State, Part, Scaling, site.Fit, bytes], State]


@dataclass(frozen=True, slots=True)
class Run:
    """How a consortium trains: rounds, local training, rule, and what some sites (by index) send instead of
    honest work.

    reward: smallest units, shared after the last round. hidden: the network's hidden layers."""

    rounds: int = 8
    fit: site.Fit = field(default_factory=site.Fit)
    rule: str = DEFAULT_RULE
    attacks: Mapping[int, Attack] = field(default_factory=dict)
    reward: int = 1_000_000
    hidden: tuple[int, ...] = ()


def seats_of(count: int) -> tuple[str, ...]:
    """Stand-in keys for sites, ascending in the sites' order."""
    return tuple(f"site-{index:03d}" for index in range(count))


def dense(part: Part, hidden: tuple[int, ...] = ()) -> Dense:
    """The dense network for records like these."""
    return Dense(len(part.schema.columns), len(part.schema.classes), hidden)


def train(consortium: Consortium, run: Run) -> tuple[RoundOutput, ...]:
    """Every round's output, first to last. Raises BadInput for what `run_round` refuses."""
    by = scaling(consortium.validation)
    seats = seats_of(len(consortium.sites))
    task = dense(consortium.validation, run.hidden)
    base: State = task.start(START)
    history: tuple[Record, ...] = ()
    outputs = []
    for number in range(run.rounds):
        updates = tuple(
            Update(seats[index], len(part), run.attacks.get(index, site.train)(
                task, base, part, by, run.fit, seed_of(number)))
            for index, part in enumerate(consortium.sites))
        outputs.append(run_round(RoundInput(task, base, seats, updates, consortium.validation, seed_of(number),
                                            run.reward, history, run.rule, run.fit.clip)))
        base, history = outputs[-1].params, (*history, outputs[-1].record)
    return tuple(outputs)
