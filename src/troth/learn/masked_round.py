"""A round in which nobody but its owner sees an update: privacy modes *masked* and *grouped*.

As `round.run_round`, one pure function of integers; but what arrives are sums over groups of sites, each with the
transcript of its masked sum (`troth.learn.masking`). Whoever holds the transcripts sums again and runs this again.

**masked**: one group of all seats. The model moves by the mean of the updates in the sum. What a site's update was
worth cannot be known, so the reward is shared by a declared rule: in proportion to the rounds in which a seat was in
the sum, times its stake where stakes are declared. A seat is slashed for protocol faults, which its own messages prove,
and for nothing else.

**grouped**: groups of at least ``size`` seats, drawn anew each round from the round's seed. A robust rule combines the
groups' means. A group's Shapley value is shared equally among its members in the sum, and a seat's value is the mean
over the rounds: since company changes by lot, what stays is its own part. It is slashed for protocol faults, and where
in each of at least MIN_GROUP_ROUNDS rounds the group it was in did harm beyond chance.

A mean longer than the norm bound shows that some site masked more than it may; it is clipped to the bound, so the model
moves no further than one open update could move it. Who it was stays behind the masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from troth.core.encoding import encode
from troth.core.errors import BadInput
from troth.core.ports import KeyHistory
from troth.fixed.numbers import ONE, IntArray, add, clip_norm, divide_int, divide_round, stack
from troth.learn.aggregate import DEFAULT_RULE, RULES, Update, aggregate
from troth.learn.arrays import State, digest, flatten, unflatten
from troth.learn.data import Part, scaling
from troth.learn.draws import permutation
from troth.learn.masking.port import Session, Summed
from troth.learn.masking.server import check_transcript
from troth.learn.masking.terms import GROUPED, MASKED, Terms, default_threshold
from troth.learn.round import MAX_CLIP, Owed, RoundOutput
from troth.learn.tasks import Task
from troth.learn.worth import MAX_PLAYERS, Record, pay, smooth, worth

MIN_GROUP_ROUNDS = 8
"""An honest seat that meets a poisoner in half of the rounds does so eight times in a row with a chance of 0.4 %; with
one poisoner among nine and groups of three, of 0.002 %."""

PROTOCOL = "protocol"
"""Why a site is rejected that its own signed messages prove to have broken the protocol."""
NOISE_TAIL = 16
"""An element's noise is beyond so many sigma with a chance below 2**-180; the site then sums nothing that round."""


def groups(terms: Terms, seats: Sequence[str], seed: bytes) -> tuple[tuple[str, ...], ...]:
    """The round's groups, each ascending. Raises BadInput for too few seats.

    Grouped: seats in the order of a draw from the round's seed, dealt out in turn, so sizes differ by one at most.
    """
    if len(seats) < terms.least:
        raise BadInput(f"too few seats for a {terms.privacy} round", expected=f"at least {terms.least}",
                       actual=len(seats), do="Choose smaller groups, or the mode masked.")
    if terms.privacy == MASKED:
        return (tuple(sorted(seats)),)
    count = len(seats) // terms.size
    order = [seats[place] for place in permutation(seed, "groups", len(seats))]
    return tuple(tuple(sorted(order[start::count])) for start in range(count))


def sessions(terms: Terms, seats: Sequence[str], seed: bytes, named: bytes, task: Task,
             clip: int) -> tuple[Session, ...]:
    """The masked sums of a round, one a group, with the default threshold.

    named: 32 bytes that name the round for ever, `round_name`. A site takes part once in a session.
    """
    length = int(sum(np.prod(shape) for _, shape in task.layout))
    bound = clip if terms.noise is None else clip + NOISE_TAIL * terms.noise.sigma
    return tuple(Session(hashlib.sha256(named + number.to_bytes(2, "big")).digest(), members,
                         default_threshold(len(members)), length, bound)
                 for number, members in enumerate(groups(terms, seats, seed)))


def round_name(plan: bytes, deal: bytes, round_: int, base: bytes) -> bytes:
    """What the messages of a round's sums are bound to: plan, deal, absolute round, and the model started from."""
    return hashlib.sha256(b"troth/masked-round/1\n" + encode({
        "base": base.hex(), "deal": deal.hex(), "plan": plan.hex(), "round": round_})).digest()


@dataclass(frozen=True, slots=True, eq=False)
class MaskedInput:
    """Everything such a round depends on; fields as in `round.RoundInput`. sums: one a group, in the order of `groups`,
    None where the sum did not come out. away: seats out of the plan since an earlier round: in no group, unpaid.
    """

    task: Task
    base: State
    seats: tuple[str, ...]
    sums: tuple[Summed | None, ...]
    validation: Part
    seed: bytes
    reward: int
    terms: Terms
    history: tuple[Record, ...] = ()
    rule: str = DEFAULT_RULE
    clip: int = 2 * ONE
    away: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.task.check(self.base)
        if list(self.seats) != sorted(set(self.seats)) or len(self.seats) > MAX_PLAYERS:
            raise BadInput("seats are distinct keys in ascending order", expected=f"at most {MAX_PLAYERS}",
                           actual=self.seats)
        if self.rule not in RULES:
            raise BadInput("unknown aggregation rule", expected=", ".join(RULES), actual=self.rule)
        if len(self.seed) != 32 or self.reward < 0 or not 1 <= self.clip <= MAX_CLIP:
            raise BadInput("a round's seed, reward or norm bound is out of range",
                           expected=f"32 bytes, at least 0, 1 to {MAX_CLIP}",
                           actual=f"{len(self.seed)} bytes, {self.reward}, {self.clip}")
        if any(len(record.values) != len(self.seats) for record in self.history) or (
                len(self.terms.stakes) not in (0, len(self.seats))):
            raise BadInput("an earlier round or the stakes had other seats", expected=f"{len(self.seats)} seats")
        drawn = groups(self.terms, [seat for seat in self.seats if seat not in self.away], self.seed)
        if len(drawn) != len(self.sums) or any(
                found is not None and sorted((*found.included, *found.dropped)) != list(members)
                for members, found in zip(drawn, self.sums, strict=False)):
            raise BadInput("the sums are not of the round's groups", expected=drawn)


