"""Many small numbers in few field elements, so that no two lists of numbers give the same elements.

Each number has a proven range; its distance from the lowest takes as many bits as the range needs, one number above the
other, and an element is never longer than 253 bits. Injective for numbers within their ranges, and only for those: in a
circuit `pack` proves the ranges unless the caller says that they are proven already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from troth.compute.circuits.builder import Builder, Lin, combine
from troth.compute.circuits.field import SAFE_BITS
from troth.compute.circuits.gadgets import in_range
from troth.core.errors import BadInput, Misuse


@dataclass(frozen=True)
class Packing:
    """low, high: the range of each number."""

    low: Sequence[int]
    high: Sequence[int]
    _groups: list[list[tuple[int, int]]] = field(default_factory=list, init=False, repr=False)  # (place, shift)

    def __post_init__(self) -> None:
        used = SAFE_BITS + 1
        for place, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            width = (high - low).bit_length()
            if low > high or width > SAFE_BITS:
                raise Misuse("a range that cannot be packed", actual=f"{low}..{high}")
            if used + width > SAFE_BITS:
                self._groups.append([])
                used = 0
            self._groups[-1].append((place, used))
            used += width

    @property
    def elements(self) -> int:
        """How many field elements it takes."""
        return len(self._groups)

    def ints(self, values: Sequence[int]) -> list[int]:
        """The elements. Raises BadInput for a number beyond its range, or another count of them."""
        if len(values) != len(self.low):
            raise BadInput("other numbers than are packed", expected=len(self.low), actual=len(values))
        for place, (value, low, high) in enumerate(zip(values, self.low, self.high, strict=True)):
            if not low <= value <= high:
                raise BadInput(f"number {place} is beyond its range", expected=f"{low} to {high}", actual=value)
        return [sum((values[place] - self.low[place]) << shift for place, shift in group) for group in self._groups]

    def unpacked(self, elements: Sequence[int]) -> list[int]:
        """The numbers again. Raises BadInput for elements that no numbers give."""
        if len(elements) != self.elements:
            raise BadInput("another number of elements", expected=self.elements, actual=len(elements))
        found = [self.low[place] + (elements[number] >> shift & (1 << self._width(place)) - 1)
                 for number, group in enumerate(self._groups) for place, shift in group]
        if self.ints(found) != list(elements):
            raise BadInput("elements that no numbers give")
        return found

    def pack(self, builder: Builder, values: Sequence[Lin], *, proven: bool = False) -> list[Lin]:
        """The elements in a circuit. proven: the ranges are constrained already."""
        if not proven:
            with builder.group("packed ranges"):
                for value, low, high in zip(values, self.low, self.high, strict=True):
                    in_range(builder, value, low, high)
        return [combine([1 << shift for _, shift in group], [values[place] for place, _ in group],
                        -sum(self.low[place] << shift for place, shift in group)) for group in self._groups]

    def _width(self, place: int) -> int:
        return (self.high[place] - self.low[place]).bit_length()
