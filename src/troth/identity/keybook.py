"""The key book: which documents are known, and therefore whose signature counts. Implements ``KeyHistory``."""

from __future__ import annotations

from collections.abc import Iterable

from troth.core.claims import Envelope
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.documents import DocumentHistory, Vouching, check_signatures, refuse_recovery


class KeyBook:
    """Histories by identifier. ``did:key`` issuers need none; every other issuer must have been learned.

    A refused rotation changes nothing.
    """

    def __init__(self, histories: Iterable[DocumentHistory] = ()) -> None:
        self._histories = {history.did: history for history in histories}

    def learn(self, genesis: bytes, did: str | None = None) -> str:
        """Learn a first document; the identifier it begins. Learning it again is a no-op.

        did: the identifier it is said to be of. Raises Refuted if it is not that one's, or if it breaks a rule of
        ``troth.identity.documents``; BadInput if it cannot be read.
        """
        history = DocumentHistory.start(genesis)
        if did is not None and history.did != did:
            raise Refuted("a document of another identity", expected=did, actual=history.did)
        self._histories.setdefault(history.did, history)
        return history.did

    def learn_rotation(self, envelope: Envelope, vouch: Vouching = refuse_recovery) -> str:
        """Learn a rotation; whose it is. Learning it again is a no-op.

        vouch: asked where guardians made the document. Raises Refuted where it breaks a rule, Undecidable where the
        identity or an earlier version is not known, and what ``vouch`` raises.
        """
        did = envelope.statement().issuer
        self._histories[did] = self.history(did).extend(envelope, vouch)
        return did

    def history(self, did: str) -> DocumentHistory:
        """Everything known of an identity. Raises Undecidable if that is nothing."""
        found = self._histories.get(did)
        if found is None:
            raise Undecidable("the document of this issuer is not known", expected="its first document",
                              actual=did, do="Pull it from the issuer or from whoever gave you the claim.")
        return found

    def dids(self) -> tuple[str, ...]:
        """The identities learned, in the order they were."""
        return tuple(self._histories)

    def head(self, did: str) -> tuple[int, bytes]:
        """(version, SHA-256) of the newest document known. Raises Undecidable for an unknown identity."""
        document = self.history(did).head
        return document.version, document.digest

    def require(self, did: str, digest: bytes) -> int:
        """The version of a document that somebody pinned by its SHA-256.

        Raises Refuted if the history does not contain it: what was shown is older than what is known, or forked.
        """
        for document in self.history(did).documents:
            if document.digest == digest:
                return document.version
        raise Refuted("an old or forked history: it lacks the document that is known", expected=digest.hex(),
                      actual=self.head(did)[1].hex(), do="Ask for the identity's later rotations.")

    def verify(self, issuer: str, message: bytes, signatures: Iterable[tuple[str, bytes]],
               version: int | None = None) -> None:
        """Check that ``message`` carries exactly the signatures that the issuer's document requires, in its order.

        version: which document was in force; None for the newest known. Raises Refuted for a wrong, missing,
        surplus, duplicate or foreign signature, and after the identity's end; Undecidable for an issuer or version
        not known, BadInput for a malformed ``did:key`` or one of a suite that signs no claims.
        """
        if issuer.startswith(dids.KEY):
            if version not in (None, 0):
                raise Refuted("a did:key has one document", expected="version 0", actual=version)
            key = dids.read_key_did(issuer)
            if key.suite not in keys.CLAIMS:  # reading a key is not accepting its suite
                raise BadInput("a did:key of a suite that signs no claims", expected=", ".join(keys.CLAIMS),
                               actual=key.suite)
            check_signatures([(dids.key_method(issuer), key)], message, signatures)
            return
        document = self.history(issuer).at(version)
        if document.ended:
            raise Refuted("signed after the identity's end", expected="nothing more", actual=issuer,
                          do="What it signed before stays as good as it was.")
        document.check(issuer, message, signatures)
