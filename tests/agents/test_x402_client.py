"""A payer among strangers: what it signs, what it never does, and what it can show afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from x402_parts import PRICE, Market, key_of, market

from troth.agents.x402 import wire
from troth.agents.x402.budget import DAY, LAPSED, RESERVED, SETTLED, Asked, Budget, Limits, OverBudget
from troth.agents.x402.client import waiting
from troth.agents.x402.offer import Offer
from troth.agents.x402.shop import Paid, Request
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.rpc import RpcChain
from troth.ledger.chains.server import RpcServer
from troth.ledger.loopback import LoopbackHandler, LoopbackServer

Reply = tuple[int, dict[str, str], bytes]


class Rogue(LoopbackServer):
    """A server that answers as a test says, and remembers the payments it was shown."""

    def __init__(self, says: Callable[[Rogue, str | None], Reply]) -> None:
        self.says, self.shown = says, list[str]()
        super().__init__(_RogueHandler, 0)


class _RogueHandler(LoopbackHandler):
    server: Rogue

    def do_GET(self) -> None:
        payment = self.headers.get(wire.PAYMENT)
        if payment is not None:
            self.server.shown.append(payment)
        status, headers, body = self.server.says(self.server, payment)
        self.answer(HTTPStatus(status), "application/json", body, headers)


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(1_700_000_000)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Market]:
    with EmbeddedChain(None, clock=clock) as chain, market(chain, tmp_path_factory.mktemp("x402")) as found:
        yield found


def offering(place: Market, name: str = "rogue", **changed: Any) -> Callable[[Rogue, str | None], Reply]:
    """Answers everything with an offer that ``name`` signed. changed: fields of it, signed too; ``unsigned`` is not."""
    unsigned = changed.pop("unsigned", {})

    def says(server: Rogue, payment: str | None) -> Reply:
        offer = Offer(f"{server.url}/a", "GET", sha256(b""), key_of(name).public.account, PRICE, place.token.address,
                      place.chain.chain_id, place.chain.now() + 60, b"n" * 32, key_of(name).public.account)
        offer = replace(replace(offer, **changed).signed(key_of(name)), **unsigned)
        said = wire.required(offer, domain=place.domain, why="", description="", media="")
        return 402, {wire.REQUIRED: wire.packed(said)}, json.dumps(said).encode()
    return says


def test_what_is_free_is_not_paid_for(place: Market) -> None:
    payer = place.payer()
    with Rogue(lambda server, payment: (200, {}, b"free")) as rogue:
        bought = payer.get(f"{rogue.url}/a", most=PRICE)
    assert (bought.body, bought.spending, bought.served, payer.budget.payments()) == (b"free", None, True, [])


@pytest.mark.parametrize(("changed", "error", "why"), [
    ({"resource": "http://127.0.0.1:1/b"}, Refuted, "another resource"),
    ({"method": "POST"}, Refuted, "another method"), ({"body": b"b" * 32}, Refuted, "another body"),
    ({"price": PRICE + 1}, OverBudget, "above what this call may cost"),
    ({"unsigned": {"price": PRICE - 1}}, Refuted, "did not sign"),
    ({"unsigned": {"payee": key_of("thief").public.account}}, Refuted, "did not sign"),
    ({"unsigned": {"seller": key_of("thief").public.account}}, Refuted, "did not sign"),
    ({"chain_id": 1}, Misuse, "no offer that can be paid here"), ({"token": b"t" * 20}, OverBudget, "nothing may be"),
    ({"expires": 1_700_009_999}, OverBudget, "good for too long"), ({"price": 0}, None, ""),
])
def test_an_offer_that_is_not_for_this_request_is_not_signed(place: Market, changed: dict[str, Any],
                                                             error: type[Exception] | None, why: str) -> None:
    payer = place.payer()
    with Rogue(offering(place, **changed)) as rogue:
        if error is None:
            assert payer.get(f"{rogue.url}/a", most=PRICE).status == 402
            return
        with pytest.raises(error, match=why):
            payer.get(f"{rogue.url}/a", most=PRICE)
    assert (rogue.shown, payer.budget.payments()) == ([], [])


def test_a_price_raised_after_the_payment_is_not_paid_too(place: Market) -> None:
    payer, first = place.payer(), offering(place)
    with Rogue(lambda server, payment: (first if payment is None else offering(place, price=50))(server, payment)) as (
            rogue):
        bought = payer.get(f"{rogue.url}/a", most=100)
    assert (bought.status, bought.served, len(rogue.shown)) == (402, False, 1)
    assert [one.offer.price for one in payer.budget.payments()] == [PRICE]


def test_a_redirect_is_not_followed(place: Market) -> None:
    payer, first = place.payer(), offering(place)
    with Rogue(offering(place, "other")) as other:
        sent = 307, {"Location": f"{other.url}/a"}, b""
        with Rogue(lambda server, payment: sent) as rogue, pytest.raises(Refuted, match="elsewhere"):
            payer.get(f"{rogue.url}/a", most=PRICE)
        assert payer.budget.payments() == []
        with Rogue(lambda server, payment: first(server, payment) if payment is None else sent) as rogue, \
                pytest.raises(Refuted, match="elsewhere"):
            payer.get(f"{rogue.url}/a", most=PRICE)
    assert other.shown == []


@pytest.mark.parametrize("url", ["http://shop.example/a", "http://10.0.0.1/a", "http://127.0.0.1.example/a",
                                 "ftp://127.0.0.1/a", "http://me@127.0.0.1/a", "http://127.0.0.1/a#b", "127.0.0.1/a",
                                 "http://[::1/a", "http:///a"])
def test_what_would_be_read_on_the_way_is_not_asked(place: Market, url: str) -> None:
    with pytest.raises(Misuse):
        place.payer(money=0).get(url, most=PRICE)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"x402Version":1,"accepts":[]}', b'{"x402Version":2}',
                                  b'{"x402Version":2,"accepts":[{"scheme":"exact","extra":{"offer":{}}}]}'])
def test_terms_that_cannot_be_read(place: Market, body: bytes) -> None:
    payer = place.payer(money=0)
    with Rogue(lambda server, payment: (402, {}, body)) as rogue, pytest.raises(BadInput):
        payer.get(f"{rogue.url}/a", most=PRICE)


def test_a_merchant_that_takes_the_money_and_serves_nothing(place: Market) -> None:
    """The money is gone: x402 pays nothing back. What is left is the offer it signed, and the transaction."""
    payer = place.payer()
    first = offering(place, "cheat")

    def says(server: Rogue, payment: str | None) -> Reply:
        if payment is None:
            return first(server, None)
        place.bank.send(place.token.address, wire.Payment.of(payment).order.data())
        return 503, {}, b"sorry"

    with Rogue(says) as rogue:
        bought = payer.get(f"{rogue.url}/a", most=PRICE)
    assert (bought.served, bought.settled, place.held("cheat")) == (False, True, PRICE)
    assert bought.spending is not None
    assert bought.spending.offer.by_seller
    assert place.token.carried(bought.spending.tx or b"", wire.Payment.of(rogue.shown[0]).order)


def test_a_server_that_says_it_was_paid_is_not_believed(place: Market) -> None:
    payer, first = place.payer(), offering(place)
    told = wire.Settled(True, "0x" + "ab" * 32).header(b"p" * 20, place.chain.chain_id)

    def says(server: Rogue, payment: str | None) -> Reply:
        return first(server, None) if payment is None else (200, {wire.RESPONSE: told}, b"")

    with Rogue(says) as rogue:
        bought = payer.get(f"{rogue.url}/a", most=PRICE)
    assert (bought.served, bought.settled, payer.budget.payments()[0].state) == (True, False, RESERVED)


def test_what_is_signed_counts_until_its_time_is_over(place: Market, clock: ManualClock) -> None:
    payer, first = place.payer(limits=Limits(PRICE, PRICE, PRICE)), offering(place)
    with Rogue(first) as rogue:
        assert not payer.get(f"{rogue.url}/a", most=PRICE).served
        clock.advance(59)
        with pytest.raises(OverBudget, match="in a day"):
            payer.get(f"{rogue.url}/a", most=PRICE)
        clock.advance(1)
        assert not payer.get(f"{rogue.url}/a", most=PRICE).served
    assert [one.state for one in payer.budget.payments()] == [LAPSED, RESERVED]
    place.bank.send(place.token.address, wire.Payment.of(rogue.shown[1]).order.data())
    payer.settle_up()
    assert [one.state for one in payer.budget.payments()] == [LAPSED, SETTLED]


def test_an_unreachable_server_leaves_the_payment_to_be_shown_again(place: Market) -> None:
    payer, server = place.payer(), place.serve()
    place.wrong.append(OutsideFailed("down"))
    first = payer.get(f"{server.url}/a", most=PRICE)
    assert (first.served, first.settled, first.status) == (False, True, 500)
    assert first.spending is not None
    assert payer.again(first.spending.nonce).served
    with pytest.raises(Misuse):
        payer.again(b"x" * 32)
    with pytest.raises(Pending):
        waiting(replace(first, status=409))


def test_what_came_is_kept_where_the_payers_node_fails(place: Market) -> None:
    with RpcServer(place.chain, 0) as node, RpcChain(node.url) as seen:
        def make(request: Request, paid: Paid) -> bytes:
            node.close()
            return b"done"

        server = place.serve(place.shop("cut", make=make))
        bought = place.payer("cut off", chain=seen).get(f"{server.url}/a", most=PRICE)
    assert (bought.body, bought.settled) == (b"done", False)
    later = place.payer("cut off", None, money=0)
    later.settle_up()
    assert [one.state for one in later.budget.payments()] == [SETTLED]


def test_limits_by_payee_and_host(place: Market) -> None:
    server = place.serve()
    for limits, why in ((Limits(PRICE, 50, 50, payees=frozenset({b"p" * 20})), "payee"),
                        (Limits(PRICE, 50, 50, hosts=frozenset({"shop.example"})), "host"),
                        (Limits(PRICE - 1, 50, 50), "at once")):
        payer = place.payer("strict", limits, money=0)
        with pytest.raises(OverBudget, match=why):
            payer.get(f"{server.url}/a", most=PRICE)
    allowed = Limits(PRICE, 50, 50, frozenset({key_of("merchant").public.account}), frozenset({"127.0.0.1"}))
    assert place.payer("strict", allowed).get(f"{server.url}/a", most=PRICE).served


def test_a_merchant_with_two_accounts_is_one_by_its_address(place: Market, tmp_path: Path) -> None:
    """And one with two addresses is one by its account."""
    with Budget(tmp_path / "b") as budget:
        budget.allow(1, b"t" * 20, Limits(10, 100, 10))
        base = Offer("http://x/a", "GET", bytes(32), b"p" * 20, 10, b"t" * 20, 1, 1_000, b"n" * 32, b"p" * 20)
        budget.reserve(base, b"m" * 20, b"1" * 32, Asked("http://x", "x", b""), 900)
        for payee, origin in ((b"q" * 20, "http://x"), (b"p" * 20, "http://y")):
            with pytest.raises(OverBudget, match="one merchant"):
                budget.reserve(replace(base, payee=payee), b"m" * 20, b"2" * 32, Asked(origin, "y", b""), 900)
        budget.reserve(replace(base, payee=b"q" * 20), b"m" * 20, b"3" * 32, Asked("http://y", "y", b""), 900)


def test_what_nobody_knows_the_end_of_counts_for_ever(tmp_path: Path) -> None:
    with Budget(tmp_path / "b") as budget:
        budget.allow(1, b"t" * 20, Limits(10, 10, 10))
        base = Offer("http://x/a", "GET", bytes(32), b"p" * 20, 10, b"t" * 20, 1, 1_000, b"n" * 32, b"p" * 20)
        asked = Asked("http://x", "x", b"")
        first = budget.reserve(base, b"m" * 20, b"1" * 32, asked, 900)
        later = replace(base, expires=1_000 + 3 * DAY)
        with pytest.raises(OverBudget, match="in a day"):
            budget.reserve(later, b"m" * 20, b"2" * 32, asked, 900 + 3 * DAY)
        budget.ended(first.nonce, SETTLED)
        budget.reserve(later, b"m" * 20, b"2" * 32, asked, 900 + 3 * DAY)
        budget.ended(first.nonce, LAPSED)  # what the chain carried out does not lapse afterwards
        assert [one.state for one in budget.payments()] == [SETTLED, RESERVED]


def test_nothing_is_paid_twice_for_one_purpose(tmp_path: Path) -> None:
    with Budget(tmp_path / "b") as budget:
        budget.allow(1, b"t" * 20, Limits(10, 90, 90))
        base = Offer("http://x/a", "GET", bytes(32), b"p" * 20, 10, b"t" * 20, 1, 1_000, b"n" * 32, b"p" * 20)
        asked = Asked("http://x", "x", b"", purpose=b"why")
        first = budget.reserve(base, b"m" * 20, b"1" * 32, asked, 900)
        with pytest.raises(Misuse, match="paid for already"):
            budget.reserve(base, b"m" * 20, b"2" * 32, asked, 900)
        assert budget.paid_for(b"why") == first
        budget.ended(first.nonce, LAPSED)  # the chain did not carry it out, and will not
        assert budget.paid_for(b"why") is None
        again = budget.reserve(base, b"m" * 20, b"2" * 32, asked, 900)
        budget.ended(again.nonce, SETTLED)
        with pytest.raises(Misuse, match="paid for already"):
            budget.reserve(base, b"m" * 20, b"3" * 32, asked, 900)


STEPS = st.lists(st.tuples(st.sampled_from(("pay", "pay", "pay", "settle", "lapse", "again", "later")),
                           st.integers(0, 60), st.integers(0, 3)), max_size=40)


@settings(max_examples=20)
@given(STEPS)
def test_no_day_costs_more_than_its_cap(tmp_path_factory: pytest.TempPathFactory,
                                        steps: list[tuple[str, int, int]]) -> None:
    """Against a list kept beside it: every payment that fits is taken, no other one is, whatever is closed between."""
    path = tmp_path_factory.mktemp("budget") / "b"
    limits, token = Limits(50, 100, 70), b"t" * 20
    now, taken = DAY, list[list[Any]]()  # [nonce, amount, merchant, at, state]
    budget = Budget(path)
    budget.allow(1, token, limits)
    try:
        for number, (step, size, which) in enumerate(steps):
            if step == "pay":
                offer = Offer("http://x/a", "GET", bytes(32), bytes([which + 1]) * 20, size, token, 1, now + 300,
                              number.to_bytes(32, "big"), b"p" * 20)
                counts = [one for one in taken if one[4] == RESERVED or (one[4] == SETTLED and one[3] > now - DAY)]
                fits = size <= 50 and sum(one[1] for one in counts) + size <= 100 and sum(
                    one[1] for one in counts if one[2] == which) + size <= 70
                try:
                    found = budget.reserve(offer, b"m" * 20, bytes(32), Asked(f"http://{which}", "x", b""), now)
                    taken.append([found.nonce, size, which, now, RESERVED])
                    assert fits
                except OverBudget:
                    assert not fits
            elif step == "again":
                budget.close()
                budget = Budget(path)
            elif step == "later":
                now += size * 1_000
            elif taken:
                one = taken[size % len(taken)]
                state = SETTLED if step == "settle" else LAPSED
                budget.ended(one[0], state)
                one[4] = state if one[4] == RESERVED else one[4]
            counts = [one[1] for one in taken if one[4] == RESERVED or (one[4] == SETTLED and one[3] > now - DAY)]
            assert budget.spent(1, token, now) == sum(counts) <= 100
    finally:
        budget.close()


def test_files_that_are_no_budget(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, and long enough to be looked at as one")
    with pytest.raises(BadInput):
        Budget(tmp_path / "text")
    for wrong in ((5, 4, 5), (1, 2, 3), (-1, 5, 5)):
        with pytest.raises(BadInput):
            Limits(*wrong)
