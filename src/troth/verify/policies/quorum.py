"""Quorum(k): k of n named reporters read the same value. Twin of contracts' ``Quorum``."""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.terms import UPHELD, Result, Rung
from troth.verify.policies.readings import asks_readings, counted


@dataclass(frozen=True, slots=True)
class Quorum:
    """``k`` reporters must agree, more than half of those named; nobody is slashed.

    max_age: seconds a reading may be old at the freeze. least: the confidence it must have, in parts of a million.
    step: the tick of its values.
    """

    k: int
    max_age: int
    least: int = 0
    step: int = 0

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask is *reading*, or the last two *commit* and *reveal*, of n < 2k reporters, k ≤ n."""
        return asks_readings(rung, self.k, self.max_age)

    def tick(self) -> int:
        """By how much values must differ to differ."""
        return self.step

    def judge(self, question: Question) -> bytes | None:
        """The value that k readings share, as the result's one value; None without k."""
        values = list(counted(question, self.max_age, self.least).values())
        for value in values:
            if values.count(value) >= self.k:
                return Result(UPHELD, (value,)).to_bytes()
        return None
