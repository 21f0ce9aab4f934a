"""Credentials against others: Digital Bazaar's Data Integrity and status lists, and openvc-core, both ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from troth.core.errors import Refuted
from troth.identity import integrity as di
from troth.identity.jsondoc import time_text
from troth.identity.methods import AUTHENTICATION, resolve_offline
from troth.identity.statuslist import MIN_ENTRIES, StatusBits

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "verify"))

from credentials_parts import ISSUER, NOW, credential, key_of  # noqa: E402  (after the path is set)

Node = Callable[..., str]
SCRIPT = "data_integrity.mjs"


def ask(node: Node, act: str, **given: Any) -> Any:
    return json.loads(node(SCRIPT, act, given=json.dumps(given)))


def methods_of(did: str) -> dict[str, Any]:
    """What their loader needs: the DID document, and each method by its id; ids written out, which they require."""
    document = json.loads(json.dumps(resolve_offline(did)).replace('"#', f'"{did}#'))
    return {did: document, **{one["id"]: {"@context": "https://w3id.org/security/multikey/v1", **one}
                              for one in document["verificationMethod"]}}


def test_we_uphold_what_they_sign(node: Node) -> None:
    made = ask(node, "sign", document=credential(), date=time_text(NOW - 5))
    assert set(made) == {"Ed25519", "P-256", "P-384"}
    for document in made.values():
        found = di.verify_proofs(document, document["issuer"], di.Wanted(NOW), resolve_offline)
        assert found.suites[0] in (di.EDDSA, di.ECDSA)
        with pytest.raises(Refuted):
            di.verify_proofs(document | {"more": 1}, document["issuer"], di.Wanted(NOW), resolve_offline)


def test_they_uphold_what_we_sign(node: Node) -> None:
    key = key_of(4)
    did = key.method.partition("#")[0]
    made = di.secure(credential(issuer=did), [key], di.Options(NOW))
    assert ask(node, "verify", document=made, methods=methods_of(did))["verified"] is True
    assert ask(node, "verify", document=made | {"name": "x"}, methods=methods_of(did))["verified"] is False
    shown = di.secure(credential(issuer=did), [key], di.Options(NOW, AUTHENTICATION, "shop.example", "c-1"))
    for challenge, expected in (("c-1", True), ("c-2", False)):
        found = ask(node, "verify", document=shown, methods=methods_of(did), purpose="authentication",
                    challenge=challenge, domain="shop.example")
        assert found["verified"] is expected, found


def test_they_uphold_the_half_of_a_hybrid_credential_that_they_know(node: Node) -> None:
    """Their library checks the Ed25519 proof of the set and knows no ML-DSA: whoever needs both asks us."""
    made = di.secure(credential(issuer=ISSUER.did), ISSUER.keys, di.Options(NOW))
    half = made | {"proof": made["proof"][0]}
    assert ask(node, "verify", document=half, methods=methods_of(ISSUER.did))["verified"] is True
    with pytest.raises(Refuted, match="required proof is missing"):
        di.verify_proofs(half, ISSUER.did, di.Wanted(NOW), resolve_offline)


def test_status_lists_are_the_same_bits(node: Node) -> None:
    bits, indexes = StatusBits(), [0, 7, 8, 94_567, MIN_ENTRIES - 1]
    for index in indexes:
        bits[index] = True
    found = ask(node, "status", encodedList=bits.encode(), indexes=indexes, asked=[0, 1, 7, 8, 94_567, 131_071])
    assert (found["length"], found["set"]) == (MIN_ENTRIES, [0, 7, 8, 94_567, 131_071])
    theirs = StatusBits.decode(found["made"])
    assert [index for index in range(MIN_ENTRIES) if theirs[index]] == indexes


def test_openvc_core_in_its_own_environment(python_of: Callable[[str], Path]) -> None:
    """Data Integrity both ways, SD-JWT and OpenID4VP through the adapter: tools/openvc_checks.py."""
    done = subprocess.run([python_of("openvc"), "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider",
                           "tests/interop/tools/openvc_checks.py"], cwd=ROOT, capture_output=True, text=True,
                          timeout=240, check=False, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 0, done.stdout[-4_000:]
    assert done.stdout.count(".") >= 15, done.stdout
