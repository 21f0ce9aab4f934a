"""How long ``troth --help`` takes, against ``python -c pass``, in pairs: the median of ten."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

LIMIT_MS = 250


def seconds(*words: str) -> float:
    """Wall seconds of one fresh Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - start


def run(quick: bool = False) -> dict[str, float]:
    """Medians in milliseconds, and ``help_to_limit``: the time over the limit of 250 ms, to be at most 1."""
    pairs = [(seconds("-c", "pass"), seconds("-m", "troth.cli.main", "--help")) for _ in range(3 if quick else 10)]
    empty, ours = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    return {"python_ms": round(empty, 1), "help_ms": round(ours, 1), "help_over_python": round(ours / empty, 2),
            "help_to_limit": round(ours / LIMIT_MS, 3)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
