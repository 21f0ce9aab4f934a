"""Anchored(k): a claim was anchored on another chain, by k of n witnesses of one of its blocks. Twin of ``Anchored``.

The claimant brings a proof: a block's header, its receipt of the anchoring transaction (by the receipts trie), and the
claim's inclusion in the anchored root. Each witness then says whether that block is a final one of that chain. The
proof needs nobody's word; that the block is the chain's, and final, is the word of k witnesses and nothing else
(docs/reference/across-chains.md).

For blocks that no honest chain makes (RLP in another spelling) the two twins may differ in what they refuse; k
witnesses would have to vouch for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.core import merkle
from troth.core.deals import Question
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.terms import NO_PARAM, REFUTED, SUBMISSION, UPHELD, Account, Result, Rung
from troth.core.typed_data import block_digest
from troth.identity.keys import Secp256k1KeyPair, recover_account
from troth.ledger.anchors import AnchorEvent, event_topic
from troth.ledger.chains.blocks import Header, hex_bytes, quantity
from troth.ledger.chains.rpc import request
from troth.ledger.receipts import prove_receipt, receipt_below
from troth.verify.policies.voices import elect, read, submissions

if TYPE_CHECKING:
    from web3 import Web3

    from troth.ledger.chains import Chain

SHOWN = "(uint256,bytes32,address,address,bytes32,bytes32)"
PROOF = f"({SHOWN},bytes32,uint64,bytes32[],uint64,uint16,bytes,bytes[])"
MAX_PART = 4096
MAX_PARTS = 4
MAX_SHOWN = 4
NOT_FINAL = bytes(32)
"""What a witness submits that does not hold the block for final, or knows none such. It needs no signature."""
_NO = bytes(31) + b"\1"
_SIGNED, _STATEMENT = 97, 98


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be shown; its hash is the rung's param. origin: the Keccak-256 of the log's origin line."""

    chain_id: int
    genesis: bytes
    anchor: Account
    owner: Account
    origin: bytes
    claim: bytes

    def abi(self) -> tuple[Any, ...]:
        return (self.chain_id, self.genesis, self.anchor, self.owner, self.origin, self.claim)

    def param(self) -> bytes:
        """The param of a rung that asks for this, 32 bytes."""
        words = (self.chain_id.to_bytes(32, "big"), self.genesis, self.anchor.rjust(32, b"\0"),
                 self.owner.rjust(32, b"\0"), self.origin, self.claim)
        return keccak256(b"".join(words))


@dataclass(frozen=True, slots=True)
class Proof:
    """What the claimant brings. seal: the other half of the claim's leaf. place: of the claim in the log. path: from
    its leaf to the anchored root. index: of the transaction in the block. log: of the event in the receipt. header:
    RLP of the block. nodes: RLP of the receipts trie's nodes, root first.
    """

    shown: Shown
    seal: bytes
    place: int
    path: tuple[bytes, ...]
    index: int
    log: int
    header: bytes
    nodes: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The proof's one encoding."""
        # Imported here: eth_abi takes 0.2 s to load, and most commands never touch a deal.
        from eth_abi.abi import encode

        return encode((PROOF,), ((self.shown.abi(), self.seal, self.place, self.path, self.index, self.log,
                                  self.header, self.nodes),))

    @classmethod
    def from_bytes(cls, data: bytes) -> Proof | None:
        """The proof that these bytes are the encoding of, or None."""
        found = read((PROOF,), data)
        if found is None:
            return None
        value: Any = found[0]
        shown, seal, place, path, index, log, header, nodes = value
        chain_id, genesis, anchor, owner, origin, claim = shown
        what = Shown(chain_id, genesis, bytes.fromhex(anchor[2:]), bytes.fromhex(owner[2:]), origin, claim)
        return cls(what, seal, place, tuple(path), index, log, header, tuple(nodes))

    def parts(self, slots: int) -> tuple[bytes, ...]:
        """The encoding cut for an ask of this many slots: what to submit to each. Raises Misuse if it does not fit."""
        data = self.to_bytes()
        if len(data) > slots * MAX_PART:
            raise Misuse("this proof does not fit its ask", expected=f"at most {slots * MAX_PART} bytes",
                         actual=len(data), do="Ask for the proof in more slots.")
        return tuple(data[MAX_PART * at : MAX_PART * (at + 1)] for at in range(slots))


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the other chain, as witnesses sign it: "this is a final block of that chain"."""

    chain_id: int
    genesis: bytes
    number: int
    hash: bytes

    def digest(self, other: bytes | None = None) -> bytes:
        """What a witness signs (EIP-712); ``other``: for another hash at this number."""
        return block_digest(self.chain_id, self.genesis, self.number, self.hash if other is None else other)


@dataclass(frozen=True, slots=True)
class Statement:
    """A witness's signature over a hash, given elsewhere: shown to contradict what it says here. seat: on the bench."""

    seat: int
    hash: bytes
    signature: bytes


