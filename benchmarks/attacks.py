"""Attacks on a round: what each costs in accuracy on records nobody trained on, under each rule, for f of 10 sites.

Softmax regression on handwritten digits, 10 sites, three label skews (Dirichlet 0.1, 0.5, 10), 15 rounds, 5 seeds. The
hostile sites are drawn by the seed, hold their share of the records, and see the honest updates before they answer.
``python -m benchmarks.attacks --write`` writes ``docs/data/attacks.json`` and the tables of
``docs/reference/robustness.md`` (a quarter of an hour on one core).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from troth.fixed.numbers import LIMIT, ONE, IntArray, add, clip_norm, multiply
from troth.learn import attacks, site, trusted
from troth.learn.aggregate import DEFAULT_RULE, MAX_EXAMPLES, Update, aggregate
from troth.learn.arrays import State, flatten
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import Dense
from troth.learn.draws import permutation, seed_of
from troth.learn.round import fault
from troth.learn.sets import Consortium, digits, skewed
from troth.learn.training import dense

ROOT = Path(__file__).parents[1]
DATA = ROOT / "docs" / "data" / "attacks.json"
PAGE = ROOT / "docs" / "reference" / "robustness.md"
SITES, ROUNDS, SKEWS, SEEDS = 10, 15, (0.1, 0.5, 10.0), (1, 2, 3, 4, 5)
FIT = site.Fit()
RULES = (DEFAULT_RULE, "centered_clipping", "median", "trusted_reference", "mean")
TARGETED = "backdoor"


@dataclass(slots=True)
class Play:
    """What hostile sites see in a round, and what they keep from earlier ones."""

    task: Dense
    base: State
    by: Scaling
    parts: list[Part]
    honest: IntArray
    own: list[IntArray]
    clip: int
    draw: np.random.Generator
    name: str
    reference: IntArray | None = None
    kept: dict[str, list[IntArray]] = field(default_factory=dict)

    def train(self, part: Part) -> IntArray:
        """An update trained from these records."""
        return flatten(site.train(self.task, self.base, part, self.by, FIT))

    def rule(self, rows: IntArray) -> IntArray:
        """The round's rule, as the attacker would run it."""
        updates = [Update(f"{index:03d}", 1, self.task.state_of(row)) for index, row in enumerate(rows)]
        return flatten(aggregate(self.name, updates, self.reference))


Forge = Callable[[Play], list[IntArray]]


def _each(one: Callable[[IntArray], IntArray]) -> Forge:
    def forge(play: Play) -> list[IntArray]:
        return [clip_norm(one(play.honest), play.clip)] * len(play.own)
    return forge


def _fitted(attack: Callable[[IntArray, int], IntArray]) -> Forge:
    def forge(play: Play) -> list[IntArray]:
        return [attacks.fitted(attack, play.honest, len(play.own), play.rule, play.clip)] * len(play.own)
    return forge


def _label_flip(play: Play) -> list[IntArray]:
    return [play.train(site.poison(part)) for part in play.parts]


def _sybils(play: Play) -> list[IntArray]:
    """One mind behind all hostile seats: one poisoned update at the bound, each time with other noise."""
    harm = attacks.scaled(play.train(site.poison(play.parts[0])), 10, play.clip)
    return [attacks.noisy(harm, 30, play.draw, play.clip) for _ in play.own]


def _backdoor(play: Play) -> list[IntArray]:
    return [attacks.scaled(play.train(attacks.DIGITS_PATCH.planted(part)), 10, play.clip) for part in play.parts]


def _stale(play: Play) -> list[IntArray]:
    return play.kept.setdefault("first", play.own)


ATTACKS: Mapping[str, Forge] = {
    "none": lambda play: play.own,
    "label flip": _label_flip,
    "sign flip": _each(attacks.sign_flip),
    "ALIE": _each(attacks.alie),
    "IPM": _each(attacks.ipm),
    "ALIE, fitted": _fitted(attacks.alie),
    "IPM, fitted": _fitted(attacks.ipm),
    "NaN": lambda play: [],  # not an integer array: rejected before any rule, as `layout`
    "scaled poison": lambda play: [attacks.scaled(row, 10, play.clip) for row in _label_flip(play)],
    "false counts": lambda play: [attacks.scaled(row, 10, play.clip) for row in _label_flip(play)],
    "Sybils": _sybils,
    "zeros": lambda play: [row * 0 for row in play.own],
    "copies": lambda play: [play.honest[0]] * len(play.own),
    "stale": _stale,
    TARGETED: _backdoor,
}


@dataclass(frozen=True, slots=True)
class Result:
    """A run's accuracy on test records, and how many stamped ones are read as the backdoor's target; in per cent."""

    accuracy: float
    backdoor: float


