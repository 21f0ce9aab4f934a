"""Where an index lies: one schema and one code for SQLite and Postgres, whose differences are the two classes below.

Every row is one event with its place in the chain, and nothing is ever changed: what a deal *is* follows from its rows
(``troth.ledger.readings``). So going back to a block is deleting what came after it, and two indexes of one chain hold
equal rows. Each act of a writer is one transaction that first looks whether the index still ends where the writer
thinks it does, so that two writers never mix and a crash leaves a whole block.

SQLite: write-ahead mode, so that others read while one writes; ``synchronous=NORMAL``, since what a power cut takes is
read again. Postgres: readers see one snapshot, writers take turns by a table lock; rows go in by ``COPY``.
"""

from __future__ import annotations

import contextlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.ledger.events import TABLES, Row
from troth.store.sqlite import translated, write_ahead

if TYPE_CHECKING:
    from psycopg import Connection

APPLICATION_ID = 0x74726F69
"""Marks a SQLite file as an index ("troi")."""
LAYOUT = 1
BUSY_SECONDS = 60.0

_TYPES = {
    "pot": "INTEGER", "started": "BIGINT", "fund_by": "BIGINT", "kind": "INTEGER", "rung": "INTEGER", "ask": "INTEGER",
    "slot": "INTEGER", "at": "BIGINT", "status": "INTEGER", "outcome": "INTEGER", "stopped": "INTEGER",
    "leaf": "TEXT", "amount": "TEXT", "size": "TEXT",
}
"""Of the columns that are not bytes."""
_KEYS = {"named": "block, log_index, account"}
_INDEXES = {
    "opened": ("deal",), "named": ("account, deal",), "joined": ("deal",), "recorded": ("deal", "claim"),
    "closed": ("deal",), "collected": ("deal", "account"), "swept": ("deal",), "credited": ("account",),
    "withdrawn": ("account",), "anchored": ("owner, origin",),
}


def schema(blob: str, ending: str) -> list[str]:
    """The statements that make an empty index. blob: the type of bytes; ending: what ends a table."""
    made = ["CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)" + ending,
            f"CREATE TABLE blocks (number BIGINT PRIMARY KEY, hash {blob} NOT NULL)" + ending]
    for table, columns in TABLES.items():
        typed = ", ".join(f"{column} {_TYPES.get(column, blob)} NOT NULL" for column in columns)
        key = _KEYS.get(table, "block, log_index")
        made.append(f"CREATE TABLE {table} (block BIGINT NOT NULL, log_index INTEGER NOT NULL, tx {blob} NOT NULL, "
                    f"{typed}, PRIMARY KEY ({key})){ending}")
        made += [f"CREATE INDEX {table}_by_{on.partition(',')[0]} ON {table} ({on}, block, log_index)"
                 for on in _INDEXES.get(table, ())]
    return made


class Lost(Exception):
    """The index no longer ends where the writer thought: another process wrote. Nothing was written."""


