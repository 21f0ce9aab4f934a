"""The deal of one sale, as both sides make it from offer, order and handover, and what the chain shows of it."""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.claims import Subject
from troth.core.encoding import keccak256, sha256
from troth.core.errors import ActRefused, Pending, Refuted
from troth.core.seats import court_rung
from troth.core.terms import (
    REFUTED,
    SLASHED,
    SUBMISSION,
    UPHELD,
    VERDICT,
    Answered,
    Ask,
    DealState,
    Pot,
    Result,
    Rung,
    Split,
    Terms,
    climber,
    deal_id,
)
from troth.core.typed_data import join_digest
from troth.flows.parts import Party
from troth.flows.sale_words import Handover, Offer, Order
from troth.store.wrapping import RecipientKey
from troth.verify.policies.preimage import SECRET, hash_lock

FIT = "fit"
"""The name of the evidence that proves a key to fit."""
PRICE, STAKE = 0, 1
"""Pots."""
NO_BONDS = keccak256(b"troth sale: the bonds of wrong challengers are nobody's")[12:]
RESULTS = (Result(UPHELD), Result(REFUTED))
"""What a court chooses from, in this order."""
INSPECTED = 1
"""The rung on which verifiers look."""


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale, as both sides make it from the claims: its licence's words, its terms, its deal."""

    offer_id: bytes
    offer: Offer
    order_id: bytes
    order: Order
    cid: str
    lock: bytes
    fund_by: int

    @property
    def until(self) -> int:
        """The last second of the licence, Unix."""
        return self.fund_by + self.offer.licence.term

    def words(self) -> bytes:
        """What the deal's salt commits to, word by word, as contract ``Licences`` reads it."""
        licence = self.offer.licence
        handed = keccak256(self.cid.encode() + self.offer.commitment)
        return b"".join((self.offer_id, self.order_id, handed, licence.digest(), self.until.to_bytes(32, "big"),
                         bytes(31) + bytes([licence.transferable]), licence.royalty.to_bytes(32, "big"),
                         licence.authority.rjust(32, b"\x00"), licence.ladder))

    def salt(self) -> bytes:
        """The deal's salt: with the lock in the terms, it fixes all that is handed over and licensed."""
        return keccak256(self.words())

    def terms(self) -> Terms:
        """The deal's terms; both sides make them by themselves."""
        deal, money, periods = self.offer.deal, self.offer.deal.money, self.offer.deal.periods
        buyer, seller = self.order.account, deal.seller
        payees = deal.payees or ((seller, 1),)
        bench = tuple(judge.account for judge in deal.verifiers)
        forfeit = Split((buyer,), amounts=(money.stake,))
        pots = (
            Pot("price", buyer, money.price, {UPHELD: Split(tuple(account for account, _ in payees),
                                                            weights=tuple(weight for _, weight in payees))}),
            # A secret that never came slashes the seller as well: it missed what it was asked.
            Pot("stake", seller, money.stake, {SLASHED: forfeit, REFUTED: forfeit}),
            # Of a slashed verifier nobody gets anything: what it loses goes where wrong bonds go.
            *(Pot(f"stake:{account.hex()[:12]}", account, money.verifier_stake, {})
              for account in bench if money.verifier_stake),
            Pot("verifiers", climber(INSPECTED), money.fee, dict.fromkeys((UPHELD, REFUTED), Answered(INSPECTED))),
        )
        above = deal.court
        look = Rung(deal.rerun.address, deal.rerun.codehash,
                    (Ask("commit", bench, periods.look), Ask("reveal", None, periods.look)), periods.verdict,
                    *((periods.window, 2 * money.bond) if above else ()))
        rungs = (Rung(deal.preimage.address, deal.preimage.codehash, (Ask("preimage", (seller,), periods.reveal),),
                      periods.verdict, periods.window, money.bond, silent=REFUTED, param=self.lock), look,
                 *((court_rung((above.policy.address, above.policy.codehash), above.seat, RESULTS, above.period,
                               periods.verdict),) if above else ()))
        return Terms(deal.token, pots, rungs, self.fund_by, NO_BONDS)

    def deal(self) -> bytes:
        """The deal's id, known before it is opened."""
        deal = self.offer.deal
        return deal_id(deal.chain_id, deal.book, self.order.account, self.salt(), self.terms().hash())

    def consent_digest(self) -> bytes:
        """What the seller's account signs so that the buyer brings the stake with the price."""
        deal = self.offer.deal
        return join_digest(deal.chain_id, deal.book, self.deal(), STAKE, deal.token, deal.money.stake, self.fund_by)


