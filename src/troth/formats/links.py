"""What somebody else signed, in another format, kept as its bytes: kind ``link``.

The foreign statement's issuer is the key that signed it; our claim says that this party checked that, when, and which
claims it belongs to. One page under docs/kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import Statement, Subject
from troth.core.encoding import from_hex, take
from troth.core.errors import BadInput
from troth.formats.foreign import ForeignEnvelope, ForeignKey

LINK = "link"
DOCUMENT = "foreign"
MAX_SUBJECTS = 1_000


@dataclass(frozen=True, slots=True)
class Link:
    """document: SHA-256 of the bytes kept. foreign: id of what was signed. issuer: the key, by its own name."""

    document: bytes
    foreign: bytes
    payload_type: str
    predicate_type: str
    issuer: str

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"document": self.document.hex(), "foreign": self.foreign.hex(), "issuer": self.issuer,
                "payload_type": self.payload_type, "predicate_type": self.predicate_type}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read a claim strictly. Raises BadInput."""
        if (statement.kind, statement.version) != (LINK, 1):
            raise BadInput("not a link", expected="link v1", actual=f"{statement.kind} v{statement.version}")
        document, foreign, issuer, payload_type, predicate_type = take(
            dict(statement.body), document=str, foreign=str, issuer=str, payload_type=str, predicate_type=str)
        found = cls(from_hex(document, 32), from_hex(foreign, 32), payload_type, predicate_type, issuer)
        if statement.subjects[:1] != (found.subject,) or [one.name for one in statement.evidence] != [DOCUMENT]:
            raise BadInput("link: the first subject and the evidence are the foreign document", expected=found.subject,
                           actual=statement.subjects[:1])
        return found

    @property
    def subject(self) -> Subject:
        """The document itself, as a claim's first subject."""
        return Subject(DOCUMENT, {"sha256": self.document.hex()})

    def check(self, envelope: ForeignEnvelope, key: ForeignKey) -> None:
        """That this is what the link names: its id, type and issuer, and that the issuer signed. Raises Refuted."""
        envelope.signed_by(key)
        if (envelope.id, key.name, envelope.payload_type) != (self.foreign, self.issuer, self.payload_type):
            raise BadInput("another document than the link's", expected=self.foreign.hex(), actual=envelope.id.hex())


def subjects_of(envelope: ForeignEnvelope) -> tuple[Subject, ...]:
    """What the foreign statement is about, as it says it; nothing for a payload that is no in-toto statement."""
    try:
        found = envelope.statement().subjects
    except BadInput:
        return ()
    return tuple(Subject(name, dict(digests)) for name, digests in found[:MAX_SUBJECTS])
