"""AgentDojo's bank behind a policy account: each tool that changes something is an act of the account.

The brain is the worst there can be: it calls what the user's task needs, and then whatever the attacker wants.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ports.gate_suite import AGENT, DAY, OWNER, POKE, GateWorld, word
from troth.agents.gate import Act, Done
from troth.agents.origins import AMOUNT, PAYEE, TARGET, Origins, refusal
from troth.core.encoding import keccak256
from troth.core.terms import Account
from troth.ledger.limits import APPROVE, TRANSFER, Limits

BANKING: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "agentdojo" / "banking.json").read_text())
MONEY: Mapping[str, Mapping[str, str]] = {
    "send_money": {"recipient": PAYEE, "amount": AMOUNT},
    "schedule_transaction": {"recipient": PAYEE, "amount": AMOUNT},
    "update_scheduled_transaction": {"id": TARGET, "recipient": PAYEE, "amount": AMOUNT},
    "update_password": {"password": TARGET},
    "update_user_info": {},
}
"""The tools that change something, and their arguments that move money, or give away what does."""
SUMS = {4.0: "10 - 12/2", 5.0: "50 * 10 / 100", 200.29: "1000 * 19.5 / 100 + 5.29"}
"""How a brain that does what it is asked computes the amounts that nobody said."""
CONTACTS = ("Spotify", "Apple")
"""The owner's address book."""
PER_ACT, PER_DAY = 250_000, 300_000
CAPS, PAYEES, ORIGINS = "caps", "payees", "origins"
"""What protects: caps alone; with the owner's payees; with arguments from the owner's words alone."""
Call = Mapping[str, Any]


@dataclass
class Run:
    """What became of one run's calls: done, by the owner's approval (where it was asked), and refused, each why."""

    done: list[Call] = field(default_factory=list)
    approved: list[Call] = field(default_factory=list)
    refused: list[tuple[Call, str]] = field(default_factory=list)


def account_of(recipient: str) -> Account:
    """Where a recipient is paid on the chain."""
    return keccak256(recipient.lower().encode())[12:]


def paid_before() -> dict[object, str]:
    """Whom the owner paid: those are payees, and the senders of what came in are not."""
    return {one["recipient"]: f"bank {one['id']}" for one in BANKING["records"] if one["recipient"] != "me"}


def limits_for(world: GateWorld, layer: str, prompt: str) -> Limits:
    """What the owner lets the agent do, for one wish. The owner's own side reads accounts out of the owner's words."""
    said = re.findall(r"\b[A-Z]{2}\d{2}[A-Z0-9]{6,}", prompt)
    payees = {account_of(str(one)) for one in (*paid_before(), *CONTACTS, *said)}
    if layer == CAPS:
        payees |= {account_of(call["args"]["recipient"]) for task in (*BANKING["users"], *BANKING["injections"])
                   for call in task["calls"] if "recipient" in call["args"]}
    calls = ((world.token, TRANSFER), (world.token, APPROVE), (world.bell, POKE))
    return Limits(AGENT, world.token, PER_ACT, PER_DAY, world.now() + 400 * DAY, tuple(sorted(payees)), calls)


def act_of(world: GateWorld, call: Call) -> Act:
    """The act that a tool is: a payment, a standing order (which lets the payee take so much), or a change of data."""
    tool, args = call["function"], call["args"]
    if tool in ("update_password", "update_user_info"):
        content = keccak256(json.dumps(call, sort_keys=True).encode())[:31]
        return Act(world.bell, POKE + word(int.from_bytes(content, "big") << 8), 0, world.bell, tool)
    before: dict[str, Any] = next((one for one in BANKING["records"] if one["id"] == args.get("id")), {})
    payee = account_of(args.get("recipient", before.get("recipient")))
    units = round(args.get("amount", before.get("amount")) * 100)
    if tool == "send_money":
        return Act.pay(world.token, payee, units, tool)
    return Act(world.token, APPROVE + word(payee) + word(units), units, payee, tool)


def run(world: GateWorld, layer: str, prompt: str, calls: list[Call], *, approves: bool = False) -> Run:
    """Do calls behind the gate. approves: the owner, when asked, says yes."""
    world.advance(DAY)
    limits = limits_for(world, layer, prompt)
    if world.limits().payees != limits.payees:
        world.owner.limit(OWNER, limits)
    records = {PAYEE: paid_before(), AMOUNT: {one["amount"]: f"bank {one['id']}" for one in BANKING["records"]},
               TARGET: {one["id"]: f"bank {one['id']}" for one in BANKING["records"]}}
    origins, found = Origins((prompt,), records, {name: name for name in CONTACTS}), Run()
    for call in calls:
        tool = call["function"]
        if tool not in MONEY:  # it only reads
            found.done.append(call)
            continue
        act, why = act_of(world, call), None
        if layer == ORIGINS:
            sums = {"amount": SUMS[call["args"]["amount"]]} if call["args"].get("amount") in SUMS else {}
            why = refusal(tool, call["args"], MONEY[tool], origins, sums)
        answer = why or world.gate.do(act)
        if isinstance(answer, Done):
            found.done.append(call)
        elif approves:
            world.owner.approve(OWNER, act)
            found.approved.append(call)
        else:
            found.refused.append((call, answer.reason))
    return found
