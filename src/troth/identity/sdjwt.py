"""SD-JWT credentials and OpenID4VP answers through ``openvc-core`` (extra ``openvc``, LGPL-3, never copied).

SD-JWT (RFC 9901): the issuer signs digests, the holder shows what it chooses, and signs with its key (key binding) for
one audience and one nonce. OpenID4VP: a verifier asks by a DCQL query, the wallet answers with a ``vp_token``. What is
wired here is what two parties with ``did:key`` identities of Ed25519 need; the library can do more.

The library's errors become ours: not proven is Refuted, not to be checked is Undecidable, not yet is Pending.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeVar

from troth.core.encoding import read_foreign
from troth.core.errors import BadInput, Misuse, Pending, Refuted, Undecidable
from troth.identity import did as dids
from troth.identity import keys
from troth.identity.integrity import MethodKey
from troth.identity.methods import did_of

INSTALL = "Run: pip install 'troth[openvc]'"
FORMAT = "dc+sd-jwt"
MAX_TEXT = 1 << 20
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a checked presentation says: the claims disclosed, by which issuer, of which type, by which holder key."""

    claims: Mapping[str, Any]
    issuer: str
    vct: str
    holder: str


class _JoseKey:
    """One of our keys as the library's signing key."""

    alg = "EdDSA"

    def __init__(self, key: MethodKey) -> None:
        if key.suite != keys.ED25519 or not key.method.startswith(dids.KEY):
            raise Misuse("SD-JWT is signed here by an Ed25519 did:key", actual=f"{key.suite} of {key.method[:40]}",
                         do="Make one: troth credential id --new ed25519.")
        self._key = key

    @property
    def kid(self) -> str:
        """The verification method."""
        return self._key.method

    def sign(self, signing_input: bytes) -> bytes:
        """Raw signature."""
        return self._key.sign(signing_input)

    def public_jwk(self) -> dict[str, Any]:
        """Public JSON Web Key (RFC 8037)."""
        return _jwk(self._key.pair.public)


def issue(claims: Mapping[str, Any], vct: str, key: MethodKey, holder: str, disclosable: Iterable[str],
          lasts: int) -> str:
    """An SD-JWT credential of type ``vct`` for a holder's ``did:key``, good for ``lasts`` seconds.

    disclosable: the top-level claims that the holder may keep back. Raises Misuse for a key that is no Ed25519
    ``did:key`` or claims that must not be kept back.
    """
    suite = _openvc("proof.sd_jwt").SdJwtVcProofSuite()
    body = {"iss": did_of(key.method), "sub": holder, **claims}
    signer, bound = _JoseKey(key), _jwk(_ed25519(holder))
    try:
        made: str = suite.issue(body, signing_key=signer, disclosable=tuple(disclosable), holder_jwk=bound, vct=vct,
                                expires_in_s=lasts)
    except _openvc("errors").OpenvcError as error:
        raise Misuse("this cannot be issued as an SD-JWT credential", actual=error) from None
    return made


def disclosures(sd_jwt: str) -> dict[str, str]:
    """Each claim that the holder may show or keep back, with the piece of text that shows it. Raises BadInput."""
    found = {}
    for part in sd_jwt.split("~")[1:-1]:
        try:
            value = read_foreign(b'{"x":' + base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) + b"}", MAX_TEXT)
        except ValueError:
            raise BadInput("unreadable disclosure", actual=part[:24]) from None
        if type(value["x"]) is list and len(value["x"]) == 3 and type(value["x"][1]) is str:
            found[value["x"][1]] = part
    return found


