"""``python -m benchmarks [--quick] [NAME…] [--json FILE]``: run benchmarks, print their figures, keep them as JSON.

A benchmark is a module here with ``run(quick)``. Figures that the project promised something about stand in ``GOALS``;
every other one is printed without a judgement. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

#: (benchmark, figure) -> (at least?, goal). A figure is its path of names in what ``run`` returns.
GOALS: Mapping[tuple[str, str], tuple[bool, float]] = {
    ("answers", "proof / checked"): (False, 260_000),
    ("attest", "batched claim"): (False, 6),
    ("bundle", "ratios / verify to goal of 40,000 claims/s"): (True, 1),
    ("chain", "tx_per_cpu_second / file / *"): (True, 400),
    ("chain", "tx_ratio / *"): (True, 2),
    ("chain", "logs_at_goal"): (True, 100),
    ("cli", "help_to_limit"): (False, 1),
    ("demo", "wall_to_limit"): (False, 1),
    ("demo", "memory_to_limit"): (False, 1),
    ("formats", "checking_over_sha256 / ratio"): (True, 0.9),
    ("formats", "signing_over_sha256 / ratio"): (True, 0.9),
    ("log", "many / attest / per_cpu_second"): (True, 40_000),
    ("log", "many / verify / per_cpu_second"): (True, 40_000),
    ("proofs", "ezkl_over_fixed / *"): (True, 10),
    ("proofs", "ezkl_over_fixed_whole / *"): (True, 10),
    ("proofs", "ezkl_over_committed / *"): (True, 3),
    ("proofs", "ezkl_over_committed_whole / *"): (True, 3),
    ("reading", "decoding_over_fetching"): (True, 1),
    ("reading", "decoding_over_process_log"): (True, 10),
    ("rounds", "over_the_plain_loop / mean / *"): (False, 1.15),
    ("rounds", "over_the_plain_loop / centered_clipping / *"): (False, 1.15),
    ("rounds", "over_the_plain_loop / trusted_reference / *"): (False, 1.15),
    ("store", "store_dropping_over_sha256 / ratio"): (True, 0.9),
    ("store", "seal_dropping_over_gcm_and_sha256 / ratio"): (True, 0.8),
}


def names() -> list[str]:
    """Every benchmark here."""
    return sorted(found.name for found in pkgutil.iter_modules([str(FOLDER)])
                  if not found.name.startswith("_") and "def run(" in (FOLDER / f"{found.name}.py").read_text("utf-8"))


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in info.read_text().splitlines()
              if line.startswith("model name")] if info.exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": models[0] if models else platform.processor(), "cores": os.cpu_count(),
            "memory_gib": round(memory / 2**30, 1), "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}"}


def figures(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a result, by their path of names."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from figures(item, f"{path} / {name}" if path else str(name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def goal(benchmark: str, figure: str) -> tuple[bool, float] | None:
    """What was promised of a figure."""
    return GOALS.get((benchmark, figure)) or GOALS.get((benchmark, figure.rpartition(" / ")[0] + " / *"))


def row(benchmark: str, figure: str, value: float) -> str:
    """A line of the table."""
    promised = goal(benchmark, figure)
    judged = ""
    if promised is not None:
        least, bound = promised
        met = value >= bound if least else value <= bound
        judged = f"{'at least' if least else 'at most'} {bound:g}: {'met' if met else 'NOT MET'}"
    return f"{benchmark:8}  {figure:64}  {value:>14,.4g}  {judged}".rstrip()


def main() -> int:
    """Run what was asked for; 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller sizes: to see that they work, not to compare")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    found: dict[str, Any] = {}
    chosen = asked.names or names()
    for number, name in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {name} …", end=" ", file=sys.stderr, flush=True)
        start = time.monotonic()
        found[name] = importlib.import_module(f"benchmarks.{name}").run(asked.quick)
        print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    here = machine()
    print(", ".join(f"{name} {value}" for name, value in here.items()), "(quick)" if asked.quick else "")
    for name, result in found.items():
        print("\n".join(row(name, figure, value) for figure, value in figures(result)))
    if asked.json is not None:
        whole = {"machine": here, "quick": asked.quick, "measured_at": int(time.time()), "figures": found}
        asked.json.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
