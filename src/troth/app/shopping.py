"""An agent at the market: tools with which it finds, checks, bargains for, orders and buys what its owner asked for.

Searching and checking change nothing. Bargaining and ordering sign claims by which nothing is owed. ``buy`` moves
money, through the gate alone, from the policy account straight into the sale's deal, which pays the account back if the
goods do not come or are rubbish. Two arguments decide it: which goods, by the evaluation of somebody whom the owner
named, and the most that they may cost, by the owner's words. What is written in an offer decides neither.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from troth.agents.bargain import BID, SELLER, About, Bid, Buyer, Talk, answer
from troth.agents.gate import Act
from troth.agents.origins import AMOUNT, TARGET
from troth.agents.tools import Acting, Arguments, Parameter, Reading, Saying, Tool, lines
from troth.app import market
from troth.app.shelf import Filters
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, Pending, Refuted
from troth.core.terms import Account
from troth.flows.sale import payable
from troth.flows.sale_deal import PRICE, Sale, read, state_of
from troth.flows.sale_words import EVALUATION, ORDER, Evaluation, Offer

if TYPE_CHECKING:
    from troth.app import Troth

PATIENCE = 3_600
"""Seconds for which a bargain goes on."""
OFFERS = 8
_NONCE = b"troth/shopping/bargain\n"


@dataclass(frozen=True, slots=True)
class Purse:
    """Whose money an agent shops with. account: the policy account. evaluators, verifiers: identities that the owner
    named: whose evaluations count, and who may judge a sale.
    """

    account: Account
    evaluators: tuple[str, ...]
    verifiers: tuple[str, ...]


def shopping(party: Troth, purse: Purse) -> tuple[Tool, ...]:
    """The tools, for ``troth.app.agent.Given.more``."""
    offer = {"offer": Parameter("claim", "The offer's id.")}
    most = Parameter("amount", "The most that your owner lets you pay, in the token's smallest unit.")
    return (
        Tool("market_search", "Find offers that hold every word; the best vouched for first.",
             Reading(partial(_search, party, purse)), {"words": Parameter("text", "Words of its name, card or tags.")}),
        Tool("market_check", "Check an offer before paying: numbered steps and an outcome.",
             Reading(partial(_check, party, purse)), offer),
        Tool("market_bargain", "Say one bid for an offer, by a ladder of prices up to the most; then wait for its "
             "seller's.", Saying(partial(_bargain, party), partial(_bid_of, party)), {**offer, "most": most}),
        Tool("market_order", "Order an offer that was checked; its seller then hands it over, sealed. Nothing is paid.",
             Saying(partial(_order, party, purse), partial(_ordered, party)), offer),
        Tool("market_buy", "Pay for what you ordered.",
             Acting(partial(_buy, party, purse), {"evaluation": TARGET, "most": AMOUNT}),
             {"evaluation": Parameter("claim", "The evaluation, by somebody your owner named, of what is bought."),
              "most": most}),
    )


def _search(party: Troth, purse: Purse, arguments: Arguments) -> str:
    found = market.search(party, arguments["words"], Filters(), purse.evaluators)
    return lines([json.dumps(one, ensure_ascii=False) for one in found], "no such offers here")


def _check(party: Troth, purse: Purse, arguments: Arguments) -> str:
    offer = arguments["offer"]
    report = market.check(party, offer, purse.evaluators, purse.verifiers)
    vouched = [claim.hex() for claim, _ in _vouched(party, Offer.of(party.statement(offer)), purse.evaluators)]
    return json.dumps({**report.json(), "evaluations": vouched}, ensure_ascii=False)


def _vouched(party: Troth, offer: Offer, evaluators: Collection[str]) -> Iterator[tuple[bytes, Evaluation]]:
    for claim, statement in party.claims(EVALUATION):
        if statement.issuer in evaluators:
            try:
                said = Evaluation.of(statement)
            except BadInput:
                continue
            if said.commitment == offer.commitment:
                yield claim, said


# ---- bargaining ----

def about(party: Troth, offer: bytes) -> About:
    """The bargain of this party over an offer: the one that its log has, or one that begins now."""
    for claim, statement in party.claims(BID):
        if statement.issuer == party.did and statement.all_refs("listing") == (offer,):
            said = Bid.of(party.statement(claim)).about
            if party.chain.now() <= said.until:
                return said
    statement = party.statement(offer)
    now = party.chain.now()
    nonce = sha256(_NONCE + market.root(party) + offer + now.to_bytes(8, "big"))[:16]
    return About(offer, Offer.of(statement).deal.money.price, party.did, statement.issuer, nonce, now + PATIENCE)


def sold_for(party: Troth, offer: bytes, reserve: int) -> Talk:
    """As seller: answer the bargains over an offer of this party's whose turn it is; the newest one.

    A buyer that takes, or whose price is taken, is offered the same goods anew at that price, which it alone may take.
    Raises Pending where nobody bargains.
    """
    # Imported here: a seller's side needs the tactic, a buyer's does not.
    from troth.agents.bargain import Seller

    found: dict[About, None] = {}
    for _, statement in party.claims(BID):
        if statement.all_refs("listing") == (offer,) and statement.issuer != party.did:
            try:
                said = Bid.of(statement).about
            except (BadInput, Refuted):
                continue  # what anybody sent stops no other's bargain
            if said.seller == party.did and said.price == Offer.of(party.statement(offer)).deal.money.price:
                found[said] = None
    if not found:
        raise Pending("nobody bargains over this offer", expected="a bid")
    for said in found:
        talk = answer(party, said, Seller(reserve), party.chain.now())
        if talk.agreed is not None and not _offered_at(party, offer, said.buyer, talk.agreed.price):
            market.announce(party, market.again(party, offer, talk.agreed.price, said.buyer), [said.buyer])
    return talk


def _offered_at(party: Troth, offer: bytes, buyer: str, price: int) -> bool:
    commitment = Offer.of(party.statement(offer)).commitment
    return any(one.commitment == commitment and one.licence.to == (buyer,) and one.deal.money.price == price
               for one in _offers(party, party.did))


def _offers(party: Troth, seller: str) -> Iterator[Offer]:
    for _, statement in party.claims("offer"):
        if statement.issuer == seller:
            try:
                yield Offer.of(statement)
            except BadInput:
                continue


def _bargain(party: Troth, arguments: Arguments, intent: bytes) -> str:
    party.receive()
    over = about(party, arguments["offer"])
    talk = answer(party, over, Buyer(arguments["most"], OFFERS), party.chain.now())
    return _told(talk)


def _bid_of(party: Troth, intent: bytes) -> str | None:
    """A bid said before a crash is not said twice: ``answer`` sends it again."""
    return None


def _told(talk: Talk) -> str:
    if talk.agreed is not None:
        return f"agreed on {talk.agreed.price}; the seller offers it anew at that price"
    if talk.over:
        return "the bargain ended without a price"
    mine = [bid.price for bid in talk.bids if bid.side != SELLER]
    return f"bid {mine[-1]} of {talk.about.price}; the seller asks {talk.last(SELLER)}; wait for its answer"


# ---- buying ----

def _order(party: Troth, purse: Purse, arguments: Arguments, intent: bytes) -> str:
    order = market.buy(party, arguments["offer"], purse.evaluators, purse.verifiers, purse.account)
    return f"ordered in claim {order.hex()}"


def _ordered(party: Troth, intent: bytes) -> str | None:
    """An order said before a crash is found by ``market.buy``, which makes none twice."""
    return None


def _buy(party: Troth, purse: Purse, arguments: Arguments) -> Act:
    # Imported here: eth_abi takes 0.2 s to load.
    from troth.ledger.evmcodec import calldata

    party.receive()
    vouching = party.statement(arguments["evaluation"])
    handover, sale = _handed(party, purse, Evaluation.of(vouching))
    if vouching.issuer not in purse.evaluators or vouching.issuer == party.statement(sale.offer_id).issuer:
        raise Refuted("nobody whom your owner named vouches for this but its seller", actual=vouching.issuer)
    price, most = sale.offer.deal.money.price, arguments["most"]
    if price > most:
        raise Misuse("it costs more than your owner said", expected=f"at most {most}", actual=price)
    sale, consent = payable(party, handover, market.root(party), party.chain.now(), purse.account)
    data = calldata("openAndJoin", sale.salt(), sale.terms().to_bytes(), PRICE,
                    [(consent.pot, consent.expiry, consent.signature)])
    book = sale.offer.deal.book
    return Act(book, data, price, book, f"buy {sale.offer.name!r} in deal {sale.deal().hex()}")


def _handed(party: Troth, purse: Purse, said: Evaluation) -> tuple[bytes, Sale]:
    """The newest answer to an order of this agent for what an evaluation is about. Raises Refuted, Pending, Misuse."""
    found: list[tuple[bytes, Sale]] = []
    for order, statement in party.claims(ORDER):
        if statement.issuer == party.did:
            for handover in market.handovers_of(party, order):
                sale, _ = read(party, handover)
                if sale.offer.commitment == said.commitment and sale.order.account == purse.account:
                    found.append((handover, sale))
    if not found:
        raise Pending("nothing of the kind was ordered and handed over", do="Order it, and wait for its seller.")
    if any(state_of(party, sale) is not None for _, sale in found):
        raise Misuse("it was bought already", actual=found[-1][1].offer.name)
    if not {judge.did for judge in found[-1][1].offer.deal.verifiers} & set(purse.verifiers):
        raise Refuted("nobody whom your owner named judges this sale", actual=found[-1][1].offer.name)
    return found[-1]
