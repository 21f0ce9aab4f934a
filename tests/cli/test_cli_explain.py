"""`troth explain` and `troth decisions`: reasons on the record, walked to the data, run again; and every lie."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
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
from troth.app.decisions import check, compared, record
from troth.app.models import quantised, trained
from troth.cli.main import app
from troth.compute.decisions import Decision, DecisionClaim, ExplanationClaim, Reasons, subjects
from troth.compute.explain import explain
from troth.compute.models.build import ints
from troth.compute.models.quantise import Aim
from troth.core.claims import Ref
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.fixed.program import Affine, Program
from troth.identity.keystore import MIN_COST


def small(weight: int = 3) -> Program:
    return Program(np.full(2, -9), np.full(2, 9), (Affine(0, np.array([[weight, -2]]), np.array([1])),), "sign",
                   features=("age", "debt"), classes=("no", "yes"))


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A workspace with a model claim, a program made from it, and two tables."""
    with Troth.init(tmp_path / "bank", PASSPHRASE, Settings("bank", "", ""), cost=MIN_COST) as party:
        claim = published(party, trained_state())
        found = quantised(party, claim.hex(), None, aim=Aim(target=970_000))
    (tmp_path / "bank" / "model.tprog").write_bytes(found.program.to_bytes())
    (tmp_path / "bank" / "model.id").write_text(claim.hex())
    table = load_breast_cancer().data
    header = ",".join(found.program.features)
    inside = [row for row in table.tolist() if ((low := ints(found.program, [row])[0]) >= found.program.low).all()
              and (low <= found.program.high).all()]
    for name, rows in (("person.csv", inside[200:202]), ("others.csv", inside[:50])):
        (tmp_path / "bank" / name).write_text("\n".join([header, *(",".join(map(repr, row)) for row in rows)]) + "\n")
    return tmp_path / "bank"


def test_a_decision_is_explained_recorded_walked_and_run_again(run: Run, bank: Path) -> None:
    words = ("explain", "model.tprog", "person.csv", "--background", "others.csv", "--row", "2")
    said: dict[str, Any] = run("bank", *words)
    assert (said["method"], said["error"]) == ("shapley", 0.0)
    assert sum(one["share"] for one in said["shares"]) == pytest.approx(said["score"] - said["base"])
    assert "decision" not in said
    model = (bank / "model.id").read_text()
    done: dict[str, Any] = run("bank", *words, "--record", "--model", model)
    assert {**done, "decision": 0, "explanation": 0} == {**said, "decision": 0, "explanation": 0}
    (line,) = run("bank", "decisions", "list")["decisions"]  # type: ignore[attr-defined]
    assert (line["decision"], line["explanations"], line["model"]) == (done["decision"], [done["explanation"]], [model])
    walk: dict[str, Any] = run("bank", "decisions", "show", done["decision"])
    assert sorted(walk["rests_on"]) == ["listing", "model", "plan"]
    assert not walk["stale"]
    for claim in (done["decision"], done["explanation"]):
        found: dict[str, Any] = run("bank", "decisions", "check", claim)
        assert [one["step"] for one in found["steps"]] == ["claim", "document", "program", "answer", "explanation",
                                                           "model"]
        assert "validation records as model" in found["steps"][-1]["finding"]
    decision = done["decision"]
    for lines in (["decisions", "list"], ["decisions", "show", decision], ["decisions", "check", decision], [*words]):
        plain = CliRunner().invoke(app, lines)
        assert plain.exit_code == 0, plain.output
        assert plain.stdout.strip()
    with Troth.open(bank, PASSPHRASE) as party:  # what is in the log names nobody's values
        payloads = b"".join(entry.payload or b"" for entry in party.log.iterate() if entry.id.hex() in (
            done["decision"], done["explanation"]))
        kept = Decision.from_bytes(party.read(party.statement(bytes.fromhex(decision)).evidence[0]))
        assert str(int(kept.row[3])).encode() not in payloads
        assert str(kept.scores[0]).encode() not in payloads


