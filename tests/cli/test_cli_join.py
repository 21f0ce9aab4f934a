"""``troth join``: which file is no invitation is said by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_cut_invitation_is_named(run: Any, tmp_path: Path) -> None:
    (tmp_path / "INVITE north").write_text('{"documents": "ab')
    said = str(run(".", "join", "INVITE north", "--check-only", status=2)["said"])
    assert said.startswith("INVITE north: not JSON")
