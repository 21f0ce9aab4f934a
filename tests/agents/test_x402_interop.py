"""Other people's clients at our shop, our payer at other people's servers: the protocol's own SDK, as it comes.

And what the SDK's default lets through, which ours refuses: the reason for binding an offer into its payment.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from eth_account import Account
from x402_parts import HTTP, PRICE, Market, key_of, market

from troth.agents.x402 import wire
from troth.core.errors import Misuse
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.chains.embedded import EmbeddedChain

pytest.importorskip("x402")
uvicorn = pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with EmbeddedChain(None, clock=SystemClock()) as chain, market(chain, tmp_path_factory.mktemp("x402")) as found:
        yield found


def stock_client(place: Market, name: str) -> Any:
    """The SDK's client, told that it may pay our token."""
    from x402 import x402Client
    from x402.mechanisms.evm.exact import register_exact_evm_client

    client = x402Client()
    register_exact_evm_client(client, Account.from_key(key_of(name).reveal_seed()))
    client.set_spend_controls({"allowed_assets": [{"network": wire.network(place.chain.chain_id),
                                                   "asset": "0x" + place.token.address.hex()}]})
    return client


def stock_get(place: Market, name: str, url: str) -> httpx.Response:
    from x402.http.clients import x402HttpxClient

    async def ask() -> httpx.Response:
        async with x402HttpxClient(stock_client(place, name), trust_env=False, verify=False) as http:
            return await http.get(url)
    return asyncio.run(ask())


@contextmanager
def stock_server(place: Market) -> Iterator[tuple[str, list[str]]]:
    """The SDK's FastAPI middleware with its own facilitator on this chain, selling /a and /b: (URL, what ran)."""
    from fastapi import FastAPI
    from x402 import x402Facilitator, x402ResourceServer
    from x402.http.middleware.fastapi import payment_middleware
    from x402.mechanisms.evm.exact import register_exact_evm_facilitator, register_exact_evm_server
    from x402.mechanisms.evm.signers import FacilitatorWeb3Signer

    signer = FacilitatorWeb3Signer(key_of("facilitator").reveal_seed().hex(), "http://127.0.0.1:1")
    signer._w3 = place.chain.web3
    network, facilitator = wire.network(place.chain.chain_id), x402Facilitator()
    register_exact_evm_facilitator(facilitator, signer, network)
    server = x402ResourceServer(facilitator)
    register_exact_evm_server(server, network)
    price = {"amount": str(PRICE), "asset": "0x" + place.token.address.hex(), "extra": place.domain}
    accepts = {"scheme": "exact", "payTo": Account.from_key(key_of("stock").reveal_seed()).address, "price": price,
               "network": network, "maxTimeoutSeconds": 60}
    app, ran = FastAPI(), list[str]()
    app.middleware("http")(payment_middleware({f"GET /{name}": {"accepts": accepts} for name in "ab"}, server))
    for name in "ab":
        app.add_api_route(f"/{name}", (lambda said: lambda: ran.append(said) or {"said": said})(name))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not serving.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", ran
        serving.should_exit = True
        thread.join(20)


def test_the_sdks_client_is_told_what_it_lacks(place: Market) -> None:
    server, before = place.serve(place.shop("bound")), place.rich("stock payer")
    answer = stock_get(place, "stock payer", f"{server.url}/a")
    assert answer.status_code == 402
    assert "names no offer" in answer.json()["error"]
    assert place.token.balance(before) == 1_000


def test_the_sdks_client_buys_where_the_shop_lets_it(place: Market) -> None:
    """Then the shop's own offers keep A from opening B, as long as nobody rewrites the header."""
    server = place.serve(place.shop("open", unbound=True))
    place.rich("other payer")
    seen: list[str] = []
    original = server.shop.reply
    server.shop.reply = lambda request: (seen.append(request.payment or ""), original(request))[1]  # type: ignore[method-assign]
    answer = stock_get(place, "other payer", f"{server.url}/a")
    assert (answer.status_code, answer.content[:2]) == (200, b"/a")
    assert (place.held("other payer"), len(place.runs)) == (1_000 - PRICE, 1)
    header = seen[-1]
    assert "another resource" in place.present(server, header, "/b").json()["error"]
    assert place.present(server, header).content == answer.content
    assert (place.held("other payer"), len(place.runs)) == (1_000 - PRICE, 1)


@pytest.mark.slow
def test_our_payer_buys_from_the_sdks_server_within_its_budget(place: Market) -> None:
    with stock_server(place) as (url, ran):
        with pytest.raises(Misuse, match="no offer that can be paid here"):
            place.payer("strict").get(f"{url}/a", most=PRICE)
        bought = place.payer("lenient", unbound=True).get(f"{url}/a", most=PRICE)
        assert (bought.status, bought.settled, ran) == (200, True, ["a"])
        assert (place.held("strict"), place.held("lenient")) == (1_000, 1_000 - PRICE)
        assert bought.spending is not None
        assert not bought.spending.offer.by_seller


@pytest.mark.slow
def test_the_sdks_own_default_lets_a_payment_for_one_thing_open_another(place: Market) -> None:
    """The contrast: here a payment for /a, not presented there yet, opens /b."""
    from x402.http.utils import decode_payment_required_header, encode_payment_signature_header

    place.rich("victim")
    with stock_server(place) as (url, ran):
        asked = decode_payment_required_header(HTTP.get(f"{url}/a").headers["payment-required"])
        payload = asyncio.run(stock_client(place, "victim").create_payment_payload(asked))
        header = encode_payment_signature_header(payload)
        answer = HTTP.get(f"{url}/b", headers={"PAYMENT-SIGNATURE": header})
    assert (answer.status_code, ran) == (200, ["b"])
