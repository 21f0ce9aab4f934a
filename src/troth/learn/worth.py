"""What each update was worth, what it is paid, and when it is evidence of poison. All in integers.

**Worth.** The Shapley value of each update in the game whose players are the updates and whose value is the fall in
validation log-loss when the plain mean of a coalition's updates is added to the base model (GTG-Shapley, Liu et al.,
2022: models of coalitions are rebuilt from the updates, never retrained). Up to ten players every coalition is
evaluated. Above that, permutations drawn from the round's seed, each walked from every starting point in both
directions, so that each player takes every place equally often and stands before each other player as often as after;
a walk is cut short once the rest of it can no longer matter. Above MAX_PLAYERS there are fewer and shorter walks
(`crowd`). Claimed numbers of examples are ignored, so they cannot be
inflated for pay.

**Length** is not paid for. The first steps of a training are long, so whoever sent its first update again and again, or
any update stretched to the norm bound, was worth more than one who trained. A round therefore values no player longer
than the upper median of the players (`shortened`), but for harm, which is evidence at its full length (`valued`). The
model takes the updates as its rule has them.

The value is computed for every validation record and summed, because the Shapley value is linear in the utility. The
spread over records then gives a one-sided bound for the sum: with records drawn anew, a harmless update's *ceiling*
(sum + 3 standard deviations of the sum) is below zero with a chance near 0.13 % in one round. Above ten players the
sampling of permutations adds an error that the ceiling does not cover (above MAX_PLAYERS it does); each round draws
anew.

**Evidence.** `evidence` never slashes on one round; see its rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from troth.core.errors import BadInput
from troth.fixed.numbers import IntArray, add, clip_norm, divide_int, divide_round, matmul, norm, subtract, total
from troth.learn.data import Inputs
from troth.learn.draws import permutation
from troth.learn.tasks import Task

EXACT_PLAYERS = 10
"""Up to here enumerating costs hardly more time than sampling (`benchmarks/learn.py`), and no sum can overflow."""
PERMUTATIONS = 4
TRUNCATION = 1000
"""A walk is cut short when what is left to gain is under 1/1000 of what all players gain together."""
DEVIATIONS = 3
MAX_PLAYERS = 64
"""Up to here `sampled`, above `crowd`. With parameters at the model's limit, no sum over 64 sampled players can pass
int64: no update can stop a round."""
STARTS, LONGEST = 32, 128
"""A crowd's walks: starts in each direction, and players in a walk."""
_CELLS = 1 << 22
"""Parameters of coalitions' models held at a time."""


@dataclass(frozen=True, slots=True)
class Worth:
    """Per player, in order: the Shapley value and its ceiling, in nats at 2**16 summed over the validation records;
    and how many coalitions were evaluated."""

    values: tuple[int, ...]
    ceilings: tuple[int, ...]
    evaluations: int


