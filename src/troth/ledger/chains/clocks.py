"""Clocks for chains: the machine's, and one that stands still until told to move."""

from __future__ import annotations

import time

from troth.core.errors import Misuse


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Unix time in seconds."""
        return int(time.time())


class ManualClock:
    """A clock that shows ``start`` (Unix seconds) until it is advanced: for demos and tests."""

    def __init__(self, start: int) -> None:
        self._now = start

    def now(self) -> int:
        """Unix time in seconds."""
        return self._now

    def advance(self, seconds: int) -> int:
        """Move forward; the new time. Raises Misuse for a negative step."""
        if seconds < 0:
            raise Misuse("a clock does not go back", expected="0 seconds or more", actual=seconds)
        self._now += seconds
        return self._now
