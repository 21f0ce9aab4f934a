"""Why join: accuracy on records nobody trained on, over seeded splits of the real data.

Every row is trained for the same number of gradient steps at the same rate, from the same zero model, with features
standardised by the sponsor's public validation part. The poisoner flips its labels, scales its update tenfold and
clips it to the norm bound so that it is admitted. Each hospital *alone* is honest, the poisoner's included.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from troth.core.errors import BadInput
from troth.learn import site
from troth.learn.aggregate import DEFAULT_RULE
from troth.learn.arrays import State
from troth.learn.data import Part, scaling
from troth.learn.sets import Consortium, breast_cancer, consortium
from troth.learn.training import Run, dense
from troth.learn.training import train as train_run

COMMAND = "troth demo --study"
POISONER = 2
"""Index of the hospital that poisons: the third."""
# Student's t, two-sided 95 %, by degrees of freedom; the last entry serves all larger ones (slightly too wide).
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
            2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)


@dataclass(frozen=True, slots=True)
class Row:
    """One way of training: its accuracy on the test part in each split, in parts per million, with mean and the 95 %
    interval of the mean (Student's t over splits)."""

    name: str
    accuracies: tuple[int, ...]

    @property
    def mean(self) -> int:
        """Mean accuracy, parts per million."""
        return round(statistics.fmean(self.accuracies))

    @property
    def margin(self) -> int:
        """Half the width of the 95 % interval, parts per million; 0 for a single split."""
        count = len(self.accuracies)
        if count < 2:
            return 0
        return round(_STUDENT[min(count, 31) - 2] * statistics.stdev(self.accuracies) / math.sqrt(count))


@dataclass(frozen=True, slots=True)
class Study:
    """All rows over the same splits, and how often the poisoner and anyone honest were slashed."""

    seeds: tuple[int, ...]
    rounds: int
    rule: str
    rows: tuple[Row, ...]
    poisoner_slashed: int
    honest_slashed: int
    command: str = COMMAND

    def row(self, name: str) -> Row:
        """The row of that name. Raises BadInput if there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        raise BadInput("no such row in the study", expected=[row.name for row in self.rows], actual=name)

    def lead(self, name: str, over: str) -> Row:
        """Split by split, how far one row is ahead of another: a paired comparison."""
        pairs = zip(self.row(name).accuracies, self.row(over).accuracies, strict=True)
        return Row(f"{name} - {over}", tuple(a - b for a, b in pairs))

    def to_json(self) -> dict[str, object]:
        """Integers only; accuracies in parts per million."""
        return {
            "command": self.command, "data": "Wisconsin Diagnostic Breast Cancer, 569 records", "rule": self.rule,
            "rounds": self.rounds, "seeds": list(self.seeds), "poisoner": POISONER,
            "poisoner_slashed": self.poisoner_slashed, "honest_slashed": self.honest_slashed,
            "rows": [{"name": row.name, "mean_ppm": row.mean, "margin_ppm": row.margin,
                      "low_ppm": row.mean - row.margin, "high_ppm": row.mean + row.margin,
                      "accuracies_ppm": list(row.accuracies)} for row in self.rows],
        }


TROTH = "Troth, one hospital poisoning"
TROTH_HONEST = "Troth, all honest"
PLAIN = "plain averaging, one hospital poisoning"
POOLED = "pooled data"


def alone(index: int) -> str:
    """The row's name for one hospital alone."""
    return f"hospital {index + 1} alone"


def _accuracy(split: Consortium, trained: State) -> int:
    by = scaling(split.validation)
    return dense(split.test).score(trained, by.inputs(split.test))


def _split(split: Consortium, run: Run) -> tuple[dict[str, int], tuple[int, ...]]:
    """Accuracies by row name, and the seats slashed in the poisoned Troth run, for one split."""
    by = scaling(split.validation)
    task = dense(split.validation)
    whole = site.Fit(run.fit.steps * run.rounds, run.fit.rate, run.fit.decay, site.UNBOUNDED)

    def centrally(part: Part) -> int:
        return _accuracy(split, site.train(task, task.zeros(), part, by, whole))

    attacks = {POISONER: site.poisoned}
    troth = train_run(split, Run(run.rounds, run.fit, run.rule, attacks))[-1]
    found = {alone(index): centrally(part) for index, part in enumerate(split.sites)}
    found[POOLED] = centrally(split.pooled())
    found[TROTH] = _accuracy(split, troth.params)
    found[TROTH_HONEST] = _accuracy(split, train_run(split, Run(run.rounds, run.fit, run.rule))[-1].params)
    found[PLAIN] = _accuracy(split, train_run(split, Run(run.rounds, run.fit, "mean", attacks))[-1].params)
    return found, troth.slashed


def stored() -> dict[str, Any]:
    """The study over all 20 splits as it was stored, with the command that makes it."""
    found: dict[str, Any] = json.loads(resources.files("troth.learn").joinpath("why-join.json").read_text())
    return found


def why_join(seeds: Sequence[int] = tuple(range(1, 21)), rounds: int = 8, rule: str = DEFAULT_RULE,
             progress: Callable[[int, int], None] | None = None) -> Study:
    """Train every row on every split. ``progress(done, of)`` is called after each split.

    About 0.3 s a split. Raises BadInput for no seeds; OutsideFailed without scikit-learn.
    """
    if not seeds:
        raise BadInput("a study needs at least one split", expected="one or more seeds", actual=0)
    records = breast_cancer()
    accuracies: dict[str, list[int]] = {}
    poisoner = honest = 0
    for done, seed in enumerate(seeds, start=1):
        found, slashed = _split(consortium(seed, records=records), Run(rounds, rule=rule))
        for name, value in found.items():
            accuracies.setdefault(name, []).append(value)
        poisoner += POISONER in slashed
        honest += len(set(slashed) - {POISONER})
        if progress is not None:
            progress(done, len(seeds))
    rows = tuple(Row(name, tuple(values)) for name, values in accuracies.items())
    return Study(tuple(seeds), rounds, rule, rows, poisoner, honest)
