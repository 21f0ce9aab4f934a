"""Receipt proofs: that a transaction's events are part of the chain that a pinned block hash names, offline.

A proof holds the headers from the receipt's block up to the pinned block, and the nodes of the receipts trie from
that block's root to the receipt. Whoever trusts the pinned hash can check it with keccak and RLP alone; nothing here
imports an EVM or web3. Its steps, in order:

1. the last header hashes to the pinned block hash;
2. each header names the hash of the one before it as its parent, and its number follows;
3. the trie nodes lead, each by the hash that the one above it holds, from the first header's receipts root along the
   receipt's index to a value, and every node is used;
4. that value is the receipt.

What it does not prove: which transaction the receipt belongs to (a receipt does not carry it: look at the events'
contract and content), nor that the pinned block is final, nor that timestamps are true: on a chain with one operator
they are its operator's word.

Source: yellow paper, appendix D (modified Merkle Patricia tries); EIP-2718.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_hash.auto import keccak

from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted
from troth.ledger.chains import rlpcodec as rlp
from troth.ledger.chains.blocks import EMPTY_TRIE_ROOT, Header, Log, Receipt, hex_bytes, quantity
from troth.ledger.chains.rpc import event_of, request, understood
from troth.ledger.chains.tries import Tries

if TYPE_CHECKING:
    from web3 import Web3

MAX_HEADERS = 1 << 20
MAX_NODES = 64
"""A path in a trie of RLP integers is never longer than this."""
MAX_INDEX = 1 << 32


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a checked proof says: the events in order, the block they are in, its time (Unix s), and success."""

    logs: tuple[Log, ...]
    block_number: int
    timestamp: int
    status: bool


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """headers: RLP, from the receipt's block to the pinned one. nodes: RLP of trie nodes, root first. index: of the
    transaction in its block. receipt: its encoding, with its type byte where it has one.
    """

    headers: tuple[bytes, ...]
    nodes: tuple[bytes, ...]
    index: int
    receipt: bytes

    def to_json(self) -> dict[str, object]:
        """As a JSON object: lowercase hex, and the index as an integer."""
        return {
            "headers": [header.hex() for header in self.headers],
            "index": self.index,
            "nodes": [node.hex() for node in self.nodes],
            "receipt": self.receipt.hex(),
        }

    @classmethod
    def from_json(cls, value: object) -> ReceiptProof:
        """The proof in a JSON object; exactly what :meth:`to_json` writes is read. Raises BadInput."""
        if not isinstance(value, Mapping) or set(value) != {"headers", "index", "nodes", "receipt"}:
            raise BadInput("not a receipt proof", expected="an object of headers, index, nodes, receipt")
        index = value["index"]
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < MAX_INDEX:
            raise BadInput("a receipt proof's index is none", expected=f"0 to {MAX_INDEX - 1}", actual=repr(index)[:40])
        headers, nodes = _hexes(value["headers"], MAX_HEADERS), _hexes(value["nodes"], MAX_NODES)
        return cls(headers, nodes, index, _hex(value["receipt"]))


def _hexes(value: object, most: int) -> tuple[bytes, ...]:
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= most:
        raise BadInput("a receipt proof's list is missing, empty or too long", expected=f"1 to {most} hex strings")
    return tuple(_hex(item) for item in value)


def _hex(value: object) -> bytes:
    try:
        data = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if not data or data.hex() != value:
        raise BadInput("not lowercase hex of at least one byte", actual=repr(value)[:40])
    return data


def verify_receipt(proof: ReceiptProof, block_hash: bytes) -> VerifiedReceipt:
    """Check ``proof`` against the pinned ``block_hash`` (32 bytes) and return what it proves.

    Raises Refuted, naming the step, where the evidence contradicts itself or the pinned hash; BadInput for bytes that
    hash as they should and yet are no header, node or receipt.
    """
    if len(block_hash) != 32:
        raise BadInput("a block hash has the wrong length", expected="32 bytes", actual=len(block_hash))
    if not proof.headers or not proof.nodes:
        raise BadInput("a receipt proof without headers or nodes", expected="at least one of each")
    first = _walk_headers(proof.headers, block_hash)  # steps 1 and 2
    value = _walk_trie(proof.nodes, first.receipts_root, rlp.encode(rlp.integer(proof.index)))  # step 3
    if value != proof.receipt:  # step 4
        raise Refuted("step 4: the receipt is not the one in the block's trie")
    receipt = Receipt.decode(proof.receipt)
    return VerifiedReceipt(receipt.logs, first.number, first.timestamp, receipt.status)


