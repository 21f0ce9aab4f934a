"""Commands in this process: starting one for each takes seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from typer.main import get_command
from typer.testing import CliRunner

from troth.cli.main import app
from troth.core.errors import TrothError

PASSPHRASE = "correct horse"
Run = Callable[..., dict[str, object]]


@cache
def commands() -> Any:
    """All commands, put together once: `CliRunner.invoke` does it anew each time, which takes longer than most run."""
    return get_command(app)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of `troth` in a party's folder, in this process; what it prints as JSON.

    status: of the error that it must end with. found: of what it prints, where that is not 0.
    """
    monkeypatch.setenv("TROTH_PASSPHRASE", PASSPHRASE)
    monkeypatch.setattr(typer.testing, "_get_command", lambda _: commands())

    def command(party: str, *words: str, status: int = 0, found: int = 0) -> dict[str, object]:
        monkeypatch.chdir(tmp_path / party)
        done = CliRunner().invoke(app, [*words, "--json"])
        if status:
            assert isinstance(done.exception, TrothError), (words, done.output)
            assert done.exception.exit_status == status, (words, done.exception)
            return {"said": str(done.exception)}
        assert isinstance(done.exception, SystemExit) if found else done.exception is None, (words, done.output,
                                                                                             done.exception)
        assert done.exit_code == found, (words, done.output)
        printed = json.loads(done.stdout)
        assert isinstance(printed, dict)
        return printed
    return command
