"""Differential privacy: accuracy by epsilon against training without noise, what exact noise costs against NumPy's,
what accounting and a reservation take, and how much looser Renyi accounting is.

Accuracy: records no site trains on, mean and range over splits that the hyper-parameters were not chosen on. 10 % of
the records are public and serve for scaling alone, 20 % test, 70 % train; softmax and logistic regression.

Run: python -m benchmarks privacy
"""

from __future__ import annotations

import json
import secrets
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks import median_seconds
from troth.fixed.numbers import ONE
from troth.learn import site
from troth.learn.arrays import flatten
from troth.learn.data import Part, scaling
from troth.learn.dense import Dense
from troth.learn.draws import permutation, seed_of
from troth.learn.privacy import accounting
from troth.learn.privacy.fingerprints import Fingerprints
from troth.learn.privacy.ledger import Budget, PrivacyLedger
from troth.learn.privacy.mechanisms import Mechanism, micro
from troth.learn.privacy.noise import discrete_gaussian
from troth.learn.privacy.training import BOUND, PrivateSteps, chance
from troth.learn.sets import breast_cancer, digits

DELTA = "0.00001"
EPSILONS = ("8", "3", "1", "0.5")
WIDE = 60 * ONE
"""A norm bound on the update that no training here reaches."""
FIRST_SPLIT = 101


@dataclass(frozen=True, slots=True)
class Setting:
    """How one set is trained: private steps, average batch, rate, clip norm; chosen on splits 0 to 2."""

    records: Callable[[], Part]
    steps: int
    batch: int
    rate: float
    norm: float


SETTINGS = {"digits": Setting(digits, 60, 600, 6.0, 0.5), "breast cancer": Setting(breast_cancer, 30, 200, 1.0, 1.0)}


def _split(data: Part, seed: int) -> tuple[Part, Part, Part]:
    order = permutation(seed_of(seed), "privacy", len(data))
    public, test = len(data) // 10, len(data) * 3 // 10
    return data.rows(order[:public]), data.rows(order[public:test]), data.rows(order[test:])


def accuracies(name: str, splits: int) -> dict[str, object]:
    """Percent right on the test part at each epsilon (infinite: without clipping or noise): mean and range."""
    how = SETTINGS[name]
    data = how.records()
    task = Dense(len(data.schema.columns), len(data.schema.classes))
    size = len(flatten(task.zeros()))
    parts = [_split(data, FIRST_SPLIT + seed) for seed in range(splits)]
    found: dict[str, object] = {}
    for epsilon in ("infinite", *EPSILONS):
        scores: list[float] = []
        noise: Mechanism | None = None  # the parts are of one size, so one calibration serves all
        for public, test, part in parts:
            by = scaling(public)
            if epsilon == "infinite":
                update = site.train(task, task.zeros(), part, by, site.Fit(300, 0.5, 0.001, WIDE))
            else:
                planned = PrivateSteps(how.steps, BOUND, chance(how.batch, len(part))).mechanism(size)
                noise = noise or accounting.calibrate(planned, micro(epsilon), DELTA)
                private = PrivateSteps(how.steps, noise.sigma, noise.rate, how.rate, how.norm)
                update = site.train_privately(task, task.zeros(), part, by, private, WIDE)
            scores.append(task.score(update, by.inputs(test)) / 10_000)
        found[epsilon] = {"mean": round(statistics.fmean(scores), 1), "least": round(min(scores), 1),
                          "most": round(max(scores), 1)}
    return found


def _noise(repeats: int) -> dict[str, float]:
    million = 1_000_000
    exact = median_seconds(lambda: discrete_gaussian(BOUND, million), repeats)
    plain = median_seconds(lambda: np.random.default_rng(secrets.randbits(128)).normal(size=million), repeats)
    return {"exact_s_per_million": round(exact, 3), "over_numpy_floats": round(exact / plain, 1)}


def _accounting(repeats: int) -> dict[str, float]:
    accounting.ready()
    steps = [Mechanism(BOUND, int(multiplier * BOUND), 500, chance(64, 1280), 650) for multiplier in (1.1, 1.3, 1.7)]

    def cold(items: list[Mechanism]) -> None:
        accounting._one.cache_clear()
        accounting._several.cache_clear()
        accounting.epsilon(items, DELTA)

    one, three = median_seconds(lambda: cold(steps[:1]), repeats), median_seconds(lambda: cold(steps), repeats)
    ledger, prints = PrivacyLedger(None, b"m"), Fingerprints(bytes(32))
    found = list(prints.of([[index] for index in range(1000)], 0))
    data = ledger.add(prints.of_set(found), found, "records").id
    ledger.set_budget(data, Budget(10**9, DELTA), 0)
    warm = median_seconds(lambda: ledger.reserve(data, steps[0], "round", 0), 3 + repeats)
    sought = median_seconds(lambda: accounting.calibrate(steps[0], micro("2"), DELTA), 1)
    return {"epsilon_of_500_sampled_steps_s": round(one, 2), "of_three_such_s": round(three, 2),
            "one_more_reservation_s": round(warm, 2), "noise_for_an_epsilon_s": round(sought, 1)}


def _renyi() -> dict[str, float]:
    # Imported here: an optional extra.
    from opacus.accountants import RDPAccountant

    ratios = {}
    for multiplier, sampled, steps in ((1.1, 0.05, 500), (2.0, 0.1, 200), (4.0, 0.01, 10_000)):
        peer = RDPAccountant()
        peer.history = [(multiplier, sampled, steps)]
        ours = accounting.epsilon([Mechanism(BOUND, int(multiplier * BOUND), steps, round(sampled * 2**32))], DELTA)
        ratios[f"noise {multiplier}, chance {sampled}, {steps} steps"] = round(ours / 1e6 / peer.get_epsilon(1e-5), 3)
    return ratios


def run(quick: bool = False) -> dict[str, object]:
    """All figures; times are medians."""
    splits = 2 if quick else 10
    return {"accuracy_percent": {name: accuracies(name, splits) for name in SETTINGS},
            "noise": _noise(1 if quick else 5), "accounting": _accounting(1 if quick else 3),
            "epsilon_over_renyi": _renyi()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