def receipt_below(header: bytes, nodes: Sequence[bytes], index: int) -> Receipt:
    """Step 3 alone: the receipt of transaction ``index`` in the block of ``header`` (RLP), by the trie nodes given.

    Raises Refuted or BadInput. Says nothing about the header itself: somebody must vouch for its hash.
    """
    if not nodes:
        raise Refuted("step 3: a receipt proof without trie nodes", expected="at least one")
    return Receipt.decode(_walk_trie(nodes, Header.decode(header).receipts_root, rlp.encode(rlp.integer(index))))


def _walk_headers(headers: Sequence[bytes], block_hash: bytes) -> Header:
    """The first header, after checking that all of them lead up to ``block_hash``."""
    digest = bytes(keccak(headers[-1]))
    if digest != block_hash:
        raise Refuted("step 1: the last header is not the pinned block", expected=block_hash.hex(), actual=digest.hex())
    child = Header.decode(headers[-1])
    for raw in reversed(headers[:-1]):
        digest = bytes(keccak(raw))
        if digest != child.parent_hash:
            raise Refuted(
                f"step 2: a header is not the parent of block {child.number}",
                expected=child.parent_hash.hex(),
                actual=digest.hex(),
            )
        header = Header.decode(raw)
        if header.number + 1 != child.number:
            raise Refuted("step 2: block numbers do not follow", expected=child.number - 1, actual=header.number)
        child = header
    return child


def _walk_trie(nodes: Sequence[bytes], root: bytes, key: bytes) -> bytes:
    """The value that ``nodes`` hold under ``key``, from ``root`` down; every node is used, in order."""
    path = [nibble for byte in key for nibble in (byte >> 4, byte & 15)]
    at, expected, waiting = 0, root, list(nodes)
    while True:
        if not waiting:
            raise Refuted("step 3: the trie nodes end before the receipt", expected=f"a node of hash {expected.hex()}")
        raw = waiting.pop(0)
        digest = bytes(keccak(raw))
        if digest != expected:
            raise Refuted("step 3: a trie node has another hash", expected=expected.hex(), actual=digest.hex())
        node = rlp.decode_list(raw)
        while True:  # a child below 32 bytes stands inside its parent
            child, at = _step(node, path, at)
            if at < 0 or isinstance(child, bytes):
                break
            node = tuple(child)
        if at < 0:
            break
        expected = rlp.as_bytes(child, "a reference to a trie node", 32)
    if waiting:
        raise Refuted("step 3: the proof holds trie nodes that lead nowhere", expected="0 more", actual=len(waiting))
    return rlp.as_bytes(child, "a trie's value")


def _step(node: Sequence[rlp.Item], path: Sequence[int], at: int) -> tuple[rlp.Item, int]:
    """One node down: (child or value, how much of the path is used; -1 once this is the value)."""
    if len(node) == 17:
        if at == len(path):
            child, after = node[16], -1
        else:
            child, after = node[path[at]], at + 1
        if child == b"":
            raise Refuted("step 3: the block has no receipt at this index")
        return child, after
    if len(node) != 2:
        raise BadInput("a trie node has the wrong number of items", expected="2 or 17", actual=len(node))
    fragment, leaf = _fragment(rlp.as_bytes(node[0], "a trie node's path"))
    if list(path[at : at + len(fragment)]) != fragment or (leaf and at + len(fragment) != len(path)):
        raise Refuted("step 3: the block has no receipt at this index")
    return node[1], -1 if leaf else at + len(fragment)


