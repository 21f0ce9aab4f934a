"""Resolving decentralised identifiers with what a workspace sets and remembers, or without one.

A workspace adds three things: the chains of ``did:ethr`` and the hosts that may be private (its settings), the newest
version seen of each ``did:webvh`` log (a file of its folder), and the documents it has learned of ``did:peer:4``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from troth.app.place import SETTINGS, Settings, find
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.ports import Clock, Fetch
from troth.identity.did import is_peer4
from troth.identity.keydids import KeyMethod, LongPeerMethod, PkhMethod
from troth.identity.peers import PeerMethod
from troth.identity.resolution import NEWEST, Resolution, Resolver, Resolvers, When, read_url
from troth.identity.web import WebMethod
from troth.identity.webvh import WebvhMethod, later
from troth.ledger.chains.clocks import SystemClock
from troth.store.files import holding, replacing

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.ledger.ethr import Network

SEEN = "webvh"
TURN = 10.0  # seconds to wait for another process that resolves the same identifier
_NETWORK = re.compile(r"([1-9][0-9]{0,18})=(\S+?)(?:@(0x[0-9a-fA-F]{40}))?\Z")


class SeenFiles:
    """``Seen`` in a folder: one file an identifier, with the id of the newest version seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self, scid: str) -> str | None:
        """The version id, or None where no log of it was seen."""
        try:
            return (self._folder / scid).read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise OutsideFailed(f"cannot read {self._folder / scid}", actual=error) from None

    def saw(self, scid: str, version_id: str) -> None:
        """Remember that this version is the newest seen; one that another process saw later stays."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutsideFailed(f"cannot make {self._folder}", actual=error.strerror) from None
        with holding(self._folder / ".lock", TURN, "another process resolves here"):
            if later(version_id, self.newest(scid)):
                with replacing(self._folder / scid) as out:
                    out.write(version_id.encode() + b"\n")


class _Later:
    """``Resolver`` that is made when it is first asked: most identifiers need neither TLS nor a chain."""

    def __init__(self, make: Callable[[], Resolver]) -> None:
        self._make, self._made = make, list[Resolver]()

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """As the resolver made."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0].resolve(did, when)


@contextmanager
def resolvers(settings: Settings, root: Path | str | None = None, *, peers: Resolver | None = None,
              allow: Sequence[str] = (), clock: Clock | None = None, fetch: Fetch | None = None) -> Iterator[Resolvers]:
    """Resolvers of every method, and an end to the chains they opened.

    root: a workspace's folder, to remember in. peers: who resolves ``did:peer``; a long identifier by itself if nobody.
    allow: hosts that may be private, beyond the settings'. fetch: what gets files; HTTPS by default. Raises BadInput
    for settings that cannot be read.
    """
    root = None if root is None else Path(root)
    now = clock or SystemClock()
    networks = read_networks(settings.did_ethr)
    with ExitStack() as opened:

        def fetching() -> Fetch:
            if fetch is not None:
                return fetch
            # Imported here: most identifiers need no TLS.
            from troth.ledger.fetching import WebFetch

            return WebFetch((*settings.did_allow.split(), *allow))

        def ethr() -> Resolver:
            # Imported here: the chain's libraries take a second to load.
            from troth.ledger.ethr import EthrMethod

            return EthrMethod(_opening(networks, root, opened), now)

        seen = None if root is None else SeenFiles(root / SEEN)
        yield Resolvers({
            "key": KeyMethod(), "pkh": PkhMethod(),
            "peer": peers or LongPeerMethod(),
            "web": _Later(lambda: WebMethod(fetching())),
            "webvh": _Later(lambda: WebvhMethod(fetching(), now, seen)),
            "ethr": _Later(ethr),
        })


def resolve_did(did: str, when: When = NEWEST, *, settings: Settings | None = None, root: Path | str | None = None,
                peers: Resolver | None = None, allow: Sequence[str] = ()) -> Resolution:
    """Resolve one identifier, with or without a workspace.

    Without settings, the environment's ``TROTH_DID_ALLOW`` and ``TROTH_DID_ETHR`` hold. Raises as
    ``troth.identity.resolution`` says.
    """
    root = None if root is None else Path(root)
    with resolvers(settings or from_environment(os.environ), root, peers=peers, allow=allow) as found:
        return found.resolve(did, when)


def resolve_for(party: Troth, did: str, when: When = NEWEST, allow: Sequence[str] = ()) -> Resolution:
    """Resolve one identifier with what a workspace sets, remembers and knows.

    A time of a ``did:peer:4`` is looked up in the chain's registry of identities, where the workspace knows one.
    """
    peers = PeerMethod(party.keybook, party.registered.version_at if party.has_registry() else None)
    return resolve_did(did, when, settings=party.settings, root=party.root, peers=peers, allow=allow)


def resolve_at(directory: Path | str, did: str, when: When, allow: Sequence[str],
               opened: Callable[[], Troth]) -> Resolution:
    """Resolve one identifier, or a DID URL that asks for a version, with the workspace at or above ``directory``.

    Without a workspace there the environment's settings hold. opened: the workspace, unlocked; asked for where only
    what it has learned can tell, of a short ``did:peer:4``. Raises Misuse where two versions are asked for.
    """
    directory = Path(directory)
    did, asked = read_url(did)  # before anything is looked for
    if not asked.newest and not when.newest:
        raise Misuse("a version is asked for twice", actual=f"{asked} and {when}", do="Ask once.")
    when = when if asked.newest else asked
    try:
        root = find(directory)
    except Misuse:
        return resolve_did(did, when, allow=allow)
    if is_peer4(did):
        with opened() as party:
            return resolve_for(party, did, when, allow)
    return resolve_did(did, when, settings=Settings.load(root / SETTINGS, os.environ), root=root, allow=allow)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that matter here, where there is no workspace."""
    return Settings(did_allow=environment.get("TROTH_DID_ALLOW", ""), did_ethr=environment.get("TROTH_DID_ETHR", ""))


def read_networks(text: str) -> dict[int, tuple[str, bytes | None]]:
    """Chain id -> (URL, registry or None for where it usually is), from ``[did] ethr``. Raises BadInput."""
    found: dict[int, tuple[str, bytes | None]] = {}
    for item in text.split():
        read = _NETWORK.match(item)
        if read is None or int(read[1]) in found:
            raise BadInput("[did] ethr cannot be read", expected="ID=URL or ID=URL@0xREGISTRY, each chain once",
                           actual=item.partition("=")[0])
        found[int(read[1])] = (read[2], bytes.fromhex(read[3][2:]) if read[3] else None)
    return found


def _opening(networks: Mapping[int, tuple[str, bytes | None]], root: Path | None,
             opened: ExitStack) -> dict[int, Network]:
    # Imported here for the same reason.
    from troth.ledger.chains import Chain, open_chain
    from troth.ledger.chains.pins import open_pinned
    from troth.ledger.ethr import KNOWN_REGISTRY, Network

    def opening(chain_id: int, url: str) -> Callable[[], Chain]:
        def chain() -> Chain:
            found = open_chain(url, chain_id=chain_id) if root is None else \
                open_pinned(url, root / "chains.json", chain_id)
            return opened.enter_context(found)
        return chain

    return {chain_id: Network(opening(chain_id, url), registry or KNOWN_REGISTRY)
            for chain_id, (url, registry) in networks.items()}
