"""Poseidon over BN254's scalar field with x**5, as circomlib has it: the hash that is cheap in a circuit.

Parameters (Grassi, Khovratovich, Rechberger, Roy, Schofnegger: Poseidon, USENIX Security 2021): width 2 to 17, 8 full
rounds, the partial rounds below; constants and matrix drawn by the paper's Grain generator, so none are stored here.
The state starts with a 0, the inputs after it; the digest is its first element.

A permutation is kept as what goes into each x**5, in terms of the inputs and of the x**5 before it. In a circuit those
linear combinations are free, and 3 constraints an x**5 are all there is, none where it is of a constant, as the first
one always is: 237 for two inputs, 609 for sixteen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from troth.compute.circuits.builder import Builder, Lin, combine
from troth.compute.circuits.field import R, centred
from troth.core.errors import Misuse

FULL_ROUNDS = 8
PARTIAL_ROUNDS = (56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68)
"""By width from 2."""
MOST = 16
_CHAIN = MOST - 1


def poseidon(values: Sequence[int]) -> int:
    """circomlib's Poseidon of 1 to 16 field elements, 0..R-1. Raises Misuse for another number of them."""
    plan, out = _plan(_width(values))
    known = [1, *values]
    for places, coefficients in plan:
        x = sum(c * known[p] for p, c in zip(places, coefficients, strict=True)) % R
        square = x * x % R
        known.append(square * square % R * x % R)
    return sum(c * known[p] for p, c in zip(*out, strict=True)) % R


def poseidon_lin(builder: Builder, values: Sequence[Lin]) -> Lin:
    """The same in a circuit."""
    plan, out = _plan(_width(values))
    known = [Lin({0: 1}), *values]
    for places, coefficients in plan:
        x = combine(coefficients, [known[p] for p in places])
        if x.constant is not None:   # the state's first element, and whatever else is known beforehand
            known.append(Lin.of(pow(x.constant, 5, R)))
            continue
        square, fourth, fifth = builder.hint(_powers, (x,), 3)
        builder.require(x, x, square)
        builder.require(square, square, fourth)
        builder.require(fourth, x, fifth)
        known.append(fifth)
    return combine(out[1], [known[p] for p in out[0]])


def poseidon_chain(values: Sequence[int]) -> int:
    """A hash of any number of field elements: Poseidon of how many there are and the first 15, then of the digest so
    far and the next 15, to the end."""
    found = len(values)
    for start in range(0, max(len(values), 1), _CHAIN):
        found = poseidon([found, *values[start:start + _CHAIN]])
    return found


def poseidon_chain_lin(builder: Builder, values: Sequence[Lin]) -> Lin:
    """The same in a circuit. 606 constraints for the first 15 elements, 609 for any other 15."""
    found = Lin.of(len(values))
    for start in range(0, max(len(values), 1), _CHAIN):
        found = poseidon_lin(builder, [found, *values[start:start + _CHAIN]])
    return found


def _width(values: Sequence[object]) -> int:
    if not 1 <= len(values) <= MOST:
        raise Misuse("Poseidon of another number of elements", expected=f"1 to {MOST}", actual=len(values))
    return len(values) + 1


def _powers(x: int) -> tuple[int, int, int]:
    square = centred(x * x)
    fourth = centred(square * square)
    return square, fourth, centred(fourth * x)


_Row = tuple[tuple[int, ...], tuple[int, ...]]
"""(places, coefficients) over what is known: 1, the inputs, then each x**5 in order."""


@cache
def _plan(width: int) -> tuple[list[_Row], _Row]:
    """What goes into each x**5, and the digest."""
    partial = PARTIAL_ROUNDS[width - 2]
    constants, rows = parameters(width)
    matrix, known, plan = np.array(rows, dtype=object), width, []
    state = np.zeros((width, width + FULL_ROUNDS * width + partial), dtype=object)   # whole numbers of any size
    state[range(1, width), range(1, width)] = 1
    for number in range(FULL_ROUNDS + partial):
        state[:, 0] += constants[number * width:(number + 1) * width]
        full = not FULL_ROUNDS // 2 <= number < FULL_ROUNDS // 2 + partial
        for place in range(width if full else 1):
            plan.append(_row(state[place]))
            state[place] = 0
            state[place, known] = 1
            known += 1
        used = state.any(axis=0)
        state[:, used] = matrix @ state[:, used] % R
    return plan, _row(state[0])


def _row(terms: np.ndarray[tuple[int], np.dtype[np.object_]]) -> _Row:
    kept = {place: centred(value) for place, value in enumerate(terms.tolist()) if value % R}
    return tuple(kept), tuple(kept.values())


@cache
def parameters(width: int) -> tuple[list[int], list[list[int]]]:
    """(round constants, matrix) of a width, by the paper's generator (appendix E, F)."""
    partial = PARTIAL_ROUNDS[width - 2]
    wanted = (FULL_ROUNDS + partial) * width
    drawn = _Grain(width, partial, bits=254 * (2 * wanted + 4 * width))   # one draw in four is too large, and spare
    constants = [drawn.below_prime() for _ in range(wanted)]
    points = [drawn.number() % R for _ in range(2 * width)]
    return constants, [[pow(x + y, -1, R) for y in points[width:]] for x in points[:width]]


class _Grain:
    """The paper's generator: an 80-bit register. Its bits come in pairs, the second kept where the first is 1."""

    _TAPS = (62, 51, 38, 23, 13, 0)

    def __init__(self, width: int, partial: int, bits: int) -> None:
        start = "".join(f"{value:0{size}b}" for value, size in (
            (1, 2), (0, 4), (254, 12), (width, 12), (FULL_ROUNDS, 10), (partial, 10), ((1 << 30) - 1, 30)))
        register = self._register(np.array([int(bit) for bit in start], dtype=np.uint8), 240 + 5 * bits)
        stream = register[240:]   # the start and 160 more are passed over
        pairs = stream[:len(stream) // 2 * 2].reshape(-1, 2)
        self._text = (pairs[pairs[:, 0] == 1, 1] + ord("0")).tobytes().decode()
        self._at = 0

    @classmethod
    def _register(cls, stream: np.ndarray[tuple[int], np.dtype[np.uint8]], length: int
                  ) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """b[i+80] is the sum of b[i+tap]. Squaring that recurrence doubles its steps, and so how many bits it gives
        at once."""
        out = np.zeros(length + 80, dtype=np.uint8)
        out[:80] = stream
        known, step = 80, 1
        while known < length:
            while 80 * step * 2 <= known:
                step *= 2
            first = known - 80 * step
            count = min(18 * step, len(out) - known)
            for tap in cls._TAPS:
                out[known:known + count] ^= out[first + tap * step:first + tap * step + count]
            known += count
        return out[:length]

    def number(self) -> int:
        """254 bits."""
        self._at += 254
        if self._at > len(self._text):
            raise Misuse("the generator was asked for more than it drew")
        return int(self._text[self._at - 254:self._at], 2)

    def below_prime(self) -> int:
        """254 bits, those not below the prime passed over."""
        while (value := self.number()) >= R:
            pass
        return value
