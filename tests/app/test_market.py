"""Sales between workspaces on a chain: found, checked, bought, opened, licensed; and what a licence is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import Place, meet

import troth
from small_fit import small
from troth.app import Troth, loading, market, tending
from troth.app.market import Wish
from troth.app.shelf import OVERALL, Filters
from troth.core.claims import Evidence, Ref, Subject
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.terms import REFUTED, UPHELD, Ask, DealState, Pot, Result, Rung, Split, Terms
from troth.core.verdicts import Outcome
from troth.flows.parts import Above, Pin
from troth.flows.sale_deal import Sale, read, state_of
from troth.flows.sale_words import HANDOVER, OFFER, Licence, Offer
from troth.learn import arrays
from troth.learn.claims import LISTING
from troth.ledger.deploy import Spec, extend
from troth.ledger.erc20 import Erc20
from troth.ledger.licences import breach_salt, ladder_of

VERIFIERS = ("verifier-1", "verifier-2", "verifier-3")
NAMES = ("seller", "buyer", "evaluator", "stranger", "poor", *VERIFIERS)
TEXT = b"token,tag\nbread,NOUN\nrun,VERB\nred,ADJ\n"
PURPOSE = "training of taggers"
DAY = 86_400
LICENCE = Licence(PURPOSE, 30 * DAY)
PURSE = 1_000_000


@dataclass
class Town:
    place: Place
    parties: dict[str, Troth]

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def put_up(self, data: bytes = TEXT, **words: Any) -> bytes:
        wish = Wish(**{"name": "Tagged words", "price": 1_000, "licence": LICENCE, "form": "csv",
                       "verifiers": tuple(self[name].did for name in VERIFIERS), "tags": ("linguistics",),
                       "card": "Words with parts of speech, tagged by hand.", **words})
        offer = market.put_up(self["seller"], data, wish)
        market.announce(self["seller"], offer, [self[name].did for name in ("buyer", "stranger", "evaluator", "poor")])
        self.receive()
        return offer

    def receive(self) -> None:
        for party in self.parties.values():
            party.receive()
            assert not party.refused, party.refused

    def buys(self, offer: bytes, name: str = "buyer") -> bytes:
        return market.buy(self[name], offer, [self["evaluator"].did], self.believed())

    def believed(self) -> list[str]:
        return [self[name].did for name in VERIFIERS]

    def tends(self, *names: str) -> list[str]:
        return [one.what + (f": {one.refused}" if one.refused else "")
                for name in names or ("seller", "buyer", *VERIFIERS) for one in tending.tend(self[name])]

    def bought(self, offer: bytes) -> bytes:
        """Up to the buyer's opening it: the order."""
        order = self.buys(offer)
        self.tends("seller", "buyer", *VERIFIERS, "seller", "buyer")
        assert tending.standing(self["buyer"], order)["state"] == "opened"
        return order

    def paid(self, offer: bytes) -> bytes:
        """Up to the minted licence: its id."""
        order = self.bought(offer)
        self.place.clock.advance(3 * 7_200)
        self.tends("seller")
        return bytes.fromhex(tending.standing(self["buyer"], order)["deal"])

    def holds(self, name: str) -> int:
        return Erc20(self["seller"].chain.web3, self["seller"].contracts["token"].address).balance(self[name].account)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    place = Place(tmp_path_factory.mktemp("town"))
    parties = {name: place.make(name) for name in NAMES}
    seller = parties["seller"]
    contracts = seller.deploy(supply=PURSE * len(NAMES))
    token = Erc20(place.chain.web3, contracts["token"].address)
    for party in parties.values():
        if party is not seller:
            party.use_contracts(contracts)
            token.transfer(seller.sender, party.account, PURSE if party is not parties["poor"] else 1_001)
        party.bind_account()
    meet(*parties.values())
    yield Town(place, parties)
    place.close()


def test_tending_pays_for_a_key_that_is_proven_to_fit(town: Town) -> None:
    pytest.importorskip("zksnake")
    seller = small()
    buyer = replace(seller, prover=None, keys=None)
    order, before = town.buys(town.put_up()), town.holds("buyer")
    town.tends("seller")
    assert any("no proof came" in one.refused for one in tending.tend(town["buyer"], buyer))
    assert (tending.standing(town["buyer"], order)["state"], town.holds("buyer")) == ("handed over", before)
    proven = town.buys(town.put_up())
    assert [one.what for one in tending.tend(town["seller"], seller)] == ["handed over"]
    paid = [(one.order, one.what) for one in tending.tend(town["buyer"], buyer) if not one.refused]
    assert paid == [(proven, "paid")]
    town.tends(*VERIFIERS, "seller")
    assert [one.what for one in tending.tend(town["buyer"], buyer) if not one.refused] == ["opened"]
    town.place.clock.advance(3 * 7_200)
    town.tends("seller")


