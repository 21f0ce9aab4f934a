"""The market's verbs as an agent's tools: it searches, checks, orders, and pays from its owner's policy account.

The order names the policy account as its buyer, so the licence is that account's, and the price leaves it by one act
that the gate decides: the deal is opened and joined at once, with the seller's consent. **Which listing may be bought
is not the agent's to say, nor the seller's**: the act needs an evaluation of it, signed by an evaluator that the owner
named, and a most that stands in the owner's words.

What it does not do: challenge. A complaint needs a bond from the buyer's account, which is the owner's to spend.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from troth.agents.gate import Act
from troth.agents.origins import AMOUNT, TARGET
from troth.agents.tools import Acting, Arguments, Parameter, Reading, Saying, Tool, lines
from troth.app import market, tending
from troth.app.shelf import Filters
from troth.core.errors import Misuse, Pending, Refuted
from troth.core.ports import Consent
from troth.core.terms import Account, DealState, Terms
from troth.flows import sale as flow
from troth.flows.sale_bench import tell_judges
from troth.flows.sale_deal import read, state_of
from troth.flows.sale_words import ORDER, Evaluation, Offer

if TYPE_CHECKING:
    from troth.app import Troth


@dataclass(frozen=True, slots=True)
class Believed:
    """Whom the owner named. evaluators: whose word on quality counts. verifiers: who may inspect a sale."""

    evaluators: tuple[str, ...]
    verifiers: tuple[str, ...] = ()


class _Captured(Exception):
    """The call of the Book that would have been sent."""

    def __init__(self, data: bytes) -> None:
        self.data = data


@dataclass(frozen=True, slots=True)
class _BehalfBook:
    """A Book as a policy account's agent has it outside the gate: it reads. sending: give the call of a purchase."""

    party: Troth
    sending: bool

    def state(self, deal: bytes) -> DealState:
        return self.party.book.state(deal)

    def open_and_join(self, by: Account, terms: Terms, salt: bytes, pot: int, consents: Sequence[Consent]) -> bytes:
        # Imported here: eth_abi takes 0.2 s to load.
        from troth.ledger.evmcodec import calldata

        if not self.sending:
            raise Pending("the agent pays by an act of its own", do="Call pay_order.")
        raise _Captured(calldata("openAndJoin", salt, terms.to_bytes(), pot,
                                 [(one.pot, one.expiry, one.signature) for one in consents]))

    def __getattr__(self, name: str) -> Any:
        raise Misuse("the buyer's account is its owner's for this", actual=name, do="Ask the owner.")


