"""``python -m tests.mutants``: change the rules, one small thing at a time, and see whether the tests notice.

A bounded sample by default, the same each time; ``--all`` for every mutant, ``--planted`` for the planted alone.
Exits 1 if fewer than 95 % of the sample are killed, or if a planted one survives.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Loaded once, before every fork; the package itself only after it, from the mutated tree.
import coincurve  # noqa: F401
import pytest  # noqa: F401
from tests.mutants import checks, planted, python_sites, solidity_sites

ROOT = Path(__file__).parents[2]
PYTHON = [f"src/troth/core/{name}.py" for name in ("deals", "deals_terms", "settlement", "payouts", "terms", "packed")]
SOLIDITY = ["contracts/src/Book.sol", "contracts/src/Shape.sol",
            *(f"contracts/src/libraries/{name}.sol" for name in (
                "Settle", "TermsLib", "Results", "Calls", "History", "Pieces", "Rungs", "Asking", "Walk", "States"))]
COMPILED = {"Assumed", "Rerun", "Signed", "Preimage", "Quorum", "Median", "Vote", "Quote", "Mandated"}
"""The policies, each held to its own cases."""
LEAST = 0.95
MEMORY = 4 << 30  # bytes of address space; a loop that collects for ever ends there
LIMIT = 90  # seconds of processor time a mutant may take; one that takes longer is noticed by that
LIMIT_ON_CHAIN = 600


class Tree:
    """A copy of what the checks need, to mutate."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="troth-mutants-"))
        quiet = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
        for part in ("src/troth", "contracts", "tests/core", "tests/ports", "tests/stateful", "tests/mutants",
                     "tests/contracts", "tests/verify_policies"):
            shutil.copytree(ROOT / part, self.root / part, ignore=quiet)
        shutil.copy(ROOT / "pyproject.toml", self.root)
        (self.root / "contracts" / "node_modules").symlink_to(ROOT / "contracts" / "node_modules")

    def judge(self, path: str, text: str, traces: Path) -> str | None:
        """What noticed the mutant: "" for one that does not compile, None for nothing."""
        target = self.root / path
        whole = target.read_text("utf-8")
        target.write_text(text, "utf-8")
        try:
            if path.endswith(".py"):
                return apart(checks.policies if "/policies/" in path else checks.python, self.root, traces)
            return self._contract(path, traces)
        finally:
            target.write_text(whole, "utf-8")
            for cached in self.root.joinpath("src").rglob("__pycache__"):
                shutil.rmtree(cached)

    def _contract(self, path: str, traces: Path) -> str | None:
        name = Path(path).stem if Path(path).stem in COMPILED else "Book"
        source = f"src/policies/{name}.sol" if name in COMPILED else "src/Book.sol"
        compiled = subprocess.run(["node", str(Path(__file__).parent / "compile.mjs"), str(self.root), source, name],
                                  capture_output=True, text=True)
        if compiled.returncode:
            return ""
        shipped = self.root / f"src/troth/ledger/artefacts/{name}.json"
        whole = shipped.read_text("utf-8")
        shipped.write_text(json.dumps(json.loads(whole) | {"bytecode": compiled.stdout.strip()}), "utf-8")
        try:
            return apart(checks.policies if name in COMPILED else checks.contract, self.root, traces)
        finally:
            shipped.write_text(whole, "utf-8")

    def remove(self) -> None:
        shutil.rmtree(self.root)


