"""The README and the tutorial do what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from docs.walk import Block, blocks, check, commands, walk

ROOT = Path(__file__).resolve().parents[2]


def test_tutorial_then_readme(tmp_path: Path) -> None:
    """One after the other in one folder: the README's commands look at what `troth demo` left there."""
    walk((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), tmp_path)
    assert (tmp_path / "out" / "report.html").exists()
    shutil.copytree(ROOT / "examples" / "rounds", tmp_path / "examples" / "rounds")
    walk((ROOT / "README.md").read_text(encoding="utf-8"), tmp_path)


def test_a_page_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    walk("```console\nfalse   # exit status 1\nmake nothing\necho one two\n```\n```text\none …\n```\n", tmp_path)
    for wrong in ("```console\nfalse\n```\n", "```console\ntrue # exit status 3\n```\n",
                  "```python\nassert False\n```\n", "```console\necho one\n```\n```text\ntwo\n```\n"):
        with pytest.raises(AssertionError):
            walk(wrong, tmp_path)


def test_reading_blocks() -> None:
    found = blocks("text\n```console\ntroth a  # exit status 3\n\nmake x\nb\n```\n```\nplain\n```\n")
    assert found[1] == Block("", "plain\n")
    assert commands(found[0]) == [("troth a", 3), ("b", 0)]
    check("a  b\nc d e\n", "a b\nc … e\n")
    with pytest.raises(AssertionError):
        check("a\nb\n", "b\na\n")


def test_bash_is_here() -> None:
    assert shutil.which("bash"), "the pages' commands are written for bash"
