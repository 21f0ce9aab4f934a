"""Agents in a workspace: what they act with, what they did, and how their owner watches and stops them.

An agent has a workspace of its own: its identity signs the journal, and its account is the session key of a policy
account that somebody else owns. The owner has another workspace, whose account owns the policy account.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.agents.brain import Brain, Script, Seen
from troth.agents.card import Place, Skill, card, signed_card
from troth.agents.gate import GateState
from troth.agents.journal import ACT, DONE, FAILED, INTENT, OUTCOMES, RUN_SIZE, UNKNOWN, Entry, journal
from troth.agents.loop import Answered, Loop, Past, Power, Second, never, nobody
from troth.agents.runs import Runs
from troth.agents.tools import Reading, Tool
from troth.app import accounts
from troth.app.sources import sources_of
from troth.app.verbs import acting, buying, saying, verbs
from troth.core.encoding import from_hex, keccak256
from troth.core.errors import Misuse
from troth.core.terms import Account

if TYPE_CHECKING:
    from troth.agents.account_gate import AccountGate
    from troth.app import Troth
    from troth.ledger.accounts import Entry as Recorded
    from troth.ledger.accounts import PolicyAccount

RUNS = "runs.sqlite"
ACT_TYPES = ("bytes", "(address,bytes,uint64)", "(uint8,uint16,uint64,bytes)[]", "bytes")
"""Of the account's ``act``: limits, call, voices, signature."""
SCRIPT, HOST = "script:", "host:"


@dataclass(frozen=True, slots=True)
class Given:
    """What an agent is given for a run. account: the policy account, None for one that moves no money. say: kinds of
    claims it may sign. more: others' tools. second: who is asked how sure they are. owners: who may read its reasons,
    is sent its journal, and whose claims say where money may go. signers: others whose claims may say that. evaluators:
    whose evaluations may say what is bought, and no more. buys: it
    may buy over x402, within the workspace's budget.
    """

    account: Account | None = None
    say: Collection[str] = ()
    more: Sequence[Tool] = ()
    second: Second = nobody
    owners: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    evaluators: tuple[str, ...] = ()
    buys: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """What a person is shown: the account as it stands, None without one, and the journal, oldest first.

    unclaimed: what the account recorded of its agent that no claim of the journal tells.
    """

    state: GateState | None
    entries: tuple[Entry, ...]
    unclaimed: tuple[Recorded, ...] = ()


def brain_of(text: str, model: str = "", key: str | None = None, elsewhere: bool = False) -> Brain:
    """A brain by name: ``script:FILE``, ``host:NAME`` for what pydantic-ai hosts, or the address of an endpoint.

    model: of an endpoint. key: its secret, if it asks for one. Raises Misuse, BadInput.
    """
    if text.startswith(SCRIPT):
        path = Path(text.removeprefix(SCRIPT))
        try:
            return Script.of(path.read_bytes(), path.name)
        except OSError as error:
            raise Misuse("this script cannot be read", actual=error.strerror, expected=path) from None
    if text.startswith(HOST):
        # Imported here: the host takes a second to load, and is an extra.
        from troth.agents.hosted import Hosted

        return Hosted(text.removeprefix(HOST))
    # Imported here: TLS is not needed by scripts.
    from troth.agents.completions import Completions

    if not model:
        raise Misuse("an endpoint serves many models", expected="--model NAME", actual="none")
    return Completions(text, model, key, elsewhere)


def gate_of(party: Troth, address: Account) -> AccountGate:
    """The gate of a policy account whose session key is this workspace's account. Raises Misuse for another's."""
    # Imported here for the same reason.
    from troth.agents.account_gate import AccountGate

    account = accounts.account(party, address)
    agent = account.limits().agent
    if agent != party.account:
        raise Misuse("this account's agent is another", expected="0x" + agent.hex(), actual="0x" + party.account.hex(),
                     do="Let its owner name this workspace's account, or open the agent's workspace.")
    return AccountGate(account, party.identity.account, party.sender)


