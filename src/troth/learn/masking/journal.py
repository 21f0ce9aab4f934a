"""What a party of masked sums must not forget: one SQLite file in its workspace.

A **site** puts a vector into one sum of a round, and into no other one ever: the difference of two sums over different
sites is a vector. Which sum that is stands here before its first message leaves, and each message stands here before it
leaves. So a site that was killed goes on in the same sum, with the same messages, and never signs a second set of
survivors. What it takes to go on (the vector, a seed of its secrets) is erased as soon as it has shown its shares: what
stays is which sum it was, and what was said, which the server has.

The **server's** end keeps who answered what in each phase before it acts on it, so that it asks the same again.

Whoever has this file before the sum is over can unmask the site's vector. It lies beside the records that the vector
was made from, with the same rights. A file put back from a copy is not noticed: never run a site from a backup of an
earlier moment while a round is under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from troth.core.encoding import sha256
from troth.core.errors import Misuse, OutsideFailed, Refuted
from troth.fixed.numbers import IntArray
from troth.learn.masking.wire import Phase
from troth.store.sqlite import Layout, SharedFile

APPLICATION_ID = 0x74726F73
"""Marks a SQLite file as a journal of sums ("tros")."""
SCHEMA = """
CREATE TABLE parts (plan BLOB NOT NULL, round INTEGER NOT NULL, session BLOB NOT NULL UNIQUE, note BLOB NOT NULL,
    seed BLOB, vector BLOB, PRIMARY KEY (plan, round)) WITHOUT ROWID;
CREATE TABLE said (session BLOB NOT NULL, phase INTEGER NOT NULL, name BLOB NOT NULL, call BLOB, answer BLOB NOT NULL,
    PRIMARY KEY (session, phase)) WITHOUT ROWID;
CREATE TABLE heard (session BLOB NOT NULL, phase INTEGER NOT NULL, site TEXT NOT NULL, answer BLOB NOT NULL,
    PRIMARY KEY (session, phase, site)) WITHOUT ROWID;
CREATE TABLE asked (session BLOB NOT NULL, phase INTEGER NOT NULL, PRIMARY KEY (session, phase)) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Said:
    """A call that was answered, and the answer. call: None once the sum is over."""

    call: bytes | None
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A site's part in a round: the sum it is in, and what it takes to go on, which is None once it is over.

    note: whatever its owner keeps with it.
    """

    session: bytes
    note: bytes
    seed: bytes | None = field(repr=False)
    vector: IntArray | None = field(repr=False)


class SumJournal(SharedFile):
    """The file at ``path``, for its owner alone, in which what is erased is overwritten; see ``SharedFile``."""

    LAYOUT = Layout("journal of sums", APPLICATION_ID, 1, SCHEMA, "Nothing was said. Free some space, then go on.",
                    "Restore nothing: leave the round, and take part in the next one.")
    WAIT = 120.0
    SECURE_DELETE = True

    def __init__(self, path: Path) -> None:
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise OutsideFailed(f"the journal of sums {path} cannot be opened: {error}") from error
        super().__init__(path)

    # A site's part

    def part(self, plan: bytes, round_: int, session: bytes | None = None) -> Part | None:
        """A site's part in a round of a plan; None while it has none.

        session: Raises Refuted where its vector is in another sum than this.
        """
        found = self.rows("SELECT session, note, seed, vector FROM parts WHERE plan = ? AND round = ?", plan, round_)
        if not found:
            return None
        name, note, seed, vector = found[0]
        if session not in (None, name):
            raise Refuted(f"this site's vector of round {round_} is in another sum", expected=name.hex(),
                          actual=session.hex(), do="Take part in the next round: two sums could show one vector.")
        return Part(name, note, seed, None if vector is None else np.frombuffer(vector, "<i8").astype(np.int64))

    def begin(self, plan: bytes, round_: int, session: bytes, seed: bytes, vector: IntArray, note: bytes = b"") -> Part:
        """Take part with this vector in this sum, and in no other one of the round; the part as it stands here.

        Where there is one already its vector and seed stay, whatever is given now. What was said in earlier rounds of
        the plan is forgotten. Raises Refuted where the round's vector is in another sum.
        """
        with self.writing():
            found = self.part(plan, round_, session)
            if found is not None:
                return found
            self._db.execute("DELETE FROM said WHERE session IN (SELECT session FROM parts WHERE plan = ?)", (plan,))
            self._db.execute("UPDATE parts SET seed = NULL, vector = NULL WHERE plan = ?", (plan,))
            self._db.execute("INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)",
                             (plan, round_, session, note, seed, vector.astype("<i8").tobytes()))
        return Part(session, note, seed, vector)

    def said(self, session: bytes) -> tuple[Said, ...]:
        """What a site said in a sum, phase by phase."""
        return tuple(Said(call, answer) for call, answer in self.rows(
            "SELECT call, answer FROM said WHERE session = ? ORDER BY phase", session))

    def answered(self, session: bytes, call: bytes) -> bytes | None:
        """What a site answered to this very call; None where it has not heard it."""
        found = self.rows("SELECT answer FROM said WHERE session = ? AND name = ?", session, sha256(call))
        return bytes(found[0][0]) if found else None

    def say(self, session: bytes, phase: Phase, call: bytes, answer: bytes) -> None:
        """Write an answer down, before it leaves. With the last one the secrets go.

        Raises Misuse where another answer of that phase stands here: some process is ahead of this one.
        """
        with self.writing():
            before = self.rows("SELECT name FROM said WHERE session = ? AND phase = ?", session, int(phase))
            if before or len(self.said(session)) != phase - 1:
                raise Misuse("this phase of a sum was answered otherwise, or is out of turn", actual=phase.name.lower(),
                             do="Run one process a site.")
            self._db.execute("INSERT INTO said VALUES (?, ?, ?, ?, ?)",
                             (session, int(phase), sha256(call), call, answer))
            if phase is Phase.UNMASK:
                self._db.execute("UPDATE parts SET seed = NULL, vector = NULL WHERE session = ?", (session,))
                self._db.execute("UPDATE said SET call = NULL WHERE session = ?", (session,))
        if phase is Phase.UNMASK:
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")  # no copy of what was erased stays in the log

    # The server's end

    def heard(self, session: bytes, phase: Phase) -> Mapping[str, bytes] | None:
        """Who answered what in a phase of a sum, by DID; None where the phase was not over."""
        if not self.rows("SELECT 1 FROM asked WHERE session = ? AND phase = ?", session, int(phase)):
            return None
        return {site: bytes(answer) for site, answer in self.rows(
            "SELECT site, answer FROM heard WHERE session = ? AND phase = ? ORDER BY site", session, int(phase))}

    def hear(self, session: bytes, phase: Phase, answers: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Write down who answered what, before anybody acts on it; what stands here, if something does."""
        with self.writing():
            before = self.heard(session, phase)
            if before is not None:
                return before
            self._db.execute("INSERT INTO asked VALUES (?, ?)", (session, int(phase)))
            self._db.executemany("INSERT INTO heard VALUES (?, ?, ?, ?)",
                                 [(session, int(phase), site, answer) for site, answer in answers.items()])
        return answers

    def forget(self, session: bytes) -> None:
        """The sum is over and its transcript published: what was heard is in there."""
        with self.writing():
            self._db.execute("DELETE FROM heard WHERE session = ?", (session,))
            self._db.execute("DELETE FROM asked WHERE session = ?", (session,))
