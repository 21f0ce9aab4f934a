"""Proving a model's answer: five small models, by our prover and by ezkl where it is installed, in one run.

ezkl has no licence; it is measured in an environment of its own, made for the measurement alone
(``python -m venv build/ezkl-venv && build/ezkl-venv/bin/pip install ezkl==23.0.5 onnx``), each model at the settings
that ``python -m benchmarks.ezkl_sweep`` found quickest and wrote to docs/data/ezkl.json. Both sides keep the model's
own labels on the same records, which neither training nor calibration saw.

Like is set against like: a public input against a public input, and an input or weights that the proof binds against
each of ezkl's two ways to bind them. Seconds are the processor's, on one core, both sides in turn, and have the same
bounds on both: ``witness_seconds``; ``prove_seconds``, the proof alone (ours checks every constraint in it; ezkl's
reads the key from its file, which ours does in ``key_read_seconds``); ``verify_seconds``; ``whole_seconds`` are the
three together, from an input to a verified proof. Both ratios are given: ``ezkl_over_…`` of the proof alone,
``ezkl_over_…_whole`` of everything. Each measurement has a process of its own, so that the memory is its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import median_seconds
from troth.compute.circuits.model import COMMITTED, FIXED, PUBLIC, SCORES, ModelCircuit, Modes
from troth.compute.models import Aim, Quantised, Real, ints, quantise, real
from troth.compute.models.sklearn import of_sklearn
from troth.compute.provers import zkey
from troth.compute.provers.groth16 import Groth16
from troth.fixed.program import Program

ROOT = Path(__file__).parents[1]
PEER = ROOT / "benchmarks" / "peers" / "ezkl_peer.py"
PEER_PYTHON = ROOT / "build" / "ezkl-venv" / "bin" / "python"
FOUND = ROOT / "docs" / "data" / "ezkl.json"
"""What the sweep found."""
MODES = {"public input": Modes(FIXED, PUBLIC, SCORES), "committed input": Modes(FIXED, COMMITTED, SCORES),
         "committed weights and input": Modes(COMMITTED, COMMITTED, SCORES)}
RATIOS = {"public input": "ezkl_over_fixed", "committed input": "ezkl_over_fixed_and_committed_input",
          "committed weights and input": "ezkl_over_committed"}
"""Against ezkl's quicker way; its other way stands with the models."""
PEER_MODES = {"public input": {"public": ("public", "fixed")},
              "committed input": {"hashed": ("hashed", "fixed"), "polycommit": ("polycommit", "fixed")},
              "committed weights and input": {"hashed": ("hashed", "hashed"),
                                              "polycommit": ("polycommit", "polycommit")}}
"""ezkl's (input, parameters) visibilities that say the same as ours."""
HASHED_MOST = 100
"""Parameters: a network of 4,000 hashed by ezkl was not done in 400 seconds."""
PATIENCE = 1800.0
"""Seconds for one of ezkl's, setup and all."""
ONCE = 60.0
"""One that takes longer, setup and all, is not measured again."""
AIM = Aim()


