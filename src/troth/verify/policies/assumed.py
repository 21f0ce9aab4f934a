"""Assumed (optimistic): the claim alone decides, until somebody challenges. Twin of contracts' ``Assumed``."""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.deals import Question
from troth.core.terms import NO_PARAM, Rung
from troth.verify.policies.voices import read_result, submissions


@dataclass(frozen=True, slots=True)
class Assumed:
    """One account is asked last; what it says in slot 0 is the answer. It proves nothing but who said it."""

    def accepts(self, rung: Rung) -> bool:
        """Whether the last ask names exactly one account, and there is no parameter."""
        return len(rung.bench) == 1 and rung.param == NO_PARAM

    def tick(self) -> int:
        """Values differ if they differ at all."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """The claimant's encoded Result, or None if it said nothing or nothing well-formed."""
        last = len(question.terms.asks) - 1
        said = submissions(question, last).get(question.terms.bench[0])
        return said.data if said is not None and read_result(said.data) is not None else None
