"""What circuits are built from: bits, ranges, comparisons, choices. Each proves what it says, whatever the prover does.

Ranges are the caller's burden where a docstring says "known": pass only what earlier constraints prove.
"""

from __future__ import annotations

from collections.abc import Sequence

from troth.compute.circuits.builder import ONE, ZERO, Builder, Lin, combine, total
from troth.compute.circuits.field import SAFE_BITS, inverse
from troth.core.errors import Misuse


def bits(builder: Builder, value: Lin, count: int) -> list[Lin]:
    """``value``, proven in 0..2**count - 1, as its bits, lowest first. ``count`` constraints.

    There is one such decomposition only, as 2**count is below the field's prime. The lowest bit is no wire of its own:
    it is the value less the other bits, so that the sum needs no constraint. Raises Misuse above 253 bits.
    """
    if not 0 <= count <= SAFE_BITS:
        raise Misuse("a decomposition that would not be the only one", expected=f"at most {SAFE_BITS} bits",
                     actual=count)
    if count == 0:
        builder.equal(value, 0)
        return []
    found = _split(builder, value, count)
    for bit in found:
        builder.require(bit, ONE - bit, ZERO)
    return found


def _split(builder: Builder, value: Lin, count: int) -> list[Lin]:
    """Unconstrained bits whose weighted sum is ``value`` by construction."""
    upper = builder.hint(_Upper(count), (value,), count - 1)
    lowest = combine([1, *(-(1 << place) for place in range(1, count))], [value, *upper])
    return [lowest, *upper]


class _Upper:
    """The bits of a value above the lowest."""

    __slots__ = ("places",)

    def __init__(self, count: int) -> None:
        self.places = range(1, count)

    def __call__(self, value: int) -> list[int]:
        return [value >> place & 1 for place in self.places]


def joined(found: Sequence[Lin]) -> Lin:
    """The number whose bits these are, lowest first. Free."""
    return combine([1 << place for place in range(len(found))], found)


def at_most(builder: Builder, value: Lin, bound: int) -> list[Lin]:
    """``value``, proven in 0..bound exactly, as its bits.

    Where the bound has a 0 bit and the value's bits equal the bound's above it, the value's bit must be 0 too; that
    takes the place of the bit's own constraint (Zcash protocol specification, A.3.2.2). One more constraint for each 1
    bit of the bound above its trailing ones.
    """
    if bound < 0:
        raise Misuse("a range without a value", actual=bound)
    count = bound.bit_length()
    if bound == (1 << count) - 1:
        return bits(builder, value, count)
    if count > SAFE_BITS:
        raise Misuse("a bound too near the field's prime", expected=f"{SAFE_BITS} bits", actual=count)
    found = _split(builder, value, count)
    trailing = (~bound & bound + 1).bit_length() - 1
    equal = found[-1]   # 1 while the bits so far are the bound's, where those are 1
    for place in reversed(range(count)):
        bit, wanted = found[place], bound >> place & 1
        if place >= trailing and not wanted:
            builder.require(ONE - equal - bit, bit, ZERO)
            continue
        builder.require(bit, ONE - bit, ZERO)
        if trailing <= place < count - 1:
            equal = builder.product(equal, bit)
    return found


def in_range(builder: Builder, value: Lin, low: int, high: int) -> None:
    """Prove that ``value`` is in low..high, exactly."""
    at_most(builder, value - low, high - low)


def signed_bits(builder: Builder, value: Lin, size: int) -> list[Lin]:
    """The bits of ``value`` + 2**size, lowest first, for a value proven so in -2**size..2**size - 1: the last is 1
    where it is 0 or more, and the others are its own then. size + 1 constraints."""
    return bits(builder, value + (1 << size), size + 1)


def at_least_zero(builder: Builder, value: Lin, size: int) -> Lin:
    """1 where ``value`` is 0 or more, else 0, for a value known in -2**size..2**size - 1. size + 1 constraints."""
    return signed_bits(builder, value, size)[-1]


def less_or_equal(builder: Builder, left: Lin, right: Lin, size: int) -> Lin:
    """1 where left <= right, else 0, for a difference known in -2**size..2**size - 1. size + 1 constraints."""
    return at_least_zero(builder, right - left, size)


def is_zero(builder: Builder, value: Lin) -> Lin:
    """1 where ``value`` is 0, else 0. Two constraints."""
    (inverted,) = builder.hint(_inverted, (value,), 1)
    found = ONE - builder.product(value, inverted)
    builder.require(value, found, ZERO)
    return found


def any_of(builder: Builder, found: Sequence[Lin]) -> Lin:
    """1 where one of these is 1, else 0; each is known to be one of them. A constraint for each but the first, and
    never more than two."""
    if len(found) > 3:
        return ONE - is_zero(builder, total(found))
    none = ONE
    for bit in found:
        none = builder.product(none, ONE - bit)
    return ONE - none


def _inverted(value: int) -> tuple[int]:
    return (inverse(value),)


def select(builder: Builder, chosen: Lin, yes: Lin, no: Lin) -> Lin:
    """``yes`` where ``chosen`` is 1, ``no`` where it is 0; chosen is known to be one of them. One constraint."""
    return no + builder.product(chosen, yes - no)


def inner(builder: Builder, left: Sequence[Lin], right: Sequence[Lin]) -> Lin:
    """The inner product. A constraint for each pair of which neither is a constant."""
    return total([builder.product(a, b) for a, b in zip(left, right, strict=True)])


def maximum(builder: Builder, values: Sequence[Lin], size: int) -> Lin:
    """The largest, for values any two of which are known to differ by less than 2**size."""
    best = values[0]
    for value in values[1:]:
        best = select(builder, less_or_equal(builder, best, value, size), value, best)
    return best


def largest_place(builder: Builder, values: Sequence[Lin], size: int) -> Lin:
    """The place of the largest, the lowest of equal ones; ranges as in `maximum`."""
    best, place = values[0], ZERO
    for number, value in enumerate(values[1:], 1):
        stays = less_or_equal(builder, value, best, size)
        if number < len(values) - 1:
            best = builder.wire(select(builder, stays, best, value))
        place = builder.wire(select(builder, stays, place, Lin.of(number)))
    return place


def bit_size(low: int, high: int) -> int:
    """The least size with low..high within -2**size..2**size - 1."""
    return max(high.bit_length(), (~low).bit_length() if low < 0 else 0)
