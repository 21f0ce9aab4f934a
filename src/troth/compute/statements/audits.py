"""Statements about every row of a table: sums, ratios, and how far two groups are apart.

No sum can wrap the field: every value is proven within its column's range of at most 128 bits, and 2^24 rows are the
most there are; a comparison of ratios stays within 193 bits. No statement divides: a ratio is compared by multiplying
across, and a denominator is proven to be at least 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar

from troth.compute.circuits.builder import Builder, Lin, total
from troth.compute.circuits.gadgets import at_least_zero, inner, select
from troth.compute.statements.records import between
from troth.compute.statements.statement import MILLION, Instance, Statement, not_below
from troth.compute.statements.tables import Layout, Table, open_table, table_inputs
from troth.core.errors import BadInput, Refuted

_RATIO = 1 << 40
"""The bound of a ratio in parts per million, about a million to one."""


@dataclass(frozen=True)
class Total(Statement):
    """The sum of this column over all rows of the committed table is in low..high. Set both to the sum to publish it.

    publics: context, commitment, low, high.
    """

    layout: Layout
    column: str
    name: ClassVar[str] = "total"

    def __post_init__(self) -> None:
        self.layout.column(self.column)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"column": self.column, "layout": self.layout.json}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        reach = _reach(self.layout, self.column)
        return {"low": reach, "high": reach}

    @property
    def publics(self) -> tuple[str, ...]:
        return ("commitment", "low", "high")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        commitment, low, high = publics
        least, most = _reach(self.layout, self.column)
        found = _sum(open_table(builder, self.layout, commitment), self.layout.place(self.column))
        between(builder, found, low, high, (most - least).bit_length())

    def instance(self, table: Table, low: int, high: int) -> Instance:
        """Of a table. Raises Refuted for a sum beyond the range."""
        if not low <= sum(table.column(self.column)) <= high:
            raise Refuted(f"the sum of {self.column} is not in the range", expected=f"{low} to {high}",
                          do="Nothing was proven.")
        return Instance({"commitment": table.commitment, "low": low, "high": high}, table_inputs(table))


@dataclass(frozen=True)
class Ratio(Statement):
    """The sum of column ``over`` by the sum of column ``under`` is in low..high parts per million, and the latter is
    at least 1. A mean is the ratio to a column of ones.

    publics: context, commitment, low, high.
    """

    layout: Layout
    over: str
    under: str
    name: ClassVar[str] = "ratio"

    def __post_init__(self) -> None:
        self.layout.column(self.over)
        self.layout.column(self.under)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"layout": self.layout.json, "over": self.over, "under": self.under}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return {"low": (-_RATIO, _RATIO), "high": (-_RATIO, _RATIO)}

    @property
    def size(self) -> int:
        """Bits of the largest difference of products."""
        over, under = (max(map(abs, _reach(self.layout, name))) for name in (self.over, self.under))
        return (MILLION * over + _RATIO * under).bit_length()

    @property
    def publics(self) -> tuple[str, ...]:
        return ("commitment", "low", "high")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """The sums of both columns: under is at least 1, and over is low to high parts per million of it."""
        commitment, low, high = publics
        rows = open_table(builder, self.layout, commitment)
        over, under = (builder.wire(_sum(rows, self.layout.place(name))) for name in (self.over, self.under))
        with builder.group("denominator"):
            not_below(builder, under, 1, max(map(abs, _reach(self.layout, self.under))).bit_length())
        with builder.group("low"):
            not_below(builder, over * MILLION, builder.product(low, under), self.size)
        with builder.group("high"):
            not_below(builder, builder.product(high, under), over * MILLION, self.size)

    def instance(self, table: Table, low: int, high: int) -> Instance:
        """Of a table. Raises Refuted for a ratio beyond the range, or for nothing to divide by."""
        over, under = sum(table.column(self.over)), sum(table.column(self.under))
        if under < 1:
            raise Refuted(f"the sum of {self.under} is nothing to divide by", expected="1 or more",
                          do="Nothing was proven.")
        if not low * under <= MILLION * over <= high * under:
            raise Refuted("the ratio is not in the range", expected=f"{low} to {high} parts per million",
                          do="Nothing was proven.")
        return Instance({"commitment": table.commitment, "low": low, "high": high}, table_inputs(table))


@dataclass(frozen=True, slots=True)
class Counts:
    """What fairness is judged by: rows, those in the group, those decided 1, those both."""

    rows: int
    group: int
    decided: int
    both: int

    @classmethod
    def of(cls, groups: list[int], decisions: list[int]) -> Counts:
        """Of two columns of 0 and 1."""
        return cls(len(groups), sum(groups), sum(decisions), sum(map(int.__mul__, groups, decisions)))

    @property
    def gap(self) -> Fraction:
        """How far the two groups' rates are apart. Raises Refuted for a group without rows."""
        others = self.rows - self.group
        if not self.group or not others:
            raise Refuted("a group without rows has no rate", expected="rows in both groups")
        return abs(Fraction(self.decided - self.both, others) - Fraction(self.both, self.group))

    def check(self, limit: int, least: int) -> None:
        """Raise Refuted where `apart` would not hold. The counts stay out of the message."""
        if min(self.group, self.rows - self.group) < least:
            raise Refuted("too few rows in a group", expected=f"at least {least}", do="Nothing was proven.")
        if self.gap > Fraction(limit, MILLION):
            raise Refuted("the gap between the groups is above the limit",
                          expected=f"at most {limit} parts per million", do="Nothing was proven.")


