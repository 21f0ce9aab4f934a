"""Quote(k): k of n named verifiers of hardware quotes say that the expected code gave this result. Twin of contracts'
``Quote``.

Nobody parses a quote on chain. The named verifiers do, off chain, and sign what they found; who checked is trusted for
that. A quote shows which code on which kind of machine gave a result, not that the result is true.
"""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.encoding import keccak256
from troth.core.terms import NO_PARAM, Account, Rung
from troth.core.typed_data import quote_digest
from troth.identity.keys import recover_account
from troth.verify.policies.signed import ContractSigns, no_contracts
from troth.verify.policies.voices import elect, majority, read, read_result, submissions

QUOTE = ("bytes", "bytes32", "uint64", "bytes")


def report_data(deal: bytes, rung: int, result: bytes) -> bytes:
    """What the hardware must sign over: the first 32 bytes of its report data, the others zero."""
    return keccak256(deal + rung.to_bytes(32, "big") + keccak256(result))


def quote_data(result: bytes, quote: bytes, expiry: int, signature: bytes) -> bytes:
    """What a verifier submits to *quote*. quote: the digest of the quote it checked. ``signature`` is over
    ``troth.core.typed_data.quote_digest``.
    """
    # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
    from eth_abi.abi import encode

    return encode(QUOTE, (result, quote, expiry, signature))


@dataclass(frozen=True, slots=True)
class Quote:
    """``k`` verifiers must agree, more than half of those named. chain_id, book: the Book this policy answers to."""

    k: int
    chain_id: int
    book: Account
    contract_signs: ContractSigns = no_contracts

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *quote*, of n < 2k verifiers, k ≤ n, one slot each; ``param`` the measurement."""
        return rung.asks[-1].kind == "quote" and majority(rung, self.k) and rung.param != NO_PARAM

    def tick(self) -> int:
        """Values differ if they differ at all."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """The result k verifiers found bound to this rung, or None. What had expired at the freeze is no voice."""
        last = len(question.terms.asks) - 1
        voices: dict[Account, bytes] = {}
        for account, submitted in submissions(question, last).items():
            opened = read(QUOTE, submitted.data)
            if opened is None:
                continue
            result, quote, expiry, signature = opened
            assert isinstance(result, bytes)
            assert isinstance(quote, bytes)
            assert isinstance(expiry, int)
            assert isinstance(signature, bytes)
            if expiry < question.frozen_at:
                continue
            digest = quote_digest(self.chain_id, self.book, (question.deal, question.rung), question.terms.param,
                                  report_data(question.deal, question.rung, result), quote, expiry)
            if recover_account(digest, signature) == account or self.contract_signs(account, digest, signature):
                voices[account] = result
        said = elect(voices, self.k)
        return said if said is not None and read_result(said) is not None else None
