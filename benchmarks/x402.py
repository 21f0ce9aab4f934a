"""A payment over HTTP beside the plain request: round trips with our payer and our shop, embedded and on anvil.

Everything is in one process but anvil: the server's work counts too. ``paid``: ask, get the offer, check it, reserve,
sign, ask again, the shop checks, takes, has the chain carry it out, makes the answer and writes it down, the payer asks
its chain. ``plain``: the same goods asked for without a price, from the same kind of server. ``offer``: asked without a
payment. ``again``: a payment that was served, presented once more. ``sdk``: the protocol's own SDK on both sides, which
binds nothing and writes nothing down, on the same chain in the same run. ``cpu``: milliseconds of processor for one
that is paid, both sides (and the embedded chain).

Run: python benchmarks/x402.py
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/agents"))

from x402_parts import HTTP, PRICE, Market, key_of
from x402_stock import stock_client, stock_server

from ports.anvil import anvil
from troth.agents.x402.budget import Limits
from troth.ledger.chains import Chain
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.loopback import LoopbackHandler, LoopbackServer

ETHER = {key_of(name).public.account: 10**21 for name in ("bank", "merchant", "facilitator")}


class _Plain(LoopbackHandler):
    def do_GET(self) -> None:
        """The goods, for nothing."""
        self.answer(HTTPStatus.OK, "text/plain", b"/a for nothing")


def _median(act: Callable[[], object], times: int) -> float:
    """Milliseconds, the median."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        found.append(1_000 * (time.perf_counter() - begun))
    return round(statistics.median(found), 2)


def _sdk(market: Market, times: int) -> float:
    """The same with the SDK's client and server."""
    from x402.http.clients import x402HttpxClient

    market.rich("stock", 2 * times * PRICE)

    async def ask(url: str) -> float:
        found = []
        async with x402HttpxClient(stock_client(market, "stock"), trust_env=False, verify=False) as http:
            for number in range(times + 1):
                begun = time.perf_counter()
                assert (await http.get(url)).status_code == 200
                if number:
                    found.append(1_000 * (time.perf_counter() - begun))
        return round(statistics.median(found), 2)

    with stock_server(market) as (url, _):
        return asyncio.run(ask(f"{url}/a"))


def _on(chain: Chain, folder: Path, times: int) -> dict[str, Any]:
    with ExitStack() as stack:
        market = Market(chain, folder, stack)
        most = 10 * times * PRICE
        payer = market.payer("payer", Limits(PRICE, most, most), money=most)
        server, plain = market.serve(), stack.enter_context(LoopbackServer(_Plain, 0))

        def paid() -> None:
            assert payer.get(f"{server.url}/a", most=PRICE).settled

        paid()
        busy = time.process_time()
        made = {"paid": _median(paid, times)}
        made["cpu"] = round(1_000 * (time.process_time() - busy) / times, 1)
        made |= {"sdk": _sdk(market, times), "plain": _median(lambda: HTTP.get(f"{plain.url}/a"), 3 * times),
                "offer": _median(lambda: HTTP.get(f"{server.url}/a"), 3 * times)}
        header = payer.budget.payments()[0].header or ""
        made["again"] = _median(lambda: market.present(server, header), 3 * times)
        receipt = chain.web3.eth.get_transaction_receipt((payer.budget.payments()[0].tx or b"").hex())  # type: ignore[arg-type]
        return made | {"gas": receipt["gasUsed"]}


def run(quick: bool = False) -> dict[str, Any]:
    """Medians in milliseconds, and the gas of a settlement."""
    times = 5 if quick else 40
    with tempfile.TemporaryDirectory() as folder:
        with EmbeddedChain(Path(folder) / "chain") as chain:
            (Path(folder) / "embedded").mkdir()
            embedded = _on(chain, Path(folder) / "embedded", times)
        with anvil(accounts=ETHER) as node:
            (Path(folder) / "anvil").mkdir()
            on_anvil = _on(node, Path(folder) / "anvil", times)
    return {"headlines": {"embedded ms": embedded["paid"], "anvil ms": on_anvil["paid"],
                          "paid over plain": round(embedded["paid"] / embedded["plain"], 1),
                          "paid over sdk": round(on_anvil["paid"] / on_anvil["sdk"], 2)},
            "embedded": embedded, "anvil": on_anvil}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
