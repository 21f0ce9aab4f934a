"""Bargaining by signed offers, one side after the other, until one takes the other's price or the time is over.

An offer is a claim ``bid``. Each names the one that it answers, so a bargain is a chain: what was said cannot be said
again elsewhere, and two answers to one offer, signed by one side, are proof against it. A buyer's offers only rise and
a seller's only fall. A bargain ends agreed when a side repeats the other's price as ``take``; whatever comes after
counts for nothing. Nothing is owed before a deal is opened: its terms carry the price, and ``opens`` compares them.

**The reserve never leaves.** A buyer's ladder of prices is made of the list price and the number of offers alone; its
reserve only says where it stops climbing, and which asked price it takes. Two buyers with no rung and no asked price
between their reserves say the same bytes: that is all that a seller can learn, and only what it lets the buyer get to.

A bargainer does never worse than one who pays the list price where it can, if the seller stands to its list price: as
the last thing it takes the best price offered so far, the list price among them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from troth.core.claims import Ref, Statement, Subject
from troth.core.encoding import amount, from_hex, take
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.terms import Terms
from troth.flows.parts import Party

BID = "bid"
BUYER, SELLER = "buyer", "seller"
OFFER, TAKE, LEAVE = "offer", "take", "leave"
MAX_OFFERS = 40
"""Offers of a bargain, both sides' together."""
OPENING = 5_500
"""What a buyer offers first, in ten-thousandths of the list price."""


@dataclass(frozen=True, slots=True)
class About:
    """What is bargained over. listing: the seller's claim. price: its list price, in the token's smallest unit.

    buyer, seller: identities. nonce: 16 bytes that the buyer drew for this bargain. until: the last second of it.
    """

    listing: bytes
    price: int
    buyer: str
    seller: str
    nonce: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Bid:
    """One offer. side: buyer or seller. n: how many came before. price: in the token's smallest unit. says: offer, take
    (the other's last price) or leave. answers: the claim before it, None for the first.
    """

    about: About
    side: str
    n: int
    price: int
    says: str
    answers: bytes | None

    def statement(self, issued_at: int) -> Statement:
        """As a claim, unsigned."""
        issuer = self.about.buyer if self.side == BUYER else self.about.seller
        refs = [Ref("listing", self.about.listing), *([Ref("answers", self.answers)] if self.answers else [])]
        return Statement(BID, issuer, issued_at, (self.subject(),), self.body(), tuple(refs), ())

    def subject(self) -> Subject:
        """The listing that is bargained over."""
        return Subject("listing", {"sha256": self.about.listing.hex()})

    def body(self) -> dict[str, Any]:
        """As a claim says it."""
        about = self.about
        return {"buyer": about.buyer, "list_price": str(about.price), "n": self.n, "nonce": about.nonce.hex(),
                "price": str(self.price), "says": self.says, "seller": about.seller, "side": self.side,
                "until": about.until}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read exactly what ``statement`` writes. Raises BadInput, and Refuted for one that another side signed."""
        if (statement.kind, statement.version) != (BID, 1) or len(statement.all_refs("listing")) != 1:
            raise BadInput("not a bid", expected=f"urn:troth:{BID}:v1 on one listing", actual=statement.kind)
        buyer, list_price, n, nonce, price, says, seller, side, until = take(
            dict(statement.body), buyer=str, list_price=str, n=int, nonce=str, price=str, says=str, seller=str,
            side=str, until=int)
        if side not in (BUYER, SELLER) or says not in (OFFER, TAKE, LEAVE) or not 0 <= n < MAX_OFFERS:
            raise BadInput("not a bid", expected="a side, a word and a number", actual=f"{side}, {says}, {n}")
        answers = statement.all_refs("answers")
        about = About(statement.all_refs("listing")[0], amount(list_price), buyer, seller, from_hex(nonce, 16), until)
        found = cls(about, side, n, amount(price), says, answers[0] if answers else None)
        if statement.issuer != (buyer if side == BUYER else seller):
            raise Refuted("an offer that its side did not sign", expected=buyer if side == BUYER else seller,
                          actual=statement.issuer)
        if found.statement(statement.issued_at) != statement:
            raise BadInput("a bid of another form", expected="one listing as subject, and the offer it answers")
        return found


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a bargain came to: the price, and the claims that show it, in order."""

    about: About
    price: int
    bids: tuple[bytes, ...]

    def opens(self, terms: Terms, pot: int) -> None:
        """Raises Refuted for a deal whose pot is not of the agreed price: open none that asks for another."""
        if pot >= len(terms.pots) or terms.pots[pot].amount != self.price:
            raise Refuted("a deal at another price than was agreed", expected=self.price,
                          actual=terms.pots[pot].amount if pot < len(terms.pots) else "no such pot")


