"""A swap across two chains: each side gets the other's money, or both keep their own.

Two deals, one on each chain, hold one deposit each and one question: what is the secret behind this hash? The maker
knows the secret. It deposits first; the taker, once that deposit is final, deposits on the other chain; the maker,
once that is final, reveals the secret there and is paid; whoever reads it there reveals it on the first chain, which
pays the taker. A side that stays silent gets nothing, and after the deadline both deposits go back.

Deadlines are ordered: the maker's reveal is due first, the taker's at least both chains' finalities and a margin later.
Rules that keep an honest side from losing both legs, whatever the other does:

1. The taker deposits only when the maker's deposit is final and the deadlines are ordered by what the chain says.
2. The maker reveals only when the taker's deposit is final and enough time is left that a re-organisation or a rise
   of fees can be outlived: a secret that was broadcast is public even if no block takes it. What could not be
   broadcast by then never is.
3. The taker reveals as soon as it reads the secret, final or not: what is public stays public.
4. Revealing, judging and paying are one act, so nobody can hold back the verdict or the money.

What it does not give: a price. Between the deposits the maker may watch the market and stay silent (a free option for
the time its reveal is open); the taker's money is then locked until the deadline and comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from troth.core import encoding
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted
from troth.core.ports import Book
from troth.core.terms import (
    REFUTED,
    SUBMISSION,
    UPHELD,
    VERDICT,
    Account,
    Ask,
    DealState,
    Pot,
    Rung,
    Split,
    Terms,
    deal_id,
)
from troth.core.times import moment
from troth.flows.parts import Pin
from troth.ledger.outbox import Expired
from troth.verify.policies.preimage import SECRET, hash_lock

VERSION = 1
POT, REVEAL = "leg", "preimage"
VERDICT_PERIOD = 1
"""Seconds. A reveal is judged in its own act, so nobody needs more; a refund waits for it."""
NO_BONDS = keccak256(b"troth swap: a deal of one rung has no bonds")[12:]
"""``wrong_bonds`` of a deal that nobody can challenge."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One side's deposit. ``giver`` deposits ``amount`` (smallest unit) of ``token``; ``getter`` reveals and is paid.

    chain_id, genesis, book: where. fund_by: Unix seconds; period: seconds to reveal, from the deposit on. finality:
    seconds after which both parties take a block of this chain to be final. since: the first block that may hold the
    deal.
    """

    chain_id: int
    genesis: bytes
    book: Account
    preimage: Pin
    token: Account
    giver: Account
    getter: Account
    amount: int
    fund_by: int
    period: int
    finality: int
    since: int = 0

    def terms(self, lock: bytes) -> Terms:
        """The deal's terms; both parties make them by themselves and compare with the chain's."""
        # A missed reveal refunds: the result of silence, and of a wrong secret, is that nothing was shown.
        pot = Pot(POT, self.giver, self.amount, {UPHELD: Split((self.getter,), amounts=(self.amount,))},
                  residual=self.giver)
        rung = Rung(self.preimage.address, self.preimage.codehash, (Ask(REVEAL, (self.getter,), self.period),),
                    VERDICT_PERIOD, silent=REFUTED, param=lock)
        return Terms(self.token, (pot,), (rung,), self.fund_by, NO_BONDS)

    def deal(self, lock: bytes) -> bytes:
        """The deal's id, known before it is opened."""
        return deal_id(self.chain_id, self.book, self.giver, lock, self.terms(lock).hash())

    def body(self) -> dict[str, Any]:
        """As a file says it."""
        return {"amount": str(self.amount), "book": self.book.hex(), "chain": str(self.chain_id),
                "finality": self.finality, "fund_by": self.fund_by, "genesis": self.genesis.hex(),
                "getter": self.getter.hex(), "giver": self.giver.hex(), "period": self.period,
                "preimage": self.preimage.json(),
                "since": self.since, "token": self.token.hex()}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``body`` writes. Raises BadInput."""
        amount, book, chain, finality, fund_by, genesis, getter, giver, period, preimage, since, token = encoding.take(
            body, amount=str, book=str, chain=str, finality=int, fund_by=int, genesis=str, getter=str, giver=str,
            period=int, preimage=dict, since=int, token=str)
        return cls(encoding.amount(chain), encoding.from_hex(genesis, 32), encoding.from_hex(book, 20),
                   Pin.read(preimage), encoding.from_hex(token, 20), encoding.from_hex(giver, 20),
                   encoding.from_hex(getter, 20), encoding.amount(amount), fund_by, period, finality, since)


@dataclass(frozen=True, slots=True)
class Swap:
    """What both parties agree on. ``first`` is the maker's deposit, ``second`` the taker's.

    lock: the hash of the secret. margin: seconds between the deadlines beyond both finalities, for clocks that differ,
    fees that rise and blocks that come late. nonce: what the maker finds its secret again by; it tells nobody anything.
    """

    first: Leg
    second: Leg
    lock: bytes
    margin: int
    nonce: bytes

    @property
    def gap(self) -> int:
        """Seconds that must lie between the two deadlines."""
        return self.first.finality + self.second.finality + self.margin

    def check(self, first_now: int, second_now: int) -> None:
        """Refuse a swap that cannot be safe for both, at these times of the two chains. Raises Misuse.

        Not checked: whether tokens, amounts and contracts are what the parties want. Read them.
        """
        one, two = self.first, self.second
        self.sound()
        if second_now + one.finality >= two.fund_by:
            raise Misuse("the taker could not wait until the maker's deposit is final", actual=two.fund_by,
                         expected=f"fund_by of the second leg after {second_now + one.finality}")
        least = 2 * two.finality + self.margin
        if two.period <= least:
            raise Misuse("the maker could not wait until the taker's deposit is final and reveal in time",
                         expected=f"a period of the second leg over {least} s", actual=two.period)
        self.ordered(first_now + one.period)

    def sound(self) -> None:
        """Refuse numbers that are no swap's, whatever the time. Raises Misuse."""
        for leg in (self.first, self.second):
            if leg.giver == leg.getter or min(leg.amount, leg.period) < 1 or leg.finality < 0:
                raise Misuse("a leg that moves nothing", expected="two accounts, an amount and a period of at least 1",
                             actual=leg.body())
        if self.margin < 1:
            raise Misuse("a swap without a margin", expected="at least 1 second", actual=self.margin)

    def ordered(self, first_deadline: int) -> None:
        """Refuse unless the first deadline lies the gap after the latest that the second can have. Raises Misuse."""
        self.sound()  # a gap below nothing would order nothing, and the file is the other party's
        latest = self.second.fund_by + self.second.period
        if first_deadline < latest + self.gap:
            raise Misuse("the deadlines are too close", expected=f"the first at {latest + self.gap} or later",
                         actual=f"the first at {first_deadline}, the second up to {latest}",
                         do="Lengthen the first leg's period, or shorten the second's.")

    def encode(self) -> bytes:
        """The file that the parties exchange: canonical JSON."""
        return encoding.encode({"first": self.first.body(), "lock": self.lock.hex(), "margin": self.margin,
                                "nonce": self.nonce.hex(), "second": self.second.body(), "version": VERSION})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read exactly what ``encode`` writes. Raises BadInput."""
        first, lock, margin, nonce, second, version = encoding.take(
            encoding.decode_object(data), first=dict, lock=str, margin=int, nonce=str, second=dict, version=int)
        if version != VERSION:
            raise BadInput("a swap of another version", expected=VERSION, actual=version)
        return cls(Leg.of(first), Leg.of(second), encoding.from_hex(lock, 32), margin, encoding.from_hex(nonce, 32))


class Side(Protocol):
    """What a party needs of one of the two chains."""

    @property
    def book(self) -> Book:
        """The deals there."""
        ...

    def now(self) -> int:
        """The time the next block carries, Unix seconds."""
        ...

    def final(self, deal: bytes) -> bool:
        """Whether what the Book says of this deal cannot be taken back any more."""
        ...

    def allow(self, token: Account, amount: int) -> None:
        """Let the Book take this much of the party's."""
        ...

    def until(self, not_after: int) -> Book:
        """The deals there, for acts that are sent by then (that chain's time, Unix seconds) or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """One leg on its chain, and what can be done there."""

    leg: Leg
    lock: bytes
    side: Side
    deal: bytes

    @classmethod
    def of(cls, leg: Leg, lock: bytes, side: Side) -> Self:
        """The place of a leg of the swap with this lock."""
        return cls(leg, lock, side, leg.deal(lock))

    @property
    def state(self) -> DealState | None:
        """The deal as it stands, or None where nobody has opened it."""
        try:
            return self.side.book.state(self.deal)
        except ActRefused as refusal:
            if refusal.code == "Unknown":
                return None
            raise

    @property
    def funded(self) -> bool:
        """Whether the deposit was ever made."""
        state = self.state
        return state is not None and bool(state.joined)

    def deposit(self) -> None:
        """Open the deal and deposit, both or neither."""
        self.side.allow(self.leg.token, self.leg.amount)
        if self.state is None:
            self.side.book.open_and_join(self.leg.giver, self.leg.terms(self.lock), self.lock, 0)
        else:
            # Somebody opened it without depositing, which only this party can do.
            self.side.book.join(self.leg.giver, self.deal, 0)

    def reveal(self, secret: bytes, not_after: int) -> None:
        """Show the secret, have it judged and be paid, all or nothing, sent by ``not_after`` or not at all.

        Raises Pending where it was not sent in time: the next step decides anew.
        """
        try:
            self.side.until(not_after).submit_and_close(self.leg.getter, self.deal, 0, 0, self.lock, secret)
        except Expired as late:
            raise Pending(f"the secret was not revealed in time: {late.message}", do="Step again.") from late

    def deadline(self, state: DealState) -> int:
        """Until when the secret can be revealed here."""
        return state.ask_start + self.leg.period

    def shown(self, state: DealState | None) -> bytes | None:
        """The secret, if it was revealed here."""
        for entry in state.history if state is not None else ():
            if entry.kind == SUBMISSION and len(entry.data) == SECRET and hash_lock(entry.data) == self.lock:
                return entry.data
        return None

    def back(self, by: Account) -> str:
        """After the deadline, close: the deposit goes back to its giver. Raises Pending before."""
        state = self.state
        if state is None or state.status not in ("running", "funding"):
            return "done"
        due = state.terms.fund_by if state.status == "funding" else self._silent_from(state)
        if self.side.now() < due:
            raise Pending("the deposit is locked", do="Step again then.",
                          expected=f"chain {self.leg.chain_id}, {moment(due, self.side.now())} or later")
        self.side.book.close(by, self.deal)
        return "refunded"

    def _silent_from(self, state: DealState) -> int:
        """When the deal can be closed without the secret: a wrong answer ends the wait early."""
        if any(entry.kind == VERDICT for entry in state.history):
            return state.ask_start
        return (state.ask_start if state.ask else self.deadline(state)) + VERDICT_PERIOD


class Maker:
    """Knows the secret. Each ``step`` does what is next and safe, and may be repeated after a crash.

    Raises BadInput for a secret that is not the lock's.
    """

    def __init__(self, swap: Swap, first: Side, second: Side, secret: bytes) -> None:
        if hash_lock(secret) != swap.lock:
            raise BadInput("this secret does not open the swap", expected=swap.lock.hex())
        self.swap, self._secret = swap, secret
        self.first, self.second = Place.of(swap.first, swap.lock, first), Place.of(swap.second, swap.lock, second)

    def step(self) -> str:
        """One act: "deposited", "revealed" (and paid), "refunded"; "done" where nothing is left to do. "paid" closes a
        deal whose secret was shown by other means.

        Raises Pending while it must wait, Misuse where depositing would not be safe.
        """
        mine, theirs = self.first.state, self.second.state
        if mine is None or mine.status == "funding":
            self.swap.check(self.first.side.now(), self.second.side.now())
            self.first.deposit()
            return "deposited"
        if theirs is None or theirs.status == "funding":
            if self.second.side.now() < self.swap.second.fund_by:
                raise Pending("the taker has not deposited",
                              expected=f"by {moment(self.swap.second.fund_by, self.second.side.now())}")
            return self.first.back(self.swap.first.giver)
        if theirs.status == "running" and self.second.shown(theirs) is None:
            return self._reveal(mine, theirs)
        if theirs.status == "running":  # shown by hand, and not closed
            self.second.side.book.close(self.swap.second.getter, self.second.deal)
            return "paid"
        # Paid or given up: what the taker leaves unclaimed on the first chain comes back.
        return self.first.back(self.swap.first.giver)

    def _reveal(self, mine: DealState, theirs: DealState) -> str:
        last = self.second.deadline(theirs) - 1
        # A secret that is out already (a re-organisation took our reveal, not the taker's) must be shown in any case.
        if self.first.shown(mine) is None:
            last -= self.swap.second.finality + self.swap.margin
            if self.second.side.now() > last:
                return self.first.back(self.swap.first.giver)
            if not self.second.side.final(self.second.deal):
                raise Pending("the taker's deposit is not final", do="Step again when it is.")
        self.second.reveal(self._secret, last)
        return "revealed"


class Taker:
    """Takes the offer, and the secret from where the maker reveals it. ``step`` as the maker's.

    It must step at least once between the maker's reveal and the first deadline, which the gap gives it time for.
    """

    def __init__(self, swap: Swap, first: Side, second: Side) -> None:
        self.swap = swap
        self.first, self.second = Place.of(swap.first, swap.lock, first), Place.of(swap.second, swap.lock, second)

    def step(self) -> str:
        """One act: "deposited", "revealed" (and paid), "refunded"; "done" where nothing is left to do. "paid" closes a
        deal whose secret was shown by other means.

        Raises Pending while it must wait, Misuse where depositing would not be safe, Refuted for an offer that lapsed.
        """
        theirs, mine = self.first.state, self.second.state
        secret = self.second.shown(mine) or self.first.shown(theirs)
        if mine is None or mine.status == "funding":
            return self._deposit(theirs)
        if secret is not None and theirs is not None and theirs.status == "running":
            if self.first.shown(theirs) is None:
                if self.first.side.now() >= self.first.deadline(theirs):
                    raise Refuted("the secret was there to take, and the time is over",
                                  expected=f"before {self.first.deadline(theirs)}", actual=self.first.side.now())
                self.first.reveal(secret, self.first.deadline(theirs) - 1)
                return "revealed"
            # Shown by hand, and not closed.
            self.first.side.book.close(self.swap.first.getter, self.first.deal)
            return "paid"
        # Paid on the second chain, the maker keeps it; a reveal that no block kept leaves this deposit to come back.
        return "done" if self.second.shown(mine) is not None else self.second.back(self.swap.second.giver)

    def _deposit(self, theirs: DealState | None) -> str:
        if self.second.side.now() >= self.swap.second.fund_by:
            raise Refuted("the offer lapsed; nothing of yours was deposited",
                          expected=f"before {moment(self.swap.second.fund_by, self.second.side.now())}")
        if theirs is None or theirs.status == "funding" or not self.first.side.final(self.first.deal):
            raise Pending("the maker's deposit is not there, or not final", do="Step again when it is.")
        if theirs.status != "running" or self.first.shown(theirs) is not None:
            raise Refuted("the maker's deposit is gone", expected="running, nothing revealed", actual=theirs.status)
        self.swap.ordered(self.first.deadline(theirs))
        self.second.deposit()
        return "deposited"


def standing(swap: Swap, first: Side, second: Side) -> dict[str, Any]:
    """Where both legs stand, for a person or a program: status, deadline, and whether the secret is out."""
    found: dict[str, Any] = {}
    for name, leg, side in (("first", swap.first, first), ("second", swap.second, second)):
        place = Place.of(leg, swap.lock, side)
        state = place.state
        running = state is not None and state.status == "running"
        found[name] = {
            "chain": leg.chain_id, "deal": place.deal.hex(), "status": state.status if state else "not there",
            "deadline": place.deadline(state) if state is not None and running else None,
            "final": state is not None and side.final(place.deal), "revealed": place.shown(state) is not None,
            "outcome": state.final.outcome if state is not None and state.final else None,
        }
    return found
