"""Proof: the account that is asked proved its answer in zero knowledge, or it did not. Twin of contracts' ``Proof``.

One policy serves every circuit. The rung's param names a verifying key and the publics that the deal fixes beforehand;
the answer brings the others, and the proof. The first public is never anybody's to choose: it is made of chain, Book,
deal, rung and account, so that a proof is worth nothing in another place. The claim that is submitted is not in it,
since that claim names the proof.

Upheld, it shows that the account knew values that fill the circuit with these publics. What the circuit means, whether
its setup's secrets were destroyed, and whether the answer is of use, it does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Refuted
from troth.core.terms import NO_PARAM, REFUTED, UPHELD, Account, Result, Rung
from troth.ledger.kept import kept_name
from troth.verify import groth16
from troth.verify.groth16 import ORDER, PROOF_BYTES, VerifyingKey
from troth.verify.policies.voices import submissions

ASK = "answer"
_CONTEXT = keccak256(b"Troth proven answer in a deal, version 1")
_HEAD = 64
"""Bytes before the proof: the key's name and how many publics the deal fixed."""
_PUBLICS = _HEAD + PROOF_BYTES

Keys = Callable[[bytes], VerifyingKey | None]
"""A key's name on the chain -> the key, or None where nobody published it."""


def key_name(key: VerifyingKey) -> bytes:
    """What a key is called on every chain (``troth.ledger.kept``)."""
    return kept_name(key.data)


def answer_context(chain_id: int, book: Account, deal: bytes, rung: int, account: Account) -> int:
    """The first public of a proof for this rung of a deal by this account: 248 bits."""
    words = (chain_id.to_bytes(32, "big"), book.rjust(32, b"\0"), deal, rung.to_bytes(32, "big"),
             account.rjust(32, b"\0"))
    return int.from_bytes(keccak256(_CONTEXT + b"".join(words))[:31], "big")


def proof_param(name: bytes, fixed: Sequence[int]) -> bytes:
    """The param of a rung that asks for a proof under this key. fixed: the publics after the first that the deal fixes,
    such as the commitments of model and input. Raises BadInput for one out of the field."""
    return keccak256(name + len(fixed).to_bytes(32, "big") + _words(fixed))


def answer_data(name: bytes, proof: groth16.Proof, fixed: Sequence[int], answer: Sequence[int]) -> bytes:
    """What an account submits to *answer*: the proof, and every public but the first. Raises BadInput as above."""
    return name + len(fixed).to_bytes(32, "big") + proof.data + _words((*fixed, *answer))


def read_answer(data: bytes) -> tuple[int, ...] | None:
    """The publics that an answer brought and the deal had not fixed, or None for bytes that are no answer."""
    words = len(data) - _PUBLICS
    given = int.from_bytes(data[32:_HEAD], "big")
    if words < 0 or words % 32 or given > words // 32:
        return None
    return _numbers(data[_PUBLICS + 32 * given :])


def _words(values: Sequence[int]) -> bytes:
    for value in values:
        if not 0 <= value < ORDER:
            raise BadInput("a public is out of the field", expected=f"0 to {ORDER - 1}", actual=value)
    return b"".join(value.to_bytes(32, "big") for value in values)


def _numbers(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32))


@dataclass(frozen=True, slots=True)
class Proof:
    """keys: the keys published on that chain. chain_id, book: the Book this policy answers to."""

    keys: Keys
    chain_id: int
    book: Account

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *answer*, of exactly one account, one slot, and there is a param."""
        last = rung.asks[-1]
        return last.kind == ASK and last.slots == 1 and len(rung.bench) == 1 and rung.param != NO_PARAM

    def tick(self) -> int:
        """It gives no values."""
        return 0

    def judge(self, question: Question) -> bytes:
        """Upheld with a proof that fits; refuted without, whatever was brought instead: silence, bytes that are no
        proof, a proof of another statement, for another place, or under another key."""
        last = len(question.terms.asks) - 1
        account = question.terms.bench[0]
        said = submissions(question, last).get(account)
        first = answer_context(self.chain_id, self.book, question.deal, question.rung, account)
        proven = said is not None and self._proves(question.terms.param, first, said.data)
        return Result(UPHELD if proven else REFUTED).to_bytes()

    def _proves(self, param: bytes, first: int, data: bytes) -> bool:
        if read_answer(data) is None:
            return False
        given = int.from_bytes(data[32:_HEAD], "big")
        if keccak256(data[:_HEAD] + data[_PUBLICS : _PUBLICS + 32 * given]) != param:
            return False
        key = self.keys(data[:32])
        if key is None:
            return False
        try:
            groth16.verify(key, groth16.Proof(data[_HEAD:_PUBLICS]), (first, *_numbers(data[_PUBLICS:])))
        except (BadInput, Refuted):
            return False
        return True
