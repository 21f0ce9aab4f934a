"""A tile log among others: checked reading, proofs from tiles, cosigning, watching, each against its raw cost here.

The limit in the same run is what nobody avoids: hashing the same leaves and tiles once with SHA-256 (for reading and
watching), and the signatures and the write that must reach the disk (for a witness).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from troth.core import merkle
from troth.ledger.checkpoints import WITNESS_KEY, WITNESS_KEY_ML_DSA, Checkpoint, Note, NoteSigner
from troth.ledger.logserver import TileServer
from troth.ledger.monitor import Monitor
from troth.ledger.tiles import Edge, TileFiles
from troth.ledger.views import View
from troth.ledger.webtiles import WebTiles
from troth.ledger.wire import Site
from troth.ledger.witness import Asked, Witness, add_log

SIGNER = NoteSigner("bench.example/log", b"\x01" * 32)


def run(quick: bool = False) -> dict[str, Any]:
    """Rates a second of wall time, and ratios to the raw cost in the same run."""
    count = 20_000 if quick else 200_000
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "log"
        data = [sha256(b"%d" % n).digest() * 2 for n in range(count)]
        _write(place, data)
        raw = _raw(data)
        key, tiles = SIGNER.verifier, TileFiles(place)
        checkpoint = Checkpoint.open(tiles.note(), key)
        bundles = range((count + 255) // 256)
        read = _timed(lambda: _all(View(tiles, checkpoint), bundles))
        with TileServer(tiles) as server:
            web = WebTiles(Site(server.url, private=True))
            http = _timed(lambda: _all(View(web, checkpoint), bundles))
            watch = _timed(lambda: Monitor(Path(folder) / "mirror", web, key).look())
        view = View(tiles, checkpoint)
        times = 2_000 if quick else 10_000
        proofs = _timed(lambda: [view.consistency(1 + n * 7919 % count) for n in range(times)])
        return {"entries": count,
                "entries_per_second": {"sha256 alone": round(count / raw), "checked from disk": round(count / read),
                                       "checked over HTTP": round(count / http), "watched, kept": round(count / watch)},
                "over_sha256": {"checked from disk": round(read / raw, 2), "checked over HTTP": round(http / raw, 2),
                                "watched, kept": round(watch / raw, 2)},
                "consistency_proofs_per_second": round(times / proofs),
                "witness": {name: _witness(Path(folder) / name, kind, 50 if quick else 300)
                            for name, kind in (("ed25519", WITNESS_KEY), ("ml-dsa-44", WITNESS_KEY_ML_DSA))}}


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _all(view: View, bundles: range) -> None:
    for index in bundles:
        view.entries(index)


def _raw(data: list[bytes]) -> float:
    """Each leaf once, and as many inner nodes."""
    start = time.perf_counter()
    row = [sha256(b"\0" + entry).digest() for entry in data]
    while len(row) > 1:
        row = [sha256(b"\1" + row[n] + row[n + 1]).digest() for n in range(0, len(row) - 1, 2)]
    return time.perf_counter() - start


def _write(place: Path, data: list[bytes]) -> None:
    edge, files = Edge().grow(data)
    for path, content in files:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    (place / "checkpoint").write_bytes(Checkpoint(SIGNER.verifier.name, edge.size, edge.root()).sign(SIGNER))


def _witness(folder: Path, kind: int, times: int) -> dict[str, float]:
    """Cosignatures a second, and over what they cannot avoid: checking one signature, making one, one synced write."""
    folder.mkdir()
    add_log(folder, SIGNER.verifier)
    signer = NoteSigner("bench.example/witness", b"\x02" * 32, kind)
    witness = Witness(folder, signer, lambda: 1_800_000_000)
    edge, bodies = Edge(), list[bytes]()
    nodes: list[bytes] = []
    for n in range(times):
        old = edge.size
        edge, _ = edge.grow([b"%d" % n])
        nodes.append(sha256(b"\0%d" % n).digest())
        found = Checkpoint(SIGNER.verifier.name, edge.size, edge.root())
        bodies.append(Asked(old, tuple(_proof(old, nodes)), found.sign(SIGNER)).to_bytes())
    spent = _timed(lambda: [witness.add_checkpoint(body) for body in bodies])
    note, path = Asked.from_bytes(bodies[-1]).note, folder / "raw"

    text = Note.from_bytes(note).text

    def bare() -> None:
        Checkpoint.open(note, SIGNER.verifier)
        with open(path, "wb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        signer.sign(text, 1)

    raw = _timed(lambda: [bare() for _ in range(times)])
    return {"per_second": round(times / spent), "over_raw": round(spent / raw, 2)}


def _proof(old: int, nodes: list[bytes]) -> list[bytes]:
    return merkle.consistency_proof(old, len(nodes), merkle.node_of(nodes))
