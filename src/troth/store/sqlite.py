"""SQLite files that several processes use at once."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from troth.core.closing import Closing
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


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file holds. name: in words. application, version: how the file is marked. schema: statements, parted by
    semicolons. failed, lost: what to do where the machine fails, and where the file cannot be read. from_before: what
    makes this version of the one before, for files that cannot be made again.
    """

    name: str
    application: int
    version: int
    schema: str
    failed: str
    lost: str
    from_before: str = ""


class SharedFile(Closing):
    """A file of one layout at ``path``, made where it is not there. Safe for threads and for several processes.

    path None: in memory, for as long as this object lives. ``_begun`` is for a layout that asks for more of a file.

    Raises BadInput if the file is something else, OutsideFailed if it cannot be opened.
    """

    LAYOUT: ClassVar[Layout]
    WAIT: ClassVar[float] = 60.0
    """Seconds to wait for another process's lock."""
    SECURE_DELETE: ClassVar[bool] = False
    """Whether what is deleted is overwritten."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        layout = self.LAYOUT
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False,
                                       timeout=self.WAIT)
        except sqlite3.Error as error:
            raise OutsideFailed(f"the {layout.name} {path} cannot be opened: {error}") from error
        try:
            with self._translated():
                write_ahead(self._db, self.WAIT)
                if self.SECURE_DELETE:
                    self._db.execute("PRAGMA secure_delete=ON")
            with self.writing():
                found = laid_out(self._db, layout.application, layout.version, layout.schema)
                if found is not None:
                    self._check_layout(*found)
                self._begun(new=found is None)
        except BaseException:  # also an interrupt: the file is closed, and the error goes on
            self._db.close()
            raise

    def _check_layout(self, application: int, version: int) -> None:
        layout = self.LAYOUT
        if layout.from_before and (application, version) == (layout.application, layout.version - 1):
            for statement in layout.from_before.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={layout.version}")
        elif (application, version) != (layout.application, layout.version):
            raise BadInput(f"{self.path} is no {layout.name} of this layout", do=layout.lost,
                           expected=f"application id {layout.application:#x}, layout {layout.version}",
                           actual=f"{application:#x}, {version}")

    def _begun(self, *, new: bool) -> None:
        """Inside the transaction that laid the file out, or found it laid out."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path or 'in memory'})"

    def close(self) -> None:
        """Close the file. Whatever was written stays."""
        with self._lock:
            self._db.close()

    def rows(self, query: str, *values: object) -> list[Any]:
        """What a query finds. Raises OutsideFailed, BadInput."""
        with self._lock, self._translated():
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        """One transaction that has the write lock from its start: all of it or nothing.

        durable: on the disk, not only with the system, when this returns. Raises OutsideFailed, BadInput.
        """
        with self._lock, self._translated(), transaction(self._db, durable=durable):
            yield

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return translated(f"the {self.LAYOUT.name} {self.path}", self.LAYOUT.failed, self.LAYOUT.lost)