class _Behalf:
    """This workspace as the buyer whose account is the policy account: everything else is its own."""

    def __init__(self, party: Troth, account: Account, *, sending: bool = False) -> None:
        self._party, self.account, self.book = party, account, _BehalfBook(party, sending)

    @property
    def sender(self) -> Any:
        raise Pending("the agent pays by an act of its own", do="Call pay_order.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._party, name)


def behalf(party: Troth, account: Account, *, sending: bool = False) -> Troth:
    """The workspace with another account, for flows that only read and sign claims."""
    return cast("Troth", _Behalf(party, account, sending=sending))


def trading(party: Troth, account: Account, believed: Believed) -> tuple[Tool, ...]:
    """``market``, ``check_offer``, ``pull``, ``order``, ``pay_order`` and ``tend``, for purchases from this account."""
    offer = {"offer": Parameter("claim", "The offer's claim.")}
    return (
        Tool("market", "Search what is for sale, by words. Quality counts from evaluators your owner named.",
             Reading(partial(_search, party, believed)), {"text": Parameter("text", "Words.")}),
        Tool("check_offer", "All that can be checked of an offer before paying.",
             Reading(partial(_check, party, believed)), offer),
        Tool("pull", "Take in what others sent.", Reading(partial(_pull, party)), {}),
        Tool("order", "Order what is offered, after checking it. Nothing is paid yet.",
             Saying(partial(_order, party, account, believed), lambda _: None), offer),
        Tool("pay_order", "Pay an order that the seller answered, price and stake together or nothing.",
             Acting(partial(_pay, party, account, believed), {"evaluation": TARGET, "most": AMOUNT}),
             {"order": Parameter("claim", "The order's claim."),
              "evaluation": Parameter("claim", "A claim by which an evaluator vouches for what is offered."),
              "most": Parameter("amount", "At most this much.")}),
        Tool("tend", "Go on with purchases: open what was delivered.",
             Saying(partial(_tend, party, account), lambda _: None), {}),
    )


def _search(party: Troth, believed: Believed, arguments: Arguments) -> str:
    found = market.search(party, arguments["text"], Filters(), believed.evaluators)
    return lines([json.dumps(one, ensure_ascii=False) for one in found], "nothing like that is offered here")


def _check(party: Troth, believed: Believed, arguments: Arguments) -> str:
    report = market.check(party, arguments["offer"], believed.evaluators, believed.verifiers)
    vouched = [claim.hex() for claim, _ in _evaluations(party, arguments["offer"], believed.evaluators)]
    return json.dumps(report.json() | {"evaluations": vouched}, ensure_ascii=False)


def _pull(party: Troth, arguments: Arguments) -> str:
    new = party.receive()
    return lines([f"{claim.hex()} {party.statement(claim).kind}" for claim in new], "nothing new")


def _order(party: Troth, account: Account, believed: Believed, arguments: Arguments, intent: bytes) -> str:
    claim = market.buy(behalf(party, account), arguments["offer"], believed.evaluators, believed.verifiers)
    return f"ordered in claim {claim.hex()}"


def _pay(party: Troth, account: Account, believed: Believed, arguments: Arguments) -> Act:
    order, most = arguments["order"], arguments["most"]
    statement = party.statement(order)
    if statement.kind != ORDER or statement.issuer != party.did:
        raise Misuse("not an order of this agent's", actual=order.hex())
    offer = Offer.of(party.statement(statement.ref("offer")))
    price = offer.deal.money.price
    if price > most:
        raise Misuse("dearer than the owner would pay", expected=f"at most {most}", actual=price)
    if arguments["evaluation"] not in [claim for claim, _ in _evaluations(party, statement.ref("offer"),
                                                                          believed.evaluators)]:
        raise Refuted("no evaluator that the owner named vouches for what was ordered by this claim",
                      actual=arguments["evaluation"].hex())
    buyer = behalf(party, account, sending=True)
    for handover in market.handovers_of(party, order):
        try:
            flow.fund(buyer, handover, market.root(party), party.chain.now())
        except _Captured as found:
            book = offer.deal.book
            return Act(book, found.data, price, book, f"buy {offer.name} for {price}")
    raise Pending("the seller has not answered this order", do="Pull, and try again.")


def _tend(party: Troth, account: Account, arguments: Arguments, intent: bytes) -> str:
    buyer = behalf(party, account)
    for order, statement in party.claims(ORDER):
        if statement.issuer == party.did:
            for handover in market.handovers_of(party, order):
                sale, _ = read(party, handover)
                state = state_of(party, sale)
                if state is not None and state.status in ("funding", "running"):
                    tell_judges(party, sale, handover)
    done = tending.tend(buyer)
    return lines([f"{one.what} {one.order.hex()}{f': {one.refused}' if one.refused else ''}" for one in done],
                 "nothing to do now")


def _evaluations(party: Troth, offer: bytes, evaluators: Collection[str]) -> list[tuple[bytes, Evaluation]]:
    """Those of believed evaluators about exactly what is offered, never the seller's own."""
    statement = party.statement(offer)
    wanted, seller = Offer.of(statement).commitment, statement.issuer
    return [(claim, said) for claim, said in market.evaluations(party) if said.commitment == wanted
            and (issuer := party.statement(claim).issuer) in evaluators and issuer != seller]
