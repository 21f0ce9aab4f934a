"""A client, two providers and three reviewers, and jobs between them, on the Book in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ports.books import MemoryWorld, account
from ports.wat_modules import stepped, summed
from troth.app import Settings, Troth
from troth.compute.runners import Limits, Runner
from troth.compute.runners.wasm import Wasm
from troth.core.claims import Evidence
from troth.core.terms import DealState
from troth.flows import job as flow
from troth.flows.job import BRIEF, CODE, INPUT, Trusted, Voice
from troth.flows.job_again import execute_again
from troth.flows.job_claims import Opinion
from troth.flows.job_terms import ASKED, RERUN, Milestone, Money, Order, Periods, Seat
from troth.flows.parts import Pin
from troth.identity.keystore import MIN_COST
from troth.ledger.memory import Policy
from troth.verify.bisect import Trace
from troth.verify.policies.court import Court

NAMES = ("client", "provider", "rival", "anna", "ben", "clever")
REVIEWERS = ("anna", "ben", "clever")
PRICE, STAKE, FEE, SEAT, BOND, PURSE, HOUR = 100, 300, 30, 25, 40, 100_000, 3600
GIVEN = b"what is to be summed"
TEXT = b"a picture of a cat\n"


class Hired:
    """The world; ``place`` orders, the others are steps of a job."""

    def __init__(self, folder: Path) -> None:
        self.world = MemoryWorld()
        self.seat_of_court = account("seat of a court")
        self.court_pin = Pin(account("policy court"), b"c" * 32)
        self.world.book.policies[self.court_pin.address] = Policy(b"c" * 32, Court({self.seat_of_court: HOUR - 1}))
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.world.clock) for name in NAMES}
        for party in self.parties.values():
            party.__dict__["book"] = self.world.book
            self.world.fund(party.account, PURSE)
            for other in self.parties.values():
                if other is not party:
                    other.meet(party.introduction())
        self.count = 0

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def close(self) -> None:
        for party in self.parties.values():
            party.close()

    def seat(self, name: str, model: str = "") -> Seat:
        return Seat(self[name].did, self[name].account, model)

    def pin(self, name: str) -> Pin:
        return Pin(*self.world.addresses.policies[name])

    @property
    def trusted(self) -> Trusted:
        return Trusted(self.world.token, (self.pin("assumed"), self.pin("rerun2"), self.pin("signed2"),
                                                self.court_pin), self.account_of)

    def account_of(self, did: str) -> bytes:
        return next(party.account for party in self.parties.values() if party.did == did)

    def voice(self, name: str) -> Voice:
        key = self[name].identity.account
        return Voice(key.sign_digest, key.reveal_seed())

    def order(self, review: str, **changes: object) -> Order:
        """An order of computing where it is executed again, else of work with a model among its reviewers."""
        self.count += 1
        computing = review == RERUN
        money = Money(FEE, SEAT, 0 if review == "first" else BOND)
        made = Order(
            self.world.book.chain_id, self.world.book.address, self.world.token, self.seat("client"),
            self.seat("provider"), (*(self.seat(name) for name in REVIEWERS[:2]),
                                    self.seat("clever", "" if computing else "a model")),
            "a sum" if computing else "name what is in the picture", (Milestone("all", PRICE, STAKE),), money, review,
            self.pin("signed2" if review == "first" else "assumed"),
            self.pin("rerun2" if computing else "signed2"), self.world.now() + HOUR, self.count.to_bytes(32, "big"),
            "wasm" if computing else "", Limits(fuel=100_000_000), Periods(HOUR, HOUR, HOUR, HOUR, HOUR))
        return replace(made, **changes)  # type: ignore[arg-type]

    def evidence(self, order: Order) -> list[Evidence]:
        client, to = self["client"], order.others(self["client"].did)
        parts = {CODE: stepped(), INPUT: GIVEN} if order.form else {BRIEF: TEXT}
        return [client.add(name, data, to) for name, data in parts.items()]

    def place(self, review: str = ASKED, **changes: object) -> tuple[Order, bytes]:
        """An order that everybody has taken a seat in, with its claim."""
        order = self.order(review, **changes)
        claim = flow.place(self["client"], order, self.evidence(order))
        self.receive()
        for name in ("provider", *REVIEWERS):
            flow.take(self[name], claim, self.trusted)
        return order, claim

    def receive(self) -> None:
        """Everybody takes in what waits, and nothing is refused."""
        for party in self.parties.values():
            party.receive()
            assert not party.refused, party.refused

    def deliver(self, claim: bytes, output: bytes = b"", milestone: int = 0, trace: Trace | None = None) -> bytes:
        mine = flow.deliver(self["provider"], claim, output or summed(GIVEN), milestone, trace=trace)
        self.receive()
        return mine

    def verdicts(self, claim: bytes, opinions: dict[str, Opinion]) -> None:
        """Signed verdicts of reviewers."""
        for name, opinion in opinions.items():
            flow.review(self[name], claim, opinion, self.voice(name))
        self.receive()

    def rerun(self, claim: bytes, names: tuple[str, ...] = REVIEWERS, by: Runner | None = None) -> list[Opinion]:
        """Reviewers execute again, commit and reveal."""
        found = []
        for name in names:
            opinion = execute_again(self[name], claim, 0, by or Wasm())
            flow.review(self[name], claim, opinion, self.voice(name))
            found.append(opinion)
        for name in names:
            flow.reveal(self[name], claim, self.voice(name))
        self.receive()
        return found

    def settle(self, claim: bytes, wait: int = HOUR) -> DealState:
        self.world.advance(wait)
        return flow.settle(self["client"], claim)

    def balances(self) -> dict[str, int]:
        return {name: self.world.balance(party.account) for name, party in self.parties.items()}


class Gains:
    """How much each has more than when this was made."""

    def __init__(self, world: Hired) -> None:
        self._world, self._before = world, world.balances()

    def __call__(self, *names: str) -> tuple[int, ...]:
        now = self._world.balances()
        return tuple(now[name] - self._before[name] for name in names)
