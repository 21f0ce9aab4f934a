"""Acts with an expiry: what is not broadcast in time never is, and its nonce is filled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ledger.moody import ACCOUNT, GWEI
from ledger.test_outbox import ACT, World, rewind
from ports.contracts import words
from troth.core.errors import Pending
from troth.ledger.chains.transactions import decode_transaction
from troth.ledger.fees import Fees
from troth.ledger.outbox import EXPIRED, FINALIZED, Expired, Outbox
from troth.ledger.sending import Sender

GAS = 100_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.node.chain.close()


def ask(world: World, sender: Sender, seconds: int = 60, act: bytes | None = ACT) -> int:
    """Ask for a count that is to be sent within so many seconds, and do not wait; until when."""
    until = world.node.chain.now() + seconds
    with pytest.raises(Pending):
        sender.send(world.counter, words(1), gas=GAS, act=act, not_after=until)
    return until


def fillers(world: World) -> list[bytes]:
    return [raw for raw in world.sent if decode_transaction(raw).to == ACCOUNT]


def acts_sent(world: World) -> int:
    return len(world.sent) - len(fillers(world))


def test_what_was_never_signed_is_dropped_and_does_not_go_out_when_fees_fall(world: World) -> None:
    world.node.base = 100 * GWEI
    sender = world.sender(fees=Fees(ceiling=50 * GWEI))
    ask(world, sender)
    world.node.clock.advance(60)
    sender.tend()
    assert sender.progress(ACT).state == "pending", "in its last second"
    world.node.clock.advance(1)
    world.node.base = GWEI
    for _ in range(3):
        sender.tend()
        world.mine()
    assert (world.sent, world.counted()) == ([], 0)
    assert (sender.progress(ACT).state, sender.progress(ACT).note) == (EXPIRED, "never sent")
    with pytest.raises(Expired, match="expired: it was not done, and will not be"):
        sender.wait(ACT)
    # No nonce was used up.
    world.ask(sender, b"another", 2)
    assert decode_transaction(world.sent[-1]).nonce == 1


def test_without_an_id_asking_again_after_the_end_is_another_act(world: World) -> None:
    world.node.base = 100 * GWEI
    sender = world.sender(fees=Fees(ceiling=50 * GWEI))
    ask(world, sender, act=None)
    world.node.clock.advance(61)
    sender.tend()
    world.node.base = GWEI
    ask(world, sender, act=None)
    world.mine()
    sender.tend()
    assert [one.state for one in sender.acts()] == [EXPIRED, "included"]
    assert world.counted() == 1


def test_what_was_broadcast_is_replaced_on_its_own_nonce(world: World) -> None:
    sender = world.sender(fees=Fees(ceiling=200 * GWEI, patience=1e9))
    ask(world, sender)
    world.ask(sender, b"behind", 2)
    world.node.base = 40 * GWEI  # too dear for the act as it was signed
    world.mine()
    world.node.clock.advance(60)
    before = acts_sent(world)
    sender.tend()
    (filler,) = map(decode_transaction, fillers(world))
    act = decode_transaction(world.sent[0])
    assert (filler.nonce, filler.to, filler.value, filler.data, filler.gas) == (act.nonce, ACCOUNT, 0, b"", 21_000)
    assert 8 * filler.max_fee_per_gas >= 9 * act.max_fee_per_gas
    assert sender.progress(ACT).state == "pending"
    assert sender.progress(ACT).note == EXPIRED
    with pytest.raises(Pending):  # a node may still have the act
        sender.wait(ACT)
    world.node.base = GWEI
    for _ in range(6):
        world.mine()
        sender.tend()
    with pytest.raises(Expired):
        sender.wait(ACT)
    assert sender.progress(ACT).state == EXPIRED
    sender.send(world.counter, words(2), gas=GAS, act=b"behind", until=FINALIZED)
    assert (world.counted(1), world.counted(2)) == (0, 1)
    sent_again = [raw for raw in world.sent[before:] if decode_transaction(raw).data == words(1)]
    assert sent_again == []


def test_a_filler_that_cannot_be_dearer_is_offered_for_all_the_ceiling_allows(world: World) -> None:
    """A node that no longer has the act takes it; one that has it may still mine the act, and then it is done."""
    for forgets in (True, False):
        act, number = bytes((forgets, 1)), 5 + forgets
        world.node.base = 20 * GWEI
        sender = world.sender(fees=Fees(ceiling=41 * GWEI, patience=1e9))
        with pytest.raises(Pending):
            sender.send(world.counter, words(number), gas=GAS, act=act, not_after=world.node.chain.now() + 60)
        first = decode_transaction(world.sent[-1])
        assert first.max_fee_per_gas == 41 * GWEI
        if forgets:
            world.node.pool.clear()
        world.node.clock.advance(61)
        sender.tend()
        assert decode_transaction(world.sent[-1]).max_fee_per_gas == 41 * GWEI
        for _ in range(5):
            world.mine()
            sender.tend()
        assert world.counted(number) == (0 if forgets else 1)
        if forgets:
            with pytest.raises(Expired):
                sender.wait(act)
        else:
            sender.wait(act)
        assert sender.progress(act).state == (EXPIRED if forgets else FINALIZED)


def test_a_ceiling_that_allows_no_filler_waits_and_sends_nothing_again(world: World) -> None:
    ask(world, world.sender(fees=Fees(ceiling=100 * GWEI, patience=1e9)))
    world.node.base = 60 * GWEI
    world.node.pool.clear()
    world.node.clock.advance(61)
    poor, before = world.sender(fees=Fees(ceiling=GWEI, patience=0)), len(world.sent)
    for _ in range(3):
        world.node.clock.advance(30)
        poor.tend()
    assert len(world.sent) == before
    world.sender(fees=Fees(ceiling=100 * GWEI)).tend()
    assert len(fillers(world)) == 1


def test_done_in_time_is_done_and_taken_back_later_is_not_broadcast_again(world: World) -> None:
    sender = world.sender()
    ask(world, sender)
    world.mine()
    assert sender.wait(ACT, "included").block_number == world.node.chain.head().number
    world.node.clock.advance(600)
    sender.tend()
    assert sender.progress(ACT).state == "included", "its time does not end what is done"
    before = acts_sent(world)
    rewind(world, 1)
    world.node.pool.clear()
    for _ in range(5):
        world.node.clock.advance(30)
        sender.tend()
        world.mine()
    assert acts_sent(world) == before
    assert (world.counted(), sender.progress(ACT).state) == (0, EXPIRED)


def test_killed_between_signing_and_sending(world: World) -> None:
    """Nobody knows whether it was sent: its nonce is filled, and it is not sent after its time."""
    def die(method: str, params: list[Any]) -> None:
        if method == "eth_sendRawTransaction":
            raise SystemExit

    world.hook = die
    with pytest.raises(SystemExit):
        world.sender().send(world.counter, words(1), gas=GAS, act=ACT, not_after=world.node.chain.now() + 60)
    world.calm()
    world.node.clock.advance(61)
    for _ in range(5):
        world.sender().tend()
        world.mine()
    assert (acts_sent(world), len(set(fillers(world))), world.counted()) == (1, 1, 0)
    assert world.sender().progress(ACT).state == EXPIRED


def test_time_that_passes_between_two_requests(world: World) -> None:
    """The node's time was asked for, then everything stood still: this machine's clock is looked at last."""
    def stall(method: str, params: list[Any]) -> None:
        if method == "eth_getTransactionCount" and params[1] == "pending":
            world.node.clock.advance(61)

    world.hook = stall
    ask(world, world.sender())
    assert (acts_sent(world), len(fillers(world))) == (0, 1), "it was signed, and never sent"


def test_a_node_whose_clock_stands_still(world: World) -> None:
    world.node.base = 100 * GWEI
    ask(world, world.sender(fees=Fees(ceiling=50 * GWEI)))
    stale = world.node.make_request("eth_getBlockByNumber", ["pending", False])["result"]["timestamp"]

    def lag(method: str, params: list[Any]) -> Mapping[str, Any] | None:
        if method == "eth_getBlockByNumber" and params[0] == "pending":
            return {"result": {"timestamp": stale}}
        return None

    world.hook = lag
    world.node.base = GWEI
    world.node.clock.advance(61)
    world.sender().tend()
    assert world.sent == []
    assert world.sender().progress(ACT).state == EXPIRED


def test_the_chains_own_time_counts_where_it_is_ahead(world: World) -> None:
    world.node.base = 100 * GWEI
    ask(world, world.sender(fees=Fees(ceiling=50 * GWEI)))
    world.node.base = GWEI
    world.node.chain.advance(61)  # as a demonstration does; this machine's clock stands
    world.sender().tend()
    assert world.sent == []


def test_too_late_to_ask(world: World) -> None:
    sender = world.sender()
    with pytest.raises(Expired, match="nothing was sent"):
        sender.send(world.counter, words(1), gas=GAS, act=ACT, not_after=world.node.chain.now() - 1)
    assert (sender.acts(), world.sent) == ((), [])


def test_asked_again_with_another_time_the_newer_counts(world: World) -> None:
    world.node.base = 100 * GWEI
    sender = world.sender(fees=Fees(ceiling=50 * GWEI))
    ask(world, sender, 60)
    ask(world, sender, 600)
    with pytest.raises(Pending):
        sender.send(world.counter, words(1), gas=GAS, act=ACT)  # without one: as it was
    world.node.clock.advance(61)
    world.node.base = GWEI
    sender.tend()
    assert acts_sent(world) == 1
    ask(world, sender, 10)
    world.node.clock.advance(11)
    sender.tend()
    assert len(fillers(world)) == 1


def test_a_file_of_the_first_layout_goes_on(tmp_path: Path) -> None:
    """What was signed stays: it cannot be made again."""
    path = tmp_path / "old"
    Outbox(path).close()
    with sqlite3.connect(path) as db:
        for column in ("not_after", "here_after"):
            db.execute(f"ALTER TABLE acts DROP COLUMN {column}")
        db.execute("INSERT INTO acts (queue, id, what, named, target, data, value, gas, nonce) VALUES"
                   " ('1/00', x'01', x'02', 1, x'03', x'04', '5', 6, 7)")
        db.execute("PRAGMA user_version=1")
    for _ in range(2):
        outbox = Outbox(path)
        assert outbox.rows("PRAGMA user_version") == [(Outbox.LAYOUT.version,)]
        assert outbox.rows("SELECT id, nonce, not_after, here_after FROM acts") == [(b"\x01", 7, None, None)]
        outbox.close()
