"""``did:peer:4`` with what is known of its history: hybrid identities change their keys, their identifier stays.

A long identifier carries its first document, and for whoever knows nothing more that is all there is. A key book knows
the later ones. What neither proves: that nothing newer exists; a registry on a chain is for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from troth.core.encoding import decode_object
from troth.core.errors import BadInput, Undecidable
from troth.identity import did as dids
from troth.identity.documents import DocumentHistory
from troth.identity.keybook import KeyBook
from troth.identity.keydids import LongPeerMethod
from troth.identity.resolution import NEWEST, NotFound, Resolution, When


class PeerMethod:
    """``Resolver`` of ``did:peer:4``, short and long.

    keybook: which histories are known. version_at: which version was in force at the end of a second, by somebody who
    knows (a registry on a chain); None where nobody is asked.
    """

    def __init__(self, keybook: KeyBook, version_at: Callable[[str, int], int] | None = None) -> None:
        self._keybook, self._alone, self._version_at = keybook, LongPeerMethod(), version_at

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The document of a version: of a history that is known, or the one that a long identifier carries.

        An identity that ended has no newest document. Raises NotFound for a short identifier, or a version, that is
        not known, and as ``LongPeerMethod`` and ``version_at`` do.
        """
        short = dids.read_peer4(did)[0] if did.startswith(dids.PEER4) and not dids.is_peer4(did) else did
        try:
            history = self._keybook.history(short)
        except Undecidable as error:
            if short != did or not dids.is_peer4(did):
                return self._alone.resolve(did, when)
            raise NotFound(error.message, expected=error.expected, actual=did, do=error.do) from None
        return self._resolution(did, history, when)

    def _resolution(self, did: str, history: DocumentHistory, when: When) -> Resolution:
        newest = history.head.version
        version = newest if when.version_id is None else _version(when.version_id)
        if when.time is not None:
            if self._version_at is None:
                raise NotFound("documents of a did:peer:4 carry no time", expected="a version",
                               do="Ask for a version; a registry on a chain knows since when each holds.")
            version = self._version_at(history.did, when.time)
        if version > newest:
            raise NotFound("no such version is known", expected=f"0 to {newest}", actual=version)
        return _shown(did, history, version, when)


def _shown(did: str, history: DocumentHistory, version: int, when: When) -> Resolution:
    newest = history.head.version
    long = dids.peer4(history.at(0).to_bytes())[1]
    document: dict[str, Any] = decode_object(history.at(version).to_bytes())
    methods = [{"controller": did, **method} for method in document["verificationMethod"]]
    other = history.did if did == long else long
    metadata: dict[str, Any] = {"versionId": str(version), "equivalentId": [other]} | (
        {"nextVersionId": str(version + 1)} if version < newest else {})
    if history.head.ended:
        metadata["deactivated"] = True
    if history.at(version).ended and when.newest:
        return Resolution(did, None, metadata)
    return Resolution(did, document | {"id": did, "alsoKnownAs": [other], "verificationMethod": methods}, metadata)


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and str(int(text)) == text):
        raise BadInput("a version of a did:peer:4 is a number", expected="digits", actual=text[:40])
    return int(text)
