"""Readings of devices: each with a counter and the device's own time, so that a copy or a replay contradicts itself.

A device is an identity like any other. It counts what it signs: 0, 1, 2, never twice. Rules for the readings of one
device, in the order of the log that holds them:

1. A counter is greater than the one before. One that repeats or goes back is a replay under another claim, a clone, or
   a device put back to an earlier state: refuted.
2. The device's time does not run back by more than a tolerance from the latest time so far. Else: refuted.
3. A reading is not from after its claim, by more than the tolerance. Else: refuted.
4. Counters that are left out are gaps. They are shown, and refute nothing: readings may be lost or kept back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from troth.core.claims import Statement, Subject
from troth.core.encoding import MAX_INT, sha256, take
from troth.core.errors import BadInput, Refuted

READING = "reading"
TOLERANCE = 2
"""Seconds that a device's clock may be set back at once: what time servers correct, and leap seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """counter: how many this device signed before. measured_at: Unix seconds by its own clock. values: what it read."""

    device: str
    counter: int
    measured_at: int
    issued_at: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """The readings of one device that were found consistent. gaps: (first, last) of each run of missing counters."""

    device: str
    count: int
    first: int
    last: int
    gaps: tuple[tuple[int, int], ...]

    @property
    def missing(self) -> int:
        """How many readings the gaps leave out."""
        return sum(last - first + 1 for first, last in self.gaps)


def reading_body(counter: int, measured_at: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a ``reading`` claim."""
    return {"counter": counter, "measured_at": measured_at, "values": dict(values)}


def device_subject(did: str) -> Subject:
    """What a reading is about: the device that made it."""
    return Subject(did, {"sha256": sha256(did.encode()).hex()})


def read_reading(statement: Statement) -> Reading:
    """What a reading says, read strictly; its signatures are somebody else's to check.

    Raises BadInput for another claim, Refuted where its subject is not the device that signs.
    """
    if (statement.kind, statement.version) != (READING, 1):
        raise BadInput("not a reading", expected="urn:troth:reading:v1", actual=statement.kind)
    counter, measured_at, values = take(dict(statement.body), counter=int, measured_at=int, values=dict)
    if not 0 <= counter <= MAX_INT or not 0 <= measured_at <= MAX_INT or not values:
        raise BadInput("not a reading", expected="a counter and a time from 0, and at least one value",
                       actual=f"counter {counter}, time {measured_at}, {len(values)} values")
    if statement.subjects != (device_subject(statement.issuer),):
        raise Refuted("a reading of another device than the one that signs", expected=statement.issuer,
                      actual=", ".join(subject.name for subject in statement.subjects))
    return Reading(statement.issuer, counter, measured_at, statement.issued_at, values)


def follow(device: str, statements: Iterable[Statement], tolerance: int = TOLERANCE) -> Course:
    """Check the readings of one device in the order of a log; others' claims are passed over.

    tolerance: seconds. Raises Refuted where a rule of this module is broken, naming the counter, BadInput for a
    reading that cannot be read or where there is none.
    """
    count, first, last, latest, gaps = 0, 0, -1, 0, []
    for statement in statements:
        if statement.kind != READING or statement.issuer != device:
            continue
        found = read_reading(statement)
        if count and found.counter <= last:
            raise Refuted("a device's counter that repeats or goes back: a replay, a clone, or a device put back",
                          expected=f"more than {last}", actual=found.counter,
                          do="Take none of its readings from either copy; ask who else holds its keys.")
        if found.measured_at < latest - tolerance:
            raise Refuted("a device's time that runs back", expected=f"{latest} or later, within {tolerance} s",
                          actual=f"{found.measured_at}, at counter {found.counter}")
        if found.measured_at > found.issued_at + tolerance:
            raise Refuted("a reading from after its own claim", expected=f"up to {found.issued_at}",
                          actual=f"{found.measured_at}, at counter {found.counter}")
        if not count:
            first = found.counter
        elif found.counter > last + 1:
            gaps.append((last + 1, found.counter - 1))
        count, last, latest = count + 1, found.counter, max(latest, found.measured_at)
    if not count:
        raise BadInput("no readings of this device here", actual=device)
    return Course(device, count, first, last, tuple(gaps))
