"""Resolution of decentralised identifiers: one port, whatever the method, and what every method's answer has.

Sources: W3C DID Core 1.0 and W3C DID Resolution. Its error codes are our error classes:

=====================  ==========================================================  ====
code                   class                                                       exit
=====================  ==========================================================  ====
``invalidDid``         BadInput: the identifier cannot be read                        2
``invalidDid``         Refuted: what was found contradicts the identifier or itself   1
``invalidDidDocument`` InvalidDocument: what was found is no document                 2
``methodNotSupported`` MethodNotSupported                                             3
``notFound``           NotFound: there is nothing, or no such version                 3
``internalError``      Undecidable, Pending, OutsideFailed                        3 4 5
=====================  ==========================================================  ====

A resolution says which keys speak for an identifier. It does not say who holds them, nor that the holder is honest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote

from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.identity.jsondoc import time_text

MOST_DID = 16 << 10
"""Letters of an identifier: a long did:peer:4 or an ML-DSA did:key has thousands."""
MOST_DOCUMENT = 1 << 20
"""Bytes of a document."""
_DID = re.compile(r"did:([a-z0-9]+):((?:[A-Za-z0-9._:-]|%[0-9A-Fa-f]{2})*(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2}))\Z")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)\Z")


class MethodNotSupported(Undecidable):
    """Nobody here resolves this method, or this kind of it."""


class InvalidDocument(BadInput):
    """What lies where the document has to be cannot be read as one."""


class NotFound(Undecidable):
    """There is no such identifier, or no such version of it, where it would have to be."""


@dataclass(frozen=True, slots=True)
class When:
    """Which version is asked for; the newest by default.

    version_id: as the method's metadata names it. time: Unix seconds; the version in force then. One of them at most.
    """

    version_id: str | None = None
    time: int | None = None

    def __post_init__(self) -> None:
        if self.version_id is not None and self.time is not None:
            raise Misuse("a version is asked for by its id or by a time", expected="one of them", actual="both")

    @property
    def newest(self) -> bool:
        """Whether the newest version is asked for."""
        return self.version_id is None and self.time is None


NEWEST = When()


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an identifier resolved to.

    document: the DID document; None where the identifier was deactivated and its method then shows none. Its ``id`` is
    the identifier, or, where the method lets one move, what ``canonicalId`` says. metadata: W3C's
    ``didDocumentMetadata``.
    """

    did: str
    document: dict[str, Any] | None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def deactivated(self) -> bool:
        """Whether the identifier was ended."""
        return self.metadata.get("deactivated") is True

    def to_dict(self) -> dict[str, Any]:
        """W3C's resolution result."""
        return {"didDocument": self.document, "didDocumentMetadata": self.metadata,
                "didResolutionMetadata": {"contentType": "application/did"}}


class Resolver(Protocol):
    """Resolves identifiers: of one method, or of several."""

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The identifier's document, checked as far as its method lets one. Raises as this module's table says."""
        ...


class Resolvers:
    """``Resolver`` of several methods by name."""

    def __init__(self, methods: Mapping[str, Resolver]) -> None:
        self._methods = dict(methods)

    def resolve(self, did: str, when: When = NEWEST) -> Resolution:
        """The identifier's document, by its method. Raises MethodNotSupported where nobody here resolves it."""
        method, _ = parts(did)
        resolver = self._methods.get(method)
        if resolver is None:
            raise MethodNotSupported("nobody here resolves this method", expected=", ".join(sorted(self._methods)),
                                     actual=method)
        return resolver.resolve(did, when)


def parts(did: str) -> tuple[str, str]:
    """(method, method-specific id). Raises BadInput for what is no DID, a DID URL with a path, query or key too."""
    found = _DID.match(did) if len(did) <= MOST_DID else None
    if found is None:
        raise BadInput("not a DID", expected="did:METHOD:ID alone (a fragment, path or query is not part of it)",
                       actual=did[:80])
    return found[1], found[2]


def read_url(text: str) -> tuple[str, When]:
    """(DID, version) of a DID, or of a DID URL that asks for a version: ``?versionId=…`` or ``?versionTime=…``.

    Raises BadInput for any other query, and for a path or a fragment: they name something inside or beside a document.
    """
    did, question, query = text.partition("?")
    parts(did)
    if not question:
        return did, NEWEST
    name, _, value = query.partition("=")
    if name == "versionId" and value and "&" not in value:
        return did, When(unquote(value))
    if name == "versionTime":
        return did, When(time=int(read_time(unquote(value)).timestamp()))
    raise BadInput("a DID URL that asks for something else", expected="?versionId=… or ?versionTime=… alone",
                   actual=query[:80])


def code(error: TrothError) -> str:
    """W3C's code of an error."""
    for kind, name in ((NotFound, "notFound"), (MethodNotSupported, "methodNotSupported"),
                       (InvalidDocument, "invalidDidDocument"), (BadInput, "invalidDid"), (Refuted, "invalidDid")):
        if isinstance(error, kind):
            return name
    return "internalError"


def refused(error: TrothError) -> dict[str, Any]:
    """W3C's resolution result of an error."""
    return {"didDocument": None, "didDocumentMetadata": {},
            "didResolutionMetadata": {"error": code(error), "message": error.diagnostics()}}


@contextmanager
def found() -> Iterator[None]:
    """What cannot be read within is not the caller's bad input, but a bad document."""
    try:
        yield
    except BadInput as error:
        raise InvalidDocument(error.message, expected=error.expected, actual=error.actual, do=error.do) from error


def only_now(when: When, method: str) -> None:
    """Raises NotFound where an earlier version is asked of a method without history."""
    if not when.newest:
        raise NotFound(f"{method} keeps no history", expected="the document as it is now", actual=when,
                       do="Ask without a version and without a time.")


def check_document(document: Any, did: str) -> dict[str, Any]:
    """A foreign document as an object of this identifier.

    Raises InvalidDocument for what is no DID document, Refuted for another identifier's, or one with two verification
    methods of one name.
    """
    if type(document) is not dict:
        raise InvalidDocument("not a DID document", expected="a JSON object", actual=type(document).__name__)
    if document.get("id") != did:
        raise Refuted("a document of another identifier", expected=did, actual=str(document.get("id"))[:200])
    methods = document.get("verificationMethod", [])
    if type(methods) is not list:
        raise InvalidDocument("not a DID document", expected="a list of verification methods",
                              actual=type(methods).__name__)
    names = set[str]()
    for method in methods:
        if type(method) is not dict or not all(type(method.get(name)) is str for name in ("id", "type")):
            raise InvalidDocument("unreadable verification method", expected="an object with id and type")
        if method["id"] in names:
            raise Refuted("two verification methods of one name", actual=method["id"])
        names.add(method["id"])
    return document


def read_time(text: str) -> datetime:
    """The moment of an RFC 3339 text in UTC. Raises BadInput for another zone, or none."""
    found = _TIME.match(text)
    try:
        if found is not None:
            whole = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
            return whole.replace(microsecond=int((found[2] or "0").ljust(6, "0")[:6]))
    except ValueError:
        pass
    raise BadInput("not a moment in UTC", expected="2026-01-31T12:00:00Z", actual=text[:40])


def write_time(seconds: int) -> str:
    """RFC 3339 text of Unix seconds, as ``time_text``."""
    return time_text(seconds)
