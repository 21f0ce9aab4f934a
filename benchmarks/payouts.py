"""Who earns what over random consortia: honest sites, poisoners, and sites that split, copy or send nothing.

A consortium: 4 to 7 sites on the breast-cancer records, label skew Dirichlet(alpha) with alpha drawn between 0.5 and
10, 8 rounds, each a deal with its own reward and stakes as small as `Money.check` allows. A seat that is slashed loses
its stake and its seat. Each consortium is played with everybody honest, with one poisoner, and with one site that
splits or copies in one way, the ways taking turns, on the same records and draws. Profits are in shares: a site's even
share of all rounds' rewards. ``make payouts`` writes ``docs/data/payouts.json`` and the table of
``docs/reference/robustness.md``; the tests play four.

``--records`` asks instead what splitting would earn if a seat were paid by its worth times its listed records to some
power, where what an institution may list over all its seats is its number of records (an admitter's word).
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.attacks import PAGE, ROOT, within
from troth.fixed.numbers import IntArray
from troth.flows.terms import Money
from troth.learn import attacks, site
from troth.learn.aggregate import DEFAULT_RULE, Update
from troth.learn.arrays import State, flatten
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import breast_cancer, skewed
from troth.learn.training import dense, seats_of
from troth.learn.worth import Record, pay

DATA = ROOT / "docs" / "data" / "payouts.json"
POWERS = (0.5, 2 / 3, 1.0)
REWARD, ROUNDS, FIT = 10**9, 8, site.Fit()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a cheat has when it makes its update."""

    task: Dense
    base: State
    by: Scaling
    part: Part
    honest: IntArray
    draw: np.random.Generator
    kept: dict[str, IntArray]

    def train(self, part: Part) -> IntArray:
        """An update trained from these records."""
        return flatten(site.train(self.task, self.base, part, self.by, FIT))


Cheat = Callable[[Seen], list[IntArray]]
"""The updates that one site's identities send."""


def _copies(count: int, percent: int) -> Cheat:
    def send(seen: Seen) -> list[IntArray]:
        own = seen.train(seen.part)
        return [own, *(attacks.noisy(own, percent, seen.draw, FIT.clip) for _ in range(count - 1))]
    return send


POISON: Mapping[str, Cheat] = {
    "label flip": lambda seen: [seen.train(site.poison(seen.part))],
    "scaled poison": lambda seen: [attacks.scaled(seen.train(site.poison(seen.part)), 10, FIT.clip)],
    "sign flip": lambda seen: [attacks.sign_flip(seen.honest)],
    "IPM": lambda seen: [attacks.scaled(attacks.ipm(seen.honest), 1, FIT.clip)],
}
IDENTITIES: Mapping[str, tuple[int, Cheat]] = {
    "sends its update from 2 seats": (2, _copies(2, 0)),
    "sends its update from 3 seats": (3, _copies(3, 0)),
    "from 2 seats, 30 % noise on one": (2, _copies(2, 30)),
    "from 2 seats, 100 % noise on one": (2, _copies(2, 100)),
    "splits its records over 2 seats": (2, lambda seen: [seen.train(part) for part in attacks.parts_of(seen.part, 2)]),
    "splits its records over 3 seats": (3, lambda seen: [seen.train(part) for part in attacks.parts_of(seen.part, 3)]),
    "sends zeros": (1, lambda seen: [seen.honest[0] * 0]),
    "sends its first update again": (1, lambda seen: [seen.kept.setdefault("first", seen.train(seen.part))]),
}


@dataclass(frozen=True, slots=True)
class Played:
    """Profit of each site in shares, the cheat's identities together, and which sites were slashed.

    by_records: the profits if pay went by worth times listed records to each of POWERS.
    """

    profits: tuple[float, ...]
    slashed: frozenset[int]
    by_records: Mapping[float, tuple[float, ...]]


