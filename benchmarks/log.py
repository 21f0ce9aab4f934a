"""How fast claims get into a log, and how fast a whole log is checked from disk.

Distinct claims of 1 KB, as Python objects, become payloads, batches of 4,096 under hybrid signatures, and an fsynced
log. Then every one is checked from disk: statement, id, batch, leaf, tiles, checkpoint, the batches' signatures. The
limit in the same run is what no implementation on this machine avoids in Python: encoding each payload once (orjson)
and hashing its id, its seal, its two leaves and their two trees; and for checking, parsing it once instead.
Rates are claims a second of CPU time and of wall time, on one core. Making the objects is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import orjson

from troth.core import merkle
from troth.core.claims import Envelope, Evidence, Ref, Statement, Subject
from troth.identity.documents import signature_pairs
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.ledger import batches
from troth.ledger.checkpoints import NoteSigner
from troth.ledger.log import Log

BATCH = 4096
T = TypeVar("T")
GOAL = {"must": 40_000, "goal": 100_000}


class Watch:
    """Adds up CPU and wall seconds of the calls it is given."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def __call__(self, action: Callable[[], T]) -> T:
        cpu, wall = time.process_time(), time.perf_counter()
        result = action()
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        return result

    def plus(self, other: Watch) -> Watch:
        found = Watch()
        found.cpu, found.wall = self.cpu + other.cpu, self.wall + other.wall
        return found

    def rates(self, count: int) -> dict[str, int]:
        return {"per_cpu_second": round(count / self.cpu), "per_second": round(count / self.wall)}


def statements(issuer: str, start: int, count: int) -> list[Statement]:
    """Distinct statements shaped as an update's of a federated round, with payloads of about 1 KB."""
    found = []
    for n in range(start, start + count):
        digest = sha256(n.to_bytes(8, "big"))
        refs = tuple(Ref(role, sha256(role.encode() + digest.digest()).digest()) for role in ("base", "round"))
        found.append(Statement(
            "update", issuer, 1_700_000_000 + n, (Subject("update", {"sha256": digest.hexdigest()}),),
            {"examples": 100 + n % 400, "note": "what a site says of its update, in words of its own. " * 4,
             "round": n % 20, "scale": 1 << 16, "shape": [31, 1], "worth": str(n * 10**15)},
            refs, (Evidence("update", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "unixfs-v1-2025",
                            True),)))
    return found


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """(start, size) of each batch."""
    for start in range(0, count, BATCH):
        yield start, min(BATCH, count - start)


def limit(issuer: str, count: int) -> dict[str, dict[str, int]]:
    """The least that attesting and checking cost here: encode or parse once, and the hashes."""
    write, read = Watch(), Watch()
    trees = [merkle.Frontier(), merkle.Frontier()]

    def hashes(payload: bytes) -> None:
        claim = sha256(payload).digest()
        seal = sha256(claim + claim).digest()
        trees[0].append(sha256(b"\x00" + claim).digest())
        trees[1].append(sha256(b"\x00" + claim + seal).digest())

    for start, size in chunks(count):
        values = [orjson.loads(one.to_bytes()) for one in statements(issuer, start, size)]
        payloads = write(lambda values=values: [orjson.dumps(one) for one in values])  # type: ignore[misc]
        write(lambda payloads=payloads: [hashes(one) for one in payloads])  # type: ignore[misc]
        read(lambda payloads=payloads: [orjson.loads(one) for one in payloads])  # type: ignore[misc]
        read(lambda payloads=payloads: [hashes(one) for one in payloads])  # type: ignore[misc]
    return {"attest": write.rates(count), "verify": read.rates(count)}


def measure(directory: Path, count: int) -> dict[str, object]:
    """Attest ``count`` claims into a log there, then check the log."""
    identity = HybridIdentity.create()
    signer, keys = identity.signer(), KeyBook()
    keys.learn(identity.genesis)
    note = NoteSigner("example.org/bench", os.urandom(32))
    build, write, verify = Watch(), Watch(), Watch()
    size = 0
    with Log.create(directory, note) as log:
        for start, many in chunks(count):
            todo = statements(identity.did, start, many)
            size = len(todo[0].to_bytes())
            batch = build(lambda todo=todo: batches.build(todo, signer, 1_700_000_000))  # type: ignore[misc]
            write(lambda batch=batch: log.append_batch(batch))  # type: ignore[misc]

    def check(position: int, envelope: Envelope, statement: Statement) -> None:
        keys.verify(statement.issuer, envelope.signed_bytes(), signature_pairs(envelope))

    with Log(directory, note.verifier) as log:
        audit = verify(lambda: log.verify(check))
    if audit.members != count:
        raise AssertionError(f"checked {audit.members} of {count} claims")
    attest, whole = build.plus(write), build.plus(write).plus(verify)
    return {"claims": count, "payload_bytes": size, "attest": attest.rates(count), "verify": verify.rates(count),
            "attest_then_verify": whole.rates(count),
            "of_attest_encode_and_sign": build.rates(count), "of_attest_log": write.rates(count),
            "limit": limit(identity.did, min(count, 8 * BATCH)), "peak_rss_mib": peak_rss()}


def peak_rss() -> float:
    """Peak resident memory of this process in MiB (a child inherits ``ru_maxrss``, so not that)."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def apart(count: int) -> dict[str, Any]:
    """``measure`` in a process of its own, for its memory."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, __file__, "--measure", str(count), f"{directory}/log"]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return found


def run(quick: bool = False) -> dict[str, object]:
    """All figures. quick: 4,096 and 20,480 claims; else 20,480 and 200,704."""
    small, large = (BATCH, 5 * BATCH) if quick else (5 * BATCH, 49 * BATCH)
    few, many = apart(small), apart(large)
    return {
        "goal_per_second": GOAL,
        "few": few,
        "many": many,
        "attest_over_limit": round(many["attest"]["per_cpu_second"] / many["limit"]["attest"]["per_cpu_second"], 3),
        "verify_over_limit": round(many["verify"]["per_cpu_second"] / many["limit"]["verify"]["per_cpu_second"], 3),
        "peak_rss_many_over_few": round(many["peak_rss_mib"] / few["peak_rss_mib"], 3),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[3]), int(sys.argv[2]))))
    else:
        print(json.dumps(run("--quick" in sys.argv[1:]), indent=2))
