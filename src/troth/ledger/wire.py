"""HTTP to a place that is not trusted: every exchange ends in time, every answer is bounded.

- **One deadline for the whole exchange**: connecting, sending, and every byte of the answer. (Looking up a host's name
  is the system's, with limits of its own.)
- An answer is at most as many bytes as the caller allows, as it comes and as it unpacks.
- Redirects are not followed, proxies and credentials are taken from nowhere.
- A ``Site`` refuses addresses of this machine and of private networks unless it is told otherwise. It looks a name up
  once and connects to the address that it looked at, so a name that points elsewhere a moment later gains nothing.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import select
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from troth.core.errors import Misuse, OutsideFailed, Undecidable

TIMEOUT = 30.0
"""Seconds for an exchange from its beginning to the last byte of its answer."""
CHUNK = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS


class Deadline:
    """A moment on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until it. Raises TimeoutError when it is past."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Line:
    """A socket whose every operation ends by the deadline. It is what ``http.client`` asks of one."""

    def __init__(self, raw: socket.socket, deadline: Deadline) -> None:
        self.raw, self.deadline = raw, deadline
        self._users = 1

    def sendall(self, data: bytes) -> None:
        """Send it all by the deadline."""
        self.raw.settimeout(self.deadline.left())
        self.raw.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """To read the answer from, also after ``close``."""
        self._users += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Hang up, when whoever still reads has done so, too."""
        self._users -= 1
        if not self._users:
            self.raw.close()


class _Reader(io.RawIOBase):
    """The bytes that come over a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come, at most as much as fits; 0 at the end."""
        self._line.raw.settimeout(self._line.deadline.left())
        return self._line.raw.recv_into(buffer)

    def close(self) -> None:
        """No more is read."""
        if not self.closed:
            super().close()
            self._line.close()


class TooLarge(Exception):
    """An answer passes what is read."""


def line_of(connection: http.client.HTTPConnection) -> Line:
    """The line that ``connect`` gave a connection."""
    return cast(Line, cast(Any, connection.sock))


def connect(host: str, port: int, secure: bool, deadline: Deadline, *, private: bool = True,
            lookup: Callable[..., Any] = socket.getaddrinfo) -> http.client.HTTPConnection:
    """A new connection, to the first of the host's addresses that takes it.

    private: whether addresses of this machine and of private networks may be asked. lookup: who says which addresses a
    name has, as ``socket.getaddrinfo`` does; it is asked once. Raises OSError, TimeoutError, and Undecidable where
    every address is one that may not be asked.
    """
    last: OSError = OSError("the name has no address")
    refused = ""
    try:
        found = lookup(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long: no name that anybody could have
        raise OSError("not a host's name") from None
    for family, kind, protocol, _, address in found:
        if not private and not _public(str(address[0])):
            refused = str(address[0])
            continue
        raw = socket.socket(family, kind, protocol)
        try:
            raw.settimeout(deadline.left())
            raw.connect(address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                raw.settimeout(deadline.left())
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        except OSError as error:
            raw.close()
            last = error
            deadline.left()
            continue
        connection = http.client.HTTPConnection(host, port)
        connection.sock = Line(raw, deadline)  # it is all that http.client uses of a socket
        return connection
    if refused:
        raise Undecidable("the address is this machine's or a private network's", actual=f"{host} is {refused}",
                          do="If you mean it, say --private.")
    raise last


def read_answer(connection: http.client.HTTPConnection, most: int) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer to what was asked over a connection, whole, at most ``most`` bytes. Hangs up where that fails.

    Raises TooLarge, ``http.client.HTTPException``, OSError. The caller keeps the connection unless ``will_close``.
    """
    answer: http.client.HTTPResponse | None = None
    try:
        answer = connection.getresponse()
        if (answer.length or 0) > most:
            raise TooLarge
        parts, size = list[bytes](), 0
        while chunk := answer.read1(CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                raise TooLarge
        if answer.length:
            raise http.client.IncompleteRead(b"")
        answer.close()
    except BaseException:
        connection.close()
        if answer is not None:
            answer.close()
        raise
    if answer.will_close:
        connection.close()
    return answer, b"".join(parts)


def _public(address: str) -> bool:
    """Whether an address is one of the open internet. What an IPv6 address carries of IPv4 counts as that.

    None of: this machine, private, shared (RFC 6598), link-local, site-local, unique-local, multicast, reserved, and
    no IPv6 address that a gateway or the system turns into an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64).
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    teredo = getattr(found, "teredo", None)
    parts = [found, *([inner] if inner else []), *(teredo or ())]
    in_nat64 = found.version == 6 and found in ipaddress.ip_network("64:ff9b::/96")
    odd = any(part.is_multicast or part.is_reserved or getattr(part, "is_site_local", False) for part in parts)
    return not in_nat64 and not odd and all(part.is_global for part in parts)


class Site:
    """A place on the web by the URL of its folder: GET and POST below it. One object serves one thread.

    private: whether it may be on this machine or in a private network. timeout: seconds an exchange.
    Raises Misuse for an address that is none.
    """

    def __init__(self, url: str, *, private: bool = False, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        odd = parts.username is not None or bool(parts.query) or bool(parts.fragment)
        printable = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or odd or not printable:
            raise Misuse("not a place on the web", expected="http(s)://HOST[:PORT][/PATH]",
                         actual=parts.hostname or url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or (443 if self._secure else 80)
        self._base = parts.path.rstrip("/")
        self._netloc = parts.netloc
        self.url = f"{parts.scheme}://{parts.netloc}{self._base}"
        self._private, self._timeout = private, timeout
        self._kept: http.client.HTTPConnection | None = None

    def get(self, path: str, most: int) -> bytes | None:
        """The bytes at ``path`` below the site, unpacked, at most ``most``; None where there is nothing (404, 410).

        Raises OutsideFailed for anything else: no answer in time, too long, a redirect, an error; Undecidable for an
        address that may not be asked.
        """
        status, _, data = self._ask("GET", path, None, "", most)
        if status in (404, 410):
            return None
        if status != 200:
            raise self._bad(path, "200", status)
        return data

    def post(self, path: str, body: bytes, kind: str, most: int) -> tuple[int, str, bytes]:
        """(status, content type, bytes) that answer a body of media type ``kind``. Raises as ``get``; sent once."""
        return self._ask("POST", path, body, kind, most)

    def close(self) -> None:
        """Hang up."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _ask(self, method: str, path: str, body: bytes | None, kind: str, most: int) -> tuple[int, str, bytes]:
        headers = {"Accept-Encoding": "gzip, identity", "Host": self._netloc}
        if kind:
            headers["Content-Type"] = kind
        try:
            deadline = Deadline(self._timeout)
            connection, fresh = self._connection(deadline)
            try:
                answer, data = self._over(connection, method, path, body, headers, most)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if fresh or method != "GET":
                    raise
                connection = connect(self._host, self._port, self._secure, deadline, private=self._private)
                answer, data = self._over(connection, method, path, body, headers, most)
        except TimeoutError as error:
            raise OutsideFailed(f"{self.url} does not answer in time", expected=f"{self._timeout:g} s",
                                do="Ask again later.") from error
        except TooLarge as error:
            raise self._bad(path, f"an answer of at most {most} bytes", "more") from error
        except http.client.HTTPException as error:
            raise self._bad(path, "an answer over HTTP", type(error).__name__) from error
        except OSError as error:
            raise OutsideFailed(f"{self.url} does not answer: {error.strerror or error}",
                                do="Is it running, is the address right?") from error
        if not answer.will_close:
            self._kept = connection
        if 300 <= answer.status < 400:
            raise self._bad(path, "an answer", f"a redirect, HTTP {answer.status}")
        if answer.getheader("Content-Encoding", "identity").lower() not in ("identity", ""):
            data = self._unpacked(path, answer.getheader("Content-Encoding", ""), data, most)
        return answer.status, answer.getheader("Content-Type", ""), data

    def _over(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None,
              headers: dict[str, str], most: int) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            connection.request(method, f"{self._base}/{path}", body, headers)
        except BaseException:
            connection.close()
            raise
        return read_answer(connection, most)

    def _connection(self, deadline: Deadline) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it is a new one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            line = line_of(kept)
            if not select.select([line.raw], [], [], 0)[0]:
                line.deadline = deadline
                return kept, False
            kept.close()
        return connect(self._host, self._port, self._secure, deadline, private=self._private), True

    def _unpacked(self, path: str, coding: str, data: bytes, most: int) -> bytes:
        if coding.lower() != "gzip":
            raise self._bad(path, "gzip or identity", coding)
        packed = zlib.decompressobj(_GZIP)
        try:
            found = packed.decompress(data, most + 1)
        except zlib.error as error:
            raise self._bad(path, "gzip", error) from None
        if len(found) > most or not packed.eof or packed.unused_data:
            raise self._bad(path, f"one gzip member of at most {most} bytes", "something else")
        return found

    def _bad(self, path: str, expected: object, actual: object) -> OutsideFailed:
        return OutsideFailed(f"{self.url}/{path} gives no answer that can be used", expected=expected, actual=actual,
                             do="Is the address right? Ask again later, or another place.")
