"""Log filters as JSON-RPC words them, and what they mean for the store's query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from troth.core.errors import BadInput
from troth.ledger.chains.blocks import hex_all, hex_bytes
from troth.ledger.chains.store import BlockStore, StoredLog

MAX_OPTIONS = 1_000
"""Of alternatives for one position: SQLite takes 32,766 values in a query."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs: blocks ``first``..``last``, emitting addresses (none: any), allowed topics by position.

    least: how many topics a log must have; a position that allows anything still counts.
    """

    first: int
    last: int
    addresses: tuple[bytes, ...]
    topics: Mapping[int, tuple[bytes, ...]]
    least: int

    @classmethod
    def parse(cls, query: object, number_of: Callable[[object], int]) -> LogFilter:
        """From an ``eth_getLogs`` parameter; ``number_of`` gives a block tag's or hash's number.

        Raises BadInput.
        """
        if not isinstance(query, Mapping):
            raise BadInput("a log filter is not an object", actual=repr(query)[:80])
        unknown = set(query) - {"fromBlock", "toBlock", "blockHash", "address", "topics"}
        if unknown:
            raise BadInput("a log filter has unknown fields", actual=", ".join(sorted(map(str, unknown))))
        if query.get("blockHash") is not None:
            if query.get("fromBlock") is not None or query.get("toBlock") is not None:
                raise BadInput("a log filter has both blockHash and a range", expected="one of them")
            first = last = number_of({"blockHash": query["blockHash"]})
        else:
            first = number_of(query.get("fromBlock") or "latest")
            last = number_of(query.get("toBlock") or "latest")
        wanted = query.get("topics") or []
        if not isinstance(wanted, (list, tuple)) or len(wanted) > 4:
            raise BadInput("a log filter's topics are not a list of at most four")
        topics = {at: _options(options, 32) for at, options in enumerate(wanted) if options not in (None, [], ())}
        return cls(first, last, _options(query.get("address") or [], 20), topics, len(wanted))

    def run(self, store: BlockStore, first: int | None = None, last: int | None = None) -> list[dict[str, object]]:
        """The matching logs in order, as JSON-RPC gives them; ``first`` and ``last`` replace the filter's own range."""
        low, high = self.first if first is None else first, self.last if last is None else last
        return [log_json(entry) for entry in store.logs(low, high, self.addresses, self.topics, self.least)]


def _options(value: object, size: int) -> tuple[bytes, ...]:
    """One or several alternatives, each of ``size`` bytes."""
    options = value if isinstance(value, (list, tuple)) else [value]
    if len(options) > MAX_OPTIONS:
        raise BadInput("a log filter has too many alternatives", expected=f"at most {MAX_OPTIONS}", actual=len(options))
    return tuple(hex_bytes(option, size) for option in options)


def log_json(entry: StoredLog) -> dict[str, object]:
    """A stored log as JSON-RPC gives it."""
    return {
        "address": "0x" + entry.log.address.hex(),
        "topics": hex_all(entry.log.topics),
        "data": "0x" + entry.log.data.hex(),
        "blockNumber": hex(entry.block),
        "blockHash": "0x" + entry.block_hash.hex(),
        "blockTimestamp": hex(entry.timestamp),
        "transactionHash": "0x" + entry.tx_hash.hex(),
        "transactionIndex": "0x0",
        "logIndex": hex(entry.position),
        "removed": False,
    }
