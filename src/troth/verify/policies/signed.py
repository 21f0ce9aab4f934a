"""Signed(k): k of n named signers signed the same result over the evidence before them. Twin of contracts' ``Signed``.

Signatures are submitted as claims, so that whoever calls ``judge`` cannot choose which of them count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.terms import NO_PARAM, Account, Rung
from troth.core.typed_data import verdict_digest
from troth.identity.keys import recover_account
from troth.verify.policies.voices import VERDICT, elect, evidence_root, majority, read, read_result, submissions

ContractSigns = Callable[[Account, bytes, bytes], bool]
"""(account, digest, signature) -> whether a contract account accepts the signature (ERC-1271)."""


def no_contracts(account: Account, digest: bytes, signature: bytes) -> bool:
    """Nobody is a contract account."""
    return False


@dataclass(frozen=True, slots=True)
class Signed:
    """``k`` signers must agree, more than half of those named. chain_id, book: the Book this policy answers to."""

    k: int
    chain_id: int
    book: Account
    contract_signs: ContractSigns = no_contracts

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *verdict*, of n < 2k signers, k ≤ n, one slot each; no parameter."""
        return rung.asks[-1].kind == "verdict" and majority(rung, self.k) and rung.param == NO_PARAM

    def tick(self) -> int:
        """Values differ if they differ at all."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """The result k signers share, or None. A signature that had expired at the freeze is no voice."""
        last = len(question.terms.asks) - 1
        evidence = evidence_root(question, last)
        voices: dict[Account, bytes] = {}
        for account, submitted in submissions(question, last).items():
            opened = read(VERDICT, submitted.data)
            if opened is None:
                continue
            result, expiry, signature = opened
            assert isinstance(result, bytes)
            assert isinstance(expiry, int)
            assert isinstance(signature, bytes)
            digest = verdict_digest(self.chain_id, self.book, question.deal, question.rung, evidence, result, expiry)
            if expiry < question.frozen_at:
                continue
            if recover_account(digest, signature) == account or self.contract_signs(account, digest, signature):
                voices[account] = result
        said = elect(voices, self.k)
        return said if said is not None and read_result(said) is not None else None
