"""Statements about one record: a value in a range, membership, one act a scope."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from troth.compute.circuits.builder import Builder, Lin
from troth.compute.circuits.field import R
from troth.compute.circuits.merkle import MAX_DEPTH, PoseidonTree, merkle_root
from troth.compute.circuits.poseidon import poseidon, poseidon_lin
from troth.compute.statements.statement import Instance, Statement, not_below, number_of
from troth.compute.statements.tables import Layout, Table, open_row, row_inputs
from troth.core.errors import BadInput, Refuted

_IDENTITY, _MEMBER, _NULLIFIER = (number_of(name) for name in ("identity", "member", "nullifier"))
ADULT = 18


@dataclass(frozen=True)
class Within(Statement):
    """A record of the committed table has low <= value <= high in this column. Which record it is stays secret.

    publics: context, commitment, low, high.
    """

    layout: Layout
    column: str
    name: ClassVar[str] = "within"

    def __post_init__(self) -> None:
        self.layout.column(self.column)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"column": self.column, "layout": self.layout.json}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        column = self.layout.column(self.column)
        return {"low": (column.low, column.high), "high": (column.low, column.high)}

    @property
    def publics(self) -> tuple[str, ...]:
        return ("commitment", "low", "high")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        commitment, low, high = publics
        value = open_row(builder, self.layout, commitment)[self.layout.place(self.column)]
        between(builder, value, low, high, self.layout.column(self.column).bits)

    def instance(self, table: Table, row: int, low: int | None = None, high: int | None = None) -> Instance:
        """Of a record. low, high: the column's own where not said. Raises Refuted for a value beyond them."""
        column = self.layout.column(self.column)
        low, high = column.low if low is None else low, column.high if high is None else high
        inputs = row_inputs(table, row)
        if not low <= table.column(self.column)[row] <= high:
            # Which value it is stays out of the message: messages end up in logs.
            raise Refuted(f"the record's {self.column} is not in the range", expected=f"{low} to {high}",
                          do="Nothing was proven. Choose another record, or another range.")
        return Instance({"commitment": table.commitment, "low": low, "high": high}, inputs)


def between(builder: Builder, value: Lin, low: Lin, high: Lin, size: int) -> None:
    """Prove low <= value <= high, for three numbers known in one range that takes ``size`` bits."""
    with builder.group("low"):
        not_below(builder, value, low, size)
    with builder.group("high"):
        not_below(builder, high, value, size)


def day(text: str) -> int:
    """A date (2024-02-29) as its day number, 1 for the first of January of year 1. Raises BadInput."""
    try:
        return datetime.date.fromisoformat(text).toordinal()
    except ValueError:
        raise BadInput("not a date", expected="YYYY-MM-DD", actual=text) from None


def born_by(on: str, years: int = ADULT) -> int:
    """The last day of birth of somebody who is ``years`` old on a date: the `high` of a `Within` over days of birth.

    Who was born on 29 February has the birthday on 1 March in other years (as in most law; some say 28 February).
    """
    date = datetime.date.fromordinal(day(on))
    if not 0 <= years < date.year:
        raise BadInput("not an age", expected=f"0 to {date.year - 1} years", actual=years)
    try:
        return date.replace(year=date.year - years).toordinal()
    except ValueError:   # on a 29 February, and that year has none: born on 28 February at the latest
        return date.replace(year=date.year - years, day=28).toordinal()


# ---- membership ----

def identity_of(secret: int) -> int:
    """What a holder gives to whoever keeps a set: it hides the secret, 32 random bytes modulo the prime."""
    return poseidon([_IDENTITY, secret])


def member_of(identity: int, record: int = 0) -> int:
    """A set's entry: an identity, with the commitment to what the set's keeper says of it, if anything."""
    return poseidon([_MEMBER, identity, record])


def scope_of(text: str) -> int:
    """An act's scope as a number: one act for each holder in each."""
    return number_of("scope", text.encode())


def nullifier_of(secret: int, scope: int) -> int:
    """The same for a holder's every act in a scope; in another scope another, and nobody can tell they belong together
    without the secret."""
    return poseidon([_NULLIFIER, secret, scope])


