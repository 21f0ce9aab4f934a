"""``Fetch``: files over HTTPS from hosts that strangers name, such as a ``did:web`` does.

Whoever names a host can name one of yours. So nothing is asked of this machine or of a private network unless it is
allowed by name; a host's name is looked up once, and the address that was looked at is the one connected to; the
certificate is for the name; redirects are not followed; one deadline holds for everything, and an answer's size is
bounded. What that does not prevent: that the operator of a name server learns that somebody asked, and when.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from troth.core.errors import Misuse, OutsideFailed, Undecidable
from troth.identity.resolution import NotFound
from troth.ledger.wire import Deadline, TooLarge, connect, read_answer

TIMEOUT = 15.0
"""Seconds for a file from looking up the connection's address to the last byte."""
SECURE = 443


class WebFetch:
    """Gets files over HTTPS.

    allow: hosts, ``NAME`` or ``NAME:PORT``, that may be on this machine or in a private network. lookup: who says which
    addresses a name has.
    """

    def __init__(self, allow: Iterable[str] = (), timeout: float = TIMEOUT,
                 lookup: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._allow = frozenset(name.lower() for name in allow)
        self._timeout, self._lookup = timeout, lookup

    def fetch(self, url: str, most: int) -> bytes:
        """The file, at most ``most`` bytes.

        Raises NotFound where the host has none (404, 410), Undecidable where the host has no address, cannot be
        reached in time, or may not be asked, OutsideFailed for another name's certificate and for any other answer,
        Misuse for a URL that is no plain ``https`` one.
        """
        host, port, netloc, path = _checked(url)
        private = host in self._allow or f"{host}:{port}" in self._allow
        try:
            deadline = Deadline(self._timeout)
            connection = connect(host, port, True, deadline, private=private, lookup=self._lookup)
            answer, data = self._asked(connection, netloc, path, most)
        except Undecidable as error:
            raise Undecidable(error.message, actual=error.actual,
                              do="If you mean it, name it: --allow, [did] allow in troth.toml, or TROTH_DID_ALLOW.",
                              ) from None
        except TimeoutError as error:
            raise Undecidable(f"{host} does not answer in time", expected=f"{self._timeout:g} s",
                              do="Ask again later.") from error
        except ssl.SSLError as error:
            raise OutsideFailed(f"{host} does not prove its name", expected="a certificate that this machine trusts",
                                actual=getattr(error, "verify_message", "") or error.reason) from error
        except OSError as error:
            raise Undecidable(f"{host} cannot be reached", actual=error.strerror or error,
                              do="Is the name right? Ask again later.") from error
        except TooLarge as error:
            raise _bad(url, f"at most {most} bytes", "more") from error
        except http.client.HTTPException as error:
            raise _bad(url, "an answer over HTTP", type(error).__name__) from error
        if answer.status in (404, 410):
            raise NotFound("the host has no such file", actual=url)
        if answer.status != 200:
            raise _bad(url, "HTTP 200; redirects are not followed", f"HTTP {answer.status}")
        if answer.getheader("Content-Encoding", "identity").lower() != "identity":
            raise _bad(url, "bytes that are not packed", answer.getheader("Content-Encoding"))
        return data

    @staticmethod
    def _asked(connection: http.client.HTTPConnection, netloc: str, path: str,
               most: int) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            connection.request("GET", path, headers={"Host": netloc, "Accept-Encoding": "identity",
                                                     "Connection": "close"})
        except BaseException:
            connection.close()
            raise
        answer, data = read_answer(connection, most)
        connection.close()
        return answer, data


class HeldFiles:
    """``Fetch`` in memory: files by URL, and which of them were asked for."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.asked: list[str] = []

    def fetch(self, url: str, most: int) -> bytes:
        """The file, at most ``most`` bytes. Raises as ``WebFetch``, of what can go wrong here."""
        _checked(url)
        self.asked.append(url)
        found = self.files.get(url)
        if found is None:
            raise NotFound("the host has no such file", actual=url)
        if len(found) > most:
            raise _bad(url, f"at most {most} bytes", "more")
        return found


def _checked(url: str) -> tuple[str, int, str, str]:
    """(host, port, host and port as written, path) of a plain ``https`` URL. Raises Misuse."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port or an IPv6 address that is none
        parts, port = urlsplit(""), None
    plain = url.isascii() and url.isprintable() and " " not in url
    if (parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.query or parts.fragment
            or not plain):
        raise Misuse("not a file's address", expected="https://HOST[:PORT]/PATH", actual=ascii(url)[:200])
    return parts.hostname, port or SECURE, parts.netloc, parts.path or "/"


def _bad(url: str, expected: object, actual: object) -> OutsideFailed:
    return OutsideFailed(f"{url} gives no answer that can be used", expected=expected, actual=actual)