def test_an_order_that_asks_for_a_proof_is_not_paid_by_who_tends_without_its_keys(town: Town) -> None:
    """A seller need only wait until the buyer tends its other sales."""
    order, before = town.buys(town.put_up()), town.holds("buyer")
    tending.ask_proof(town["buyer"], order)
    town.tends("seller")
    (tried,) = [one for one in tending.tend(town["buyer"]) if one.order == order]
    assert "ordered with a proof" in tried.refused
    assert (tending.standing(town["buyer"], order)["state"], town.holds("buyer")) == ("handed over", before)


def test_found_checked_bought_opened_and_licensed(town: Town) -> None:
    seller, buyer = town["seller"], town["buyer"]
    offer = town.put_up()
    (found,) = [one for one in market.search(buyer, "tagged ling", Filters(), []) if one["offer"] == offer.hex()]
    assert (found["quality"], found["price"]) == (None, "1000")
    assert market.check(buyer, offer, [], town.believed()).outcome is Outcome.UPHELD
    assert market.check(buyer, offer, [], town.believed()[:1]).outcome is Outcome.UNDECIDABLE
    with pytest.raises(Undecidable, match="the verifiers"):
        market.buy(buyer, offer, [], [])
    with pytest.raises(Misuse, match="to complain if it is rubbish"):
        market.buy(town["poor"], offer, [], town.believed())
    with pytest.raises(Undecidable, match="not bought here"):
        troth.load(f"troth://{offer.hex()}", buyer)
    before = town.holds("seller"), town.holds("buyer")
    order = town.buys(offer)
    with pytest.raises(Pending, match="has not answered"):
        troth.load(f"troth://{offer.hex()}", buyer)
    town.tends("seller")
    buyer.receive()
    with pytest.raises(Pending, match="ordered and not paid"):
        troth.load(f"troth://{offer.hex()}", buyer)
    town.tends("buyer", *VERIFIERS)
    with pytest.raises(Pending, match="its key is not here yet"):
        troth.load(f"troth://{offer.hex()}"[:8 + 16], buyer)
    town.tends("seller", "buyer")
    assert tending.standing(buyer, order)["state"] == "opened"
    assert town.buys(offer) == order, "what goes on is not ordered twice"
    frame = troth.load(f"troth://{offer.hex()}", buyer)
    assert list(frame["tag"]) == ["NOUN", "VERB", "ADJ"]
    town.place.clock.advance(3 * 7_200)
    assert "not closed yet; the licence is minted when it is" in tending.unlicensed(buyer, offer, buyer.account)
    assert tending.unlicensed(buyer, offer, seller.account) == "no sale of it to this account is known here"
    assert town.tends("seller") == ["closed, paid", "licence minted"]
    assert tending.unlicensed(buyer, offer, buyer.account) == "it is over or revoked"
    assert town.tends() == []
    assert (town.holds("seller"), town.holds("buyer")) == (before[0] + 1_000, before[1] - 1_000)
    deal = bytes.fromhex(tending.standing(buyer, order)["deal"])
    contract = market.licences(town["stranger"])  # anybody, with one call
    assert contract.licensed(buyer.account, seller.account, offer)
    assert not contract.licensed(town["stranger"].account, seller.account, offer)
    assert not contract.licensed(buyer.account, town["stranger"].account, offer)
    granted = contract.granted(deal)
    assert (granted.offer, granted.words, granted.seller) == (offer, LICENCE.digest(), seller.account)
    town.place.clock.advance(31 * DAY)
    assert not contract.licensed(buyer.account, seller.account, offer)
    with pytest.raises(Refuted, match="licence is over"):
        troth.load(f"troth://{offer.hex()}", buyer)
    assert len(troth.load(f"troth://{offer.hex()}", seller)["tag"]) == 3, "what one owns needs no licence"


def test_what_would_cost_the_stake_is_not_put_up(town: Town) -> None:
    for words in ({"preview": b"token,tag\nx,y\n"}, {"preview": b"\xff"}, {"schema": {"columns": ["other"]}},
                  {"price": 0}, {"stake": 2_000}, {"preview": b"a" * 70_000}, {"verifiers": ()}, {"form": "zip"}):
        with pytest.raises(Misuse):
            town.put_up(**words)


