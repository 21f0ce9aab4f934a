"""What the flows share: the party they act for, how they pin a policy, and a court above other rungs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from troth.core import encoding
from troth.core.claims import Evidence, Ref, Statement, Subject
from troth.core.encoding import from_hex
from troth.core.ports import Blobs, Book, KeyHistory
from troth.core.terms import Account

if TYPE_CHECKING:
    from troth.ledger.deploy import Deployed


@dataclass(frozen=True, slots=True)
class Pin:
    """A policy by address and code hash."""

    address: Account
    codehash: bytes

    def json(self) -> dict[str, str]:
        """As a claim says it."""
        return {"address": self.address.hex(), "codehash": self.codehash.hex()}

    @classmethod
    def of(cls, contract: Deployed) -> Self:
        """Of a contract as a workspace knows it: ``Pin.of(party.contracts["assumed"])``."""
        return cls(contract.address, contract.codehash)

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        address, codehash = encoding.take(value, address=str, codehash=str)
        return cls(from_hex(address, 20), from_hex(codehash, 32))


@dataclass(frozen=True, slots=True)
class Above:
    """A court above those who judge first (docs/reference/court.md). policy: the policy Court; seat: the court's seat
    for this Book; period: seconds, more than its longest case: the rest is the time to bring the case.
    """

    policy: Pin
    seat: Account
    period: int

    def json(self) -> dict[str, Any]:
        """As a claim says it."""
        return {"period": self.period, "policy": self.policy.json(), "seat": self.seat.hex()}

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        period, policy, seat = encoding.take(value, period=int, policy=dict, seat=str)
        return cls(Pin.read(policy), from_hex(seat, 20), period)


class Party(Protocol):
    """One party with its own keys, store, log and account. ``troth.Troth`` is one."""

    @property
    def did(self) -> str:
        """The party's identifier."""
        ...

    @property
    def account(self) -> Account:
        """The party's account on the chain."""
        ...

    @property
    def keybook(self) -> KeyHistory:
        """The keys of everybody whom this party knows."""
        ...

    @property
    def blobs(self) -> Blobs:
        """The bytes that this party keeps, as they are stored: sealed ones sealed."""
        ...

    @property
    def book(self) -> Book:
        """The deals of the chain this party works on."""
        ...

    def attest(self, kind: str, subjects: Sequence[Subject], body: Mapping[str, Any], *, refs: Iterable[Ref] = (),
               evidence: Iterable[Evidence] = ()) -> bytes:
        """Sign a claim and append it to the party's log; its id."""
        ...

    def statement(self, claim: bytes) -> Statement:
        """What a claim in the party's log says. Raises Undecidable if it is not there."""
        ...

    def claims(self, *kinds: str) -> Iterator[tuple[bytes, Statement]]:
        """Every claim of these kinds in the party's log, in order."""
        ...

    def add(self, name: str, data: bytes, seal_to: Sequence[str] | None = None) -> Evidence:
        """Keep bytes; sealed to these DIDs (the party itself always can open) unless ``seal_to`` is None: public."""
        ...

    def read(self, evidence: Evidence) -> bytes:
        """The evidence's bytes, unsealed. Raises Undecidable where they are not here or not for this party."""
        ...

    def share(self, evidence: Evidence, to: Iterable[str]) -> None:
        """Wrap the key of sealed evidence that this party can open to others too, so that ``send`` hands it over.

        Raises Undecidable where this party cannot open it.
        """
        ...

    def send(self, to: Iterable[str], claims: Iterable[bytes], evidence: Iterable[Evidence] = ()) -> int:
        """Hand claims and evidence to other parties."""
        ...

    def receive(self) -> tuple[bytes, ...]:
        """Take in what others handed over, after checking it; the ids of the claims that are new."""
        ...


def join_all(party: Party, deal: bytes) -> int:
    """Deposit every pot of this deal that is this party's and is not deposited yet; the sum."""
    total, state = 0, party.book.state(deal)
    for index, pot in enumerate(state.terms.pots):
        if pot.depositor == party.account and index not in state.joined:
            party.book.join(party.account, deal, index)
            total += pot.amount
    return total
