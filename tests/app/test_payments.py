"""A workspace sells files and answers over x402, another buys them; receipts, and who tries to claim others'."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import Place

from agents.x402_parts import just_money
from troth.agents.gate import Done, MemoryGate, Refused
from troth.agents.x402.budget import Limits, OverBudget
from troth.agents.x402.client import Bought, Payer
from troth.agents.x402.receipt import PAYMENT, PURCHASE, PaymentClaim, Purchase, check_payment
from troth.agents.x402.server import ShopServer
from troth.app.payments import (
    budget,
    check_receipt,
    hot_key,
    open_shop,
    payer,
    question,
    receipt,
    refill,
    refill_through,
    take_answer,
    token_of,
)
from troth.app.proving import check
from troth.core.claims import Evidence, Statement
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.verdicts import Outcome
from troth.fixed.program import Affine, Program
from troth.ledger.limits import Limits as GateLimits
from troth.ledger.memory_token import MemoryToken

MODEL = Program(np.full(2, -100), np.full(2, 100), (Affine(0, np.array([[3, -2]]), np.array([5])),), "sign",
                features=("age", "dose"), classes=("well", "ill"))
SHOP = """
[[sell]]
path = "/dose"
price = 7
program = "model.program"
show = {show}
description = "whether this dose is too high"
[[sell]]
path = "/report"
price = 3
file = "report.txt"
"""


class Market:
    """A seller with its shop, and a buyer with money and a budget."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.place, self.root, self.stack = Place(root), root, stack
        stack.callback(self.place.close)
        self.seller, self.buyer = self.place.make("seller"), self.place.make("buyer")
        self.buyer.use_contracts(just_money(self.seller, 1_000))
        token_of(self.seller).transfer(self.seller.sender, self.buyer.account, 100)
        self.budget = stack.enter_context(budget(self.buyer))
        self.budget.allow(self.place.chain.chain_id, token_of(self.buyer).address, Limits(10, 20, 20))
        refill(self.buyer, 50)
        self.payer: Payer = stack.enter_context(payer(self.buyer, self.budget))
        (root / "model.program").write_bytes(MODEL.to_bytes())
        (root / "report.txt").write_text("all is well")

    def serve(self, text: str) -> ShopServer:
        (self.root / "shop.toml").write_text(text)
        return self.stack.enter_context(ShopServer(self.stack.enter_context(open_shop(
            self.seller, self.root / "shop.toml"))))


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with ExitStack() as stack:
        yield Market(tmp_path_factory.mktemp("payments"), stack)


@pytest.fixture(scope="module")
def bought(market: Market) -> tuple[Bought, Statement, bytes]:
    """A report, its receipt, and the receipt's evidence."""
    found = market.payer.get(market.serve(SHOP.format(show="true")).url + "/report", most=5)
    statement = market.buyer.statement(receipt(market.buyer, found))
    return found, statement, market.buyer.read(statement.evidence[0])


def test_the_hot_account_holds_what_it_was_filled_with(market: Market) -> None:
    hot = hot_key(market.buyer)
    assert hot.public.account not in (market.buyer.account, hot_key(market.seller).public.account)
    assert hot.public.account == hot_key(market.place.again("buyer")).public.account
    with pytest.raises(Misuse):
        refill(market.buyer, 0)


def test_an_agents_account_fills_the_hot_one_within_its_limits(market: Market) -> None:
    token, clock, hot = MemoryToken(), market.place.clock, hot_key(market.buyer).public.account
    token.mint(b"a" * 20, 100)
    limits = GateLimits(b"g" * 20, b"t" * 20, 30, 40, clock.now() + 1_000, hot=hot, fill=25)
    gate = MemoryGate(b"a" * 20, b"o" * 20, limits, token, clock)
    assert isinstance(refill_through(market.buyer, gate), Done)
    assert token.balance_of(hot) == 25
    token.transfer(hot, b"m" * 20, 20)  # a day's second filling is beyond the day's cap
    assert isinstance(refill_through(market.buyer, gate), Refused)
    assert token.balance_of(hot) == 5
    gate.limit(b"o" * 20, replace(limits, hot=b"h" * 20))
    with pytest.raises(Misuse, match="another hot account"):
        refill_through(market.buyer, gate)