def _fragment(encoded: bytes) -> tuple[list[int], bool]:
    """(nibbles, whether it ends in a leaf) of a hex-prefix encoded path (yellow paper, appendix C)."""
    flag = encoded[0] >> 4 if encoded else 4
    if flag > 3 or (not flag & 1 and encoded[0] & 15):
        raise BadInput("a trie node's path is not hex-prefix encoded")
    nibbles = [nibble for byte in encoded for nibble in (byte >> 4, byte & 15)]
    return nibbles[1 if flag & 1 else 2 :], bool(flag & 2)


def prove_receipt(web3: Web3, tx_hash: bytes, upto_block: int) -> ReceiptProof:
    """The proof that ``tx_hash``'s receipt is below block ``upto_block``, from any chain's JSON-RPC.

    Raises Misuse for an unknown transaction or a block before it, OutsideFailed if what the node tells does not hash
    to its own block hashes.
    """
    entry = request(web3, "eth_getTransactionReceipt", "0x" + tx_hash.hex())
    if entry is None:
        raise Misuse("the chain has no receipt of this transaction", actual=tx_hash.hex(), do="Has it been mined?")
    with understood("eth_getTransactionReceipt"):
        number, index = quantity(entry["blockNumber"]), quantity(entry["transactionIndex"])
    if upto_block < number:
        raise Misuse("the pinned block is before the receipt's", expected=f"{number} or later", actual=upto_block)
    with understood("eth_getBlockByNumber"):
        held = request(web3, "eth_getBlockByNumber", hex(number), False)["transactions"]
        if hex_bytes(held[index], 32) != tx_hash:
            raise OutsideFailed(f"the node's block {number} does not hold this transaction where its receipt says",
                                expected=tx_hash.hex(), actual=held[index], do="Ask another node.")
    headers = tuple(header_at(web3, at) for at in range(number, upto_block + 1))
    with understood("eth_getBlockReceipts"):
        receipts = [encoded(found) for found in request(web3, "eth_getBlockReceipts", hex(number))]
        receipt, nodes = receipts[index], _branch(receipts, index)
    if keccak(nodes[0]) != Header.decode(headers[0]).receipts_root:
        raise OutsideFailed(f"the node's receipts of block {number} do not hash to its receipts root")
    return ReceiptProof(headers, nodes, index, receipt)


def header_at(web3: Web3, number: int) -> bytes:
    """A block's header as RLP, checked against the hash that the node gives. Raises Misuse, OutsideFailed."""
    block = request(web3, "eth_getBlockByNumber", hex(number), False)
    if block is None:
        raise Misuse("the chain does not reach the pinned block yet", actual=number)
    with understood("eth_getBlockByNumber"):
        raw, digest = Header.from_json(block).encode(), hex_bytes(block["hash"], 32)
    if keccak(raw) != digest:
        raise OutsideFailed(f"block {number} does not hash to its own hash", do="Is the node's fork newer than Troth?")
    return raw


def encoded(entry: Mapping[str, Any]) -> bytes:
    """The bytes of a JSON-RPC receipt, as the receipts trie holds them. Raises BadInput."""
    logs = tuple(event_of(log).log for log in entry["logs"])
    kind, gas = quantity(entry.get("type") or 0), quantity(entry["cumulativeGasUsed"])
    return Receipt(kind, quantity(entry["status"]) == 1, gas, logs).encode()


def _branch(values: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The trie nodes from the root of ``values`` by their index to the one at ``index``."""
    tries, root = _tries(values)
    return tries.prove(root, rlp.encode(rlp.integer(index)))


def receipts_root(values: Sequence[bytes]) -> bytes:
    """The root of the trie of a block's encoded receipts."""
    return _tries(values)[1]


def _tries(values: Sequence[bytes]) -> tuple[Tries, bytes]:
    table: dict[bytes, bytes] = {}
    tries = Tries(table.get, table.__setitem__)
    keyed = {rlp.encode(rlp.integer(at)): value for at, value in enumerate(values)}
    return tries, tries.update(EMPTY_TRIE_ROOT, keyed)
