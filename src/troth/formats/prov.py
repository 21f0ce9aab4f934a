"""A target's lineage as PROV-JSON.

Source: https://www.w3.org/submissions/prov-json/ and PROV-DM. Claims, and the artefacts they are about, are entities;
issuers are agents; a run is an activity, since it alone says when it began and ended. Every relation carries
``troth:claim``, the claim it rests on.
"""

from __future__ import annotations

import json
from typing import Any

from troth.core.claims import Statement
from troth.formats.lineage import Facts, urn, when
from troth.formats.runs import RUN, Artefact, Run

PREFIX = {"troth": "urn:troth:", "did": "did:"}


def write(facts: Facts) -> bytes:
    """The document. The same claims give the same bytes."""
    return json.dumps(_Document(facts).json(), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


class _Document:
    """Builds the records by type."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._here = dict(facts.statements())
        self._stale = {node.id for node in facts.graph.nodes if node.stale}
        self._records: dict[str, dict[str, Any]] = {}
        self._count = 0

    def json(self) -> dict[str, Any]:
        """The records as PROV-JSON has them: entities, activities, agents and the relations between them."""
        for claim, statement in self._here.items():
            self._claim(claim, statement)
        for claim, statement in self._here.items():
            self._relations(claim, statement)
        target = self._records["entity"][_entity(self._facts.target)]
        target["troth:missing"] = [f"{field}: {why}" for field, why in self._facts.missing]
        for said in (*self._facts.metrics, *self._facts.parameters, *self._facts.contributions):
            name = said.name if said.name.isidentifier() else said.name.encode().hex()
            one = self._records["entity"][_entity(said.claim)]
            one.setdefault(f"troth:said-{name}", []).append(f"{said.value}{f' ({said.about})' if said.about else ''}")
        return {"prefix": PREFIX, **self._records}

    def _claim(self, claim: bytes, statement: Statement) -> None:
        self._add("entity", _entity(claim), {
            "prov:type": {"$": f"troth:{statement.kind}", "type": "prov:QUALIFIED_NAME"},
            "prov:label": f"claim {statement.kind}", "troth:claim": urn(claim), "troth:stale": claim in self._stale,
            "troth:issued_at": {"$": when(statement.issued_at), "type": "xsd:dateTime"}})
        self._add("agent", statement.issuer, {"prov:label": statement.issuer})
        for subject in statement.subjects:
            if "sha256" in subject.digests:
                self._add("entity", _artefact(subject.digests["sha256"]), {
                    "prov:label": subject.name, "troth:sha256": subject.digests["sha256"], "troth:claim": urn(claim)})

    def _relations(self, claim: bytes, statement: Statement) -> None:
        self._relate("wasAttributedTo", claim, {"prov:entity": _entity(claim), "prov:agent": statement.issuer})
        for subject in statement.subjects:
            if "sha256" in subject.digests:
                self._relate("wasInfluencedBy", claim, {
                    "prov:influencee": _entity(claim), "prov:influencer": _artefact(subject.digests["sha256"]),
                    "troth:role": "subject"})
        for ref in statement.refs:
            if ref.claim in self._here:
                self._relate("wasDerivedFrom", claim, {"prov:generatedEntity": _entity(claim),
                                                       "prov:usedEntity": _entity(ref.claim), "troth:role": ref.role})
        if statement.kind == RUN:
            self._run(claim, statement, Run.of(statement))

    def _run(self, claim: bytes, statement: Statement, run: Run) -> None:
        activity = f"troth:activity-{claim.hex()}"
        self._add("activity", activity, {"prov:startTime": when(run.started_at), "prov:endTime": when(run.ended_at),
                                         "prov:label": run.name, "troth:claim": urn(claim)})
        self._relate("wasAssociatedWith", claim, {"prov:activity": activity, "prov:agent": statement.issuer})
        for one in run.data:
            self._relate("used", claim, {"prov:activity": activity, "prov:entity": self._of_run(claim, one)})
        for one in run.models:
            self._relate("wasGeneratedBy", claim, {"prov:entity": self._of_run(claim, one), "prov:activity": activity})

    def _of_run(self, claim: bytes, one: Artefact) -> str:
        name = _artefact(one.digest.hex())
        self._add("entity", name, {"prov:label": one.name, "troth:sha256": one.digest.hex(), "troth:claim": urn(claim)})
        return name

    def _relate(self, kind: str, claim: bytes, said: dict[str, Any]) -> None:
        self._count += 1
        self._add(kind, f"_:r{self._count}", said | {"troth:claim": urn(claim)})

    def _add(self, kind: str, name: str, said: dict[str, Any]) -> None:
        self._records.setdefault(kind, {}).setdefault(name, said)


def _entity(claim: bytes) -> str:
    return f"troth:claim-{claim.hex()}"


def _artefact(digest: str) -> str:
    return f"troth:sha256-{digest}"
