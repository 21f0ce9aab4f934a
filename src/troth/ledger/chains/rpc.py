"""A chain behind JSON-RPC over HTTP (anvil, geth, a rollup, a provider), and raw requests to any chain.

web3.py's formatters cost a quarter of a millisecond an event and several an unsigned transaction; what reads many
events or sends many transactions asks the provider directly, through :func:`request` and :func:`get_logs`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core.closing import Closing
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.ports import Clock
from troth.ledger.chains import Finality, Place
from troth.ledger.chains.blocks import Log, hex_all, hex_bytes, quantity
from troth.ledger.wire import TIMEOUT

if TYPE_CHECKING:
    from web3 import Web3


MOST_REASON = 1_000
"""Characters of an error's message that are kept."""


class RpcError(OutsideFailed):
    """A JSON-RPC error answer. ``code`` is its code; ``data`` the bytes that came with it, such as a revert's."""

    def __init__(self, method: str, code: int, reason: str, data: bytes) -> None:
        self.code, self.reason, self.data = code, reason, data
        super().__init__(f"{method} failed: {reason} (code {code})")


def next_time(web3: Web3) -> int:
    """The timestamp of the node's pending block, or of its last one; Unix seconds. Raises OutsideFailed."""
    with understood("eth_getBlockByNumber"):
        block = request(web3, "eth_getBlockByNumber", "pending", False) or request(
            web3, "eth_getBlockByNumber", "latest", False)
        return quantity(block["timestamp"])


def request(web3: Web3, method: str, *params: object) -> Any:
    """The ``result`` of one JSON-RPC request, as the node wrote it.

    Raises RpcError for an error answer, OutsideFailed if there is no answer, or none that can be read.
    """
    from requests import RequestException  # comes with web3, and takes as long to import
    from web3.types import RPCEndpoint

    try:
        answer = web3.provider.make_request(RPCEndpoint(method), list(params))
    except (RequestException, OSError) as error:
        raise OutsideFailed(f"{method}: the node does not answer: {error}", do="Is it running, is the address right?") \
            from error
    error_answer = answer.get("error")
    if error_answer is None:
        return answer.get("result")
    if not isinstance(error_answer, Mapping):
        raise RpcError(method, 0, str(error_answer), b"")
    data, code = error_answer.get("data"), error_answer.get("code")
    if isinstance(data, Mapping):  # some nodes wrap it once more
        data = data.get("data")
    with understood(method):
        found = hex_bytes(data) if isinstance(data, str) and data.startswith("0x") else b""
    reason = str(error_answer.get("message", ""))[:MOST_REASON]
    raise RpcError(method, code if isinstance(code, int) else 0, reason, found)