def test_a_file_with_its_answers_serves_as_background_and_its_header_names_the_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(60, 2))
    text = "\n".join(["age,debt,truth", *(f"{a},{b},{int(a > b)}" for a, b in rows.tolist())])
    (tmp_path / "rows.csv").write_text(text)
    with (tmp_path / "model.pkl").open("wb") as out:
        pickle.dump(LogisticRegression().fit(rows, rows[:, 0] > rows[:, 1]), out)
    found = quantised(None, str(tmp_path / "model.pkl"), tmp_path / "rows.csv", label="truth", unsafe_pickle=True)
    assert found.program.features == ("age", "debt")
    for program, words in ((found.program, []), (replace(found.program, features=()), ["--label", "truth"])):
        (tmp_path / "model.program").write_bytes(program.to_bytes())
        said = CliRunner().invoke(app, ["explain", str(tmp_path / "model.program"), str(tmp_path / "rows.csv"),
                                        "--background", str(tmp_path / "rows.csv"), *words])
        assert said.exit_code == 0, said.output
        assert ("age = " in said.stdout) == bool(program.features)
    with pytest.raises(BadInput, match=r"found 1000000 \([\d.]+ unscaled\) in row 0") as caught:
        found.program.run(np.array([[1_000_000, 0]]))
    assert "unscaled) for age" in str(caught.value)


def test_what_makes_no_sense_is_refused_and_nothing_is_recorded(run: Run, bank: Path) -> None:
    words = ("explain", "model.tprog", "person.csv", "--background", "others.csv")
    run("bank", *words, "--row", "3", status=2)
    run("bank", *words, "--model", "00" * 32, status=2)
    run("bank", *words, "--record", "--model", "00" * 32, status=3)
    run("bank", *words, "--method", "tea leaves", status=2)
    run("bank", *words, "--method", "enumerated", status=2)
    text = (bank / "others.csv").read_text().splitlines()
    (bank / "far.csv").write_text("\n".join([text[0], ",".join(["99999"] * 30)]) + "\n")
    run("bank", "explain", "model.tprog", "person.csv", "--background", "far.csv", status=2)
    run("bank", "explain", "model.tprog", "far.csv", "--background", "others.csv", status=2)
    with Troth.open(bank, PASSPHRASE) as party:
        [plan] = [claim.hex() for claim, _ in party.claims("plan")]
    run("bank", *words, "--record", "--model", plan, status=2)
    assert run("bank", "decisions", "list") == {"decisions": []}
    run("bank", "decisions", "show", plan, status=2)
    run("bank", "decisions", "check", "00" * 32, status=3)


ROW, OTHERS = np.array([4, -3]), np.array([[0, 1], [2, -5]])


def tell(party: Troth, decision: Decision, program: Program, reasons: Callable[[Reasons], Reasons], *,
         said: bytes = b"", method: str = "shapley") -> bytes:
    """A decision and its explanation as somebody says them who may lie; the explanation's id."""
    document = said or decision.digest
    kept = [party.add("decision", decision.to_bytes(), ()), party.add("program", program.to_bytes(), ())]
    first = party.attest("decision", subjects("decision", document), DecisionClaim(document, decision.program).body(),
                         evidence=kept)
    why = reasons(Reasons(first, OTHERS, explain(small(), ROW, OTHERS), bytes(32)))
    return party.attest("explanation", subjects("explanation", why.digest), ExplanationClaim(
        why.digest, method, decision.program).body(), refs=[Ref("decision", first)],
        evidence=[party.add("explanation", why.to_bytes(), ())])


def same(why: Reasons) -> Reasons:
    return why


