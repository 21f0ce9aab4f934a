"""did:webvh with two other implementations, both ways: didwebvh-ts (npm) and did-webvh (PyPI)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop.conftest import run
from troth.identity import webvh_write as write
from troth.identity.did import key_did
from troth.identity.keys import Ed25519KeyPair
from troth.identity.resolution import When
from troth.identity.webvh import WebvhLog, Witnesses

NOW = int(time.time()) - 1_000
PAIRS = [Ed25519KeyPair(bytes([number]) * 32) for number in range(1, 6)]
Node = Callable[..., str]


def key(pair: Ed25519KeyPair) -> dict[str, str]:
    return {"seed": pair.reveal_seed().hex(), "multikey": write.multikey(pair.public)}


def document(did: str) -> dict[str, Any]:
    return {"@context": ["https://www.w3.org/ns/did/v1"], "verificationMethod": [
        {"id": f"{did}#key-1", "type": "Multikey", "controller": did,
         "publicKeyMultibase": write.multikey(PAIRS[0].public)}], "assertionMethod": [f"{did}#key-1"]}


def ours() -> tuple[str, bytes, list[Any]]:
    """A log of Troth's with pre-rotation, witnesses and a change, and its witness file's rows."""
    names = Witnesses(2, tuple(key_did(pair.public) for pair in PAIRS[3:]))
    did, data = write.create("example.com:org", document, PAIRS[0], NOW, {
        "nextKeyHashes": [write.committed(PAIRS[1].public)], "portable": True, "witness": names.to_dict()})
    data = write.rotate(data, PAIRS[1], [PAIRS[2].public], NOW + 10)
    rows = [write.approve(data, pair, NOW + 20) for pair in PAIRS[3:]]
    return did, data, rows


def stripped(found: dict[str, Any]) -> dict[str, Any]:
    """Without the services that the package adds of itself."""
    return {name: value for name, value in found.items() if name != "service"}


def by_typescript(node: Node, did: str, data: bytes, rows: list[Any], version: str | None = None) -> dict[str, Any]:
    file = json.loads(write.witness_file(rows))
    given = {"did": did, "log": [json.loads(line) for line in data.splitlines()], "witness": file, "versionId": version}
    found = json.loads(node("webvh.mjs", "resolve", given=json.dumps(given)))
    assert isinstance(found, dict)
    return found


def test_didwebvh_ts_reads_a_log_of_troths(node: Node) -> None:
    did, data, rows = ours()
    log = WebvhLog.read(data, NOW + 30)
    for entry in log.entries:
        found = by_typescript(node, did, data, rows, entry.version_id)
        assert "error" not in found, found
        assert stripped(found["doc"]) == entry.document
        assert found["versionId"] == entry.version_id
    assert "error" in by_typescript(node, did, data, rows[:1])
    assert "error" in by_typescript(node, did, data.replace(b"#key-1", b"#key-2"), rows)


def test_troth_reads_a_log_of_didwebvh_ts(node: Node) -> None:
    given = {name: key(pair) for name, pair in zip(("one", "two", "three"), PAIRS, strict=False)}
    made = json.loads(node("webvh.mjs", "write", given=json.dumps(given)))
    assert "error" not in made, made
    data = b"\n".join(json.dumps(entry).encode() for entry in made["log"])
    log = WebvhLog.read(data, NOW)
    assert stripped(log.resolution(made["did"], When()).document or {}) == stripped(made["doc"])
    # And goes on where they stopped; they read that, too.
    further = write.rotate(data, PAIRS[2], [], NOW)
    found = by_typescript(node, made["did"], further, [])
    assert found["versionId"] == WebvhLog.read(further, NOW).entries[2].version_id


def by_askar(python_of: Callable[[str], Path], *words: object) -> dict[str, Any]:
    found = json.loads(run(python_of("webvh"), "webvh_by_askar.py", *words))
    assert isinstance(found, dict)
    return found


def test_did_webvh_reads_a_log_of_troths(python_of: Callable[[str], Path], tmp_path: Path) -> None:
    did, data, rows = ours()
    (tmp_path / "did.jsonl").write_bytes(data)
    (tmp_path / "did-witness.json").write_bytes(write.witness_file(rows))
    found = by_askar(python_of, "resolve", did, tmp_path)
    assert found["didDocument"] == WebvhLog.read(data, NOW + 30).entries[1].document
    (tmp_path / "did-witness.json").write_bytes(write.witness_file(rows[:1]))
    assert by_askar(python_of, "resolve", did, tmp_path)["didResolutionMetadata"]["error"]


def test_troth_reads_a_log_of_did_webvh(python_of: Callable[[str], Path], tmp_path: Path) -> None:
    made = by_askar(python_of, "write", tmp_path)
    log = WebvhLog.read((tmp_path / "did.jsonl").read_bytes(), int(time.time()))
    found = log.resolution(made["did"], When())
    assert found.document == made["document"]
    assert (found.metadata["ttl"], found.metadata["watchers"]) == ("60", ["https://watcher.example"])


@pytest.mark.parametrize("implementation", ["python", "ts"])
def test_the_vector_with_fewer_witnesses(python_of: Callable[[str], Path], implementation: str, tmp_path: Path) -> None:
    """Troth refuses it as the specification says; did-webvh does, too, whatever its own vectors expect."""
    folder = Path(__file__).parents[1] / "vectors" / "did-webvh" / "witness-update" / implementation
    did = json.loads((folder / "did.jsonl").read_text().splitlines()[0])["state"]["id"]
    assert "error" in (by_askar(python_of, "resolve", did, folder)["didResolutionMetadata"] or {})
