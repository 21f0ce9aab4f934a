"""What the log's tests share: signers, claims, logs."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from troth.core.claims import Envelope, Statement, Subject
from troth.identity.signers import attest
from troth.ledger import batches
from troth.ledger.batches import WholeBatch
from troth.ledger.checkpoints import NoteSigner, Verifier

VECTORS = Path(__file__).parents[1] / "vectors" / "tlog-tiles"
VECTOR_KEY = Verifier.from_vkey(
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
ORIGIN = "example.org/log"
LOG_SIGNER = NoteSigner(ORIGIN, b"\x01" * 32)


class OneKey:
    """A plain Ed25519 signer with any name."""

    def __init__(self, name: str, seed: bytes = b"\x02" * 32) -> None:
        self.did = f"did:example:{name}"
        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, message: bytes) -> tuple[tuple[str, bytes], ...]:
        return ((f"{self.did}#key", self._private.sign(message)),)


SITE = OneKey("site")


def statement(n: int, signer: OneKey = SITE, text: str = "") -> Statement:
    return Statement("note", signer.did, n, (Subject("thing", {"sha256": f"{n:064x}"}),), {"n": n, "text": text})


def claim(n: int, signer: OneKey = SITE, text: str = "") -> Envelope:
    return attest(statement(n, signer, text), signer)


def batch(start: int, count: int, signer: OneKey = SITE) -> WholeBatch:
    return batches.build([statement(n, signer) for n in range(start, start + count)], signer, 7)
