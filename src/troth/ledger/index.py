"""Where a claim id stands in a log: a table beside the log that can always be rebuilt from it."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from troth.core.errors import OutsideFailed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ids(key INTEGER PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS more(key INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY(key, position));
CREATE TABLE IF NOT EXISTS state(one INTEGER PRIMARY KEY CHECK(one = 1), count INTEGER NOT NULL);
INSERT OR IGNORE INTO state VALUES(1, 0);
"""


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
        return int(self._db.execute("SELECT count FROM state").fetchone()[0])

    def check(self) -> bool:
        """Whether the table is sound and has a row for each position it says it has. Raises ``sqlite3.Error``."""
        rows = self._db.execute("SELECT (SELECT count(*) FROM ids) + (SELECT count(*) FROM more)").fetchone()[0]
        sound = self._db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        return sound and int(rows) == self.count()

    def candidates(self, claim: bytes) -> list[int]:
        """Positions whose claim id may be this one: the caller compares."""
        key = _keys([claim])[0]
        found = self._db.execute("SELECT position FROM ids WHERE key=? UNION SELECT position FROM more WHERE key=?",
                                 (key, key))
        return [int(row[0]) for row in found]

    def insert(self, ids: Sequence[bytes], first: int, *, shared: bool = False) -> bool:
        """Add the ids of positions ``first`` and following; False, and nothing is added, if a key is there already.

        ``shared``: the ids are known to be new, so a key that is there belongs to another id; keep both.
        Raises OutsideFailed if the disk fails, ``sqlite3.DatabaseError`` if the table is damaged.
        """
        rows = list(zip(_keys(ids), range(first, first + len(ids)), strict=True))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            added = self._db.executemany("INSERT OR IGNORE INTO ids VALUES(?, ?)", rows).rowcount if rows else 0
            if added != len(rows):
                if not shared:
                    self.rollback()
                    return False
                self._db.executemany("INSERT OR IGNORE INTO more SELECT ?1, ?2 WHERE NOT EXISTS "
                                     "(SELECT 1 FROM ids WHERE key = ?1 AND position = ?2)", rows)
            self._db.execute("UPDATE state SET count = ?", (first + len(ids),))
        except sqlite3.OperationalError as error:
            self.rollback()
            raise OutsideFailed("the log's index cannot be written", actual=error, do="Free some disk space.") from None
        return True

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


def _keys(ids: Sequence[bytes]) -> tuple[int, ...]:
    return struct.unpack(f">{len(ids)}q", b"".join([claim[:8] for claim in ids]))
