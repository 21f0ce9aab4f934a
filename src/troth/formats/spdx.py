"""A target's lineage as SPDX 3.0.1, profiles core, software, AI and dataset, in JSON-LD.

Source: https://spdx.github.io/spdx-spec/v3.0.1/. Every element that a claim speaks of names that claim as an external
identifier; every sentence has an annotation of its own that names the field, the value and the claim. Fields that the
profile requires and no claim fills say ``noAssertion``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from troth.core.claims import Statement
from troth.formats.lineage import Dataset, Facts, Said, described, urn, when

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
ALGORITHMS = {"sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}
CREATION = "_:creation"


def write(facts: Facts) -> bytes:
    """The document. The same claims give the same bytes."""
    return json.dumps(_Document(facts).json(), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


class _Document:
    """Builds the graph. Identifiers are URNs under the target's claim."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._base = urn(facts.target) + "#"
        self._here = dict(facts.statements())
        self._annotations: list[dict[str, Any]] = []

    def json(self) -> dict[str, Any]:
        """The document as SPDX 3.0.1's JSON-LD has it; nothing that no claim says."""
        facts = self._facts
        issuers = {one.issuer: f"{self._base}agent-{number}" for number, one in enumerate(
            {one.issuer: one for one in self._here.values()}.values())}
        agents = [self._element("Agent", did_id, did, externalIdentifier=[_identifier(did, "decentralised identifier")])
                  for did, did_id in issuers.items()]
        target = self._target(issuers)
        datasets = [self._dataset(number, one, issuers) for number, one in enumerate(facts.datasets)]
        relations = self._relations()
        self._say_missing()
        elements = [*agents, target, *datasets, *relations, *self._annotations]
        document = self._element(
            "SpdxDocument", f"{self._base}document", f"lineage of {facts.name}", rootElement=[target["spdxId"]],
            element=[one["spdxId"] for one in elements],
            profileConformance=["core", "software", "ai", "dataset"])
        creation = {"type": "CreationInfo", "@id": CREATION, "specVersion": "3.0.1", "created": when(facts.as_of),
                    "createdBy": [issuers[facts.statement.issuer]],
                    "comment": "created: when the newest of these claims was issued"}
        return {"@context": CONTEXT, "@graph": [creation, document, *elements]}

    def _target(self, issuers: dict[str, str]) -> dict[str, Any]:
        facts, statement = self._facts, self._facts.statement
        model = facts.is_model()
        fields: dict[str, Any] = {
            "verifiedUsing": _hashes(statement.subjects[0].digests), "originatedBy": [issuers[statement.issuer]],
            "externalIdentifier": [_claim(facts.target)], "releaseTime": when(statement.issued_at),
            "software_primaryPurpose": "model" if model else "data"}
        if model:
            fields |= {"ai_metric": _entries(facts.metrics), "ai_hyperparameter": _entries(facts.parameters)}
        spdx_id = f"{self._base}target"
        self._annotate(spdx_id, "name, digest, releaseTime", facts.name, facts.target)
        for said in (*facts.metrics, *facts.parameters, *facts.contributions):
            self._annotate(spdx_id, said.name, f"{said.value}{f', {said.about}' if said.about else ''}", said.claim)
        kind = "ai_AIPackage" if model else "software_Package"
        return self._element(kind, spdx_id, facts.name, **{name: value for name, value in fields.items() if value})

    def _dataset(self, number: int, one: Dataset, issuers: dict[str, str]) -> dict[str, Any]:
        spdx_id = f"{self._base}dataset-{number}"
        fields: dict[str, Any] = {
            "dataset_datasetType": ["noAssertion"], "originatedBy": [issuers[one.issuer]],
            "externalIdentifier": [_claim(one.claim)], "releaseTime": when(one.issued_at),
            "software_primaryPurpose": "data"}
        if one.rows is not None:
            fields["dataset_datasetSize"] = one.rows
        if one.digest is not None:
            fields["verifiedUsing"] = _hashes({"sha256": one.digest.hex()})
        if one.cid is not None and not one.sealed:
            fields["software_downloadLocation"] = f"ipfs://{one.cid}"
        for name, value in (("name", one.name), ("size in records", one.rows), ("sealed", one.sealed),
                            ("erased", one.erased), ("use", one.use), ("address of the bytes", one.cid)):
            if value is not None:
                self._annotate(spdx_id, name, str(value), one.claim)
        return self._element("dataset_DatasetPackage", spdx_id, one.name, **fields)

    def _relations(self) -> list[dict[str, Any]]:
        """What the target was trained and tested on, by the claims that name both."""
        found = []
        for use, kind in (("training", "trainedOn"), ("validation", "testedOn")):
            to = [f"{self._base}dataset-{number}" for number, one in enumerate(self._facts.datasets) if one.use == use]
            if to and self._facts.is_model():
                spdx_id = f"{self._base}{kind}"
                found.append(self._element("Relationship", spdx_id, kind, relationshipType=kind, to=to,
                                           **{"from": f"{self._base}target"}))
                self._annotate(spdx_id, kind, f"{len(to)} datasets", self._facts.target)
        return found

    def _say_missing(self) -> None:
        for field, why in self._facts.missing:
            self._annotate(f"{self._base}target", field, f"missing: {why}", None)

    def _annotate(self, subject: str, field: str, value: str, claim: bytes | None) -> None:
        rests = "rests on no claim" if claim is None else f"rests on {urn(claim)} ({_who(self._here[claim])})"
        self._annotations.append(self._element(
            "Annotation", f"{self._base}annotation-{len(self._annotations)}", field, annotationType="other",
            subject=subject, statement=f"{field}: {value}; {rests}"))

    def _element(self, kind: str, spdx_id: str, name: str, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "spdxId": spdx_id, "creationInfo": CREATION, "name": name, **fields}


def _who(statement: Statement) -> str:
    return f"{described(statement)}, {when(statement.issued_at)}"


def _claim(claim: bytes) -> dict[str, Any]:
    return _identifier(urn(claim), "the claim that this element rests on")


def _identifier(identifier: str, comment: str) -> dict[str, Any]:
    return {"type": "ExternalIdentifier", "externalIdentifierType": "other", "identifier": identifier,
            "comment": comment}


def _hashes(digests: Any) -> list[dict[str, Any]]:
    return [{"type": "Hash", "algorithm": ALGORITHMS[name], "hashValue": value} for name, value in digests.items()
            if name in ALGORITHMS]


def _entries(said: Iterable[Said]) -> list[dict[str, Any]]:
    return [{"type": "DictionaryEntry", "key": one.name, "value": one.value} for one in said]
