"""Studies: what training together gains on records nobody trained on, over seeded splits of real data.

Every row is trained for the same number of gradient steps at the same rate, from the same untrained model, with
features standardised by the sponsor's public validation part. A member *alone* is honest, a poisoner's row included.

`why_join` is the study of ``troth demo``: four hospitals, one of them poisoning (it flips its labels, scales its update
tenfold and clips it to the norm bound so that it is admitted). `compare` asks the same of any consortium.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import quantise
from troth.learn import site
from troth.learn.arrays import State, flatten
from troth.learn.data import Inputs, Part, scaling
from troth.learn.dense import PPM, Dense
from troth.learn.plain import average
from troth.learn.sets import Consortium, breast_cancer, consortium
from troth.learn.training import START, Run, dense
from troth.learn.training import train as train_run

COMMAND = "troth demo --study"
STUDIED = "nnm+trimmed_mean"
"""The rule of the demonstration, four hospitals of which one may be hostile."""
POISONER = 2
"""Index of the hospital that poisons: the third."""
# Student's t, two-sided 95 %, by degrees of freedom; the last entry serves all larger ones (slightly too wide).
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
            2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)

Measure = Callable[[Dense, State, Inputs], int]


def accuracy(task: Dense, state: State, data: Inputs) -> int:
    """Share of records predicted right (for numbers the coefficient of determination), in parts per million."""
    return task.score(state, data)


def auc(task: Dense, state: State, data: Inputs) -> int:
    """The area under the ROC curve in parts per million: how often a record of class 1 gets a higher logit than one of
    class 0, ties counting half. For labels of which one is rare. Raises BadInput unless there are records of both of
    two classes."""
    logits = task.outputs_of(flatten(state).reshape(1, -1), data.features)[0, :, 0]
    zeros, ones = np.sort(logits[data.labels == 0]), logits[data.labels == 1]
    if task.classes != 2 or not len(zeros) or not len(ones):
        raise BadInput("an area needs records of both of two classes", actual=f"{len(zeros)} and {len(ones)}")
    halves = int(np.searchsorted(zeros, ones, "left").sum() + np.searchsorted(zeros, ones, "right").sum())
    return PPM * halves // (2 * len(zeros) * len(ones))


@dataclass(frozen=True, slots=True)
class Row:
    """One way of training: its score on the test part in each split, in parts per million, with mean and the 95 %
    interval of the mean (Student's t over splits)."""

    name: str
    scores: tuple[int, ...]

    @property
    def mean(self) -> int:
        """Mean score, parts per million."""
        return round(statistics.fmean(self.scores))

    @property
    def margin(self) -> int:
        """Half the width of the 95 % interval, parts per million; 0 for a single split."""
        count = len(self.scores)
        if count < 2:
            return 0
        return round(_STUDENT[min(count, 31) - 2] * statistics.stdev(self.scores) / math.sqrt(count))


@dataclass(frozen=True, slots=True)
class Study:
    """All rows over the same splits, and how often the poisoner and anyone honest were slashed."""

    seeds: tuple[int, ...]
    rounds: int
    rule: str
    rows: tuple[Row, ...]
    poisoner_slashed: int = 0
    honest_slashed: int = 0
    command: str = COMMAND
    data: str = "Wisconsin Diagnostic Breast Cancer, 569 records"

    def row(self, name: str) -> Row:
        """The row of that name. Raises BadInput if there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        raise BadInput("no such row in the study", expected=[row.name for row in self.rows], actual=name)

    def lead(self, name: str, over: str) -> Row:
        """Split by split, how far one row is ahead of another: a paired comparison."""
        pairs = zip(self.row(name).scores, self.row(over).scores, strict=True)
        return Row(f"{name} - {over}", tuple(a - b for a, b in pairs))

    def to_json(self) -> dict[str, object]:
        """Integers only; scores in parts per million."""
        return {
            "command": self.command, "data": self.data, "rule": self.rule,
            "rounds": self.rounds, "seeds": list(self.seeds), "poisoner": POISONER,
            "poisoner_slashed": self.poisoner_slashed, "honest_slashed": self.honest_slashed,
            "rows": [{"name": row.name, "mean_ppm": row.mean, "margin_ppm": row.margin,
                      "low_ppm": row.mean - row.margin, "high_ppm": row.mean + row.margin,
                      "scores_ppm": list(row.scores)} for row in self.rows],
        }


TROTH = "Troth, one hospital poisoning"
TROTH_HONEST = "Troth, all honest"
PLAIN = "plain averaging, one hospital poisoning"
POOLED = "pooled data"


def alone(index: int) -> str:
    """The row's name for one hospital alone."""
    return f"hospital {index + 1} alone"


def _central(split: Consortium, run: Run, names: Sequence[str], measure: Measure) -> dict[str, int]:
    """Scores of every member alone and of all records pooled, trained as long as a run's rounds together."""
    by = scaling(split.validation)
    task = dense(split.validation, run.hidden)
    test, start = by.inputs(split.test), task.start(START)
    whole = site.Fit(run.fit.steps * run.rounds, run.fit.rate, run.fit.decay, site.UNBOUNDED, run.fit.batch)

    def scored(part: Part) -> int:
        return measure(task, task.state_of(quantise(site.descend(task, start, part, by, whole))), test)

    parts = [*zip(names, split.sites, strict=True), (POOLED, split.pooled())]
    return {name: scored(part) for name, part in parts}


def _scored(split: Consortium, run: Run, trained: State, measure: Measure = accuracy) -> int:
    return measure(dense(split.test, run.hidden), trained, scaling(split.validation).inputs(split.test))


def _split(split: Consortium, run: Run) -> tuple[dict[str, int], tuple[int, ...]]:
    """Accuracies by row name, and the seats slashed in the poisoned Troth run, for one split."""
    attacks = {POISONER: site.poisoned}
    troth = train_run(split, Run(run.rounds, run.fit, run.rule, attacks))[-1]
    found = _central(split, run, [alone(index) for index in range(len(split.sites))], accuracy)
    found[TROTH] = _scored(split, run, troth.params)
    found[TROTH_HONEST] = _scored(split, run, train_run(split, Run(run.rounds, run.fit, run.rule))[-1].params)
    found[PLAIN] = _scored(split, run, train_run(split, Run(run.rounds, run.fit, "mean", attacks))[-1].params)
    return found, troth.slashed


def stored() -> dict[str, Any]:
    """The study over all 20 splits as it was stored, with the command that makes it."""
    found: dict[str, Any] = json.loads(resources.files("troth.learn").joinpath("why-join.json").read_text())
    return found


def why_join(seeds: Sequence[int] = tuple(range(1, 21)), rounds: int = 8, rule: str = STUDIED,
             progress: Callable[[int, int], None] | None = None) -> Study:
    """Train every row on every split. ``progress(done, of)`` is called after each split.

    About 0.3 s a split. Raises BadInput for no seeds; OutsideFailed without scikit-learn.
    """
    if not seeds:
        raise BadInput("a study needs at least one split", expected="one or more seeds", actual=0)
    records = breast_cancer()
    scores: dict[str, list[int]] = {}
    poisoner = honest = 0
    for done, seed in enumerate(seeds, start=1):
        found, slashed = _split(consortium(seed, records=records), Run(rounds, rule=rule))
        for name, value in found.items():
            scores.setdefault(name, []).append(value)
        poisoner += POISONER in slashed
        honest += len(set(slashed) - {POISONER})
        if progress is not None:
            progress(done, len(seeds))
    rows = tuple(Row(name, tuple(values)) for name, values in scores.items())
    return Study(tuple(seeds), rounds, rule, rows, poisoner, honest)


TOGETHER = "Troth"
FLOATS = "plain averaging in floats"


@dataclass(frozen=True, slots=True)
class Question:
    """What a consortium's study asks. data: the records, in words. members: names of the sites, in the splits' order.
    split: a seed's consortium. run: how it trains. measure: how a model is scored on the test part."""

    data: str
    members: tuple[str, ...]
    split: Callable[[int], Consortium]
    run: Run
    measure: Measure = accuracy
    command: str = ""


def compare(question: Question, seeds: Sequence[int], progress: Callable[[int, int], None] | None = None) -> Study:
    """Every member alone, all records pooled, plain averaging in floats, and Troth's rounds, on every split.

    All are honest. ``progress(done, of)`` is called after each split. Raises BadInput for no seeds.
    """
    if not seeds:
        raise BadInput("a study needs at least one split", expected="one or more seeds", actual=0)
    run, scores = question.run, dict[str, list[int]]()
    for done, seed in enumerate(seeds, start=1):
        split = question.split(seed)
        found = _central(split, run, question.members, question.measure)
        found[FLOATS] = _scored(split, run, average(split, run), question.measure)
        found[TOGETHER] = _scored(split, run, train_run(split, run)[-1].params, question.measure)
        for name, value in found.items():
            scores.setdefault(name, []).append(value)
        if progress is not None:
            progress(done, len(seeds))
    rows = tuple(Row(name, tuple(values)) for name, values in scores.items())
    return Study(tuple(seeds), run.rounds, run.rule, rows, command=question.command, data=question.data)
