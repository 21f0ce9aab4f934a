"""Nodes that misbehave: each ends in a clear error, in bounded time and memory, with nothing released.

A request that trusted the time between two bytes would wait for ever in the dripping cases; they give up after 100 s so
that such a fault shows as a wrong error instead of as a test that never ends.
"""

from __future__ import annotations

import gzip
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports import hostile
from ports.chain_suite import ALICE, ALICE_KEY, BOB, ETHER, hexed
from ports.contracts import emitter, words
from ports.hostile import OK, HostileNode, drip, drop, flood, raw, silence
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending
from troth.ledger.chains import open_chain
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import RpcChain, RpcError, finality, get_logs, request
from troth.ledger.chains.wire import HttpProvider
from troth.ledger.fees import Sending
from troth.ledger.receipts import prove_receipt
from troth.ledger.sending import Sender

GENESIS = 1_700_000_000
PATIENCE = 1.0
"""Seconds a request may take here."""


@pytest.fixture
def chain() -> Iterator[EmbeddedChain]:
    clock = ManualClock(GENESIS)
    with EmbeddedChain(None, genesis_time=GENESIS, accounts={ALICE: 10 * ETHER}, clock=clock) as one:
        contract = Sender(one.web3, ALICE_KEY).deploy(emitter(2)).contract
        assert contract is not None
        Sender(one.web3, ALICE_KEY).send(contract, words(1, 2) + b"data")
        yield one


@pytest.fixture
def node(chain: EmbeddedChain) -> Iterator[HostileNode]:
    one = HostileNode(chain)
    yield one
    one.close()


@pytest.fixture
def seen(node: HostileNode) -> Iterator[RpcChain]:
    with RpcChain(node.url, timeout=PATIENCE) as one:
        yield one


def ask(seen: RpcChain) -> Any:
    return request(seen.web3, "eth_blockNumber")


# -- the wire --------------------------------------------------------------------------------------------------------

BODY = json.dumps({"jsonrpc": "2.0", "id": 0, "result": "0x1"}).encode()
PACKED = gzip.compress(BODY)
LATE = [
    silence,
    drip(b"", b"H"),
    drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    drip(OK + b"Content-Length: 100000\r\n\r\n", b" "),
    drip(OK + b"\r\n", b" "),
    drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
]


@pytest.mark.parametrize("how", LATE)
def test_slow_answers_end_in_time(node: HostileNode, seen: RpcChain, how: hostile.How) -> None:
    node.spoil(how)
    with pytest.raises(OutsideFailed, match=r"does not answer in time|is no answer"):
        ask(seen)
    node.spoil(None)
    assert ask(seen) == "0x2"  # and the next request is not disturbed by what may still come


