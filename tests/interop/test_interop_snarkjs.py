"""snarkjs on our circuits, and a ceremony with it, by the commands of docs/reference/ceremony.md."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from compute.small_programs import inputs, program
from troth.compute.circuits import iden3
from troth.compute.circuits.builder import Circuit
from troth.compute.circuits.model import COMMITTED, FIXED, LABEL, PUBLIC, SCORES, ModelCircuit, Modes
from troth.compute.provers import zkey
from troth.compute.provers.groth16 import Groth16, power_of
from troth.core.errors import Refuted
from troth.fixed.program import Affine, Program

ROOT = Path(__file__).parents[2]
CLI = ROOT / "tests" / "tools" / "node_modules" / "snarkjs" / "build" / "cli.cjs"
PAGE = ROOT / "docs" / "reference" / "ceremony.md"
PROVER = Groth16()


def snarkjs(folder: Path, *arguments: str) -> str:
    """What it prints. It fails the test where it fails."""
    assert CLI.exists(), "tests/tools/node_modules is missing: make interop"
    done = subprocess.run(["node", str(CLI), *arguments], cwd=folder, capture_output=True, text=True, timeout=300,
                          check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def statements() -> list[tuple[ModelCircuit, list[int]]]:
    """Circuits of every kind of step, with a witness each."""
    found = []
    for seed, modes in ((17, Modes(FIXED, PUBLIC, SCORES)), (23, Modes(COMMITTED, COMMITTED, LABEL)),
                        (40, Modes(FIXED, COMMITTED, LABEL)), (41, Modes(COMMITTED, PUBLIC, SCORES))):
        rng = np.random.default_rng(seed)
        made = ModelCircuit(program(rng), modes)
        found.append((made, made.witness(inputs(made.program, rng, 2)[0], 99, row_salt=5, weights_salt=6)))
    return found


def written(folder: Path, circuit: Circuit, witness: list[int]) -> None:
    (folder / "circuit.r1cs").write_bytes(iden3.r1cs(circuit))
    (folder / "witness.wtns").write_bytes(iden3.wtns(witness))


@pytest.mark.parametrize("place", range(4))
def test_it_reads_our_systems_and_agrees_on_witnesses(tmp_path: Path, place: int) -> None:
    made, witness = statements()[place]
    circuit = made.circuit
    written(tmp_path, circuit, witness)
    said = snarkjs(tmp_path, "r1cs", "info", "circuit.r1cs")
    assert f"# of Constraints: {circuit.constraints}" in said
    assert f"# of Public Inputs: {len(circuit.publics)}" in said
    assert f"# of Wires: {circuit.wires}" in said
    assert "WITNESS IS CORRECT" in snarkjs(tmp_path, "wtns", "check", "circuit.r1cs", "witness.wtns")
    # Wherever we say that a changed witness breaks a constraint, so does it.
    changed = list(witness)
    changed[len(witness) // 2] += 1
    with pytest.raises(Refuted):
        circuit.check(changed)
    (tmp_path / "witness.wtns").write_bytes(iden3.wtns(changed))
    done = subprocess.run(["node", str(CLI), "wtns", "check", "circuit.r1cs", "witness.wtns"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=300, check=False)
    assert "WITNESS IS CORRECT" not in done.stdout


def test_it_proves_with_our_dev_keys_and_verifies_our_proofs(tmp_path: Path) -> None:
    made, witness = statements()[0]
    written(tmp_path, made.circuit, witness)
    keys = PROVER.setup(made.circuit)
    (tmp_path / "final.zkey").write_bytes(zkey.write(keys, made.circuit))
    both_ways(tmp_path, made.circuit, witness, keys)


def test_the_ceremony_on_the_page(tmp_path: Path) -> None:
    """Every command of the page, in its order, with powers of tau as small as the circuit; then its keys prove, both
    ways."""
    model = Program(np.full(3, -8), np.full(3, 7), (Affine(0, np.array([[3, -1, 2]]), np.array([5])),), "sign")
    made = ModelCircuit(model, Modes(FIXED, PUBLIC, LABEL))
    witness = made.witness([1, -8, 7], 99)
    written(tmp_path, made.circuit, witness)
    commands = re.findall(r"^    snarkjs (.+)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        arguments = [str(power_of(made.circuit)) if part == "13" else part for part in shlex.split(command)]
        entropy = ["-e=for the test alone"] if "contribute" in arguments else []
        said = snarkjs(tmp_path, *arguments, *entropy)
        if arguments[:2] == ["zkey", "verify"]:
            assert "ZKey Ok!" in said
    keys = zkey.read((tmp_path / "final.zkey").read_bytes(), made.circuit)
    assert re.fullmatch(r"ceremony [0-9a-f]{64} of 3", keys.origin)
    both_ways(tmp_path, made.circuit, witness, keys)


def both_ways(folder: Path, circuit: Circuit, witness: list[int], keys: zkey.Keys) -> None:
    publics = circuit.public_values(witness)
    snarkjs(folder, "groth16", "prove", "final.zkey", "witness.wtns", "proof.json", "public.json")
    assert tuple(int(text) for text in json.loads((folder / "public.json").read_text())) == publics
    theirs = json.loads((folder / "proof.json").read_text())
    a, b, c = theirs["pi_a"], theirs["pi_b"], theirs["pi_c"]
    numbers = [a[0], a[1], b[0][1], b[0][0], b[1][1], b[1][0], c[0], c[1]]
    PROVER.verify(keys.verifying, b"".join(int(text).to_bytes(32, "big") for text in numbers), publics)
    ours = PROVER.prove(keys, circuit, witness)
    x = [str(int.from_bytes(ours[at:at + 32], "big")) for at in range(0, 256, 32)]
    (folder / "ours.json").write_text(json.dumps({
        "protocol": "groth16", "curve": "bn128", "pi_a": [x[0], x[1], "1"],
        "pi_b": [[x[3], x[2]], [x[5], x[4]], ["1", "0"]], "pi_c": [x[6], x[7], "1"]}))
    snarkjs(folder, "zkey", "export", "verificationkey", "final.zkey", "key.json")
    assert "OK!" in snarkjs(folder, "groth16", "verify", "key.json", "public.json", "ours.json")
