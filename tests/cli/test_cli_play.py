"""``troth play``: workspaces that the other commands then work in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from troth.app import Troth
from troth.app.peers import whose

PASSPHRASE = "correct horse"


def test_two_workspaces_by_one_command(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = run(".", "play", "alice", "bob", "--purse", "700")["workspaces"]
    assert (alice["name"], bob["holds"]) == ("alice", "700")
    assert run("bob", "chain", "status")["holds"] == "700"
    assert run("bob", "chain", "pay", alice["account"], "200")["holds"] == "500"
    (tmp_path / "alice" / "rows.csv").write_text("a\n1\n")
    claim = str(run("alice", "attest", "dataset", "--subject", "rows.csv")["claim"])
    went = run("alice", "push", bob["did"], claim[:16])
    assert (went["sent"], went["rests_on"], went["missing"]) == (1, 0, [])
    assert run("bob", "pull")["new"] == [claim]
    assert "parties are named by their DIDs" in str(run("alice", "push", "bob", claim, status=2)["said"])
    with Troth.open(tmp_path / "alice", PASSPHRASE) as party:
        known = whose(party)
    assert known[bytes.fromhex(bob["account"][2:])] == bob["did"]
    assert known[bytes.fromhex(alice["account"][2:])] == "this party"
    monkeypatch.setenv("TROTH_CHAIN_URL", "https://chain.example")
    assert "embedded chain alone" in str(run(".", "play", "carl", status=2)["said"])
    assert not (tmp_path / "carl").exists()
