"""What a payment opens, once; and what it does not: for the merchant, attacks on a shop."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from x402_parts import HTTP, PRICE, Market, key_of, market

from troth.agents.x402 import wire
from troth.agents.x402.server import ShopServer
from troth.agents.x402.shop import Route, Shop, Terms
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.typed_data import transfer_digest
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc3009 import Authorization


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(1_700_000_000)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Market]:
    with EmbeddedChain(None, clock=clock) as chain, market(chain, tmp_path_factory.mktemp("x402")) as found:
        found.rich("payer", 10_000)
        yield found


@pytest.fixture(scope="module")
def server(place: Market) -> ShopServer:
    return place.serve()


@pytest.fixture
def nothing(place: Market, server: ShopServer) -> Iterator[None]:
    """Whatever the test tries: nobody is paid, nothing is made, and the till holds what it held."""
    before = place.held("merchant"), len(place.runs), len(server.shop.till.sales())
    yield
    assert (place.held("merchant"), len(place.runs), len(server.shop.till.sales())) == before


def test_a_payment_is_carried_out_and_served_once(place: Market, server: ShopServer) -> None:
    payer, runs, had = place.payer("careful"), len(place.runs), place.held("merchant")
    bought = payer.get(f"{server.url}/a", most=PRICE)
    assert (bought.status, bought.body, bought.settled) == (200, f"/a for {runs + 1}".encode(), True)
    assert (place.held("careful"), place.held("merchant") - had) == (1_000 - PRICE, PRICE)
    assert bought.spending is not None
    again = place.present(server, bought.spending.header or "")
    assert (again.status_code, again.content, len(place.runs)) == (200, bought.body, runs + 1)
    assert wire.Settled.of(again.headers[wire.RESPONSE]).tx == "0x" + (bought.spending.tx or b"").hex()
    assert place.held("merchant") - had == PRICE


def test_without_a_payment_there_is_an_offer_and_nothing_is_kept(place: Market, server: ShopServer,
                                                                 nothing: None) -> None:
    first, second = place.offered(server), place.offered(server)
    assert first.by_seller
    assert (first.resource, first.price) == (f"{server.url}/a", PRICE)
    assert first.digest != second.digest


@pytest.mark.parametrize(("path", "method", "body", "why"), [
    ("/b", "GET", b"", "another resource"), ("/a?x=1", "GET", b"", "another resource"),
    ("/dear", "GET", b"", "another resource"), ("/a", "POST", b"x", "another method")])
def test_a_payment_for_one_thing_opens_no_other(place: Market, server: ShopServer, nothing: None, path: str,
                                                method: str, body: bytes, why: str) -> None:
    answer = place.present(server, place.header("payer", server), path, method, body)
    assert answer.status_code == 402
    assert why in answer.json()["error"]


def test_a_payment_for_one_question_opens_no_other(place: Market, server: ShopServer, nothing: None) -> None:
    header = place.header("payer", server, method="POST", body=b"one")
    answer = place.present(server, header, method="POST", body=b"two")
    assert "another body" in answer.json()["error"]


def test_nor_with_the_other_offer_put_into_its_header(place: Market, server: ShopServer, nothing: None) -> None:
    """What the protocol's own binding does not stop: the header is anybody's to rewrite, the signature is not."""
    taken = place.payment("payer", place.offered(server))
    answer = place.present(server, replace(taken, offer=place.offered(server, "/b")).header(), "/b")
    assert answer.status_code == 402
    assert "names no offer" in answer.json()["error"]


@pytest.mark.parametrize("changed", [{"price": PRICE - 1}, {"expires": 1_700_999_999}, {"nonce": b"n" * 32},
                                     {"payee": key_of("payer").public.account},
                                     {"seller": key_of("payer").public.account}, {"resource": "http://127.0.0.1:1/b"}])
def test_an_offer_that_the_shop_did_not_make(place: Market, server: ShopServer, nothing: None,
                                             changed: dict[str, Any]) -> None:
    offer = replace(place.offered(server), **changed)
    answer = place.present(server, place.payment("payer", offer).header())
    assert "made no such offer" in answer.json()["error"]


def test_an_offer_that_the_payer_signed_itself(place: Market, server: ShopServer, nothing: None) -> None:
    me = key_of("payer").public.account
    mine = replace(place.offered(server), payee=me, seller=me, price=1).signed(key_of("payer"))
    assert "made no such offer" in place.present(server, place.payment("payer", mine).header()).json()["error"]


@pytest.mark.parametrize(("changed", "why"), [
    ({"amount": PRICE - 1}, "another price"), ({"to": key_of("payer").public.account}, "another recipient"),
    ({"before": 1_700_999_999}, "does not end with its offer"), ({"nonce": b"r" * 32}, "names no offer"),
    ({"owner": key_of("rich").public.account}, "did not sign"),
    ({"after": 1_700_999_999}, "ERC3009InvalidAuthorizationTime")])
def test_an_order_that_does_not_pay_the_offer(place: Market, server: ShopServer, nothing: None,
                                              changed: dict[str, Any], why: str) -> None:
    answer = place.present(server, place.header("payer", server, **changed))
    assert answer.status_code == 402
    assert why in answer.json()["error"]
    told = wire.Settled.of(answer.headers[wire.RESPONSE])
    assert not told.success


def test_who_has_nothing_is_refused_before_anything_is_sent(place: Market, server: ShopServer, nothing: None) -> None:
    assert "ERC20InsufficientBalance" in place.present(server, place.header("poor", server)).json()["error"]


def test_money_for_one_payment_does_not_begin_two(place: Market, server: ShopServer) -> None:
    """The other one is under way: a second transaction would fail, and its gas is the merchant's."""
    place.rich("thin", PRICE)
    first, second = (place.payment("thin", place.offered(server)) for _ in range(2))
    server.shop.till.take(first, 1)
    answer = place.present(server, second.header())
    assert "holds less than its payments under way" in answer.json()["error"]
    assert place.present(server, first.header()).status_code == 200
    assert place.held("thin") == 0


