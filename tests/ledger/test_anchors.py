"""Anchors: the ABI by hand against eth_abi, strict reading, and what an anchor must not be stretched to."""

from dataclasses import dataclass, field, replace

import pytest
from eth_abi import encode as abi_encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from log_parts import ORIGIN

from troth.core import merkle
from troth.core.errors import BadInput, Misuse, Refuted
from troth.ledger.anchors import AnchorEvent, anchor, call_data, check_anchor, event_topic, origin_hash
from troth.ledger.checkpoints import Checkpoint

LEAVES = [merkle.leaf_hash(b"%d" % n) for n in range(9)]
NODE = merkle.node_of(LEAVES)
CONTRACT, OWNER = b"\x11" * 20, b"\x22" * 20


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, merkle.root_at(size, NODE))


def event(size: int) -> AnchorEvent:
    return AnchorEvent(CONTRACT, OWNER, origin_hash(ORIGIN), size, merkle.root_at(size, NODE))


@given(st.binary(min_size=20, max_size=20), st.text(min_size=1), st.integers(0, 2**64 - 1),
       st.binary(min_size=32, max_size=32))
def test_an_event_is_read_as_the_abi_writes_it(owner: bytes, origin: str, size: int, root: bytes) -> None:
    name = keccak(text=origin)
    topics = [keccak(text="Anchored(address,bytes32,uint64,bytes32)"), abi_encode(["address"], [owner]), name]
    found = AnchorEvent.decode(CONTRACT, topics, abi_encode(["uint64", "bytes32"], [size, root]))
    assert found == AnchorEvent(CONTRACT, owner, origin_hash(origin), size, root)
    assert origin_hash(origin) == name


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_the_call_is_what_the_abi_writes(size: int, root: bytes) -> None:
    expected = keccak(text="anchor(bytes32,uint64,bytes32)")[:4] + abi_encode(
        ["bytes32", "uint64", "bytes32"], [keccak(text=ORIGIN), size, root])
    assert call_data(Checkpoint(ORIGIN, size, root)) == expected


@dataclass
class Recorder:
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)

    def send(self, to: bytes, data: bytes) -> int:
        self.sent.append((to, data))
        return len(self.sent)


def test_anchoring_sends_one_transaction() -> None:
    sender = Recorder()
    assert anchor(sender, CONTRACT, checkpoint(5)) == 1
    assert sender.sent == [(CONTRACT, call_data(checkpoint(5)))]
    for contract, what in ((CONTRACT[:19], checkpoint(5)), (CONTRACT, checkpoint(0))):
        with pytest.raises(Misuse):
            anchor(sender, contract, what)
    assert len(sender.sent) == 1


@pytest.mark.parametrize("change", [
    lambda c, t, d: (c[:19], t, d), lambda c, t, d: (c, t[:2], d), lambda c, t, d: (c, [*t, t[0]], d),
    lambda c, t, d: (c, [bytes(32), *t[1:]], d), lambda c, t, d: (c, [], d), lambda c, t, d: (c, t, d[:-1]),
    lambda c, t, d: (c, t, d + b"\0"), lambda c, t, d: (c, [t[0], b"\1" + t[1][1:], t[2]], d),
    lambda c, t, d: (c, t, b"\1" + d[1:]), lambda c, t, d: (c, [t[0], t[1], t[2][1:]], d)])
def test_other_events_are_not_read(change: object) -> None:
    topics = [event_topic(), bytes(12) + OWNER, origin_hash(ORIGIN)]
    data = (5).to_bytes(32, "big") + bytes(32)
    assert AnchorEvent.decode(CONTRACT, topics, data).size == 5
    with pytest.raises(BadInput):
        AnchorEvent.decode(*change(CONTRACT, topics, data))  # type: ignore[operator]


@pytest.mark.parametrize("size", range(1, 10))
def test_an_anchor_covers_every_later_state_of_the_same_log(size: int) -> None:
    for presented in range(size, 10):
        path = merkle.consistency_proof(size, presented, NODE)
        check_anchor(event(size), checkpoint(presented), path, contract=CONTRACT, owner=OWNER)
        check_anchor(event(size), checkpoint(presented), path, contract=CONTRACT)


def test_an_anchor_of_something_else_is_refused() -> None:
    path = merkle.consistency_proof(4, 7, NODE)
    good, now = event(4), checkpoint(7)
    for bad in (replace(good, contract=OWNER), replace(good, owner=CONTRACT), replace(good, root=bytes(32)),
                replace(good, origin=origin_hash("example.org/other")), replace(good, size=5),
                replace(good, size=8), replace(good, size=0)):
        with pytest.raises(Refuted):
            check_anchor(bad, now, path, contract=CONTRACT, owner=OWNER)
    with pytest.raises(Refuted):
        check_anchor(good, replace(now, origin="example.org/other"), path, contract=CONTRACT, owner=OWNER)
    with pytest.raises(Refuted):  # a rewritten past
        check_anchor(good, replace(now, root=merkle.root([b"x"] * 7)), path, contract=CONTRACT, owner=OWNER)
    with pytest.raises(Refuted):  # anchored ahead of what is shown
        check_anchor(event(9), now, [], contract=CONTRACT, owner=OWNER)
    with pytest.raises(Refuted):
        check_anchor(replace(good, size=0, root=merkle.EMPTY_ROOT), now, [], contract=CONTRACT, owner=OWNER)
