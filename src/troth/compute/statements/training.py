"""A step of training, proven: these weights follow from those by one step on the committed rows.

The model is logistic with a straight line for the sigmoid, in integers, so that there is one right answer::

    z = w . x + bias * one          p = clamp(round(z / 2^slope) + 2^15, 0, 2^16)
    w' = w - round(sum over the rows of (p - 2^16 * label) * x / 2^rate)

where round(v / 2^k) is floor((v + 2^(k-1)) / 2^k). A proof is of one step over all rows of the table; steps chain by
the weights' commitments. It says nothing of how the first weights or the rows were chosen, nor that there was no other
training. Beyond small tables steps are executed again instead, a sample of them: `caught` says how well that catches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from troth.compute.circuits.builder import Builder, Lin
from troth.compute.circuits.gadgets import in_range
from troth.compute.circuits.layers import affine, clamp, rescale
from troth.compute.circuits.vectors import Learned, Vector
from troth.compute.statements.statement import Instance, Statement
from troth.compute.statements.tables import Column, Layout, Table, open_row, open_table, row_inputs, table_inputs
from troth.core.errors import BadInput, Refuted
from troth.fixed.program import Clamp, Rescale

UNIT = 1 << 16
"""Probability 1."""


@dataclass(frozen=True)
class Step(Statement):
    """The weights committed to in ``after`` follow by one step of training, over every row of the table committed to in
    ``data``, from those committed to in ``before``.

    layout: features, and the label, of 0 and 1. weight_bits: weights are within 2**weight_bits of 0. one: what stands
    for 1 in a feature, for the bias. publics: context, data, before, after.
    """

    layout: Layout
    label: str
    weight_bits: int
    one: int
    slope: int
    rate: int
    name: ClassVar[str] = "training-step"

    def __post_init__(self) -> None:
        label = self.layout.column(self.label)
        if (label.low, label.high) != (0, 1) or len(self.layout.columns) < 2:
            raise BadInput("not a table to learn from", expected="a label of 0 and 1, and features", actual=self.label)
        if not (1 <= self.weight_bits <= 32 and 1 <= self.slope <= 61 and 1 <= self.rate <= 61 and self.one):
            raise BadInput("not a step of training", expected="1 to 32 weight bits; slope and rate 1 to 61; a one")

    @property
    def weights(self) -> Layout:
        """Of the weights, one row: one for each feature, then the bias."""
        most = 1 << self.weight_bits
        names = [column.name for column in self.layout.columns if column.name != self.label]
        return Layout((*(Column(f"weight of {name}", -most, most) for name in names), Column("bias", -most, most)), 1)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"label": self.label, "layout": self.layout.json, "one": self.one, "rate": self.rate,
                "slope": self.slope, "weight_bits": self.weight_bits}

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        return {}

    @property
    def publics(self) -> tuple[str, ...]:
        return ("data", "before", "after")

    def build(self, builder: Builder, publics: Sequence[Lin]) -> None:
        """The committed weights after a step are those before it moved by the rows' gradient, rounded as in `fixed`."""
        data, before, after = publics
        rows = open_table(builder, self.layout, data)
        weights = open_row(builder, self.weights, before)
        most = 1 << self.weight_bits
        learned = Learned(weights, [-most] * len(weights), [most] * len(weights))
        label = self.layout.place(self.label)
        columns = [column for column in self.layout.columns if column.name != self.label]
        features = [[*(value for at, value in enumerate(row) if at != label), Lin.of(self.one)] for row in rows]
        lows, highs = ([*(getattr(column, end) for column in columns), self.one] for end in ("low", "high"))
        errors = []
        with builder.group("errors"):
            for row, values in zip(rows, features, strict=True):
                z = affine(builder, Vector(values, lows, highs), learned, Learned.of([0]))
                p = rescale(builder, Rescale(0, self.slope), z)
                p = clamp(builder, Clamp(0, 0, UNIT), Vector([p.lins[0] + UNIT // 2], [p.low[0] + UNIT // 2],
                                                          [p.high[0] + UNIT // 2]))
                errors.append(builder.wire(p.lins[0] - row[label] * UNIT))
        with builder.group("weights"):
            many = Vector(errors, [-UNIT] * len(rows), [UNIT] * len(rows))
            moved = []
            for at, weight in enumerate(weights):
                column = Learned([row[at] for row in features], [lows[at]] * len(rows), [highs[at]] * len(rows))
                step = rescale(builder, Rescale(0, self.rate), affine(builder, many, column, Learned.of([0])))
                moved.append(builder.wire(weight - step.lins[0]))
                in_range(builder, moved[-1], -most, most)
        with builder.group("after"):
            opened = open_row(builder, self.weights, after, _AFTER)
            for made, said in zip(moved, opened, strict=True):
                builder.equal(made, said)

    def instance(self, table: Table, before: Table, after: Table) -> Instance:
        """Of a step. Raises Refuted where the weights after it are others."""
        if list(after.rows[0]) != self.step(table, before.rows[0]):
            raise Refuted("the weights do not follow by this step", do="Nothing was proven.")
        return Instance({"data": table.commitment, "before": before.commitment, "after": after.commitment},
                        {**table_inputs(table), **row_inputs(before, 0),
                         **row_inputs(after, 0, _AFTER)})

    def step(self, table: Table, weights: Sequence[int]) -> list[int]:
        """The weights after one step, in integers. Raises Refuted where one leaves its range."""
        label = self.layout.place(self.label)
        sums = [0] * len(weights)
        for row in table.rows:
            values = [*(value for at, value in enumerate(row) if at != label), self.one]
            z = sum(w * x for w, x in zip(weights, values, strict=True))
            p = min(max(_round(z, self.slope) + UNIT // 2, 0), UNIT)
            sums = [held + (p - UNIT * row[label]) * x for held, x in zip(sums, values, strict=True)]
        moved = [w - _round(held, self.rate) for w, held in zip(weights, sums, strict=True)]
        if max(map(abs, moved)) > 1 << self.weight_bits:
            raise Refuted("a weight leaves its range", expected=f"within 2^{self.weight_bits}",
                          do="Take smaller steps, or more weight bits.")
        return moved


def caught(steps: int, wrong: int, sampled: int) -> float:
    """The chance that re-executing ``sampled`` of ``steps`` steps, drawn after all were committed to, finds one of
    ``wrong`` false ones: 1 - C(steps - wrong, sampled) / C(steps, sampled)."""
    if not 0 <= wrong <= steps or not 0 <= sampled <= steps:
        raise BadInput("not a sample of steps", expected=f"0 to {steps}", actual=f"{wrong} wrong, {sampled} sampled")
    missed = 1.0
    for at in range(sampled):
        missed *= max(0, steps - wrong - at) / (steps - at)
    return 1 - missed


_AFTER = "after "
"""What the names of the inputs that open the weights after the step begin with."""


def _round(value: int, bits: int) -> int:
    return value + (1 << bits - 1) >> bits
