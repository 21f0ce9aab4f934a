"""Every case and shape there is, of every policy."""

from __future__ import annotations

from ports.books import Addresses, made_up
from troth.core.terms import Rung
from verify_policies import cases as first
from verify_policies.cases import Case
from verify_policies.cases_agents import agent_shapes, mandated_cases, quote_cases
from verify_policies.cases_readings import median_cases, preimage_cases, quorum_cases, reading_shapes
from verify_policies.cases_vote import vote_cases, vote_shapes


def cases(at: Addresses) -> list[Case]:
    """Every case, for a Book at these addresses."""
    return [*first.cases(at), *preimage_cases(), *quorum_cases(), *median_cases(), *vote_cases(), *quote_cases(at),
            *mandated_cases(at)]


def shapes() -> list[tuple[str, str, Rung, bool]]:
    """(name, policy, rung, whether the policy accepts it)."""
    return [*first.shapes(), *reading_shapes(), *vote_shapes(), *agent_shapes(made_up())]
