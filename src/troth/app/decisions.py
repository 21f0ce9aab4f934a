"""Decisions of a workspace: recorded with reasons, listed, walked down to the data, and checked by running again."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from troth.app.models import trained
from troth.compute.decisions import (
    DECISION,
    EXPLANATION,
    Decision,
    DecisionClaim,
    ExplanationClaim,
    Reasons,
    shares,
    subjects,
)
from troth.compute.explain import explain
from troth.compute.models.build import ints
from troth.core.claims import Evidence, Ref, Statement
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.fixed.numbers import FloatArray, IntArray
from troth.fixed.program import Program

if TYPE_CHECKING:
    from troth.app import Troth

PROGRAM = "program"
MOST_COMPARED = 100
"""Rows of a background that are used; of more, so many evenly spaced ones."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Ids of the two claims."""

    decision: bytes
    explanation: bytes


def compared(program: Program, rows: FloatArray) -> IntArray:
    """Rows as a background: those within the program's range, at most MOST_COMPARED. Raises BadInput where none is."""
    inputs = ints(program, rows)
    inside = inputs[((inputs >= program.low) & (inputs <= program.high)).all(axis=1)]
    if not len(inside):
        raise BadInput("no background row lies within the program's range", actual=f"{len(inputs)} rows")
    return inside[np.linspace(0, len(inside) - 1, min(len(inside), MOST_COMPARED)).round().astype(np.int64)]


def reasons(program: Program, row: IntArray, background: IntArray, method: str | None = None) -> dict[str, Any]:
    """Label, score and shares of one row, as people read them; the exact numbers beside them."""
    found = explain(program, row, background, method)
    label = program.classes[found.label] if program.head != "number" and program.classes else str(found.label)
    unit = 2.0 ** -program.output_scale
    return {"base": found.base / found.denominator * unit, "error": found.error / found.denominator * unit,
            "exact": found.json(), "label": label, "method": found.method, "program": program.digest.hex(),
            "score": found.score * unit, "shares": shares(program, found, row)}


def record(party: Troth, program: Program, row: IntArray, background: IntArray, *, method: str | None = None,
           model: bytes | None = None, answer: bytes | None = None, to: Sequence[str] = ()) -> Recorded:
    """Attest a decision and its explanation, with documents and program sealed to this party and to ``to``.

    model: the `model` claim that the program was made from. answer: a claim that proves the answer. Both must be here.
    Whoever is in ``to`` sees the person's values, the background rows and the model's weights; where an exchange is
    set, it is told. Raises as `explain`; Undecidable for claims that are not here. Nothing is attested then.
    """
    refs = [Ref(role, claim) for role, claim in (("model", model), ("answer", answer)) if claim is not None]
    for ref in refs:
        kind = party.statement(ref.claim).kind
        if ref.role == "model" and kind != "model":
            raise Misuse("a decision's model is a model claim", expected="model", actual=kind)
    decision = Decision.make(program, row, secrets.token_bytes(32))
    explanation = explain(program, row, background, method)
    said = DecisionClaim(decision.digest, program.digest)
    kept = [party.add(DECISION, decision.to_bytes(), to), party.add(PROGRAM, program.to_bytes(), to)]
    first = party.attest(DECISION, subjects(DECISION, said.document), said.body(), refs=refs, evidence=kept)
    document = Reasons(first, background, explanation, secrets.token_bytes(32))
    why = ExplanationClaim(document.digest, explanation.method, program.digest)
    kept.append(party.add(EXPLANATION, document.to_bytes(), to))
    second = party.attest(EXPLANATION, subjects(EXPLANATION, why.document), why.body(), refs=[Ref(DECISION, first)],
                          evidence=kept[2:])
    if to and party.settings.exchange:
        party.send(list(to), [first, second], kept)
    return Recorded(first, second)


# ---- the log ----

def listed(party: Troth) -> list[dict[str, Any]]:
    """Every decision in this party's log, oldest first: who decided, by which program and model, with explanations."""
    why: dict[bytes, list[str]] = {}
    for claim, statement in party.claims(EXPLANATION):
        for decision in statement.all_refs(DECISION):
            why.setdefault(decision, []).append(claim.hex())
    found = []
    for claim, statement in party.claims(DECISION):
        said = DecisionClaim.of(statement)
        found.append({"answer": [one.hex() for one in statement.all_refs("answer")], "decision": claim.hex(),
                      "explanations": why.get(claim, []), "issued_at": statement.issued_at,
                      "issuer": statement.issuer, "model": [one.hex() for one in statement.all_refs("model")],
                      "program": said.program.hex()})
    return found


