"""What a merchant offers over HTTP: one answer to one request, for a price, until a time; signed, and bound to payment.

The protocol's own payment says who pays whom how much, and not for what: whoever holds one may present it anywhere that
costs the same. Here the payment's nonce (ERC-3009) is ``keccak256(offer digest || salt)``, so what the payer signs
names resource, method, body, price, payee, token, chain and expiry. The merchant's signature on the same digest lets it
keep nothing of offers that nobody pays, and lets the payer show later what it was offered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from troth.core.encoding import amount, from_hex, keccak256, take
from troth.core.errors import BadInput
from troth.core.terms import Account
from troth.core.typed_data import offer_digest
from troth.identity.keys import Secp256k1KeyPair, recover_account
from troth.ledger.erc3009 import Authorization

MAX_URL = 2_048
MAX_LIFE = 3_600
"""Seconds that an offer may be good for."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One answer for one payment. resource: the whole URL. body: SHA-256 of the request's body. price: in the token's
    smallest unit. expires: Unix seconds; a payment is carried out before it or never. nonce: 32 random bytes, so that
    no two offers are one. seller: whose offer it is; payee: whose account is paid, the seller's or, say, a purse of
    royalties. signature: the seller's, 65 bytes; empty for what a payer noted down of a server that signs none.
    """

    resource: str
    method: str
    body: bytes
    payee: Account
    price: int
    token: Account
    chain_id: int
    expires: int
    nonce: bytes
    seller: Account
    signature: bytes = b""

    @property
    def digest(self) -> bytes:
        """What the seller signs, and what a payment's nonce is made of (EIP-712)."""
        return offer_digest(self.chain_id, self.token, self.seller, (self.resource, self.method, self.body), self.payee,
                            self.price, self.expires, self.nonce)

    def signed(self, key: Secp256k1KeyPair) -> Offer:
        """With the seller's signature."""
        return replace(self, signature=key.sign_digest(self.digest))

    @property
    def by_seller(self) -> bool:
        """Whether the seller signed it."""
        return bool(self.signature) and recover_account(self.digest, self.signature) == self.seller

    def nonce_of(self, salt: bytes) -> bytes:
        """The nonce of a payment for this offer. salt: 32 bytes of the payer's, so that the chain alone does not tell
        who knows the offer what was bought."""
        return keccak256(self.digest + salt)

    def pays(self, payment: Authorization, salt: bytes | None) -> bool:
        """Whether an authorization is a payment for this offer and nothing else."""
        return salt is not None and payment.nonce == self.nonce_of(salt)

    def body_json(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"body": self.body.hex(), "chain": str(self.chain_id), "expires": self.expires, "method": self.method,
                "nonce": self.nonce.hex(), "payee": self.payee.hex(), "price": str(self.price),
                "resource": self.resource, "seller": self.seller.hex(), "signature": self.signature.hex(),
                "token": self.token.hex()}

    @classmethod
    def of(cls, body: Any) -> Self:
        """Read exactly what ``body_json`` writes. Raises BadInput."""
        digest, chain, expires, method, nonce, payee, price, resource, seller, signature, token = take(
            body, body=str, chain=str, expires=int, method=str, nonce=str, payee=str, price=str, resource=str,
            seller=str, signature=str, token=str)
        return cls(resource, method, from_hex(digest, 32), from_hex(payee, 20), in_range(amount(price), 128),
                   from_hex(token, 20), in_range(amount(chain), 64), in_range(expires, 47), from_hex(nonce, 32),
                   from_hex(seller, 20), from_hex(signature, 65 if signature else 0)).sound()

    def sound(self) -> Self:
        """Refuse what no request can be. Raises BadInput."""
        if not 0 < len(self.resource) <= MAX_URL or not self.resource.isascii() or not self.resource.isprintable():
            raise BadInput("not the address of a resource", expected=f"up to {MAX_URL} printable ASCII characters",
                           actual=self.resource[:80])
        if not self.method.isascii() or not self.method.isalpha() or not self.method.isupper():
            raise BadInput("not a method", expected="capital letters", actual=self.method[:20])
        return self


def in_range(value: int, bits: int) -> int:
    """A number of so many bits. Raises BadInput. (Times stay below 47: above it a token may read block numbers.)"""
    if not 0 <= value < 1 << bits:
        raise BadInput("a number out of range", expected=f"below 2**{bits}", actual=value)
    return value
