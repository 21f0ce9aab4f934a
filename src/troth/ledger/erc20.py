"""The few calls of an ERC-20 token (EIP-20) that parties make themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.core.errors import BadInput, Refuted
from troth.core.terms import Account
from troth.ledger.sending import Sender, call

if TYPE_CHECKING:
    from web3 import Web3

_BALANCE_OF = bytes.fromhex("70a08231")
_TRANSFER = bytes.fromhex("a9059cbb")
_APPROVE = bytes.fromhex("095ea7b3")
_DOMAIN = bytes.fromhex("3644e515")
_NONCES = bytes.fromhex("7ecebe00")
_ALLOWANCE = bytes.fromhex("dd62ed3e")
_TOTAL_SUPPLY = bytes.fromhex("18160ddd")
SHORT = (
    {"type": "error", "name": "ERC20InsufficientBalance", "inputs": [
        {"name": "sender", "type": "address"}, {"name": "balance", "type": "uint256"},
        {"name": "needed", "type": "uint256"}]},
)
"""How OpenZeppelin's token says that somebody has too little; another token's refusals are shown as they come."""


@dataclass(frozen=True, slots=True)
class Erc20:
    """A token at an address. Amounts in its smallest unit."""

    web3: Web3
    address: Account

    def balance(self, account: Account) -> int:
        """What the account holds."""
        return self._number(_BALANCE_OF + _word(account))

    def allowance(self, owner: Account, spender: Account) -> int:
        """What the spender may still take from the owner's account."""
        return self._number(_ALLOWANCE + _word(owner) + _word(spender))

    def total(self) -> int:
        """The token's whole supply."""
        return self._number(_TOTAL_SUPPLY)

    def domain(self) -> bytes:
        """The separator that permits and authorizations are signed under (``DOMAIN_SEPARATOR()``, ERC-2612)."""
        return self._number(_DOMAIN).to_bytes(32, "big")

    def nonce(self, account: Account) -> int:
        """What the account's next permit must count (ERC-2612)."""
        return self._number(_NONCES + _word(account))

    def approve(self, sender: Sender, spender: Account, amount: int, act: bytes | None = None) -> None:
        """Let ``spender`` take up to ``amount`` from the sender's account. act: the id, as ``Sender.send`` takes it."""
        self._act(sender, _APPROVE + _word(spender) + _uint(amount), act)

    def transfer(self, sender: Sender, to: Account, amount: int, act: bytes | None = None) -> None:
        """Pay. act: the payment's id: the same id again is the same payment. Raises ActRefused where the token refuses.
        """
        self._act(sender, _TRANSFER + _word(to) + _uint(amount), act)

    def _act(self, sender: Sender, data: bytes, act: bytes | None) -> None:
        # Of one that is under way, or done, what the token says now says nothing.
        known = sender.owes(self.address, data) if act is None else sender.knows(act)
        answer = b"" if known else call(self.web3, self.address, data, sender=sender.account, errors=SHORT)
        if answer and int.from_bytes(answer, "big") != 1:  # some tokens answer nothing, some false
            raise Refuted("the token refuses", expected="true", actual=answer.hex())
        sender.send(self.address, data, act=act)

    def _number(self, data: bytes) -> int:
        answer = call(self.web3, self.address, data)
        if len(answer) != 32:
            raise BadInput("no token at this address", expected="32 bytes", actual=answer.hex() or "nothing")
        return int.from_bytes(answer, "big")


def _word(account: Account) -> bytes:
    return account.rjust(32, b"\x00")


def _uint(amount: int) -> bytes:
    if not 0 <= amount < 1 << 256:
        raise BadInput("not an amount", expected="0 to 2**256 - 1", actual=amount)
    return amount.to_bytes(32, "big")
