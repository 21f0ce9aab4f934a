"""`troth model …`: from a library's file to an integer program, its answers in NumPy and WebAssembly, and refusals."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from cli.conftest import PASSPHRASE, Run
from cli.model_parts import published, trained_state
from troth.app import Settings, Troth
from troth.app.models import trained
from troth.cli.main import app
from troth.core.errors import BadInput
from troth.identity.keystore import MIN_COST
from troth.learn.data import scaling
from troth.learn.dense import Dense
from troth.learn.sets import BREAST_CANCER, breast_cancer

XGBOOST = Path(__file__).parents[1] / "vectors" / "xgboost" / "cancer.json"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """The cancer data as people keep it: a CSV with a label, in `tmp_path/work`."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "model.json").write_bytes(XGBOOST.read_bytes())
    table, truth = load_breast_cancer(return_X_y=True)
    lines = [",".join([*(f"f{at}" for at in range(30)), "right"])]
    lines += [",".join([*map(repr, row), str(label)]) for row, label in
              zip(table.tolist(), truth.tolist(), strict=True)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "questions.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines[:8]) + "\n")
    return folder


def test_a_model_becomes_a_program_that_answers_alike_everywhere(run: Run, rows: Path) -> None:
    said: dict[str, Any] = run("work", "model", "quantise", "model.json", "--calibration", "rows.csv", "--label",
                               "right", "-o", "model.tprog")
    assert said["held_out"]["ppm"] >= 990_000
    assert abs(said["score_before"] - said["score_after"]) <= 10_000
    shown = run("work", "model", "show", "model.tprog")
    assert (shown["digest"], shown["steps"], shown["features"]) == (said["digest"], ["forest"], 30)
    answers = run("work", "model", "run", "model.tprog", "questions.csv")
    own = json.loads(XGBOOST.with_name("cancer.margins.json").read_text())["labels"][:7]
    assert answers["labels"] == [str(int(label)) for label in own]
    assert run("work", "model", "run", "model.tprog", "questions.csv", "--wasm") == answers
    wasm = run("work", "model", "wasm", "model.tprog", "-o", "model.wasm")
    assert (rows / "model.wasm").read_bytes()[:4] == b"\x00asm"
    assert wasm["bytes"] == (rows / "model.wasm").stat().st_size
    plain = CliRunner().invoke(app, ["model", "quantise", "model.json", "--calibration", "rows.csv",
                                     "--label", "right", "-o", "again.tprog"])
    assert "labels as the model's own" in plain.stdout, plain.output
    assert (rows / "again.tprog").read_bytes() == (rows / "model.tprog").read_bytes()


def test_what_cannot_be_is_refused_and_nothing_is_written(run: Run, rows: Path) -> None:
    make = ("model", "quantise", "model.json", "-o", "out.tprog")
    assert "calibration rows" in str(run("work", *make, status=2)["said"])
    (rows / "wrong.csv").write_text("a,b\n1,2\n")
    assert "30 features" in str(run("work", *make, "--calibration", "wrong.csv", status=2)["said"])
    text = (rows / "questions.csv").read_text()
    (rows / "hole.csv").write_text(text.replace("\n17.99,", "\n,", 1))
    said = str(run("work", *make, "--calibration", "hole.csv", status=2)["said"])
    assert "row 2, column f0; expected a number" in said
    (rows / "short.csv").write_text(text.rsplit(",", 1)[0] + "\n")
    assert "expected 30 cells" in str(run("work", *make, "--calibration", "short.csv", status=2)["said"])
    (rows / "rows.txt").write_text("no model")
    for name, status in (("none.onnx", 2), ("rows.txt", 2), ("rows.csv", 2)):
        run("work", "model", "quantise", name, "--calibration", "rows.csv", "-o", "out.tprog", status=status)
    run("work", *make, "--calibration", "rows.csv", "--target", "0", status=2)
    run("work", *make, "--calibration", "rows.csv", "--label", "none", status=2)
    assert not (rows / "out.tprog").exists()
    (rows / "bad.tprog").write_bytes(b"{}")
    run("work", "model", "show", "bad.tprog", status=2)
    run("work", "model", "show", "none.tprog", status=2)


class Evil:
    """What a pickle may hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("opened", "w"))


def test_a_pickle_is_read_only_where_somebody_vouches_for_it(run: Run, rows: Path) -> None:
    (rows / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    make = ("--calibration", "rows.csv", "-o", "out.tprog")
    assert "runs whatever its author put there" in str(run("work", "model", "quantise", "evil.pkl", *make,
                                                           status=2)["said"])
    assert not (rows / "opened").exists()
    table, truth = load_breast_cancer(return_X_y=True)
    (rows / "mine.pkl").write_bytes(pickle.dumps(LogisticRegression(max_iter=5000).fit(table[::2] / 100, truth[::2])))
    run("work", "model", "quantise", "mine.pkl", "--unsafe-pickle", *make, "--label", "right", "--margin", "5000",
        "--target", "90")
    (rows / "cut.pkl").write_bytes((rows / "mine.pkl").read_bytes()[:90])
    run("work", "model", "quantise", "cut.pkl", "--unsafe-pickle", *make, "--label", "right", status=2)


def test_a_consortiums_model_is_quantised_from_its_claim(run: Run, tmp_path: Path) -> None:
    part = breast_cancer().rows(range(120))
    state = trained_state()
    with Troth.init(tmp_path / "work", PASSPHRASE, Settings("work", "", ""), cost=MIN_COST) as party:
        claim, liar = published(party, state), published(party, state, bytes(32))
        model, rows, labels = trained(party, claim)
        task = Dense(30, 2)
        inputs = scaling(part).inputs(part)
        own = task.outputs_of(np.concatenate([state["bias"], state["weights"]])[None], inputs.features)[0, :, 0] > 0
        assert (model.labels(model.run(rows)) == own).mean() >= 0.99
        assert labels.tolist() == part.labels.tolist()
        assert model.classes == BREAST_CANCER.classes
        with pytest.raises(BadInput, match="not the claim's"):
            trained(party, liar)
    said: dict[str, Any] = run("work", "model", "quantise", claim.hex(), "-o", "model.tprog", "--target", "97")
    assert said["held_out"]["agreed"] + 1 >= said["held_out"]["of"] >= 36
    assert said["score_before"] >= 900_000
    run("work", "model", "quantise", "00" * 32, "-o", "none.tprog", status=3)
    run("work", "model", "quantise", claim.hex(), "-o", "none.tprog", "--unsafe-pickle", status=2)
