"""Where two executions first differ: bisection over what each committed to, and one step executed by a third.

Both parties execute the same steps from the same state, and each commits to all its states: the RFC 6962 root over
their digests, and how many there are. If they do not end alike, somebody is wrong. Who is, is found without executing
it all again:

1. Both committed to the first state, which everybody knows: who did not, is wrong.
2. They differ at the end. Half way between a place where they agree and one where they differ, both are asked what they
   committed to there, and prove it. Where they agree, the difference lies after it, else before. Who does not answer,
   or with a proof that does not hold, is wrong. After log2(n) questions two neighbours remain: agreed on, differing.
3. Somebody gives the state that they agree on (its digest is known, so it does not matter who). One step is executed
   from it. Who committed to anything else after it, is wrong; perhaps both are.

A liar cannot escape by lying in the bisection: its root was fixed before, so it can only show its own states, and
somewhere among them is a first one that is no step from the one before. Which two neighbours are found does not matter
to who is right: an honest party's states are right everywhere.

A finished state's step is itself, so runs of different lengths are compared as if the shorter one stood still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from troth.core import merkle
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, Refuted

MOST_STATES = 1 << 40
MOST_KEPT = 256 << 20


@dataclass(frozen=True, slots=True)
class Committed:
    """What a party committed to before the dispute. root: over the digests of its states; states: how many."""

    root: bytes
    states: int


class Machine(Protocol):
    """What a step means. Anybody can execute one."""

    def step(self, state: bytes) -> bytes:
        """The state after this one; a finished one's is itself. Raises Refuted where this state has no next one."""
        ...


class Party(Protocol):
    """One side of a dispute, who answers questions; through a wire, perhaps. It is not trusted."""

    def opening(self, index: int) -> tuple[bytes, Sequence[bytes]]:
        """The digest of state ``index``, and its inclusion proof. Whatever it raises counts as no answer if it is a
        TrothError."""
        ...

    def state(self, index: int) -> bytes:
        """The state itself."""
        ...


def digest_of(state: bytes) -> bytes:
    """What is committed to of a state."""
    return sha256(b"troth/state/1\n" + state)


def committed(digests: Sequence[bytes]) -> Committed:
    """What these digests of states are committed to with."""
    return Committed(merkle.root_of_hashes([merkle.leaf_hash(one) for one in digests]), len(digests))


class Trace:
    """A party's own record of an execution: digests of all states, and every ``apart``-th state whole, so that any
    one can be made again. most: bytes of whole states to keep, about; beyond them every other one is let go of, and
    ``apart`` doubles. Raises BadInput for no states at all."""

    def __init__(self, machine: Machine, states: Iterable[bytes], apart: int = 64, most: int = MOST_KEPT) -> None:
        self._machine, self._apart = machine, apart
        self._whole: dict[int, bytes] = {}
        digests, kept = [], 0
        for index, state in enumerate(states):
            if index % self._apart == 0:
                self._whole[index] = state
                kept += len(state)
            while kept > most and len(self._whole) > 1:
                self._apart *= 2
                self._whole = {at: one for at, one in self._whole.items() if at % self._apart == 0}
                kept = sum(map(len, self._whole.values()))
            digests.append(digest_of(state))
        if not digests:
            raise BadInput("an execution without a state", expected="at least the first")
        leaves = [merkle.leaf_hash(one) for one in digests]
        self._digests, self._node = digests, merkle.node_of(leaves)
        self.committed = Committed(merkle.root_of_hashes(leaves), len(leaves))

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Of all states, in order."""
        return tuple(self._digests)

    def opening(self, index: int) -> tuple[bytes, Sequence[bytes]]:
        """As `Party` has it."""
        path = merkle.inclusion_proof(index, len(self._digests), self._node)
        return self._digests[index], path

    def state(self, index: int) -> bytes:
        """As `Party` has it: executed again from the last whole one before it."""
        if not 0 <= index < len(self._digests):
            raise BadInput("no such state", expected=f"0 to {len(self._digests) - 1}", actual=index)
        at = index - index % self._apart
        state = self._whole[at]
        for _ in range(at, index):
            state = self._machine.step(state)
        return state


@dataclass(frozen=True, slots=True)
class Divergence:
    """What a dispute found. wrong: the sides (0 and 1) that committed to something else than the steps give. step: the
    number of the step that was executed, or of the first state (0). questions: asked of each side. why: for people."""

    wrong: frozenset[int]
    step: int
    questions: int
    why: str


@dataclass(slots=True)
class _Side:
    committed: Committed
    party: Party
    failed: str = ""
    asked: dict[int, bytes] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.committed.states - 1

    def digest(self, index: int) -> bytes:
        """What it committed to there, proven. Empty, with ``failed`` saying why, where it does not answer."""
        index = min(index, self.last)
        if index not in self.asked:
            try:
                found, path = self.party.opening(index)
                merkle.verify_inclusion(merkle.leaf_hash(found), index, self.committed.states, path,
                                        self.committed.root)
                self.asked[index] = found
            except _NO_ANSWER as error:
                self.failed = f"no proven answer about state {index}: {error}"
                return b""
        return self.asked[index]


_NO_ANSWER = (Refuted, Misuse, ValueError, TypeError, LookupError, OSError)
"""What a party's answer may raise, here or on its wire."""


