"""Deals read as ERC-8183 jobs through the contract ``Jobs`` (docs/reference/court.md, section 7). Reads alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from troth.core.terms import Account
from troth.ledger.court import Contract
from troth.ledger.evm import EvmBook
from troth.ledger.evmcodec import account_of
from troth.ledger.sending import Receipt, Sender

JobStatus = Literal["open", "funded", "submitted", "completed", "rejected", "expired"]
STATUSES: tuple[JobStatus, ...] = ("open", "funded", "submitted", "completed", "rejected", "expired")
_JOB = "(uint256,address,address,address,string,uint256,uint256,uint8,address)"


@dataclass(frozen=True, slots=True)
class Job:
    """What a marketplace sees. deal: its id, which as a number is the job's. expired_at: the deal's last possible
    close, Unix seconds; budget in the token's smallest unit; evaluator: the Book."""

    deal: bytes
    client: Account
    provider: Account
    evaluator: Account
    description: str
    budget: int
    expired_at: int
    status: JobStatus


class EvmJobs(Contract):
    """``Jobs`` at an address, over ``book``'s deals."""

    def __init__(self, book: EvmBook, address: Account, senders: Callable[[Account], Sender]) -> None:
        super().__init__(book.web3, address, senders, "Jobs")
        self._book = book

    def publish(self, by: Account, deal: bytes, pot: int) -> None:
        """Make a deal readable as a job whose reward is this pot. By anyone, once. Raises ActRefused."""
        self.send(by, "publish", ("bytes", "uint256"), (self._book.brought(deal)[0], pot))

    def follow(self, by: Account, deal: bytes) -> Receipt:
        """Emit what has become of it since the last time, and keep how it ended. By anyone. Raises ActRefused."""
        return self.send(by, "follow", ("bytes", "bytes"), self._book.brought(deal))

    def job(self, deal: bytes) -> Job:
        """The job. Raises ActRefused Unknown for a deal that was not published."""
        number, client, provider, evaluator, description, budget, expired_at, status, _ = self.read(
            "getJob", ("uint256",), (int.from_bytes(deal, "big"),), (_JOB,))
        return Job(number.to_bytes(32, "big"), account_of(client), account_of(provider), account_of(evaluator),
                   description, budget, expired_at, STATUSES[status])
