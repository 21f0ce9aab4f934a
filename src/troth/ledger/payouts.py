"""Payouts to many under one root: the list of payees as a published file (docs/reference/deals.md, section 9).

A result names a root and a total; who is paid what stands in a list that anybody must be able to fetch, or nobody could
ever prove a leaf. So a list is published by CID, and whoever upholds such a result calls ``checked`` first. A list that
was available once can be lost later: that proves nothing about tomorrow, keep a copy.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from troth.core.claims import Evidence, Statement, Subject
from troth.core.encoding import amount as amount_of
from troth.core.encoding import from_hex, sha256, take
from troth.core.errors import BadInput, Refuted
from troth.core.payouts import PayoutTree
from troth.core.ports import Blobs, Book, ProvenLeaf
from troth.core.terms import Account, Result, payout_leaf
from troth.store.cid import Cid
from troth.store.unixfs import export, import_stream

PAYOUTS = "payouts"
BATCH = 50
"""Leaves of one transaction: 2.1 million gas for new holders."""
MAX_PAYEES = 1_000_000
_MAGIC = b"troth payouts 1\n"
_HEAD = len(_MAGIC) + 32 + 20 + 32 + 1
_RECORD = 36


@dataclass(frozen=True)
class Payouts:
    """Who is paid how much from one pot of one deal. The leaf's index is the payee's place; amounts are at least 1, in
    the token's smallest unit. An account may stand in it more than once.
    """

    chain_id: int
    book: Account
    deal: bytes
    pot: int
    payees: tuple[tuple[Account, int], ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        """The published file: what it pays for, then account (20 bytes) and amount (16 bytes) of each payee."""
        head = _MAGIC + self.chain_id.to_bytes(32, "big") + self.book + self.deal + bytes((self.pot,))
        return head + b"".join(account + amount.to_bytes(16, "big") for account, amount in self.payees)

    @classmethod
    def from_bytes(cls, data: bytes) -> Payouts:
        """Read exactly what ``to_bytes`` writes. Raises BadInput."""
        rows, slack = divmod(len(data) - _HEAD, _RECORD)
        if data[: len(_MAGIC)] != _MAGIC or rows < 1 or slack:
            raise BadInput("not a list of payouts", expected="its head and 36 bytes a payee",
                           actual=f"{len(data)} bytes")
        at = len(_MAGIC)
        payees = tuple((data[place : place + 20], int.from_bytes(data[place + 20 : place + 36], "big"))
                       for place in range(_HEAD, len(data), _RECORD))
        if any(amount == 0 for _, amount in payees):
            raise BadInput("a payee of nothing", expected="amounts of at least 1")
        return cls(int.from_bytes(data[at : at + 32], "big"), data[at + 32 : at + 52], data[at + 52 : at + 84],
                   data[at + 84], payees)

    @cached_property
    def tree(self) -> PayoutTree:
        """The tree over the leaves."""
        return PayoutTree([payout_leaf(self.chain_id, self.book, self.deal, self.pot, index, account, amount)
                           for index, (account, amount) in enumerate(self.payees)])

    @property
    def total(self) -> int:
        """What is paid in all."""
        return sum(amount for _, amount in self.payees)

    def leaf(self, index: int) -> ProvenLeaf:
        """What ``collect`` takes. Raises BadInput for an index that is not there."""
        proof = self.tree.proof(index)
        return (index, *self.payees[index]), proof

    def of(self, account: Account) -> tuple[ProvenLeaf, ...]:
        """What is this account's, with proofs: a payee's own look-up."""
        return tuple(self.leaf(index) for index, (payee, _) in enumerate(self.payees) if payee == account)

    def batches(self, size: int = BATCH, of: Sequence[int] | None = None) -> Iterator[tuple[ProvenLeaf, ...]]:
        """Every leaf in the order of the list, or those ``of`` these places, as ``collect_many`` takes them."""
        places = range(len(self.payees)) if of is None else of
        for first in range(0, len(places), size):
            yield tuple(self.leaf(index) for index in places[first : first + size])


@dataclass(frozen=True, slots=True)
class PayoutsClaim:
    """What a ``payouts`` claim says (docs/kinds/payouts.md): for which pot of which deal, under which root, how much in
    all (smallest unit). Its one piece of evidence, public, is the list.
    """

    chain_id: int
    book: Account
    deal: bytes
    pot: int
    root: bytes
    total: int

    @classmethod
    def about(cls, payouts: Payouts) -> PayoutsClaim:
        """What is to be said of a list."""
        return cls(payouts.chain_id, payouts.book, payouts.deal, payouts.pot, payouts.tree.root, payouts.total)

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"book": self.book.hex(), "chain": str(self.chain_id), "deal": self.deal.hex(), "pot": self.pot,
                "root": self.root.hex(), "total": str(self.total)}

    @classmethod
    def of(cls, statement: Statement) -> tuple[PayoutsClaim, Evidence]:
        """What the claim says, and its list. Raises BadInput for any other claim."""
        if (statement.kind, statement.version) != (PAYOUTS, 1) or statement.refs or len(statement.evidence) != 1:
            raise BadInput("not a claim about payouts", actual=statement.kind,
                           expected=f"urn:troth:{PAYOUTS}:v1 with one piece of evidence and no references")
        book, chain, deal, pot, root, total = take(dict(statement.body), book=str, chain=str, deal=str, pot=int,
                                                   root=str, total=str)
        said = cls(amount_of(chain), from_hex(book, 20), from_hex(deal, 32), pot, from_hex(root, 32), amount_of(total))
        (item,) = statement.evidence
        if item.name != PAYOUTS or item.sealed or statement.subjects != (payouts_subject(item),):
            raise BadInput("a claim about payouts whose list is none", actual=item.name,
                           expected=f"a public list named {PAYOUTS}, and the subject that names its CID")
        return said, item


def payouts_subject(item: Evidence) -> Subject:
    """A published list as a claim's subject: SHA-256 of its CID."""
    return Subject(PAYOUTS, {"sha256": sha256(item.cid.encode()).hex()})