def play(split: Consortium, seed: int, attack: str, hostile: int, rule: str, bounded: bool = True,
         rounds: int = ROUNDS) -> Result:
    """One run. bounded: whether updates keep the round's norm bound."""
    by, task = scaling(split.validation), dense(split.validation)
    bad = permutation(seed_of(seed), "hostile", len(split.sites))[:hostile] if attack != "none" else ()
    base: State = task.start(seed_of(0))
    clip = FIT.clip if bounded else LIMIT
    here = Play(task, base, by, [split.sites[k] for k in bad], np.zeros((0, 0), np.int64), [], clip,
                np.random.default_rng(seed), rule)
    data = by.inputs(split.validation)
    for _ in range(rounds):
        rows = {k: flatten(site.train(task, base, part, by, FIT)) for k, part in enumerate(split.sites)}
        here.base, here.own = base, [rows[k] for k in bad]
        here.reference = trusted.reference(task, base, data, FIT.clip) if rule == trusted.NAME else None
        here.honest = np.stack([row for k, row in rows.items() if k not in bad])
        examples = {k: len(part) for k, part in enumerate(split.sites)}
        if bad:
            forged = ATTACKS[attack](here)
            rows = {k: row for k, row in rows.items() if k not in bad} | dict(zip(bad, forged, strict=False))
            if attack == "false counts":
                examples |= dict.fromkeys(bad, MAX_EXAMPLES)
        updates = [Update(f"{k:03d}", examples[k], task.state_of(row)) for k, row in rows.items()]
        counted = [update for update in updates if not bounded or fault(update, base, clip) is None]
        moved = add(flatten(base), flatten(aggregate(rule, counted, here.reference)))
        base = task.state_of(np.clip(moved, -task.limit, task.limit))
    stamped = attacks.DIGITS_PATCH.stamped(split.test)
    taken = task.predict(base, by.inputs(stamped)) == attacks.DIGITS_PATCH.target
    return Result(task.score(base, by.inputs(split.test)) / 10_000, 100 * float(taken.mean()))


def cases(quick: bool) -> Iterator[tuple[str, int, str, bool]]:
    """(attack, hostile, rule, bounded) to run: all f for the default, f = 2 for the others."""
    yield "none", 0, "mean", True
    for rule in RULES:
        yield "none", 0, rule, True
    for attack in list(ATTACKS)[1:]:
        for hostile in ((2,) if quick else (1, 2, 3, 4)):
            yield attack, hostile, DEFAULT_RULE, True
        for rule in (() if quick else RULES[1:]):
            yield attack, 2, rule, True
    yield TARGETED, 2, "mean", True
    yield TARGETED, 2, "mean", False


def table(quick: bool = False, log: Callable[[str], None] = lambda _: None) -> dict[str, object]:
    """Every case on every skew: means over the seeds, and what the default loses to plain averaging unattacked."""
    records, found = digits(), []
    seeds, skews = (SEEDS[:1], SKEWS[1:2]) if quick else (SEEDS, SKEWS)
    for alpha in skews:
        splits = {seed: skewed(records, seed, SITES, alpha) for seed in seeds}
        plain = 0.0
        for attack, hostile, rule, bounded in dict.fromkeys(cases(quick)):
            runs = [play(splits[seed], seed, attack, hostile, rule, bounded, 4 if quick else ROUNDS) for seed in seeds]
            accuracy = statistics.fmean(run.accuracy for run in runs)
            if (attack, rule) == ("none", "mean"):
                plain = accuracy
            found.append({"alpha": alpha, "attack": attack, "f": hostile, "rule": rule, "bounded": bounded,
                          "accuracy": round(accuracy, 2), "loss": round(plain - accuracy, 2),
                          "lowest": round(min(run.accuracy for run in runs), 2),
                          "backdoor": round(statistics.fmean(run.backdoor for run in runs), 2)})
            log(f"alpha {alpha}, {attack}, f = {hostile}, {rule}: {accuracy:.2f}")
    return {"sites": SITES, "rounds": ROUNDS, "seeds": list(seeds), "clip": FIT.clip / ONE, "rows": found}


def worst(found: Mapping[str, object], hostile: int = 2) -> dict[str, float]:
    """Per skew, the most points that the default loses to an untargeted attack at ``hostile``."""
    rows = [row for row in found["rows"] if row["f"] == hostile and row["rule"] == DEFAULT_RULE  # type: ignore[attr-defined]
            and row["attack"] not in ("none", TARGETED)]
    return {f"alpha {alpha}": max(row["loss"] for row in rows if row["alpha"] == alpha)
            for alpha in sorted({row["alpha"] for row in rows})}


def run(quick: bool = False) -> dict[str, object]:
    """The default against each attack at f = 2, on the middle skew: points lost to plain averaging without attack."""
    found = table(quick=True) if quick else json.loads(DATA.read_text("utf-8"))
    return {"points_lost_at_f_2": worst(found), "updates_of_1m": _speed(quick)}


def _speed(quick: bool) -> dict[str, float]:
    """Seconds of each rule for ten updates of a million parameters, over NumPy's plain mean of the same integers."""
    rows = np.random.default_rng(0).normal(0, 131, (10, 10_000 if quick else 1_000_000)).astype(np.int64)
    updates = [Update(f"{k}", 1, {"weights": row}) for k, row in enumerate(rows)]
    start = time.perf_counter()
    rows.sum(axis=0)
    plain = time.perf_counter() - start
    found = {}
    for rule in ("mean", "median", "centered_clipping", DEFAULT_RULE):
        start = time.perf_counter()
        aggregate(rule, updates)
        found[f"{rule}_s"] = time.perf_counter() - start
    return found | {"default_over_numpy_sum": found[f"{DEFAULT_RULE}_s"] / plain}
