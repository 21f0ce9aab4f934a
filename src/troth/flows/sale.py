"""A sale of sealed data, a model or annotations: the key against the price, and the price back for a wrong key.

Claims: offer, order, handover, complaint, inspection. Ladder: Preimage -> Rerun -> Jury (the court only where the offer
names one). The buyer orders with a one-time key. The seller hands over ``E = HPKE(one-time key, AEAD_s(data key))``,
with the lock of s and its signed consent to its stake. The buyer checks what can be checked and deposits the price,
which brings the stake along or neither. Once that is final the seller shows s, and the buyer has the data. A buyer that
got rubbish calls the verifiers and seals its one-time key to them; they open the same bytes and find the same, so that
price and stake are the buyer's. An observer has E, s and the sealed file, and can open nothing.

What keeps each side whole, whatever the other does: nothing is deposited before both have; the buyer holds E and the
whole sealed file before it pays; a secret that is not shown in time pays the buyer its price and the stake; a complaint
without a key that opens is found unfounded. What it does not give: payment is atomic with the secret, not with a right
key: for that, the verifiers or the court must be honest by majority, or a proof that the key fits comes with the
handover (`sale_fit`). Nobody can keep a buyer from copying what it bought.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from troth.core.claims import Ref
from troth.core.encoding import sha256
from troth.core.errors import ActRefused, Misuse, Pending, Refuted
from troth.core.ports import Consent
from troth.core.terms import CHALLENGE, UPHELD, VERDICT, Account, Result
from troth.core.times import moment
from troth.flows.parts import Party
from troth.flows.sale_bench import tell_judges
from troth.flows.sale_checks import PREVIEW, Finding, check_listed, check_standing, compare, goods_of, inspect
from troth.flows.sale_deal import (
    FIT,
    PRICE,
    STAKE,
    Sale,
    deal_subject,
    handed,
    one_time_key,
    read,
    secret_for,
    secret_of,
    shown,
    state_of,
)
from troth.flows.sale_fit import Fitting, key_with, proof_with
from troth.flows.sale_words import COMPLAINT, HANDOVER, OFFER, ORDER, Handover, Offer, Order
from troth.store import unixfs
from troth.store.cid import Cid
from troth.store.delivery import fits, hand_over, take
from troth.store.sealing import Header
from troth.verify.policies.preimage import hash_lock

Sign = Callable[[bytes], bytes]
"""A digest to the account's 65-byte signature."""


def put_up(party: Party, offer: Offer, listing: bytes, preview: bytes = b"",
           evaluations: Iterable[bytes] = ()) -> bytes:
    """Offer what a listing of this party's holds; the offer's claim. preview: public, in the form of the data.

    evaluations: claims by others that opened the sealed file. Raises Misuse for words that nobody should agree to, or
    another account than this party's.
    """
    offer.deal.check()
    if offer.deal.seller != party.account:
        raise Misuse("an offer that pays somebody else's account", expected=party.account.hex(),
                     actual=offer.deal.seller.hex())
    check_listed(offer, party.statement(listing), party.did)
    evidence = [party.add(PREVIEW, preview)] if preview else []
    return party.attest(OFFER, offer.subjects(), offer.body(), evidence=evidence,
                        refs=[Ref("listing", listing), *(Ref("evaluation", one) for one in sorted(evaluations))])


# The buyer


def order(party: Party, offer: bytes, root: bytes, now: int, account: Account | None = None) -> bytes:
    """Order what is offered: the order's claim, which the seller is sent. Nothing is deposited.

    account: what pays and is refunded, where that is not the party's own: its policy account. Raises Misuse where the
    licence is not for this party or the words should not be agreed to, and what ``check_standing`` raises.
    """
    statement = party.statement(offer)
    found = Offer.of(statement)
    found.deal.check()
    goods_of(party, offer)
    check_standing(party, offer, found.until(now))
    account = account or party.account
    _may_buy(found, party.did, account)
    nonce = secrets.token_bytes(32)
    said = Order(account, one_time_key(root, nonce).public(), nonce)
    claim = party.attest(ORDER, statement.subjects, said.body(), refs=[Ref("offer", offer)])
    party.send([statement.issuer], [claim])
    return claim


