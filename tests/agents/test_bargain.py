"""Bargaining: limits hold against anybody, the reserve stays home, list prices are beaten, cheats get nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.books import START, account
from troth.agents.bargain import (
    BID,
    BUYER,
    LEAVE,
    MAX_OFFERS,
    OFFER,
    SELLER,
    TAKE,
    About,
    Agreed,
    Bid,
    Buyer,
    Firm,
    Seller,
    Tactic,
    Talk,
    answer,
    check,
    equivocation,
)
from troth.app import Settings, Troth
from troth.core.claims import Statement, claim_id
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.terms import REFUTED, UPHELD, Ask, Pot, Rung, Split, Terms
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock

ABOUT = About(b"\x05" * 32, 1_000, "did:key:buyer", "did:key:seller", b"\x07" * 16, START + 600)


def said(bid: Bid, at: int = START) -> tuple[bytes, Statement]:
    statement = bid.statement(at)
    return claim_id(statement.to_bytes()), statement


def talked(about: About, buyer: Tactic, seller: Tactic) -> Talk:
    talk = Talk(about)
    while not talk.over and len(talk.bids) < MAX_OFFERS:
        bid = (buyer if talk.turn == BUYER else seller).answer(talk)
        talk.hear(*said(bid), START)
    return talk


def surplus(talk: Talk, reserve: int) -> int:
    return reserve - talk.agreed.price if talk.agreed else 0


PRICES = st.integers(1, 10**20)
SHARES = st.integers(0, 20_000)


class Wild:
    """A counterpart that says anything the rules allow, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def answer(self, talk: Talk) -> Bid:
        offered, mine = talk.last(BUYER), talk.last(SELLER)
        assert mine is not None
        says = self.draw.choice([OFFER, OFFER, OFFER, TAKE, LEAVE] if offered else [OFFER, LEAVE])
        price = {LEAVE: 0, OFFER: self.draw.randint(1, mine), TAKE: offered or 0}[says]
        return talk.following(price, says)


