"""Changing a workspace's keys, ending its identity, and what is known of everybody's (docs/reference/identities.md).

Each change goes through four places, in this order, and whatever was interrupted is gone on with by doing it again:
the keystore (``Troth.become``), the log, the chain's registry where the identity is registered, the peers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.core.claims import Envelope
from troth.core.errors import OutsideFailed, Pending, Refuted, Undecidable
from troth.identity.documents import signature_pairs
from troth.identity.hybrid import HybridIdentity, Recipient
from troth.store.wrapping import RecipientKey

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.verify.dated import Anchored, Dated

HERE, REGISTRY = "known here", "registry"


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of keys, or an end. claim: the rotation's id in the log. published: whether a registry has it now;
    None where this identity is in none.
    """

    version: int
    document: bytes
    claim: bytes
    published: bool | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An identity as it is known. version: of the newest document known here. state: ``in force``, ``ended``, or
    ``behind`` where the registry names a newer document. recoveries: by version, the guardians that made it.
    """

    did: str
    version: int
    document: bytes
    state: str
    by: str
    recoveries: dict[int, str]


def rotate(party: Troth, passphrase: str, place: bytes | None = None) -> Changed:
    """Change the party's signing keys to those committed to, and its key to seal to; commit to new ones.

    Where the identity is registered, an earlier change that the registry lacks is published first, and this one at
    the end: if that fails, OutsideFailed says so, and ``Troth.register`` makes up for it. The chain account and the
    log's key stay. place: as ``HybridIdentity.rotate``. Raises Misuse for a wrong passphrase, or after the
    identity's end.
    """
    listed = _bring_up_to_date(party)

    def change(identity: HybridIdentity) -> HybridIdentity:
        key = RecipientKey.generate()
        return identity.rotate(party.clock.now(), Recipient(key.public().data, key.seed), place=place)[0]

    party.become(change, passphrase)
    return _changed(party, _published(party.register, "troth id register") if listed else None)


def revoke(party: Troth, passphrase: str) -> Changed:
    """End the party's identity, for good: nothing it signs from now on counts. What it signed stays as good as it was.

    Doing it again goes on with what was interrupted. Raises as ``rotate``.
    """
    listed = party.listed()
    if not party.identity.ended:
        listed = _bring_up_to_date(party)
        party.become(lambda identity: identity.end(party.clock.now())[0], passphrase)
    return _changed(party, _published(party.revoke_entry, "troth id revoke") if listed else None)


def standing(party: Troth, did: str) -> Standing:
    """What is known of an identity: by the registry where it is there, else by the documents here.

    Raises Undecidable for one whose first document is not known here, OutsideFailed where the chain cannot be asked.
    """
    history = party.keybook.history(did)
    head, state, by = history.head, "in force", HERE
    if head.ended:
        state = "ended"
    records = party.records_of(did) if party.has_registry() else ()
    if records:
        by = REGISTRY
        if records[-1].value == bytes(32):
            state = "ended"
        elif records[-1].value != head.digest and state == "in force":
            # Shorter than the documents: not published yet. Longer: this party has not seen the newest.
            state = "behind" if len(records) > len(history.documents) else "not published"
    return Standing(did, head.version, head.digest, state, by,
                    {version: str(one) for version, one in history.recoveries.items()})


def standings(party: Troth) -> tuple[Standing, ...]:
    """Every identity whose documents are here, this party's own first."""
    others = [did for did in party.keybook.dids() if did != party.did]
    return tuple(standing(party, did) for did in (party.did, *others))


def date(party: Troth, claim: bytes) -> Dated:
    """The proof that a claim in the party's log lay under its first anchor that covers it.

    Raises Undecidable for a claim that is not here, Pending for one that no anchor covers, Misuse for a member of a
    batch: its batch claim is what was signed.
    """
    # Imported here: the chain's libraries take a second to load, and most commands need none.
    from troth.ledger.anchors import anchored
    from troth.ledger.receipts import prove_receipt
    from troth.verify.dated import Dated

    entry = party.log.find(claim)
    if entry is None:
        raise Undecidable("this claim is not in the log", actual=claim.hex(), do="Pull it, or anchor where it is.")
    envelope, contracts = entry.envelope(), party.contracts
    for event, said in anchored(party.chain.web3, contracts["anchor"].address, party.account, party.log.origin,
                                contracts.block):
        if entry.position < said.size <= party.log.size and party.log.root(said.size) == said.root:
            return Dated(envelope, entry.position, tuple(party.log.inclusion(entry.position, said.size)),
                         prove_receipt(party.chain.web3, event.tx_hash, event.block_number))
    raise Pending("no anchor covers this claim yet", actual=f"position {entry.position}",
                  do="Anchor the log: troth log anchor.")


def good(party: Troth, dated: Dated) -> tuple[Anchored, str]:
    """Whether a claim was signed by keys that were in force when it was anchored: since when, and what was found.

    1. The anchor, as ``Dated.check``, under the block hash that this party's node gives.
    2. The signatures, under the version of the issuer's document that they name.
    3. That version, by the registry at the anchor's block (``RegisteredKeys.good_when_anchored``).

    Raises Refuted, Undecidable or Pending where a step says so.
    """
    # Imported here for the same reason.
    from troth.core.encoding import keccak256
    from troth.ledger.receipts import header_at

    block = keccak256(header_at(party.chain.web3, dated.last_block))
    anchored = dated.check(party.contracts["anchor"].address, block)
    issuer = dated.claim.statement().issuer
    history, version = party.keybook.history(issuer), signed_under(dated.claim)
    party.keybook.verify(issuer, dated.claim.signed_bytes(), signature_pairs(dated.claim), version)
    return anchored, party.registered.good_when_anchored(
        issuer, [document.digest for document in history.documents], version, anchored.block)


def signed_under(claim: Envelope) -> int:
    """The version of the issuer's document that a claim's first signature names. Raises Refuted where it names none."""
    name = claim.signatures[0].method if claim.signatures else ""
    _, _, digits = name.rpartition("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise Refuted("a signature that names no version of its issuer's documents", actual=name or "no signature")
    return int(digits)


def _bring_up_to_date(party: Troth) -> bool:
    """Whether the identity is registered; if so, with everything up to now: later it could not be made up for."""
    listed = party.listed()
    if listed and not party.identity.ended:
        party.register()
    return listed


def _published(act: Callable[[], object], again: str) -> bool:
    try:
        act()
    except OutsideFailed as error:
        raise OutsideFailed(f"the keys are changed and the log has it, but not the registry: {error.message}",
                            actual=error.actual, do=f"Publish it before the next change: {again}.") from error
    return True


def _changed(party: Troth, published: bool | None) -> Changed:
    head, rotation = party.identity.history.head, party.identity.history.rotations[-1]
    return Changed(head.version, head.digest, rotation.id, published)
