"""pyDVL values the same records: the same numbers, by another's code in floats."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from troth.learn.data import scaling
from troth.learn.data_worth import UNIT, knn_shapley
from troth.learn.sets import consortium

NEIGHBOURS = 5


def test_the_same_values(python_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Of each record, the mean over the validation records, to a thousand millionth."""
    split = consortium(1)
    by = scaling(split.validation)
    train, validation = by.inputs(split.pooled()), by.inputs(split.validation)
    ours = knn_shapley(train, validation, NEIGHBOURS) / UNIT / len(validation.labels)
    np.savez(tmp_path / "in.npz", x=train.features, y=train.labels, vx=validation.features, vy=validation.labels)
    script = Path(__file__).parent / "peers" / "value.py"
    done = subprocess.run([python_of("pydvl"), script, tmp_path / "in.npz", tmp_path / "out.npy", str(NEIGHBOURS)],
                          capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    theirs = np.load(tmp_path / "out.npy")
    print(f"largest difference {np.abs(ours - theirs).max():.2e} of values up to {np.abs(ours).max():.2e}")
    assert np.abs(ours - theirs).max() < 1e-9
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999
