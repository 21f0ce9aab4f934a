"""Rerun(k): k of n named verifiers re-executed and say the same bytes. Twin of contracts' ``Rerun``.

They commit before they reveal, so that nobody can repeat another's answer without having done the work (or been told).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from troth.core.deals import Question
from troth.core.terms import NO_PARAM, Account, Rung
from troth.verify.policies.voices import elect, majority, opened, read_result, submissions, two_steps


@dataclass(frozen=True, slots=True)
class Rerun:
    """``k`` is how many voices must agree, more than half of the bench."""

    k: int

    def accepts(self, rung: Rung) -> bool:
        """Whether the last two asks are *commit* and *reveal*, of one bench of n < 2k, k ≤ n, one slot each."""
        return rung.param == NO_PARAM and two_steps(rung) and majority(rung, self.k)

    def tick(self) -> int:
        """Re-execution is exact: values differ if they differ at all."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """The result k voices share, with everybody who revealed anything else slashed; None without k voices."""
        last = len(question.terms.asks) - 1
        commits, reveals = submissions(question, last - 1), submissions(question, last)
        voices: dict[Account, bytes] = {}
        for account, reveal in reveals.items():
            said = opened(question, account, commits[account].data, reveal.data) if account in commits else None
            if said is not None:
                voices[account] = said
        agreed = elect(voices, self.k)
        found = read_result(agreed) if agreed is not None else None
        if found is None:
            return None
        off = {account for account in reveals if voices.get(account) != agreed}
        return replace(found, slashed=found.slashed | off).to_bytes()
