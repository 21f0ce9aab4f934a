"""A target's lineage as a CycloneDX 1.7 bill of materials with a model card.

Source: ECMA-424, https://cyclonedx.org/docs/1.7/json/. Which sentence rests on which claim is said in the format's own
``citations``: each names fields by JSON pointer, the issuer they are attributed to, and the claim they rest on. A claim
is a component of type ``file``, since it is a signed document with a digest.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from troth.formats.lineage import Dataset, Facts, Said, urn, when

ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def write(facts: Facts) -> bytes:
    """The document. The same claims give the same bytes."""
    return json.dumps(_Document(facts).json(), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


class _Document:
    """Builds the document and notes, for each field, which claim it rests on."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._cited: dict[bytes, list[str]] = {}

    def json(self) -> dict[str, Any]:
        """The bill of materials as CycloneDX 1.7 has it; nothing that no claim says."""
        facts = self._facts
        statements = dict(facts.statements())
        issuers = sorted({one.issuer for one in statements.values()})
        agents = {did: f"agent-{number}" for number, did in enumerate(issuers, 1)}
        datasets = [self._dataset(number, one) for number, one in enumerate(facts.datasets)]
        claims = [self._claim(claim, one.kind, agents[one.issuer]) for claim, one in statements.items()]
        return {
            "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
            "bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
            "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, urn(facts.target))}",
            "metadata": {"timestamp": when(facts.as_of), "component": self._target(),
                         "tools": {"components": [{"type": "application", "name": "troth"}]},
                         "properties": [{"name": "troth:missing", "value": f"{field}: {why}"}
                                        for field, why in facts.missing]},
            "components": [*datasets, *claims,
                           *({"type": "data", "bom-ref": ref, "name": did, "properties": [
                               {"name": "troth:role", "value": "issuer of claims, by its identifier"}]}
                             for did, ref in agents.items())],
            "dependencies": self._dependencies(statements),
            "citations": [{"pointers": pointers, "attributedTo": agents[statements[claim].issuer],
                           "process": urn(claim), "timestamp": when(statements[claim].issued_at),
                           "note": f"rests on claim {claim.hex()}, kind {statements[claim].kind}"}
                          for claim, pointers in self._cited.items()],
        }

    def _target(self) -> dict[str, Any]:
        facts, at = self._facts, "/metadata/component"
        statement = facts.statement
        hashes = [{"alg": ALGORITHMS[name], "content": value} for name, value in statement.subjects[0].digests.items()
                  if name in ALGORITHMS]
        self._cite(facts.target, f"{at}/name", f"{at}/hashes")
        found: dict[str, Any] = {
            "type": "machine-learning-model" if facts.is_model() else "data", "bom-ref": "target", "name": facts.name,
            "hashes": hashes, "externalReferences": [_attested(facts.target)],
            "properties": [{"name": "troth:claim", "value": facts.target.hex()},
                           {"name": "troth:issuer", "value": statement.issuer},
                           {"name": "troth:stale", "value": "true" if facts.graph.stale else "false"},
                           *self._sentences(at, facts.parameters, 3, "troth:parameter:"),
                           *self._sentences(at, facts.contributions, 3 + len(facts.parameters), "troth:contribution:")]}
        if facts.licence is not None:
            found["licenses"] = [{"license": {"name": facts.licence.value}}]
            self._cite(facts.licence.claim, f"{at}/licenses/0")
        if facts.is_model():
            found["modelCard"] = self._card(f"{at}/modelCard")
        return found

    def _sentences(self, at: str, said: tuple[Said, ...], before: int, prefix: str) -> list[dict[str, str]]:
        for number, one in enumerate(said, before):
            self._cite(one.claim, f"{at}/properties/{number}")
        return [{"name": f"{prefix}{one.name}{f' ({one.about})' if one.about else ''}", "value": one.value}
                for one in said]

    def _card(self, at: str) -> dict[str, Any]:
        facts = self._facts
        metrics = []
        for number, one in enumerate(facts.metrics):
            metric = {"type": one.name, "value": one.value}
            if one.about:
                metric["slice"] = f"validation records of claim {one.about}"
            metrics.append(metric)
            self._cite(one.claim, f"{at}/quantitativeAnalysis/performanceMetrics/{number}")
        for number, dataset in enumerate(facts.datasets):
            self._cite(dataset.claim, f"{at}/modelParameters/datasets/{number}")
        return {"modelParameters": {"datasets": [{"ref": f"dataset-{number}"}
                                                 for number, _ in enumerate(facts.datasets)]},
                "quantitativeAnalysis": {"performanceMetrics": metrics}}

    def _dataset(self, number: int, one: Dataset) -> dict[str, Any]:
        self._cite(one.claim, f"/components/{number}")
        said = {"claim": one.claim.hex(), "issuer": one.issuer, "use": one.use, "cid": one.cid,
                "rows": None if one.rows is None else str(one.rows), "sealed": "true" if one.sealed else "false",
                "erased": "true" if one.erased else "false"}
        found: dict[str, Any] = {
            "type": "data", "bom-ref": f"dataset-{number}", "name": one.name,
            "data": [{"type": "dataset", "name": one.name}], "externalReferences": [_attested(one.claim)],
            "properties": [{"name": f"troth:{name}", "value": value} for name, value in said.items()
                           if value is not None]}
        if one.digest is not None:
            found["hashes"] = [{"alg": "SHA-256", "content": one.digest.hex()}]
        return found

    def _claim(self, claim: bytes, kind: str, agent: str) -> dict[str, Any]:
        return {"type": "file", "bom-ref": urn(claim), "name": f"claim {kind}",
                "hashes": [{"alg": "SHA-256", "content": claim.hex()}],
                "description": "A signed claim; the digest is that of its pre-authentication encoding (DSSE).",
                "properties": [{"name": "troth:kind", "value": kind}, {"name": "troth:issuer-ref", "value": agent}]}

    def _dependencies(self, statements: dict[bytes, Any]) -> list[dict[str, Any]]:
        below = {claim: sorted({urn(ref.claim) for ref in one.refs if ref.claim in statements})
                 for claim, one in statements.items()}
        return [{"ref": "target", "dependsOn": [urn(self._facts.target),
                                                *(f"dataset-{n}" for n, _ in enumerate(self._facts.datasets))]},
                *({"ref": urn(claim), "dependsOn": refs} for claim, refs in below.items())]

    def _cite(self, claim: bytes, *pointers: str) -> None:
        self._cited.setdefault(claim, []).extend(pointers)


def _attested(claim: bytes) -> dict[str, str]:
    return {"type": "attestation", "url": urn(claim), "comment": "the claim that this component rests on"}
