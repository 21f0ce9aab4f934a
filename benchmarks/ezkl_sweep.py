"""``python -m benchmarks.ezkl_sweep [--models NAME…] [--seconds S]``: the settings of ezkl that prove quickest, into
docs/data/ezkl.json.

What a user of ezkl can choose: the binary places of its numbers (calibration takes one for inputs and parameters), the
base and the number of legs that it takes numbers apart by, columns, and a few switches; rows, lookup range and
multiplier are its calibration's choice. The rule, a model:

1. scales: each is compiled and its labels of the first unseen records counted; those that miss more than may be missed
   of all are out, then from below those that do on all of them. Kept: the lowest, for a small model the two lowest, and
   the middle one of ezkl's (7);
2. screen: every base, legs and columns at these, compiled only. A proof's time goes with rows times columns (rows:
   the power of two that the circuit takes), so settings are ranked by that, fewer actual rows first;
3. proofs, from the top of the ranking: a setting that keeps the labels of *all* unseen records as often as our
   quantiser must is proven, until as many as the model's ``Plan`` says are, of those alike in rows (as a power of two),
   columns and multiplier one only. The quickest is tried again with each switch, then for each way to bind, with the
   next best one where the plan says so.

Each model has so many seconds; what they do not suffice for is left out, and the data file says ``stopped``. What was
looked at is kept in build/ezkl-sweep.jsonl, so that a sweep that was stopped, or is given more time, goes on. One
proof a setting: its processor seconds scatter by a tenth. `benchmarks.proofs` measures the best ones again, in turn
with ours.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.__main__ import machine
from benchmarks.proofs import FOUND, HASHED_MOST, PEER_MODES, ROOT, Case, models, peer

BASES, FEWER_BASES = (16, 32, 64, 128, 256, 512, 1024, 4096), (16, 64, 256, 1024)
START = {"decomp_base": 1024, "decomp_legs": 4, "num_inner_cols": 2}
MIDDLE_SCALE = 7
SWITCHES: tuple[dict[str, Any], ...] = (
    {"rebase_frac_zero_constants": True}, {"disable_freivalds": True}, {"bounded_log_lookup": True},
    {"check_mode": "safe"}, {"target": "accuracy"})
FIRST = 40
"""Unseen records that a scale is looked at on."""
LOOKS = 8
"""Settings that may fail on the records before the ranking is given up."""
KEPT = ROOT / "build" / "ezkl-sweep.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of the grid is tried. proofs: with a public input. bound: settings proven for each way to bind. seconds:
    what the model may take on a quiet core."""

    seconds: float
    scales: Sequence[int]
    lowest: int
    bases: Sequence[int]
    legs: Sequence[int]
    columns: Sequence[int]
    proofs: int
    switches: int
    bound: int


PLANS = {
    "logistic regression": Plan(200, range(9), 2, BASES, (2, 3, 4), (1, 2, 4), 4, 5, 2),
    "mlp 30-64-32-2": Plan(300, (2, 3, 4, 5, 7), 1, FEWER_BASES, (2, 3), (1, 2, 4), 3, 2, 1),
    "tree depth 4": Plan(200, (1, 2, 3, 4, 5, 6, 7), 1, FEWER_BASES, (2, 3), (1, 2, 4), 4, 2, 1),
    "boosted trees 20 x 3": Plan(300, (4, 5, 6), 1, (256, 1024), (2, 3), (1, 2), 1, 0, 1),
    "cnn on digits": Plan(480, (3, 4, 5), 1, (64, 1024), (2, 3), (1, 2), 1, 0, 1)}
"""25 minutes together."""


class Spent(Exception):
    """The model's seconds are over."""


