"""One round as one pure function: the aggregator runs it to make its claim, every verifier runs it to check the claim.

`run_round` reads nothing but its argument and uses integers only, so two honest machines cannot disagree. A bad update
is rejected with a named reason and the round goes on without it.

Reasons: ``stranger`` (no seat), ``twice`` (several updates from one seat: none counts), ``layout`` (other names or
shapes than the base), ``examples`` (claimed number out of range), ``norm`` (longer than the round's bound, or than the
site's own). Whoever opens updates adds why one could not be read (``recheck.OPENED``).

Near-duplicates are valued as one player and share its worth (`learn.alike`), so sending an update twice, with or
without a little noise, is not paid twice. They are not aggregated as one: where honest sites agree, that would leave a
few others the majority. A seat is one voice, and the rule of aggregation bounds how many may be hostile.

No player is valued for being long (`learn.worth.valued`): an update from an earlier round, which is long, or a
stretched one is worth what its direction is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE, IntArray, add, divide_int, divide_round, norm, stack, total
from troth.learn import alike, trusted
from troth.learn.aggregate import DEFAULT_RULE, MAX_EXAMPLES, NAMES, Update, aggregate
from troth.learn.arrays import Layout, State, digest, flatten, form, layout
from troth.learn.data import Inputs, Part, scaling
from troth.learn.dense import Dense
from troth.learn.tasks import Task
from troth.learn.worth import Record, Worth, evidence, pay, smooth, valued

MAX_SEATS = 4096
MAX_CLIP = 1 << 24
"""Largest norm bound of a round, at 2**16: 256.0. Below it no rule's sums or distances can overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class RoundInput:
    """Everything a round depends on.

    task: the family of models. base: the model the updates start from. seats: all sites of the deal, ascending; results
    are per seat in this order. updates: what arrived, in any order; rejected: (site, reason) of what arrived and could
    not be read. validation: the sponsor's public part. seed: 32
    bytes for the draws. reward: smallest units to share. history: earlier rounds' records, oldest first. clip: norm
    bound at 2**16. records: per seat, what pay goes by besides worth; empty for worth alone.
    """

    task: Task
    base: State
    seats: tuple[str, ...]
    updates: tuple[Update, ...]
    validation: Part
    seed: bytes
    reward: int
    history: tuple[Record, ...] = ()
    rule: str = DEFAULT_RULE
    clip: int = 2 * ONE
    rejected: tuple[tuple[str, str], ...] = ()
    records: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.task.check(self.base)
        if list(self.seats) != sorted(set(self.seats)) or not 1 <= len(self.seats) <= MAX_SEATS:
            raise BadInput("seats are distinct keys in ascending order",
                           expected=f"1 to {MAX_SEATS}", actual=self.seats)
        if self.rule not in NAMES:
            raise BadInput("unknown aggregation rule", expected=", ".join(NAMES), actual=self.rule)
        if self.rule == trusted.NAME and not isinstance(self.task, Dense):
            raise BadInput("a trusted reference needs a gradient in integers", expected="a dense network",
                           actual=self.task.json().get("family"))
        if len(self.seed) != 32 or self.reward < 0 or not 1 <= self.clip <= MAX_CLIP:
            raise BadInput("a round's seed, reward or norm bound is out of range",
                           expected=f"32 bytes, at least 0, 1 to {MAX_CLIP}",
                           actual=f"{len(self.seed)} bytes, {self.reward}, {self.clip}")
        if self.records and (len(self.records) != len(self.seats) or min(self.records) < 1):
            raise BadInput("numbers of records are one a seat, and positive", actual=self.records)
        if any(len(record.values) != len(self.seats) for record in self.history):
            raise BadInput("an earlier round had other seats", expected=f"{len(self.seats)} seats")


@dataclass(frozen=True, slots=True, eq=False)
class RoundOutput:
    """What a round claims. Per seat: contributions (this round), smoothed (all rounds), payments (of the whole reward,
    should this round be the last). slashed: seats with repeated evidence of harm. rejected: (site, reason), ascending.
    score in parts per million, loss at 2**16, both on the validation part (`tasks.Task`)."""

    params: State
    digest: bytes
    record: Record
    smoothed: tuple[int, ...]
    payments: tuple[int, ...]
    slashed: tuple[int, ...]
    rejected: tuple[tuple[str, str], ...]
    score: int
    loss: int
    evaluations: int

    @property
    def contributions(self) -> tuple[int, ...]:
        """This round's value of each seat's update."""
        return self.record.values

    def to_json(self) -> dict[str, object]:
        """The result for a claim's body: integers and lists, money as strings. Equal results give equal objects."""
        return {
            "loss": self.loss, "params": self.digest.hex(), "score_ppm": self.score,
            "contributions": list(self.record.values), "ceilings": list(self.record.ceilings),
            "counted": list(self.record.counted), "smoothed": list(self.smoothed),
            "payments": [str(amount) for amount in self.payments], "slashed": list(self.slashed),
            "rejected": [{"site": site, "reason": reason} for site, reason in self.rejected],
        }


