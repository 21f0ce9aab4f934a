"""Gates for the suite of every gate: in memory, and a policy account on an embedded chain with a Book."""

from __future__ import annotations

from ports.books import START, account, key
from ports.evm_world import EvmWorld
from ports.gate_suite import FUNDS, OWNER, GateWorld, base_limits
from troth.agents.account_gate import AccountGate, AccountOwner
from troth.agents.gate import MemoryGate
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused
from troth.core.terms import Account, Terms
from troth.ledger.accounts import PolicyAccounts
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.limits import JOIN, TRANSFER_FROM, Limits
from troth.ledger.memory_token import MemoryToken

CARRIER = account("carrier")
"""Brings the agent's acts to the chain; it has no right of its own."""


class MemoryGateWorld(GateWorld):
    """A gate in memory; the Book is a place that takes what a deal's pot says."""

    def __init__(self) -> None:
        self.token, self.bell, self.book = account("token"), account("bell"), account("book")
        self.clock, self.money, self.rung = ManualClock(START), MemoryToken(), 0
        self.opened: set[bytes] = set()
        here = account("policy account")
        self.money.mint(here, FUNDS)
        self.gate = self.owner = MemoryGate(here, OWNER, base_limits(self), self.money, self.clock,
                                            targets={self.bell: self._poke, self.book: self._book})

    def limits(self) -> Limits:
        return self.gate.state().limits

    def now(self) -> int:
        return self.clock.now()

    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def balance(self, who: Account) -> int:
        return self.money.balance_of(who)

    def allowance(self, spender: Account) -> int:
        return self.money.allowance(self.gate.account, spender)

    def fund(self, amount: int) -> None:
        self.money.mint(self.gate.account, amount)

    def pokes(self) -> int:
        return self.rung

    def policy(self) -> tuple[Account, bytes]:
        return account("policy"), b"\x01" * 32

    def take(self, spender: Account, amount: int) -> None:
        self.money.transfer_from(spender, self.gate.account, spender, amount)

    def _poke(self, caller: Account, data: bytes) -> None:
        if data[-1] == 13:
            raise ActRefused("Error", "thirteen")
        self.rung += 1

    def _book(self, caller: Account, data: bytes) -> None:
        skip = 68 if data[:4] == JOIN else 4 + 5 * 32 - 32
        size = int.from_bytes(data[skip : skip + 32], "big")
        terms = Terms.from_bytes(data[skip + 32 : skip + 32 + size])
        if data in self.opened:
            raise ActRefused("Exists", "there is this deal")
        self.opened.add(data)
        self.money.transfer_from(self.book, caller, self.book, terms.pots[0].amount)



class ChainGateWorld(GateWorld):
    """Makes an account of the gate's owner's on the chain, with money."""

    def __init__(self, world: EvmWorld) -> None:
        self.world, self.token, self.book = world, world.token, world.addresses.book
        self.bell = world.make("Bell")
        self.factory = PolicyAccounts(world.web3, world.make("PolicyAccounts"))
        made = self.factory.make(world.sender(OWNER), b"\x01" * 32, base_limits(self))
        self.contract = made
        self.gate = AccountGate(made, key("gate agent"), world.sender(CARRIER))
        self.owner = AccountOwner(made, world.sender)
        self.fund(FUNDS)

    def limits(self) -> Limits:
        return self.contract.limits()

    def now(self) -> int:
        return self.world.now()

    def advance(self, seconds: int) -> None:
        self.world.advance(seconds)

    def balance(self, who: Account) -> int:
        return self.world.stored(self.token, _slot(who, 0))

    def allowance(self, spender: Account) -> int:
        return self.world.stored(self.token, _slot(spender, _slot(self.gate.account, 1)))

    def fund(self, amount: int) -> None:
        self.world.send(OWNER, self.token, "mint(address,uint256)", self.gate.account, amount)

    def pokes(self) -> int:
        return self.world.stored(self.bell, 0)

    def policy(self) -> tuple[Account, bytes]:
        return self.world.addresses.policies["assumed"]

    def take(self, spender: Account, amount: int) -> None:
        self.world.sender(spender).send(self.token, TRANSFER_FROM + b"".join(
            one.rjust(32, b"\0") for one in (self.gate.account, spender, amount.to_bytes(32, "big"))))


def _slot(key_: Account, mapping: int) -> int:
    """Where a mapping's entry lies: asking the contract takes longer, and every step asks for a dozen."""
    return int.from_bytes(keccak256(key_.rjust(32, b"\0") + mapping.to_bytes(32, "big")), "big")
