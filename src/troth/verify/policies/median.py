"""Median(k): the median of what at least k of n named reporters read. Twin of contracts' ``Median``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.terms import UPHELD, Account, Result, Rung
from troth.verify.policies.readings import WHOLE, asks_readings, counted


@dataclass(frozen=True, slots=True)
class Median:
    """At least ``k`` readings must count, more than half of those named; of an even number the lower middle one.

    max_age, least, step: as for ``Quorum``. spread: how far from the median a reading may lie, in parts of a million of
    the median, before its reporter is slashed; 0 slashes nobody.
    """

    k: int
    max_age: int
    least: int = 0
    spread: int = 0
    step: int = 0

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *reading*, or the last two *commit* and *reveal*, of n < 2k reporters, k ≤ n."""
        return asks_readings(rung, self.k, self.max_age)

    def tick(self) -> int:
        """By how much values must differ to differ."""
        return self.step

    def judge(self, question: Question) -> bytes | None:
        """The median as the result's one value; None with fewer than k readings."""
        values = counted(question, self.max_age, self.least)
        if not values or len(values) < self.k:
            return None
        middle = sorted(values.values())[(len(values) - 1) // 2]
        # At rung 0 reporters sit on no bench, and a verdict that slashes one without a stake would be refused.
        off = self._off(values, middle) if self.spread and question.rung else frozenset()
        return Result(UPHELD, (middle,), off).to_bytes()

    def _off(self, values: Mapping[Account, int], middle: int) -> frozenset[Account]:
        """Who read something further from the median than the spread; nobody unless k are within it."""
        off = frozenset(account for account, value in values.items()
                        if abs(value - middle) * WHOLE > middle * self.spread)
        return off if len(values) - len(off) >= self.k else frozenset()