@dataclass(frozen=True, slots=True)
class Case:
    """A model in real numbers, the records to calibrate on, and records that neither saw."""

    model: Real
    calibration: np.ndarray[Any, Any]
    unseen: np.ndarray[Any, Any]

    @property
    def wanted(self) -> list[int]:
        """The model's own labels of the unseen records."""
        return [int(label) for label in self.model.labels(self.model.run(self.unseen))]

    @property
    def most_missed(self) -> int:
        """How many of these may be another's: what our quantiser allows itself, of whole records."""
        return -(-(1_000_000 - AIM.target) * len(self.unseen) // 1_000_000)

    def ours(self, committed: bool = False) -> Quantised:
        """Our program. committed: for weights that are proven unseen."""
        return quantise(self.model, self.calibration, held_out=self.unseen, aim=replace(AIM, committed=committed))


def models(quick: bool) -> Iterator[tuple[str, Case]]:
    """The models by name: each trained on a third of its records, calibrated on another."""
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    rows, answers = load_breast_cancer(return_X_y=True)
    rows = StandardScaler().fit_transform(rows)
    trained, taught = rows[::3], answers[::3]

    def case(model: Real) -> Case:
        return Case(model, rows[1::3], rows[2::3])

    yield "logistic regression", case(of_sklearn(LogisticRegression().fit(trained, taught)))
    if quick:
        return
    perceptron = MLPClassifier((64, 32), max_iter=120, random_state=0).fit(trained, taught)
    # Two scores, as the network of the reference measurements had: the one score and nothing against it.
    nodes = list(of_sklearn(perceptron).nodes)
    last = nodes[-1]
    nodes[-1] = real.Affine(last.source, np.vstack([-last.weights / 2, last.weights / 2]),
                            np.concatenate([-last.bias / 2, last.bias / 2]))
    yield "mlp 30-64-32-2", case(Real(rows.shape[1], tuple(nodes), "largest"))
    yield "tree depth 4", case(of_sklearn(DecisionTreeClassifier(max_depth=4, random_state=0).fit(trained, taught)))
    yield "boosted trees 20 x 3", case(of_sklearn(GradientBoostingClassifier(
        n_estimators=20, max_depth=3, random_state=0).fit(trained, taught)))
    if importlib.util.find_spec("torch"):
        images, digits = load_digits(return_X_y=True)
        images = images / 16
        # Fewer unseen records: a witness of ezkl's takes a tenth of a second.
        yield "cnn on digits", Case(_network(images[::3], digits[::3]), images[1::3], images[2::12])


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


def _one(data: str, row: list[int], name: str, seconds: float) -> dict[str, float]:
    """One model in one mode: medians of 3 to 21 proofs, as many as fit these seconds."""
    made, prover = ModelCircuit(Program.from_bytes(data.encode()), MODES[name]), Groth16()
    start = time.process_time()
    circuit = made.circuit
    built = time.process_time()
    keys = prover.setup(circuit)
    building, setup = built - start, time.process_time() - built
    witness = made.witness(row, 7, row_salt=11, weights_salt=13)
    start, clock = time.process_time(), time.process_time
    proof, publics = prover.prove(keys, circuit, witness), circuit.public_values(witness)   # its own verification too
    repeats = max(3, min(21, int(seconds / (clock() - start))))
    parts = {"witness_seconds": median_seconds(lambda: made.witness(row, 7, row_salt=11, weights_salt=13), repeats,
                                               clock),
             "prove_seconds": median_seconds(lambda: _Alone().prove(keys, circuit, witness), repeats, clock),
             "verify_seconds": median_seconds(lambda: prover.verify(keys.verifying, proof, publics), repeats, clock)}
    peak, kept = _peak(), zkey.write(keys, circuit)
    return {"constraints": circuit.constraints, "build_seconds": building, "setup_seconds": setup,
            **parts, "whole_seconds": sum(parts.values()), "publics": len(publics), "proof_bytes": len(proof),
            "key_read_seconds": median_seconds(lambda: zkey.read(kept, circuit, ours=True), 1, clock),
            "key_mb": len(kept) / 1e6, "peak_mb": peak}


class _Alone(Groth16):
    """Our prover without the verification of its own proof, which is timed apart."""

    def verify(self, verifying: bytes, proof: bytes, publics: Sequence[int]) -> None:
        """Not done."""


def _peak() -> float:
    """Of this process, not of the one that started it, as getrusage has it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def ours(program: Program, row: list[int], mode: str, seconds: float) -> dict[str, float]:
    """Our figures for one model in one mode, by a process of its own."""
    given = json.dumps([program.to_bytes().decode(), row, mode, seconds])
    done = subprocess.run([sys.executable, "-m", "benchmarks.proofs"], input=given, capture_output=True, text=True,
                          cwd=ROOT, check=True)
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


def peer(verb: str, case: Case, settings: Sequence[dict[str, Any]], visibility: Sequence[str],
         patience: float = PATIENCE, count: int | None = None) -> list[dict[str, Any]]:
    """What ezkl does with each setting, on one thread; fewer lines than settings where it dies or takes too long. The
    verifier's source and its call stand in ``solidity`` and ``call`` after a proof. count: how many unseen records to
    look at; all by default."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"nodes": [_said(node) for node in case.model.nodes], "inputs": case.model.inputs,
                 "calibration": case.calibration[:20].tolist(), "unseen": case.unseen.tolist(), "wanted": case.wanted,
                 "most_missed": case.most_missed, "settings": list(settings), "modes": list(visibility),
                 "count": len(case.unseen) if count is None else count}
        log, found = Path(folder) / "out", []
        with log.open("w") as out:
            try:
                subprocess.run([PEER_PYTHON, PEER, folder, verb], input=json.dumps(given), stdout=out, text=True,
                               stderr=subprocess.DEVNULL, timeout=patience, check=False,
                               env=os.environ | {"RAYON_NUM_THREADS": "1", "HOME": folder})
            except subprocess.TimeoutExpired:
                print("    ezkl: out of time", file=sys.stderr)
        for line in log.read_text().splitlines():
            if line.startswith('{"settings"'):
                one = json.loads(line)
                if "prove_seconds" in one:
                    one["whole_seconds"] = one["witness_seconds"] + one["prove_seconds"] + one["verify_seconds"]
                found.append(one)
        if verb == "prove" and found and (Path(folder) / "call.bytes").exists():
            found[-1] |= {"solidity": (Path(folder) / "verifier.sol").read_text(),
                          "call": (Path(folder) / "call.bytes").read_bytes().hex()}
        return found


