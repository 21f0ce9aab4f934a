"""Anchors: a log's size and root on a chain, one transaction for any number of claims.

Contract ``Anchor`` keeps, for each account and origin hash, the newest (size, root); sizes only grow; each change emits
``Anchored(address indexed owner, bytes32 indexed origin, uint64 size, bytes32 root)``. What an anchor proves: that this
account had put this root there by that block. Whether it is the log one holds follows from consistency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from troth.core import merkle
from troth.core.encoding import keccak256
from troth.core.errors import BadInput, Misuse, Refuted
from troth.ledger.checkpoints import Checkpoint

if TYPE_CHECKING:
    from web3 import Web3

    from troth.ledger.chains.rpc import Event

EVENT = "Anchored(address,bytes32,uint64,bytes32)"
CALL = "anchor(bytes32,uint64,bytes32)"
MAX_SIZE = 2**64 - 1
Sent = TypeVar("Sent", covariant=True)


def origin_hash(origin: str) -> bytes:
    """How the chain names a log: Keccak-256 of its origin line in UTF-8, 32 bytes."""
    return keccak256(origin.encode())


def event_topic() -> bytes:
    """The first topic of an ``Anchored`` event, 32 bytes."""
    return keccak256(EVENT.encode())


class Sender(Protocol[Sent]):
    """Sends transactions from one account (``troth.ledger.sending.Sender`` is one)."""

    def send(self, to: bytes, data: bytes) -> Sent:
        """Send ``data`` to the contract ``to`` (20 bytes); what came of it."""
        ...


@dataclass(frozen=True, slots=True)
class AnchorEvent:
    """What one ``Anchored`` event says. ``contract`` and ``owner``: 20 bytes; ``origin`` (hash) and ``root``: 32."""

    contract: bytes
    owner: bytes
    origin: bytes
    size: int
    root: bytes

    @classmethod
    def decode(cls, contract: bytes, topics: Sequence[bytes], data: bytes) -> AnchorEvent:
        """Read a receipt's log strictly (ABI encoding). Raises BadInput for any other event."""
        if len(contract) != 20 or len(topics) != 3 or topics[0] != event_topic():
            raise BadInput("not an Anchored event", expected=EVENT,
                           actual=topics[0].hex() if topics else "no topics")
        if {len(topic) for topic in topics} != {32} or len(data) != 64 or any(topics[1][:12]) or any(data[:24]):
            raise BadInput("malformed Anchored event", expected="an address, a hash; a 64-bit size and a root",
                           actual=f"{len(topics)} topics, {len(data)} bytes")
        return cls(contract, topics[1][12:], topics[2], int.from_bytes(data[:32], "big"), data[32:])


def call_data(checkpoint: Checkpoint) -> bytes:
    """The transaction's data that anchors a checkpoint (ABI encoding of ``anchor(bytes32,uint64,bytes32)``)."""
    if not 1 <= checkpoint.size <= MAX_SIZE or len(checkpoint.root) != 32:
        raise Misuse("nothing to anchor", expected="a checkpoint of at least one claim", actual=checkpoint.size)
    return (keccak256(CALL.encode())[:4] + origin_hash(checkpoint.origin) + checkpoint.size.to_bytes(32, "big")
            + checkpoint.root)


def anchored(web3: Web3, contract: bytes, owner: bytes, origin: str, first: int) -> Iterator[tuple[Event, AnchorEvent]]:
    """What an account anchored of a log, oldest first, from the block ``first`` on, and where each event stands.

    contract, owner: 20 bytes. Raises OutsideFailed if the node fails, BadInput for an event that is no anchor.
    """
    # Imported here: checking a bundle reads anchors too, and asks no node.
    from troth.ledger.chains.rpc import get_logs

    for event in get_logs(web3, addresses=(contract,), first=first,
                          topics=(event_topic(), owner.rjust(32, b"\0"), origin_hash(origin))):
        yield event, AnchorEvent.decode(event.log.address, event.log.topics, event.log.data)


def anchor(sender: Sender[Sent], contract: bytes, checkpoint: Checkpoint) -> Sent:
    """Put a checkpoint on the chain from the sender's account; what the sender returns. ``contract``: 20 bytes."""
    if len(contract) != 20:
        raise Misuse("not a contract's address", expected="20 bytes", actual=len(contract))
    return sender.send(contract, call_data(checkpoint))


def check_anchor(event: AnchorEvent, presented: Checkpoint, path: Sequence[bytes], *, contract: bytes,
                 owner: bytes | None = None) -> None:
    """Refuted unless the event anchors an earlier or equal state of the log that ``presented`` is a checkpoint of.

    ``path``: consistency from the event's size to the presented one. ``contract``: the anchor contract believed in.
    ``owner``: the account that anchors this log, where that is known.
    """
    for what, expected, found in (("contract", contract, event.contract),
                                  ("log", origin_hash(presented.origin), event.origin),
                                  ("account", event.owner if owner is None else owner, event.owner)):
        if expected != found:
            raise Refuted(f"anchor of another {what}", expected=expected.hex(), actual=found.hex())
    if event.size < 1:
        raise Refuted("anchor of an empty log", expected="at least one claim")
    merkle.verify_consistency(event.size, presented.size, event.root, presented.root, path)
