"""Runs as claims: recorded, read strictly, compared; numbers stay exact and nothing names a person or a host."""

from __future__ import annotations

import getpass
import json
import math
import platform
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from formats_parts import PASSPHRASE, FixedClock
from hypothesis import given
from hypothesis import strategies as st

import troth
from troth.app import Troth
from troth.app.running import Recorder, artefact
from troth.core.claims import Statement
from troth.core.encoding import encode
from troth.core.errors import BadInput, Misuse, Refuted
from troth.formats.runs import RUN, Artefact, Metric, Run, compare, decimal_text, read_decimal

SAMPLE = Run("train", "finished", 10, 20, {"lr": "0.1"}, {"loss": Metric("0.25", 3)},
             (Artefact("rows.csv", b"\x01" * 32, 20),), (Artefact("model", b"\x02" * 32, 7, 2),),
             {"python": "3.11"}, {"commit": "ab"})


def claim_of(run: Run, **changed: Any) -> Statement:
    return Statement(RUN, "did:key:zA", 30, changed.pop("subjects", run.subjects()), run.body() | changed)


# Numbers

@given(st.floats())
def test_a_float_becomes_the_decimal_that_reads_back(value: float) -> None:
    text = decimal_text(value)
    assert math.isnan(value) if text == "NaN" else float(read_decimal(text)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-10**20, max_value=10**20))
def test_one_number_has_one_spelling(value: Decimal) -> None:
    text = decimal_text(value)
    assert read_decimal(text) == value
    assert decimal_text(text) == text
    encode({"value": text})


@pytest.mark.parametrize("text", ["1.0", "01", "1e5", "+1", ".5", "5.", "-0", "", "1,5", "nan", "0x1", 1, 0.5, None,
                                  "1" * 2_000, " 1", "1\n"])
def test_other_spellings_of_numbers_are_refused(text: Any) -> None:
    with pytest.raises(BadInput):
        read_decimal(text)


@pytest.mark.parametrize("value", ["no number", "1e999", "", "0x10"])
def test_what_is_no_number_is_no_metric(value: str) -> None:
    with pytest.raises(BadInput):
        decimal_text(value)


# The claim

def test_a_run_is_read_as_it_was_written() -> None:
    assert Run.of(claim_of(SAMPLE)) == SAMPLE
    for bare in (replace(SAMPLE, models=()), replace(SAMPLE, models=(), data=())):
        assert Run.of(claim_of(bare)) == bare


@pytest.mark.parametrize("change", [
    {"metrics": {"loss": {"step": 3, "value": "0.24"}}}, {"params": {"lr": "0.2"}}, {"status": "failed"}])
def test_a_changed_run_without_artefacts_is_not_its_subject(change: dict[str, Any]) -> None:
    """Where a run made and read nothing, its subject is the digest of all that it says."""
    bare = replace(SAMPLE, models=(), data=())
    with pytest.raises(BadInput, match="subjects"):
        Run.of(claim_of(bare, **change))


@pytest.mark.parametrize("change", [
    {"metrics": {"loss": {"step": 3, "value": "0.250"}}}, {"metrics": {"loss": "0.25"}}, {"status": "running"},
    {"params": {"lr": 1}}, {"params": []}, {"ended_at": 5}, {"started_at": -1}, {"surplus": 1}, {"name": None},
    {"metrics": {"loss": {"step": "3", "value": "1"}}}, {"data": [{"name": "a"}]}, {"environment": {"x": 1}},
    {"models": [{"name": "m", "sha256": "AB" * 32, "bytes": 1, "files": 0}]},
    {"data": [{"name": "m", "sha256": "ab" * 32, "bytes": -1, "files": 0}]}])
