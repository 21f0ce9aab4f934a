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
