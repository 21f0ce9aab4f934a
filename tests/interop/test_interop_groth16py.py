"""groth16py (GPL-3.0) behind the provers' port, in its own environment: the suite that every prover passes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_groth16py_passes_the_provers_suite(python_of: Callable[[str], Path]) -> None:
    paths = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    done = subprocess.run([python_of("groth16py"), "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider",
                           "tests/interop/tools/groth16py_checks.py"], cwd=ROOT, capture_output=True, text=True,
                          timeout=240, check=False, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stdout[-4_000:]
    assert done.stdout.count(".") >= 5, done.stdout
