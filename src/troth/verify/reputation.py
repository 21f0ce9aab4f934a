"""Reputation that counts only what was paid, final and staked, and only as it reaches from whom the reader trusts.

A *payment* counts where its deal is closed, its closing block final, its token one that the reader takes for money, the
payer not slashed in it, and the payee had a stake of its own in the same deal that it could have lost. It counts for at
most that stake: praise costs capital that is put at risk.

Payments make a graph, and a standing is a **largest flow** in it from accounts that the reader trusts beforehand (its
own, and those of its trust file):

- ``direct``: what they paid the account themselves.
- ``earned``: the most that can flow from them to it, along payments. A thousand fresh keys that pay each other in
  circles are not reached, and show 0. An account that was reached shows at most what entered whatever set of keys it
  hides among: paying on among them moves nothing.
- ``paid``: the most that can flow from the account to them: what it paid, staked work, as far as that work's makers are
  known to the reader.
- ``roles``: what it earned as a worker, and as a verifier.
- ``lost``: stakes that were taken from the account, in any deal. Nobody can do that to a stranger: whoever loses a
  stake has deposited it.

``score`` is earned less lost, at least 0. What it does not say: that the work was good beyond what its deal judged; who
stands behind an account; that the next deal will go as the last; or that an account without standing is bad: it is new
to this reader. Two readers may rightly see different numbers. One who has earned can let other keys of its own show the
same flow, each alone: ``together`` says what a set of accounts shows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from troth.core.errors import BadInput, Misuse, Undecidable
from troth.core.terms import (
    CHALLENGE,
    DEPOSITOR,
    UPHELD,
    VERDICT,
    Account,
    Answered,
    DealState,
    Pot,
    Result,
    Root,
    Rule,
    Split,
    climber,
    is_role,
)
from troth.fixed.flow import Network
from troth.ledger.readings import AsOf, DealReading, Snapshot

WORKER, VERIFIER = "worker", "verifier"
ROLES = (WORKER, VERIFIER)
_Node = Account | tuple[Account, str]
"""An account; or, where money arrives for good, an account in a role."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment that counts: from whom to whom, how much, and what the payee could have lost. tx: of the close.

    role: what the payee was paid as, ``worker`` or ``verifier``.
    """

    deal: bytes
    payer: Account
    payee: Account
    amount: int
    stake: int
    tx: bytes = b""
    role: str = WORKER

    @property
    def counts(self) -> int:
        """What it counts for: at most the payee's stake."""
        return min(self.amount, self.stake)


