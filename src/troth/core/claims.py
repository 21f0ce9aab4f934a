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
from functools import lru_cache
from hashlib import sha256 as _sha256
from typing import Any

from troth.core import merkle
from troth.core.encoding import (
    MAX_DEPTH,
    MAX_INT,
    check,
    decode_for_reader,
    decode_object,
    encode,
    encode_for_writer,
    from_hex,
    take,
)
from troth.core.errors import BadInput, Refuted

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BATCH = "batch"
_PREFIX = b"DSSEv1 %d %s " % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())
_BODY_DEPTH = MAX_DEPTH - 2  # the body lies in the predicate, the predicate in the statement
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
        """As JSON. Raises BadInput without a digest or for anything but text."""
        digests = self.digests if type(self.digests) is dict else dict(self.digests)
        _check_digests(digests)
        return {"digest": digests, "name": _text(self.name)}


@dataclass(frozen=True, slots=True)
class Ref:
    """An earlier claim that this one builds on, and in which role."""

    role: str
    claim: bytes

    def json(self) -> dict[str, str]:
        """As JSON. Raises BadInput for an improper role or an id that is not 32 bytes."""
        _check_role(self.role)
        if len(self.claim) != 32:
            raise BadInput("reference to no claim", expected="an id of 32 bytes", actual=len(self.claim))
        return {"claim": self.claim.hex(), "role": self.role}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Bytes that support the claim: where (CID and its profile) and whether they are sealed."""

    name: str
    cid: str
    profile: str
    sealed: bool

    def json(self) -> dict[str, str | bool]:
        """As JSON. Raises BadInput for anything but text and a bool."""
        name, cid, profile, sealed = self.name, self.cid, self.profile, self.sealed
        if type(name) is not str or type(cid) is not str or type(profile) is not str or type(sealed) is not bool:
            raise BadInput("evidence of other types", expected="texts, and sealed or not",
                           actual=(name, cid, profile, sealed))
        return {"cid": cid, "name": name, "profile": profile, "sealed": sealed}


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
        predicate_type = _predicate_type(self.kind, self.version)
        if type(self.issued_at) is not int or not 0 <= self.issued_at <= MAX_INT:
            raise BadInput("improper time of issue", expected="Unix seconds since 1970", actual=self.issued_at)
        if not self.subjects:
            raise BadInput("statement about nothing", expected="a subject", actual="none")
        body = self.body if type(self.body) is dict else dict(self.body)
        return encode_for_writer({
            "_type": STATEMENT_TYPE,
            "predicate": {
                "body": body,
                "evidence": [item.json() for item in self.evidence],
                "issued_at": self.issued_at,
                "issuer": _text(self.issuer),
                "refs": [ref.json() for ref in self.refs],
            },
            "predicateType": predicate_type,
            "subject": [subject.json() for subject in self.subjects],
        }, body, _BODY_DEPTH)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Statement:
        """Read a payload strictly. Raises BadInput for anything ``to_bytes`` would not write."""
        kind, version, issuer, issued_at, subjects, body, refs, evidence = fields_of(payload)
        return cls(kind, issuer, issued_at, tuple([Subject(item["name"], item["digest"]) for item in subjects]), body,
                   tuple([Ref(role, claim) for role, claim in refs]),
                   tuple([Evidence(item["name"], item["cid"], item["profile"], item["sealed"]) for item in evidence]),
                   version)

    def ref(self, role: str) -> bytes:
        """The one claim referred to in this role. Raises Refuted if there is none or more than one."""
        found = self.all_refs(role)
        if len(found) != 1:
            raise Refuted(f"claim of kind {self.kind} must refer to one {role!r}", expected=1, actual=len(found))
        return found[0]

    def all_refs(self, role: str) -> tuple[bytes, ...]:
        """The claims referred to in this role, in the statement's order."""
        return tuple(ref.claim for ref in self.refs if ref.role == role)


Fields = tuple[str, int, str, int, list[dict[str, Any]], dict[str, Any], list[tuple[str, bytes]], list[dict[str, Any]]]
"""(kind, version, issuer, issued_at, subjects, body, refs as (role, id), evidence); the rest as in the JSON."""