class Members:
    """A set of entries (`member_of`), whose root everybody may know. Raises BadInput for an entry that is twice there,
    or is none."""

    def __init__(self, entries: Sequence[int], depth: int = 20) -> None:
        if len(set(entries)) != len(entries) or not all(0 < entry < R for entry in entries):
            raise BadInput("not a set", expected="different entries", actual=f"{len(entries)} of them")
        self._places = {entry: place for place, entry in enumerate(entries)}
        self._tree = PoseidonTree(entries, depth)
        self.depth = depth

    @property
    def root(self) -> int:
        """What stands for the set."""
        return self._tree.root

    def path(self, entry: int) -> tuple[int, list[int]]:
        """(place, siblings) of an entry. Raises Refuted if it is not in the set."""
        if entry not in self._places:
            raise Refuted("not in the set", do="Ask whoever keeps it to admit you, and take its newest entries.")
        return self._places[entry], self._tree.siblings(self._places[entry])


@dataclass(frozen=True)
class Member(Statement):
    """I hold the secret of an entry of the set, and this is its nullifier in the scope; where a column is named, the
    record that the set's keeper committed to for this entry has low <= value <= high there. Which entry stays secret.

    publics: context, root, scope, nullifier; with a column also low, high. layout: of the records, one row each.
    """

    depth: int = 20
    layout: Layout | None = None
    column: str = ""
    name: ClassVar[str] = "member"
    told: ClassVar[tuple[str, ...]] = ("nullifier",)

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= MAX_DEPTH or (self.layout is None) != (not self.column):
            raise BadInput("not a statement of membership", expected=f"depth 1 to {MAX_DEPTH}; a layout with a column")
        if self.layout is not None and (self.layout.rows != 1 or not self.layout.column(self.column)):
            raise BadInput("an entry's record is one row", expected=1, actual=self.layout.rows)

    @property
    def parameters(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"depth": self.depth}
        return plain if self.layout is None else plain | {"column": self.column, "layout": self.layout.json}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return {} if self.layout is None else Within(self.layout, self.column).bounds

    @property
    def publics(self) -> tuple[str, ...]:
        return ("root", "scope", "nullifier", *(() if self.layout is None else ("low", "high")))

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """An entry of the set with this root, its nullifier in this scope, and its record in range, if it has one."""
        root, scope, nullifier, *limits = publics
        secret, place = builder.private("secret", 1)[0], builder.private("member place", 1)[0]
        path = builder.private("member siblings", self.depth)
        record = Lin.of(0)
        if self.layout is not None:
            (record,) = builder.private("record", 1)
            value = open_row(builder, self.layout, record)[self.layout.place(self.column)]
            between(builder, value, limits[0], limits[1], self.layout.column(self.column).bits)
        with builder.group("membership"):
            identity = poseidon_lin(builder, [Lin.of(_IDENTITY), secret])
            entry = poseidon_lin(builder, [Lin.of(_MEMBER), identity, record])
            builder.equal(merkle_root(builder, entry, place, path), root)
        with builder.group("nullifier"):
            builder.equal(poseidon_lin(builder, [Lin.of(_NULLIFIER), secret, scope]), nullifier)

    def instance(self, members: Members, secret: int, scope: int, record: Table | None = None,
                 low: int | None = None, high: int | None = None) -> Instance:
        """Of a holder. Raises Refuted if it is not in the set, or its record's value is beyond the range."""
        if members.depth != self.depth or (record is None) != (self.layout is None):
            raise BadInput("not a set or a record for this statement", expected=self.parameters, actual=members.depth)
        place, siblings = members.path(member_of(identity_of(secret), 0 if record is None else record.commitment))
        publics = {"root": members.root, "scope": scope, "nullifier": nullifier_of(secret, scope)}
        secrets: dict[str, Sequence[int]] = {"secret": [secret], "member place": [place], "member siblings": siblings}
        if record is not None and self.layout is not None:
            inner = Within(self.layout, self.column).instance(record, 0, low, high)
            secrets |= {**inner.secrets, "record": [record.commitment]}
            publics |= {name: inner.publics[name] for name in ("low", "high")}
        return Instance(publics, secrets)