@dataclass(frozen=True, slots=True)
class Lost:
    """A stake that was taken from who deposited it."""

    deal: bytes
    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class History:
    """What a Book's closed and final deals come to, in these tokens. left_out: closed deals that cannot be shown."""

    as_of: AsOf
    tokens: frozenset[Account]
    paid: tuple[Paid, ...]
    lost: tuple[Lost, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account shows a reader, in the token's smallest unit; deals: how many of its payments count at all.

    roles: what it earned in each role by itself; they may come to more than ``earned``, where the same money could have
    come for either.
    """

    account: Account
    direct: int
    earned: int
    paid: int
    lost: int
    deals: int
    roles: Mapping[str, int] = field(default_factory=dict)

    @property
    def score(self) -> int:
        """Earned less lost, at least 0."""
        return max(0, self.earned - self.lost)


def history(now: Snapshot, tokens: Iterable[Account]) -> History:
    """Every payment and loss that counts as of a block. tokens: what the reader takes for money: anybody makes a token.

    Raises Misuse without a token, Undecidable where the chain does not say which of its blocks are final.
    """
    money, final = frozenset(tokens), now.as_of.finalized
    if not money:
        raise Misuse("no token to count in", do="Name the tokens that you take for money.")
    if final is None:
        raise Undecidable("this chain does not say what is final", actual=now.as_of,
                          do="Set [chain] finality: how many blocks make one final for you.")
    paid: list[Paid] = []
    lost: list[Lost] = []
    left_out = 0
    for line in now.deals(status="closed"):
        if line.token not in money:
            continue
        try:
            deal = now.deal(line.id)
        except BadInput:  # names that are no text: such a deal is shown to nobody, and praises nobody
            left_out += 1
            continue
        if deal.closed is None or deal.closed.block > final or deal.state.final is None:
            continue
        paid += payments(deal, deal.state.final, final, deal.closed.tx)
        lost += [Lost(deal.id, pot.depositor, pot.amount) for pot in deal.state.terms.pots
                 if pot.depositor in deal.state.final.slashed and is_stake(pot)]
    return History(now.as_of, money, tuple(paid), tuple(lost), left_out)


def payments(deal: DealReading, final: Result, block: int, tx: bytes = b"") -> list[Paid]:
    """What a closed deal's pots paid to accounts with a stake in it, from depositors that were not slashed.

    block: the last final one: of a root, what was collected up to it. tx: of the close.
    """
    state = deal.state
    stakes: dict[Account, int] = {}
    for pot in state.terms.pots:
        if is_stake(pot):
            stakes[pot.depositor] = stakes.get(pot.depositor, 0) + pot.amount
    found = []
    for index, pot in enumerate(state.terms.pots):
        payer = _depositor(state, pot)
        if payer is None or payer in final.slashed:
            continue
        for payee, amount in _paid(deal, index, pot, final, block):
            if amount and payee != payer and payee not in final.slashed and payee in stakes:
                role = VERIFIER if isinstance(pot.pays.get(final.outcome), Answered) else WORKER
                found.append(Paid(deal.id, payer, payee, amount, stakes[payee], tx, role))
    return found


def is_stake(pot: Pot) -> bool:
    """Whether a pot goes back when all is well, and some other outcome pays of it to another than who deposited it."""
    def away(rule: Rule | None) -> bool:
        return rule is not None and (not isinstance(rule, Split) or any(
            payee not in (pot.depositor, DEPOSITOR) for payee in rule.payees))

    return not is_role(pot.depositor) and not away(pot.pays.get(UPHELD)) and any(map(away, pot.pays.values()))


def _depositor(state: DealState, pot: Pot) -> Account | None:
    """Who deposited a pot; of a fee pot, who climbed to its rung, if anybody did."""
    if not is_role(pot.depositor):
        return pot.depositor
    climbs = {climber(entry.rung + 1): entry.by for entry in state.history if entry.kind == CHALLENGE}
    return climbs.get(pot.depositor)


def _paid(deal: DealReading, index: int, pot: Pot, final: Result, block: int) -> list[tuple[Account, int]]:
    """Accounts that a pot paid by its rule for the outcome. Roles are left out: nobody is praised for keeping."""
    rule, state = pot.pays.get(final.outcome), deal.state
    if isinstance(rule, Root):
        return [(one.account, one.amount) for one in deal.payouts
                if one.what == "collected" and one.pot == index and one.account is not None
                and one.place.block <= block]
    if isinstance(rule, Answered):
        spoke = any(entry.kind == VERDICT and entry.rung == rule.rung for entry in state.history)
        bench = state.terms.rungs[rule.rung].bench
        return [(account, pot.amount // len(bench)) for account in bench] if spoke else []
    if rule is None:
        return []
    amounts: Iterable[int] = final.values
    if rule.amounts is not None:
        amounts = rule.amounts
    elif rule.weights is not None:
        amounts = [pot.amount * weight // sum(rule.weights) for weight in rule.weights]
    left, found = pot.amount, []
    for payee, amount in zip(rule.payees, amounts, strict=False):
        taken = 0 if payee in final.slashed else min(amount, left)
        left -= taken
        if not is_role(payee):
            found.append((payee, taken))
    return found


@dataclass(frozen=True)
class Reputation:
    """Standings for one reader. trusted: the accounts that it trusts beforehand, its own among them."""

    history: History
    trusted: frozenset[Account]

    @cached_property
    def _capacities(self) -> dict[tuple[Account, Account], int]:
        found: dict[tuple[Account, Account], int] = {}
        for one in self.history.paid:
            found[one.payer, one.payee] = found.get((one.payer, one.payee), 0) + one.counts
        return found

    @cached_property
    def _network(self) -> Network[_Node]:
        edges: dict[tuple[_Node, _Node], int] = {(a, b): room for (a, b), room in self._capacities.items()}
        for one in self.history.paid:
            arrives = one.payer, (one.payee, one.role)
            edges[arrives] = edges.get(arrives, 0) + one.counts
        return Network(edges)

    def of(self, account: Account) -> Standing:
        """What an account shows this reader. Raises Misuse for one that it trusts beforehand: no payment says more."""
        if account in self.trusted:
            raise Misuse("this account is trusted beforehand", actual="0x" + account.hex())
        direct = sum(self._capacities.get((one, account), 0) for one in self.trusted)
        deals = {one.deal for one in self.history.paid if account in (one.payer, one.payee)}
        lost = sum(one.amount for one in self.history.lost if one.account == account)
        roles = {role: self._network.flow(self.trusted, [(account, role)]) for role in ROLES
                 if any((one.payee, one.role) == (account, role) for one in self.history.paid)}
        return Standing(account, direct, self.together([account]), self._network.flow([account], self.trusted), lost,
                        len(deals), roles)

    def together(self, accounts: Iterable[Account]) -> int:
        """The most that can flow from the trusted to these accounts at once: what a set of keys has earned in all."""
        return self._network.flow(self.trusted, frozenset(accounts) - self.trusted)

    def proof(self, account: Account) -> tuple[Paid, ...]:
        """The payments between the account and the trusted, which need nobody else: what feedback may name."""
        return tuple(one for one in self.history.paid
                     if (one.payer in self.trusted and one.payee == account)
                     or (one.payer == account and one.payee in self.trusted))
