"""What a thing rests on, and what each of it was worth: the claim, and how it is checked (docs/kinds/contribution.md).

Whoever made a model, or a data set from others', says so once, before it earns: which claims it rests on, by which
measure and with which weights, and how much of what it earns it passes on. Rules of ``checked``:

1. The maker alone says it: another's word about the same thing is an opinion.
2. It names everything that the thing's own claim rests on, and nothing else: for a model of rounds the listing of every
   site of its plan, otherwise every listing, model and run that the claim refers to. An ancestor left out refutes it.
3. Each of these is paid at an account of its own maker: its seat in the plan, or one that it bound itself to.
4. The weights are what the measure gives. ``rounds``: what the last round pays each site, which follows from the
   rounds' records. ``knn-shapley``: computed again by whoever may read the records. ``declared``: a word, no measure.

Who is caught loses its say, and its sources do not: ``settled`` gives what is right instead: what the measure gives, or
equal parts where nobody else can take it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from troth.core.claims import Evidence, Ref, Statement
from troth.core.encoding import amount, from_hex, take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.ports import Statements
from troth.core.terms import Account
from troth.fixed.split import LEAF, MAX_WEIGHT, Share
from troth.learn.claims import LISTING, MODEL, AggregateClaim, Listing, Plan, body_of
from troth.learn.lineage import UpdateRule

CONTRIBUTION = "contribution"
ROUNDS, NEIGHBOURS, DECLARED = "rounds", "knn-shapley", "declared"
METHODS = (ROUNDS, NEIGHBOURS, DECLARED)
MILLION = 1_000_000
MAX_ROWS = 4096
SOURCES = (LISTING, MODEL, "run")
"""Kinds of claim that others are made from."""
NOT_A_SOURCE = frozenset({"validation", "consent"})
"""Roles of references that are no part of what a thing was made from."""

Accounts = Callable[[str], tuple[Account, ...]]
"""The accounts that an identity bound itself to, oldest first."""
Reading = Callable[[Evidence], bytes]
"""Opens evidence; raises Undecidable where it cannot."""


@dataclass(frozen=True, slots=True)
class Row:
    """One claim that a thing rests on: the account its maker is paid at, and what it was worth beside the others."""

    claim: bytes
    account: Account
    weight: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """account: the maker's own. passes: how much of what it earns it passes on, in parts of a million. neighbours: of
    the measure ``knn-shapley``, else 0. rows: ascending by claim. validation: the records of that measure.
    """

    target: bytes
    account: Account
    method: str
    passes: int
    rows: tuple[Row, ...]
    neighbours: int = 0
    validation: bytes | None = None

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"account": self.account.hex(), "method": self.method, "neighbours": self.neighbours,
                "passes_ppm": self.passes, "weights": [str(row.weight) for row in self.rows],
                "payees": [row.account.hex() for row in self.rows]}

    def refs(self) -> list[Ref]:
        """The claim's references: the thing, what it rests on in the order of the weights, the validation records."""
        return [Ref("target", self.target), *(Ref("rests", row.claim) for row in self.rows),
                *([Ref("validation", self.validation)] if self.validation else [])]

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read one strictly. Raises BadInput."""
        account, method, neighbours, passes, payees, weights = take(
            body_of(statement, CONTRIBUTION), account=str, method=str, neighbours=int, passes_ppm=int, payees=list,
            weights=list)
        rests, validation = statement.all_refs("rests"), statement.all_refs("validation")
        if list(rests) != sorted(set(rests)) or not len(rests) == len(payees) == len(weights) or (
                not 1 <= len(rests) <= MAX_ROWS or len(validation) > 1 or len(statement.all_refs("target")) != 1):
            raise BadInput("not a contribution", actual=f"{len(rests)}, {len(weights)}, {len(payees)}",
                           expected="one target, ascending claims that it rests on, a weight and a payee for each")
        rows = tuple(Row(claim, from_hex(payee, 20), amount(weight))
                     for claim, payee, weight in zip(rests, payees, weights, strict=True))
        found = cls(statement.ref("target"), from_hex(account, 20), method, passes, rows, neighbours,
                    validation[0] if validation else None)
        by_records = method == NEIGHBOURS
        if (method not in METHODS or not 0 <= passes <= MILLION or any(row.weight > MAX_WEIGHT for row in rows)
                or by_records != (neighbours > 0) or by_records != bool(validation) or neighbours < 0
                or statement.refs != tuple(found.refs())):
            raise BadInput("not a contribution", actual=f"{method}, {passes} ppm",
                           expected=f"one of {', '.join(METHODS)}, at most {MILLION} ppm, what its measure takes")
        return found

    def share(self) -> Share:
        """What the thing keeps and passes on of what reaches it. Without any positive weight it keeps everything."""
        whole = sum(row.weight for row in self.rows)
        if not whole:
            return Share(1, {row.claim: 0 for row in self.rows})
        return Share((MILLION - self.passes) * whole, {row.claim: self.passes * row.weight for row in self.rows})


# ---- what a thing rests on ----

def sources(source: Statements, target: bytes) -> tuple[bytes, ...]:
    """What a contribution about ``target`` must name, ascending (rule 2). Raises Undecidable for what is not here."""
    statement = source.statement(target)
    if _of_rounds(statement):
        return tuple(sorted(UpdateRule.of(source, statement.ref("plan")).listings.values()))
    named = {ref.claim for ref in statement.refs if ref.role not in NOT_A_SOURCE}
    return tuple(sorted(claim for claim in named if source.statement(claim).kind in SOURCES))


def by_rounds(source: Statements, target: bytes) -> dict[bytes, tuple[Account, int]]:
    """A model of rounds: each site's listing with the site's account and what the last round pays it.

    Raises Misuse for another kind of thing, Refuted for a last round that is not the plan's.
    """
    statement = source.statement(target)
    if not _of_rounds(statement):
        raise Misuse("this did not come out of rounds", expected="a model with a plan", actual=statement.kind)
    plan_id = statement.ref("plan")
    plan, rule = Plan.of(source.statement(plan_id)), UpdateRule.of(source, plan_id)
    last = source.statement(statement.ref("aggregate"))
    paid = tuple(map(amount, AggregateClaim.of(last).texts("payments")))
    if last.ref("plan") != plan_id or last.issuer != plan.aggregator.did or len(paid) != len(plan.sites):
        raise Refuted("the model's last round is not its plan's", expected=plan.aggregator.did, actual=last.issuer)
    return {rule.listings[seat.did]: (seat.account, what) for seat, what in zip(plan.sites, paid, strict=True)}


def by_records(source: Statements, rests: Iterable[bytes], validation: bytes, neighbours: int,
               read: Reading) -> dict[bytes, int]:
    """Each listing's value by `data_worth`, 0 where it harms. Raises Undecidable where records cannot be opened."""
    # Imported here: numpy costs start-up time, and most lineages are read without it.
    from troth.learn.data import Part, Schema
    from troth.learn.data_worth import worth_of_parts

    def part(claim: bytes) -> Part:
        statement = source.statement(claim)
        listing = Listing.of(statement)
        found = [item for item in statement.evidence if item.cid == listing.cid]
        if len(found) != 1:
            raise Refuted("a listing whose evidence is not its records", expected=listing.cid)
        return Part.from_bytes(read(found[0]), Schema.of(listing.schema))

    claims = sorted(rests)
    values = worth_of_parts([part(claim) for claim in claims], part(validation), neighbours)
    return dict(zip(claims, (max(0, value) for value in values), strict=True))


