"""What runs of agents have done so far, in a file: each step is written before it is taken, and again when it is over.

So a run that was killed goes on where it was: the brain is shown the same answers, and the one step that may or may
not have been taken is looked up by its intent. One process at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from troth.agents.brain import Call, Seen
from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput, Misuse
from troth.store.files import holding
from troth.store.sqlite import Layout, SharedFile

_SCHEMA = """
CREATE TABLE runs (run BLOB PRIMARY KEY, words TEXT NOT NULL, ended TEXT) WITHOUT ROWID;
CREATE TABLE steps (run BLOB, n INTEGER, call TEXT NOT NULL, seen TEXT, done INTEGER, PRIMARY KEY (run, n))
    WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A step: the call, and what came of it, None while that is not known."""

    n: int
    call: Call
    seen: Seen | None


class Runs(SharedFile):
    """The file of runs, or one in memory; see ``SharedFile``. Nothing is lost where it is not closed."""

    LAYOUT = Layout("file of runs", 0x54524E53, 1, _SCHEMA, "Is another process using it, or the disk full?",
                    "It is damaged: move it away. The journal's claims are in the log.")
    WAIT = 10.0

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else takes steps meanwhile. Raises OutsideFailed where another process does."""
        if self.path is None:
            yield
            return
        with holding(f"{self.path}.lock", 0.0, "an agent is running here already"):
            yield

    def begin(self, run: bytes, words: str) -> None:
        """Begin a run, or go on with it. Raises Misuse for one that has other words or is over."""
        with self.writing():
            self._db.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, NULL)", (run, words))
            before, ended = self._db.execute("SELECT words, ended FROM runs WHERE run = ?", (run,)).fetchone()
        if before != words:
            raise Misuse("this run has other words of its owner", actual=run.hex(), do="Begin another run.")
        if ended is not None:
            raise Misuse("this run is over", actual=run.hex(), do="Begin another run.")

    def end(self, run: bytes, text: str) -> None:
        """It is over, with this last word."""
        with self.writing():
            self._db.execute("UPDATE runs SET ended = ? WHERE run = ?", (text, run))

    def open_runs(self) -> list[tuple[bytes, str]]:
        """(run, the owner's words) of each that is not over."""
        return self.rows("SELECT run, words FROM runs WHERE ended IS NULL")

    def steps(self, run: bytes) -> list[Taken]:
        """Every step of a run, in order."""
        return [_taken(*row) for row in self.rows(
            "SELECT n, call, seen, done FROM steps WHERE run = ? ORDER BY n", run)]

    def take(self, run: bytes, n: int, call: Call) -> None:
        """Write down a step that is about to be taken."""
        text = encode({"arguments": dict(call.arguments), "tool": call.tool, "why": call.why}).decode()
        with self.writing():
            self._db.execute("INSERT INTO steps VALUES (?, ?, ?, NULL, NULL)", (run, n, text))

    def tell(self, run: bytes, n: int, seen: Seen) -> None:
        """Write down what came of it."""
        with self.writing():
            self._db.execute("UPDATE steps SET seen = ?, done = ? WHERE run = ? AND n = ?",
                             (seen.text, seen.done, run, n))


def _taken(n: int, text: str, seen: str | None, done: int | None) -> Taken:
    arguments, tool, why = take(decode_object(text.encode()), arguments=dict, tool=str, why=str)
    call = Call(tool, arguments, why)
    return Taken(n, call, None if seen is None else Seen(call, seen, bool(done)))


def check_step(call: Call) -> None:
    """Refuse what cannot be written down: fractions, numbers beyond 2^53. Raises BadInput."""
    try:
        encode({"arguments": dict(call.arguments), "tool": call.tool, "why": call.why})
    except BadInput as error:
        raise BadInput("a call that cannot be said in a claim", expected=error.expected, actual=error.actual) from None


