"""did:webvh by the PyPI package ``did-webvh``: ``resolve DID FOLDER`` or ``write FOLDER``; prints JSON."""

import asyncio
import json
import sys
from pathlib import Path

from did_webvh.provision import auto_provision_did
from did_webvh.resolver import resolve_did
from did_webvh.update import auto_update_did


async def write(folder: str) -> object:
    path, state, _ = await auto_provision_did("example.com/org", "ed25519", "secret", target_dir=folder,
                                              extra_params={"portable": True, "ttl": 60})
    document = dict(state.document) | {"alsoKnownAs": ["https://example.com/"]}
    (path / "did.json").write_text(json.dumps(document))
    await asyncio.sleep(1.1)  # versions are a second apart
    later = await auto_update_did(path, "secret", params_update={"watchers": ["https://watcher.example"]})
    return {"did": later.document_id, "document": later.document}


async def resolve(did: str, folder: str) -> object:
    found = await resolve_did(did, local_history=Path(folder), add_implicit=False)
    return found.serialize()


print(json.dumps(asyncio.run({"write": write, "resolve": resolve}[sys.argv[1]](*sys.argv[2:]))))
