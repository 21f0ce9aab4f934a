"""The index on a real node whose chain forks: depths 1 to 12, with other events in the place of those that went."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from ports.anvil import anvil
from ports.index_suite import DEEP, dump
from troth.core.terms import REFUTED, Ask, Pot, Rung, Split, Terms
from troth.ledger.anchors import origin_hash
from troth.ledger.chains.anvil import AnvilChain
from troth.ledger.chains.rpc import RpcError, request
from troth.ledger.deploy import Contracts, deploy
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import GAS, EvmBook, senders_of
from troth.ledger.evmcodec import calldata, deal_bytes
from troth.ledger.projection import Contracts as Of
from troth.ledger.projection import Projection
from troth.ledger.projection_sql import SqliteStore
from troth.ledger.readings import reading
from troth.ledger.sending import Sender

WINDOW = 20
KEY = b"\xa1" * 32


@pytest.fixture(scope="module")
def node() -> Iterator[AnvilChain]:
    """A node that signs for everybody, with finality 24 blocks behind its head."""
    with anvil("--slots-in-an-epoch", "12", "--auto-impersonate") as chain:
        yield chain


class Acts:
    """What this chain is made of: deals opened, joined and stopped, logs anchored, by accounts the node signs for."""

    def __init__(self, chain: AnvilChain, seed: int) -> None:
        self.chain, self.web3, self.random = chain, chain.web3, Random(seed)
        sender = Sender(chain.web3, KEY)
        self.contracts: Contracts = deploy(sender)
        self.me = sender.account
        self.book = EvmBook(chain.web3, self.contracts["book"].address, senders_of({self.me: sender}),
                            chain_id=chain.chain_id, first_block=self.contracts.block)
        Erc20(chain.web3, self.contracts["token"].address).approve(sender, self.book.address, 2**256 - 1)
        judge = self.contracts["assumed"]
        self.terms = Terms(
            self.contracts["token"].address,
            (Pot("pay", self.me, 5, {1: Split((b"\5" * 20,), amounts=(5,))}), Pot("more", self.me, 7, {})),
            (Rung(judge.address, judge.codehash, (Ask("result", (self.me,), 10**6),), 10**6, silent=REFUTED),),
            chain.now() + 10**6, b"\7" * 20)
        self.salts = 0

    def some(self) -> list[tuple[bytes, bytes]]:
        """Calls (to, data) that follow each other: a deal's first acts, or an anchor."""
        self.salts += 1
        salt = self.salts.to_bytes(32, "big")
        if self.random.random() < 0.4:
            root = origin_hash("anchor(bytes32,uint64,bytes32)")[:4] + salt + salt + salt
            return [(self.contracts["anchor"].address, root)]
        deal = deal_bytes(self.me, salt, self.terms)
        calls = [calldata("open", salt, self.terms.to_bytes())]
        calls += [calldata("join", deal, pot) for pot in range(self.random.randint(0, 2))]
        return [(self.book.address, data) for data in calls]

    def fields(self, call: tuple[bytes, bytes]) -> dict[str, str]:
        to, data = call
        return {"from": "0x" + self.me.hex(), "to": "0x" + to.hex(), "data": "0x" + data.hex(), "gas": hex(GAS),
                "gasPrice": "0x0"}

    def grow(self, count: int) -> None:
        """So many blocks, most with events."""
        done = 0
        while done < count:
            for call in self.some():
                sent = request(self.web3, "eth_sendTransaction", self.fields(call))
                until = time.monotonic() + 60
                while (receipt := request(self.web3, "eth_getTransactionReceipt", sent)) is None:
                    assert time.monotonic() < until
                    time.sleep(0.002)
                assert receipt["status"] == "0x1"
                done += 1

    def fork(self, depth: int) -> None:
        """Replace the last blocks by as many others, each with events."""
        calls = [call for _ in range(depth) for call in self.some()]
        pairs = [[self.fields(call), min(at, depth - 1)] for at, call in enumerate(calls)]
        request(self.web3, "anvil_reorg", depth, pairs)
        head = int(request(self.web3, "eth_blockNumber"), 16)
        for number in range(head - depth + 1, head + 1):
            assert any(receipt["logs"] for receipt in request(self.web3, "eth_getBlockReceipts", hex(number)))

    def index(self, store: SqliteStore, web3: Any = None) -> Projection:
        of = Of(self.chain.chain_id, self.book.address, self.contracts["anchor"].address, self.contracts.block)
        return Projection(web3 or self.web3, store, of, window=WINDOW)


class Meddling:
    """The node, but before the question ``at`` something happens to it."""

    def __init__(self, web3: Any, at: int, happens: Callable[[], None]) -> None:
        self.provider, self.web3, self.left, self.happens = self, web3, at, happens

    def make_request(self, method: Any, params: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.happens()
        return self.web3.provider.make_request(method, params)


def test_forks_while_indexing(node: AnvilChain) -> None:
    acts = Acts(node, seed=3)
    store = SqliteStore(None)
    acts.grow(45)
    acts.index(store).sync()
    depths = list(range(1, 13)) * (8 if DEEP else 1)
    acts.random.shuffle(depths)
    for round_, depth in enumerate(depths):
        acts.grow(acts.random.randint(1, 6))
        if round_ % 2:
            acts.fork(depth)
            acts.index(store).sync()
        else:
            # A fork between two of the index's questions.
            held = Meddling(acts.web3, acts.random.randint(4, 12), lambda depth=depth: acts.fork(depth))
            acts.index(store, held).sync()
            acts.index(store).sync()
        fresh = SqliteStore(None)
        acts.index(fresh).sync()
        assert store.tip() == fresh.tip()
        assert store.final() == fresh.final()
        assert dump(store) == dump(fresh)
        fresh.close()
    with reading(store) as now:
        lines = now.deals()
        assert tuple(one.id for one in lines) == acts.book.opened()
        assert {one.status for one in lines} == {"funding", "running"}
        for one in acts.random.sample(lines, 8):
            assert now.deal(one.id).state == acts.book.state(one.id)
        assert len(dump(store)["anchored"]) > 10
    store.close()


def test_a_node_without_receipts_of_blocks_is_told_apart(node: AnvilChain) -> None:
    """What a node cannot answer is an error that names the question, and nothing is written."""

    class Poor(Meddling):
        def make_request(self, method: Any, params: Any) -> Any:
            if method == "eth_getBlockReceipts":
                return json.loads('{"error": {"code": -32601, "message": "Method not found"}}')
            return super().make_request(method, params)

    acts = Acts(node, seed=4)
    acts.grow(3)
    store = SqliteStore(None)
    with pytest.raises(RpcError, match="eth_getBlockReceipts"):
        acts.index(store, Poor(acts.web3, 0, lambda: None)).sync()
    assert not any(dump(store).values())
    store.close()


