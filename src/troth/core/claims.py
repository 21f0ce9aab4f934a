"""Claims: who says what about which artefacts, signed, by digest, with references and evidence.

The statement is an in-toto Statement v1; the envelope is DSSE v1. A claim's id is the SHA-256 of the DSSE
pre-authentication encoding, so it names payload type and payload but no signature. Key ids are hints and prove
nothing: which suites must sign comes from the issuer's document (``KeyHistory``), never from the message.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256 as _sha256
from typing import Any

from troth.core import merkle
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Refuted

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BATCH = "batch"
_PREFIX = b"DSSEv1 %d %s " % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())
_KIND = re.compile(r"urn:troth:([a-z][a-z0-9-]{0,63}):v([1-9][0-9]{0,3})\Z")
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,63}\Z")


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding: what is signed, and what a claim's id hashes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def claim_id(payload: bytes) -> bytes:
    """Id of the claim with this in-toto payload: SHA-256 of its pre-authentication encoding, 32 bytes."""
    return _sha256(_PREFIX + b"%d " % len(payload) + payload).digest()


@dataclass(frozen=True, slots=True)
class Subject:
    """An artefact by digest. ``digests``: algorithm name to lowercase hex."""

    name: str
    digests: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        return {"digest": dict(self.digests), "name": self.name}


@dataclass(frozen=True, slots=True)
class Ref:
    """An earlier claim that this one builds on, and in which role."""

    role: str
    claim: bytes

    def json(self) -> dict[str, Any]:
        return {"claim": self.claim.hex(), "role": self.role}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Bytes that support the claim: where (CID and its profile) and whether they are sealed."""

    name: str
    cid: str
    profile: str
    sealed: bool

    def json(self) -> dict[str, Any]:
        return {"cid": self.cid, "name": self.name, "profile": self.profile, "sealed": self.sealed}


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said. ``kind`` and ``version`` name the page under docs/kinds; ``issued_at`` is Unix seconds."""

    kind: str
    issuer: str
    issued_at: int
    subjects: tuple[Subject, ...]
    body: Mapping[str, Any]
    refs: tuple[Ref, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    version: int = 1

    def to_bytes(self) -> bytes:
        """The canonical payload. Raises BadInput if a field cannot be said in a claim."""
        predicate_type = f"urn:troth:{self.kind}:v{self.version}"
        if not _KIND.match(predicate_type) or not self.subjects or self.issued_at < 0:
            raise BadInput("incomplete statement", expected="a kind in lower case, a subject, a time since 1970",
                           actual=f"{predicate_type}, {len(self.subjects)} subjects, issued at {self.issued_at}")
        return encode({
            "_type": STATEMENT_TYPE,
            "predicate": {
                "body": self.body,
                "evidence": [item.json() for item in self.evidence],
                "issued_at": self.issued_at,
                "issuer": self.issuer,
                "refs": [ref.json() for ref in self.refs],
            },
            "predicateType": predicate_type,
            "subject": [subject.json() for subject in self.subjects],
        })

    @classmethod
    def from_bytes(cls, payload: bytes) -> Statement:
        """Read a payload strictly. Raises BadInput for anything ``to_bytes`` would not write."""
        kind, predicate_type, subjects, predicate = take(
            decode_object(payload), _type=str, predicateType=str, subject=list, predicate=dict)
        named = _KIND.match(predicate_type)
        if kind != STATEMENT_TYPE or not named:
            raise BadInput("not a Troth statement", expected=f"{STATEMENT_TYPE} with urn:troth:<kind>:v<n>",
                           actual=f"{kind} with {predicate_type}")
        body, evidence, issued_at, issuer, refs = take(
            predicate, body=dict, evidence=list, issued_at=int, issuer=str, refs=list)
        if not subjects or issued_at < 0:
            raise BadInput("incomplete statement", expected="a subject and a time since 1970")
        return cls(named[1], issuer, issued_at, tuple(map(_subject, subjects)), body, tuple(map(_ref, refs)),
                   tuple(map(_evidence, evidence)), int(named[2]))

    def ref(self, role: str) -> bytes:
        """The one claim referred to in this role. Raises Refuted if there is none or more than one."""
        found = self.all_refs(role)
        if len(found) != 1:
            raise Refuted(f"claim of kind {self.kind} must refer to one {role!r}", expected=1, actual=len(found))
        return found[0]

    def all_refs(self, role: str) -> tuple[bytes, ...]:
        """The claims referred to in this role, in the statement's order."""
        return tuple(ref.claim for ref in self.refs if ref.role == role)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature. ``method`` is the verification method's id: a hint."""

    method: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its signatures (DSSE v1)."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def id(self) -> bytes:
        """The claim's id."""
        return claim_id(self.payload)

    def statement(self) -> Statement:
        """The payload, read strictly."""
        return Statement.from_bytes(self.payload)

    def signed_bytes(self) -> bytes:
        """What the signatures are over."""
        return pae(PAYLOAD_TYPE, self.payload)

    def to_bytes(self) -> bytes:
        """DSSE JSON in canonical form."""
        return encode({
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": s.method, "sig": base64.b64encode(s.value).decode()} for s in self.signatures],
        })

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Read DSSE JSON strictly. Raises BadInput."""
        payload, payload_type, signatures = take(decode_object(data), payload=str, payloadType=str, signatures=list)
        if payload_type != PAYLOAD_TYPE:
            raise BadInput("foreign payload", expected=PAYLOAD_TYPE, actual=payload_type)
        found = []
        for item in signatures:
            keyid, sig = take(_object(item), keyid=str, sig=str)
            found.append(Signature(keyid, from_base64(sig)))
        return cls(from_base64(payload), tuple(found))


def seal_of_signatures(signatures: Iterable[Signature]) -> bytes:
    """What a log leaf commits to besides the id: every signature, in order, 32 bytes."""
    digest = _sha256(b"troth/signatures/v1\n")
    for signature in signatures:
        method = signature.method.encode()
        digest.update(b"%d %d\n" % (len(method), len(signature.value)))
        digest.update(method)
        digest.update(signature.value)
    return digest.digest()


def seal_of_member(batch: bytes, index: int) -> bytes:
    """What a log leaf commits to for a batch member instead of signatures: the batch's id and the place in it."""
    return _sha256(b"troth/member/v1\n%s%d" % (batch, index)).digest()


