"""A bank's model decides about a person; the reasons are computed exactly, put on record, and checked by an office.

    python examples/explain_a_decision.py [FOLDER]

Real records: scikit-learn's breast cancer data stand in for customers. Boosted trees are trained on half of them,
become integers without losing a label, and answer alike in NumPy and in WebAssembly. The office opens what was sealed
to it, runs the decision again, and computes each reason again; then the bank swaps two reasons, and is found out.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier

from troth.app import Settings, Troth
from troth.app.decisions import check, compared, reasons, record
from troth.compute.decisions import EXPLANATION, ExplanationClaim, Reasons, subjects
from troth.compute.models import ints, quantise
from troth.compute.models.sklearn import of_sklearn
from troth.compute.wasm_run import Module
from troth.core.claims import Ref
from troth.core.errors import Refuted
from troth.fixed.program import Program


def program_of(rows: np.ndarray, labels: np.ndarray, names: list[str]) -> Program:
    """Train on half of the rows, quantise on a quarter, check on the last."""
    half, three = len(rows) // 2, len(rows) * 3 // 4
    trees = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(rows[:half], labels[:half])
    model = of_sklearn(trees).named(features=names, classes=("malignant", "benign"))
    found = quantise(model, rows[half:three], held_out=rows[three:], answers=trees.predict(rows[half:]),
                     truth=labels[half:])
    held = found.report.held_out
    print(f"{found.report.weights} integers; of {held.of} unseen rows {held.agreed} keep their label, "
          f"{held.refused} are out of range; price {found.report.price} bits")
    return found.program


def main(folder: Path) -> int:
    """0 if the office upholds the true record and refutes the changed one."""
    data = load_breast_cancer()
    order = np.random.default_rng(7).permutation(len(data.data))
    rows, labels = data.data[order], data.target[order]
    program = program_of(rows, labels, list(data.feature_names))
    others, row = compared(program, rows[:300]), ints(program, rows[400:401])[0]
    inputs = np.stack([row, *others])
    assert Module.of(program).run(inputs).tolist() == program.run(inputs).tolist()

    said = reasons(program, row, others)
    print(f"answer {said['label']}, score {said['score']:.3f}, of others on average {said['base']:.3f}")
    for one in said["shares"][:4]:
        print(f"  {one['share']:+.3f}  {one['feature']} = {one['value']:g}")

    exchange = str(folder / "exchange")
    with (Troth.init(folder / "bank", "an example", Settings("bank", "", exchange)) as bank,
          Troth.init(folder / "office", "an example", Settings("office", "", exchange)) as office):
        bank.meet(office.introduction())
        office.meet(bank.introduction())
        done = record(bank, program, row, others, to=[office.did])
        office.receive()
        for step in check(office, done.explanation):
            print(f"  {step['step']}: {step['finding']}")
        changed = liar(bank, done.explanation, office.did)
        office.receive()
        try:
            check(office, changed)
        except Refuted as error:
            print(f"the changed reasons: refuted, {error.message}")
            return 0
    return 1


def liar(bank: Troth, explanation: bytes, to: str) -> bytes:
    """Say again what was explained, with two reasons' shares swapped: they still add up."""
    statement = bank.statement(explanation)
    true = Reasons.from_bytes(bank.read(statement.evidence[0]))
    found = true.explanation
    first, second = sorted(range(len(found.values)), key=lambda place: -abs(found.values[place]))[:2]
    values = list(found.values)
    values[first], values[second] = values[second], values[first]
    said = found.json() | {"values": [str(value) for value in values]}
    false = Reasons(true.decision, true.background, type(found).read(said), true.salt)
    kept = bank.add(EXPLANATION, false.to_bytes(), [to])
    body = ExplanationClaim(false.digest, found.method, ExplanationClaim.of(statement).program).body()
    claim = bank.attest(EXPLANATION, subjects(EXPLANATION, false.digest), body, refs=[Ref("decision", true.decision)],
                        evidence=[kept])
    bank.send([to], [claim], [kept])
    return claim


if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as temporary:
        raise SystemExit(main(Path(temporary)))