def present(sd_jwt: str, show: Iterable[str], key: MethodKey, audience: str, nonce: str) -> str:
    """The credential with these claims shown and no others, bound to one audience and nonce by the holder's key.

    Raises Misuse for a claim that is not there to be shown.
    """
    pieces, wanted = disclosures(sd_jwt), tuple(show)
    missing = [name for name in wanted if name not in pieces]
    if missing:
        raise Misuse("no such claim to show", expected=", ".join(pieces), actual=", ".join(missing))
    chosen = "~".join((sd_jwt.split("~")[0], *(pieces[name] for name in wanted), ""))
    suite = _openvc("proof.sd_jwt").SdJwtVcProofSuite()
    made: str = suite.create_presentation(chosen, holder_key=_JoseKey(key), audience=audience, nonce=nonce)
    return made


def query(name: str, vct: str) -> dict[str, Any]:
    """A DCQL query for one SD-JWT credential of a type, with holder binding."""
    return {"credentials": [{"id": name, "format": FORMAT, "meta": {"vct_values": [vct]},
                             "require_cryptographic_holder_binding": True}]}


def answer(name: str, presentation: str) -> str:
    """The ``vp_token`` that answers ``query``."""
    return json.dumps({name: [presentation]})


def check(vp_token: str, asked: Mapping[str, Any], audience: str, nonce: str, issuers: Sequence[str], now: int,
          ) -> tuple[Shown, ...]:
    """What a ``vp_token`` shows, if it answers the query ``asked`` for this audience and nonce.

    issuers: the ``did:key`` identities that are believed. now: Unix seconds. A nonce must be taken once: the caller
    keeps it. Raises Refuted for what is wrong, expired, or bound to another request; Pending for what is not good yet;
    Undecidable for an issuer that is not believed; BadInput for what is no answer.
    """
    if len(vp_token) > MAX_TEXT:
        raise BadInput("an answer too long", expected=f"at most {MAX_TEXT} letters", actual=len(vp_token))
    library = _openvc("openid4vp")
    registry = _openvc("did.base").DidResolverRegistry([_openvc("did.did_key").DidKeyResolver()])
    found = _translated(lambda: library.verify_vp_token(
        vp_token, dcql_query=asked, nonce=nonce, client_id=audience, resolver=registry,
        now=datetime.fromtimestamp(now, UTC), require_holder_binding=True))
    shown = []
    for one in found.presentations:
        raw = one.raw
        if not getattr(raw, "key_bound", False) or raw.confirmation is None:
            raise Refuted("a presentation without the holder's key", expected="key binding")
        if raw.issuer not in issuers:
            raise Undecidable("consistent with itself; nobody you trust vouches for it", actual=raw.issuer)
        shown.append(Shown(raw.claims, raw.issuer, str(raw.vct), str(raw.claims.get("sub"))))
    return tuple(shown)


def _translated(act: Callable[[], _T]) -> _T:
    """The library's answer, its errors as ours."""
    errors, shapes = _openvc("errors"), _openvc("openid4vp")
    try:
        return act()
    except (errors.KeyResolutionFailed, shapes.UnsupportedPresentationFormat) as error:
        raise Undecidable("this presentation cannot be checked here", actual=error) from None
    except shapes.VpTokenMalformed as error:
        raise BadInput("not an answer to the query", actual=error) from None
    except errors.OpenvcError as error:
        # It says so only after the signatures of issuer and holder held; there is no class of its own for it.
        if "not yet valid" in str(error):
            raise Pending("not yet good", actual=error) from None
        raise Refuted("a presentation that does not hold", actual=error) from None


def _openvc(name: str) -> Any:
    """A module of the library. Raises Misuse with the install hint where it is not there."""
    try:
        return import_module(f"openvc.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("openvc"):
            raise
        raise Misuse("SD-JWT and OpenID4VP need openvc-core", do=INSTALL) from None


def _ed25519(did: str) -> keys.PublicKey:
    key = dids.read_key_did(did)
    if key.suite != keys.ED25519:
        raise Misuse("SD-JWT is bound here to an Ed25519 did:key", actual=f"{key.suite} of {did[:40]}")
    return key


def _jwk(key: keys.PublicKey) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(key.raw).rstrip(b"=").decode()}
