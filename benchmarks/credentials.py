"""Credentials verified, shown and checked against status lists per second, beside the raw cost of their signatures.

Every rate is the best of several passes over the same distinct documents, one thread; the bare signatures run in the
same passes. A ratio of 1 would mean that reading, canonicalising and resolving cost nothing.

Run: python -m benchmarks credentials
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.claims import rates
from troth.core.verdicts import Outcome
from troth.identity import integrity as di
from troth.identity.credentials import CONTEXT, CREDENTIAL, PRESENTATION
from troth.identity.jsondoc import time_text
from troth.identity.methods import AUTHENTICATION
from troth.identity.party import DocumentParty
from troth.identity.statuslist import REVOCATION, StatusBits, StatusEntry, list_document
from troth.verify.credentials import Believed, Issuer, Remembered, verify_credential, verify_presentation

NOW, LIST = 1_800_000_000, "https://issuer.example/status/1"
DOMAIN = "verifier.example"


def run(quick: bool = False) -> dict[str, Any]:
    """Rates a second by kind of identity, and their ratios to bare signatures."""
    count, passes = (20, 3) if quick else (100, 5)
    return {kind: _of(kind, count, passes) for kind in ("ed25519", "hybrid")}


def _of(kind: str, count: int, passes: int) -> dict[str, Any]:
    issuer, holder = (DocumentParty.create(kind, lambda size, seed=seed: bytes([seed]) * size) for seed in (1, 2))
    made = [_credential(issuer, holder, index) for index in range(count)]
    listed = json.dumps(di.secure(list_document(LIST, issuer.did, REVOCATION, _bits(), NOW - 9), issuer.keys,
                                  di.Options(NOW - 9))).encode()
    believed = Believed(NOW, {issuer.short: Issuer()}, lists=lambda _: listed)
    kept = Believed(NOW, {issuer.short: Issuer()}, lists=lambda _: listed, remembered=Remembered())
    bare = [{name: value for name, value in di.unsecured(one).items() if name != "credentialStatus"} for one in made]
    plain = [di.secure(one, issuer.keys, di.Options(NOW)) for one in bare]
    shown = [_presentation(holder, one) for one in plain]
    assert verify_credential(made[0], believed).outcome is verify_credential(plain[0], kept).outcome is Outcome.UPHELD
    assert verify_presentation(shown[0], believed, DOMAIN, "c").outcome is Outcome.UPHELD
    messages = [index.to_bytes(64, "big") for index in range(count)]
    signed = [(message, tuple(key.sign(message) for key in issuer.keys)) for message in messages]
    bits = _bits()
    found = rates({
        "bare signatures made": (lambda message: [key.sign(message) for key in issuer.keys], messages),
        "bare signatures checked": (lambda one: [key.pair.public.verify(one[0], value) for key, value in
                                                 zip(issuer.keys, one[1], strict=True)], signed),
        "issue": (lambda index: _credential(issuer, holder, index), range(count)),
        "verify": (lambda one: verify_credential(one, believed), plain),
        "verify with status": (lambda one: verify_credential(one, believed), made),
        "verify with status, the list remembered": (lambda one: verify_credential(one, kept), made),
        "present": (lambda one: _presentation(holder, one), plain),
        "verify a presentation of one": (lambda one: verify_presentation(one, believed, DOMAIN, "c"), shown),
        "bits read": (lambda index: bits[index * 7], range(count)),
    }, passes)
    checked, signing = found["bare signatures checked"], found["bare signatures made"]
    return {"per_second": {name: round(rate) for name, rate in found.items()},
            "of_bare_signatures": {
                "issue": round(found["issue"] / signing, 3), "present": round(found["present"] / signing, 3),
                "verify": round(found["verify"] / checked, 3),
                "verify a presentation of one": round(2 * found["verify a presentation of one"] / checked, 3)},
            "status_of_verify": round(found["verify with status, the list remembered"] / found["verify"], 3)}


def _bits() -> StatusBits:
    bits = StatusBits()
    for index in range(0, 131_072, 100):
        bits[index] = True
    return bits


def _credential(issuer: DocumentParty, holder: DocumentParty, index: int) -> dict[str, Any]:
    document = {"@context": [CONTEXT], "type": [CREDENTIAL, "SkillCredential"], "issuer": issuer.did,
                "validFrom": time_text(NOW - 100),
                "credentialSubject": {"id": holder.short, "skill": f"weaving {index}"},
                "credentialStatus": StatusEntry(REVOCATION, 100 * index + 1, LIST).json()}
    return di.secure(document, issuer.keys, di.Options(NOW - 100))


def _presentation(holder: DocumentParty, credential: dict[str, Any]) -> dict[str, Any]:
    document = {"@context": [CONTEXT], "type": [PRESENTATION], "holder": holder.did,
                "verifiableCredential": [credential]}
    return di.secure(document, holder.keys, di.Options(NOW, AUTHENTICATION, DOMAIN, "c"))
