"""Who earns what over random consortia: honest sites, poisoners, and sites that split, copy, repeat or send nothing.

A consortium: 4 to 7 sites on the breast-cancer records, label skew Dirichlet(alpha) with alpha drawn between 0.5 and
10, 8 rounds, each a deal with its own reward and stakes as small as `Money.check` allows. A seat that is slashed loses
its stake and its seat. Rule and pay are the defaults of open rounds of a dense network: a trusted reference, and worth
times records, where an institution's records are counted once over all its seats (the sponsor's word). Each consortium
is played with everybody honest, with one poisoner, and with one site that cheats in one way, the ways taking turns, on
the same records and draws. Profits are in shares: a site's even share of all rounds' rewards. What pay by worth alone
would have been stands beside it. ``make payouts`` writes ``docs/data/payouts.json`` and the table of
``docs/reference/robustness.md``; the tests play four.

``--records`` asks instead what splitting would earn if a seat were paid by its worth times its records to some power.
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
from troth.learn.aggregate import Update, default_rule
from troth.learn.arrays import State, flatten
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import Consortium, breast_cancer, skewed
from troth.learn.training import dense, seats_of
from troth.learn.worth import Record, pay

DATA = ROOT / "docs" / "data" / "payouts.json"
POWERS = (0.0, 0.5, 2 / 3, 1.0)
"""Of the number of records that a worth is multiplied by: 0 is pay by worth alone, 1 the default."""
RULE = default_rule(Dense.FAMILY)
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


def _late(seen: Seen) -> list[IntArray]:
    now = seen.train(seen.part)
    before, seen.kept["own"] = seen.kept.get("own", now), now
    return [before]


def _others(seen: Seen) -> list[IntArray]:
    before, seen.kept["other"] = seen.kept.get("other"), seen.honest[0]
    return [seen.train(seen.part) if before is None else before]


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
    "sends the last round's update": (1, _late),
    "sends another's of the last round": (1, _others),
    "sends its update 3 times as long": (1, lambda seen: [attacks.scaled(seen.train(seen.part), 3, FIT.clip)]),
}


@dataclass(frozen=True, slots=True)
class Played:
    """Profit of each site in shares by each of POWERS, the cheat's identities together; and which were slashed."""

    by_power: Mapping[float, tuple[float, ...]]
    slashed: frozenset[int]

    @property
    def profits(self) -> tuple[float, ...]:
        """By the default pay."""
        return self.by_power[1.0]


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
    out = set[int]()
    records = tuple(max(1, len(parts[owner]) // owners.count(owner)) for owner in owners)
    weighted = {power: [0] * len(owners) for power in POWERS}
    draw, kept = np.random.default_rng(seed), {}
    for number in range(rounds):
        rows = {k: flatten(site.train(task, base, part, by, FIT)) for k, part in enumerate(parts) if k != bad}
        own = iter(send(Seen(task, base, by, parts[bad], np.stack(list(rows.values())), draw, kept)) if cheat else ())
        sent = [next(own) if owner == bad else rows[owner] for owner in owners]
        updates = tuple(Update(seat, len(parts[owner]), task.state_of(row))
                        for k, (seat, owner, row) in enumerate(zip(seats, owners, sent, strict=True)) if k not in out)
        found = run_round(RoundInput(task, base, seats, updates, validation, seed_of(seed * 100 + number), REWARD,
                                     history, RULE, FIT.clip, records=records))
        for power, sums in weighted.items():
            earned = [0 if seat in found.slashed else round(max(0, value) * records[seat] ** power)
                      for seat, value in enumerate(found.smoothed)]
            for seat, amount in enumerate(found.payments if power == 1 else pay(earned, REWARD)):
                sums[seat] += 0 if seat in out else amount - (stake if seat in found.slashed else 0)
        out |= set(found.slashed)
        base, history = found.params, (*history, found.record)
    share = rounds * REWARD / len(parts)

    def profits(sums: Sequence[int]) -> tuple[float, ...]:
        return tuple(sum(m for m, o in zip(sums, owners, strict=True) if o == k) / share for k in range(len(parts)))

    return Played({power: profits(sums) for power, sums in weighted.items()}, frozenset(owners[seat] for seat in out))


WORTH_ALONE = ", by worth alone"
"""After the name of a figure: what pay by worth alone would have made it."""


def _drawn(seed: int) -> tuple[Consortium, int, float]:
    """A consortium's split, its cheat, its skew."""
    draw = np.random.default_rng(seed)
    count, alpha = int(draw.integers(4, 8)), float(0.5 * 20 ** draw.random())
    return skewed(breast_cancer(), seed, count, alpha), int(draw.integers(count)), alpha


def consortium(seed: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """One random consortium, played three times."""
    split, bad, alpha = _drawn(seed)
    honest = play(split.sites, split.validation, seed, rounds=rounds)
    way = list(IDENTITIES)[seed % len(IDENTITIES)]
    poison = list(POISON)[seed // len(IDENTITIES) % len(POISON)]
    spoilt = play(split.sites, split.validation, seed, (bad, 1, POISON[poison]), rounds)
    cheated = play(split.sites, split.validation, seed, (bad, *IDENTITIES[way]), rounds)
    found: dict[str, Any] = {
        "seed": seed, "sites": len(split.sites), "alpha": round(alpha, 3), "poison": poison,
        "caught": bad in spoilt.slashed, "slashed": bool(honest.slashed),
        "slashed_beside": bool(spoilt.slashed - {bad})}
    for power, after in ((1.0, ""), (0.0, WORTH_ALONE)):
        alone, beside, other = (one.by_power[power] for one in (honest, spoilt, cheated))
        found |= {"poisoner" + after: beside[bad], "honest" + after: statistics.fmean(alone),
                  "lowest" + after: min(alone),
                  "beside" + after: statistics.fmean(p for k, p in enumerate(beside) if k != bad),
                  way + after: other[bad] - alone[bad]}
    return found


SPLITS = ("splits its records over 2 seats", "splits its records over 3 seats", "from 2 seats, 30 % noise on one")


def by_records(seed: int) -> dict[str, float]:
    """One random consortium: what splitting gains, and the least paid honest site, by POWERS."""
    split, bad, _ = _drawn(seed)
    honest = play(split.sites, split.validation, seed)
    found = {f"{power:.2f} least paid": min(honest.by_power[power]) for power in POWERS}
    for way in SPLITS:
        cheated = play(split.sites, split.validation, seed, (bad, *IDENTITIES[way]))
        for power in POWERS:
            found[f"{power:.2f} {way}"] = cheated.by_power[power][bad] - honest.by_power[power][bad]
    return found


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval of the mean (normal)."""
    mean = statistics.fmean(values)
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the consortia say together."""
    found: dict[str, Any] = {"consortia": len(rows)}

    def put(label: str, name: str, some: Sequence[Mapping[str, Any]]) -> None:
        if some:
            found[label] = interval([row[name] for row in some]) | {
                "worth_alone": interval([row[name + WORTH_ALONE] for row in some])}

    for name in ("poisoner", "honest", "lowest", "beside"):
        put(name, name, rows)
    for name in POISON:
        some = [row for row in rows if row["poison"] == name]
        put(f"poisoner, {name}", "poisoner", some)
        if some:
            found[f"poisoner, {name}"]["caught"] = round(statistics.fmean(row["caught"] for row in some), 4)
    for name in ("slashed", "slashed_beside"):
        found[name] = round(statistics.fmean(row[name] for row in rows), 4)
    for name in IDENTITIES:
        put(name, name, [row for row in rows if name in row])
    return found


def page(found: Mapping[str, Any]) -> str:
    """The table in Markdown."""
    lines = [f"{found['consortia']} consortia.", "",
             "| who | by worth and records | by worth alone | slashed |", "|---|---|---|---|"]
    names = {"honest": "an honest site among honest ones",
             "lowest": "the least paid of them", "beside": "an honest site beside a poisoner",
             "poisoner": "a poisoner"}
    for name, value in found.items():
        if isinstance(value, dict):
            caught = {"honest": found["slashed"], "beside": found["slashed_beside"]}.get(name, value.get("caught"))
            label = names.get(name, name) if "poisoner" in name or name in names else f"gains: {name}"
            lines.append(f"| {label} | {_range(value)} | {_range(value['worth_alone'])} | "
                         f"{'' if caught is None else f'{100 * caught:.1f} %'} |")
    return "\n".join(lines)


def _range(value: Mapping[str, float]) -> str:
    return f"{value['mean']:+.3f} ({value['low']:+.3f} … {value['high']:+.3f})"


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
