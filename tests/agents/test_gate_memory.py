"""The gate in memory: the specification that the contract follows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ports.books import START, account
from ports.gate_suite import FUNDS, OWNER, GateSuite, GateWorld, base_limits
from troth.agents.gate import MemoryGate
from troth.core.errors import ActRefused
from troth.core.terms import Account, Terms
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.limits import JOIN, Limits
from troth.ledger.memory_token import MemoryToken


class MemoryGateWorld(GateWorld):
    """A gate in memory; the Book is a place that takes what a deal's pot says."""

    def __init__(self) -> None:
        self.token, self.bell, self.book = account("token"), account("bell"), account("book")
        self.clock, self.money, self.rung = ManualClock(START), MemoryToken(), 0
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

    def pokes(self) -> int:
        return self.rung

    def policy(self) -> tuple[Account, bytes]:
        return account("policy"), b"\x01" * 32

    def take(self, spender: Account, amount: int) -> None:
        self.money.transfer_from(spender, self.gate.account, spender, amount)

    def _poke(self, caller: Account, data: bytes) -> None:
        if data[-1] == 13:
            raise ActRefused("Thirteen", "the bell refuses")
        self.rung += 1

    def _book(self, caller: Account, data: bytes) -> None:
        skip = 68 if data[:4] == JOIN else 4 + 5 * 32 - 32
        size = int.from_bytes(data[skip : skip + 32], "big")
        terms = Terms.from_bytes(data[skip + 32 : skip + 32 + size])
        self.money.transfer_from(self.book, caller, self.book, terms.pots[0].amount)


class TestGateInMemory(GateSuite):
    @pytest.fixture
    def world(self) -> Iterator[GateWorld]:
        yield MemoryGateWorld()
