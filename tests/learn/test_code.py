"""Rounds over a participant's own file of code: run only if given, undecidable on another runtime."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from troth.core.claims import Evidence, Ref, Statement, claim_id
from troth.core.encoding import decode, encode
from troth.core.errors import BadInput, Undecidable
from troth.core.verdicts import Outcome
from troth.fixed.numbers import ONE
from troth.learn import arrays, code
from troth.learn.aggregate import Update
from troth.learn.arrays import equal, flatten
from troth.learn.claims import (
    AggregateClaim,
    Listing,
    ModelClaim,
    Plan,
    Seat,
    Training,
    UpdateClaim,
    digest_subject,
    seal_update,
)
from troth.learn.code import Code, NotHere
from troth.learn.data import scaling
from troth.learn.draws import seed_of
from troth.learn.recheck import Replay
from troth.learn.recheck_bundle import RecheckRounds
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import Consortium
from troth.learn.tasks import task_of
from troth.verify.view import raw_cid

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
    ("return np.linalg.inv(np.zeros((2, 2)))", 256 * ONE),
    ("return -np.ones(len(data.labels))", 0), ("return np.full(len(data.labels), 0.5)", ONE // 2),
])
def test_losses_are_numbers_whatever_the_code_says(body: str, value: int, four: Consortium, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(f"import numpy as np\ndef start(seed): return {{'w': np.ones(1)}}\ndef fit(a, d, c): return a\n"
                    f"def evaluate(arrays, data):\n    {body}\n")
    task = Code.propose(path, 2, bytes(32))
    data = scaling(four.validation).inputs(four.validation)
    assert task.loss(task.start(bytes(32)), data) == value
    assert task.score(task.start(bytes(32)), data) == -value * 1_000_000 // ONE


def test_a_score_that_is_no_number_stops_no_round(four: Consortium, tmp_path: Path) -> None:
    path, data = tmp_path / "model.py", scaling(four.validation).inputs(four.validation)
    path.write_text("import numpy as np\ndef start(seed): return {'w': np.ones(1)}\ndef fit(a, d, c): return a\n"
                    "def evaluate(a, d): return np.ones(len(d.labels))\ndef score(a, d): return 1 / 0\n")
    task = Code.propose(path, 2, bytes(32))
    assert task.score(task.start(bytes(32)), data) == -10**12


@pytest.mark.parametrize(("text", "words"), [
    ("def start(seed): return {}\ndef evaluate(a, d): pass", "lacks functions"),
    ("import numpy as np\ndef start(seed): return {'n': np.arange(3)}\nfit = evaluate = start", "arrays"),
], ids=["no fit", "integers"])
def test_a_file_that_is_no_model_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        Code.propose(path, 2, bytes(32))


def test_a_malformed_plan_is_refused(task: Code, four: Consortium) -> None:
    said = task.json()
    broken = [{**said, "sha256": "00"}, {**said, "arrays": []}, {**said, "arrays": [1]}, {**said, "runtime": 1},
              {**said, "start": ""},
              {**said, "arrays": [{"dtype": "int64", "name": "w", "shape": [1]}]}, {**said, "more": 1},
              {**said, "arrays": [{"dtype": "float64", "name": "w", "shape": [0]}]}]
    for one in broken:
        with pytest.raises(BadInput):
            task_of(one, four.validation.schema)
    with pytest.raises(NotHere, match="starts otherwise"):
        task.start(seed_of(2))
    with pytest.raises(BadInput, match="other arrays"):
        replace(task, form=task.form.only(["b"])).start(seed_of(1))


class View:
    """A bundle's claims for one round over this task: plan, updates in the open, an aggregate, the model."""

    def __init__(self, task: Code, four: Consortium, **lie: object) -> None:
        self.said: dict[bytes, Statement] = {}
        self.blobs: dict[str, bytes] = {}
        records = self._keep("records", four.validation.to_bytes())
        schema = four.validation.schema.json()
        validation = self._say("listing", "sponsor", Listing(records.cid, len(four.validation), False, bytes(32),
                                                             schema).body(), [], records)
        seats = [Seat(did, did.encode().ljust(20, b"\0")) for did in ("site-0", "site-1", "aggregator", "verifier")]
        called = Plan(tuple(seats[:2]), seats[2], (seats[3],), 1, 100, "mean", 8 * ONE, seed_of(1), "open", task.json())
        plan = self._say("plan", "sponsor", called.body(), [Ref("validation", validation)])
        replay = Replay(self, plan, lambda item: self.blobs[item.cid])
        base, by = task.start(seed_of(1)), scaling(four.validation)
        updates = []
        for did, part in zip(("site-0", "site-1"), four.sites, strict=False):
            data = seal_update(did, bytes(32), 1, bytes(32), arrays.encode(
                task.update(base, by.inputs(part), {"steps": 20}, 8 * ONE)))
            said = UpdateClaim(1, bytes(32), arrays.digest(base), sha256(data).digest(), len(part), bytes(32),
                               Training(8 * ONE, task.digest))
            updates.append(self._say("update", did, said.body(), [Ref("plan", plan)], self._keep("update", data),
                                     said.digest))
        output = run_round(RoundInput(task, base, ("site-0", "site-1"), replay.gather(updates).updates,
                                      four.validation, sha256(seed_of(1) + bytes([0, 0, 0, 1])).digest(), 100, (),
                                      "mean", 8 * ONE))
        params = self._keep("params", arrays.encode(output.params))
        assert sum(output.record.counted) == 2
        result = {**output.to_json(), **lie}
        aggregate = self._say("aggregate", "aggregator",
                              AggregateClaim(1, bytes(32), arrays.digest(base), result).body(),
                              [Ref("plan", plan), *(Ref("update", one) for one in updates)], params, output.digest)
        self.target = self._say("model", "sponsor", ModelClaim(output.digest, 1, output.score, output.loss).body(),
                                [Ref("plan", plan), Ref("aggregate", aggregate)], params, output.digest)

    def _say(self, kind: str, issuer: str, body, refs, evidence: Evidence | None = None,
             subject: bytes = bytes(32)) -> bytes:
        said = Statement(kind, issuer, 5, digest_subject("update" if kind == "update" else "params", subject), body,
                         tuple(refs), (evidence,) if evidence else ())
        claim = claim_id(said.to_bytes())
        self.said[claim] = said
        return claim

    def _keep(self, name: str, data: bytes) -> Evidence:
        cid = raw_cid(sha256(data).digest())
        self.blobs[cid] = data
        return Evidence(name, cid, "raw", False)

    def statement(self, claim: bytes) -> Statement:
        return self.said[claim]

    def blob(self, cid: str) -> bytes | None:
        return self.blobs.get(cid)


def test_a_round_of_code_is_refuted_on_its_runtime_and_undecidable_on_any_other(
        task: Code, four: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, lie = View(task, four), View(task, four, loss=1)
    here = code.runtime()
    assert [found.outcome for found in RecheckRounds(None).recheck(honest)] == [Outcome.UPHELD]
    assert [found.outcome for found in RecheckRounds(None).recheck(lie)] == [Outcome.REFUTED]
    monkeypatch.setattr(code, "runtime", lambda requires=(): {**here, "machine": "Linux riscv64"})
    for view in (honest, lie):
        found, = RecheckRounds(None).recheck(view)
        assert found.outcome is None
        assert "another runtime" in found.detail
    monkeypatch.setattr(code, "runtime", lambda requires=(): here)
    monkeypatch.setattr(code, "_given", {})
    found, = RecheckRounds(None).recheck(lie)
    assert found.outcome is None
    assert "not given" in found.detail


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*away\.py; found No such file"):
        code.give(tmp_path / "away.py")