def batch_statement(issuer: str, issued_at: int, ids: Sequence[bytes]) -> Statement:
    """The statement whose one envelope signs for all members: (issuer, size, RFC 6962 root of the members' ids)."""
    if not ids:
        raise BadInput("an empty batch says nothing", expected="at least one member")
    return batch_statement_of(issuer, issued_at, len(ids), merkle.root(ids))


def batch_statement_of(issuer: str, issued_at: int, size: int, root: bytes) -> Statement:
    """``batch_statement`` where the root is known already."""
    subject = Subject("members", {"sha256": root.hex()})
    return Statement(BATCH, issuer, issued_at, (subject,), {"root": root.hex(), "size": size})


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch statement says."""

    issuer: str
    size: int
    root: bytes

    @classmethod
    def of(cls, statement: Statement) -> Batch:
        """Read a batch statement strictly. Raises BadInput."""
        if (statement.kind, statement.version) != (BATCH, 1) or statement.refs or statement.evidence:
            raise BadInput("not a batch", expected="urn:troth:batch:v1 alone", actual=statement.kind)
        root, size = take(dict(statement.body), root=str, size=int)
        if size < 1 or statement.subjects != (Subject("members", {"sha256": root}),):
            raise BadInput("batch whose subject is not its members", expected=root, actual=statement.subjects)
        return cls(statement.issuer, size, from_hex(root, 32))


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's place in its batch."""

    batch: bytes
    index: int
    path: tuple[bytes, ...] = field(default=())


def from_base64(text: str) -> bytes:
    """Bytes from canonical standard base64, or BadInput."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data).decode() != text:
        raise BadInput("not canonical base64", actual=text[:40])
    return data


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
    return value


def _subject(value: Any) -> Subject:
    digest, name = take(_object(value), digest=dict, name=str)
    if not digest or any(type(found) is not str or not found for found in digest.values()):
        raise BadInput("subject without digests", expected="algorithm to hex", actual=digest)
    return Subject(name, digest)


def _ref(value: Any) -> Ref:
    claim, role = take(_object(value), claim=str, role=str)
    if not _ROLE.match(role):
        raise BadInput("reference without a proper role", expected="lower case, digits, dashes", actual=role)
    return Ref(role, from_hex(claim, 32))


def _evidence(value: Any) -> Evidence:
    cid, name, profile, sealed = take(_object(value), cid=str, name=str, profile=str, sealed=bool)
    return Evidence(name, cid, profile, sealed)
