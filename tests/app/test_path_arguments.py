"""A path may be given as text wherever a public function of the workspace takes one."""

from __future__ import annotations

import ast
from pathlib import Path

import troth.app
from troth import Settings, Troth, file_subject, verify_bundle
from troth.app.place import find
from troth.identity.keystore import MIN_COST

ROOM = Path(troth.app.__file__).parent


def _only_paths(file: Path) -> list[str]:
    """Public functions and methods of a file with a parameter that is a Path and may not be text."""
    found = []
    for scope in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(scope, ast.Module | ast.ClassDef) or getattr(scope, "name", "").startswith("_"):
            continue
        for function in scope.body:
            if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
                continue
            given = function.args
            for one in (*given.posonlyargs, *given.args, *given.kwonlyargs):
                names = {node.id for node in ast.walk(one.annotation or one) if isinstance(node, ast.Name)}
                if "Path" in names and "str" not in names:
                    found.append(f"{file.name}: {function.name}({one.arg})")
    return found


def test_every_public_function_takes_text_for_a_path() -> None:
    """mypy then refuses a function that says so and uses the text as a path."""
    files = sorted(ROOM.glob("*.py"))
    assert len(files) > 50
    assert [line for file in files for line in _only_paths(file)] == []


def test_a_workspace_lives_by_text_alone(tmp_path: Path) -> None:
    home = str(tmp_path / "alice")
    with Troth.init(home, "a passphrase", Settings("alice"), cost=MIN_COST) as alice:
        claim = alice.attest("dataset", [file_subject("rows.csv", b"1\n")], {"rows": 1})
    assert find(home) == tmp_path / "alice" / ".troth"
    with Troth.open(home, "a passphrase") as again:
        again.bundle(claim, str(tmp_path / "claim.troth"))
    assert verify_bundle(str(tmp_path / "claim.troth"), None).outcome == "undecidable"
