"""SQLite files that several processes use at once."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator

from troth.core.errors import BadInput, OutsideFailed

_STEP = 0.005  # seconds between two tries


def write_ahead(db: sqlite3.Connection, wait: float) -> None:
    """Put the file into write-ahead mode, waiting up to ``wait`` seconds for another process that does the same.

    SQLite waits by itself for every lock but this one: of two processes that make a file at once, one is told at once
    that it is locked. Raises ``sqlite3.OperationalError``.
    """
    until = time.monotonic() + wait
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(_STEP)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool = True) -> Iterator[None]:
    """One transaction that has the write lock from its start: all of it or nothing.

    durable: on the disk, not only with the system, when this returns. Raises ``sqlite3.Error``.
    """
    db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def laid_out(db: sqlite3.Connection, application: int, layout: int, schema: str) -> tuple[int, int] | None:
    """Lay out an empty file, and mark it; inside a transaction. None then, else the (application id, layout) it has.

    schema: statements, parted by semicolons. Raises ``sqlite3.Error``.
    """
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark == 0 and tables == 0:
        for statement in schema.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id={application}")
        db.execute(f"PRAGMA user_version={layout}")
        return None
    (found,) = db.execute("PRAGMA user_version").fetchone()
    return mark, found


@contextlib.contextmanager
def translated(what: str, failed: str, unreadable: str) -> Iterator[None]:
    """SQLite's errors as ours. what: the file, in words. failed, unreadable: what to do in either case.

    Raises OutsideFailed where the machine fails (a lock, no space), BadInput where the file is none of SQLite's.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutsideFailed(f"{what} failed: {error}", do=failed) from error
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{what} cannot be read: {error}", do=unreadable) from error