# ---- judging one ----

def checked(source: Statements, claim: bytes, accounts: Accounts, read: Reading | None = None) -> Contribution:
    """A contribution claim held against rules 1 to 4. read: opens records, for weights measured from them; None: these
    are not computed again. Raises Refuted, BadInput, or Undecidable where something is not here.
    """
    statement = source.statement(claim)
    said = Contribution.of(statement)
    maker = source.statement(said.target).issuer
    if statement.issuer != maker:  # rule 1
        raise Refuted("what something rests on is for its maker to say", expected=maker, actual=statement.issuer)
    named, due = {row.claim for row in said.rows}, set(sources(source, said.target))
    if named != due:  # rule 2
        left_out, added = sorted(due - named), sorted(named - due)
        raise Refuted("the contribution leaves out what the thing rests on" if left_out else
                      "the contribution names what the thing does not rest on",
                      expected=f"{len(due)} claims", actual=", ".join(one.hex()[:16] for one in left_out or added))
    payees = _payees(source, said.target, accounts)
    for row in (Row(said.target, said.account, 0), *said.rows):  # rule 3
        if row.account not in payees[row.claim]:
            raise Refuted("a share that is paid at somebody else's account", actual=row.account.hex(),
                          expected=f"an account of {source.statement(row.claim).issuer}")
    weights = _measured(source, said, read)  # rule 4
    if weights is not None and weights != {row.claim: row.weight for row in said.rows}:
        wrong = next(row for row in said.rows if weights[row.claim] != row.weight)
        raise Refuted(f"the weights are not what {said.method} gives", expected=weights[wrong.claim],
                      actual=f"{wrong.weight} for {wrong.claim.hex()[:16]}")
    return said


def settled(source: Statements, claim: bytes, accounts: Accounts, read: Reading | None = None
            ) -> tuple[Contribution, str | None]:
    """What is right: the claim itself, or what stands in its place, with what is wrong about the claim.

    Raises as ``checked`` but for Refuted: only a claim that is not the maker's is refused.
    """
    said = Contribution.of(source.statement(claim))
    try:
        return checked(source, claim, accounts, read), None
    except Refuted as error:
        if source.statement(claim).issuer != source.statement(said.target).issuer:
            raise
        weights = _instead(source, said, read)
        return _replaced(source, said.target, said.passes, weights, accounts), error.message


