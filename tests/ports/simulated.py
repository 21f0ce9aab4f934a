"""A chain of blocks with real headers, receipts and event bytes, that forks when told to, behind JSON-RPC's words.

No EVM: what a block says is chosen. So thousands of histories can be drawn where a node would give tens. Headers hash
to their hashes, receipts to their roots, and events are encoded by eth_abi, not by the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

from eth_abi.abi import encode

from ports.books import MemoryWorld, account
from stateful.drawn import PARTIES, Draws, drawn_terms
from troth.core.encoding import keccak256
from troth.core.terms import CHALLENGE, RESULT, SUBMISSION, VERDICT, Entry, deal_id
from troth.ledger.anchors import EVENT, origin_hash
from troth.ledger.chains.blocks import EMPTY_UNCLES_HASH, Header, Log, Receipt, logs_bloom
from troth.ledger.chains.rlpcodec import integer
from troth.ledger.receipts import receipts_root

CHAIN, BOOK, ANCHOR, OTHER = 7407, account("book"), account("anchor"), account("somebody else's contract")
TOKEN = account("token")


def topic(event: str) -> bytes:
    return keccak256(event.encode())


def word(value: bytes | int) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def opening(terms: bytes, salt: bytes, opener: bytes) -> tuple[bytes, Log]:
    """The id of a deal on terms in their bytes, and its first event."""
    deal = deal_id(CHAIN, BOOK, opener, salt, keccak256(terms))
    data = encode(["bytes32", "bytes"], [salt, terms])
    return deal, Log(BOOK, (topic("DealOpened(bytes32,address,bytes32,bytes)"), deal, word(opener)), data)


def recorded(deal: bytes, entry: Entry) -> Log:
    """The event of an entry."""
    return book_log("Recorded(bytes32,bytes32,bytes32,bytes)", [deal], ["bytes32", "bytes32", "bytes"],
                    [entry.head, entry.claim, entry.data])


def book_log(event: str, topics: Sequence[bytes], types: Sequence[str], values: Sequence[Any]) -> Log:
    return Log(BOOK, (topic(event), *map(word, topics)), encode(types, values))


@cache
def pool() -> tuple[Log, ...]:
    """Events of every kind, with small and with the largest values."""
    found: list[Log] = []
    for seed in range(6):
        d = Draws(seed)
        deal, first = opening(drawn_terms(d, MemoryWorld()).to_bytes(), word(seed), PARTIES[seed % 3])
        found += [first, book_log("PotJoined(bytes32,uint8,uint64)", [deal], ["uint8", "uint64"], [seed, 0]),
                  book_log("PotJoined(bytes32,uint8,uint64)", [deal], ["uint8", "uint64"], [255, 2**63 - 1])]
        found += [recorded(deal, Entry(kind, PARTIES[0], seed, 1, 7, 10**9 + seed, word(seed + kind),
                                       bytes([seed]) * (seed * 13))) for kind in (SUBMISSION, VERDICT, CHALLENGE)]
        result = (1, (2**128 - 1, seed), sorted(PARTIES[:seed % 3]), word(seed), 7)
        closing = [3, result] if seed % 2 else [4, (0, (), (), bytes(32), 0)]
        found += [book_log(f"DealClosed(bytes32,uint8,{RESULT})", [deal], ["uint8", RESULT], closing),
                  book_log("LeafCollected(bytes32,uint8,uint256,address,uint128)", [deal],
                           ["uint8", "uint256", "address", "uint128"], [1, 2**256 - 1 - seed, PARTIES[1], 2**128 - 1]),
                  book_log("RootSwept(bytes32,uint8,uint128)", [deal], ["uint8", "uint128"], [1, seed])]
    for amount in (1, 2**256 - 1):
        for name in ("CreditAdded", "Withdrawn"):
            found.append(book_log(f"{name}(address,address,uint256)", [TOKEN, PARTIES[2]], ["uint256"], [amount]))
        found.append(Log(ANCHOR, (topic(EVENT), word(PARTIES[1]), origin_hash("a log")),
                         encode(["uint64", "bytes32"], [min(amount, 2**64 - 1), word(5)])))
    found += [book_log("StopSet(bool)", [], ["bool"], [flag]) for flag in (True, False)]
    # Others' events share the block, and one of them looks like ours.
    found += [Log(OTHER, first.topics, b""), Log(OTHER, (), b"\1" * 40), Log(OTHER, (word(1),) * 4, b"")]
    return tuple(found)


class SimChain:
    """Blocks by hash, and which of them is the head. lag: how far behind the head finality is; None: there is none."""

    def __init__(self, seed: int = 0, lag: int | None = 14) -> None:
        self.random = Random(seed)
        self.lag = lag
        self.kinds = (0, 2, 2, 4)  # of receipts
        self.blocks: dict[bytes, tuple[Header, list[Receipt]]] = {}
        self.branch: list[bytes] = []
        self.final = 0
        self.before: Callable[[str], None] = lambda method: None
        self.after: Callable[[str, Sequence[Any], Any], Any] = lambda method, params, result: result
        self.most_logs = 10**6
        self.asked = 0
        self.rows: dict[bytes, Any] = {}  # what a test keeps of each block
        self.provider = self  # what ``rpc.request`` speaks to
        self.mine(())

    @property
    def height(self) -> int:
        return len(self.branch) - 1

    def mine(self, logs: Sequence[Sequence[Log]]) -> None:
        """One more block; ``logs`` by transaction."""
        receipts = [Receipt(self.random.choice(self.kinds), True, 21_000 * (at + 1), tuple(some))
                    for at, some in enumerate(logs)]
        fields = [
            self.branch[-1] if self.branch else bytes(32), EMPTY_UNCLES_HASH, bytes(20), self.random.randbytes(32),
            bytes(32), receipts_root([one.encode() for one in receipts]),
            logs_bloom(log for one in receipts for log in one.logs), b"", integer(len(self.branch)),
            integer(30_000_000), b"", integer(10**9 + len(self.branch)), b"", bytes(32), bytes(8), integer(7)]
        header = Header(tuple(fields))
        digest = keccak256(header.encode())
        self.blocks[digest] = header, receipts
        self.branch.append(digest)
        if self.lag is not None:
            self.final = max(self.final, self.height - self.lag)

    def drawn(self) -> list[list[Log]]:
        """Some transactions with some events."""
        return [self.random.choices(pool(), k=self.random.choice((0, 1, 1, 2, 5)))
                for _ in range(self.random.choice((0, 0, 1, 1, 2, 4)))]

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.mine(self.drawn())

    def reorg(self, depth: int, count: int) -> None:
        """Replace the last ``depth`` blocks, but none that is final, by ``count`` others with events."""
        del self.branch[max(self.final + 1, len(self.branch) - depth):]
        for _ in range(count):
            self.mine([*self.drawn(), [self.random.choice(pool())]])

    def lineage(self, digest: bytes) -> list[bytes]:
        """The branch that ends with a block, orphans too; oldest first."""
        found = []
        while digest in self.blocks:
            found.append(digest)
            digest = self.blocks[digest][0].parent_hash
        return found[::-1]

    # -- as JSON-RPC tells it --------------------------------------------------------------------------------------

    def logs_json(self, digest: bytes) -> list[list[dict[str, Any]]]:
        """A block's events by transaction."""
        header, receipts = self.blocks[digest]
        index, found = 0, []
        for at, receipt in enumerate(receipts):
            tx = keccak256(digest + bytes([at]))
            found.append([{
                "address": "0x" + log.address.hex(), "topics": ["0x" + one.hex() for one in log.topics],
                "data": "0x" + log.data.hex(), "blockNumber": hex(header.number), "blockHash": "0x" + digest.hex(),
                "transactionHash": "0x" + tx.hex(), "transactionIndex": hex(at), "logIndex": hex(index + place),
                "removed": False} for place, log in enumerate(receipt.logs)])
            index += len(receipt.logs)
        return found

    def _block(self, tag: str) -> Any:
        if tag == "finalized":
            if self.lag is None:
                raise LookupError("no finalized block")
            number = self.final
        else:
            number = self.height if tag == "latest" else int(tag, 16)
        if number > self.height:
            return None
        digest = self.branch[number]
        return {**self.blocks[digest][0].to_json(), "hash": "0x" + digest.hex(), "transactions": []}

    def _receipts(self, name: str) -> Any:
        digest = bytes.fromhex(name[2:])
        if digest not in self.branch:
            return None
        receipts = self.blocks[digest][1]
        return [{"type": hex(receipt.type), "status": "0x1", "cumulativeGasUsed": hex(receipt.cumulative_gas),
                 "logs": logs} for receipt, logs in zip(receipts, self.logs_json(digest), strict=True)]

    def _logs(self, query: Any) -> Any:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        found = [log for digest in self.branch[first: last + 1] for logs in self.logs_json(digest) for log in logs
                 if log["address"] in query["address"]]
        if len(found) > self.most_logs:
            raise LookupError("query returned more results than allowed")
        return found

    def make_request(self, method: str, params: Sequence[Any]) -> Any:
        """One answer, after ``before`` had its way with the chain and before ``after`` has it with the answer."""
        self.asked += 1
        self.before(method)
        ways: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: hex(CHAIN),
            "eth_getBlockByNumber": lambda: self._block(params[0]),
            "eth_getBlockReceipts": lambda: self._receipts(params[0]),
            "eth_getLogs": lambda: self._logs(params[0]),
        }
        try:
            return {"id": 1, "result": self.after(method, params, ways[method]())}
        except LookupError as error:
            return {"id": 1, "error": {"code": -32005, "message": str(error)}}


__all__ = ["ANCHOR", "BOOK", "CHAIN", "TOKEN", "SimChain", "opening", "pool", "recorded", "word"]
