"""The chain as an index reads it: linked blocks whose events are checked, and ranges of old ones on the node's word.

Two ways of reading, and what each lets pass:

**A block near the head** (``Feed.events``). Its header must hash to its hash; a bloom without our contracts ends it,
since then it holds no event of theirs. Otherwise all receipts of the block are read and must be its own: their logs
are numbered without a gap, name this block, and have together exactly the header's bloom; where every receipt is of a
type that Ethereum has, they also hash to the header's receipts root. So an event can neither be left out nor put in
without another header. Receipts of other types (a rollup's deposits) cannot be hashed here; for such blocks the bloom
decides, which leaves a small chance that a missing event hides behind others.

**A range of old blocks** (``Feed.range``). One question for many blocks. The node is believed that nothing is missing;
events must be in order, in the range, of our contracts, in one block a number, and a deal's terms must lead to its id.

No answer is trusted to be an answer: whatever cannot be read raises OutsideFailed, and the caller has written nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_hash.auto import keccak

from troth.core.errors import BadInput, OutsideFailed
from troth.ledger.chains.blocks import Header, hex_bytes, logs_bloom, quantity
from troth.ledger.chains.rpc import RpcError, event_of, request
from troth.ledger.events import Reader, Row
from troth.ledger.receipts import encoded, receipts_root
from troth.ledger.wire import TooLarge

if TYPE_CHECKING:
    from web3 import Web3

MOST_LOGS = 100_000
"""In one answer; a range with more is asked for in halves."""
KNOWN_TYPES = 4
"""The highest type of a receipt that Ethereum has (EIP-7702)."""
Rows = dict[str, list[Row]]


class Moved(Exception):
    """The chain is no longer what it was at the question before: look again where it stands."""


class TooMuch(Exception):
    """The node refuses to answer for so many blocks at once; ``reason`` is what it says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose header was checked. bloom, receipts_root: the header's."""

    number: int
    hash: bytes
    parent: bytes
    bloom: int
    receipts_root: bytes


class Feed:
    """Reads one Book's and one Anchor's events (``reader``) from one node.

    depth: how many blocks make a block final; None takes the node's word.
    """

    def __init__(self, web3: Web3, reader: Reader, depth: int | None = None) -> None:
        self._depth = depth
        self._web3 = web3
        self._reader = reader
        self._addresses = [hex_bytes(address, 20) for address in reader.addresses]
        self._blooms = [_bits(address) for address in self._addresses]

    def chain_id(self) -> int:
        """What the node says it is. Raises OutsideFailed."""
        return int(_read(quantity, self._ask("eth_chainId")))

    def head(self) -> Block:
        """The newest block. Raises OutsideFailed."""
        found = self.block("latest")
        if found is None:
            raise OutsideFailed("the node has no newest block", do="Ask another node.")
        return found

    def finalized(self) -> Block | None:
        """The newest block that is final; None where there is none, or the node knows of none. Raises OutsideFailed."""
        if self._depth is not None:
            number = self.head().number - self._depth
            return None if number < 0 else self.block(number)
        try:
            return self.block("finalized")
        except RpcError:  # a chain without finality, or a node that has not heard of it
            return None

    def block(self, at: int | str) -> Block | None:
        """The block of a number or tag; None if there is none. Raises OutsideFailed unless it hashes to its hash."""
        found = self._ask("eth_getBlockByNumber", at if isinstance(at, str) else hex(at), False)
        if found is None:
            return None
        header, digest = _read(_header, found)
        if keccak(header.encode()) != digest:
            raise OutsideFailed(f"block {header.number} does not hash to its own hash", expected=digest.hex(),
                                do="Ask another node. Is this chain's header Ethereum's?")
        if isinstance(at, int) and header.number != at:
            raise OutsideFailed("the node answers with another block", expected=at, actual=header.number)
        return Block(header.number, digest, header.parent_hash, int.from_bytes(header.fields[6], "big"),
                     header.receipts_root)

    def events(self, block: Block) -> Rows:
        """Every event of ours in a block, checked against its header.

        Raises Moved where the node no longer has this block, OutsideFailed where it contradicts the header.
        """
        if not any(block.bloom & bits == bits for bits in self._blooms):
            return self._reader.rows(())
        receipts = self._ask("eth_getBlockReceipts", "0x" + block.hash.hex())
        if receipts is None:
            raise Moved
        logs = _read(_logs_of, receipts, block)
        kinds = [_read(quantity, receipt.get("type") or 0) for receipt in receipts]
        if max(kinds, default=0) <= KNOWN_TYPES and _read(_root, receipts) != block.receipts_root:
            raise OutsideFailed(f"the node's receipts of block {block.number} do not hash to its receipts root",
                                expected=block.receipts_root.hex(), do="Ask another node.")
        return self._reader.rows(logs)

    def range(self, first: int, end: Block) -> Rows:
        """The events of blocks ``first`` to ``end``, as the node tells them.

        Raises TooMuch where the node refuses, or answers with more events than ``MOST_LOGS`` or more bytes than are
        read; OutsideFailed.
        """
        query = {"fromBlock": hex(first), "toBlock": hex(end.number), "address": list(self._reader.addresses)}
        try:
            logs = self._ask("eth_getLogs", query)
        except RpcError as error:
            raise TooMuch(error.diagnostics()) from error
        except OutsideFailed as error:
            if isinstance(error.__cause__, TooLarge):  # more bytes than are read of one answer: fewer blocks, then
                raise TooMuch(error.message) from error
            raise
        if not isinstance(logs, Sequence) or isinstance(logs, str):
            raise OutsideFailed("the node's answer is no list of events", actual=repr(logs)[:80])
        if len(logs) > MOST_LOGS:
            raise TooMuch(f"{len(logs)} events in one answer")
        _read(_in_order, logs, first, end, frozenset(self._reader.addresses))
        return self._reader.rows(logs)

    def _ask(self, method: str, *params: object) -> Any:
        """One question. Whatever is no JSON-RPC answer raises OutsideFailed."""
        try:
            return request(self._web3, method, *params)
        except (ValueError, TypeError, AttributeError, RecursionError, BadInput) as error:
            raise OutsideFailed(f"{method}: the node's answer cannot be read", actual=repr(error)[:200],
                                do="Ask another node.") from None


