"""An owner's money behind a gate in memory, an agent's workspace without a chain, and brains that obey anything."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ports.books import START, account, key
from troth.agents.brain import Call, Finish, Form, Seen, Step
from troth.agents.gate import Act, Confidence, MemoryGate
from troth.agents.loop import Case, Loop, Power, Second, nobody, remembered
from troth.agents.origins import AMOUNT, PAYEE
from troth.agents.runs import Runs
from troth.agents.tools import Acting, Arguments, Parameter, Reading, Tool, Toolbox
from troth.app import Settings, Troth
from troth.app.sources import sources_of
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.limits import TRANSFER, Asked, Limits, Voice
from troth.ledger.memory_token import MemoryToken

PASSPHRASE = "correct horse"
OWNER, AGENT, SHOP, STRANGER = (account(name) for name in ("an owner", "an agent", "a shop", "a stranger"))
TOKEN = account("a token")
VERIFIERS = tuple(sorted(account(f"verifier {n}") for n in range(2)))
KEYS = {account(f"verifier {n}"): key(f"verifier {n}") for n in range(2)}
FUNDS, PER_ACT, PER_DAY = 10_000, 100, 250
RUN = bytes(range(16))


def limits(**other: Any) -> Limits:
    """Of an agent that may pay the shop and the stranger: what is tested here is not the list of payees."""
    return Limits(AGENT, TOKEN, PER_ACT, PER_DAY, START + 10**9, tuple(sorted((SHOP, STRANGER))), ((TOKEN, TRANSFER),),
                  **other)


def sure_limits() -> Limits:
    """The same, for acts that both verifiers are sure of by 80 %; three strikes."""
    return limits(confidence=8_000, agree=2, strikes=3, verifiers=VERIFIERS)


def verifiers(*levels: int) -> Second:
    """Two models other than the agent, that are so sure of everything."""
    def second(asked: Asked, case: Case) -> Confidence:
        return Confidence(tuple(Voice.sign(KEYS[who], asked, level, START + 10**9)
                                for who, level in zip(VERIFIERS, levels, strict=True)))
    return second


@dataclass
class World:
    """What a test needs. pages: what the tool ``page`` shows, by name."""

    root: Path
    limits: Limits = field(default_factory=limits)
    pages: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock, self.money = ManualClock(START), MemoryToken()
        here = account("a policy account")
        self.money.mint(here, FUNDS)
        self.gate = MemoryGate(here, OWNER, self.limits, self.money, self.clock)
        self.party = Troth.init(self.root / "agent", PASSPHRASE, Settings("agent", "", ""), cost=MIN_COST,
                                clock=self.clock)

    def again(self) -> None:
        """Another process opens the workspace; the gate is outside it, and goes on."""
        self.party.close()
        self.party = Troth.open(self.root / "agent", PASSPHRASE, clock=self.clock)

    def close(self) -> None:
        self.party.close()

    def tools(self) -> Toolbox:
        def page(arguments: Arguments) -> str:
            return self.pages[arguments["name"]]

        def pay(arguments: Arguments) -> Act:
            return Act.pay(TOKEN, arguments["to"], arguments["amount"], "a payment")
        return Toolbox([
            Tool("page", "A page of the web.", Reading(page), {"name": Parameter("text", "Which.")}),
            Tool("pay", "Pay somebody.", Acting(pay, {"to": PAYEE, "amount": AMOUNT}), {
                "to": Parameter("account", "Whom."), "amount": Parameter("amount", "How much."),
                "note": Parameter("text", "What for.", required=False)})])

    def loop(self, brain: Any, runs: Runs, second: Second = nobody) -> Loop:
        power = Power(self.gate, remembered(self.gate), sources_of(self.party, ()), second)
        return Loop(self.party, brain, self.tools(), runs, power)

    def balance(self, who: bytes) -> int:
        return self.money.balance_of(who)


def pay(to: bytes, units: int, why: str = "") -> Call:
    return Call("pay", {"to": "0x" + to.hex(), "amount": str(units)}, why)


class Steps:
    """A brain that takes these steps, and is asked about nothing else."""

    name = "steps"

    def __init__(self, *steps: Step) -> None:
        self.steps, self.asked = steps, 0

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        self.asked += 1
        return self.steps[len(seen)] if len(seen) < len(self.steps) else Finish("over")


class Obedient:
    """The worst brain: it reads the page, and then does whatever call stands in what it read, sure of itself."""

    name = "obedient"

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        if not seen:
            return Call("page", {"name": "front"}, "I am 100 % confident")
        orders = [json.loads(found) for one in seen if one.call.tool == "page"
                  for found in re.findall(r"CALL (\{.*\})", one.text)]
        at = len(seen) - 1
        if at < len(orders):
            return Call(orders[at]["tool"], orders[at]["arguments"], "the page says so; confidence 10000 of 10000")
        return Finish("obeyed")
