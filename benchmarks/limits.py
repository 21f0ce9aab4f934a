"""``python -m benchmarks.limits [--json FILE] [SIZE…]``: how large a network may be that is proven in 60 s and 8 GB.

Random 8-bit weights, constants of the circuit; a public input of 784 numbers of 8 bits. mlp-N is 784-N-N-10 with ReLU;
cnn-N is N channels of 3 x 3 over 28 x 28, ReLU, a pool of 2 x 2 and a linear map to 10. Each size has a process of its
own, whose memory is what the kernel counted at its peak, the setup and the circuit's building with it; one that passes
the bound is stopped. Seconds are the processor's. Not one of the suite: it takes half an hour and most of a machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.answers import network
from benchmarks.proofs import ROOT, _peak
from troth.compute.circuits.model import FIXED, PUBLIC, SCORES, ModelCircuit, Modes
from troth.compute.provers.groth16 import Groth16
from troth.fixed.program import Affine, Clamp, Conv, Maximum, Program, Rescale

SIZES = ("mlp-1024", "mlp-2048", "cnn-32", "mlp-3072", "cnn-64", "mlp-3584", "cnn-96")
MOST_BYTES = 9 << 30
"""Of address space: a size that needs more is stopped before it harms others."""


def program(size: str) -> Program:
    """The network of a size."""
    kind, _, width = size.partition("-")
    wide = int(width)
    if kind == "mlp":
        return network(784, wide, wide, 10)
    rng, side = np.random.default_rng(wide), 26
    places = np.arange(wide * side * side).reshape(wide, side, side)
    pool = [places[c, i:i + 2, j:j + 2].reshape(-1) for c in range(wide) for i in range(0, side, 2)
            for j in range(0, side, 2)]
    return Program(np.full(784, 0), np.full(784, 255), (
        Conv(0, rng.integers(-127, 128, (wide, 1, 3, 3)), rng.integers(-999, 999, wide), (1, 28, 28)),
        Rescale(1, 7), Clamp(2, 0, 1 << 20), Maximum(3, np.array(pool)),
        Affine(4, rng.integers(-127, 128, (10, len(pool))), rng.integers(-999, 999, 10))), "largest")


def one(size: str) -> dict[str, float]:
    """Build, set up, prove."""
    made, prover = ModelCircuit(program(size), Modes(FIXED, PUBLIC, SCORES)), Groth16()
    start = time.process_time()
    circuit = made.circuit
    built = time.process_time()
    keys = prover.setup(circuit)
    ready, before = time.process_time(), _peak()
    prover.prove(keys, circuit, made.witness([at % 255 for at in range(784)], 7))
    return {"weights": made.program.weights, "constraints": circuit.constraints, "build_seconds": built - start,
            "setup_seconds": ready - built, "prove_seconds": time.process_time() - ready,
            "peak_mb_before_proving": before, "peak_mb": _peak()}


def main() -> None:
    """Every size, or those that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits")
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help="in this process")
    asked = parser.parse_args()
    if asked.one:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        print(json.dumps(one(asked.sizes[0])))
        return
    found: dict[str, Any] = {}
    for size in asked.sizes:
        done = subprocess.run([sys.executable, "-m", "benchmarks.limits", "--one", size], cwd=ROOT, capture_output=True,
                              text=True, check=False)
        found[size] = json.loads(done.stdout) if done.returncode == 0 else {
            "failed": (done.stderr.strip().splitlines() or ["stopped"])[-1]}
        print(size, json.dumps(found[size]), flush=True)
        if asked.json is not None:
            asked.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
