"""The claim ``spending``: what its issuer is about to do to records, and what that makes of their budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from troth.core.claims import Statement
from troth.core.encoding import from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.learn.claims import body_of, digest_subject
from troth.learn.privacy import accounting
from troth.learn.privacy.ledger import Budget, Reservation
from troth.learn.privacy.mechanisms import MAX_EPSILON, RECORD, Mechanism, Spent, epsilon_text

SPENDING = "spending"
MAX_KIN = 4096
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9 :.-]{0,119}", re.ASCII)


def purpose_text(text: str) -> str:
    """What a spending is for, as it stands in claims. Raises BadInput for anything but plain small words."""
    if not _PURPOSE.fullmatch(text):
        raise BadInput("a purpose in other words", expected="small letters, digits, spaces, dashes, dots and colons",
                       actual=ascii(text[:40]))
    return text


@dataclass(frozen=True, slots=True)
class SpendingClaim:
    """data: the records' keyed name. kin: of the issuer's other data sets that share records with them, ascending.

    entry: of the issuer's ledger. spent: this mechanism alone. total: micro-epsilon of everything that counts for the
    records with it, at the same delta. budget: micro-epsilon allowed.
    """

    data: bytes
    kin: tuple[bytes, ...]
    entry: bytes
    purpose: str
    spent: Spent
    total: int
    budget: int

    def __post_init__(self) -> None:
        purpose_text(self.purpose)
        if list(self.kin) != sorted({*self.kin} - {self.data}) or len(self.kin) > MAX_KIN:
            raise BadInput("data sets that share records are ascending and distinct", actual=len(self.kin))
        if self.spent.mechanism.unit != RECORD or not 1 <= self.total <= MAX_EPSILON or not (
                1 <= self.budget <= MAX_EPSILON):
            raise BadInput("a spending is of records, and in range", expected=f"up to {MAX_EPSILON} micro-epsilon",
                           actual=(self.total, self.budget))

    @classmethod
    def made(cls, reservation: Reservation, purpose: str) -> Self:
        """What is said of a reservation that is about to be spent."""
        budget: Budget = reservation.budget
        return cls(reservation.data, reservation.kin, reservation.entry, purpose,
                   Spent(reservation.mechanism, reservation.alone, budget.delta), reservation.total, budget.epsilon)

    def body(self) -> dict[str, Any]:
        return {"budget": self.budget, "data": self.data.hex(), "entry": self.entry.hex(),
                "kin": [one.hex() for one in self.kin], "purpose": self.purpose, "spent": self.spent.body(),
                "total": self.total}

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        budget, data, entry, kin, purpose, spent, total = take(
            body_of(statement, SPENDING), budget=int, data=str, entry=str, kin=list, purpose=str, spent=dict, total=int)
        if statement.subjects != digest_subject("data", from_hex(data, 32)):
            raise BadInput("spending: the subject is not what the body says", expected=data)
        if len(statement.all_refs("listing")) != 1 or len(statement.all_refs("before")) > 1:
            raise BadInput("a spending is of one listing, and after at most one other")
        return cls(from_hex(data, 32), tuple(from_hex(one, 32) for one in kin), from_hex(entry, 32), purpose,
                   Spent.of(spent), total, budget)


def counted(said: SpendingClaim, earlier: Iterable[SpendingClaim]) -> list[Mechanism]:
    """The mechanisms among the issuer's earlier ones that count for the same records."""
    return [one.spent.mechanism for one in earlier
            if one.data == said.data or one.data in said.kin or said.data in one.kin]


def recheck(said: SpendingClaim, earlier: Sequence[SpendingClaim]) -> tuple[str, str]:
    """Compute a spending again from the issuer's own claims before it: what was found, in two sentences.

    Raises Refuted where it states less than its mechanism spends, less than all of them spend together, more than its
    budget, or an entry that an earlier one has; OutsideFailed without the accounting.
    """
    if said.entry in {one.entry for one in earlier}:
        raise Refuted("two spendings of one entry", actual=said.entry.hex())
    alone = recheck_spent(said.spent)
    before = counted(said, earlier)
    together = accounting.epsilon([*before, said.spent.mechanism], said.spent.delta)
    if not accounting.agrees(said.total, together):
        raise Refuted("more was spent on these records than it says", expected=f"at least {epsilon_text(together)}",
                      actual=epsilon_text(said.total))
    if said.total > said.budget:
        raise Refuted("it passes its own budget", expected=epsilon_text(said.budget), actual=epsilon_text(said.total))
    return alone, (f"with {len(before)} before it, epsilon {epsilon_text(together)} of {epsilon_text(said.budget)} "
                   f"at delta {said.spent.delta}")


def recheck_spent(spent: Spent) -> str:
    """Compute the epsilon of a description again, in a sentence. Raises Refuted where less is stated."""
    found = accounting.epsilon([spent.mechanism], spent.delta)
    if not accounting.agrees(spent.epsilon, found):
        raise Refuted("it spends more than it says", expected=f"at least {epsilon_text(found)}",
                      actual=epsilon_text(spent.epsilon))
    return f"epsilon {epsilon_text(found)} at delta {spent.delta}: {spent.mechanism.text()}"
