"""Updates that say the same thing twice: near-duplicates, found in exact integers.

A Shapley value pays each player, so whoever sends one update from several seats, or another site's update with a little
noise on it, would be paid for it again. Near-duplicates are therefore valued as one player and share its worth equally.

Two updates are **near** if one of these holds:

- their distance is at most an eighth of the shorter one's norm;
- their distance is at most a third of the lower quartile of all pairs' distances in the round.

Groups are complete: every two members are near each other, so nobody can chain two sites together by standing between
them, and joining a group takes an update near *every* member. Pairs join in ascending distance, ties by position.

Honest sites were never so near in what was measured (`docs/reference/robustness.md`). The quartile holds as long as
fewer than half of the pairs are a cheat's. Being copied costs a site half its worth with or without this rule, since
equal updates have equal Shapley values: what prevents copying is that updates are committed to before any is shown.
"""

from __future__ import annotations

import numpy as np

from troth.fixed.numbers import IntArray, squared_distances, total

OF_NORM, OF_QUARTILE = 8, 3
"""Near: distance up to 1/8 of the shorter norm, or up to 1/3 of the lower quartile of the round's distances."""


def near(rows: IntArray) -> IntArray:
    """(n, n) of 0 and 1: which updates of ``rows`` (n, d) are near each other; symmetric, 1 on the diagonal.

    Raises BadInput if a distance could overflow: never for updates within a round's norm bound.
    """
    count = len(rows)
    distances = squared_distances(rows)
    squares = np.array([total(row * row) for row in rows], dtype=np.int64)
    shorter = np.minimum(squares[:, None], squares[None, :])
    pairs = np.sort(distances[np.triu_indices(count, 1)])
    quartile = int(pairs[len(pairs) // 4]) if len(pairs) else 0
    # Distances are at most 4 * 2**48, so the products stay far below 2**63.
    found = (distances * OF_NORM**2 <= shorter) | (distances * OF_QUARTILE**2 <= quartile) | (distances == 0)
    return np.asarray(found, dtype=np.int64)


def groups(rows: IntArray) -> tuple[tuple[int, ...], ...]:
    """Near-duplicates together: complete groups of positions, each ascending, in order of their first member."""
    count = len(rows)
    close = near(rows).astype(bool)
    left, right = np.nonzero(np.triu(close, 1))
    distances = squared_distances(rows)[left, right]
    home: list[list[int]] = [[position] for position in range(count)]
    for at in np.lexsort((right, left, distances)).tolist():
        one, other = home[int(left[at])], home[int(right[at])]
        if one is not other and close[np.ix_(one, other)].all():
            one.extend(other)
            for position in other:
                home[position] = one
    return tuple(tuple(sorted(home[position])) for position in range(count) if min(home[position]) == position)