def _may_buy(offer: Offer, did: str, account: Account) -> None:
    if offer.licence.to and did not in offer.licence.to:
        raise Misuse("this licence is not for this buyer", expected=", ".join(offer.licence.to), actual=did)
    barred = {offer.deal.seller, *(judge.account for judge in offer.deal.verifiers)}
    if account in barred:
        raise Misuse("who sells or judges a sale cannot be its buyer", actual=account.hex())


def fund(party: Party, handover: bytes, root: bytes, now: int, fitting: Fitting | None = None) -> Sale:
    """Deposit price and stake together, or nothing, after ``payable``. Raises as that, ActRefused where the Book
    refuses: all before anything moves.
    """
    sale, consent = payable(party, handover, root, now, party.account, fitting)
    party.book.open_and_join(party.account, sale.terms(), sale.salt(), PRICE, [consent])
    tell_judges(party, sale, handover)
    return sale


def payable(party: Party, handover: bytes, root: bytes, now: int, account: Account,
            fitting: Fitting | None = None) -> tuple[Sale, Consent]:
    """What ``account`` may pay for now, with the seller's consent to its stake: all that can be checked without the
    secret is checked.

    1. The handover is the seller's answer to this account's order, and its deal is the one that follows from the words.
    2. What is offered may be sold now (``check_standing``).
    3. E opens with the one-time key; the sealed file is here, whole, and commits to the key that the offer says.
    4. With ``fitting``: a proof came along that the secret opens a key which fits that file.

    Raises Refuted, Undecidable or Misuse.
    """
    sale, said = read(party, handover)
    if sale.order.account != account:
        raise Misuse("somebody else's order", expected=account.hex(), actual=sale.order.account.hex())
    sale.offer.deal.check()
    goods_of(party, sale.offer_id)
    check_standing(party, sale.offer_id, sale.until)
    fits(handed(party, handover), one_time_key(root, sale.order.nonce), sale.order_id)
    header = check_sealed(party, sale.offer)
    if fitting is not None:
        fitting.check(sale, header, proof_with(party, handover))
    if now >= sale.fund_by:
        raise Misuse("the time to fund this sale is over", expected=f"before {moment(sale.fund_by, now)}",
                     do="Order again.")
    return sale, Consent(STAKE, sale.fund_by, said.consent)


def check_sealed(party: Party, offer: Offer) -> Header:
    """The sealed file's header; refused unless every block is here and it commits to the key that the offer says.

    Raises Undecidable for a missing block, Refuted for another commitment.
    """
    blocks = unixfs.blocks(Cid.parse(offer.cid), party.blobs)
    header = Header.read(next(blocks, b""))
    for _ in blocks:  # each is checked against its CID
        pass
    if header.key_commitment != offer.commitment:
        raise Refuted("the sealed file commits to another key than the offer says", expected=offer.commitment.hex(),
                      actual=header.key_commitment.hex(), do="Do not buy it.")
    return header


def receive_goods(party: Party, handover: bytes, root: bytes) -> Finding:
    """What the buyer got, once the secret is shown. Raises Pending before, Refuted where it will not come.

    Where E holds another key than the file's, the one that a proof came with is tried.
    """
    sale, _ = read(party, handover)
    secret, goods = shown(party, sale), goods_of(party, sale.offer_id)
    found = inspect(party, goods, handed(party, handover), one_time_key(root, sale.order.nonce), secret, sale.order_id)
    if found.outcome != UPHELD and (proven := key_with(party, handover, sale, secret)) is not None:
        return compare(party, goods, proven)
    return found


def key_of(party: Party, handover: bytes, root: bytes) -> bytes:
    """The key in what was handed over, once the secret is shown. Raises Pending before, Refuted where none is in it."""
    sale, _ = read(party, handover)
    secret = shown(party, sale)
    if (proven := key_with(party, handover, sale, secret)) is not None:
        return proven
    return take(handed(party, handover), secret, one_time_key(root, sale.order.nonce), sale.order_id)


