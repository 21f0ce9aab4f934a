"""Servers for programs of this machine: they bind 127.0.0.1 and keep out what else can reach a local port.

- There is no setting for another address. Whoever wants one puts a web server in front that knows who may ask.
- **A web page cannot use them.** A request whose ``Host`` is not this address (a name that was pointed at it later: DNS
  rebinding) or that has an ``Origin`` is refused, and no answer carries a CORS header.
- Sizes are bounded: of a request, of open connections, and of the time a connection may be silent.

Other users of this machine can reach what programs of this user can.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from troth.core.closing import Closing
from troth.core.errors import OutsideFailed

HOST = "127.0.0.1"
MAX_CONNECTIONS = 64
IDLE_SECONDS = 60
"""How long a connection may be silent, also in the middle of a request."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """One connection. Which methods there are is a subclass's to say: each that it does not define is refused."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "troth", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1

    def stranger(self) -> tuple[HTTPStatus, str] | None:
        """Why this request is not this machine's to ask, if it is not."""
        if self.headers.get_all("Host", []) not in self.server.hosts:
            return HTTPStatus.FORBIDDEN, "the Host is not this address"
        if "Origin" in self.headers:
            return HTTPStatus.FORBIDDEN, "web pages are not served"
        return None

    def unreadable(self, most: int) -> tuple[HTTPStatus, str] | None:
        """Why the request's body is not read, if it is not."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            return HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed"
        if int(length) > most:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request is at most {most} bytes"
        return None

    def body(self) -> bytes | None:
        """The request's body; None where the client went away in its middle. ``unreadable`` has passed it."""
        length = int(self.headers["Content-Length"])
        data = self.rfile.read(length)
        if len(data) != length:
            self.close_connection = True
            return None
        return data

    def answer(self, status: HTTPStatus, kind: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answer with these bytes of this media type."""
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: HTTPStatus, why: str, kind: str = "text/plain; charset=utf-8") -> None:
        """Say why and hang up: what follows on the connection is not known to be a request."""
        self.close_connection = True
        self.answer(status, kind, why.encode(), {"Connection": "close"})

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: addresses and requests are nobody's business."""


class LoopbackServer(Closing, ThreadingHTTPServer):
    """Serves on 127.0.0.1:``port`` (0: any free one) from the moment it is made until it is closed.

    Raises OutsideFailed if the port is taken.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, handler: type[LoopbackHandler], port: int) -> None:
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        try:
            super().__init__((HOST, port), handler)
        except (OSError, OverflowError) as error:
            raise OutsideFailed(f"cannot listen on {HOST}:{port}: {error}", do="Name another port, or 0") from error
        self.port = int(self.server_address[1])
        self.url = f"http://{HOST}:{self.port}"
        self.hosts = [[f"{name}:{self.port}"] for name in (HOST, "localhost")]
        if self.port == 80:
            self.hosts += [[HOST], ["localhost"]]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="serving", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and hang up on every client. What is being written is written whole or not at all."""
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            _hang_up(connection)

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


def _hang_up(connection: socket.socket) -> None:
    """Wake a thread that waits for its client."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone already
