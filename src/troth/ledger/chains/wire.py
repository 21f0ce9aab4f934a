"""JSON-RPC over HTTP to a node that is not trusted: every request ends in time, every answer is bounded and is one.

web3.py's own HTTP provider waits for a time between bytes, so a node that sends one byte now and then holds its caller
for ever; it reads an answer of any size, follows redirects and unpacks what it gets. Here:

- **One deadline for the whole request**: connecting, sending, and every byte of the answer. (Looking up a host's name
  is the system's, with limits of its own.)
- An answer is at most ``most`` bytes, as they come over the wire: packed answers are not asked for and not unpacked.
- It has to be JSON, an answer of JSON-RPC 2.0, and carry the request's own id.
- Redirects are not followed, proxies and credentials are taken from nowhere: the node is the one at the address.

Whatever else comes raises OutsideFailed. A connection is kept for the next request; where the node has closed it in
the meantime, what may be asked twice is asked again on a new one. Safe for threads, and across a fork.
"""

from __future__ import annotations

import http.client
import os
import select
import threading
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from troth.core.errors import Misuse, OutsideFailed
from troth.ledger.wire import TIMEOUT, Deadline, TooLarge, connect, line_of, read_answer

MOST = 64 << 20
"""Bytes of an answer; the embedded chain's server sends no more either."""
IDLE = 8
"""Connections kept for the next request."""
ONCE = frozenset({"eth_sendRawTransaction"})
"""Not asked again by itself: the second answer would be that the transaction is known already."""
Connection = http.client.HTTPConnection


class HttpProvider(JSONBaseProvider):
    """A node at ``url``. timeout: seconds a request; most: bytes an answer.

    Raises Misuse for an address that is none.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT, most: int = MOST) -> None:
        super().__init__()
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.username is not None:
            raise Misuse("not a node's address", expected="http(s)://HOST[:PORT][/PATH]", actual=parts.hostname or url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout, self._most = timeout, most
        self._place = f"{parts.scheme}://{self._host}:{self._port}"  # a path or query often holds a provider's key
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._owner = os.getpid()

    def __repr__(self) -> str:
        return f"HttpProvider({self._place})"

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request and its answer, which may be a JSON-RPC error. Raises OutsideFailed for anything else."""
        asked = self.encode_rpc_request(method, params)
        name = orjson.loads(asked)["id"]
        status, body = self._exchange(method, asked)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise self._bad(method, f"HTTP {status}", "JSON", body[:80]) from None
        if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
            raise self._bad(method, f"HTTP {status}", "an answer of JSON-RPC 2.0", body[:80])
        error = answer.get("error")
        if error is None and (status != 200 or "result" not in answer or answer.get("id") != name):
            raise self._bad(method, f"HTTP {status}", f"a result for request {name}", body[:80])
        if error is not None and (not isinstance(error, Mapping) or answer.get("id") not in (name, None)):
            raise self._bad(method, f"HTTP {status}", f"an error for request {name}", body[:80])
        return cast(RPCResponse, answer)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # -- one exchange ----------------------------------------------------------------------------------------------

    def _exchange(self, method: str, body: bytes) -> tuple[int, bytes]:
        """The HTTP status and bytes that answer ``body``."""
        deadline = Deadline(self._timeout)
        kept = self._kept()
        try:
            if kept is not None:
                try:
                    return self._over(kept, body, deadline)
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    if method in ONCE:
                        raise
            return self._over(connect(self._host, self._port, self._secure, deadline), body, deadline)
        except TimeoutError as error:
            raise OutsideFailed(f"{method}: the node does not answer in time", expected=f"{self._timeout:g} s",
                                actual=self._place, do="Ask again later, or another node") from error
        except TooLarge as error:
            raise self._bad(method, "more than that", f"an answer of at most {self._most} bytes", b"") from error
        except http.client.HTTPException as error:
            raise self._bad(method, type(error).__name__, "an answer over HTTP", b"") from error
        except OSError as error:
            raise OutsideFailed(f"{method}: the node does not answer: {error.strerror or error}", actual=self._place,
                                do="Is it running, is the address right?") from error

    def _over(self, connection: Connection, body: bytes, deadline: Deadline) -> tuple[int, bytes]:
        """Ask over a connection; keep it if the answer was whole."""
        line_of(connection).deadline = deadline
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        except BaseException:
            connection.close()
            raise
        answer, data = read_answer(connection, self._most)
        if not answer.will_close:
            self._keep(connection)
        return answer.status, data

    # -- connections kept ------------------------------------------------------------------------------------------

    def _kept(self) -> Connection | None:
        """A connection of this process that the node has not closed."""
        with self._lock:
            if self._owner != os.getpid():  # what a fork copied belongs to the parent; closing a copy ends nothing
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if not select.select([line_of(connection).raw], [], [], 0)[0]:
                    return connection
                connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < IDLE and self._owner == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def _bad(self, method: str, actual: str, expected: str, body: bytes) -> OutsideFailed:
        shown = f"{actual}: {body.decode('ascii', 'backslashreplace')}" if body else actual
        return OutsideFailed(f"{method}: what the node answers is no answer", expected=expected,
                             actual=f"{shown}, {self._place}",
                             do="Is the address a node's JSON-RPC? Ask again later, or another node")

