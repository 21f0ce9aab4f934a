"""A shop on loopback (``troth.ledger.loopback``): GET and POST, for programs of this machine or a web server in front.

Several processes may sell from one workspace under one port (``shared``): the system spreads connections over them.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from troth.agents.x402 import wire
from troth.agents.x402.shop import Request, Shop, told
from troth.ledger.loopback import LoopbackHandler, LoopbackServer

MAX_BODY = 1 << 20


class _ShopHandler(LoopbackHandler):
    server: ShopServer

    def do_GET(self) -> None:
        """Something that takes no body."""
        if (refused := self.stranger()) is not None:
            self.refuse(*refused)
            return
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.refuse(HTTPStatus.BAD_REQUEST, "a GET has no body here")
            return
        self._answer(b"")

    def do_POST(self) -> None:
        """Something that takes one."""
        refused = self.stranger() or self.unreadable(MAX_BODY)
        if refused is not None:
            self.refuse(*refused)
            return
        body = self.body()
        if body is not None:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        payments = self.headers.get_all(wire.PAYMENT, [])
        if len(payments) > 1:
            reply = told(HTTPStatus.BAD_REQUEST, "one payment a request")
        else:
            reply = self.server.shop.reply(Request(self.command, self.path, body, payments[0] if payments else None,
                                                   wire.OLD_PAYMENT in self.headers))
        self.answer(HTTPStatus(reply.status), reply.media, reply.body, reply.headers)

    def _refuse_method(self) -> None:
        self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET and POST")

    do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _refuse_method


class ShopServer(LoopbackServer):
    """Serves a shop on 127.0.0.1. shared: other processes of this user may serve under the same port.

    A shop without an origin takes this address for one. A web server in front keeps the Host that clients name: the one
    in the shop's origin is answered too.
    """

    def __init__(self, shop: Shop, port: int = 0, *, shared: bool = False) -> None:
        self.shop = shop
        self.allow_reuse_port = shared
        super().__init__(_ShopHandler, port)
        if not shop.terms.origin:
            shop.terms = replace(shop.terms, origin=self.url)
        self.hosts.append([shop.terms.origin.partition("://")[2]])
