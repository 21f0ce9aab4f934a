"""``did:web``: a document on a web server.

What it proves: that whoever served the host's name when it was asked, by its TLS certificate, showed this document.
What it does not: anything about yesterday. The host can show another document to everybody, or to one, at any time, and
nobody can tell; there is no history and nothing is signed. Use it where the host's operator is trusted anyway.

Source: the did:web method (W3C CCG).
"""

from __future__ import annotations

from troth.core.encoding import read_foreign
from troth.core.ports import Fetch
from troth.identity.resolution import MOST_DOCUMENT, NEWEST, Resolution, When, check_document, found, only_now, parts
from troth.identity.webaddress import read_address

FILE = "did.json"


def web_url(did: str) -> str:
    """Where a ``did:web`` lies. Raises BadInput."""
    return read_address(parts(did)[1]).url(FILE)


class WebMethod:
    """``Resolver`` of ``did:web``."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The host's document of now.

        Raises BadInput for an identifier, InvalidDocument for a document that cannot be read, Refuted for another
        identifier's document, and what ``Fetch`` raises.
        """
        only_now(when, "did:web")
        url = web_url(did)
        data = self._fetch.fetch(url, MOST_DOCUMENT)
        with found():
            document = read_foreign(data, MOST_DOCUMENT)
        return Resolution(did, check_document(document, did))
