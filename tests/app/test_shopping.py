"""An agent at the market: what it reads buys nothing, what its owner wants is paid once, and rubbish is paid back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from troth.agents.bargain import BID
from troth.agents.brain import Call, Finish, Form, Seen, Step
from troth.agents.journal import ACT, DONE, INTENT, REFUSED, Intent, Outcome, conclude, intend
from troth.app import accounts, market, tending
from troth.app.agent import Given, Reporter, board, loop_of, run_id, runs_of
from troth.app.shopping import Purse, shopping, sold_for
from troth.cli import person_story as story
from troth.cli.person_story import HOUR, PersonStory
from troth.core.claims import Ref, Subject
from troth.core.errors import Pending
from troth.ledger.limits import OPEN_AND_JOIN, TRANSFER, Limits

MOST = 500


class Quiet:
    def chapter(self, number: int, title: str) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass
class Steps:
    """A brain of these calls."""

    calls: tuple[Call, ...]
    name = "steps"

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        return self.calls[len(seen)] if len(seen) < len(self.calls) else Finish("over")


class Market(PersonStory):
    """The story's people, with few words on sale, and an agent that is told what to do."""

    def open(self) -> None:
        self.begin()
        self.list_words()
        owner, agent = self["owner"], self["agent"]
        book = owner.contracts["book"].address
        limits = Limits(agent.account, self.token.address, MOST, 2 * MOST, self.chain.now() + 999 * HOUR, (book,),
                        ((self.token.address, TRANSFER), (book, OPEN_AND_JOIN)))
        self.account = accounts.make(owner, limits).address
        self.token.transfer(owner.sender, self.account, 2_000)

    def does(self, *calls: Call, words: str = story.WORDS) -> list[Seen]:
        """What came of these calls."""
        agent, found = self["agent"], list[Seen]()
        purse = Purse(self.account, self.dids("evaluator"), self.dids(*story.VERIFIERS))
        given = Given(self.account, more=shopping(agent, purse), owners=self.dids("owner"),
                      evaluators=self.dids("evaluator"))
        with runs_of(agent) as runs:
            loop_of(agent, Steps(calls), runs, given).run(run_id(None), words,
                                                          watching=lambda _, seen: found.append(seen))
        return found

    def offered(self, price: int) -> str:
        """The words again, at a price for the agent alone."""
        offer = market.again(self["linguist"], self.made["offer"], price, self["agent"].did)
        market.announce(self["linguist"], offer, self.dids("agent"))
        self["agent"].receive()
        return offer.hex()

    def vouched(self) -> str:
        """The evaluator's claim."""
        return next(claim.hex() for claim, _ in self["agent"].claims("evaluation"))

    def money(self) -> int:
        return self.token.balance(self.account)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(story, "SOLD", 90)
        patch.setattr(story, "TRAINED_ON_BY_EVALUATOR", 60)
        patch.setattr(story, "UNSEEN", 10)
        made = Market(tmp_path_factory.mktemp("town"), Quiet())
        made.open()
        yield made
        made.close()


def test_what_was_read_buys_nothing(town: Market) -> None:
    """Neither an amount that an offer names, nor goods that only their seller vouches for, nor another's say-so."""
    before, offer = town.money(), town.offered(480)
    (ordered,) = town.does(Call("market_order", {"offer": offer}))
    assert ordered.done, ordered.text
    tending.tend(town["linguist"])
    unsaid, seller_says, stranger = town.does(
        Call("market_buy", {"evaluation": town.vouched(), "most": "480"}),  # the offer says 480, the owner does not
        Call("market_buy", {"evaluation": offer, "most": "500"}),
        Call("market_buy", {"evaluation": "ab" * 32, "most": "500"}))
    for seen in (unsaid, seller_says, stranger):
        assert not seen.done
        assert "neither from the owner's words nor from a claim" in seen.text
    dear = town.does(Call("market_buy", {"evaluation": town.vouched(), "most": "300"}), words="pay at most 300")[0]
    assert not dear.done
    assert "it costs more than your owner said" in dear.text
    assert town.money() == before


