"""Identity tokens of workloads (OpenID Connect), checked offline against keys that the reader pins.

Sources: RFC 7515 (JWS, compact), RFC 7517 (JWK), RFC 7518 (RS256, ES256), RFC 7519 (JWT), OpenID Connect Core 1.0. The
algorithm is the pinned key's, never the message's: ``none``, HMAC and every other one are refused. No error's message
holds a token or a part of its payload.

A token binds a key in one of two ways: its audience is ``audience_of(did)``, which an issuer such as GitHub lets a job
choose; or its ``nonce`` is the key's DID and its audience the one that the reader pins.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from troth.core.encoding import MAX_INT
from troth.core.errors import BadInput, Refuted, Undecidable

AUDIENCE = "urn:troth:workload:"
MAX_TOKEN = 16 << 10
MAX_LIFETIME = 86_400
SKEW = 60
"""Seconds by which the clocks of an issuer and a workload may differ."""
RS256, ES256 = "RS256", "ES256"
Verifier = Callable[[bytes, bytes], bool]


def audience_of(did: str) -> str:
    """The audience of a token that binds this key."""
    return AUDIENCE + did


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A pinned key of an issuer: its id, the one algorithm it is for, and its check of (message, signature)."""

    kid: str
    algorithm: str
    _verify: Verifier

    @classmethod
    def of(cls, jwk: Any) -> TokenKey:
        """From a public JSON Web Key: RSA from 2048 bits (RS256) or P-256 (ES256). Raises BadInput for any other."""
        if type(jwk) is not dict or any(type(value) is not str for key, value in jwk.items() if key != "x5c"):
            raise BadInput("not a JSON Web Key", expected="an object of texts")
        kid, kind = jwk.get("kid"), jwk.get("kty")
        if type(kid) is not str or not kid or "d" in jwk or "k" in jwk:
            raise BadInput("not a public key with an id", expected="kid, and no secret member")
        if kind == "RSA":
            found, verify = RS256, _rsa(jwk)
        elif kind == "EC" and jwk.get("crv") == "P-256":
            found, verify = ES256, _p256(jwk)
        else:
            raise BadInput("a key of a kind that is not read", expected="RSA or EC on P-256", actual=kind)
        if jwk.get("alg", found) != found or jwk.get("use", "sig") != "sig":
            raise BadInput("a key for something else", expected=f"{found} signatures", actual=jwk.get("alg"))
        return cls(kid, found, verify)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed."""
        return self._verify(message, signature)


@dataclass(frozen=True, slots=True)
class Token:
    """What a checked token says: who issued it, whom it is about, when, and everything else in it."""

    issuer: str
    subject: str
    issued_at: int
    expires_at: int
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """An issuer as the reader pins it. audience: the one of tokens that bind a key by ``nonce``; None for none.

    require: claims that must have these values, such as ``{"repository": "org/repo", "ref": "refs/heads/main"}``.
    """

    issuer: str
    keys: tuple[TokenKey, ...]
    audience: str | None
    require: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.issuer.startswith("https://") or not self.keys:
            raise BadInput("not an issuer", expected="an https address and at least one key", actual=self.issuer)
        if len({key.kid for key in self.keys}) != len(self.keys):
            raise BadInput("two keys of one id", expected="distinct kids")
        if not self.require:
            # Without one, every job of every customer of a public issuer would do.
            raise BadInput("an issuer without a required claim", expected="sub, repository or another",
                           do="Name what the workload must be.")

    def check(self, data: bytes, did: str, at: int) -> Token:
        """The token, after these checks; ``did``: whose key it must bind; ``at``: when it was used, Unix seconds.

        1. It is a compact JWS of a JSON object, with nothing said twice. Otherwise BadInput.
        2. Its key is pinned (otherwise Undecidable), its algorithm is that key's, and the key signed it.
        3. Its issuer is this one.
        4. It binds the key.
        5. It was in force at that time.
        6. Its subject is named, and what is required is so. Otherwise, for 2 to 6: Refuted.
        """
        header, claims, message, signature = _split(data)
        kid = header.get("kid")
        key = next((one for one in self.keys if one.kid == kid), None)
        if key is None:
            raise Undecidable("the token is signed by a key that the trust file does not pin",
                              expected=", ".join(one.kid for one in self.keys),
                              do="Pin the issuer's key of that time, if you believe it.")
        if header.get("alg") != key.algorithm or "crit" in header:
            raise Refuted("the token names another algorithm than its key's", expected=key.algorithm,
                          actual=str(header.get("alg"))[:20])
        if not key.signed(message, signature):
            raise Refuted("the token is not signed by its issuer's key", expected=key.kid)
        if claims.get("iss") != self.issuer:
            raise Refuted("a token of another issuer", expected=self.issuer)
        if not binds(claims, did, self.audience):
            raise Refuted("the token binds another key", expected=audience_of(did),
                          do="A token is for one key; a copied one is worth nothing.")
        issued, expires = in_force(claims, at)
        subject = claims.get("sub")
        if type(subject) is not str or not subject:
            raise Refuted("a token about nobody", expected="sub")
        for name, value in self.require.items():
            if claims.get(name) != value:
                raise Refuted(f"the workload's {name} is another", expected=value)
        return Token(self.issuer, subject, issued, expires, claims)


def binds(claims: Mapping[str, Any], did: str, audience: str | None) -> bool:
    """Whether a token's claims bind this key; exactly one audience, alone or in a list."""
    named = claims.get("aud")
    one = named[0] if type(named) is list and len(named) == 1 else named
    return one == audience_of(did) or (audience is not None and one == audience and claims.get("nonce") == did)


