"""The why-join study: what its page claims holds in the stored result, and a fresh run gives the stored numbers."""

from __future__ import annotations

import math
import statistics

import pytest

from troth.core.errors import BadInput
from troth.learn.study import PLAIN, POISONER, POOLED, TROTH, TROTH_HONEST, Row, alone, why_join
from troth.learn.study import stored as stored_study

STORED = stored_study()


def test_a_fresh_run_gives_the_stored_numbers() -> None:
    """Sites train in floats, so another machine may differ by a record or so; the integers after that do not."""
    seen: list[tuple[int, int]] = []
    study = why_join(STORED["seeds"][:3], progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert study.poisoner_slashed == 3
    assert study.honest_slashed == 0
    for row, stored in zip(study.rows, STORED["rows"], strict=True):
        assert row.name == stored["name"]
        for fresh, kept in zip(row.scores, stored["scores_ppm"], strict=False):
            assert abs(fresh - kept) <= 12_000  # two of 171 test records


def test_the_stored_study_supports_what_its_page_says() -> None:
    rows = {row["name"]: Row(row["name"], tuple(row["scores_ppm"])) for row in STORED["rows"]}
    assert set(rows) == {*(alone(k) for k in range(4)), POOLED, TROTH, TROTH_HONEST, PLAIN}
    assert STORED["seeds"] == list(range(1, 21))
    for name, row in rows.items():
        assert len(row.scores) == 20
        kept = next(r for r in STORED["rows"] if r["name"] == name)
        assert (row.mean, row.margin) == (kept["mean_ppm"], kept["margin_ppm"])
    for other in (*(alone(k) for k in range(4)), PLAIN):
        ahead = Row("", tuple(a - b for a, b in zip(rows[TROTH].scores, rows[other].scores, strict=True)))
        assert ahead.mean - ahead.margin > 0
    assert STORED["poisoner_slashed"] == 20
    assert STORED["honest_slashed"] == 0
    assert STORED["poisoner"] == POISONER


def test_mean_and_margin_are_students() -> None:
    row = Row("x", (900_000, 950_000, 970_000))
    assert row.mean == 940_000
    assert row.margin == round(4.303 * statistics.stdev(row.scores) / math.sqrt(3))
    assert Row("x", (1,)).margin == 0
    assert Row("x", (0, 2) * 40).margin == round(2.042 * statistics.stdev((0, 2) * 40) / math.sqrt(80))


def test_lead_is_paired_and_unknown_rows_are_refused() -> None:
    study = why_join([1])
    assert study.lead(TROTH, PLAIN).mean == study.row(TROTH).mean - study.row(PLAIN).mean
    with pytest.raises(BadInput):
        study.row("nobody")
    with pytest.raises(BadInput):
        why_join([])
