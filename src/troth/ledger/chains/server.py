"""An embedded chain's JSON-RPC over HTTP on loopback, for wallets, ``cast``, viem, web3.py and other languages.

It speaks JSON-RPC 2.0 by POST: one request or a batch, many on one connection. It is for programs of this machine,
and keeps out what else can reach a local port:

- It binds 127.0.0.1 and nothing else; there is no setting for another address.
- **A web page cannot use it.** A request whose ``Host`` is not this address (a name that was pointed at it later: DNS
  rebinding), that has an ``Origin``, or whose type is not ``application/json`` is refused, and no answer carries a CORS
  header.
- It holds no keys: transactions come signed. It cannot move the chain's time. Whoever can reach it can read everything
  and send signed transactions, and pay nothing for either: other users of this machine can, too.
- Sizes are bounded: of a request, of a batch, of an answer, of open connections and of filters.
"""

from __future__ import annotations

import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

import orjson

from troth.core.errors import OutsideFailed, TrothError

if TYPE_CHECKING:
    from troth.ledger.chains.embedded import EmbeddedChain

HOST = "127.0.0.1"
PORT = 8545
"""Where nodes listen by custom."""
MAX_REQUEST = 4 << 20
MAX_BATCH = 1_000
MAX_ANSWER = 64 << 20
MAX_CONNECTIONS = 64
IDLE_SECONDS = 60
"""How long a connection may be silent, also in the middle of a request."""
PARSE_ERROR, INVALID_REQUEST, INTERNAL, TOO_LARGE = -32700, -32600, -32603, -32005


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: RpcServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "troth", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer one request or batch."""
        refused = self._refused()
        if refused is not None:
            self._refuse(*refused)
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) != length:  # the client went away
            self.close_connection = True
            return
        answer = self.server.answer(body)
        self.send_response(HTTPStatus.OK if answer else HTTPStatus.NO_CONTENT)
        if answer:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _refuse_method(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "JSON-RPC comes by POST")

    do_GET = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _refuse_method

    def _refused(self) -> tuple[HTTPStatus, str] | None:
        """Why this request is not read, if it is not."""
        headers = self.headers
        length = headers.get("Content-Length", "")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if headers.get_all("Host", []) not in self.server.hosts:
            return HTTPStatus.FORBIDDEN, "the Host is not this address"
        if "Origin" in headers:
            return HTTPStatus.FORBIDDEN, "web pages are not served"
        if kind != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the Content-Type is not application/json"
        if "Transfer-Encoding" in headers or not length.isascii() or not length.isdigit():
            return HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed"
        if int(length) > MAX_REQUEST:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request is at most {MAX_REQUEST} bytes"
        return None

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Say why and hang up: what follows on the connection is not known to be a request."""
        self.close_connection = True
        body = orjson.dumps(_error(None, INVALID_REQUEST, why))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: addresses and requests are nobody's business."""


class RpcServer(ThreadingHTTPServer):
    """Serves ``chain`` on 127.0.0.1:``port`` (0: any free one) from the moment it is made until it is closed.

    The chain stays the caller's to close. Raises OutsideFailed if the port is taken.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, chain: EmbeddedChain, port: int = PORT) -> None:
        self._provider = chain.provider
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise OutsideFailed(f"cannot listen on {HOST}:{port}: {error}", do="Name another port, or 0") from error
        self.port = int(self.server_address[1])
        self.url = f"http://{HOST}:{self.port}"
        self.hosts = [[f"{name}:{self.port}"] for name in (HOST, "localhost")]
        if self.port == 80:
            self.hosts += [[HOST], ["localhost"]]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="rpc", daemon=True)
        self._thread.start()

    def __enter__(self) -> RpcServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and hang up on every client. A transaction being mined is mined whole or not at all."""
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            _hang_up(connection)

    # -- connections -----------------------------------------------------------------------------------------------

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or hang up where all are taken."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that goes away ends its own thread."""

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


def _hang_up(connection: socket.socket) -> None:
    """Wake a thread that waits for its client."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone already
