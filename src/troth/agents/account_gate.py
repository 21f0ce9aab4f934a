"""The gate through the contract ``PolicyAccount``: the agent signs, anybody sends, the contract decides.

What is allowed is first read here, by the same rules and from the chain's state, so that the person learns why before
anything is sent. The contract reads it again, and it alone moves money. ``AccountGate`` is what an agent has;
``AccountOwner`` what the owner has.
"""

from __future__ import annotations

from collections.abc import Callable

from troth.agents.gate import NOBODY, Act, Confidence, Done, GateState, Refused, consider
from troth.core.errors import ActRefused, OutsideFailed
from troth.core.terms import Account
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.accounts import PolicyAccount, SignedAct
from troth.ledger.chains.rpc import next_time
from troth.ledger.erc20 import Erc20
from troth.ledger.limits import Asked, Limits, Money, Standing
from troth.ledger.sending import Acting, Sender

LIFE = 600
"""Seconds for which a signed act is good."""


class AccountGate:
    """``Gate`` over an account on a chain.

    key: the session key. sender: brings the acts to the chain and pays for it; it needs no right of its own. life:
    seconds for which a signed act may be brought.
    """

    def __init__(self, account: PolicyAccount, key: Secp256k1KeyPair, sender: Acting, *, life: int = LIFE) -> None:
        self.contract, self._key, self._sender, self._life = account, key, sender, life

    @property
    def account(self) -> Account:
        return self.contract.address

    def asked(self, act: Act) -> Asked:
        return self.contract.asked(act.target, act.data)

    def allowed(self, act: Act, confidence: Confidence = NOBODY) -> Refused | None:
        looked = self._look()
        return self._judge(self._place(act, looked[1]), act, confidence, looked)[0]

    def do(self, act: Act, confidence: Confidence = NOBODY) -> Done | Refused:
        """As ``Gate``; an act that the limits do not cover is sent too, so that the account records it.

        Raises OutsideFailed where the account decides otherwise than its rules: the node lies, or is behind.
        """
        limits, standing, now = self._look()
        asked = self._place(act, standing)
        refused, _ = self._judge(asked, act, confidence, (limits, standing, now))
        if refused is not None and not refused.recorded:
            return refused
        signed = SignedAct.sign(self._key, asked, limits, confidence.voices, now + self._life)
        try:
            entries = self.contract.bring(self._sender, signed)
        except ActRefused as error:
            return Refused(error.code, error.diagnostics())
        for entry in entries:
            if entry.what == "refused":
                said = refused.said if refused is not None and refused.reason == entry.reason else ""
                return Refused(entry.reason, said, recorded=True)
            if entry.what == "acted":
                return Done(act, asked.nonce, entry.amount, entry.tx)
        raise OutsideFailed("the account says nothing of the act that it was given", do="Check the node.")

    def sign(self, act: Act, confidence: Confidence = NOBODY) -> SignedAct:
        """The act for somebody else to bring, as the account's next. Nothing is asked or sent."""
        return SignedAct.sign(self._key, self.asked(act), self.contract.limits(), confidence.voices,
                              self._now() + self._life)

    def state(self) -> GateState:
        limits = self.contract.limits()
        balance = Erc20(self.contract.web3, limits.token).balance(self.account)
        return GateState(self.account, self.contract.owner(), limits, self.contract.standing(), balance, self._now())

    def _look(self) -> tuple[Limits, Standing, int]:
        """The limits, what the account remembers, and the time, read once for one act."""
        return self.contract.limits(), self.contract.standing(), self._now()

    def _place(self, act: Act, standing: Standing) -> Asked:
        return Asked(self.contract.chain_id, self.account, standing.nonce, act.target, act.data)

    def _judge(self, asked: Asked, act: Act, confidence: Confidence,
               looked: tuple[Limits, Standing, int]) -> tuple[Refused | None, Money]:
        return consider(asked, act, confidence, *looked, Erc20(self.contract.web3, looked[0].token).balance)

    def _now(self) -> int:
        return next_time(self.contract.web3)


class AccountOwner:
    """``GateOwner`` over an account on a chain. senders: what has an account's acts done."""

    def __init__(self, account: PolicyAccount, senders: Callable[[Account], Sender]) -> None:
        self.contract, self._senders = account, senders

    def stop(self, by: Account) -> None:
        self.contract.stop(self._senders(by))

    def resume(self, by: Account) -> None:
        self.contract.stop(self._senders(by), False)

    def reset(self, by: Account) -> None:
        self.contract.reset(self._senders(by))

    def limit(self, by: Account, limits: Limits) -> None:
        self.contract.limit(self._senders(by), limits)

    def withdraw(self, by: Account, token: Account, to: Account, amount: int) -> None:
        self.contract.withdraw(self._senders(by), token, to, amount)

    def approve(self, by: Account, act: Act) -> None:
        self.contract.execute(self._senders(by), act.target, act.data)
