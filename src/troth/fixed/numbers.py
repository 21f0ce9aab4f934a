"""Fixed-point numbers, defined bit by bit.

A real number ``x`` is held as the integer ``x * 2**16`` in an ``int64`` array (decision record 0004). Every function
here is a function of integers alone: the same input gives the same bits on every machine, because integer addition is
exact and therefore associative, and because nothing is ever left to wrap around: each result is bounded *before* it is
computed, with Python's unbounded integers, and refused if the bound passes ``2**63 - 1``.

Rounding is half to even everywhere, so that a rounded result has no drift in either direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from troth.core.errors import BadInput

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Numbers: TypeAlias = IntArray | FloatArray
Vector = TypeVar("Vector", IntArray, FloatArray)

FRACTION_BITS = 16
ONE = 1 << FRACTION_BITS
"""The integer that stands for 1.0."""
LIMIT = (1 << 31) - 1
"""Largest magnitude of a stored value: 32767.99998 in real terms. Products of two stay below 2**62."""
INT64_MAX = (1 << 63) - 1
EXACT_DOUBLE = 1 << 53
"""Up to here every partial sum is an integer that a double holds exactly, in any order and with fused multiply-add: the
processor's fast products give the same as integers."""
_INT64 = np.dtype(np.int64)
SURELY_EXACT = float(1 << 52)
"""A sum of squares that comes out below this was exact: rounding takes far less than half of it away, so all its terms
and partial sums were integers below EXACT_DOUBLE."""
_BLOCK = 1 << 15
"""Elements worked on at a time, so that what lies between two steps stays in the processor's cache."""


def _overflow(what: str, bound: int) -> BadInput:
    return BadInput(f"integer overflow in {what}", expected=f"at most {INT64_MAX}", actual=f"a bound of {bound}",
                    do="Clip the values or split the sum; nothing was computed.")


def of_ints(values: object, what: str = "values") -> IntArray:
    """``values`` as an int64 array; its elements are not looked at. Raises BadInput for any other dtype."""
    if not isinstance(values, np.ndarray) or values.dtype != _INT64:
        found = f"{values.dtype} array" if isinstance(values, np.ndarray) else type(values).__name__
        raise BadInput(f"{what} must be an int64 array", expected="int64", actual=found, do="Use quantise for floats.")
    return values


def as_ints(values: object, what: str = "values") -> IntArray:
    """``values`` as an int64 array, without any conversion. Raises BadInput for any other dtype, or for -2**63
    (whose magnitude int64 cannot hold)."""
    found = of_ints(values, what)
    if found.size and int(np.minimum.reduce(found, axis=None)) < -INT64_MAX:
        raise BadInput(f"{what} holds -2**63, which has no magnitude in int64", expected=f"at least {-INT64_MAX}")
    return found


def magnitude(values: IntArray) -> int:
    """Largest absolute value, 0 for an empty array. Exact, also at the ends of int64."""
    if not values.size:
        return 0
    return max(int(np.maximum.reduce(values, axis=None)), -int(np.minimum.reduce(values, axis=None)))


def _size(values: IntArray) -> int:
    """`magnitude` of what `as_ints` lets pass, in one look."""
    size = magnitude(of_ints(values))
    if size > INT64_MAX:
        as_ints(values)
    return size


def quantise(values: npt.ArrayLike) -> IntArray:
    """Real numbers -> fixed point: ``round(x * 2**16)``, half to even.

    The product with a power of two is exact, so the rounding is the only one. Raises BadInput for NaN, infinities and
    magnitudes above LIMIT: a value is never wrapped or clamped.
    """
    reals = np.ascontiguousarray(values, dtype=np.float64).reshape(np.shape(values))
    flat, found = reals.reshape(-1), np.empty(reals.shape, dtype=np.int64)
    into = found.reshape(-1)
    for at in range(0, flat.size, _BLOCK):
        scaled = flat[at:at + _BLOCK] * float(ONE)
        np.rint(scaled, out=scaled)
        if not (float(scaled.max()) <= LIMIT and float(scaled.min()) >= -LIMIT):  # or no number at all
            break
        into[at:at + _BLOCK] = scaled
    else:
        return found
    if not np.isfinite(reals).all():
        raise BadInput("a value is not a finite number", expected="finite numbers", actual="NaN or infinity")
    worst = float(np.rint(np.abs(reals) * float(ONE)).max())
    raise BadInput("a value is too large for fixed point", expected=f"magnitude at most {LIMIT / ONE}",
                   actual=worst / ONE, do="Rescale it first; values are never clamped silently.")


def dequantise(values: IntArray) -> FloatArray:
    """Fixed point -> real numbers, exact. Raises BadInput above LIMIT."""
    size = _size(values)
    if size > LIMIT:
        raise BadInput("a fixed-point value is out of range", expected=f"at most {LIMIT}", actual=size)
    return np.asarray(values * (1.0 / ONE))  # each step exact: an integer below 2**31, times a power of two


