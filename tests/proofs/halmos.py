"""Halmos: proves the properties of ``contracts/proofs/halmos`` on the shipped Book, for all values of the arguments."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import forge

ROOT = forge.ROOT
HALMOS = "build/halmos-venv/bin/halmos"
_LINE = re.compile(r"\[(PASS|FAIL|ERROR|TIMEOUT)\].*? (check_\w+)\(")


@dataclass(frozen=True, slots=True)
class Proved:
    """proved and refuted: names of properties; one that was neither (a timeout, an error) counts as refuted."""

    proved: list[str]
    refuted: list[str]
    text: str

    @property
    def held(self) -> bool:
        return bool(self.proved) and not self.refuted


def properties(root: Path) -> set[str]:
    """The names of all properties in the sources."""
    text = (root / "contracts/proofs/halmos/BookProof.t.sol").read_text("utf-8")
    return set(re.findall(r"function (check_\w+)\(", text))


def run(root: Path, only: str = "check_") -> Proved:
    """Proves the properties whose name begins with ``only`` in the tree at ``root``."""
    forge.code(root, "Book")
    done = subprocess.run(
        [str(root / HALMOS), "--root", ".", "--forge-build-out", "../build/halmos/out", "--no-status",
         "--function", only, "--solver-timeout-assertion", "0"],
        cwd=root / "contracts", capture_output=True, text=True, check=False,
        env=os.environ | {
            "PATH": f"{(root / forge.FORGE).parent}:{root / 'build/halmos-venv/bin'}:{os.environ['PATH']}",
            "FOUNDRY_PROFILE": "halmos", "NO_COLOR": "1",
        },
    )
    # What Halmos says of the code it runs is the code itself, indented, over a screen and more.
    text = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(" " * 8))
    said = {name: how for how, name in _LINE.findall(re.sub(r"\x1b\[\d+m", "", text))}
    expected = {name for name in properties(root) if name.startswith(only)}
    proved = sorted(name for name in expected if said.get(name) == "PASS")
    return Proved(proved, sorted(expected - set(proved)), text)
