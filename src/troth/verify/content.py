"""Signed content: a file's detached signature, and the wish that it be not used for training.

A detached signature is a parcel beside the file: one claim of kind ``signature`` whose subject is the file's SHA-256,
and the signer's documents. It is checked offline, in these steps:

1. It is read strictly: one such claim, and nothing but its signer's documents beside it.
2. The file is the one: size and digest.
3. The claim's signatures are those that the signer's document in force asks for.
4. The signer is one that the reader believes, and no older document of it is shown than the reader knows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from troth.core.claims import Envelope, Statement, Subject
from troth.core.encoding import take
from troth.core.errors import BadInput, Pending, Refuted, Undecidable
from troth.core.terms import Account
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.identity.documents import IDENTITY, Document, DocumentHistory
from troth.identity.keybook import KeyBook
from troth.ledger.exchange import Parcel
from troth.ledger.intake import check

KIND = "signature"
SUFFIX = ".troth-sig"
MAX_SIGNATURE = 1 << 20
ALLOWED, NOT_ALLOWED, UNSTATED = "allowed", "notAllowed", "unstated"
TRAINING = (ALLOWED, NOT_ALLOWED, UNSTATED)
_CHUNK = 1 << 20
_MARK = b"jumdc2pa"  # a JUMBF description box of C2PA's
_WISH = re.compile(rb"ai_(?:generative_)?training.{1,24}?(?:notAllowed|constrained)", re.DOTALL)
_LABEL = b".training-mining"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature says of a file. sha256: hex. note: for people. training: one of ``TRAINING``.

    anchor: the certificate (PEM) under which the file's own C2PA manifest is signed; empty for a detached signature.
    """

    name: str
    sha256: str
    size: int
    note: str = ""
    training: str = UNSTATED
    anchor: str = ""

    def subject(self) -> Subject:
        """The claim's subject."""
        return Subject(self.name, {"sha256": self.sha256})

    def body(self) -> dict[str, Any]:
        """The claim's body. Raises BadInput for a wish that is none."""
        if self.training not in TRAINING:
            raise BadInput("no such wish about training", expected=", ".join(TRAINING), actual=self.training)
        return {"anchor": self.anchor, "note": self.note, "size": str(self.size), "training": self.training}

    @classmethod
    def of(cls, statement: Statement) -> Signed:
        """Read a claim strictly. Raises BadInput."""
        if (statement.kind, statement.version) != (KIND, 1) or len(statement.subjects) != 1 or statement.refs \
                or statement.evidence or set(statement.subjects[0].digests) != {"sha256"}:
            raise BadInput("not a claim of kind signature", expected="one subject by SHA-256, no references",
                           actual=statement.kind)
        anchor, note, size, training = take(statement.body, anchor=str, note=str, size=str, training=str)
        if training not in TRAINING or not size.isascii() or not size.isdigit() or str(int(size)) != size:
            raise BadInput("not a claim of kind signature", expected="a size and a wish", actual=(size, training))
        subject = statement.subjects[0]
        return cls(subject.name, subject.digests["sha256"], int(size), note, training, anchor)


def digest_of(file: BinaryIO) -> tuple[str, int]:
    """(SHA-256 in hex, size) of a stream, in flat memory."""
    found, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        found.update(chunk)
        size += len(chunk)
    return found.hexdigest(), size


def one_signature(data: bytes) -> tuple[Parcel, Envelope, Signed]:
    """Step 1. Raises BadInput."""
    if len(data) > MAX_SIGNATURE:
        raise BadInput("signature too long", expected=f"at most {MAX_SIGNATURE} bytes", actual=len(data))
    parcel = Parcel.from_bytes(data)
    claims = [claim for claim in parcel.claims if claim.statement().kind != IDENTITY]
    if len(claims) != 1 or parcel.blocks or parcel.keys:
        raise BadInput("not a signature", expected="one claim and its signer's documents", actual=len(claims))
    return parcel, claims[0], Signed.of(claims[0].statement())


def check_signer(parcel: Parcel, envelope: Envelope) -> KeyBook:
    """Step 3; what the parcel's documents teach. Raises Refuted, Undecidable, BadInput."""
    if parcel.claims[-1] != envelope:
        raise Refuted("a change of keys after the signature", do="Ask for the signature again.")
    return check(parcel, KeyBook(), (), lambda _: False, _guardians).keys


