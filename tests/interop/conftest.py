"""Other people's tools for the interop tests: where they lie, and how they are run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE = 120.0
"""Seconds for one run of a tool."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a deeper suite with its own make target."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def python_of() -> Callable[[str], Path]:
    """The interpreter of a tool's own environment, by the name of its requirements file."""
    def find(name: str) -> Path:
        found = ROOT / "build" / f"{name}-venv" / "bin" / "python"
        assert found.exists(), f"{found} is missing: make interop"
        return found
    return find


def run(*command: object, given: str = "") -> str:
    """What a tool prints; the test fails with its errors if it fails."""
    done = subprocess.run([str(one) for one in command], input=given, capture_output=True, text=True,
                          cwd=HERE / "tools", timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


@pytest.fixture(scope="session")
def node() -> Callable[..., str]:
    """Run a script of ``tools/`` with Node: what it prints. ``given``: its standard input."""
    def call(script: str, *arguments: object, given: str = "") -> str:
        assert (HERE / "tools" / "node_modules").exists(), "tests/interop/tools/node_modules is missing: make interop"
        return run("node", script, *arguments, given=given)
    return call