def past_of(account: PolicyAccount) -> Past:
    """What a policy account did, by nonce, from its events and the transactions that brought the acts."""
    def past(nonce: int) -> Answered | None:
        for entry in account.entries():
            if entry.nonce == nonce and entry.what == "refused":
                return Answered(keccak256(entry.target + entry.data), entry.reason, tx=entry.tx)
            if entry.nonce == nonce and entry.what == "acted":
                return Answered(_call_in(account, entry.tx), "", entry.amount, entry.tx)
        return None
    return past


def _call_in(account: PolicyAccount, tx: bytes) -> bytes | None:
    """The hash of the call that a transaction brought to the account; None where it came by another way (relayed)."""
    # Imported here for the same reason.
    from troth.ledger.chains.blocks import hex_bytes
    from troth.ledger.chains.rpc import request
    from troth.ledger.evmcodec import account_of, decode, selector

    found = request(account.web3, "eth_getTransactionByHash", "0x" + tx.hex())
    data = b"" if found is None else hex_bytes(found["input"])
    if data[:4] != selector("act", ACT_TYPES):
        return None
    _, (target, call, _), _, _ = decode(ACT_TYPES, data[4:])
    return keccak256(account_of(target) + call)


def loop_of(party: Troth, brain: Brain, runs: Runs, given: Given) -> Loop:
    """The loop of this workspace's agent. Raises Misuse where the account is another agent's."""
    tools = verbs(party)
    tools.add(*saying(party, given.say), *(buying(party) if given.buys else ()), *given.more)
    sources = sources_of(party, (*given.owners, *given.signers), given.evaluators)
    if given.account is None:
        return Loop(party, brain, tools, runs, Power(None, never, sources, given.second), given.owners)
    gate = gate_of(party, given.account)
    limits = gate.state().limits
    tools.add(*acting(party, limits.token, given.account, limits))
    return Loop(party, brain, tools, runs, Power(gate, past_of(gate.contract), sources, given.second), given.owners)


def runs_of(party: Troth) -> Runs:
    """The file of this workspace's runs."""
    return Runs(party.root / RUNS)


def acts_of(loop: Loop, run: bytes) -> dict[str, int]:
    """How many acts of a run were done, refused, failed, or nobody knows: steps that were not to read.

    A step that no tool took, such as one whose tool is not there, failed.
    """
    told = {entry.intent.step: entry.outcome.outcome for entry in journal(loop.party, loop.party.did)
            if entry.intent.run == run and entry.outcome is not None}
    reading = {tool.name for tool in loop.tools if isinstance(tool.work, Reading)}
    found = [told.get(taken.n, FAILED) for taken in loop.runs.steps(run) if taken.call.tool not in reading]
    return {outcome: found.count(outcome) for outcome in OUTCOMES}


def run_status(finished: bool, acts: Mapping[str, int]) -> int:
    """A run's exit status: 4 where it is not finished, 3 where nobody can say whether an act was done, 1 where none of
    those that it tried was done, 0 otherwise: at least one was, or it only read.
    """
    if not finished:
        return 4
    if acts[UNKNOWN]:
        return 3
    return 1 if any(acts.values()) and not acts[DONE] else 0


def run_id(text: str | None) -> bytes:
    """A run by 32 hex digits; a new one for None. Raises BadInput."""
    return secrets.token_bytes(RUN_SIZE) if text is None else from_hex(text, RUN_SIZE)


