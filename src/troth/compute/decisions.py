"""What is said of a decision that a model made, and of its reasons: claims that hold no personal data, and documents.

A document holds the person's values, and a salt of 32 random bytes. It is sealed; the claim names its SHA-256, from
which nothing can be guessed without the salt. Whoever is given the document computes scores and reasons again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from troth.compute.explain import METHODS, Explanation, explain, whole
from troth.core.claims import Statement, Subject
from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Refuted
from troth.fixed.numbers import IntArray
from troth.fixed.program import Program

DECISION, EXPLANATION = "decision", "explanation"


def _about(statement: Statement, kind: str, document: bytes) -> None:
    if statement.subjects != (Subject(kind, {"sha256": document.hex()}),):
        raise BadInput(f"{kind}: the subject is not what the body says", expected=document.hex())


def _body(statement: Statement, kind: str) -> dict[str, Any]:
    if (statement.kind, statement.version) != (kind, 1):
        raise BadInput("a claim of another kind", expected=f"{kind} v1",
                       actual=f"{statement.kind} v{statement.version}")
    return dict(statement.body)


@dataclass(frozen=True, slots=True)
class DecisionClaim:
    """document: SHA-256 of the `Decision`. program: digest of the program that decided."""

    document: bytes
    program: bytes

    def body(self) -> dict[str, Any]:
        """As the claim says it."""
        return {"document": self.document.hex(), "program": self.program.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        document, program = take(_body(statement, DECISION), document=str, program=str)
        _about(statement, DECISION, from_hex(document, 32))
        return cls(from_hex(document, 32), from_hex(program, 32))


@dataclass(frozen=True, slots=True)
class ExplanationClaim:
    """document: SHA-256 of the `Reasons`. method: how the shares were computed. program: as the decision's."""

    document: bytes
    method: str
    program: bytes

    def body(self) -> dict[str, Any]:
        """As the claim says it."""
        return {"document": self.document.hex(), "method": self.method, "program": self.program.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read strictly. Raises BadInput."""
        document, method, program = take(_body(statement, EXPLANATION), document=str, method=str, program=str)
        if method not in METHODS:
            raise BadInput("an unknown method of explaining", expected=", ".join(METHODS), actual=ascii(method[:40]))
        _about(statement, EXPLANATION, from_hex(document, 32))
        return cls(from_hex(document, 32), method, from_hex(program, 32))


def subjects(kind: str, document: bytes) -> tuple[Subject, ...]:
    """What such a claim is about: its document."""
    return (Subject(kind, {"sha256": document.hex()}),)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The document of a decision. row: (features,). scores: all of them. salt: 32 random bytes."""

    program: bytes
    row: IntArray
    scores: tuple[int, ...]
    label: int
    salt: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"label": str(self.label), "program": self.program.hex(), "row": _texts(self.row),
                       "salt": self.salt.hex(), "scores": [str(score) for score in self.scores]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises BadInput."""
        label, program, row, salt, scores = take(decode_object(data), label=str, program=str, row=list, salt=str,
                                                 scores=list)
        return cls(from_hex(program, 32), _row(row), tuple(whole(score) for score in scores), whole(label),
                   from_hex(salt, 32))

    @property
    def digest(self) -> bytes:
        """What the claim names."""
        return sha256(self.to_bytes())

    @classmethod
    def make(cls, program: Program, row: IntArray, salt: bytes) -> Self:
        """Run a program on one row. Raises BadInput for a value beyond its range."""
        scores = program.run(row[None])
        return cls(program.digest, row, tuple(scores[0].tolist()), int(program.labels(scores)[0]), salt)

    def check(self, program: Program) -> None:
        """Run the program again. Raises Refuted for another program, other scores, another label."""
        if program.digest != self.program:
            raise Refuted("another program than the decision's", expected=self.program.hex(),
                          actual=program.digest.hex())
        again = Decision.make(program, self.row, self.salt)
        if (again.scores, again.label) != (self.scores, self.label):
            raise Refuted("the program answers otherwise", expected=f"label {again.label}, scores {again.scores}",
                          actual=f"label {self.label}, scores {self.scores}")


@dataclass(frozen=True, slots=True, eq=False)
class Reasons:
    """The document of an explanation. decision: the claim's id. background: (n, features) rows compared with."""

    decision: bytes
    background: IntArray
    explanation: Explanation
    salt: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"background": [_texts(row) for row in self.background], "decision": self.decision.hex(),
                       "explanation": self.explanation.json(), "salt": self.salt.hex()})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises BadInput."""
        background, decision, explanation, salt = take(decode_object(data), background=list, decision=str,
                                                       explanation=dict, salt=str)
        rows = [_row(row) for row in background]
        if not rows or any(row.shape != rows[0].shape for row in rows):
            raise BadInput("a background is rows of one length", actual=len(rows))
        return cls(from_hex(decision, 32), np.stack(rows), Explanation.read(explanation), from_hex(salt, 32))

    @property
    def digest(self) -> bytes:
        """What the claim names."""
        return sha256(self.to_bytes())

    def check(self, program: Program, decision: Decision) -> None:
        """Explain again. Raises Refuted where the same arguments give other numbers."""
        again = explain(program, decision.row, self.background, self.explanation.method)
        if again != self.explanation:
            raise Refuted("the explanation is not what its method gives", expected=again.json()["values"],
                          actual=self.explanation.json()["values"])


def _texts(row: Sequence[Any] | IntArray) -> list[str]:
    return [str(int(value)) for value in row]


def _row(values: list[Any]) -> IntArray:
    found = [whole(value) for value in values]
    if not found or max(map(abs, found)) >= 1 << 62:
        raise BadInput("not a row of inputs", expected="integers up to 2**62", actual=len(found))
    return np.array(found, dtype=np.int64)


def shares(program: Program, found: Explanation, row: IntArray) -> list[Mapping[str, object]]:
    """Feature by feature, the largest share first: name, value and share as people read them."""
    scale = 2.0 ** -program.input_scale
    rows: list[dict[str, object]] = [
        {"feature": program.name(place), "share": share, "value": float(row[place] * scale)}
        for place, share in enumerate(found.shares(program.output_scale))]
    return sorted(rows, key=lambda one: (-abs(float(str(one["share"]))), str(one["feature"])))
