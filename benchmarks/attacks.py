"""Attacks on a round: what each costs in accuracy on records nobody trained on, under each rule, for f of 10 sites.

Softmax regression on handwritten digits, 10 sites, three label skews (Dirichlet 0.1, 0.5, 10), 15 rounds, 5 seeds. The
hostile sites are drawn by the seed, hold their share of the records, and see the honest updates before they answer.
``make attacks`` writes ``docs/data/attacks.json`` and the tables of ``docs/reference/robustness.md`` (about half an
hour on two cores).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from troth.fixed.numbers import LIMIT, ONE, IntArray, add, clip_norm
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
RULES = (trusted.NAME, DEFAULT_RULE, "nnm+trimmed_mean", "median", "mean")
"""The default of dense networks, the default elsewhere, and the others."""
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
        counted = [update for update in updates if not bounded or fault(update, task.layout, clip) is None]
        moved = add(flatten(base), flatten(aggregate(rule, counted, here.reference)))
        base = task.state_of(np.clip(moved, -task.limit, task.limit))
    stamped = attacks.DIGITS_PATCH.stamped(split.test)
    taken = task.predict(base, by.inputs(stamped)) == attacks.DIGITS_PATCH.target
    return Result(task.score(base, by.inputs(split.test)) / 10_000, 100 * float(taken.mean()))


Case = tuple[float, str, int, str, bool]


def cases() -> Iterator[Case]:
    """(alpha, attack, hostile, rule, bounded), what is promised first."""
    hostile = list(ATTACKS)[1:]
    for alpha in SKEWS:
        yield alpha, "none", 0, "mean", True
        yield alpha, "NaN", 2, "mean", True
        yield alpha, TARGETED, 2, "mean", False
        for rule in RULES[:2]:
            for attack in ATTACKS:
                yield alpha, attack, 2 if attack != "none" else 0, rule, True
    for rule in RULES[:2]:
        for alpha in SKEWS:
            for f in (1, 3, 4):
                yield alpha, "NaN", f, "mean", True
                for attack in hostile:
                    yield alpha, attack, f, rule, True
    for alpha in SKEWS:
        for rule in RULES[2:]:
            for attack in ATTACKS:
                yield alpha, attack, 2 if attack != "none" else 0, rule, True


def case(given: Case, rounds: int = ROUNDS) -> dict[str, object]:
    """A row of the table: means over the seeds."""
    alpha, attack, hostile, rule, bounded = given
    runs = [play(skewed(digits(), seed, SITES, alpha), seed, attack, hostile, rule, bounded, rounds)
            for seed in SEEDS]
    return {"alpha": alpha, "attack": attack, "f": hostile, "rule": rule, "bounded": bounded, "seeds": len(SEEDS),
            "accuracies": [round(run.accuracy, 2) for run in runs],
            "backdoor": round(statistics.fmean(run.backdoor for run in runs), 2)}


def table(log: Callable[[str], None], keep: Callable[[dict[str, object]], None],
          rows: Sequence[dict[str, Any]] = ()) -> None:
    """Every case that is not among ``rows``, on two processes; ``keep`` is given what is there, again and again."""
    rows = list(rows)
    there = {(row["alpha"], row["attack"], row["f"], row["rule"], row["bounded"]) for row in rows}
    wanted = [one for one in dict.fromkeys(cases()) if one not in there]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for done, row in enumerate(pool.imap(case, wanted), start=1):
            rows.append(row)
            log(f"[{done}/{len(wanted)}] {row}")
            keep({"sites": SITES, "rounds": ROUNDS, "clip": FIT.clip / ONE, "rows": losses(rows)})


def losses(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the points lost to plain averaging without attack, on the same seeds: of all ten sites, and of the
    honest ones alone (what is left when the hostile sites' records are simply not there)."""
    plain = {row["alpha"]: row["accuracies"] for row in rows if (row["attack"], row["rule"]) == ("none", "mean")}
    rest = {(row["alpha"], row["f"]): row["accuracies"] for row in rows
            if (row["attack"], row["rule"]) == ("NaN", "mean")}
    for row in rows:
        own = row["accuracies"]
        alone = rest.get((row["alpha"], row["f"]), plain[row["alpha"]] if not row["f"] else [])
        for name, other in (("loss", plain[row["alpha"]]), ("loss_to_rest", alone)):
            gaps = [a - b for a, b in zip(other, own, strict=False)]
            row[name] = round(statistics.fmean(gaps), 2) if gaps else None
        row["accuracy"] = round(statistics.fmean(own), 2)
    return rows


