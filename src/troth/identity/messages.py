"""Signed messages that are no claims: asking a post office for one's mail, a call to a site, an invitation.

A message names its purpose and its sender, and is signed as the sender's document asks. What is signed begins with a
word that no claim begins with (``DSSEv1`` begins those), so neither can be passed off as the other; and one purpose's
message is none of another's.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Envelope, Signature, from_base64
from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput
from troth.core.ports import Signer
from troth.identity.documents import DocumentHistory
from troth.identity.keybook import KeyBook

MAX_SIGNATURES = 8
_LABEL = b"troth-message-1\n"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody says to somebody. ``signatures`` are as they came: ``check`` says whether they are the sender's."""

    purpose: str
    sender: str
    body: bytes
    signatures: tuple[Signature, ...] = ()

    def _signed(self) -> bytes:
        return _LABEL + encode({"body": hashlib.sha256(self.body).hexdigest(), "purpose": self.purpose,
                                "sender": self.sender})

    @classmethod
    def sign(cls, purpose: str, body: bytes, signer: Signer) -> Message:
        """A message signed by every key that the signer's document names."""
        plain = cls(purpose, signer.did, body)
        return cls(purpose, signer.did, body, tuple(Signature(*one) for one in signer.sign(plain._signed())))

    def check(self, purpose: str, keys: KeyBook) -> None:
        """Raises BadInput for another purpose, Refuted where the signatures are not the sender's, Undecidable where the
        sender's document is not known.
        """
        if self.purpose != purpose:
            raise BadInput("a message for another purpose", expected=purpose, actual=self.purpose)
        keys.verify(self.sender, self._signed(), [(one.method, one.value) for one in self.signatures])

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"body": base64.b64encode(self.body).decode(), "purpose": self.purpose, "sender": self.sender,
                       "signatures": [[one.method, base64.b64encode(one.value).decode()] for one in self.signatures]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Message:
        """Read one strictly. Raises BadInput. Nothing of it is checked yet."""
        body, purpose, sender, signatures = take(decode_object(data), body=str, purpose=str, sender=str,
                                                 signatures=list)
        if len(signatures) > MAX_SIGNATURES:
            raise BadInput("too many signatures", expected=f"at most {MAX_SIGNATURES}", actual=len(signatures))
        return cls(purpose, sender, from_base64(body), tuple(map(_signature, signatures)))


def _signature(value: Any) -> Signature:
    if type(value) is not list or [type(one) for one in value] != [str, str]:
        raise BadInput("not a signature", expected="[method, base64]", actual=type(value).__name__)
    return Signature(value[0], from_base64(value[1]))


def documents_to_bytes(genesis: bytes, rotations: Iterable[Envelope]) -> bytes:
    """An identity's documents for somebody who does not know it: canonical JSON."""
    return encode({"genesis": base64.b64encode(genesis).decode(),
                   "rotations": [base64.b64encode(one.to_bytes()).decode() for one in rotations]})


def documents_from_bytes(data: bytes, known: DocumentHistory | None = None) -> DocumentHistory:
    """The history that documents come to, which must go on from ``known`` or lie within it; the longer one of both.

    Recoveries by guardians are not taken: only the chain's registry can tell whether there was one. Raises BadInput,
    or Refuted for documents that break a rule, or that are another history than ``known``.
    """
    genesis, rotations = take(decode_object(data), genesis=str, rotations=list)
    book = KeyBook(() if known is None else [known])
    did = book.learn(from_base64(genesis), None if known is None else known.did)
    for rotation in rotations:
        if type(rotation) is not str:
            raise BadInput("unreadable rotation", expected="base64 text", actual=type(rotation).__name__)
        envelope = Envelope.from_bytes(from_base64(rotation))
        if envelope.statement().issuer != did:
            raise BadInput("a rotation of another identity", expected=did, actual=envelope.statement().issuer)
        book.learn_rotation(envelope)
    return book.history(did)
