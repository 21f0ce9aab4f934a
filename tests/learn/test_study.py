"""The why-join study: what its page claims holds in the stored result, and a fresh run gives the stored numbers."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE
from troth.learn import plain
from troth.learn.data import Inputs, scaling
from troth.learn.dense import Dense
from troth.learn.sets import breast_cancer, consortium
from troth.learn.site import Fit, descend_floats
from troth.learn.study import (
    FLOATS,
    PLAIN,
    POISONER,
    POOLED,
    TOGETHER,
    TROTH,
    TROTH_HONEST,
    Question,
    Row,
    alone,
    auc,
    compare,
    why_join,
)
from troth.learn.study import stored as stored_study
from troth.learn.training import Run, dense

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


def test_auc_counts_pairs_and_halves_ties() -> None:
    task = Dense(1, 2)
    state = task.zeros() | {"weights": np.array([ONE])}
    labels = np.array([0, 0, 1, 1])

    def area(*features: int) -> int:
        return auc(task, state, Inputs(np.array(features).reshape(-1, 1) * ONE, labels))

    assert area(1, 2, 3, 4) == 1_000_000
    assert area(4, 3, 2, 1) == 0
    assert area(1, 3, 2, 3) == 625_000  # of four pairs two are right, one is a tie, one is wrong
    assert area(5, 5, 5, 5) == 500_000
    with pytest.raises(BadInput):
        auc(task, state, Inputs(np.zeros((2, 1), dtype=np.int64), np.array([1, 1])))
    with pytest.raises(BadInput):
        auc(Dense(1, 3), Dense(1, 3).zeros(), Inputs(np.zeros((2, 1), dtype=np.int64), np.array([0, 1])))


def test_any_consortium_is_compared_with_its_members_and_with_plain_averaging() -> None:
    records, seen = breast_cancer(), list[tuple[int, int]]()
    names = tuple(alone(index) for index in range(4))
    question = Question("569 records", names, lambda seed: consortium(seed, records=records), Run(), command="here")
    study = compare(question, STORED["seeds"][:1], lambda done, of: seen.append((done, of)))
    assert seen == [(1, 1)]
    assert [row.name for row in study.rows] == [*names, POOLED, FLOATS, TOGETHER]
    whole = why_join(STORED["seeds"][:1])
    for name, same in (*zip(names, names, strict=True), (POOLED, POOLED), (TOGETHER, TROTH_HONEST)):
        assert study.row(name).scores == whole.row(same).scores
    assert abs(study.row(FLOATS).mean - study.row(TOGETHER).mean) < 30_000
    assert study.to_json()["data"] == "569 records"
    with pytest.raises(BadInput):
        compare(question, [])


def test_plain_averaging_is_a_mean_weighted_by_records() -> None:
    split = consortium(1)
    task, by, fit = dense(split.validation), scaling(split.validation), Fit(3)
    base = np.linspace(-1, 1, 31)
    rows = [descend_floats(task, base, part, by, fit) for part in split.sites]
    whole = sum(len(part) for part in split.sites)
    expected = sum(row * (len(part) / whole) for row, part in zip(rows, split.sites, strict=True))
    assert np.allclose(plain.step(task, base, split.sites, by, fit), expected, rtol=0, atol=1e-12)
    assert not np.allclose(base, expected)
