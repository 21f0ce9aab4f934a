"""Consents and their withdrawal, and whether what rests on a claim stands on consents that are in force.

A ``consent`` is said by the person whose data it is, or whoever speaks for that person: which data (a keyed
commitment), for which purpose, to whom, until when. Whatever uses the data refers to it. A ``withdrawal`` refers to the
consent; only its own issuer can withdraw it. Pages: docs/kinds/consent.md, docs/kinds/withdrawal.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import Ref, Statement, Subject
from troth.core.encoding import MAX_INT, from_hex, take
from troth.core.errors import BadInput
from troth.core.ports import Statements
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.identity.jsondoc import time_text
from troth.verify.trace import CONSENT, WITHDRAWAL, Graph, trace

SKEW = 300
"""Seconds by which two parties' clocks may differ."""
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9 -]{0,119}\Z")


@dataclass(frozen=True, slots=True)
class Consent:
    """What is consented to. data: keyed commitment, 32 bytes. to: DIDs. until: Unix seconds, the last one."""

    data: bytes
    purpose: str
    to: tuple[str, ...]
    until: int

    def __post_init__(self) -> None:
        if len(self.data) != 32 or not _PURPOSE.match(self.purpose):
            raise BadInput("not a consent", expected="32 bytes of commitment, and a purpose in plain small letters",
                           actual=self.purpose)
        if not self.to or len(set(self.to)) != len(self.to) or not all(did.startswith("did:") for did in self.to):
            raise BadInput("a consent to nobody in particular", expected="distinct DIDs", actual=", ".join(self.to))
        if not 0 <= self.until <= MAX_INT:
            raise BadInput("a consent without an end", expected="Unix seconds", actual=self.until)

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"data": self.data.hex(), "purpose": self.purpose, "to": list(self.to), "until": self.until}

    def subjects(self) -> tuple[Subject, ...]:
        """The claim's subject: the data, by its commitment alone."""
        return (Subject("data", {"commitment": self.data.hex()}),)

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read a consent strictly. Raises BadInput."""
        if (statement.kind, statement.version) != (CONSENT, 1) or statement.refs or statement.evidence:
            raise BadInput("not a consent", expected="urn:troth:consent:v1 alone", actual=statement.kind)
        data, purpose, to, until = take(dict(statement.body), data=str, purpose=str, to=list, until=int)
        if any(type(did) is not str for did in to):
            raise BadInput("a consent to nobody in particular", expected="distinct DIDs", actual=to)
        found = cls(from_hex(data, 32), purpose, tuple(to), until)
        if statement.subjects != found.subjects():
            raise BadInput("a consent whose subject is not its data", expected=data)
        return found


def withdrawal_of(consent: bytes, statement: Statement) -> tuple[tuple[Subject, ...], dict[str, Any], tuple[Ref, ...]]:
    """(subjects, body, refs) of the claim that withdraws a consent."""
    return statement.subjects, {}, (Ref(CONSENT, consent),)


def withdrawn_at(consent: bytes, statement: Statement, withdrawals: Iterable[Statement]) -> int | None:
    """When its own issuer first withdrew a consent, in Unix seconds by the issuer's word, or None."""
    times = [said.issued_at for said in withdrawals if said.issuer == statement.issuer
             and said.kind == WITHDRAWAL and consent in said.all_refs(CONSENT)]
    return min(times, default=None)


def check_consents(source: Statements, targets: Iterable[bytes], now: int, withdrawals: Iterable[Statement],
                   purpose: str | None = None) -> Report:
    """Whether every consent that the targets rest on stands. purpose: the one that the use has, None if not asked.

    For each consent, in the order in which they are reached:

    1. It is here and a consent: otherwise undecidable.
    2. Its issuer has not withdrawn it: otherwise refuted, with whether the use was after that.
    3. It is not over: otherwise refuted.
    4. Each claim that refers to it is by somebody it is given to, and was made while it stood: otherwise refuted.
    5. It is for the purpose asked about: otherwise refuted.

    No consent at all is undecidable: this says nothing of data that needs one and names none.
    """
    withdrawals = tuple(withdrawals)
    users: dict[bytes, dict[bytes, Statement]] = {}
    consents: dict[bytes, Statement | None] = {}
    for target in targets:
        _collect(trace(source, target, ()), users, consents)
    steps = []
    for n, (claim, by) in enumerate(users.items(), 1):
        outcome, detail = _standing(claim, consents[claim], tuple(by.values()), now, withdrawals, purpose)
        steps.append(Step(n, f"consent {claim.hex()[:16]}", outcome, detail))
    return Report(combine(tuple(steps)), time_text(now), tuple(steps))


def _collect(graph: Graph, users: dict[bytes, dict[bytes, Statement]], consents: dict[bytes, Statement | None]) -> None:
    """Add each consent of the graph, those referred to as one and not here too, and the claims that refer to it."""
    by_id = {node.id: node.statement for node in graph.nodes}
    for claim, said in by_id.items():
        if said is not None and said.kind == CONSENT:
            users.setdefault(claim, {})
            consents[claim] = said
    for edge in graph.edges:
        user = by_id[edge.source]
        if (edge.role == CONSENT or edge.to in users) and user is not None and user.kind != WITHDRAWAL:
            users.setdefault(edge.to, {})[edge.source] = user
            consents.setdefault(edge.to, by_id[edge.to])


def _standing(claim: bytes, statement: Statement | None, users: tuple[Statement, ...], now: int,
              withdrawals: tuple[Statement, ...], purpose: str | None) -> tuple[Outcome, str]:
    """Rules 1 to 5 for one consent."""
    if statement is None:
        return Outcome.UNDECIDABLE, "it is referred to and not here: pull it"
    try:
        consent = Consent.of(statement)
    except BadInput as error:
        return Outcome.REFUTED, f"what is referred to as a consent is none: {error.message}"
    ended = withdrawn_at(claim, statement, withdrawals)
    if ended is not None:
        late = [user.kind for user in users if user.issued_at > ended]
        return Outcome.REFUTED, (f"withdrawn by its issuer at {time_text(ended)}"
                                 + (f"; used after that: {', '.join(late)}" if late else ""))
    if consent.until < now:
        return Outcome.REFUTED, f"over since {time_text(consent.until)}"
    for user in users:
        if user.issuer not in consent.to:
            return Outcome.REFUTED, f"used ({user.kind}) by {user.issuer[:60]}, to whom it was not given"
        if not statement.issued_at - SKEW <= user.issued_at <= consent.until:
            return Outcome.REFUTED, f"used ({user.kind}) at {time_text(user.issued_at)}, before it or after it"
    if purpose is not None and purpose != consent.purpose:
        return Outcome.REFUTED, f"given for {consent.purpose!r}, not for {purpose!r}"
    return Outcome.UPHELD, f"for {consent.purpose!r}, until {time_text(consent.until)}; no withdrawal is known here"
