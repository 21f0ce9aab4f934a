"""The headers of x402, version 2, scheme ``exact`` over ERC-3009: base64 of JSON, read strictly and bounded.

Fields that we do not know are passed over, as the protocol lets others add some; those that we use are read in one
form. What is ours lies in ``accepts[].extra.offer`` and in ``extensions.offer.salt``: both are places that the protocol
leaves to extensions, and its own clients hand the first one back as it came.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troth.agents.x402.offer import Offer, in_range
from troth.core.encoding import amount, from_hex, read_foreign
from troth.core.errors import BadInput
from troth.core.terms import Account
from troth.identity.did import checksum_address
from troth.ledger.erc3009 import Authorization

VERSION = 2
REQUIRED, PAYMENT, RESPONSE = "PAYMENT-REQUIRED", "PAYMENT-SIGNATURE", "PAYMENT-RESPONSE"
OLD_PAYMENT = "X-PAYMENT"
"""The header of version 1, which cannot carry an offer back."""
MAX_HEADER = 16 << 10
TIMEOUT = 60
"""Seconds that other clients are told to let a payment be good for."""
_DEPTH = 8
_EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Payment:
    """What a client presents: the offer that it says it pays, its signed authorization, and the salt that binds both.

    salt: None from a client that does not bind.
    """

    offer: Offer
    order: Authorization
    salt: bytes | None

    def header(self) -> str:
        """The header's value."""
        order = self.order
        said = {"x402Version": VERSION, "accepted": terms(self.offer, {}), "resource": {"url": self.offer.resource},
                "payload": {"signature": "0x" + order.signature.hex(), "authorization": {
                    "from": checksum_address(order.owner), "to": checksum_address(order.to), "value": str(order.amount),
                    "validAfter": str(order.after), "validBefore": str(order.before),
                    "nonce": "0x" + order.nonce.hex()}}}
        if self.salt is not None:
            said["extensions"] = {"offer": {"salt": self.salt.hex()}}
        return packed(said)

    @classmethod
    def of(cls, header: str) -> Payment:
        """Read a header. Raises BadInput."""
        said = unpacked(header)
        if said.get("x402Version") != VERSION:
            raise BadInput("another version of x402", expected=VERSION, actual=said.get("x402Version"))
        payload = _object(said, "payload")
        order = _object(payload, "authorization")
        added = said.get("extensions")
        ours = added.get("offer") if isinstance(added, dict) else None
        salt = ours.get("salt") if isinstance(ours, dict) else None
        return cls(offer_in(_object(said, "accepted")), Authorization(
            address(order.get("from")), address(order.get("to")), number(order.get("value")),
            in_range(number(order.get("validAfter")), 47), in_range(number(order.get("validBefore")), 47),
            prefixed(order.get("nonce"), 32), prefixed(payload.get("signature"), 65)),
            None if salt is None else from_hex(salt, 32))


@dataclass(frozen=True, slots=True)
class Settled:
    """What the server says of a settlement: whether, by which transaction, else why not. payer, chain: as it says."""

    success: bool
    tx: str
    reason: str = ""

    def header(self, payer: Account, chain_id: int) -> str:
        """The header's value."""
        said: dict[str, Any] = {"success": self.success, "transaction": self.tx, "network": network(chain_id),
                                "payer": checksum_address(payer)}
        return packed(said if self.success else said | {"errorReason": self.reason})

    @classmethod
    def of(cls, header: str) -> Settled:
        """Read a header. Raises BadInput."""
        said = unpacked(header)
        success, tx = said.get("success"), said.get("transaction")
        if type(success) is not bool or type(tx) is not str:
            raise BadInput("not an answer to a payment", expected="success and transaction", actual=sorted(said))
        return cls(success, tx[:66], str(said.get("errorReason") or "")[:200])


def required(offer: Offer, *, domain: Mapping[str, str], why: str, description: str, media: str) -> dict[str, Any]:
    """What comes with a status 402. domain: name and version of the token's, which other clients sign under."""
    return {"x402Version": VERSION, "error": why, "accepts": [terms(offer, domain)],
            "resource": {"url": offer.resource, "description": description, "mimeType": media}}