def publish(payouts: Payouts, blobs: Blobs) -> Cid:
    """Keep the list in a store; the CID of its file, which whoever answers for the payout names in its claim."""
    return import_stream(io.BytesIO(payouts.to_bytes()), blobs).cid


def fetch(cid: Cid, blobs: Blobs) -> Payouts:
    """The published list. Raises Undecidable while any of it is withheld, Refuted for bytes that are not the CID's,
    BadInput for a file that is no list.
    """
    out = io.BytesIO()
    export(cid, blobs, out, max_size=_HEAD + _RECORD * MAX_PAYEES)
    return Payouts.from_bytes(out.getvalue())


def checked(cid: Cid, blobs: Blobs, result: Result, *, chain_id: int, book: Account, deal: bytes, pot: int,
            amount: int) -> Payouts:
    """The list behind a result's root, found available and right: to be called before upholding such a result.

    amount: the pot's. Raises Undecidable if any of the list is withheld, Refuted if it is no list, of something else,
    or does not come to the result's root and total, or if the total is more than the pot.
    """
    try:
        found = fetch(cid, blobs)
    except BadInput as error:
        raise Refuted("what is published as a list of payouts is none", expected="a list of payees",
                      actual=error) from None
    expected, named = (chain_id, book, deal, pot), (found.chain_id, found.book, found.deal, found.pot)
    if named != expected:
        raise Refuted("a list of payouts for something else", expected=_named(expected), actual=_named(named))
    if found.total != result.total or result.total > amount:
        raise Refuted("the payouts do not come to the result's total, within the pot", actual=found.total,
                      expected=f"{result.total}, at most {amount}")
    if found.tree.root != result.root:
        raise Refuted("the payouts do not lead to the result's root", expected=result.root.hex(),
                      actual=found.tree.root.hex())
    return found


def pay_out(payouts: Payouts, book: Book, by: Account, size: int = BATCH) -> int:
    """Collect everything for everybody, in batches; how many batches. What was collected already is passed over, so it
    can be called again after a stop. Raises ActRefused.
    """
    count = 0
    for leaves in payouts.batches(size):
        book.collect_many(by, payouts.deal, payouts.pot, leaves)
        count += 1
    return count


def _named(what: tuple[int, Account, bytes, int]) -> str:
    chain_id, book, deal, pot = what
    return f"chain {chain_id}, book {book.hex()}, deal {deal.hex()}, pot {pot}"
