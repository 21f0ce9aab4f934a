"""What a court of drawn jurors holds between acts: docs/reference/court.md. Pure; the acts are ``troth.core.jury``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from troth.core.errors import ActRefused, BadInput
from troth.core.terms import Account

MOST_STAKED = 32
MOST_TRIED = 256
MOST_CHOICES = 250
MOST_SEATS = 15
MOST_ROUNDS = 4
MOST_DELAY = 200
MOST_EXCLUDED = 3
"""A case leaves out the owners of at most one part in so many of the pool."""
HASHES = 256
"""How many blocks back a chain still tells a block's hash."""

Phase = Literal["draw", "commit", "reveal", "appeal", "solved"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is fixed when a court is made (section 1). Money in wei, periods in seconds.

    unit: the stake of one ticket. penalty: what a seat loses that is silent or incoherent, at most ``unit``. fee: of
    one seat. delay: blocks from a round's start to its seed block. rounds: at most so many. sink: gets what no coherent
    juror is paid. Raises BadInput.
    """

    unit: int
    penalty: int
    fee: int
    draw: int
    commit: int
    reveal: int
    appeal: int
    delay: int
    rounds: int
    sink: Account

    def __post_init__(self) -> None:
        if not 0 < self.penalty <= self.unit < 1 << 96 or not 0 < self.fee < 1 << 64:
            raise BadInput("a court's money is out of range", expected="0 < penalty <= unit < 2^96, 0 < fee < 2^64",
                           actual=f"unit {self.unit}, penalty {self.penalty}, fee {self.fee}")
        if not all(0 < period < 1 << 32 for period in (self.draw, self.commit, self.reveal, self.appeal)):
            raise BadInput("a court's period is out of range", expected="1 to 2^32 - 1 seconds")
        if not 0 < self.delay <= MOST_DELAY or not 0 < self.rounds <= MOST_ROUNDS:
            raise BadInput("a court's delay or rounds are out of range",
                           expected=f"1 to {MOST_DELAY} blocks, 1 to {MOST_ROUNDS} rounds")
        if len(self.sink) != 20 or self.sink == bytes(20):
            raise BadInput("not an account for what nobody can be paid", actual=self.sink.hex())

    @property
    def longest(self) -> int:
        """The longest from a dispute's start to its last ruling, in seconds."""
        return self.rounds * (self.draw + self.commit + self.reveal + self.appeal) - self.appeal


@dataclass(frozen=True, slots=True)
class Ticket:
    """One unit of stake. Its number is never another's, and its record stays: a draw may see one that has left.

    leaving: when its juror asked for it, or 0. serving: drawn rounds that are not settled. gone: taken, or fined.
    """

    juror: Account
    leaving: int = 0
    serving: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Vote:
    """A juror's vote in one round, for all its seats. told: shown by somebody before the commits were over."""

    weight: int
    commit: bytes = b""
    choice: int | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A dispute's extra data: seats of the first round, who gets back what is not spent, who may not judge."""

    size: int
    payer: Account = bytes(20)
    excluded: tuple[Account, ...] = ()

    def encode(self) -> bytes:
        """The extra data."""
        from eth_abi.abi import encode  # takes 0.2 s to load

        return self.size.to_bytes(32, "big") + encode(["address", "address[]"], [self.payer, self.excluded])

    @classmethod
    def decode(cls, extra: bytes) -> Case:
        """Raises ActRefused BadCase."""
        from eth_abi.abi import decode  # takes 0.2 s to load
        from eth_abi.exceptions import DecodingError

        size = int.from_bytes(extra[:32], "big")
        if len(extra) < 32 or size % 2 == 0 or size > MOST_SEATS:
            raise ActRefused("BadCase", "not a number of seats", expected=f"an odd number of 1 to {MOST_SEATS}",
                             actual=size)
        if len(extra) == 32:
            return cls(size)
        try:
            payer, excluded = decode(["address", "address[]"], extra[32:])
        except (DecodingError, OverflowError) as error:
            raise ActRefused("BadCase", "extra data that cannot be read", expected="payer and excluded accounts",
                             actual=error) from None
        return cls(size, bytes.fromhex(payer[2:]), tuple(bytes.fromhex(one[2:]) for one in excluded))


@dataclass(frozen=True, slots=True)
class Round:
    """One jury of a dispute.

    among: the tickets it is drawn from, the pool in the last second before its start. seats: juror and ticket.
    drawn_at: 0 until every seat is taken.
    """

    start: int
    seed_block: int
    among: tuple[int, ...]
    size: int
    payer: Account
    paid: int
    seed: bytes = b""
    tried: int = 0
    seats: tuple[tuple[Account, int], ...] = ()
    drawn_at: int = 0
    votes: Mapping[Account, Vote] = field(default_factory=lambda: MappingProxyType({}))
    settled: bool = False

    def winner(self) -> int | None:
        """The choice with most seats behind it; None for a tie, or if nobody revealed."""
        counts: Counter[int] = Counter()
        for vote in self.votes.values():
            if vote.choice is not None:
                counts[vote.choice] += vote.weight
        first = counts.most_common(2)
        return None if not first or (len(first) == 2 and first[0][1] == first[1][1]) else first[0][0]


@dataclass(frozen=True, slots=True)
class Dispute:
    """One question to the court. arbitrated: who asked, and is told the ruling. extra: hash of the extra data."""

    arbitrated: Account
    choices: int
    extra: bytes
    rounds: tuple[Round, ...]
    executed: bool = False


@dataclass(frozen=True, slots=True)
class Jury:
    """A court between acts. chain_id, address: where it is; they enter seeds and votes.

    tickets: all there ever were, by number. pool: the numbers of those that draws can see from the next second on, in
    order. changed: the second of the pool's last change, and ``earlier``: the pool before that second.
    """

    rules: Rules
    chain_id: int
    address: Account
    tickets: tuple[Ticket, ...] = ()
    pool: tuple[int, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    credits: Mapping[Account, int] = field(default_factory=lambda: MappingProxyType({}))
    changed: int = 0
    earlier: tuple[int, ...] = ()

    def pool_before(self, now: int) -> tuple[int, ...]:
        """The pool as it was before this second."""
        return self.earlier if self.changed == now else self.pool

    @property
    def held(self) -> int:
        """All the wei the court must have: stakes, fees and deposits of rounds that are not settled, and credits."""
        stakes = self.rules.unit * sum(not ticket.gone for ticket in self.tickets)
        waiting = [one for dispute in self.disputes for one in dispute.rounds if not one.settled]
        votes = sum(vote.weight for one in waiting for vote in one.votes.values() if vote.commit)
        return stakes + sum(one.paid for one in waiting) + self.rules.penalty * votes + sum(self.credits.values())