def test_what_was_carried_out_is_not_owed_any_more(place: Market, server: ShopServer) -> None:
    """A process was stopped between the chain and the till: the payer's last money is still its own to spend."""
    place.rich("exact", 2 * PRICE)
    first, second = (place.payment("exact", place.offered(server)) for _ in range(2))
    server.shop.till.take(first, 1)
    place.bank.send(place.token.address, first.order.data())
    assert place.present(server, second.header()).status_code == 200
    assert place.present(server, first.header()).status_code == 200
    assert place.held("exact") == 0


def test_an_offer_that_is_over(place: Market, server: ShopServer, nothing: None, clock: ManualClock) -> None:
    header = place.header("payer", server)
    clock.advance(60)
    assert "this offer is over" in place.present(server, header).json()["error"]


def test_somebody_else_may_be_paid(place: Market) -> None:
    """A purse of royalties, say: the seller signs, and the money goes where the offer says."""
    purse = key_of("purse").public.account
    server = place.serve(place.shop("shared", payee=purse))
    bought = place.payer("sharer").get(f"{server.url}/a", most=PRICE)
    assert (bought.served, place.held("purse")) == (True, PRICE)
    assert bought.spending is not None
    assert (bought.spending.offer.seller, bought.spending.offer.payee) == (place.merchant.public.account, purse)
    other = replace(place.offered(server), payee=key_of("payer").public.account).signed(place.merchant)
    assert "another payee" in place.present(server, place.payment("payer", other).header()).json()["error"]


def test_two_payers_do_not_buy_one_offer(place: Market, server: ShopServer) -> None:
    place.rich("second")
    offer, runs = place.offered(server), len(place.runs)
    assert place.present(server, place.payment("payer", offer).header()).status_code == 200
    answer = place.present(server, place.payment("second", offer).header())
    assert "paid already" in answer.json()["error"]
    assert (place.held("second"), len(place.runs)) == (1_000, runs + 1)


def test_somebody_else_brings_the_payment_to_the_chain_first(place: Market, server: ShopServer) -> None:
    """The order is public once it is sent. The merchant has its money all the same, and the payer its answer."""
    payment, had = place.payment("payer", place.offered(server)), place.held("merchant")
    place.bank.send(place.token.address, payment.order.data())
    answer = place.present(server, payment.header())
    assert (answer.status_code, place.held("merchant") - had) == (200, PRICE)


def test_a_nonce_used_for_a_payment_to_oneself_pays_nobody(place: Market, server: ShopServer, nothing: None) -> None:
    """The token then says that the nonce is used, and so does a receipt with both accounts and the amount in it."""
    payment = place.payment("payer", place.offered(server))
    mine = payment.order.owner
    cheat = replace(payment.order, to=mine)
    cheat = replace(cheat, signature=key_of("payer").sign_digest(cheat.digest(place.token.domain())))
    place.bank.send(place.token.address, cheat.data())
    assert place.token.used(mine, payment.order.nonce)
    answer = place.present(server, payment.header())
    assert answer.status_code == 402
    assert "ERC3009UsedAuthorization" in answer.json()["error"]


