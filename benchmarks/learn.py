"""What bit-exactness costs: an integer round against plain federated averaging in floats, and sampled Shapley values
against exact ones, in the same run; and a round of 1,000 sites."""

from __future__ import annotations

import json
import math
import statistics
import time
import tracemalloc

import numpy as np

from benchmarks import median_seconds
from troth.fixed.numbers import ONE, FloatArray, dequantise
from troth.learn import site
from troth.learn.aggregate import DEFAULT_RULE, Update, aggregate, default_rule
from troth.learn.arrays import encode, flatten
from troth.learn.data import pooled, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import Consortium, breast_cancer, consortium, digits, divided
from troth.learn.training import Run, dense, seats_of, train
from troth.learn.worth import exact, sampled

LINEAR = Dense(30, 2)


def _round(split: Consortium, repeats: int) -> dict[str, float]:
    """One round of four sites, by its parts, against float averaging of the same updates and its float loss."""
    by, base, plan = scaling(split.validation), LINEAR.zeros(), site.Fit()
    updates = tuple(Update(seat, len(part), site.train(LINEAR, base, part, by, plan))
                    for seat, part in zip(seats_of(len(split.sites)), split.sites, strict=True))
    given = RoundInput(LINEAR, base, seats_of(len(split.sites)), updates, split.validation, seed_of(1), 10**18)
    data = by.inputs(split.validation)
    features, labels = data.features / ONE, data.labels
    rows = np.stack([dequantise(flatten(update.delta)) for update in updates])
    weights = np.array([update.examples for update in updates], dtype=float)

    def float_averaging() -> float:
        vector = weights @ rows / weights.sum()
        found: FloatArray = features @ vector[1:] + vector[0]
        return float(np.logaddexp(0, np.where(labels == 1, -found, found)).mean())

    floats = median_seconds(float_averaging, repeats * 5)
    whole = median_seconds(lambda: run_round(given), repeats)
    rule = median_seconds(lambda: aggregate(DEFAULT_RULE, updates), repeats)
    local = median_seconds(lambda: site.train(LINEAR, base, split.sites[0], by, plan), repeats)
    return {"float_averaging_ms": floats * 1e3, "integer_round_ms": whole * 1e3, "aggregate_ms": rule * 1e3,
            "local_training_ms": local * 1e3, "round_over_float_averaging": whole / floats,
            "round_over_one_sites_training": whole / local}


def _shapley(runs: int) -> dict[str, float]:
    """Ten sites, one of them poisoning, eight rounds: sampled values against exact ones for the same updates.

    The error is the honest sites' largest, over their mean value; within a round, and for the sum over the rounds,
    which is what is paid.
    """
    records, rounds = breast_cancer(), 8
    correlations, errors, sum_errors, evaluations, times = [], [], [], [], []
    for seed in range(1, runs + 1):
        split, bad = consortium(seed, 10, records), seed % 10
        by, base = scaling(split.validation), flatten(LINEAR.zeros())
        data = by.inputs(split.validation)
        truths, guesses = [], []
        for number in range(rounds):
            state = LINEAR.state_of(base)
            deltas = [(site.poisoned if k == bad else site.train)(LINEAR, state, part, by, site.Fit())
                      for k, part in enumerate(split.sites)]
            rows = np.stack([flatten(delta) for delta in deltas])
            start = time.perf_counter()
            truth = exact(LINEAR, base, rows, data)
            middle = time.perf_counter()
            guess = sampled(LINEAR, base, rows, data, seed_of(100 * seed + number))
            times.append((time.perf_counter() - middle) / (middle - start))
            truths.append(truth.values)
            guesses.append(guess.values)
            evaluations.append(guess.evaluations)
            correlations.append(float(np.corrcoef(truth.values, guess.values)[0, 1]))
            errors.append(_error(truths[-1:], guesses[-1:], bad))
            base = base + flatten(aggregate(DEFAULT_RULE, [Update(f"{k:02d}", 1, d) for k, d in enumerate(deltas)]))
        sum_errors.append(_error(truths, guesses, bad))
    return {"correlation_median": statistics.median(correlations), "correlation_worst": min(correlations),
            "largest_error_in_a_round_median": statistics.median(errors),
            "largest_error_of_the_sum_median": statistics.median(sum_errors),
            "evaluations_mean": statistics.fmean(evaluations), "evaluations_exact": 2**10 - 1,
            "evaluations_over_exact": statistics.fmean(evaluations) / (2**10 - 1),
            "time_over_exact_median": statistics.median(times)}