def fields_of(payload: bytes) -> Fields:
    """What a statement says, read strictly, for a reader of many that can do without a ``Statement``.

    Raises BadInput for anything ``Statement.to_bytes`` would not write.
    """
    value, checked = decode_for_reader(payload)
    (kind, version), subjects, (body, evidence, issued_at, issuer, refs) = _frame(value)
    if not checked:
        check(body, _BODY_DEPTH)
    if not subjects or issued_at < 0:
        raise BadInput("incomplete statement", expected="a subject and a time since 1970")
    for item in subjects:
        _check_subject(item)
    for item in evidence:
        _check_evidence(item)
    return kind, version, issuer, issued_at, subjects, body, [_ref(item) for item in refs], evidence


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
            keyid, sig = take(item, keyid=str, sig=str)
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


def _frame(value: Any) -> tuple[tuple[str, int], list[Any], tuple[dict[str, Any], list[Any], int, str, list[Any]]]:
    """((kind, version), subjects, members of the predicate) of a statement.

    Like every reader below it wants exactly the known members, each of exactly its type. Counting members and asking
    for each by name is what ``take`` does, at a third of its cost.
    """
    if type(value) is not dict:
        raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
    get = value.get
    kind, predicate, predicate_type, subjects = get("_type"), get("predicate"), get("predicateType"), get("subject")
    if (len(value) != 4 or type(kind) is not str or type(predicate) is not dict or type(predicate_type) is not str
            or type(subjects) is not list):
        raise _misread(value, _type=str, predicate=dict, predicateType=str, subject=list)
    if kind != STATEMENT_TYPE:
        raise BadInput("not a Troth statement", expected=STATEMENT_TYPE, actual=kind)
    if len(predicate) == 5:
        get = predicate.get
        body, evidence, issued_at, issuer, refs = (
            get("body"), get("evidence"), get("issued_at"), get("issuer"), get("refs"))
        if (type(body) is dict and type(evidence) is list and type(issued_at) is int and type(issuer) is str
                and type(refs) is list):
            return _read_predicate_type(predicate_type), subjects, (body, evidence, issued_at, issuer, refs)
    raise _misread(predicate, body=dict, evidence=list, issued_at=int, issuer=str, refs=list)


def _misread(value: Any, **fields: type) -> BadInput:
    """The refusal of an object that has not exactly these members."""
    found = {str(name): type(item) for name, item in value.items()} if type(value) is dict else {"it": type(value)}
    return BadInput("wrong members of an object", expected=_shape(fields), actual=_shape(found))


def _shape(fields: dict[str, type]) -> str:
    return ", ".join(f"{name}: {kind.__name__}" for name, kind in fields.items())


@lru_cache(maxsize=1024, typed=True)
def _predicate_type(kind: str, version: int) -> str:
    text = f"urn:troth:{kind}:v{version}"
    _read_predicate_type(text)
    return text


@lru_cache(maxsize=1024)
def _read_predicate_type(text: str) -> tuple[str, int]:
    found = _KIND.match(text)
    if not found:
        raise BadInput("not a Troth statement", expected="urn:troth:<kind in lower case>:v<n>", actual=text)
    return found[1], int(found[2])


@lru_cache(maxsize=1024)
def _check_role(role: str) -> None:
    if not _ROLE.match(role):
        raise BadInput("reference without a proper role", expected="lower case, digits, dashes", actual=role)


def _text(value: str) -> str:
    if type(value) is not str:
        raise BadInput("not text", expected="str", actual=type(value).__name__)
    return value


def _check_digests(digests: dict[str, Any]) -> None:
    for algorithm, digest in digests.items():
        if type(algorithm) is not str or type(digest) is not str or not digest:
            break
    else:
        if digests:
            return
    raise BadInput("subject without digests", expected="algorithm to hex", actual=digests)


def _check_subject(value: Any) -> None:
    if type(value) is dict and len(value) == 2:
        digest = value.get("digest")
        if type(digest) is dict and type(value.get("name")) is str:
            _check_digests(digest)
            return
    raise _misread(value, digest=dict, name=str)


def _ref(value: Any) -> tuple[str, bytes]:
    if type(value) is dict and len(value) == 2:
        claim, role = value.get("claim"), value.get("role")
        if type(claim) is str and type(role) is str:
            _check_role(role)
            return role, from_hex(claim, 32)
    raise _misread(value, claim=str, role=str)


def _check_evidence(value: Any) -> None:
    if type(value) is dict and len(value) == 4:
        get = value.get
        if (type(get("cid")) is str and type(get("name")) is str and type(get("profile")) is str
                and type(get("sealed")) is bool):
            return
    raise _misread(value, cid=str, name=str, profile=str, sealed=bool)
