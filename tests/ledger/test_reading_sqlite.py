"""The index in a SQLite file."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from ports.index_suite import OF, IndexSuite, dump, expected
from ports.lies import LIES
from ports.simulated import ANCHOR, BOOK, CHAIN, SimChain, pool
from troth.core.errors import BadInput, OutsideFailed
from troth.ledger import feed
from troth.ledger.chains.wire import HttpProvider
from troth.ledger.events import Reader
from troth.ledger.projection import Projection
from troth.ledger.projection_sql import SqliteStore


class TestSqlite(IndexSuite):
    def make(self) -> tuple[str, Callable[[], None]]:
        folder = Path(tempfile.mkdtemp(prefix="troth-index-"))
        return str(folder / "index"), lambda: shutil.rmtree(folder)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other"
    text.write_text("a thesis")
    sqlite3.connect(other).execute("CREATE TABLE mine (x)").connection.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(BadInput, match="not a"):
            SqliteStore(path)
        assert path.read_bytes() == before
    with pytest.raises(OutsideFailed, match="cannot be opened"):
        SqliteStore(tmp_path / "no" / "folder")


def test_an_answer_that_is_too_large_is_asked_for_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_LOGS", 4)
    store, chain = SqliteStore(None), SimChain(1)
    for one in pool():
        chain.mine([[one]])
    index = Projection(chain, store, OF, window=0)  # type: ignore[arg-type]
    index.sync()
    tip = store.tip()
    assert tip is not None
    assert dump(store) == expected(chain, tip[1])
    chain.mine([pool()])
    chain.grow(20)
    with pytest.raises(OutsideFailed, match=f"will not tell the events of block {len(pool()) + 1};"):
        index.sync()
    store.close()


@pytest.mark.parametrize("lie", ["receipts without events", "an event left out", "an event of another contract"])
def test_a_rollups_receipts_are_held_to_the_bloom(lie: str) -> None:
    """Receipts of a type that cannot be hashed here: what is missing is missing in the bloom."""
    store, chain = SqliteStore(None), SimChain(8)
    chain.kinds = (126,)
    for one in pool():
        chain.mine([[one]])
    index = Projection(chain, store, OF, window=1_000)  # type: ignore[arg-type]
    tell = LIES[lie](chain.random)
    chain.after = tell
    with pytest.raises(OutsideFailed, match="not those of its header"):
        index.sync()
    assert store.tip() is None
    chain.after = lambda method, params, result: result
    index.sync()
    assert dump(store) == expected(chain, chain.branch[-1])
    store.close()


def test_finality_by_depth_where_it_was_said() -> None:
    store, chain = SqliteStore(None), SimChain(3, lag=None)
    index = Projection(chain, store, OF, window=3, depth=5)  # type: ignore[arg-type]
    for height, final in ((2, None), (5, 0), (40, 35)):
        chain.grow(height - chain.height)
        index.sync()
        assert store.final() == final
    chain.reorg(5, 6)
    index.sync()
    chain.reorg(9, 10)
    with pytest.raises(OutsideFailed, match="differs in a block that was final"):
        index.sync()
    store.close()


def test_a_wide_range_after_refusals_grows_again() -> None:
    """A node with a limit on blocks: after the first refusal the range stays near the limit, not at one block."""
    store, chain = SqliteStore(None), SimChain(2)
    for _ in range(3_000):
        chain.mine(())
    widths: list[int] = []

    def limit(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getLogs":
            widths.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
            if widths[-1] > 150:
                raise LookupError("block range too large")
        return result

    chain.after = limit
    Projection(chain, store, OF, window=0).sync()  # type: ignore[arg-type]
    passed = [width for width in widths if width <= 150]
    assert sum(passed) == 3_000 - 14 + 1
    assert len(passed) < 35
    assert len(widths) - len(passed) < 10
    store.close()


def test_an_answer_of_more_bytes_than_are_read_is_asked_for_in_parts() -> None:
    """Over the wire itself: an honest node's answer may pass the bound that protects from others."""
    chain = SimChain(3)
    chain.grow(200)
    query = {"fromBlock": "0x0", "toBlock": hex(chain.height), "address": Reader(CHAIN, BOOK, ANCHOR).addresses}
    sizes: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = dict(chain.make_request(asked["method"], asked["params"])) | {"id": asked["id"], "jsonrpc": "2.0"}
            body = json.dumps(answer).encode()
            sizes.append(len(body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Silence."""

    whole = len(json.dumps(dict(chain.make_request("eth_getLogs", [query]))))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store, plain = SqliteStore(None), SqliteStore(None)
        provider = HttpProvider(f"http://127.0.0.1:{server.server_address[1]}", timeout=5.0, most=whole // 3)
        Projection(Web3(provider), store, OF, window=0).sync()
        provider.close()
        server.shutdown()
    Projection(chain, plain, OF, window=0).sync()  # type: ignore[arg-type]
    assert max(sizes) > whole // 3
    assert dump(store) == dump(plain)
    store.close()
    plain.close()