class Store(ABC):
    """The tables of one index. One object serves one thread.

    tip: (number, hash) of the last block whose events are in; final: up to where the chain called them final.
    """

    @abstractmethod
    def all(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query answers. "?" stands for each value."""

    @abstractmethod
    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Put rows in."""

    @abstractmethod
    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Everything read inside is of one moment, whatever is written meanwhile."""

    @abstractmethod
    def _writing(self) -> contextlib.AbstractContextManager[None]:
        """A transaction that no other writer is in; all or nothing."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file or the connection."""

    # -- what is in it ---------------------------------------------------------------------------------------------

    def meta(self) -> Mapping[str, str]:
        """Which chain and contracts this index is of; empty when new."""
        return dict(self.all("SELECT key, value FROM meta"))

    def claim(self, meta: Mapping[str, str]) -> None:
        """Say which chain and contracts a new index is of. Raises Misuse where it is of others already."""
        with self._writing():
            found = {key: value for key, value in self.meta().items() if key != "final"}
            if not found:
                self._insert("meta", ("key", "value"), list(meta.items()))
            elif found != meta:
                differ = sorted(key for key in found.keys() | meta.keys() if found.get(key) != meta.get(key))
                raise Misuse("this index is of another chain, or of other contracts",
                             expected=", ".join(f"{key} {meta.get(key)}" for key in differ),
                             actual=", ".join(f"{key} {found.get(key)}" for key in differ),
                             do="Name another file or schema; an index can be deleted and read again.")

    def tip(self) -> tuple[int, bytes] | None:
        """The last block whose events are in; None for an empty index."""
        found = self.all("SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1")
        return (found[0][0], bytes(found[0][1])) if found else None

    def final(self) -> int | None:
        """Up to which block the chain has called the events final; None where it has said nothing."""
        found = self.all("SELECT value FROM meta WHERE key = 'final'")
        return int(found[0][0]) if found else None

    def blocks(self) -> list[tuple[int, bytes]]:
        """The kept blocks, newest first."""
        return [(number, bytes(digest))
                for number, digest in self.all("SELECT number, hash FROM blocks ORDER BY number DESC")]

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, tip: tuple[int, bytes] | None, blocks: Sequence[tuple[int, bytes]],
               rows: Mapping[str, Sequence[Row]]) -> None:
        """Add the events of what follows ``tip`` up to the last of ``blocks``. Raises Lost."""
        with self._writing():
            self._still(tip)
            self._insert("blocks", ("number", "hash"), blocks)
            for table, columns in TABLES.items():
                if rows.get(table):
                    self._insert(table, ("block", "log_index", "tx", *columns), rows[table])

    def roll_back(self, tip: tuple[int, bytes], to: int) -> None:
        """Take away everything after block ``to``, in one transaction. Raises Lost."""
        with self._writing():
            self._still(tip)
            self.all("DELETE FROM blocks WHERE number > ?", (to,))
            for table in TABLES:
                self.all(f"DELETE FROM {table} WHERE block > ?", (to,))  # noqa: S608  # names are ours

    def settle(self, final: int | None, keep: int) -> None:
        """Remember up to which block the chain is final (never less than before), and forget the hashes of blocks that
        nobody goes back to: final ones more than ``keep`` before the tip, but for the newest of these.
        """
        before, tip = self.final(), self.tip()
        if tip is None:
            return
        now = max(-1 if before is None else before, -1 if final is None else min(final, tip[0]))
        (kept,) = self.all("SELECT count(*) FROM blocks")[0]
        if now == (-1 if before is None else before) and kept <= 2 * keep:
            return
        with self._writing():
            self._still(tip)
            if now >= 0:
                self.all("DELETE FROM meta WHERE key = 'final'")
                self._insert("meta", ("key", "value"), [("final", str(now))])
            floor = tip[0] - keep if final is None else min(now, tip[0] - keep)
            self.all("DELETE FROM blocks WHERE number < (SELECT max(number) FROM blocks WHERE number <= ?)", (floor,))

    def _still(self, tip: tuple[int, bytes] | None) -> None:
        if self.tip() != tip:
            raise Lost


