"""``python -m benchmarks.ezkl_sweep [MODEL…]``: the settings of ezkl that prove quickest, into docs/data/ezkl.json.

What a user of ezkl can choose: the binary places of its numbers (``SCALES``; calibration takes one for inputs and
parameters), the base and the number of legs that it takes numbers apart by, columns, and a few switches; rows, lookup
range and multiplier are its calibration's choice. Three steps a model:

1. every scale, on the unseen records: a scale whose labels miss more than our quantiser allows itself is out;
2. every base, legs and columns at the two lowest scales that are left and the default: compiled, for its rows;
3. of each number of columns the settings of the fewest rows that keep the labels, proven; the quickest again with each
   switch; then, for each way to bind, those that were quickest.

One proof a setting: its processor seconds scatter by a tenth. `benchmarks.proofs` measures the best ones again. What
was proven is kept in build/ezkl-sweep.jsonl, so that a sweep that was stopped goes on.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import product
from typing import Any

from benchmarks.__main__ import machine
from benchmarks.proofs import FOUND, HASHED_MOST, PEER_MODES, ROOT, Case, models, peer

SCALES = range(13)
BASES = (16, 32, 64, 128, 256, 512, 1024, 4096)
LEGS = (2, 3, 4)
COLUMNS = (1, 2, 4, 8)
FEWER: dict[str, tuple[int, ...]] = {"scales": (2, 3, 4, 5, 6, 7, 8, 10), "bases": (64, 256, 1024, 4096),
                                    "legs": (2, 3), "columns": (1, 2, 4)}
"""Of these for networks and boosted trees, of which each setting takes seconds to compile and to check."""
START = {"decomp_base": 1024, "decomp_legs": 4, "num_inner_cols": 2}
DEFAULT_SCALE = 7
SWITCHES: tuple[dict[str, Any], ...] = (
    {"check_mode": "safe"}, {"disable_freivalds": True}, {"bounded_log_lookup": True},
    {"rebase_frac_zero_constants": True}, {"target": "accuracy"})
LOOKING = 3000.0
"""Seconds for one step of compiling."""
LOOKS = 6
"""Settings of one number of columns that are checked on the records."""
KEPT = ROOT / "build" / "ezkl-sweep.jsonl"


class Sweep:
    """One model's."""

    def __init__(self, name: str, case: Case) -> None:
        self.name, self.case, self.tried = name, case, list[dict[str, Any]]()
        lines = KEPT.read_text("utf-8").splitlines() if KEPT.exists() else []
        self._kept = [one for one in map(json.loads, lines) if one["model"] == name]

    def run(self) -> dict[str, Any]:
        """Everything that was tried, and the quickest by mode."""
        public = PEER_MODES["public input"]["public"]
        small = self.case.ours().program.weights <= HASHED_MOST
        choice = {"scales": (*SCALES,), "bases": BASES, "legs": LEGS, "columns": COLUMNS} if small else FEWER
        every = [{"input_scale": s, "param_scale": s} | START for s in choice["scales"]]
        scales = peer("look", self.case, every, public, LOOKING)
        eligible = [one["settings"]["input_scale"] for one in scales if one.get("eligible")]
        print(f"  {self.name}: scales {eligible} of {choice['scales']}", file=sys.stderr, flush=True)
        grid = [{"input_scale": s, "param_scale": s, "decomp_base": base, "decomp_legs": legs,
                 "num_inner_cols": columns, "count": False}
                for s in sorted({*eligible[:2 if small else 1], *({DEFAULT_SCALE} & set(eligible))})
                for base, legs, columns in product(choice["bases"], choice["legs"], choice["columns"])]
        compiled = [one for one in peer("look", self.case, grid, public, LOOKING) if "failed" not in one]
        large = min(one["logrows"] for one in compiled) > 13
        for columns in choice["columns"]:
            held = [one for one in compiled if one["settings"]["num_inner_cols"] == columns]
            held.sort(key=lambda one: (one["logrows"], one["num_rows"], one["settings"]["input_scale"]))
            self._promising(held, 2 if small else 1)
        best = _quickest(self.tried)["settings"]
        for switch in SWITCHES if small else () if large else SWITCHES[1:3]:
            self._try(best | switch, "public input", "public")
        self._bound(2 if small else 0 if large else 1)
        return {"scales": scales, "compiled": _short(compiled), "proven": self.tried, "best": self._best()}

    def _promising(self, held: list[dict[str, Any]], wanted: int) -> None:
        """Settings that keep the labels and differ in rows, until so many of them were proven."""
        seen: set[tuple[int, int]] = set()
        for one in held:
            rows = one["logrows"], one["num_rows"]
            if rows in seen or len(seen) >= LOOKS or wanted <= 0:
                continue
            seen.add(rows)
            wanted -= "prove_seconds" in self._try(one["settings"], "public input", "public")

    def _bound(self, most: int) -> None:
        """Each way to bind, at the settings that were quickest with a public input, of different columns."""
        ranked = sorted((one for one in self.tried if "prove_seconds" in one), key=lambda one: one["prove_seconds"])
        columns = {one["settings"]["num_inner_cols"]: one for one in reversed(ranked)}
        again = [*ranked[:1], *(one for one in columns.values() if one is not ranked[0])][:most + 1]
        for mode, ways in list(PEER_MODES.items())[1:]:
            for way, visibility in ways.items():
                if visibility == ("hashed", "hashed") and self.case.ours().program.weights > HASHED_MOST:
                    continue
                for one in again:
                    self._try(one["settings"], mode, way)

    def _try(self, settings: dict[str, Any], mode: str, way: str) -> dict[str, Any]:
        """Check a setting on the unseen records, prove it where it keeps them, and note both."""
        settings = {name: value for name, value in settings.items() if name != "count"}
        visibility = PEER_MODES[mode][way]
        entry: dict[str, Any] = {"settings": settings, "mode": mode, "visibility": way}
        known = [one for one in (*self.tried, *self._kept) if one["settings"] == settings]
        done = next((one for one in known if (one["mode"], one["visibility"]) == (mode, way)), None)
        if done is None:
            looked = next((one for one in known if "agreed" in one), None) or next(iter(
                peer("look", self.case, [settings], PEER_MODES["public input"]["public"])), {"failed": "no answer"})
            entry |= {part: looked[part] for part in ("agreed", "of", "refused", "failed") if part in looked}
            if looked.get("eligible") or looked.get("prove_seconds"):
                proof = next(iter(peer("prove", self.case, [settings], visibility)),
                             {"failed": "out of time or memory"})
                entry |= {part: value for part, value in proof.items() if part not in ("settings", "solidity", "call")}
            done = entry
            with KEPT.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"model": self.name} | entry) + "\n")
            print(f"    {json.dumps(entry)}", file=sys.stderr, flush=True)
        done = {part: value for part, value in done.items() if part != "model"}
        if done not in self.tried:
            self.tried.append(done)
        return done

    def _best(self) -> dict[str, Any]:
        found = {}
        for mode in PEER_MODES:
            proven = [one for one in self.tried if one["mode"] == mode and "prove_seconds" in one]
            if proven:
                found[mode] = {part: _quickest(proven)[part] for part in ("settings", "visibility")}
        return found


def _quickest(tried: list[dict[str, Any]]) -> dict[str, Any]:
    return min((one for one in tried if "prove_seconds" in one), key=lambda one: one["prove_seconds"])


def _short(compiled: list[dict[str, Any]]) -> dict[str, Any]:
    """How many settings there were for each binary logarithm of rows, by columns."""
    found: dict[str, dict[str, int]] = {}
    for one in compiled:
        held = found.setdefault(f"{one['settings']['num_inner_cols']} columns", {})
        held[str(one["logrows"])] = held.get(str(one["logrows"]), 0) + 1
    return found


def main(names: list[str]) -> None:
    """Each model that was asked for, written as it is done."""
    for name, case in models(False):
        if names and name not in names:
            continue
        made = Sweep(name, case).run()
        found = json.loads(FOUND.read_text("utf-8")) if FOUND.exists() else {"models": {}, "best": {}}
        found["best"][name] = made.pop("best")
        found["models"][name] = made
        found |= {"machine": machine(), "measured_at": int(time.time()), "ezkl": "23.0.5"}
        FOUND.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
