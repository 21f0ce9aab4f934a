"""The calls of a token that takes signed authorizations (ERC-3009): the rail that x402 pays on."""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import Account
from troth.core.typed_data import domain_of, transfer_digest
from troth.identity.keys import recover_account
from troth.ledger.chains.blocks import hex_bytes, quantity
from troth.ledger.chains.rpc import event_of, get_logs, request
from troth.ledger.erc20 import SHORT, Erc20
from troth.ledger.sending import call

LOOK_BACK = 5_000
"""Blocks before the head in which a transfer that somebody else brought is looked for."""
_TRANSFER = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
ERRORS = (
    {"type": "error", "name": "ERC3009InvalidSignature", "inputs": []},
    {"type": "error", "name": "ERC3009InvalidAuthorizationTime", "inputs": [
        {"name": "validAfter", "type": "uint256"}, {"name": "validBefore", "type": "uint256"}]},
    {"type": "error", "name": "ERC3009UsedAuthorization", "inputs": [
        {"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]},
    *SHORT,
)
"""Of OpenZeppelin's token; another token's refusals are shown as they come."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """A signed order: ``amount`` from ``owner`` to ``to``, once, in a block whose time lies strictly between ``after``
    and ``before`` (Unix seconds). nonce: 32 bytes, unique for the owner. signature: 65 bytes, r, s, v.
    """

    owner: Account
    to: Account
    amount: int
    after: int
    before: int
    nonce: bytes
    signature: bytes = b""

    def digest(self, domain: bytes) -> bytes:
        """What the owner signs, under the token's separator."""
        return transfer_digest(domain, self.owner, self.to, self.amount, self.after, self.before, self.nonce)

    def signer(self, domain: bytes) -> Account | None:
        """Who signed it; None for a signature that is none."""
        return recover_account(self.digest(domain), self.signature)

    def data(self) -> bytes:
        """The call that has the token carry it out."""
        words = (_word(self.owner), _word(self.to), _uint(self.amount), _uint(self.after), _uint(self.before),
                 self.nonce, _uint(self.signature[64]), self.signature[:32], self.signature[32:64])
        return keccak256(_TRANSFER.encode())[:4] + b"".join(words)


@dataclass(frozen=True, slots=True)
class Erc3009(Erc20):
    """A token at an address that takes authorizations. Amounts in its smallest unit."""

    def used(self, owner: Account, nonce: bytes) -> bool:
        """Whether the nonce is used up: by a transfer, whichever, or by its owner's cancelling."""
        return self._number(keccak256(b"authorizationState(address,bytes32)")[:4] + _word(owner) + nonce) != 0

    def named(self, chain_id: int) -> tuple[str, str]:
        """(name, version) of the domain that authorizations are signed under, as others have to be told it.

        Raises BadInput for a token whose separator these do not give.
        """
        from eth_abi.abi import decode  # slow to import

        try:
            answer = call(self.web3, self.address, keccak256(b"eip712Domain()")[:4])
            _, name, version, *_ = decode(["bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]"],
                                          answer)
        except ActRefused:  # a token older than ERC-5267
            name, version = (decode(["string"], call(self.web3, self.address, keccak256(getter)[:4]))[0]
                             for getter in (b"name()", b"version()"))
        expected = domain_of(chain_id, self.address, keccak256(str(name).encode()))
        if version != "1" or expected != self.domain():
            raise BadInput("this token's signatures cannot be told to others", actual=f"{name}, version {version}",
                           expected="the domain that its name, version 1, the chain and its address give",
                           do="Name another token.")
        return str(name), str(version)

    def brought(self, one: Authorization, first: int | None = None) -> bytes | None:
        """The transaction that carried out exactly this authorization, whoever sent it; None where there is none.

        A nonce that is used is no payment: its owner may have cancelled it, or used it in another transfer. first: the
        block to look from; LOOK_BACK before the head by default.
        """
        if first is None:
            first = max(0, quantity(request(self.web3, "eth_blockNumber")) - LOOK_BACK)
        used = (keccak256(b"AuthorizationUsed(address,bytes32)"), _word(one.owner), one.nonce)
        for event in get_logs(self.web3, addresses=[self.address], topics=used, first=first):
            if self.carried(event.tx_hash, one):
                return event.tx_hash
        return None

    def carried(self, tx_hash: bytes, one: Authorization) -> bool:
        """Whether this transaction succeeded, used the nonce and moved the amount from owner to payee."""
        found = request(self.web3, "eth_getTransactionReceipt", "0x" + tx_hash.hex())
        if found is None or quantity(found["status"]) != 1:
            return False
        logs = [event_of(log).log for log in found["logs"]]
        mine = [log for log in logs if log.address == self.address]
        used = (keccak256(b"AuthorizationUsed(address,bytes32)"), _word(one.owner), one.nonce)
        moved = (keccak256(b"Transfer(address,address,uint256)"), _word(one.owner), _word(one.to))
        for at, log in enumerate(mine[:-1]):
            # One transaction may carry several: the transfer of this nonce is the event right after it.
            if log.topics == used and mine[at + 1].topics == moved:
                return int.from_bytes(mine[at + 1].data, "big") == one.amount
        return False


def block_number(erc20: Erc20) -> int:
    """The head's number."""
    return quantity(request(erc20.web3, "eth_blockNumber"))


def tx_of(text: object) -> bytes | None:
    """A transaction's hash as somebody wrote it; None for what is none."""
    try:
        return hex_bytes(text, 32)
    except BadInput:
        return None


def _word(account: Account) -> bytes:
    return account.rjust(32, b"\x00")


def _uint(amount: int) -> bytes:
    return amount.to_bytes(32, "big")
