"""Another chain with an anchored log, for the policy that rests on one: proofs of it, and words of its witnesses."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ports.books import key
from troth.core import merkle
from troth.core.encoding import keccak256, sha256
from troth.ledger.anchors import anchor, origin_hash
from troth.ledger.artefacts import artefact
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.deploy import create
from troth.ledger.sending import Sender
from troth.verify.policies.anchored import Block, Proof, Shown, Statement, prove, prove_anchored, witness_data

if TYPE_CHECKING:
    from web3 import Web3

ORIGIN = "example.org/log"
CHAIN = 7408
LEAVES = tuple(sha256(b"claim %d" % n) + sha256(b"seal %d" % n) for n in range(21))


class OtherChain:
    """Chain A: an Anchor, and a log of 21 claims anchored at sizes 13 and 21."""

    def __init__(self, web3: Web3, secret: bytes = keccak256(b"anchoring")) -> None:
        self.web3 = web3
        self.sender = Sender(web3, secret)
        forwarder, _ = create(self.sender, artefact("Forwarder").bytecode)
        self.anchor, _ = create(self.sender, artefact("Anchor").bytecode, ("address", forwarder))
        self.node = merkle.node_of([merkle.leaf_hash(leaf) for leaf in LEAVES])
        self.genesis = bytes(web3.eth.get_block(0)["hash"])
        self.txs = {size: anchor(self.sender, self.anchor, self.checkpoint(size)).tx_hash for size in (13, 21)}

    def checkpoint(self, size: int, origin: str = ORIGIN) -> Checkpoint:
        return Checkpoint(origin, size, merkle.root_at(size, self.node))

    def shown(self, place: int, origin: str = ORIGIN) -> Shown:
        """What is to be shown of the claim at a place."""
        return Shown(self.sender.chain_id, self.genesis, self.anchor, self.sender.account, origin_hash(origin),
                     LEAVES[place][:32])

    def proof(self, place: int, size: int = 21, shown: Shown | None = None) -> Proof:
        """That the claim stands under the anchor of this size."""
        return prove_anchored(self.web3, self.txs[size], shown or self.shown(place), LEAVES[place], place,
                              lambda anchored: merkle.inclusion_proof(place, anchored, self.node))

    def block(self, place: int, size: int = 21) -> Block:
        """The block of that anchor, as witnesses see it on their own nodes."""
        receipt = self.web3.eth.get_transaction_receipt("0x" + self.txs[size].hex())
        found = Block(self.sender.chain_id, self.genesis, receipt["blockNumber"], bytes(receipt["blockHash"]))
        assert prove(self.shown(place).param(), self.proof(place, size).to_bytes()) == found
        return found


@cache
def other_chain() -> OtherChain:
    """An embedded chain A, the same for every test: nothing here changes it."""
    return OtherChain(EmbeddedChain(None, clock=ManualClock(1_600_000_000), chain_id=CHAIN).web3)


def word(block: Block, name: str, *shown: Statement) -> bytes:
    """What the witness of this name submits."""
    return witness_data(block, key(name), shown)


def statement(block: Block, seat: int, name: str, other: bytes) -> Statement:
    """What the witness of this name signed elsewhere, of another hash at the same number."""
    return Statement(seat, other, key(name).sign_digest(block.digest(other)))
