"""What an index answers: deals, claims, anchors and payouts, all as of one block.

A deal's state is not stored. It follows from its rows by replaying them through ``troth.core.deals``, the executable
specification, so what no Book would have let happen is noticed when it is read. Names and results are decoded then,
and not before: one deal that cannot be shown does not stop the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from troth.core import deals as rules
from troth.core.deals import Deal
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Undecidable
from troth.core.terms import CHALLENGE, RESULT, SUBMISSION, VERDICT, Account, DealState, Entry, Terms
from troth.ledger.evmcodec import decode, result_of
from troth.ledger.projection_sql import Store

Status = Literal["funding", "running", "closed", "void"]
_OFFSET = (32).to_bytes(32, "big")
"""What ABI encoding puts before a lone tuple; an event's body holds it elsewhere."""
_CLOSED, _VOID = 3, 4
_STATUS = f"CASE WHEN c.status = {_CLOSED} THEN 'closed' WHEN c.status = {_VOID} THEN 'void' " \
          "WHEN j.deal IS NOT NULL THEN 'running' ELSE 'funding' END"


@dataclass(frozen=True, slots=True)
class AsOf:
    """The block that a reading is of, and up to which block the chain called things final (None: it does not say)."""

    number: int
    hash: bytes
    finalized: int | None

    def __str__(self) -> str:
        final = "nothing known to be final" if self.finalized is None else f"finalized up to {self.finalized}"
        return f"block {self.number} ({self.hash.hex()}), {final}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands. tx: the transaction's hash, which ``receipts.prove_receipt`` takes."""

    block: int
    log_index: int
    tx: bytes


@dataclass(frozen=True, slots=True)
class DealLine:
    """A deal in a list. rung: the current one. entries: of its history. outcome: of a closed deal."""

    id: bytes
    opener: Account
    token: Account
    fund_by: int
    status: Status
    rung: int
    entries: int
    outcome: int | None
    opened: Place


