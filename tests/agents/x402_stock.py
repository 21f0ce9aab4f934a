"""The protocol's own SDK as others use it: its client, and its server with its own facilitator on a chain of ours."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from eth_account import Account
from x402_parts import PRICE, Market, key_of

from troth.agents.x402 import wire


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
    import uvicorn
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