class SqliteStore(Store):
    """An index in a file, or in memory where ``path`` is None."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(":memory:" if path is None else path, isolation_level=None,
                                       timeout=BUSY_SECONDS)
        except sqlite3.Error as error:
            raise OutsideFailed(f"the index {path} cannot be opened", actual=error) from error
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        with self.reading():  # one look: another process may be making this very file
            self._ours()  # before anything is written to what may be somebody else's
        with self._translated():
            write_ahead(self._db, BUSY_SECONDS)
        self.all("PRAGMA synchronous=NORMAL")
        self.all("PRAGMA cache_size=-65536")  # 64 MiB: deal ids are hashes, so their indexes grow everywhere at once
        with self._writing():
            if not self._ours():
                for statement in schema("BLOB", " WITHOUT ROWID"):
                    self.all(statement)
                self.all(f"PRAGMA application_id={APPLICATION_ID}")
                self.all(f"PRAGMA user_version={LAYOUT}")

    def _ours(self) -> bool:
        """Whether there is an index in the file; False for an empty file. Raises BadInput for anything else."""
        (mark,), (layout,) = self.all("PRAGMA application_id")[0], self.all("PRAGMA user_version")[0]
        (tables,) = self.all("SELECT count(*) FROM sqlite_master")[0]
        if (mark, layout) == (APPLICATION_ID, LAYOUT):
            return True
        if mark or tables:
            raise BadInput(f"{self.path} is not an index of this layout", actual=f"{mark:#x}, {layout}",
                           expected=f"application id {APPLICATION_ID:#x}, layout {LAYOUT}",
                           do="Delete it and read the chain again, or name another file.")
        return False

    def all(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._db.execute(statement, values).fetchall()

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        with self._translated():
            self._db.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608  # names are ours

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._transaction("BEGIN"):
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.all(begin)
        try:
            yield
            self.all("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _translated(self) -> AbstractContextManager[None]:
        """SQLite's errors as ours."""
        return translated(f"the index {self.path}", "Nothing was written; try again.",
                          "Delete it: the chain is read again.")

    def close(self) -> None:
        self._db.close()


class PostgresStore(Store):
    """An index in a Postgres database, in the schema that ``url``'s search path names first."""

    def __init__(self, url: str) -> None:
        try:
            # Imported here: an extra, and only who names a Postgres address needs it.
            import psycopg
            from psycopg import conninfo
        except ImportError as error:
            raise OutsideFailed("an index in Postgres needs a package that is missing", actual=error,
                                do="pip install 'troth[postgres]'") from error
        self._errors = psycopg.Error
        with self._translated():
            if "password" in conninfo.conninfo_to_dict(url):
                raise Misuse("a password does not belong in an address",
                             do="Put it into ~/.pgpass or the file that PGPASSFILE names.")
            self._db: Connection[Any] = psycopg.connect(url, autocommit=True, connect_timeout=30)
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        with self._translated(), self._db.transaction():
            # One process makes the tables, others wait for it. The number is this project's own.
            self._db.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
            if self.all("SELECT to_regclass('meta')")[0][0] is None:
                for statement in schema("BYTEA", ""):
                    self.all(statement)
                self._insert("meta", ("key", "value"), [("layout", str(LAYOUT))])
            if self.all("SELECT to_regclass('anchored')")[0][0] is None or self._layout() != str(LAYOUT):
                raise BadInput("the tables there are no index of this layout", expected=f"layout {LAYOUT}",
                               do="Name another schema, or drop this one and read the chain again.")

    def _layout(self) -> str:
        return "".join(value for (value,) in self.all("SELECT value FROM meta WHERE key = 'layout'"))

    def meta(self) -> Mapping[str, str]:
        return {key: value for key, value in super().meta().items() if key != "layout"}

    def all(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._translated():
            # Not a LiteralString to a type checker: the question marks are ours, and so is every statement.
            done = self._db.execute(statement.replace("?", "%s").encode(), values)
            return done.fetchall() if done.description else []

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        copy = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._translated(), self._db.cursor() as cursor, cursor.copy(copy.encode()) as target:
            for row in rows:
                target.write_row(row)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._translated(), self._db.transaction():
            self._db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._translated(), self._db.transaction():
            self._db.execute("LOCK TABLE blocks IN EXCLUSIVE MODE")
            yield

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Postgres' errors as ours; they do not show the address."""
        try:
            yield
        except self._errors as error:
            raise OutsideFailed("the index in Postgres failed", actual=str(error).strip(),
                                do="Nothing was written; is the server there, and may this user write?") from error

    def close(self) -> None:
        self._db.close()


def open_store(place: str) -> Store:
    """The index at a path, or at ``postgresql://…``."""
    if place.startswith(("postgres://", "postgresql://")):
        return PostgresStore(place)
    return SqliteStore(Path(place))
