"""What a deal's history comes to: results, who was right, and who is paid (docs/reference/deals.md, sections 6 and 8).

Pure functions of the terms, the history and who deposited. Every unit of every deposit and bond ends in exactly one
credit or stays for a root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from troth.core.deals_terms import benches, fee_rung
from troth.core.terms import (
    CHALLENGE,
    CHALLENGER,
    DEPOSITOR,
    KEEP,
    KEEPER,
    SLASHED,
    SUBMISSION,
    VERDICT,
    Account,
    Answered,
    Entry,
    Pot,
    Result,
    Root,
    Rule,
    Split,
    Terms,
)

RIGHT = "right"
WRONG = "wrong"
UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Credit:
    """An amount, in the token's smallest unit, that the Book owes an account."""

    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays in the Book for a pot's payout root: ``left`` until ``ends`` (Unix seconds), then to ``residual``."""

    pot: int
    root: bytes
    left: int
    ends: int
    residual: Account
    collected: frozenset[int] = frozenset()
    swept: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One challenge: of which rung, by whom, with what bond, and RIGHT, WRONG or UNANSWERED."""

    rung: int
    by: Account
    bond: int
    how: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A close: the final result, the challenges' findings, one credit an account, what stays for roots."""

    final: Result
    challenges: tuple[Finding, ...]
    credits: tuple[Credit, ...]
    kept: tuple[Kept, ...]


def missed(terms: Terms, rung: int, history: tuple[Entry, ...]) -> frozenset[Account]:
    """Who an ask of ``rung`` named and got less than every slot from. For rungs whose asks are all over (section 6).

    With or without a deposit: one who is only to be paid must not gain by withholding either.
    """
    filled = {(entry.by, entry.ask, entry.slot) for entry in history
              if entry.kind == SUBMISSION and entry.rung == rung}
    asked = terms.rungs[rung]
    return frozenset(account for ask, terms_of in enumerate(asked.asks) for account in asked.asked(ask)
                     if any((account, ask, slot) not in filled for slot in range(terms_of.slots)))


def results(terms: Terms, last: int, history: tuple[Entry, ...]) -> tuple[Result, ...]:
    """``result(r)`` of every rung up to ``last`` (section 6)."""
    spoken = {entry.rung: Result.from_bytes(entry.data) for entry in history if entry.kind == VERDICT}
    absent: frozenset[Account] = frozenset()
    found: list[Result] = []
    for rung in range(last + 1):
        silent = terms.rungs[rung].silent
        if rung in spoken:
            base = spoken[rung]
        elif rung > 0 and silent == KEEP:
            base = found[-1]
        else:
            base = Result(silent)
        absent |= missed(terms, rung, history)
        found.append(Result(base.outcome, base.values, base.slashed | absent, base.root, base.total))
    return tuple(found)


def differ(one: Result, other: Result, tick: int, seated: frozenset[Account]) -> bool:
    """Whether two results differ by more than the policy's tick, whoever sits on a bench left out (section 8)."""
    if (one.outcome, one.root, one.total) != (other.outcome, other.root, other.total):
        return True
    if one.slashed - seated != other.slashed - seated or len(one.values) != len(other.values):
        return True
    return any(abs(a - b) > tick for a, b in zip(one.values, other.values, strict=True))


def challenges(terms: Terms, found: tuple[Result, ...], history: tuple[Entry, ...],
               tick: Callable[[int], int]) -> tuple[Finding, ...]:
    """Every challenge and whether it was right (section 8)."""
    seated = benches(terms)
    voiced = {entry.rung for entry in history if entry.kind == VERDICT}
    out = []
    for entry in history:
        if entry.kind != CHALLENGE:
            continue
        # Without a verdict above, only a miss there adds a party to the slashed.
        withheld = found[-1].slashed - found[entry.rung].slashed - seated
        if not withheld and max(voiced, default=-1) <= entry.rung:
            how = UNANSWERED
        elif differ(found[-1], found[entry.rung], tick(entry.rung), seated):
            how = RIGHT
        else:
            how = WRONG
        out.append(Finding(entry.rung, entry.by, terms.rungs[entry.rung].bond, how))
    return tuple(out)


