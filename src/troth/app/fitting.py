"""Proofs that keys of sales fit (`flows.sale_fit`): the keys to prove and to check by, and what they cost.

A folder of keys is one market's, for every sale of everybody there: whoever believes its setup copies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from troth.app.proving import Estimate
from troth.app.stating import NoSetup, checker, keys_of, verifying_keys
from troth.compute.provers.cache import KeyCache
from troth.compute.provers.port import Keys
from troth.compute.statements.keyfit import KeyUnderLock
from troth.core.errors import Undecidable
from troth.flows.sale_fit import Fitting

CONSTRAINTS = 175_000


def estimate() -> Estimate:
    """What a proof that a key fits would cost, said before anything is made: setup once, proof a handover."""
    return Estimate.of_constraints(CONSTRAINTS)


def make(folder: Path | str, ceremonies: Sequence[bytes] = ()) -> Keys:
    """The keys, in a folder for sellers and buyers: of a ceremony's .zkey file, or made here, by one party.

    That party can forge proofs under them: let it be the buyer, never the seller. Takes what `estimate` says. Raises
    BadInput for a file of another circuit.
    """
    (made,) = keys_of([KeyUnderLock()], folder, ceremonies)
    return made


def for_buyer(folder: Path | str) -> Fitting:
    """What checks, by the folder's verifying key. Raises Undecidable where there is none."""
    return Fitting(verifying_keys(folder)(KeyUnderLock()), check_with=checker())


def for_seller(folder: Path | str) -> Fitting:
    """What proves too, by the folder's keys. Raises Undecidable without any: a seller makes none of its own."""
    prover = NoSetup()
    found = for_buyer(folder)
    return replace(found, prover=prover, keys=KeyCache(Path(folder)).keys(prover, found.statement.circuit))


def of_folder(folder: Path | str) -> Fitting:
    """What proves and checks by the folder's keys; only checks where it holds the verifying key alone. Raises
    Undecidable where there is none."""
    try:
        return for_seller(folder)
    except Undecidable:
        return for_buyer(folder)