@dataclass(frozen=True)
class Fairness(Statement):
    """In the committed table, the share of rows with ``decision`` 1 among those with ``group`` 1 and among the others
    are at most ``limit`` parts per million apart, and each group has at least ``least`` rows. Both columns hold 0 or 1.

    ids: a column that rises strictly from row to row, so that no record is there twice; costs its bits twice a row.
    publics: context, commitment, limit, least.
    """

    layout: Layout
    group: str
    decision: str
    ids: str = ""
    name: ClassVar[str] = "fairness"

    def __post_init__(self) -> None:
        binary(self.layout, self.group, self.decision)
        if self.ids:
            self.layout.column(self.ids)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"decision": self.decision, "group": self.group, "ids": self.ids, "layout": self.layout.json}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return fairness_bounds(self.layout.rows)

    @property
    def publics(self) -> tuple[str, ...]:
        return ("commitment", "limit", "least")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """Counts of both groups over all rows, each row once: enough in each, and shares at most limit apart."""
        commitment, limit, least = publics
        rows = open_table(builder, self.layout, commitment)
        if self.ids:
            column = self.layout.column(self.ids)
            with builder.group("ids"):
                at = self.layout.place(self.ids)
                for before, after in pairwise(rows):
                    not_below(builder, after[at], before[at] + 1, column.bits)
        counts = counted(builder, self.layout, rows, self.group, self.decision)
        apart(builder, Lin.of(self.layout.rows), counts, limit, least, self.layout.rows)

    def instance(self, table: Table, limit: int, least: int = 1) -> Instance:
        """Of a table. Raises Refuted where the groups are further apart, one is too small, or an id does not rise."""
        Counts.of(table.column(self.group), table.column(self.decision)).check(limit, least)
        if self.ids:
            ids = table.column(self.ids)
            if any(after <= before for before, after in pairwise(ids)):
                raise Refuted(f"{self.ids} does not rise from row to row: a record is there twice, or out of order",
                              do="Nothing was proven. Sort the records before committing to them.")
        return Instance({"commitment": table.commitment, "limit": limit, "least": least}, table_inputs(table))


def binary(layout: Layout, *names: str) -> None:
    """Raise BadInput for a column that is not one of 0 and 1."""
    for name in names:
        column = layout.column(name)
        if (column.low, column.high) != (0, 1):
            raise BadInput(f"column {name!r} is not one of 0 and 1", expected="0 to 1",
                           actual=f"{column.low} to {column.high}")


def fairness_bounds(rows: int) -> dict[str, tuple[int, int]]:
    """Of the publics `limit` and `least`."""
    return {"limit": (0, MILLION), "least": (1, rows)}


def counted(builder: Builder, layout: Layout, rows: list[list[Lin]], group: str, decision: str) -> tuple[Lin, Lin, Lin]:
    """(in the group, decided 1, both) over rows whose columns are proven 0 or 1. A constraint a row."""
    groups, decisions = ([row[layout.place(name)] for row in rows] for name in (group, decision))
    with builder.group("counts"):
        return total(groups), total(decisions), builder.wire(inner(builder, groups, decisions))


def apart(builder: Builder, rows: Lin, counts: tuple[Lin, Lin, Lin], limit: Lin, least: Lin, most: int) -> None:
    """Prove that the groups' rates are at most ``limit`` parts per million apart, and both groups have ``least`` rows.

    rows, and each of the counts, are known in 0..most. |a / m - b / n| <= e where |a * n - b * m| * 10^6 <= e * m * n.
    """
    group, decided, both = (builder.wire(count) for count in counts)
    others = rows - group
    with builder.group("group too small"):
        not_below(builder, group, least, most.bit_length())
        not_below(builder, others, least, most.bit_length())
    with builder.group("gap"):
        # Each product is at most most**2 in size, so their difference is within the same number of bits, and a sign.
        difference = builder.product(decided - both, group) - builder.product(both, others)
        sign = at_least_zero(builder, difference, 2 * most.bit_length())
        size = select(builder, sign, difference, -difference)
        allowed = builder.product(limit, builder.product(group, others))
        not_below(builder, allowed, size * MILLION, 2 * most.bit_length() + MILLION.bit_length())


def _reach(layout: Layout, name: str) -> tuple[int, int]:
    """What the sum of a column can be."""
    column = layout.column(name)
    return layout.rows * column.low, layout.rows * column.high


def _sum(rows: list[list[Lin]], place: int) -> Lin:
    return total([row[place] for row in rows])