def shift_round(values: IntArray, bits: int = FRACTION_BITS) -> IntArray:
    """``values / 2**bits``, rounded half to even. ``bits`` from 1 to 62; cannot overflow."""
    if not 1 <= bits <= 62:
        raise BadInput("shift out of range", expected="1 to 62", actual=bits)
    as_ints(values)
    floor = np.asarray(values >> bits)  # arithmetic: towards minus infinity, so the rest below is never negative
    rest = np.asarray(values & ((1 << bits) - 1))
    rest += floor & 1  # half of a unit goes up from an odd floor only
    rest += (1 << (bits - 1)) - 1
    rest >>= bits
    floor += rest
    return floor


def divide_round(values: IntArray, divisor: int | IntArray) -> IntArray:
    """``values / divisor``, rounded half to even. Divisors from 1 to 2**61, one for all or one per element."""
    divisors = np.asarray(divisor, dtype=np.int64)
    if divisors.size == 0 or int(divisors.min()) < 1 or int(divisors.max()) > 1 << 61:
        raise BadInput("divisor out of range", expected="1 to 2**61", actual=divisor)
    if divisors.ndim == 0 and as_ints(values).flags.c_contiguous:
        flat, found = values.reshape(-1), np.empty(values.size, dtype=np.int64)
        for at in range(0, values.size, _BLOCK):
            found[at:at + _BLOCK] = _divide_block(flat[at:at + _BLOCK], np.int64(divisors))
        return found.reshape(values.shape)
    floor = as_ints(values) // divisors
    twice = (values - floor * divisors) * 2
    up = (twice > divisors) | ((twice == divisors) & ((floor & 1) == 1))
    return np.asarray(floor + up.astype(np.int64))


def _divide_block(values: IntArray, divisor: np.int64) -> IntArray:
    floor = values // divisor
    rest = values - floor * divisor
    if divisor % 2 == 0:
        rest += floor & 1  # rest == half goes up from an odd floor only; for odd divisors there are no ties
    floor += rest > divisor // 2
    return np.asarray(floor)


def divide_int(value: int, divisor: int) -> int:
    """The same rule for unbounded Python integers: ``value / divisor``, half to even; divisor at least 1."""
    if divisor < 1:
        raise BadInput("divisor out of range", expected="at least 1", actual=divisor)
    floor, rest = divmod(value, divisor)
    return floor + (1 if 2 * rest > divisor or (2 * rest == divisor and floor % 2) else 0)


def add(left: IntArray, right: IntArray) -> IntArray:
    """Element by element sum (shapes as NumPy broadcasts them). Raises BadInput if it could overflow."""
    bound = _size(left) + _size(right)
    if bound > INT64_MAX:
        raise _overflow("a sum", bound)
    return left + right


def subtract(left: IntArray, right: IntArray) -> IntArray:
    """Element by element difference. Raises BadInput if it could overflow."""
    bound = _size(left) + _size(right)
    if bound > INT64_MAX:
        raise _overflow("a difference", bound)
    return left - right


def multiply(left: IntArray, right: IntArray | int) -> IntArray:
    """Element by element product at the sum of both scales. Raises BadInput if it could overflow."""
    factor = np.asarray(right, dtype=np.int64) if not isinstance(right, int) or abs(right) <= INT64_MAX else None
    size = abs(right) if factor is None and isinstance(right, int) else magnitude(np.atleast_1d(np.asarray(factor)))
    bound = _size(left) * size
    if bound > INT64_MAX or factor is None:
        raise _overflow("a product", bound)
    return np.asarray(left * factor, dtype=np.int64)


def total(values: IntArray, axis: int | None = None) -> Any:
    """Sum over one axis (int64 array), or over everything (Python int). Raises BadInput if it could overflow."""
    bound = _size(values) * (values.size if axis is None else values.shape[axis])
    if bound > INT64_MAX:
        raise _overflow("a sum", bound)
    return int(values.sum()) if axis is None else values.sum(axis=axis)


