"""A workspace's privacy ledger: budgets for its listings, spendings reserved and said, and others' checked again.

The order for a round is ``reserve``, ``begin``, train, send. What ``begin`` has said is in the log before any noise is
drawn, so the ledger can be made again from the log, and is, whenever it is opened.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.core.claims import Ref, Statement
from troth.core.encoding import sha256
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.core.verdicts import Outcome, Report, Step, combine
from troth.learn import site as training
from troth.learn.arrays import State
from troth.learn.claims import LISTING, UPDATE, Listing, UpdateClaim, digest_subject
from troth.learn.data import Part, Scaling, Schema
from troth.learn.dense import Dense
from troth.learn.privacy.accounting import calibrate
from troth.learn.privacy.claims import SPENDING, SpendingClaim, purpose_text, recheck, recheck_spent
from troth.learn.privacy.fingerprints import Fingerprints
from troth.learn.privacy.ledger import Budget, DataSet, Overspent, PrivacyLedger, Reservation, Spending
from troth.learn.privacy.mechanisms import EVERY, Mechanism, Spent
from troth.learn.privacy.training import BOUND, PrivateSteps, chance
from troth.learn.site import Fit

if TYPE_CHECKING:
    from troth.app import Troth

FILE = "privacy.sqlite"


@dataclass(frozen=True, slots=True)
class Account:
    """Where a data set stands. total: micro-epsilon of all that counts, at the budget's delta; None without one."""

    data: DataSet
    total: int | None
    spendings: tuple[Spending, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a site trains a round privately: as the plan's fit asks, each record's gradient clipped to ``norm``.

    left: rounds still to come, with this one. purpose: in the ledger.
    """

    fit: Fit
    norm: float
    left: int
    purpose: str


class Privacy:
    """The ledger of one workspace, which must outlive it. Close it, or use ``opened``.

    Spendings that the log tells of and the file does not are put back first; and where a data set has no budget any
    more, the one that its last spending was within. Raises as `PrivacyLedger`.
    """

    def __init__(self, party: Troth) -> None:
        self._party = party
        # The chain account stays through changes of keys; only a recovery replaces it.
        seed = party.identity.account.reveal_seed()
        self._prints = Fingerprints(sha256(b"troth/privacy/fingerprints/v1\n" + seed))
        path = party.root / FILE
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise OutsideFailed(f"the privacy ledger {path} cannot be opened", actual=error.strerror) from None
        self.ledger = PrivacyLedger(path, sha256(b"troth/privacy/mark/v1\n" + seed))
        promised: dict[bytes, tuple[Budget, int]] = {}
        told = [(SpendingClaim.of(statement), statement) for _, statement in self._said(party.did)]
        for _, statement in told:
            # Else a part of them, listed again, would be other records. Erased ones cannot be told again.
            with suppress(Undecidable):
                self.know(statement.ref("listing"))
        for said, statement in told:
            at = statement.issued_at
            self.ledger.restore(said.entry, said.data, said.spent.mechanism, said.purpose, at, said.kin)
            promised[said.data] = Budget(said.budget, said.spent.delta), at
        for data, (budget, at) in promised.items():
            if self.ledger.data_set(data).budget is None:
                self.ledger.set_budget(data, budget, at)

    def close(self) -> None:
        """Close the file."""
        self.ledger.close()

    def _said(self, did: str) -> Iterator[tuple[bytes, Statement]]:
        for claim, statement in self._party.claims(SPENDING):
            if statement.issuer == did:
                yield claim, statement

    # Records

    def know(self, listing: bytes, same_as: Sequence[bytes] = ()) -> DataSet:
        """Make the records of a listing of this party known to the ledger, by their fingerprints.

        same_as: listings known here whose records are the same persons', whatever the rows say. Raises Misuse for
        anybody else's listing, Undecidable where its records are not here.
        """
        if self._named(listing) is None or same_as:
            statement = self._own(listing)
            prints = list(self._fingerprints(statement))
            others = [self.ledger.named(one.hex()) for one in same_as]
            return self.ledger.add(self._prints.of_set(prints), prints, listing.hex(), others)
        return self.ledger.data_set(self.ledger.named(listing.hex()))

    def _named(self, listing: bytes) -> bytes | None:
        try:
            return self.ledger.named(listing.hex())
        except Undecidable:
            return None

    def _own(self, listing: bytes) -> Statement:
        statement = self._party.statement(listing)
        if statement.issuer != self._party.did or statement.kind != LISTING:
            raise Misuse("only whoever listed records can spend on them", expected=f"a listing of {self._party.did}",
                         actual=f"a {statement.kind} of {statement.issuer}")
        return statement

    def _fingerprints(self, statement: Statement) -> Iterator[bytes]:
        items = [item for item in statement.evidence if item.name == "records"]
        if len(items) != 1:
            raise BadInput("a listing names its records", expected="one piece of evidence 'records'", actual=len(items))
        data = self._party.read(items[0], None)
        try:
            schema = Schema.of(Listing.of(statement).schema)
            part = Part.from_bytes(data, schema)
        except BadInput:
            # Not a table of integers: each line is a record.
            yield from self._prints.of_bytes(line for line in data.splitlines() if line.strip())
            return
        yield from self._prints.of(part.features.tolist(), schema.decimals)

    # Budgets

    def set_budget(self, listing: bytes, budget: Budget, *, raising: bool = False,
                   same_as: Sequence[bytes] = ()) -> Account:
        """Allow so much for a listing's records, under whatever name they are listed. Raises as the ledger."""
        found = self.know(listing, same_as)
        self.ledger.set_budget(found.id, budget, self._party.clock.now(), raising=raising)
        return self.account(found.id)

    def account(self, data: bytes) -> Account:
        """Where a data set stands."""
        found = self.ledger.data_set(data)
        total = None if found.budget is None else self.ledger.total(data, found.budget.delta)
        return Account(found, total, self.ledger.counting(data))

    def of_listing(self, listing: bytes) -> Account:
        """Where a listing's records stand. Raises Undecidable where the ledger does not know them."""
        return self.account(self.ledger.named(listing.hex()))

    def accounts(self) -> tuple[Account, ...]:
        """Every data set known here."""
        return tuple(self.account(one.id) for one in self.ledger.data_sets())

    # Spending

    def reserve(self, listing: bytes, mechanism: Mechanism, purpose: str) -> Reservation:
        """Reserve what a round will do to a listing's records. Raises Overspent, Misuse; nothing is reserved then."""
        data = self.know(listing)
        return self.ledger.reserve(data.id, mechanism, purpose_text(purpose), self._party.clock.now())

    def begin(self, listing: bytes, reservation: Reservation, purpose: str) -> bytes:
        """Spend a reservation and say so; the claim's id. Train after it, not before.

        Every claim of this kind refers to the one before it, so that leaving one out is seen.
        """
        said = SpendingClaim.made(reservation, purpose)
        with self._party.in_turn():
            self.ledger.spend(reservation)
            before = [claim for claim, _ in self._said(self._party.did)][-1:]
            refs = [Ref("listing", listing), *(Ref("before", claim) for claim in before)]
            return self._party.attest(SPENDING, digest_subject("data", said.data), said.body(), refs=refs)

    def release(self, reservation: Reservation) -> None:
        """Give back a reservation that was not begun."""
        self.ledger.release(reservation)

    # Rounds

    def charge(self, listing: bytes, mechanism: Mechanism, purpose: str) -> Spent:
        """Spend a mechanism on a listing's records, and say so; what an update says of it. Do it only afterwards.

        Raises Overspent, and as ``reserve``.
        """
        reservation = self.reserve(listing, mechanism, purpose)
        self.begin(listing, reservation, purpose)
        return Spent(reservation.mechanism, reservation.alone, reservation.budget.delta)

    def refuse_plain(self, listing: bytes) -> None:
        """Raises Misuse where a budget holds for a listing's records: an update without noise would pass any."""
        found = self.know(listing)
        # Of records that are kin, a file that was made again from the log may know what was spent and no budget.
        spent = bool(self.ledger.counting(found.id))
        if spent or found.budget is not None or any(self.ledger.data_set(one).budget is not None for one in found.kin):
            raise Misuse("a budget holds for these records, and training without noise would pass it",
                         expected="private training", actual=listing.hex(),
                         do="Join with --epsilon, or list records that no budget holds for.")

    def train(self, listing: bytes, task: Dense, base: State, records: tuple[Part, Scaling], wish: Wish,
              ) -> tuple[State, Spent]:
        """One round: noise so that it and the rounds still to come keep within the budget; reserved, said, trained.

        Returns the update and what it says of privacy. Raises Overspent where no noise is enough, and as ``reserve``.
        """
        part, by = records
        data = self.know(listing)
        if data.budget is None:
            raise Misuse("these records have no budget", actual=listing.hex(), do="Set one: troth privacy budget.")
        size = sum(math.prod(shape) for _, shape in task.layout)
        sampled = EVERY if wish.fit.batch == 0 else chance(min(wish.fit.batch, len(part)), len(part))
        planned = Mechanism(BOUND, BOUND, wish.fit.steps * wish.left, sampled, size)
        before = [one.mechanism for one in self.ledger.counting(data.id)]
        try:
            found = calibrate(planned, data.budget.epsilon, data.budget.delta, before)
        except Misuse as error:
            raise Overspent(error.message, expected=error.expected, do=error.do) from None
        how = PrivateSteps(wish.fit.steps, found.sigma, sampled, wish.fit.rate, wish.norm, wish.fit.decay)
        spent = self.charge(listing, how.mechanism(size), wish.purpose)
        return training.train_privately(task, base, part, by, how, wish.fit.clip), spent


def kept(party: Troth) -> bool:
    """Whether a workspace has budgets: it has a ledger, or its log tells of one that was lost."""
    return (party.root / FILE).exists() or any(said.issuer == party.did for _, said in party.claims(SPENDING))


@contextmanager
def opened(party: Troth) -> Iterator[Privacy]:
    """The privacy ledger of a workspace, for a while."""
    privacy = Privacy(party)
    try:
        yield privacy
    finally:
        privacy.close()


def check(party: Troth, target: bytes) -> Report:
    """Compute again what a spending or an update says was spent, as far as this log shows.

    1. What it says can be read. 2. Its mechanism spends no more than it says. For a spending also: 3. the issuer's
    earlier ones, one before the other, are all here. 4. All that count for the same records, with this one, spend no
    more than it says, and that is within the budget it says. Raises Undecidable where the target is not here.
    """
    statement = party.statement(target)
    steps: list[Step] = []
    try:
        if statement.kind == UPDATE:
            spent = UpdateClaim.of(statement).training.privacy
            if spent is None:
                return _report([Step(1, "read", Outcome.UNDECIDABLE, "this update says nothing of privacy")])
            steps.append(Step(1, "read", Outcome.UPHELD, "what the update says was spent"))
            steps.append(Step(2, "alone", Outcome.UPHELD, recheck_spent(spent)))
            return _report(steps)
        said = SpendingClaim.of(statement)
        steps.append(Step(1, "read", Outcome.UPHELD, f"{said.purpose}, on data {said.data.hex()[:16]}…"))
        steps.append(Step(2, "alone", Outcome.UPHELD, recheck_spent(said.spent)))
        earlier = _before(party, statement)
        steps.append(Step(3, "before", Outcome.UPHELD, f"{len(earlier)} earlier spendings, none left out between"))
        steps.append(Step(4, "together", Outcome.UPHELD, recheck(said, earlier)[1]))
    except Refuted as error:
        steps.append(Step(len(steps) + 1, "contradicted", Outcome.REFUTED, str(error)))
    except (Undecidable, OutsideFailed) as error:
        steps.append(Step(len(steps) + 1, "not checked", Outcome.UNDECIDABLE, str(error)))
    return _report(steps)


def _report(steps: list[Step]) -> Report:
    return Report(combine(tuple(steps)), None, tuple(steps))


def _before(party: Troth, statement: Statement) -> list[SpendingClaim]:
    """The chain of an issuer's spendings before one, newest first. Raises Undecidable where it is broken off."""
    found: list[SpendingClaim] = []
    at = statement
    while at.all_refs("before"):
        earlier = party.statement(at.ref("before"))
        if earlier.issuer != statement.issuer:
            raise Refuted("a spending after somebody else's", expected=statement.issuer, actual=earlier.issuer)
        found.append(SpendingClaim.of(earlier))
        at = earlier
    after = Counter(one.all_refs("before") for _, one in party.claims(SPENDING) if one.issuer == statement.issuer)
    twice = [before for before, count in after.items() if count > 1]
    if twice:
        raise Refuted("its issuer has two spendings that follow the same one, so neither counts the other",
                      actual=[one.hex() for one in twice[0]] or "the first")
    return found