def silenced(source: Statements, claims: Iterable[bytes], accounts: Accounts) -> Contribution:
    """What stands in place of several things that one maker said of one target: it has lost its say, and passes on the
    most that it said. A model of rounds is shared by its rounds, anything else in equal parts.
    """
    said = [Contribution.of(source.statement(claim)) for claim in claims]
    weights = _instead(source, replace(said[0], validation=None), None)
    return _replaced(source, said[0].target, max(one.passes for one in said), weights, accounts)


def _replaced(source: Statements, target: bytes, passes: int, weights: Mapping[bytes, int],
              accounts: Accounts) -> Contribution:
    payees = _payees(source, target, accounts)
    rows = tuple(Row(one, payees[one][0], weights[one]) for one in sorted(weights))
    return Contribution(target, payees[target][0], DECLARED, passes, rows)


def _instead(source: Statements, said: Contribution, read: Reading | None) -> dict[bytes, int]:
    """The weights of a thing whose maker lied about it."""
    if _of_rounds(source.statement(said.target)):
        return {listing: paid for listing, (_, paid) in by_rounds(source, said.target).items()}
    due = sources(source, said.target)
    if said.validation is not None and read is not None:
        with suppress(Refuted, Undecidable, BadInput):
            return by_records(source, due, said.validation, said.neighbours, read)
    return dict.fromkeys(due, 1)


def _measured(source: Statements, said: Contribution, read: Reading | None) -> dict[bytes, int] | None:
    """What the measure gives; None where it is a word, or cannot be taken here."""
    of_rounds = _of_rounds(source.statement(said.target))
    if of_rounds != (said.method == ROUNDS):
        raise Refuted("another measure than a thing of this kind takes", actual=said.method,
                      expected=ROUNDS if of_rounds else f"{NEIGHBOURS} or {DECLARED}")
    if said.method == ROUNDS:
        return {listing: paid for listing, (_, paid) in by_rounds(source, said.target).items()}
    if said.method == DECLARED or read is None or said.validation is None:
        return None
    try:
        return by_records(source, (row.claim for row in said.rows), said.validation, said.neighbours, read)
    except BadInput as error:
        raise Refuted("records that cannot be valued", actual=error.message) from None


def _payees(source: Statements, target: bytes, accounts: Accounts) -> dict[bytes, tuple[Account, ...]]:
    """Where the thing and each of its sources may be paid; never empty. Raises Undecidable for an unknown account."""
    statement = source.statement(target)
    seats = {claim: (account,) for claim, (account, _) in by_rounds(source, target).items()} \
        if _of_rounds(statement) else {}
    found = {}
    for claim in (target, *sources(source, target)):
        issuer = source.statement(claim).issuer
        found[claim] = seats.get(claim) or accounts(issuer)
        if not found[claim]:
            raise Undecidable("it is not known where this contributor is paid", actual=issuer,
                              do="Take in its introduction: it must have bound an account.")
    return found


def _of_rounds(statement: Statement) -> bool:
    return statement.kind == MODEL and bool(statement.all_refs("plan"))


# ---- a whole lineage ----

@dataclass(frozen=True, slots=True)
class Lineage:
    """What a thing leads to: what each node keeps and passes on, and where it is paid."""

    top: bytes
    shares: Mapping[bytes, Share]
    accounts: Mapping[bytes, Account]


def lineage(source: Statements, top: bytes, said: Mapping[bytes, Contribution], accounts: Accounts) -> Lineage:
    """The lineage under ``top`` by the contributions given, by target. A thing that rests on nothing keeps everything.

    Raises Undecidable where the maker of something that rests on others has not said what it passes on.
    """
    shares: dict[bytes, Share] = {}
    payees: dict[bytes, set[Account]] = {}
    stack = [top]
    while stack:
        node = stack.pop()
        if node in shares:
            continue
        found = said.get(node)
        if found is not None:
            shares[node] = found.share()
            payees.setdefault(node, set()).add(found.account)
            for row in found.rows:
                payees.setdefault(row.claim, set()).add(row.account)
                stack.append(row.claim)
        elif sources(source, node):
            raise Undecidable("its maker has not said what the things that it rests on were worth", actual=node.hex(),
                              do=f"Ask {source.statement(node).issuer} for it: troth royalty contribute.")
        else:
            shares[node] = LEAF
            payees.setdefault(node, set()).update(accounts(source.statement(node).issuer)[:1])
    missing = [node for node in shares if not payees[node]]
    if missing:
        raise Undecidable("it is not known where this contributor is paid", actual=missing[0].hex())
    # A maker may have bound several accounts; whichever was named, everybody takes the same one.
    return Lineage(top, shares, {node: min(payees[node]) for node in shares})
