"""A node that misbehaves on demand: real HTTP on loopback, in front of an honest chain.

``HostileNode(chain)`` answers as the chain does until it is told otherwise: ``spoil(method, how)``. ``how`` takes the
honest answer (a JSON-RPC object) and returns what to do: an object to send, bytes to send as the body, or a callable
that gets the raw socket and writes what it likes before the connection is closed.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from troth.ledger.chains.embedded import EmbeddedChain

Raw = Callable[[socket.socket], None]
How = Callable[[dict[str, Any]], "dict[str, Any] | bytes | Raw"]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: HostileNode

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked["method"])
        answer = dict(self.server.provider.make_request(asked["method"], asked["params"])) | {"id": asked["id"]}
        how = self.server.spoilt.get(asked["method"], self.server.spoilt.get("*"))
        sent: Any = answer if how is None else how(answer)
        if callable(sent):
            self.close_connection = True
            try:
                sent(self.connection)
            except OSError:
                return  # the client has had enough
            return
        body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Silence."""


class HostileNode(ThreadingHTTPServer):
    """See the module. ``asked`` lists the methods asked for, in order."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, chain: EmbeddedChain) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = chain.provider
        self.spoilt: dict[str, How] = {}
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, chain: EmbeddedChain) -> None:
        """Put another chain behind the address."""
        self.provider = chain.provider

    def spoil(self, how: How | None, *methods: str) -> None:
        """Answer ``methods`` (none: all) like ``how``; None: honestly again."""
        for method in methods or ("*",):
            self.spoilt.pop(method, None)
            if how is not None:
                self.spoilt[method] = how

    def close(self) -> None:
        self.shutdown()
        self.server_close()


# -- ways to misbehave on the wire -----------------------------------------------------------------------------------


def raw(*parts: bytes, pause: float = 0.0) -> How:
    """Send these bytes and hang up."""

    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)

    return lambda _: send


def drop(_: dict[str, Any]) -> Raw:
    """Hang up without a word."""
    return lambda connection: connection.shutdown(socket.SHUT_RDWR)


def silence(_: dict[str, Any]) -> Raw:
    """Say nothing until the client leaves."""
    return lambda connection: connection.recv(1) and None


def drip(head: bytes, again: bytes, pause: float = 0.05, most: int = 2_000) -> How:
    """``head``, and then ``again`` every ``pause`` seconds for as long as the client reads (or ``most`` times)."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(most):
            time.sleep(pause)
            connection.sendall(again)

    return lambda _: send


def flood(head: bytes, chunk: bytes) -> How:
    """``head``, and then ``chunk`` without end."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(chunk)

    return lambda _: send
