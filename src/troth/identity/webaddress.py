"""Where ``did:web`` and ``did:webvh`` publish: the part of an identifier that names a host, a port and a path.

Sources: the did:web method (W3C CCG) and did:webvh 1.0 (DIF), "The DID to HTTPS Transformation". Stricter than either
in one thing: internationalised names are accepted in their ASCII form (``xn--…``) alone, so that two spellings never
name one host. Nothing here asks the network: whether a name leads to an address that may be asked is the fetcher's to
see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from troth.core.errors import BadInput

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_PORT = re.compile(r"(.*)%3[Aa]([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A place on the web. host: ASCII, lower case. port: None for HTTPS's own. path: decoded segments, perhaps none."""

    host: str
    port: int | None
    path: tuple[str, ...]

    def url(self, name: str) -> str:
        """The HTTPS URL of a file there: in ``.well-known`` where there is no path."""
        port = "" if self.port is None else f":{self.port}"
        path = [quote(segment, safe="") for segment in self.path] or [".well-known"]
        return f"https://{self.host}{port}/{'/'.join(path)}/{name}"


def read_address(text: str, labels: int = 1) -> WebAddress:
    """The place that the colon-separated text names. labels: how many a host's name has at least.

    Raises BadInput for what is no host name (an IP address in any spelling among it), no port, or no path segment.
    """
    domain, *path = text.split(":")
    port: int | None = None
    found = _PORT.match(domain)
    if found is not None:
        domain, port = found[1], int(found[2])
        if not 1 <= port <= 65_535 or str(port) != found[2]:
            raise BadInput("no such port", expected="1 to 65535 without leading zeros", actual=found[2])
    host = _decoded(domain).lower()
    names = host.split(".")
    if len(names) < labels or len(host) > 253 or not all(_LABEL.match(name) for name in names):
        raise BadInput("not a host's name", expected=f"ASCII letters, digits and hyphens, {labels} or more labels",
                       actual=host[:80], do="Write an internationalised name in its xn-- form.")
    # How URL parsers tell an IPv4 address, in whatever spelling: its last label is a number.
    if _NUMBER.match(names[-1]):
        raise BadInput("an IP address is no host's name", expected="a name that a certificate can be for",
                       actual=host)
    return WebAddress(host, port, tuple(_segment(segment) for segment in path))


def _segment(text: str) -> str:
    segment = _decoded(text)
    if segment in ("", ".", "..") or segment != segment.strip() or not segment.isprintable() \
            or "/" in segment or "\\" in segment:
        raise BadInput("not a segment of a path", expected="printable text without slashes, not . or ..",
                       actual=ascii(segment)[:80])
    return segment


def _decoded(text: str) -> str:
    """Percent-decoded once. Raises BadInput for what is no percent-encoded UTF-8."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise BadInput("broken percent-encoding", actual=text[:80])
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadInput("percent-encoding of what is no UTF-8", actual=text[:80]) from None
