"""The outbox: what an account was told to do on a chain, and every transaction signed for it, in one SQLite file.

An *act* is what somebody asked for, under an id of theirs. A *slot* is a nonce of the account: an act gets one, and
keeps it until the chain has finalized another transaction with that nonce. A slot has one or several *signed*
versions, each paying more than the one before; a chain takes at most one of them. A slot without an act holds a
payment of nothing to oneself, which closes a gap; so does the last version of an act that was given up or expired.

Signed bytes are on the disk before anybody sees them (``writing(durable=True)`` waits for the disk). What the chain
did with them can be read again, so it is written without waiting. Rows are never deleted.

Nothing here asks a node: ``troth.ledger.tending`` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from troth.core.errors import Misuse, OutsideFailed
from troth.store.files import holding
from troth.store.sqlite import Layout, SharedFile

PENDING, INCLUDED, SAFE, FINALIZED, FAILED = "pending", "included", "safe", "finalized", "failed"
EXPIRED = "expired"
"""Of an act that was not broadcast in time, and why it was given up."""
TAKEN = "taken"
"""Of a slot alone: another transaction of this account's key has its nonce, finally."""
LEVELS = (PENDING, INCLUDED, SAFE, FINALIZED)
TURN = 60.0
"""Seconds to wait for another process that sends from the same account."""
APPLICATION_ID = 0x74726F78
"""Marks a SQLite file as an outbox ("trox")."""
SCHEMA = """
CREATE TABLE chains (id TEXT PRIMARY KEY, genesis BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE acts (
    number INTEGER PRIMARY KEY, queue TEXT NOT NULL, id BLOB NOT NULL, what BLOB NOT NULL, named INTEGER NOT NULL,
    target BLOB NOT NULL, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER NOT NULL,
    nonce INTEGER, given_up TEXT, answered INTEGER NOT NULL DEFAULT 0, not_after INTEGER, here_after REAL,
    UNIQUE (queue, id)
);
CREATE INDEX acts_by_what ON acts (queue, what);
CREATE INDEX acts_waiting ON acts (queue) WHERE nonce IS NULL;
CREATE TABLE slots (
    queue TEXT NOT NULL, nonce INTEGER NOT NULL, act BLOB, level TEXT NOT NULL, mined TEXT,
    PRIMARY KEY (queue, nonce)
) WITHOUT ROWID;
CREATE INDEX slots_open ON slots (queue, nonce) WHERE level IN ('pending', 'included', 'safe');
CREATE TABLE signed (
    tx_hash BLOB PRIMARY KEY, queue TEXT NOT NULL, nonce INTEGER NOT NULL, raw BLOB NOT NULL,
    fee TEXT NOT NULL, tip TEXT NOT NULL, at REAL NOT NULL, filler INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX signed_by_slot ON signed (queue, nonce);
"""
FROM_1 = "ALTER TABLE acts ADD COLUMN not_after INTEGER; ALTER TABLE acts ADD COLUMN here_after REAL"
"""A file of layout 1 is brought up to this one: it holds what was signed, and cannot be made again."""


class Expired(OutsideFailed):
    """An act was not broadcast before its time was over, and will not be."""


@dataclass(frozen=True, slots=True)
class Act:
    """What was asked for. to: empty for a deployment. nonce: its slot, or None while it has none.

    given_up: why nobody tries any more to have it done. answered: whether somebody was told how it ended. named:
    whether the caller gave the id. not_after: the chain's time (Unix seconds) after which it is not broadcast any more,
    and here_after the same on this machine's clock, as of when it was asked for: whichever says so first. A node that
    lags does not hold up this machine's clock, and a chain that is ahead of it has its own.
    """

    id: bytes
    to: bytes
    data: bytes
    value: int
    gas: int
    named: bool
    nonce: int | None = None
    given_up: str | None = None
    answered: bool = False
    not_after: int | None = None
    here_after: float | None = None

    @property
    def expired(self) -> bool:
        """Whether it was given up because its time was over."""
        return self.given_up == EXPIRED

    @property
    def what(self) -> bytes:
        """The hash of what is to be done, whoever asks and how often."""
        return content(self.to, self.data, self.value)


@dataclass(frozen=True, slots=True)
class Mined:
    """A slot's transaction in a block. failure: (the contract's error or "", what it says) of one that reverted."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    receipt: Mapping[str, Any]
    failure: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A nonce. act: None for one that only closes a gap. mined: where ``level`` is more than pending."""

    nonce: int
    act: bytes | None
    level: str
    mined: Mined | None


@dataclass(frozen=True, slots=True)
class Signed:
    """One signed version of a slot. fee, tip: wei per gas. at: Unix time. filler: a payment of nothing to oneself."""

    tx_hash: bytes
    nonce: int
    raw: bytes
    fee: int
    tip: int
    at: float
    filler: bool


