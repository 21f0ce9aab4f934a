"""The index in a SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ports.index_suite import IndexSuite
from troth.core.errors import BadInput, OutsideFailed
from troth.ledger.projection_sql import SqliteStore


class TestSqlite(IndexSuite):
    def make(self) -> tuple[str, Callable[[], None]]:
        folder = Path(tempfile.mkdtemp(prefix="troth-index-"))
        return str(folder / "index"), lambda: shutil.rmtree(folder)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other"
    text.write_text("a thesis")
    sqlite3.connect(other).execute("CREATE TABLE mine (x)").connection.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(BadInput, match="not a"):
            SqliteStore(path)
        assert path.read_bytes() == before
    with pytest.raises(OutsideFailed, match="cannot be opened"):
        SqliteStore(tmp_path / "no" / "folder")