def apart(check: Callable[..., str | None], root: Path, *arguments: Any) -> str | None:
    """Run a check in a forked process that takes the package from ``root``."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_apart, args=(theirs, check, root, arguments))
    process.start()
    theirs.close()
    try:
        told: str | None = ours.recv()
    except EOFError:
        told = "the process ended, or would not"
    process.join()
    return told


def _apart(pipe: Any, check: Callable[..., str | None], root: Path, arguments: tuple[Any, ...]) -> None:
    sys.path[:0] = [str(root / "src"), str(root / "tests")]
    sys.dont_write_bytecode = True
    os.chdir(root)
    limit = LIMIT if check is checks.python else LIMIT_ON_CHAIN
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with Path(os.devnull).open("w") as quiet, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        try:
            told = check(root, *arguments)
        except Exception as error:  # whatever a mutant breaks, it was noticed
            told = f"{type(error).__name__}: {error}"[:200]
    pipe.send(told)
    pipe.close()
    os._exit(0)


def sample(paths: list[str], kind: Any, size: int, seed: int) -> list[Any]:
    """``size`` mutants of these files, the same for one seed; 0 for all."""
    found = [mutant for path in paths for mutant in kind.mutants(path, (ROOT / path).read_text("utf-8"))]
    return found if not size else random.Random(seed).sample(found, min(size, len(found)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=int, default=120, help="how many mutants of the Python core")
    parser.add_argument("--solidity", type=int, default=24, help="how many mutants of the contract")
    parser.add_argument("--all", action="store_true", help="every mutant: hours")
    parser.add_argument("--planted", action="store_true", help="the planted mutants alone")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--examples", type=int, default=120, help="how many runs of the state machine are recorded")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--match", default="", help="only mutants whose file or description has this text")
    asked = parser.parse_args()
    todo = [(one.path, one.line, one.what, one.text, "planted") for one in planted.mutants(ROOT)
            if asked.planted or (asked.python if one.path.endswith(".py") else asked.solidity)]
    if not asked.planted:
        for paths, kind, size in ((PYTHON, python_sites, asked.python), (SOLIDITY, solidity_sites, asked.solidity)):
            if size or asked.all:
                found = sample(paths, kind, 0 if asked.all else size, asked.seed)
                todo += [(one.path, one.line, one.what, one.text, kind.__name__.split(".")[-1]) for one in found]
    return run([one for one in todo if asked.match in f"{one[0]} {one[2]}"], asked.jobs, asked.examples)


def run(todo: list[tuple[str, int, str, str, str]], jobs: int, examples: int) -> int:
    started = time.time()
    trees = [Tree() for _ in range(jobs)]
    traces = trees[0].root / "traces"
    print(apart(checks.record, trees[0].root, traces, examples), flush=True)
    free = list(trees)
    try:
        kinds = {one[0].endswith(".py") for one in todo}
        for check in [*[checks.python] * (True in kinds), *[checks.contract] * (False in kinds)]:
            # The tests must let the rules pass as they are, else they notice everything.
            noticed = apart(check, trees[0].root, traces)
            if noticed is not None:
                print(f"the tests fail without any mutant: {noticed}")
                return 2

        def one(what: tuple[str, int, str, str, str]) -> tuple[tuple[str, int, str, str, str], str | None]:
            tree = free.pop()
            try:
                return what, tree.judge(what[0], what[3], traces)
            finally:
                free.append(tree)

        with ThreadPoolExecutor(jobs) as pool:
            judged = []
            for found in pool.map(one, todo):
                judged.append(found)
                (path, line, what, _, group), told = found
                word = {None: "SURVIVED", "": "does not compile"}.get(told, "killed")
                print(f"{word:16} {group:14} {path}:{line}  {what}  [{told}]"[:240], flush=True)
    finally:
        for tree in trees:
            tree.remove()
    return report(judged, time.time() - started)


def report(judged: list[tuple[tuple[str, int, str, str, str], str | None]], seconds: float) -> int:
    """The shares, and the exit status."""
    good = True
    for group in sorted({what[4] for what, _ in judged}):
        ours = [told for what, told in judged if what[4] == group and told != ""]
        killed = sum(told is not None for told in ours)
        print(f"{group}: {killed} of {len(ours)} killed ({killed / max(1, len(ours)):.1%})")
        good = good and killed >= len(ours) * (1 if group == "planted" else LEAST)
    print(f"{seconds:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