@pytest.mark.parametrize("cheat_first", [True, False])
def test_nor_beside_somebody_elses_payment(place: Market, server: ShopServer, cheat_first: bool) -> None:
    """One transaction uses the nonce for a payment to oneself, and moves the price to the shop for another offer."""
    bought, wanted = (place.payment("payer", place.offered(server)) for _ in range(2))
    cheat = replace(wanted.order, to=wanted.order.owner)
    cheat = replace(cheat, signature=key_of("payer").sign_digest(cheat.digest(place.token.domain())))
    both = [cheat.data(), bought.order.data()]
    place.bank.send(place.twice(), b"".join(both if cheat_first else both[::-1]))
    assert place.token.used(cheat.owner, cheat.nonce)
    runs = len(place.runs)
    assert "ERC3009UsedAuthorization" in place.present(server, wanted.header()).json()["error"]
    assert len(place.runs) == runs
    assert place.present(server, bought.header()).status_code == 200


def test_a_nonce_that_was_cancelled_pays_nobody(place: Market, server: ShopServer, nothing: None) -> None:
    payment = place.payment("payer", place.offered(server))
    kind = keccak256(b"CancelAuthorization(address authorizer,bytes32 nonce)")
    message = keccak256(kind + payment.order.owner.rjust(32, b"\0") + payment.order.nonce)
    signature = key_of("payer").sign_digest(keccak256(b"\x19\x01" + place.token.domain() + message))
    place.bank.send(place.token.address, keccak256(b"cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)")[:4]
                    + payment.order.owner.rjust(32, b"\0") + payment.order.nonce
                    + signature[64].to_bytes(32, "big") + signature[:64])
    assert "ERC3009UsedAuthorization" in place.present(server, payment.header()).json()["error"]


def test_paid_and_not_served_is_served_to_who_comes_again(place: Market, server: ShopServer) -> None:
    header, had = place.header("payer", server), place.held("merchant")
    place.wrong.append(OutsideFailed("the model's disk is full"))
    first = place.present(server, header)
    assert (first.status_code, place.held("merchant") - had) == (500, PRICE)
    assert "paid, and not served" in first.json()["error"]
    assert wire.Settled.of(first.headers[wire.RESPONSE]).success
    second = place.present(server, header)
    assert (second.status_code, place.held("merchant") - had) == (200, PRICE)


def test_an_answer_is_kept_for_its_time_and_the_payment_stays_used(place: Market, clock: ManualClock) -> None:
    server = place.serve(place.shop("short", keep=60))
    header, runs = place.header("payer", server), len(place.runs)
    assert place.present(server, header).status_code == 200
    clock.advance(100)
    assert place.present(server, place.header("payer", server)).status_code == 200  # the others' answers go with it
    gone = place.present(server, header)
    assert (gone.status_code, len(place.runs)) == (410, runs + 2)


def _said(**changed: Any) -> dict[str, Any]:
    order = {"from": "0x" + "11" * 20, "to": "0x" + "22" * 20, "value": "1", "validAfter": "0", "validBefore": "9",
             "nonce": "0x" + "33" * 32}
    accepted = {"scheme": "exact", "network": "eip155:1", "asset": "0x" + "44" * 20, "amount": "1",
                "payTo": "0x" + "22" * 20, "extra": {"offer": {
                    "body": "55" * 32, "expires": 9, "method": "GET", "nonce": "66" * 32, "resource": "http://x/a",
                    "seller": "0x" + "22" * 20, "signature": "77" * 65}}}
    said: dict[str, Any] = {"x402Version": 2, "accepted": accepted, "payload": {
        "signature": "0x" + "88" * 65, "authorization": order}, "extensions": {"offer": {"salt": "99" * 32}}}
    for path, value in changed.items():
        spot, *names = said, *path.split("__")
        for name in names[:-1]:
            spot = spot[name]
        spot[names[-1]] = value
    return said


