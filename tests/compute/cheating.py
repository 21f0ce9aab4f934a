"""Provers that cheat, and circuits with constraints taken out, for the tests of soundness."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from troth.compute.circuits.builder import Circuit, Rows

Lie = Callable[[list[int]], Sequence[int]]


def without(circuit: Circuit, label: str) -> Circuit:
    """The circuit with the constraints of one label taken out."""
    kept = [row for row, said in enumerate(circuit.labels) if label not in said]
    assert len(kept) < circuit.constraints, f"nothing is labelled {label}: {sorted(set(circuit.labels))}"

    def cut(rows: Rows) -> Rows:
        return Rows(tuple(rows.wires[row] for row in kept), tuple(rows.coefficients[row] for row in kept))

    return replace(circuit, a=cut(circuit.a), b=cut(circuit.b), c=cut(circuit.c),
                   labels=tuple(circuit.labels[row] for row in kept))


def forged(circuit: Circuit, given: dict[str, Sequence[int] | int], label: str, number: int, lie: Lie) -> list[int]:
    """A witness of a prover that, at one hint of a label, fills in what ``lie`` makes of the honest values, and follows
    the rules from there on."""
    places = [place for place, op in enumerate(circuit.ops) if label in op.label and op.fills]
    assert places, f"no hint is labelled {label}: {sorted({op.label for op in circuit.ops})}"
    at = places[number]
    honest = circuit.ops[at].hint

    def told(*values: int) -> list[int]:
        return list(lie(list(honest(*values))))

    ops = (*circuit.ops[:at], circuit.ops[at]._replace(hint=told), *circuit.ops[at + 1:])
    return replace(circuit, ops=ops).witness(given)
