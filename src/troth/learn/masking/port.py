"""The port of secure aggregation: what is summed, by whom, what comes out, and what it costs beforehand.

A backend is a pair of state machines, message in, message out: one a site, one the server that carries messages between
sites. Neither opens a connection nor reads a clock; whoever drives them does (`run` here, in one process).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from troth.core.encoding import decode_object, encode, from_hex, sha256, take
from troth.core.errors import BadInput, Misuse
from troth.core.ports import KeyHistory, Signer
from troth.fixed.numbers import IntArray, as_ints, magnitude
from troth.learn.arrays import MAX_ELEMENTS
from troth.learn.engines import Engine
from troth.learn.masking.terms import LEAST_SITES, MOST_SITES

Random = Callable[[int], bytes]
"""random(n) gives n secret bytes."""

MAX_BOUND = 1 << 48


@dataclass(frozen=True, slots=True)
class Session:
    """One sum, as everybody who takes part must know it beforehand.

    context: 32 bytes that name what it is for, such as the digest of plan, deal and round: never two sums with one.
    sites: the roster, DIDs in ascending order. threshold: as many must stay to the end. length: elements of a vector.
    bound: the largest magnitude of an element.

    Raises BadInput for a roster of fewer than 3 or more than 128, a threshold that is not more than half of it, and for
    a length or bound out of range.
    """

    context: bytes
    sites: tuple[str, ...]
    threshold: int
    length: int
    bound: int

    def __post_init__(self) -> None:
        if len(self.context) != 32:
            raise BadInput("a sum needs a context", expected="32 bytes", actual=len(self.context))
        if list(self.sites) != sorted(set(self.sites)) or not LEAST_SITES <= len(self.sites) <= MOST_SITES:
            raise BadInput("sites are distinct DIDs in ascending order", expected=f"{LEAST_SITES} to {MOST_SITES}",
                           actual=len(self.sites), do="Two sites would see each other's vector in the sum.")
        if not len(self.sites) < 2 * self.threshold <= 2 * len(self.sites):
            raise BadInput("the threshold is out of range", actual=self.threshold,
                           expected=f"more than half of {len(self.sites)} sites, and at most all",
                           do="With less, a server could have two sets of survivors signed, and unmask a vector.")
        if not 1 <= self.length <= MAX_ELEMENTS or not 1 <= self.bound <= MAX_BOUND:
            raise BadInput("a vector's length or bound is out of range", actual=f"{self.length}, {self.bound}",
                           expected=f"1 to {MAX_ELEMENTS} elements, magnitudes up to 1 to {MAX_BOUND}")

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"bound": self.bound, "context": self.context.hex(), "length": self.length,
                       "sites": list(self.sites), "threshold": self.threshold})

    @classmethod
    def from_bytes(cls, data: bytes) -> Session:
        """Read strictly. Raises BadInput."""
        bound, context, length, sites, threshold = take(
            decode_object(data), bound=int, context=str, length=int, sites=list, threshold=int)
        if any(type(site) is not str for site in sites):
            raise BadInput("a roster of something else than DIDs", expected="texts")
        return cls(from_hex(context, 32), tuple(sites), threshold, length, bound)

    @property
    def id(self) -> bytes:
        """What every message names and every key is bound to, 32 bytes."""
        return sha256(b"troth/masking/session/1\n" + self.to_bytes())

    @property
    def colluders(self) -> int:
        """How many sites may side with a lying server before an honest site's vector is at risk."""
        return max(0, 2 * self.threshold - len(self.sites) - 1)

    def check_vector(self, vector: IntArray) -> IntArray:
        """The vector, if it may be summed here. Raises BadInput for another length or an element beyond the bound."""
        if as_ints(vector, "a vector to sum").shape != (self.length,):
            raise BadInput("a vector of another length", expected=self.length, actual=vector.shape)
        if magnitude(vector) > self.bound:
            raise BadInput("an element beyond the sum's bound", expected=f"at most {self.bound}",
                           actual=magnitude(vector), do="Clip the vector first; it is never wrapped or clamped.")
        return vector

    def index(self, did: str) -> int:
        """A site's place in the roster. Raises Misuse for a stranger."""
        if did not in self.sites:
            raise Misuse("this site is not on the sum's roster", expected=f"one of {len(self.sites)}", actual=did)
        return self.sites.index(did)


@dataclass(frozen=True, slots=True)
class Fault:
    """A site that broke the protocol, by its own signed messages. ``phase`` and ``reason`` are words of the page."""

    site: str
    phase: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """What came out. total: the exact sum over ``included``, int64. dropped: on the roster, but not in the sum.

    faults: broken rules that signed messages prove. A site can be at fault and included: its vector was in before.
    """

    total: IntArray
    included: tuple[str, ...]
    dropped: tuple[str, ...]
    faults: tuple[Fault, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Summed) and (self.included, self.dropped, self.faults) == (
            other.included, other.dropped, other.faults) and np.array_equal(self.total, other.total)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one sum costs, estimated. Bytes and seconds of one site; ``server_seconds`` of the server. ``factor``: bytes
    sent over those of the bare vector at 4 bytes an element."""

    sent: int
    received: int
    site_seconds: float
    server_seconds: float
    factor: float


class SumSite(Protocol):
    """A site's end."""

    def answer(self, call: bytes) -> bytes:
        """The answer to a call. The same call again gets the same answer.

        Raises BadInput for bytes that are no call, Refuted for one that shows the server lying, Misuse for one out of
        turn. After any of these the site gives nothing away that it had not, and may be asked again.
        """
        ...


class SumServer(Protocol):
    """The server's end."""

    def calls(self) -> Mapping[str, bytes]:
        """What to ask now, by DID; empty when the sum is there."""
        ...

    def take(self, answers: Mapping[str, bytes]) -> None:
        """The answers to `calls`, by DID; who did not answer is absent, and who answers wrongly counts as absent.

        Raises Undecidable where too few are left: this sum never comes out.
        """
        ...

    def result(self) -> Summed:
        """The sum. Raises Pending before it is there, Undecidable where it cannot be had from what was signed."""
        ...


class SecureSum(Protocol):
    """A way to sum vectors without showing them."""

    name: str

    def site(self, session: Session, signer: Signer, keys: KeyHistory, vector: IntArray,
             random: Random = os.urandom) -> SumSite:
        """A site's end, for one session only: a vector must never go into two sums under one context."""
        ...

    def server(self, session: Session, keys: KeyHistory) -> SumServer:
        """The server's end."""
        ...

    def cost(self, sites: int, length: int) -> Cost:
        """What it would cost, before anybody chooses it."""
        ...


def over(engine: Engine, patience: float) -> Callable[[Mapping[str, bytes]], Mapping[str, bytes]]:
    """What `run` asks with, over an engine. The server must ask every site the same (`BonawitzServer`: ``alike``).

    patience: seconds for each phase. Raises what ``Engine.ask`` raises, Misuse for a server that asks otherwise.
    """
    def ask(calls: Mapping[str, bytes]) -> Mapping[str, bytes]:
        if len(set(calls.values())) != 1:
            raise Misuse("an engine carries one call to all sites", expected="a server that asks all alike",
                         actual=f"{len(set(calls.values()))} calls")
        return engine.ask(next(iter(calls.values())), list(calls), patience)

    return ask


def run(server: SumServer, ask: Callable[[Mapping[str, bytes]], Mapping[str, bytes]]) -> Summed:
    """Drive a server to its end: ``ask`` carries calls to their sites and brings the answers that came in time."""
    while calls := server.calls():
        server.take(ask(calls))
    return server.result()
