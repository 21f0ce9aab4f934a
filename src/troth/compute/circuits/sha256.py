"""SHA-256 in a circuit (FIPS 180-4), a block at a time: some 27,000 constraints each, fewer where words are constants.

A word is its 32 bits, lowest first, each known to be 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from troth.compute.circuits.builder import ONE, ZERO, Builder, Lin, combine
from troth.core.errors import Misuse

Word = list[Lin]
WORD = 32


def _fractions(power: float, count: int) -> tuple[int, ...]:
    """The first 32 bits of the fractional parts of the roots of the first primes (FIPS 180-4, 4.2.2, 5.3.3)."""
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % below for below in range(2, math.isqrt(number) + 1)):
            found.append(_root(number, power))
        number += 1
    return tuple(value & 0xFFFFFFFF for value in found)


def _root(number: int, power: float) -> int:
    """floor(number**power * 2**32) in whole numbers, for a square or a cube root."""
    if power == 1 / 2:
        return math.isqrt(number << 64)
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number << 96 else (low, middle - 1)
    return low


ROUND = _fractions(1 / 3, 64)
START = _fractions(1 / 2, 8)


def constant_word(value: int) -> Word:
    """A word of the circuit."""
    return [Lin.of(value >> place & 1) for place in range(WORD)]


def words_of(data: bytes) -> list[Word]:
    """Words of bytes that everybody knows, big endian. Raises Misuse for a part of a word."""
    if len(data) % 4:
        raise Misuse("not whole words", expected="a multiple of 4 bytes", actual=len(data))
    return [constant_word(int.from_bytes(data[at:at + 4], "big")) for at in range(0, len(data), 4)]


def joined_words(words: Sequence[Word]) -> Lin:
    """The number that words spell, big endian. Free."""
    return combine([1 << WORD * (len(words) - 1 - at) + place for at in range(len(words)) for place in range(WORD)],
                   [bit for word in words for bit in word])


def compress(builder: Builder, state: Sequence[Word], block: Sequence[Word]) -> list[Word]:
    """The state after a block of 16 words (FIPS 180-4, 6.2.2)."""
    if len(state) != 8 or len(block) != 16:
        raise Misuse("not a state and a block", expected="8 and 16 words", actual=f"{len(state)} and {len(block)}")
    schedule = list(block)
    for at in range(16, 64):
        w15, w2 = schedule[at - 15], schedule[at - 2]
        s0 = _xor(builder, _right(w15, 7), _right(w15, 18), _shift(w15, 3))
        s1 = _xor(builder, _right(w2, 17), _right(w2, 19), _shift(w2, 10))
        schedule.append(_sum(builder, [schedule[at - 16], s0, schedule[at - 7], s1]))
    a, b, c, d, e, f, g, h = state
    for at in range(64):
        s1 = _xor(builder, _right(e, 6), _right(e, 11), _right(e, 25))
        chosen = [no + builder.product(which, yes - no) for which, yes, no in zip(e, f, g, strict=True)]
        s0 = _xor(builder, _right(a, 2), _right(a, 13), _right(a, 22))
        first = [h, s1, chosen, constant_word(ROUND[at]), schedule[at]]
        h, g, f = g, f, e
        e = _sum(builder, [d, *first])
        d, c, b, a = c, b, a, _sum(builder, [*first, s0, _majority(builder, a, b, c)])
    return [_sum(builder, [old, new]) for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


def _xor(builder: Builder, *words: Word) -> Word:
    found = words[0]
    for other in words[1:]:
        found = [a + b - builder.product(a, b) * 2 for a, b in zip(found, other, strict=True)]
    return found


def _majority(builder: Builder, a: Word, b: Word, c: Word) -> Word:
    found = []
    for x, y, z in zip(a, b, c, strict=True):
        both = builder.product(y, z)
        found.append(both + builder.product(x, y + z - both * 2))
    return found


def _right(word: Word, by: int) -> Word:
    return [*word[by:], *word[:by]]


def _shift(word: Word, by: int) -> Word:
    return [*word[by:], *[ZERO] * by]


def _sum(builder: Builder, words: Sequence[Word]) -> Word:
    """The sum modulo 2^32: its bits as wires, the carry's among them and dropped."""
    value = combine([1 << place for _ in words for place in range(WORD)], [bit for word in words for bit in word])
    if value.constant is not None:
        return constant_word(value.constant)
    count = WORD + (len(words) - 1).bit_length()
    found = builder.hint(_Bits(count), (value,), count)
    for bit in found:
        builder.require(bit, ONE - bit, ZERO)
    builder.equal(combine([1 << place for place in range(count)], found), value)
    return found[:WORD]


class _Bits:
    """The bits of a value, lowest first."""

    __slots__ = ("places",)

    def __init__(self, count: int) -> None:
        self.places = range(count)

    def __call__(self, value: int) -> list[int]:
        return [value >> place & 1 for place in self.places]
