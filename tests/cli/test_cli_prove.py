"""``troth prove`` and ``troth answer check``: made, checked, too dear, and refused with nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from troth.app import Settings, Troth
from troth.cli.main import app
from troth.cli.prove import told
from troth.fixed.program import Affine, Program
from troth.identity.keystore import MIN_COST
from troth.verify.answers import Answer

Run = Callable[..., dict[str, object]]
MODEL = Program(np.full(2, -100), np.full(2, 100), (Affine(0, np.array([[3, -2]]), np.array([5])),), "sign",
                features=("age", "dose"))


@pytest.fixture
def clinic(tmp_path: Path) -> None:
    Troth.init(tmp_path / "clinic", "correct horse", Settings("clinic", "", ""), cost=MIN_COST).close()
    (tmp_path / "model.program").write_bytes(MODEL.to_bytes())
    (tmp_path / "input.json").write_text(json.dumps({"age": 40, "dose": 7}))


def test_an_answer_from_a_file_to_a_check(run: Run, clinic: None, tmp_path: Path) -> None:
    made = run("clinic", "prove", "../model.program", "../input.json")
    assert (made["method"], made["scores"], made["origin"], made["proofs"]) == ("groth16", [111], "dev", 1)
    assert run("clinic", "answer", "check", str(made["claim"]))["outcome"] == "upheld"
    dear = run("clinic", "prove", "../model.program", "../input.json", "--most-seconds", "0")
    assert (dear["method"], dear["scores"]) == ("rerun", [111])
    assert "of 0 s" in str(dear["why"])
    plain = CliRunner().invoke(app, ["prove", str(tmp_path / "model.program"), str(tmp_path / "input.json"),
                                     "--most-seconds", "0", "--home", str(tmp_path / "clinic")])
    assert "not proven, which would take" in plain.stderr
    assert "estimate of a proof" in plain.stdout
    assert "answer: 111 (111 by 2^0)" in plain.stdout
    shown = CliRunner().invoke(app, ["model", "show", str(tmp_path / "model.program")]).stdout
    assert "scores: 1, within -495 to 505, each times 2^0; read by sign" in shown
    assert "[" not in shown, "for reading: no lists"
    assert run("clinic", "answer", "check", str(dear["claim"]))["outcome"] == "upheld"


def test_an_answer_is_read_in_the_models_own_units() -> None:
    scaled = replace(MODEL, output_scale=4)
    answer = Answer("rerun", bytes(32), (100,), ((-495, 505),), "scores")
    assert told(scaled, answer) == "6.25 (100 by 2^4)"
    label = replace(answer, scores=(1,), ranges=((0, 1),), output="label")
    assert told(scaled, label) == "label 1"
    assert told(replace(scaled, classes=("well", "ill")), label) == "ill"


def test_bad_input_writes_nothing(run: Run, clinic: None, tmp_path: Path) -> None:
    made = run("clinic", "prove", "../model.program", "../input.json", "--output", "label", "--input", "public")
    assert made["label"] == 1
    for text in ('{"age": 40}', "[1, NaN]", "[1, 1000]", "[1]"):
        (tmp_path / "bad.json").write_text(text)
        run("clinic", "prove", "../model.program", "../bad.json", status=2)
    run("clinic", "prove", "../input.json", "../input.json", status=2)
    wrong = run("clinic", "prove", "../model.program", "../input.json", "--weights", "hidden", status=2)
    assert "expected fixed or committed" in str(wrong["said"])
    for words in (("../none", "../input.json"), ("../model.program", "../none"), ("..", "../input.json")):
        assert "cannot read" in str(run("clinic", "prove", *words, status=2)["said"])
    again = run("clinic", "prove", "../model.program", "../input.json", "--output", "label", "--input", "public")
    assert again["proofs"] == 2


def test_whose_key_it_is(run: Run, clinic: None, tmp_path: Path) -> None:
    made = run("clinic", "prove", "../model.program", "../input.json")
    run("clinic", "answer", "key", "../model.program", "-o", "../model.zkey")
    found = run("clinic", "answer", "check-key", "../model.program", "../model.zkey")
    assert (found["outcome"], found["key"], found["reading"]) == ("upheld", made["model"], made["reading"])
    other = Program(MODEL.low, MODEL.high, (Affine(0, np.array([[3, -1]]), np.array([5])),), "sign")
    (tmp_path / "other.program").write_bytes(other.to_bytes())
    said = run("clinic", "answer", "check-key", "../other.program", "../model.zkey", status=2)["said"]
    assert "of another circuit" in str(said)
    modes = str(run("clinic", "answer", "check-key", "../model.program", "../model.zkey", "--output", "label",
                    status=2)["said"])
    assert "made with the same modes?" in modes
    assert "{" not in modes, "for reading: no tables of sizes"
    data = bytearray((tmp_path / "model.zkey").read_bytes())
    data[-900:-890] = bytes(10)
    (tmp_path / "model.zkey").write_bytes(data)
    run("clinic", "answer", "check-key", "../model.program", "../model.zkey", status=2)
