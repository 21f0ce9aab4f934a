"""Times and durations on the command line: read by one helper, shown in UTC, and integers in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from troth.app import Settings, Troth
from troth.cli.main import app
from troth.cli.parts import show
from troth.core.errors import BadInput
from troth.identity.keystore import MIN_COST

PASSPHRASE = "correct horse"  # as in conftest.py


def test_every_option_in_seconds_takes_a_duration() -> None:
    def walk(command: Any) -> list[Any]:
        if hasattr(command, "commands"):
            return [one for child in command.commands.values() for one in walk(child)]
        return [(command.name, one) for one in command.params]

    found = [(name, one) for name, one in walk(typer.main.get_command(app))
             if "econds" in (getattr(one, "help", "") or "")]
    assert len(found) > 8
    assert [(name, one.name) for name, one in found if one.metavar != "DURATION"] == []


def test_a_duration_is_read_and_bounded(run: Any, tmp_path: Path) -> None:
    with Troth.init(tmp_path / "me", PASSPHRASE, Settings("me", "", ""), cost=MIN_COST):
        pass
    assert run("me", "device", "check", "did:example:1", "--tolerance", "2min", status=3)
    assert "not a duration" in str(run("me", "device", "check", "did:example:1", "--tolerance", "2m", status=2)["said"])
    said = str(run("me", "x402", "allow", "--payment", "1", "--day", "1", "--life", "2h", status=2)["said"])
    assert "at most 1 h" in said
    assert "2 h" in said
    (tmp_path / "me" / "rows.csv").write_text("a\n1\n")
    with Troth.open(tmp_path / "me", PASSPHRASE) as party:
        did, now = party.did, party.clock.now()
    run("me", "consent", "give", "rows.csv", "--purpose", "training", "--to", did, "--until", "3d", "--opening",
        "o.json")
    (one,) = run("me", "consent", "list")["consents"]
    assert now + 3 * 86_400 <= one["until"] <= now + 3 * 86_400 + 600
    assert "not a time" in str(run("me", "consent", "give", "rows.csv", "--purpose", "training", "--to", did, "--until",
                                   "soon", "--opening", "p.json", status=2)["said"])


def test_seconds_are_shown_as_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    show({"deadline": 1_795_875_300, "nonce": 1_795_875_300}, False)
    text = capsys.readouterr().out
    assert text.startswith("deadline: 2026-11-28 14:15 UTC (")
    assert "nonce: 1795875300" in text
    show({"deadline": 1_795_875_300}, True)
    assert capsys.readouterr().out == '{"deadline": 1795875300}\n'


def test_a_bad_duration_is_bad_input() -> None:
    from troth.cli.parts import lasting

    read = lasting("--x", "So long.", 10, 20).parser
    assert [read(text) for text in ("10", "20s", 15)] == [10, 20, 15]
    for text in ("9", "21s", "1.5s", "-1"):
        with pytest.raises(BadInput):
            read(text)