def matmul(left: IntArray, right: IntArray) -> IntArray:
    """Matrix product at the sum of both scales; vectors as in NumPy.

    The bound ``terms * max|left| * max|right|`` covers every partial sum in every order of accumulation, so no order
    can overflow and all orders agree. Raises BadInput for shapes that do not fit and when the bound passes int64.
    """
    sizes = _size(left) * _size(right)
    if not 1 <= left.ndim <= 2 or not 1 <= right.ndim <= 2 or left.shape[-1] != right.shape[0]:
        raise BadInput("shapes do not multiply", expected="(…, n) and (n, …)", actual=f"{left.shape} and {right.shape}")
    bound = left.shape[-1] * sizes
    if bound > INT64_MAX:
        raise _overflow("a matrix product", bound)
    if bound <= EXACT_DOUBLE:
        return np.asarray(left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    return np.asarray(left @ right, dtype=np.int64)


def dot(left: IntArray, right: IntArray) -> int:
    """Inner product of two vectors at the sum of both scales. Raises BadInput like `matmul`."""
    if left.ndim != 1 or right.ndim != 1:
        raise BadInput("dot takes two vectors", expected="1 dimension", actual=f"{left.ndim} and {right.ndim}")
    return int(matmul(left, right))


def squared_distance(left: IntArray, right: IntArray) -> int:
    """Squared Euclidean distance at twice the scale, exact. Raises BadInput if it could overflow."""
    gap = subtract(left, right).reshape(-1)
    return dot(gap, gap)


def squared_distances(rows: IntArray) -> IntArray:
    """All pairwise squared distances of ``rows`` (n, d) -> (n, n), exact. Raises BadInput if one could overflow.

    Rows no longer than 2**26 go by their inner products: by Cauchy and Schwarz no partial sum of one passes
    EXACT_DOUBLE.
    """
    if rows.ndim == 2 and len(rows) and all(norm(row) <= math.isqrt(EXACT_DOUBLE) for row in rows):
        inner = np.zeros((len(rows), len(rows)), dtype=np.float64)
        wide = max(1, (_BLOCK << 6) // len(rows))
        for at in range(0, rows.shape[1], wide):
            block = rows[:, at:at + wide].astype(np.float64)
            inner += block @ block.T
        products = inner.astype(np.int64)
        squares = np.diagonal(products)
        return np.asarray(squares[:, None] + squares[None, :] - 2 * products)
    found = np.zeros((len(rows), len(rows)), dtype=np.int64)
    for index, row in enumerate(rows):
        gaps = subtract(rows, row)
        bound = rows.shape[1] * magnitude(gaps) ** 2
        if bound > INT64_MAX:
            raise _overflow("a distance", bound)
        found[index] = (gaps * gaps).sum(axis=1)
    return found


def norm(*values: IntArray) -> int:
    """Euclidean norm of all elements together, rounded up to the next integer, at the scale of ``values``.

    Exact for any int64 input (the squares are summed in parts that cannot overflow, the parts in Python integers), so
    a hostile input is measured, not refused.
    """
    squares = sum(sum_of_squares(as_ints(array).reshape(-1)) for array in values)
    return root_above(squares)


def root_above(square: int) -> int:
    """The square root of an integer, rounded up."""
    root = math.isqrt(square)
    return root if root * root == square else root + 1


def sum_of_squares(flat: IntArray) -> int:
    """The squares of a vector's elements together, exact for any magnitude: in parts that cannot overflow."""
    found = 0
    for at in range(0, len(flat), _BLOCK):
        part = flat[at:at + _BLOCK].astype(np.float64)
        squares = float(part @ part)
        found += int(squares) if squares < SURELY_EXACT else _large_squares(flat[at:at + _BLOCK])
    return found


def _large_squares(flat: IntArray) -> int:
    size = magnitude(flat)
    chunk = EXACT_DOUBLE // size ** 2
    if chunk >= 64:  # as many squares as a double surely holds
        parts = (flat[at:at + chunk].astype(np.float64) for at in range(0, len(flat), chunk))
        return sum(int(part @ part) for part in parts)
    chunk = INT64_MAX // size ** 2
    if chunk < 64:
        return sum(v * v for v in flat.tolist())
    return sum(dot(flat[at:at + chunk], flat[at:at + chunk]) for at in range(0, len(flat), chunk))


def clip_norm(values: IntArray, bound: int) -> IntArray:
    """``values`` scaled down to Euclidean norm at most ``bound``, towards zero; unchanged if already within."""
    if bound < 0:
        raise BadInput("a norm bound is not negative", expected="at least 0", actual=bound)
    length = norm(values)
    if length <= bound:
        return values
    # floor of the magnitude: the result is never longer
    if length > INT64_MAX:
        return np.array([(abs(v) * bound // length) * (1 if v > 0 else -1) for v in values.reshape(-1).tolist()],
                        dtype=np.int64).reshape(values.shape)
    return np.asarray(np.sign(values) * (multiply(np.abs(values), bound) // np.int64(length)), dtype=np.int64)


def stack(rows: Sequence[IntArray]) -> IntArray:
    """Equal-length vectors as one matrix (n, d). Raises BadInput for none or unequal ones."""
    if not rows or any(row.shape != rows[0].shape or row.ndim != 1 for row in rows):
        raise BadInput("rows must be vectors of one length", actual=[row.shape for row in rows])
    return np.stack([as_ints(row) for row in rows])