def in_force(claims: Mapping[str, Any], at: int) -> tuple[int, int]:
    """(iat, exp) of a token that was in force at ``at``. Raises Refuted."""
    times = claims.get("iat"), claims.get("exp"), claims.get("nbf", claims.get("iat"))
    if any(type(value) is not int or not 0 <= value <= MAX_INT for value in times):
        raise Refuted("a token without proper times", expected="iat and exp as whole seconds")
    issued, expires, not_before = map(int, times)
    if not issued < expires <= issued + MAX_LIFETIME:
        raise Refuted("a token that stands too long", expected=f"at most {MAX_LIFETIME} s",
                      actual=f"{expires - issued} s")
    if not max(issued, not_before) - SKEW <= at <= expires + SKEW:
        raise Refuted("the token was not in force when the claim was issued", expected=f"{issued} to {expires}",
                      actual=at)
    return issued, expires


def claims_unchecked(data: bytes) -> Mapping[str, Any]:
    """What a token says, by nobody's word: for whoever just asked for it and wants to see that it fits."""
    return _split(data)[1]


def read_issuer(value: Any) -> TokenIssuer:
    """An issuer from a trust file: issuer, audience (or null), keys, require; exactly these. Raises BadInput."""
    fields = {"audience", "issuer", "keys", "require"}
    if type(value) is not dict or value.keys() != fields:
        raise BadInput("not a token issuer", expected=sorted(fields),
                       actual=sorted(map(str, value)) if type(value) is dict else type(value).__name__)
    issuer, audience, keys, require = value["issuer"], value["audience"], value["keys"], value["require"]
    if (type(issuer) is not str or type(audience) not in (str, type(None)) or type(keys) is not list
            or type(require) is not dict or any(type(one) is not str for one in require.values())):
        raise BadInput("not a token issuer", expected="texts, a list of keys, required claims as texts")
    return TokenIssuer(issuer, tuple(map(TokenKey.of, keys)), audience, require)


def _split(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """(header, claims, signed bytes, signature) of a compact JWS. Raises BadInput, without quoting any of it."""
    parts = data.split(b".")
    if len(data) > MAX_TOKEN or len(parts) != 3 or not data.isascii():
        raise BadInput("not a token", expected=f"three parts, at most {MAX_TOKEN} bytes")
    return _json(parts[0]), _json(parts[1]), parts[0] + b"." + parts[1], _base64url(parts[2])


def _json(part: bytes) -> dict[str, Any]:
    data = _base64url(part)
    try:
        orjson.loads(data)  # bounds the nesting, as the standard parser does not
        value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not dict:
        raise BadInput("not a token", expected="JSON objects, nothing said twice")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _base64url(part: bytes | str) -> bytes:
    """Bytes from canonical base64url without padding. Raises BadInput."""
    text = part.encode() if isinstance(part, str) else part
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.urlsafe_b64encode(data).rstrip(b"=") != text:
        raise BadInput("not canonical base64url")
    return data


def _member(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if type(value) is not str:
        raise BadInput("an incomplete JSON Web Key", expected=name)
    return _base64url(value)


def _rsa(jwk: Mapping[str, Any]) -> Verifier:
    # Imported here: OpenSSL's bindings are needed by those who check signatures, not by `troth --help`.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    modulus, exponent = (int.from_bytes(_member(jwk, name)) for name in ("n", "e"))
    if not 2048 <= modulus.bit_length() <= 8192 or not 3 <= exponent < 1 << 32:
        raise BadInput("an RSA key of a size that is not read", expected="2048 to 8192 bits")
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        raise BadInput("not an RSA key") from None

    def verify(message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True
    return verify


def _p256(jwk: Mapping[str, Any]) -> Verifier:
    # Imported here for the same reason.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    x, y = _member(jwk, "x"), _member(jwk, "y")
    if (len(x), len(y)) != (32, 32):
        raise BadInput("not a point on P-256", expected="32 bytes each")
    try:
        key = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()
    except ValueError:
        raise BadInput("not a point on P-256") from None

    def verify(message: bytes, signature: bytes) -> bool:
        """Whether this key signed the message, by ECDSA with SHA-256 as JWS has it."""
        if len(signature) != 64:  # RFC 7518 section 3.4: r and s, 32 bytes each
            return False
        whole = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        try:
            key.verify(whole, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True
    return verify