def walked(party: Troth, decision: bytes) -> dict[str, Any]:
    """A decision down to the data: its model, the plan and rounds that trained it, the listings, and what is stale.

    Raises Undecidable for a claim that is not here, BadInput for one of another kind.
    """
    DecisionClaim.of(party.statement(decision))
    [line] = [one for one in listed(party) if one["decision"] == decision.hex()]
    graph = party.trace(decision)
    levels: dict[str, list[dict[str, Any]]] = {}
    missing = []
    for node in graph.nodes[1:]:
        if node.statement is None:
            missing.append(node.id.hex())
            continue
        levels.setdefault(node.statement.kind, []).append({
            "claim": node.id.hex(), "issued_at": node.statement.issued_at, "issuer": node.statement.issuer,
            "state": node.state})
    return line | {"missing": missing, "rests_on": levels, "stale": graph.stale}


def check(party: Troth, claim: bytes) -> list[dict[str, str]]:
    """Run a decision again, and each explanation of it that is here. claim: of either kind.

    1. *claim*: read strictly. 2. *document*: the sealed document is the one named. 3. *program*: the bytes are those
    named. 4. *answer*: the program gives the same scores and label. 5. *explanation*, each: the document is the one
    named, is about this decision, and its numbers are what the method gives. 6. *model*: where the decision names a
    consortium's model whose bytes are here, how often the program answers the plan's validation records as it does.

    Raises Refuted where one of 2 to 5 is contradicted, Undecidable where a document is not here or not for this party.
    """
    statement = party.statement(claim)
    asked = claim if statement.kind == EXPLANATION else None
    decided = statement.ref(DECISION) if asked is not None else claim
    first = party.statement(decided)
    said = DecisionClaim.of(first)
    steps = [{"step": "claim", "finding": f"a decision by {first.issuer}"}]
    decision = Decision.from_bytes(_document(party, first, DECISION, said.document))
    steps.append({"step": "document", "finding": "the document is the one that the claim names"})
    program = Program.from_bytes(party.read(_evidence(first, PROGRAM)))
    if program.digest != said.program:
        raise Refuted("the program is not the one that the claim names", expected=said.program.hex(),
                      actual=program.digest.hex())
    steps.append({"step": "program", "finding": f"program {program.digest.hex()}"})
    decision.check(program)
    steps.append({"step": "answer", "finding": "run again: the same scores and label"})
    for one, other in party.claims(EXPLANATION):
        if other.all_refs(DECISION) != (decided,) or (asked is not None and one != asked):
            continue
        why = ExplanationClaim.of(other)
        document = Reasons.from_bytes(_document(party, other, EXPLANATION, why.document))
        if (document.decision, document.explanation.method, why.program) != (decided, why.method, said.program):
            raise Refuted("the explanation is about something else than its claim says", expected=decided.hex(),
                          actual=document.decision.hex())
        document.check(program, decision)
        steps.append({"step": "explanation", "finding": f"computed again by {why.method}: the same numbers"})
    for model in first.all_refs("model"):
        steps.append({"step": "model", "finding": _follows(party, program, model)})
    return steps


def _evidence(statement: Statement, name: str) -> Evidence:
    found = [item for item in statement.evidence if item.name == name]
    if len(found) != 1:
        raise Refuted(f"a {statement.kind} must name one piece of evidence {name!r}", expected=1, actual=len(found))
    return found[0]


def _document(party: Troth, statement: Statement, name: str, digest: bytes) -> bytes:
    data = party.read(_evidence(statement, name))
    if sha256(data) != digest:
        raise Refuted("the document is not the one that the claim names", expected=digest.hex(),
                      actual=sha256(data).hex())
    return data


def _follows(party: Troth, program: Program, model: bytes) -> str:
    try:
        real, rows, _ = trained(party, model)
    except (Undecidable, BadInput) as error:
        return f"not compared with {model.hex()}: {error.message}"
    inputs = ints(program, rows)
    inside = ((inputs >= program.low) & (inputs <= program.high)).all(axis=1)
    found = program.labels(program.run(inputs[inside])).astype(np.float64)
    own = real.labels(real.run(rows[inside]))
    same = int((found == own).sum()) if program.head != "number" else int(
        (np.abs(np.ldexp(found, -program.output_scale) - own) <= 0.01 * (own.std() or 1)).sum())
    return f"answers {same} of {int(inside.sum())} validation records as model {model.hex()} does"
