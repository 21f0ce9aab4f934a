"""Fairness over tables too large for one circuit: a proof for each part, chained by committed running counts.

A part is a subtree of the table's tree. Its proof takes the counts that the part before left, which stay hidden in a
salted commitment, adds its own rows and commits again; a last proof opens the counts after the last part and compares
the groups. The chain holds where it begins at no rows at all, every part is there once and in order, and each begins
where the one before it ended: so no row is left out and none counts twice.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from troth.compute.circuits.builder import Builder, Lin
from troth.compute.circuits.field import R
from troth.compute.circuits.merkle import merkle_root
from troth.compute.circuits.poseidon import poseidon, poseidon_lin
from troth.compute.provers.port import Keys, Prover
from troth.compute.statements.audits import Counts, apart, binary, counted, fairness_bounds
from troth.compute.statements.statement import (
    Check,
    Instance,
    Proven,
    Statement,
    number_of,
    prove,
    verify,
    without_prover,
)
from troth.compute.statements.tables import (
    MAX_ROWS,
    Layout,
    Table,
    committed,
    open_leaves,
    subtree,
    table_inputs,
)
from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput, Refuted

_STATE = number_of("running counts")
_LABEL = b"troth/statement/1/salt of counts "
START = poseidon([_STATE, 0, 0, 0, 0])
"""The commitment to the counts of no rows."""
KeysFor = Callable[[Statement], Keys]


@dataclass(frozen=True)
class FairnessPart(Statement):
    """The rows of part ``part`` of the committed table, added to the counts committed to in ``before``, give those
    committed to in ``after``.

    span: a part has 2**span leaves. last: of the last part, which may be shorter and so has a circuit of its own.
    publics: context, commitment, part, before, after.
    """

    layout: Layout
    group: str
    decision: str
    span: int
    last: bool = False
    name: ClassVar[str] = "fairness-part"
    told: ClassVar[tuple[str, ...]] = ("after",)

    def __post_init__(self) -> None:
        binary(self.layout, self.group, self.decision)
        if not 0 <= self.span < self.layout.depth or parts(self.layout, self.span) < 2:
            raise BadInput("a table of one part needs no chain", expected="two parts or more", actual=self.span,
                           do="State fairness in one proof, or take smaller parts.")

    @property
    def parameters(self) -> dict[str, Any]:
        return {"decision": self.decision, "group": self.group, "last": self.last, "layout": self.layout.json,
                "span": self.span}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        last = parts(self.layout, self.span) - 1
        return {"part": (last, last) if self.last else (0, last - 1)}

    def leaves(self, part: int) -> range:
        """The leaves of a part."""
        return range(part << self.span, min(part + 1 << self.span, self.layout.leaves))

    @property
    def publics(self) -> tuple[str, ...]:
        return ("commitment", "part", "before", "after")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """The leaves of one part of the committed table, and hidden running counts before and after it."""
        commitment, part, before, after = publics
        which = parts(self.layout, self.span) - 1 if self.last else 0
        rows, leaves = open_leaves(builder, self.layout, self.leaves(which))
        with builder.group("commitment"):
            path = builder.private("siblings", self.layout.depth - self.span)
            root = merkle_root(builder, subtree(builder, leaves, self.span), part, path)
            committed(builder, self.layout, root, Lin.of(self.layout.rows), commitment)
        counts, (salt, new) = builder.private("counts", 3), builder.private("count salts", 2)
        added = counted(builder, self.layout, rows, self.group, self.decision)
        with builder.group("before"):
            builder.equal(poseidon_lin(builder, [Lin.of(_STATE), *counts, salt]), before)
        with builder.group("after"):
            sums = [count + more for count, more in zip(counts, added, strict=True)]
            builder.equal(poseidon_lin(builder, [Lin.of(_STATE), *sums, new]), after)

    def instance(self, table: Table, part: int) -> Instance:
        """Of a part of a table."""
        states = [_state(table, self, at) for at in (part, part + 1)]
        inputs = table_inputs(table, self.leaves(part)) | {
            "siblings": self._siblings(table, part), "counts": states[0][0],
            "count salts": [salt for _, salt in states]}
        before, after = (poseidon([_STATE, *counts, salt]) for counts, salt in states)
        return Instance({"commitment": table.commitment, "part": part, "before": before, "after": after}, inputs)

    def _siblings(self, table: Table, part: int) -> list[int]:
        return table.tree.siblings(part << self.span)[self.span:]


@dataclass(frozen=True)
class FairnessEnd(Statement):
    """The counts committed to in ``state``, of ``rows`` rows, are those of two groups whose shares are at most
    ``limit`` parts per million apart, with ``least`` rows in each. publics: context, state, rows, limit, least."""

    name: ClassVar[str] = "fairness-end"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return {"rows": (1, MAX_ROWS), **fairness_bounds(MAX_ROWS)}

    @property
    def publics(self) -> tuple[str, ...]:
        return ("state", "rows", "limit", "least")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        state, rows, limit, least = publics
        (group, decided, both), (salt,) = builder.private("counts", 3), builder.private("count salt", 1)
        with builder.group("state"):
            builder.equal(poseidon_lin(builder, [Lin.of(_STATE), group, decided, both, salt]), state)
        # That the counts are in 0..rows follows from the chain: it begins at 0 and each part adds bits of its rows.
        apart(builder, rows, (group, decided, both), limit, least, MAX_ROWS)

    def instance(self, table: Table, part: FairnessPart, limit: int, least: int) -> Instance:
        """Of a whole table. Raises Refuted as `Counts.check`."""
        Counts.of(table.column(part.group), table.column(part.decision)).check(limit, least)
        counts, salt = _state(table, part, parts(table.layout, part.span))
        state = poseidon([_STATE, *counts, salt])
        return Instance({"state": state, "rows": table.layout.rows, "limit": limit, "least": least},
                        {"counts": counts, "count salt": [salt]})


def parts(layout: Layout, span: int) -> int:
    """How many parts of 2**span leaves a table has."""
    return -(-layout.leaves // (1 << span))


def _state(table: Table, shape: FairnessPart, part: int) -> tuple[list[int], int]:
    """(counts, salt) before a part: known to all before the first, salted from the table's key from then on."""
    if part == 0:
        return [0, 0, 0], 0
    rows = table.rows[:(part << shape.span) * table.layout.per_leaf]
    group, decision = (table.layout.place(name) for name in (shape.group, shape.decision))
    salt = hmac.digest(table.key, _LABEL + part.to_bytes(8, "big"), "sha512")
    return [sum(row[group] for row in rows), sum(row[decision] for row in rows),
            sum(row[group] * row[decision] for row in rows)], int.from_bytes(salt, "big") % R


