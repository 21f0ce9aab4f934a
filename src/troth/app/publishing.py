"""A workspace's own ``did:webvh``: an organisation's name on its web server, with this identity's keys behind it.

The document names the hybrid identity (``alsoKnownAs``) and its keys of now. What signs the log is something else: one
Ed25519 update key a version, each committed to by the version before, kept in a keystore beside the log. Whoever steals
the update key in use can add nothing; whoever steals the server can show an older log, or none.

The log has the strength of Ed25519, which is all that did:webvh 1.0 knows. It says where this identity can be found on
the web. It is not what claims are checked with: those rest on the hybrid documents.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.app.resolving import SEEN, SeenFiles
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import Misuse, OutsideFailed, Refuted, Undecidable
from troth.identity import keystore
from troth.identity.documents import SUITES, Document
from troth.identity.keys import Ed25519KeyPair
from troth.identity.webvh import LOG, WebvhLog, Witnesses, read_webvh
from troth.identity.webvh_write import committed, create, deactivate, multikey, rotate
from troth.store.files import holding, replacing

if TYPE_CHECKING:
    from troth.app import Troth

PUBLISHED = "published"
KEYS = "keys.json"
TURN = 60.0  # seconds to wait for another process that changes the same log


@dataclass(frozen=True, slots=True)
class Published:
    """A log of this workspace. path: where it belongs below the web server's root."""

    did: str
    log: bytes
    path: str

    def write(self, folder: Path | str) -> Path:
        """Write the log where it belongs, ``folder`` being the server's root; the file."""
        folder = Path(folder)
        found = folder / self.path
        try:
            found.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutsideFailed(f"cannot make {found.parent}", actual=error.strerror) from None
        with replacing(found) as out:
            out.write(self.log)
        return found


def begin(party: Troth, place: str, passphrase: str, *, witnesses: Witnesses | None = None, portable: bool = False,
          cost: int = keystore.DEFAULT_COST) -> Published:
    """A new identifier at ``HOST[%3APORT][:PATH…]``. Every later change needs a key that nobody has seen.

    witnesses: who must approve each version before others take it. portable: whether it may move to another host.
    Raises BadInput for a place that is none.
    """
    seeds = [secrets.token_bytes(32) for _ in range(2)]
    pair, following = map(Ed25519KeyPair, seeds)
    more: dict[str, Any] = {"nextKeyHashes": [committed(following.public)], "portable": portable}
    if witnesses is not None:
        more["witness"] = witnesses.to_dict()
    did, log = create(place, lambda did: _document(party, did), pair, party.clock.now(), more)
    folder = _folder(party, did)
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise OutsideFailed(f"cannot make {folder}", actual=error.strerror) from None
    # The keys first: a log whose keys are lost is lost, keys without a log are nothing.
    keystore.save(folder / KEYS, _secrets(seeds), passphrase, cost=cost)
    return _keep(party, did, log)


def change(party: Troth, did: str, passphrase: str, *, cost: int = keystore.DEFAULT_COST) -> Published:
    """Go on to the next update key, with this identity's keys of now in the document.

    Raises Undecidable for an identifier that is not this workspace's, Refuted once it or the identity was ended.
    """
    with _turn(party, did):
        folder, log = _folder(party, did), current(party, did).log
        seeds, fresh = _seeds(folder, passphrase), secrets.token_bytes(32)
        pair = _next_pair(log, seeds, party.clock.now())
        keystore.save(folder / KEYS, _secrets([*seeds, fresh]), passphrase, cost=cost, replace=True)
        new = rotate(log, pair, [Ed25519KeyPair(fresh).public], party.clock.now(),
                     document=_document(party, did) | {"id": did})
        found = _keep(party, did, new)
        # What was spent is destroyed: it signs nothing any more.
        keystore.save(folder / KEYS, _secrets([pair.reveal_seed(), fresh]), passphrase, cost=cost, replace=True)
        return found


def end(party: Troth, did: str, passphrase: str) -> Published:
    """End the identifier for good. Raises as ``change``."""
    with _turn(party, did):
        log = current(party, did).log
        pair = _next_pair(log, _seeds(_folder(party, did), passphrase), party.clock.now())
        return _keep(party, did, deactivate(log, pair, party.clock.now()))


def current(party: Troth, did: str) -> Published:
    """The log as it was last written. Raises Undecidable for an identifier that is not this workspace's."""
    try:
        return _published(did, (_folder(party, did) / LOG).read_bytes())
    except FileNotFoundError:
        raise Undecidable("this workspace publishes no such identifier", actual=did,
                          do="Begin one: troth did publish.") from None
    except OSError as error:
        raise OutsideFailed("cannot read the log", actual=error.strerror) from None


def _document(party: Troth, did: str) -> dict[str, Any]:
    newest: Document = party.identity.history.head
    if newest.ended:
        raise Refuted("this identity was ended; its keys are nobody's", actual=party.did,
                      do="End its identifier on the web, too: troth did end.")
    methods = [{**method, "id": did + method["id"], "controller": did}
               for method in decode_object(newest.to_bytes())["verificationMethod"][: len(newest.keys)]]
    names = [method["id"] for method in methods]
    return {"@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
            "alsoKnownAs": [party.did], "verificationMethod": methods, "assertionMethod": names,
            "authentication": names,
            # As the identity's own document says: either key alone would be a downgrade.
            "troth": {"suites": list(SUITES)}}


def _published(did: str, log: bytes) -> Published:
    address = read_webvh(did)[1]
    return Published(did, log, "/".join([*(address.path or (".well-known",)), LOG]))


def _keep(party: Troth, did: str, log: bytes) -> Published:
    """Write the log, and remember its newest version as seen, so that the server showing an older one is noticed."""
    with replacing(_folder(party, did) / LOG) as out:
        out.write(log)
    read = WebvhLog.read(log, party.clock.now())
    SeenFiles(party.root / SEEN).saw(read.scid, read.entries[-1].version_id)
    return _published(did, log)


def _next_pair(log: bytes, seeds: Sequence[bytes], now: int) -> Ed25519KeyPair:
    """The key that the log committed to; the keystore may hold more, after a crash between it and the log."""
    last = WebvhLog.read(log, now).entries[-1].parameters
    if last.deactivated:
        raise Refuted("this identifier was ended; nothing follows", do="Begin another one: troth did publish.")
    for pair in map(Ed25519KeyPair, seeds):
        if committed(pair.public) in last.next_hashes:
            return pair
    raise Misuse("the keystore beside this log does not hold the key that comes next",
                 expected=", ".join(last.next_hashes),
                 actual=", ".join(multikey(Ed25519KeyPair(seed).public) for seed in seeds),
                 do="Restore it from a backup.")


def _secrets(seeds: Sequence[bytes]) -> bytes:
    return encode({"update": [seed.hex() for seed in seeds]})


def _seeds(folder: Path, passphrase: str) -> list[bytes]:
    (found,) = take(decode_object(keystore.load(folder / KEYS, passphrase)), update=list)
    return [from_hex(seed, 32) for seed in found]


def _folder(party: Troth, did: str) -> Path:
    return party.root / PUBLISHED / read_webvh(did)[0]


def _turn(party: Troth, did: str) -> AbstractContextManager[None]:
    folder = _folder(party, did)
    if not folder.is_dir():
        raise Undecidable("this workspace publishes no such identifier", actual=did,
                          do="Begin one: troth did publish.")
    return holding(folder / ".lock", TURN, "another process changes this log")
