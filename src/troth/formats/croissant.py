"""A data set's listing as Croissant 1.0 metadata.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html. The claim is named as the data set's
``identifier``, and each part's ``description`` ends with the claim it rests on. Sealed records have no distribution:
the metadata then says that they exist, and no more.
"""

from __future__ import annotations

import json
from typing import Any

from troth.core.errors import BadInput
from troth.formats.lineage import Dataset, Facts, described, urn, when

CONFORMS = "http://mlcommons.org/croissant/1.0"
CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform"}


def write(facts: Facts) -> bytes:
    """The metadata. Raises BadInput for a target that is no listing, naming the listings it rests on."""
    if facts.statement.kind != "listing":
        named = sorted({one.claim.hex() for one in facts.datasets})
        raise BadInput("Croissant describes one data set", expected="a listing", actual=facts.statement.kind,
                       do=f"Export one of: {', '.join(named)}." if named else "It rests on none; export a listing.")
    metadata = _metadata(facts, facts.datasets[0])
    return json.dumps(metadata, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _metadata(facts: Facts, one: Dataset) -> dict[str, Any]:
    rests = f" [rests on {urn(one.claim)}]"
    missing = "; ".join(f"{field}: {why}" for field, why in facts.missing)
    whose = f"{one.rows} records, listed by {one.issuer}. Sealed: {'yes' if one.sealed else 'no'}."
    found: dict[str, Any] = {
        "@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": CONFORMS, "name": one.name,
        "identifier": urn(one.claim), "url": urn(one.claim), "datePublished": when(one.issued_at),
        "version": "1.0.0", "creator": {"@type": "sc:Organization", "name": one.issuer, "url": one.issuer},
        "isBasedOn": [urn(claim) for claim, _ in facts.statements()],
        "description": f"{whose}{rests} Missing: {missing or 'nothing that is asked for'}.",
        "citeAs": f"{described(facts.statement)}, {urn(one.claim)}"}
    source = one.schema.get("source")
    if type(source) is str:
        found["description"] += f" Source, by the issuer's word: {source}{rests}."
    if not one.sealed and one.cid is not None and one.digest is not None:
        media = one.schema.get("media_type")
        kind = media if type(media) is str else "application/octet-stream"
        found["distribution"] = [{
            "@type": "cr:FileObject", "@id": "records", "name": "records", "contentUrl": f"ipfs://{one.cid}",
            "encodingFormat": kind, "sha256": one.digest.hex(), "description": f"The bytes by content address.{rests}"}]
        columns = one.schema.get("columns")
        if kind == "text/csv" and type(columns) is list and all(type(name) is str for name in columns):
            found["recordSet"] = [_records(columns, rests)]
    return found


def _records(columns: list[str], rests: str) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "description": f"One line a record.{rests}",
            "field": [{"@type": "cr:Field", "@id": f"rows/{name}", "name": name, "dataType": "sc:Text",
                       "description": f"A column, by the listing's schema.{rests}",
                       "source": {"fileObject": {"@id": "records"}, "extract": {"column": name}}} for name in columns]}