def witness_data(block: Block, key: Secp256k1KeyPair, shown: Sequence[Statement] = ()) -> bytes:
    """What a witness submits that holds the block for final. shown: statements of others for the same number.

    Sign only what your own node says is final: two hashes at one number are proof against you, here and elsewhere.
    """
    return block.hash + key.sign_digest(block.digest()) + _joined(shown)


def not_final_data(shown: Sequence[Statement] = ()) -> bytes:
    """What a witness submits that does not hold the block for final."""
    return NOT_FINAL + _joined(shown)


def is_final(chain: Chain, block: Block) -> bool:
    """Whether a witness's own node holds this block for final: of its chain, and not above what it calls finalized.

    What a witness must ask before it signs. Raises OutsideFailed where the node does not answer.
    """
    finalized = chain.finality().finalized
    if (chain.chain_id, chain.genesis_hash) != (block.chain_id, block.genesis):
        return False
    if finalized is None or finalized.number < block.number:
        return False
    found = request(chain.web3, "eth_getBlockByNumber", hex(block.number), False)
    return found is not None and hex_bytes(found["hash"]) == block.hash


def prove_anchored(web3: Web3, tx_hash: bytes, shown: Shown, leaf: bytes, place: int,
                   inclusion: Callable[[int], Sequence[bytes]]) -> Proof:
    """The proof that the claim with leaf data ``leaf`` (id and seal) stands under the anchor of this transaction.

    web3: the chain it was anchored on. inclusion: the path of ``place`` at a size of the log. Raises Undecidable where
    the transaction does not anchor this log so far.
    """
    receipt = request(web3, "eth_getTransactionReceipt", "0x" + tx_hash.hex())
    if receipt is None:
        raise Undecidable("the chain has no such transaction", actual=tx_hash.hex(), do="Has it been mined?")
    found = prove_receipt(web3, tx_hash, quantity(receipt["blockNumber"]))
    for at, log in enumerate(receipt_below(found.headers[0], found.nodes, found.index).logs):
        if log.topics[:1] != (event_topic(),):
            continue
        event = AnchorEvent.decode(log.address, log.topics, log.data)
        if (event.contract, event.owner, event.origin) == (shown.anchor, shown.owner, shown.origin) \
                and place < event.size:
            return Proof(shown, leaf[32:], place, tuple(inclusion(event.size)), found.index, at, found.headers[0],
                         found.nodes)
    raise Undecidable("this transaction does not anchor the claim", actual=tx_hash.hex(),
                      do="Anchor the log again, and prove with that transaction.")


def prove(param: bytes, data: bytes) -> Block | None:
    """The block in which the claim stands by this proof, or None where it does not show what ``param`` promises."""
    proof = Proof.from_bytes(data)
    if proof is None or proof.shown.param() != param:
        return None
    shown = proof.shown
    try:
        header, receipt = Header.decode(proof.header), receipt_below(proof.header, proof.nodes, proof.index)
        if not receipt.status or proof.log >= len(receipt.logs) or header.number >= 1 << 64:
            return None
        log = receipt.logs[proof.log]
        event = AnchorEvent.decode(log.address, log.topics, log.data)
        if (event.contract, event.owner, event.origin) != (shown.anchor, shown.owner, shown.origin):
            return None
        if proof.place >= event.size:
            return None
        merkle.verify_inclusion(merkle.leaf_hash(shown.claim + proof.seal), proof.place, event.size, proof.path,
                                event.root)
    except (Refuted, BadInput):
        return None
    return Block(shown.chain_id, shown.genesis, header.number, keccak256(proof.header))


