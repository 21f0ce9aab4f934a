"""An agent finds, checks and buys a listing from its owner's policy account: which one, an evaluator's word decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import Place, meet

from troth.agents.brain import Brain, Script
from troth.agents.journal import journal
from troth.app import Troth, market, tending
from troth.app.accounts import make
from troth.app.agent import Given, loop_of, runs_of
from troth.app.market import Wish
from troth.app.verbs_market import Believed, behalf
from troth.core.terms import Account
from troth.flows.sale_words import ORDER, Licence
from troth.ledger.erc20 import Erc20
from troth.ledger.limits import OPEN_AND_JOIN, Limits

NAMES = ("owner", "agent", "seller", "evaluator", "v1", "v2", "v3")
TEXT = b"token,tag\nbread,NOUN\nrun,VERB\nred,ADJ\n"
WORDS = "Find a tagged corpus that my evaluator vouches for, and buy it for at most 1000."


@dataclass
class Town:
    place: Place
    parties: dict[str, Troth]
    account: Account

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def tend(self) -> None:
        for name in ("seller", "v1", "v2", "v3"):
            tending.tend(self[name])

    def holds(self, account: Account) -> int:
        return Erc20(self.place.chain.web3, self["owner"].contracts["token"].address).balance(account)

    def offer(self, price: int) -> bytes:
        wish = Wish(name=f"Tagged words at {price}", price=price, licence=Licence("training", 86_400 * 30), form="csv",
                    verifiers=tuple(self[name].did for name in ("v1", "v2", "v3")), card="corpus")
        found = market.put_up(self["seller"], TEXT, wish)
        market.announce(self["seller"], found, [self["agent"].did, self["evaluator"].did])
        return found

    def run(self, n: int, brain: Brain) -> list[tuple[bool, str]]:
        believed = Believed((self["evaluator"].did,), tuple(self[name].did for name in ("v1", "v2", "v3")))
        run = n.to_bytes(16, "big")
        with runs_of(self["agent"]) as runs:
            loop_of(self["agent"], brain, runs, Given(self.account, believed=believed)).run(run, WORDS)
            return [(one.seen.done, one.seen.text) for one in runs.steps(run) if one.seen]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    place = Place(tmp_path)
    parties = {name: place.make(name) for name in NAMES}
    owner, agent, seller = (parties[name] for name in NAMES[:3])
    contracts = owner.deploy(supply=100_000)
    token = Erc20(place.chain.web3, contracts["token"].address)
    for party in parties.values():
        if party is not owner:
            party.use_contracts(contracts)
            token.transfer(owner.sender, party.account, 10_000)
        party.bind_account()
    meet(*parties.values())
    book = contracts["book"].address
    made = make(owner, Limits(agent.account, token.address, 1_000, 1_500, place.clock.now() + 10**6, (book,),
                              ((book, OPEN_AND_JOIN),)))
    token.transfer(owner.sender, made.address, 5_000)
    assert seller.account != made.address
    yield Town(place, parties, made.address)
    place.close()


def rules(*steps: dict[str, object]) -> Script:
    return Script.of(json.dumps({"rules": list(steps)}).encode())


def call(tool: str, **arguments: object) -> dict[str, object]:
    return {"tool": tool, "arguments": arguments, "why": "it was asked"}


def test_it_buys_what_an_evaluator_vouches_for(town: Town) -> None:
    """Two offers of one seller; one is vouched for. The other, and a price above the words, move nothing."""
    good, bad, dear = town.offer(900), town.offer(800), town.offer(1_001)
    for name in ("evaluator", "agent"):
        town[name].receive()
    for offer in (good, dear):
        market.let_in(town["seller"], offer, town["evaluator"].did)
        town["evaluator"].receive()
        said = market.evaluate(town["evaluator"], offer, "counted", {"accuracy": 990})
        town["evaluator"].send([town["agent"].did], [said])
    town["agent"].receive()
    evaluations = {offer: claim for claim, one in market.evaluations(town["agent"]) for offer in (good, dear)
                   if one.commitment == market.Offer.of(town["agent"].statement(offer)).commitment}

    found = town.run(1, rules(call("market", text="tagged corpus"),
                              call("check_offer", offer=good.hex()), *(call("order", offer=one.hex())
                                                                       for one in (good, bad, dear))))
    assert [done for done, _ in found] == [True] * 5
    assert evaluations[good].hex() in found[1][1]
    orders = {town["agent"].statement(claim).ref("offer"): claim for claim, _ in town["agent"].claims(ORDER)}
    town.tend()
    pay = {"most": "1000"}
    seen = town.run(2, rules(
        call("pull"),
        call("pay_order", order=orders[bad].hex(), evaluation=evaluations[good].hex(), **pay),
        call("pay_order", order=orders[bad].hex(), evaluation=orders[bad].hex(), **pay),
        call("pay_order", order=orders[dear].hex(), evaluation=evaluations[dear].hex(), **pay),
        call("pay_order", order=orders[dear].hex(), evaluation=evaluations[dear].hex(), most="1001"),
        call("pay_order", order=orders[good].hex(), evaluation=evaluations[good].hex(), **pay), call("tend")))
    assert [done for done, _ in seen] == [True, False, False, False, False, True, True], seen
    assert town.holds(town.account) == 5_000 - 900
    town.tend()  # the verifiers take their seats,
    town.tend()  # the seller shows its secret
    ((_, said),) = town.run(3, rules(call("tend")))
    assert said == f"opened {orders[good].hex()}"
    # Opened by the agent, licensed to the owner's account.
    assert tending.standing(behalf(town["agent"], town.account), orders[good])["state"] == "opened"
    town.place.clock.advance(3 * 7_200)
    tending.tend(town["seller"])
    licences = market.licences(town["owner"])
    assert licences.licensed(town.account, town["seller"].account, good)
    outcomes = [(one.intent.tool, one.outcome.outcome, one.outcome.reason) for one in journal(town["agent"])
                if one.outcome and one.intent.tool == "pay_order"]
    assert outcomes == [("pay_order", "refused", "NotOwners")] * 2 + [("pay_order", "done", "")]
