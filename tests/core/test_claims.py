"""Statements, envelopes, batches: round trips, equality of the fast writer with the plain encoder, refusals."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core import claims, encoding
from troth.core.claims import Batch, Envelope, Evidence, Ref, Signature, Statement, Subject
from troth.core.errors import BadInput, Refuted

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
WORD = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
DIGESTS = st.dictionaries(TEXT | st.just("sha256"), TEXT.filter(bool), min_size=1, max_size=3)
BODIES = st.dictionaries(TEXT, st.recursive(
    st.none() | st.booleans() | st.integers(-encoding.MAX_INT, encoding.MAX_INT) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8), max_size=4)
STATEMENTS = st.builds(
    Statement, kind=WORD, issuer=TEXT, issued_at=st.integers(0, encoding.MAX_INT),
    subjects=st.lists(st.builds(Subject, TEXT, DIGESTS), min_size=1, max_size=3).map(tuple), body=BODIES,
    refs=st.lists(st.builds(Ref, WORD, st.binary(min_size=32, max_size=32)), max_size=3).map(tuple),
    evidence=st.lists(st.builds(Evidence, TEXT, TEXT, TEXT, st.booleans()), max_size=2).map(tuple),
    version=st.integers(1, 9999))

SAMPLE = Statement("listing", "did:key:z6Mk", 1_700_000_000, (Subject("data", {"sha256": "ab" * 32}),),
                   {"rows": 569, "nested": {"deep": [1, "two", None, True]}}, (Ref("terms", b"\x07" * 32),),
                   (Evidence("part", "bafk", "unixfs-v1-2025", True),))


def plain(statement: Statement) -> dict[str, Any]:
    """The statement as the specification of the format draws it, for the plain encoder."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {
            "body": dict(statement.body),
            "evidence": [{"cid": item.cid, "name": item.name, "profile": item.profile, "sealed": item.sealed}
                         for item in statement.evidence],
            "issued_at": statement.issued_at,
            "issuer": statement.issuer,
            "refs": [{"claim": ref.claim.hex(), "role": ref.role} for ref in statement.refs],
        },
        "predicateType": f"urn:troth:{statement.kind}:v{statement.version}",
        "subject": [{"digest": dict(item.digests), "name": item.name} for item in statement.subjects],
    }


@given(STATEMENTS)
def test_the_writer_equals_the_encoder_and_the_reader_inverts_it(statement: Statement) -> None:
    payload = statement.to_bytes()
    assert payload == encoding.encode(plain(statement))
    assert Statement.from_bytes(payload) == statement
    assert claims.fields_of(payload)[:4] == (statement.kind, statement.version, statement.issuer, statement.issued_at)
    assert json.loads(payload) == plain(statement)


def test_the_id_is_the_hash_of_the_dsse_pre_authentication_encoding() -> None:
    # The example of the DSSE specification, and the id built by hand.
    assert claims.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")
    payload = SAMPLE.to_bytes()
    by_hand = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
    assert claims.claim_id(payload) == hashlib.sha256(by_hand).digest() == Envelope(payload, ()).id
    assert Envelope(payload, ()).signed_bytes() == by_hand


def _edited(**changes: Any) -> bytes:
    """The sample with members changed; a dotted path reaches inside, ``...`` removes."""
    value = copy.deepcopy(plain(SAMPLE))
    for path, change in changes.items():
        *outer, last = path.split("__")
        place: Any = value
        for step in outer:
            place = place[int(step) if step.isdigit() else step]
        if change is ...:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = change
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def test_the_sample_itself_is_read() -> None:
    assert Statement.from_bytes(_edited()) == SAMPLE


