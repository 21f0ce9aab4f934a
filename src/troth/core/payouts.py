"""Payout trees: many payees under one root (docs/reference/deals.md, section 9), as OpenZeppelin's MerkleProof reads.

Leaves are ``troth.core.terms.payout_leaf``; an inner node is keccak-256 of its two children, the smaller first, so a
proof needs no directions; a node without a sibling moves up unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

from troth.core.encoding import keccak256
from troth.core.errors import BadInput


class PayoutTree:
    """The tree over ``leaves`` (32 bytes each, at least one). Raises BadInput for none or for other sizes."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves or any(len(leaf) != 32 for leaf in leaves):
            raise BadInput("not the leaves of a payout tree", expected="at least one, 32 bytes each")
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            level = self._levels[-1]
            above = [_pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            self._levels.append([*above, level[-1]] if len(level) % 2 else above)

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._levels[-1][0]

    def proof(self, place: int) -> tuple[bytes, ...]:
        """The siblings from leaf ``place`` to the root. Raises BadInput for a place that is not there."""
        if not 0 <= place < len(self._levels[0]):
            raise BadInput("no such leaf", expected=f"0 to {len(self._levels[0]) - 1}", actual=place)
        found = []
        for level in self._levels[:-1]:
            if place ^ 1 < len(level):
                found.append(level[place ^ 1])
            place //= 2
        return tuple(found)


def proves(leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` leads from ``leaf`` to ``root``."""
    for sibling in proof:
        leaf = _pair(leaf, sibling)
    return leaf == root


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak256(one + other if one < other else other + one)
