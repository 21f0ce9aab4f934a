"""An agent's card, as A2A 1.0 has it: who it is, where it is reached, what it can do; signed by its identity.

The card is written and checked here without A2A's library, whose own readers take it (tests/agents/test_card.py). Two
signatures over the same bytes, of which an A2A client checks the first and a reader of Troth both:

- the JWS that A2A asks for (RFC 7515, detached payload: the card's RFC 8785 form without empty members and without
  signatures), by the identity's Ed25519 key;
- in that JWS's unprotected header, the signatures of every suite that the identity's document asks for.

The extension ``urn:troth:agent:v1`` names the identity and carries its documents, so that a reader who never met the
agent can check them: the identifier is a hash of the first one. A card proves who speaks, not that it is true.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from troth.core.claims import from_base64
from troth.core.encoding import encode, jcs_of, read_foreign
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.ports import Signer
from troth.core.version import VERSION
from troth.identity.documents import DocumentHistory
from troth.identity.keybook import KeyBook
from troth.identity.messages import documents_from_bytes, documents_to_bytes
from troth.ledger.loopback import LoopbackHandler, LoopbackServer

WELL_KNOWN = "/.well-known/agent-card.json"
EXTENSION = "urn:troth:agent:v1"
MAX_CARD = 1 << 18
ED25519_SIZE = 64


@dataclass(frozen=True, slots=True)
class Skill:
    """What the agent can do, for people and for programs that choose among agents."""

    id: str
    name: str
    about: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the agent is reached. binding: ``JSONRPC``, ``HTTP+JSON``, ``GRPC``, or a name such as ``MCP``."""

    url: str
    binding: str
    version: str


def card(name: str, about: str, places: Sequence[Place], skills: Sequence[Skill],
         history: DocumentHistory) -> dict[str, Any]:
    """An unsigned card of the identity with these documents, as A2A's JSON."""
    documents = documents_to_bytes(history.documents[0].to_bytes(), history.rotations).decode()
    return {
        "name": name, "description": about, "version": VERSION,
        "supportedInterfaces": [{"url": one.url, "protocolBinding": one.binding, "protocolVersion": one.version}
                                for one in places],
        "capabilities": {"extensions": [{
            "uri": EXTENSION, "description": "Who this agent is: claims by this identity are its own.",
            "params": {"did": history.did, "documents": documents}}]},
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{"id": one.id, "name": one.name, "description": one.about, "tags": list(one.tags)}
                   for one in skills]}


def signed_card(unsigned: Mapping[str, Any], signer: Signer) -> bytes:
    """The card with its signature. Raises Misuse where the signer is not the identity that the card names, or has no
    Ed25519 key: A2A's readers could check nothing.
    """
    did = _identity(unsigned)[0]
    if did != signer.did:
        raise Misuse("a card is signed by the identity that it names", expected=did, actual=signer.did)
    kid = signer.sign(b"")[0][0]
    protected = _base64url(encode({"alg": "EdDSA", "kid": kid, "typ": "JOSE"}))
    signatures = signer.sign(_input(protected, unsigned))
    if len(signatures[0][1]) != ED25519_SIZE:
        raise Misuse("a card's first signature is Ed25519", actual=kid)
    every = [{"method": method, "value": base64.b64encode(value).decode()} for method, value in signatures]
    return encode({**unsigned, "signatures": [{"protected": protected, "signature": _base64url(signatures[0][1]),
                                               "header": {EXTENSION: every}}]})


def check_card(data: bytes, known: DocumentHistory | None = None) -> tuple[str, dict[str, Any]]:
    """(identity, card), after these checks. known: what the reader knows of this identity already.

    1. It is a JSON object, at most 256 KiB, nothing said twice, with one signature of ours. Otherwise BadInput.
    2. Its documents begin the identity that it names, and go on from what is known. Otherwise Refuted.
    3. Every suite of the newest document signed the card as it is, and the JWS is the first of these signatures.
       Otherwise Refuted.

    Whether the agent is still the one reached at its address, and whether it does what its skills say: not checked.
    """
    value = read_foreign(data, MAX_CARD)
    if not isinstance(value, dict):
        raise BadInput("not a card", expected="an object", actual=type(value).__name__)
    unsigned = {name: item for name, item in value.items() if name != "signatures"}
    did, documents = _identity(unsigned)
    history = documents_from_bytes(documents.encode(), known)
    if history.did != did:
        raise Refuted("the card's documents are another identity's", expected=did, actual=history.did)
    protected, first, every = _signature(value.get("signatures"))
    if every[0] != (_kid(protected), first):
        raise Refuted("the card's JWS is not the identity's first signature")
    KeyBook([history]).verify(did, _input(protected, unsigned), every)
    return did, unsigned


def _identity(unsigned: Mapping[str, Any]) -> tuple[str, str]:
    found = unsigned.get("capabilities")
    extensions = found.get("extensions") if isinstance(found, dict) else None
    ours = [one for one in extensions if isinstance(one, dict) and one.get("uri") == EXTENSION] \
        if isinstance(extensions, list) else []
    params = ours[0].get("params") if len(ours) == 1 else None
    did, documents = (params.get("did"), params.get("documents")) if isinstance(params, dict) else (None, None)
    if not isinstance(did, str) or not isinstance(documents, str):
        raise BadInput("a card that names no identity", expected=f"one extension {EXTENSION}, with did and documents")
    return did, documents


def _signature(value: Any) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    try:
        (one,) = value
        protected, first, every = one["protected"], one["signature"], one["header"][EXTENSION]
        if type(protected) is not str or type(first) is not str or not every:
            raise TypeError
        return protected, _unbase64url(first), [(str(item["method"]), from_base64(item["value"])) for item in every]
    except (KeyError, TypeError, ValueError):
        raise BadInput("not signed as cards are here", expected="one JWS with every suite's signature in its header",
                       ) from None


def _kid(protected: str) -> str:
    header = read_foreign(_unbase64url(protected), MAX_CARD)
    if not isinstance(header, dict) or header.keys() != {"alg", "kid", "typ"} or header["alg"] != "EdDSA":
        raise Refuted("a JWS of another form", expected="alg EdDSA, kid and typ alone")
    return str(header["kid"])


def _input(protected: str, unsigned: Mapping[str, Any]) -> bytes:
    return f"{protected}.{_base64url(jcs_of(_filled(dict(unsigned))))}".encode()


def _filled(value: Any) -> Any:
    """Without empty texts, lists and objects, as A2A signs: its wire format cannot tell them from absent ones."""
    if isinstance(value, dict):
        kept = {name: _filled(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ("", [], {}, None)}
    if isinstance(value, list):
        return [item for item in map(_filled, value) if item not in ("", [], {}, None)]
    return value


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64url(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64url(data) != text:
        raise BadInput("not canonical base64url")
    return data


class CardServer(LoopbackServer):
    """Serves a card on 127.0.0.1 where A2A's readers look for it, until closed. Raises OutsideFailed."""

    def __init__(self, data: bytes, port: int = 0) -> None:
        self.card = json.dumps(json.loads(data)).encode()
        super().__init__(_Cards, port)


class _Cards(LoopbackHandler):
    server: CardServer

    def do_GET(self) -> None:
        """The card, and nothing else."""
        stranger = self.stranger()
        if stranger:
            self.refuse(*stranger)
        elif self.path != WELL_KNOWN:
            self.refuse(HTTPStatus.NOT_FOUND, "only the agent's card is here")
        else:
            self.answer(HTTPStatus.OK, "application/json", self.server.card)
