"""The loop: a brain decides, and each step is written down, asked of the gate, done, and claimed.

A step that moves money goes so:

1. The step is written into the file of runs (``troth.agents.runs``).
2. Its arguments are read by the tool's types; each that decides who is paid, how much or for what must come from the
   owner's words or a signed claim. Otherwise it is refused, and that is claimed.
3. The ``intent`` is signed into the log, with the place (nonce) that the act will have in the policy account.
4. Others than the agent are asked how sure they are. What the brain says of itself is not asked.
5. The gate does it, or refuses it.
6. The ``act`` is signed into the log; what came of it is written into the file of runs; the brain sees that next.

A crash between any two of these is made up for by ``run`` with the same run: a step without an intent moved nothing and
is taken; an intent whose place in the account is still free was not done and is done now, by the same call; one whose
place is taken was answered, and the account says how. So nothing is done twice. A brain is never asked again about a
step that it has decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from troth.agents.brain import Brain, Call, Finish, Seen
from troth.agents.gate import NOBODY, Act, Confidence, Gate, MemoryGate, Refused
from troth.agents.journal import (
    ACT,
    DONE,
    FAILED,
    INTENT,
    REFUSED,
    UNKNOWN,
    Intent,
    Origin,
    Outcome,
    Payment,
    conclude,
    intend,
    journal,
    reasons,
)
from troth.agents.origins import NOT_OWNERS
from troth.agents.runs import Runs, Taken, check_step
from troth.agents.tools import Acting, Arguments, Reading, Saying, Tool, Toolbox, shortened
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError
from troth.flows.parts import Party
from troth.ledger.limits import Asked

MOST_STEPS = 60
MOST_LOST = 3
"""So many times in a row a brain may say what is no step."""


@dataclass(frozen=True, slots=True)
class Case:
    """What verifiers are shown of an act: the owner's words, the call with its reasons, and what was read."""

    words: str
    call: Call
    act: Act
    seen: tuple[Seen, ...]


Second = Callable[[Asked, Case], Confidence]
"""Others than the agent, asked how sure they are of an act."""
Sources = Callable[[str, Tool, Arguments], tuple[Origin, ...]]
"""Where the arguments that move money came from, given the owner's words. Raises Refuted for one that was only read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a policy account did with one of its places. reason: empty if it was done.

    call: the hash of target and data, None where the account's records do not tell.
    """

    call: bytes | None
    reason: str = ""
    moved: int = 0
    tx: bytes = b""


Past = Callable[[int], Answered | None]
"""What a policy account did, by nonce; None for a place that it remembers nothing of."""


def never(_: int) -> None:
    """No account remembers anything."""


def remembered(gate: MemoryGate) -> Past:
    """What a gate in memory did: it records exactly what takes a place."""
    def past(nonce: int) -> Answered | None:
        if not 0 <= nonce < len(gate.record):
            return None
        found = gate.record[nonce]
        if isinstance(found, Refused):
            return Answered(None, found.reason)
        return Answered(keccak256(found.act.target + found.act.data), "", found.moved, found.tx)
    return past


def nobody(_: Asked, __: Case) -> Confidence:
    """Nobody is asked: enough where the limits ask for nobody."""
    return NOBODY


class Watching(Protocol):
    """Is told of each step as it ends."""

    def __call__(self, n: int, seen: Seen) -> None: ...


