"""Modified Merkle Patricia tries over a table of nodes: reading, changing many keys at once, and proving.

Source: yellow paper, appendix D. Own code because the usual package rehashes a node for each key that passes it and
decodes it again for each read; here a batch hashes each changed node once, and decoded nodes are kept. Keys must be
free of prefixes of each other, as hashes are, and RLP integers: no branch ever holds a value.

A node in memory is (LEAF, path, value), (EXTENSION, path, child) or (BRANCH, sixteen children): a tuple as read, a
list once changed. A path is a string of hex digits. A child is a node, its hash (32 bytes), or empty bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from eth_hash.auto import keccak
from lru import LRU

from troth.core.errors import BadInput, OutsideFailed
from troth.ledger.chains import rlpcodec as rlp
from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT

LEAF, EXTENSION, BRANCH = 0, 1, 2
Node: TypeAlias = Any
"""See the module: three shapes of mixed tuples and lists, which static types would only obscure."""
NOTHING = b""
DIGIT = {digit: at for at, digit in enumerate("0123456789abcdef")}
CACHED = 1 << 15


class Tries:
    """All tries over one table. ``read`` gives a node's RLP by its hash, or None; ``write`` keeps one."""

    def __init__(self, read: Callable[[bytes], bytes | None], write: Callable[[bytes, bytes], None]) -> None:
        self._read, self._write = read, write
        self._decoded: LRU[bytes, Node] = LRU(CACHED)

    def get(self, root: bytes, key: bytes) -> bytes:
        """The value under ``key``; empty if there is none. Raises OutsideFailed if a node is missing."""
        node: Node = self._root(root)
        path = key.hex()
        while node is not None:
            if node[0] == BRANCH:
                node, path = self._open(node[1][DIGIT[path[0]]]), path[1:]
            elif node[0] == LEAF:
                return bytes(node[2]) if node[1] == path else NOTHING
            elif path.startswith(node[1]):
                node, path = self._open(node[2]), path[len(node[1]) :]
            else:
                break
        return NOTHING

    def update(self, root: bytes, changes: Mapping[bytes, bytes]) -> bytes:
        """The root after setting each key to its value (empty: deleting it). Past roots stay readable."""
        node: Node = NOTHING if root == EMPTY_TRIE_ROOT else root
        for key, value in changes.items():
            node = self._put(node, key.hex(), value) if value else self._delete(node, key.hex())
        if isinstance(node, bytes):
            return node or EMPTY_TRIE_ROOT
        item, shape = self._item(node)
        return self._keep(rlp.encode(item), shape)

    def prove(self, root: bytes, key: bytes) -> tuple[bytes, ...]:
        """The RLP of the nodes from ``root`` to ``key``'s value, without those that stand inside their parent."""
        nodes, path, child = [], key.hex(), root
        while child:
            if isinstance(child, bytes):
                nodes.append(self._read(child) or NOTHING)
            node = self._open(child)
            if node is None or node[0] == LEAF:
                break
            if node[0] == BRANCH:
                child, path = node[1][DIGIT[path[0]]], path[1:]
            else:
                child, path = node[2], path[len(node[1]) :]
        return tuple(nodes)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _root(self, root: bytes) -> Node | None:
        return None if root == EMPTY_TRIE_ROOT else self._open(root)

    def _open(self, child: Node) -> Node | None:
        """The node of a child; None if there is none."""
        if not isinstance(child, bytes):
            return child
        if not child:
            return None
        node = self._decoded.get(child)
        if node is None:
            raw = self._read(child)
            if raw is None:
                raise OutsideFailed(f"the chain's state lacks node {child.hex()}", do="Restore the file from a copy")
            node = self._decoded[child] = _shape(rlp.decode_list(raw))
        return node

    # -- changing --------------------------------------------------------------------------------------------------

    def _put(self, child: Node, path: str, value: bytes) -> Node:
        node = self._open(child)
        if node is None:
            return [LEAF, path, value]
        if node[0] == BRANCH:
            children = node[1] if isinstance(node, list) else list(node[1])
            at = DIGIT[path[0]]
            children[at] = self._put(children[at], path[1:], value)
            return node if isinstance(node, list) else [BRANCH, children]
        mine = node[1]
        shared = _shared(mine, path)
        if shared == len(mine):
            if node[0] == LEAF:
                return [LEAF, path, value]
            return [EXTENSION, mine, self._put(node[2], path[shared:], value)]
        children = [NOTHING] * 16
        rest = mine[shared + 1 :]
        keep_whole = node[0] == EXTENSION and not rest
        children[DIGIT[mine[shared]]] = node[2] if keep_whole else [node[0], rest, node[2]]
        children[DIGIT[path[shared]]] = [LEAF, path[shared + 1 :], value]
        return [EXTENSION, path[:shared], [BRANCH, children]] if shared else [BRANCH, children]

    def _delete(self, child: Node, path: str) -> Node:
        """The child without ``path``; ``child`` itself if it never held it."""
        node = self._open(child)
        if node is None:
            return child
        if node[0] == LEAF:
            return NOTHING if node[1] == path else child
        if node[0] == EXTENSION:
            if not path.startswith(node[1]):
                return child
            below = self._delete(node[2], path[len(node[1]) :])
            return child if below is node[2] else self._join(node[1], below)
        at = DIGIT[path[0]]
        below = self._delete(node[1][at], path[1:])
        if below is node[1][at]:
            return child
        children = list(node[1])
        children[at] = below
        taken = [index for index, other in enumerate(children) if other]
        return self._join(f"{taken[0]:x}", children[taken[0]]) if len(taken) == 1 else [BRANCH, children]

    def _join(self, prefix: str, child: Node) -> Node:
        """``child`` with ``prefix`` before it: a branch gets an extension, the others a longer path."""
        node = self._open(child)
        if node is None:
            return NOTHING
        return [EXTENSION, prefix, child] if node[0] == BRANCH else [node[0], prefix + node[1], node[2]]

    # -- writing ---------------------------------------------------------------------------------------------------

    def _item(self, node: Node) -> tuple[rlp.Item, Node]:
        """A node as RLP has it, and as it will be read; whatever below it is new is written."""
        if node[0] == BRANCH:
            pairs = [(child, child) if isinstance(child, bytes) else self._reference(child) for child in node[1]]
            items, shapes = zip(*pairs, strict=True)
            return (*items, NOTHING), (BRANCH, shapes)
        if node[0] == LEAF:
            return (_packed(node[1], 2), node[2]), (LEAF, node[1], node[2])
        child = node[2]
        item, shape = (child, child) if isinstance(child, bytes) else self._reference(child)
        return (_packed(node[1], 0), item), (EXTENSION, node[1], shape)

    def _reference(self, node: Node) -> tuple[rlp.Item, Node]:
        """What a parent holds of a node, as RLP and as read: its hash, or itself where that is no longer."""
        item, shape = self._item(node)
        raw = rlp.encode(item)
        if len(raw) < 32:
            return item, shape
        digest = self._keep(raw, shape)
        return digest, digest

    def _keep(self, raw: bytes, shape: Node) -> bytes:
        digest = bytes(keccak(raw))
        self._write(digest, raw)
        self._decoded[digest] = shape
        return digest


def _shared(one: str, other: str) -> int:
    """How many digits two paths begin with in common."""
    for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return at
    return min(len(one), len(other))


def _packed(path: str, flag: int) -> bytes:
    """Hex-prefix encoding (yellow paper, appendix C); flag: 2 for a leaf, 0 for an extension."""
    return bytes.fromhex(f"{flag + 1}{path}" if len(path) & 1 else f"{flag}0{path}")


def _shape(item: rlp.Item) -> Node:
    """A node as read."""
    if isinstance(item, bytes):
        return item
    if len(item) == 17:
        return (BRANCH, tuple(_shape(child) for child in item[:16]))
    if len(item) != 2 or not isinstance(item[0], bytes) or not item[0]:
        raise BadInput("a trie node has another shape", expected="2 or 17 items", actual=len(item))
    path = item[0].hex()
    flag = int(path[0])
    path = path[1 if flag & 1 else 2 :]
    return (LEAF, path, item[1]) if flag & 2 else (EXTENSION, path, _shape(item[1]))
