"""Tables of integers, committed so that statements about them can be proven in zero knowledge.

A table is rows of columns, each column with its range. Rows stand in leaves, so many to a leaf; a leaf is a Poseidon
chain over a salt of its own and the leaf's rows, packed without two tables giving the same elements; over the leaves
stands a Poseidon tree, and over its root the number of rows and the layout. So the commitment has one opening: these
rows, in this order, no more and no fewer. Salts follow from a key of 32 bytes: without it the commitment tells nothing,
even of records with few possible values.

It says nothing of where the records come from: who commits to made-up records proves things about made-up records.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from troth.compute.circuits.builder import ONE, ZERO, Builder, Lin, total
from troth.compute.circuits.field import R
from troth.compute.circuits.gadgets import at_most, inner
from troth.compute.circuits.merkle import PoseidonTree, merkle_root
from troth.compute.circuits.packing import Packing
from troth.compute.circuits.poseidon import poseidon, poseidon_chain, poseidon_chain_lin, poseidon_lin
from troth.core.encoding import encode, sha256, take
from troth.core.errors import BadInput, Misuse

KEY_LENGTH = 32
MAX_ROWS = 1 << 24
MAX_COLUMNS = 64
SPAN_BITS = 128
_DENSE = 14
"""Elements of a leaf that one permutation takes, besides how many there are and the salt."""
_ELEMENT_BITS = 253
_LABEL = b"troth/statement/1/salt of leaf "


@dataclass(frozen=True, slots=True)
class Column:
    """A column: low <= value <= high for every row. Raises BadInput for no name or no range."""

    name: str
    low: int
    high: int

    def __post_init__(self) -> None:
        if not self.name or not self.low <= self.high or max(abs(self.low), abs(self.high)).bit_length() > SPAN_BITS:
            raise BadInput("not a column", expected=f"a name, and low <= high within {SPAN_BITS} bits",
                           actual=f"{self.name!r}: {self.low} to {self.high}")

    @property
    def bits(self) -> int:
        """Bits that a value takes, packed."""
        return (self.high - self.low).bit_length()


@dataclass(frozen=True)
class Layout:
    """What a table looks like, which everybody may know: the columns, how many rows, how many rows to a leaf.

    per_leaf 1 lets each row be opened alone; more of them make statements about all rows cheap (see `dense`).
    Raises BadInput for no columns, two of one name, or no rows.
    """

    columns: tuple[Column, ...]
    rows: int
    per_leaf: int = 1

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if not 1 <= len(names) <= MAX_COLUMNS or len(set(names)) != len(names):
            raise BadInput("not the columns of a table", expected=f"1 to {MAX_COLUMNS} different names", actual=names)
        if not 1 <= self.rows <= MAX_ROWS or not 1 <= self.per_leaf <= MAX_ROWS:
            raise BadInput("not a table's size", expected=f"1 to {MAX_ROWS} rows, and 1 or more to a leaf",
                           actual=f"{self.rows} rows, {self.per_leaf} to a leaf")

    @classmethod
    def dense(cls, columns: Sequence[Column], rows: int) -> Layout:
        """As many rows to a leaf as one permutation takes."""
        width = max(1, sum(column.bits for column in columns))
        return cls(tuple(columns), rows, max(1, _ELEMENT_BITS // width * _DENSE))

    @classmethod
    def read(cls, body: object) -> Layout:
        """From its JSON. Raises BadInput."""
        if type(body) is not dict:
            raise BadInput("not a layout", expected='{"columns": …, "per_leaf": …, "rows": …}', actual=type(body))
        columns, rows, per_leaf = take(body, columns=list, rows=int, per_leaf=int)
        return cls(tuple(_column(item) for item in columns), rows, per_leaf)

    @property
    def json(self) -> dict[str, Any]:
        """As JSON; ranges are text, as they may pass what JSON's numbers hold."""
        return {"columns": [[column.name, str(column.low), str(column.high)] for column in self.columns],
                "per_leaf": self.per_leaf, "rows": self.rows}

    @cached_property
    def number(self) -> int:
        """The columns and the rows to a leaf as a field element: 248 bits of SHA-256."""
        shape = {name: value for name, value in self.json.items() if name != "rows"}
        return int.from_bytes(sha256(b"troth/statement/1/layout\n" + encode(shape))[:31], "big")

    @property
    def leaves(self) -> int:
        """How many there are."""
        return -(-self.rows // self.per_leaf)

    @property
    def depth(self) -> int:
        """Of the tree."""
        return max(1, (self.leaves - 1).bit_length())

    def place(self, name: str) -> int:
        """Where a column stands. Raises BadInput if there is none of that name."""
        for place, column in enumerate(self.columns):
            if column.name == name:
                return place
        raise BadInput("no such column", expected=", ".join(column.name for column in self.columns), actual=name)

    def column(self, name: str) -> Column:
        """A column by name. Raises BadInput."""
        return self.columns[self.place(name)]

    def rows_of(self, leaf: int) -> range:
        """The rows in a leaf."""
        return range(leaf * self.per_leaf, min((leaf + 1) * self.per_leaf, self.rows))

    def packing(self, rows: int) -> Packing:
        """How so many rows become elements."""
        return Packing([column.low for column in self.columns] * rows, [column.high for column in self.columns] * rows)


def _column(item: object) -> Column:
    if type(item) is not list or len(item) != 3 or any(type(one) is not str for one in item):
        raise BadInput("not a column", expected='["name", "low", "high"]', actual=item)
    try:
        return Column(item[0], int(item[1]), int(item[2]))
    except ValueError:
        raise BadInput("a column's range is no numbers", actual=item) from None


def new_key() -> bytes:
    """A new table's key: 32 random bytes."""
    return secrets.token_bytes(KEY_LENGTH)


@dataclass(frozen=True)
class Table:
    """The rows and the key: what the committer keeps. key: 32 random bytes, for this table alone.

    Raises BadInput for a row of another length or a value beyond its column's range, naming the row and the column.
    """

    layout: Layout
    rows: tuple[tuple[int, ...], ...] = field(repr=False)
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_LENGTH:
            raise Misuse("a table's key of another length", expected=f"{KEY_LENGTH} bytes", actual=len(self.key))
        if len(self.rows) != self.layout.rows:
            raise BadInput("another number of rows", expected=self.layout.rows, actual=len(self.rows))
        columns = self.layout.columns
        for number, row in enumerate(self.rows):
            if len(row) != len(columns):
                raise BadInput(f"row {number} of another length", expected=len(columns), actual=len(row))
            for column, value in zip(columns, row, strict=True):
                if not column.low <= value <= column.high:
                    raise BadInput(f"row {number}: {column.name} is beyond its range",
                                   expected=f"{column.low} to {column.high}")  # no value: a secret

    @classmethod
    def of(cls, layout: Layout, rows: Iterable[Sequence[int]], key: bytes | None = None) -> Table:
        """A table under a new key, unless one is given."""
        return cls(layout, tuple(tuple(map(int, row)) for row in rows), new_key() if key is None else key)

    def salt(self, leaf: int) -> int:
        """A leaf's salt: HMAC-SHA-512 under the key, modulo the field's prime (within 2^-250 of uniform)."""
        return int.from_bytes(hmac.digest(self.key, _LABEL + leaf.to_bytes(8, "big"), "sha512"), "big") % R

    @cached_property
    def tree(self) -> PoseidonTree:
        """The tree over the leaves."""
        return PoseidonTree([self._leaf(leaf) for leaf in range(self.layout.leaves)], self.layout.depth)

    @cached_property
    def commitment(self) -> int:
        """A field element that stands for the layout and every row."""
        return poseidon([self.tree.root, self.layout.rows, self.layout.number])

    def values(self, rows: Iterable[int]) -> list[int]:
        """These rows' values, one after the other."""
        return [value for row in rows for value in self.rows[row]]

    def column(self, name: str) -> list[int]:
        """A column's values."""
        place = self.layout.place(name)
        return [row[place] for row in self.rows]

    def _leaf(self, leaf: int) -> int:
        rows = self.layout.rows_of(leaf)
        return poseidon_chain([self.salt(leaf), *self.layout.packing(len(rows)).ints(self.values(rows))])


# ---- in a circuit ----

Rows = list[list[Lin]]
"""Rows of a table, each value proven within its column's range."""


def open_leaf(builder: Builder, layout: Layout, rows: int, name: str) -> tuple[Rows, Lin]:
    """(rows, leaf) of private inputs ``name``: so many rows' values and ``name.salt``. A constraint a bit, and 612."""
    width = len(layout.columns)
    with builder.group(name):
        values = builder.private(name, rows * width)
        (salt,) = builder.private(f"{name}.salt", 1)
        leaf = poseidon_chain_lin(builder, [salt, *layout.packing(rows).pack(builder, values)])
    return [values[at:at + width] for at in range(0, len(values), width)], leaf


def open_leaves(builder: Builder, layout: Layout, leaves: Iterable[int]) -> tuple[Rows, list[Lin]]:
    """(rows, leaves): every row of these leaves."""
    rows, found = [], []
    for number, leaf in enumerate(leaves):
        more, opened = open_leaf(builder, layout, len(layout.rows_of(leaf)), f"leaf {number}")
        rows += more
        found.append(opened)
    return rows, found


def open_table(builder: Builder, layout: Layout, commitment: Lin) -> Rows:
    """Every row of the table committed to."""
    rows, leaves = open_leaves(builder, layout, range(layout.leaves))
    with builder.group("commitment"):
        committed(builder, layout, subtree(builder, leaves, layout.depth), Lin.of(layout.rows), commitment)
    return rows


def open_row(builder: Builder, layout: Layout, commitment: Lin, prefix: str = "") -> list[Lin]:
    """One row of the table, which one stays secret. prefix: of its inputs' names, where a circuit opens two.

    Raises Misuse where the last leaf has fewer rows than the others, as it would need a circuit of its own.
    """
    if layout.rows % layout.per_leaf:
        raise Misuse("rows cannot be opened one by one where the last leaf is shorter",
                     expected=f"a multiple of {layout.per_leaf} rows", actual=layout.rows,
                     do="Commit with one row to a leaf.")
    rows, leaf = open_leaf(builder, layout, layout.per_leaf, f"{prefix}leaf")
    (place,) = builder.private(f"{prefix}place", 1)
    with builder.group("place"):
        at_most(builder, place, layout.leaves - 1)   # a leaf hidden beyond the rows that were named is none of them
    with builder.group("path"):
        root = merkle_root(builder, leaf, place, builder.private(f"{prefix}siblings", layout.depth))
        committed(builder, layout, root, Lin.of(layout.rows), commitment)
    if layout.per_leaf == 1:
        return rows[0]
    with builder.group("row"):
        chosen = builder.private(f"{prefix}chosen", layout.per_leaf)
        for one in chosen:
            builder.require(one, ONE - one, ZERO)
        builder.equal(total(chosen), 1)
        return [inner(builder, chosen, [row[at] for row in rows]) for at in range(len(layout.columns))]


def committed(builder: Builder, layout: Layout, root: Lin, rows: Lin, commitment: Lin) -> None:
    """Constrain ``commitment`` to be the one over this root."""
    builder.equal(commitment, poseidon_lin(builder, [root, rows, Lin.of(layout.number)]))


def subtree(builder: Builder, leaves: Sequence[Lin], depth: int) -> Lin:
    """The root of a tree whose first places are ``leaves`` and whose others are empty. 240 constraints a node."""
    level, empty = list(leaves), 0
    for _ in range(depth):
        if len(level) % 2:
            level.append(Lin.of(empty))
        level = [poseidon_lin(builder, level[at:at + 2]) for at in range(0, len(level), 2)]
        empty = poseidon([empty, empty])
    return level[0]


# ---- what the prover gives ----

def leaf_inputs(table: Table, leaf: int, name: str) -> Iterator[tuple[str, list[int]]]:
    """The inputs of `open_leaf`."""
    yield name, table.values(table.layout.rows_of(leaf))
    yield f"{name}.salt", [table.salt(leaf)]


def table_inputs(table: Table, leaves: Iterable[int] | None = None) -> dict[str, list[int]]:
    """The inputs of `open_leaves`; of `open_table` where no leaves are named."""
    chosen = range(table.layout.leaves) if leaves is None else leaves
    return {name: values for number, leaf in enumerate(chosen)
            for name, values in leaf_inputs(table, leaf, f"leaf {number}")}


def row_inputs(table: Table, row: int, prefix: str = "") -> Mapping[str, list[int]]:
    """The inputs of `open_row`. Raises BadInput for a row that is not there."""
    if not 0 <= row < table.layout.rows:
        raise BadInput("no such row", expected=f"0 to {table.layout.rows - 1}", actual=row)
    leaf, inner = divmod(row, table.layout.per_leaf)
    found = dict(leaf_inputs(table, leaf, f"{prefix}leaf"))
    found |= {f"{prefix}place": [leaf], f"{prefix}siblings": table.tree.siblings(leaf)}
    if table.layout.per_leaf > 1:
        found[f"{prefix}chosen"] = [int(at == inner) for at in range(table.layout.per_leaf)]
    return found
