"""The verifiers of a sale: they open what was complained of, commit to what they found, and reveal it."""

from __future__ import annotations

from troth.core.claims import Ref, Statement
from troth.core.encoding import from_hex, sha256, take
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD, Result
from troth.flows.parts import Party
from troth.flows.sale_checks import Finding, goods_of, inspect
from troth.flows.sale_deal import INSPECTED, STAKE, Sale, deal_subject, handed, read, shown
from troth.flows.sale_words import COMPLAINT, INSPECTION
from troth.store.wrapping import RecipientKey
from troth.verify.policies.voices import commit_data, reveal_data


def tell_judges(party: Party, sale: Sale, handover: bytes, complaint: bytes | None = None) -> None:
    """Hand the verifiers what they need to take their seats; with a complaint, all that it takes to look into it."""
    listing = party.statement(sale.offer_id).ref("listing")
    shown_too = (handover, sale.offer_id) if complaint is None else (complaint, handover, sale.offer_id, listing)
    evidence = [item for claim in shown_too for item in party.statement(claim).evidence]
    party.send([judge.did for judge in sale.offer.deal.verifiers],
               [listing, sale.offer_id, sale.order_id, handover, *((complaint,) if complaint else ())], evidence)


def look(party: Party, handover: bytes) -> Finding:
    """What a verifier finds of a delivery: upheld where nobody brought a key with which the delivery is wrong.

    The finding follows from the bytes alone: verifiers share what they hold (``pass_on``) before they commit.
    """
    sale, _ = read(party, handover)
    try:
        secret = shown(party, sale)
    except Refuted as error:  # a seller that climbs without having delivered is not paid for it
        return Finding(REFUTED, error.message)
    for claim, statement in party.claims(COMPLAINT):
        seed = _complained(party, sale, claim, statement)
        if seed is None:
            continue
        try:
            return inspect(party, goods_of(party, sale.offer_id), handed(party, handover), RecipientKey(seed),
                           secret, sale.order_id)
        except (Undecidable, BadInput, Refuted):
            # No file came with it, or an offer that no buyer should have paid: nothing speaks against the delivery.
            continue
    return Finding(UPHELD, "nobody brought what would show otherwise")


def _complained(party: Party, sale: Sale, claim: bytes, statement: Statement) -> bytes | None:
    """The one-time key that a complaint of this sale brought, if it is the order's. Anybody who has it may bring it."""
    try:
        deal, _ = take(dict(statement.body), deal=str, why=str)
        if from_hex(deal, 32) != sale.deal() or len(statement.evidence) != 1:
            return None
        seed = party.read(statement.evidence[0])
        return seed if RecipientKey(seed).public() == sale.order.key else None
    except (BadInput, Undecidable, Refuted):
        return None  # of another sale, not for this verifier, or no key


def join_bench(party: Party, handover: bytes) -> None:
    """A verifier deposits its stake, where the sale asks for one and its price is there. Raises ActRefused."""
    sale, _ = read(party, handover)
    for index, pot in enumerate(sale.terms().pots):
        if index > STAKE and pot.depositor == party.account:
            party.book.join(party.account, sale.deal(), index)


def pass_on(party: Party, handover: bytes) -> bool:
    """Hand the other verifiers what this one can open: all must judge the same evidence. Whether there is anything."""
    sale, _ = read(party, handover)
    others = [judge.did for judge in sale.offer.deal.verifiers if judge.did != party.did]
    for claim, statement in party.claims(COMPLAINT):
        if _complained(party, sale, claim, statement) is not None:
            party.share(statement.evidence[0], others)
            tell_judges(party, sale, handover, claim)
            return True
    return False


def commit(party: Party, handover: bytes, salt: bytes) -> bytes:
    """A verifier attests what it found and commits to it; the inspection's claim. salt: 32 secret bytes, put away."""
    sale, _ = read(party, handover)
    found, deal = look(party, handover), sale.deal()
    claim = party.attest(INSPECTION, deal_subject(sale), {"deal": deal.hex(), "outcome": found.outcome,
                                                           "why": found.why}, refs=[Ref("handover", handover)])
    data = commit_data(deal, INSPECTED, party.account, Result(found.outcome).to_bytes(), salt)
    party.book.submit(party.account, deal, 0, 0, sha256(claim), data)
    return claim


def reveal(party: Party, inspection: bytes, salt: bytes) -> None:
    """A verifier shows what it committed to."""
    statement = party.statement(inspection)
    sale, _ = read(party, statement.ref("handover"))
    found = Result(statement.body["outcome"]).to_bytes()
    party.book.submit(party.account, sale.deal(), 1, 0, inspection, reveal_data(found, salt))
