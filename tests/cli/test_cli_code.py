"""`troth train` over a file of one's own code, and `troth verify` with the file and without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.rounds_parts import MONEY, SCHEMA

FILE = '''
import numpy as np

def start(seed):
    return {"W": np.zeros(2), "b": np.zeros(())}

def _odds(arrays, data):
    return data.features @ arrays["W"] + arrays["b"]

def fit(arrays, data, config):
    for _ in range(config["steps"]):
        error = 1 / (1 + np.exp(-_odds(arrays, data))) - data.labels
        arrays = {"W": arrays["W"] - float(config["rate"]) * data.features.T @ error / len(error),
                  "b": arrays["b"] - float(config["rate"]) * error.mean()}
    return arrays

def evaluate(arrays, data):
    return np.logaddexp(0, np.where(data.labels == 1, -1, 1) * _odds(arrays, data))

def score(arrays, data):
    return ((_odds(arrays, data) > 0) == data.labels).mean()
'''
ROUND = f'''
[round]
name = "own code"
rounds = 1
{SCHEMA.strip()}
[task]
family = "code"
file = "model.py"
[fit]
steps = 30
{MONEY.strip()}
[validation]
file = "records.csv"
[verifiers]
count = 1
[sites]
north = "records.csv"
south = "records2.csv"
'''


def troth(*words: object, threads: str = "1") -> tuple[int, dict[str, Any], str]:
    found = subprocess.run([sys.executable, "-m", "troth.cli.main", *map(str, words)], capture_output=True, text=True,
                           env={**os.environ, "TROTH_PASSPHRASE": "x", "OMP_NUM_THREADS": threads})
    return found.returncode, json.loads(found.stdout) if found.stdout.startswith("{") else {}, found.stderr


@pytest.mark.slow
def test_a_training_of_ones_own_code_is_checked_with_the_file_alone(tmp_path: Path) -> None:
    rows = [f"{'well' if dose * 6 > age - 30 else 'ill'},{age}.0,{dose}.5" for age in range(20, 80, 3)
            for dose in range(0, 10, 3)]
    (tmp_path / "records.csv").write_text("\n".join(["outcome,age,dose", *rows[::2]]) + "\n")
    (tmp_path / "records2.csv").write_text("\n".join(["outcome,age,dose", *rows[1::2]]) + "\n")
    (tmp_path / "model.py").write_text(FILE)
    (tmp_path / "ROUND.toml").write_text(ROUND)
    status, made, said = troth("train", tmp_path / "ROUND.toml", "--out", tmp_path / "out", "--json")
    assert status == 0, said
    assert made["rounds"][0]["counted"] == 2, said
    assert made["rounds"][0]["score_ppm"] > 800_000
    check = ("verify", made["bundle"], "--trust", made["trust"], "--json")
    assert troth(*check, "--code", tmp_path / "model.py")[:2][0] == 0
    status, report, _ = troth(*check)
    assert (status, report["outcome"]) == (3, "undecidable")
    status, report, _ = troth(*check, "--code", tmp_path / "model.py", threads="7")
    assert (status, report["outcome"]) == (3, "undecidable")
    assert "another runtime" in json.dumps(report)
