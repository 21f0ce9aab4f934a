"""An embedded chain's JSON-RPC over HTTP on loopback, for wallets, ``cast``, viem, web3.py and other languages.

It speaks JSON-RPC 2.0 by POST: one request or a batch, many on one connection. It is for programs of this machine,
and keeps out what else can reach a local port:

- It binds 127.0.0.1 and nothing else, and no web page can use it (``troth.ledger.loopback``). A request whose type is
  not ``application/json`` is refused, too.
- It holds no keys: transactions come signed. It cannot move the chain's time. Whoever can reach it can read everything
  and send signed transactions, and pay nothing for either: other users of this machine can, too.
- Sizes are bounded: of a request, of a batch, of an answer, of open connections and of filters.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from troth.core.errors import TrothError
from troth.ledger.loopback import LoopbackHandler, LoopbackServer

if TYPE_CHECKING:
    from troth.ledger.chains.embedded import EmbeddedChain

PORT = 8545
"""Where nodes listen by custom."""
MAX_REQUEST = 4 << 20
MAX_BATCH = 1_000
MAX_ANSWER = 64 << 20
PARSE_ERROR, INVALID_REQUEST, INTERNAL, TOO_LARGE = -32700, -32600, -32603, -32005


class _Handler(LoopbackHandler):
    """One connection."""

    server: RpcServer

    def do_POST(self) -> None:
        """Answer one request or batch."""
        refused = self._refused()
        if refused is not None:
            self._refuse(*refused)
            return
        body = self.body()
        if body is None:
            return
        said = self.server.answer(body)
        if said:
            self.answer(HTTPStatus.OK, "application/json", said)
        else:
            self.answer(HTTPStatus.NO_CONTENT, "", b"")

    def _refuse_method(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "JSON-RPC comes by POST")

    do_GET = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _refuse_method

    def _refused(self) -> tuple[HTTPStatus, str] | None:
        """Why this request is not read, if it is not."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if (refused := self.stranger()) is not None:
            return refused
        if kind != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the Content-Type is not application/json"
        return self.unreadable(MAX_REQUEST)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.refuse(status, orjson.dumps(_error(None, INVALID_REQUEST, why)).decode(), "application/json")


class RpcServer(LoopbackServer):
    """Serves ``chain`` on 127.0.0.1:``port`` (0: any free one) from the moment it is made until it is closed.

    The chain stays the caller's to close. Raises OutsideFailed if the port is taken.
    """

    def __init__(self, chain: EmbeddedChain, port: int = PORT) -> None:
        self._provider = chain.provider
        super().__init__(_Handler, port)

    # -- JSON-RPC --------------------------------------------------------------------------------------------------

    def answer(self, body: bytes) -> bytes:
        """The answer to a request's or a batch's bytes; empty where none is due (notifications)."""
        try:
            asked = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return orjson.dumps(_error(None, PARSE_ERROR, f"not JSON: {error}"))
        if not isinstance(asked, list):
            return self._encoded(self._one(asked))
        if not 0 < len(asked) <= MAX_BATCH:
            return orjson.dumps(_error(None, INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests"))
        parts, size = list[bytes](), 0
        for part in asked:
            answer = self._encoded(self._one(part))
            size += len(answer)
            if size > MAX_ANSWER:
                return orjson.dumps(_error(None, TOO_LARGE, f"the answers pass {MAX_ANSWER} bytes; ask for less"))
            parts += [answer] if answer else []
        return b"[" + b",".join(parts) + b"]" if parts else b""

    def _one(self, asked: Any) -> dict[str, Any] | None:
        """The answer to one request; None for a notification, which is carried out all the same."""
        if not isinstance(asked, dict) or asked.get("jsonrpc") != "2.0" or not isinstance(asked.get("method"), str):
            return _error(None, INVALID_REQUEST, "not a JSON-RPC 2.0 request")
        name = asked.get("id")
        if isinstance(name, bool) or not isinstance(name, str | int | float | None):
            return _error(None, INVALID_REQUEST, "an id is a string or a number")
        parameters = asked.get("params", [])
        if not isinstance(parameters, list):
            return _error(name, INVALID_REQUEST, "parameters come as a list")
        try:
            answer = dict(self._provider.make_request(asked["method"], parameters))
        except TrothError as error:
            answer = _error(name, INTERNAL, error.diagnostics())
        answer["id"] = name
        return answer if "id" in asked else None

    @staticmethod
    def _encoded(answer: dict[str, Any] | None) -> bytes:
        if answer is None:
            return b""
        encoded = orjson.dumps(answer)
        if len(encoded) > MAX_ANSWER:
            why = f"the answer passes {MAX_ANSWER} bytes; ask for less, such as fewer blocks"
            return orjson.dumps(_error(answer["id"], TOO_LARGE, why))
        return encoded


def _error(name: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": name, "error": {"code": code, "message": message}}
