"""Points of BN254's groups: sums, products and bytes, over arkworks as the package `zksnake` brings it.

The package's own way in and out of its point objects costs 0.15 ms a point (it multiplies each by the group's order),
so long as to make a setup again. Where the objects' layout is the one known here, the coordinates are copied straight
into them and out of them instead. `_layout` finds that out by trying, once; elsewhere the package's way is used.
Coordinates that come from outside must be checked by whoever reads them: nothing here does.

In memory a point is (x, y, z) in Jacobian form; each coordinate, of two elements in G2, is in Montgomery form, little
endian. That is also what iden3's key files hold of (x, y), so those need no conversion.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from troth.compute.circuits.field import R
from troth.core.errors import BadInput, OutsideFailed

P = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""The prime of the curve's coordinates (EIP-197)."""
_MONTGOMERY = (1 << 256) % P
_UNMONTGOMERY = pow(_MONTGOMERY, -1, P)
_OFFSET = 16
"""Bytes of a Python object before what it holds."""
_TWIST = tuple(3 * part * pow(82, -1, P) % P for part in (9, -1))
"""3 / (9 + u), the constant of G2's curve (EIP-197)."""
SIZES = {1: 64, 2: 128}
"""Bytes of (x, y) by group."""
Point = Any
"""A point of the package's: G1 or G2."""
_SMALL = 1 << 32


@cache
def arithmetic() -> Any:
    """The package's curve. Raises OutsideFailed where it is not installed."""
    try:
        from zksnake._algebra import ec_bn254  # an extra: `troth` works without provers
    except ImportError:
        raise OutsideFailed("the package zksnake is not installed", do="pip install 'troth[prove]'") from None
    return ec_bn254


def generator(group: int) -> Point:
    """The generator of G1 or G2 (EIP-197)."""
    return arithmetic().g1() if group == 1 else arithmetic().g2()


@cache
def zero(group: int) -> Point:
    """The neutral element."""
    return generator(group) + -generator(group)


# ---- bytes ----

def to_bytes(points: Sequence[Point], group: int) -> bytes:
    """(x, y) of each, in Montgomery form, little endian; zeros for the neutral element."""
    return b"".join(b"".join(_mont(value) for value in pair) for pair in affine(points, group))