class Sweep:
    """One model's."""

    def __init__(self, name: str, case: Case, seconds: float) -> None:
        self.name, self.case, self.plan = name, case, PLANS[name]
        self._end = time.monotonic() + seconds
        self.found: dict[str, Any] = {"scales": [], "compiled": {}, "proven": []}
        lines = KEPT.read_text("utf-8").splitlines() if KEPT.exists() else []
        self._kept = {key: one for key, one in map(json.loads, lines)}
        self._parameters = case.ours().program.weights

    def run(self) -> dict[str, Any]:
        """Everything that was tried, and the quickest by mode and way to bind."""
        start = time.monotonic()
        try:
            self._steps()
        except Spent:
            self.found["stopped"] = True
        return self.found | {"seconds": round(time.monotonic() - start), "best": self._best()}

    def _steps(self) -> None:
        plan = self.plan
        looked = self._looks([{"input_scale": s, "param_scale": s} | START for s in plan.scales], FIRST)
        self.found["scales"] = looked
        lowest: list[int] = []
        for one in looked:
            if len(lowest) < plan.lowest and one.get("eligible"):
                whole = self._looks([one["settings"]], len(self.case.unseen))[0]
                self.found["scales"].append(whole)
                lowest += [whole["settings"]["input_scale"]] if whole.get("eligible") else []
        middle = {one["settings"]["input_scale"] for one in looked if one.get("eligible")} & {MIDDLE_SCALE}
        scales = sorted({*lowest, *middle})
        print(f"  {self.name}: scales {scales} of {[*plan.scales]}", file=sys.stderr, flush=True)
        grid = [{"input_scale": s, "param_scale": s, "decomp_base": base, "decomp_legs": legs, "num_inner_cols": count}
                for s in scales for count, base, legs in product(plan.columns, plan.bases, plan.legs)]
        compiled = self._looks(grid, 0, (self._end - time.monotonic()) / 3)   # the rest is for proofs
        self.found["compiled_of"] = [len(compiled), len(grid)]
        held = sorted((one for one in compiled if "failed" not in one), key=_rank)
        self.found["compiled"] = _short(held)
        self._promising(held)
        proven = self._proven("public input", "public")
        for switch in SWITCHES[:plan.switches]:
            self._try(proven[0]["settings"] | switch, "public input", "public")
        self._bound()

    def _promising(self, held: list[dict[str, Any]]) -> None:
        seen: set[tuple[int, int, int]] = set()
        wanted, looks = self.plan.proofs, LOOKS
        for one in held:
            like = one["logrows"], one["multiplier"], one["settings"]["num_inner_cols"]
            if like in seen or wanted <= 0 or looks <= 0:
                continue
            tried = self._try(one["settings"], "public input", "public")
            if "prove_seconds" in tried:
                wanted -= 1
                seen.add(like)
            else:
                looks -= 1

    def _bound(self) -> None:
        """Each way to bind, at the settings that were quickest with a public input."""
        best = [one["settings"] for one in self._proven("public input", "public")][:self.plan.bound]
        for mode, ways in list(PEER_MODES.items())[1:]:
            for way in sorted(ways, reverse=True):   # hashes are the dearer ones
                if ways[way] == ("hashed", "hashed") and self._parameters > HASHED_MOST:
                    continue
                for settings in best:
                    self._try(settings, mode, way)

    # ---- one setting ----

    def _try(self, settings: dict[str, Any], mode: str, way: str) -> dict[str, Any]:
        """Look at a setting on all unseen records, prove it where it keeps their labels, and note both."""
        looked = self._looks([settings], len(self.case.unseen))[0]
        entry = {"settings": settings, "mode": mode, "visibility": way} | {
            part: looked[part] for part in ("agreed", "of", "refused", "failed") if part in looked}
        if looked.get("eligible"):
            entry |= self._asked("prove", [settings], count=0, mode=mode, way=way)[0]
        if entry not in self.found["proven"]:
            self.found["proven"].append(entry)
            print(f"    {json.dumps(entry)}", file=sys.stderr, flush=True)
        return entry

    def _looks(self, settings: list[dict[str, Any]], count: int, seconds: float | None = None) -> list[dict[str, Any]]:
        return self._asked("look", settings, count, seconds)

    def _asked(self, verb: str, settings: list[dict[str, Any]], count: int, seconds: float | None = None,
               mode: str = "public input", way: str = "public") -> list[dict[str, Any]]:
        """What ezkl says of each, kept. seconds: for all of them; what is not reached is left out. Raises Spent where
        the model's own seconds are over, before or on the way."""
        keys = [json.dumps([self.name, verb, one, mode, way, count], sort_keys=True) for one in settings]
        end = self._end if seconds is None else time.monotonic() + seconds
        open_ = [(key, one) for key, one in zip(keys, settings, strict=True) if key not in self._kept]
        while open_ and time.monotonic() < end:
            said = peer(verb, self.case, [one for _, one in open_], PEER_MODES[mode][way], end - time.monotonic(),
                        count)
            if not said and time.monotonic() < end:
                said = [{"failed": "out of memory"}]   # the first of them ended the process
            for (key, _), one in zip(open_, said, strict=False):
                self._keep(key, {part: value for part, value in one.items()
                                 if part not in ("settings", "solidity", "call")})
            open_ = open_[len(said):]
        if open_ and seconds is None:
            raise Spent
        return [{"settings": one} | self._kept[key] for key, one in zip(keys, settings, strict=True)
                if key in self._kept]

    def _keep(self, key: str, said: dict[str, Any]) -> None:
        self._kept[key] = said
        KEPT.parent.mkdir(exist_ok=True)
        with KEPT.open("a", encoding="utf-8") as out:
            out.write(json.dumps([key, said]) + "\n")

    # ---- what was found ----

    def _proven(self, mode: str, way: str) -> list[dict[str, Any]]:
        """The quickest first. Raises Spent where there is none."""
        held = [one for one in self.found["proven"] if (one["mode"], one["visibility"]) == (mode, way)
                and "prove_seconds" in one]
        if not held:
            raise Spent
        return sorted(held, key=lambda one: float(one["prove_seconds"]))

    def _best(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for mode, ways in PEER_MODES.items():
            for way in ways:
                try:
                    found.setdefault(mode, {})[way] = self._proven(mode, way)[0]["settings"]
                except Spent:
                    continue
        return {mode: ways for mode, ways in found.items() if ways}


def _rank(one: dict[str, Any]) -> tuple[int, int]:
    return (1 << one["logrows"]) * one["settings"]["num_inner_cols"], one["num_rows"]


def _short(compiled: list[dict[str, Any]]) -> dict[str, Any]:
    """How many settings there were for each binary logarithm of rows, by columns."""
    found: dict[str, dict[str, int]] = {}
    for one in compiled:
        held = found.setdefault(f"{one['settings']['num_inner_cols']} columns", {})
        held[str(one["logrows"])] = held.get(str(one["logrows"]), 0) + 1
    return found


def main() -> None:
    """Each model that was asked for, written as it is done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ezkl_sweep")
    parser.add_argument("--models", nargs="*", choices=PLANS, default=list(PLANS), metavar="NAME",
                        help=", ".join(PLANS))
    parser.add_argument("--seconds", type=float, help="for each model, instead of its plan's")
    asked = parser.parse_args()
    for name, case in models(False):
        if name not in asked.models:
            continue
        made = Sweep(name, case, asked.seconds or PLANS[name].seconds).run()
        found = json.loads(FOUND.read_text("utf-8")) if FOUND.exists() else {"models": {}, "best": {}}
        found["best"][name] = made.pop("best")
        found["models"][name] = made
        found |= {"machine": machine(), "measured_at": int(time.time()), "ezkl": "23.0.5"}
        FOUND.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(f"  {name}: {made['seconds']} s{', stopped' if made.get('stopped') else ''}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