def _guardians(history: DocumentHistory, document: Document, accounts: Sequence[Account]) -> None:
    """Whether guardians made a document stands in the chain's registry, which is not asked here."""
    raise Undecidable("this signer's document was made by guardians, it says", actual=f"version {document.version}",
                      do="Get a bundle, and verify it with --registry.")


def check_believed(issuer: str, keys: KeyBook, believed: Mapping[str, bytes | None]) -> str:
    """Step 4. believed: DIDs, each with the SHA-256 of its newest document known, or None. Raises as ``KeyBook``."""
    if issuer not in believed:
        raise Undecidable("consistent with itself; nobody you trust vouches for it", actual=issuer,
                          do="Say whom you believe: --by DID, or a trust file with the role signer.")
    pinned = believed[issuer]
    if pinned is not None:
        keys.require(issuer, pinned)
    return f"{issuer}, believed" + (", as its pinned document says" if pinned else "")


class Steps:
    """Numbered steps as they come: an error becomes its outcome, and what cannot be read is raised."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(self, name: str, act: Callable[[], str | None]) -> bool:
        """Do a step; whether it is upheld. None as detail: skipped. Raises BadInput, OutsideFailed as ``act`` does."""
        number = len(self._steps) + 1
        try:
            detail = act()
            outcome: Outcome | None = Outcome.UPHELD
        except (Refuted, Undecidable, Pending) as error:
            detail = error.diagnostics()
            outcome = {Refuted: Outcome.REFUTED, Undecidable: Outcome.UNDECIDABLE, Pending: Outcome.PENDING}[
                next(kind for kind in (Refuted, Undecidable, Pending) if isinstance(error, kind))]
        self._steps.append(Step(number, name, outcome, detail or ""))
        return outcome is Outcome.UPHELD

    def report(self) -> Report:
        """The answer."""
        steps = tuple(self._steps)
        return Report(combine(steps), None, steps)


def verify_detached(file: BinaryIO, signature: bytes, believed: Mapping[str, bytes | None]) -> Report:
    """Check a file against its detached signature. Raises BadInput where the signature cannot be read."""
    parcel, envelope, signed = one_signature(signature)
    issuer = envelope.statement().issuer
    steps, learned = Steps(), list[KeyBook]()
    when = envelope.statement().issued_at
    steps.add("signature read", lambda: f"claim {envelope.id.hex()}, at {when} by its own word")

    def same() -> str:
        if signed.anchor:
            raise Refuted("this claim belongs to a file that carries its manifest", do="Use troth media verify.")
        digest, size = digest_of(file)
        if (digest, size) != (signed.sha256, signed.size):
            raise Refuted("another file was signed", expected=f"{signed.size} bytes, SHA-256 {signed.sha256}",
                          actual=f"{size} bytes, {digest}")
        return f"{size} bytes, SHA-256 {digest}; training: {signed.training}"

    def signatures() -> str:
        learned.append(check_signer(parcel, envelope))
        return f"{len(envelope.signatures)} signatures, as the signer's document asks"

    steps.add("the file", same)
    if steps.add("its signatures", signatures):
        steps.add("the signer", lambda: check_believed(issuer, learned[0], believed))
    return steps.report()


def embedded_wish(data: bytes) -> bool:
    """Whether a file carries a C2PA manifest that says: not to be trained on (CAWG training and data mining).

    A plain look at the bytes, without the manifest's library and without checking its signature: to honour a wish, it
    need not be proven. It cannot see a manifest that lies elsewhere.
    """
    if data.startswith(b"\xff\xd8"):
        data = _in_jpeg(data)
    return _MARK in data and _LABEL in data and bool(_WISH.search(data, data.index(_LABEL)))


def _in_jpeg(data: bytes) -> bytes:
    """The JUMBF boxes of a JPEG, put together again: each APP11 segment holds a part (ISO/IEC 19566-5, Annex D)."""
    parts, at = list[bytes](), 2
    while data[at:at + 1] == b"\xff" and data[at + 1:at + 2] not in (b"\xda", b""):  # up to the start of the scan
        size = int.from_bytes(data[at + 2:at + 4], "big")
        body = data[at + 4:at + 2 + size]
        if data[at + 1] == 0xEB and body[:2] == b"JP":
            first = body[4:8] == b"\0\0\0\1"
            parts.append(body[8:] if first else body[16:])  # later parts repeat the box's length and type
        at += 2 + max(size, 2)
    return b"".join(parts)
