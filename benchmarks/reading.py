"""The index: events a second into SQLite and Postgres against fetching alone, and decoding against web3.py's.

A loopback server in a process of its own serves pre-made events in the mix of a deal's life: opened, three deposits,
six entries, closed, two leaves, one credit. Fetching alone is the same questions to the same server, each answer parsed
and thrown away: nothing that reads a node through web3.py's provider is faster. CPU rates count this process alone
(Postgres works in another), wall rates everything. web3.py's ``process_log`` gets the same events, already in its own
types.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ports.books import MemoryWorld
from ports.postgres import new_schema
from ports.simulated import ANCHOR, BOOK, CHAIN, TOKEN, SimChain, book_log, opening, recorded, word
from stateful.drawn import PARTIES, Draws, drawn_terms
from troth.core.encoding import keccak256
from troth.core.terms import RESULT, SUBMISSION, VERDICT, Entry, Result
from troth.ledger.artefacts import artefact
from troth.ledger.chains.blocks import EMPTY_UNCLES_HASH, Header, Log
from troth.ledger.chains.rlpcodec import integer
from troth.ledger.chains.rpc import RpcChain, request
from troth.ledger.events import Reader
from troth.ledger.projection import Contracts, Projection
from troth.ledger.projection_sql import PostgresStore, SqliteStore, Store

LIFE = 14
"""Events of a deal, six of them entries."""
PER_BLOCK = 4 * LIFE
RANGE = 1_000
"""Blocks a question, in every measurement."""
DEPTH = 12
OF = Contracts(CHAIN, BOOK, ANCHOR, 0)


def life(number: int, terms: bytes) -> list[Log]:
    """The events of one deal."""
    deal, first = opening(terms, word(number), PARTIES[0])
    joined = "PotJoined(bytes32,uint8,uint64)"
    leaf = "LeafCollected(bytes32,uint8,uint256,address,uint128)"
    answer = Result(1, (5, 7), frozenset(PARTIES[:1])).to_bytes()
    entries = [Entry(VERDICT if at == 5 else SUBMISSION, PARTIES[at % 3], 0, 0, at, 10**9 + at, word(number),
                     answer if at else b"\1" * 200) for at in range(6)]
    return [
        first,
        *(book_log(joined, [deal], ["uint8", "uint64"], [pot, (pot // 2) * 10**9]) for pot in range(3)),
        *(recorded(deal, entry) for entry in entries),
        book_log(f"DealClosed(bytes32,uint8,{RESULT})", [deal], ["uint8", RESULT],
                 [3, (1, (5, 7), PARTIES[:1], bytes(32), 0)]),
        *(book_log(leaf, [deal], ["uint8", "uint256", "address", "uint128"], [1, at, PARTIES[at], 9])
          for at in range(2)),
        book_log("CreditAdded(address,address,uint256)", [TOKEN, PARTIES[1]], ["uint256"], [number + 1]),
    ]


class Served:
    """Linked headers and their events as JSON, ready to be sent."""

    def __init__(self, count: int) -> None:
        self.headers: list[dict[str, str]] = []
        self.logs: list[bytes] = []
        terms = [drawn_terms(Draws(seed), MemoryWorld()).to_bytes() for seed in range(8)]
        events = (log for number in range(count) for log in life(number, terms[number % 8]))
        parent = bytes(32)
        for number in range(-(-count // PER_BLOCK)):
            header = Header((parent, EMPTY_UNCLES_HASH, bytes(20), bytes(32), bytes(32), bytes(32), bytes(256), b"",
                             integer(number), integer(30_000_000), b"", integer(10**9 + number), b"", bytes(32),
                             bytes(8), integer(7)))
            parent = keccak256(header.encode())
            self.headers.append({**header.to_json(), "hash": "0x" + parent.hex()})
            some = [next(events) for _ in range(min(PER_BLOCK, count - number * PER_BLOCK))]
            self.logs.append(b",".join(self._json(log, number, at, parent) for at, log in enumerate(some)))

    @staticmethod
    def _json(log: Log, number: int, at: int, digest: bytes) -> bytes:
        return json.dumps({
            "address": "0x" + log.address.hex(), "topics": ["0x" + one.hex() for one in log.topics],
            "data": "0x" + log.data.hex(), "blockNumber": hex(number), "blockHash": "0x" + digest.hex(),
            "transactionHash": "0x" + digest.hex(), "transactionIndex": "0x0", "logIndex": hex(at),
            "removed": False}).encode()

    def answer(self, method: str, params: Any) -> bytes:
        """The JSON of a result."""
        if method == "eth_getLogs":
            query = params[0]
            return b"[" + b",".join(self.logs[int(query["fromBlock"], 16): int(query["toBlock"], 16) + 1]) + b"]"
        if method == "eth_getBlockByNumber":
            last = len(self.headers) - 1
            at = last if params[0] in ("latest", "finalized") else int(params[0], 16)
            return json.dumps(self.headers[at] if at <= last else None).encode()
        return json.dumps(hex(CHAIN)).encode()


def serve(served: Served, port: Any) -> None:
    """A node of its own, in this process, until it is stopped."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = served.answer(asked["method"], asked["params"])
            body = b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (asked["id"], result)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_address[1])
        server.serve_forever()


