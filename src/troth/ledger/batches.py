"""Batches: one issuer, one envelope, many claims.

The batch's claim says (issuer, size, RFC 6962 root over the members' ids); its signatures count for every member, and
every member's issuer is the batch's. A member is shown either with all the others (the root is recomputed) or with
its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from troth.core import merkle
from troth.core.claims import (
    BATCH,
    PAYLOAD_TYPE,
    Batch,
    Envelope,
    Membership,
    Signature,
    Statement,
    batch_statement,
    claim_id,
    pae,
)
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.ports import Signer


@dataclass(frozen=True, slots=True)
class WholeBatch:
    """A batch with all its members, in order. ``ids``: the members' claim ids. Make one with ``build`` or ``gather``,
    which check that they belong together."""

    envelope: Envelope
    payloads: tuple[bytes, ...]
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One member with its path to the batch's root."""

    payload: bytes
    membership: Membership


def build(statements: Iterable[Statement], signer: Signer, issued_at: int) -> WholeBatch:
    """Sign these statements as one batch. ``issued_at``: Unix seconds, of the batch's own claim.

    Raises Misuse if a statement has another issuer than the signer or is said twice, BadInput if there is none.
    """
    issuer, payloads = signer.did, []
    for statement in statements:
        if statement.issuer != issuer:
            raise Misuse("a batch has one issuer", expected=issuer, actual=statement.issuer)
        if statement.kind == BATCH:
            raise Misuse("a batch inside a batch", do="Sign the inner batch on its own.")
        payloads.append(statement.to_bytes())
    ids = tuple(map(claim_id, payloads))
    if len(set(ids)) != len(ids):
        raise Misuse("a claim stands twice in a batch", do="Leave the second one out.")
    payload = batch_statement(issuer, issued_at, ids).to_bytes()
    signatures = signer.sign(pae(PAYLOAD_TYPE, payload))
    return WholeBatch(Envelope(payload, tuple(Signature(*one) for one in signatures)), tuple(payloads), ids)


def gather(envelope: Envelope, payloads: Sequence[bytes]) -> WholeBatch:
    """A batch received with all its members. Signatures are not checked here (``KeyHistory`` does).

    Raises BadInput if something cannot be read, Refuted if the members are not the ones the batch names.
    """
    batch = Batch.of(envelope.statement())
    ids = tuple(map(claim_id, payloads))
    if len(ids) != batch.size:
        raise Refuted("batch of another size", expected=batch.size, actual=len(ids))
    found = merkle.root(ids)
    if found != batch.root:
        raise Refuted("these are not the batch's members", expected=batch.root.hex(), actual=found.hex())
    if len(set(ids)) != len(ids):
        raise Refuted("a claim stands twice in a batch")
    for payload in payloads:
        _check_issuer(batch, Statement.from_bytes(payload))
    return WholeBatch(envelope, tuple(payloads), ids)


def member(whole: WholeBatch, index: int) -> Member:
    """The member at ``index`` with its path."""
    if not 0 <= index < len(whole.ids):
        raise Misuse("no such member", expected=f"0 to {len(whole.ids) - 1}", actual=index)
    node = merkle.node_of([merkle.leaf_hash(claim) for claim in whole.ids])
    path = tuple(merkle.inclusion_proof(index, len(whole.ids), node))
    return Member(whole.payloads[index], Membership(whole.envelope.id, index, path))


def check_member(envelope: Envelope, found: Member) -> Statement:
    """The member's statement, if it is in the batch that this envelope signs for. Signatures are not checked here.

    Raises BadInput if something cannot be read, Refuted if it is not a member or has another issuer.
    """
    if found.membership.batch != envelope.id:
        raise Refuted("member of another batch", expected=found.membership.batch.hex(), actual=envelope.id.hex())
    batch = Batch.of(envelope.statement())
    statement = Statement.from_bytes(found.payload)
    _check_issuer(batch, statement)
    leaf = merkle.leaf_hash(claim_id(found.payload))
    if not 0 <= found.membership.index < batch.size:
        raise Refuted("member beyond its batch", expected=f"index below {batch.size}", actual=found.membership.index)
    merkle.verify_inclusion(leaf, found.membership.index, batch.size, found.membership.path, batch.root)
    return statement


def _check_issuer(batch: Batch, statement: Statement) -> None:
    if statement.issuer != batch.issuer:
        raise Refuted("a batch speaks for its own issuer only", expected=batch.issuer, actual=statement.issuer)
    if statement.kind == BATCH:
        raise BadInput("a batch inside a batch", do="Sign the inner batch on its own.")
