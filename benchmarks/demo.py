"""The whole demo as a user runs it: wall and CPU seconds, and peak memory, as ratios to what is promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

LIMITS = {"seconds": 60, "mib": 1024}


def run(quick: bool = False) -> dict[str, float]:
    """One run of ``troth demo`` in a process of its own (``quick`` changes nothing); ratios are to be at most 1."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "troth.cli.main", "demo", "--out", f"{folder}/out"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"troth demo ended with status {child.returncode}")
    peak = used.ru_maxrss / 1024  # Linux gives KiB
    return {"wall_s": round(wall, 1), "cpu_s": round(used.ru_utime + used.ru_stime, 1), "peak_mib": round(peak, 1),
            "wall_to_limit": round(wall / LIMITS["seconds"], 3), "memory_to_limit": round(peak / LIMITS["mib"], 3)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