def play(parts: Sequence[Part], validation: Part, seed: int, cheat: tuple[int, int, Cheat] | None = None,
         rounds: int = ROUNDS) -> Played:
    """One training. cheat: (which site, how many identities, what they send); everybody else is honest."""
    bad, extra, send = cheat or (-1, 1, lambda seen: [])
    owners = [index for index in range(len(parts)) for _ in range(extra if index == bad else 1)]
    seats, by, task = seats_of(len(owners)), scaling(validation), dense(validation)
    stake = 2 * (REWARD // len(owners)) + 2
    Money(REWARD, 10, 10, stake, 3 * REWARD, 10**6, 3 * 10**5, 10**6).check(len(owners), 3)
    base: State = task.start(seed_of(0))
    history: tuple[Record, ...] = ()
    money, out = [0] * len(owners), set()
    records = [len(parts[owner]) / owners.count(owner) for owner in owners]
    weighted = {power: [0] * len(owners) for power in POWERS}
    draw, kept = np.random.default_rng(seed), {}
    for number in range(rounds):
        rows = {k: flatten(site.train(task, base, part, by, FIT)) for k, part in enumerate(parts) if k != bad}
        own = iter(send(Seen(task, base, by, parts[bad], np.stack(list(rows.values())), draw, kept)) if cheat else ())
        sent = [next(own) if owner == bad else rows[owner] for owner in owners]
        updates = tuple(Update(seat, len(parts[owner]), task.state_of(row))
                        for k, (seat, owner, row) in enumerate(zip(seats, owners, sent, strict=True)) if k not in out)
        found = run_round(RoundInput(task, base, seats, updates, validation, seed_of(seed * 100 + number), REWARD,
                                     history, DEFAULT_RULE, FIT.clip))
        for seat in range(len(owners)):
            if seat not in out:
                money[seat] += found.payments[seat] - (stake if seat in found.slashed else 0)
        for power, sums in weighted.items():
            earned = [0 if seat in found.slashed else round(max(0, value) * records[seat] ** power)
                      for seat, value in enumerate(found.smoothed)]
            for seat, amount in enumerate(pay(earned, REWARD)):
                sums[seat] += 0 if seat in out else amount - (stake if seat in found.slashed else 0)
        out |= set(found.slashed)
        base, history = found.params, (*history, found.record)
    share = rounds * REWARD / len(parts)

    def profits(sums: Sequence[int]) -> tuple[float, ...]:
        return tuple(sum(m for m, o in zip(sums, owners, strict=True) if o == k) / share for k in range(len(parts)))

    return Played(profits(money), frozenset(owners[seat] for seat in out),
                  {power: profits(sums) for power, sums in weighted.items()})


def consortium(seed: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """One random consortium, played three times."""
    draw = np.random.default_rng(seed)
    count, alpha = int(draw.integers(4, 8)), float(0.5 * 20 ** draw.random())
    split = skewed(breast_cancer(), seed, count, alpha)
    bad = int(draw.integers(count))
    honest = play(split.sites, split.validation, seed, rounds=rounds)
    way = list(IDENTITIES)[seed % len(IDENTITIES)]
    poison = list(POISON)[seed // len(IDENTITIES) % len(POISON)]
    spoilt = play(split.sites, split.validation, seed, (bad, 1, POISON[poison]), rounds)
    found: dict[str, Any] = {
        "seed": seed, "sites": count, "alpha": round(alpha, 3), "poison": poison, "poisoner": spoilt.profits[bad],
        "caught": bad in spoilt.slashed, "honest": statistics.fmean(honest.profits),
        "lowest": min(honest.profits), "beside": statistics.fmean(p for k, p in enumerate(spoilt.profits) if k != bad),
        "slashed": bool(honest.slashed), "slashed_beside": bool(spoilt.slashed - {bad})}
    identities, send = IDENTITIES[way]
    found[way] = play(split.sites, split.validation, seed, (bad, identities, send), rounds).profits[bad] - (
        honest.profits[bad])
    return found


SPLITS = ("splits its records over 2 seats", "splits its records over 3 seats", "from 2 seats, 30 % noise on one")


def by_records(seed: int) -> dict[str, float]:
    """One random consortium: what splitting gains, and the least paid honest site, by POWERS; 0 is as it is."""
    draw = np.random.default_rng(seed)
    count, alpha = int(draw.integers(4, 8)), float(0.5 * 20 ** draw.random())
    split = skewed(breast_cancer(), seed, count, alpha)
    bad = int(draw.integers(count))
    honest, found = play(split.sites, split.validation, seed), dict[str, float]()
    for power in (0, *POWERS):
        mine = honest.by_records[power] if power else honest.profits
        found[f"{power:.2f} least paid"] = min(mine)
    for way in SPLITS:
        identities, send = IDENTITIES[way]
        cheated = play(split.sites, split.validation, seed, (bad, identities, send))
        for power in (0, *POWERS):
            before, after = ((one.by_records[power] if power else one.profits)[bad] for one in (honest, cheated))
            found[f"{power:.2f} {way}"] = after - before
    return found


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval of the mean (normal)."""
    mean = statistics.fmean(values)
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the consortia say together."""
    found: dict[str, Any] = {"consortia": len(rows)}
    for name in ("poisoner", "honest", "lowest", "beside"):
        found[name] = interval([row[name] for row in rows])
    for name in POISON:
        some = [row for row in rows if row["poison"] == name]
        if some:
            found[f"poisoner, {name}"] = interval([row["poisoner"] for row in some]) | {
                "caught": round(statistics.fmean(row["caught"] for row in some), 4)}
    for name in ("slashed", "slashed_beside"):
        found[name] = round(statistics.fmean(row[name] for row in rows), 4)
    for name in IDENTITIES:
        gains = [row[name] for row in rows if name in row]
        if gains:
            found[name] = interval(gains)
    return found


def page(found: Mapping[str, Any]) -> str:
    """The table in Markdown."""
    lines = ["| who | in shares: mean | 95 % interval | slashed |", "|---|---|---|---|"]
    names = {"honest": "an honest site among honest ones",
             "lowest": "the least paid of them", "beside": "an honest site beside a poisoner",
             "poisoner": "a poisoner"}
    for name, value in found.items():
        if isinstance(value, dict):
            caught = {"honest": found["slashed"], "beside": found["slashed_beside"]}.get(name, value.get("caught"))
            label = names.get(name, name) if "poisoner" in name or name in names else f"gains: {name}"
            lines.append(f"| {label} | {value['mean']:+.3f} | {value['low']:+.3f} … {value['high']:+.3f} | "
                         f"{'' if caught is None else f'{100 * caught:.1f} %'} |")
    return "\n".join(lines)


def run(quick: bool = False) -> dict[str, object]:
    """The stored summary of 500 consortia, or of four played now."""
    return summary([consortium(seed) for seed in range(1, 5)]) if quick else json.loads(DATA.read_text("utf-8"))


def main() -> int:
    """Play, write, show progress on stderr."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.payouts", description=__doc__)
    parser.add_argument("--consortia", type=int, default=500)
    parser.add_argument("--print", action="store_true", help="print instead of writing")
    parser.add_argument("--records", action="store_true", help="print what pay by listed records would change")
    asked = parser.parse_args()
    if asked.records:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            some = list(pool.imap(by_records, range(1, asked.consortia + 1)))
        print(json.dumps({name: interval([row[name] for row in some]) for name in some[0]}, indent=1))
        return 0
    rows = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for row in pool.imap(consortium, range(1, asked.consortia + 1)):
            rows.append(row)
            print(f"\r{len(rows)}/{asked.consortia}", end="", file=sys.stderr, flush=True)
            if not asked.print:  # what is there is kept, should the run be stopped
                DATA.write_text(json.dumps(summary(rows), indent=1) + "\n", "utf-8")
    if asked.print:
        print(json.dumps(summary(rows), indent=1))
    else:
        PAGE.write_text(within(PAGE.read_text("utf-8"), "payouts", page(summary(rows))), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
