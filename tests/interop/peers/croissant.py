"""Reads Croissant metadata, and the records if their file is here: ``croissant.py FILE [RECORDS]``."""

import json
import sys

import mlcroissant

mapping = {"records": sys.argv[2]} if len(sys.argv) > 2 else None
found = mlcroissant.Dataset(jsonld=sys.argv[1], mapping=mapping)
rows = list(found.records("rows")) if mapping else []
print(json.dumps({"name": found.metadata.name, "errors": sorted(found.metadata.issues.errors),
                  "records": len(rows), "columns": sorted(rows[0]) if rows else []}))