@dataclass(frozen=True, slots=True)
class Anchored:
    """``k`` is how many witnesses must say the same, more than half of the bench."""

    k: int

    def accepts(self, rung: Rung) -> bool:
        """Whether the last two asks are *proof* of one claimant, in at most four slots, and *witness* of n < 2k others,
        k ≤ n, one slot each; and the param says what is to be shown.
        """
        if len(rung.asks) < 2 or rung.param == NO_PARAM:
            return False
        proof, witness = rung.asks[-2:]
        claimant = rung.asked(len(rung.asks) - 2)
        return ((proof.kind, witness.kind) == ("proof", "witness") and proof.slots <= MAX_PARTS and witness.slots == 1
                and len(claimant) == 1 and claimant[0] not in rung.bench and self.k <= len(rung.bench) < 2 * self.k)

    def tick(self) -> int:
        """There are no values."""
        return 0

    def judge(self, question: Question) -> bytes | None:
        """Upheld where the proof holds and k witnesses signed its block; refuted where it does not hold, or k say that
        the block is another or not final; else nothing.

        On rungs above the first, whoever signed two hashes, or another than the one that k signed, is slashed.
        """
        block = prove(question.terms.param, _proof(question))
        if block is None:
            return Result(REFUTED).to_bytes()
        bench = question.terms.bench
        voices, signed = _voices(question, block)
        two = {account for account, hashes in signed.items() if len(hashes) > 1}
        winner = elect({account: said for account, said in voices.items() if account not in two}, self.k)
        if winner is None:
            return None
        # On rung 0 witnesses are parties, and may have no stake: a result that slashes them would be none.
        off = set() if question.rung == 0 else two | {
            account for account in bench if winner != _NO and signed[account] - {winner}}
        return Result(UPHELD if winner == block.hash else REFUTED, slashed=frozenset(off)).to_bytes()


def _proof(question: Question) -> bytes:
    """The parts that the claimant brought, in order. A missing one is empty."""
    ask = len(question.terms.asks) - 2
    (claimant,) = question.terms.asked(ask)
    parts = {entry.slot: entry.data for entry in question.history
             if entry.kind == SUBMISSION and (entry.rung, entry.ask, entry.by) == (question.rung, ask, claimant)}
    return b"".join(parts.get(slot, b"") for slot in range(question.terms.asks[ask].slots))


def _voices(question: Question, block: Block) -> tuple[dict[Account, bytes], dict[Account, set[bytes]]]:
    """What each witness says here, and which hashes each is shown to have signed for the block's number."""
    bench = question.terms.bench
    voices: dict[Account, bytes] = {}
    signed: dict[Account, set[bytes]] = {account: set() for account in bench}

    def note(account: Account, found: bytes, signature: bytes) -> bool:
        if found == bytes(32) or recover_account(block.digest(found), signature) != account:
            return False
        signed[account].add(found)
        return True

    for account, entry in submissions(question, len(question.terms.asks) - 1).items():
        data = entry.data
        start = 32 if data[:32] == NOT_FINAL else _SIGNED
        if account not in signed or len(data) < start or (len(data) - start) % _STATEMENT \
                or len(data) - start > MAX_SHOWN * _STATEMENT:
            continue
        if start == 32:
            voices[account] = _NO
        elif note(account, data[:32], data[32:_SIGNED]):
            voices[account] = data[:32]
        for at in range(start, len(data), _STATEMENT):
            if data[at] < len(bench):
                note(bench[data[at]], data[at + 1 : at + 33], data[at + 33 : at + _STATEMENT])
    return voices, signed


def _joined(shown: Sequence[Statement]) -> bytes:
    if len(shown) > MAX_SHOWN:
        raise Misuse("too many statements of others", expected=f"at most {MAX_SHOWN}", actual=len(shown))
    return b"".join(bytes([one.seat]) + one.hash + one.signature for one in shown)
