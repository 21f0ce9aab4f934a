"""Reputation from a chain, and feedback in ERC-8004's own registry: what is counted, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import encode
from places import Place, meet

from ports.evm_world import call_data, hostile
from troth.app import Troth
from troth.app.agents import register
from troth.app.reputation import check_feedback, publish, reputation
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, Misuse, Refuted, Undecidable
from troth.core.terms import REFUTED, SLASHED, UPHELD, Account, Ask, Pot, Result, Rung, Split, Terms
from troth.ledger.agents import AgentRegistry, inline
from troth.ledger.deploy import create
from troth.ledger.erc20 import Erc20
from troth.ledger.feedback import Proven, ReputationRegistry
from troth.verify.reputation import history

VECTORS = Path(__file__).parents[1] / "vectors" / "erc8004"
CODE = {name: bytes.fromhex(text) for name, text in json.loads(
    (VECTORS / "contracts.json").read_text())["bytecode"].items()}
REPUTATION = json.loads((VECTORS / "reputation.json").read_text())
NAMES = ("client", "agent", "stranger")
HOUR = 3_600


class Market:
    """A client, an agent and a stranger with money, and ERC-8004's two registries behind their proxies."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.parties = {name: self.place.make(name) for name in NAMES}
        client = self["client"]
        self.contracts = client.deploy(supply=30_000)
        self.token = self.contracts["token"].address
        self.false = create(client.sender, hostile("HostileToken").bytecode)[0]
        for party in self.parties.values():
            party.use_contracts(self.contracts)
            if party is not client:
                Erc20(party.chain.web3, self.token).transfer(client.sender, party.account, 10_000)
            Erc20(party.chain.web3, self.token).approve(party.sender, self.contracts["book"].address, 10_000)
        self.count = 0
        self.identities = self.behind(CODE["IdentityRegistryUpgradeable"], bytes(20), call_data("initialize()"))
        self.registry = self.behind(bytes.fromhex(REPUTATION["bytecode"]), self.identities,
                                    call_data("initialize(address)", self.identities))
        meet(*self.parties.values())
        self.agent = register(self["agent"], self.identities, "sorts words", {}).id
        self.stranger = register(self["stranger"], self.identities, "praises itself", {}).id
        meet(*self.parties.values())

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def behind(self, logic: bytes, first: Account, begin: bytes) -> Account:
        """A registry behind its proxy, put there as its own deployment does."""
        sender = self["client"].sender
        minimal, _ = create(sender, CODE["HardhatMinimalUUPS"])
        proxy, _ = create(sender, CODE["ERC1967Proxy"], ("address", minimal),
                          ("bytes", call_data("initialize(address)", first)))
        made, _ = create(sender, logic)
        sender.send(proxy, keccak256(b"upgradeToAndCall(address,bytes)")[:4] + encode(("address", "bytes"),
                                                                                      (made, begin)))
        return proxy

    def deal(self, payer: str, worker: str, price: int, stake: int, token: Account | None = None) -> bytes:
        """Work for a price against a stake that a refuted worker loses."""
        self.count += 1
        one, other = self[payer], self[worker]
        pots = [Pot("price", one.account, price, {UPHELD: Split((other.account,), amounts=(price,))}),
                *([Pot("stake", other.account, stake, {SLASHED: Split((one.account,), amounts=(stake // 2,))})]
                  if stake else [])]
        assumed = self.contracts["assumed"]
        rung = Rung(assumed.address, assumed.codehash, (Ask("result", (other.account,), HOUR),), HOUR, silent=REFUTED)
        terms = Terms(token or self.token, tuple(pots), (rung,), one.chain.now() + HOUR, b"\x77" * 20)
        deal = one.book.open_and_join(one.account, terms, self.count.to_bytes(32, "big"), 0)
        if stake:
            other.book.join(other.account, deal, 1)
        return deal

    def work(self, payer: str, worker: str, price: int, stake: int) -> bytes:
        deal, other = self.deal(payer, worker, price, stake), self[worker]
        other.book.submit_and_close(other.account, deal, 0, 0, bytes(32), Result(UPHELD).to_bytes())
        return deal


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    found = Market(tmp_path_factory.mktemp("market"))
    yield found
    found.place.close()


def test_what_counts_and_what_does_not(market: Market) -> None:
    """Paid, closed, final, staked, in money; each of these left out leaves the payment out."""
    client, agent, stranger = (market[name] for name in NAMES)
    market.work("client", "agent", 300, 700)
    market.work("client", "agent", 90, 0)  # nothing at stake
    market.deal("client", "agent", 80, 200)  # not closed
    market.work("stranger", "stranger", 70, 100)  # to itself
    market.work("agent", "stranger", 50, 40)
    market.work("stranger", "agent", 1_000, 1_000)  # by somebody who got 40 of it
    found = reputation(client)
    one, other = found.of(agent.account), found.of(stranger.account)
    assert (one.direct, one.earned, one.lost) == (300, 300, 0)
    assert (other.direct, other.earned, other.paid) == (0, 40, 0)
    assert found.together([agent.account, stranger.account]) == 300
    mine = reputation(agent)
    assert (mine.of(client.account).paid, mine.of(stranger.account).paid) == (300, 1_000)
    assert reputation(stranger).of(agent.account).earned == 1_000, "another reader, another number"
    # A worker that misses its ask loses its stake.
    deal = market.deal("client", "agent", 10, 200)
    market.place.clock.advance(3 * HOUR)
    client.book.close(client.account, deal)
    after = reputation(client).of(agent.account)
    assert (after.lost, after.score) == (200, 100)


def test_money_that_is_none(market: Market) -> None:
    """A token of the stranger's own makes the client a depositor of worthless units, without its signature."""
    client, stranger = market["client"], market["stranger"]
    sender = stranger.sender
    for account in (client.account, stranger.account):
        sender.send(market.false, call_data("mint(address,uint256)", account, 10**9))
    Erc20(client.chain.web3, market.false).approve(sender, market.contracts["book"].address, 10**9)
    before = reputation(client).of(stranger.account)
    pots = (Pot("price", client.account, 10**6, {UPHELD: Split((stranger.account,), amounts=(10**6,))}),
            Pot("stake", stranger.account, 10**6, {SLASHED: Split((client.account,), amounts=(1,))}))
    assumed = market.contracts["assumed"]
    rung = Rung(assumed.address, assumed.codehash, (Ask("result", (stranger.account,), HOUR),), HOUR, silent=REFUTED)
    terms = Terms(market.false, pots, (rung,), client.chain.now() + HOUR, b"\x77" * 20)
    deal = stranger.book.open(stranger.account, terms, bytes(32))
    stranger.book.join_with_authorization(stranger.account, deal, 0, 0, 2**40, bytes(65))
    stranger.book.join(stranger.account, deal, 1)
    stranger.book.submit_and_close(stranger.account, deal, 0, 0, bytes(32), Result(UPHELD).to_bytes())
    assert reputation(client).of(stranger.account) == before
    assert reputation(client, tokens=[market.false]).of(stranger.account).direct == 10**6, "money for who thinks so"
    with client.readings() as now, pytest.raises(Misuse, match="no token"):
        history(now, [])


def test_feedback_with_proof_of_payment(market: Market) -> None:
    client, agent, stranger = (market[name] for name in NAMES)
    paid = market.work("client", "agent", 200, 150)
    index, said = publish(client, market.registry, market.agent)
    assert said.value == reputation(client).of(agent.account).direct
    assert paid in said.deals
    given, proven = check_feedback(stranger, market.registry, market.agent, client.account, index)
    assert (given.value, proven) == (said.value, said)
    with pytest.raises(Misuse, match="nothing that counts"):
        publish(client, market.registry, market.stranger)
    with pytest.raises(Misuse, match="nothing that counts"):
        publish(agent, market.registry, market.agent)


def test_feedback_that_is_not_so(market: Market) -> None:
    """A fresh key praises an agent: by another's deals, by a bigger value, by a file that lies elsewhere."""
    client, agent, stranger = (market[name] for name in NAMES)
    registry = ReputationRegistry(client.chain.web3, market.registry)
    _, said = publish(client, market.registry, market.agent)
    lies = {"client": said, "which did not pay": replace(said, client=stranger.account),
            "another value": replace(said, value=said.value + 1), "another agent": replace(said, agent=market.stranger)}
    for what, lie in lies.items():
        by = client if lie.client == client.account and what != "client" else stranger
        file = lie.to_bytes()
        index = give(registry, by, market.agent, lie, file)
        with pytest.raises(Refuted, match=what):
            check_feedback(agent, market.registry, market.agent, by.account, index)
    index = give(registry, stranger, market.agent, said, b"", uri="https://example.org/praise.json")
    with pytest.raises(Undecidable, match="elsewhere"):
        check_feedback(agent, market.registry, market.agent, stranger.account, index)
    with pytest.raises(ActRefused):  # the registry itself refuses the owner
        give(registry, agent, market.agent, said, said.to_bytes())
    with pytest.raises(ActRefused):
        check_feedback(agent, market.registry, market.agent, stranger.account, 99)
    client.sender.send(market.registry, call_data("revokeFeedback(uint256,uint64)", market.agent, 1))
    with pytest.raises(Refuted, match="taken this feedback back"):
        check_feedback(agent, market.registry, market.agent, client.account, 1)


def give(registry: ReputationRegistry, by: Troth, agent: int, said: Proven, file: bytes, uri: str | None = None) -> int:
    """Write anything, as anybody may."""
    by.sender.send(registry.address, call_data(
        "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)", agent, said.value, 0, "troth-paid",
        "", "", uri or inline(file), keccak256(file)))
    return registry.last(agent, by.account)


def test_the_client_speaks_the_published_abi() -> None:
    said = {f"{one['name']}({','.join(part['type'] for part in one['inputs'])})" for one in REPUTATION["abi"]}
    assert said >= {"giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)",
                    "getLastIndex(uint256,address)", "readFeedback(uint256,address,uint64)", "getIdentityRegistry()",
                    "NewFeedback(uint256,address,uint64,int128,uint8,string,string,string,string,string,bytes32)"}


def test_an_agent_of_the_registry(market: Market) -> None:
    assert AgentRegistry(market["client"].chain.web3, market.identities).agent(market.agent).owner == \
        market["agent"].account
