"""What is said of a job after its order: results and reviews (docs/kinds), typed, written and read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from troth.core import encoding
from troth.core.claims import Statement
from troth.core.encoding import from_hex
from troth.core.errors import BadInput
from troth.core.terms import REFUTED, UPHELD

RESULT, REVIEW = "result", "review"
SURE = 10_000


@dataclass(frozen=True, slots=True)
class ResultClaim:
    """What a provider says that it made. output: SHA-256 of the bytes that are sealed. fuel: what computing used.
    trace: of a stepped job, the root over the digests of all its states, and how many these are; zeros else."""

    deal: bytes
    milestone: int
    output: bytes
    note: str = ""
    fuel: int = 0
    trace: bytes = bytes(32)
    states: int = 0

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"deal": self.deal.hex(), "fuel": str(self.fuel), "milestone": self.milestone, "note": self.note,
                "output": self.output.hex(), "states": self.states, "trace": self.trace.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        deal, fuel, milestone, note, output, states, trace = encoding.take(
            body_of(statement, RESULT), deal=str, fuel=str, milestone=int, note=str, output=str, states=int, trace=str)
        return cls(from_hex(deal, 32), milestone, from_hex(output, 32), note, encoding.amount(fuel),
                   from_hex(trace, 32), states)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reviewer found. outcome: UPHELD or REFUTED. confidence: in parts of 10,000. why: for people to read.
    output: SHA-256 of what executing again gave; zeros where nothing was executed. step: of a stepped job, the number
    of the first state that does not follow from the one before; 0 for none."""

    outcome: int
    why: str
    confidence: int = SURE
    output: bytes = bytes(32)
    step: int = 0


@dataclass(frozen=True, slots=True)
class ReviewClaim:
    """A reviewer's verdict on one milestone, or (by the client) why it refuses. model: empty for people."""

    deal: bytes
    milestone: int
    opinion: Opinion
    model: str = ""

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        said = self.opinion
        return {"confidence": said.confidence, "deal": self.deal.hex(), "milestone": self.milestone,
                "model": self.model, "outcome": said.outcome, "output": said.output.hex(), "step": said.step,
                "why": said.why}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        confidence, deal, milestone, model, outcome, output, step, why = encoding.take(
            body_of(statement, REVIEW), confidence=int, deal=str, milestone=int, model=str, outcome=int, output=str,
            step=int, why=str)
        if outcome not in (UPHELD, REFUTED) or not 0 <= confidence <= SURE:
            raise BadInput("not a review", expected=f"outcome 1 or 2, confidence 0 to {SURE}",
                           actual=f"{outcome}, {confidence}")
        return cls(from_hex(deal, 32), milestone, Opinion(outcome, why, confidence, from_hex(output, 32), step), model)


def body_of(statement: Statement, kind: str) -> Mapping[str, Any]:
    """The body of a claim that must be of this kind, version 1. Raises BadInput."""
    if (statement.kind, statement.version) != (kind, 1):
        found = f"{statement.kind} v{statement.version}"
        raise BadInput("a claim of another kind", expected=f"{kind} v1", actual=found)
    return statement.body
