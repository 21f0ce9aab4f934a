"""Answers with proofs and answers to be executed again: made, checked by others, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from troth.app import Settings, Troth
from troth.app.checking import verify_bundle
from troth.app.models import read_program
from troth.app.proving import Estimate, Proving, check, prove, read_input
from troth.compute.circuits.model import Modes
from troth.compute.circuits.packing import Packing
from troth.core.claims import Evidence, Statement
from troth.core.errors import BadInput, Misuse
from troth.core.verdicts import Outcome
from troth.fixed.program import Affine, Clamp, Forest, Program, Rescale, Tree
from troth.identity.keystore import MIN_COST
from troth.verify import groth16
from troth.verify.answers import ANSWER, GROTH16, KEY, PROOF, RERUN, Answer, packed, report
from troth.verify.trust import Witnesses

ROW = (3, -2, 7)


def model(seed: int = 1) -> Program:
    """A small network of three features and three classes."""
    rng = np.random.default_rng(seed)
    steps = (Affine(0, rng.integers(-9, 10, (4, 3)), rng.integers(-50, 50, 4)), Rescale(1, 2), Clamp(2, 0, 500),
             Affine(3, rng.integers(-9, 10, (3, 4)), rng.integers(-50, 50, 3)))
    return Program(np.full(3, -16), np.full(3, 15), steps, "largest")


MODEL, OTHER = model(), model(2)


def scores(program: Program = MODEL, row: tuple[int, ...] = ROW) -> tuple[int, ...]:
    return tuple(int(value) for value in program.run(np.array([row]))[0])


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troth]:
    with party(tmp_path_factory.mktemp("clinic"), "clinic") as found:
        yield found


def party(folder: Path, name: str) -> Troth:
    return Troth.init(folder / name, "x", Settings(name, f"embedded:{folder / 'chain'}", str(folder / "exchange")),
                      cost=MIN_COST)


@pytest.mark.parametrize("modes", [Modes(), Modes("committed", "public", "label"), Modes("committed")])
def test_an_answer_is_proven_and_checked_without_the_prover(clinic: Troth, modes: Modes,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    made = prove(clinic, MODEL, ROW, modes)
    expected = scores() if modes.output == "scores" else (int(np.argmax(scores())),)
    assert (made.answer.method, made.answer.scores, made.why) == (GROTH16, expected, "")
    monkeypatch.setattr(groth16, "_native", lambda: None)
    found = check(clinic, made.claim)
    assert (found.outcome, [step.outcome for step in found.steps]) == (Outcome.UPHELD, [Outcome.UPHELD] * 2)
    assert made.answer.origin == "dev"


def test_answers_under_one_key_are_counted_and_the_input_is_not_shown(clinic: Troth) -> None:
    first, second = prove(clinic, OTHER, ROW), prove(clinic, OTHER, (0, 0, 0))
    assert (first.proofs, second.proofs) == (1, 2)
    assert first.answer.model == second.answer.model
    assert first.answer.bound != second.answer.bound
    sealed = {one.name: one.sealed for one in clinic.statement(first.claim).evidence}
    assert sealed == {"proof": False, "verifying-key": False, "input": True}


def test_what_is_too_dear_is_executed_again_instead(clinic: Troth, tmp_path: Path) -> None:
    made = prove(clinic, MODEL, ROW, seconds=0)
    assert (made.answer.method, made.answer.scores) == (RERUN, scores())
    assert "of 0 s" in made.why
    assert "MiB" in prove(clinic, MODEL, (1, 1, 1), memory=1 << 20).why
    assert check(clinic, made.claim).outcome is Outcome.UPHELD
    with party(tmp_path, "stranger") as stranger:
        found = report(clinic.statement(made.claim), lambda one: None)
        assert found.outcome is Outcome.UNDECIDABLE
        assert stranger.did != clinic.did


def test_a_question_is_answered_for_itself(clinic: Troth) -> None:
    asked = prove(clinic, MODEL, (5, 5, 5), seconds=0).claim  # any claim serves as a question here
    made = prove(clinic, MODEL, ROW, question=asked)
    assert made.answer.question == asked
    assert clinic.statement(made.claim).all_refs("question") == (asked,)
    assert check(clinic, made.claim).outcome is Outcome.UPHELD


def forged(clinic: Troth, made: Any, **changes: Any) -> Statement:
    """The answer's claim with something else in it, as its own issuer could sign it."""
    said = replace(made.answer, **changes)
    return replace(clinic.statement(made.claim), subjects=said.subjects(), body=said.body())


def test_a_claim_that_says_something_else_than_its_proof_is_refuted(clinic: Troth) -> None:
    made, other = prove(clinic, MODEL, ROW), prove(clinic, OTHER, ROW)

    def read(evidence: Evidence) -> bytes | None:
        return clinic.read(evidence)

    assert report(clinic.statement(made.claim), read).outcome is Outcome.UPHELD
    low = made.answer.ranges[0][0]
    lies = {"other scores": {"scores": (made.answer.scores[0] - 1, *made.answer.scores[1:])},
            "other ranges": {"ranges": ((low - 1, made.answer.ranges[0][1]), *made.answer.ranges[1:])},
            "another input": {"bound": (5,)}, "another question": {"question": b"\1" * 32},
            "another key": {"model": other.answer.model}, "another context": {"context": 5}}
    for name, lie in lies.items():
        assert report(forged(clinic, made, **lie), read).outcome is Outcome.REFUTED, name
    stolen = replace(clinic.statement(made.claim), issuer="did:key:zSomebodyElse")
    assert report(stolen, read).outcome is Outcome.REFUTED
    swapped = {PROOF: other, KEY: other}
    for name, whose in swapped.items():
        mine = [one for one in clinic.statement(made.claim).evidence if one.name != name]
        theirs = [one for one in clinic.statement(whose.claim).evidence if one.name == name]
        mixed = replace(clinic.statement(made.claim), evidence=(*mine, *theirs))
        assert report(mixed, read).outcome is Outcome.REFUTED, name
    truncated = report(clinic.statement(made.claim), lambda one: clinic.read(one)[:-1])
    assert truncated.outcome is Outcome.REFUTED
    wrong = prove(clinic, MODEL, ROW, seconds=0)
    assert report(forged(clinic, wrong, scores=(1, 2, 3), ranges=((0, 9),) * 3), read).outcome is Outcome.REFUTED


