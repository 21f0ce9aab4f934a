"""A shop: offers, checks, settles, serves. There is no HTTP in it: requests come in and replies go out.

What is done with a request, in this order:

1.  There is something to buy under this method and path, or 404.
2.  The goods take this request, or 400: nobody pays for a refusal that could be told before.
3.  No payment comes with it: 402 with a new, signed offer, of which nothing is kept.
4.  The payment can be read, or 400.
5.  Its offer is one that this shop signed, for this very resource, method and body, or 402.
6.  Its order pays that offer: payee, price, times, and the nonce that binds them, or 402.
7.  It was served: the same answer again. It was taken: go on where it stopped, whoever stopped.
8.  The offer is still good and the chain would carry the order out now, or 402; nothing was written.
9.  It is written down as taken. Two payments for one offer, or one for two, end here.
10. The chain carries it out.
11. The goods are made, written down, and given out.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from troth.agents.x402 import wire
from troth.agents.x402.offer import MAX_LIFE, Offer
from troth.agents.x402.settling import Settler
from troth.agents.x402.till import SERVED, SETTLED, TAKEN, Answer, Sale, Till, payment_id
from troth.agents.x402.wire import Payment, Settled
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted, TrothError
from troth.core.terms import Account
from troth.core.times import moment
from troth.identity.keys import Secp256k1KeyPair

LIFE = 60
"""Seconds that an offer is good for."""
KEEP = 86_400
"""Seconds that an answer is kept for a payer who comes again."""
AT_WORK = 30.0
"""Seconds to wait for another process that serves the same payment."""
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. target: path and query as they came. payment: the header's value, if there is one."""

    method: str
    target: str
    body: bytes = b""
    payment: str | None = None
    old: bool = False

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """What it gets."""

    status: int
    media: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paid:
    """A settled payment that something is made for. id: the payment's."""

    id: bytes
    offer: Offer
    payer: Account
    tx: bytes


class Goods(Protocol):
    """Something to sell."""

    @property
    def media(self) -> str:
        """The media type of what ``make`` gives."""
        ...

    def admit(self, request: Request) -> None:
        """Refuse a request that could not be served, before anybody pays. Raises Misuse."""
        ...

    def make(self, request: Request, paid: Paid) -> bytes:
        """What was paid for. After a crash it may be asked again for the same payment, never after it was served.

        Raises TrothError where it cannot be made now: the payer may come again with the same payment.
        """
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """Goods that a function makes of the request. takes: refuses a request beforehand, by raising Misuse."""

    by: Callable[[Request, Paid], bytes]
    media: str = "application/octet-stream"
    takes: Callable[[Request], None] | None = None

    def admit(self, request: Request) -> None:
        """As ``takes`` says."""
        if self.takes is not None:
            self.takes(request)

    def make(self, request: Request, paid: Paid) -> bytes:
        """What the function gives."""
        return self.by(request, paid)


