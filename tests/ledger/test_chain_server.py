"""The embedded chain's server: what it refuses, several clients at once, and the clients that people have."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports.chain_suite import ALICE, ALICE_KEY, BOB, ETHER, hexed
from ports.contracts import CELL, creation, emitter, words
from troth.cli.serve import chain_serve
from troth.core.errors import Misuse, OutsideFailed
from troth.ledger.chains import filters, server
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import request
from troth.ledger.chains.server import MAX_BATCH, MAX_REQUEST, RpcServer
from troth.ledger.loopback import MAX_CONNECTIONS
from troth.ledger.sending import Sender

TOOLS = Path(__file__).parents[1] / "tools/node_modules"
CAST = TOOLS / "@foundry-rs/cast-linux-amd64/bin/cast"
JSON = {"Content-Type": "application/json"}
VERSION = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}


@pytest.fixture(scope="module")
def served() -> Iterator[RpcServer]:
    with EmbeddedChain(None, accounts={ALICE: 10 * ETHER}) as chain, RpcServer(chain, 0) as running:
        yield running


def post(served: RpcServer, body: bytes | str, headers: dict[str, str] = JSON, method: str = "POST") -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request(method, "/", body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]
    return answer.status, json.loads(data) if data else None


def ask(served: RpcServer, asked: Any) -> Any:
    status, answer = post(served, json.dumps(asked))
    assert status == 200
    return answer


# -- JSON-RPC ------------------------------------------------------------------------------------------------------


def test_requests_batches_and_notifications(served: RpcServer) -> None:
    assert ask(served, VERSION) == {"jsonrpc": "2.0", "id": 1, "result": "0x1cef"}
    for name in ("text", None, 0, 2.5):
        assert ask(served, VERSION | {"id": name})["id"] == name
    silent = {name: value for name, value in VERSION.items() if name != "id"}
    assert post(served, json.dumps(silent)) == (204, None)
    assert post(served, json.dumps([silent, silent])) == (204, None)
    several = ask(served, [VERSION, silent, VERSION | {"id": 2, "method": "eth_none"}, 5, VERSION | {"id": 3}])
    assert [answer["id"] for answer in several] == [1, 2, None, 3]
    assert [answer.get("error", {}).get("code") for answer in several] == [None, -32601, -32600, None]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", -32700), ("{", -32700), ("\xff", -32700), ("[" * 100_000, -32700), ("5", -32600), ("[]", -32600),
        ("{}", -32600), (json.dumps(VERSION | {"jsonrpc": "1.0"}), -32600), (json.dumps([VERSION] * 1_001), -32600),
        (json.dumps(VERSION | {"id": []}), -32600), (json.dumps(VERSION | {"id": True}), -32600),
        (json.dumps(VERSION | {"params": {}}), -32600), (json.dumps(VERSION | {"params": [1]}), -32602),
        (json.dumps(VERSION | {"method": 5}), -32600),
    ],
)  # fmt: skip
def test_what_is_no_request_is_told_so(served: RpcServer, body: str, code: int) -> None:
    status, answer = post(served, body.encode("latin-1"))
    assert (status, answer["error"]["code"]) == (200, code)
    assert MAX_BATCH == 1_000


METHODS = st.sampled_from(
    ["eth_call", "eth_estimateGas", "eth_getLogs", "eth_newFilter", "eth_getFilterChanges", "eth_getBalance",
     "eth_getStorageAt", "eth_getProof", "eth_getBlockByNumber", "eth_getBlockByHash", "eth_sendRawTransaction",
     "eth_feeHistory", "eth_getTransactionReceipt", "eth_getTransactionByBlockNumberAndIndex", "eth_getBlockReceipts"]
)  # fmt: skip
HEX = st.one_of(
    st.sampled_from(["0x", "0x0", "0x5", "latest", "0x-1", "0x" + "ff" * 40, hexed(ALICE), "0x" + "00" * 32, "soon"]),
    st.text(max_size=3),
)
FIELDS = st.sampled_from(
    ["to", "from", "gas", "value", "data", "input", "accessList", "authorizationList", "address", "topics", "fromBlock",
     "toBlock", "blockHash", "blockNumber", "storageKeys", "chainId", "nonce", "yParity", "r", "s"]
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(HEX, st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 63), st.just(0.5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIELDS, inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=METHODS, parameters=st.lists(VALUES, max_size=3))
def test_whatever_is_asked_there_is_an_answer(served: RpcServer, method: str, parameters: list[Any]) -> None:
    answer = json.loads(served.answer(json.dumps(VERSION | {"method": method, "params": parameters}).encode()))
    assert answer["id"] == 1
    assert ("result" in answer) != ("error" in answer)
    assert ask(served, VERSION)["result"] == "0x1cef"


def test_filters_end(served: RpcServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def filtering(method: str, *parameters: object) -> Any:
        answer = ask(served, VERSION | {"method": method, "params": parameters})
        return answer["result"] if "result" in answer else answer["error"]["message"]

    name = filtering("eth_newBlockFilter")
    assert filtering("eth_getFilterChanges", name) == []
    monkeypatch.setattr(filters, "FILTER_SECONDS", 0.0)
    assert "filter not found" in filtering("eth_getFilterChanges", name)
    monkeypatch.setattr(filters, "FILTER_SECONDS", 300.0)
    monkeypatch.setattr(filters, "MAX_FILTERS", 3)
    told = [filtering("eth_newFilter", {}) for _ in range(4)]
    assert "too many filters" in told[-1]
    for one in (name, *told[:-1]):
        filtering("eth_uninstallFilter", one)
    assert filtering("eth_newFilter", {}).startswith("0x")


def test_an_answer_is_bounded(served: RpcServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_ANSWER", 200)
    block = VERSION | {"method": "eth_getBlockByNumber", "params": ["0x0", False]}
    assert ask(served, block)["error"]["code"] == -32005
    assert ask(served, [VERSION] * 20)["error"]["code"] == -32005


# -- who may ask ---------------------------------------------------------------------------------------------------


def test_a_web_page_cannot_ask(served: RpcServer) -> None:
    body = json.dumps(VERSION)
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", "127.0.0.1:1", "", "[::1]"):
        assert post(served, body, JSON | {"Host": host})[0] == 403
    assert post(served, body, JSON | {"Host": f"localhost:{served.port}"})[0] == 200
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{served.port}"):
        assert post(served, body, JSON | {"Origin": origin})[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        assert post(served, body, {"Content-Type": kind})[0] == 415
    assert post(served, body, {"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200
    for method in ("GET", "OPTIONS", "PUT", "DELETE", "HEAD"):
        assert post(served, "", JSON, method)[0] == 405


def test_two_hosts_are_no_host(served: RpcServer) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as raw:
        hosts = f"Host: 127.0.0.1:{served.port}\r\nHost: evil"
        raw.sendall(f"POST / HTTP/1.1\r\n{hosts}\r\nContent-Length: 0\r\n\r\n".encode())
        assert raw.recv(100).split()[1] == b"403"


def test_sizes_are_bounded(served: RpcServer) -> None:
    for length, status in ((str(MAX_REQUEST + 1), 413), ("-1", 411), ("x", 411), ("", 411), ("٣", 411)):
        connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.putrequest("POST", "/")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", length.encode())
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()
    assert post(served, json.dumps(VERSION).ljust(MAX_REQUEST))[0] == 200
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": "2", **JSON}
    assert post(served, "{}", chunked)[0] == 411


def test_connections_are_bounded_and_come_free(served: RpcServer) -> None:
    held = [socket.create_connection(("127.0.0.1", served.port), timeout=20) for _ in range(MAX_CONNECTIONS + 8)]
    until = time.monotonic() + 20
    while len(served._open) < MAX_CONNECTIONS and time.monotonic() < until:
        time.sleep(0.01)
    assert held[-1].recv(1) == b""  # hung up at once
    for connection in held:
        connection.close()
    while len(served._open) > 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert ask(served, VERSION)["result"] == "0x1cef"


def test_it_listens_on_loopback_alone_and_says_so_of_a_taken_port(served: RpcServer) -> None:
    assert served.socket.getsockname()[0] == "127.0.0.1"
    with EmbeddedChain(None) as chain:
        for port in (served.port, 1 << 20):
            with pytest.raises(OutsideFailed, match="cannot listen"):
                RpcServer(chain, port)


def test_closing_hangs_up() -> None:
    with EmbeddedChain(None) as chain:
        running = RpcServer(chain, 0)
        waiting = HTTPConnection("127.0.0.1", running.port, timeout=20)
        waiting.request("POST", "/", json.dumps(VERSION), JSON)
        assert waiting.getresponse().read()
        running.close()
        assert waiting.sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), timeout=5)


# -- several at once, on one connection ----------------------------------------------------------------------------


def test_one_connection_serves_many_requests(served: RpcServer) -> None:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.connect()
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) in (0, 1)
    for _ in range(50):
        connection.request("POST", "/", json.dumps(VERSION), JSON)
        answer = connection.getresponse()
        assert json.loads(answer.read())["result"] == "0x1cef"
        assert not answer.will_close
    connection.close()


def test_several_clients_at_once(tmp_path: Path) -> None:
    """Four clients send, two read: every transaction is there once, every reader sees whole blocks."""
    from web3 import HTTPProvider, Web3

    counter = creation("0 SLOAD 1 ADD 0 SSTORE")
    with EmbeddedChain(tmp_path / "chain") as chain, RpcServer(chain, 0) as running:
        contract = Sender(chain.web3, ALICE_KEY).deploy(counter).contract
        assert contract is not None
        done = threading.Event()

        def send(number: int) -> None:
            sender = Sender(Web3(HTTPProvider(running.url)), bytes((number,)) * 32)
            for _ in range(10):
                sender.send(contract, gas=100_000)

        def read(_: int) -> int:
            web3, seen = Web3(HTTPProvider(running.url)), 0
            while not done.is_set():
                block = web3.eth.get_block("latest", full_transactions=True)
                assert [tx["blockHash"] for tx in block["transactions"]] == [block["hash"]]
                seen += 1
            return seen

        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(read, at) for at in range(2)]
            try:
                list(pool.map(send, range(1, 5)))
            finally:
                done.set()
            assert all(reader.result() > 0 for reader in readers)
        assert chain.storage(contract, 0) == 40
        assert chain.head().number == 41


# -- the clients that people have ----------------------------------------------------------------------------------


def test_viem(tmp_path: Path) -> None:
    with EmbeddedChain(tmp_path / "chain") as chain, RpcServer(chain, 0) as running:
        script = Path(__file__).with_name("client.mjs")
        command = ["node", script, running.url, hexed(ALICE_KEY), hexed(CELL)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told == {
            "status": ["success"] * 3, "type": "eip7702", "read": hexed(words(7)), "own": hexed(words(9)), "number": 3,
            "transactions": [True], "balance": "0", "logs": 0, "pending": 4, "told": 3, "to": told["to"], "fee": "0",
            "code": "0xef0100" + told["to"][2:], "refused": "",
        }  # fmt: skip


def cast(*arguments: str) -> str:
    done = subprocess.run([CAST, *arguments], capture_output=True, text=True, env={"HOME": "/nonexistent", "PATH": ""})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_cast(tmp_path: Path) -> None:
    with EmbeddedChain(tmp_path / "chain") as chain, RpcServer(chain, 0) as running:
        at = ("--rpc-url", running.url)
        key = ("--private-key", hexed(ALICE_KEY))
        free = ("--gas-price", "0", "--priority-gas-price", "0")  # it offers one wei a unit otherwise
        made = json.loads(cast("send", *at, *key, *free, "--json", "--create", hexed(emitter(1))))
        assert (made["status"], made["type"]) == ("0x1", "0x2")
        to = made["contractAddress"]
        raw = "0x" + (words(5) + b"data").hex()
        sent = json.loads(cast("send", *at, *key, *free, "--json", to, raw))
        assert sent["logs"][0]["data"] == "0x" + b"data".hex()
        assert cast("send", *at, *key, "--legacy", "--gas-price", "0", "--json", to, raw)
        assert json.loads(cast("receipt", *at, "--json", sent["transactionHash"]))["blockNumber"] == sent["blockNumber"]
        logs = json.loads(cast("logs", *at, "--json", "--from-block", "0", "--address", to))
        assert [log["topics"] for log in logs] == [[hexed(words(5))]] * 2
        assert cast("call", *at, "--create", hexed(CELL)).startswith("0x36600f57")
        assert cast("block-number", *at) == "3"
        block = json.loads(cast("block", *at, "--json", "2"))
        assert block["hash"] == sent["blockHash"]
        assert cast("nonce", *at, hexed(ALICE)) == "3"
        assert cast("chain-id", *at) == "7407"
        failed = subprocess.run([CAST, "send", *at, *key, to, raw], capture_output=True, text=True)
        assert "insufficient funds" in failed.stderr


def test_web3_over_the_wire_and_in_process_say_the_same(served: RpcServer) -> None:
    from web3 import HTTPProvider, Web3

    chain = served._provider.chain
    alice = Sender(chain.web3, ALICE_KEY)
    alice.send(BOB, value=1)
    wire = Web3(HTTPProvider(served.url))
    for one, other in ((chain.web3.eth.get_block("latest", True), wire.eth.get_block("latest", True)),
                       (request(chain.web3, "eth_feeHistory", "0x4", "latest", [10]),
                        request(wire, "eth_feeHistory", "0x4", "latest", [10]))):  # fmt: skip
        assert one == other


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_a_file_until_it_is_told_to_stop(tmp_path: Path, ending: signal.Signals) -> None:
    from web3 import HTTPProvider, Web3

    path = tmp_path / "chain"
    command = [sys.executable, "-m", "troth.cli.main", "chain", "serve", str(path), "--new", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert (said["id"], said["block"]) == (7_407, 0)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", said["url"])
        web3 = Web3(HTTPProvider(said["url"]))
        assert bytes(web3.eth.get_block(0)["hash"]).hex() == said["genesis"]
        Sender(web3, ALICE_KEY).send(BOB, b"\1")
        process.send_signal(ending)
        assert process.wait(60) == 0
    with EmbeddedChain(path) as chain:
        assert chain.head().number == 1


def test_the_command_makes_no_chain_by_a_slip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misuse, match="there is no chain"):
        chain_serve(tmp_path / "chian")
    assert not (tmp_path / "chian").exists()
    monkeypatch.setenv("TROTH_HOME", str(tmp_path))
    (tmp_path / "troth.toml").write_text('[chain]\nurl = "http://127.0.0.1:8545"\n')
    with pytest.raises(Misuse, match="no embedded chain"):
        chain_serve()
    (tmp_path / "troth.toml").write_text(f'[chain]\nurl = "embedded:{tmp_path / "lost"}"\n')
    with pytest.raises(Misuse, match=r"there is no chain in .*lost"):
        chain_serve()
