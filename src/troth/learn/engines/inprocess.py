"""The engine for sites in this process: simulations, tests, the first trial of a round."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from troth.core.errors import Misuse
from troth.learn.engines import MAX_ANSWER, MAX_CALL, Answer, Tell, asked, sorted_out


class InProcessEngine:
    """Calls functions, one for each site.

    threads: how many sites answer at the same time, each in a thread of its own. With 0 they answer one after another
    in the caller's thread: the cheapest, and in one order; but a site that hangs then hangs the caller, since nothing
    can interrupt it. With threads a site that hangs keeps its thread until it returns, and is absent from every call
    until then: no site is ever asked two things at once.
    """

    def __init__(self, sites: Mapping[str, Answer], *, threads: int = 0, most: int = MAX_ANSWER,
                 tell: Tell | None = None) -> None:
        if threads < 0:
            raise Misuse("threads are counted from 0", actual=threads)
        self._sites = dict(sites)
        self._threads, self._most, self._tell = threads, most, tell or _nobody
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        """As ``Engine.ask``."""
        names = asked(call, sites, patience, MAX_CALL)
        end = time.monotonic() + patience
        known = [name for name in names if name in self._sites]
        for name in names:
            if name not in self._sites:
                self._tell(name, "is not in this process")
        come = self._in_threads(call, known, end) if self._threads else self._in_turn(call, known, end)
        return sorted_out(names, come, self._most, self._tell)

    def _in_turn(self, call: bytes, names: Sequence[str], end: float) -> Iterator[tuple[str, bytes]]:
        for name in names:
            answer = self._answer(name, call) if time.monotonic() < end else None
            if time.monotonic() >= end:
                self._tell(name, "did not answer in time")
            elif answer is not None:
                yield name, answer

    def _in_threads(self, call: bytes, names: Sequence[str], end: float) -> Iterator[tuple[str, bytes]]:
        """Daemon threads, and none that is joined: a site that hangs must not keep the process from ending."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[str, bytes | None]] = queue.SimpleQueue()
        left = set(names)
        for name in names:
            waiting.put(name)

        def work() -> None:
            while time.monotonic() < end:
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                done.put((name, self._alone(name, call)))

        for _ in range(min(self._threads, len(names))):
            threading.Thread(target=work, name="site", daemon=True).start()
        while left and (rest := end - time.monotonic()) > 0:
            try:
                name, answer = done.get(timeout=rest)
            except queue.Empty:
                break
            left.discard(name)
            if answer is not None:
                yield name, answer
        for name in names:
            if name in left:
                self._tell(name, "did not answer in time")

    def _alone(self, name: str, call: bytes) -> bytes | None:
        with self._lock:
            busy = name in self._busy
            self._busy.add(name)
        if busy:
            self._tell(name, "is still busy with an earlier call")
            return None
        try:
            return self._answer(name, call)
        finally:
            with self._lock:
                self._busy.discard(name)

    def _answer(self, name: str, call: bytes) -> bytes | None:
        try:
            return self._sites[name](call)
        except Exception as error:  # whatever a user's own training code raises is that site's failure, nobody else's
            self._tell(name, f"{type(error).__name__}: {error}")
            return None


def _nobody(site: str, why: str) -> None:
    """Tells nobody."""