@settings(max_examples=30)
@given(PRICES, SHARES, st.integers(1, MAX_OFFERS // 2), st.integers(0, 2**32))
def test_a_buyer_never_pays_more_than_its_reserve(price: int, share: int, offers: int, seed: int) -> None:
    reserve = price * share // 10_000
    talk = talked(replace(ABOUT, price=price), Buyer(reserve, offers), Wild(seed))
    assert all(bid.price <= reserve for bid in talk.bids if bid.side == BUYER)
    assert talk.agreed is None or talk.agreed.price <= min(reserve, price)
    assert repr(Buyer(reserve, offers)) == repr(Buyer(0, offers))


@settings(max_examples=30)
@given(PRICES, SHARES, SHARES, st.integers(1, MAX_OFFERS // 2), st.integers(1, MAX_OFFERS // 2))
def test_each_is_within_its_limits_and_no_worse_than_the_list_price(price: int, high: int, low: int, mine: int,
                                                                      theirs: int) -> None:
    most, least = price * high // 10_000, price * low // 10_000
    about = replace(ABOUT, price=price)
    for seller in (Seller(least, theirs), Firm()):
        talk = talked(about, Buyer(most, mine), seller)
        naive = most - price if price <= most and least <= price else 0
        assert surplus(talk, most) >= naive
        if talk.agreed and isinstance(seller, Seller):
            assert talk.agreed.price >= min(least, price)


@settings(max_examples=30)
@given(PRICES, SHARES, SHARES, st.integers(1, MAX_OFFERS // 2), st.integers(0, 2**32))
def test_the_reserve_stays_home(price: int, one: int, other: int, offers: int, seed: int) -> None:
    """Two buyers say the same bytes unless a rung of the ladder, or a price that was asked, lies between them."""
    about = replace(ABOUT, price=price)
    low, high = sorted((price * one // 10_000, price * other // 10_000))
    first, second = (talked(about, Buyer(reserve, offers), Wild(seed)) for reserve in (low, high))
    rungs = {Buyer(0, offers).rung(price, k) for k in range(offers)}
    told = rungs | {bid.price for talk in (first, second) for bid in talk.bids if bid.side == SELLER} | {price}
    if not any(low < mark <= high for mark in told):
        assert first.claims == second.claims


def stated_set() -> list[tuple[About, int, Tactic]]:
    """The set that the docs state: 200 draws of a list price and two reserves; one seller in four is firm."""
    draw, found = random.Random(7), []
    for n in range(200):
        price = draw.randint(100, 10_000)
        seller: Tactic = Firm() if n % 4 == 0 else Seller(price * draw.randint(50, 100) // 100, draw.randint(4, 10))
        found.append((replace(ABOUT, price=price), price * draw.randint(70, 130) // 100, seller))
    return found


def test_it_beats_paying_the_list_price() -> None:
    bargained = naive = deals = bought = 0
    for about, reserve, seller in stated_set():
        talk = talked(about, Buyer(reserve), seller)
        bargained += surplus(talk, reserve)
        naive += max(0, reserve - about.price)
        deals += talk.agreed is not None
        bought += about.price <= reserve
    print(f"bargained {bargained / naive:.2f} of paying the list price; {deals} deals, not {bought}")
    assert bargained > naive * 3 // 2
    assert deals > bought


def first(price: int = 550) -> tuple[Talk, bytes]:
    talk = Talk(ABOUT)
    talk.hear(*said(talk.following(price)), START)
    return talk, talk.claims[0]


def test_an_adversary_that_rewrites_or_replays_gets_nothing() -> None:
    """Each forged offer is refused, and leaves the bargain as it was."""
    talk, opening = first()
    good = talk.following(900)
    other = replace(ABOUT, nonce=b"\x08" * 16)
    bad = {
        "another bargain's": replace(good, about=other),
        "another listing's": replace(good, about=replace(ABOUT, listing=b"\x06" * 32)),
        "a list price that was raised": replace(good, about=replace(ABOUT, price=2_000)),
        "a longer time": replace(good, about=replace(ABOUT, until=START + 10**6)),
        "the buyer's offer again": talk.bids[0], "a number left out": replace(good, n=3),
        "an answer to nothing": replace(good, answers=None),
        "an answer to another": replace(good, answers=b"\x01" * 32),
        "the buyer's own turn": replace(good, side=BUYER), "more than the list price": replace(good, price=1_001),
        "nothing": replace(good, price=0), "a price that nobody offered": replace(good, says=TAKE, price=549),
        "more than was offered": replace(good, says=TAKE, price=600), "leaving with a price": replace(good, says=LEAVE)}
    for name, bid in bad.items():
        with pytest.raises(Refuted):
            talk.hear(*said(bid), START)
        assert talk.claims == [opening], name
    with pytest.raises(Refuted, match="an offer by"):
        talk.hear(*said(good), START + 601)
    with pytest.raises(Refuted, match="an offer by"):
        talk.hear(*said(good, START + 601), START)
    talk.hear(*said(good), START)
    talk.hear(*said(talk.following(700)), START)
    with pytest.raises(Refuted, match="takes back"):
        talk.hear(*said(talk.following(901)), START)
    taken = talk.following(700, TAKE)
    talk.hear(*said(taken), START)
    with pytest.raises(Refuted, match="after the end"):
        talk.hear(*said(Bid(ABOUT, BUYER, 4, 1, OFFER, talk.claims[-1])), START)
    assert talk.agreed == Agreed(ABOUT, 700, tuple(talk.claims))
    assert check(ABOUT, [said(bid) for bid in talk.bids]) == talk.agreed
    with pytest.raises(Refuted, match="agree on nothing"):
        check(ABOUT, [said(bid) for bid in talk.bids[:-1]])
    # Saying two things in one place is proof, whoever holds both.
    twice = [said(replace(taken, price=700)), said(talk.bids[1]), said(replace(talk.bids[1], price=800))]
    assert equivocation(twice) == (twice[1][0], twice[2][0])
    assert equivocation(twice[:2]) is None


def test_a_bid_is_its_sides() -> None:
    talk, _ = first()
    _, statement = said(talk.following(900))
    with pytest.raises(Refuted, match="did not sign"):
        Bid.of(replace(statement, issuer=ABOUT.buyer))
    for change in ({"n": 40}, {"n": -1}, {"side": "both"}, {"says": "maybe"}, {"price": 900}, {"price": "09"},
                   {"nonce": "07"}, {"more": 1}):
        with pytest.raises(BadInput):
            Bid.of(replace(statement, body=dict(statement.body) | change))
    for changed in (replace(statement, refs=statement.refs[1:]), replace(statement, subjects=()),
                    replace(statement, refs=(*statement.refs, *statement.refs[1:]))):
        with pytest.raises(BadInput):
            Bid.of(changed)
    with pytest.raises(Misuse):
        Buyer(5, 0)


def test_a_deal_opens_at_the_agreed_price() -> None:
    agreed = Agreed(ABOUT, 700, ())
    buyer, seller = account("buyer"), account("seller")

    def terms(price: int) -> Terms:
        pot = Pot("price", buyer, price, {UPHELD: Split((seller,), amounts=(price,))})
        rung = Rung(account("policy"), bytes(32), (Ask("key", (seller,), 60),), 60, silent=REFUTED)
        return Terms(account("token"), (pot,), (rung,), START + 60, account("nobody"))
    agreed.opens(terms(700), 0)
    for price, pot in ((701, 0), (699, 0), (700, 1)):
        with pytest.raises(Refuted, match="another price"):
            agreed.opens(terms(price), pot)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Troth, Troth, ManualClock]]:
    clock = ManualClock(START)
    made = [Troth.init(tmp_path / name, "correct horse", Settings(name, "", str(tmp_path / "exchange")), cost=MIN_COST,
                       clock=clock) for name in ("buyer", "seller")]
    for one, other in (made, made[::-1]):
        one.introduce(other.did)
    for one in made:
        one.receive()
    yield made[0], made[1], clock
    for one in made:
        one.close()


def test_two_workspaces_bargain(two: tuple[Troth, Troth, ManualClock]) -> None:
    """Signed, sent and checked; said again after a crash, nothing is said twice; a stranger's envelope is refused."""
    buyer, seller, clock = two
    about = About(b"\x05" * 32, 1_000, buyer.did, seller.did, b"\x07" * 16, START + 600)
    tactics = ((buyer, Buyer(900, 4)), (seller, Seller(600, 4)))
    for _ in range(MAX_OFFERS):
        for party, tactic in tactics:
            party.receive()
            talk = answer(party, about, tactic, clock.now())
            assert answer(party, about, tactic, clock.now()).claims == talk.claims
            assert not party.refused
        clock.advance(1)
        if talk.over:
            break
    agreed = talk.agreed
    assert agreed is not None
    assert 600 <= agreed.price <= 900
    for party in (buyer, seller):
        party.receive()
        bids = list(party.claims(BID))
        assert check(about, bids) == agreed
        assert equivocation(bids) is None
    # Too late, nothing is said any more.
    later = replace(about, nonce=b"\x09" * 16, until=clock.now() - 1)
    assert answer(buyer, later, Buyer(900), clock.now()).bids == []