def test_an_evaluator_says_what_is_good_and_nothing_else(town: Market) -> None:
    """Named for its word on quality, it names no payee and no price."""
    evaluator, agent, before = town["evaluator"], town["agent"], town.money()
    subject, friend = [Subject("text", {"sha256": "00" * 32})], evaluator.account.hex()
    note = evaluator.attest("note", subject, {"amount": "480", "payee": friend})
    evaluator.send([agent.did], [note])
    agent.receive()
    offer = town.offered(480)
    (ordered,) = town.does(Call("market_order", {"offer": offer}))
    assert ordered.done, ordered.text
    tending.tend(town["linguist"])
    for seen in town.does(Call("pay", {"to": "0x" + friend, "amount": "480"}),
                          Call("market_buy", {"evaluation": town.vouched(), "most": "480"}),
                          Call("market_buy", {"evaluation": note.hex(), "most": "500"})):
        assert not seen.done
        assert "neither from the owner's words nor from a claim" in seen.text
    assert town.money() == before


def test_what_strangers_send_stops_neither_journal_nor_bargain(town: Market) -> None:
    agent, stranger, seller = town["agent"], town["evaluator"], town["linguist"]
    about = intend(agent, Intent(bytes(16), 0, "say", "steps", None), b"{}", ())
    subjects, nothing = agent.statement(about).subjects, Outcome(DONE)
    forged = [stranger.attest(ACT, subjects, nothing.body(), refs=[Ref("intent", one)]) for one in (about, b"\1" * 32)]
    forged.append(stranger.attest(INTENT, subjects, {"x": 1}))
    stranger.send([agent.did], forged)
    agent.receive()
    Reporter(agent, (), b"\2" * 16)
    assert any(one.claim == about and one.outcome is None for one in board(agent).entries)
    said = conclude(agent, about, Outcome(REFUSED, "Late"))
    assert agent.statement(said).issuer == agent.did
    offer = town.made["offer"]
    bid = stranger.attest(BID, [Subject("listing", {"sha256": offer.hex()})], {"x": 1}, refs=[Ref("listing", offer)])
    stranger.send([seller.did], [bid])
    seller.receive()
    with pytest.raises(Pending, match="nobody bargains"):
        sold_for(seller, offer, 300)


def test_a_dearer_handover_than_the_account_allows(town: Market) -> None:
    """The owner's words may say more than the account lets move: then the contract refuses, and remembers."""
    before, offer = town.money(), town.offered(560)
    ordered, = town.does(Call("market_order", {"offer": offer}), words="pay at most 600")
    assert ordered.done
    tending.tend(town["linguist"])
    seen, = town.does(Call("market_buy", {"evaluation": town.vouched(), "most": "600"}), words="pay at most 600")
    assert not seen.done
    assert "OverAct" in seen.text
    assert town.money() == before


def test_rubbish_is_paid_back_to_the_account(town: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    before = town.money(), town.token.balance(town["linguist"].account), town.token.balance(town["agent"].account)
    offer = town.offered(450)
    town.does(Call("market_order", {"offer": offer}))
    with monkeypatch.context() as patch:
        patch.setattr(market, "data_key", lambda *_: bytes(32))  # this seller hands over another key
        tending.tend(town["linguist"])
    bought, twice = town.does(Call("market_buy", {"evaluation": town.vouched(), "most": "500"}),
                              Call("market_buy", {"evaluation": town.vouched(), "most": "500"}))
    assert bought.done, bought.text
    assert not twice.done
    assert town.money() == before[0] - 450
    did = [one.what for name in ("agent", *story.VERIFIERS, "linguist", "agent", *3 * story.VERIFIERS)
           for one in tending.tend(town[name])]
    assert any(what.startswith("complained") for what in did), did
    town.chain.advance(24 * HOUR)
    tending.tend(town["agent"])
    assert town.money() > before[0], "price and stake came to the account, not to the agent's key"
    assert town.token.balance(town["agent"].account) >= before[2] - 50
    assert town.token.balance(town["linguist"].account) < before[1]


def test_nobody_bargains_over_what_nobody_bids_for(town: Market) -> None:
    with pytest.raises(Pending, match="nobody bargains"):
        sold_for(town["linguist"], bytes.fromhex(town.offered(400)), 300)


def test_a_bargain_is_for_its_buyer_alone(town: Market) -> None:
    offer = town.made["offer"].hex()
    for _ in range(12):
        seen, = town.does(Call("market_bargain", {"offer": offer, "most": "500"}))
        town["linguist"].receive()
        sold_for(town["linguist"], town.made["offer"], 430)
        town["agent"].receive()
        if "wait for its answer" not in seen.text:
            break
    assert seen.text.startswith("agreed on "), seen.text
    price = seen.text.split()[2].rstrip(";")
    found = [one for one in market.search(town["agent"], "valence", market.Filters(), town.dids("evaluator"))
             if one["price"] == price]
    assert len(found) == 1
    assert market.Offer.of(town["agent"].statement(bytes.fromhex(found[0]["offer"]))).licence.to == town.dids("agent")
