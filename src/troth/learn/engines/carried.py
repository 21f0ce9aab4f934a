"""The engine whose carrier is another process of this machine, such as Flower's ServerApp.

The process that holds the keys listens; the carrier connects, is handed calls, and hands back what came. It gets
nothing else. When the engine is closed the carrier's work is over; when the carrier goes, nobody can be asked.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from troth.core.closing import Closing
from troth.core.errors import BadInput, OutsideFailed
from troth.learn.engines import MAX_ANSWER, MAX_CALL, Engine, Tell, asked, sorted_out
from troth.learn.engines.door import checked_path, listening, receive_parts, send_parts

SLACK = 60.0
"""Seconds beyond its patience in which a carrier must hand back what it has."""
MAX_SITES = 100_000
_LOOK = 0.2


class CarriedEngine(Closing):
    """Listens at ``path`` for one carrier at a time; the newest one counts. Only this user's processes may be it."""

    def __init__(self, path: Path, *, most: int = MAX_ANSWER, tell: Tell | None = None) -> None:
        self.path, self._most, self._tell = path, most, tell
        self._link: socket.socket | None = None
        self._listening = listening(path)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let the carrier go, and listen no more."""
        self._drop()
        self.path.unlink(missing_ok=True)
        self._listening.close()

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        """As ``Engine.ask``. Waiting for a carrier takes a part of the patience; OutsideFailed where none comes."""
        names = asked(call, sites, patience, MAX_CALL)
        if not names:
            return {}
        end = time.monotonic() + patience
        with self._lock:
            while True:
                link = self._carrier(end)
                left = max(end - time.monotonic(), 0.001)
                try:
                    send_parts(link, [f"{left:.3f}".encode(), call, *(name.encode() for name in names)])
                except OSError:  # it has gone since the last call: wait for another
                    self._drop()
                    continue
                return sorted_out(names, self._back(link, left), self._most, self._tell)

    def _back(self, link: socket.socket, left: float) -> list[tuple[str, object]]:
        try:
            link.settimeout(left + SLACK)
            parts = receive_parts(link, 2 * MAX_SITES, MAX_ANSWER)
        except (OSError, BadInput) as error:
            parts = None
            why: object = error
        else:
            why = "it hung up"
        if parts is None or len(parts) % 2:
            self._drop()
            raise OutsideFailed("the carrier was lost in the middle of a call", actual=why,
                                do="Start it again, and ask again.")
        return [(name.decode(errors="replace"), answer) for name, answer in zip(parts[::2], parts[1::2], strict=True)]

    def _carrier(self, end: float) -> socket.socket:
        """The carrier that is there; one that comes takes its place."""
        while True:
            self._listening.settimeout(0 if self._link else max(end - time.monotonic(), 0.001))
            try:
                link, _ = self._listening.accept()
            except BlockingIOError:
                assert self._link is not None
                return self._link
            except TimeoutError:
                raise OutsideFailed("no carrier came", expected=f"one that connects to {self.path}",
                                    do="Start it: for Flower, the run.") from None
            self._drop()
            link.settimeout(SLACK)
            self._link = link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def carry(path: Path, engine: Engine, patience: float = 0.0) -> int:
    """Be the carrier of the engine at ``path``: ask ``engine`` what comes, until the other side closes; how often.

    patience: seconds to wait for somebody to listen there. Raises OutsideFailed where nobody does.
    """
    calls, end = 0, time.monotonic() + patience
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        while True:
            try:
                link.connect(str(checked_path(path)))
                break
            except OSError as error:
                if time.monotonic() >= end:
                    raise OutsideFailed(f"nobody asks at {path}", actual=error.strerror,
                                        do="Start what calls, such as troth train, and then this.") from None
            time.sleep(_LOOK)
        try:
            while (parts := receive_parts(link, MAX_SITES, MAX_CALL)) is not None:
                seconds, call, *names = parts
                found = engine.ask(call, [name.decode() for name in names], float(seconds))
                send_parts(link, [part for name, answer in found.items() for part in (name.encode(), answer)])
                calls += 1
        except OSError:  # the other side closed in the middle: its work is over
            return calls
    return calls
