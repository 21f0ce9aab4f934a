"""One machine drives the gate in memory and the one on a chain: they agree at every step, and a refusal changes nothing
but the record.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ports.books import MINT
from ports.evm_world import EvmWorld
from ports.gate_suite import (
    AGENT,
    DAY,
    HOT,
    OWNER,
    PER_ACT,
    PER_DAY,
    SELLER,
    SHOP,
    STRANGER,
    SURE,
    VERIFIERS,
    GateWorld,
    asking,
    base_limits,
    open_call,
    poke,
    word,
)
from ports.gate_worlds import ChainGateWorld, MemoryGateWorld
from troth.agents.gate import NOBODY, Act, Confidence, Refused
from troth.core.errors import ActRefused
from troth.core.terms import Account
from troth.ledger.limits import APPROVE

DEEP = os.environ.get("TROTH_STATEFUL") == "deep"
SEEN: Counter[str] = Counter()
PAYEES = (SHOP, SHOP, SELLER, STRANGER, HOT)
AMOUNTS = st.sampled_from((0, 1, 40, PER_ACT - 1, PER_ACT, PER_ACT, PER_ACT + 1, PER_DAY, 2**128, 2**256 - 1))
LEVELS = st.lists(st.sampled_from((0, SURE - 1, SURE, 9_000, 10_000)), max_size=3).map(tuple)


@cache
def chain() -> EvmWorld:
    """One chain for every run; each run has an account of its own."""
    return EvmWorld()


class Twins(RuleBasedStateMachine):
    @initialize(asked=st.booleans())
    def begin(self, asked: bool) -> None:
        self.memory, self.chain = MemoryGateWorld(), ChainGateWorld(chain())
        self.worlds: tuple[GateWorld, ...] = (self.memory, self.chain)
        self.memory.clock.advance(self.chain.now() - self.memory.now())
        # What earlier runs left with the payees.
        for who in (SHOP, STRANGER, HOT, SELLER):
            self.memory.money.mint(who, self.chain.balance(who))
        self.memory.money.mint(self.memory.book, self.chain.balance(self.chain.book))
        self.salt = 0
        for world in self.worlds:
            world.owner.limit(OWNER, asking(world) if asked else base_limits(world))

    def both(self, make: object, levels: tuple[int, ...] = (), life: int = 60) -> None:
        """The same act in both; the same answer, and nothing but the record changes where it is refused."""
        said = []
        for world in self.worlds:
            act: Act = make(world)  # type: ignore[operator]
            confidence = world.sure(act, levels, life=life) if levels else NOBODY
            before, ahead = world.snapshot(), world.gate.allowed(act, confidence)
            found = world.gate.do(act, confidence)
            if isinstance(found, Refused):
                assert world.snapshot() == before
                if found.reason != "Failed":
                    assert ahead is not None
                    assert ahead.reason == found.reason
                said.append((found.reason, found.recorded))
            else:
                assert ahead is None
                said.append(("", found.moved))
        assert said[0] == said[1]
        SEEN[str(said[0][0] or "done")] += 1

    @rule(payee=st.sampled_from(PAYEES), amount=AMOUNTS, levels=LEVELS)
    def pay(self, payee: Account, amount: int, levels: tuple[int, ...]) -> None:
        self.both(lambda world: world.pay(payee, amount), levels)

    @rule(amount=st.integers(1, PER_ACT))
    def pay_with_confidence(self, amount: int) -> None:
        self.both(lambda world: world.pay(SHOP, amount), (SURE, 10_000))

    @rule(payee=st.sampled_from(PAYEES), amount=AMOUNTS)
    def approve(self, payee: Account, amount: int) -> None:
        self.both(lambda world: Act(world.token, APPROVE + word(payee) + word(amount), amount, payee, "approve"),
                  (9_000, 9_000))

    @rule(levels=LEVELS)
    def refill(self, levels: tuple[int, ...]) -> None:
        self.both(lambda world: Act.refill(world.gate.account, world.limits()), levels)

    @rule(number=st.sampled_from((1, 1, 13)), life=st.sampled_from((60, 0)))
    def ring(self, number: int, life: int) -> None:
        self.both(lambda world: poke(world.bell, number), (9_000, 9_000, 9_000), life)

    @rule(price=st.sampled_from((1, PER_ACT, PER_ACT + 1)), payee=st.sampled_from((SELLER, SELLER, STRANGER)))
    def join(self, price: int, payee: Account) -> None:
        self.both(lambda world: Act(world.book, open_call(world.terms(price, payee)), price, world.book, "buy"),
                  (9_000, 9_000))

    @rule()
    def one_voice_twice(self) -> None:
        said = []
        for world in self.worlds:
            voice = world.sure(world.pay(SHOP, 1), (9_000,)).voices[0]
            voices = Confidence((voice, voice, replace(voice, verifier=VERIFIERS[1])))
            found = world.gate.do(world.pay(SHOP, 1), voices)
            said.append(found.reason if isinstance(found, Refused) else "")
        assert said[0] == said[1]
        SEEN[f"one voice twice: {said[0] or 'done'}"] += 1

    @rule(seconds=st.sampled_from((1, 600, DAY // 2, DAY, 11 * DAY)))
    def wait(self, seconds: int) -> None:
        for world in self.worlds:
            world.advance(seconds)

    @rule(by=st.sampled_from((OWNER, OWNER, AGENT)), what=st.sampled_from(("stop", "resume", "resume", "reset")))
    def own(self, by: Account, what: str) -> None:
        said = []
        for world in self.worlds:
            try:
                getattr(world.owner, what)(by)
                said.append("")
            except ActRefused as error:
                said.append(error.code)
        assert said == ["" if by == OWNER else "NotOwner"] * 2
        SEEN[what if by == OWNER else "NotOwner"] += 1

    @rule(day=st.sampled_from((PER_ACT, PER_DAY, 10 * PER_DAY)), strikes=st.integers(1, 3))
    def limit(self, day: int, strikes: int) -> None:
        for world in self.worlds:
            limits = world.limits()
            world.owner.limit(OWNER, replace(limits, per_day=day, strikes=strikes if limits.confidence else 0))

    @rule(amount=st.sampled_from((1, 400, MINT)))
    def withdraw(self, amount: int) -> None:
        said = []
        for world in self.worlds:
            try:
                world.owner.withdraw(OWNER, world.token, OWNER, amount)
                said.append(True)
            except ActRefused:
                said.append(False)
        assert said[0] == said[1]

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "worlds"):
            return
        one, two = (world.gate.state() for world in self.worlds)
        assert one.standing == two.standing
        assert (one.balance, one.spent_today, one.now) == (two.balance, two.spent_today, two.now)
        assert one.spent_today <= max(one.limits.per_day, 10 * PER_DAY)
        for who in (SHOP, STRANGER, HOT):
            assert self.memory.balance(who) == self.chain.balance(who)
            assert self.memory.allowance(who) == self.chain.allowance(who)
        assert self.memory.balance(self.memory.book) == self.chain.balance(self.chain.book)


def drive(examples: int, steps: int) -> None:
    run_state_machine_as_test(Twins, settings=settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=not DEEP,
        suppress_health_check=list(HealthCheck)))


def test_the_gates_agree_at_every_step() -> None:
    drive(*((200, 40) if DEEP else (3, 12)))


@pytest.mark.skipif(not DEEP, reason="counted after the deep run: make stateful")
def test_every_answer_was_seen() -> None:
    for answer in ("done", "NotPayee", "OverAct", "OverDay", "Unsure", "Failed", "Stopped", "Tripped", "Expired",
                   "NotOwner", "reset"):
        assert SEEN[answer] >= 5, (answer, SEEN)
