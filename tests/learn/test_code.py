"""Rounds over a participant's own file of code: run only if given, undecidable on another runtime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from troth.core.encoding import decode, encode
from troth.core.errors import BadInput, Undecidable
from troth.fixed.numbers import ONE
from troth.learn import code
from troth.learn.aggregate import Update
from troth.learn.arrays import equal, flatten
from troth.learn.code import Code
from troth.learn.data import scaling
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import Consortium
from troth.learn.tasks import task_of

FILE = '''
import numpy as np

def start(seed):
    draw = np.random.default_rng(int.from_bytes(seed, "big"))
    return {"W.in": draw.normal(size=(30, 6)) / 6, "W.out": np.zeros(6, np.float32), "b": np.zeros(())}

def _logits(arrays, data):
    return np.tanh(data.features @ arrays["W.in"]) @ arrays["W.out"] + arrays["b"]

def fit(arrays, data, config):
    arrays = {name: array.astype(float) for name, array in arrays.items()}
    for _ in range(config["steps"]):
        hidden = np.tanh(data.features @ arrays["W.in"])
        error = (1 / (1 + np.exp(-_logits(arrays, data))) - data.labels) / len(data.labels)
        back = np.outer(error, arrays["W.out"]) * (1 - hidden**2)
        arrays["W.in"] -= 0.5 * data.features.T @ back
        arrays["W.out"] -= 0.5 * hidden.T @ error
        arrays["b"] -= 0.5 * error.sum()
    return {**arrays, "W.out": arrays["W.out"].astype(np.float32)}

def evaluate(arrays, data):
    return np.logaddexp(0, np.where(data.labels == 1, -1, 1) * _logits(arrays, data))

def score(arrays, data):
    return ((_logits(arrays, data) > 0) == data.labels).mean()
'''


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    monkeypatch.setattr(code, "_given", {})
    path = tmp_path / "model.py"
    path.write_text(FILE)
    return Code.propose(path, 2, seed_of(1))


def _updates(task: Code, base, four: Consortium) -> tuple[Update, ...]:
    by = scaling(four.validation)
    return tuple(Update(f"site-{index}", len(part), task.update(base, by.inputs(part), {"steps": 60}, 8 * ONE))
                 for index, part in enumerate(four.sites))


def _round(task: Code, base, updates, four: Consortium):
    return run_round(RoundInput(task, base, tuple(one.site for one in updates), updates, four.validation, seed_of(1),
                                1000, clip=8 * ONE))


def test_a_file_of_code_learns_in_a_round_and_the_round_runs_again(task: Code, four: Consortium) -> None:
    assert task.layout == (("b", (1,)), ("q._57.in", (30, 6)), ("q._57.out", (6,)))
    base = task.start(seed_of(1))
    updates = _updates(task, base, four)
    found = _round(task, base, updates, four)
    assert not found.rejected
    assert found.score > 930_000
    assert sum(found.payments) == 1000
    same = task_of(decode(encode(task.json())), four.validation.schema)
    assert _round(same, base, updates, four).to_json() == found.to_json()


def test_code_that_merely_arrived_is_not_run(task: Code, four: Consortium, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    base = task.start(seed_of(1))
    mark = tmp_path / "ran"
    other = tmp_path / "other.py"
    other.write_text(FILE + f"\nopen({str(mark)!r}, 'w')\n")
    digest = code.give(other)
    other.write_text(FILE + f"\nopen({str(mark)!r}, 'w').close()\n")
    with pytest.raises(Undecidable, match="changed since"):
        replace(task, digest=digest).start(seed_of(1))
    monkeypatch.setattr(code, "_given", {})
    arrived = task_of(task.json(), four.validation.schema)
    data = scaling(four.validation).inputs(four.validation)
    for act in (lambda: arrived.start(seed_of(1)), lambda: arrived.loss(base, data),
                lambda: arrived.score(base, data), lambda: arrived.update(base, data, {"steps": 1}, ONE)):
        with pytest.raises(Undecidable, match="not given"):
            act()
    arrived.check(base)
    assert not mark.exists()


def test_another_runtime_is_undecidable_and_sites_may_still_train(task: Code, four: Consortium) -> None:
    base = task.start(seed_of(1))
    data = scaling(four.validation).inputs(four.validation)
    for name, value in (("python", "CPython 3.99"), ("threads", "96"), ("instructions", ["NONE"]),
                        ("versions", {"numpy": "1.0"}), ("machine", "Other")):
        said = task.json()
        other = task_of({**said, "runtime": {**said["runtime"], name: value}}, four.validation.schema)
        with pytest.raises(Undecidable, match="another runtime") as found:
            other.row_losses(flatten(base).reshape(1, -1), data)
        assert name in found.value.expected
        assert equal(other.update(base, data, {"steps": 2}, ONE), task.update(base, data, {"steps": 2}, ONE))


def test_no_update_stops_a_round_of_code(task: Code, four: Consortium) -> None:
    base = task.start(seed_of(1))
    updates = _updates(task, base, four)[:3]
    worst = {name: np.full(shape, 8 * ONE // 16, np.int64) for name, shape in task.layout}
    found = _round(task, base, (*updates, Update("site-3", 5, worst)), four)
    assert found.record.values[3] < max(found.record.values)


@pytest.mark.parametrize(("body", "value"), [
    ("return np.full(len(data.labels), np.nan)", 256 * ONE), ("return np.full(len(data.labels), 1e300)", 256 * ONE),
    ("raise FloatingPointError", 256 * ONE), ("return [1 / 0]", 256 * ONE),
    ("return -np.ones(len(data.labels))", 0), ("return np.full(len(data.labels), 0.5)", ONE // 2),
])
def test_losses_are_numbers_whatever_the_code_says(body: str, value: int, four: Consortium, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(f"import numpy as np\ndef start(seed): return {{'w': np.ones(1)}}\ndef fit(a, d, c): return a\n"
                    f"def evaluate(arrays, data):\n    {body}\n")
    task = Code.propose(path, 2)
    data = scaling(four.validation).inputs(four.validation)
    assert task.loss(task.start(bytes(32)), data) == value
    assert task.score(task.start(bytes(32)), data) == -value * 1_000_000 // ONE


@pytest.mark.parametrize(("text", "words"), [
    ("def start(seed): return {}\ndef evaluate(a, d): pass", "lacks functions"),
    ("import numpy as np\ndef start(seed): return {'n': np.arange(3)}\nfit = evaluate = start", "arrays"),
], ids=["no fit", "integers"])
def test_a_file_that_is_no_model_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        Code.propose(path, 2)


def test_a_malformed_plan_is_refused(task: Code, four: Consortium) -> None:
    said = task.json()
    broken = [{**said, "sha256": "00"}, {**said, "arrays": []}, {**said, "arrays": [1]}, {**said, "runtime": 1},
              {**said, "arrays": [{"dtype": "int64", "name": "w", "shape": [1]}]}, {**said, "more": 1},
              {**said, "arrays": [{"dtype": "float64", "name": "w", "shape": [0]}]}]
    for one in broken:
        with pytest.raises(BadInput):
            task_of(one, four.validation.schema)
    with pytest.raises(BadInput, match="other arrays"):
        replace(task, form=task.form.only(["b"])).start(seed_of(1))
