"""A token in memory, with the refusals of an ERC-20 (EIP-20), ERC-2612 and ERC-3009, for ``MemoryBook``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from troth.core.errors import ActRefused
from troth.core.terms import Account
from troth.core.typed_data import authorization_digest, permit_digest
from troth.identity.keys import recover_account

UNLIMITED = 2**256 - 1


class MemoryToken:
    """One token's balances and allowances, in its smallest unit, with an ERC-20's refusals.

    fee: what every transfer loses on its way, to mirror fee-on-transfer tokens. failing: accounts that transfers
    to or from fail for, to mirror tokens with a block list. domain: its EIP-712 domain separator; None for a token
    without permits and authorizations.
    """

    def __init__(self, *, fee: int = 0, domain: bytes | None = None) -> None:
        self.fee = fee
        self.domain = domain
        self.failing: set[Account] = set()
        self._balances: dict[Account, int] = {}
        self._allowances: dict[tuple[Account, Account], int] = {}
        self._nonces: dict[Account, int] = {}
        self._used: set[tuple[Account, bytes]] = set()

    def balance_of(self, account: Account) -> int:
        """What the account holds."""
        return self._balances.get(account, 0)

    def mint(self, account: Account, amount: int) -> None:
        """Create ``amount`` for ``account``."""
        self._balances[account] = self.balance_of(account) + amount

    def approve(self, owner: Account, spender: Account, amount: int) -> None:
        """Let ``spender`` take up to ``amount`` from ``owner``."""
        self._allowances[owner, spender] = amount

    def allowance(self, owner: Account, spender: Account) -> int:
        """What ``spender`` may still take from ``owner``."""
        return self._allowances.get((owner, spender), 0)

    def transfer(self, sender: Account, to: Account, amount: int) -> None:
        """Move the sender's own money. Raises ActRefused TransferFailed and moves nothing."""
        if sender in self.failing or to in self.failing:
            raise ActRefused("TransferFailed", "the token refuses this account", actual=to.hex())
        if self.balance_of(sender) < amount:
            raise ActRefused("TransferFailed", "not enough of the token", expected=amount,
                             actual=self.balance_of(sender), do="Bring the amount to this account first.")
        self._balances[sender] = self.balance_of(sender) - amount
        self.mint(to, max(0, amount - self.fee))

    def transfer_from(self, spender: Account, owner: Account, to: Account, amount: int) -> None:
        """Move another's money within its allowance. Raises ActRefused TransferFailed and moves nothing."""
        allowed = self.allowance(owner, spender)
        if allowed < amount:
            raise ActRefused("TransferFailed", "the Book may not take this much", expected=amount, actual=allowed,
                             do="Approve the Book for the amount first.")
        self.transfer(owner, to, amount)
        if allowed != UNLIMITED:
            self._allowances[owner, spender] = allowed - amount

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All of what is done inside, or, where it is refused, nothing of it."""
        before = dict(self._balances), dict(self._allowances), dict(self._nonces)
        try:
            yield
        except ActRefused:
            self._balances, self._allowances, self._nonces = before
            raise

    def nonce_of(self, owner: Account) -> int:
        """What the owner's next permit must count (ERC-2612)."""
        return self._nonces.get(owner, 0)

    def permit(self, owner: Account, spender: Account, amount: int, deadline: int, signature: bytes, now: int) -> None:
        """ERC-2612: approve by the owner's signature, good until ``deadline``. Raises ActRefused."""
        nonce = self.nonce_of(owner)
        self._signed(owner, signature, lambda domain: permit_digest(domain, owner, spender, amount, nonce, deadline))
        if now > deadline:
            raise ActRefused("TransferFailed", "the permit is over", expected=f"{deadline} or before", actual=now)
        self._nonces[owner] = nonce + 1
        self.approve(owner, spender, amount)

    def receive_with_authorization(self, owner: Account, to: Account, amount: int, between: tuple[int, int],
                                   nonce: bytes, signature: bytes, now: int) -> None:
        """ERC-3009: ``to`` fetches the owner's money by its signature, once, between two times. Raises ActRefused."""
        after, before = between
        self._signed(owner, signature,
                     lambda domain: authorization_digest(domain, owner, to, amount, after, before, nonce))
        if not after < now < before:
            raise ActRefused("TransferFailed", "the authorization is not good now", expected=f"{after} to {before}",
                             actual=now)
        if (owner, nonce) in self._used:
            raise ActRefused("TransferFailed", "the authorization is used", actual=nonce.hex())
        self.transfer(owner, to, amount)
        self._used.add((owner, nonce))

    def _signed(self, owner: Account, signature: bytes, digest: Callable[[bytes], bytes]) -> None:
        if self.domain is None:
            raise ActRefused("TransferFailed", "this token takes no signatures", do="Approve the Book instead.")
        if recover_account(digest(self.domain), signature) != owner:
            raise ActRefused("TransferFailed", "not the owner's signature", expected=owner.hex())
