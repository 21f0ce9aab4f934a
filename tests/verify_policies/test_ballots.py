"""Ballots in memory and as a contract: the suite of ``ports.ballots_suite``, and what only a chain has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

import pytest

from ports.ballots_suite import DAY, HOLDERS, RIVAL, SALT, BallotsSuite, Polling, refused
from ports.books import VOTING, MemoryWorld, account
from ports.evm_world import DEPLOYER, EvmWorld
from troth.core.errors import ActRefused
from troth.core.terms import Account
from troth.core.typed_data import ballot_digest
from troth.ledger.artefacts import artefact, code_hash
from troth.ledger.ballots import ABSTAIN, AGAINST, FOR, NONE, Ballot, EvmBallots, MemoryBallots, MemoryVotes
from troth.ledger.deploy import code_at
from troth.ledger.memory import Policy
from troth.verify.policies.vote import Vote


class MemoryPolling(Polling):
    def __init__(self) -> None:
        self.world = MemoryWorld()
        self.token, self.blocks = account("votes by seconds"), account("votes by blocks")
        self.tokens = {self.token: MemoryVotes(self.world.clock),
                       self.blocks: MemoryVotes(self.world.clock, seconds=False)}
        where = account("ballots")
        self.ballots = MemoryBallots(self.world.clock, self.world.book, where, self.tokens)
        self.policy = (account("policy of ballots"), hashlib.sha256(b"vote").digest())
        self.world.book.policies[self.policy[0]] = Policy(self.policy[1], Vote(where, *VOTING))

    def hold(self, who: Account, amount: int, token: Account | None = None) -> None:
        self.tokens[token or self.token].mint(who, amount)

    def transfer(self, who: Account, to: Account, amount: int) -> None:
        self.tokens[self.token].transfer(who, to, amount)
        self.tokens[self.token].delegate(to, to)

    def delegate(self, who: Account, to: Account) -> None:
        self.tokens[self.token].delegate(who, to)

    def next_block(self) -> None:
        self.tokens[self.blocks].block += 1


class EvmPolling(Polling):
    def __init__(self, world: EvmWorld) -> None:
        self.world: EvmWorld = world
        self.token, self.blocks = (world.make("VotesToken", ("bool", by_time)) for by_time in (True, False))
        where = world.make("Ballots")
        self.ballots = EvmBallots(world.web3, where, world.sender, world.book)
        policy = world.make("Vote", ("address", where), ("uint32", VOTING[0]), ("uint32", VOTING[1]))
        self.policy = (policy, code_hash(code_at(world.web3, policy)))
        self.delegated: set[tuple[Account, Account]] = set()

    def hold(self, who: Account, amount: int, token: Account | None = None) -> None:
        token = token or self.token
        self.world.send(DEPLOYER, token, "mint(address,uint256)", who, amount)
        if (who, token) not in self.delegated:
            self.world.send(who, token, "delegate(address)", who)
            self.delegated.add((who, token))

    def transfer(self, who: Account, to: Account, amount: int) -> None:
        self.world.send(who, self.token, "transfer(address,uint256)", to, amount)
        self.world.send(to, self.token, "delegate(address)", to)

    def delegate(self, who: Account, to: Account) -> None:
        self.world.send(who, self.token, "delegate(address)", to)

    def next_block(self) -> None:
        """Every transaction is a block of its own."""
        self.world.send(DEPLOYER, self.token, "mint(address,uint256)", DEPLOYER, 0)


class TestInMemory(BallotsSuite):
    @pytest.fixture
    def polling(self) -> Polling:
        return MemoryPolling()


@pytest.fixture
def voting(on_chain: EvmWorld) -> EvmPolling:
    """Ballots on a chain."""
    return EvmPolling(on_chain)


class TestOnChain(BallotsSuite):
    @pytest.fixture
    def polling(self, voting: EvmPolling) -> Polling:
        return voting


@dataclass(frozen=True)
class Move:
    """One random act, to do on both."""

    name: str
    deal: bytes
    who: Account
    other: Account
    choice: int
    rung: int
    how: float

    def do(self, polling: Polling) -> str:
        """"done", or the refusal's code."""
        ballots, deal, rung = polling.ballots, self.deal, self.rung
        try:
            if self.name == "start":
                ballots.start(self.who, deal, self.choice)
            elif self.name == "cast":
                ballots.cast(self.who, deal, rung, self.choice)
            elif self.name == "signed":
                forged = polling.signed(self.other, deal, self.choice, by=RIVAL if self.how < 0.2 else self.other)
                ballots.cast_signed(RIVAL, deal, rung, [forged, polling.signed(self.who, deal, FOR)])
            elif self.name == "count":
                ballots.count(self.who, deal)
            elif self.name == "wait":
                polling.world.advance(int(self.how**3 * DAY / 2))
            elif self.name == "judge":
                polling.world.book.judge(RIVAL, deal)  # type: ignore[attr-defined]
            elif self.how < 0.9:
                polling.transfer(HOLDERS[0], self.who, 1)
            else:
                polling.delegate(self.who, self.other)
        except ActRefused as error:
            return error.code
        return "done"