@dataclass(frozen=True, slots=True)
class Chain:
    """The proofs of every part, and the last one."""

    parts: tuple[Proven, ...]
    end: Proven

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"end": decode_object(self.end.to_bytes()),
                       "parts": [decode_object(part.to_bytes()) for part in self.parts]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Chain:
        """Read strictly. Raises BadInput."""
        end, found = take(decode_object(data), end=dict, parts=list)
        return cls(tuple(Proven.from_bytes(encode(part)) for part in found), Proven.from_bytes(encode(end)))


def shapes(first: FairnessPart) -> list[FairnessPart]:
    """The statement of every part, in order."""
    count = parts(first.layout, first.span)
    last = FairnessPart(first.layout, first.group, first.decision, first.span, True)
    return [first] * (count - 1) + [last]


def prove_chain(first: FairnessPart, table: Table, limit: int, least: int, context: int, prover: Prover,
                keys: KeysFor) -> Chain:
    """The proofs for a table. Raises Refuted, before anything is proven, where the groups are too far apart."""
    closing = FairnessEnd()
    end = closing.instance(table, first, limit, least)
    made = tuple(prove(shape, shape.instance(table, part), context, prover, keys(shape))
                 for part, shape in enumerate(shapes(first)))
    return Chain(made, prove(closing, end, context, prover, keys(closing)))


def verify_chain(chain: Chain, first: FairnessPart, publics: Mapping[str, int],
                 verifying: Callable[[Statement], bytes], check: Check = without_prover) -> None:
    """Check a chain. publics: context, commitment, limit, least, as of `Fairness`.

    1. every part is there, in its place; 2. each begins where the one before ended, the first at no rows; 3. the end
    is over what the last part left, for the table's number of rows. Raises Refuted at whichever fails.
    """
    wanted = shapes(first)
    if len(chain.parts) != len(wanted):
        raise Refuted("parts of the table are missing, or there are too many", expected=len(wanted),
                      actual=len(chain.parts))
    state = START
    for number, (shape, part) in enumerate(zip(wanted, chain.parts, strict=True)):
        after = part.publics.get("after", -1)
        verify(part, shape, {"context": publics["context"], "commitment": publics["commitment"], "part": number,
                             "before": state, "after": after}, verifying(shape), check)
        state = after
    closing = FairnessEnd()
    verify(chain.end, closing, {"context": publics["context"], "state": state, "rows": first.layout.rows,
                                "limit": publics["limit"], "least": publics["least"]}, verifying(closing), check)
