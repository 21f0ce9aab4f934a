"""Batches: members by root and by path, and what an attacker would like to pass as a member."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_parts import SITE, OneKey, batch, claim, statement

from troth.core import merkle
from troth.core.claims import Batch, Membership, batch_statement
from troth.core.errors import BadInput, Misuse, Refuted
from troth.identity.signers import attest
from troth.ledger import batches
from troth.ledger.batches import Member

OTHER = OneKey("other", b"\x03" * 32)


@given(st.integers(1, 40))
def test_every_member_by_root_and_by_path(size: int) -> None:
    whole = batch(0, size)
    said = Batch.of(whole.envelope.statement())
    assert (said.issuer, said.size, said.root) == (SITE.did, size, merkle.root(whole.ids))
    assert batches.gather(whole.envelope, whole.payloads) == whole
    for index in range(size):
        assert batches.check_member(whole.envelope, batches.member(whole, index)) == statement(index)


def test_a_batch_has_one_issuer_distinct_members_and_no_batch_inside() -> None:
    with pytest.raises(Misuse, match="one issuer"):
        batches.build([statement(1), statement(2, OTHER)], SITE, 7)
    with pytest.raises(Misuse, match="twice"):
        batches.build([statement(1), statement(1)], SITE, 7)
    with pytest.raises(Misuse, match="inside"):
        batches.build([batch_statement(SITE.did, 1, [bytes(32)])], SITE, 7)
    with pytest.raises(BadInput):
        batches.build([], SITE, 7)


def test_other_members_than_those_signed_are_refused() -> None:
    whole = batch(0, 5)
    first, *rest = whole.payloads
    for payloads in ([*rest, first], rest, [*whole.payloads, first], [statement(9).to_bytes(), *rest], []):
        with pytest.raises(Refuted):
            batches.gather(whole.envelope, payloads)


def test_a_member_of_another_issuer_is_refused_even_under_the_signed_root() -> None:
    stolen = statement(1, OTHER).to_bytes()
    ids = [batches.claim_id(stolen)]
    envelope = attest(batch_statement(SITE.did, 7, ids), SITE)  # SITE signs a root over OTHER's words
    with pytest.raises(Refuted, match="own issuer"):
        batches.gather(envelope, [stolen])
    with pytest.raises(Refuted, match="own issuer"):
        batches.check_member(envelope, Member(stolen, Membership(envelope.id, 0)))


def test_a_batch_twice_over_is_refused_on_receipt() -> None:
    payload = statement(1).to_bytes()
    ids = [batches.claim_id(payload)] * 2
    with pytest.raises(Refuted, match="twice"):
        batches.gather(attest(batch_statement(SITE.did, 7, ids), SITE), [payload, payload])
    inner = batch(0, 1).envelope
    outer = attest(batch_statement(SITE.did, 7, [inner.id]), SITE)
    with pytest.raises(BadInput, match="inside"):
        batches.gather(outer, [inner.payload])


@given(st.integers(2, 20), st.data())
def test_a_changed_membership_is_refused(size: int, data: st.DataObject) -> None:
    whole = batch(0, size)
    index = data.draw(st.integers(0, size - 1))
    good = batches.member(whole, index)
    path = good.membership.path
    wrong = data.draw(st.integers(-1, size + 1).filter(lambda i: i != index))
    for bad in (replace(good.membership, index=wrong), replace(good.membership, path=path[:-1]),
                replace(good.membership, path=(*path, bytes(32))), replace(good.membership, batch=bytes(32)),
                replace(good.membership, path=(bytes(32), *path[1:]))):
        with pytest.raises(Refuted):
            batches.check_member(whole.envelope, Member(good.payload, bad))
    with pytest.raises(Refuted):
        batches.check_member(whole.envelope, Member(statement(size + 5).to_bytes(), good.membership))


def test_an_envelope_that_is_no_batch_signs_for_nobody() -> None:
    alone = claim(1)
    with pytest.raises(BadInput):
        batches.gather(alone, [alone.payload])
    with pytest.raises(BadInput):
        batches.check_member(alone, Member(alone.payload, Membership(alone.id, 0)))
    with pytest.raises(Misuse):
        batches.member(batch(0, 2), 2)


def test_an_inner_node_is_no_member() -> None:
    """A 64-byte node posing as a claim's id needs a payload that hashes to it; a node as a leaf fails on the prefix."""
    whole = batch(0, 4)
    node = merkle.node_of([merkle.leaf_hash(one) for one in whole.ids])
    root = Batch.of(whole.envelope.statement()).root
    with pytest.raises(Refuted):
        merkle.verify_inclusion(merkle.leaf_hash(node(0, 0) + node(0, 1)), 0, 2, [node(1, 1)], root)
