"""RFC 6962 Merkle trees: roots, inclusion, consistency, and proofs for many leaves at once.

A tree of n leaves is a function ``node(level, index)`` giving the hash of the complete subtree of 2**level leaves
that starts at leaf index * 2**level; every proof is built from those alone, so tiles on disk and lists in memory
share this code. Verification never trusts a length it was told: every surplus or missing hash is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256 as _sha256

from troth.core.errors import BadInput, Refuted

Node = Callable[[int, int], bytes]

EMPTY_ROOT = _sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf's data (RFC 6962 section 2.1: 0x00 prefix)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962 section 2.1: 0x01 prefix)."""
    return _sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2): where RFC 6962 splits a tree."""
    return 1 << ((size - 1).bit_length() - 1)


def levels(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Hashes of all complete subtrees, by level; the last level has one entry (none for an empty tree)."""
    rows = [list(leaf_hashes)]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([_sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)])
    return rows


def node_of(leaf_hashes: Sequence[bytes]) -> Node:
    """``node(level, index)`` over hashes held in memory."""
    rows = levels(leaf_hashes)
    return lambda level, index: rows[level][index]


def root(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over leaf data."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def root_of_hashes(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root of the tree over leaf hashes."""
    return range_hash(0, len(leaf_hashes), node_of(leaf_hashes)) if leaf_hashes else EMPTY_ROOT


def range_hash(low: int, high: int, node: Node) -> bytes:
    """Hash of the RFC 6962 tree over leaves [low, high); ``low`` must start a subtree of that size."""
    size = high - low
    level = size.bit_length() - 1
    if size == 1 << level:
        return node(level, low >> level)
    middle = low + split(size)
    return node_hash(range_hash(low, middle, node), range_hash(middle, high, node))


def root_at(size: int, node: Node) -> bytes:
    """Root of the tree of the first ``size`` leaves."""
    return range_hash(0, size, node) if size else EMPTY_ROOT


def _inclusion_ranges(index: int, size: int) -> list[tuple[bool, int, int]]:
    """The path from leaf to root as (sibling is on the left, low, high)."""
    if not 0 <= index < size:
        raise BadInput("leaf index outside the tree", expected=f"0 to {size - 1}", actual=index)
    path, low, high = [], 0, size
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            path.append((False, middle, high))
            high = middle
        else:
            path.append((True, low, middle))
            low = middle
    return path[::-1]


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Audit path of leaf ``index`` in the tree of ``size`` leaves, leaf to root (RFC 6962 section 2.1.1)."""
    return [range_hash(low, high, node) for _, low, high in _inclusion_ranges(index, size)]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that this path leads to from the leaf *hash*. Raises Refuted for a path of the wrong length."""
    ranges = _inclusion_ranges(index, size)
    if len(path) != len(ranges):
        raise Refuted("inclusion path of the wrong length", expected=len(ranges), actual=len(path))
    for (on_left, _, _), sibling in zip(ranges, path, strict=True):
        leaf = node_hash(sibling, leaf) if on_left else node_hash(leaf, sibling)
    return leaf


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> None:
    """Refuted unless the leaf *hash* is at ``index`` of the tree with root ``expected``."""
    found = root_from_inclusion(leaf, index, size, path)
    if found != expected:
        raise Refuted("leaf is not in the tree", expected=f"root {expected.hex()}", actual=found.hex())


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """Proof that the tree of ``old`` leaves is a prefix of that of ``new`` (RFC 6962 section 2.1.2)."""
    if not 0 <= old <= new:
        raise BadInput("no consistency proof runs backwards", expected=f"old size at most {new}", actual=old)
    if old in (0, new):
        return []

    def walk(m: int, low: int, high: int, whole: bool) -> list[bytes]:
        if m == high - low:
            return [] if whole else [range_hash(low, high, node)]
        k = split(high - low)
        if m <= k:
            return [*walk(m, low, low + k, whole), range_hash(low + k, high, node)]
        return [*walk(m - k, low + k, high, False), range_hash(low, low + k, node)]

    return walk(old, 0, new, True)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Refuted unless the tree of ``new`` leaves extends that of ``old`` (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= new:
        raise Refuted("a log never shrinks", expected=f"size at least {old}", actual=new)
    if old == new or old == 0:
        first = EMPTY_ROOT if old == 0 else new_root
        if path or old_root != first:
            raise Refuted("trees of one size with different roots" if old == new else "wrong proof from an empty tree",
                          expected=first.hex(), actual=old_root.hex())
        return
    rest = iter(path)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    try:
        first = second = next(rest) if fn else old_root
        while sn:
            if fn & 1 or fn == sn:
                sibling = next(rest)
                first, second = node_hash(sibling, first), node_hash(sibling, second)
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
            else:
                second = node_hash(second, next(rest))
            fn, sn = fn >> 1, sn >> 1
    except StopIteration:
        raise Refuted("consistency proof too short") from None
    if next(rest, None) is not None:
        raise Refuted("consistency proof too long")
    if (first, second) != (old_root, new_root):
        raise Refuted("the newer tree does not extend the older", expected=f"{old_root.hex()}, {new_root.hex()}",
                      actual=f"{first.hex()}, {second.hex()}")


def multi_proof(indices: Sequence[int], size: int, node: Node) -> list[bytes]:
    """Hashes of the largest subtrees that hold none of the (ascending, distinct) leaves, left to right."""
    if not indices or list(indices) != sorted(set(indices)) or not 0 <= indices[0] <= indices[-1] < size:
        raise BadInput("leaf indices must be ascending, distinct and inside the tree", actual=list(indices)[:5])
    proof: list[bytes] = []
    stack = [(0, size, 0, len(indices))]  # leaves [low, high) and which of the indices lie there
    while stack:
        low, high, first, last = stack.pop()
        if first == last:
            proof.append(range_hash(low, high, node))
        elif last - first < high - low:
            middle = low + split(high - low)
            cut = first
            while cut < last and indices[cut] < middle:
                cut += 1
            stack.append((middle, high, cut, last))
            stack.append((low, middle, first, cut))
    return proof


def root_from_multi(size: int, leaves: Iterable[tuple[int, bytes]], proof: Iterable[bytes]) -> bytes:
    """The root that these (index, leaf *hash*) pairs, ascending, and this proof lead to, in one pass.

    Memory grows with the tree's depth only. Raises Refuted for disorder, and for surplus or missing hashes.
    """
    hashes = iter(proof)
    peaks: list[bytes] = []  # the complete subtrees left of ``at`` that are not part of a larger one yet
    at = 0
    for index, found in leaves:
        if index >= size:
            raise Refuted("leaf outside the tree", expected=f"index below {size}", actual=index)
        if index != at:
            _fill(peaks, at, index, size, hashes)
        carry = index
        while carry & 1:
            found = _sha256(b"\x01" + peaks.pop() + found).digest()
            carry >>= 1
        peaks.append(found)
        at = index + 1
    if not at:
        raise Refuted("a proof for no leaves proves nothing")
    _fill(peaks, at, size, size, hashes)
    if next(hashes, None) is not None:
        raise Refuted("proof for many leaves is too long")
    found = peaks.pop()
    while peaks:
        found = node_hash(peaks.pop(), found)
    return found


def _fill(peaks: list[bytes], at: int, end: int, size: int, hashes: Iterator[bytes]) -> None:
    """Take the hashes of the largest subtrees that make up the leaves [at, end), which are not shown."""
    if end < at:
        raise Refuted("leaves out of order in a proof", expected=f"index {at} or later", actual=end)
    while at < end:
        level = 0
        while not at >> level & 1 and (at + (1 << level) < size) and min(at + (2 << level), size) <= end:
            level += 1
        found = next(hashes, None)
        if found is None:
            raise Refuted("proof for many leaves is too short")
        carry = at >> level
        at += 1 << level
        while carry & 1 and at <= size:  # the last subtree may be cut off by the tree's end: it closes nothing
            found = node_hash(peaks.pop(), found)
            carry >>= 1
        peaks.append(found)


class Frontier:
    """A growing tree that keeps only its right edge: append leaf hashes, ask for the root. O(log n) memory."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        if len(edge) != size.bit_count():
            raise BadInput("wrong frontier", expected=f"{size.bit_count()} hashes", actual=len(edge))
        self.size = size
        self._edge = list(edge)

    @property
    def edge(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees, largest first."""
        return tuple(self._edge)

    def append(self, leaf: bytes) -> None:
        """Add one leaf *hash*."""
        carry = self.size
        while carry & 1:
            leaf = _sha256(b"\x01" + self._edge.pop() + leaf).digest()
            carry >>= 1
        self._edge.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many leaf *hashes*."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The root now."""
        edges: Iterator[bytes] = reversed(self._edge)
        found = next(edges, EMPTY_ROOT)
        for left in edges:
            found = node_hash(left, found)
        return found
