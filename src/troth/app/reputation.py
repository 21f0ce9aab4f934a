"""Reputation as a workspace reads it, and publishes it to an ERC-8004 registry when asked.

Trusted beforehand are this party's own account, accounts that are named, and those of the issuers in a trust file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from troth.core.errors import Misuse, Refuted
from troth.core.terms import Account
from troth.ledger.agents import AgentRegistry
from troth.ledger.feedback import MOST_DEALS, Given, Proven, ReputationRegistry
from troth.verify.reputation import History, Paid, Reputation, history

if TYPE_CHECKING:
    from troth.app import Troth
    from troth.verify.trust import Trust


def reputation(party: Troth, *, trust: Trust | None = None, trusted: Iterable[Account] = (),
               tokens: Iterable[Account] = (), offline: bool = False) -> Reputation:
    """Standings for this party, as of the chain's last block.

    tokens: what it takes for money; the demonstration token where none is named. Raises as ``history``.
    """
    named = frozenset(trusted)
    if trust is not None:
        named |= {account for dids in trust.roles.values() for did in dids for account in party.accounts_of(did)}
    return Reputation(_history(party, tokens, offline), named | {party.account})


def _history(party: Troth, tokens: Iterable[Account], offline: bool) -> History:
    money = tuple(tokens) or tuple(one.address for name, one in party.contracts.named.items() if name == "token")
    with party.readings(offline=offline) as now:
        return history(now, money)


def _own(found: Reputation, party: Account, other: Account) -> tuple[Paid, ...]:
    """The payments of ``party`` to ``other``, newest last, at most as many as a file names."""
    return tuple(one for one in found.history.paid if (one.payer, one.payee) == (party, other))[-MOST_DEALS:]


def publish(party: Troth, registry: Account, agent: int, tokens: Iterable[Account] = ()) -> tuple[int, Proven]:
    """Write what this party itself paid an agent into a reputation registry, with proof; (index, what was said).

    Only this party's own payments to the account that owns the agent are named, in one token, so that whoever reads it
    can check all of it against the chain. Raises Misuse where there is none: nobody praises here what it did not pay;
    ActRefused for one's own agent.
    """
    contract = ReputationRegistry(party.chain.web3, registry)
    identities = AgentRegistry(party.chain.web3, contract.identities())
    owner = identities.agent(agent).owner
    coins = tuple(tokens) or (party.contracts["token"].address,)
    if len(coins) != 1:
        raise Misuse("a feedback counts in one token", actual=len(coins))
    found = reputation(party, tokens=coins)
    paid = _own(found, party.account, owner)
    if not paid:
        raise Misuse("this party has paid this agent nothing that counts", actual="0x" + owner.hex(),
                     expected="a closed and final deal in which the agent had a stake")
    said = Proven(identities.name, agent, party.account, owner, party.contracts.chain_id,
                  party.contracts["book"].address, coins[0], tuple(one.deal for one in paid), paid[-1].tx,
                  sum(one.counts for one in paid), party.chain.now(), found.history.as_of.hash)
    return contract.give(party.sender, said), said


def check_feedback(party: Troth, registry: Account, agent: int, client: Account, index: int) -> tuple[Given, Proven]:
    """Hold a feedback against the chain: that its client paid this agent's owner, in these deals, so much.

    That the client is anybody is another question: a client whose own standing is 0 says nothing (``reputation``).
    Raises Refuted where the file, the value or a payment is not so, Undecidable for a file that lies elsewhere,
    BadInput for one that cannot be read, ActRefused for a feedback that is not there.
    """
    contract = ReputationRegistry(party.chain.web3, registry)
    given = contract.read(agent, client, index)
    said = Proven.of(contract.file(agent, client, index))
    identities = AgentRegistry(party.chain.web3, contract.identities())
    owner, book = identities.agent(agent).owner, party.contracts["book"].address
    if given.revoked:
        raise Refuted("its client has taken this feedback back", actual=index)
    wanted = {"agent": (agent, said.agent), "registry": (identities.name, said.registry), "book": (book, said.book),
              "client": (client, said.client), "account of the agent": (owner, said.payee),
              "value": (said.value, given.value), "decimals": (0, given.decimals),
              "chain": (party.contracts.chain_id, said.chain_id)}
    for what, (right, found) in wanted.items():
        if right != found:
            raise Refuted(f"a feedback of another {what}", expected=_text(right), actual=_text(found))
    paid = [one for one in _history(party, (said.token,), offline=False).paid
            if (one.payer, one.payee) == (client, owner) and one.deal in said.deals]
    missing = set(said.deals) - {one.deal for one in paid}
    if missing or len(set(said.deals)) != len(said.deals):
        raise Refuted("a feedback that names deals which did not pay this agent", actual=", ".join(
            sorted(deal.hex()[:16] for deal in missing)) or "one twice")
    if sum(one.counts for one in paid) != said.value:
        raise Refuted("a feedback of another value than was paid", expected=sum(one.counts for one in paid),
                      actual=said.value)
    return given, said


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