def _error(truths: list[tuple[int, ...]], guesses: list[tuple[int, ...]], bad: int) -> float:
    """The honest sites' largest error of the summed values, over their mean summed value."""
    honest = [k for k in range(len(truths[0])) if k != bad]
    whole, found = ([sum(row[k] for row in table) for k in honest] for table in (truths, guesses))
    return max(abs(a - b) for a, b in zip(whole, found, strict=True)) / statistics.fmean(whole)


def _fidelity(split: Consortium) -> dict[str, float]:
    """How far the integer model is from the same parameters in floats, on the test part."""
    state = train(split, Run())[-1].params
    data = scaling(split.validation).inputs(split.test)
    found = data.features / ONE @ dequantise(state["weights"]) + float(dequantise(state["bias"])[0])
    loss = float(np.logaddexp(0, np.where(data.labels == 1, -found, found)).mean())
    return {"labels_that_differ": int((LINEAR.predict(state, data) != (found > 0)).sum()), "records": len(data.labels),
            "loss_relative_error": abs(LINEAR.loss(state, data) / ONE - loss) / loss, "model_bytes": len(encode(state))}


def _many(count: int) -> dict[str, float]:
    """A round of many sites on digits, each with 20 records drawn anew from the training part, one site in ten on
    turned labels: CPU seconds of all sites' training, and of rule, valuation and pay; how much more memory that takes.
    """
    data = digits()
    split = divided(data, 1, [[1] * 10] * len(data.schema.classes))
    task, by, pool = dense(data, ()), scaling(split.validation), pooled(split.sites)
    draws = np.random.default_rng(1).integers(0, len(pool), (count, 20))
    start = time.process_time()
    updates = tuple(Update(seat, 20, (site.train if k % 10 else site.poisoned)(
        task, task.zeros(), pool.rows(draws[k].tolist()), by, site.Fit())) for k, seat in enumerate(seats_of(count)))
    given = RoundInput(task, task.zeros(), seats_of(count), updates, split.validation, seed_of(1), 10**18,
                       rule=default_rule(task.FAMILY))
    middle = time.process_time()
    found = run_round(given)
    end = time.process_time()
    tracemalloc.start()
    run_round(given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    worth = np.array(found.contributions)
    honest = np.arange(count) % 10 > 0
    return {"sites": count, "parameters": sum(int(np.prod(shape)) for _, shape in task.layout),
            "training_cpu_s": middle - start, "round_cpu_s": end - middle, "coalitions": found.evaluations,
            "more_memory_mb": peak / 2**20,
            "hostile_below_the_median_honest": int((worth[~honest] < np.median(worth[honest])).sum()),
            "hostile": int((~honest).sum())}


def run(quick: bool = False) -> dict[str, object]:
    """All figures; ratios compare within this run."""
    split = consortium(1)
    eight = median_seconds(lambda: train(split, Run(attacks={2: site.poisoned})), 1 if quick else 5)
    found: dict[str, dict[str, float]] = {
        "round_of_4": _round(split, 10 if quick else 100), "shapley_of_10": _shapley(2 if quick else 12),
        "fidelity": _fidelity(split), "many_sites": _many(100 if quick else 1000),
        "training": {"eight_rounds_s": eight, "of_3_s_limit": eight / 3}}
    return {name: {key: value if isinstance(value, int) else float(f"{value:.{4}g}")
                   for key, value in part.items() if math.isfinite(value)} for name, part in found.items()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
