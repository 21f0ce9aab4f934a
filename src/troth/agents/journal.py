"""The journal: every act of an agent as two claims, what it is about to do and what came of it.

An ``intent`` is signed before anything is asked of the gate, so an act without one was not this agent's. An ``act``
follows each intent, whether it was done, refused or failed: a refusal is evidence too. Reasons, the owner's words and
what was read are sealed to the agent's own party and its owner; the claims themselves hold no text that anybody wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from troth.agents.brain import Call, Seen
from troth.agents.gate import Confidence, Done, Refused
from troth.core.claims import Evidence, Ref, Statement, Subject
from troth.core.encoding import amount, decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.core.terms import Account
from troth.flows.parts import Party
from troth.ledger.limits import Asked

INTENT, ACT = "intent", "act"
DONE, REFUSED, FAILED, UNKNOWN = "done", "refused", "failed", "unknown"
OUTCOMES = (DONE, REFUSED, FAILED, UNKNOWN)
REASONS = "reasons"
MAX_SAID = 500
RUN_SIZE = 16


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an argument that moves money came from. source: ``words`` for the owner's, ``claim`` for a signed claim."""

    argument: str
    source: str
    claim: bytes | None = None

    def json(self) -> dict[str, str]:
        """As a claim says it."""
        return {"argument": self.argument, "claim": self.claim.hex() if self.claim else "", "source": self.source}

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        argument, claim, source = take(value, argument=str, claim=str, source=str)
        if source not in ("words", "claim") or (source == "claim") != bool(claim):
            raise BadInput("not an origin", expected="words, or claim with its id", actual=source)
        return cls(argument, source, from_hex(claim, 32) if claim else None)


@dataclass(frozen=True, slots=True)
class Payment:
    """What the gate will be asked. account, nonce: of the policy account. call: how its events name the call.

    amount: in the token's smallest unit.
    """

    account: Account
    nonce: int
    call: bytes
    target: Account
    amount: int
    payee: Account

    @classmethod
    def asked(cls, asked: Asked, units: int, payee: Account) -> Self:
        """Of an act in its place."""
        return cls(asked.account, asked.nonce, asked.hash, asked.target, units, payee)

    def json(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"account": self.account.hex(), "amount": str(self.amount), "call": self.call.hex(),
                "nonce": self.nonce, "payee": self.payee.hex(), "target": self.target.hex()}

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        account, units, call, nonce, payee, target = take(value, account=str, amount=str, call=str, nonce=int,
                                                          payee=str, target=str)
        if nonce < 0:
            raise BadInput("not a payment", expected="a nonce from 0 on", actual=nonce)
        return cls(from_hex(account, 20), nonce, from_hex(call, 32), from_hex(target, 20), amount(units),
                   from_hex(payee, 20))


@dataclass(frozen=True, slots=True)
class Intent:
    """What an agent is about to do. run, step: which run of it (16 bytes), and its how-manieth step, from 0.

    brain: which model or script decided. payment: None where the act signs claims and moves no money, or where it was
    refused before it was one.
    """

    run: bytes
    step: int
    tool: str
    brain: str
    payment: Payment | None
    origins: tuple[Origin, ...] = ()

    def subjects(self) -> list[Subject]:
        """The call, or the step where there is none."""
        if self.payment is not None:
            return [Subject("call", {"keccak256": self.payment.call.hex()})]
        name = f"{self.run.hex()}/{self.step}"
        return [Subject("step", {"sha256": hashlib.sha256(name.encode()).hexdigest()})]

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"brain": self.brain, "origins": [one.json() for one in self.origins],
                "payment": self.payment.json() if self.payment else {}, "run": self.run.hex(), "step": self.step,
                "tool": self.tool}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read exactly what ``body`` and ``subjects`` write. Raises BadInput."""
        if (statement.kind, statement.version) != (INTENT, 1):
            raise BadInput("not an intent", expected=f"urn:troth:{INTENT}:v1", actual=statement.kind)
        brain, origins, payment, run, step, tool = take(dict(statement.body), brain=str, origins=list, payment=dict,
                                                        run=str, step=int, tool=str)
        found = cls(from_hex(run, RUN_SIZE), step, tool, brain, Payment.of(payment) if payment else None,
                    tuple(map(Origin.of, origins)))
        if list(statement.subjects) != found.subjects() or step < 0:
            raise BadInput("an intent about something else", expected=found.subjects(), actual=statement.subjects)
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an intent. reason: the rule's name where it was refused. level, said_by: the confidence that others
    gave it, in ten-thousandths, and who. moved: in the token's smallest unit. tx: the transaction, empty without one.
    """

    outcome: str
    reason: str = ""
    level: int = 0
    said_by: tuple[Account, ...] = ()
    moved: int = 0
    tx: bytes = b""

    @classmethod
    def gated(cls, found: Done | Refused, confidence: Confidence) -> Self:
        """What a gate answered."""
        who = tuple(sorted(confidence.said_by))
        if isinstance(found, Done):
            return cls(DONE, "", confidence.level, who, found.moved, found.tx)
        return cls(FAILED if found.reason == "Failed" else REFUSED, found.reason, confidence.level, who)

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"confidence": self.level, "moved": str(self.moved), "outcome": self.outcome, "reason": self.reason,
                "said_by": [one.hex() for one in self.said_by], "tx": self.tx.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        if (statement.kind, statement.version) != (ACT, 1) or len(statement.all_refs("intent")) != 1:
            raise BadInput("not an act", expected=f"urn:troth:{ACT}:v1 with one intent", actual=statement.kind)
        level, moved, outcome, reason, said_by, tx = take(dict(statement.body), confidence=int, moved=str, outcome=str,
                                                          reason=str, said_by=list, tx=str)
        needs = outcome in (REFUSED, FAILED)
        if outcome not in OUTCOMES or not 0 <= level <= 10_000 or bool(reason) != needs:
            raise BadInput("not an act's outcome", actual=f"{outcome}, {reason!r}",
                           expected=f"one of {', '.join(OUTCOMES)}; a reason where refused or failed")
        return cls(outcome, reason, level, tuple(from_hex(one, 20) for one in said_by), amount(moved),
                   from_hex(tx))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal. outcome None: not known yet. at: when the intent was signed, Unix seconds."""

    claim: bytes
    agent: str
    at: int
    intent: Intent
    outcome: Outcome | None = None
    act: bytes | None = None


def reasons(words: str, call: Call, seen: Sequence[Seen]) -> bytes:
    """Why, for those it is sealed to: the owner's words, the call, the brain's reasons, and what was read before it."""
    return encode({"arguments": dict(call.arguments), "tool": call.tool, "why": call.why, "words": words,
                   "read": [{"sha256": hashlib.sha256(one.text.encode()).hexdigest(), "tool": one.call.tool}
                            for one in seen]})


def intend(party: Party, intent: Intent, why: bytes, owners: Sequence[str]) -> bytes:
    """Sign an intent; its claim. owners: to whom the reasons are sealed besides the party itself."""
    refs = dict.fromkeys(one.claim for one in intent.origins if one.claim is not None)
    evidence: list[Evidence] = [party.add(REASONS, why, owners)]
    return party.attest(INTENT, intent.subjects(), intent.body(), refs=[Ref("origin", one) for one in refs],
                        evidence=evidence)


def conclude(party: Party, claim: bytes, outcome: Outcome) -> bytes:
    """Sign what came of an intent; the act's claim. Saying it again after a crash gives the first one."""
    for found, statement in party.claims(ACT):
        if statement.issuer == party.did and statement.all_refs("intent") == (claim,):
            return found
    return party.attest(ACT, party.statement(claim).subjects, outcome.body(), refs=[Ref("intent", claim)])


