"""Readings of devices: what a counter and a time rule out, and what they only show."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.claims import Statement, Subject
from troth.core.errors import BadInput, Refuted
from troth.identity.devices import READING, Course, device_subject, follow, read_reading, reading_body

DEVICE, OTHER = "did:key:zDevice", "did:key:zOther"
NOW = 1_700_000_000


def reading(counter: int, at: int = NOW, device: str = DEVICE, issued: int | None = None) -> Statement:
    return Statement(READING, device, at if issued is None else issued, (device_subject(device),),
                     reading_body(counter, at, {"mC": 21_500}))


def test_in_order_with_gaps() -> None:
    said = [reading(3), reading(0, device=OTHER), reading(4, NOW + 1), reading(7, NOW), reading(9, NOW + 5)]
    assert follow(DEVICE, said) == Course(DEVICE, 4, 3, 9, ((5, 6), (8, 8)))
    assert follow(DEVICE, said).missing == 3
    assert follow(OTHER, said) == Course(OTHER, 1, 0, 0, ())


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12))
def test_counters_only_grow(counters: list[int]) -> None:
    said = [reading(counter, NOW + n) for n, counter in enumerate(counters)]
    if all(low < high for low, high in itertools.pairwise(counters)):
        found = follow(DEVICE, said)
        missing = {n for low, high in found.gaps for n in range(low, high + 1)}
        assert missing | set(counters) == set(range(counters[0], counters[-1] + 1))
        assert len(missing) == found.missing
        assert not missing & set(counters)
    else:
        with pytest.raises(Refuted, match="repeats or goes back"):
            follow(DEVICE, said)


def test_a_clone_is_noticed_where_both_meet() -> None:
    """Two devices with one key count on their own; each log by itself is of one piece, the two together are not."""
    one, copy = [[reading(n, NOW + n) for n in range(5)], [reading(n, NOW + n + 9) for n in range(5, 8)]], \
        [reading(n, NOW + n + 20) for n in range(5, 9)]
    before, after = one
    follow(DEVICE, [*before, *after])
    follow(DEVICE, [*before, *copy])
    with pytest.raises(Refuted, match="a clone"):
        follow(DEVICE, [*before, *after, *copy])


@pytest.mark.parametrize(("back", "tolerance", "fine"), [(2, 2, True), (3, 2, False), (3, 3, True), (1, 0, False)])
def test_time_does_not_run_back(back: int, tolerance: int, fine: bool) -> None:
    said = [reading(0, NOW), reading(1, NOW - back)]
    if fine:
        assert follow(DEVICE, said, tolerance).count == 2
    else:
        with pytest.raises(Refuted, match="time that runs back"):
            follow(DEVICE, said, tolerance)


def test_time_does_not_creep_back() -> None:
    """Each step is within the tolerance, together they are not: the latest time so far is what counts."""
    with pytest.raises(Refuted, match="at counter 2"):
        follow(DEVICE, [reading(0, NOW), reading(1, NOW - 2), reading(2, NOW - 4)])


def test_a_reading_from_after_its_claim() -> None:
    follow(DEVICE, [reading(0, NOW + 2, issued=NOW)])
    with pytest.raises(Refuted, match="after its own claim"):
        follow(DEVICE, [reading(0, NOW + 3, issued=NOW)])


@pytest.mark.parametrize("body", [
    {}, {"counter": 0, "measured_at": 1}, {"counter": 0, "measured_at": 1, "values": {}},
    {"counter": -1, "measured_at": 1, "values": {"x": 1}}, {"counter": 0, "measured_at": -1, "values": {"x": 1}},
    {"counter": True, "measured_at": 1, "values": {"x": 1}}, {"counter": "0", "measured_at": 1, "values": {"x": 1}},
    {"counter": 0, "measured_at": 1, "values": {"x": 1}, "more": 1}])
def test_what_is_no_reading(body: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        read_reading(replace(reading(0), body=body))


def test_a_device_speaks_for_itself() -> None:
    for subjects in ((), (device_subject(OTHER),), (Subject(DEVICE, {"sha256": "00" * 32}),),
                     (device_subject(DEVICE), device_subject(OTHER))):
        with pytest.raises((Refuted, BadInput)):
            read_reading(replace(reading(0), subjects=subjects))
    with pytest.raises(BadInput, match="not a reading"):
        read_reading(replace(reading(0), kind="dataset"))
    with pytest.raises(BadInput, match="no readings"):
        follow(DEVICE, [])
