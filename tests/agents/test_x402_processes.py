"""Several processes sell from one till and buy from one budget; some of them die. Real servers, a chain in a file."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from x402_parts import HTTP, PRICE, Market, key_of

from ports.anvil import anvil
from troth.agents.x402 import wire
from troth.agents.x402.budget import Asked, Budget, Limits, OverBudget
from troth.agents.x402.client import Payer
from troth.agents.x402.offer import Offer
from troth.agents.x402.shop import Paid, Request
from troth.core.errors import OutsideFailed
from troth.ledger.chains import Chain
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import RpcChain

FORK = multiprocessing.get_context("fork")
LOAD = Limits(PRICE, 150 * PRICE, 150 * PRICE, life=3_600)
ETHER = {key_of(name).public.account: 10**21 for name in ("bank", "merchant")}


class Street:
    """A chain that several processes use, a port, and shops in processes of their own behind it."""

    def __init__(self, root: Path, node: str, stack: ExitStack) -> None:
        self.root, self.stack = root, stack
        self.runs = root / "runs"
        self.runs.touch()
        self.node = stack.enter_context(anvil(accounts=ETHER)) if node == "anvil" else None
        self.port = _free()
        self.url = f"http://127.0.0.1:{self.port}"
        self.chain = stack.enter_context(self.open())
        self.market = Market(self.chain, root, stack)
        self.shops: list[multiprocessing.process.BaseProcess] = []

    def open(self) -> Chain:
        return EmbeddedChain(self.root / "chain") if self.node is None else RpcChain(self.node.url)

    def begin(self, count: int, make: Callable[[Request, Paid], bytes] | None = None) -> None:
        """Start shops, and wait until they answer."""
        for _ in range(count):
            shop = FORK.Process(target=self._sell, args=(make or self._make,), daemon=True)
            shop.start()
            self.shops.append(shop)
        for _ in range(600):
            try:
                if all(_fresh(self.url + "/a").status_code == 402 for _ in range(2 * count)):
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        raise AssertionError("the shops do not answer")

    def end(self) -> None:
        for shop in self.shops:
            shop.kill()
            shop.join()
        self.shops.clear()

    def _sell(self, make: Callable[[Request, Paid], bytes]) -> None:
        with ExitStack() as stack, self.open() as chain:
            market = Market.__new__(Market)
            market.__dict__.update(self.market.__dict__, chain=chain, stack=stack,
                                   token=type(self.market.token)(chain.web3, self.market.token.address))
            market.serve(market.shop(make=make, life=3_000), self.port, shared=True)
            threading.Event().wait()

    def _make(self, request: Request, paid: Paid) -> bytes:
        with self.runs.open("ab", buffering=0) as out:  # a line is appended whole
            out.write(paid.id.hex().encode() + b"\n")
        return paid.id.hex().encode()

    def ran(self) -> Counter[str]:
        return Counter(self.runs.read_text().split())


def _fresh(url: str) -> httpx.Response:
    """Asked over a connection of its own, which any of the processes may take."""
    return HTTP.get(url, headers={"Connection": "close"})


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(params=["embedded"])
def street(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Street]:
    with ExitStack() as stack:
        found = Street(tmp_path, request.param, stack)
        stack.callback(found.end)
        yield found


@pytest.fixture(params=["embedded", "anvil"])
def long_street(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Street]:
    with ExitStack() as stack:
        found = Street(tmp_path, request.param, stack)
        stack.callback(found.end)
        yield found


def race(street: Street, workers: int, payments: int, times: int) -> None:
    """Each payment is presented several times at once, to whichever process takes the connection."""
    market = street.market
    market.rich("payer", payments * PRICE)
    street.begin(workers)
    headers = []
    for _ in range(payments):
        (offer,) = wire.offers_in(HTTP.get(street.url + "/a").json())
        headers.append(market.payment("payer", offer).header())
    shown = headers * times
    random.Random(payments).shuffle(shown)

    def present(header: str) -> tuple[str, bytes]:
        for _ in range(200):
            answer = HTTP.get(street.url + "/a", headers={wire.PAYMENT: header})
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.content
                return header, answer.content
            time.sleep(0.1)
        raise AssertionError("never served")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(present, shown))
    street.end()
    assert len(set(answers)) == payments  # whoever shows a payment gets its one answer
    assert street.ran() == Counter({answer.decode(): 1 for _, answer in set(answers)})
    assert (market.held("payer"), market.held("merchant")) == (0, payments * PRICE)


def test_racing_processes_serve_each_payment_once(street: Street) -> None:
    race(street, workers=3, payments=8, times=3)


@pytest.mark.slow
def test_many_racing_processes_serve_each_payment_once(long_street: Street) -> None:
    race(long_street, workers=6, payments=200, times=4)


def test_a_shop_that_dies_between_payment_and_answer_serves_when_it_is_back(street: Street) -> None:
    def die(request: Request, paid: Paid) -> bytes:
        os._exit(9)

    market = street.market
    payer = market.payer("payer", Limits(100, 500, 300, life=3_600))
    street.begin(1, die)
    with pytest.raises(OutsideFailed, match="may be carried out"):
        payer.get(street.url + "/a", most=PRICE)
    street.shops[0].join(30)
    assert (street.shops[0].exitcode, market.held("merchant")) == (9, PRICE)
    street.end()
    street.begin(2)
    (lost,) = payer.budget.open()
    served = payer.again(lost.nonce)
    assert (served.status, served.settled, market.held("merchant"), len(street.ran())) == (200, True, PRICE, 1)
    assert payer.again(lost.nonce).body == served.body
    assert sum(street.ran().values()) == 1


def spend(street: Street, calls: int, ports: list[str], told: multiprocessing.queues.Queue[tuple[int, int]]) -> None:
    """A process of the payer's that buys until it is refused or has had enough."""
    with street.open() as chain, Budget(street.root / "payer.budget") as budget, \
            Payer(key_of("payer"), chain, budget, timeout=120) as payer:
        bought = refused = 0
        for call in range(calls):
            try:
                bought += payer.get(ports[call % len(ports)] + "/a", most=PRICE).served
            except OverBudget:
                refused += 1
        told.put((bought, refused))


