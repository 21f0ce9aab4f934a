"""The page on training together does what it says, in real processes that meet at a post office (`make crashes`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from docs.walk import walk

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_joining(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "rounds", tmp_path, dirs_exist_ok=True)
    page = (ROOT / "docs" / "reference" / "joining.md").read_text(encoding="utf-8")
    walk("```console\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n```\n" + page, tmp_path)