def one_time_key(root: bytes, nonce: bytes) -> RecipientKey:
    """The buyer's key for one order. root: 32 secret bytes of the party's, always the same: nothing is written down."""
    return RecipientKey(sha256(b"troth/sale/one-time key\n" + root + nonce))


def secret_for(root: bytes, order: bytes) -> bytes:
    """The seller's secret for one order; never the same for two, or the first would open the second."""
    return sha256(b"troth/sale/secret\n" + root + order)


def read(party: Party, handover: bytes) -> tuple[Sale, Handover]:
    """A handover with the sale that it is for. Raises BadInput, Undecidable; Refuted where it is not the seller's, or
    its deal is not the one that follows from offer, order and lock.
    """
    statement = party.statement(handover)
    said = Handover.of(statement)
    order_id = statement.ref("order")
    ordering = party.statement(order_id)
    offer_id = ordering.ref("offer")
    offering = party.statement(offer_id)
    sale = Sale(offer_id, Offer.of(offering), order_id, Order.of(ordering), said.cid, said.lock, said.fund_by)
    if statement.issuer != offering.issuer or statement.ref("offer") != offer_id:
        raise Refuted("this handover is not the seller's", expected=offering.issuer, actual=statement.issuer)
    # A proof that the key fits may come too, sealed to the buyer (`sale_fit`).
    came = [(item.cid, item.sealed) for item in statement.evidence if (item.name, item.sealed) != (FIT, True)]
    if came != [(said.cid, False)] or statement.evidence[0].cid != said.cid or len(statement.evidence) > 2:
        raise Refuted("what came with the handover is not what its deal commits to", expected=said.cid)
    if sale.deal() != said.deal:
        raise Refuted("the handover is for another deal than offer and order make", expected=sale.deal().hex(),
                      actual=said.deal.hex())
    return sale, said


def shown(party: Party, sale: Sale) -> bytes:
    """The secret, as the chain has it. Raises Pending while it may come, Refuted where it did not."""
    state = state_of(party, sale)
    found = None if state is None else secret_of(sale, state)
    if found is not None:
        return found
    if state is not None and (state.status == "closed" or any(entry.kind == VERDICT for entry in state.history)):
        raise Refuted("the secret was not shown", expected="what hashes to the lock", do="Close the deal: price and "
                      "stake are the buyer's.")
    raise Pending("the secret is not shown yet", actual="no deal" if state is None else state.status)


def state_of(party: Party, sale: Sale) -> DealState | None:
    """The sale's deal as the chain has it, None where nobody opened it."""
    try:
        return party.book.state(sale.deal())
    except ActRefused as refusal:
        if refusal.code == "Unknown":
            return None
        raise


def secret_of(sale: Sale, state: DealState) -> bytes | None:
    """The secret, if the deal's history shows it."""
    for entry in state.history:
        if (entry.kind == SUBMISSION and entry.rung == 0 and len(entry.data) == SECRET
                and hash_lock(entry.data) == sale.lock):
            return entry.data
    return None


def handed(party: Party, handover: bytes) -> bytes:
    """E, as it was handed over. Raises Undecidable where it is not here."""
    return party.read(party.statement(handover).evidence[0])


def deal_subject(sale: Sale) -> list[Subject]:
    """What claims about a sale are about."""
    return [Subject("deal", {"keccak256": sale.deal().hex()})]