def shopping(street: Street, buyers: int, calls: int, limits: Limits) -> tuple[int, int]:
    """Processes with one budget buy at two shops at once: (bought, refused)."""
    street.market.payer("payer", limits, money=buyers * calls * PRICE)
    street.begin(2)
    second = _free()
    one, street.port = street.port, second
    street.url = f"http://127.0.0.1:{second}"
    street.begin(1)
    told: multiprocessing.queues.Queue[tuple[int, int]] = FORK.Queue()
    ports = [f"http://127.0.0.1:{port}" for port in (one, second)]
    all_ = [FORK.Process(target=spend, args=(street, calls, ports, told)) for _ in range(buyers)]
    for one_ in all_:
        one_.start()
    found = [told.get(timeout=300) for _ in all_]
    for one_ in all_:
        one_.join()
    return sum(bought for bought, _ in found), sum(refused for _, refused in found)


@pytest.mark.slow
def test_a_budget_holds_for_all_processes_and_after_a_restart(street: Street) -> None:
    assert shopping(street, buyers=3, calls=4, limits=Limits(PRICE, 6 * PRICE, 6 * PRICE, life=3_600)) == (6, 6)
    market = street.market
    assert market.held("merchant") == 6 * PRICE
    with pytest.raises(OverBudget, match="in a day"):  # another process, later
        market.payer("payer", None, money=0).get(street.url + "/a", most=PRICE)
    assert sum(street.ran().values()) == 6


def hammer(path: Path, mine: int, ready: multiprocessing.synchronize.Barrier) -> None:
    """Reserve as fast as can be, until the budget says no."""
    with Budget(path) as budget:
        ready.wait()
        for number in range(40):
            nonce = bytes([mine, number]) * 16
            offer = Offer("http://x/a", "GET", bytes(32), b"p" * 20, 1, b"t" * 20, 1, 1_000, nonce, b"p" * 20)
            with suppress(OverBudget):
                budget.reserve(offer, b"m" * 20, nonce, Asked("http://x", "x", b""), 900)


def test_processes_that_reserve_at_once_stay_within_the_cap(tmp_path: Path) -> None:
    with Budget(tmp_path / "b") as budget:
        budget.allow(1, b"t" * 20, Limits(1, 60, 60))
    ready = FORK.Barrier(4)
    all_ = [FORK.Process(target=hammer, args=(tmp_path / "b", mine, ready)) for mine in range(4)]
    for one in all_:
        one.start()
    for one in all_:
        one.join()
        assert one.exitcode == 0
    with Budget(tmp_path / "b") as budget:
        assert len(budget.payments()) == budget.spent(1, b"t" * 20, 901) == 60


@pytest.mark.slow
def test_a_budget_holds_under_load(long_street: Street) -> None:
    assert shopping(long_street, buyers=6, calls=40, limits=LOAD) == (150, 90)
    assert long_street.market.held("merchant") == 150 * PRICE