def worst(rows: list[dict[str, Any]], rule: str, column: str, hostile: int = 2) -> dict[str, float]:
    """Per skew, the most points that a rule loses to an untargeted attack at ``hostile``."""
    chosen = [row for row in rows if row["f"] == hostile and row["rule"] == rule and row["attack"] != TARGETED]
    return {f"alpha {alpha}": max(row[column] for row in chosen if row["alpha"] == alpha)
            for alpha in sorted({row["alpha"] for row in chosen})}


def run(quick: bool = False) -> dict[str, object]:
    """Points that rules lose at f = 2, from the stored table (``make attacks`` writes it), and the rules' speed."""
    rows = json.loads(DATA.read_text("utf-8"))["rows"]
    return {"points_lost_at_f_2": {rule: worst(rows, rule, "loss") for rule in RULES[:2]},
            "updates_of_1m": _speed(quick)}


def _speed(quick: bool) -> dict[str, float]:
    """Seconds of each rule for ten updates of a million parameters, over NumPy's plain mean of the same integers."""
    rows = np.random.default_rng(0).normal(0, 131, (10, 10_000 if quick else 1_000_000)).astype(np.int64)
    updates = [Update(f"{k}", 1, {"weights": row}) for k, row in enumerate(rows)]
    start = time.perf_counter()
    rows.sum(axis=0)
    plain = time.perf_counter() - start
    found = {}
    for rule in ("mean", "median", DEFAULT_RULE):
        start = time.perf_counter()
        aggregate(rule, updates)
        found[f"{rule}_s"] = time.perf_counter() - start
    return found | {"clipping_over_numpy_sum": found[f"{DEFAULT_RULE}_s"] / plain}


def page(found: dict[str, Any]) -> str:
    """The tables in Markdown; a case that was not run is an empty cell."""
    rows = {(row["alpha"], row["attack"], row["f"], row["rule"], row["bounded"]): row for row in found["rows"]}

    def cell(key: tuple[float, str, int, str, bool], form: str) -> str:
        return form.format(**rows[key]) if key in rows else ""

    def lines(head: list[str], body: list[list[str]]) -> list[str]:
        return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body) if any(row[1:])] + [""]

    both = RULES[:2]
    main = [[attack, *(cell((alpha, attack, 2 if attack != "none" else 0, rule, True), "{accuracy:.1f} ({loss:+.1f})")
                       for alpha in SKEWS for rule in both)] for attack in ATTACKS]
    shapes = [(rule, [[attack, *(cell((alpha, attack, f, rule, True), "{accuracy:.1f}")
                                 for alpha in SKEWS for f in (1, 2, 3, 4))] for attack in list(ATTACKS)[1:]])
              for rule in both]
    other = [[attack, *(cell((alpha, attack, 2 if attack != "none" else 0, rule, True), "{accuracy:.1f}")
                        for alpha in SKEWS for rule in RULES[2:])] for attack in ATTACKS]
    door = [[f"{rule}{'' if bounded else ', no norm bound'}",
             *(cell((alpha, TARGETED, 2, rule, bounded), "{backdoor:.0f} %") for alpha in SKEWS)]
            for rule, bounded in (("mean", False), *((rule, True) for rule in RULES))]
    return "\n".join([
        *lines(["f = 2 of 10", *(f"{rule}, {alpha:g}" for alpha in SKEWS for rule in both)], main),
        *(line for rule, shape in shapes
          for line in lines([rule, *(f"{alpha:g}, f = {f}" for alpha in SKEWS for f in (1, 2, 3, 4))], shape)),
        *(lines(["other rules, f = 2", *(f"{rule}, {alpha:g}" for alpha in SKEWS for rule in RULES[2:])], other)
          if sum(map(any, (row[1:] for row in other))) > 2 else []),
        *lines(["backdoor, f = 2: success", *(f"{alpha:g}" for alpha in SKEWS)],
               [row for row in door if any(row[1:])])]).rstrip()


def within(text: str, name: str, body: str) -> str:
    """``text`` with what stands between a page's markers of this name replaced."""
    start, end = f"<!-- {name} -->\n", f"\n<!-- end {name} -->"
    before, after = text.index(start) + len(start), text.index(end)
    return text[:before] + body + text[after:]


def main() -> int:
    """Write the table; progress goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the page again from the stored figures")
    parser.add_argument("--missing", action="store_true", help="play only the cases that the stored figures lack")
    given = parser.parse_args()
    if not given.page:
        table(lambda line: print(line, file=sys.stderr, flush=True),
              lambda found: DATA.write_text(json.dumps(found, indent=1) + "\n", "utf-8") and None,
              json.loads(DATA.read_text("utf-8"))["rows"] if given.missing else ())
    stored = json.loads(DATA.read_text("utf-8"))
    PAGE.write_text(within(PAGE.read_text("utf-8"), "attacks", page(stored)), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
