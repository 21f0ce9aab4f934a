"""Where a claim id stands in a log: a table beside the log that can always be rebuilt from it.

The table holds runs: the ids of an append, sorted, in chunks of 256. A row of its own for each id would cost an append
several times what encoding and hashing a claim does, and more as the log grows. Eight small runs become one larger,
so an id is moved a handful of times in its life and a look-up asks a few dozen runs.

Bulk appends need to know of thousands of ids that none is here: a filter in memory (four to sixteen bytes a claim, made
when first needed) answers that for all but a few in a thousand of them; those are looked up.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations, takewhile
from pathlib import Path

from troth.core.errors import OutsideFailed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs(first INTEGER PRIMARY KEY, stop INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunks(first INTEGER, low BLOB, rows BLOB NOT NULL, PRIMARY KEY(first, low)) WITHOUT ROWID;
"""
_KEY = 8
_ROW = 16  # the first eight bytes of an id, and the position
_CHUNK = 256  # rows
_FAN = 8  # runs of one size that become one
_LARGEST = 1 << 18  # rows of a run that is left as it is: it bounds the memory of a merge
_BITS = [sum(1 << bit for bit in four) for four in combinations(range(8), 4)]
_MASKS = [_BITS[i % len(_BITS)] for i in range(256)]


