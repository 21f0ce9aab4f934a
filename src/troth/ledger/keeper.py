"""Keeping deals: judging and closing what is due, for the keeper's fee.

Anybody may judge a deal whose evidence is frozen, and close one whose last window is over (docs/reference/deals.md,
sections 5 and 8); a pot that pays the role ``keeper`` pays half to who judged last and half to who closed, or all of it
to who closed where nobody judged. Nobody has to: a keeper looks at what it would earn and cost, and leaves a loss.

What it earns is in the deal's token and what it costs in the chain's money, so a price has to be given to compare the
two. Without one only what costs nothing is no loss.

Two keepers at once: an act is run on the present state before it is sent, so the one that comes later is refused and
pays nothing. Only where both are sent for the same block does the later one pay for a revert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from troth.core import deals as rules
from troth.core.deals import Deal
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, OutsideFailed, TrothError
from troth.core.terms import ENTRY, RUNG, Account, DealState, Rung
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import RpcError, request
from troth.ledger.evm import GAS, EvmBook
from troth.ledger.evmcodec import decode

if TYPE_CHECKING:
    from web3 import Web3

_TICK = keccak256(b"tick()")[:4]
_JUDGE = keccak256(f"judge(bytes32,uint8,{RUNG},uint64,{ENTRY}[])".encode())[:4]
_OTHER = bytes(19) + b"\xff"
"""Some other keeper, to compare with: nobody's account, and no role's."""


@dataclass(frozen=True, slots=True)
class Due:
    """An act that is due. earns: of the deal's token, in its smallest unit, for a verdict once the deal is closed on
    it. gas: by the node's estimate. cost: wei, at the present price. gain: earns in wei less cost; None without a
    price.
    """

    deal: bytes
    act: Literal["judge", "close"]
    token: Account
    earns: int
    gas: int
    cost: int
    gain: Fraction | None

    @property
    def loss(self) -> bool:
        """Whether it would cost more than it is known to earn."""
        return self.cost > 0 if self.gain is None else self.gain < 0


@dataclass(frozen=True, slots=True)
class Done:
    """What a keeper did about what was due: done; left (a loss); refused (somebody was faster: nothing was paid);
    failed (note says why).
    """

    due: Due
    outcome: Literal["done", "left", "refused", "failed"]
    note: str = ""


class Keeper:
    """Keeps the deals of a Book for ``account``.

    worth: what one unit of a token is worth in wei; None where that is not known. now: the chain's time.
    """

    def __init__(self, book: EvmBook, account: Account, *, now: Callable[[], int],
                 worth: Callable[[Account], Fraction | None] = lambda token: None) -> None:
        self.book, self.account = book, account
        self._now, self._worth = now, worth

    def look(self, deals: Iterable[tuple[bytes, DealState]]) -> tuple[Due, ...]:
        """What is due of these deals. The rules say so first, then the contract: what it would refuse is not due.

        Raises OutsideFailed if the node fails.
        """
        now, price = self._now(), gas_price(self.book.web3)
        found = [self._due(Deal(deal, state.terms, deal, state.status, state.joined, state.rung, state.ask,
                                state.ask_start, state.history), now, price) for deal, state in deals]
        return tuple(one for one in found if one is not None)

    def keep(self, due: Iterable[Due], *, at_a_loss: bool = False) -> tuple[Done, ...]:
        """Do what is due and no loss (or all of it). One that fails does not stop the others."""
        return tuple(Done(one, "left") if one.loss and not at_a_loss else self._do(one) for one in due)

    def _do(self, one: Due) -> Done:
        try:
            if one.act == "judge":
                self.book.judge(self.account, one.deal)
            else:
                self.book.close(self.account, one.deal)
        except ActRefused as error:
            return Done(one, "refused", error.message)
        except TrothError as error:
            return Done(one, "failed", error.diagnostics())
        return Done(one, "done")

    def _due(self, deal: Deal, now: int, price: int) -> Due | None:
        act: Literal["judge", "close"]
        try:
            if deal.status == "running" and self._judged(deal, self.account, now) is not None:
                act, earns = "judge", self._earns_by_judging(deal, now)
            else:
                act, earns = "close", self._earns_by_closing(deal, now)
            gas = self.book.estimate(self.account, act, deal.id)
        except ActRefused:
            return None
        worth = self._worth(deal.terms.token)
        return Due(deal.id, act, deal.terms.token, earns, gas, gas * price,
                   None if worth is None else earns * worth - gas * price)

    # -- what it earns -----------------------------------------------------------------------------------------------

    def _judged(self, deal: Deal, by: Account, now: int) -> Deal | None:
        """The deal with the verdict that its policy gives now; None where none is to be had."""
        try:
            asked = rules.question(deal, now)
            return rules.record(deal, by, self._answer(asked), now)
        except ActRefused:
            return None

    def _answer(self, asked: rules.Question) -> bytes | None:
        from eth_abi.abi import encode  # takes 0.2 s to load

        history = [entry.abi() for entry in asked.history]
        data = _JUDGE + encode(["bytes32", "uint8", RUNG, "uint64", f"{ENTRY}[]"],
                               [asked.deal, asked.rung, asked.terms.abi(), asked.frozen_at, history])
        answer = self._said(asked.terms.policy, data)
        if answer is None:
            return None
        try:
            return bytes(decode(("bytes",), answer)[0])
        except OutsideFailed:
            return None

    def _said(self, policy: Account, data: bytes) -> bytes | None:
        """What a policy answers; None where it fails. Anybody opens deals with policies of their own, which may fail in
        any way: that is no verdict, and must not keep the other deals waiting.
        """
        fields = {"from": "0x" + self.book.address.hex(), "to": "0x" + policy.hex(), "data": "0x" + data.hex(),
                  "gas": hex(GAS)}
        try:
            return hex_bytes(request(self.book.web3, "eth_call", fields, "latest"))
        except RpcError:
            return None

    def _earns_by_judging(self, deal: Deal, now: int) -> int:
        """What this verdict adds for its giver, if the deal ends with it and another closes it."""
        mine, others = self._judged(deal, self.account, now), self._judged(deal, _OTHER, now)
        if mine is None or others is None:
            return 0
        end = now + deal.terms.rungs[deal.rung].window
        return self._paid(mine, _OTHER, end) - self._paid(others, _OTHER, end)

    def _earns_by_closing(self, deal: Deal, now: int) -> int:
        return self._paid(deal, self.account, now) - self._paid(deal, _OTHER, now)

    def _paid(self, deal: Deal, closer: Account, now: int) -> int:
        """What a close pays this account. Raises ActRefused where it is not due."""
        _, credits = rules.close(deal, closer, now, lambda rung: self._tick(deal.terms.rungs[rung]))
        return sum(credit.amount for credit in credits if credit.account == self.account)

    def _tick(self, rung: Rung) -> int:
        """By how much a value may differ; 0 where the policy does not say, as the Book takes it."""
        answer = self._said(rung.policy, _TICK)
        tick = int.from_bytes(answer, "big") if answer is not None and len(answer) == 32 else 0
        return tick if tick < 1 << 128 else 0


def gas_price(web3: Web3) -> int:
    """Wei per gas that a transaction pays about now."""
    return quantity(request(web3, "eth_gasPrice"))
