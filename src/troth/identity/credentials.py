"""W3C Verifiable Credentials 2.0, read strictly: what credential and presentation must be before anything is checked.

Source: W3C Verifiable Credentials Data Model v2.0, sections 4.3 to 4.13. Remote JSON-LD contexts are never fetched:
they are names here, and a credential means what its members' names say. Context objects inside the document are looked
at only for what would change the meaning of the standard's own terms or of a type, and refused then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from troth.core.errors import BadInput
from troth.identity.jsondoc import check_json, unix_time

CONTEXT = "https://www.w3.org/ns/credentials/v2"
CREDENTIAL, PRESENTATION = "VerifiableCredential", "VerifiablePresentation"
ENVELOPED = "EnvelopedVerifiableCredential"
MAX_CREDENTIALS = 64
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+\Z")
_OWN = frozenset((CREDENTIAL, PRESENTATION, ENVELOPED, "EnvelopedVerifiablePresentation", "id", "type", "issuer",
                  "credentialSubject", "validFrom", "validUntil", "credentialStatus", "credentialSchema", "proof",
                  "holder", "verifiableCredential", "evidence", "termsOfUse", "refreshService",
                  "BitstringStatusList", "BitstringStatusListCredential", "BitstringStatusListEntry",
                  "DataIntegrityProof"))


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as read. Times in Unix seconds, None where not said. ``document``: everything, proofs too."""

    document: Mapping[str, Any] = field(repr=False)
    types: tuple[str, ...]
    issuer: str
    subjects: tuple[Mapping[str, Any], ...]
    id: str | None
    valid_from: int | None
    valid_until: int | None
    status: tuple[Mapping[str, Any], ...]
    schemas: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Credential:
        """Read a credential, secured or not. Raises BadInput, naming the member and the rule."""
        check_json(dict(document))
        types = _head(document, CREDENTIAL)
        _names(document)
        issuer = document.get("issuer")
        if type(issuer) is dict:
            _names(issuer)
        subjects = _objects(document, "credentialSubject", required=True)
        if not all(subjects):
            raise BadInput("a credential that says nothing of a subject", expected="members in credentialSubject")
        for subject in subjects:
            _id(subject, "credentialSubject")
        valid_from, valid_until = (unix_time(document[name]) if name in document else None
                                   for name in ("validFrom", "validUntil"))
        if valid_from is not None and valid_until is not None and valid_until < valid_from:
            raise BadInput("a credential that ends before it begins", expected=document["validFrom"],
                           actual=document["validUntil"])
        for name in ("evidence", "termsOfUse", "refreshService", "proof"):
            _typed(document, name)
        return cls(document, types, _url(issuer.get("id") if type(issuer) is dict else issuer, "issuer"), subjects,
                   _id(document, "the credential"), valid_from, valid_until, _typed(document, "credentialStatus"),
                   _typed(document, "credentialSchema", with_id=True))

    @property
    def subject_ids(self) -> tuple[str, ...]:
        """The identifiers of its subjects, those that have one."""
        return tuple(subject["id"] for subject in self.subjects if "id" in subject)


@dataclass(frozen=True, slots=True)
class Presentation:
    """A presentation as read: who holds it, and the credentials in it as they stand."""

    document: Mapping[str, Any] = field(repr=False)
    types: tuple[str, ...]
    holder: str | None
    credentials: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Presentation:
        """Read a presentation, secured or not, and each credential in it. Raises BadInput."""
        check_json(dict(document))
        types = _head(document, PRESENTATION)
        _id(document, "the presentation")
        holder = document.get("holder")
        if "holder" in document:
            holder = _url(holder.get("id") if type(holder) is dict else holder, "holder")
        _typed(document, "proof")
        credentials = _objects(document, "verifiableCredential")
        if len(credentials) > MAX_CREDENTIALS:
            raise BadInput("too many credentials", expected=f"at most {MAX_CREDENTIALS}", actual=len(credentials))
        for item in credentials:
            if ENVELOPED in _types(item):
                if not str(item.get("id")).startswith("data:"):
                    raise BadInput("an enveloped credential without its envelope", expected="a data: URL as id")
            else:
                Credential.of(item)
        return cls(document, types, holder, credentials)