@dataclass(frozen=True, slots=True)
class Route:
    """What is sold under a method and a path, for how much of the token's smallest unit."""

    method: str
    path: str
    price: int
    goods: Goods
    description: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a shop asks for. origin: how clients name it, ``http://127.0.0.1:8402``. domain: the token's name and
    version. life, keep: seconds. unbound: whether payments are taken whose nonce does not bind the offer. payee: who is
    paid, the shop itself by default.
    """

    origin: str
    token: Account
    chain_id: int
    domain: Mapping[str, str]
    life: int = LIFE
    keep: int = KEEP
    unbound: bool = False
    payee: Account | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.life <= MAX_LIFE or self.keep < self.life:
            raise Misuse("offers cannot be kept so long", expected=f"life from 1 to {MAX_LIFE} s, keep at least that",
                         actual=f"{self.life}, {self.keep}")


class Shop:
    """Sells ``routes``. key: the seller's, which signs offers. now: the chain's time. Safe for threads.

    Raises Misuse for two routes of one method and path, or a price that is none.
    """

    def __init__(self, terms: Terms, routes: Sequence[Route], key: Secp256k1KeyPair, till: Till, settler: Settler,
                 now: Callable[[], int]) -> None:
        self.terms, self.till = terms, till
        self._key, self._settler, self._now = key, settler, now
        self._routes = {(route.method, route.path): route for route in routes}
        if len(self._routes) != len(routes) or any(route.price < 1 for route in routes):
            raise Misuse("not a list of prices", expected="each method and path once, prices of at least 1")

    @property
    def seller(self) -> Account:
        """Whose offers these are."""
        return self._key.public.account

    @property
    def payee(self) -> Account:
        """Who is paid."""
        return self.terms.payee or self.seller

    def reply(self, request: Request) -> Reply:
        """What a request gets. Never raises for what a client or the chain does."""
        route = self._routes.get((request.method, request.path))
        if route is None:  # 1
            return told(HTTPStatus.NOT_FOUND, "nothing is sold here")
        try:
            route.goods.admit(request)  # 2
            if request.payment is None:  # 3
                why = "x402 version 1 names no offer: pay with version 2" if request.old else "payment required"
                return self._offering(route, request, why)
            payment = Payment.of(request.payment)  # 4
        except Misuse as error:
            return told(HTTPStatus.BAD_REQUEST, error.diagnostics())
        try:
            self._is_for(payment, request)  # 5, 6
            return self._serve(route, request, payment)
        except (Refuted, Misuse) as error:
            return self._offering(route, request, error.diagnostics(), payment)
        except Pending as error:
            return told(HTTPStatus.CONFLICT, error.diagnostics(), {"Retry-After": "1"})
        except OutsideFailed as error:
            return told(HTTPStatus.SERVICE_UNAVAILABLE, error.diagnostics(), {"Retry-After": "5"})

    def offer(self, route: Route, request: Request) -> Offer:
        """A new offer for this request."""
        terms = self.terms
        return Offer(terms.origin + request.target, request.method, sha256(request.body), self.payee, route.price,
                     terms.token, terms.chain_id, self._now() + terms.life, secrets.token_bytes(32),
                     self.seller).signed(self._key)

    def _offering(self, route: Route, request: Request, why: str, payment: Payment | None = None) -> Reply:
        said = wire.required(self.offer(route, request), domain=self.terms.domain, why=why,
                             description=route.description, media=route.goods.media)
        headers = {wire.REQUIRED: wire.packed(said)}
        if payment is not None:
            headers[wire.RESPONSE] = Settled(False, "", why[:200]).header(payment.order.owner, self.terms.chain_id)
        return Reply(HTTPStatus.PAYMENT_REQUIRED, JSON, json.dumps(said).encode(), headers | _PRIVATE)

    def _is_for(self, payment: Payment, request: Request) -> None:
        """Steps 5 and 6. Raises Refuted."""
        offer, order, terms = payment.offer, payment.order, self.terms
        if offer.seller != self.seller or not offer.by_seller:
            raise Refuted("this shop made no such offer")
        asked = {"resource": (terms.origin + request.target, offer.resource), "method": (request.method, offer.method),
                 "body": (sha256(request.body).hex(), offer.body.hex()), "token": (terms.token, offer.token),
                 "chain": (terms.chain_id, offer.chain_id), "payee": (self.payee, offer.payee),
                 "recipient": (offer.payee, order.to), "price": (offer.price, order.amount)}
        for what, (expected, actual) in asked.items():
            if expected != actual:
                raise Refuted(f"a payment for another {what}", expected=_shown(expected), actual=_shown(actual))
        if not offer.pays(order, payment.salt):
            if not terms.unbound:
                raise Refuted("this payment names no offer: its nonce is not the hash of the offer and a salt",
                              expected="keccak256(offer digest || salt), salt in extensions.offer.salt",
                              do="Pay with a client that binds its payments (docs/reference/payments.md).")
        elif order.before != offer.expires:
            raise Refuted("a payment that does not end with its offer", expected=offer.expires, actual=order.before)
        if order.before > offer.expires + wire.TIMEOUT:
            raise Refuted("a payment that is good for too long", expected=offer.expires + wire.TIMEOUT,
                          actual=order.before)

    def _serve(self, route: Route, request: Request, payment: Payment) -> Reply:
        key = payment_id(payment)
        sale = self.till.sale(key)
        if sale is None:  # 8
            now = self._now()
            if now >= payment.offer.expires:
                raise Refuted("this offer is over", expected=f"before {moment(payment.offer.expires, now)}")
            self._settler.check(payment, lambda: self.till.under_way(payment))
        with self.till.at_work(key, AT_WORK):
            sale = self.till.take(payment, self._now())  # 7, 9
            if sale.state == TAKEN:
                sale = self._settle(sale, payment)  # 10
            if sale.state == SETTLED:
                sale = self._make(sale, route, request, payment)  # 11
        return self._given(sale, payment)

    def _settle(self, sale: Sale, payment: Payment) -> Sale:
        try:
            tx = self._settler.settle(payment)
        except Refuted:
            self.till.refused(sale.id)
            raise
        self.till.settled(sale.id, tx)
        return Sale(sale.id, sale.offer, SETTLED, tx, None)

    def _make(self, sale: Sale, route: Route, request: Request, payment: Payment) -> Sale:
        assert sale.tx is not None
        try:
            made = route.goods.make(request, Paid(sale.id, payment.offer, payment.order.owner, sale.tx))
        except TrothError as error:
            # Paid and not served: the client hears both, and may come again.
            why = f"paid, and not served: {error.diagnostics()}. Come again with the same payment."
            return Sale(sale.id, sale.offer, SETTLED, sale.tx, Answer(HTTPStatus.INTERNAL_SERVER_ERROR, JSON,
                                                                      json.dumps({"error": why}).encode()))
        now = self._now()
        answer = Answer(HTTPStatus.OK, route.goods.media, made)
        self.till.served(sale.id, answer, now)
        self.till.forget(now - self.terms.keep)
        return Sale(sale.id, sale.offer, SERVED, sale.tx, answer)

    def _given(self, sale: Sale, payment: Payment) -> Reply:
        assert sale.tx is not None
        assert sale.answer is not None
        headers = {wire.RESPONSE: Settled(True, "0x" + sale.tx.hex()).header(payment.order.owner, self.terms.chain_id)}
        if sale.answer.body is None:
            why = f"served once, and kept for {self.terms.keep} s only"
            return told(HTTPStatus.GONE, why, headers)
        return Reply(sale.answer.status, sale.answer.media, sale.answer.body, headers | _PRIVATE)


def told(status: int, why: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply that says why."""
    return Reply(status, JSON, json.dumps({"error": why}).encode(), {**(headers or {}), **_PRIVATE})


_PRIVATE = {"Cache-Control": "no-store"}


def _shown(value: object) -> object:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def sold(path: str, method: str, price: object) -> tuple[str, str, int]:
    """A route's words, checked: (path, method, price). Raises BadInput."""
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or set(path) & {"?", "#", " "}:
        raise BadInput("not a path", expected="/ and printable ASCII without ? and #", actual=path[:80])
    if method not in ("GET", "POST"):
        raise BadInput("not a method that is sold", expected="GET or POST", actual=method)
    if type(price) is not int or price < 1:
        raise BadInput("not a price", expected="an integer of at least 1, in the token's smallest unit", actual=price)
    return path, method, price
