"""Shops and payers for the tests of x402: workspaces on one chain, real servers on loopback, other people's clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from troth.agents.x402 import wire
from troth.agents.x402.budget import Budget, Limits
from troth.agents.x402.client import Payer
from troth.agents.x402.offer import Offer
from troth.agents.x402.server import ShopServer
from troth.agents.x402.settling import ChainSettler
from troth.agents.x402.shop import Made, Paid, Request, Route, Shop, Terms
from troth.agents.x402.till import Till
from troth.agents.x402.wire import Payment
from troth.app import Troth
from troth.core.encoding import keccak256
from troth.core.terms import Account
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.artefacts import artefact, code_hash
from troth.ledger.chains import Chain
from troth.ledger.deploy import Contracts, Deployed, code_at, create
from troth.ledger.erc3009 import Authorization, Erc3009
from troth.ledger.outbox import Outbox
from troth.ledger.sending import Sender

PRICE = 10
HTTP = httpx.Client(trust_env=False, verify=False, timeout=120)
MODEST = Limits(100, 500, 300)


def key_of(name: str) -> Secp256k1KeyPair:
    return Secp256k1KeyPair(keccak256(b"x402 " + name.encode()))


@dataclass
class Market:
    """A chain with a token, a merchant whose shop sells /a and /b, and payers who hold money."""

    chain: Chain
    root: Path
    stack: ExitStack
    runs: list[tuple[str, bytes]] = field(default_factory=list)
    wrong: list[Exception] = field(default_factory=list)
    payers: int = 0

    def __post_init__(self) -> None:
        self.merchant = key_of("merchant")
        self.bank = Sender(self.chain.web3, key_of("bank").reveal_seed())
        address, _ = create(self.bank, artefact("Credits").bytecode, ("address", self.bank.account),
                            ("uint256", 10**12))
        self.token = Erc3009(self.chain.web3, address)
        self.domain = dict(zip(("name", "version"), self.token.named(self.chain.chain_id), strict=True))

    def make(self, request: Request, paid: Paid) -> bytes:
        if self.wrong:
            raise self.wrong.pop()
        self.runs.append((request.path, paid.id))
        return f"{request.path} for {len(self.runs)}".encode()

    def shop(self, name: str = "shop", *, make: Callable[[Request, Paid], bytes] | None = None, **terms: Any) -> Shop:
        goods = Made(make or self.make, "text/plain")
        routes = [Route("GET", "/a", PRICE, goods), Route("GET", "/b", PRICE, goods), Route("POST", "/a", PRICE, goods),
                  Route("GET", "/dear", 100 * PRICE, goods)]
        sender = Sender(self.chain.web3, self.merchant.reveal_seed(), outbox=Outbox(self.root / f"{name}.outbox"))
        till = self.stack.enter_context(Till(self.root / f"{name}.till"))
        return Shop(replace(Terms("", self.token.address, self.chain.chain_id, self.domain), **terms), routes,
                    self.merchant, till, ChainSettler(sender, self.token), self.chain.now)

    def serve(self, shop: Shop | None = None, port: int = 0, *, shared: bool = False) -> ShopServer:
        return self.stack.enter_context(ShopServer(shop or self.shop(), port, shared=shared))

    def rich(self, name: str, amount: int = 1_000) -> Account:
        account = key_of(name).public.account
        self.token.transfer(self.bank, account, amount)
        return account

    def payer(self, name: str = "", limits: Limits | None = MODEST, money: int = 1_000, *, chain: Chain | None = None,
              **how: Any) -> Payer:
        """A payer with a budget of its name; without a name a new one. chain: by which it sees the chain."""
        self.payers += 1
        name = name or f"payer {self.payers}"
        if money:
            self.rich(name, money)
        budget = self.stack.enter_context(Budget(self.root / f"{name}.budget"))
        if limits is not None:
            budget.allow(self.chain.chain_id, self.token.address, limits)
        return self.stack.enter_context(Payer(key_of(name), chain or self.chain, budget, **how))

    def header(self, name: str, server: ShopServer, path: str = "/a", method: str = "GET", body: bytes = b"",
               **changed: Any) -> str:
        """A payment for what the server offers now. changed: fields of the order that is signed."""
        return self.payment(name, self.offered(server, path, method, body), **changed).header()

    def offered(self, server: ShopServer, path: str = "/a", method: str = "GET", body: bytes = b"") -> Offer:
        answer = HTTP.request(method, server.url + path, content=body or None)
        assert answer.status_code == 402
        (offer,) = wire.offers_in(answer.json())
        return offer

    def payment(self, name: str, offer: Offer, salt: bytes = b"s" * 32, **changed: Any) -> Payment:
        key = key_of(name)
        order = replace(Authorization(key.public.account, offer.payee, offer.price, 0, offer.expires,
                                      offer.nonce_of(salt)), **changed)
        return Payment(offer, replace(order, signature=key.sign_digest(order.digest(self.token.domain()))), salt)

    def present(self, server: ShopServer, header: str, path: str = "/a", method: str = "GET",
                body: bytes = b"") -> httpx.Response:
        return HTTP.request(method, server.url + path, headers={wire.PAYMENT: header}, content=body or None)

    def twice(self) -> Account:
        """A contract that has the token carry out two orders: the halves of what it is called with."""
        token = self.token.address.hex()
        code = bytes.fromhex("6102486000600037" f"600060006101246000600073{token}5af150"
                             f"60006000610124610124600073{token}5af15000")
        made = self.bank.deploy(bytes([0x60, len(code)]) + bytes.fromhex("80600b6000396000f3") + code).contract
        assert made is not None
        return made

    def held(self, name: str) -> int:
        return self.token.balance(key_of(name).public.account)


@contextmanager
def market(chain: Chain, root: Path) -> Iterator[Market]:
    with ExitStack() as stack:
        yield Market(chain, root, stack)


def just_money(party: Troth, supply: int) -> Contracts:
    """A token of the party's on its chain, and no other contract."""
    address, block = create(party.sender, artefact("Credits").bytecode, ("address", party.account),
                            ("uint256", supply))
    named = Deployed("Credits", address, code_hash(code_at(party.chain.web3, address)))
    found = Contracts(party.chain.chain_id, block, {"token": named})
    party.use_contracts(found)
    return found
