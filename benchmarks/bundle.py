"""Verify bundles of many claims: claims a second and peak memory, against hashing and reading the same bytes alone.

Leaves of about 1 KB in hybrid batches of 4,096; aggregates that refer to 1,000 leaves each; a target that refers to
the aggregates. Every figure comes from a process of its own, so that memory is that of the verification alone.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from troth.core.claims import Ref, Statement, Subject, claim_id
from troth.core.encoding import decode
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.ledger import batches
from troth.ledger.bundle import BundleReader
from troth.ledger.bundling import write_bundle
from troth.ledger.checkpoints import NoteSigner
from troth.ledger.log import Log
from troth.verify.bundle import verify

BATCH = 4096
FAN = 1000
FILLER = "x" * 560
GOAL = 40_000


def run(quick: bool = False) -> dict[str, Any]:
    """Figures at two sizes: 10,000 and 100,000 claims, or 1,000 and 10,000 when quick."""
    sizes = (1_000, 10_000) if quick else (10_000, 100_000)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        for size in sizes:
            path = Path(directory) / f"{size}.troth"
            start = time.perf_counter()
            make(path, size)
            found[f"made {size}"] = {"claims_per_s": round(size / (time.perf_counter() - start)),
                                     "bytes": path.stat().st_size}
            for what in ("limit", "verify"):
                done = subprocess.run([sys.executable, __file__, what, str(path)], check=True, capture_output=True)
                found[f"{what} {size}"] = json.loads(done.stdout)
    small, large = (found[f"verify {size}"] for size in sizes)
    limit = found[f"limit {sizes[1]}"]
    found["ratios"] = {
        "verify to sha256 and decode alone": round(large["claims_per_s"] / limit["claims_per_s"], 3),
        "verify to goal of 40,000 claims/s": round(large["claims_per_s"] / GOAL, 3),
        "peak memory, large to small": round(large["peak_mb"] / small["peak_mb"], 3),
        "bytes of bundle per byte of memory grown": round(
            (found[f"made {sizes[1]}"]["bytes"] - found[f"made {sizes[0]}"]["bytes"]) / 1e6
            / max(0.1, large["peak_mb"] - small["peak_mb"]), 1),
    }
    return found


def make(path: Path, count: int) -> None:
    """Write a bundle of about ``count`` claims of one issuer."""
    identity = HybridIdentity.create()
    signer, keys = identity.signer(), KeyBook()
    keys.learn(identity.genesis)
    with tempfile.TemporaryDirectory() as directory, \
            Log.create(Path(directory) / "log", NoteSigner("bench.example", hashlib.sha256(b"log").digest())) as log:
        leaves: list[bytes] = []
        for first in range(0, count, BATCH):
            whole = batches.build((_leaf(identity.did, n) for n in range(first, min(count, first + BATCH))), signer, 1)
            log.append_batch(whole)
            leaves += whole.ids
        aggregates = batches.build((_refers(identity.did, "aggregate", leaves[first:first + FAN])
                                    for first in range(0, count, FAN)), signer, 2)
        log.append_batch(aggregates)
        target = batches.build([_refers(identity.did, "model", list(aggregates.ids))], signer, 3)
        log.append_batch(target)
        with path.open("wb") as out:
            write_bundle(out, target.ids[0], log=log, keys=keys)


def _leaf(did: str, n: int) -> Statement:
    subject = Subject("update", {"sha256": hashlib.sha256(b"%d" % n).hexdigest()})
    return Statement("update", did, 1_700_000_000 + n, (subject,), {"loss": n, "note": FILLER, "round": n % 7})


def _refers(did: str, kind: str, ids: list[bytes]) -> Statement:
    subject = Subject(kind, {"sha256": hashlib.sha256(ids[0]).hexdigest()})
    return Statement(kind, did, 1_700_000_000, (subject,), {"count": len(ids)},
                     tuple(Ref("update", claim) for claim in ids))


def _payloads(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (raw.payload for raw in BundleReader(file).claims())


def limit(path: Path) -> dict[str, Any]:
    """The least there is to do: read the payloads, hash each, decode each strictly."""
    start, count = time.process_time(), 0
    for payload in _payloads(path):
        claim_id(payload)
        decode(payload)
        count += 1
    return _figures(count, time.process_time() - start)


def verified(path: Path) -> dict[str, Any]:
    """The whole verification of what is inside (there is nobody to trust here)."""
    start = time.process_time()
    with path.open("rb") as file:
        report = verify(file)
    took = time.process_time() - start
    inside = [step.outcome for step in report.steps if step.n <= 7]
    if [str(outcome) for outcome in inside] != ["upheld"] * 7:
        raise SystemExit(json.dumps(report.json()))
    with path.open("rb") as file:
        return _figures(BundleReader(file).claim_count(), took)


def _figures(count: int, took: float) -> dict[str, Any]:
    # Not ru_maxrss: a child starts with its parent's peak there.
    status = Path("/proc/self/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])
    return {"claims": count, "claims_per_s": round(count / took), "peak_mb": round(peak / 1024, 1)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["limit"]:
        print(json.dumps(limit(Path(sys.argv[2]))))
    elif sys.argv[1:2] == ["verify"]:
        print(json.dumps(verified(Path(sys.argv[2]))))
    else:
        print(json.dumps(run("--quick" in sys.argv), indent=2))