class Index:
    """Claim ids by their first eight bytes; ids that share those (by chance or by design) are all kept.

    ``insert`` leaves a transaction open until ``commit`` or ``rollback``.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        """Open the table; ``sqlite3.Error`` if that cannot be done. A writable one is created where it is missing.

        SQLite reads what was cut off the file as zeros, so its length is checked here.
        """
        logged = Path(f"{path}-wal")
        whole = not (logged.exists() and logged.stat().st_size)
        mode = "rwc" if writable else "ro"
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        self._filter: _Filter | None = None
        found = path.stat().st_size
        page, pages = (int(self._db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count"))
        if found % page or (whole and found < page * pages):
            self._db.close()
            raise sqlite3.DatabaseError("the file was cut short")
        if writable:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)

    def count(self) -> int:
        """How many of the log's first positions are in the table."""
        return int(self._db.execute("SELECT coalesce(max(stop), 0) FROM runs").fetchone()[0])

    def check(self) -> bool:
        """Whether the table is sound and has a row for each position it says it has. Raises ``sqlite3.Error``."""
        if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return False
        at = 0
        for first, stop in self._runs():
            size = self._db.execute("SELECT sum(length(rows)) FROM chunks WHERE first = ?", (first,)).fetchone()[0]
            if first != at or size != (stop - first) * _ROW:
                return False
            at = stop
        return True

    def candidates(self, claim: bytes) -> list[int]:
        """Positions whose claim id may be this one: the caller compares."""
        key, found = claim[:_KEY], []
        for rows in self._between(key, key):
            at = rows.find(key)
            while at >= 0:
                if at % _ROW == 0:
                    found.append(int.from_bytes(rows[at + _KEY:at + _ROW], "big"))
                at = rows.find(key, at + 1)
        return found

    def beginning(self, prefix: str) -> list[int]:
        """Positions whose claim id may begin with these hex digits: the caller compares."""
        low, high = (bytes.fromhex(prefix[:2 * _KEY].ljust(2 * _KEY, fill)) for fill in "0f")
        return [int.from_bytes(rows[at + _KEY:at + _ROW], "big")
                for rows in self._between(low, high) for at in range(0, len(rows), _ROW)
                if low <= rows[at:at + _KEY] <= high]

    def _between(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The chunks that may have keys of [low, high]."""
        last = high + b"\xff" * (_ROW - _KEY)
        for first, _ in self._runs():
            # The keys may reach over several chunks: the last of them, and so on back.
            for (rows,) in self._db.execute(
                    "SELECT rows FROM chunks WHERE first = ? AND low <= ? ORDER BY low DESC", (first, last)):
                yield rows
                if rows[:_KEY] < low:
                    break

    def perhaps(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of many ids that may be here: all that are, and a few in a thousand of the others."""
        if self._filter is None or self._filter.full:
            self._filter = _Filter(2 * (self.count() + len(ids)))
            for (rows,) in self._db.execute("SELECT rows FROM chunks"):
                self._filter.add(struct.unpack(f">{len(rows) // _KEY}Q", rows)[::2])
        return self._filter.perhaps(ids)

    def insert(self, ids: Sequence[bytes], first: int) -> None:
        """Add the ids of positions ``first`` and following.

        Raises OutsideFailed if the disk fails, ``sqlite3.DatabaseError`` if the table is damaged.
        """
        rows = sorted([claim[:_KEY] + at.to_bytes(8, "big") for at, claim in enumerate(ids, first)])
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if rows:
                self._write(first, rows)
                self._merge()
        except sqlite3.OperationalError as error:
            self.rollback()
            raise OutsideFailed("the log's index cannot be written", actual=error, do="Free some disk space.") from None
        if self._filter is not None:
            self._filter.add(_keys(ids))

    def commit(self) -> None:
        """Keep what was inserted. Where that fails the table stays behind, and is caught up later."""
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self.rollback()

    def rollback(self) -> None:
        """Drop what was inserted since the last commit."""
        if self._db.in_transaction:
            with suppress(sqlite3.Error):  # a table that cannot even do this is rebuilt when it is next looked at
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the table."""
        self.rollback()
        self._db.close()

    def _runs(self) -> list[tuple[int, int]]:
        """(first, stop) of each run, ascending."""
        return self._db.execute("SELECT first, stop FROM runs ORDER BY first").fetchall()

    def _write(self, first: int, rows: Sequence[bytes]) -> None:
        """Write a run's sorted rows."""
        chunks = ((first, rows[i], b"".join(rows[i:i + _CHUNK])) for i in range(0, len(rows), _CHUNK))
        self._db.executemany("INSERT INTO chunks VALUES(?, ?, ?)", chunks)
        self._db.execute("INSERT INTO runs VALUES(?, ?)", (first, first + len(rows)))

    def _merge(self) -> None:
        """Make one run of the last ones, as long as enough of them are no larger than the very last."""
        runs = self._runs()
        while True:
            many = _tail(runs)
            start = next((first for first, _ in runs[-many:] if runs[-1][1] - first <= _LARGEST), runs[-1][0])
            if many < _FAN or start == runs[-1][0]:
                return
            rows: list[bytes] = []
            for (some,) in self._db.execute("SELECT rows FROM chunks WHERE first >= ?", (start,)):
                rows += [some[i:i + _ROW] for i in range(0, len(some), _ROW)]
            rows.sort()  # it finds the runs and merges them
            self._db.execute("DELETE FROM chunks WHERE first >= ?", (start,))
            self._db.execute("DELETE FROM runs WHERE first >= ?", (start,))
            self._write(start, rows)
            runs = self._runs()


class _Filter:
    """Which keys may have been added. A key sets four bits of one byte."""

    def __init__(self, room: int) -> None:
        """``room``: keys it takes before too many others seem to be there."""
        self._bytes = bytearray(1 << (4 * room - 1).bit_length())
        self._left = room

    @property
    def full(self) -> bool:
        """Whether it has more keys than it has room for."""
        return self._left < 0

    def add(self, keys: Sequence[int]) -> None:
        """Take in keys."""
        table, last, masks = self._bytes, len(self._bytes) - 1, _MASKS
        for key in keys:
            table[key & last] |= masks[key >> 56]
        self._left -= len(keys)

    def perhaps(self, ids: Sequence[bytes]) -> list[bytes]:
        """The ids whose keys may have been added."""
        table, last, masks = self._bytes, len(self._bytes) - 1, _MASKS
        return [claim for claim, key in zip(ids, _keys(ids), strict=True)
                if table[key & last] & masks[key >> 56] == masks[key >> 56]]


def _tail(runs: Sequence[tuple[int, int]]) -> int:
    """How many of the last runs are of the very last one's size or smaller; sizes count by powers of _FAN."""
    limit = 1
    while limit <= runs[-1][1] - runs[-1][0]:
        limit *= _FAN
    smaller = takewhile(lambda run: run[1] - run[0] < limit, reversed(runs))
    return sum(1 for _ in smaller)


def _keys(ids: Sequence[bytes]) -> tuple[int, ...]:
    return struct.unpack(f">{len(ids)}Q", b"".join([claim[:_KEY] for claim in ids]))