def content(to: bytes, data: bytes, value: int) -> bytes:
    """The hash of an act's content: target (with its length), value, data."""
    return hashlib.sha256(bytes((len(to),)) + to + value.to_bytes(32, "big") + data).digest()


class Outbox(SharedFile):
    """The file at ``path``, or memory where that is None; see ``SharedFile``."""

    LAYOUT = Layout("outbox", APPLICATION_ID, 2, SCHEMA, "Nothing was sent. Free some space, then ask again.",
                    "Restore it. Without it, look on the chain for what was done before asking again.", FROM_1)

    def change(self, statement: str, *values: object) -> None:
        """One change, inside ``writing``."""
        self._db.execute(statement, values)

    def queue(self, chain_id: int, genesis: bytes, account: bytes) -> Queue:
        """One account's acts on one chain.

        Raises Misuse where this outbox knows the chain id with another genesis: the node is not the one it was.
        """
        found = self.rows("SELECT genesis FROM chains WHERE id = ?", str(chain_id))
        if not found:
            with self.writing(durable=True):
                self.change("INSERT OR IGNORE INTO chains VALUES (?, ?)", str(chain_id), genesis)
            found = self.rows("SELECT genesis FROM chains WHERE id = ?", str(chain_id))
        if found[0][0] != genesis:
            raise Misuse(f"this is another chain with the id {chain_id}", expected=f"genesis {found[0][0].hex()}",
                         actual=genesis.hex(), do="Correct the chain's address. For a new chain use a new workspace.")
        return Queue(self, f"{chain_id}/{account.hex()}", account)


