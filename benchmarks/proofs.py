"""Proving a model's answer: five small models, by our prover and by ezkl where it is installed, in one run.

ezkl has no licence; it is measured in an environment of its own, made for the measurement alone
(``python -m venv build/ezkl-venv && build/ezkl-venv/bin/pip install ezkl==23.0.5 onnx``), each model at the best of
the settings in ``SWEEP``. Seconds are the processor's. Ours hold the witness and the verification of the own proof;
ezkl's hold ``prove`` alone. Each measurement has a process of its own, so that the memory is its own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import median_seconds
from troth.compute.circuits.model import COMMITTED, FIXED, PUBLIC, SCORES, ModelCircuit, Modes
from troth.compute.models import Aim, Real, ints, quantise, real
from troth.compute.models.sklearn import of_sklearn
from troth.compute.provers import zkey
from troth.compute.provers.groth16 import Groth16
from troth.fixed.program import Program

PEER = Path(__file__).parent / "peers" / "ezkl_peer.py"
PEER_PYTHON = Path(__file__).parent.parent / "build" / "ezkl-venv" / "bin" / "python"
MODES = {"public input": Modes(FIXED, PUBLIC, SCORES), "committed input": Modes(FIXED, COMMITTED, SCORES),
         "committed weights and input": Modes(COMMITTED, COMMITTED, SCORES)}
HASHED_MOST = 100
"""Parameters: a network of 4,000 hashed by ezkl was not done in 400 seconds."""
PATIENCE = 300.0
"""Seconds for one of ezkl's, setup and all."""
PEER_MODES = {"ezkl, private input": "", "ezkl, hashed weights and input": "hashed",
              "ezkl, polycommit weights and input": "polycommit"}
SWEEP: dict[str, list[dict[str, int]]] = {
    "logistic regression": [{"decomp_base": 256, "decomp_legs": 4, "scale": 7}],
    "mlp 30-64-32-2": [{"decomp_base": 1024, "decomp_legs": 3, "scale": 7}],
    "tree depth 4": [{"decomp_base": 256, "decomp_legs": 4, "scale": 7}],
    "boosted trees 20 x 3": [{"decomp_base": 256, "decomp_legs": 4, "scale": 7},
                             {"decomp_base": 1024, "decomp_legs": 3, "scale": 7}],
    "cnn on digits": [{"decomp_base": 1024, "decomp_legs": 3, "scale": 7}],
}
"""What ezkl is tried with: its accumulators' decomposition, and the binary places of its numbers."""


def models(quick: bool) -> dict[str, tuple[Real, np.ndarray[Any, Any]]]:
    """(model in real numbers, calibration rows) by name."""
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    rows, answers = load_breast_cancer(return_X_y=True)
    rows = StandardScaler().fit_transform(rows)
    found = {"logistic regression": (of_sklearn(LogisticRegression().fit(rows, answers)), rows)}
    if quick:
        return found
    perceptron = MLPClassifier((64, 32), max_iter=120, random_state=0).fit(rows, answers)
    # Two scores, as the network of the reference measurements had: the one score and nothing against it.
    nodes = list(of_sklearn(perceptron).nodes)
    last = nodes[-1]
    nodes[-1] = real.Affine(last.source, np.vstack([-last.weights / 2, last.weights / 2]),
                            np.concatenate([-last.bias / 2, last.bias / 2]))
    found["mlp 30-64-32-2"] = (Real(rows.shape[1], tuple(nodes), "largest"), rows)
    tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(rows, answers)
    found["tree depth 4"] = (of_sklearn(tree), rows)
    boosted = GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=0).fit(rows, answers)
    found["boosted trees 20 x 3"] = (of_sklearn(boosted), rows)
    if importlib.util.find_spec("torch"):
        images, digits = load_digits(return_X_y=True)
        found["cnn on digits"] = (_network(images / 16, digits), images / 16)
    return found


