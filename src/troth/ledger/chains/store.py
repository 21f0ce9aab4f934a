"""The embedded chain's file: trie nodes, blocks with their transaction and receipt, and indexed logs, in SQLite.

One block is one SQLite transaction, so a process killed at any point leaves the last whole block. Write-ahead mode
lets others read while one writes; ``synchronous=FULL`` makes a block survive a power cut before anyone is told its
hash (a commit costs one fsync of the log). ``BEGIN IMMEDIATE`` takes the write lock before the head is read, so two
processes on one file cannot fork it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lru import LRU

from troth.core.errors import BadInput, OutsideFailed
from troth.ledger.chains.blocks import Header, Log
from troth.store.sqlite import translated, write_ahead

APPLICATION_ID = 0x74726F74
"""Marks a SQLite file as an embedded chain's ("trot")."""
LAYOUT = 1
CACHED_NODES = 1 << 16
BUSY_SECONDS = 60.0

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL,
    tx BLOB, tx_hash BLOB UNIQUE, sender BLOB, receipt BLOB, created BLOB
);
CREATE TABLE logs (
    block INTEGER NOT NULL, position INTEGER NOT NULL, address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX logs_by_address ON logs (address, topic0, block);
CREATE INDEX logs_by_topic ON logs (topic0, block);
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A stored block: its header and, where it has a transaction, that, its sender, receipt and created contract."""

    number: int
    hash: bytes
    header: Header
    tx: bytes | None
    tx_hash: bytes | None
    sender: bytes | None
    receipt: bytes | None
    created: bytes | None


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log with its place: block number, position in the block, block hash, transaction hash, block timestamp."""

    log: Log
    block: int
    position: int
    block_hash: bytes
    tx_hash: bytes
    timestamp: int


class BlockStore:
    """One connection to a chain's file, or to memory where ``path`` is None. Not safe for concurrent threads.

    It also is the key-value table that the state tries read and write: ``nodes`` are keyed by their hash, so a cached
    node is right for ever, in every process; those written since the last commit wait in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._pending: dict[bytes, bytes] = {}
        self._nodes: LRU[bytes, bytes] = LRU(CACHED_NODES)
        self._head: Block | None = None
        self._seen = -1
        try:
            name = ":memory:" if path is None else path
            self._db = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
        except sqlite3.Error as error:
            raise OutsideFailed(f"the chain file {path} cannot be opened: {error}") from error
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        with self._translated():
            write_ahead(self._db, BUSY_SECONDS)
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA cache_size=-32768")
        with self.writing():
            (mark,) = self._db.execute("PRAGMA application_id").fetchone()
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if mark == 0 and tables == 0:
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version={LAYOUT}")
                mark = APPLICATION_ID
            (layout,) = self._db.execute("PRAGMA user_version").fetchone()
            if mark != APPLICATION_ID or layout != LAYOUT:
                raise BadInput(
                    f"{self.path} is not an embedded chain of this layout",
                    expected=f"application id {APPLICATION_ID:#x}, layout {LAYOUT}",
                    actual=f"{mark:#x}, {layout}",
                    do="Name another file",
                )

    def _translated(self) -> AbstractContextManager[None]:
        """SQLite's errors as ours."""
        return translated(f"the chain file {self.path}", "Nothing was written; try again.",
                          "Restore it or name another.")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file's write lock; commit at the end, or leave everything as it was if anything is raised."""
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._flush()
                self._db.execute("COMMIT")
            except BaseException:
                self._pending.clear()
                self._head = None
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        for key, value in self._pending.items():
            self._nodes[key] = value
        self._pending.clear()

    def _flush(self) -> None:
        if self._pending:
            self._db.executemany("INSERT OR IGNORE INTO nodes VALUES (?, ?)", self._pending.items())

    def close(self) -> None:
        """Close the connection; whatever was committed stays."""
        self._db.close()

    # -- the state tries' table ------------------------------------------------------------------------------------

    def node(self, key: bytes) -> bytes | None:
        """The node or code under ``key``, its keccak hash."""
        value = self._pending.get(key)
        if value is None:
            value = self._nodes.get(key)
        if value is None:
            row = self._db.execute("SELECT value FROM nodes WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            value = row[0]
            self._nodes[key] = value
        return value

    def put_node(self, key: bytes, value: bytes) -> None:
        """Keep ``value`` under ``key`` from the next commit on."""
        self._pending[key] = value

    def drop_pending(self) -> None:
        """Forget what was put since the last commit (a call's or an estimate's traces)."""
        self._pending.clear()

    # -- settings --------------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """The setting under ``key``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep a setting; call it under :meth:`writing`."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # -- blocks ----------------------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._seen:
            return False
        self._seen = version
        return True

    def head(self) -> Block | None:
        """The last block; None before genesis."""
        if self.changed() or self._head is None:
            self._head = self._block("ORDER BY number DESC LIMIT 1", ())
        return self._head

    def block(self, number: int) -> Block | None:
        """The block of this number."""
        return self._block("WHERE number = ?", (number,))

    def block_by_hash(self, digest: bytes) -> Block | None:
        """The block of this hash."""
        return self._block("WHERE hash = ?", (digest,))

    def block_of(self, tx_hash: bytes) -> Block | None:
        """The block that holds this transaction."""
        return self._block("WHERE tx_hash = ?", (tx_hash,))

    def _block(self, where: str, values: tuple[object, ...]) -> Block | None:
        columns = "number, hash, header, tx, tx_hash, sender, receipt, created"
        row = self._db.execute(f"SELECT {columns} FROM blocks {where}", values).fetchone()  # noqa: S608 (constants)
        return None if row is None else Block(row[0], row[1], Header.decode(row[2]), *row[3:])

    def hashes(self, first: int, last: int) -> list[bytes]:
        """The block hashes of ``first``..``last``, in order."""
        rows = self._db.execute("SELECT hash FROM blocks WHERE number BETWEEN ? AND ? ORDER BY number", (first, last))
        return [row[0] for row in rows]

    def add_block(self, block: Block, header: bytes, logs: Sequence[Log]) -> None:
        """Append a block with its logs; call it under :meth:`writing`."""
        self._db.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (block.number, block.hash, header, block.tx, block.tx_hash, block.sender, block.receipt, block.created),
        )
        if logs:
            rows = [
                (block.number, at, log.address, *log.topics, *[None] * (4 - len(log.topics)), log.data)
                for at, log in enumerate(logs)
            ]
            self._db.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._head = block

    # -- logs ------------------------------------------------------------------------------------------------------

    def logs(
        self, first: int, last: int, addresses: Sequence[bytes], topics: Mapping[int, Sequence[bytes]], least: int
    ) -> Iterable[StoredLog]:
        """The logs of blocks ``first``..``last`` in order.

        addresses: those that may have emitted it (none: anyone). topics: per position, those allowed.
        least: how many topics a log must have at least.
        """
        clauses, values = ["l.block BETWEEN ? AND ?"], list[object]((first, last))
        allowed = [("l.address", addresses)] if addresses else []
        allowed += [(f"l.topic{at}", options) for at, options in topics.items()]
        for column, options in allowed:
            clauses.append(f"{column} IN ({','.join('?' * len(options))})")
            values += options
        if least:
            clauses.append(f"l.topic{least - 1} IS NOT NULL")
        query = (
            "SELECT l.address, l.topic0, l.topic1, l.topic2, l.topic3, l.data, l.block, l.position,"  # noqa: S608
            " b.hash, b.tx_hash, b.header FROM logs l CROSS JOIN blocks b ON b.number = l.block"
            f" WHERE {' AND '.join(clauses)} ORDER BY l.block, l.position"  # column names and marks only
        )
        block, timestamp = -1, 0
        for row in self._rows(query, values):
            if row[6] != block:
                block, timestamp = row[6], Header.decode(row[10]).timestamp
            found = tuple(topic for topic in row[1:5] if topic is not None)
            yield StoredLog(Log(row[0], found, row[5]), block, row[7], row[8], row[9], timestamp)

    def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        with self._translated():
            return self._db.execute(query, values).fetchall()