def unwatched(n: int, seen: Seen) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Power:
    """What an agent acts with. gate None: it can only read and say. past: what the gate's account did before."""

    gate: Gate | None
    past: Past
    sources: Sources
    second: Second = nobody


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, or stopped. text: its last word. finished: whether the brain said that it was done."""

    text: str
    steps: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """One agent at work. owners: to whom, besides the party, the reasons of its acts are sealed."""

    party: Party
    brain: Brain
    tools: Toolbox
    runs: Runs
    power: Power
    owners: tuple[str, ...] = ()

    def run(self, run: bytes, words: str, *, most: int = MOST_STEPS, watching: Watching = unwatched) -> Ended:
        """Begin a run, or go on with one that was cut short. words: its owner's. most: steps, all told.

        Raises Misuse for a run that is over or has other words; OutsideFailed where the brain, the chain or the disk
        fails: ask again, and it goes on.
        """
        with self.runs.alone():
            self.runs.begin(run, words)
            seen: list[Seen] = []
            for taken in self.runs.steps(run):
                seen.append(taken.seen or self._take(run, words, taken, seen, again=True))
            lost = 0
            while len(seen) < most:
                try:
                    step = self.brain.next(words, seen, self.tools.forms())
                    if isinstance(step, Call):
                        check_step(step)
                except BadInput as error:
                    lost += 1
                    if lost == MOST_LOST:
                        return Ended(f"the brain says no step: {error.diagnostics()}", len(seen), False)
                    continue
                if isinstance(step, Finish):
                    self.runs.end(run, step.text)
                    return Ended(step.text, len(seen), True)
                lost = 0
                self.runs.take(run, len(seen), step)
                seen.append(self._take(run, words, Taken(len(seen), step, None), seen, again=False))
                watching(len(seen) - 1, seen[-1])
        return Ended(f"stopped after {most} steps", len(seen), False)

    def _take(self, run: bytes, words: str, taken: Taken, seen: Sequence[Seen], *, again: bool) -> Seen:
        """Take a step. again: it may have been begun before a crash."""
        try:
            text, done = self._took(run, words, taken, seen, self._about(run, taken.n) if again else None)
        except TrothError as error:
            about = self._about(run, taken.n)
            if about is not None and self._act(about) is None:
                raise  # an act is under way, perhaps: it is looked up when the run goes on
            text, done = error.diagnostics(), False
        found = Seen(taken.call, shortened(text), done)
        self.runs.tell(run, taken.n, found)
        return found

    def _took(self, run: bytes, words: str, taken: Taken, seen: Sequence[Seen],
              about: bytes | None) -> tuple[str, bool]:
        tool = self.tools.get(taken.call.tool)
        arguments = tool.read(dict(taken.call.arguments))
        if isinstance(tool.work, Reading):
            return tool.work.read(arguments), True
        told = run, words, reasons(words, taken.call, seen)
        if isinstance(tool.work, Saying):
            return self._said(taken, about, told)
        return self._paid(taken, about, told, seen)

    def _said(self, taken: Taken, about: bytes | None, told: tuple[bytes, str, bytes]) -> tuple[str, bool]:
        """A step that signs claims. about, told: as of ``_paid``."""
        (run, words, why), tool = told, self.tools.get(taken.call.tool)
        assert isinstance(tool.work, Saying)
        if about is not None and (said := self._act(about)) is not None and \
                (outcome := Outcome.of(self.party.statement(said))).outcome != DONE:
            return _words(outcome, ""), False
        arguments = tool.read(dict(taken.call.arguments))
        try:
            origins = self.power.sources(words, tool, arguments) if tool.work.money else ()
        except Refuted as error:
            claim = about or self._intend(run, taken.n, tool, None, (), why)
            conclude(self.party, claim, Outcome(REFUSED, NOT_OWNERS))
            return error.diagnostics(), False
        claim = about or self._intend(run, taken.n, tool, None, origins, why)
        try:
            text = (tool.work.said(claim) if about else None) or tool.work.say(arguments, claim)
        except OutsideFailed:
            raise  # it may have been done: it is looked up when the run goes on
        except TrothError as error:
            conclude(self.party, claim, Outcome(FAILED, type(error).__name__))
            raise
        conclude(self.party, claim, Outcome(DONE))
        return text, True

    def _paid(self, taken: Taken, about: bytes | None, told: tuple[bytes, str, bytes],
              seen: Sequence[Seen]) -> tuple[str, bool]:
        """Steps 2 to 6 of an act. about: its intent, where it was signed before a crash. told: run, words, reasons."""
        (run, words, why), call = told, taken.call
        tool, gate = self.tools.get(call.tool), self.power.gate
        assert isinstance(tool.work, Acting)
        if about is not None and (over := self._over(about)) is not None:
            return over
        if gate is None:
            raise Misuse("this agent has no account to pay from", do="Give it one: troth account new.")
        arguments = tool.read(dict(call.arguments))
        try:
            origins = self.power.sources(words, tool, arguments)
        except Refuted as error:
            claim = about or self._intend(run, taken.n, tool, None, (), why)
            conclude(self.party, claim, Outcome(REFUSED, NOT_OWNERS))
            return error.diagnostics(), False
        act = tool.work.prepare(arguments)
        asked = gate.asked(act)
        if about is not None and Payment.asked(asked, act.amount, act.payee) != self._intent(about).payment:
            conclude(self.party, about, Outcome(REFUSED, "Changed"))
            return "what is to be done now is no longer what was intended; decide anew", False
        claim = about or self._intend(run, taken.n, tool, Payment.asked(asked, act.amount, act.payee), origins, why)
        confidence = self.power.second(asked, Case(words, call, act, tuple(seen)))
        found = gate.do(act, confidence)
        if about is not None and isinstance(found, Refused) and not found.recorded \
                and gate.state().standing.nonce != asked.nonce and (over := self._over(about)) is not None:
            return over  # what was under way before the crash came in first
        said = found.said if isinstance(found, Refused) else act.what
        return self._told(claim, Outcome.gated(found, confidence), said)

    def _over(self, about: bytes) -> tuple[str, bool] | None:
        """What came of an intent from before a crash; None where it was certainly not done, and may be done now."""
        said = self._act(about)
        if said is not None:
            outcome = Outcome.of(self.party.statement(said))
            return _words(outcome, ""), outcome.outcome == DONE
        payment = self._intent(about).payment
        if payment is None:
            return self._told(about, Outcome(REFUSED, NOT_OWNERS), "")
        if self.power.gate is None or self.power.gate.state().standing.nonce == payment.nonce:
            return None
        found = self.power.past(payment.nonce)
        if found is None:
            return self._told(about, Outcome(UNKNOWN), "nobody can say whether it was done; it is not done again")
        taken = any(one.outcome is not None and one.outcome.outcome == DONE and one.intent.payment is not None
                    and (one.intent.payment.account, one.intent.payment.nonce) == (payment.account, payment.nonce)
                    for one in journal(self.party, self.party.did))
        if found.reason or found.call not in (None, payment.call) or taken:
            return self._told(about, Outcome(REFUSED, found.reason or "Overtaken"), "")
        return self._told(about, Outcome(DONE, moved=found.moved, tx=found.tx), "before this run was cut short")

    def _told(self, claim: bytes, outcome: Outcome, said: str) -> tuple[str, bool]:
        conclude(self.party, claim, outcome)
        return _words(outcome, said), outcome.outcome == DONE

    def _intend(self, run: bytes, n: int, tool: Tool, payment: Payment | None, origins: tuple[Origin, ...],
                why: bytes) -> bytes:
        return intend(self.party, Intent(run, n, tool.name, self.brain.name, payment, origins), why, self.owners)

    def _intent(self, claim: bytes) -> Intent:
        return Intent.of(self.party.statement(claim))

    def _act(self, about: bytes) -> bytes | None:
        """The act that concluded an intent, if one did."""
        for claim, statement in self.party.claims(ACT):
            if statement.issuer == self.party.did and statement.all_refs("intent") == (about,):
                return claim
        return None

    def _about(self, run: bytes, n: int) -> bytes | None:
        """The intent of a step, if it was signed."""
        for claim, statement in self.party.claims(INTENT):
            if statement.issuer == self.party.did:
                intent = Intent.of(statement)
                if (intent.run, intent.step) == (run, n):
                    return claim
        return None


def _words(outcome: Outcome, said: str) -> str:
    if outcome.outcome == DONE:
        return f"done: {said or 'as asked'}; moved {outcome.moved}"
    return f"{outcome.outcome}: {outcome.reason}{f': {said}' if said else ''}"