@dataclass(slots=True)
class Talk:
    """The chain of one bargain as this side knows it. Takes in only what follows the rules above."""

    about: About
    claims: list[bytes] = field(default_factory=list)
    bids: list[Bid] = field(default_factory=list)

    @property
    def turn(self) -> str:
        """Whose turn it is. The buyer begins."""
        return BUYER if len(self.bids) % 2 == 0 else SELLER

    @property
    def over(self) -> bool:
        """Whether somebody took or left."""
        return bool(self.bids) and self.bids[-1].says != OFFER

    @property
    def agreed(self) -> Agreed | None:
        """What was agreed, if it was."""
        if not self.bids or self.bids[-1].says != TAKE:
            return None
        return Agreed(self.about, self.bids[-1].price, tuple(self.claims))

    def last(self, side: str) -> int | None:
        """A side's newest price. The seller's is the list price before it says one."""
        found = [bid.price for bid in self.bids if bid.side == side]
        return found[-1] if found else self.about.price if side == SELLER else None

    def following(self, price: int, says: str = OFFER) -> Bid:
        """The next bid, of whose turn it is."""
        return Bid(self.about, self.turn, len(self.bids), price, says, self.claims[-1] if self.claims else None)

    def hear(self, claim: bytes, statement: Statement, now: int) -> Bid:
        """Take in a bid whose signatures were checked. now: Unix seconds, of the one who hears.

        Raises Refuted, and stays as it was, for one of another bargain, out of turn, that answers another offer, late,
        after the end, that takes back what was offered, or takes a price that nobody offered.
        """
        bid = Bid.of(statement)
        before = self.claims[-1] if self.claims else None
        wrong = {
            "an offer of this bargain": bid.about != self.about,
            f"the {self.turn}'s turn": bid.side != self.turn or bid.n != len(self.bids),
            "an answer to the newest offer": bid.answers != before,
            f"an offer by {self.about.until}": max(now, statement.issued_at) > self.about.until,
            "nothing after the end": self.over,
            f"at most {MAX_OFFERS} offers": len(self.bids) == MAX_OFFERS,
        }
        for expected, bad in wrong.items():
            if bad:
                raise Refuted("not the next offer of this bargain", expected=expected, actual=claim.hex())
        self._check_price(bid)
        self.claims.append(claim)
        self.bids.append(bid)
        return bid

    def _check_price(self, bid: Bid) -> None:
        mine, theirs = self.last(bid.side), self.last(SELLER if bid.side == BUYER else BUYER)
        if bid.says == TAKE and bid.price != theirs:
            raise Refuted("takes a price that was not offered", expected=theirs, actual=bid.price)
        if bid.says == LEAVE and bid.price != 0:
            raise Refuted("leaves with a price", expected=0, actual=bid.price)
        if bid.says == OFFER and (bid.price < 1 or bid.price > self.about.price or (mine is not None and (
                bid.price < mine if bid.side == BUYER else bid.price > mine))):
            raise Refuted("takes back what it offered", expected=f"{mine} or better, up to the list price",
                          actual=bid.price)


class Tactic(Protocol):
    """How a side bargains."""

    def answer(self, talk: Talk) -> Bid:
        """The next bid of this side; it is this side's turn, and the bargain is not over."""
        ...


