"""Bugs planted in a copy of the contracts: each proof tool is shown to fail on those that are its own to see."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import forge, halmos, slither

ROOT = forge.ROOT
BOOK = "contracts/src/Book.sol"
DEPTH = forge.Depth(inputs=20, runs=25, acts=150, seed=11, shrink=0)


@dataclass(frozen=True, slots=True)
class Bug:
    """old: text once in the file at ``path``, replaced by ``new``. halmos: the property that must fall."""

    what: str
    path: str
    old: str
    new: str
    forge: bool = True
    halmos: str = ""
    slither: bool = False


BUGS = (
    Bug("a leaf can be collected again and again", BOOK,
        "payout.collected[index >> 8] = word | bit;", "", halmos="check_collect"),
    Bug("a verdict can be recorded over another", BOOK,
        "if (state.judgedAt != 0) revert Judged();", "", halmos="check_no_second_verdict"),
    Bug("join takes the deposit of whoever is named, whoever calls", BOOK,
        "_joinable(deal, index);\n        // A fee pot's depositor is a role address, so no caller passes for it.\n"
        "        if (depositor != _msgSender()) revert NotDepositor();",
        "_joinable(deal, index);", halmos="check_join"),
    Bug("a payment that fails is credited twice", BOOK,
        "credit[token][account] += amount;", "credit[token][account] += 2 * amount;",
        halmos="check_close_pays_amounts"),
    Bug("a credit that was withdrawn stays", BOOK,
        "credit[token][account] = 0;", "", halmos="check_withdraw"),
    Bug("join does not look whether the token paid", BOOK,
        "if (!Calls.take(token, depositor, amount)) revert TransferFailed();",
        "Calls.take(token, depositor, amount);", slither=True),
)


def _copy() -> Path:
    """A copy of what the tools read, with what they install linked."""
    root = Path(tempfile.mkdtemp(prefix="troth-planted-"))
    quiet = shutil.ignore_patterns("node_modules", "__pycache__")
    for part in ("contracts", "src/troth/ledger/artefacts", "tests/mutants"):
        shutil.copytree(ROOT / part, root / part, ignore=quiet)
    # What was compiled of the tests stays as it is.
    for tool in ("forge", "halmos"):
        for part in ("out", "cache"):
            if (ROOT / "build" / tool / part).exists():
                shutil.copytree(ROOT / "build" / tool / part, root / "build" / tool / part)
    (root / "build").mkdir(exist_ok=True)
    (root / "tests/tools").mkdir(parents=True)
    for link in ("contracts/node_modules", "tests/tools/node_modules", "build/halmos-venv", "build/slither-venv"):
        (root / link).symlink_to((ROOT / link).resolve())
    return root


def _compile(root: Path) -> None:
    """Compiles the copy's Book and ships it there."""
    made = subprocess.run(
        ["node", str(root / "tests/mutants/compile.mjs"), str(root), "src/Book.sol", "Book"],
        capture_output=True, text=True, check=True,
    )
    path = root / "src/troth/ledger/artefacts/Book.json"
    shipped = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(shipped | {"bytecode": made.stdout.strip()}), "utf-8")


def judge(root: Path, bug: Bug) -> dict[str, list[str]]:
    """By tool that was asked, what it noticed of the bug in the copy at ``root``; an empty list: nothing."""
    target = root / bug.path
    whole = target.read_text("utf-8")
    if whole.count(bug.old) != 1:
        raise RuntimeError(f"planted: {bug.old!r} is {whole.count(bug.old)} times in {bug.path}")
    target.write_text(whole.replace(bug.old, bug.new), "utf-8")
    try:
        _compile(root)
        said: dict[str, list[str]] = {}
        if bug.forge:
            said["Forge"] = forge.run(root, DEPTH).failures()
        if bug.halmos:
            said["Halmos"] = halmos.run(root, bug.halmos).refuted
        if bug.slither:
            said["Slither"] = slither.run(root).unexplained
        return said
    finally:
        target.write_text(whole, "utf-8")


def run(only: str = "") -> Iterator[tuple[Bug, dict[str, list[str]]]]:
    """Each planted bug (whose name holds ``only``) and what was noticed of it."""
    root = _copy()
    try:
        for bug in BUGS:
            if only in bug.what:
                yield bug, judge(root, bug)
    finally:
        shutil.rmtree(root)
