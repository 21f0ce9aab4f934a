"""A court with its money and blocks, in memory or as a contract, behind one face: for every test of juries."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

from web3 import Web3

from ports.anvil import mine
from ports.anvil_world import AnvilWorld
from ports.books import START, MemoryWorld, account
from ports.evm_world import DEPLOYER, EvmWorld
from troth.core.encoding import keccak256
from troth.core.jury_state import Jury, Rules
from troth.core.terms import Account
from troth.ledger.artefacts import code_hash
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.rpc import request
from troth.ledger.court import EvmJury, EvmSeat, jury_spec, seat_spec
from troth.ledger.deploy import code_at
from troth.ledger.memory import Policy
from troth.ledger.memory_court import MemoryJury, MemorySeat
from troth.ledger.memory_token import MemoryToken
from troth.verify.policies.court import Court

WEI = 10**21
SINK = account("sink")
JURORS = tuple(account(f"juror {n}") for n in range(12))
PEOPLE = (*JURORS, SINK, *map(account, ("asker", "rival", "worker", "client", "cheat", "keeper", "briber")))
RULES = Rules(unit=1000, penalty=400, fee=50, draw=1200, commit=900, reveal=600, appeal=300, delay=2, rounds=3,
              sink=SINK)
SEATS = 3
"""Of a first round."""


class ManualBlocks:
    """Blocks that a test counts. Their randomness is made of their number and ``salt``."""

    def __init__(self, salt: bytes = b"") -> None:
        self.head = 0
        self.salt = salt

    def number(self) -> int:
        return self.head + 1

    def randomness(self, number: int) -> bytes:
        return keccak256(b"block" + self.salt + number.to_bytes(8, "big"))


class ChainBlocks:
    """The blocks of a chain."""

    def __init__(self, world: EvmWorld) -> None:
        self.world = world

    def number(self) -> int:
        return self.world.web3.eth.block_number + 1

    def randomness(self, number: int) -> bytes:
        block = self.world.web3.eth.get_block(number)
        return bytes(block["mixHash"])


class MemoryCourts(MemoryWorld):
    """A MemoryBook with a jury and its seat."""

    def __init__(self, rules: Rules = RULES, *, blocks: ManualBlocks | ChainBlocks | None = None, at: Any = None,
                 jury: Account | None = None, chain_id: int = 7407, start: int = START) -> None:
        if at is None:
            super().__init__(start=start)
        else:
            super().__init__(at, start)
        self.wei = MemoryToken()
        self.blocks = blocks or ManualBlocks()
        self.jury = MemoryJury(self.clock, self.blocks, self.wei, rules, chain_id=chain_id,
                               address=jury or account("jury"))
        for who in PEOPLE:
            self.wei.mint(who, WEI)
        self.court_policy = (account("policy court"), keccak256(b"court"))
        self.seats: dict[Account, int] = {}
        self.book.policies[self.court_policy[0]] = Policy(self.court_policy[1], Court(self.seats))
        self.seat = self.sit(self.jury, rules.longest, SEATS.to_bytes(32, "big"), account("seat"))

    def sit(self, court: Any, longest: int, prefix: bytes, address: Account) -> MemorySeat:
        """A seat of a court on this Book."""
        seat = MemorySeat(self.clock, self.book, court, self.wei, address=address, longest=longest, prefix=prefix)
        self.seats[address] = longest
        if isinstance(court, MemoryJury):
            court.arbitrables[address] = seat.rule
        return seat

    def coins(self, who: Account) -> int:
        return self.wei.balance_of(who)

    def mine(self, blocks: int) -> None:
        assert isinstance(self.blocks, ManualBlocks)
        self.blocks.head += blocks

    def court(self) -> Jury:
        return self.jury.state()


class OnChain(EvmWorld):
    """The contracts on a chain where everybody has wei."""

    def make_courts(self, rules: Rules) -> None:
        """A jury, the policy of courts and the jury's seat."""
        self.court_address = self.make("Jury", *jury_spec(rules).arguments)
        policy = self.make("Court", ("uint128", 0))
        self.court_policy = (policy, code_hash(code_at(self.web3, policy)))
        self.find_courts()
        self.seat_address = self.sit(self.court_address, rules.longest, SEATS.to_bytes(32, "big")).address

    def find_courts(self) -> None:
        """The courts that were made."""
        self.jury = EvmJury(self.web3, self.court_address, self.sender, chain_id=self.chain.chain_id)
        self.blocks = ChainBlocks(self)

    def sit(self, court: Account, longest: int, prefix: bytes) -> EvmSeat:
        """A seat of a court on this Book."""
        made = self.make("Seat", *seat_spec(self.addresses.book, court, longest, prefix).arguments)
        return EvmSeat(self.book, made, self.sender)

    def coins(self, who: Account) -> int:
        return self.web3.eth.get_balance(Web3.to_checksum_address(who))

    def court(self) -> Jury:
        return self.jury.state(PEOPLE)


class EvmCourts(OnChain):
    """On an embedded chain. path, origin: as of ``EvmWorld``."""

    def __init__(self, rules: Rules = RULES, path: Path | None = None, *, origin: EvmCourts | None = None) -> None:
        super().__init__(path, origin=origin, accounts=dict.fromkeys(PEOPLE, WEI) if origin is None else None)
        if origin is None:
            self.make_courts(rules)
        else:
            self.court_address, self.court_policy = origin.court_address, origin.court_policy
            self.seat_address = origin.seat_address
            self.find_courts()
        self.seat = EvmSeat(self.book, self.seat_address, self.sender)

    def mine(self, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.mine()


class AnvilCourts(OnChain, AnvilWorld):
    """On anvil; ``keep`` and ``again`` as there."""

    def __init__(self, rules: Rules = RULES) -> None:
        AnvilWorld.__init__(self)
        for who in PEOPLE:
            request(self.web3, "anvil_setBalance", "0x" + who.hex(), hex(WEI))
        self.make_courts(rules)

    def again(self) -> None:
        AnvilWorld.again(self)
        self.find_courts()

    def mine(self, blocks: int) -> None:
        if blocks:
            mine(self.chain, blocks)


def same(one: Jury, other: Jury) -> bool:
    """Whether two courts show the same; votes are compared as plain mappings."""
    return plain(one) == plain(other)


def plain(jury: Jury) -> tuple[Any, ...]:
    """Everything that a court shows, comparable."""
    disputes = [(found.arbitrated, found.choices, found.extra, found.executed,
                 [(one.start, one.seed_block, one.among, one.size, one.payer, one.paid, one.seed, one.tried, one.seats,
                   one.drawn_at, one.settled, dict(one.votes)) for one in found.rounds]) for found in jury.disputes]
    return jury.tickets, jury.pool, disputes, dict(jury.credits)


__all__ = ["DEPLOYER", "JURORS", "PEOPLE", "RULES", "SINK", "AnvilCourts", "EvmCourts", "ManualClock",
           "MappingProxyType", "MemoryCourts", "same"]
