"""What others wrote, read strictly: JSON of any spelling, DSSE envelopes of any payload, public keys in PEM.

Foreign JSON need not be canonical, but nothing in it may be said twice and it may not nest without end. Sources: DSSE
v1 (https://github.com/secure-systems-lab/dsse), in-toto Statement v1, RFC 5280 for keys.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from troth.core.claims import STATEMENT_TYPE, Signature, pae
from troth.core.encoding import MAX_DEPTH
from troth.core.errors import BadInput, Refuted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

IN_TOTO = "application/vnd.in-toto+json"
MAX_DOCUMENT = 64 << 20
MAX_KEY = 1 << 16
CURVES = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}
"""The NIST curves that are read, by the library's name: each signs with the SHA-2 of its own strength."""


def read_json(data: bytes, *, limit: int = MAX_DOCUMENT, depth: int = MAX_DEPTH) -> Any:
    """JSON as others write it: any spacing, any order of keys, floats too.

    Raises BadInput for more than ``limit`` bytes, nesting beyond ``depth``, duplicate keys, and what is no JSON.
    """
    if len(data) > limit:
        raise BadInput("document too long", expected=f"at most {limit} bytes", actual=len(data))
    try:
        # First a parser that bounds nesting by itself: the standard one recurses as deep as the interpreter lets it.
        orjson.loads(data)
        value = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadInput("not JSON in UTF-8", actual=error) from None
    _check_depth(value, depth)
    return value


def read_object(data: bytes, *, limit: int = MAX_DOCUMENT) -> dict[str, Any]:
    """``read_json``, and the result must be an object."""
    return _object(read_json(data, limit=limit), "the document")


@dataclass(frozen=True, slots=True)
class ForeignEnvelope:
    """A DSSE envelope as somebody made it. The payload stays the bytes that were signed."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def of(cls, value: Any) -> ForeignEnvelope:
        """From an envelope's JSON value. Raises BadInput without payload, payload type and a signature."""
        body = _object(value, "the envelope")
        payload, kind, signatures = body.get("payload"), body.get("payloadType"), body.get("signatures")
        if type(payload) is not str or type(kind) is not str or type(signatures) is not list or not signatures:
            raise BadInput("not a DSSE envelope", expected="payload, payloadType and at least one signature",
                           actual=sorted(body))
        found = []
        for item in signatures:
            one = _object(item, "a signature")
            keyid, sig = one.get("keyid") or "", one.get("sig")
            if type(keyid) is not str or type(sig) is not str:
                raise BadInput("not a DSSE signature", expected="sig as text, keyid as text or nothing",
                               actual=sorted(one))
            found.append(Signature(keyid, from_any_base64(sig)))
        return cls(kind, from_any_base64(payload), tuple(found))

    @property
    def id(self) -> bytes:
        """As a claim's id: SHA-256 of the pre-authentication encoding."""
        return sha256(self.signed_bytes()).digest()

    def signed_bytes(self) -> bytes:
        """What the signatures are over."""
        return pae(self.payload_type, self.payload)

    def statement(self) -> ForeignStatement:
        """The payload as an in-toto Statement v1. Raises BadInput."""
        if self.payload_type != IN_TOTO:
            raise BadInput("not an in-toto statement", expected=IN_TOTO, actual=self.payload_type)
        return ForeignStatement.of(self.payload)

    def signed_by(self, key: ForeignKey) -> None:
        """Check that one of the signatures is this key's. Raises Refuted."""
        if not any(key.signed(self.signed_bytes(), one.value) for one in self.signatures):
            raise Refuted("no signature is this key's", expected=key.name,
                          actual=f"{len(self.signatures)} signatures by others, or over something else")