@dataclass(frozen=True, slots=True)
class DealReading:
    """One deal. state: as every Book shows it, ``ask`` and ``ask_start`` as the specification has them.

    digest: the history's hash, which the Book stores too. payouts: what was collected of its roots, and swept.
    closed: where it was closed, or found void; None before.
    """

    id: bytes
    opener: Account
    salt: bytes
    opened: Place
    state: DealState
    digest: bytes
    payouts: tuple[Payout, ...]
    closed: Place | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A claim that was submitted to a deal."""

    claim: bytes
    deal: bytes
    by: Account
    rung: int
    ask: int
    slot: int
    at: int
    place: Place


@dataclass(frozen=True, slots=True)
class Anchored:
    """A checkpoint that an account put on chain: the log's origin hash, its size and root."""

    owner: Account
    origin: bytes
    size: int
    root: bytes
    place: Place


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that the Book's events tell of; amount in the token's smallest unit.

    what: "collected" (a leaf of a root, paid to account), "swept" (what was left of a root; account None: the
    residual one), "credited" (a transfer failed and waits), "withdrawn" (it waits no longer). deal, pot: of the first
    two; token: of the last two.
    """

    what: Literal["collected", "swept", "credited", "withdrawn"]
    account: Account | None
    amount: int
    deal: bytes | None
    pot: int | None
    token: Account | None
    place: Place


class Snapshot:
    """An index as of one block. Get one from ``reading``; it is good inside that block alone."""

    def __init__(self, store: Store, as_of: AsOf) -> None:
        self._store = store
        self.as_of = as_of

    def deals(self, *, status: Status | None = None, account: Account | None = None,
              newest: int | None = None) -> tuple[DealLine, ...]:
        """The deals in the order they were opened. newest: only so many, the newest.

        account: those that it opened or challenged, or that name it. Raises Misuse for a status that is none.
        """
        if status not in (None, *get_args(Status)):
            raise Misuse("no such status", expected=", ".join(get_args(Status)), actual=status)
        where: list[str] = []
        values: list[object] = []
        if status is not None:
            where.append(f"{_STATUS} = ?")
            values.append(status)
        if account is not None:
            where.append("o.deal IN (SELECT deal FROM named WHERE account = ?)")
            values.append(account)
        rows = self._store.all(
            f"SELECT o.deal, o.opener, o.token, o.fund_by, {_STATUS}, "  # noqa: S608  # no text from outside
            f"(SELECT count(*) FROM recorded r WHERE r.deal = o.deal AND r.kind = {CHALLENGE}), "
            "(SELECT count(*) FROM recorded r WHERE r.deal = o.deal), c.outcome, o.block, o.log_index, o.tx "
            "FROM opened o LEFT JOIN closed c ON c.deal = o.deal "
            "LEFT JOIN joined j ON j.deal = o.deal AND j.started > 0 "
            + (f"WHERE {' AND '.join(where)} " if where else "")
            + "ORDER BY o.block DESC, o.log_index DESC"
            + ("" if newest is None else f" LIMIT {int(newest)}"), values)
        return tuple(
            DealLine(bytes(deal), bytes(opener), bytes(token), fund_by, found, rung, entries,
                     outcome if found == "closed" else None, _place(*place))
            for deal, opener, token, fund_by, found, rung, entries, outcome, *place in reversed(rows))

    def beginning(self, prefix: str) -> tuple[bytes, ...]:
        """Ids of the deals that begin with these hex digits (64 at most), in their order."""
        low, high = (bytes.fromhex(prefix.ljust(64, fill)) for fill in "0f")
        rows = self._store.all("SELECT deal FROM opened WHERE deal >= ? AND deal <= ? ORDER BY deal", (low, high))
        return tuple(bytes(deal) for (deal,) in rows)

    def deal(self, deal: bytes) -> DealReading:
        """Where a deal stands. Raises Undecidable for one that is not there as of this block, BadInput for one whose
        names are no text, OutsideFailed if its events are no deal's.
        """
        opened = self._of("opened", "opener, salt, terms", deal)
        if not opened:
            raise Undecidable("there is no such deal in the index", actual=deal.hex(), expected=f"as of {self.as_of}",
                              do="Was it opened on this Book, and is its block in?")
        *place, opener, salt, body = opened[0]
        found = self._replay(rules.opened(deal, Terms.from_bytes(bytes(body))))
        payouts = [*self._paid("collected", "deal", deal), *self._paid("swept", "deal", deal)]
        payouts.sort(key=lambda one: (one.place.block, one.place.log_index))
        closed = [_place(*where) for *where, _ in self._of("closed", "status", deal)]
        return DealReading(deal, bytes(opener), bytes(salt), _place(*place), found.state(), found.digest,
                           tuple(payouts), closed[0] if closed else None)

    def submissions(self, claim: bytes) -> tuple[Submission, ...]:
        """Where a claim was submitted, by its id."""
        rows = self._store.all(
            "SELECT deal, account, rung, ask, slot, at, block, log_index, tx FROM recorded "
            "WHERE claim = ? AND kind = ? ORDER BY block, log_index", (claim, SUBMISSION))
        return tuple(Submission(claim, bytes(deal), bytes(by), rung, ask, slot, at, _place(*place))
                     for deal, by, rung, ask, slot, at, *place in rows)

    def anchors(self, owner: Account, origin: bytes) -> tuple[Anchored, ...]:
        """The checkpoints that an account anchored of a log (its origin's hash), oldest first."""
        rows = self._store.all("SELECT size, root, block, log_index, tx FROM anchored "
                               "WHERE owner = ? AND origin = ? ORDER BY block, log_index", (owner, origin))
        return tuple(Anchored(owner, origin, int(size), bytes(root), _place(*place)) for size, root, *place in rows)

    def payouts(self, account: Account) -> tuple[Payout, ...]:
        """What an account collected, was credited and withdrew, oldest first. Transfers that succeeded at a close are
        the token's events, not the Book's, and not here.
        """
        found = [one for table in ("collected", "credited", "withdrawn")
                 for one in self._paid(table, "account", account)]
        return tuple(sorted(found, key=lambda one: (one.place.block, one.place.log_index)))

    def credit(self, token: Account, account: Account) -> int:
        """What waits for ``withdraw``, in the token's smallest unit."""
        return sum(one.amount if one.what == "credited" else -one.amount
                   for one in self.payouts(account) if one.token == token)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _of(self, table: str, columns: str, deal: bytes) -> list[tuple[Any, ...]]:
        return self._store.all(f"SELECT block, log_index, tx, {columns} FROM {table} "  # noqa: S608  # ours
                               "WHERE deal = ? ORDER BY block, log_index", (deal,))

    def _paid(self, table: str, column: str, value: bytes) -> list[Payout]:
        columns = {"collected": "account, amount, deal, pot, NULL", "swept": "NULL, amount, deal, pot, NULL"}.get(
            table, "account, amount, NULL, NULL, token")
        rows = self._store.all(f"SELECT block, log_index, tx, {columns} FROM {table} "  # noqa: S608  # ours
                               f"WHERE {column} = ? ORDER BY block, log_index", (value,))
        return [Payout(table, _bytes(account), int(amount), _bytes(deal), pot, _bytes(token), _place(*place))  # type: ignore[arg-type]
                for *place, account, amount, deal, pot, token in rows]

    def _replay(self, deal: Deal) -> Deal:
        """The deal after all its events, act by act as the rules have them."""
        try:
            for *_, pot, started in self._of("joined", "pot, started", deal.id):
                rules.check_join(deal, deal.terms.pots[pot].depositor, pot, started or deal.terms.fund_by - 1)
                deal = rules.join(deal, pot, started)
                if (deal.status == "running") != (started > 0):
                    raise OutsideFailed("a deposit that starts the deal, and does not", actual=f"pot {pot}")
            for *_, kind, by, rung, ask, slot, at, claim, data in self._of(
                    "recorded", "kind, account, rung, ask, slot, at, claim, data", deal.id):
                entry = Entry(kind, bytes(by), rung, ask, slot, at, bytes(claim), bytes(data))
                deal = _after(deal, entry)
                if deal.history[-1] != entry:
                    raise OutsideFailed("an entry that the rules would have written otherwise", actual=entry,
                                        expected=deal.history[-1])
            for *_, status, result in self._of("closed", "status, result", deal.id):
                if deal.status != ("running" if status == _CLOSED else "funding"):
                    raise OutsideFailed("a close that does not follow", actual=f"{status} of a {deal.status} deal")
                # Read as the event has it: who missed an ask was added at the close, in no order.
                final = result_of(*decode((RESULT,), _OFFSET + result)) if status == _CLOSED else None
                deal = replace(deal, status="closed" if status == _CLOSED else "void", final=final)
        except (ActRefused, BadInput, IndexError) as error:
            raise OutsideFailed("the deal's events are not what a Book lets happen", actual=error,
                                do="Delete the index and read the chain again, from another node.") from error
        return deal


def _after(deal: Deal, entry: Entry) -> Deal:
    if entry.kind == SUBMISSION:
        return rules.submit(deal, entry.by, entry.ask, entry.slot, entry.claim, entry.data, entry.at)
    if entry.kind == VERDICT:
        rules.question(deal, entry.at)
        return rules.record(deal, entry.by, entry.data, entry.at)
    return rules.challenge(deal, entry.by, entry.at)


def _place(block: int, log_index: int, tx: bytes) -> Place:
    return Place(block, log_index, bytes(tx))


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


@contextlib.contextmanager
def reading(store: Store) -> Iterator[Snapshot]:
    """The index as of its last block; everything read inside is of that block. Raises Undecidable while it is empty."""
    with store.reading():
        tip = store.tip()
        if tip is None:
            raise Undecidable("the index is empty", do="Bring it up to the chain first.")
        yield Snapshot(store, AsOf(*tip, store.final()))
