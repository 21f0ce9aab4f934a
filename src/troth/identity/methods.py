"""Verification methods: which key a DID document names, and what it may be used for (W3C DID core, section 5.2, 5.3).

A resolver is any function from a DID to its document. ``resolve_offline`` knows the two methods whose document is the
identifier itself: ``did:key`` and the long ``did:peer:4``. Whoever knows more passes another function.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity import keydids, keys, resolution
from troth.identity.jsondoc import unix_time
from troth.identity.multibase import multibase_decode

Resolver = Callable[[str], Mapping[str, Any]]
"""DID -> its document. Raises Undecidable where it cannot be had, Refuted or BadInput where it is wrong."""

ASSERTION, AUTHENTICATION = "assertionMethod", "authentication"
_MULTIBASE_TYPES = ("Multikey", "Ed25519VerificationKey2020")
_CURVES = {("OKP", "Ed25519"): (keys.ED25519, 32), ("EC", "P-256"): (keys.P256, 32), ("EC", "P-384"): (keys.P384, 48),
           ("EC", "secp256k1"): (keys.SECP256K1, 32)}


def resolve_offline(did: str) -> Mapping[str, Any]:
    """The document of a ``did:key`` or a long ``did:peer:4``. Raises Undecidable for every other identifier.

    Kept, since it never changes (but for identifiers beyond ``KEPT`` letters): read it and leave it as it is.
    """
    return _offline(did) if len(did) <= dids.KEPT else _offline.__wrapped__(did)


@lru_cache(maxsize=512)
def _offline(did: str) -> Mapping[str, Any]:
    if did.startswith(dids.KEY):
        return keydids.key_document(did)
    if did.startswith(dids.PEER4) and ":z" in did.removeprefix(dids.PEER4):
        return dids.peer4_document(did)
    raise Undecidable("the document of this identifier cannot be had here", actual=did[:120],
                      do="Give a resolver that knows its method, or pin its keys.")


def documents_by(resolver: resolution.Resolver) -> Resolver:
    """A resolver of this module from the port that every method stands behind (``troth.identity.resolution``)."""
    def resolve(did: str) -> Mapping[str, Any]:
        found = resolver.resolve(did)
        if found.document is None or found.deactivated:
            raise Refuted("this identifier was ended by its holder", actual=did[:120])
        return found.document
    return resolve


def known_resolver(documents: Mapping[str, Mapping[str, Any]], beyond: Resolver = resolve_offline) -> Resolver:
    """A resolver that answers from ``documents`` (DID -> document) first, then as ``beyond`` does."""
    return lambda did: documents[did] if did in documents else beyond(did)


def did_of(method: str) -> str:
    """The DID that a verification method's id belongs to."""
    return method.partition("#")[0]


def key_of(document: Mapping[str, Any], method: str, relationship: str, now: int) -> keys.PublicKey:
    """The key that ``document`` names as ``method`` and allows for ``relationship``.

    now: Unix seconds, against the method's ``expires`` and ``revoked``. Raises Refuted where the document has no such
    method, does not allow that use, or took it back; BadInput for an unreadable one, Undecidable for a kind of key
    that is not known here.
    """
    did = str(document.get("id"))
    if method == did and did.startswith(dids.KEY):
        method = dids.key_method(did)  # a did:key has one signing key, and some name it by the DID alone
    found = [item for item in _methods(document) if _absolute(did, item.get("id")) == method]
    if len(found) != 1:
        raise Refuted("the document has no such verification method" if not found else
                      "the document names two keys by one id", expected=method, actual=f"{len(found)} in {did[:80]}")
    allowed = document.get(relationship, [])
    if type(allowed) is not list or method not in [
            _absolute(did, item if type(item) is str else item.get("id") if type(item) is dict else None)
            for item in allowed]:
        raise Refuted(f"the document does not allow this key for {relationship}", expected=method[-80:],
                      actual=", ".join(name for name in ("assertionMethod", "authentication", "keyAgreement")
                                       if method in _names(document, did, name)) or "no use at all")
    if found[0].get("controller", did) != did:
        raise Refuted("the key is another's", expected=did, actual=found[0].get("controller"))
    for member in ("expires", "revoked"):
        if member in found[0] and unix_time(found[0][member]) <= now:
            raise Refuted(f"the key is {'expired' if member == 'expires' else 'revoked'}", actual=found[0][member])
    return read_key(found[0])


def read_key(method: Mapping[str, Any]) -> keys.PublicKey:
    """The key that a verification method carries. Raises BadInput, or Undecidable for a kind that is not known."""
    if "secretKeyMultibase" in method or "privateKeyMultibase" in method:
        raise BadInput("a verification method that publishes a secret key", do="Treat that key as lost.")
    if method.get("type") in _MULTIBASE_TYPES and type(method.get("publicKeyMultibase")) is str:
        return _multibase_key(method["publicKeyMultibase"])
    jwk = method.get("publicKeyJwk")
    if type(jwk) is dict:
        return _jwk_key(jwk)
    raise Undecidable("this kind of verification method is not known here",
                      expected=", ".join((*_MULTIBASE_TYPES, "publicKeyJwk")), actual=method.get("type"))


@lru_cache(maxsize=1024)
def _multibase_key(text: str) -> keys.PublicKey:
    """The key of a multibase text. Kept: loading one costs more than checking a signature with it."""
    return keys.from_multikey(multibase_decode(text))


def _jwk_key(jwk: Mapping[str, Any]) -> keys.PublicKey:
    if "d" in jwk:
        raise BadInput("a verification method that publishes a secret key", do="Treat that key as lost.")
    suite, size = _CURVES.get((str(jwk.get("kty")), str(jwk.get("crv"))), ("", 0))
    if not suite:
        raise Undecidable("this kind of key is not known here", actual=f"{jwk.get('kty')} {jwk.get('crv')}")
    x = _coordinate(jwk.get("x"), size)
    if suite == keys.ED25519:
        return keys.public_key(suite, x)
    y = _coordinate(jwk.get("y"), size)
    key = keys.public_key(suite, bytes([2 + (y[-1] & 1)]) + x)
    return key


def _coordinate(text: object, size: int) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if type(text) is str else b""
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size:
        raise BadInput("unreadable JSON Web Key", expected=f"a coordinate of {size} bytes in base64url", actual=text)
    return data


def _methods(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The document's methods, those embedded in a relationship too."""
    found: list[Mapping[str, Any]] = []
    for name in ("verificationMethod", ASSERTION, AUTHENTICATION):
        items = document.get(name, [])
        if type(items) is not list:
            raise BadInput("unreadable DID document", expected=f"a list under {name}", actual=type(items).__name__)
        found += [item for item in items if type(item) is dict]
    return found


def _names(document: Mapping[str, Any], did: str, relationship: str) -> list[str | None]:
    items = document.get(relationship, [])
    return [_absolute(did, item) for item in items if type(item) is str] if type(items) is list else []


def _absolute(did: str, name: object) -> str | None:
    if type(name) is not str:
        return None
    return did + name if name.startswith("#") else name
