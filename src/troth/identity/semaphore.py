"""Personhood by Semaphore v4: its npm packages, run by Node as a program of their own, offline.

The packages are the user's to install (some are under the GPL, and none is part of Troth)::

    npm install @semaphore-protocol/identity@4 @semaphore-protocol/group@4 @semaphore-protocol/proof@4 \\
        @zk-kit/semaphore-artifacts@4

and the folder is named by the setting ``[personhood] packages``. Secrets go over standard input, never on a command
line or into the environment. What a proof shows rests on the circuit and on its trusted setup (one for each depth, by
those who made the artifacts): whoever knew a setup's secret could forge proofs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.core.ports import Personhood, PersonProof

PACKAGES = ("@semaphore-protocol/identity", "@semaphore-protocol/group", "@semaphore-protocol/proof",
            "@zk-kit/semaphore-artifacts")
PATIENCE = 300.0
"""Seconds for one run; a proof of depth 20 takes some ten."""
PRIME = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Commitments, roots and nullifiers are below it (the scalar field of BN254)."""
_ERROR = re.compile(r"\b[A-Z][A-Za-z]*Error\b")
_SCRIPT = Path(__file__).with_name("semaphore.mjs")
_BASE = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Coordinates of points are below it."""


class Semaphore(Personhood):
    """Semaphore with the packages in ``folder``/node_modules. Raises OutsideFailed where they are not."""

    def __init__(self, folder: Path, node: str = "node") -> None:
        missing = [name for name in PACKAGES if not (folder / "node_modules" / name / "package.json").is_file()]
        if missing:
            raise OutsideFailed("Semaphore is not installed", expected=f"{missing[0]} in {folder}/node_modules",
                                do=f"There: npm install {' '.join(f'{name}@4' for name in PACKAGES)}; then set "
                                   "[personhood] packages to the folder.")
        self._folder, self._node = folder, node

    def commitment(self, secret: bytes) -> int:
        return _value(self._run({"act": "commitment", "secret": _secret(secret)}))

    def root(self, members: Sequence[int]) -> int:
        return _value(self._run({"act": "root", "members": _members(members)}))

    def prove(self, secret: bytes, members: Sequence[int], scope: int, message: int) -> PersonProof:
        """By Semaphore's program.

        Raises Misuse for who is not in the group, OutsideFailed where it proves something else.
        """
        found = self._run({"act": "prove", "secret": _secret(secret), "members": _members(members),
                           "scope": str(scope), "message": str(message)})
        if found is None:
            raise Misuse("this person is not in the group", do="Have the admitter admit it and name the group again.")
        proof = PersonProof(int(found["merkleTreeDepth"]), _value(found["merkleTreeRoot"]), _value(found["nullifier"]),
                            message, scope, tuple(int(one) for one in found["points"]))
        if (found["message"], found["scope"]) != (str(message), str(scope)):
            raise OutsideFailed("Semaphore proved something else", actual=found["scope"])
        return proof

    def holds(self, proofs: Sequence[PersonProof]) -> tuple[bool, ...]:
        """Which proofs hold, by Semaphore's program; one that is spelled otherwise than it would be is none."""
        # Numbers beyond their field would be other spellings of the same proof or nullifier: a second act.
        spelled = [max(proof.root, proof.nullifier) < PRIME and all(one < _BASE for one in proof.points)
                   and len(proof.points) == 8 and 1 <= proof.depth <= 32 for proof in proofs]
        asked = [{"merkleTreeDepth": proof.depth, "merkleTreeRoot": str(proof.root), "nullifier": str(proof.nullifier),
                  "message": str(proof.message), "scope": str(proof.scope),
                  "points": [str(one) for one in proof.points]}
                 for proof, right in zip(proofs, spelled, strict=True) if right]
        found = iter(self._run({"act": "holds", "proofs": asked}) if asked else ())
        return tuple(right and next(found) is True for right in spelled)

    def _run(self, asked: dict[str, Any]) -> Any:
        """What the script answers. Raises OutsideFailed; its errors never hold what it was asked."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
        try:
            done = subprocess.run([self._node, str(_SCRIPT)], input=json.dumps(asked), cwd=self._folder, env=kept,
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
        except FileNotFoundError:
            raise OutsideFailed("Node is not installed", expected=self._node, do="Install Node 20 or newer.") from None
        except subprocess.TimeoutExpired:
            raise OutsideFailed("Semaphore does not answer in time", expected=f"{PATIENCE:g} s") from None
        try:
            if done.returncode == 0:
                return json.loads(done.stdout)
        except json.JSONDecodeError:
            pass
        # The error's class alone: its text may repeat what was asked, a secret among it.
        named = _ERROR.findall(done.stderr)
        raise OutsideFailed("Semaphore failed", actual=named[-1] if named else f"exit status {done.returncode}",
                            do="Are the packages whole? Install them again.")


def _secret(secret: bytes) -> str:
    if len(secret) != 32:
        raise Misuse("not a person's secret", expected="32 bytes", actual=len(secret))
    return secret.hex()


def _members(members: Sequence[int]) -> list[str]:
    if not members or len(set(members)) != len(members) or not all(0 < one < PRIME for one in members):
        raise BadInput("not a group", expected="distinct commitments, at least one", actual=len(members))
    return [str(one) for one in members]


def _value(text: str) -> int:
    found = int(text)
    if not 0 < found < PRIME:
        raise OutsideFailed("Semaphore answers with no number of its field", actual=text[:80])
    return found
