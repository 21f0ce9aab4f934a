"""Vectors of a program inside a circuit: each element a linear combination with a proven range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from troth.compute.circuits.builder import Builder, Lin

LONG = 8
"""Combinations of more wires than this become one wire before many others take them up."""


@dataclass(frozen=True, eq=False)
class Vector:
    """low, high: what each element is proven to be within. bits: proven ones of an element and 2**(len(bits) - 1)
    together, lowest first, where they came for nothing: the last is 1 where the element is 0 or more, and then the
    others are the element's own."""

    lins: Sequence[Lin]
    low: Sequence[int]
    high: Sequence[int]
    bits: Mapping[int, Sequence[Lin]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lins)

    def short(self, builder: Builder, most: int = LONG) -> Vector:
        """The same with every combination of more than ``most`` wires made one wire."""
        return Vector([builder.wire(lin) if len(lin.terms) > most else lin for lin in self.lins], self.low, self.high,
                      self.bits)


@dataclass(frozen=True, eq=False)
class Learned:
    """An array that was learned, flat: constants, or wires whose range is proven."""

    lins: Sequence[Lin]
    low: Sequence[int]
    high: Sequence[int]

    @classmethod
    def of(cls, values: Sequence[int]) -> Learned:
        """Constants of the circuit."""
        return cls([Lin.of(value) for value in values], values, values)
