"""A chain behind HTTP: the shared suite against a node made of the embedded chain, and what only a wire can do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ports.chain_suite import ALICE, ETHER, ChainSuite
from troth.core.errors import Misuse, OutsideFailed
from troth.ledger.chains import Chain, open_chain
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain

GENESIS = 1_700_000_000


class Handler(BaseHTTPRequestHandler):
    """Passes JSON-RPC on to the server's chain."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.provider.make_request(asked["method"], asked["params"])  # type: ignore[attr-defined]
        body = json.dumps(dict(answer) | {"id": asked["id"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Silence."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.chain = EmbeddedChain(None, genesis_time=GENESIS, accounts={ALICE: 10 * ETHER}, clock=ManualClock(GENESIS))
        self.provider = self.chain.provider
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.chain.close()


class TestRpc(ChainSuite):
    @pytest.fixture(autouse=True)
    def servers(self) -> Iterator[None]:
        self.running: list[Server] = []
        yield
        for server in self.running:
            server.stop()

    def make(self) -> Chain:
        self.running.append(Server())
        return open_chain(self.running[-1].url)

    def advance(self, chain: Chain, seconds: int) -> None:
        self.running[-1].chain.advance(seconds)

    def test_what_a_node_is_not_asked(self) -> None:
        self.make()
        url = self.running[-1].url
        with pytest.raises(Misuse, match="another chain"):
            open_chain(url, chain_id=1)
        with pytest.raises(Misuse, match="own genesis"):
            open_chain(url, genesis_time=1)
        with open_chain(url, chain_id=7_407) as chain:
            assert chain.now() == GENESIS

    def test_nobody_there(self) -> None:
        self.make()
        url = self.running[-1].url
        self.running.pop().stop()
        with pytest.raises(OutsideFailed, match="does not answer"):
            open_chain(url)