def dispute(machine: Machine, first: bytes, sides: tuple[tuple[Committed, Party], tuple[Committed, Party]]
            ) -> Divergence:
    """Who is wrong, by the three steps above. first: the first state, as everybody knows it.

    Raises Misuse where both end alike, so that there is nothing to find.
    """
    both = (_Side(*sides[0]), _Side(*sides[1]))
    bad = [number for number, side in enumerate(both) if not 1 <= side.committed.states <= MOST_STATES]
    if bad:
        return Divergence(frozenset(bad), 0, 0, "no number of states")
    # 1
    wrong = {number for number, side in enumerate(both) if side.digest(0) != digest_of(first)}
    if wrong:
        return _found(both, wrong, 0, "another first state")
    # 2
    low, high = 0, max(side.last for side in both)
    ends = [side.digest(high) for side in both]
    if any(side.failed for side in both):
        return _silent(both, high)
    if ends[0] == ends[1]:
        raise Misuse("both end alike", expected="two executions that end differently", actual=ends[0].hex())
    while high - low > 1:
        middle = (low + high) // 2
        said = [side.digest(middle) for side in both]
        if any(side.failed for side in both):
            return _silent(both, middle)
        low, high = (middle, high) if said[0] == said[1] else (low, middle)
    # 3
    state = _agreed(both, low)
    if state is None:
        return _found(both, {0, 1}, low, "neither gives the state that both committed to")
    try:
        right = digest_of(machine.step(state))
    except Refuted as error:
        return _found(both, {0, 1}, high, f"no step is possible: {error.message}")
    wrong = {number for number, side in enumerate(both) if side.digest(high) != right}
    return _found(both, wrong, high, f"step {high} gives another state")


def _agreed(both: tuple[_Side, _Side], index: int) -> bytes | None:
    """The state that both committed to, from whoever gives it."""
    for side in both:
        try:
            state = side.party.state(min(index, side.last))
            if type(state) is bytes and digest_of(state) == side.digest(index):
                return state
        except _NO_ANSWER:
            continue
    return None


def _silent(both: tuple[_Side, _Side], index: int) -> Divergence:
    wrong = {number for number, side in enumerate(both) if side.failed}
    return _found(both, wrong, index, next(side.failed for side in both if side.failed))


def _found(both: tuple[_Side, _Side], wrong: set[int], step: int, why: str) -> Divergence:
    return Divergence(frozenset(wrong), step, max(len(side.asked) for side in both), why)
