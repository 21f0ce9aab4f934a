"""A client that pays within a budget: it asks, checks the offer, reserves, signs, and asks again.

What is refused before anything is signed: an address over plain HTTP that is not this machine's; an offer for another
resource, method or body than was asked for; one that its seller did not sign; a price above what this call may cost; a
redirect; and whatever the budget does not allow (``troth.agents.x402.budget``). One payment a call, never two: where
the answer to a payment asks for another one, that is the answer.

What is signed can be spent by whoever holds it until its time is over, also by a server that then serves nothing. It
stays reserved so long. Whoever was interrupted presents the very same payment again (``again``).
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from troth.agents.x402 import wire
from troth.agents.x402.budget import LAPSED, SETTLED, Asked, Budget, OverBudget, Spending
from troth.agents.x402.offer import Offer
from troth.agents.x402.wire import Payment, Settled
from troth.core.closing import Closing
from troth.core.encoding import read_foreign, sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Pending, Refuted
from troth.core.terms import Account
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.erc3009 import Authorization, Erc3009, tx_of

if TYPE_CHECKING:
    import httpx

    from troth.ledger.chains import Chain

MAX_ANSWER = 64 << 20
MAX_TERMS = 64 << 10
TIMEOUT = 60.0
HINT = "pip install 'troth[x402]'"


@dataclass(frozen=True, slots=True)
class Bought:
    """What a call got. spending: the payment, None where nothing had to be paid. settled: whether the chain has it."""

    status: int
    media: str
    body: bytes = field(repr=False)
    spending: Spending | None = None
    settled: bool = False
    told: Settled | None = None

    @property
    def served(self) -> bool:
        """Whether an answer came."""
        return 200 <= self.status < 300


class Payer(Closing):
    """Pays from ``key``'s account on ``chain``, within ``budget``.

    plaintext: let addresses be asked over plain HTTP that are not this machine's: whoever carries such a request reads
    the payment and the answer. unbound: pay servers that sign no offers; what is bought is then noted down here alone.
    Safe for threads. Raises OutsideFailed where httpx is missing.
    """

    def __init__(self, key: Secp256k1KeyPair, chain: Chain, budget: Budget, *, plaintext: bool = False,
                 unbound: bool = False, timeout: float = TIMEOUT) -> None:
        try:
            import httpx  # an extra, and slow to import
        except ImportError as error:
            raise OutsideFailed(f"paying needs a package that is missing: {error}", do=HINT) from error
        self.budget, self.chain = budget, chain
        self._key, self._plaintext, self._unbound = key, plaintext, unbound
        self._http = httpx.Client(follow_redirects=False, timeout=timeout, trust_env=False)
        self._domains: dict[Account, bytes] = {}
        self._lock = threading.Lock()

    @property
    def account(self) -> Account:
        """Who pays."""
        return self._key.public.account

    def close(self) -> None:
        """Hang up. The budget stays open."""
        self._http.close()

    def get(self, url: str, *, most: int, purpose: bytes = b"") -> Bought:
        """Ask for ``url``, and pay up to ``most`` of a token's smallest unit for it; what came.

        purpose: what it is asked for, if anything: asked again for the same, the same payment is presented.

        Raises Misuse (OverBudget among it) and Refuted with nothing signed; OutsideFailed where the server fails. A
        payment that was made and got no answer is no error: ``Bought.served`` tells.
        """
        before = self.budget.paid_for(purpose) if purpose else None
        if before is not None and before.header is not None:
            return self.again(before.nonce)
        return self._buy("GET", url, b"", "", most, purpose)

    def post(self, url: str, body: bytes, *, most: int, media: str = "application/json") -> Bought:
        """The same with a body."""
        return self._buy("POST", url, body, media, most)

    def again(self, nonce: bytes) -> Bought:
        """Present a payment once more, as it was: the server gives what was paid for, and nothing is paid again.

        Raises Misuse for a payment that is not here or was never signed.
        """
        found = self.budget.payment(nonce)
        if found is None or found.header is None:
            raise Misuse("no such payment was made here", actual=nonce.hex(), do="See troth x402 spent.")
        offer = found.offer
        self._place(offer.resource)
        return self._present(found, self._ask(offer.method, offer.resource, found.asked, found.header))

    def settle_up(self) -> None:
        """Look what became of what is reserved: carried out, or over and not carried out.

        Raises OutsideFailed where the chain does not answer: everything then stays reserved.
        """
        for one in self.budget.open():
            if one.offer.chain_id == self.chain.chain_id:
                self._look(one)

    # -- one call ------------------------------------------------------------------------------------------------

    def _buy(self, method: str, url: str, body: bytes, media: str, most: int, purpose: bytes = b"") -> Bought:
        asked = replace(self._place(url, body, media), purpose=purpose)
        first = self._ask(method, url, asked, None)
        if first.status_code != 402:
            return Bought(first.status_code, first.headers.get("content-type", ""), first.content)
        offer = self._offer(method, url, body, first)
        if offer.price > most:
            raise OverBudget("the price is above what this call may cost", expected=f"at most {most}",
                             actual=offer.price)
        self.settle_up()
        salt = secrets.token_bytes(32)
        reserved = self.budget.reserve(offer, self.account, salt, asked, self.chain.now())
        held = Erc3009(self.chain.web3, offer.token).balance(self.account)
        if held < offer.price:
            self.budget.ended(reserved.nonce, LAPSED)  # nothing was signed, so nothing can be carried out
            raise Misuse("the hot account holds less than the price; nothing was signed", expected=offer.price,
                         actual=held, do="Fill it: troth x402 refill AMOUNT.")
        header = Payment(offer, self._sign(offer, salt), salt).header()
        if not offer.signature:
            header = _as_asked(header, first)
        self.budget.presented(reserved.nonce, header)
        return self._present(reserved, self._ask(method, url, asked, header))

    def _place(self, url: str, body: bytes = b"", media: str = "") -> Asked:
        """Whom a URL asks. Raises Misuse for one that is none, or that is not to be asked in the clear."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise BadInput("not an address", actual=f"{url[:80]}: {error}") from None
        if parts.scheme not in ("http", "https") or not host or parts.username is not None or parts.fragment:
            raise BadInput("not an address to ask", expected="http(s)://HOST/PATH, without a name or a fragment",
                           actual=url[:80])
        if parts.scheme == "http" and not self._plaintext and not _here(host):
            raise Misuse("a payment would be read by whoever carries it", expected="https, or this machine",
                         actual=url[:80], do="Use https. To pay in the clear all the same, say so.")
        origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
        return Asked(origin, host, body, media)

    def _ask(self, method: str, url: str, asked: Asked, payment: str | None) -> httpx.Response:
        import httpx  # as above

        headers = {"Content-Type": asked.media} if asked.media else {}
        if payment is not None:
            headers[wire.PAYMENT] = payment
        try:
            with self._http.stream(method, url, headers=headers, content=asked.body or None) as answer:
                if answer.is_redirect:
                    raise Refuted("the server sends this request elsewhere, and it is not followed", expected=url[:200],
                                  actual=answer.headers.get("location", "")[:200],
                                  do="If that is right, ask there yourself.")
                content = b""
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER:
                        raise OutsideFailed("an answer too large", expected=f"at most {MAX_ANSWER} bytes")
                return httpx.Response(answer.status_code, content=content, headers={
                    name: value for name, value in answer.headers.items()
                    if name not in ("content-encoding", "content-length", "transfer-encoding")})
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            do = "Nothing was paid." if payment is None else \
                "It was signed, and may be carried out: see troth x402 spent, and ask again with the same payment."
            raise OutsideFailed(f"{url[:200]} does not answer: {type(error).__name__}: {error}", do=do) from error

    def _offer(self, method: str, url: str, body: bytes, answer: httpx.Response) -> Offer:
        """The offer that an answer makes, if it is one for this request. Raises Refuted, BadInput, Misuse."""
        said = _required(answer)
        mine = [one for one in wire.offers_in(said) if one.chain_id == self.chain.chain_id]
        if not mine:
            if self._unbound and (found := self._noted(method, url, body, said)) is not None:
                return found
            raise Misuse("the server makes no offer that can be paid here", actual=str(said.get("error"))[:200],
                         expected=f"exact, on {wire.network(self.chain.chain_id)}, with a signed offer")
        offer = mine[0]
        for what, expected, actual in (("resource", url, offer.resource), ("method", method, offer.method),
                                       ("body", sha256(body).hex(), offer.body.hex())):
            if expected != actual:
                raise Refuted(f"an offer for another {what}", expected=expected[:200], actual=actual[:200])
        if not offer.by_seller:
            raise Refuted("an offer that its seller did not sign", actual="0x" + offer.seller.hex())
        return offer

    def _noted(self, method: str, url: str, body: bytes, said: Mapping[str, Any]) -> Offer | None:
        """What a server asks that signs no offers, in the form of one: the payment then names it all the same."""
        for one in said.get("accepts", []):
            extra = one.get("extra") if isinstance(one, dict) else None
            if (isinstance(one, dict) and one.get("scheme") == "exact"
                    and one.get("network") == wire.network(self.chain.chain_id)
                    and (not isinstance(extra, dict) or extra.get("assetTransferMethod", "eip3009") == "eip3009")):
                life = one.get("maxTimeoutSeconds")
                if type(life) is not int or life < 1:
                    raise BadInput("not what x402 asks a payment with", expected="maxTimeoutSeconds", actual=life)
                payee = wire.address(one.get("payTo"))
                return Offer(url, method, sha256(body), payee, wire.number(one.get("amount")),
                             wire.address(one.get("asset")), self.chain.chain_id, self.chain.now() + life,
                             secrets.token_bytes(32), payee).sound()
        return None

    def _sign(self, offer: Offer, salt: bytes) -> Authorization:
        order = Authorization(self.account, offer.payee, offer.price, 0, offer.expires, offer.nonce_of(salt))
        return Authorization(order.owner, order.to, order.amount, order.after, order.before, order.nonce,
                             self._key.sign_digest(order.digest(self._domain(offer.token))))

    def _domain(self, token: Account) -> bytes:
        with self._lock:
            if token not in self._domains:
                self._domains[token] = Erc3009(self.chain.web3, token).domain()
            return self._domains[token]

    def _present(self, reserved: Spending, answer: httpx.Response) -> Bought:
        """What came for a payment. Whether it was carried out is asked of the chain, not of the server."""
        told = None
        if (header := answer.headers.get(wire.RESPONSE)) is not None:
            try:
                told = Settled.of(header)
            except BadInput:
                told = None
        # Where the chain does not answer the payment stays reserved, and what came is still what came.
        with suppress(OutsideFailed):
            self._look(reserved, None if told is None else tx_of(told.tx))
        now = self.budget.payment(reserved.nonce)
        assert now is not None
        return Bought(answer.status_code, answer.headers.get("content-type", ""), answer.content, now,
                      now.state == SETTLED, told)

    def _look(self, one: Spending, tx: bytes | None = None) -> None:
        if one.state == LAPSED:
            return
        order = order_of(one)
        token = Erc3009(self.chain.web3, one.offer.token)
        if token.used(order.owner, order.nonce):
            # No other order was ever signed with this nonce: what used it up is this payment.
            if tx is None or not token.carried(tx, order):
                tx = token.brought(order)
            self.budget.ended(one.nonce, SETTLED, tx)
        elif self._over(one.before):
            self.budget.ended(one.nonce, LAPSED)

    def _over(self, before: int) -> bool:
        """Whether no block can be made any more that carries out an order that ends then."""
        found = self.chain.finality()
        if found.finalized is None:
            return False
        if found.finalized.timestamp >= before:
            return True
        # A chain whose head is final at once makes its next block no earlier than now.
        return found.finalized.number == found.latest.number and self.chain.now() >= before


