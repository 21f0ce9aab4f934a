"""`troth privacy`: budgets, what is spent, what rounds would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.conftest import PASSPHRASE, Run
from troth.app import Settings, Troth
from troth.app.privacy import opened
from troth.cli.main import app
from troth.flows.roles import list_records
from troth.identity.keystore import MIN_COST
from troth.learn.data import Part
from troth.learn.privacy.mechanisms import Mechanism
from troth.learn.sets import breast_cancer

UNIT = 1 << 28


@pytest.fixture
def listing(tmp_path: Path) -> str:
    part: Part = breast_cancer().rows(range(30))
    with Troth.init(tmp_path / "site", PASSPHRASE, Settings("site", "", ""), cost=MIN_COST) as party:
        sealed = party.seal_records(part.to_bytes(), part.to_bytes().splitlines())
        return list_records(party, part, sealed.commitment, sealed.evidence).hex()


def test_a_budget_from_the_command_line(run: Run, listing: str, tmp_path: Path) -> None:
    assert run("site", "privacy", "show") == {"data": []}
    run("site", "privacy", "show", listing, status=3)
    said: dict[str, Any] = run("site", "privacy", "budget", listing, "--epsilon", "2.5", "--delta", "1e-5")
    assert (said["budget"], said["delta"], said["spent"], said["records"]) == ("2.5", "0.00001", "0", 30)
    refused = run("site", "privacy", "budget", listing, "--epsilon", "3", status=2)
    assert "more than was promised" in str(refused["said"])
    run("site", "privacy", "budget", listing, "--epsilon", "3", "--raise")
    run("site", "privacy", "budget", listing, "--epsilon", "none", status=2)
    with Troth.open(tmp_path / "site", PASSPHRASE) as party, opened(party) as privacy:
        one = bytes.fromhex(listing)
        claim = privacy.begin(one, privacy.reserve(one, Mechanism(UNIT, 4 * UNIT), "round 1"), "round 1")
    (shown,) = run("site", "privacy", "show", listing)["data"]  # type: ignore[attr-defined]
    assert shown["spendings"][0]["purpose"] == "round 1"
    assert 0.5 < float(shown["spent"]) < 2
    plain = CliRunner().invoke(app, ["privacy", "show"])
    assert "round 1" in plain.stdout, plain.output
    assert run("site", "privacy", "check", claim.hex())["outcome"] == "upheld"
    on_top: dict[str, Any] = run("site", "privacy", "estimate", "--steps", "1", "--noise", "4", "--listing", listing)
    assert float(on_top["epsilon"]) == pytest.approx(float(shown["spent"]), rel=1e-4)
    assert float(on_top["total"]) > float(on_top["epsilon"])


def test_estimates_need_no_workspace(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    common = ("privacy", "estimate", "--steps", "50", "--records", "500", "--batch", "50", "--rounds", "2")
    cost: dict[str, Any] = run("nowhere", *common, "--noise", "1.5")
    found: dict[str, Any] = run("nowhere", *common, "--epsilon", cost["epsilon"])
    assert float(found["noise"]) == pytest.approx(1.5, rel=0.01)
    run("nowhere", *common, status=2)
    run("nowhere", *common, "--noise", "1", "--epsilon", "1", status=2)


@pytest.mark.parametrize("wrong", ["0", "abc", "nan"])
def test_what_is_no_epsilon_is_refused_before_anything_is_read(run: Run, wrong: str) -> None:
    said = run(".", "join", "INVITE", "--check-only", "--epsilon", wrong, status=2)
    assert "not an epsilon" in str(said["said"])