def terms(offer: Offer, domain: Mapping[str, str]) -> dict[str, Any]:
    """An offer as one of the ``accepts``: what the protocol knows in its own fields, the rest in ``extra.offer``.

    Accounts with their checksum (EIP-55): some clients take no other form.
    """
    return {"scheme": _EXACT, "network": network(offer.chain_id), "asset": checksum_address(offer.token),
            "amount": str(offer.price), "payTo": checksum_address(offer.payee), "maxTimeoutSeconds": TIMEOUT,
            "extra": {**domain, "assetTransferMethod": "eip3009", "paymentFlow": "upfront", "offer": {
                "body": offer.body.hex(), "expires": offer.expires, "method": offer.method,
                "nonce": offer.nonce.hex(), "resource": offer.resource, "seller": checksum_address(offer.seller),
                "signature": offer.signature.hex()}}}


def offers_in(said: Mapping[str, Any]) -> tuple[Offer, ...]:
    """The offers of ours in what came with a status 402; those of other schemes, and without an offer, are left out.

    Raises BadInput for another version, and for an offer that cannot be read.
    """
    if said.get("x402Version") != VERSION or type(said.get("accepts")) is not list:
        raise BadInput("not what x402 asks a payment with", expected=f"version {VERSION} with accepts")
    found = []
    for one in said["accepts"]:
        extra = one.get("extra") if isinstance(one, dict) and one.get("scheme") == _EXACT else None
        if isinstance(extra, dict) and "offer" in extra:
            found.append(offer_in(one))
    return tuple(found)


def offer_in(one: Mapping[str, Any]) -> Offer:
    """One of the ``accepts`` as the offer it is. Raises BadInput."""
    if one.get("scheme") != _EXACT:
        raise BadInput("another scheme", expected=_EXACT, actual=str(one.get("scheme"))[:40])
    ours = _object(_object(one, "extra"), "offer")
    expires, resource, method = ours.get("expires"), ours.get("resource"), ours.get("method")
    if type(expires) is not int or type(resource) is not str or type(method) is not str:
        raise BadInput("not an offer", expected="expires, resource and method")
    return Offer(resource, method, from_hex(ours.get("body"), 32), address(one.get("payTo")),
                 in_range(number(one.get("amount")), 128), address(one.get("asset")), chain_of(one.get("network")),
                 in_range(expires, 47), from_hex(ours.get("nonce"), 32), address(ours.get("seller")),
                 from_hex(ours.get("signature"), 65 if ours.get("signature") else 0)).sound()


def packed(said: Mapping[str, Any]) -> str:
    """A header's value."""
    return base64.b64encode(json.dumps(said, separators=(",", ":"), ensure_ascii=True).encode()).decode()


def unpacked(header: str) -> dict[str, Any]:
    """A header's content. Raises BadInput."""
    if len(header) > MAX_HEADER:
        raise BadInput("a header too large", expected=f"at most {MAX_HEADER} bytes", actual=len(header))
    try:
        data = base64.b64decode(header.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise BadInput("a header that is no base64", actual=header[:40]) from None
    said = read_foreign(data, MAX_HEADER, _DEPTH)
    if type(said) is not dict:
        raise BadInput("a header without an object in it", actual=type(said).__name__)
    return said


def network(chain_id: int) -> str:
    """A chain's name (CAIP-2)."""
    return f"eip155:{chain_id}"


def chain_of(name: object) -> int:
    """The chain id in a CAIP-2 name of the EVM family. Raises BadInput."""
    if type(name) is not str or not name.startswith("eip155:"):
        raise BadInput("not a chain of the Ethereum family", expected="eip155:ID", actual=str(name)[:40])
    return in_range(number(name.removeprefix("eip155:")), 64)


def number(text: object) -> int:
    """A number as the protocol writes it: digits. Raises BadInput."""
    if type(text) is not str:
        raise BadInput("not a number as text", actual=type(text).__name__)
    return amount(text)


def address(text: object) -> Account:
    """An account, whatever the case of its digits: the checksum of EIP-55 is for those who type. Raises BadInput."""
    return prefixed(text.lower() if type(text) is str else text, 20)


def prefixed(text: object, size: int) -> bytes:
    """Bytes as 0x and hex digits. Raises BadInput."""
    if type(text) is not str or not text.startswith("0x"):
        raise BadInput("not bytes", expected=f"0x and {2 * size} hex digits", actual=str(text)[:80])
    return from_hex(text[2:].lower(), size)


def _object(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name)
    if type(found) is not dict:
        raise BadInput(f"no {name} in it", expected="an object", actual=type(found).__name__)
    return found