def rates(count: int, work: Callable[[], object]) -> dict[str, int]:
    """Events a second of this process' CPU time and of wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"per_cpu_second": round(count / (time.process_time() - cpu)),
            "per_second": round(count / (time.perf_counter() - wall))}


def ranges(served: Served) -> Iterator[dict[str, object]]:
    for first in range(0, len(served.headers), RANGE):
        yield {"fromBlock": hex(first), "toBlock": hex(first + RANGE - 1),
               "address": ["0x" + BOOK.hex(), "0x" + ANCHOR.hex()]}


def ours(told: list[Any]) -> float:
    """Events a CPU second through our reader."""
    return rates(len(told), lambda: Reader(CHAIN, BOOK, ANCHOR).rows(told))["per_cpu_second"]


def theirs(web3: Any, told: list[Any]) -> float:
    """Events a CPU second through web3.py's process_log, formatting not counted."""
    from web3._utils.method_formatters import log_entry_formatter
    from web3.datastructures import AttributeDict

    book = web3.eth.contract(abi=artefact("Book").abi)
    ways = {"0x" + keccak256(event.signature.encode()).hex(): event for event in book.events}
    logs = [(ways[log["topics"][0]], AttributeDict(dict(log_entry_formatter(log)))) for log in told]

    def work() -> None:
        for event, log in logs:
            event.process_log(log)

    return rates(len(logs), work)["per_cpu_second"]


def whole(web3: Any, count: int, store: Store) -> dict[str, Any]:
    """Index everything; then take the last blocks away again, in milliseconds."""
    index = Projection(web3, store, OF, window=0)
    found: dict[str, Any] = dict(rates(count, index.sync))
    tip = store.tip()
    assert tip is not None
    ((entries,),) = store.all("SELECT count(*) FROM recorded")
    if entries * LIFE != 6 * count:
        raise AssertionError(f"{entries} entries of {count} events")
    store.append(tip, [(tip[0] + 1, bytes(32))], {})
    start = time.perf_counter()
    # A block of ours lies on top, since the index keeps hashes of range ends alone.
    store.roll_back((tip[0] + 1, bytes(32)), tip[0] - DEPTH)
    found["roll_back_12_blocks_ms"] = round(1_000 * (time.perf_counter() - start), 2)
    store.close()
    return found


def fork(store: Store) -> float:
    """Milliseconds from a fork of 12 blocks with events to an index that is on the new branch."""
    chain = SimChain(1)
    chain.grow(60)
    index = Projection(chain, store, OF)  # type: ignore[arg-type]  # speaks as web3.py's provider does
    index.sync()
    chain.reorg(DEPTH, DEPTH + 1)
    start = time.perf_counter()
    index.sync()
    spent = 1_000 * (time.perf_counter() - start)
    if store.tip() != (chain.height, chain.branch[-1]):
        raise AssertionError("the index is not on the new branch")
    store.close()
    return round(spent, 1)


def run(quick: bool = False) -> dict[str, Any]:
    """All figures. quick: 14,000 events; else 210,000."""
    count, sample = (14_000, 7_000) if quick else (210_000, 14_000)
    served = Served(count)
    here, there = multiprocessing.Pipe()
    node = multiprocessing.get_context("fork").Process(target=serve, args=(served, there), daemon=True)
    node.start()
    chain = RpcChain(f"http://127.0.0.1:{here.recv()}", CHAIN)
    try:
        with tempfile.TemporaryDirectory() as folder:
            request(chain.web3, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x0", "address": []})  # warm
            fetched: list[int] = []
            fetching = rates(count, lambda: fetched.extend(
                len(request(chain.web3, "eth_getLogs", query)) for query in ranges(served)))
            if sum(fetched) != count:
                raise AssertionError(f"{sum(fetched)} events fetched of {count}")
            sqlite = whole(chain.web3, count, SqliteStore(Path(folder) / "index"))
            size = (Path(folder) / "index").stat().st_size
            postgres = whole(chain.web3, count, PostgresStore(new_schema()))
            forked = {"sqlite": fork(SqliteStore(Path(folder) / "fork")), "postgres": fork(PostgresStore(new_schema()))}
        told = [json.loads(b"[" + logs + b"]") for logs in served.logs[: -(-sample // PER_BLOCK)]]
        flat = [log for some in told for log in some][:sample]
        decoding, peer = ours(flat), theirs(chain.web3, flat)
    finally:
        node.terminate()
        node.join()
    return {
        "events": count,
        "fetching_alone": fetching,
        "sqlite": sqlite,
        "postgres": postgres,
        "sqlite_over_fetching": round(sqlite["per_second"] / fetching["per_second"], 3),
        "postgres_over_fetching": round(postgres["per_second"] / fetching["per_second"], 3),
        "decoding_per_cpu_second": {"ours": decoding, "process_log": peer},
        "decoding_over_process_log": round(decoding / peer, 1),
        "decoding_over_fetching": round(decoding / fetching["per_cpu_second"], 2),
        "fork_of_12_blocks_ms": forked,
        "sqlite_bytes_per_event": round(size / count),
    }


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
