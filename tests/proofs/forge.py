"""Forge: fuzz tests and invariants of ``contracts/proofs/forge``, against the shipped bytecode of the Book."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORGE = "tests/tools/node_modules/@foundry-rs/forge-linux-amd64/bin/forge"

# What a run of the invariants must have brought about, or its steering has failed.
DEEP = (
    "open", "openAndJoin", "join", "joinWithConsent", "submit", "submitAndJudge", "submitAndClose", "judge",
    "judgeAndClose", "no verdict", "challenge",
    "challenge of silence", "close", "close 1", "close 2", "close void", "kept", "collect", "collectMany", "sweep",
    "withdraw", "stop",
    "attack: join by another", "attack: consent to something else", "attack: answer unasked", "attack: answer again",
    "attack: judge again", "attack: close by other terms", "attack: close by another history", "attack: close again",
    "attack: collect again", "attack: collect another leaf", "attack: stop by another", "attack: withdraw for another",
)


@dataclass(frozen=True, slots=True)
class Depth:
    """Inputs a fuzz test, runs of the invariants, acts a run. ``seed``: None for another each time. ``shrink``: how
    often to try to shorten a run that failed."""

    inputs: int
    runs: int
    acts: int
    seed: int | None = None
    shrink: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """What Forge said, whether everything held, and what happened how often in the runs of the invariants."""

    held: bool
    text: str
    happened: Counter[str]

    def failures(self) -> list[str]:
        """Which tests failed, and why."""
        return sorted(set(re.findall(r"\[FAIL: ([^\];\n]*)", self.text)))

    def never(self) -> list[str]:
        """What should have happened and did not."""
        return [name for name in DEEP if not self.happened[name]]


def code(root: Path, name: str) -> None:
    """Writes a shipped artefact in the form that Forge's and Halmos's ``getCode`` read."""
    made = json.loads((root / f"src/troth/ledger/artefacts/{name}.json").read_text("utf-8"))
    path = root / f"build/forge/code/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"abi": made["abi"], "bytecode": {"object": "0x" + made["bytecode"]}}), "utf-8")


def run(root: Path, depth: Depth, *more: str) -> Found:
    """Runs the fuzz tests and invariants of the tree at ``root``. ``more``: further arguments for ``forge test``."""
    code(root, "Book")
    tally = root / "build/forge/tally"
    tally.unlink(missing_ok=True)
    settings = {
        "FOUNDRY_FUZZ_RUNS": str(depth.inputs),
        "FOUNDRY_INVARIANT_RUNS": str(depth.runs),
        "FOUNDRY_INVARIANT_DEPTH": str(depth.acts),
        "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": str(depth.shrink),
    }
    seed = ["--fuzz-seed", str(depth.seed)] if depth.seed is not None else []
    done = subprocess.run(
        [str(root / FORGE), "test", "--color", "never", *seed, *more], cwd=root / "contracts",
        env=os.environ | settings, capture_output=True, text=True, check=False,
    )
    happened: Counter[str] = Counter()
    for line in tally.read_text("utf-8").splitlines() if tally.exists() else ():
        for part in line.rstrip(";").split(";"):
            name, _, count = part.partition("=")
            if name:
                happened[name] += int(count)
    return Found(done.returncode == 0, done.stdout + done.stderr, happened)
