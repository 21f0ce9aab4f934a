"""The ledger of spent epsilon: what was done to which records, and what may still be done, in one SQLite file.

A *data set* is a set of records, known by their fingerprints and not by a name. Data sets that share a record are
*kin*, and each is charged with everything that was done to any of its kin: for every single record that is at least
what was done to it.

Before a round, its mechanism is *reserved*: in one transaction that takes SQLite's write lock first, the epsilon of all
that counts for the data set and of the new mechanism together is computed (`accounting`), for it and for each of its
kin that has a budget, and the reservation is written only if none passes its budget. A reservation counts as much as
what is spent. It then goes one way::

    reserved -> spent        before the first noise is drawn: from here it is never given back
    reserved -> released     only by whoever reserved, who knows the reservation's token, and only before it is spent

A process that dies leaves it reserved, and its token is gone: it counts for ever. A round that is tried again is a new
mechanism with new noise, and is charged again, unless the very bytes of the first try are sent.

Rows are never deleted, and budgets have a history. Whoever has this file and its workspace can still lie: what binds a
site to others is its claims of kind ``spending``.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from troth.core.encoding import decode, encode
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.learn.privacy import accounting
from troth.learn.privacy.fingerprints import SIZE
from troth.learn.privacy.mechanisms import MAX_EPSILON, RECORD, Mechanism, delta_of, epsilon_text
from troth.store.sqlite import Layout, SharedFile

RESERVED, SPENT, RELEASED = "reserved", "spent", "released"
APPLICATION_ID = 0x74726F70
"""Marks a SQLite file as a ledger of spent privacy ("trop")."""
SCHEMA = """
CREATE TABLE keys (mark BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE sets (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, records INTEGER NOT NULL);
CREATE TABLE records (fingerprint BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (fingerprint, number))
    WITHOUT ROWID;
CREATE TABLE kin (one INTEGER NOT NULL, other INTEGER NOT NULL, PRIMARY KEY (one, other)) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE budgets (step INTEGER PRIMARY KEY, number INTEGER NOT NULL, epsilon INTEGER NOT NULL, delta TEXT NOT NULL,
    at INTEGER NOT NULL);
CREATE TABLE spendings (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, mechanism BLOB NOT NULL, purpose TEXT NOT NULL,
    state TEXT NOT NULL, entry BLOB NOT NULL UNIQUE, at INTEGER NOT NULL)
"""


class Overspent(Misuse):
    """A data set's budget does not allow this any more. Nothing was reserved."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an owner allows: micro-epsilon at a delta."""

    epsilon: int
    delta: str

    def __post_init__(self) -> None:
        delta_of(self.delta)
        if not 1 <= self.epsilon <= MAX_EPSILON:
            raise BadInput("a budget is out of range", expected=f"1 to {MAX_EPSILON} micro-epsilon",
                           actual=self.epsilon)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set of records. id: its keyed name. kin: ids of the others that share records with it, ascending."""

    id: bytes
    records: int
    names: tuple[str, ...]
    kin: tuple[bytes, ...]
    budget: Budget | None


@dataclass(frozen=True, slots=True)
class Spending:
    """One mechanism's entry. number: in the ledger's order. at: Unix seconds."""

    number: int
    data: bytes
    mechanism: Mechanism
    purpose: str
    state: str
    at: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reserved mechanism. alone, total: micro-epsilon of it, and of all that counts for its data set with it.

    before: how many entries count for the data set before it. token: what only whoever reserved knows.
    """

    number: int
    data: bytes
    kin: tuple[bytes, ...]
    mechanism: Mechanism
    alone: int
    total: int
    before: int
    budget: Budget
    token: bytes = field(repr=False)

    @property
    def entry(self) -> bytes:
        """What names it in claims."""
        return hashlib.sha256(self.token).digest()


class PrivacyLedger(SharedFile):
    """The file at ``path``, or memory where that is None; see ``SharedFile``.

    mark: tells the fingerprint key apart from others (see ``mark_of``). Raises Misuse if the file's fingerprints are of
    another key.
    """

    LAYOUT = Layout("privacy ledger", APPLICATION_ID, 1, SCHEMA, "Nothing was reserved. Free some space, then ask "
                    "again.", "Restore it; until then nothing may be spent.")
    WAIT = 120.0

    def __init__(self, path: Path | None, mark: bytes) -> None:
        self._mark = mark
        super().__init__(path)

    def _begun(self, *, new: bool) -> None:
        if new:
            self._db.execute("INSERT INTO keys VALUES (?)", (self._mark,))
        elif self._db.execute("SELECT mark FROM keys").fetchall() != [(self._mark,)]:
            raise Misuse(f"the fingerprints in {self.path} are of another key",
                         do="Use the workspace it was made in. Without its keys, records cannot be told again.")

    # Data sets

    def add(self, data: bytes, fingerprints: Iterable[bytes], name: str, same_as: Iterable[bytes] = ()) -> DataSet:
        """Make a data set known under a name (a listing's id, as a rule); adding it again under another is no other.

        data: its keyed name. same_as: data sets known here that tell of the same persons, whatever the rows say.
        Raises Misuse for no records or a name that other records have, Undecidable for unknown ids in ``same_as``.
        """
        found = sorted(set(fingerprints))
        if not found or any(len(one) != SIZE for one in found) or len(data) != 32:
            raise Misuse("a data set needs records", expected=f"fingerprints of {SIZE} bytes", actual=len(found))
        with self.writing():
            taken = self.rows("SELECT id FROM names JOIN sets USING (number) WHERE name = ?", name)
            if taken and taken[0][0] != data:
                raise Misuse(f"{name} names other records", expected=taken[0][0].hex(), actual=data.hex())
            known = self.rows("SELECT number, records FROM sets WHERE id = ?", data)
            number = known[0][0] if known else self._new(data)
            if not known or not known[0][1]:  # one that was restored from a claim has no records yet
                self._fill(number, found)
            self._db.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (name, number))
            for other in same_as:
                self._unite(number, self._number(other))
        return self.data_set(data)

    def _put(self, data: bytes) -> int:
        """The number of a data set, which has no records yet if it is made here."""
        known = self.rows("SELECT number FROM sets WHERE id = ?", data)
        return int(known[0][0]) if known else self._new(data)

    def _new(self, data: bytes) -> int:
        return int(self._db.execute("INSERT INTO sets (id, records) VALUES (?, 0)", (data,)).lastrowid or 0)

    def _fill(self, number: int, fingerprints: list[bytes]) -> None:
        kin: set[int] = set()
        for one in fingerprints:
            kin.update(other for other, in self._db.execute("SELECT number FROM records WHERE fingerprint = ?", (one,)))
        self._db.executemany("INSERT OR IGNORE INTO records VALUES (?, ?)", ((one, number) for one in fingerprints))
        self._db.execute("UPDATE sets SET records = ? WHERE number = ?", (len(fingerprints), number))
        for other in kin:
            self._pair(number, other)

    def _unite(self, one: int, other: int) -> None:
        """Give each of two sets the other's fingerprints and kin: what shares a record with one shares it with both."""
        for number, from_ in ((one, other), (other, one)):
            self._db.execute("INSERT OR IGNORE INTO records SELECT fingerprint, ? FROM records WHERE number = ?",
                             (number, from_))
            for third, in self.rows("SELECT other FROM kin WHERE one = ?", from_):
                self._pair(number, third)
        self._pair(one, other)

    def _pair(self, one: int, other: int) -> None:
        if one != other:
            self._db.executemany("INSERT OR IGNORE INTO kin VALUES (?, ?)", ((one, other), (other, one)))

    def _number(self, data: bytes) -> int:
        found = self.rows("SELECT number FROM sets WHERE id = ?", data)
        if not found:
            raise Undecidable("no such data set in the privacy ledger", actual=data.hex(), do="Add it first.")
        return int(found[0][0])

    def named(self, name: str) -> bytes:
        """The id of the data set of a name. Raises Undecidable."""
        found = self.rows("SELECT id FROM names JOIN sets USING (number) WHERE name = ?", name)
        if not found:
            raise Undecidable("the privacy ledger does not know this listing's records", actual=name,
                              do="Set a budget for it first: troth privacy budget.")
        return bytes(found[0][0])

    def data_set(self, data: bytes) -> DataSet:
        """A data set. Raises Undecidable for one that was not added."""
        number = self._number(data)
        (records,) = self.rows("SELECT records FROM sets WHERE number = ?", number)[0]
        names = tuple(name for name, in self.rows("SELECT name FROM names WHERE number = ? ORDER BY name", number))
        kin = tuple(one for one, in self.rows(
            "SELECT id FROM kin JOIN sets ON other = sets.number WHERE one = ? ORDER BY id", number))
        return DataSet(data, records, names, kin, self._budget(number))

    def data_sets(self) -> tuple[DataSet, ...]:
        """Every data set, in the order in which they were added."""
        return tuple(self.data_set(data) for data, in self.rows("SELECT id FROM sets ORDER BY number"))

    # Budgets

    def _budget(self, number: int) -> Budget | None:
        found = self.rows("SELECT epsilon, delta FROM budgets WHERE number = ? ORDER BY step DESC LIMIT 1", number)
        return Budget(*found[0]) if found else None

    def set_budget(self, data: bytes, budget: Budget, at: int, *, raising: bool = False) -> None:
        """Allow so much for a data set; what is spent already stays spent, even if it is more.

        raising: meant to allow more than before. Raises Misuse for a larger epsilon or another delta without it.
        """
        with self.writing():
            number = self._number(data)
            before = self._budget(number)
            if before == budget:
                return
            if before is not None and not raising and (
                    budget.epsilon > before.epsilon or delta_of(budget.delta) > delta_of(before.delta)):
                raise Misuse("this would allow more than was promised before",
                             expected=f"at most {epsilon_text(before.epsilon)} at {before.delta}",
                             actual=f"{epsilon_text(budget.epsilon)} at {budget.delta}",
                             do="Raise it on purpose (--raise), and tell the people whose records they are.")
            self._db.execute("INSERT INTO budgets (number, epsilon, delta, at) VALUES (?, ?, ?, ?)",
                             (number, budget.epsilon, budget.delta, at))

    def budgets(self, data: bytes) -> tuple[tuple[int, Budget], ...]:
        """Every budget that a data set had, oldest first: (Unix seconds, budget)."""
        return tuple((at, Budget(epsilon, delta)) for at, epsilon, delta in self.rows(
            "SELECT at, epsilon, delta FROM budgets WHERE number = ? ORDER BY step", self._number(data)))

    # Spending

    def counting(self, data: bytes) -> tuple[Spending, ...]:
        """Everything that counts for a data set: done or reserved on it or on its kin, oldest first."""
        return self._counting(self._number(data))

    def _counting(self, number: int) -> tuple[Spending, ...]:
        found = self.rows(
            "SELECT spendings.id, sets.id, mechanism, purpose, state, at FROM spendings JOIN sets USING (number) "
            "WHERE state != ? AND (number = ? OR number IN (SELECT other FROM kin WHERE one = ?)) "
            "ORDER BY spendings.id", RELEASED, number, number)
        return tuple(Spending(one, data, Mechanism.of(decode(mechanism)), purpose, state, at)
                     for one, data, mechanism, purpose, state, at in found)

    def total(self, data: bytes, delta: str) -> int:
        """Micro-epsilon of everything that counts for a data set, at ``delta``."""
        return accounting.epsilon([one.mechanism for one in self.counting(data)], delta)

    def reserve(self, data: bytes, mechanism: Mechanism, purpose: str, at: int) -> Reservation:
        """Reserve a mechanism for a data set, before anything of it is done.

        purpose: what for, in the ledger's list. at: Unix seconds. Raises Overspent where its budget or the budget of
        one of its kin does not allow it, Misuse for a data set without a budget or a mechanism that bounds sites and
        not records, Undecidable for an unknown one, OutsideFailed without the accounting. Nothing is reserved then.
        """
        if mechanism.unit != RECORD:
            raise Misuse("the ledger counts what is done to records", expected=f"unit {RECORD}", actual=mechanism.unit,
                         do="Describe it as seen from one record (SiteNoise.of_records).")
        accounting.ready()  # importing it takes seconds, which nobody else should wait for
        with self.writing():
            number = self._number(data)
            own = self._budget(number)
            if own is None:
                raise Misuse("this data set has no budget", actual=data.hex(), do="Set one: troth privacy budget.")
            kin = [other for other, in self.rows("SELECT other FROM kin WHERE one = ? ORDER BY other", number)]
            total = before = 0
            for each in (number, *kin):
                budget = self._budget(each)
                if budget is None:
                    continue
                counting = self._counting(each)
                found = self._allowed(budget, [one.mechanism for one in counting], mechanism, each == number)
                if each == number:
                    total, before = found, len(counting)
            alone = accounting.epsilon([mechanism], own.delta)
            token = secrets.token_bytes(16)
            cursor = self._db.execute(
                "INSERT INTO spendings (number, mechanism, purpose, state, entry, at) VALUES (?, ?, ?, ?, ?, ?)",
                (number, encode(mechanism.body()), purpose, RESERVED, hashlib.sha256(token).digest(), at))
            entry = int(cursor.lastrowid or 0)
            ids = tuple(sorted(one for other in kin for one, in self.rows("SELECT id FROM sets WHERE number = ?",
                                                                           other)))
        return Reservation(entry, data, ids, mechanism, alone, total, before, own, token)

    @staticmethod
    def _allowed(budget: Budget, before: list[Mechanism], new: Mechanism, own: bool) -> int:
        try:
            found = accounting.epsilon([*before, new], budget.delta)
        except BadInput as error:
            raise Overspent(f"no epsilon can be told for this: {error.message}", do=error.do) from None
        if found > budget.epsilon:
            whose = "the data set's" if own else "the budget of a data set that shares records with it; its"
            raise Overspent(f"this would pass {whose} budget",
                            expected=f"at most {epsilon_text(budget.epsilon)} at delta {budget.delta}",
                            actual=f"{epsilon_text(found)} with the {len(before)} mechanisms that count already",
                            do="Add noise, take fewer steps, or stop here: what was spent cannot be taken back.")
        return found

    def spend(self, reservation: Reservation) -> None:
        """Say that the mechanism begins now; call it before the first noise is drawn. Doing it again is a no-op.

        Raises Misuse for a reservation that was released or is another's.
        """
        with self.writing():
            if self._own(reservation) == RELEASED:
                raise Misuse("this reservation was released", do="Reserve again.")
            self._db.execute("UPDATE spendings SET state = ? WHERE id = ?", (SPENT, reservation.number))

    def release(self, reservation: Reservation) -> None:
        """Give a reservation back of which nothing was done. Raises Misuse once it is spent, or if it is another's."""
        with self.writing():
            if self._own(reservation) == SPENT:
                raise Misuse("this was spent", do="What was begun cannot be given back: its noise may be known.")
            self._db.execute("UPDATE spendings SET state = ? WHERE id = ?", (RELEASED, reservation.number))

    def _own(self, reservation: Reservation) -> str:
        found = self.rows("SELECT state, entry FROM spendings WHERE id = ?", reservation.number)
        if not found or found[0][1] != reservation.entry:
            raise Misuse("not this process's reservation", actual=reservation.number)
        return str(found[0][0])

    def restore(self, entry: bytes, data: bytes, mechanism: Mechanism, purpose: str, at: int,
                kin: Iterable[bytes] = ()) -> bool:
        """Put back what a claim tells of and this file has lost; whether it was missing.

        kin: those that share no record known here were it by their owner's word (``same_as``), and are again.
        """
        with self.writing():
            if self.rows("SELECT 1 FROM spendings WHERE entry = ?", entry):
                return False
            number, *others = (self._put(one) for one in (data, *kin))
            for other in others:
                apart = not self.rows("SELECT 1 FROM records WHERE number = ? AND fingerprint IN "
                                       "(SELECT fingerprint FROM records WHERE number = ?) LIMIT 1", number, other)
                (self._unite if apart else self._pair)(number, other)
            self._db.execute("INSERT INTO spendings (number, mechanism, purpose, state, entry, at) "
                             "VALUES (?, ?, ?, ?, ?, ?)", (number, encode(mechanism.body()), purpose, SPENT, entry, at))
            return True