def test_rubbish_ends_with_the_seller_poorer(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seller hands over another key; the buyer's and the verifiers' own steps do the rest."""
    offer = town.put_up()
    money = town["seller"].statement(offer).body["deal"]["money"]
    before = {name: town.holds(name) for name in NAMES}
    market.let_in(town["seller"], offer, town["buyer"].did)  # that it holds the right key already changes nothing
    town.receive()
    order = town.buys(offer)
    with monkeypatch.context() as cheat:
        cheat.setattr(market, "data_key", lambda party, cid: bytes(32))
        town.tends("seller")
    town.tends("buyer", *VERIFIERS, "seller", "buyer")
    assert tending.standing(town["buyer"], order)["state"] == "complained of"
    for _ in range(3):
        town.tends(*VERIFIERS)
    town.place.clock.advance(4 * 7_200)
    assert "closed, refunded" in town.tends("buyer")
    gained = {name: town.holds(name) - before[name] for name in NAMES}
    assert gained["seller"] == -int(money["stake"])
    assert gained["buyer"] == int(money["stake"]) - int(money["fee"]) + int(money["fee"]) % 3
    assert all(gained[name] == int(money["fee"]) // 3 for name in VERIFIERS)
    with pytest.raises(Refuted, match="refunded"):
        troth.load(f"troth://{offer.hex()}", town["buyer"])
    sale = next(read(town["buyer"], one)[0] for one, _ in town["buyer"].claims(HANDOVER)
                if order in town["buyer"].statement(one).all_refs("order"))
    with pytest.raises(ActRefused, match="NotUpheld"):
        market.licences(town["buyer"]).mint(town["buyer"].sender, town["buyer"].book.brought(sale.deal()), sale.words())


def altered(town: Town, offer: bytes, evidence: Sequence[Evidence] | None = None, **deal: Any) -> bytes:
    """The offer again with other words of its deal, as its seller's own tools would not say it."""
    seller = town["seller"]
    statement = seller.statement(offer)
    found = Offer.of(statement)
    said, refs = replace(found, deal=replace(found.deal, **deal)), list(statement.refs)
    if evidence is not None:
        listing = seller.statement(statement.ref(LISTING))
        refs = [Ref(LISTING, seller.attest(LISTING, listing.subjects, listing.body, evidence=evidence))]
    claim = seller.attest(OFFER, said.subjects(), said.body(), evidence=statement.evidence, refs=refs)
    market.announce(seller, claim, [town["buyer"].did])
    town.receive()
    return claim


def test_a_bench_of_other_accounts_is_not_believed(town: Town) -> None:
    """Believed names over accounts of the seller's friends, who would judge in their name."""
    offer = town.put_up(name="Judged by friends")
    bench = Offer.of(town["seller"].statement(offer)).deal.verifiers
    friends = tuple(replace(one, account=bytes([n + 1]) * 20) for n, one in enumerate(bench))
    with pytest.raises(Undecidable, match="the verifiers"):
        town.buys(altered(town, offer, verifiers=friends))
    # One that keeps silent must not be able to keep two others from deciding.
    seller = town["seller"]
    more = extend(seller.sender, seller.contracts, Spec("all", "Rerun", (("uint256", 3), ("uint128", 0))),
                  Spec("court", "Court", (("uint128", 0),)))
    code, court = (Pin.of(more[name]) for name in ("all", "court"))
    sly = altered(town, offer, rerun=code)
    with pytest.raises(Undecidable, match="the verifiers"):
        market.buy(town["buyer"], sly, [], town.believed()[:2])
    assert market.check(town["buyer"], sly, [], town.believed()).outcome is Outcome.UPHELD
    # Nor may the seller's own court overrule them.
    with pytest.raises(Undecidable, match="court above the verifiers"):
        town.buys(altered(town, offer, court=Above(court, b"\x09" * 20, DAY)))


def test_a_listing_that_hands_over_another_file_is_not_bought(town: Town) -> None:
    """What would be loaded must be what was inspected."""
    offer = town.put_up(name="Another file")
    other = town["seller"].add("records", b"token,tag\nbread,POISON\n")
    with pytest.raises(Refuted, match="hands over another file"):
        town.buys(altered(town, offer, [other]))


def test_no_seat_is_taken_that_could_lose_far_more_than_it_earns(town: Town) -> None:
    """Whoever is outvoted loses its stake, and anybody can name two liars and an honest judge."""
    offer = town.put_up(name="A trap")
    money = Offer.of(town["seller"].statement(offer)).deal.money
    order = town.buys(altered(town, offer, money=replace(money, verifier_stake=PURSE // 2)))
    town.tends("seller", "buyer")
    before = [town.holds(name) for name in VERIFIERS]
    did = [one for one in town.tends(*VERIFIERS) if one.startswith("took its seat")]
    assert len(did) == 3
    assert all("far more than it earns" in one for one in did)
    assert [town.holds(name) for name in VERIFIERS] == before
    assert tending.standing(town["buyer"], order)["state"] == "waits for the verifiers"
    town.place.clock.advance(2 * 3_600)
    assert "closed, void" in town.tends("buyer")


def test_one_sale_that_cannot_be_looked_at_holds_up_no_other(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = town.put_up(name="Two buyers")
    first, second = town.buys(offer), town.buys(offer, "stranger")
    town.tends("seller")
    town.receive()
    broken = next(market.handovers_of(town["buyer"], first))

    def failing(party: Troth, sale: Sale) -> DealState | None:
        if sale.order_id == first:
            raise Undecidable("a listing is missing", actual=broken.hex())
        return state_of(party, sale)

    with monkeypatch.context() as patch:
        patch.setattr(tending, "state_of", failing)
        assert any(one.startswith("looked at: a listing is missing") for one in town.tends("seller"))
        assert "paid" in town.tends("stranger")
    assert tending.standing(town["stranger"], second)["state"] == "waits for the verifiers"
    town.place.clock.advance(2 * 3_600)
    assert "closed, void" in town.tends("stranger")


def test_a_handover_of_no_time_stops_nobody(town: Town) -> None:
    offer = town.put_up(name="Of no time")
    order = town.buys(offer)
    refs = [Ref("order", order), Ref("offer", offer)]
    seller = town["seller"]
    handed = seller.add("handed", b"e")
    body = {"cid": handed.cid, "consent": "00" * 65, "deal": "00" * 32, "fund_by": -(1 << 50), "lock": "00" * 32}
    seller.attest(HANDOVER, [Subject("deal", {"keccak256": "00" * 32})], body, refs=refs, evidence=[handed])
    town.tends("seller")
    assert tending.standing(town["buyer"], order)["state"] == "ordered"
    town.place.clock.advance(market.ORDER_LIFE + 1)


def test_an_order_that_nobody_answers_is_over_in_a_day(town: Town) -> None:
    offer = town.put_up(name="Unanswered")
    order = town.buys(offer)
    town.place.clock.advance(market.ORDER_LIFE + 1)
    assert town.tends("seller") == []
    assert town.buys(offer) != order


def test_quality_counts_only_from_who_is_believed(town: Town) -> None:
    seller, buyer, evaluator = (town[name] for name in ("seller", "buyer", "evaluator"))
    good, better = town.put_up(name="Good corpus"), town.put_up(TEXT + b"a,DET\n", name="Better corpus")
    for offer, value in ((good, 800_000), (better, 900_000)):
        with pytest.raises(Undecidable):
            market.evaluate(evaluator, offer, "held out", {"accuracy": value})
        market.let_in(seller, offer, evaluator.did)
        town.receive()
        claim = market.evaluate(evaluator, offer, "a tagger trained on it, held-out accuracy", {"accuracy": value})
        evaluator.send([buyer.did], [claim])
    offered = buyer.statement(good).body
    for liar in (seller, town["stranger"]):  # the seller's own word, and a stranger's
        said = market.Evaluation(offered["cid"], bytes.fromhex(offered["commitment"]), "trust me",
                                 {"accuracy": 999_999})
        liar.send([buyer.did], [liar.attest("evaluation", said.subjects(), said.body())])
    town.receive()

    def ranked(believed: list[str], **filters: Any) -> list[tuple[str, int | None]]:
        return [(one["name"], one["quality"]) for one in market.search(buyer, "corpus", Filters(**filters), believed)]

    assert ranked([evaluator.did]) == [("Better corpus", 900_000), ("Good corpus", 800_000)]
    assert ranked([seller.did]) == [("Good corpus", None), ("Better corpus", None)]
    assert ranked([evaluator.did, town["stranger"].did], metric="accuracy")[1] == ("Good corpus", 800_000)
    assert ranked([evaluator.did], quality=850_000) == [("Better corpus", 900_000)]
    assert ranked([evaluator.did], most=999) == []
    report = market.check(buyer, better, [evaluator.did], town.believed())
    assert "held-out accuracy" in report.steps[-1].detail
    with pytest.raises(Misuse, match="of its own"):
        market.evaluate(seller, good, "mine", {"accuracy": 1})
    assert Filters().metric == OVERALL


def test_what_is_erased_is_neither_found_nor_used_where_its_words_say_so(town: Town) -> None:
    stays = town.put_up(name="Erased words")
    ends = town.put_up(TEXT + b"so,ADV\n", name="Erased words", licence=replace(LICENCE, erasure="ends", refund=5_000))
    for offer in (stays, ends):
        town.paid(offer)
        listing = town["seller"].statement(offer).ref("listing")
        (owed,) = tending.foreseen(town["seller"], listing)
        assert (owed["erasure"], owed["owed"]) == (("stays", "0") if offer == stays else ("ends", "500"))
        assert owed["holder"] == "0x" + town["buyer"].account.hex()
        erasure = town["seller"].erase(listing)
        town["seller"].send([town["buyer"].did], [erasure])
    town.receive()
    assert market.search(town["buyer"], "erased words", Filters(), []) == []
    assert len(troth.load(f"troth://{stays.hex()}", town["buyer"])["tag"]) == 3
    with pytest.raises(Refuted, match="5000 basis points"):
        troth.load(f"troth://{ends.hex()}", town["buyer"])
    with pytest.raises(Refuted, match="not to be bought: it may be sold"):
        town.buys(stays)


class TestLicences:
    """The contract: minted once, by a sale that closed for the seller, and ended only as its words say."""

    def test_only_a_sale_that_both_signed_makes_one(self, town: Town) -> None:
        buyer = town["buyer"]
        order = town.bought(town.put_up())
        handover = next(market.handovers_of(buyer, order))
        sale, _ = read(buyer, handover)
        contract = market.licences(buyer)
        with pytest.raises(ActRefused, match="NotClosed"):
            contract.mint(buyer.sender, buyer.book.brought(sale.deal()), sale.words())
        town.place.clock.advance(3 * 7_200)
        town.tends("seller")
        with pytest.raises(ActRefused, match="Minted"):
            contract.mint(buyer.sender, buyer.book.brought(sale.deal()), sale.words())
        longer = sale.words()[:128] + (2**40).to_bytes(32, "big") + sale.words()[160:]
        with pytest.raises(ActRefused, match="BadWords"):
            contract.mint(buyer.sender, buyer.book.brought(sale.deal()), longer)
        with pytest.raises(ActRefused, match="NotTransferable"):
            contract.transfer(buyer.sender, sale.deal(), town["stranger"].account)
        with pytest.raises(ActRefused, match="NotAuthority"):
            contract.revoke(buyer.sender, sale.deal(), bytes(32))
        with pytest.raises(Undecidable, match="nobody has minted"):
            contract.granted(bytes(32))

    def test_nobody_makes_one_in_a_sellers_name(self, town: Town) -> None:
        """A deal that merely names the seller, and takes its silence for a yes, grants nothing."""
        thief, seller = town["stranger"], town["seller"]
        offer, found = town.put_up(), town["stranger"].contracts
        order = market.buy(thief, offer, [], town.believed())
        sale, _ = read(thief, self.handed(town, order))
        policy = found["assumed"]
        rung = Rung(policy.address, policy.codehash, (Ask("preimage", (seller.account,), 60),), 60, silent=UPHELD)
        pot = Pot("price", thief.account, 1, {UPHELD: Split((thief.account,), amounts=(1,))})
        terms = Terms(found["token"].address, (pot,), (rung,), town.place.chain.now() + 60, b"\x99" * 20)
        market.allow(thief, found["token"].address, 1)
        deal = thief.book.open_and_join(thief.account, terms, sale.salt(), 0)
        town.place.clock.advance(200)
        thief.book.close(thief.account, deal)
        with pytest.raises(ActRefused, match="NotSeller"):
            market.licences(thief).mint(thief.sender, thief.book.brought(deal), sale.words())

    def handed(self, town: Town, order: bytes) -> bytes:
        town.tends("seller")
        town.receive()
        return next(market.handovers_of(town["stranger"], order))

    def test_it_changes_hands_where_its_words_allow_it(self, town: Town) -> None:
        buyer, other, seller = town["buyer"], town["stranger"], town["seller"]
        offer = town.put_up(licence=replace(LICENCE, transferable=True, authority=seller.account))
        first, contract = town.paid(offer), market.licences(buyer)
        contract.transfer(buyer.sender, first, other.account)
        assert contract.licensed(other.account, seller.account, offer)
        assert not contract.licensed(buyer.account, seller.account, offer)
        with pytest.raises(Refuted, match="given to somebody else"):
            troth.load(f"troth://{offer.hex()}", buyer)
        with pytest.raises(ActRefused, match="NotStanding"):
            contract.prefer(buyer.sender, first)
        contract.revoke(seller.sender, first, b"\x01" * 32)
        assert not contract.licensed(other.account, seller.account, offer)
        with pytest.raises(ActRefused, match="Revoked"):
            contract.revoke(seller.sender, first, b"\x01" * 32)
        with pytest.raises(ActRefused, match="NotStanding"):
            contract.transfer(other.sender, first, buyer.account)

    def test_a_verdict_on_the_rungs_that_its_words_fix_revokes_it(self, town: Town) -> None:
        buyer, seller, judge = town["buyer"], town["seller"], town["stranger"]
        policy = seller.contracts["assumed"]
        rung = Rung(policy.address, policy.codehash, (Ask("ruling", (judge.account,), 3_600),), 3_600, silent=UPHELD)
        offer = town.put_up(licence=replace(LICENCE, ladder=ladder_of((rung,))))
        licence, contract = town.paid(offer), market.licences(seller)
        salt = breach_salt(contract.address, licence)

        amounts = iter(range(10, 20))  # so that no two of these deals are one

        def breach(rungs: tuple[Rung, ...], salt: bytes, says: int | None, closes: bool = True) -> bytes:
            coin = seller.contracts["token"].address
            pot = Pot("case", seller.account, next(amounts), {UPHELD: Split((buyer.account,), amounts=(1,))})
            terms = Terms(coin, (pot,), rungs, town.place.chain.now() + 60, b"\x99" * 20)
            market.allow(seller, coin, pot.amount)
            deal = seller.book.open_and_join(seller.account, terms, salt, 0)
            if says is not None:
                judge.book.submit_and_judge(judge.account, deal, 0, 0, bytes(32), Result(says).to_bytes())
            town.place.clock.advance(7_300)
            if closes:
                seller.book.close(seller.account, deal)
            return deal

        other = replace(rung, silent=REFUTED)
        for deal, code in ((breach((rung,), salt, UPHELD), "NotRefuted"), (breach((rung,), salt, None), "NotRefuted"),
                           (breach((other,), salt, None), "NotTheLadder"), (breach((rung,), bytes(32), REFUTED),
                                                                           "BadWords"),
                           (breach((rung,), salt, REFUTED, closes=False), "NotClosed")):
            with pytest.raises(ActRefused, match=code):
                contract.revoke_by_verdict(buyer.sender, licence, buyer.book.brought(deal))
        assert contract.licensed(buyer.account, seller.account, offer)
        contract.revoke_by_verdict(buyer.sender, licence, buyer.book.brought(breach((rung,), salt, REFUTED)))
        assert not contract.licensed(buyer.account, seller.account, offer)
        with pytest.raises(Refuted, match="revoked"):
            troth.load(f"troth://{offer.hex()}", buyer)


def test_each_form_is_loaded_as_what_it_is(tmp_path: Path) -> None:
    assert loading.materialise("bytes", b"x") == b"x"
    state = {"weights": np.arange(6, dtype=np.int64).reshape(2, 3)}
    assert (loading.materialise("arrays", arrays.encode(state))["weights"] == state["weights"]).all()
    path = tmp_path / "a.npz"
    np.savez(path, rows=np.ones(3))
    assert loading.materialise("npz", path.read_bytes())["rows"].tolist() == [1, 1, 1]
    np.savez(path, rows=np.array([{"a": 1}], dtype=object))
    for form, data in (("npz", path.read_bytes()), ("npz", b"PK"), ("arrays", b"no"), ("model", b"no")):
        with pytest.raises(BadInput):
            loading.materialise(form, data)


def test_a_table_without_pandas_is_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert loading.materialise("csv", b"a,b,c\n1,2.5,x\n2,3,\n") == {"a": [1, 2], "b": [2.5, 3], "c": ["x", ""]}