def _read(read: Any, *values: Any) -> Any:
    """What ``read`` makes of an answer; OutsideFailed where it is shaped otherwise than JSON-RPC has it."""
    try:
        return read(*values)
    except (BadInput, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise OutsideFailed("the node's answer cannot be read", actual=repr(error)[:200],
                            do="Ask another node.") from None


def _header(answer: Mapping[str, Any]) -> tuple[Header, bytes]:
    header = Header.decode(Header.from_json(answer).encode())  # decoding checks the fields' lengths
    return header, hex_bytes(answer["hash"], 32)


def _bits(value: bytes) -> int:
    """The bits that a value sets in a bloom."""
    digest = keccak(value)
    found = 0
    for at in (0, 2, 4):
        found |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return found


def _logs_of(receipts: Sequence[Mapping[str, Any]], block: Block) -> list[Mapping[str, Any]]:
    """The logs of a block's receipts, which must be those of this very block."""
    logs = [log for receipt in receipts for log in receipt["logs"]]
    for place, log in enumerate(logs):
        if (hex_bytes(log["blockHash"], 32), quantity(log["blockNumber"])) != (block.hash, block.number):
            raise OutsideFailed(f"the node tells of another block's event in block {block.number}",
                                expected=block.hash.hex(), actual=str(log["blockHash"])[:80], do="Ask another node.")
        if quantity(log["logIndex"]) != place:
            raise OutsideFailed(f"the events of block {block.number} are not numbered in order", expected=place,
                                actual=str(log["logIndex"])[:80], do="Ask another node.")
    bloom = int.from_bytes(logs_bloom(event_of(log).log for log in logs), "big")
    if bloom != block.bloom:
        raise OutsideFailed(f"the node's events of block {block.number} are not those of its header",
                            expected="events with the header's bloom", do="Ask another node.")
    return logs


def _root(receipts: Sequence[Mapping[str, Any]]) -> bytes:
    return receipts_root([encoded(receipt) for receipt in receipts])


def _in_order(logs: Iterable[Mapping[str, Any]], first: int, end: Block, ours: frozenset[str]) -> None:
    """Refuse events that were not asked for, or twice, or of two blocks with one number."""
    before, name = (first, -1), b""
    number, digest, said = -1, b"", ("", "")
    for log in logs:
        place = int(log["logIndex"], 16)
        if (log["blockNumber"], log["blockHash"]) != said:  # many events are of one block
            said = log["blockNumber"], log["blockHash"]
            number, digest = int(said[0], 16), hex_bytes(said[1], 32)
        address = log["address"]
        if not (before < (number, place) and number <= end.number) or (
                address not in ours and address.lower() not in ours):
            raise OutsideFailed("the node tells of events that were not asked for, or in another order",
                                expected=f"blocks {first} to {end.number}", actual=f"block {number}, event {place}",
                                do="Ask another node.")
        known = end.hash if number == end.number else name if number == before[0] else b""
        if known not in (b"", digest):
            raise OutsideFailed(f"the node tells of two blocks {number}", actual=digest.hex(), expected=known.hex(),
                                do="Ask another node.")
        before, name = (number, place), digest