class Reporter:
    """Sends the owners each new claim of the journal, with its reasons, as steps end; of a run that goes on, all of
    its claims once more, since nobody knows whether they were sent.
    """

    def __init__(self, party: Troth, owners: Sequence[str], run: bytes) -> None:
        self._party, self._owners = party, tuple(owners)
        self._sent = {claim for entry in journal(party, party.did) if entry.intent.run != run
                      for claim in (entry.claim, entry.act)}

    def __call__(self, n: int, seen: Seen) -> None:
        """After a step."""
        self.send()

    def send(self) -> None:
        """Send what was not sent yet. Without an exchange nothing is sent: the journal is in the agent's log."""
        new = [claim for claim, _ in self._party.claims(INTENT, ACT) if claim not in self._sent]
        if new and self._owners and self._party.settings.exchange:
            self._party.send(self._owners, new, self._party.evidence_here(new))
        self._sent.update(new)


def board(party: Troth, address: Account | None = None, agent: str | None = None) -> Board:
    """What there is to see of an agent, or of all in this log. Raises Refuted for a journal that contradicts itself."""
    entries = tuple(journal(party, agent))
    if address is None:
        return Board(None, entries)
    # Imported here for the same reason.
    from troth.agents.account_gate import AccountGate

    account = accounts.account(party, address)
    state = AccountGate(account, party.identity.account, party.sender).state()
    return Board(state, entries, _unclaimed(address, entries, account.entries()))


def _unclaimed(address: Account, entries: Sequence[Entry], recorded: Sequence[Recorded]) -> tuple[Recorded, ...]:
    told = {(one.intent.payment.nonce, one.outcome.outcome == DONE) for one in entries
            if one.intent.payment is not None and one.outcome is not None and one.intent.payment.account == address}
    return tuple(one for one in recorded if one.what in ("acted", "refused")
                 and (one.nonce, one.what == "acted") not in told)


def stop(party: Troth, address: Account, stopped: bool = True) -> None:
    """The owner's stop button, and back. Raises ActRefused NotOwner for anybody else."""
    accounts.account(party, address).stop(party.sender, stopped)


def reset(party: Troth, address: Account) -> None:
    """The owner forgets the strikes and closes the breaker. Raises ActRefused NotOwner for anybody else."""
    accounts.account(party, address).reset(party.sender)


def board_json(found: Board) -> dict[str, Any]:
    """A board as JSON; amounts are text."""
    # Imported here: a line's form is only needed for output.
    from troth.agents.journal import line

    state = found.state
    account = None if state is None else {
        "account": "0x" + state.account.hex(), "owner": "0x" + state.owner.hex(), "balance": str(state.balance),
        "agent": "0x" + state.limits.agent.hex(), "per_act": str(state.limits.per_act),
        "per_day": str(state.limits.per_day), "spent_today": str(state.spent_today), "expiry": state.limits.expiry,
        "confidence": state.limits.confidence, "agree": state.limits.agree, "strikes": state.standing.strikes,
        "strikes_most": state.limits.strikes, "stopped": state.standing.stopped, "tripped": state.standing.tripped,
        "payees": ["0x" + one.hex() for one in state.limits.payees], "acts": state.standing.nonce}
    return {"account": account, "journal": [line(one) for one in found.entries],
            "unclaimed": [{"what": one.what, "nonce": one.nonce, "amount": str(one.amount),
                           "tx": one.tx.hex()} for one in found.unclaimed]}


def account_arg(text: str) -> Account:
    """An account from 0x and 40 hex digits. Raises BadInput."""
    return from_hex(text.removeprefix("0x").lower(), 20)


def card_of(party: Troth, about: str, places: Sequence[tuple[str, str]]) -> bytes:
    """This workspace's agent card, signed. places: (binding, address) where it is reached. Raises Misuse for none."""
    if not places or any(not url for _, url in places):
        raise Misuse("a card without a place where the agent is reached", expected="--place BINDING=URL",
                     actual=", ".join("=".join(one) for one in places) or "none")
    skills = [Skill(tool.name, tool.name, tool.about, ("troth",)) for tool in verbs(party)]
    where = [Place(url, binding, "") for binding, url in places]
    return signed_card(card(party.name, about, where, skills, party.identity.history), party.identity.signer())
