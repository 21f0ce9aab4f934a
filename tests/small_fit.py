"""Proofs that a sale's key fits, without SHA-256: hundreds of constraints, not 175,000, with real keys and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from troth.compute.circuits.builder import Builder, Lin
from troth.compute.circuits.poseidon import poseidon_lin
from troth.compute.provers.groth16 import Groth16
from troth.compute.statements.keyfit import _LOCKED, KeyUnderLock
from troth.flows.sale_fit import Fitting


@dataclass(frozen=True)
class Small(KeyUnderLock):
    """The same publics and secrets; what it leaves out, ``test_statement_keyfit.py`` tests."""

    name: ClassVar[str] = "small-fit"

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        halves, secret = builder.private("key", 2), builder.private("secret", 2)
        for at, handed in enumerate(publics[-2:]):
            builder.equal(halves[at] + poseidon_lin(builder, [Lin.of(_LOCKED), *secret, Lin.of(at)]), handed)


def small() -> Fitting:
    """A seller's, with keys made now."""
    statement, prover = Small(), Groth16()
    keys = prover.setup(statement.circuit)
    return Fitting(keys.verifying, prover, keys, prover.verify, statement)
