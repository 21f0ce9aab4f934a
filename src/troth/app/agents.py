"""A workspace as an agent in an ERC-8004 registry, and as a reader of others' agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from troth.core.terms import Account
from troth.ledger.agents import Agent, AgentRegistry, inline, registration_file

if TYPE_CHECKING:
    from troth.app import Troth


def register(party: Troth, registry: Account, description: str, services: Mapping[str, str]) -> Agent:
    """Make this party an agent, with its file inline, in two transactions. Raises ActRefused.

    Its account is bound to its identity first, if it is not yet. Each call makes another agent.
    """
    party.bound_account()
    found = AgentRegistry(party.chain.web3, registry)
    number = found.register(party.sender, party.did)
    file = registration_file(party.name, description, party.did, services, agent=(number, found.name))
    found.set_uri(party.sender, number, inline(file))
    return found.agent(number)


def check(party: Troth, registry: Account, agent: int, did: str) -> tuple[Agent, bool]:
    """Whether an agent and an identity known here name each other; the agent, and whether its file was looked at.

    Raises as ``AgentRegistry.check``.
    """
    return AgentRegistry(party.chain.web3, registry).check(agent, did, party.accounts_of(did))