def gas_of(solidity: str, call: bytes) -> dict[str, int]:
    """Deploying a verifier and calling it once on the embedded chain, each in a transaction of its own."""
    # Imported here: a process that measures memory needs no chain.
    from troth.core.encoding import keccak256
    from troth.ledger.chains.clocks import ManualClock
    from troth.ledger.chains.embedded import EmbeddedChain
    from troth.ledger.sending import Sender

    told = subprocess.run(["node", str(PEER.with_name("compile.cjs")), str(ROOT)], input=solidity, capture_output=True,
                          text=True, check=True)
    with EmbeddedChain(None, clock=ManualClock(1_700_000_000)) as chain:
        sender = Sender(chain.web3, keccak256(b"a peer's verifier"))
        made = sender.deploy(bytes.fromhex(told.stdout.strip()))
        assert made.contract is not None
        return {"deploy_gas": made.gas_used, "verify_gas": sender.send(made.contract, call).gas_used}


def run(quick: bool = False, names: Sequence[str] = (), repeats: int = 3) -> dict[str, Any]:
    """Figures by model and mode, and how many times longer ezkl takes at its best, each pair measured in turn."""
    best = json.loads(FOUND.read_text("utf-8"))["best"] if FOUND.exists() and PEER_PYTHON.exists() and not quick else {}
    found: dict[str, Any] = {"models": {}} | {ratio + part: {} for ratio in RATIOS.values() for part in ("", "_whole")}
    for name, case in models(quick):
        if names and name not in names:
            continue
        print(f"  {name}", file=sys.stderr)
        entry: dict[str, Any] = {}
        for mode, ratio in RATIOS.items():
            quantised = case.ours(MODES[mode].weights == COMMITTED)
            row, kept = ints(quantised.program, case.unseen[:1])[0].tolist(), quantised.report.held_out
            entry[mode], theirs = _in_turn(quantised.program, row, mode, case, best.get(name, {}).get(mode, {}),
                                           1 if quick else repeats)
            entry[mode] |= {"parameters": quantised.program.weights, "unseen": kept.of, "labels_kept": kept.agreed}
            for way, figures in theirs.items():
                entry[f"ezkl, {mode}, {way}"] = figures
                print(compared(name, mode, way, entry[mode], figures), file=sys.stderr)
            for part, figure in (("", "prove_seconds"), ("_whole", "whole_seconds")):
                if theirs:
                    found[ratio + part][name] = min(one[figure] for one in theirs.values()) / entry[mode][figure]
        found["models"][name] = entry
        print(f"    {json.dumps(entry)}", file=sys.stderr)
    return found


def compared(name: str, mode: str, way: str, mine: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    """A row: ours, ezkl's and their ratio, of the proof alone and from witness to verified proof."""
    pairs = [(mine[part], theirs[part], theirs[part] / mine[part]) for part in ("prove_seconds", "whole_seconds")]
    figures = [f"{value:.2g}" for pair in pairs for value in pair]
    return f"| {' | '.join([name, mode, way, *figures])} |"


def _in_turn(program: Program, row: list[int], mode: str, case: Case, best: dict[str, Any], repeats: int
             ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """(ours, ezkl's by its way to bind): medians of so many of each, one after the other. best: settings by way."""
    mine: list[dict[str, Any]] = []
    theirs: dict[str, list[dict[str, Any]]] = {way: [] for way in best}
    slow: set[str] = set()
    for _ in range(repeats):
        mine.append(ours(program, row, mode, 2.0 if repeats > 1 else 0.5))
        for way, settings in best.items():
            start = time.monotonic()
            if way not in slow:
                theirs[way] += peer("prove", case, [settings], PEER_MODES[mode][way])
            if time.monotonic() - start > ONCE:
                slow.add(way)

    def middle(held: list[dict[str, Any]]) -> dict[str, float]:
        return {figure: statistics.median(one[figure] for one in held) for figure, value in held[0].items()
                if isinstance(value, int | float)}
    whole = {way: held for way, held in theirs.items() if held and all("prove_seconds" in one for one in held)}
    return middle(mine), {way: middle(held) | gas_of(held[-1]["solidity"], bytes.fromhex(held[-1]["call"]))
                          for way, held in whole.items()}


if __name__ == "__main__":
    print(json.dumps(_one(*json.load(sys.stdin))))