def order_of(one: Spending) -> Authorization:
    """The order that a payment was, without its signature."""
    offer = one.offer
    return Authorization(one.payer, offer.payee, offer.price, 0, offer.expires, one.nonce)


def waiting(bought: Bought) -> Bought:
    """The same, or Pending where the server is still at it. Raises Pending."""
    if bought.status == 409 and bought.spending is not None:
        raise Pending("the server is still at it", do="Ask again with the same payment: troth x402 again "
                      + bought.spending.nonce.hex())
    return bought


def _required(answer: httpx.Response) -> Mapping[str, Any]:
    header = answer.headers.get(wire.REQUIRED)
    said = wire.unpacked(header) if header is not None else read_foreign(answer.content[:MAX_TERMS], MAX_TERMS)
    if not isinstance(said, dict):
        raise BadInput("not what x402 asks a payment with", actual=type(said).__name__)
    return said


def _as_asked(header: str, first: httpx.Response) -> str:
    """A payment to a server that signs no offers: its own terms back, as it wrote them."""
    said, asked = wire.unpacked(header), _required(first)
    mine = said["accepted"]
    said["accepted"] = next(one for one in asked["accepts"] if isinstance(one, dict)
                            and one.get("scheme") == mine["scheme"] and one.get("network") == mine["network"]
                            and one.get("amount") == mine["amount"])
    if "resource" in asked:
        said["resource"] = asked["resource"]
    return wire.packed(json.loads(json.dumps(said)))


def _here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