@pytest.mark.parametrize("seed", range(2))
def test_both_kinds_agree(voting: EvmPolling, seed: int) -> None:
    """Random acts on two deals: the same refusals, the same tallies, the same histories, after every one."""
    d, memory = Random(seed), MemoryPolling()
    # The same addresses on both sides, so that deals, polls and signatures are the same.
    at, token, blocks = voting.world.addresses, voting.token, voting.blocks
    memory.world = MemoryWorld(at)
    memory.tokens = {token: MemoryVotes(memory.world.clock), blocks: MemoryVotes(memory.world.clock, seconds=False)}
    memory.token, memory.blocks, memory.policy = token, blocks, voting.policy
    where = voting.ballots.address
    memory.ballots = MemoryBallots(memory.world.clock, memory.world.book, where, memory.tokens)
    memory.world.book.policies[memory.policy[0]] = Policy(memory.policy[1], Vote(where, *VOTING))
    both: tuple[Polling, ...] = (memory, voting)
    memory.world.until(voting.world.now())
    deals = [{one.opened(one.terms(), SALT) for one in both}, {one.opened(one.terms(), bytes(32)) for one in both}]
    assert [len(one) for one in deals] == [1, 1]
    told = set()
    for _ in range(70):
        (deal,) = d.choice(deals)
        move = Move(d.choice(("start", "cast", "cast", "signed", "signed", "count", "wait", "transfer", "judge")), deal,
                    d.choice((*HOLDERS, RIVAL)), d.choice((*HOLDERS, RIVAL)), d.choice((AGAINST, FOR, ABSTAIN, FOR, 3)),
                    d.choice((0, 0, 0, 0, 1)), d.random())
        answers = [move.do(polling) for polling in both]
        assert answers[0] == answers[1], move
        told.add(answers[0])
        for (one,) in deals:
            assert memory.ballots.tally(one, 0) == voting.ballots.tally(one, 0)
            assert memory.world.book.state(one) == voting.world.book.state(one)
    assert len(told) > 4, told


def test_a_contract_account_votes(voting: EvmPolling) -> None:
    """By ERC-1271; a wallet that burns its gas or reverts spoils nobody else's ballot."""
    world = voting.world
    wallets = [world.make("Wallet") for _ in range(3)]
    for wallet in wallets:
        world.send(DEPLOYER, voting.token, "mint(address,uint256)", wallet, 70)
        world.send(DEPLOYER, wallet, "act(address,bytes)", voting.token,
                   bytes.fromhex("5c19a95c") + wallet.rjust(32, b"\0"))
    deal = voting.asked()
    digest = ballot_digest(world.addresses.chain_id, voting.ballots.address, world.addresses.book, deal, 0, FOR)
    for mode, wallet in enumerate(wallets):
        world.send(DEPLOYER, wallet, "sign(bytes32)", digest)
        world.send(DEPLOYER, wallet, "set(uint256)", mode)
    voting.ballots.cast_signed(RIVAL, deal, 0, [
        *(Ballot(wallet, FOR, b"any") for wallet in reversed(wallets)), Ballot(wallets[0], AGAINST, b"any"),
        voting.signed(HOLDERS[0], deal, ABSTAIN)])
    assert voting.votes(deal) == (0, 70, 100)


def test_a_contract_account_votes_in_memory() -> None:
    polling = MemoryPolling()
    wallet = account("a contract")
    ballots = MemoryBallots(polling.world.clock, polling.world.book, polling.ballots.address, polling.tokens,
                            lambda who, digest, signature: who == wallet and signature == b"any")
    polling.ballots = ballots
    polling.hold(wallet, 70)
    deal = polling.asked()
    ballots.cast_signed(RIVAL, deal, 0, [Ballot(wallet, FOR, b"other"), Ballot(wallet, FOR, b"any")])
    assert polling.votes(deal) == (0, 70, 0)


def test_a_false_book_fills_only_its_own_polls(voting: EvmPolling) -> None:
    """The contract asks whatever Book it is given about whatever deal; what is none of that Book's is refused."""
    deal, world, ballots = voting.opened(), voting.world, voting.ballots
    made_of, kinds = world.book.made_of(deal), ("address", "bytes", "uint8")
    refused("Reverted", ballots._send, RIVAL, "start", kinds, voting.token, made_of, NONE)
    for other in (made_of[:51], made_of[:-1] + b"\x07", b"\x07" + made_of[1:], made_of + b"\x00"):
        refused("BadTerms", ballots._send, RIVAL, "start", kinds, world.addresses.book, other, NONE)
    assert ballots.tally(deal, 0) is None


def test_the_whole_supply_may_vote(voting: EvmPolling) -> None:
    """ERC20Votes counts in 208 bits; a tally holds 128, and what does not fit is refused, not cut."""
    voting.hold(RIVAL, 2**128)
    deal = voting.asked()
    voting.ballots.cast(HOLDERS[0], deal, 0, FOR)
    refused("TooMany", voting.ballots.cast, RIVAL, deal, 0, FOR)
    voting.world.advance(DAY - DAY // 8)
    refused("TooMany", voting.ballots.count, RIVAL, deal)


def test_ballots_hold_nothing_and_obey_nobody() -> None:
    """No owner, no way to pay it, no way to change a vote: what it can be asked to do, whole."""
    acts = {entry["name"] for entry in artefact("Ballots").abi
            if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")}
    assert acts == {"start", "cast", "castSigned", "count"}
    assert not any(entry["type"] in ("receive", "fallback") for entry in artefact("Ballots").abi)
