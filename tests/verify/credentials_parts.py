"""Issuers, holders and credentials for the tests: made from fixed seeds."""

from __future__ import annotations

import json
from typing import Any

from troth.identity import did as dids
from troth.identity import integrity as di
from troth.identity import keys
from troth.identity.credentials import CONTEXT, CREDENTIAL, PRESENTATION
from troth.identity.jsondoc import time_text
from troth.identity.methods import AUTHENTICATION
from troth.identity.party import DocumentParty
from troth.identity.statuslist import REVOCATION, StatusBits, StatusEntry, list_document
from troth.verify.credentials import Believed, Issuer

NOW = 1_800_000_000
LIST = "https://issuer.example/status/1"
DOMAIN, CHALLENGE = "verifier.example", "c-1"


def party(number: int, hybrid: bool = True) -> DocumentParty:
    """A party that signs documents."""
    return DocumentParty.create("hybrid" if hybrid else "ed25519", lambda size: bytes([number]) * size)


ISSUER, HOLDER, THIEF = party(1), party(2), party(3, hybrid=False)


def credential(**more: Any) -> dict[str, Any]:
    """An unsecured credential about the holder."""
    found = {"@context": [CONTEXT], "type": [CREDENTIAL, "SkillCredential"], "issuer": ISSUER.did,
             "validFrom": time_text(NOW - 100), "credentialSubject": {"id": HOLDER.short, "skill": "weaving"}}
    return {name: value for name, value in (found | more).items() if value is not None}


def issued(by: DocumentParty = ISSUER, **more: Any) -> dict[str, Any]:
    """``credential``, signed."""
    return di.secure(credential(**more), by.keys, di.Options(NOW - 100))


def presented(*credentials: dict[str, Any], by: DocumentParty = HOLDER, domain: str = DOMAIN,
              challenge: str = CHALLENGE, **more: Any) -> dict[str, Any]:
    """A presentation for one verifier."""
    document = {"@context": [CONTEXT], "type": [PRESENTATION], "holder": by.did,
                "verifiableCredential": list(credentials)} | more
    return di.secure(document, by.keys, di.Options(NOW, AUTHENTICATION, domain, challenge))


def status_list(set_: tuple[int, ...] = (), by: DocumentParty = ISSUER, list_id: str = LIST, purpose: str = REVOCATION,
                now: int = NOW - 50, lasts: int = 86_400) -> bytes:
    """A signed status list."""
    bits = StatusBits()
    for index in set_:
        bits[index] = True
    return json.dumps(di.secure(list_document(list_id, by.did, purpose, bits, now, lasts), by.keys,
                                di.Options(now))).encode()


def entry(index: int = 7, purpose: str = REVOCATION) -> dict[str, str]:
    """Where a credential's status stands."""
    return StatusEntry(purpose, index, LIST).json()


def believed(**more: Any) -> Believed:
    """A verifier that believes the issuer."""
    return Believed(**({"now": NOW, "issuers": {ISSUER.short: Issuer()}} | more))


def key_of(seed: int) -> di.MethodKey:
    """An Ed25519 did:key that signs."""
    pair = keys.key_pair(keys.ED25519, bytes([seed]) * 32)
    return di.MethodKey(dids.key_method(dids.key_did(pair.public)), pair)