@pytest.mark.parametrize(
    "how",
    [
        flood(OK + b"\r\n", b" " * 100_000),
        flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"186a0\r\n" + b" " * 100_000 + b"\r\n"),
        raw(OK + b"Content-Length: 999999999999\r\n\r\n"),
        flood(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1_000 + b"\r\n"),
        flood(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1_000),
        flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_huge_answers_are_cut_off(node: HostileNode, how: hostile.How) -> None:
    provider = HttpProvider(node.url, timeout=5.0, most=1 << 20)
    node.spoil(how)
    with pytest.raises(OutsideFailed, match=r"is no answer|in time"):
        provider.make_request("eth_blockNumber", [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "how",
    [
        drop,
        raw(b"HTT"),
        raw(OK + b"Content-Length: 50\r\n\r\n" + b"{"),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b"HTTP/1.1 OK\r\n\r\n"),
        raw(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        raw(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"),
        raw(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>"),
        raw(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY),
        raw(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED),
        lambda _: b"",
        lambda _: b"null",
        lambda _: b"[" * 100_000,
        lambda _: b"\xff\xfe",
        lambda _: b'"0x1"',
        lambda answer: [answer],  # type: ignore[list-item]
        lambda answer: answer | {"jsonrpc": "1.0"},
        lambda answer: answer | {"id": 10**6},  # another request's
        lambda answer: {"jsonrpc": "2.0", "id": answer["id"]},
        lambda answer: answer | {"error": "no"},
        lambda answer: answer | {"error": [1]},
    ],
)
def test_what_is_no_answer_is_told(node: HostileNode, seen: RpcChain, how: hostile.How) -> None:
    node.spoil(how)
    with pytest.raises(OutsideFailed) as caught:
        ask(seen)
    assert not isinstance(caught.value, RpcError)
    node.spoil(None)
    assert ask(seen) == "0x2"


@pytest.mark.parametrize(
    "frame",
    [
        lambda body: OK + b"\r\n" + body,
        lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + body,
        lambda body: OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        lambda body: OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
        lambda body: b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: %d\r\n\r\n" % len(body) + body,
    ],
)
def test_answers_are_read_however_http_frames_them(
    node: HostileNode, seen: RpcChain, frame: Callable[[bytes], bytes]
) -> None:
    def framed(answer: dict[str, Any]) -> hostile.Raw:
        return lambda connection: connection.sendall(frame(json.dumps(answer).encode()))

    node.spoil(framed)
    for _ in range(3):
        assert ask(seen) == "0x2"


def test_errors_are_read_whatever_they_hold(node: HostileNode, seen: RpcChain) -> None:
    for error in ({}, {"code": "x"}, {"code": None, "message": None}, {"code": 3, "message": "m" * 10**6, "data": 5},
                  {"code": 3, "message": [], "data": {"data": {"data": "0x"}}}):  # fmt: skip
        node.spoil(lambda answer, error=error: {"jsonrpc": "2.0", "id": answer["id"], "error": error})
        with pytest.raises(RpcError) as caught:
            ask(seen)
        assert len(str(caught.value)) < 2_000
    node.spoil(lambda answer: {"jsonrpc": "2.0", "id": answer["id"], "error": {"data": "0xno"}})
    with pytest.raises(OutsideFailed, match="cannot be read"):
        ask(seen)


def test_an_error_status_with_a_json_rpc_error_is_that_error(node: HostileNode, seen: RpcChain) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "slow down"}}).encode()
    node.spoil(raw(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: %d\r\n\r\n" % len(body) + body))
    with pytest.raises(RpcError, match="slow down"):
        ask(seen)


def test_a_connection_that_the_node_closed_is_made_anew(node: HostileNode, seen: RpcChain) -> None:
    for _ in range(3):
        assert ask(seen) == "0x2"
        kept = seen._provider._idle[-1].sock.raw  # type: ignore[union-attr]
        kept.shutdown(socket.SHUT_WR)
        assert select.select([kept], [], [], 60)[0]  # the node has hung up, too
    node.spoil(drop)
    node.asked.clear()
    with pytest.raises(OutsideFailed):
        request(seen.web3, "eth_sendRawTransaction", "0x00")
    assert node.asked == ["eth_sendRawTransaction"]  # never sent twice by itself


def test_a_fork_does_not_share_a_connection(seen: RpcChain) -> None:
    ask(seen)
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(there, ask(seen).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(here, 10) == b"0x2"
    assert ask(seen) == "0x2"


def test_many_threads_get_their_own_answers(seen: RpcChain) -> None:
    def work(block: int) -> bool:
        return int(request(seen.web3, "eth_getBlockByNumber", hex(block), False)["number"], 16) == block

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [0, 1, 2] * 30))
    assert len(seen._provider._idle) <= 8


def test_addresses_are_read_strictly_and_not_told_whole() -> None:
    for url in ("http://", "https:///x", "ftp://node", "http://node:port", "http://me:secret@node"):
        with pytest.raises(Misuse) as caught:
            HttpProvider(url)
        assert "secret" not in str(caught.value)
    provider = HttpProvider("https://node.example/v3/key?also=key", timeout=0.0)
    assert "key" not in repr(provider)
    with pytest.raises(OutsideFailed) as failed:
        provider.make_request("eth_chainId", [])  # type: ignore[arg-type]
    assert "key" not in str(failed.value)


# -- what it says --------------------------------------------------------------------------------------------------

JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 1 << 62), st.text(max_size=4),
              st.sampled_from(["0x", "0x1", "0x" + "ab" * 32, "0x" + "ff" * 40])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["number", "hash", "timestamp", "topics", "address", "data", "logs", "status"]),
                        inner, max_size=5),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=JUNK)
def test_any_result_is_read_or_refused(node: HostileNode, seen: RpcChain, chain: EmbeddedChain, junk: Any) -> None:
    """Whatever stands where a result should be: OutsideFailed, or a value of the right type."""
    tx_hash = chain.head().tx_hash
    assert tx_hash is not None
    readers: list[Callable[[], object]] = [
        seen.now, seen.finality, seen.check, lambda: get_logs(seen.web3), lambda: prove_receipt(seen.web3, tx_hash, 2),
    ]  # fmt: skip
    for method in ("eth_getBlockByNumber", "eth_getLogs", "eth_getTransactionReceipt", "eth_getBlockReceipts",
                   "eth_chainId"):  # fmt: skip
        node.spoil(lambda answer: answer | {"result": junk}, method)
        for read in readers:
            try:
                read()
            except (OutsideFailed, Misuse) as error:
                assert not isinstance(error, BadInput)  # noqa: PT017
        node.spoil(None, method)


