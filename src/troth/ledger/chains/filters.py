"""Filters that are polled: ``eth_newFilter`` and what belongs to it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.errors import BadInput
from troth.ledger.chains.logs import LogFilter
from troth.ledger.chains.transactions import Rejected

if TYPE_CHECKING:
    from troth.ledger.chains.embedded import EmbeddedChain

FILTER_SECONDS = 300.0
"""How long a filter is kept for whoever does not ask for it."""
MAX_FILTERS = 1_000


@dataclass(slots=True)
class _Filter:
    """A filter being polled: what it looks for (None: new blocks) and the first block not yet told.

    asked: when somebody last did, on the monotonic clock.
    """

    logs: LogFilter | None
    last: int | None
    next: int
    asked: float


class Filters:
    """The filters of one provider; safe for threads. ``number`` reads a block tag. Names cannot be guessed."""

    def __init__(self, chain: EmbeddedChain, number: Callable[[Any], int]) -> None:
        self._chain, self._number = chain, number
        self._filters: dict[str, _Filter] = {}
        self._lock = threading.Lock()

    def logs(self, query: Any) -> str:
        """A filter for logs; its name. Raises BadInput."""
        wanted = LogFilter.parse(query, self._number)
        ends = isinstance(query.get("toBlock"), (int, str)) and str(query["toBlock"])[:2] == "0x"
        return self._install(wanted, wanted.last if ends else None)

    def blocks(self) -> str:
        """A filter for new blocks; its name."""
        return self._install(None, None)

    def _install(self, logs: LogFilter | None, last: int | None) -> str:
        name, now = "0x" + secrets.token_hex(16), time.monotonic()
        after = self._chain.head().number + 1
        with self._lock:
            self._filters = {key: old for key, old in self._filters.items() if now - old.asked < FILTER_SECONDS}
            if len(self._filters) >= MAX_FILTERS:
                raise Rejected("too many filters", expected=f"at most {MAX_FILTERS}", do="Uninstall some")
            self._filters[name] = _Filter(logs, last, max(after, logs.first) if logs else after, now)
        return name

    def uninstall(self, name: Any) -> bool:
        """Whether there was such a filter; there is none now."""
        with self._lock:
            return self._filters.pop(name, None) is not None

    def _found(self, name: Any) -> _Filter:
        """A filter that has not ended; call it holding the filters."""
        found, now = self._filters.get(name), time.monotonic()
        if found is None or now - found.asked >= FILTER_SECONDS:
            raise BadInput("filter not found", actual=name, do="Make it anew: it ends after five minutes unasked")
        found.asked = now
        return found

    def changes(self, name: Any) -> list[Any]:
        """What is new since the last time. Raises BadInput where there is no such filter."""
        with self._lock:
            found, head = self._found(name), self._chain.head().number
            first, last = found.next, head if found.last is None else min(head, found.last)
            found.next = max(first, head + 1)
        with self._chain.reading() as store:
            if found.logs is None:
                return ["0x" + digest.hex() for digest in store.hashes(first, last)]
            return list(found.logs.run(store, first, last))

    def whole(self, name: Any) -> list[Any]:
        """Everything a log filter finds, old and new. Raises BadInput."""
        with self._lock:
            found = self._found(name)
        if found.logs is None:
            raise BadInput("a block filter has no logs", actual=name, do="Use eth_getFilterChanges")
        head = self._chain.head().number
        with self._chain.reading() as store:
            return list(found.logs.run(store, None, head if found.last is None else found.last))
