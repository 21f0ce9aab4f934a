"""Every member of every JSON object that a bundle or a trust file holds, bent: both verifiers read it alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import forge
import pytest
from second import Second
from test_web_verifier import BUNDLE, TRUST, agree

from troth.core.claims import batch_statement
from troth.core.encoding import decode, encode, sha256
from troth.identity.signers import Ed25519Signer

OTHERS: list[Any] = [None, True, 0, -1, 1, "", "x", "A", [], ["x"], [0], {}, {"x": "y"}, {"name": "x"}, "did:key:z6Mk",
                     "00" * 32, "AA" * 32, "00" * 31, 2**53 - 1]
SINGLE = Ed25519Signer(forge.seed("single"))


def bent(value: Any) -> Iterator[Any]:
    """``value`` with one member, at any depth, replaced, left out or added."""
    if isinstance(value, dict):
        yield {**value, "zz": 1}
        for name, entry in value.items():
            yield {key: item for key, item in value.items() if key != name}
            for other in OTHERS:
                if other != entry or type(other) is not type(entry):
                    yield {**value, name: other}
            for inner in bent(entry):
                yield {**value, name: inner}
    elif isinstance(value, list):
        yield [*value, *value]
        for at, entry in enumerate(value):
            yield value[:at] + value[at + 1 :]
            for other in OTHERS:
                yield [*value[:at], other, *value[at + 1 :]]
            for inner in bent(entry):
                yield [*value[:at], inner, *value[at + 1 :]]
    elif isinstance(value, str) and value:
        yield value[:-1]
        yield value + "0"
        yield value.upper() if value.islower() else value.lower()
        yield "x" + value[1:]


def distinct(values: Iterator[Any]) -> list[bytes]:
    """The canonical bytes of each, once; floats and what cannot be written do not occur."""
    return list(dict.fromkeys(map(encode, values)))


def alone(rec: forge.Rec, documents: list[bytes], target: bytes | None = None) -> bytes:
    """A bundle of one claim, at the first place of a log of two."""
    ledger = forge.Ledger()
    ledger.add(rec)
    ledger.add(forge.say(SINGLE, "noise", {}))
    return ledger.parts(target or rec.id, [rec.id], documents, anchored_size=2, size=2)[0].to_bytes()


def statement() -> dict[str, Any]:
    """A statement with every member in use."""
    found: dict[str, Any] = decode(forge.statement(
        SINGLE.did, "note", {"n": 1, "text": "é"}, [("data", sha256(b"earlier"))],
        [forge.Evidence("file", "bafkrei", "raw", True)]).to_bytes())
    return found


@pytest.mark.parametrize("made", ["statement", "batch"])
def test_statements(second: Second, made: str) -> None:
    batch = decode(batch_statement(SINGLE.did, 1_700_000_000, [sha256(b"member")]).to_bytes())
    stops = set()
    for payload in distinct(bent(statement() if made == "statement" else batch)):
        rec = forge.Rec(payload, list(SINGLE.sign(forge.pae(forge.PAYLOAD_TYPE, payload))))
        stops.add(agree(second, alone(rec, []), None))
    assert (2, "malformed") in stops
    assert stops - {(2, "malformed")}


def test_documents(second: Second) -> None:
    lab = forge.party("lab")
    rec = forge.say(lab.signer(), "note", {})
    stops = {agree(second, alone(rec, [document]), None) for document in distinct(bent(decode(lab.genesis)))}
    assert {(3, "malformed"), (3, "refuted"), (3, "undecidable")} <= stops


def test_changes_of_documents(second: Second) -> None:
    """The claim and the document that it brings, bent with everything that names the document bent to fit."""
    rotation = forge.rotated("clinic")[1]
    said, genesis = decode(rotation.payload), forge.party("clinic").genesis
    document = decode(said["predicate"]["body"]["document"].encode())
    payloads = distinct(bent(said))
    for other in distinct(bent(document))[::3]:  # test_documents has them all
        body = {**said["predicate"]["body"], "document": other.decode()}
        payloads.append(encode({**said, "predicate": {**said["predicate"], "body": body}, "subject": [
            {**said["subject"][0], "digest": {"sha256": sha256(other).hex()}}]}))
    signatures = [(one.method, one.value) for one in rotation.signatures]
    stops = {agree(second, alone(forge.Rec(payload, signatures), [genesis]), None) for payload in payloads}
    assert {(2, "malformed"), (3, "malformed"), (3, "refuted"), (3, "undecidable")} <= stops


def test_trust_files(second: Second) -> None:
    small = BUNDLE[:8]  # the trust file is read first; a bundle that stops at once keeps this fast
    accepted = 0
    for trust in distinct(bent(json.loads(TRUST.to_bytes()))):
        accepted += agree(second, small, trust) == (1, "malformed")
    assert accepted > 20
