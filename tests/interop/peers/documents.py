"""Reads documents with other people's validators: ``documents.py FORMAT FILE``; prints what it found as JSON."""

import json
import sys
from pathlib import Path


def cyclonedx(path: Path) -> dict[str, object]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_7).validate_str(path.read_text())
    return {"error": None if error is None else repr(error)}


def spdx(path: Path) -> dict[str, object]:
    from spdx_python_model import v3_0_1

    found = v3_0_1.SHACLObjectSet()
    with path.open() as file:
        v3_0_1.JSONLDDeserializer().read(file, found)
    packages = list(found.foreach_type(v3_0_1.ai_AIPackage))
    relations = {str(one.relationshipType).rpartition("/")[2]: len(one.to)
                 for one in found.foreach_type(v3_0_1.Relationship)}
    return {"missing": sorted(found.missing_ids), "models": [one.name for one in packages],
            "metrics": {entry.key: entry.value for one in packages for entry in one.ai_metric},
            "datasets": len(list(found.foreach_type(v3_0_1.dataset_DatasetPackage))), "relations": relations,
            "annotations": len(list(found.foreach_type(v3_0_1.Annotation)))}


def prov(path: Path) -> dict[str, object]:
    from prov.model import ProvDerivation, ProvDocument, ProvEntity

    found = ProvDocument.deserialize(str(path))
    return {"entities": len(list(found.get_records(ProvEntity))),
            "derivations": len(list(found.get_records(ProvDerivation))),
            "same": ProvDocument.deserialize(content=found.serialize()) == found}


def card(path: Path) -> dict[str, object]:
    from huggingface_hub import ModelCard

    found = ModelCard.load(path)
    return {"results": [[one.metric_type, one.metric_value, one.metric_name] for one in found.data.eval_results or ()],
            "license": found.data.license, "tags": found.data.tags}


print(json.dumps({"cyclonedx": cyclonedx, "spdx": spdx, "prov": prov, "card": card}[sys.argv[1]](Path(sys.argv[2]))))