def from_bytes(data: bytes, group: int) -> list[Point]:
    """The points again. Not checked to be on the curve."""
    size = SIZES[group]
    if not _layout():
        return [_slow(data[at:at + size], group) for at in range(0, len(data), size)]
    one = _mont(1) + bytes(size // 2 - 32)
    nothing, base, move, found = bytes(size), generator(group), ctypes.memmove, []
    for at in range(0, len(data), size):
        part = data[at:at + size]
        if part == nothing:
            found.append(zero(group))
            continue
        point = -base
        move(id(point) + _OFFSET, part + one, size * 3 // 2)
        found.append(point)
    return found


def affine(points: Sequence[Point], group: int) -> list[tuple[int, ...]]:
    """(x, y) of each in G1, (x0, x1, y0, y1) in G2 with the imaginary parts second; zeros for the neutral element."""
    if not _layout():
        return [(0,) * (2 * group) if point.is_zero() else
                (point.x, point.y) if group == 1 else (*point.x, *point.y) for point in points]
    held = [_held(point, group) for point in points]
    if group == 1:
        inverses = _inverses([z for _, _, z in held])
        return [(x * i * i % P, y * i * i % P * i % P) for (x, y, _), i in zip(held, inverses, strict=True)]
    norms = _inverses([(a * a + b * b) % P for *_, a, b in held])
    found: list[tuple[int, ...]] = []
    for (x0, x1, y0, y1, a, b), norm in zip(held, norms, strict=True):
        i = (a * norm % P, -b * norm % P)
        square = _times2(i, i)
        found.append((*_times2((x0, x1), square), *_times2(_times2((y0, y1), square), i)))
    return found


def _times2(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return (a[0] * b[0] - a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


def _held(point: Point, group: int) -> tuple[int, ...]:
    data = ctypes.string_at(id(point) + _OFFSET, 96 * group)
    return tuple(int.from_bytes(data[at:at + 32], "little") * _UNMONTGOMERY % P for at in range(0, len(data), 32))


def _inverses(values: Sequence[int]) -> list[int]:
    """1 / value of each (0 for 0) by one inversion (Montgomery's trick)."""
    product, before = 1, []
    for value in values:
        before.append(product)
        product = product * value % P if value else product
    inverted, found = pow(product, -1, P), []
    for value, prefix in zip(reversed(values), reversed(before), strict=True):
        found.append(inverted * prefix % P if value else 0)
        inverted = inverted * value % P if value else inverted
    return found[::-1]


def _mont(value: int) -> bytes:
    return (value * _MONTGOMERY % P).to_bytes(32, "little")


def _slow(data: bytes, group: int) -> Point:
    values = [int.from_bytes(data[at:at + 32], "little") * _UNMONTGOMERY % P for at in range(0, len(data), 32)]
    return _of(values, group) if any(values) else zero(group)


def checked(values: Sequence[int], group: int) -> Point:
    """The point of these affine coordinates, in `affine`'s order, each below P. Raises BadInput where it is not on the
    curve or not in the group: in G1, whose order is the curve's own, every point of the curve is."""
    if not _on_curve(values, group):
        raise BadInput("a point that is not on the curve")
    point = from_bytes(b"".join(map(_mont, values)), group)[0]
    if group == 2 and point * (R - 1) != -point:
        raise BadInput("a point that is not in the group")
    return point


def check_on_curve(data: bytes, group: int) -> None:
    """Raise BadInput where a point of `to_bytes`' form is not on the curve, or a coordinate not below P."""
    for at in range(0, len(data), SIZES[group]):
        held = [int.from_bytes(data[place:place + 32], "little") for place in range(at, at + SIZES[group], 32)]
        if max(held) >= P or (any(held) and not _on_curve([value * _UNMONTGOMERY % P for value in held], group)):
            raise BadInput("a point that is not on the curve", actual=f"at byte {at}")


def _on_curve(values: Sequence[int], group: int) -> bool:
    if group == 1:
        x, y = values
        return (y * y - x * x * x - 3) % P == 0
    x2, y2 = (values[0], values[1]), (values[2], values[3])
    cube, square = _times2(_times2(x2, x2), x2), _times2(y2, y2)
    return all((square[part] - cube[part] - _TWIST[part]) % P == 0 for part in (0, 1))


def _of(values: Sequence[int], group: int) -> Point:
    return arithmetic().PointG1(*values) if group == 1 else arithmetic().PointG2(*values)


@cache
def _layout() -> bool:
    """Whether a point's memory is laid out as above: read, written, and compared with the package's arithmetic."""
    for group in (1, 2):
        base = generator(group)
        if type(base).__basicsize__ != _OFFSET + 96 * group + 8:
            return False
        held = _held(base, group)
        said = (base.x, base.y, 1) if group == 1 else (*base.x, *base.y, 1, 0)
        point, wanted = -base, base * 5
        ctypes.memmove(id(point) + _OFFSET, ctypes.string_at(id(wanted) + _OFFSET, 96 * group), 96 * group)
        if held != said or point != wanted or point + base != base * 6:
            return False
    return True


def normal(given: Sequence[Point], group: int) -> list[Point]:
    """The same points with z = 1, which sums of products take a quarter less time over."""
    return from_bytes(to_bytes(given, group), group)


# ---- sums and products ----

@dataclass(frozen=True, eq=False)
class Scalars:
    """Scalars sorted once for sums over many points: zeros cost nothing, ones an addition each, the rest is left to the
    library, which is quick for small ones.

    ones: places of 1. small: (place, scalar) below 2**32 in magnitude. large: the rest, 0..R-1.
    """

    ones: Sequence[int]
    small: Sequence[tuple[int, int]]
    large: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, scalars: Sequence[int]) -> Scalars:
        """Of centred scalars, or of any below R."""
        ones, small, large = [], [], []
        for place, scalar in enumerate(scalars):
            if scalar == 0:
                continue
            if scalar == 1:
                ones.append(place)
            elif -_SMALL < scalar < _SMALL:
                small.append((place, scalar))
            else:
                large.append((place, scalar % R))
        return cls(ones, small, large)

    def light(self, points: Sequence[Point | None], group: int) -> Point:
        """The sum over all but the large ones. points: None for the neutral element, which is passed over."""
        found = zero(group)
        for place in self.ones:
            point = points[place]
            if point is not None:
                found = found + point
        held = [(points[place], scalar) for place, scalar in self.small]
        return found + full_sum([(point, scalar) if scalar > 0 else (-point, -scalar)
                                 for point, scalar in held if point is not None], group)

    def heavy(self, points: Sequence[Point | None]) -> list[tuple[Point, int]]:
        """(point, scalar 0..R-1) of the large ones, for one sum with others."""
        return [(points[place], scalar) for place, scalar in self.large if points[place] is not None]


def sum_of_products(points: Sequence[Point], scalars: Sequence[int], group: int) -> Point:
    """The sum of scalar * point for centred scalars."""
    held = Scalars.of(scalars)
    return held.light(points, group) + full_sum(held.heavy(points), group)


def full_sum(pairs: Sequence[tuple[Point, int]], group: int) -> Point:
    """The sum of scalar * point for scalars 0..R-1. Cheaper a point the more there are, and the smaller they are."""
    if not pairs:
        return zero(group)
    native = arithmetic().multiscalar_mul_g1 if group == 1 else arithmetic().multiscalar_mul_g2
    return native([point for point, _ in pairs], [scalar for _, scalar in pairs])


def known(points: Sequence[Point]) -> list[Point | None]:
    """The points, None for each that is the neutral element."""
    return [None if point.is_zero() else point for point in points]


def products(base: Point, scalars: Sequence[int], group: int) -> Iterator[Point]:
    """scalar * base for each, by tables of the base's multiples."""
    window = 8 if len(scalars) < 1 << 15 else 12
    nothing, mask, tables, step = zero(group), (1 << window) - 1, [], base
    for _ in range(0, 254, window):
        table = [nothing]
        for _ in range(mask):
            table.append(table[-1] + step)
        tables.append(table)
        step = table[-1] + step
    for scalar in scalars:
        scalar %= R
        found = nothing
        for table in tables:
            if digit := scalar & mask:
                found = found + table[digit]
            scalar >>= window
        yield found


def pairing(pairs: Sequence[tuple[Point, Point]]) -> Any:
    """The product of the pairings of (G1, G2), to be compared with another one."""
    return arithmetic().multi_pairing([a for a, _ in pairs], [b for _, b in pairs])


def pairings_equal(left: Sequence[tuple[Point, Point]], right: Sequence[tuple[Point, Point]]) -> bool:
    """Whether two products of pairings of (G1, G2) are the same."""
    return bool(pairing(left) == pairing(right))
