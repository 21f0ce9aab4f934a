"""Court: what a court's seat answers is the verdict. Twin of contracts' ``Court`` (docs/reference/court.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.seats import RULING
from troth.core.terms import NO_PARAM, Account, Rung
from troth.verify.policies.voices import read_result, submissions


@dataclass(frozen=True, slots=True)
class Court:
    """Judges nothing itself. ``seats``: the seats that serve this Book, with their court's longest case in seconds."""

    seats: Mapping[Account, int]

    def accepts(self, rung: Rung) -> bool:
        """Whether one known seat is asked last, for a *ruling*, with time enough for its court and results fixed."""
        ask, bench = rung.asks[-1], rung.bench
        if len(bench) != 1 or rung.param == NO_PARAM or ask.kind != RULING or ask.slots != 1:
            return False
        longest = self.seats.get(bench[0])
        return longest is not None and ask.period > longest

    def tick(self) -> int:
        """A court chooses among results: values differ if they differ at all."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """The result that the seat carried, or None if it carried nothing."""
        said = submissions(question, len(question.terms.asks) - 1).get(question.terms.bench[0])
        return said.data if said is not None and read_result(said.data) is not None else None