@dataclass(frozen=True, slots=True)
class ForeignStatement:
    """An in-toto Statement v1 with any predicate. ``subjects``: (name, digests by algorithm)."""

    predicate_type: str
    subjects: tuple[tuple[str, Mapping[str, str]], ...]
    predicate: Mapping[str, Any]

    @classmethod
    def of(cls, payload: bytes) -> ForeignStatement:
        """Read a payload. Raises BadInput where type, subjects with digests or the predicate's type are not there."""
        body = read_object(payload)
        kind, predicate = body.get("predicateType"), body.get("predicate", {})
        if body.get("_type") != STATEMENT_TYPE or type(kind) is not str or type(predicate) is not dict:
            raise BadInput("not an in-toto Statement v1", expected=STATEMENT_TYPE, actual=body.get("_type"))
        subjects = body.get("subject")
        if type(subjects) is not list or not subjects:
            raise BadInput("statement about nothing", expected="at least one subject", actual=subjects)
        found = []
        for item in subjects:
            one = _object(item, "a subject")
            digests, name = one.get("digest"), one.get("name", "")
            if (type(digests) is not dict or not digests or type(name) is not str
                    or any(type(value) is not str or not value for value in digests.values())):
                raise BadInput("subject without digests", expected="algorithm to hex", actual=digests)
            found.append((name, digests))
        return cls(kind, tuple(found), predicate)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A public key in PEM: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA (PKCS #1 v1.5, SHA-256, 2048 bits up)."""

    _key: PublicKeyTypes

    @classmethod
    def of(cls, pem: bytes) -> ForeignKey:
        """Read a public key, or the key of a certificate. Raises BadInput for anything but the kinds above."""
        if len(pem) > MAX_KEY:
            raise BadInput("not a public key", expected=f"at most {MAX_KEY} bytes", actual=len(pem))
        # Imported here: OpenSSL's bindings are needed by those who check signatures, not by `troth --help`.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from cryptography.x509 import load_pem_x509_certificate

        try:
            key = (load_pem_x509_certificate(pem).public_key() if b"BEGIN CERTIFICATE" in pem
                   else load_pem_public_key(pem))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadInput("not a public key", expected="PEM, SubjectPublicKeyInfo", actual=error) from None
        return cls.checked(key)

    @classmethod
    def checked(cls, key: PublicKeyTypes) -> ForeignKey:
        """Of a loaded key. Raises BadInput for a kind or a size that is not read."""
        # Imported here for the same reason.
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
            return cls(key)
        if isinstance(key, ed25519.Ed25519PublicKey) or (
                isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048):
            return cls(key)
        raise BadInput("a key of a kind that is not read", actual=type(key).__name__,
                       expected="P-256, P-384, P-521, Ed25519 or RSA from 2048 bits")

    @property
    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        # Imported here for the same reason.
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def name(self) -> str:
        """What a link claim calls the issuer: the SHA-256 of SubjectPublicKeyInfo in DER."""
        # Imported here for the same reason.
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"spki:sha256:{sha256(der).hexdigest()}"

    @property
    def is_nist_curve(self) -> bool:
        """Whether it is one of the curves that model signing allows."""
        # Imported here for the same reason.
        from cryptography.hazmat.primitives.asymmetric import ec

        return isinstance(self._key, ec.EllipticCurvePublicKey)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed the message; the algorithm is the key's own, never the message's."""
        # Imported here for the same reason.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, message, curve_hash(self._key.curve.name))
            elif isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            elif isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(signature, message, padding.PKCS1v15(), SHA256())
            else:
                return False
        except InvalidSignature:
            return False
        return True


def curve_hash(curve: str) -> ECDSA:
    """ECDSA with the hash that goes with a curve: SHA-256 for P-256, SHA-384 for P-384, SHA-512 for P-521."""
    # Imported here for the same reason.
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA({256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[CURVES[curve]])


def from_any_base64(text: str) -> bytes:
    """Bytes from base64 in the standard or the URL-safe alphabet, padded, as DSSE allows. Raises BadInput."""
    plain = text.translate(str.maketrans("-_", "+/"))
    try:
        data = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data).decode() != plain:
        raise BadInput("not base64", actual=text[:40])
    return data


def _object(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise BadInput(f"{what} is not an object", expected="{…}", actual=type(value).__name__)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("duplicate keys in a JSON object", expected="each key once")
    return found


def _check_depth(value: Any, depth: int) -> None:
    level = [value]
    for _ in range(depth + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    raise BadInput("nested too deeply", expected=f"at most {depth} levels")
