"""Preimage: the secret behind a hash lock was revealed in time, or it was not. Twin of contracts' ``Preimage``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.errors import BadInput
from troth.core.terms import NO_PARAM, REFUTED, UPHELD, Result, Rung
from troth.verify.policies.voices import submissions

SECRET = 32
"""Bytes of a secret: exactly these, so that no chain takes a secret that another would find too long."""


def hash_lock(secret: bytes) -> bytes:
    """What a rung's ``param`` says of a secret: its SHA-256, which chains outside the Ethereum family check too.

    Raises BadInput for a secret of another size.
    """
    if len(secret) != SECRET:
        raise BadInput("not a secret for a hash lock", expected=f"{SECRET} bytes", actual=f"{len(secret)} bytes")
    return hashlib.sha256(secret).digest()


@dataclass(frozen=True, slots=True)
class Preimage:
    """One account is asked last and reveals the secret, or does not. It proves that, and not what the secret opens."""

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *preimage*, of exactly one account, one slot, and ``param`` is a hash lock."""
        last = rung.asks[-1]
        return (last.kind == "preimage" and last.slots == 1 and len(rung.bench) == 1
                and rung.param != NO_PARAM)

    def tick(self) -> int:
        """It gives no values."""
        return 0

    def judge(self, question: Question) -> bytes:
        """Upheld with the secret, refuted without: what was not revealed by the freeze never will have been."""
        last = len(question.terms.asks) - 1
        said = submissions(question, last).get(question.terms.bench[0])
        shown = (said is not None and len(said.data) == SECRET
                 and hash_lock(said.data) == question.terms.param)
        return Result(UPHELD if shown else REFUTED).to_bytes()