MALFORMED: dict[str, Any] = {
    "no base64": "?", "no JSON": base64.b64encode(b"{").decode(), "a list": wire.packed({})[:0] + "W10=",
    "too large": "A" * 20_000, "too deep": base64.b64encode(b'{"a":' * 50 + b"1" + b"}" * 50).decode(),
    "keys twice": base64.b64encode(b'{"x402Version":2,"x402Version":2}').decode(), "empty": "",
    "not UTF-8": base64.b64encode(b'{"a":"\xff"}').decode(), "version 1": _said(x402Version=1),
    "version as text": _said(x402Version="2"), "no payload": _said(payload=None), "no order": _said(payload={}),
    "a negative value": _said(payload__authorization__value="-1"), "a float": _said(payload__authorization__value=1.5),
    "a value beyond 128 bits": _said(accepted__amount=str(2**128)),
    "a time in blocks": _said(payload__authorization__validBefore=str(1 << 47 | 9)),
    "a short nonce": _said(payload__authorization__nonce="0x33"), "a short signature": _said(payload__signature="0x88"),
    "another scheme": _said(accepted__scheme="upto"), "another family": _said(accepted__network="solana:1"),
    "a salt that is none": _said(extensions__offer__salt="zz"), "no offer": _said(accepted__extra={}),
    "an account that is none": _said(payload__authorization__to="0x22"),
    "a resource with a line in it": _said(accepted__extra__offer__resource="http://x/a\r\nb"),
    "a method that is none": _said(accepted__extra__offer__method="get /b"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_header_is_refused_and_nothing_happens(place: Market, server: ShopServer, nothing: None,
                                                           case: str) -> None:
    header = MALFORMED[case]
    text = header if type(header) is str else wire.packed(header)
    assert place.present(server, text).status_code == 400
    with pytest.raises(BadInput):
        wire.Payment.of(text)


def test_what_a_header_says_comes_back_as_it_was(place: Market, server: ShopServer) -> None:
    payment = place.payment("payer", place.offered(server))
    assert wire.Payment.of(payment.header()) == payment
    assert wire.Payment.of(wire.packed(_said())).order.before == 9
    assert wire.Payment.of(wire.packed(_said(extensions=None))).salt is None


def test_other_requests_are_refused(place: Market, server: ShopServer, nothing: None) -> None:
    assert HTTP.get(f"{server.url}/c").status_code == 404
    assert HTTP.put(f"{server.url}/a").status_code == 405
    assert HTTP.get(f"{server.url}/a", headers={"Host": "shop.example"}).status_code == 403
    assert HTTP.get(f"{server.url}/a", headers={"Origin": "http://page.example"}).status_code == 403
    header = place.header("payer", server)
    assert HTTP.get(f"{server.url}/a", headers=[(wire.PAYMENT, header), (wire.PAYMENT, header)]).status_code == 400
    old = HTTP.get(f"{server.url}/a", headers={"X-PAYMENT": "eyJ4NDAyVmVyc2lvbiI6MX0="})
    assert "version 1 names no offer" in json.loads(old.content)["error"]


def test_a_shop_refuses_what_it_could_not_keep(place: Market) -> None:
    shop = place.shop("bad")
    for terms in ({"life": 0}, {"life": 4_000}, {"keep": 10}):
        with pytest.raises(Misuse):
            Terms("", place.token.address, 1, {}, **terms)
    route = Route("GET", "/a", 0, shop._routes["GET", "/a"].goods)
    for routes in ([route], [replace(route, price=1)] * 2):
        with pytest.raises(Misuse):
            Shop(shop.terms, routes, place.merchant, shop.till, shop._settler, shop._now)


def test_the_nonce_names_every_field_of_the_offer(place: Market, server: ShopServer) -> None:
    offer, salt = place.offered(server), b"s" * 32
    others = [replace(offer, **one) for one in (
        {"resource": "x"}, {"method": "PUT"}, {"body": b"b" * 32}, {"payee": b"p" * 20}, {"price": 1},
        {"token": b"t" * 20}, {"chain_id": 1}, {"expires": 1}, {"nonce": b"n" * 32}, {"seller": b"e" * 20})]
    assert len({one.nonce_of(salt) for one in (offer, *others)} | {offer.nonce_of(b"t" * 32)}) == 12


def test_the_digest_of_an_order_is_the_standards() -> None:
    """As eth_account hashes the same typed data."""
    from eth_account.messages import _hash_eip191_message, encode_typed_data

    order = Authorization(b"\x11" * 20, b"\x22" * 20, 5, 6, 7, b"\x33" * 32)
    said = encode_typed_data(
        {"name": "Credits", "version": "1", "chainId": 9, "verifyingContract": "0x" + "44" * 20},
        {"TransferWithAuthorization": [{"name": name, "type": kind} for name, kind in (
            ("from", "address"), ("to", "address"), ("value", "uint256"), ("validAfter", "uint256"),
            ("validBefore", "uint256"), ("nonce", "bytes32"))]},
        {"from": "0x" + "11" * 20, "to": "0x" + "22" * 20, "value": 5, "validAfter": 6, "validBefore": 7,
         "nonce": b"\x33" * 32})
    domain = said.header
    assert _hash_eip191_message(said) == transfer_digest(domain, order.owner, order.to, 5, 6, 7, order.nonce)