@dataclass(frozen=True, slots=True)
class Buyer:
    """Climbs a ladder from ``OPENING`` to the list price over ``offers`` of its own, slowly first, to where its reserve
    stops it; takes a price that is no more than what it would offer next, and in the end the best one that it can pay.

    reserve: the most it pays, in the token's smallest unit: the mandate's, or less. Secret: never in a bid or a repr.
    """

    reserve: int = field(repr=False)
    offers: int = 8

    def __post_init__(self) -> None:
        if self.reserve < 0 or not 1 <= self.offers <= MAX_OFFERS // 2:
            raise Misuse("not a buyer", expected=f"1 to {MAX_OFFERS // 2} offers")

    def rung(self, price: int, k: int) -> int:
        """The k-th price of the ladder for a list price: of these two numbers, and ``offers``, alone."""
        low = max(1, price * OPENING // 10_000)
        return low + (price - low) * k * k // max(1, self.offers * self.offers)

    def answer(self, talk: Talk) -> Bid:
        """The next bid."""
        said = [bid for bid in talk.bids if bid.side == BUYER]
        asked, price = talk.last(SELLER), self.rung(talk.about.price, len(said))
        assert asked is not None
        last = len(said) + 1 >= self.offers or len(talk.bids) + 2 > MAX_OFFERS
        if asked <= self.reserve and (asked <= price or last):
            return talk.following(asked, TAKE)
        climbed = min(price, asked)
        if climbed > self.reserve:
            climbed = said[-1].price if said else 0
        if last or climbed < 1:
            return talk.following(0, LEAVE)
        return talk.following(climbed)


@dataclass(frozen=True, slots=True)
class Seller:
    """Falls from the list price towards its reserve over ``offers`` of its own, slowly first; takes a price that is no
    less than what it would ask next. reserve: the least it takes; secret.
    """

    reserve: int = field(repr=False)
    offers: int = 8

    def answer(self, talk: Talk) -> Bid:
        """The next bid. It stands to its last price until the time is over, and never leaves first."""
        said = sum(1 for bid in talk.bids if bid.side == SELLER)
        k, most = min(said + 1, self.offers), self.offers * self.offers
        asked = talk.about.price - (talk.about.price - min(self.reserve, talk.about.price)) * k * k // most
        offered, mine = talk.last(BUYER), talk.last(SELLER)
        assert offered is not None
        assert mine is not None
        asked = min(asked, mine)
        if offered >= max(asked, self.reserve):
            return talk.following(offered, TAKE)
        return talk.following(asked)


@dataclass(frozen=True, slots=True)
class Firm:
    """A seller that stands to its list price."""

    def answer(self, talk: Talk) -> Bid:
        """The next bid."""
        offered = talk.last(BUYER)
        return talk.following(talk.about.price, TAKE if offered == talk.about.price else OFFER)


def equivocation(claims: Iterable[tuple[bytes, Statement]]) -> tuple[bytes, bytes] | None:
    """Two different bids of one side in one place of one bargain: proof that it says two things. None without any.

    The caller has checked the signatures.
    """
    seen: dict[tuple[str, bytes, bytes | None, int], bytes] = {}
    for claim, statement in claims:
        bid = Bid.of(statement)
        place = statement.issuer, bid.about.nonce, bid.answers, bid.n
        if seen.setdefault(place, claim) != claim:
            return seen[place], claim
    return None


def talk_of(party: Party, about: About, now: int) -> Talk:
    """The bargain as this party's log has it: what is not the next offer of it, whoever sent it, is passed over."""
    talk = Talk(about)
    for claim, statement in party.claims(BID):
        with contextlib.suppress(Refuted, BadInput):
            talk.hear(claim, statement, min(now, statement.issued_at))
    return talk


def answer(party: Party, about: About, tactic: Tactic, now: int) -> Talk:
    """Say what is this party's to say now, if it is its turn, and send it to the other side; the bargain since.

    Asking again after a crash says nothing a second time, and sends the newest offer again. now: Unix seconds. After
    ``about.until`` nothing is said.
    """
    side, other = (BUYER, about.seller) if party.did == about.buyer else (SELLER, about.buyer)
    talk = talk_of(party, about, now)
    if talk.turn == side and not talk.over and now <= about.until and len(talk.bids) < MAX_OFFERS:
        said = tactic.answer(talk).statement(0)
        claim = party.attest(BID, said.subjects, said.body, refs=said.refs)
        talk.hear(claim, party.statement(claim), now)
    if talk.bids and talk.bids[-1].side == side:
        party.send([other], [talk.claims[-1]])
    return talk


def check(about: About, claims: Sequence[tuple[bytes, Statement]]) -> Agreed:
    """What bids whose signatures were checked come to. Raises Refuted where they break a rule or agree on nothing."""
    talk = Talk(about)
    for claim, statement in claims:
        talk.hear(claim, statement, statement.issued_at)
    if talk.agreed is None:
        raise Refuted("these offers agree on nothing", expected="one that takes the other's price",
                      actual=talk.bids[-1].says if talk.bids else "no offer")
    return talk.agreed
