"""What a verifier asks to have proven: which statement, with which publics, for whom, in answer to which challenge.

A request is written by the verifier and kept until it is answered: whoever accepts two proofs for one request lets the
second be a copy of the first. What the verifier cannot know yet (the commitment in a credential that is still to be
shown, and who will show it) stays open in the request, and is named by the verifier when it checks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from troth.compute.statements.audits import Fairness, Ratio, Total
from troth.compute.statements.parts import Chain, FairnessEnd, FairnessPart, shapes, verify_chain
from troth.compute.statements.records import Member, Within
from troth.compute.statements.statement import (
    Check,
    Proven,
    Statement,
    context_of,
    number_text,
    verify,
    without_prover,
)
from troth.compute.statements.tables import Layout
from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput, Misuse

MIN_CHALLENGE = 16
_CHAIN = ("commitment", "limit", "least")
"""What the verifier names of a chain, besides the context."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. publics: by name, without the context; presenter: who must show it, "" while that is open.

    Raises BadInput for a public that the statement has not, or a challenge that is too short to be one.
    """

    statement: Statement
    publics: Mapping[str, int]
    audience: str
    challenge: str
    presenter: str = ""

    def __post_init__(self) -> None:
        beyond = set(self.publics) - set(self.wanted)
        if beyond or not self.audience or len(self.challenge) < MIN_CHALLENGE:
            raise BadInput("not a request for a proof", actual=", ".join(sorted(beyond)),
                           expected=f"publics among {', '.join(self.wanted)}, an audience, and a challenge of "
                                    f"{MIN_CHALLENGE} letters or more")

    @property
    def chained(self) -> bool:
        """Whether the answer is a chain of proofs of fairness."""
        return isinstance(self.statement, FairnessPart)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The publics that the verifier must name in the end."""
        if self.chained:
            return _CHAIN
        return tuple(name for name in self.statement.publics if name not in self.statement.told)

    @property
    def context(self) -> int:
        """Public 0. Raises Misuse while the presenter is open."""
        if not self.presenter:
            raise Misuse("nobody is named who shows this proof", do="Name the presenter.")
        return context_of(self.audience, self.challenge, self.presenter)

    @property
    def circuits(self) -> list[Statement]:
        """Every statement that needs keys."""
        if not isinstance(self.statement, FairnessPart):
            return [self.statement]
        parts = shapes(self.statement)
        return [parts[0], parts[-1], FairnessEnd()]

    def closed(self, presenter: str = "", **publics: int) -> Asked:
        """With what was open. Raises Misuse where the request names something else."""
        again = [name for name in publics if name in self.publics and self.publics[name] != publics[name]]
        if again or (presenter and self.presenter not in ("", presenter)):
            raise Misuse("the request already names this", expected=", ".join(again) or self.presenter,
                         do="Leave it out, or make another request.")
        return replace(self, publics={**self.publics, **publics}, presenter=presenter or self.presenter)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"audience": self.audience, "challenge": self.challenge, "presenter": self.presenter,
                       "publics": {name: str(value) for name, value in self.publics.items()},
                       "statement": self.statement.json})

    @classmethod
    def from_bytes(cls, data: bytes) -> Asked:
        """Read strictly. Raises BadInput."""
        audience, challenge, presenter, publics, statement = take(
            decode_object(data), audience=str, challenge=str, presenter=str, publics=dict, statement=dict)
        return cls(statement_of(statement), {name: number_text(value) for name, value in publics.items()},
                   audience, challenge, presenter)


def new_challenge() -> str:
    """One that nobody has seen."""
    return secrets.token_urlsafe(24)


def read_answer(asked: Asked, data: bytes) -> Chain | Proven:
    """An answer of the kind that the request asks for. Raises BadInput for what is none."""
    return Chain.from_bytes(data) if isinstance(asked.statement, FairnessPart) else Proven.from_bytes(data)


def check(asked: Asked, answer: bytes | Chain | Proven, keys: Callable[[Statement], bytes],
          with_: Check = without_prover) -> Mapping[str, int]:
    """Check an answer; the publics that it tells (a nullifier). keys: the verifying key trusted for a statement.

    Raises Misuse while the request leaves something open, BadInput for what cannot be read, Refuted for what does not
    hold.
    """
    missing = [name for name in asked.wanted if name not in asked.publics]
    if missing:
        raise Misuse("the request leaves publics open", expected=", ".join(missing), do="Name them.")
    publics = {"context": asked.context, **asked.publics}
    read = read_answer(asked, answer) if isinstance(answer, bytes) else answer
    if isinstance(asked.statement, FairnessPart) and isinstance(read, Chain):
        verify_chain(read, asked.statement, publics, keys, with_)
        return {}
    if not isinstance(read, Proven):
        raise BadInput("an answer of another kind than was asked for", expected=asked.statement.name)
    told = {name: read.publics.get(name, -1) for name in asked.statement.told}
    verify(read, asked.statement, publics | told, keys(asked.statement), with_)
    return told


# ---- reading ----

def statement_of(body: object) -> Statement:
    """A statement from its name and parameters. Raises BadInput for one that there is not, or other parameters."""
    if type(body) is not dict or body.get("name") not in _READERS:
        raise BadInput("no such statement", expected=", ".join(sorted(_READERS)),
                       actual=body.get("name") if type(body) is dict else body)
    return _READERS[body["name"]]({name: value for name, value in body.items() if name != "name"})


def _within(body: dict[str, Any]) -> Statement:
    layout, column = take(body, layout=dict, column=str)
    return Within(Layout.read(layout), column)


def _member(body: dict[str, Any]) -> Statement:
    if body.keys() == {"depth"}:
        return Member(*take(body, depth=int))
    depth, layout, column = take(body, depth=int, layout=dict, column=str)
    return Member(depth, Layout.read(layout), column)


def _total(body: dict[str, Any]) -> Statement:
    layout, column = take(body, layout=dict, column=str)
    return Total(Layout.read(layout), column)


def _ratio(body: dict[str, Any]) -> Statement:
    layout, over, under = take(body, layout=dict, over=str, under=str)
    return Ratio(Layout.read(layout), over, under)


def _fairness(body: dict[str, Any]) -> Statement:
    layout, group, decision, ids = take(body, layout=dict, group=str, decision=str, ids=str)
    return Fairness(Layout.read(layout), group, decision, ids)


def _part(body: dict[str, Any]) -> Statement:
    layout, group, decision, span, last = take(body, layout=dict, group=str, decision=str, span=int, last=bool)
    return FairnessPart(Layout.read(layout), group, decision, span, last)


_READERS: Mapping[str, Callable[[dict[str, Any]], Statement]] = {
    "within": _within, "member": _member, "total": _total, "ratio": _ratio, "fairness": _fairness,
    "fairness-part": _part}