class Queue:
    """One account's acts, slots and signed transactions on one chain. One writer at a time: hold ``turn``."""

    def __init__(self, outbox: Outbox, key: str, account: bytes) -> None:
        self.outbox, self.account = outbox, account
        self._key = key
        self._turn = threading.RLock()
        self._held = 0

    @contextlib.contextmanager
    def turn(self, wait: float = TURN) -> Iterator[None]:
        """Be the one who signs for this account, among all processes with this file.

        Raises OutsideFailed if another keeps its turn for ``wait`` seconds.
        """
        if not self._turn.acquire(timeout=wait):
            raise OutsideFailed("another thread is sending from this account", do="Wait for it, then try again.")
        try:
            if self.outbox.path is None or self._held:
                self._held += 1
                yield
            else:
                path = f"{self.outbox.path}.{self.account.hex()}.lock"
                with holding(path, wait, "another process is sending from this account"):
                    self._held += 1
                    yield
        finally:
            self._held = max(0, self._held - 1)
            self._turn.release()

    # -- reading ---------------------------------------------------------------------------------------------------

    def act(self, identifier: bytes) -> Act | None:
        """The act of this id."""
        return next(iter(self._acts("id = ?", identifier)), None)

    def acts(self) -> list[Act]:
        """Every act, oldest first."""
        return self._acts("1 ORDER BY number")

    def unanswered(self, what: bytes) -> Act | None:
        """The newest act with this content, without an id of its caller's, that nobody was told the end of."""
        found = self._acts("what = ? AND NOT named AND NOT answered ORDER BY number DESC LIMIT 1", what)
        return found[0] if found else None

    def loose(self, what: bytes) -> bool:
        """Whether the newest act with this content, without an id, was told of and lies in a block that may yet go."""
        rows = self.outbox.rows("SELECT level FROM acts JOIN slots USING (queue, nonce) WHERE queue = ? AND what = ?"
                                " AND NOT named AND answered ORDER BY number DESC LIMIT 1", self._key, what)
        return bool(rows) and rows[0][0] in (PENDING, INCLUDED, SAFE)

    def asked(self, what: bytes) -> int:
        """How often this was asked for without an id."""
        (row,) = self.outbox.rows("SELECT count(*) FROM acts WHERE queue = ? AND what = ? AND NOT named",
                                  self._key, what)
        return int(row[0])

    def waiting(self) -> list[Act]:
        """Acts without a slot, oldest first."""
        return self._acts("nonce IS NULL AND given_up IS NULL ORDER BY number")

    def _acts(self, where: str, *values: object) -> list[Act]:
        columns = "id, target, data, value, gas, named, nonce, given_up, answered, not_after, here_after"
        rows = self.outbox.rows(f"SELECT {columns} FROM acts WHERE queue = ? AND {where}", self._key, *values)  # noqa: S608
        return [Act(row[0], row[1], row[2], int(row[3]), row[4], bool(row[5]), row[6], row[7], bool(row[8]), *row[9:])
                for row in rows]

    def slot(self, nonce: int) -> Slot | None:
        """The slot of a nonce."""
        return next(iter(self._slots("nonce = ?", nonce)), None)

    def unfinished(self) -> list[Slot]:
        """The slots that the chain has not finalized, by nonce."""
        return self._slots("level IN ('pending', 'included', 'safe') ORDER BY nonce")

    def _slots(self, where: str, *values: object) -> list[Slot]:
        rows = self.outbox.rows(f"SELECT nonce, act, level, mined FROM slots WHERE queue = ? AND {where}",  # noqa: S608
                                self._key, *values)
        return [Slot(row[0], row[1], row[2], None if row[3] is None else _mined(row[3])) for row in rows]

    def first_unused(self) -> int:
        """The nonce after the highest that was ever signed for."""
        (row,) = self.outbox.rows("SELECT max(nonce) FROM slots WHERE queue = ?", self._key)
        return 0 if row[0] is None else int(row[0]) + 1

    def first_unsettled(self) -> int:
        """The nonce after the highest that the chain has finalized, as far as was seen."""
        (row,) = self.outbox.rows("SELECT max(nonce) FROM slots WHERE queue = ? AND level IN (?, ?)", self._key,
                                  FINALIZED, TAKEN)
        return 0 if row[0] is None else int(row[0]) + 1

    def signed(self, nonce: int) -> list[Signed]:
        """The signed versions of a slot, oldest first."""
        rows = self.outbox.rows("SELECT tx_hash, nonce, raw, fee, tip, at, filler FROM signed WHERE queue = ?"
                                " AND nonce = ?", self._key, nonce)
        found = [Signed(row[0], row[1], row[2], int(row[3]), int(row[4]), row[5], bool(row[6])) for row in rows]
        return sorted(found, key=lambda one: (one.fee, one.filler))  # each pays more than the one before

    # -- writing, in turn, inside ``outbox.writing`` -----------------------------------------------------------------

    def add(self, act: Act) -> None:
        """A new act, without a slot."""
        self.outbox.change("INSERT INTO acts (queue, id, what, named, target, data, value, gas, not_after, here_after)"
                           " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._key, act.id, act.what, act.named, act.to,
                           act.data, str(act.value), act.gas, act.not_after, act.here_after)

    def until(self, act: bytes, not_after: int, here_after: float) -> None:
        """Another time after which an act is not broadcast any more."""
        self.outbox.change("UPDATE acts SET not_after = ?, here_after = ? WHERE queue = ? AND id = ?", not_after,
                           here_after, self._key, act)

    def open(self, nonce: int, act: bytes | None, signed: Signed) -> None:
        """Give an act (None: a gap) the slot, with its first signed version."""
        self.outbox.change("INSERT INTO slots VALUES (?, ?, ?, ?, NULL)", self._key, nonce, act, PENDING)
        if act is not None:
            self.outbox.change("UPDATE acts SET nonce = ? WHERE queue = ? AND id = ?", nonce, self._key, act)
        self.sign(signed)

    def sign(self, signed: Signed) -> None:
        """One more version of a slot."""
        self.outbox.change("INSERT OR IGNORE INTO signed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", signed.tx_hash, self._key,
                           signed.nonce, signed.raw, str(signed.fee), str(signed.tip), signed.at, signed.filler)

    def mark(self, nonce: int, level: str, mined: Mined | None) -> None:
        """Where the chain has a slot's transaction; pending and None where it has it no longer: then what anybody was
        told of its act is not so any more.
        """
        self.outbox.change("UPDATE slots SET level = ?, mined = ? WHERE queue = ? AND nonce = ?", level,
                           None if mined is None else _text(mined), self._key, nonce)
        if mined is None:
            self.outbox.change("UPDATE acts SET answered = 0 WHERE queue = ? AND nonce = ?", self._key, nonce)

    def take(self, slot: Slot) -> None:
        """Another transaction has this nonce for ever: the act waits for a new slot."""
        self.mark(slot.nonce, TAKEN, None)
        self.outbox.change("UPDATE acts SET nonce = NULL WHERE queue = ? AND id = ?", self._key, slot.act)

    def give_up(self, act: bytes, why: str) -> None:
        """Try no more to have an act done. Its slot, if it has one, is filled by something else."""
        self.outbox.change("UPDATE acts SET given_up = ? WHERE queue = ? AND id = ?", why, self._key, act)

    def answer(self, act: bytes) -> None:
        """Somebody was told how the act ended."""
        self.outbox.change("UPDATE acts SET answered = 1 WHERE queue = ? AND id = ?", self._key, act)


def _text(mined: Mined) -> str:
    return json.dumps([mined.tx_hash.hex(), mined.block_number, mined.block_hash.hex(), dict(mined.receipt),
                       mined.failure])


def _mined(text: str) -> Mined:
    tx_hash, number, block_hash, receipt, failure = json.loads(text)
    return Mined(bytes.fromhex(tx_hash), number, bytes.fromhex(block_hash), receipt,
                 None if failure is None else (failure[0], failure[1]))