class _Game:
    """Coalitions as bit masks; each one's gain per validation record is evaluated once."""

    def __init__(self, task: Task, base: IntArray, rows: IntArray, data: Inputs) -> None:
        self._task, self._base, self._rows, self._data = task, base, rows, data
        self._start = task.row_losses(base.reshape(1, -1), data)[0]
        self.masks: dict[int, int] = {0: 0}
        self._gains = [np.zeros(len(data.labels), dtype=np.int64)]

    def evaluate(self, masks: Sequence[int]) -> None:
        """Evaluate the coalitions not yet known, in one batch."""
        new = [mask for mask in dict.fromkeys(masks) if mask not in self.masks]
        if not new:
            return
        size = max(1, _CELLS // len(self._base))
        for at in range(0, len(new), size):
            some = new[at:at + size]
            vectors = np.stack([self._model(mask) for mask in some])
            for mask, losses in zip(some, self._task.row_losses(vectors, self._data), strict=True):
                self.masks[mask] = len(self._gains)
                self._gains.append(subtract(self._start, losses))

    def _model(self, mask: int) -> IntArray:
        members = [k for k in range(len(self._rows)) if mask >> k & 1]
        return add(self._base, divide_round(total(self._rows[members], axis=0), len(members)))

    def gain(self, mask: int) -> int:
        """The coalition's whole gain."""
        self.evaluate([mask])
        return int(total(self._gains[self.masks[mask]]))

    def combine(self, weights: list[dict[int, int]], divisor: int) -> Worth:
        """Worth from each player's integer weight of each coalition: the weighted gains, over ``divisor``."""
        table = np.zeros((len(weights), len(self._gains)), dtype=np.int64)
        for player, row in enumerate(weights):
            for mask, weight in row.items():
                table[player, self.masks[mask]] = weight
        per_record = matmul(table, np.stack(self._gains))
        values, ceilings = [], []
        for row in per_record.tolist():
            whole = sum(row)
            variance = max(0, sum(v * v for v in row) - whole * whole // max(1, len(row)))
            values.append(divide_int(whole, divisor))
            ceilings.append(divide_int(whole + DEVIATIONS * (math.isqrt(variance) + 1), divisor))
        return Worth(tuple(values), tuple(ceilings), len(self._gains) - 1)


def exact(task: Task, base: IntArray, rows: IntArray, data: Inputs) -> Worth:
    """Shapley values by evaluating every coalition. ``task`` evaluates; base (d,), rows (n, d), n up to 12 or BadInput.

    Above EXACT_PLAYERS it may also raise BadInput for losses so large that a weighted sum could overflow.
    """
    count = len(rows)
    if not 1 <= count <= 12:
        raise BadInput("exact values take 1 to 12 players", actual=count)
    game = _Game(task, base, rows, data)
    game.evaluate(range(1, 1 << count))
    weights: list[dict[int, int]] = [{} for _ in range(count)]
    for mask in range(1 << count):
        size = mask.bit_count()
        for player in range(count):
            if mask >> player & 1:
                weights[player][mask] = math.factorial(size - 1) * math.factorial(count - size)
            else:
                weights[player][mask] = -math.factorial(size) * math.factorial(count - size - 1)
    return game.combine(weights, math.factorial(count))


def sampled(task: Task, base: IntArray, rows: IntArray, data: Inputs, seed: bytes) -> Worth:
    """Shapley values from PERMUTATIONS permutations drawn from ``seed``, each walked 2 n ways, truncated.

    ``task`` evaluates; base (d,), rows (n, d), n at most 64. At most PERMUTATIONS * (n * (n - 1) + 1) evaluations.
    """
    count = len(rows)
    if not 1 <= count <= MAX_PLAYERS:
        raise BadInput("number of players out of range", expected=f"1 to {MAX_PLAYERS}", actual=count)
    game = _Game(task, base, rows, data)
    everyone = (1 << count) - 1
    whole = game.gain(everyone)
    weights: list[dict[int, int]] = [{} for _ in range(count)]
    walks = list(_walks(seed, count))
    for walk in walks:
        mask = 0
        for player in walk:
            if mask and abs(whole - game.gain(mask)) * TRUNCATION < abs(whole):
                break
            joined = mask | 1 << player
            game.evaluate([joined])
            weights[player][joined] = weights[player].get(joined, 0) + 1
            weights[player][mask] = weights[player].get(mask, 0) - 1
            mask = joined
    return game.combine(weights, len(walks))


def _walks(seed: bytes, count: int) -> Iterator[tuple[int, ...]]:
    """Every rotation of each permutation and of its reverse. Rotations of one permutation share their coalitions."""
    for number in range(PERMUTATIONS):
        order = permutation(seed, f"shapley {number}", count)
        for directed in (order, order[::-1]):
            for start in range(count):
                yield directed[start:] + directed[:start]


def crowd(task: Task, base: IntArray, rows: IntArray, data: Inputs, seed: bytes) -> Worth:
    """Values in proportion to Shapley values for any number of players, from 2 * STARTS walks of one permutation.

    The walks start evenly spaced along the permutation and its reverse and end after LONGEST players, so that every
    player is met about 2 * STARTS * LONGEST / n times, in places spread evenly. What the mean of so many still changes
    when one more joins is left out: the values are those of small coalitions, and their sum is below the whole gain.
    The ceiling adds 3 standard deviations of the sampling to those of the records. Memory: one number per player and
    record, and _CELLS parameters. ``task`` evaluates; base (d,), rows (n, d).
    """
    count, length = len(rows), min(len(rows), LONGEST)
    order = permutation(seed, "shapley crowd", count)
    start = task.row_losses(base.reshape(1, -1), data)[0]
    gains = np.zeros((count, len(data.labels)), dtype=np.int64)
    squares = [0] * count
    size = max(1, _CELLS // len(base))
    for directed in (order, order[::-1]):
        for first in (count * number // STARTS for number in range(STARTS)):
            walk = (directed[first:] + directed[:first])[:length]
            sums, before = np.zeros_like(base), np.zeros(len(data.labels), dtype=np.int64)
            for at in range(0, length, size):
                some = list(walk[at:at + size])
                partial = np.cumsum(np.concatenate([sums.reshape(1, -1), rows[some]]), axis=0)[1:]
                means = divide_round(partial, np.arange(at + 1, at + len(some) + 1).reshape(-1, 1))
                here = subtract(start, task.row_losses(add(means, base), data))
                steps = np.diff(here, axis=0, prepend=before.reshape(1, -1))
                gains[some] = add(gains[some], steps)
                for player, step in zip(some, steps, strict=True):
                    squares[player] += int(total(step)) ** 2
                sums, before = partial[-1], here[-1]
    values, ceilings, walks = [], [], 2 * STARTS
    for row, square in zip(gains.tolist(), squares, strict=True):
        whole = sum(row)
        spread = max(0, sum(v * v for v in row) - whole * whole // max(1, len(row)))
        values.append(divide_int(whole, walks))
        ceilings.append(divide_int(whole + DEVIATIONS * (math.isqrt(spread) + math.isqrt(square) + 2), walks))
    return Worth(tuple(values), tuple(ceilings), walks * length)


def shortened(rows: IntArray) -> IntArray:
    """``rows`` (n, d), each brought towards zero to at most the upper median of their norms.

    With a hostile minority that median lies between honest norms. The upper one of an even number: of two sites, one
    that sends next to nothing must not make the other's update worth nothing. Raises BadInput for no rows.
    """
    if not len(rows):
        raise BadInput("no updates to shorten", expected="at least one", actual=0)
    lengths = [norm(row) for row in rows]
    bound = sorted(lengths)[len(lengths) // 2]
    return np.stack([row if length <= bound else clip_norm(row, bound)
                     for row, length in zip(rows, lengths, strict=True)])


def worth(task: Task, base: IntArray, rows: IntArray, data: Inputs, seed: bytes) -> Worth:
    """`exact` up to EXACT_PLAYERS, `sampled` up to MAX_PLAYERS, `crowd` above.

    Raises BadInput for no players, no records or a wrong seed.
    """
    if len(seed) != 32 or not len(data.labels):
        raise BadInput("worth takes a 32-byte seed and a validation part", actual=f"{len(seed)}, {len(data.labels)}")
    if len(rows) <= EXACT_PLAYERS:
        return exact(task, base, rows, data)
    return (sampled if len(rows) <= MAX_PLAYERS else crowd)(task, base, rows, data, seed)


def valued(task: Task, base: IntArray, rows: IntArray, data: Inputs, seed: bytes) -> Worth:
    """`worth` of the players as `shortened`; where one that was shortened is worth less than nothing even so, with the
    ceilings that the players have at full length: harm is not made less by what is not paid for.

    Raises what `worth` raises.
    """
    short = shortened(rows)
    found = worth(task, base, short, data, seed)
    cut = (short != rows).any(axis=1).tolist()
    if not any(value < 0 and one for value, one in zip(found.values, cut, strict=True)):
        return found
    full = worth(task, base, rows, data, seed)
    return Worth(found.values, full.ceilings, found.evaluations + full.evaluations)


def pay(contributions: Sequence[int], reward: int) -> tuple[int, ...]:
    """``reward`` shared in proportion to positive contributions, to the unit, by largest remainder.

    Nobody pays: a negative contribution gets 0. The sum is ``reward`` if anyone's contribution is positive, else 0.
    Equal remainders go to the earlier. Raises BadInput for a negative reward.
    """
    if reward < 0:
        raise BadInput("a reward is not negative", expected="at least 0", actual=reward)
    shares = [max(0, value) for value in contributions]
    whole = sum(shares)
    if not whole:
        return tuple(0 for _ in shares)
    paid = [reward * share // whole for share in shares]
    order = sorted(range(len(shares)), key=lambda k: (-(reward * shares[k] % whole), k))
    for k in order[:reward - sum(paid)]:
        paid[k] += 1
    return tuple(paid)


@dataclass(frozen=True, slots=True)
class Record:
    """What a round leaves for later ones, per seat of the deal: value, ceiling, and whether its update was counted."""

    values: tuple[int, ...]
    ceilings: tuple[int, ...]
    counted: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.ceilings) == len(self.counted):
            raise BadInput("a round's record is ragged", actual=self)


def smooth(history: Sequence[Record]) -> tuple[int, ...]:
    """Each seat's mean value over all rounds, half to even; a round without its update counts as 0.

    The mean is the sum's proportion, and a sum of Shapley values is the Shapley value of the sum of the rounds' games.
    Raises BadInput for no rounds or unequal numbers of seats.
    """
    if not history or len({len(record.values) for record in history}) != 1:
        raise BadInput("smoothing takes rounds with one number of seats", actual=[len(r.values) for r in history])
    return tuple(divide_int(sum(column), len(history)) for column in zip(*(r.values for r in history), strict=True))


MIN_ROUNDS = 4


def evidence(history: Sequence[Record]) -> frozenset[int]:
    """Seats whose stake is forfeited: repeated, significant harm, and never a single round's value.

    A seat is named if at least MIN_ROUNDS of its updates were counted and their ceilings, without the lowest one, sum
    to less than zero. Leaving the lowest out means that no single round decides. Adding ceilings adds the standard
    deviations, which is right for the worst case: every round is judged on the same validation records, so their
    errors may all point the same way. Rounds whose update did not count (absent, rejected) say nothing.

    What it does not catch: a site that helps first and harms later, until the harm outweighs the help. The aggregation
    bounds its influence and its pay falls.
    """
    named = set()
    for seat in range(len(history[0].values) if history else 0):
        ceilings = sorted(record.ceilings[seat] for record in history if record.counted[seat])
        if len(ceilings) >= MIN_ROUNDS and sum(ceilings[1:]) < 0:
            named.add(seat)
    return frozenset(named)