@contextlib.contextmanager
def understood(method: str) -> Iterator[None]:
    """Raise OutsideFailed where a node's answer to ``method`` turns out to have another shape than it should."""
    try:
        yield
    except (BadInput, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise OutsideFailed(f"{method}: the node's answer cannot be read", actual=repr(error)[:200],
                            do="Ask another node.") from error


@dataclass(frozen=True, slots=True)
class Event:
    """A log and where it stands."""

    log: Log
    block_number: int
    log_index: int
    block_hash: bytes
    tx_hash: bytes


def get_logs(
    web3: Web3,
    *,
    addresses: Sequence[bytes] = (),
    topics: Sequence[bytes | Sequence[bytes] | None] = (),
    first: int = 0,
    last: int | None = None,
) -> tuple[Event, ...]:
    """The events of blocks ``first``..``last`` (None: the head) in order.

    addresses: emitting contracts (none: any). topics: per position one, several, or None for any; an event has at
    least as many. Raises OutsideFailed for an answer that holds other events.
    """
    wanted = [None if t is None else "0x" + t.hex() if isinstance(t, bytes) else hex_all(t) for t in topics]
    query: dict[str, object] = {"fromBlock": hex(first), "toBlock": "latest" if last is None else hex(last)}
    if addresses:
        query["address"] = hex_all(addresses)
    if wanted:
        query["topics"] = wanted
    with understood("eth_getLogs"):
        events = [event_of(entry) for entry in request(web3, "eth_getLogs", query)]
    for event in events:
        _check_asked(event, addresses, topics, first, last)
    # Nodes differ on a log that has fewer topics than were asked for, of which the last may be anything.
    return tuple(event for event in events if len(event.log.topics) >= len(topics))


def _check_asked(event: Event, addresses: Sequence[bytes], topics: Sequence[bytes | Sequence[bytes] | None],
                 first: int, last: int | None) -> None:
    """Raise OutsideFailed unless the query asked for this event."""
    in_range = first <= event.block_number and (last is None or event.block_number <= last)
    by_topics = all(
        allowed is None or found == allowed or (not isinstance(allowed, bytes) and found in allowed)
        for allowed, found in zip(topics, event.log.topics, strict=False)
    )
    if not (in_range and by_topics and (not addresses or event.log.address in addresses)):
        raise OutsideFailed("eth_getLogs: the node gave an event that was not asked for", actual=event,
                            do="Use another node: this one cannot be relied on")


def event_of(entry: Mapping[str, Any]) -> Event:
    """A JSON-RPC log as an event. Raises BadInput."""
    topics = tuple(hex_bytes(topic, 32) for topic in entry["topics"])
    log = Log(hex_bytes(entry["address"], 20), topics, hex_bytes(entry["data"]))
    return Event(
        log,
        quantity(entry["blockNumber"]),
        quantity(entry["logIndex"]),
        hex_bytes(entry["blockHash"], 32),
        hex_bytes(entry["transactionHash"], 32),
    )


def place_of(block: Mapping[str, Any]) -> Place:
    """A JSON-RPC block's place. Raises BadInput."""
    return Place(quantity(block["number"]), hex_bytes(block["hash"], 32), quantity(block["timestamp"]))


def finality(web3: Web3) -> Finality:
    """How far the chain is, as its node says; read from the oldest on, so that a block in between turns nothing round.

    Raises OutsideFailed if there is no answer. A node that has finalized nothing yet answers with an error or with
    nothing: no such block.
    """
    places: list[Place | None] = []
    for tag in ("finalized", "safe"):
        try:
            block = request(web3, "eth_getBlockByNumber", tag, False)
        except RpcError:
            block = None
        with understood("eth_getBlockByNumber"):
            places.append(None if block is None else place_of(block))
    with understood("eth_getBlockByNumber"):
        latest = place_of(request(web3, "eth_getBlockByNumber", "latest", False))
    heights = [place.number for place in (*places, latest) if place is not None]
    if heights != sorted(heights):
        raise OutsideFailed("the node's finalized, safe and latest blocks are out of order", actual=heights,
                            do="Ask again; if it stays so, ask another node.")
    return Finality(latest, safe=places[1], finalized=places[0])


class RpcChain(Closing):
    """A chain behind a node's HTTP address.

    chain_id, genesis_hash: what it must be; None takes the node's word. timeout: seconds for a request as a whole.
    Both are asked again by :meth:`check`. Raises Misuse for another chain, OutsideFailed if the node does not answer.
    """

    def __init__(
        self, url: str, chain_id: int | None = None, genesis_hash: bytes | None = None, timeout: float | None = None
    ) -> None:
        from web3 import Web3  # web3 takes most of a second to import

        from troth.ledger.chains.wire import HttpProvider  # imports web3

        self.url = url
        self._provider = HttpProvider(url, TIMEOUT if timeout is None else timeout)
        self._web3 = Web3(self._provider)
        try:
            self.chain_id, self.genesis_hash = self._identity()
            self._compare(chain_id, genesis_hash)
        except BaseException:
            self._provider.close()
            raise

    def _identity(self) -> tuple[int, bytes]:
        with understood("eth_chainId"):
            chain_id = quantity(request(self._web3, "eth_chainId"))
        with understood("eth_getBlockByNumber"):
            return chain_id, place_of(request(self._web3, "eth_getBlockByNumber", "0x0", False)).hash

    def _compare(self, chain_id: int | None, genesis_hash: bytes | None) -> None:
        what = self.url.partition("?")[0]
        if chain_id is not None and chain_id != self.chain_id:
            raise Misuse(f"{what} is another chain", expected=f"chain id {chain_id}", actual=self.chain_id)
        if genesis_hash is not None and genesis_hash != self.genesis_hash:
            raise Misuse(f"{what} is another chain", expected=f"genesis {genesis_hash.hex()}",
                         actual=self.genesis_hash.hex(),
                         do="Correct the address, or find out who put another chain behind it")

    def check(self) -> None:
        """Ask again which chain this is. Raises Misuse if another one is behind the address now."""
        chain_id, genesis_hash = self.chain_id, self.genesis_hash
        self.chain_id, self.genesis_hash = self._identity()
        try:
            self._compare(chain_id, genesis_hash)
        finally:
            self.chain_id, self.genesis_hash = chain_id, genesis_hash

    @property
    def web3(self) -> Web3:
        """A web3.py instance on this chain."""
        return self._web3

    def now(self) -> int:
        """The timestamp of the node's pending block, or of its last one; Unix seconds."""
        return next_time(self._web3)

    def finality(self) -> Finality:
        """How far the chain is, as its node says."""
        return finality(self._web3)

    def close(self) -> None:
        """Hang up."""
        self._provider.close()


def open_url(
    url: str,
    chain_id: int | None,
    genesis_time: int | None,
    accounts: Mapping[bytes, int] | None,
    clock: Clock | None,
) -> RpcChain:
    """The chain behind ``http://…`` or ``https://…``. Raises Misuse for what a running node does not take."""
    if genesis_time is not None or accounts is not None or clock is not None:
        raise Misuse("a running node has its own genesis and clock", do="Leave genesis_time, accounts and clock out")
    return RpcChain(url, chain_id)