def test_a_bundle_is_upheld_by_a_key_that_you_believe(clinic: Troth, tmp_path: Path) -> None:
    made = prove(clinic, MODEL, ROW)
    clinic.deploy()
    clinic.anchor()
    clinic.bundle(made.claim, tmp_path / "answer.troth")

    def outcome(*keys: str) -> Outcome:
        trust = clinic.trust({"clinic": [clinic.did]}, clinic.log_pin(), {"name": "proven-answer", "keys": list(keys)},
                             Witnesses(0, ()))
        found = verify_bundle(tmp_path / "answer.troth", trust)
        return found.outcome

    assert outcome(made.answer.reading.hex()) is Outcome.UPHELD
    assert outcome("00" * 32) is Outcome.UNDECIDABLE


def test_what_is_refused_is_refused_before_anything_is_written(clinic: Troth, tmp_path: Path) -> None:
    before = len(list(clinic.claims(ANSWER)))
    with pytest.raises(BadInput, match="beyond the model's range"):
        prove(clinic, MODEL, (99, 0, 0))
    with pytest.raises(BadInput, match="another shape"):
        prove(clinic, MODEL, (1, 2))
    with pytest.raises(Misuse, match="no such way"):
        prove(clinic, MODEL, ROW, Modes("hidden"))
    assert len(list(clinic.claims(ANSWER))) == before
    file = tmp_path / "input.json"
    named = replace(MODEL, features=("a", "b", "c"))
    for text, why in (("[1, NaN, 2]", "no number"), ("[1, 2]", "another shape"), ('[1, "2", 3]', "not an input"),
                      ("{", "no JSON"), ('{"a": 1, "b": 2}', "other features"), ("[1e300, 0, 0]", "too large"),
                      ("[true, 0, 0]", "not an input")):
        file.write_text(text)
        with pytest.raises(BadInput, match=why):
            read_input(file, named)
    file.write_text(json.dumps({"c": 7, "b": -2, "a": 3}))
    assert read_input(file, named) == list(ROW)
    table = tmp_path / "input.csv"
    table.write_text("a,b,c\n3,-2,7\n")
    assert read_input(table, named) == list(ROW)
    table.write_text("a,b,c\n3,-2,7\n1,1,1\n")
    with pytest.raises(BadInput, match="several inputs"):
        read_input(table, named)
    file.write_bytes(MODEL.to_bytes()[:-5])
    with pytest.raises(BadInput):
        read_program(file)


def test_a_proof_for_another_circuit_is_refuted(clinic: Troth) -> None:
    proving, other = Proving(clinic, MODEL), Proving(clinic, OTHER)
    found, bound = other.prove(ROW, 5)
    said = Answer(GROTH16, bytes.fromhex(proving.key.digest), found.scores, found.ranges, "scores", context=5,
                  bound=bound, says=other.says)
    with pytest.raises((BadInput, groth16.Refuted)):
        groth16.verify(proving.key, groth16.Proof(found.proof), said.publics)
    assert proving.bound(ROW) == proving.prove(ROW, 9)[1]


def test_estimates_are_near_what_a_circuit_has() -> None:
    stump = Tree(np.array([0, -1, -1]), np.array([3, 0, 0]), np.array([1, 0, 0]), np.array([2, 0, 0]),
                 np.array([[0], [5], [7]]))
    forest = Program(np.full(3, -16), np.full(3, 15), (Forest(0, (stump,) * 20, np.array([1])),), "sign")
    rng = np.random.default_rng(4)
    wide = Program(np.full(30, -512), np.full(30, 511), (
        Affine(0, rng.integers(-127, 128, (32, 30)), rng.integers(-9, 9, 32)), Rescale(1, 7), Clamp(2, 0, 1 << 20),
        Affine(3, rng.integers(-127, 128, (2, 32)), rng.integers(-9, 9, 2))), "largest")
    from troth.compute.circuits.model import ModelCircuit

    for program in (forest, wide):
        for modes in (Modes(), Modes("committed")):
            real = ModelCircuit(program, modes).circuit.constraints
            assert real / 2 <= Estimate.of(program, modes).constraints <= real * 2


@pytest.mark.parametrize("seed", range(20))
def test_packing_is_the_circuits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.integers(-(1 << 50), 1 << 50, 12).tolist()
    high = [value + int(rng.integers(0, 1 << int(rng.integers(1, 60)))) for value in low]
    values = [int(rng.integers(a, b, endpoint=True)) for a, b in zip(low, high, strict=True)]
    assert packed(values, list(zip(low, high, strict=True))) == Packing(low, high).ints(values)
