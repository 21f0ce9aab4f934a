"""The same two apps in Flower's simulation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from flower.simulated import CALLS, SITES


def test_flowers_simulation_carries_calls_too(tmp_path_factory: object) -> None:
    folder: Path = tmp_path_factory.mktemp("s")  # type: ignore[attr-defined]
    script = Path(__file__).with_name("simulated.py")
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    print("seconds a call:", [one["seconds"] for one in said])
    assert [one["order"] for one in said] == [list(SITES)] * len(CALLS)
    assert all(one["right"] for one in said)