def test_every_lie_about_a_decision_is_refuted(tmp_path: Path) -> None:
    true = Decision.make(small(), ROW, bytes(32))

    def shifted(why: Reasons) -> Reasons:
        found = why.explanation
        return replace(why, explanation=replace(found, values=(found.values[0] + 2, found.values[1] - 2)))

    with Troth.init(tmp_path / "liar", PASSPHRASE, Settings("liar", "", ""), cost=MIN_COST) as party:
        assert check(party, tell(party, true, small(), same))[-1]["step"] == "explanation"
        lies: dict[str, Callable[[], bytes]] = {
            "answers otherwise": lambda: tell(party, replace(true, scores=(true.scores[0] + 1,)), small(), same),
            "run again|answers otherwise": lambda: tell(party, replace(true, label=1 - true.label), small(), same),
            "program is not the one": lambda: tell(party, true, small(4), same),
            "another program than": lambda: tell(party, true, small(), same, said=other.digest),
            "document is not the one": lambda: tell(party, true, small(), same, said=bytes(32)),
            "not what its method gives": lambda: tell(party, true, small(), shifted),
            "something else than its claim": lambda: tell(party, true, small(), lambda why: replace(
                why, decision=bytes(32))),
            "about something else": lambda: tell(party, true, small(), same, method="enumerated"),
        }
        other = replace(true, program=small(4).digest)
        lies["another program than"] = lambda: _mixed(party, true, other)
        for why, lie in lies.items():
            with pytest.raises(Refuted, match=why):
                check(party, lie())
        honest = explain(small(), ROW, OTHERS)
        with pytest.raises(BadInput, match="does not add up"):
            replace(honest, values=(honest.values[0] + 1, honest.values[1]))


def _mixed(party: Troth, true: Decision, other: Decision) -> bytes:
    """A document that names another program than its claim does."""
    kept = [party.add("decision", other.to_bytes(), ()), party.add("program", small().to_bytes(), ())]
    return party.attest("decision", subjects("decision", other.digest),
                        DecisionClaim(other.digest, true.program).body(), evidence=kept)


def test_who_was_given_nothing_cannot_check_and_who_was_can(tmp_path: Path) -> None:
    place = str(tmp_path / "exchange")
    with (Troth.init(tmp_path / "bank", PASSPHRASE, Settings("bank", "", place), cost=MIN_COST) as bank,
          Troth.init(tmp_path / "office", PASSPHRASE, Settings("office", "", place), cost=MIN_COST) as office):
        bank.meet(office.introduction())
        office.meet(bank.introduction())
        done = record(bank, small(), ROW, OTHERS)
        bank.send([office.did], [done.decision, done.explanation])
        office.receive()
        with pytest.raises(Undecidable):
            check(office, done.decision)
        shared = record(bank, small(), ROW, OTHERS, to=[office.did])
        office.receive()
        assert [one["step"] for one in check(office, shared.explanation)][-1] == "explanation"
        with pytest.raises(Misuse, match="model claim"):
            record(bank, small(), ROW, OTHERS, model=done.decision)


def test_claims_are_read_strictly(tmp_path: Path) -> None:
    with Troth.init(tmp_path / "one", PASSPHRASE, Settings("one", "", ""), cost=MIN_COST) as party:
        done = record(party, small(), ROW, OTHERS)
        for claim, kind in ((done.decision, DecisionClaim), (done.explanation, ExplanationClaim)):
            statement = party.statement(claim)
            assert kind.of(statement).body() == dict(statement.body)
            bodies: list[dict[str, Any]] = [dict(statement.body) | {"more": 1}]
            bodies += [{name: value for name, value in statement.body.items() if name != left}
                       for left in statement.body]
            bodies += [dict(statement.body) | {name: 7} for name in statement.body]
            bodies += [dict(statement.body) | {"document": "00" * 32}]
            for body in bodies:
                with pytest.raises(TrothError):
                    kind.of(replace(statement, body=body))
        for data in (b"{}", b"[]", Decision.make(small(), ROW, bytes(32)).to_bytes().replace(b'"4"', b'"04"')):
            with pytest.raises(BadInput):
                Decision.from_bytes(data)
            with pytest.raises(BadInput):
                Reasons.from_bytes(data)
        assert compared(small(), np.array([[0.0, 0.0], [99.0, 0.0]])).tolist() == [[0, 0]]
        with pytest.raises(Undecidable):
            trained(party, bytes(32))
