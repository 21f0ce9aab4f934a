"""A whole training run in one process: rounds of local updates, one hospital perhaps poisoning, `run_round` each time.

The story's own rounds go through claims and deals; this is the same arithmetic without them, for studies and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from troth.learn import model, site
from troth.learn.aggregate import DEFAULT_RULE, Update
from troth.learn.arrays import State
from troth.learn.data import Consortium, Part, Scaling, scaling
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, RoundOutput, run_round
from troth.learn.worth import Record

Attack = Callable[[State, Part, Scaling, site.Plan], State]


@dataclass(frozen=True, slots=True)
class Run:
    """How a consortium trains: rounds, local plan, rule, and what some sites (by index) send instead of honest work.

    reward: smallest units, shared after the last round."""

    rounds: int = 8
    plan: site.Plan = field(default_factory=site.Plan)
    rule: str = DEFAULT_RULE
    attacks: Mapping[int, Attack] = field(default_factory=dict)
    reward: int = 1_000_000


def seats_of(count: int) -> tuple[str, ...]:
    """Stand-in keys for sites, ascending in the sites' order."""
    return tuple(f"site-{index:03d}" for index in range(count))


def train(consortium: Consortium, run: Run) -> tuple[RoundOutput, ...]:
    """Every round's output, first to last. Raises BadInput for what `run_round` refuses."""
    by = scaling(consortium.validation)
    seats = seats_of(len(consortium.sites))
    base: State = model.zeros()
    history: tuple[Record, ...] = ()
    outputs = []
    for number in range(run.rounds):
        updates = tuple(
            Update(seats[index], len(part), run.attacks.get(index, site.train)(base, part, by, run.plan))
            for index, part in enumerate(consortium.sites))
        outputs.append(run_round(RoundInput(base, seats, updates, consortium.validation, seed_of(number), run.reward,
                                            history, run.rule, run.plan.clip)))
        base, history = outputs[-1].params, (*history, outputs[-1].record)
    return tuple(outputs)
