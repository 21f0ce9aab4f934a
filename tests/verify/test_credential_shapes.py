"""Every member of what others send, replaced by every kind of value: read, or refused as ours, never a crash."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from credentials_parts import HOLDER, ISSUER, NOW, credential, entry

from troth.app.wallet import Request
from troth.core.errors import TrothError
from troth.identity.credentials import Credential
from troth.identity.integrity import Proof, required_suites
from troth.identity.jsondoc import time_text
from troth.identity.keys import Secp256k1KeyPair
from troth.identity.methods import key_of, resolve_offline
from troth.identity.statuslist import StatusBits, StatusEntry, list_bits, list_document
from troth.verify.badges import Achievement, Alignment, badge_document, read_badge
from troth.verify.mandates import mandate_document, read_mandate, sign_mandate
from troth.verify.policies.mandated import Mandate

VALUES: list[Any] = [
    None, True, 0, -1, 2**53 - 1, 1.5, "", "x", "did:key:z6Mk", "urn:a:b", [], {}, [[]], [{}], {"id": 5}, ["x", "x"],
    {"type": []}, {"a": {"b": []}}, "0x", "9" * 400, "e\u202e", "2030-01-01T00:00:00Z", [None], {"type": "Profile"}]
KEY = Secp256k1KeyPair(bytes([7]) * 32)
BADGE = badge_document(Achievement("urn:x:1", "Weaver", "Weaves.", "Wove.", "Badge", (
    Alignment("Weave", "https://x.example", "Guild", "1.2"),)), HOLDER.short, "Guild", ISSUER.did)
MANDATE = mandate_document(sign_mandate(Mandate(KEY.public.account, b"\x01" * 20, "buy", 5, NOW + 9, b"\x02" * 32), 1,
                                        b"\x03" * 20, KEY), HOLDER.short)
FIRST = {"issuer": ISSUER.did, "validFrom": time_text(NOW)}
READERS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], object]]] = {
    "badge": (BADGE | FIRST | {"issuer": BADGE["issuer"]}, lambda one: read_badge(Credential.of(one))),
    "credential": (credential(credentialStatus=entry()), Credential.of),
    "document": (json.loads(json.dumps(resolve_offline(ISSUER.did))), lambda one: (
        required_suites(one), key_of(one, ISSUER.did + "#ed25519", "assertionMethod", NOW))),
    "entry": (dict(entry()), StatusEntry.of),
    "list": (list_document("urn:x:1", ISSUER.did, "revocation", StatusBits(), NOW),
             lambda one: list_bits(Credential.of(one), "revocation")),
    "mandate": (MANDATE | FIRST, lambda one: read_mandate(Credential.of(one))),
    "proof": ({"type": "DataIntegrityProof", "id": "urn:x:1", "cryptosuite": "eddsa-jcs-2022", "domain": ["a"],
               "verificationMethod": "did:key:z", "proofPurpose": "x", "proofValue": "z1", "previousProof": "urn:x:2",
               "created": time_text(NOW), "expires": time_text(NOW), "challenge": "c"}, Proof.of),
    "request": (Request(ISSUER.did, "a.example", "c" * 20, NOW, ("A",)).json(), Request.of),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for name, item in value.items() if type(value) is dict else enumerate(value) if type(value) is list else ():
        yield from places(item, (*path, name))


@pytest.mark.parametrize("name", READERS)
def test_every_member_replaced_by_every_kind_of_value(name: str) -> None:
    document, read = READERS[name]
    read(document)
    refused = 0
    for path in list(places(document))[1:]:
        for value in VALUES:
            changed = copy.deepcopy(document)
            place: Any = changed
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            try:
                read(changed)
            except TrothError:
                refused += 1
    assert refused > len(VALUES)
