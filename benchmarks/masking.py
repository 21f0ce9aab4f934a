"""What it costs to sum secretly: 1,000,000 parameters with 10 peers, by masking and under CKKS, against the bare sum.

CKKS is measured where TenSEAL is: here, or in the environment that ``make build/ckks-venv`` makes.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

from benchmarks import median_seconds
from troth.core.ports import Signer
from troth.fixed.numbers import IntArray
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.learn.masking import masks
from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.ckks import Ckks
from troth.learn.masking.port import SecureSum, Session
from troth.learn.masking.server import BonawitzServer, check_transcript
from troth.learn.masking.terms import default_threshold

PEERS = 10
CKKS_PYTHON = Path(__file__).parent.parent / "build" / "ckks-venv" / "bin" / "python"


def _world(length: int) -> tuple[Session, list[Signer], KeyBook, list[IntArray]]:
    owners = sorted((HybridIdentity.create() for _ in range(PEERS + 1)), key=lambda one: one.did)
    keys = KeyBook([one.history for one in owners])
    count = len(owners)
    session = Session(bytes(32), tuple(one.did for one in owners), default_threshold(count), length, 1 << 24)
    vectors = list(np.random.default_rng(1).integers(-(1 << 24), (1 << 24) + 1, (count, length)))
    return session, [one.signer() for one in owners], keys, vectors


def _whole(way: SecureSum, length: int) -> dict[str, float]:
    """One sum with hybrid identities, all sites in one process: seconds, bytes and memory of the dearest site."""
    session, signers, keys, vectors = _world(length)
    server = way.server(session, keys)
    sites = {one.did: way.site(session, one, keys, vector) for one, vector in zip(signers, vectors, strict=True)}
    last = session.sites[-1]
    spent, served, sent, received, peak = 0.0, 0.0, 0, 0, 0
    while True:
        start = time.process_time()
        calls = server.calls()
        served += time.process_time() - start
        if not calls:
            break
        answers = {}
        for did, call in calls.items():
            if did == last:
                tracemalloc.start()
            start = time.process_time()
            answers[did] = sites[did].answer(call)
            if did == last:
                peak = max(peak, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
                sent, received = sent + len(answers[did]), received + len(call)
            elif did == session.sites[-2]:
                spent += time.process_time() - start
        start = time.process_time()
        server.take(answers)
        served += time.process_time() - start
    start = time.process_time()
    total = server.result().total
    served += time.process_time() - start
    if not (total == np.sum(vectors, axis=0)).all():
        raise AssertionError("the sum is wrong")
    bare = 4 * length
    guess = way.cost(PEERS + 1, length)
    found = {"site_cpu_s": spent, "server_cpu_s": served, "sent_bytes": sent, "received_bytes": received,
             "sent_over_bare_vector": sent / bare, "site_peak_memory_mb": peak / 1e6,
             "sent_over_estimate": sent / guess.sent, "site_seconds_over_estimate": spent / guess.site_seconds}
    if isinstance(server, BonawitzServer):
        transcript = server.transcript()
        found["transcript_bytes"] = len(transcript)
        found["check_transcript_cpu_s"] = median_seconds(
            lambda: check_transcript(transcript, keys, session), 1, time.process_time)
    return found


def _masks(length: int, repeats: int) -> dict[str, float]:
    """The masks of 10 peers alone, against adding 10 plain vectors of the same size."""
    words = np.zeros(length, dtype="<u4")
    plain = [np.ones(length, dtype="<u4") for _ in range(PEERS)]

    def masked() -> None:
        for peer in range(PEERS):
            masks.apply(words, bytes([peer]) * 32)

    def bare() -> None:
        for one in plain:
            np.add(words, one, out=words)

    taken, adding = median_seconds(masked, repeats, time.process_time), median_seconds(bare, repeats, time.process_time)
    return {"ten_masks_cpu_s": taken, "ten_masks_over_ten_sums": taken / adding}


def _ckks(length: int) -> dict[str, float]:
    """The same under CKKS; nothing where TenSEAL is nowhere."""
    if importlib.util.find_spec("tenseal") is not None:
        return _whole(Ckks(), length)
    if not CKKS_PYTHON.exists():
        return {}
    done = subprocess.run([str(CKKS_PYTHON), "-m", "benchmarks.masking", "--ckks", str(length)], check=True,
                          capture_output=True, text=True, cwd=CKKS_PYTHON.parents[3])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(quick: bool = False) -> dict[str, object]:
    """All figures. Seconds are of the processor: other work on the machine counts little, the network not at all."""
    length = 100_000 if quick else 1_000_000
    masking, ckks = _whole(Bonawitz(), length), _ckks(length)
    found: dict[str, dict[str, float]] = {"masks": _masks(length, 3 if quick else 15), "masking": masking,
                                          "ckks": ckks}
    if ckks:
        found["ckks_over_masking"] = {name: ckks[name] / masking[name] for name in (
            "site_cpu_s", "server_cpu_s", "sent_bytes", "site_peak_memory_mb")}
    return {"parameters": length, "peers": PEERS, **{name: {key: float(f"{value:.4g}") for key, value in part.items()}
                                                     for name, part in found.items()}}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ckks"]:
        print(json.dumps(_whole(Ckks(), int(sys.argv[2]))))
    else:
        print(json.dumps(run(), indent=1))
