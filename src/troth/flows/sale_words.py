"""The words of a sale: what is offered, ordered and handed over, for which licence, and the terms that follow.

Claims: offer, order, handover, complaint, inspection, and evaluation (what an offer's quality rests on). All are read
strictly. Pages: docs/kinds, docs/reference/selling.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from troth.core import encoding
from troth.core.claims import Statement, Subject
from troth.core.encoding import MAX_INT, from_hex, keccak256
from troth.core.errors import BadInput, Misuse
from troth.core.terms import Account
from troth.flows.parts import Above, Pin
from troth.store.wrapping import RecipientPublic

OFFER, ORDER, HANDOVER = "offer", "order", "handover"
COMPLAINT, INSPECTION, EVALUATION = "complaint", "inspection", "evaluation"
FORMS = ("csv", "arrays", "npz", "model", "bytes")
"""What ``troth.load`` gives: a table, arrays of integers, NumPy arrays, an ONNX or troth model, or the bytes."""
DERIVATIVES = ("none", "models", "any")
ERASURES = ("stays", "ends")
WHOLE = 10_000
"""Basis points of everything."""
MOST_TEXT, MOST_TAGS, MOST_JUDGES = 4_096, 16, 9
NOBODY: Account = bytes(20)
LEAST = 600
"""Seconds that any side has at least for what it must do in time."""
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9 -]{0,119}\Z")
_TAG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")


@dataclass(frozen=True, slots=True)
class Licence:
    """What a buyer may do. Nothing here is enforced by mathematics but its record on chain.

    to: DIDs that it may be granted to; empty: whoever buys. purpose: as in a consent. term: seconds from the last
    moment to fund on. derivatives: none, models (trained on it), any. royalty: basis points that whoever earns with
    a derivative owes. transferable: whether the token may change hands. erasure: what follows where the listing is
    erased: the licence ``stays``, or it ``ends`` and the seller owes ``refund`` basis points of the price. authority:
    the account that may revoke for cause (zeros: none). ladder: hash of the rungs whose refuted deal revokes (zeros:
    none).
    """

    purpose: str
    term: int
    to: tuple[str, ...] = ()
    derivatives: str = "models"
    royalty: int = 0
    transferable: bool = False
    erasure: str = "stays"
    refund: int = 0
    authority: Account = NOBODY
    ladder: bytes = bytes(32)

    def __post_init__(self) -> None:
        if not _PURPOSE.match(self.purpose) or not 1 <= self.term <= MAX_INT:
            raise BadInput("not a licence", expected="a purpose in plain small letters, and a term of at least 1 s",
                           actual=f"{self.purpose!r}, {self.term}")
        if self.derivatives not in DERIVATIVES or self.erasure not in ERASURES:
            raise BadInput("not a licence", expected=f"derivatives {DERIVATIVES}, erasure {ERASURES}",
                           actual=f"{self.derivatives}, {self.erasure}")
        if not 0 <= self.royalty <= WHOLE or not 0 <= self.refund <= WHOLE or (self.refund and self.erasure == "stays"):
            raise BadInput("not a licence", expected="royalty and refund from 0 to 10000 basis points, and a refund "
                           "only where erasure ends it", actual=f"{self.royalty}, {self.refund}, {self.erasure}")
        if len(set(self.to)) != len(self.to) or not all(did.startswith("did:") for did in self.to):
            raise BadInput("a licence to nobody in particular", expected="distinct DIDs", actual=self.to)
        if len(self.authority) != 20 or len(self.ladder) != 32:
            raise BadInput("not a licence", expected="an authority of 20 bytes and a ladder of 32")

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"authority": self.authority.hex(), "derivatives": self.derivatives, "erasure": self.erasure,
                "ladder": self.ladder.hex(), "purpose": self.purpose, "refund": self.refund, "royalty": self.royalty,
                "term": self.term, "to": list(self.to), "transferable": self.transferable}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        authority, derivatives, erasure, ladder, purpose, refund, royalty, term, to, transferable = encoding.take(
            body, authority=str, derivatives=str, erasure=str, ladder=str, purpose=str, refund=int, royalty=int,
            term=int, to=list, transferable=bool)
        return cls(purpose, term, _texts(to), derivatives, royalty, transferable, erasure, refund,
                   from_hex(authority, 20), from_hex(ladder, 32))

    def digest(self) -> bytes:
        """What the chain keeps of these words: the Keccak-256 of their canonical form."""
        return keccak256(encoding.encode(self.body()))


@dataclass(frozen=True, slots=True)
class Judge:
    """Who inspects a delivery that is complained of: a DID to seal to, an account that answers."""

    did: str
    account: Account


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts of one sale, in the token's smallest unit.

    costs: what all acts of one side may cost it in the worst case (gas, in this token). verifier_stake 0: the
    verifiers deposit nothing, and a court must stand above them.
    """

    price: int
    stake: int
    fee: int
    bond: int
    costs: int
    verifier_stake: int = 0

    def check(self, verifiers: int, court: bool) -> None:
        """Raises Misuse unless every stake exceeds twice what its owner could gain by cheating.

        A seller can at most take the price for rubbish. A right buyer must not lose by calling the verifiers, a seller
        must not lose by selling, and a challenge must cost more than the verifiers do, and no more than it can win. A
        verifier can at most take its part of the fee for no work; where it stakes nothing, a court must be able to
        correct it.
        """
        if min(self.price, self.stake, self.fee, self.bond) < 1 or min(self.costs, self.verifier_stake) < 0:
            raise Misuse("a sale that moves nothing", expected="price, stake, fee and bond of at least 1",
                         actual=self.json())
        if self.stake <= 2 * self.price:
            raise Misuse("the seller's stake does not deter", expected=f"more than {2 * self.price}", actual=self.stake,
                         do="Raise the stake or lower the price.")
        if self.stake <= self.fee + self.costs:
            raise Misuse("a right buyer would lose by calling the verifiers", actual=self.stake,
                         expected=f"a stake of more than {self.fee + self.costs}")
        if self.price <= self.costs:
            raise Misuse("the seller would lose by selling", expected=f"a price of more than {self.costs}",
                         actual=self.price)
        if self.bond <= self.fee:
            raise Misuse("the bond does not deter idle complaints", expected=f"more than {self.fee}", actual=self.bond)
        if self.bond + self.fee > self.stake:
            raise Misuse("a complaint that a buyer could not afford", expected=f"bond and fee of at most {self.stake}",
                         actual=self.bond + self.fee)
        if self.verifier_stake <= 2 * (self.fee // verifiers) and not (court and not self.verifier_stake):
            raise Misuse("the verifiers' stakes do not deter", expected=f"more than {2 * (self.fee // verifiers)}, or "
                         "a court above and no stake", actual=self.verifier_stake)

    def json(self) -> dict[str, str]:
        """As a claim says it."""
        return {"bond": str(self.bond), "costs": str(self.costs), "fee": str(self.fee), "price": str(self.price),
                "stake": str(self.stake), "verifier_stake": str(self.verifier_stake)}

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        bond, costs, fee, price, stake, verifier_stake = map(encoding.amount, encoding.take(
            body, bond=str, costs=str, fee=str, price=str, stake=str, verifier_stake=str))
        return cls(price, stake, fee, bond, costs, verifier_stake)


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds. fund: from the handover on; reveal: the secret; verdict; window: to complain; look: the verifiers."""

    fund: int = 3_600
    reveal: int = 3_600
    verdict: int = 3_600
    window: int = 7_200
    look: int = 3_600

    def json(self) -> dict[str, int]:
        """As a claim says it."""
        return {"fund": self.fund, "look": self.look, "reveal": self.reveal, "verdict": self.verdict,
                "window": self.window}

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        fund, look, reveal, verdict, window = encoding.take(body, fund=int, look=int, reveal=int, verdict=int,
                                                            window=int)
        if min(fund, look, reveal, verdict, window) < 1:
            raise BadInput("a sale without time", expected="periods of at least 1 second", actual=dict(body))
        return cls(fund, reveal, verdict, window, look)


@dataclass(frozen=True, slots=True)
class Deal:
    """Where and how a sale is settled. payees: who is paid the price, with weights; the seller alone if empty."""

    chain_id: int
    book: Account
    token: Account
    seller: Account
    preimage: Pin
    rerun: Pin
    verifiers: tuple[Judge, ...]
    money: Money
    periods: Periods = Periods()
    payees: tuple[tuple[Account, int], ...] = ()
    court: Above | None = None

    def check(self) -> None:
        """Refuse words that no honest side should agree to. Raises Misuse."""
        accounts = [judge.account for judge in self.verifiers]
        if not 1 <= len(accounts) <= MOST_JUDGES or len({self.seller, *accounts}) != len(accounts) + 1:
            raise Misuse("not a bench for a sale", expected=f"1 to {MOST_JUDGES} distinct verifiers, not the seller",
                         actual=len(accounts))
        if min(self.periods.window, self.periods.look, self.periods.reveal) < LEAST:
            raise Misuse("no time to deliver, to complain or to look", expected=f"at least {LEAST} s each",
                         actual=self.periods.json())
        if any(weight < 1 for _, weight in self.payees) or len(self.payees) > 32:
            raise Misuse("not who is paid", expected="at most 32 payees with weights of at least 1")
        self.money.check(len(accounts), self.court is not None)

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        above = [] if self.court is None else [self.court.json()]
        return {"above": above, "book": self.book.hex(), "chain": str(self.chain_id), "money": self.money.json(),
                "payees": [[account.hex(), str(weight)] for account, weight in self.payees],
                "periods": self.periods.json(), "preimage": self.preimage.json(), "rerun": self.rerun.json(),
                "seller": self.seller.hex(), "token": self.token.hex(),
                "verifiers": [[judge.did, judge.account.hex()] for judge in self.verifiers]}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        above, book, chain, money, payees, periods, preimage, rerun, seller, token, verifiers = encoding.take(
            body, above=list, book=str, chain=str, money=dict, payees=list, periods=dict, preimage=dict, rerun=dict,
            seller=str, token=str, verifiers=list)
        if len(above) > 1:
            raise BadInput("a sale with several courts", expected="none or one", actual=len(above))
        return cls(encoding.amount(chain), from_hex(book, 20), from_hex(token, 20), from_hex(seller, 20),
                   Pin.read(preimage), Pin.read(rerun),
                   tuple(Judge(did, from_hex(account, 20)) for did, account in map(_pair, verifiers)),
                   Money.read(money), Periods.read(periods),
                   tuple((from_hex(account, 20), encoding.amount(weight)) for account, weight in map(_pair, payees)),
                   Above.read(above[0]) if above else None)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is for sale. cid: of the sealed file; commitment: to its data key, as its header has it; content: to what
    it holds (``store.delivery.content_of``). persons: whether the data are about persons, who then must have consented.
    """

    name: str
    card: str
    tags: tuple[str, ...]
    form: str
    cid: str
    commitment: bytes
    content: bytes
    persons: bool
    licence: Licence
    deal: Deal

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= 120 or len(self.card.encode()) > MOST_TEXT:
            raise BadInput("not a card", expected=f"a name of 1 to 120 characters, at most {MOST_TEXT} bytes of text",
                           actual=f"{len(self.name)} and {len(self.card.encode())}")
        if len(self.tags) > MOST_TAGS or not all(_TAG.match(tag) for tag in self.tags):
            raise BadInput("not tags", expected=f"at most {MOST_TAGS}, of small letters, digits and dashes",
                           actual=self.tags[:MOST_TAGS])
        if self.form not in FORMS or len(self.commitment) != 32 or len(self.content) != 32:
            raise BadInput("not an offer", expected=f"a form of {', '.join(FORMS)}, and two commitments of 32 bytes",
                           actual=self.form)

    def until(self, now: int) -> int:
        """The last second of a licence that is handed over at ``now``, Unix."""
        return now + self.deal.periods.fund + self.licence.term

    def subjects(self) -> tuple[Subject, ...]:
        """The claim's subject: what the file holds, by its commitment."""
        return (Subject("content", {"commitment": self.content.hex()}),)

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"card": self.card, "cid": self.cid, "commitment": self.commitment.hex(), "content": self.content.hex(),
                "deal": self.deal.body(), "form": self.form, "licence": self.licence.body(), "name": self.name,
                "persons": self.persons, "tags": list(self.tags)}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read an offer strictly. Raises BadInput."""
        card, cid, commitment, content, deal, form, licence, name, persons, tags = encoding.take(
            _body(statement, OFFER), card=str, cid=str, commitment=str, content=str, deal=dict, form=str, licence=dict,
            name=str, persons=bool, tags=list)
        found = cls(name, card, _texts(tags), form, cid, from_hex(commitment, 32), from_hex(content, 32), persons,
                    Licence.of(licence), Deal.of(deal))
        if statement.subjects != found.subjects():
            raise BadInput("an offer whose subject is not what it offers", expected=found.content.hex())
        return found


@dataclass(frozen=True, slots=True)
class Order:
    """What a buyer asks for: to which one-time key, from which account. nonce: 32 random bytes."""

    account: Account
    key: RecipientPublic
    nonce: bytes

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"account": self.account.hex(), "key": self.key.data.hex(), "nonce": self.nonce.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read an order strictly. Raises BadInput."""
        account, key, nonce = encoding.take(_body(statement, ORDER), account=str, key=str, nonce=str)
        public = RecipientPublic(from_hex(key, len(key) // 2))
        return cls(from_hex(account, 20), public, from_hex(nonce, 32))


@dataclass(frozen=True, slots=True)
class Handover:
    """What the seller answers: E by its CID, the lock of the secret, until when to fund, and its consent to its stake.

    consent: EIP-712 signature of the seller's account over the deposit, good until ``fund_by``.
    """

    deal: bytes
    cid: str
    lock: bytes
    fund_by: int
    consent: bytes

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"cid": self.cid, "consent": self.consent.hex(), "deal": self.deal.hex(), "fund_by": self.fund_by,
                "lock": self.lock.hex()}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read a handover strictly. Raises BadInput."""
        cid, consent, deal, fund_by, lock = encoding.take(_body(statement, HANDOVER), cid=str, consent=str, deal=str,
                                                          fund_by=int, lock=str)
        if fund_by < 0:
            raise BadInput("not a handover", expected="a time to fund it by", actual=fund_by)
        return cls(from_hex(deal, 32), cid, from_hex(lock, 32), fund_by, from_hex(consent, 65))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What somebody who opened the sealed file measured. metrics: parts of a million, higher is better."""

    cid: str
    commitment: bytes
    method: str
    metrics: Mapping[str, int]

    def __post_init__(self) -> None:
        good = all(_TAG.match(name) and type(value) is int and 0 <= value <= 1_000_000
                   for name, value in self.metrics.items())
        if not self.metrics or not good or not 1 <= len(self.method) <= 1_000 or len(self.commitment) != 32:
            raise BadInput("not an evaluation", expected="a method, and metrics in parts of a million",
                           actual=dict(self.metrics))

    def subjects(self) -> tuple[Subject, ...]:
        """The claim's subject: the sealed file, by the commitment to its key."""
        return (Subject("sealed", {"commitment": self.commitment.hex()}),)

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"cid": self.cid, "commitment": self.commitment.hex(), "method": self.method,
                "metrics": dict(self.metrics)}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read an evaluation strictly. Raises BadInput."""
        cid, commitment, method, metrics = encoding.take(_body(statement, EVALUATION), cid=str, commitment=str,
                                                         method=str, metrics=dict)
        found = cls(cid, from_hex(commitment, 32), method, metrics)
        if statement.subjects != found.subjects():
            raise BadInput("an evaluation whose subject is not what it evaluated", expected=commitment)
        return found


def _body(statement: Statement, kind: str) -> dict[str, Any]:
    if (statement.kind, statement.version) != (kind, 1):
        raise BadInput(f"not a claim of kind {kind}", expected=f"urn:troth:{kind}:v1", actual=statement.kind)
    return dict(statement.body)


def _texts(values: list[Any]) -> tuple[str, ...]:
    if any(type(value) is not str for value in values):
        raise BadInput("unexpected JSON", expected="a list of texts", actual=values)
    return tuple(values)


def _pair(value: Any) -> tuple[str, str]:
    if type(value) is not list or len(value) != 2 or any(type(part) is not str for part in value):
        raise BadInput("unexpected JSON", expected="a pair of texts", actual=value)
    return value[0], value[1]
