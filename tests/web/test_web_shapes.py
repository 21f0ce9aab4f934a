"""Every member of every JSON object that a bundle or a trust file holds, bent: both verifiers read it alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import forge
import pytest
from second import Second
from test_web_verifier import BUNDLE, HONEST, TRUST, agree

from troth.core import merkle
from troth.core.claims import batch_statement
from troth.core.encoding import decode, encode, sha256
from troth.identity import did as dids
from troth.identity.documents import Document, Recovery, commitment, rotation_statement, signature_pairs
from troth.identity.hybrid import HybridIdentity
from troth.identity.multibase import multibase_base64url
from troth.identity.signers import Ed25519Signer, HybridSigner
from troth.ledger.bundle import RawAnchor
from troth.ledger.checkpoints import WITNESS_KEY, WITNESS_KEY_ML_DSA, Checkpoint, NoteSigner, cosign
from troth.verify.trust import Trust, Witnesses

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


def document(name: str, **fields: Any) -> Document:
    """The first document of a party, with other fields."""
    return replace(forge.party(name).history.head, **fields)


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 4097])
def test_keys_to_seal_to(second: Second, size: int) -> None:
    """A document may name an encryption key of 1 to 4,096 bytes."""
    made = decode(document("lab", recipient=bytes(1)).to_bytes())
    name = multibase_base64url(bytes(size))
    made["verificationMethod"][-1]["publicKeyMultibase"] = name
    data, lab = encode(made), forge.party("lab")
    did = dids.peer4(data)[0]
    rec = forge.say(HybridSigner(did, lab.history.head, lab.current), "note", {})
    stop = agree(second, alone(rec, [data]), None)
    assert stop == ((8, "undecidable") if 1 <= size <= 4096 else (3, "malformed"))


def test_a_document_that_commits_to_its_own_keys(second: Second) -> None:
    lab = forge.party("lab")
    made = decode(lab.genesis)
    for at in (0, 1):
        made["troth"]["next"] = [commitment(lab.current[at].public).hex() for _ in range(2)]
        assert agree(second, alone(forge.say(SINGLE, "note", {}), [encode(made)]), None) == (3, "refuted")


def test_a_later_document_in_place_of_the_first(second: Second) -> None:
    later = forge.rotated("lab")[0].history.head.to_bytes()
    assert agree(second, alone(forge.say(SINGLE, "note", {}), [later]), None) == (3, "malformed")


FIRST, NEXT = forge.party("clinic"), forge.rotated("clinic")[0]
CHANGES: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "a genuine one": ({}, (8, "undecidable")),
    "after another document": ({"previous": bytes(32)}, (3, "refuted")),
    "two versions on": ({"version": 2}, (3, "undecidable")),
    "to other keys": ({"keys": tuple(pair.public for pair in forge.party("lab").current)}, (3, "refuted")),
    "to its end, and a claim after it": ({"next": (), "recipient": None}, (4, "refuted")),
    "by guardians whom nobody named": ({"recovery": Recovery(2, 3)}, (3, "refuted")),
    "to the keys in use": ({"keys": tuple(pair.public for pair in FIRST.current)}, (3, "refuted")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_signed_by_whoever_they_name(second: Second, name: str) -> None:
    """The issuer itself, and whoever made the log, breaks one rule of the chain of documents."""
    fields, expected = CHANGES[name]
    made = replace(NEXT.history.head, **fields)
    pairs = {pair.public: pair for one in (FIRST, NEXT, forge.party("lab")) for pair in (*one.current, *one.following)}
    signer = HybridSigner(FIRST.did, made, tuple(pairs[key] for key in made.keys))
    ledger = forge.Ledger()
    changed = ledger.add(forge.sign(signer, rotation_statement(FIRST.did, made, 1_700_000_000).to_bytes()))
    note = ledger.add(forge.say(signer, "note", {}))
    bundle = ledger.parts(note.id, [changed.id, note.id], [FIRST.genesis], anchored_size=2, size=2)[0].to_bytes()
    assert agree(second, bundle, None) == expected


def counted(name: str) -> Callable[[int], bytes]:
    """Stands for os.urandom: another 32 bytes at each call, the same in every run."""
    calls = iter(range(100))
    return lambda _: forge.seed(f"{name}/{next(calls)}")


def by_guardians(*, later: bool = False) -> tuple[bytes, str, list[bytes]]:
    """A bundle of an identity that guardians recovered, its DID, and the digests of its documents."""
    guarded, named = FIRST.rotate(1, random=counted("guarded"), place=bytes([7]) * 32)
    party, rotation = HybridIdentity.recover(guarded.history, Recovery(2, 3), 1, random=counted("guardians"))
    envelopes = [named, rotation]
    if later:
        party, rotation = party.rotate(2, random=counted("later"))
        envelopes.append(rotation)
    ledger = forge.Ledger()
    made = [ledger.add(forge.Rec(one.payload, list(signature_pairs(one)))) for one in envelopes]
    note = ledger.add(forge.say(party.signer(), "note", {}))
    size = len(made) + 1
    parts = ledger.parts(note.id, [*(rec.id for rec in made), note.id], [FIRST.genesis], anchored_size=size, size=size)
    return parts[0].to_bytes(), FIRST.did, [document.digest for document in party.history.documents]


@pytest.mark.parametrize("later", [False, True])
def test_a_recovery_counts_where_the_trust_file_pins_it_or_a_later_one(second: Second, later: bool) -> None:
    bundle, did, digests = by_guardians(later=later)
    for at, digest in enumerate(digests):
        expected = (8, "undecidable") if at >= 2 else (3, "undecidable")
        assert agree(second, bundle, Trust(documents={did: digest}).to_bytes()) == expected
    assert agree(second, bundle, Trust().to_bytes()) == (3, "undecidable")
    assert agree(second, bundle, Trust(documents={did: bytes(32)}).to_bytes()) == (3, "refuted")


def test_documents_of_guardians(second: Second) -> None:
    """The document that names an entry for guardians, and one that ends an identity, bent in every way."""
    _, named = FIRST.rotate(1, random=counted("guarded"), place=bytes([7]) * 32)
    _, end = FIRST.end(1)
    stops = set()
    for envelope in (named, end):
        said = decode(envelope.payload)
        text = decode(said["predicate"]["body"]["document"].encode())
        for other in distinct(bent(text["troth"])):
            changed = encode({**text, "troth": decode(other)}) if other.startswith(b"{") else b"{}"
            body = {**said["predicate"]["body"], "document": changed.decode()}
            payload = encode({**said, "predicate": {**said["predicate"], "body": body}, "subject": [
                {**said["subject"][0], "digest": {"sha256": sha256(changed).hex()}}]})
            rec = forge.Rec(payload, list(signature_pairs(envelope)))
            stops.add(agree(second, alone(rec, [FIRST.genesis]), None))
    assert {(3, "malformed"), (3, "refuted")} <= stops


def test_the_same_change_twice(second: Second) -> None:
    ledger = forge.Ledger()
    made = [ledger.add(forge.sign(NEXT.signer(), rotation_statement(FIRST.did, NEXT.history.head, at).to_bytes()))
            for at in (1, 2)]
    note = ledger.add(forge.say(NEXT.signer(), "note", {}))
    parts = ledger.parts(note.id, [*(rec.id for rec in made), note.id], [FIRST.genesis], anchored_size=3, size=3)[0]
    assert agree(second, parts.to_bytes(), None) == (3, "refuted")


def anchored(size: int, root: int, edit: Any = tuple) -> tuple[bytes, bytes]:
    """The honest bundle on a chain that anchored ``size`` claims under the root of ``root``; its trust file."""
    parts, chain, ledger = forge.reread(BUNDLE), forge.Chain(), HONEST.ledger
    number = chain.mine((forge.anchored(forge.ORIGIN, size, ledger.root(root)),))
    path = merkle.consistency_proof(size, 11, ledger.node()) if size <= 11 else []
    parts.anchor = RawAnchor(tuple(edit(path)), chain.prove(number))
    return parts.to_bytes(), forge.trust_for(chain).to_bytes()


ANCHORS: dict[str, tuple[int, int, Any, tuple[int, str] | None]] = {
    "the presented state": (11, 11, tuple, None),
    "the presented size with another root": (11, 10, tuple, (9, "refuted")),
    "the presented state with a path": (11, 11, lambda path: [bytes(32)], (9, "refuted")),
    "a later state": (12, 11, tuple, (9, "refuted")),
    "nothing": (0, 0, tuple, (9, "refuted")),
    "an earlier state": (10, 10, tuple, None),
    "a path too short": (10, 10, lambda path: path[:-1], (9, "refuted")),
    "a path too long": (10, 10, lambda path: [*path, path[0]], (9, "refuted")),
    "no path": (10, 10, lambda path: [], (9, "refuted")),
    "half a tree": (8, 8, tuple, (9, "pending")),
    "half a tree, path too short": (8, 8, lambda path: path[1:], (9, "refuted")),
}


@pytest.mark.parametrize("name", ANCHORS)
def test_anchors_of_other_states(second: Second, name: str) -> None:
    size, root, edit, expected = ANCHORS[name]
    assert agree(second, *anchored(size, root, edit)) == expected


NOTE = forge.reread(BUNDLE).note.decode()
NOTES: dict[str, str] = {
    "a tab in the origin": NOTE.replace(".", "\t", 1),
    "a carriage return": NOTE.replace("\n", "\r\n", 1),
    "a zero": NOTE.replace(".", "\0", 1),
    "no signature": NOTE[: NOTE.index("\n\n") + 2],
    "no end of line": NOTE[:-1],
    "no empty line": NOTE.replace("\n\n", "\n"),
    "a second empty line": NOTE.replace("\n\n", "\n\n\n"),
    "an empty line at the end": NOTE + "\n",
    "a hyphen for the dash": NOTE.replace("\u2014", "-"),
    "two spaces": NOTE.replace("\u2014 ", "\u2014  "),
    "a plus in the name": NOTE.replace("\u2014 witness", "\u2014 wit+ness"),
    "a space no letter in the name": NOTE.replace("\u2014 witness", "\u2014 wit\u2003ness"),
    "a delete in the name": NOTE.replace("\u2014 witness", "\u2014 wit\x7fness"),
    "a next line in the name": NOTE.replace("\u2014 witness", "\u2014 wit\x85ness"),
    "a mark in the name": NOTE.replace("\u2014 witness", "\u2014 wit\ufeffness"),
    "no name": NOTE.replace("\u2014 witness.example", "\u2014 "),
    "other base64": NOTE[:-2] + "\n",
    "slack in the base64": NOTE[:-4] + chr(ord(NOTE[-4]) + 1) + NOTE[-3:],
    "a short signature": NOTE + "\u2014 eve AAAAAA==\n",
    "a shorter witness": NOTE[: NOTE.rindex(" ") + 1] + "AAAAAAA=\n",
    "the log twice": NOTE + NOTE[NOTE.index("\u2014") : NOTE.rindex("\u2014")],
    "65 lines": NOTE + "\u2014 eve AAAAAAAA\n" * 63,
    "66 lines": NOTE + "\u2014 eve AAAAAAAA\n" * 64,
    "size with a zero before it": NOTE.replace("\n11\n", "\n011\n"),
    "size with a plus": NOTE.replace("\n11\n", "\n+11\n"),
    "size in other digits": NOTE.replace("\n11\n", "\n\u0661\u0661\n"),
    "size of 20 digits": NOTE.replace("\n11\n", "\n" + "9" * 20 + "\n"),
    "size of 2^63": NOTE.replace("\n11\n", f"\n{2**63}\n"),
    "no root": NOTE.replace(NOTE.split("\n")[2] + "\n", ""),
    "a short root": NOTE.replace(NOTE.split("\n")[2], "AAAA"),
    "an extension": NOTE.replace("\n\n", "\nmore\n\n"),
    "no origin": NOTE[NOTE.index("\n") :],
    "witnesses first": NOTE[: NOTE.index("\u2014")] + NOTE[NOTE.rindex("\u2014") :] + NOTE[
        NOTE.index("\u2014") : NOTE.rindex("\u2014")],
}


@pytest.mark.parametrize("name", NOTES)
def test_notes(second: Second, name: str) -> None:
    parts = forge.reread(BUNDLE)
    parts.note = NOTES[name].encode()
    assert parts.note != NOTE.encode()
    assert agree(second, parts.to_bytes(), TRUST.to_bytes()) is not None


def test_notes_signed_over_extensions_and_by_many_witnesses(second: Second) -> None:
    parts, log = forge.reread(BUNDLE), NoteSigner(forge.ORIGIN, forge.seed("log"))
    names = ["a.example", "witness.example", "\U0001f600.example", "\uff5e.example"]
    witnesses = [NoteSigner(name, forge.seed(name), WITNESS_KEY) for name in names]
    state = Checkpoint(forge.ORIGIN, 11, HONEST.ledger.root(11), ("one more line",))
    by_unit = sorted(names, key=lambda name: name.encode("utf-16-be"))
    for order, expected in ((sorted(names), None), (by_unit, (8, "refuted"))):
        note = state.sign(log)
        for name in order:
            note = cosign(note, witnesses[names.index(name)], 1_700_000_500)
        parts.note = note
        trust = replace(TRUST, witnesses=Witnesses(4, tuple(one.verifier for one in witnesses)))
        assert agree(second, parts.to_bytes(), trust.to_bytes()) == expected


def test_a_witness_that_no_browser_can_check_is_undecidable_there(second: Second) -> None:
    parts, witness = forge.reread(BUNDLE), NoteSigner("witness.example", forge.seed("w"), WITNESS_KEY_ML_DSA)
    note = Checkpoint(forge.ORIGIN, 11, HONEST.ledger.root(11)).sign(NoteSigner(forge.ORIGIN, forge.seed("log")))
    parts.note = cosign(note, witness, 1_700_000_500)
    trust = replace(TRUST, witnesses=Witnesses(1, (witness.verifier,))).to_bytes()
    steps = {step["n"]: step for step in second.verify(parts.to_bytes(), trust)["steps"]}
    assert steps[8]["outcome"] == "undecidable"
    assert "ML-DSA" in steps[8]["detail"]
    parts.note = cosign(note, NoteSigner("witness.example", forge.seed("x"), WITNESS_KEY_ML_DSA), 5)  # nor another's
    assert agree(second, parts.to_bytes(), trust) == (8, "undecidable")


def section(tag: bytes, body: bytes) -> bytes:
    """The honest bundle with another body in one section."""
    at, out = 8, BUNDLE[:8]
    while at < len(BUNDLE):
        name, size = BUNDLE[at : at + 4], int.from_bytes(BUNDLE[at + 4 : at + 12], "big")
        own = body if name == tag else BUNDLE[at + 12 : at + 12 + size]
        out, at = out + name + len(own).to_bytes(8, "big") + own, at + 12 + size
    return out


def sized(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


BLOBS = sorted([b"one", b"two"], key=sha256)
CONTAINERS: dict[str, tuple[bytes, bytes]] = {
    "a target too long": (b"HEAD", bytes(33)),
    "a target too short": (b"HEAD", bytes(31)),
    "no note": (b"NOTE", b""),
    "a note too long": (b"NOTE", NOTE.encode() + b"\xe2\x80\x94 e AAAAAAAA\n" + bytes(65_536)),
    "half a hash": (b"TREE", bytes(48)),
    "an empty file": (b"BLOB", sized(b"")),
    "a file too long": (b"BLOB", sized(bytes((1 << 20) + 1))),
    "files out of order": (b"BLOB", sized(*reversed(BLOBS))),
    "a file twice": (b"BLOB", sized(BLOBS[0], BLOBS[0])),
    "a document too long": (b"IDEN", (1).to_bytes(4, "big") + sized(b"[" + b" " * 65_536 + b"]")),
    "no claims": (b"CLMS", bytes(4)),
    "a claim of form 2": (b"CLMS", (1).to_bytes(4, "big") + bytes(8) + b"\x02" + bytes(40)),
    "a claim without signatures": (b"CLMS", (1).to_bytes(4, "big") + bytes(8) + b"\x00\x00" + bytes(40)),
    "more claims than fit": (b"CLMS", b"\xff" * 4),
    "a position beyond 2^53": (b"CLMS", (1).to_bytes(4, "big") + b"\xff" * 8 + b"\x00\x01" + bytes(40)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_sections(second: Second, name: str) -> None:
    stop = agree(second, section(*CONTAINERS[name]), TRUST.to_bytes())
    assert stop is not None
    assert stop[1] == "malformed"


def test_trust_files_with_more_witnesses(second: Second) -> None:
    one, two = (NoteSigner(name, forge.seed(name), WITNESS_KEY).verifier.vkey() for name in ("a.example", "b.example"))
    same_name = NoteSigner("a.example", forge.seed("other"), WITNESS_KEY).verifier.vkey()
    same_key = NoteSigner("c.example", forge.seed("a.example"), WITNESS_KEY).verifier.vkey()
    log = NoteSigner("d.example", forge.seed("d")).verifier.vkey()
    trust = decode(TRUST.to_bytes())
    accepted = []
    for keys in ([one, two], [one, one], [one, same_name], [one, same_key], [one, log], [one[:-1]], [one.upper()]):
        made = encode({**trust, "witnesses": {"keys": keys, "threshold": 1}})
        accepted.append(agree(second, BUNDLE[:8], made) == (1, "malformed"))
    assert accepted == [True] + [False] * 6
    contracts = {"Anchor": trust["chain"]["contracts"]["anchor"]}
    assert agree(second, BUNDLE[:8], encode({**trust, "chain": {**trust["chain"], "contracts": contracts}})) == (
        0, "malformed")
    long = encode({**trust, "policy": {"name": "sums", "more": "x" * (1 << 22)}})
    assert agree(second, BUNDLE[:8], long) == (0, "malformed")
