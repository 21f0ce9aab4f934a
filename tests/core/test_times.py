"""Times as people read and write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.core.times import moment, read_moment, read_span, span

NOW = 1_795_863_300  # 2026-11-28 10:55 UTC


@pytest.mark.parametrize(("seconds", "text"), [
    (NOW + 12_000, "2026-11-28 14:15 UTC (in 3 h 20 min)"), (NOW, "2026-11-28 10:55 UTC (now)"),
    (NOW - 45, "2026-11-28 10:54 UTC (45 s ago)"), (NOW + 2 * 86_400, "2026-11-30 10:55 UTC (in 2 d)"),
    (NOW + 86_400 + 59, "2026-11-29 10:55 UTC (in 1 d)"), (0, "1970-01-01 00:00 UTC (20785 d 10 h ago)"),
    (2**62, f"Unix second {2**62}"), (-2**62, f"Unix second {-2**62}")])
def test_a_moment(seconds: int, text: str) -> None:
    assert moment(seconds, NOW) == text
    assert moment(seconds) == text.partition(" (")[0]


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("90s", 90), ("15min", 900), ("2h", 7_200), ("2 h", 7_200), ("3d", 259_200), ("1w", 604_800), (7, 7)])
def test_a_span(text: str | int, seconds: int) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize(("text", "seconds"), [
    ("2026-11-28T10:55:00Z", NOW), ("2026-11-28T11:55:00+01:00", NOW), ("2026-11-28 10:55", NOW),
    ("2026-11-28 10:55 UTC", NOW), ("2026-11-28", NOW - 10 * 3_600 - 55 * 60), (str(NOW), NOW),
    ("2h", NOW + 7_200), ("3d", NOW + 259_200), ("90s", NOW + 90), ("90", 90), ("2026-11-28T10:55:00.999Z", NOW)])
def test_a_time_is_read(text: str, seconds: int) -> None:
    assert read_moment(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "2026-11-28T25:00:00Z", "h", "-2h", "2m", "1.5h",
                                  "2026-11-28T10:55:00Zz", "²h", "9999999999999"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadInput, match="not a time"):
        read_moment(text, NOW)


@pytest.mark.parametrize("text", ["", "h", "-1", "1.5h", "2m", "2026-11-28", "10000000000000", "²"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(BadInput, match="not a duration"):
        read_span(text)


@given(st.integers(0, 253_402_300_799), st.integers(0, 2**40))
def test_what_is_shown_can_be_typed(seconds: int, now: int) -> None:
    """To the minute: that is how it is shown."""
    assert read_moment(moment(seconds), now) == seconds - seconds % 60


@given(st.integers(0, 10**9))
def test_a_span_is_shown_within_its_second_unit(seconds: int) -> None:
    shown = sum(read_span("".join(pair)) for pair in zip(*[iter(span(seconds).split())] * 2, strict=True))
    assert shown <= seconds < shown + (3_600 if seconds >= 86_400 else 60 if seconds >= 3_600 else 1)