def fault(update: Update, base: Layout, clip: int) -> str | None:
    """Why one update cannot be counted, or None. base: the layout that it must have."""
    try:
        fits, length = form(update.delta) == base, norm(*update.delta.values())
    except BadInput:  # an array that has no byte form: named like any other wrong layout
        fits, length = False, 0
    if not fits:
        return "layout"
    if not 1 <= update.examples <= MAX_EXAMPLES:
        return "examples"
    bound = clip if update.bound is None else min(clip, update.bound)
    return "norm" if length > bound else None


def _sort_out(given: RoundInput) -> tuple[list[Update], list[tuple[str, str]]]:
    """The updates that count, by site, and (site, reason) of the others."""
    counted, rejected, base = [], [], layout(given.base)
    sites = [update.site for update in given.updates]
    for update in sorted(given.updates, key=lambda one: one.site):
        if update.site not in given.seats:
            reason: str | None = "stranger"
        elif sites.count(update.site) > 1:
            reason = "twice"
        else:
            reason = fault(update, base, given.clip)
        if reason is None:
            counted.append(update)
        else:
            rejected.append((update.site, reason))
    return counted, sorted({*rejected, *given.rejected})


def _record(seats: tuple[str, ...], groups: list[list[str]], found: Worth) -> Record:
    """Worth per group of sites -> record per seat; a group's worth is shared equally."""
    values, ceilings, counted = ([0] * len(seats) for _ in range(3))
    place = {site: seat for seat, site in enumerate(seats)}
    for group, value, ceiling in zip(groups, found.values, found.ceilings, strict=True):
        for site in group:
            seat = place[site]
            values[seat], ceilings[seat] = divide_int(value, len(group)), divide_int(ceiling, len(group))
            counted[seat] = 1
    return Record(tuple(values), tuple(ceilings), tuple(bool(one) for one in counted))


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """The model that the updates give, those that counted, by site, and (site, reason) of the others."""

    params: State
    counted: tuple[Update, ...]
    rejected: tuple[tuple[str, str], ...]


def combine(given: RoundInput) -> Combined:
    """Judge the updates and aggregate those that count: a round without its valuation.

    Without any update that counts the model stays as it is. Parameters are clamped to the model's range, by definition
    of the function.
    """
    counted, rejected = _sort_out(given)
    params: State = given.base
    if counted:
        moves = aggregate(given.rule, counted, _reference(given))
        params = {name: np.clip(add(given.base[name], moves[name]), -given.task.limit, given.task.limit)
                  for name, _ in given.task.layout}
    return Combined(params, tuple(counted), tuple(rejected))


def _reference(given: RoundInput) -> IntArray | None:
    """The reference update, where the rule asks for one."""
    if given.rule != trusted.NAME or not isinstance(given.task, Dense):
        return None
    return trusted.reference(given.task, given.base, _public(given), given.clip)


def _public(given: RoundInput) -> Inputs:
    """The sponsor's records as a model sees them."""
    return scaling(given.validation).inputs(given.validation)


@dataclass(frozen=True, slots=True)
class Owed:
    """What rounds' records come to, per seat: mean values, payments; and the seats that are slashed, ascending."""

    smoothed: tuple[int, ...]
    payments: tuple[int, ...]
    slashed: tuple[int, ...]


def owed(history: Sequence[Record], reward: int, records: Sequence[int] = ()) -> Owed:
    """Who is paid and slashed after these rounds, oldest first: it follows from their records and the reward alone.

    So whoever holds the aggregates' claims can compute it, without a single update. records: how many records each seat
    has, where pay goes by worth times that: then who deals its records to several seats earns less than with one.
    """
    smoothed, slashed = smooth(history), evidence(history)
    earned = [0 if seat in slashed else value * (records[seat] if records else 1)
              for seat, value in enumerate(smoothed)]
    return Owed(smoothed, pay(earned, reward), tuple(sorted(slashed)))


def run_round(given: RoundInput) -> RoundOutput:
    """Judge the updates, aggregate those that count, value them, and say who is paid and who is slashed.

    Raises BadInput only for a validation part without records: updates alone never stop a round.
    """
    combined = combine(given)
    task, data = given.task, _public(given)
    params, counted = combined.params, combined.counted
    groups: list[list[str]] = []
    found = Worth((), (), 0)
    if counted:
        rows: IntArray = stack([flatten(update.delta) for update in counted])
        members = alike.groups(rows)
        groups = [[counted[position].site for position in group] for group in members]
        players = stack([divide_round(total(rows[list(group)], axis=0), len(group)) for group in members])
        found = valued(task, flatten(given.base), players, data, given.seed)
    record = _record(given.seats, groups, found)
    due = owed((*given.history, record), given.reward, given.records)
    return RoundOutput(params, digest(params), record, due.smoothed, due.payments, due.slashed,
                       combined.rejected, task.score(params, data), task.loss(params, data), found.evaluations)