def from_transcripts(transcripts: Sequence[bytes | None], keys: KeyHistory,
                     of: Sequence[Session]) -> tuple[Summed | None, ...]:
    """The sums of a round from its transcripts, checked in full: `MaskedInput.sums`. None stays None.

    Raises what `check_transcript` raises, and BadInput for another number of transcripts.
    """
    if len(transcripts) != len(of):
        raise BadInput("one transcript a group", expected=len(of), actual=len(transcripts))
    return tuple(None if data is None else check_transcript(data, keys, session)
                 for data, session in zip(transcripts, of, strict=True))


def run_masked_round(given: MaskedInput) -> RoundOutput:
    """The round from its sums: the next model, values (none in mode masked), pay, and who is slashed.

    Reasons in ``rejected``: ``dropped`` (not in its group's sum) and ``protocol`` (a proven fault). Without any sum the
    model stays as it is. Raises BadInput only for a validation part without records.
    """
    task, data = given.task, scaling(given.validation).inputs(given.validation)
    sums = [found for found in given.sums if found is not None]
    base, params = flatten(given.base), given.base
    rows = [_mean(found, given.clip) for found in sums]
    if rows:
        rule = given.rule if given.terms.privacy == GROUPED else "mean"
        step = aggregate(rule, [Update(f"group-{number:03d}", 1, unflatten(row, task.layout))
                                for number, row in enumerate(rows)])
        params = unflatten(np.clip(add(base, flatten(step)), -task.limit, task.limit), task.layout)
    record, evaluations = _record(given, sums, rows, base)
    guilty = frozenset(given.seats.index(fault.site) for found in sums for fault in found.faults)
    away = frozenset(seat for seat, site in enumerate(given.seats) if site in given.away)
    due = owed_behind(given.terms, (*given.history, record), guilty, away, given.reward)
    rejected = sorted((site, PROTOCOL if seat in guilty else "dropped") for seat, site in enumerate(given.seats)
                      if seat in guilty or not (record.counted[seat] or seat in away))
    return RoundOutput(params, digest(params), record, due.smoothed, due.payments, due.slashed, tuple(rejected),
                       task.score(params, data), task.loss(params, data), evaluations)


def owed_behind(terms: Terms, history: Sequence[Record], guilty: frozenset[int], away: frozenset[int],
                reward: int) -> Owed:
    """Who is paid and slashed after these rounds, as `round.owed`: it follows from their records and from who broke the
    protocol in the last. away: seats that are out of the plan since an earlier round."""
    smoothed = smooth(history)
    grouped = terms.privacy == GROUPED
    slashed: frozenset[int] = guilty | (group_evidence(history) if grouped else frozenset())
    earned = [0 if seat in slashed | away else value
              for seat, value in enumerate(smoothed if grouped else _rounds(terms, history))]
    return Owed(smoothed, pay(earned, reward), tuple(sorted(slashed)))


def _mean(found: Summed, clip: int) -> IntArray:
    """The mean update of those in the sum, no longer than the bound."""
    return clip_norm(divide_round(found.total, len(found.included)), clip)


def _record(given: MaskedInput, sums: Sequence[Summed], rows: Sequence[IntArray], base: IntArray) -> tuple[Record, int]:
    """What the round leaves, per seat, and how many coalitions were evaluated. In mode masked no seat has a value."""
    values, ceilings = [0] * len(given.seats), [0] * len(given.seats)
    counted, evaluations = [False] * len(given.seats), 0
    place = {site: seat for seat, site in enumerate(given.seats)}
    for found in sums:
        for site in found.included:
            counted[place[site]] = True
    if rows and given.terms.privacy == GROUPED:
        data = scaling(given.validation).inputs(given.validation)
        whole = worth(given.task, base, stack(list(rows)), data, given.seed)
        evaluations = whole.evaluations
        for found, value, ceiling in zip(sums, whole.values, whole.ceilings, strict=True):
            for site in found.included:
                values[place[site]] = divide_int(value, len(found.included))
                ceilings[place[site]] = divide_int(ceiling, len(found.included))
    return Record(tuple(values), tuple(ceilings), tuple(counted)), evaluations


def _rounds(terms: Terms, history: Sequence[Record]) -> list[int]:
    """In how many rounds each seat was in the sum, times its stake."""
    rounds = [sum(column) for column in zip(*(record.counted for record in history), strict=True)]
    return [count * stake for count, stake in zip(rounds, terms.stakes or (1,) * len(rounds), strict=True)]


def group_evidence(history: Sequence[Record]) -> frozenset[int]:
    """Seats slashed for harm in mode grouped: in each of at least MIN_GROUP_ROUNDS rounds in which it was in a sum, its
    group's ceiling was below zero.

    Not the sum over rounds, as for open updates: an honest seat's sum falls when it meets a poisoner in some rounds.
    What it does not catch: a seat that harms in most rounds only. Its pay falls, and the robust rule bounds it.
    """
    named = set()
    for seat in range(len(history[0].values) if history else 0):
        ceilings = [record.ceilings[seat] for record in history if record.counted[seat]]
        if len(ceilings) >= MIN_GROUP_ROUNDS and max(ceilings) < 0:
            named.add(seat)
    return frozenset(named)
