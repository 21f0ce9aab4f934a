"""What a prover is to the rest, and what its keys are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from troth.compute.circuits.builder import Circuit
from troth.core.encoding import sha256

DEV = "dev"
"""The origin of keys that one party made alone: whoever ran that setup could have kept what forges proofs."""


@dataclass(frozen=True, eq=False)
class Keys:
    """What a setup leaves. circuit: the digest of the system it is for.

    proving: the prover's own form. verifying: alpha (64 bytes) | beta (128) | gamma (128) | delta (128) | one point of
    64 for the constant and each public input, in the encodings of EIP-197. origin: `DEV`, or of which ceremony.
    transcript: what shows whose circuit's the key is (`keycheck`), where its setup left it.
    """

    circuit: str
    verifying: bytes
    origin: str
    proving: Any = field(repr=False)
    transcript: bytes = b""

    @property
    def digest(self) -> str:
        """SHA-256 of the verifying key, as hexadecimal digits."""
        return sha256(self.verifying).hex()


class Prover(Protocol):
    """A backend. A proof is A (64 bytes) | B (128) | C (64), in the encodings of EIP-197."""

    name: str

    def setup(self, circuit: Circuit) -> Keys:
        """New keys, of origin `DEV`."""
        ...

    def prove(self, keys: Keys, circuit: Circuit, witness: Sequence[int]) -> bytes:
        """A proof, verified before it is given away.

        Raises Refuted for a witness that breaks a constraint, Misuse for keys of another circuit.
        """
        ...

    def verify(self, verifying: bytes, proof: bytes, publics: Sequence[int]) -> None:
        """Raises Refuted for a proof that does not hold, BadInput for what cannot be read or a public input that is not
        below the field's prime."""
        ...
