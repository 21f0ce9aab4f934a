"""Merkle trees of Poseidon, and the proof in a circuit that something is in one.

A tree has a fixed depth; places beyond what was given hold 0. A leaf is whatever element the caller commits to: hash it
first where it could be an inner node of another tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from troth.compute.circuits.builder import Builder, Lin
from troth.compute.circuits.gadgets import bits, select
from troth.compute.circuits.poseidon import poseidon, poseidon_lin
from troth.core.errors import BadInput, Misuse

MAX_DEPTH = 32


class PoseidonTree:
    """A tree of ``2**depth`` places, of which the first hold ``leaves``."""

    def __init__(self, leaves: Sequence[int], depth: int) -> None:
        if not 1 <= depth <= MAX_DEPTH or len(leaves) > 1 << depth:
            raise BadInput("the leaves do not fit the tree", expected=f"at most {1 << min(depth, MAX_DEPTH)}",
                           actual=len(leaves))
        self._empty = [0]
        self._levels = [list(leaves)]
        for _ in range(depth):
            below, empty = self._levels[-1], self._empty[-1]
            padded = [*below, empty] if len(below) % 2 else below
            self._levels.append([poseidon(padded[at:at + 2]) for at in range(0, len(padded), 2)])
            self._empty.append(poseidon([empty, empty]))

    @property
    def root(self) -> int:
        """What a commitment to the leaves is."""
        return self._levels[-1][0] if self._levels[-1] else self._empty[-1]

    def siblings(self, place: int) -> list[int]:
        """What stands beside the path from a place to the root, lowest first. Raises Misuse beyond the leaves."""
        if not 0 <= place < len(self._levels[0]):
            raise Misuse("no such leaf", expected=f"0..{len(self._levels[0]) - 1}", actual=place)
        found = []
        for level, empty in zip(self._levels[:-1], self._empty, strict=False):
            beside = place ^ 1
            found.append(level[beside] if beside < len(level) else empty)
            place >>= 1
        return found


def merkle_root(builder: Builder, leaf: Lin, place: Lin, siblings: Sequence[Lin]) -> Lin:
    """The root above ``leaf`` at ``place``, proven in 0..2**depth - 1. 242 constraints a level."""
    found = leaf
    for right, sibling in zip(bits(builder, place, len(siblings)), siblings, strict=True):
        first = select(builder, right, sibling, found)
        found = poseidon_lin(builder, [first, found + sibling - first])
    return found
