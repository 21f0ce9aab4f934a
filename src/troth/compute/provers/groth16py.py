"""Another prover behind the same port: groth16py (GPL-3.0), which its user installs. Faster on large circuits.

It reads our keys and witnesses as iden3's files and proves by them; setups and checks stay ours. It does not check
constraints itself, so they are checked first, and its proof is verified before it is given away.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from troth.compute.circuits.builder import Circuit
from troth.compute.circuits.iden3 import wtns
from troth.compute.provers import zkey
from troth.compute.provers.groth16 import Groth16, Proving
from troth.compute.provers.port import Keys
from troth.core.errors import Misuse, OutsideFailed

HINT = "pip install groth16py==0.2.0 (GPL-3.0: read its terms first)"


@cache
def _library() -> Any:
    try:
        import groth16py  # not a dependency: its licence is its user's choice
    except ImportError as error:
        raise Misuse("groth16py is not installed", do=HINT) from error
    return groth16py


class Groth16Py:
    """The prover of groth16py 0.2.0. Raises Misuse with how to get it where it is not installed."""

    name = "groth16py"

    def __init__(self) -> None:
        self._ours = Groth16()
        self._library = _library()
        self._imported: WeakKeyDictionary[Keys, Any] = WeakKeyDictionary()

    def setup(self, circuit: Circuit) -> Keys:
        """Ours."""
        return self._ours.setup(circuit)

    def prove(self, keys: Keys, circuit: Circuit, witness: Sequence[int]) -> bytes:
        """See `Prover.prove`. The witness passes through a file that only this user can read, removed at once."""
        if keys.circuit != circuit.digest:
            raise Misuse("keys of another circuit", expected=keys.circuit, actual=circuit.digest)
        key: Proving = keys.proving
        _ = key.blinds   # raises where it has none
        circuit.check(witness)
        with tempfile.TemporaryDirectory(prefix="troth-prove-") as folder:   # mode 0700
            if keys not in self._imported:
                path = self._written(folder, "key.zkey", zkey.write(keys, circuit))
                self._imported[keys] = self._called("import_zkey", path)[0]
            proof = bytes(self._called("prove_wtns", self._imported[keys],
                                       self._written(folder, "witness.wtns", wtns(witness))))
        self.verify(keys.verifying, proof, circuit.public_values(witness))
        return proof

    def verify(self, verifying: bytes, proof: bytes, publics: Sequence[int]) -> None:
        """Ours."""
        self._ours.verify(verifying, proof, publics)

    def _called(self, name: str, *arguments: Any) -> Any:
        library = self._library
        try:
            return getattr(library, name)(*arguments)
        except (library.EncodingError, library.SetupError, library.WitnessError) as error:
            raise OutsideFailed("groth16py failed", actual=error) from error

    @staticmethod
    def _written(folder: str, name: str, data: bytes) -> str:
        path = Path(folder) / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
        return str(path)
