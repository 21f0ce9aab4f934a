"""Plain federated averaging in floats (McMahan et al., 2017): the baseline, with no bound, no defence and no claims.

Sites train as in a round; the server takes the mean of their parameters weighted by their records.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from troth.fixed.numbers import FloatArray, IntArray, dequantise, quantise
from troth.learn import site
from troth.learn.arrays import flatten
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.sets import Consortium
from troth.learn.training import START, Run, dense


def step(task: Dense, base: FloatArray, parts: Sequence[Part], by: Scaling, fit: site.Fit,
         seed: bytes = bytes(32)) -> FloatArray:
    """One round: the next flat parameter vector."""
    rows = np.stack([site.descend_floats(task, base, part, by, fit, seed) for part in parts])
    weights = np.array([len(part) for part in parts], dtype=np.float64)
    return np.asarray(weights @ rows / weights.sum())


def average(split: Consortium, run: Run) -> dict[str, IntArray]:
    """The model after all rounds; rounded to fixed point once, at the end, to be measured as the others are."""
    by = scaling(split.validation)
    task = dense(split.validation, run.hidden)
    base = dequantise(flatten(task.start(START)))
    for number in range(run.rounds):
        base = step(task, base, split.sites, by, run.fit, seed_of(number))
    return task.state_of(quantise(base))
