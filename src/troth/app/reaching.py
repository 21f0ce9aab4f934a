"""What the verification of a credential reaches for: documents of identifiers, and status lists.

Offline it is what the credential carries. Online, every method's resolver and HTTPS: the hosts asked then learn that
somebody checks a credential that names them, so it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.app.place import Settings
from troth.app.resolving import resolvers
from troth.core.errors import Misuse, Undecidable
from troth.core.ports import Fetch
from troth.identity.methods import Resolver, documents_by, resolve_offline
from troth.identity.peers import PeerMethod
from troth.verify.credentials import MAX_LIST, Lists, no_lists

if TYPE_CHECKING:
    from troth.identity.keybook import KeyBook

MOST_ASKED = 32
OFFLINE: tuple[Resolver, Lists] = (resolve_offline, no_lists)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to reach. allow: hosts that may be private. root, keybook: a workspace's memory. fetch: HTTPS if None."""

    settings: Settings
    root: Path | None = None
    keybook: KeyBook | None = None
    allow: Sequence[str] = ()
    fetch: Fetch | None = None


@contextmanager
def online(reach: Reach) -> Iterator[tuple[Resolver, Lists]]:
    """(documents, status lists) from wherever their names lead; each is asked for once, ``MOST_ASKED`` files in all.

    Whoever made a credential chose the names, and each may be a host that lets one wait.
    """
    fetch = reach.fetch
    if fetch is None:
        # Imported here: most credentials need no TLS.
        from troth.ledger.fetching import WebFetch

        fetch = WebFetch((*reach.settings.did_allow.split(), *reach.allow))
    fetch = _Bounded(fetch)
    peers = None if reach.keybook is None else PeerMethod(reach.keybook)
    with resolvers(reach.settings, reach.root, peers=peers, allow=reach.allow, fetch=fetch) as found:
        known: dict[str, Mapping[str, Any]] = {}
        kept: dict[str, bytes] = {}
        ask = documents_by(found)

        def resolve(did: str) -> Mapping[str, Any]:
            if did not in known:
                known[did] = ask(did)
            return known[did]

        def listed(url: str) -> bytes:
            if url not in kept:
                kept[url] = _list(fetch, url)
            return kept[url]

        yield resolve, listed


class _Bounded:
    """``Fetch`` that asks ``MOST_ASKED`` times, whatever came of it."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch, self._left = fetch, MOST_ASKED

    def fetch(self, url: str, most: int) -> bytes:
        """The file. Raises Undecidable once too many were asked for, and what ``Fetch`` raises."""
        if not self._left:
            raise Undecidable("this leads to more files than are asked for at once", expected=f"at most {MOST_ASKED}",
                              do="Verify its credentials one by one, or give the status lists.")
        self._left -= 1
        return self._fetch.fetch(url, most)


def _list(fetch: Fetch, url: str) -> bytes:
    try:
        return fetch.fetch(url, MAX_LIST)
    except Misuse:  # whoever made the credential chose it, not whoever checks it
        raise Undecidable("this status list cannot be fetched", expected="a plain https URL without a query",
                          actual=url[:200], do="Ask its issuer for it, and give it with --list.") from None