def test_a_malformed_run_is_bad_input(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Run.of(claim_of(SAMPLE, **change))


@pytest.mark.parametrize("name", sorted(SAMPLE.body()))
def test_every_field_of_a_run_is_required(name: str) -> None:
    body = SAMPLE.body()
    del body[name]
    with pytest.raises(BadInput):
        Run.of(Statement(RUN, "did:key:zA", 30, SAMPLE.subjects(), body))


def test_a_run_does_not_say_everything() -> None:
    many = {str(number): "1" for number in range(11_000)}
    for long in (replace(SAMPLE, params={"x": "y" * 9_000}), replace(SAMPLE, params=many)):
        with pytest.raises(BadInput, match="says too much"):
            Run.of(claim_of(long))


def test_a_changed_metric_is_another_claim_and_its_signature_is_gone(party: Troth, tmp_path: Path) -> None:
    with troth.run("train", workspace=party) as run:
        run.metric("loss", 0.25)
    assert run.claim is not None
    envelope = party.envelope(run.claim)
    changed = replace(envelope, payload=envelope.payload.replace(b'"0.25"', b'"0.15"'))
    assert changed.id != run.claim
    with pytest.raises(Refuted):
        party.keybook.verify(party.did, changed.signed_bytes(), [(one.method, one.value) for one in changed.signatures])


# Recording

def test_a_run_says_what_was_read_measured_and_made(party: Troth, clock: FixedClock, tmp_path: Path,
                                                    model: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("age,score\n41,7\n")
    listed = party.attest("dataset", [artefact(rows).subject], {})
    with troth.run("train", workspace=party) as run:
        data = run.data(rows, claim=listed)
        run.params({"lr": 0.1, "epochs": 3, "warm": True, "rule": "adam"})
        for step, loss in enumerate((0.5, 1e-7, 0.30000000000000004)):
            run.metric("loss", loss, step)
        made = run.model(model)
        clock.time += 7
    assert run.claim is not None
    statement = party.statement(run.claim)
    said = Run.of(statement)
    assert (said.status, said.ended_at - said.started_at) == ("finished", 7)
    assert said.params == {"lr": "0.1", "epochs": "3", "warm": "true", "rule": "adam"}
    assert said.metrics == {"loss": Metric("0.30000000000000004", 2)}
    assert (said.data, said.models) == ((data,), (made,))
    assert made.files == 4  # git's too: a run's digest passes nothing over
    assert statement.all_refs("data") == (listed,)
    assert [one.name for one in statement.subjects] == ["model"]
    (packages,) = statement.evidence
    assert b"pytest==" in party.read(packages)


def test_nothing_names_the_host_or_the_user(party: Troth, tmp_path: Path) -> None:
    with troth.run("train", workspace=party) as run:
        run.metric("loss", 1)
    assert run.claim is not None
    statement = party.statement(run.claim)
    text = json.dumps(dict(statement.body)) + party.read(statement.evidence[0]).decode()
    for private in (platform.node(), getpass.getuser(), str(tmp_path), str(Path.cwd())):
        assert len(private) < 4 or private not in json.dumps(dict(statement.body)), private
    assert PASSPHRASE not in text


def test_a_run_that_fails_says_so_and_the_error_goes_on(party: Troth) -> None:
    run = troth.run("train", workspace=party)
    with pytest.raises(ZeroDivisionError), run:
        run.metric("loss", 1 // 0)
    assert run.claim is not None
    assert Run.of(party.statement(run.claim)).status == "failed"


def test_misuse_of_a_recorder(party: Troth, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text(name)
    with troth.run("train", workspace=party) as run:
        run.param("lr", 1)
        run.param("lr", 1)
        with pytest.raises(Misuse, match="one value"):
            run.param("lr", 2)
        run.data(tmp_path / "a" / "rows.csv")
        with pytest.raises(Misuse, match="of one name"):
            run.data(tmp_path / "b" / "rows.csv")
    assert run.claim is not None
    said = Run.of(party.statement(run.claim))
    assert (said.params, len(said.data)) == ({"lr": "1"}, 1)
    with pytest.raises(Misuse, match="once"), run:
        raise AssertionError


def test_a_workspace_is_not_held_while_the_run_lasts(tmp_path: Path, make: Callable[[str], Troth],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    make("busy").close()
    monkeypatch.setenv("TROTH_PASSPHRASE", PASSPHRASE)
    with troth.run("train", workspace=tmp_path / "busy") as run:
        run.metric("loss", 1)
        with Troth.open(tmp_path / "busy", PASSPHRASE) as other:
            other.attest("dataset", [artefact(Path(__file__)).subject], {})
    with Troth.open(tmp_path / "busy", PASSPHRASE) as again:
        assert [claim for claim, _ in again.claims(RUN)] == [run.claim]
        assert again.log.size == 2


def test_without_a_workspace_or_a_passphrase_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROTH_PASSPHRASE", raising=False)
    monkeypatch.delenv("TROTH_HOME", raising=False)
    with pytest.raises(Misuse, match="passphrase"), troth.run(workspace=tmp_path):
        raise AssertionError
    monkeypatch.setenv("TROTH_PASSPHRASE", PASSPHRASE)
    with pytest.raises(Misuse, match="no workspace"), troth.run(workspace=tmp_path):
        raise AssertionError


def test_a_recorder_that_never_began_attests_nothing() -> None:
    Recorder(lambda: pytest.fail("opened"), "x").__exit__(None, None, None)


# Comparing

def test_runs_are_compared_by_what_they_say() -> None:
    other = replace(SAMPLE, params={"lr": "0.2", "seed": "1"}, metrics={"loss": Metric("0.2"), "auc": Metric("NaN")},
                    source={"commit": "cd"})
    found = {(one.what, one.name): (one.values, one.delta) for one in compare([SAMPLE, other])}
    assert found == {
        ("param", "lr"): (("0.1", "0.2"), None), ("param", "seed"): ((None, "1"), None),
        ("metric", "loss"): (("0.25", "0.2"), "-0.05"), ("metric", "auc"): ((None, "NaN"), None),
        ("source", "commit"): (("ab", "cd"), None)}
    assert compare([SAMPLE, SAMPLE, SAMPLE]) == ()


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_difference_is_exact_in_decimals(one: float, other: float) -> None:
    runs = [replace(SAMPLE, metrics={"loss": Metric(decimal_text(value))}) for value in (one, other)]
    found = [row.delta for row in compare(runs) if row.what == "metric"]
    assert found == ([] if one == other else [decimal_text(Decimal(repr(other)) - Decimal(repr(one)))])
