"""Near-duplicates are one player, in complete groups; nobody is dragged into one by somebody in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.fixed.numbers import IntArray
from troth.learn import alike, attacks, site
from troth.learn.arrays import flatten
from troth.learn.data import Part, scaling
from troth.learn.sets import consortium, skewed
from troth.learn.training import dense

DRAW = np.random.default_rng(8)


def far_apart(count: int, size: int = 200) -> IntArray:
    return np.random.default_rng(count).normal(0, 1000, (count, size)).astype(np.int64)


@given(st.lists(st.lists(st.integers(-50, 50), min_size=2, max_size=2), min_size=1, max_size=9))
def test_groups_are_complete_and_hold_everybody_once(cells: list[list[int]]) -> None:
    rows = np.array(cells, np.int64)
    close = alike.near(rows)
    found = alike.groups(rows)
    assert sorted(position for group in found for position in group) == list(range(len(rows)))
    assert [min(group) for group in found] == sorted(min(group) for group in found)
    assert all(close[a, b] for group in found for a in group for b in group)
    assert all(any(g for g in found if a in g and b in g)
               for a in range(len(rows)) for b in range(a) if (rows[a] == rows[b]).all()), "equal updates are one"


def test_copies_with_some_noise_are_one_and_others_are_not() -> None:
    rows = far_apart(8)
    rows[5] = attacks.noisy(rows[2], 30, DRAW, 1 << 24)
    rows[7] = rows[2]
    assert alike.groups(rows) == ((0,), (1,), (2, 5, 7), (3,), (4,), (6,))
    rows[5] = attacks.noisy(rows[2], 80, DRAW, 1 << 24)
    assert alike.groups(rows) == ((0,), (1,), (2, 7), (3,), (4,), (5,), (6,))


def test_in_a_small_round_a_copy_with_a_tenth_of_noise_is_found() -> None:
    rows = far_apart(3)
    rows[2] = attacks.noisy(rows[0], 10, DRAW, 1 << 24)
    assert alike.groups(rows) == ((0, 2), (1,))


def test_nobody_chains_two_sites_by_standing_between_them() -> None:
    rows = far_apart(8)
    gap = far_apart(9)[0] // 4  # the two are near the one between them, and not near each other
    rows[1] = rows[0] + 2 * gap
    rows[2] = rows[0] + gap
    close = alike.near(rows)
    assert (close[0, 2], close[1, 2], close[0, 1]) == (1, 1, 0)
    found = alike.groups(rows)
    assert (0,) in found or (1,) in found
    assert max(map(len, found)) == 2


def test_far_strangers_cannot_widen_what_counts_as_near() -> None:
    """Three of ten, as far out as the bound admits, make no two honest sites one."""
    rows = far_apart(10)
    rows[7:] = [attacks.scaled(row, 10**4, 1 << 24) for row in rows[7:]]
    assert alike.groups(rows) == tuple((position,) for position in range(10))


@pytest.mark.parametrize("alpha", [0, 2.0, 1000.0])
def test_honest_sites_are_nobody_s_duplicates(records: Part, alpha: float) -> None:
    for seed in range(1, 6):
        split = skewed(records, seed, 6, alpha) if alpha else consortium(seed, 6, records)
        task, by = dense(split.validation), scaling(split.validation)
        rows = np.stack([flatten(site.train(task, task.zeros(), part, by, site.Fit(), bytes(32)))
                         for part in split.sites])
        assert len(alike.groups(rows)) == 6
