"""Sales: the key for the price, the price back for a wrong key, and nothing for anybody who looks on."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sale_parts import COURTED, DATA, GAS, HOUR, LICENCE, MONEY, PERIODS, PREVIEW, PURPOSE, VERIFIERS, Market

from troth.app import consents
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD
from troth.flows import sale as flow
from troth.flows import sale_bench as bench
from troth.flows.sale_checks import goods_of
from troth.flows.sale_deal import NO_BONDS, deal_subject, one_time_key, read, secret_for
from troth.flows.sale_words import Licence, Offer
from troth.store.cid import Cid
from troth.store.delivery import HANDED_LENGTH, content_of, fits, hand_over, take
from troth.store.sealing import check_key
from troth.store.wrapping import RecipientKey


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    found = Market(tmp_path_factory.mktemp("market"))
    yield found
    found.close()


def change(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def test_the_key_for_the_price(market: Market) -> None:
    before = market.holds()
    handover = market.bought(market.sells())
    with pytest.raises(Pending):
        flow.receive_goods(market["buyer"], handover, market.root("buyer"))
    market.reveals(handover)
    found = flow.receive_goods(market["buyer"], handover, market.root("buyer"))
    assert (found.outcome, found.data) == (UPHELD, DATA)
    with pytest.raises(Misuse, match="would lose the bond"):
        flow.complain(market["buyer"], handover, market.root("buyer"))
    with pytest.raises(Misuse, match="nothing to show"):
        market.reveals(handover)
    result = market.ends(handover)
    assert result is not None
    assert result.outcome == UPHELD
    assert change(before, market.holds()) == {"buyer": -MONEY.price, "seller": MONEY.price}
    sale, _ = read(market["buyer"], handover)
    assert sale.until == sale.fund_by + LICENCE.term


def test_a_wrong_key_gives_price_and_stake_to_the_buyer(market: Market) -> None:
    before = market.holds()
    handover = market.bought(market.sells(), data_key=bytes(range(32)))
    market.reveals(handover)
    assert flow.receive_goods(market["buyer"], handover, market.root("buyer")).outcome == REFUTED
    flow.complain(market["buyer"], handover, market.root("buyer"))
    market.receive()
    assert market.looks(handover).outcome == REFUTED
    market.ends(handover, "buyer")
    parts = MONEY.fee // 3
    assert change(before, market.holds()) == {"seller": -MONEY.stake, "buyer": MONEY.stake - MONEY.fee,
                                              **dict.fromkeys(VERIFIERS, parts)}


def test_wrong_data_under_the_right_key_are_found_too(market: Market) -> None:
    handover = market.bought(market.sells(b"text,label\nrun,VERB\n"))
    market.reveals(handover)
    found = flow.receive_goods(market["buyer"], handover, market.root("buyer"))
    assert (found.outcome, found.why) == (REFUTED, "it has 1 rows, and the listing says 3")
    goods = goods_of(market["buyer"], read(market["buyer"], handover)[0].offer_id)
    for data, told in ((b"word,tag\na,b\nc,d\nrun,VERB\n", "other columns"), (b"\xff\xfe", "no table"),
                       (b"text,label\na,b\nc,d\ne,f\n", "rows of the preview"), (b"", "no table"),
                       (b'text,label\n"a,b\n', "no table"), (b"text,label\na\n", "no table")):
        assert told in (goods.wrong(data) or "")
    assert goods.wrong(DATA) is None
    assert "not arrays" in (replace(goods, offer=replace(goods.offer, form="arrays")).wrong(DATA) or "")


def test_a_file_that_is_not_what_the_offer_commits_to(market: Market) -> None:
    handover = market.bought(market.sells(promised=DATA + b"more,NOUN\n"))
    market.reveals(handover)
    found = flow.receive_goods(market["buyer"], handover, market.root("buyer"))
    assert (found.outcome, found.why) == (REFUTED, "the file holds something else than the offer commits to")


def test_no_delivery_gives_price_and_stake_to_the_buyer(market: Market) -> None:
    before = market.holds()
    handover = market.bought(market.sells())
    market.world.advance(PERIODS.reveal)
    with pytest.raises(ActRefused, match="TooLate"):
        market.reveals(handover)
    market.ends(handover, "buyer")
    assert change(before, market.holds()) == {"buyer": MONEY.stake, "seller": -MONEY.stake}
    with pytest.raises(Refuted, match="was not shown"):
        flow.receive_goods(market["buyer"], handover, market.root("buyer"))


def test_a_seller_that_climbs_without_having_delivered_is_not_paid(market: Market) -> None:
    """A wrong secret is no missed ask: the verifiers must not uphold it for want of a complaint."""
    before = market.holds()
    handover = market.bought(market.sells())
    seller, sale = market["seller"], read(market["seller"], handover)[0]
    seller.book.submit_and_judge(seller.account, sale.deal(), 0, 0, bytes(32), bytes(range(32)))
    seller.book.challenge(seller.account, sale.deal())
    assert market.looks(handover).outcome == REFUTED
    market.ends(handover)
    assert change(before, market.holds())["buyer"] == MONEY.stake


def test_nobody_pays_and_nothing_happens(market: Market) -> None:
    before, acts = market.holds(), dict(market.acts.made)
    offer = market.sells()
    market.shows(offer)
    handover = market.hands(market.orders(offer))
    market.world.advance(PERIODS.fund)
    with pytest.raises(Misuse, match="time to fund"):
        market.funds(handover)
    with pytest.raises(Pending):
        market.reveals(handover)
    assert (market.holds(), market.acts.made) == (before, acts)


def test_a_verifier_that_never_joins_voids_the_sale(market: Market) -> None:
    before = market.holds()
    offer = market.sells()
    market.shows(offer)
    handover = market.hands(market.orders(offer))
    market.funds(handover, joined=False)
    market.world.advance(PERIODS.fund)
    assert flow.finish(market["buyer"], handover) is None
    assert market.holds() == before


def test_two_buyers_and_one_stake(market: Market) -> None:
    """The second is refused before anything of it moves; the first one's secret does not open the second's key."""
    offer = market.sells()
    market.shows(offer)
    mine, theirs = market.hands(market.orders(offer)), market.hands(market.orders(offer, "other"))
    seller, token = market["seller"], market.world.ledger
    token.approve(seller.account, market.world.addresses.book, MONEY.stake)
    try:
        market.funds(mine)
        before = market.holds()
        with pytest.raises(ActRefused, match="TransferFailed"):
            market.funds(theirs, "other")
        assert market.holds() == before
    finally:
        token.approve(seller.account, market.world.addresses.book, 2**255)
    with pytest.raises(ActRefused, match="Exists"):
        market.funds(mine)
    market.reveals(mine)
    secret = secret_for(market.root("seller"), read(seller, mine)[0].order_id)
    sale, _ = read(market["other"], theirs)
    handed = market["other"].read(market["other"].statement(theirs).evidence[0])
    with pytest.raises(Refuted, match="secret that was shown does not open"):
        take(handed, secret, one_time_key(market.root("other"), sale.order.nonce), sale.order_id)


def test_what_comes_with_a_handover_is_what_its_deal_commits_to(market: Market) -> None:
    """A seller that shows one E and has the deal commit to another would deliver what nobody can hold it to."""
    seller, offer = market["seller"], market.sells()
    market.shows(offer)
    good = seller.statement(market.hands(market.orders(offer)))
    other = seller.add("handed", bytes(HANDED_LENGTH))
    claim = seller.attest("handover", good.subjects, good.body, refs=good.refs, evidence=[other])
    with pytest.raises(Refuted, match="not what its deal commits to"):
        read(seller, claim)
    changed = seller.attest("handover", good.subjects, dict(good.body) | {"fund_by": 2**40}, refs=good.refs,
                            evidence=good.evidence)
    with pytest.raises(Refuted, match="another deal"):
        read(seller, changed)
    strange = market["stranger"].attest("handover", good.subjects, good.body, refs=good.refs, evidence=good.evidence)
    market["stranger"].send([seller.did], [strange])
    market.receive()
    with pytest.raises(Refuted, match="not the seller's"):
        read(seller, strange)


def test_a_preview_that_is_no_table_harms_only_the_offer(market: Market) -> None:
    handover = market.bought(market.sells(preview=b"\xff\xfe"))
    market.reveals(handover)
    assert "preview is no table" in flow.receive_goods(market["buyer"], handover, market.root("buyer")).why


def test_an_unfounded_complaint_costs_the_bond(market: Market) -> None:
    before = market.holds()
    handover = market.bought(market.sells())
    market.reveals(handover)
    buyer = market["buyer"]
    sale, _ = read(buyer, handover)
    buyer.book.challenge(buyer.account, sale.deal())
    assert market.looks(handover).outcome == UPHELD
    market.ends(handover)
    after = market.holds()
    assert after["buyer"] - before["buyer"] == -MONEY.price - MONEY.bond - MONEY.fee
    assert after["seller"] - before["seller"] == MONEY.price
    assert market.world.balance(NO_BONDS) >= MONEY.bond


def test_a_sleeping_verifier_loses_its_stake_and_changes_nothing(market: Market) -> None:
    before = market.holds()
    handover = market.bought(market.sells(), data_key=bytes(32))
    market.reveals(handover)
    flow.complain(market["buyer"], handover, market.root("buyer"))
    market.receive()
    assert market.looks(handover, asleep=[VERIFIERS[2]]).outcome == REFUTED
    market.ends(handover, "buyer")
    gained = change(before, market.holds())
    # The seat that nobody filled comes back to whoever paid for it.
    assert gained["buyer"] == MONEY.stake - MONEY.fee + MONEY.fee // 3
    assert gained[VERIFIERS[2]] == -MONEY.verifier_stake


def test_whoever_climbs_first_only_pays_for_it(market: Market) -> None:
    """A seller's second account takes the one challenge; the buyer's evidence counts all the same."""
    before = market.holds()
    handover = market.bought(market.sells(), data_key=bytes(32))
    market.reveals(handover)
    sale, _ = read(market["buyer"], handover)
    market["stranger"].book.challenge(market["stranger"].account, sale.deal())
    flow.complain(market["buyer"], handover, market.root("buyer"))
    market.receive()
    assert market.looks(handover).outcome == REFUTED
    market.ends(handover, "buyer")
    assert change(before, market.holds())["buyer"] == MONEY.stake


def test_evidence_for_one_verifier_is_evidence_for_all(market: Market) -> None:
    handover = market.bought(market.sells(), data_key=bytes(32))
    market.reveals(handover)
    buyer, sale = market["buyer"], read(market["buyer"], handover)[0]
    sent = buyer.send
    try:
        buyer.send = lambda to, *rest: sent(list(to)[:1], *rest)  # type: ignore[method-assign]
        flow.complain(buyer, handover, market.root("buyer"))
    finally:
        del buyer.send
    market.receive()
    assert [bench.look(market[name], handover).outcome for name in VERIFIERS].count(REFUTED) == 1
    assert market.looks(handover).outcome == REFUTED
    assert sale.deal() is not None


def test_a_court_stands_above_bribed_verifiers(market: Market) -> None:
    """Two of three say that rubbish is good; the buyer goes on to the court and is whole."""
    before = market.holds()
    handover = market.bought(market.sells(money=COURTED, court=True), data_key=bytes(32))
    market.reveals(handover)
    buyer, sale = market["buyer"], read(market["buyer"], handover)[0]
    buyer.book.challenge(buyer.account, sale.deal())  # and nobody is shown the key: they uphold it
    assert market.looks(handover).outcome == UPHELD
    flow_appeals(market, handover)
    market.rules(handover, 2)
    market.ends(handover, "buyer")
    gained = change(before, market.holds())
    assert (gained["buyer"], gained["seller"]) == (COURTED.stake - COURTED.fee, -COURTED.stake)


def flow_appeals(market: Market, handover: bytes) -> None:
    buyer = market["buyer"]
    buyer.book.challenge(buyer.account, read(buyer, handover)[0].deal())


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, object]:
    """One side cheats, or none; the other follows the flow. Who climbs first, who sleeps and who is late varies."""
    cheat = draw(st.sampled_from((None, "seller", "buyer")))
    return {"cheat": cheat, "court": draw(st.booleans()), "asleep": draw(st.sampled_from((None, *VERIFIERS))),
            "seller": draw(st.sampled_from(("wrong key", "wrong data", "no delivery", "late", "wrong secret",
                                            "climbs after"))) if cheat == "seller" else "honest",
            "buyer": draw(st.sampled_from(("no payment", "idle complaint", "late complaint", "key for nothing",
                                           "two orders"))) if cheat == "buyer" else "honest",
            "first": draw(st.sampled_from(("buyer", "stranger"))), "wait": draw(st.integers(0, 2 * HOUR - 10))}


def play(market: Market, how: dict[str, object]) -> tuple[bool, bool]:
    """Play a schedule to its end; (whether the buyer can open what was offered, whether the secret was shown)."""
    buyer, seller, world = market["buyer"], market["seller"], market.world
    court, does = bool(how["court"]), str(how["seller"])
    data = DATA if does != "wrong data" else b"text,label\n" + b"x,y\n" * 3
    offer = market.sells(data, money=COURTED if court else MONEY, court=court)
    market.shows(offer, ["buyer"])
    order = market.orders(offer)
    handover = market.hands(order, data_key=bytes(32) if does == "wrong key" else None)
    if how["buyer"] == "two orders":
        assert market.hands(order) == handover, "one order, one handover"
    if how["buyer"] == "no payment":
        world.advance(PERIODS.fund)
        return False, False
    sale = market.funds(handover, joined=not court)
    world.advance(min(int(str(how["wait"])), PERIODS.reveal - 1))
    if does in ("no delivery", "late"):
        world.advance(PERIODS.reveal)
        if does == "late":
            with pytest.raises(ActRefused):
                market.reveals(handover)
    elif does in ("wrong secret", "climbs after"):
        seller.book.submit_and_judge(seller.account, sale.deal(), 0, 0, bytes(32), bytes(32))
        if does == "climbs after":
            seller.book.challenge(seller.account, sale.deal())
    else:
        market.reveals(handover)
    try:
        good = flow.receive_goods(buyer, handover, market.root("buyer")).outcome == UPHELD
    except (Refuted, Pending):
        market_looks(market, handover, how)
        market.ends(handover, "buyer")
        return False, False
    complains(market, handover, how, good)
    market_looks(market, handover, how)
    market.ends(handover, "buyer" if how["cheat"] == "seller" else "seller")
    return good, True


def complains(market: Market, handover: bytes, how: dict[str, object], good: bool) -> None:
    """What the buyer does once the secret is out: what it must, or what a cheat would try."""
    buyer, world = market["buyer"], market.world
    deal = read(buyer, handover)[0].deal()
    if not good:
        if how["first"] == "stranger":
            market["stranger"].book.challenge(market["stranger"].account, deal)
        flow.complain(buyer, handover, market.root("buyer"))
    elif how["buyer"] == "late complaint":
        world.advance(PERIODS.window)
        with pytest.raises(ActRefused, match="TooLate"):
            buyer.book.challenge(buyer.account, deal)
    elif how["buyer"] in ("idle complaint", "key for nothing"):
        buyer.book.challenge(buyer.account, deal)
        if how["buyer"] == "key for nothing":
            nonce = read(buyer, handover)[0].order.nonce
            key = buyer.add("one-time key", one_time_key(market.root("buyer"), nonce).seed,
                            [market[name].did for name in VERIFIERS])
            claim = buyer.attest("complaint", deal_subject(read(buyer, handover)[0]),
                                 {"deal": deal.hex(), "why": "it is not"}, evidence=[key])
            bench.tell_judges(buyer, read(buyer, handover)[0], handover, claim)
    market.receive()


def market_looks(market: Market, handover: bytes, how: dict[str, object]) -> None:
    state = market.world.book.state(read(market["buyer"], handover)[0].deal())
    if state.rung == 1:
        market.looks(handover, [name for name in VERIFIERS if name == how["asleep"]])


def sides_are_whole(market: Market, how: dict[str, object]) -> None:
    """Whoever followed the flow has what it had, or better: net of gas, the data counted at their price."""
    before, acts = market.holds(), dict(market.acts.made)
    good, told = play(market, how)
    gained = {name: now - before[name] - GAS * (market.acts.made.get(name, 0) - acts.get(name, 0))
              for name, now in market.holds().items()}
    assert MONEY.costs >= GAS * 5
    if how["cheat"] != "buyer":
        spent = GAS * (market.acts.made.get("buyer", 0) - acts.get("buyer", 0))
        # The price for the data is what was agreed, and so is the gas of buying.
        assert gained["buyer"] + good * MONEY.price + (spent if good else 0) >= 0, how
    if how["cheat"] != "seller":
        assert gained["seller"] >= 0, how
        assert not told or gained["seller"] >= MONEY.price - MONEY.costs, how
    if how["cheat"] == "seller":
        assert gained["seller"] < 0, how
        assert gained["buyer"] > 0, how
    if how["cheat"] == "buyer" and told:
        assert gained["buyer"] <= -MONEY.price, how


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=schedules())
def test_each_side_is_whole_on_any_schedule(market: Market, how: dict[str, object]) -> None:
    sides_are_whole(market, how)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=schedules())
def test_each_side_is_whole_on_many_schedules(market: Market, how: dict[str, object]) -> None:
    sides_are_whole(market, how)


class TestConsents:
    """Data about persons are sold with their consent, and no longer than that."""

    def given(self, market: Market, purpose: str = PURPOSE, to: str = "seller", days: int = 31) -> bytes:
        market.world.advance(1)
        until = market.world.now() + days * 24 * HOUR
        opening = consents.give(market["person"], DATA, purpose, [market[to].did], until)
        market["person"].send([market["seller"].did], [opening.consent])
        market.receive()
        return opening.consent

    def test_with_consent_it_is_sold(self, market: Market) -> None:
        handover = market.bought(market.sells(consents=[self.given(market)], persons=True))
        market.reveals(handover)
        assert flow.receive_goods(market["buyer"], handover, market.root("buyer")).outcome == UPHELD

    def test_without_or_for_another_purpose_it_is_not(self, market: Market) -> None:
        for offer, error in ((market.sells(persons=True), Undecidable),
                             (market.sells(consents=[self.given(market, "research")], persons=True), Refuted),
                             (market.sells(consents=[self.given(market, to="stranger")]), Refuted),
                             # It ends before the licence does.
                             (market.sells(consents=[self.given(market, days=29)]), Refuted)):
            market.shows(offer)
            with pytest.raises(error, match="may not be sold"):
                market.orders(offer)

    def test_a_withdrawal_stops_each_step(self, market: Market) -> None:
        consent = self.given(market)
        offer = market.sells(consents=[consent], persons=True)
        market.shows(offer)
        order, late = market.orders(offer), market.orders(offer, "other")
        handover = market.hands(order)
        running = market.bought(offer, "other")
        market.world.advance(1)
        withdrawal, _ = consents.withdraw(market["person"], consent)
        market["person"].send([market[name].did for name in ("seller", "buyer")], [withdrawal])
        market.receive()
        before = market.holds()
        for step in (lambda: market.orders(offer), lambda: market.hands(late), lambda: market.funds(handover),
                     lambda: market.reveals(running)):
            with pytest.raises(Refuted, match="may not be sold now"):
                step()
        assert market.holds() == before

    def test_an_erased_listing_is_not_sold(self, market: Market) -> None:
        offer = market.sells()
        market.shows(offer)
        order = market.orders(offer)
        market["seller"].erase(market["seller"].statement(offer).ref("listing"))
        with pytest.raises(Refuted, match="erased"):
            flow.hand(market["seller"], order, market.root("seller"), bytes(32),
                      market["seller"].identity.account.sign_digest, market.world.now())


def test_an_observer_with_everything_public_opens_nothing(market: Market) -> None:
    """All that the chain and public CIDs hold, and what follows from it by the functions in use, as keys."""
    handover = market.bought(market.sells())
    market.reveals(handover)
    buyer, sale = market["buyer"], read(market["buyer"], handover)[0]
    state = market.world.book.state(sale.deal())
    handed = buyer.read(buyer.statement(handover).evidence[0])
    public = [b"".join(buyer.statement(claim).to_bytes() for claim in (handover, sale.order_id, sale.offer_id)),
              state.terms.to_bytes(), sale.words(), handed, buyer.blobs.get(sale.offer.cid),
              *(entry.data + entry.claim for entry in state.history)]
    secrets = {entry.data for entry in state.history if len(entry.data) == 32}
    assert secrets, "the observer knows s"
    tried = 0
    for text in public:
        for at in range(0, max(0, min(len(text), 4096) - 31)):
            secrets.add(text[at:at + 32])
    shown = next(entry.data for entry in state.history if len(entry.data) == 32)
    secrets |= {hashlib.sha256(one).digest() for one in (shown, sale.lock, sale.order_id)}
    secrets |= {hmac.digest(shown, label, "sha256") for label in (b"troth/delivery/1/key", sale.order_id)}
    cid = Cid.parse(sale.offer.cid)
    for one in secrets:
        tried += 1
        with pytest.raises(Refuted):
            check_key(cid, one, buyer.blobs)
        if tried <= 40:  # each costs a decapsulation
            with pytest.raises(Refuted):
                take(handed, shown, RecipientKey(one), sale.order_id)
    assert tried > 1_000
    key = take(handed, shown, one_time_key(market.root("buyer"), sale.order.nonce), sale.order_id)
    check_key(cid, key, buyer.blobs)  # the buyer's one-time key is what was missing


class TestWords:
    """What no honest side should agree to is refused, and what is written is read back."""

    def test_stakes_exceed_twice_what_cheating_gains(self) -> None:
        MONEY.check(3, court=False)
        COURTED.check(3, court=True)
        for changed, told in ((replace(MONEY, stake=2 * MONEY.price), "seller's stake"),
                              (replace(MONEY, price=60, fee=400, bond=401, stake=440), "right buyer"),
                              (replace(MONEY, price=MONEY.costs), "lose by selling"),
                              (replace(MONEY, bond=MONEY.fee), "idle complaints"),
                              (replace(MONEY, bond=MONEY.stake), "could not afford"),
                              (replace(MONEY, verifier_stake=60), "verifiers' stakes"),
                              (COURTED, "verifiers' stakes"), (replace(MONEY, price=0), "moves nothing")):
            with pytest.raises(Misuse, match=told):
                changed.check(3, court=False)

    def test_nobody_is_left_without_time(self, market: Market) -> None:
        for changed in (replace(PERIODS, window=599), replace(PERIODS, look=1), replace(PERIODS, reveal=1)):
            with pytest.raises(Misuse, match="no time to"):
                market.words(periods=changed).check()
        with pytest.raises(Misuse, match="not a bench"):
            market.words(verifiers=()).check()
        with pytest.raises(Misuse, match="not who is paid"):
            market.words(payees=((bytes([7]) * 20, 0),)).check()

    def test_words_read_as_they_were_written(self, market: Market) -> None:
        claim = market.sells(court=True, money=COURTED, payees=((bytes([7]) * 20, 3), (bytes([8]) * 20, 1)),
                             licence=Licence(PURPOSE, 5, ("did:key:z",), "any", 10, True, "ends", 500, bytes([9]) * 20))
        statement = market["seller"].statement(claim)
        offer = Offer.of(statement)
        assert offer.body() == dict(statement.body)
        assert goods_of(market["seller"], claim).preview == PREVIEW
        for field, value in (("name", ""), ("form", "zip"), ("tags", ["A"]), ("commitment", "00"),
                             ("card", "x" * 5000)):
            with pytest.raises(BadInput):
                Offer.of(replace(statement, body=dict(statement.body) | {field: value}))

    def test_a_licence_that_says_nothing(self) -> None:
        for changes in ({"purpose": "Research!"}, {"term": 0}, {"derivatives": "some"}, {"royalty": 10_001},
                        {"refund": 1}, {"to": ("nobody",)}, {"to": ("did:a", "did:a")}, {"authority": b""},
                        {"erasure": "never"}):
            with pytest.raises(BadInput):
                replace(LICENCE, **changes)  # type: ignore[arg-type]

    def test_who_sells_or_judges_does_not_buy(self, market: Market) -> None:
        offer = market.sells()
        market.shows(offer, VERIFIERS)
        for name in ("seller", VERIFIERS[0]):
            with pytest.raises(Misuse, match="cannot be its buyer"):
                market.orders(offer, name)
        private = market.sells(licence=replace(LICENCE, to=(market["other"].did,)))
        market.shows(private)
        with pytest.raises(Misuse, match="not for this buyer"):
            market.orders(private)


def test_what_is_handed_over_opens_for_its_order_alone() -> None:
    key, other = RecipientKey(bytes(32)), RecipientKey(bytes(31) + b"\1")
    handed = hand_over(bytes([1]) * 32, bytes([2]) * 32, key.public(), bytes([3]) * 32)
    assert len(handed) == HANDED_LENGTH
    assert take(handed, bytes([2]) * 32, key, bytes([3]) * 32) == bytes([1]) * 32
    fits(handed, key, bytes([3]) * 32)
    for secret, opener, order in ((bytes(32), key, bytes([3]) * 32), (bytes([2]) * 32, other, bytes([3]) * 32),
                                  (bytes([2]) * 32, key, bytes(32))):
        with pytest.raises(Refuted):
            take(handed, secret, opener, order)
    with pytest.raises(BadInput):
        fits(handed[:-1], key, bytes([3]) * 32)
    with pytest.raises(Misuse):
        hand_over(bytes(31), bytes(32), key.public(), bytes(32))
    assert content_of(bytes(32), b"a") != content_of(bytes([1]) * 32, b"a")
