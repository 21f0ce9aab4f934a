"""What was bought over x402, as a claim (docs/kinds/payment.md).

The claim holds what the chain shows anyway, and a link between its issuer and the account that paid. What was bought,
and what came for it, lies in evidence: the merchant's signed offer, the payer's salt, the digest of the answer. Whoever
gets that evidence can see that this payment was for this offer and for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from troth.agents.x402.offer import Offer, in_range
from troth.core.claims import Evidence, Statement, Subject
from troth.core.encoding import amount, decode_object, encode, from_hex, keccak256, sha256, take
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import Finding
from troth.core.terms import Account
from troth.core.verdicts import Outcome
from troth.identity.keys import Secp256k1KeyPair, recover_account
from troth.ledger.erc3009 import Authorization, Erc3009

PAYMENT, PURCHASE = "payment", "purchase"
"""The kind, and the name of its evidence."""
_LINK = b"troth/payment/1\n"


@dataclass(frozen=True, slots=True)
class Purchase:
    """The evidence. answer: SHA-256 of what came, empty where nothing did. status: the server's last, 0 for silence."""

    offer: Offer
    salt: bytes
    status: int
    answer: bytes

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"answer": self.answer.hex(), "offer": self.offer.body_json(), "salt": self.salt.hex(),
                       "status": self.status})

    @classmethod
    def from_bytes(cls, data: bytes) -> Purchase:
        """Read it again. Raises BadInput."""
        answer, offer, salt, status = take(decode_object(data), answer=str, offer=dict, salt=str, status=int)
        return cls(Offer.of(offer), from_hex(salt, 32), in_range(status, 10), from_hex(answer, 32 if answer else 0))


@dataclass(frozen=True, slots=True)
class PaymentClaim:
    """What the claim says. tx: the transaction that carried the payment out, empty where the chain showed none.

    served: whether an answer came. link: the payer account's signature over the issuer and the nonce.
    """

    chain_id: int
    token: Account
    payer: Account
    payee: Account
    price: int
    before: int
    nonce: bytes
    tx: bytes
    served: bool
    link: bytes

    def subjects(self) -> tuple[Subject, ...]:
        """What the claim is about: the payment, by its nonce."""
        return (Subject("payment", {"keccak256": self.nonce.hex()}),)

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"before": self.before, "chain": str(self.chain_id), "link": self.link.hex(), "nonce": self.nonce.hex(),
                "payee": self.payee.hex(), "payer": self.payer.hex(), "price": str(self.price), "served": self.served,
                "token": self.token.hex(), "tx": self.tx.hex()}

    @classmethod
    def of(cls, statement: Statement) -> PaymentClaim:
        """Read exactly what ``body`` writes. Raises BadInput."""
        if statement.kind != PAYMENT:
            raise BadInput("not a payment", expected=PAYMENT, actual=statement.kind)
        before, chain, link, nonce, payee, payer, price, served, token, tx = take(
            statement.body, before=int, chain=str, link=str, nonce=str, payee=str, payer=str, price=str, served=bool,
            token=str, tx=str)
        found = cls(in_range(amount(chain), 64), from_hex(token, 20), from_hex(payer, 20), from_hex(payee, 20),
                    in_range(amount(price), 128), in_range(before, 47), from_hex(nonce, 32),
                    from_hex(tx, 32 if tx else 0), served, from_hex(link, 65))
        if found.subjects() != tuple(statement.subjects):
            raise BadInput("not a payment", expected="the nonce as its subject")
        return found

    @property
    def order(self) -> Authorization:
        """The order that was carried out, without its signature."""
        return Authorization(self.payer, self.payee, self.price, 0, self.before, self.nonce)


def link_digest(issuer: str, nonce: bytes) -> bytes:
    """What the paying account signs so that a payment is its issuer's and nobody else's to claim."""
    return keccak256(_LINK + keccak256(issuer.encode()) + nonce)


def claim_of(issuer: str, purchase: Purchase, key: Secp256k1KeyPair, tx: bytes) -> PaymentClaim:
    """What an issuer claims of a purchase that was paid with ``key``."""
    offer, nonce = purchase.offer, purchase.offer.nonce_of(purchase.salt)
    return PaymentClaim(offer.chain_id, offer.token, key.public.account, offer.payee, offer.price, offer.expires, nonce,
                        tx, bool(purchase.answer), key.sign_digest(link_digest(issuer, nonce)))


def check_payment(statement: Statement, read: Callable[[Evidence], bytes | None], token: Erc3009 | None,
                  answer: bytes | None = None) -> Iterator[Finding]:
    """What is found about a payment's claim, thing by thing, its signatures being checked already.

    read: the evidence, None where it is sealed to others. token: the token on its chain, None where that cannot be
    asked. answer: what is said to have come for it, where that is to be compared.

    Raises BadInput for a claim that is none, Refuted for what does not fit, Undecidable for what is not here.
    """
    said = PaymentClaim.of(statement)
    if recover_account(link_digest(statement.issuer, said.nonce), said.link) != said.payer:  # 1
        raise Refuted("the paying account does not say that this payment was the issuer's",
                      expected="0x" + said.payer.hex())
    yield Finding("who paid", Outcome.UPHELD, f"0x{said.payer.hex()}, for {statement.issuer}")
    if token is None or not said.tx:  # 2
        raise Undecidable("whether it was carried out", do="Name a node of its chain." if said.tx else
                          "The claim names no transaction.")
    if token.address != said.token or not token.carried(said.tx, said.order):
        raise Refuted("the chain shows no such payment in this transaction", actual="0x" + said.tx.hex())
    yield Finding("the payment", Outcome.UPHELD, f"{said.price} to 0x{said.payee.hex()} in 0x{said.tx.hex()}")
    found = [one for one in statement.evidence if one.name == PURCHASE]
    data = read(found[0]) if len(found) == 1 else None
    if data is None:  # 3
        raise Undecidable("what it was for is not here, or sealed to others", do="Ask the issuer for the evidence.")
    purchase = Purchase.from_bytes(data)
    offer = purchase.offer
    if (offer.nonce_of(purchase.salt), offer.payee, offer.price, offer.token, offer.chain_id, offer.expires) != (
            said.nonce, said.payee, said.price, said.token, said.chain_id, said.before):
        raise Refuted("this payment was not for this offer", expected=said.nonce.hex(),
                      actual=offer.nonce_of(purchase.salt).hex())
    signed = f"signed by its seller 0x{offer.seller.hex()}" if offer.by_seller else "which no seller signed"
    yield Finding("the offer", Outcome.UPHELD, f"{offer.method} {offer.resource}, {signed}")
    if answer is not None and sha256(answer) != purchase.answer:  # 4
        raise Refuted("another answer than the issuer says it got", expected=purchase.answer.hex() or "none",
                      actual=sha256(answer).hex())
    told = f"its issuer says: status {purchase.status}, " + (
        f"an answer {purchase.answer.hex()}" if purchase.answer else "nothing came")
    yield Finding("what came", None, told)
