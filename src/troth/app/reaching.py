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
from troth.core.errors import Undecidable
from troth.core.ports import Fetch
from troth.identity.methods import Resolver, documents_by, resolve_offline
from troth.identity.peers import PeerMethod
from troth.verify.credentials import MAX_LIST, Lists, no_lists

if TYPE_CHECKING:
    from troth.identity.keybook import KeyBook

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
    """(documents, status lists) from wherever their names lead; each document is asked for once."""
    fetch = reach.fetch
    if fetch is None:
        # Imported here: most credentials need no TLS.
        from troth.ledger.fetching import WebFetch

        fetch = WebFetch((*reach.settings.did_allow.split(), *reach.allow))
    peers = None if reach.keybook is None else PeerMethod(reach.keybook)
    with resolvers(reach.settings, reach.root, peers=peers, allow=reach.allow, fetch=fetch) as found:
        known: dict[str, Mapping[str, Any]] = {}
        ask = documents_by(found)

        def resolve(did: str) -> Mapping[str, Any]:
            if did not in known:
                known[did] = ask(did)
            return known[did]

        yield resolve, lambda url: _list(fetch, url)


def _list(fetch: Fetch, url: str) -> bytes:
    if not url.startswith("https://") or "?" in url or "#" in url:
        raise Undecidable("this status list cannot be fetched", expected="an https URL without a query", actual=url,
                          do="Ask its issuer for it, and give it with --list.")
    return fetch.fetch(url, MAX_LIST)