def settle(terms: Terms, last: int, holders: tuple[Account | None, ...], history: tuple[Entry, ...], closer: Account,
           now: int, tick: Callable[[int], int]) -> Settled:
    """Pay everybody by the last rung's result (section 8).

    holders: who deposited each pot, None where nobody did. tick: a rung's policy's tick.
    """
    found = results(terms, last, history)
    judged = challenges(terms, found, history, tick)
    payer = _Payer(terms, found[-1], judged, history, closer, now)
    for challenge in judged:
        payer.pay(terms.wrong_bonds if challenge.how == WRONG else challenge.by, challenge.bond)
    for index, holder in enumerate(holders):
        if holder is not None:
            payer.pot(index, holder)
    credits = tuple(Credit(account, amount) for account, amount in payer.credits.items())
    return Settled(found[-1], judged, credits, tuple(payer.kept))


@dataclass(slots=True)
class _Payer:
    """Adds up one close. ``blocked`` accounts (the final slashed) get nothing but their own bonds."""

    terms: Terms
    final: Result
    judged: tuple[Finding, ...]
    history: tuple[Entry, ...]
    closer: Account
    now: int
    credits: dict[Account, int] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)

    def pay(self, account: Account, amount: int) -> None:
        if amount:
            self.credits[account] = self.credits.get(account, 0) + amount

    def pot(self, index: int, holder: Account) -> None:
        """Pay one deposited pot: the payees in order, each at most what is left, then the residual."""
        pot = self.terms.pots[index]
        left = pot.amount
        rule = self.rule(pot, holder)
        if isinstance(rule, Root):
            # BadResult bounds the total by this pot under its outcome's rule; under the slashed rule only this does.
            stays = min(self.final.total, left)
            if stays:
                residual = holder if pot.residual == DEPOSITOR else pot.residual
                rest = self.terms.wrong_bonds if residual in self.final.slashed else residual
                self.kept.append(Kept(index, self.final.root, stays, self.now + rule.term, rest))
                left -= stays
        elif isinstance(rule, Answered):
            for account in self.answered(rule.rung):
                seat = pot.amount // len(self.terms.rungs[rule.rung].bench)
                self.pay(account, seat)
                left -= seat
        elif rule is not None:
            for payee, amount in self.parts(pot, rule):
                left -= self.give(payee, min(amount, left), holder)
        rest_left = left - self.give(pot.residual, left, holder)
        self.pay(self.terms.wrong_bonds, rest_left)

    def rule(self, pot: Pot, holder: Account) -> Rule | None:
        if holder in self.final.slashed and SLASHED in pot.pays and fee_rung(pot, len(self.terms.rungs)) is None:
            return pot.pays[SLASHED]
        return pot.pays.get(self.final.outcome)

    def parts(self, pot: Pot, rule: Split) -> list[tuple[Account, int]]:
        """What each payee of a split gets: declared amounts, shares by weight rounded down, or the verdict's values."""
        if rule.amounts is not None:
            return list(zip(rule.payees, rule.amounts, strict=True))
        if rule.weights is not None:
            whole = sum(rule.weights)
            shares = (pot.amount * weight // whole for weight in rule.weights)
            return list(zip(rule.payees, shares, strict=True))
        # A value the verdict does not give is nothing; a value without a payee pays nobody.
        return list(zip(rule.payees, self.final.values, strict=False))

    def answered(self, rung: int) -> list[Account]:
        """The bench's members that are not blocked, if their rung spoke. Whoever left a slot empty is blocked."""
        if not any(entry.kind == VERDICT and entry.rung == rung for entry in self.history):
            return []
        return [account for account in self.terms.rungs[rung].bench if account not in self.final.slashed]

    def give(self, payee: Account, amount: int, holder: Account) -> int:
        """Pay ``amount`` to an account or role; how much found a taker."""
        if payee == CHALLENGER:
            shares = self.challengers(amount)
        elif payee == KEEPER:
            shares = self.keepers(amount)
        else:
            shares = [(holder if payee == DEPOSITOR else payee, amount)]
        taken = 0
        for account, share in shares:
            if account not in self.final.slashed:
                self.pay(account, share)
                taken += share
        return taken

    def challengers(self, amount: int) -> list[tuple[Account, int]]:
        right = [challenge for challenge in self.judged if challenge.how == RIGHT]
        bonds = sum(challenge.bond for challenge in right)
        return [(challenge.by, amount * challenge.bond // bonds) for challenge in right]

    def keepers(self, amount: int) -> list[tuple[Account, int]]:
        judges = [entry.by for entry in self.history if entry.kind == VERDICT]
        if not judges:
            return [(self.closer, amount)]
        return [(judges[-1], amount // 2), (self.closer, amount - amount // 2)]
