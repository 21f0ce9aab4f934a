"""Having the chain carry a payment out: once, whatever crashes, and seen even if somebody else was faster.

An authorization is public as soon as its transaction is: anybody can bring it to the token first. The money moves all
the same, so the merchant's own transaction then fails and the payment is still good; ``Erc3009.brought`` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from troth.agents.x402.till import payment_id
from troth.agents.x402.wire import Payment
from troth.core.errors import ActRefused, Refuted
from troth.ledger.erc3009 import ERRORS, Erc3009
from troth.ledger.outbox import Expired
from troth.ledger.sending import Sender, call


class Settler(Protocol):
    """Carries payments out, in x402's words a facilitator."""

    def check(self, payment: Payment, others: Callable[[], Sequence[tuple[bytes, int]]]) -> None:
        """Refuse, before anything is written, a payment that the chain would refuse now. Raises Refuted.

        others: (nonce, price) of the same payer's other payments under way, as of when it is called.
        """
        ...

    def settle(self, payment: Payment) -> bytes:
        """Have it carried out, once; the transaction's hash. Asked again, the same one.

        Raises Refuted where it was not carried out and cannot be any more, Pending and OutsideFailed where that is
        not known yet.
        """
        ...


@dataclass(frozen=True)
class ChainSettler:
    """Sends payments from this party's own account through its outbox. until: included, safe or finalized."""

    sender: Sender
    token: Erc3009
    until: str = "included"

    @cached_property
    def domain(self) -> bytes:
        """The separator that the token's authorizations are signed under."""
        return self.token.domain()

    def check(self, payment: Payment, others: Callable[[], Sequence[tuple[bytes, int]]]) -> None:
        """1. The payer signed it. 2. The token would carry it out now, or did. 3. The payer can pay all it presented:
        a transaction that fails costs the merchant its gas.
        """
        order = payment.order
        if order.signer(self.domain) != order.owner:
            raise Refuted("the payer did not sign this", actual="0x" + order.owner.hex())
        try:
            call(self.token.web3, self.token.address, order.data(), sender=self.sender.account, errors=ERRORS)
        except ActRefused:
            if self.token.brought(order) is None:
                raise
        else:
            # Read in this order: what is carried out meanwhile counts as money still there, and never as owed twice.
            held = self.token.balance(order.owner)
            owed = sum(price for nonce, price in others() if not self.token.used(order.owner, nonce))
            if held < owed + order.amount:
                raise Refuted("the payer holds less than its payments under way", expected=owed + order.amount,
                              actual=held)

    def settle(self, payment: Payment) -> bytes:
        """See ``Settler``."""
        order = payment.order
        try:
            return self.sender.send(self.token.address, order.data(), act=payment_id(payment), until=self.until,
                                    not_after=order.before).tx_hash
        except (ActRefused, Expired):
            found = self.token.brought(order)
            if found is None:
                raise
            return found
