"""Licences on a chain (contract ``Licences``): minted from closed sales, checked with one call, ended for cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, Undecidable
from troth.core.terms import RUNG, Account, Rung
from troth.ledger.artefacts import artefact
from troth.ledger.evmcodec import account_of, decode
from troth.ledger.sending import Acting, Receipt, call

if TYPE_CHECKING:
    from web3 import Web3

_WORDS = "(bytes32,bytes32,bytes32,bytes32,uint64,bool,uint16,address,bytes32)"
_GRANT = "(address,uint64,uint16,bool,bool,address,bytes32,bytes32,bytes32)"


@dataclass(frozen=True, slots=True)
class Grant:
    """What was granted. until: the last second, Unix. offer: its claim. words: Keccak-256 of the licence's words."""

    seller: Account
    until: int
    royalty: int
    transferable: bool
    revoked: bool
    authority: Account
    offer: bytes
    words: bytes
    ladder: bytes


def ladder_of(rungs: tuple[Rung, ...]) -> bytes:
    """What a licence's words say of the rungs on which a breach is found."""
    from eth_abi.abi import encode  # takes 0.2 s to load

    return keccak256(encode([f"{RUNG}[]"], [[rung.abi() for rung in rungs]]))


def breach_salt(contract: Account, licence: bytes) -> bytes:
    """The salt of a deal in which a breach of this licence is found."""
    return keccak256(contract.rjust(32, b"\x00") + licence)


class Licences:
    """The contract. A licence's id is its sale's deal, 32 bytes."""

    def __init__(self, web3: Web3, address: Account) -> None:
        self.web3, self.address = web3, address
        self._errors = artefact("Licences").errors

    def mint(self, sender: Acting, brought: tuple[bytes, bytes], words: bytes) -> Receipt:
        """Mint what a closed sale grants to its buyer, at the sender's cost. Raises ActRefused.

        brought: as ``EvmBook.brought`` gives it. words: as ``Sale.words`` gives them.
        """
        from eth_abi.abi import decode as abi_decode  # takes 0.2 s to load
        from eth_abi.abi import encode

        said = abi_decode([_WORDS], words)
        arguments = encode(["bytes", "bytes", _WORDS], [*brought, *said])
        return self._do(sender, keccak256(f"mint(bytes,bytes,{_WORDS})".encode())[:4] + arguments)

    def revoke(self, sender: Acting, licence: bytes, cause: bytes) -> Receipt:
        """End a licence for cause, as the authority that its words name. Raises ActRefused."""
        return self._do(sender, keccak256(b"revoke(uint256,bytes32)")[:4] + licence + cause)

    def revoke_by_verdict(self, sender: Acting, licence: bytes, brought: tuple[bytes, bytes]) -> Receipt:
        """End a licence by a closed deal that was refuted on the rungs that its words fix. Raises ActRefused."""
        from eth_abi.abi import encode  # takes 0.2 s to load

        arguments = encode(["uint256", "bytes", "bytes"], [int.from_bytes(licence, "big"), *brought])
        return self._do(sender, keccak256(b"revokeByVerdict(uint256,bytes,bytes)")[:4] + arguments)

    def transfer(self, sender: Acting, licence: bytes, to: Account) -> Receipt:
        """Hand a licence that stands on, where its words allow it. Raises ActRefused."""
        from eth_abi.abi import encode  # takes 0.2 s to load

        arguments = encode(["address", "address", "uint256", "uint256", "bytes"],
                           [sender.account, to, int.from_bytes(licence, "big"), 1, b""])
        return self._do(sender, keccak256(b"safeTransferFrom(address,address,uint256,uint256,bytes)")[:4] + arguments)

    def prefer(self, sender: Acting, licence: bytes) -> Receipt:
        """Have ``licensed`` look at this one, where the sender holds several for one offer. Raises ActRefused."""
        return self._do(sender, keccak256(b"prefer(uint256)")[:4] + licence)

    def licensed(self, holder: Account, seller: Account, offer: bytes) -> bool:
        """Whether the holder may use what this seller's offer offered, now: one call, for anybody."""
        return self._ask(b"licensed(address,address,bytes32)", _word(holder) + _word(seller) + offer) != bytes(32)

    def standing(self, holder: Account, licence: bytes) -> bool:
        """Whether the holder has this licence, and it is neither over nor revoked."""
        return self._ask(b"standing(address,uint256)", _word(holder) + licence) != bytes(32)

    def granted(self, licence: bytes) -> Grant:
        """What was granted. Raises Undecidable for a licence that nobody minted."""
        try:
            data = self._ask(b"granted(uint256)", licence)
        except ActRefused as refusal:
            if refusal.code != "Unknown":
                raise
            raise Undecidable("nobody has minted this licence", actual=licence.hex()) from None
        (seller, until, royalty, transferable, revoked, authority, offer, words, ladder), = decode((_GRANT,), data)
        return Grant(account_of(seller), until, royalty, transferable, revoked, account_of(authority), bytes(offer),
                     bytes(words), bytes(ladder))

    def _ask(self, signature: bytes, data: bytes) -> bytes:
        return call(self.web3, self.address, keccak256(signature)[:4] + data, errors=self._errors)

    def _do(self, sender: Acting, data: bytes) -> Receipt:
        """Run it on the present state first, so that a refusal costs nothing; what is owed already is not run again."""
        if not sender.owes(self.address, data):
            call(self.web3, self.address, data, sender=sender.account, errors=self._errors)
        return sender.send(self.address, data)


def _word(account: Account) -> bytes:
    return account.rjust(32, b"\x00")
