"""A claim by a time: that it lay, with its signatures, under a root which a chain has held since a block.

Canonical JSON, exactly these fields::

    {"claim": the envelope as text, "path": [64 hex, …], "position": n, "receipt": a receipt proof, "version": 1}

1. The receipt leads to the block whose hash the verifier believes, and its transaction succeeded.
2. It holds an event of the anchor contract that the verifier believes, over a log of more claims than the position.
3. The claim's leaf, which is over its signatures too, leads to that event's root.

So the claim was made, and signed as it is, before that block. Who anchored does not matter for that. Not proven: that
the claim is true, or who signed it (``good_when_anchored`` looks at that), or that the log still says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from troth.core.claims import Envelope, seal_of_signatures
from troth.core.encoding import MAX_INT, decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.core.merkle import leaf_hash, root_from_inclusion
from troth.ledger.anchors import AnchorEvent, event_topic
from troth.ledger.chains.blocks import Header
from troth.ledger.receipts import ReceiptProof, verify_receipt

VERSION = 1
MAX_BYTES = 1 << 24
MAX_PATH = 64


@dataclass(frozen=True, slots=True)
class Anchored:
    """Since when: the block's number, its time (Unix seconds, the block producer's word), and who anchored."""

    block: int
    time: int
    owner: bytes


@dataclass(frozen=True, slots=True)
class Dated:
    """claim: with its signatures. position: in the log. path: from its leaf to the anchored root. receipt: of the
    anchoring transaction, with the headers up to a block.
    """

    claim: Envelope
    position: int
    path: tuple[bytes, ...]
    receipt: ReceiptProof

    @property
    def last_block(self) -> int:
        """The number of the block whose hash must be believed. Raises BadInput."""
        if not self.receipt.headers:
            raise BadInput("a dating without block headers", expected="at least one")
        return Header.decode(self.receipt.headers[-1]).number

    def check(self, contract: bytes, block_hash: bytes) -> Anchored:
        """Since when the claim is anchored, by a contract (20 bytes) and a block hash that the caller believes.

        Raises Refuted where a step fails, BadInput where the proof cannot be read.
        """
        receipt = verify_receipt(self.receipt, block_hash)
        if not receipt.status:
            raise Refuted("the anchor's transaction failed")
        leaf = leaf_hash(self.claim.id + seal_of_signatures(self.claim.signatures))
        topic = (event_topic(),)
        for log in receipt.logs:
            if log.address == contract and log.topics[:1] == topic:
                event = AnchorEvent.decode(log.address, log.topics, log.data)
                if self._under(event, leaf):
                    return Anchored(receipt.block_number, receipt.timestamp, event.owner)
        raise Refuted("no anchor in this transaction holds the claim as it is signed", expected=contract.hex(),
                      actual=self.claim.id.hex())

    def _under(self, event: AnchorEvent, leaf: bytes) -> bool:
        if not self.position < event.size:
            return False
        try:
            return root_from_inclusion(leaf, self.position, event.size, self.path) == event.root
        except Refuted:  # a path of another length than this tree's
            return False

    def to_bytes(self) -> bytes:
        """The file."""
        return encode({"claim": self.claim.to_bytes().decode(), "path": [item.hex() for item in self.path],
                       "position": self.position, "receipt": self.receipt.to_json(), "version": VERSION})

    @classmethod
    def from_bytes(cls, data: bytes) -> Dated:
        """Read exactly what ``to_bytes`` writes. Raises BadInput."""
        if len(data) > MAX_BYTES:
            raise BadInput("a dating too long", expected=f"at most {MAX_BYTES} bytes", actual=len(data))
        claim, path, position, receipt, version = take(decode_object(data), claim=str, path=list, position=int,
                                                       receipt=dict, version=int)
        if version != VERSION:
            raise BadInput("a dating of another version", expected=VERSION, actual=version)
        if len(path) > MAX_PATH or not 0 <= position <= MAX_INT:
            raise BadInput("no place in a log", expected=f"a position, and at most {MAX_PATH} hashes",
                           actual=f"{position}, {len(path)} hashes")
        return cls(Envelope.from_bytes(claim.encode()), position, tuple(from_hex(item, 32) for item in path),
                   ReceiptProof.from_json(receipt))