def _network(images: np.ndarray[Any, Any], digits: np.ndarray[Any, Any]) -> Real:
    """1,898 parameters: two convolutions, a pool, a linear map; trained here for a few seconds."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(digits)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3), torch.nn.ReLU(),
                              torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(64, 10))
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(40):
        for batch in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimiser.step()
    first, second, dense = (
        [part.detach().double().numpy() for part in net[at].parameters()] for at in (0, 2, 6))
    places = np.arange(256).reshape(16, 4, 4)
    pool = [places[c, 2 * i:2 * i + 2, 2 * j:2 * j + 2].reshape(-1) for c in range(16) for i in (0, 1) for j in (0, 1)]
    return Real(64, (real.Conv(0, *first, (1, 8, 8)), real.Clip(1), real.Conv(2, *second, (8, 6, 6)), real.Clip(3),
                     real.Maximum(4, np.array(pool)), real.Affine(5, *dense)), "largest")


def _one(data: str, row: list[int], name: str, repeats: int) -> dict[str, float]:
    """One model in one mode."""
    made, prover = ModelCircuit(Program.from_bytes(data.encode()), MODES[name]), Groth16()
    start = time.process_time()
    circuit = made.circuit
    built = time.process_time()
    keys = prover.setup(circuit)
    ready = time.process_time()
    proofs: list[bytes] = []

    def prove() -> None:
        proofs.append(prover.prove(keys, circuit, made.witness(row, 7, row_salt=11, weights_salt=13)))

    proving = median_seconds(prove, repeats, time.process_time)
    publics = circuit.public_values(made.witness(row, 7, row_salt=11, weights_salt=13))
    return {"constraints": circuit.constraints, "build_seconds": built - start, "setup_seconds": ready - built,
            "prove_seconds": proving, "publics": len(publics), "proof_bytes": len(proofs[0]),
            "verify_seconds": median_seconds(lambda: prover.verify(keys.verifying, proofs[0], publics), 5,
                                             time.process_time),
            "key_mb": len(zkey.write(keys, circuit)) / 1e6, "peak_mb": _peak()}


def _peak() -> float:
    """Of this process, not of the one that started it, as getrusage has it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _alone(program: Program, row: list[int], mode: str, repeats: int) -> dict[str, float]:
    given = json.dumps([program.to_bytes().decode(), row, mode, repeats])
    done = subprocess.run([sys.executable, "-m", "benchmarks.proofs"], input=given, capture_output=True, text=True,
                          cwd=PEER.parents[2], check=True)
    return dict(json.loads(done.stdout))


def _said(node: Any) -> dict[str, Any]:
    """A node for the peer, which builds ONNX of it."""
    said: dict[str, Any] = {"kind": type(node).__name__}
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if name == "trees":
            said[name] = [{part: getattr(tree, part).tolist() for part in tree.__dataclass_fields__} for tree in value]
        else:
            said[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return said


def _peer(model: Real, rows: np.ndarray[Any, Any], settings: dict[str, int], committed: str) -> dict[str, float] | None:
    """ezkl's figures, or None where it fails or takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"nodes": [_said(node) for node in model.nodes], "inputs": model.inputs, "rows": rows[:20].tolist(),
                 "settings": settings, "committed": committed}
        try:
            done = subprocess.run([PEER_PYTHON, PEER, folder], input=json.dumps(given), capture_output=True, text=True,
                                  timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        print(f"  ezkl: {(done.stderr.strip().splitlines() or ['failed'])[-1]}", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(quick: bool = False) -> dict[str, Any]:
    """Figures by model and mode, and how many times longer ezkl takes with weights fixed (its input private, ours
    public, and ours committed) and bound (by the quicker of its two ways)."""
    found: dict[str, Any] = {"models": {}, "ezkl_over_fixed": {}, "ezkl_over_fixed_and_committed_input": {},
                             "ezkl_over_committed": {}}
    for name, (model, rows) in models(quick).items():
        print(f"  {name}", file=sys.stderr)
        quantised = quantise(model, rows, aim=Aim())   # 99.5 % of the labels kept, as it should be of ezkl's
        row = ints(quantised.program, rows[:1])[0].tolist()
        kept = quantised.report.held_out
        entry: dict[str, Any] = {"parameters": quantised.program.weights, "labels_kept": kept.agreed / kept.of}
        for mode in MODES:
            entry[mode] = _alone(quantised.program, row, mode, 1 if quick else 3)
        if PEER_PYTHON.exists() and not quick:
            for mode, committed in PEER_MODES.items():
                if committed == "hashed" and quantised.program.weights > HASHED_MOST:
                    continue
                tried = [peer for settings in SWEEP[name] if (peer := _peer(model, rows, settings, committed))]
                if tried:
                    entry[mode] = min(tried, key=lambda peer: peer["prove_seconds"])
        found["models"][name] = entry
        for ratio, mode, theirs in (("ezkl_over_fixed", "public input", [*PEER_MODES][:1]),
                                    ("ezkl_over_fixed_and_committed_input", "committed input", [*PEER_MODES][:1]),
                                    ("ezkl_over_committed", "committed weights and input", [*PEER_MODES][1:])):
            taken = [entry[peer]["prove_seconds"] for peer in theirs if peer in entry]
            if taken:
                found[ratio][name] = min(taken) / entry[mode]["prove_seconds"]
        print(f"    {json.dumps(entry)}", file=sys.stderr)
    return found


if __name__ == "__main__":
    print(json.dumps(_one(*json.load(sys.stdin))))