def complain(party: Party, handover: bytes, root: bytes) -> bytes:
    """Call the verifiers and hand them the one-time key, sealed: the complaint's claim.

    They then see the data, if the complaint is unfounded. Whoever else challenged first only paid for it. Raises
    Misuse for goods that are as offered, ActRefused where the Book takes no challenge.
    """
    sale, _ = read(party, handover)
    found = receive_goods(party, handover, root)
    if found.outcome == UPHELD:
        raise Misuse("what was delivered is what was offered: a complaint would lose the bond", actual=found.why)
    judges = [judge.did for judge in sale.offer.deal.verifiers]
    key = party.add("one-time key", one_time_key(root, sale.order.nonce).seed, judges)
    claim = party.attest(COMPLAINT, deal_subject(sale), {"deal": sale.deal().hex(), "why": found.why},
                         refs=[Ref("handover", handover), Ref("order", sale.order_id)], evidence=[key])
    if not any(entry.kind == CHALLENGE for entry in party.book.state(sale.deal()).history):
        party.book.challenge(party.account, sale.deal())
    tell_judges(party, sale, handover, claim)
    return claim


# The seller


def hand(party: Party, order_id: bytes, root: bytes, data_key: bytes, sign: Sign, now: int,
         fitting: Fitting | None = None) -> bytes:
    """Answer an order: E and the sealed file for the buyer, and consent to the stake; the handover's claim.

    Nothing is deposited; the consent is good until the time to fund is over, for this deal alone. The Book must be
    allowed to take the stake. Doing it again gives the same claim. fitting: proves to the buyer that the key fits; it
    takes what ``sale_fit`` says. Raises Misuse for an order that is none for this seller or buyer, what
    ``check_standing`` raises, and Refuted for a key that does not fit, where that is to be proven.
    """
    statement = party.statement(order_id)
    said = Order.of(statement)
    offer_id = statement.ref("offer")
    offering = party.statement(offer_id)
    offer = Offer.of(offering)
    if offering.issuer != party.did or offer.deal.seller != party.account:
        raise Misuse("an order of somebody else's offer", expected=party.did, actual=offering.issuer)
    for claim, earlier in party.claims(HANDOVER):
        if earlier.issuer == party.did and order_id in earlier.all_refs("order"):
            return claim
    offer.deal.check()
    _may_buy(offer, statement.issuer, said.account)
    check_standing(party, offer_id, offer.until(now))
    secret = secret_for(root, order_id)
    handed = party.add("handed", hand_over(data_key, secret, said.key, order_id))
    sale = Sale(offer_id, offer, order_id, said, handed.cid, hash_lock(secret), now + offer.deal.periods.fund)
    evidence = [handed]
    if fitting is not None:
        proof = fitting.prove(sale, check_sealed(party, offer), data_key, secret)
        evidence.append(party.add(FIT, proof, [statement.issuer]))
    answer = Handover(sale.deal(), handed.cid, sale.lock, sale.fund_by, sign(sale.consent_digest()))
    claim = party.attest(HANDOVER, deal_subject(sale), answer.body(), evidence=evidence,
                         refs=[Ref("order", order_id), Ref("offer", offer_id)])
    # The sealed file without its key: the wraps that are here are the seller's own.
    party.send([statement.issuer], [claim], [*evidence, *party.statement(offering.ref("listing")).evidence])
    return claim


def show(party: Party, handover: bytes, root: bytes) -> None:
    """Show the secret and have it judged, both or neither: only once the deposits are final, which the caller knows.

    Raises Pending before the sale is funded, Misuse where it was shown or is over. A consent that was withdrawn after
    the deposits stops it too (Refuted): then the price goes back, and the stake goes to the buyer.
    """
    sale, _ = read(party, handover)
    state = state_of(party, sale)
    if state is None or state.status == "funding":
        raise Pending("the sale is not funded", actual="no deal" if state is None else state.status)
    if state.status != "running" or secret_of(sale, state) is not None:
        raise Misuse("there is nothing to show in this sale any more", actual=state.status)
    check_standing(party, sale.offer_id, sale.until)
    party.book.submit_and_judge(party.account, sale.deal(), 0, 0, sha256(handover), secret_for(root, sale.order_id))


# All of them


def finish(party: Party, handover: bytes) -> Result | None:
    """Judge what is to be judged, and close: by anybody; the outcome, None for a sale that was never funded.

    Raises ActRefused before the time.
    """
    sale, _ = read(party, handover)
    state = party.book.state(sale.deal())
    judged = {entry.rung for entry in state.history if entry.kind == VERDICT}
    if state.status == "running" and state.rung not in judged:
        try:
            party.book.judge(party.account, sale.deal())
        except ActRefused as refusal:
            if refusal.code not in ("TooLate", "NoVerdict"):  # silent for good: it can be closed
                raise
    party.book.close(party.account, sale.deal())
    return party.book.state(sale.deal()).final