def test_an_answer_is_bought_and_executed_again(market: Market) -> None:
    url = market.serve(SHOP.format(show="true")).url + "/dose"
    found = market.payer.post(url, question(market.buyer, {"age": 40, "dose": 7}), most=7)
    said = json.loads(found.body)
    assert (said["scores"], said["label"], found.settled) == (["111"], "ill", True)
    assert check(market.buyer, take_answer(market.buyer, found)).outcome == Outcome.UPHELD
    assert token_of(market.buyer).balance(market.seller.account) == 1_000 - 100 + 7


def test_an_answer_is_bought_and_the_model_stays_the_sellers(market: Market) -> None:
    url = market.serve(SHOP.format(show="false")).url + "/dose"
    found = market.payer.post(url, question(market.buyer, [40, 7]), most=7)
    claim = take_answer(market.buyer, found)
    assert check(market.buyer, claim).outcome == Outcome.UNDECIDABLE
    assert check(market.seller, claim).outcome == Outcome.UPHELD
    blocks = json.loads(base64.b64decode(json.loads(found.body)["parcel"]))["blocks"]
    assert not any(MODEL.to_bytes() in base64.b64decode(block) for block in blocks.values())


def test_a_changed_answer_is_not_taken_in(market: Market) -> None:
    url = market.serve(SHOP.format(show="true")).url + "/dose"
    # Without an introduction: anybody may buy, and read the scores.
    market.budget.allow(market.place.chain.chain_id, token_of(market.buyer).address, Limits(10, 90, 90))
    found = market.payer.post(url, json.dumps({"input": [1, 2]}).encode(), most=7)
    said = json.loads(found.body)
    for changed in (said | {"claim": "00" * 32}, said | {"parcel": "x"}, [], said | {"parcel": 5}):
        with pytest.raises((BadInput, Refuted)):
            take_answer(market.buyer, replace(found, body=json.dumps(changed).encode()))


@pytest.mark.parametrize("body", [b"", b"[1, 2]", b'{"input": [1]}', b'{"input": [1, 1000]}', b'{"input": [1, NaN]}',
                                  b'{"input": [1, 2], "more": 1}', b'{"input": [1, 2], "buyer": 5}',
                                  b'{"input": [1, 2], "buyer": "e30="}', b'{"input": [1, 1e400]}'])
def test_what_cannot_be_answered_is_told_before_anybody_pays(market: Market, body: bytes) -> None:
    url = market.serve(SHOP.format(show="true")).url + "/dose"
    found = market.payer.post(url, body, most=7)
    assert (found.status, found.spending) == (400, None)
    with pytest.raises(Misuse):
        receipt(market.buyer, found)


@pytest.mark.parametrize("text", ["", "sell = 1", "[[sell]]\npath = '/a'\nprice = 1", "url = 3", "[[sell]]\nmore = 1",
                                  SHOP.format(show="1"), SHOP.format(show="true").replace("7", "0"),
                                  SHOP.format(show="true").replace('"/dose"', '"dose"'), "life = 'x'" + SHOP,
                                  SHOP.format(show="true").replace("report.txt", "none.txt"), "[[sell]",
                                  "url = '127.0.0.1'\n" + SHOP.format(show="true"),
                                  "until = 'soon'\n" + SHOP.format(show="true"), "other = 1"])
def test_files_that_are_no_shop(market: Market, text: str) -> None:
    with pytest.raises((Misuse, OutsideFailed)):
        market.serve(text)


def found_in(statement: Statement, data: bytes | None, market: Market, answer: bytes | None = None) -> list[str]:
    return [one.name for one in check_payment(statement, lambda _: data, token_of(market.buyer), answer)]


def test_a_receipt_shows_what_was_paid_for(market: Market, bought: tuple[Bought, Statement, bytes]) -> None:
    _, statement, data = bought
    assert found_in(statement, data, market, b"all is well") == ["who paid", "the payment", "the offer", "what came"]
    said, purchase = PaymentClaim.of(statement), Purchase.from_bytes(data)
    assert (said.price, said.served, purchase.offer.resource.endswith("/report")) == (3, True, True)
    assert purchase.offer.by_seller
    assert b"/report" not in statement.to_bytes()  # what was bought is nobody else's business
    with pytest.raises(Refuted, match="another answer"):
        found_in(statement, data, market, b"all is lost")
    with pytest.raises(Undecidable):
        found_in(statement, None, market)
    with pytest.raises(Undecidable):
        list(check_payment(statement, lambda _: data, None))