def follow(claims: Iterable[tuple[bytes, Statement]]) -> Iterator[Entry]:
    """The journal that these claims are, by intent, in their order.

    1. Each intent and act can be read: otherwise BadInput.
    2. An act is by the issuer of its intent, which comes before it. Otherwise Refuted.
    3. An intent has one act at most, and a policy account's nonce one intent that was done. Otherwise Refuted.
    """
    found: dict[bytes, Entry] = {}
    nonces: set[tuple[Account, int]] = set()
    for claim, statement in claims:
        if statement.kind == INTENT:
            found[claim] = Entry(claim, statement.issuer, statement.issued_at, Intent.of(statement))
        elif statement.kind == ACT:
            outcome, (about,) = Outcome.of(statement), statement.all_refs("intent")
            entry = found.get(about)
            if entry is None or entry.agent != statement.issuer:
                raise Refuted("an act without its agent's intent before it", expected=about.hex(), actual=claim.hex())
            if entry.outcome is not None:
                raise Refuted("two outcomes of one intent", expected=entry.act, actual=claim.hex())
            if outcome.outcome == DONE and entry.intent.payment is not None:
                place = entry.intent.payment.account, entry.intent.payment.nonce
                if place in nonces:
                    raise Refuted("two acts in one place of a policy account", actual=place[1])
                nonces.add(place)
            found[about] = Entry(entry.claim, entry.agent, entry.at, entry.intent, outcome, claim)
    yield from found.values()


def journal(party: Party, agent: str | None = None) -> list[Entry]:
    """The journal in a party's log: of one agent, or of all. Raises what ``follow`` does, for this party's own, and for
    an agent that was named; of all, another's that contradicts itself is left out: anybody can send claims.
    """
    said: dict[str, list[tuple[bytes, Statement]]] = {}
    for claim, statement in party.claims(INTENT, ACT):
        if agent in (None, statement.issuer):
            said.setdefault(statement.issuer, []).append((claim, statement))
    found: list[Entry] = []
    for issuer, claims in said.items():
        try:
            found += follow(claims)
        except (BadInput, Refuted):
            if issuer in (agent, party.did):
                raise
    return found


def reasons_of(party: Party, statement: Statement) -> Mapping[str, Any]:
    """An intent's sealed reasons: arguments, read, tool, why, words. Raises Undecidable where this party cannot open
    them.
    """
    if len(statement.evidence) != 1:
        raise BadInput("an intent without its reasons", expected="one evidence", actual=len(statement.evidence))
    found = decode_object(party.read(statement.evidence[0]))
    take(found, arguments=dict, read=list, tool=str, why=str, words=str)
    return found


def line(entry: Entry) -> Mapping[str, Any]:
    """A line as JSON."""
    intent, outcome = entry.intent, entry.outcome
    return {"act": entry.act.hex() if entry.act else None, "at": entry.at, "claim": entry.claim.hex(),
            "intent": intent.body(), "outcome": None if outcome is None else outcome.body()}
