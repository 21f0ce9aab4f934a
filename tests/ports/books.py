"""A Book with its money, policies and clock, in memory or as a contract, behind one face: for every test of deals."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache

from troth.core.deals import Question
from troth.core.errors import TrothError
from troth.core.terms import SUBMISSION, Account, Rung
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.memory import MemoryBook, Policy
from troth.ledger.memory_token import MemoryToken
from troth.verify.groth16 import VerifyingKey
from troth.verify.policies.assumed import Assumed
from troth.verify.policies.mandated import Mandated
from troth.verify.policies.median import Median
from troth.verify.policies.preimage import Preimage
from troth.verify.policies.proof import Proof
from troth.verify.policies.quorum import Quorum
from troth.verify.policies.quote import Quote
from troth.verify.policies.rerun import Rerun
from troth.verify.policies.signed import Signed
from troth.verify.policies.vote import Vote

START = 1_700_000_000
MINT = 10**9
UNREADABLE = 2**128 - 1
READINGS = (60, 500_000)
"""Of Quorum and Median: how old a reading may be, in seconds, and its least confidence, in parts of a million."""
SPREAD, STEP = 100_000, 5
"""Of Median: how far from the median is slashed, in parts of a million, and its tick."""
VOTING = (200_000, 500_000)
"""Of Vote: quorum and threshold, in parts of a million."""
KEYS: dict[Account, Secp256k1KeyPair] = {}
"""The key of every account that was asked for by name, for worlds that must sign."""


@cache
def key(name: str) -> Secp256k1KeyPair:
    """The key of a test's actor, by name."""
    return Secp256k1KeyPair(hashlib.sha256(b"actor " + name.encode()).digest())


@cache
def account(name: str) -> Account:
    """The account of a test's actor, by name."""
    found = key(name).public.account
    KEYS[found] = key(name)
    return found


TELLER = account("teller")
"""Stands for a contract of ballots where only the policy Vote is tested: an actor that submits any tally."""


@dataclass(frozen=True, slots=True)
class Puppet:
    """A policy that does what the last answer of its rung says; twin of contracts/test/Puppet.sol.

    First byte 0: answer the rest; 1: fail; 2: nothing; 3: burn all gas; 4: 8,193 bytes; else all of it.
    """

    step: int = 0

    def accepts(self, rung: Rung) -> bool:
        return True

    def tick(self) -> int:
        if self.step == UNREADABLE:
            raise TrothError("this tick cannot be read")
        return self.step

    def judge(self, question: Question) -> bytes | None:
        said = [entry.data for entry in question.history if entry.kind == SUBMISSION and entry.rung == question.rung]
        if not said or not said[-1]:
            return None
        what, rest = said[-1][0], said[-1][1:]
        if what in (1, 3):
            raise TrothError("this policy fails")
        return {0: rest, 2: None, 4: bytes(8193)}.get(what, said[-1])


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is: the same on both sides make the same deal ids. policies: name -> (address, hash)."""

    chain_id: int
    book: Account
    owner: Account
    tokens: dict[str, Account]
    policies: dict[str, tuple[Account, bytes]]


def made_up() -> Addresses:
    """Addresses for a Book that is on no chain."""
    names = ("assumed", "rerun1", "rerun2", "signed2", "preimage", "quorum2", "median2", "vote",
             "quote2", "mandated", "mandatedp", "proof", "puppet", "puppet5", "puppetx")
    return Addresses(7407, account("book"), account("deployer"), {"token": account("token")},
                     {name: (account(f"policy {name}"), hashlib.sha256(name.encode()).digest()) for name in names})


class World(ABC):
    """One Book, its tokens, policies and time."""

    addresses: Addresses
    book: object

    @property
    def token(self) -> Account:
        """The one token of most tests."""
        return self.addresses.tokens["token"]

    @abstractmethod
    def now(self) -> int:
        """Unix time of the next act."""

    @abstractmethod
    def advance(self, seconds: int) -> None:
        """Let time pass."""

    def until(self, time: int) -> None:
        """Let time pass until ``time``."""
        self.advance(time - self.now())

    @abstractmethod
    def balance(self, who: Account) -> int:
        """What an account holds of ``token``."""

    @abstractmethod
    def fund(self, who: Account, amount: int = MINT, approve: int | None = None) -> None:
        """Give an account money and let the Book take ``approve`` of it (None: all)."""

    @abstractmethod
    def fail(self, who: Account, failing: bool = True) -> None:
        """Make the token refuse transfers to and from ``who``, or not."""


@dataclass
class MemoryWorld(World):
    """``MemoryBook`` with everything registered at ``addresses``."""

    addresses: Addresses = field(default_factory=made_up)
    start: int = START

    def __post_init__(self) -> None:
        self.clock = ManualClock(self.start)
        self.keys: dict[bytes, VerifyingKey] = {}
        at = self.addresses
        self.book = MemoryBook(self.clock, chain_id=at.chain_id, address=at.book, owner=at.owner)
        for address in at.tokens.values():
            self.book.tokens[address] = MemoryToken()
        codes = {"assumed": Assumed(), "rerun1": Rerun(1), "rerun2": Rerun(2),
                 "signed2": Signed(2, at.chain_id, at.book), "preimage": Preimage(),
                 "quorum2": Quorum(2, *READINGS), "median2": Median(2, *READINGS, SPREAD, STEP),
                 "vote": Vote(TELLER, *VOTING), "quote2": Quote(2, at.chain_id, at.book),
                 "mandated": Mandated(Assumed(), at.chain_id, at.book, True),
                 "mandatedp": Mandated(Puppet(), at.chain_id, at.book),
                 "proof": Proof(self.keys.get, at.chain_id, at.book),
                 "puppet": Puppet(), "puppet5": Puppet(5), "puppetx": Puppet(UNREADABLE)}
        for name, (address, codehash) in at.policies.items():
            self.book.policies[address] = Policy(codehash, codes[name])

    @property
    def ledger(self) -> MemoryToken:
        return self.book.tokens[self.token]

    def now(self) -> int:
        return self.clock.now()

    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def balance(self, who: Account) -> int:
        return self.ledger.balance_of(who)

    def fund(self, who: Account, amount: int = MINT, approve: int | None = None) -> None:
        self.ledger.mint(who, amount)
        self.ledger.approve(who, self.addresses.book, amount if approve is None else approve)

    def fail(self, who: Account, failing: bool = True) -> None:
        (self.ledger.failing.add if failing else self.ledger.failing.discard)(who)