def is_presentation(document: Mapping[str, Any]) -> bool:
    """Whether a document says that it is a presentation rather than a credential."""
    found = document.get("type")
    return PRESENTATION in (found if type(found) is list else [found])


def _head(document: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """The types of a document after its contexts and types were found proper (sections 4.3 and 4.5)."""
    contexts = document.get("@context")
    if type(contexts) is not list or contexts[:1] != [CONTEXT]:
        raise BadInput("not a document of Verifiable Credentials 2.0", expected=f"@context that begins with {CONTEXT}",
                       actual=contexts[0] if type(contexts) is list and contexts else contexts)
    types = _types(document)
    if kind not in types:
        raise BadInput(f"not a {kind}", expected=kind, actual=", ".join(types) or "no type")
    _inline(contexts[1:], types)
    return types


def _inline(contexts: list[Any], types: tuple[str, ...]) -> None:
    """Refuse context objects that change the meaning of the standard's terms, of a protected term or of a type."""
    mapped: set[str] = set()
    protected = set(_OWN)
    closed = remote = False
    for item in contexts:
        if type(item) is str:
            _url(item, "@context")
            remote = True
            continue
        if type(item) is not dict:
            raise BadInput("improper @context", expected="URLs and objects", actual=item)
        terms = {name for name in item if not name.startswith("@")}
        if terms & protected:
            raise BadInput("a context that gives a protected term another meaning",
                           actual=", ".join(sorted(terms & protected)))
        for name in terms & set(types):
            value = item[name]
            _url(value.get("@id") if type(value) is dict else value, f"@context: {name}")
        mapped |= terms
        protected |= terms if item.get("@protected") is True else set()
        closed = item["@vocab"] is None if "@vocab" in item else closed
    if closed and not remote:
        strange = [name for name in types if name not in mapped | _OWN and not _URL.match(name)]
        if strange:
            raise BadInput("a type that no context explains", actual=", ".join(strange))


def _types(value: Mapping[str, Any]) -> tuple[str, ...]:
    found = value.get("type")
    items = found if type(found) is list else [found]
    if not items or any(type(item) is not str or not item for item in items):
        raise BadInput("improper type", expected="a type, or a list of types", actual=found)
    return tuple(items)


def _objects(value: Mapping[str, Any], name: str, required: bool = False) -> tuple[Mapping[str, Any], ...]:
    """The objects of a member that holds one or a list of them."""
    if name not in value and not required:
        return ()
    found = value.get(name)
    items = found if type(found) is list else [found]
    if any(type(item) is not dict for item in items) or (required and not items):
        raise BadInput(f"improper {name}", expected="an object, or a list of objects", actual=found)
    return tuple(items)


def _typed(value: Mapping[str, Any], name: str, with_id: bool = False) -> tuple[Mapping[str, Any], ...]:
    """``_objects`` each of which must have a type, may have an id that is a URL, and must where ``with_id``."""
    items = _objects(value, name)
    for item in items:
        _types(item)
        if _id(item, name) is None and with_id:
            raise BadInput(f"{name} without an id", expected="a URL")
    return items


def _id(value: Mapping[str, Any], where: str) -> str | None:
    return _url(value["id"], f"id of {where}") if "id" in value else None


def _url(value: object, where: str) -> str:
    if type(value) is not str or not _URL.match(value):
        raise BadInput(f"improper {where}", expected="a URL", actual=value)
    return value


def _names(value: Mapping[str, Any]) -> None:
    """Names and descriptions: text, or a text with its language and direction, or several of those (section 4.6)."""
    for name in ("name", "description"):
        found = value.get(name, "")
        for item in found if type(found) is list else [found]:
            proper = (type(item) is str and found is item) or (
                type(item) is dict and type(item.get("@value")) is str
                and item.keys() <= {"@value", "@language", "@direction"})
            if not proper:
                raise BadInput(f"improper {name}", expected="text, or @value with @language and @direction",
                               actual=item)