def test_another_chain_behind_a_known_address(node: HostileNode, seen: RpcChain) -> None:
    url, genesis = node.url, seen.genesis_hash
    seen.check()
    with EmbeddedChain(None, genesis_time=GENESIS + 1) as other, EmbeddedChain(None, chain_id=5) as third:
        node.serve(other)  # the same chain id
        with pytest.raises(Misuse, match=r"another chain.*genesis"):
            seen.check()
        with pytest.raises(Misuse, match=r"another chain.*genesis"):
            open_chain(url, chain_id=7_407, genesis_hash=genesis)
        node.serve(third)
        with pytest.raises(Misuse, match=r"another chain.*chain id"):
            seen.check()
        assert (seen.chain_id, seen.genesis_hash) == (7_407, genesis)


def test_finality_that_contradicts_itself(node: HostileNode, seen: RpcChain) -> None:
    blocks = {name: request(seen.web3, "eth_getBlockByNumber", name, False) for name in ("0x1", "latest")}
    answers = iter([blocks["latest"], blocks["0x1"], blocks["latest"]])
    node.spoil(lambda answer: answer | {"result": next(answers)}, "eth_getBlockByNumber")
    with pytest.raises(OutsideFailed, match="out of order"):
        finality(seen.web3)
    node.spoil(lambda answer: answer | {"result": None}, "eth_getBlockByNumber")
    with pytest.raises(OutsideFailed, match="cannot be read"):
        finality(seen.web3)


def test_events_that_were_not_asked_for(node: HostileNode, seen: RpcChain) -> None:
    event = request(seen.web3, "eth_getLogs", {"fromBlock": "0x0"})[0]
    for change in ({"address": hexed(BOB)}, {"topics": [hexed(words(1)), hexed(words(3))]}, {"blockNumber": "0x9"}):
        node.spoil(lambda answer, change=change: answer | {"result": [event | change]}, "eth_getLogs")
        with pytest.raises(OutsideFailed, match="not asked for"):
            get_logs(seen.web3, addresses=[bytes.fromhex(event["address"][2:])], topics=[words(1), words(2)], last=2)


@pytest.mark.parametrize("change", [{"status": "0x1", "blockHash": "0x" + "11" * 32}, {"blockNumber": "0x1"},
                                    {"transactionHash": "0x" + "22" * 32}, {"logs": []}])  # fmt: skip
def test_a_receipt_that_is_not_in_its_block(node: HostileNode, seen: RpcChain, change: dict[str, Any]) -> None:
    """A node that lies about one receipt: nothing is called done on its word, and no proof is made of it."""
    def lie(answer: dict[str, Any]) -> dict[str, Any]:
        return answer if answer["result"] is None else answer | {"result": answer["result"] | change}

    def lies(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"result": [receipt | change for receipt in answer["result"] or ()]}

    tx_hash = bytes.fromhex(request(seen.web3, "eth_getBlockByNumber", "latest", False)["transactions"][0][2:])
    node.spoil(lie, "eth_getTransactionReceipt")
    node.spoil(lies, "eth_getBlockReceipts")
    if "logs" in change or "blockNumber" in change:
        with pytest.raises(OutsideFailed, match=r"do not hash|cannot be read|does not hold"):
            prove_receipt(seen.web3, tx_hash, 2)
    if "logs" not in change:
        sender = Sender(seen.web3, ALICE_KEY, how=Sending(wait=0.0))
        with pytest.raises((OutsideFailed, Pending)):
            sender.send(BOB, value=1)


def test_a_node_that_lags_holds_a_sender_up_and_loses_nothing(node: HostileNode, seen: RpcChain) -> None:
    """It takes the transaction and does not show it yet."""
    node.spoil(lambda answer: answer | {"result": None}, "eth_getTransactionReceipt")
    sender = Sender(seen.web3, ALICE_KEY, how=Sending(wait=0.0))
    with pytest.raises(Pending):
        sender.send(BOB, value=7)
    node.spoil(None, "eth_getTransactionReceipt")
    assert sender.send(BOB, value=7).gas_used == 21_000  # the same act: told now, not done twice
    assert seen.web3.eth.get_balance(seen.web3.to_checksum_address(BOB)) == 7


def test_no_thread_is_left_behind(node: HostileNode) -> None:
    before = threading.active_count()
    with RpcChain(node.url, timeout=PATIENCE) as seen:
        node.spoil(drop)
        with pytest.raises(OutsideFailed):
            ask(seen)
    assert threading.active_count() <= before + 2  # the node's own
