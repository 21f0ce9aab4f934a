"""Outcomes, and the numbered steps of a verification. A verdict is somebody's, under a policy, at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The four answers, never confused."""

    UPHELD = "upheld"
    REFUTED = "refuted"
    UNDECIDABLE = "undecidable"
    PENDING = "pending"

    @property
    def exit_status(self) -> int:
        """The command line's exit status for this answer."""
        return {"upheld": 0, "refuted": 1, "undecidable": 3, "pending": 4}[self.value]


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step: what it checked, and what came of it.

    ``outcome`` None means skipped; ``detail`` then says why.
    """

    n: int
    name: str
    outcome: Outcome | None
    detail: str

    def json(self) -> dict[str, Any]:
        """As ``verify --json`` prints it."""
        return {"n": self.n, "name": self.name, "outcome": self.outcome.value if self.outcome else "skipped",
                "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Report:
    """The answer of a verification: outcome, as of which block, and every step."""

    outcome: Outcome
    as_of: str | None
    steps: tuple[Step, ...]

    def json(self) -> dict[str, Any]:
        """As ``verify --json`` prints it."""
        return {"outcome": self.outcome.value, "as_of": self.as_of, "steps": [step.json() for step in self.steps]}


def combine(steps: tuple[Step, ...]) -> Outcome:
    """The overall answer: refuted if any step is, else undecidable, else pending, else upheld.

    Skipped steps do not count; no steps at all is undecidable.
    """
    found = {step.outcome for step in steps if step.outcome is not None}
    for outcome in (Outcome.REFUTED, Outcome.UNDECIDABLE, Outcome.PENDING, Outcome.UPHELD):
        if outcome in found:
            return outcome
    return Outcome.UNDECIDABLE
