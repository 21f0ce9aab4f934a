"""Files that several processes make at once: none of them is told that it is locked."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from troth.core.errors import OutsideFailed
from troth.ledger.chains.store import BlockStore
from troth.ledger.outbox import Outbox
from troth.ledger.projection_sql import SqliteStore
from troth.store.sqlite import write_ahead

FORK = multiprocessing.get_context("fork")
MAKERS: tuple[Callable[[Path], Any], ...] = (BlockStore, Outbox, SqliteStore)


def make(maker: Callable[[Path], Any], path: Path, start: Any, failed: Any) -> None:
    start.wait()
    try:
        maker(path).close()
    except OutsideFailed as error:
        failed.put(str(error))


@pytest.mark.parametrize("maker", MAKERS)
def test_processes_that_make_a_file_at_once(tmp_path: Path, maker: Callable[[Path], Any]) -> None:
    failed = FORK.SimpleQueue()
    for number in range(40):
        start = FORK.Barrier(3)
        made = [FORK.Process(target=make, args=(maker, tmp_path / f"{number}", start, failed)) for _ in range(3)]
        for process in made:
            process.start()
        for process in made:
            process.join()
            assert process.exitcode == 0
    assert failed.empty(), failed.get()


def hold(path: Path, held: Any) -> None:
    """Have what SQLite takes to change the journal's mode, for a while."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    held.set()
    time.sleep(0.3)
    db.execute("ROLLBACK")


@pytest.mark.parametrize("maker", MAKERS)
def test_a_maker_waits_for_the_one_before(tmp_path: Path, maker: Callable[[Path], Any]) -> None:
    """The same by design and not by chance: the other has the lock when this one asks."""
    path, held = tmp_path / "file", FORK.Event()
    other = FORK.Process(target=hold, args=(path, held))
    other.start()
    held.wait()
    maker(path).close()
    other.join()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_waiting_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(db, 0.05)
    (tmp_path / "x").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(sqlite3.connect(tmp_path / "x", isolation_level=None), 60)


def make_when_told(path: Path, told: Any, made: Any) -> None:
    told.wait()
    SqliteStore(path).close()
    made.set()


def test_an_index_made_between_two_looks_is_no_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marks and the tables of an index are read as of one moment."""
    path, asked, told, made = tmp_path / "index", SqliteStore.all, FORK.Event(), FORK.Event()
    # Forked before the file is open here: SQLite's locks do not survive a fork, and the other would wait for its own.
    other = FORK.Process(target=make_when_told, args=(path, told, made))
    other.start()

    def made_in_between(store: SqliteStore, statement: str, *values: Any) -> Any:
        found = asked(store, statement, *values)
        if statement == "PRAGMA user_version":
            monkeypatch.undo()
            told.set()
            made.wait(1)
        return found

    monkeypatch.setattr(SqliteStore, "all", made_in_between)
    SqliteStore(path).close()
    other.join()
    assert made.is_set()
    assert other.exitcode == 0
    SqliteStore(path).close()