@pytest.mark.parametrize("changes", [
    {"_type": "https://in-toto.io/Statement/v0.1"}, {"_type": 1}, {"_type": ...}, {"surplus": 1},
    {"predicateType": "https://slsa.dev/provenance/v1"}, {"predicateType": "urn:troth:listing:v0"},
    {"predicateType": "urn:troth:listing:v01"}, {"predicateType": "urn:troth:Listing:v1"},
    {"predicateType": "urn:troth:listing:v1\n"}, {"predicateType": ...}, {"predicateType": ["urn:troth:listing:v1"]},
    {"subject": []}, {"subject": ...}, {"subject": {}}, {"subject__0": "x"}, {"subject__0__digest": {}},
    {"subject__0__digest__sha256": ""}, {"subject__0__digest__sha256": 1}, {"subject__0__name": None},
    {"subject__0__uri": "x"}, {"subject__0__name": ...}, {"subject__0__digest": [1]},
    {"predicate": ...}, {"predicate": []}, {"predicate": "abcde"}, {"predicate__issuer": 1}, {"predicate__issuer": ...},
    {"predicate__surplus": 1}, {"predicate__issued_at": -1}, {"predicate__issued_at": True},
    {"predicate__issued_at": "1"}, {"predicate__issued_at": 1.5}, {"predicate__body": []}, {"predicate__body": ...},
    {"predicate__body__rows": 1.5}, {"predicate__body__nested__deep__0": 0.25}, {"predicate__body__rows": 2**53},
    {"predicate__body__é": 1.5}, {"predicate__refs": {}}, {"predicate__refs__0__claim": "AB" * 32},
    {"predicate__refs__0__claim": "ab" * 31}, {"predicate__refs__0__claim": 7}, {"predicate__refs__0__role": "Terms"},
    {"predicate__refs__0__role": ""}, {"predicate__refs__0__role": "a\n"}, {"predicate__refs__0__role": ...},
    {"predicate__refs__0__more": 1}, {"predicate__refs__0": "ab"}, {"predicate__evidence": {}},
    {"predicate__evidence__0__sealed": 1}, {"predicate__evidence__0__cid": None}, {"predicate__evidence__0__cid": ...},
    {"predicate__evidence__0__more": ""}, {"predicate__evidence__0": []},
])
def test_the_reader_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Statement.from_bytes(_edited(**changes))


@pytest.mark.parametrize("change", [
    {"kind": "Listing"}, {"kind": ""}, {"kind": "a b"}, {"kind": 'x"'}, {"version": 0}, {"version": 10000},
    {"version": True}, {"issued_at": -1}, {"issued_at": 2**53}, {"issued_at": True}, {"issued_at": 1.0},
    {"issued_at": "1"}, {"subjects": ()}, {"issuer": "\ud800"}, {"issuer": 1}, {"body": {"x": 1.5}},
    {"body": {1: 1}}, {"body": {"x": 2**53}}, {"body": {"x": (1,)}},
    {"subjects": (Subject("x", {}),)}, {"subjects": (Subject("x", {"sha256": ""}),)},
    {"subjects": (Subject("x", {"a": "b", "c": ""}),)}, {"subjects": (Subject("x", {"sha256": 1}),)},
    {"subjects": (Subject(1, {"sha256": "ab"}),)}, {"subjects": (Subject("\udfff", {"sha256": "ab"}),)},
    {"subjects": (Subject("x", {1: "ab"}),)}, {"subjects": (Subject("x", {"a": "b", "c": 1.5}),)},
    {"refs": (Ref("Terms", bytes(32)),)}, {"refs": (Ref("", bytes(32)),)}, {"refs": (Ref("a", bytes(31)),)},
    {"refs": (Ref('a"', bytes(32)),)}, {"evidence": (Evidence("a", "b", "c", 1),)},
    {"evidence": (Evidence("a", None, "c", True),)}, {"evidence": (Evidence(1.5, "b", "c", True),)},
])
def test_the_writer_refuses_what_the_reader_would(change: dict[str, Any]) -> None:
    assert SAMPLE.to_bytes()
    with pytest.raises(BadInput):
        replace(SAMPLE, **change).to_bytes()


def test_the_bodys_nesting_is_bounded_by_the_wholes() -> None:
    body: Any = 1
    for _ in range(encoding.MAX_DEPTH - 3):
        body = [body]
    deepest = replace(SAMPLE, body={"x": body})
    payload = deepest.to_bytes()
    assert payload == encoding.encode(plain(deepest))
    assert Statement.from_bytes(payload) == deepest
    deeper = replace(SAMPLE, body={"x": [body]})
    with pytest.raises(BadInput, match="nested too deeply"):
        deeper.to_bytes()
    raw = json.dumps(plain(deeper), separators=(",", ":"), sort_keys=True).encode()
    for data in (raw, raw.replace(b'"name":"data"', '"name":"dätä"'.encode())):
        with pytest.raises(BadInput, match="nested too deeply"):
            Statement.from_bytes(data)


@pytest.mark.parametrize("payload", [
    b"", b"[]", b"{}", b"null", b"[" * 100_000, b"{", SAMPLE.to_bytes() + b" ", SAMPLE.to_bytes() + SAMPLE.to_bytes(),
    SAMPLE.to_bytes().replace(b'"rows":569', b'"rows":569,"rows":569'), SAMPLE.to_bytes().replace(b":", b": ", 1),
    SAMPLE.to_bytes().replace(b"did:key", b"did\\u003akey"), SAMPLE.to_bytes().replace(b"data", b"d\xffta"),
])
def test_other_bytes_are_refused_by_both_readers(payload: bytes) -> None:
    for reader in (Statement.from_bytes, claims.fields_of):
        with pytest.raises(BadInput):
            reader(payload)