def test_a_receipt_is_checked_in_its_log(market: Market, bought: tuple[Bought, Statement, bytes]) -> None:
    claim = next(claim for claim, _ in market.buyer.claims(PAYMENT))
    right, wrong = (check_receipt(market.buyer, claim, text) for text in (b"all is well", b"all is lost"))
    assert (right.outcome, len(right.steps), wrong.outcome) == (Outcome.UPHELD, 4, Outcome.REFUTED)
    market.seller.meet(market.buyer.introduction())
    market.seller.meet(market.buyer.parcel([claim]))  # without the evidence
    assert check_receipt(market.seller, claim).outcome == Outcome.UNDECIDABLE


def test_a_receipt_is_no_other_offers(market: Market, bought: tuple[Bought, Statement, bytes]) -> None:
    """Who wants to have paid for something dearer cannot: nonce and offer belong together."""
    _, statement, data = bought
    purchase = Purchase.from_bytes(data)
    key = market.seller.identity.account
    for changed in ({"resource": "http://127.0.0.1/gold"}, {"method": "POST"}, {"body": b"b" * 32}, {"price": 1}):
        other = replace(purchase, offer=replace(purchase.offer, **changed).signed(key))  # even one that was signed
        with pytest.raises(Refuted, match="not for this offer"):
            found_in(statement, other.to_bytes(), market)


def test_a_receipt_is_nobody_elses(market: Market, bought: tuple[Bought, Statement, bytes]) -> None:
    _, statement, data = bought
    with pytest.raises(Refuted, match="was the issuer's"):
        found_in(replace(statement, issuer=market.seller.did), data, market)


def test_a_receipt_without_a_payment_is_refuted(market: Market, bought: tuple[Bought, Statement, bytes]) -> None:
    _, statement, data = bought
    deployed = market.seller.sender.acts()[0].tx_hash
    assert deployed is not None
    for tx, error in ((deployed.hex(), Refuted), ("ab" * 32, Refuted), ("", Undecidable)):
        with pytest.raises(error):
            found_in(replace(statement, body={**statement.body, "tx": tx}), data, market)


def _changed(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = body[name]
    wrong: Any = 5 if type(value) is str else "x"
    return [{key: value for key, value in body.items() if key != name}, body | {name: wrong}, body | {name: None}]


def test_a_receipt_is_read_strictly(bought: tuple[Bought, Statement, bytes]) -> None:
    _, statement, data = bought
    body = dict(statement.body)
    for wrong in [body | {"more": 1}, body | {"price": "-1"}, body | {"nonce": "00" * 32}, *(
            one for name in body for one in _changed(body, name))]:
        with pytest.raises(BadInput):
            PaymentClaim.of(replace(statement, body=wrong))
    with pytest.raises(BadInput):
        PaymentClaim.of(replace(statement, kind="answer"))
    said = json.loads(data)
    for wrong in [said | {"more": 1}, said | {"status": 5_000}, *(
            one for name in said for one in _changed(said, name)), *(
            said | {"offer": one} for name in said["offer"] for one in _changed(said["offer"], name))]:
        with pytest.raises(BadInput):
            Purchase.from_bytes(json.dumps(wrong, sort_keys=True, separators=(",", ":")).encode())


def test_the_budget_is_the_workspaces(market: Market) -> None:
    url = market.serve(SHOP.format(show="true")).url
    market.budget.allow(market.place.chain.chain_id, token_of(market.buyer).address, Limits(2, 90, 90))
    again = market.place.again("buyer")
    with budget(again) as spends, payer(again, spends) as paying, pytest.raises(OverBudget, match="at once"):
        paying.get(f"{url}/report", most=5)


def test_the_evidence_is_sealed(market: Market, bought: tuple[Bought, Statement, bytes]) -> None:
    _, statement, _ = bought
    assert statement.kind == PAYMENT
    (only,) = statement.evidence
    assert only == Evidence(PURCHASE, only.cid, only.profile, True)
    claims = {claim for claim, _ in market.buyer.claims(PAYMENT)}

    assert claims