def test_the_bare_reader_refuses_a_foreign_frame() -> None:
    for changes in ({"_type": "x"}, {"predicateType": "urn:x"}, {"predicate__issuer": 3}, {"subject": {}}, {"more": 1}):
        with pytest.raises(BadInput):
            claims.fields_of(_edited(**changes))


def test_one_reference_in_a_role() -> None:
    two = replace(SAMPLE, refs=(Ref("a", bytes(32)), Ref("b", b"\x01" * 32), Ref("a", b"\x02" * 32)))
    assert two.ref("b") == b"\x01" * 32
    assert two.all_refs("a") == (bytes(32), b"\x02" * 32)
    for role in ("a", "c"):
        with pytest.raises(Refuted, match="must refer to one"):
            two.ref(role)


@given(st.binary(max_size=50), st.lists(st.builds(Signature, TEXT, st.binary(max_size=70)), max_size=3).map(tuple))
def test_envelopes_round_trip(payload: bytes, signatures: tuple[Signature, ...]) -> None:
    envelope = Envelope(payload, signatures)
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope


def _envelope(**changes: Any) -> bytes:
    value = {"payload": "eA==", "payloadType": claims.PAYLOAD_TYPE, "signatures": [{"keyid": "k", "sig": "eA=="}]}
    return encoding.encode(value | changes)


@pytest.mark.parametrize("data", [
    _envelope(payloadType="text/plain"), _envelope(payload="eA"), _envelope(payload="eB=="), _envelope(payload="e-=="),
    _envelope(payload="eA==\n"), _envelope(payload=1), _envelope(more=1), _envelope(signatures={}),
    _envelope(signatures=["x"]), _envelope(signatures=[{"keyid": "k"}]), _envelope(signatures=[{"sig": "eA=="}]),
    _envelope(signatures=[{"keyid": "k", "sig": "eA"}]), _envelope(signatures=[{"keyid": 1, "sig": "eA=="}]),
    _envelope(signatures=[{"keyid": "k", "sig": "eA==", "cert": ""}]), _envelope() + b" ", b"{}",
])
def test_envelopes_refuse(data: bytes) -> None:
    with pytest.raises(BadInput):
        Envelope.from_bytes(data)


@given(st.lists(st.builds(Signature, TEXT, st.binary(max_size=8)), max_size=3),
       st.lists(st.builds(Signature, TEXT, st.binary(max_size=8)), max_size=3))
def test_a_seal_commits_to_every_signature(one: list[Signature], other: list[Signature]) -> None:
    assert (claims.seal_of_signatures(one) == claims.seal_of_signatures(other)) == (one == other)


def test_a_members_seal_commits_to_batch_and_place() -> None:
    seals = {claims.seal_of_member(bytes([batch]) * 32, index) for batch in range(3) for index in range(120)}
    assert len(seals) == 360


def test_batches() -> None:
    ids = [bytes([index]) * 32 for index in range(5)]
    statement = claims.batch_statement("did:x", 7, ids)
    batch = Batch.of(Statement.from_bytes(statement.to_bytes()))
    assert (batch.issuer, batch.size) == ("did:x", 5)
    assert claims.batch_statement_of("did:x", 7, 5, batch.root) == statement
    with pytest.raises(BadInput, match="empty batch"):
        claims.batch_statement("did:x", 7, [])


def test_batches_refuse() -> None:
    good = claims.batch_statement("did:x", 7, [bytes(32)])
    root = str(good.body["root"])
    for wrong in (
        replace(good, kind="listing"), replace(good, version=2), replace(good, refs=(Ref("a", bytes(32)),)),
        replace(good, evidence=SAMPLE.evidence), replace(good, body={"root": root, "size": 0}),
        replace(good, body={"root": root}), replace(good, body={"root": "ab", "size": 1}),
        replace(good, body={"root": "ab" * 32, "size": 1}), replace(good, body={"root": root, "size": True}),
        replace(good, subjects=(*good.subjects, *good.subjects)), replace(good, subjects=SAMPLE.subjects),
        replace(good, subjects=(Subject("members", {"sha256": "ab"}),), body={"root": "ab", "size": 1}),
    ):
        with pytest.raises(BadInput):
            Batch.of(wrong)


@given(st.binary(max_size=20))
def test_base64_has_one_spelling(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert claims.from_base64(text) == data
    for wrong in (text + "=", text + "\n", " " + text, "é"):
        with pytest.raises(BadInput):
            claims.from_base64(wrong)
