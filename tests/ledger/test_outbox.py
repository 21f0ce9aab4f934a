"""The outbox, one rule at a time, on a node whose pool and moods are simulated (``ledger.moody``) over a real chain."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.moody import ACCOUNT, COUNT, GWEI, KEY, MoodyNode
from ports.chain_suite import TOO_POOR
from ports.contracts import creation, words
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction, decode_transaction
from troth.ledger.fees import Fees, Sending, lowest
from troth.ledger.outbox import FINALIZED, INCLUDED, SAFE, Outbox
from troth.ledger.sending import Sender

ONCE = creation("0 SLOAD @no JUMPI 1 0 SSTORE STOP no: 0x9c5f4281 224 SHL 0 MSTORE 3 4 MSTORE 7 36 MSTORE 68 0 REVERT")
"""Works once; then reverts with TooPoor(3, 0x…07)."""
ACT = b"an act"


class World:
    """A node, and senders that may share one outbox file."""

    def __init__(self, path: Path) -> None:
        self.path = path / "outbox"
        self.node = MoodyNode(random.Random(7), depth=3)
        self.node.moods = False
        self.sent: list[bytes] = []
        self.hook: Callable[[str, list[Any]], Mapping[str, Any] | None] = lambda method, params: None
        self.provider = self
        self.counter = self.contract(COUNT)

    def make_request(self, method: str, params: list[Any]) -> Mapping[str, Any]:
        if method == "eth_sendRawTransaction":
            self.sent.append(bytes.fromhex(params[0][2:]))
        return self.hook(method, params) or self.node.make_request(method, params)

    def sender(self, *, fees: Fees | None = None, depth: int | None = None, mining: bool = False,
               path: Path | None = None) -> Sender:
        """A process. mining: blocks come while it waits; otherwise it does not wait at all."""
        web3: Any = self
        how = Sending(fees or Fees(patience=30), depth, 60 if mining else 0, lambda _: self.node.mine(),
                      lambda: float(self.node.clock.now()))
        return Sender(web3, KEY, errors=[TOO_POOR], outbox=Outbox(path or self.path), how=how)

    def contract(self, code: bytes) -> bytes:
        receipt = self.sender(mining=True, path=self.path.with_name("deployer")).deploy(code)
        self.sent.clear()
        assert receipt.contract is not None
        return receipt.contract

    def ask(self, sender: Sender, act: bytes = ACT, number: int = 1) -> None:
        """Ask for a count that nobody has time to wait for."""
        with pytest.raises(Pending):
            sender.send(self.counter, words(number), gas=100_000, act=act)

    def counted(self, number: int = 1) -> int:
        return self.node.chain.storage(self.counter, number)

    def foreign(self, nonce: int) -> None:
        """Another wallet with the same key pools something that pays well."""
        unsigned = Transaction(DYNAMIC_FEE, self.node.chain.chain_id, nonce, 50 * GWEI, 500 * GWEI, 21_000, bytes(20),
                               1, b"")
        assert self.node._accept(unsigned.signed(coincurve.PrivateKey(KEY), ACCOUNT).encode()) is None

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.node.mine()

    def answer(self, method: str, error: str) -> None:
        """From now on the node answers so."""
        self.hook = lambda asked, _: {"error": {"code": -32000, "message": error}} if asked == method else None

    def calm(self) -> None:
        self.hook = lambda method, params: None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.node.chain.close()


# -- an act is asked for ---------------------------------------------------------------------------------------------


def test_the_same_act_is_done_once_and_answers_the_same_receipt(world: World) -> None:
    first = world.sender(mining=True).send(world.counter, words(1), act=ACT)
    second = world.sender(mining=True).send(world.counter, words(1), act=ACT)
    assert (first, world.counted(), len(world.sent)) == (second, 1, 1)
    with pytest.raises(Misuse, match="stands for another act"):
        world.sender().send(world.counter, words(2), act=ACT)
    with pytest.raises(Misuse, match="64 bytes"):
        world.sender().send(world.counter, words(2), act=b"")
    with pytest.raises(Misuse, match="nobody asked"):
        world.sender().wait(b"unknown")


def test_without_an_id_asking_again_is_the_same_act_until_somebody_was_told(world: World) -> None:
    sender = world.sender()
    with pytest.raises(Pending):
        sender.send(world.counter, words(1))
    assert sender.owes(world.counter, words(1))
    world.mine()
    receipt = world.sender().send(world.counter, words(1))
    assert world.counted() == 1
    assert not sender.owes(world.counter, words(1))
    assert world.sender(mining=True).send(world.counter, words(1)) != receipt
    assert world.counted() == 2


def test_signed_bytes_are_on_the_disk_before_the_node_sees_them(world: World) -> None:
    seen = []

    def look(method: str, params: list[Any]) -> None:
        if method == "eth_sendRawTransaction":
            with sqlite3.connect(world.path) as other:
                kept = [row[0] for row in other.execute("SELECT raw FROM signed")]
            seen.append(bytes.fromhex(params[0][2:]) in kept)

    world.hook = look
    sender = world.sender(fees=Fees(patience=0))
    world.ask(sender)
    for _ in range(3):
        sender.tend()  # signs again for more
    assert len(set(world.sent)) == 5
    assert seen == [True] * len(seen)


def test_after_a_crash_the_same_bytes_go_out_again(world: World) -> None:
    def die(method: str, params: list[Any]) -> None:
        if method == "eth_sendRawTransaction":
            raise SystemExit

    world.hook = die
    with pytest.raises(SystemExit):
        world.sender().send(world.counter, words(1), gas=100_000, act=ACT)
    world.calm()
    world.sender().tend()
    assert len(world.sent) == 2
    assert world.sent[0] == world.sent[1]
    world.mine()
    world.sender().send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1


def test_two_processes_take_turns_and_never_the_same_nonce(world: World) -> None:
    one, two = world.sender(), world.sender()
    for number in range(1, 7):
        world.ask(one if number % 2 else two, words(number), number)
    assert [decode_transaction(raw).nonce for raw in dict.fromkeys(world.sent)] == list(range(1, 7))
    with one._queue.turn(), pytest.raises(OutsideFailed, match="another process is sending"), two._queue.turn(0):
        pass
    world.mine(10)
    one.tend()
    assert [world.counted(number) for number in range(1, 7)] == [1] * 6


def test_no_secret_is_in_the_file(world: World) -> None:
    world.sender(mining=True).send(world.counter, words(1))
    held = b"".join(path.read_bytes() for path in world.path.parent.glob("outbox*"))
    assert words(1) in held
    assert KEY not in held
    assert KEY.hex().encode() not in held


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_patience_ends_in_an_eighth_more_on_the_same_nonce(world: World) -> None:
    sender = world.sender()
    world.node.base = 10 * GWEI
    world.ask(sender)
    world.node.base = 50 * GWEI
    world.node.clock.advance(29)
    sender.tend()
    assert len(set(world.sent)) == 1  # not yet
    world.node.clock.advance(1)
    sender.tend()
    first, second = (decode_transaction(raw) for raw in dict.fromkeys(world.sent))
    assert first.nonce == second.nonce
    assert 8 * second.max_fee_per_gas >= 9 * first.max_fee_per_gas
    assert 8 * second.max_priority_fee_per_gas >= 9 * first.max_priority_fee_per_gas
    assert second.max_fee_per_gas >= 50 * GWEI
    world.mine()
    sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1


def test_only_the_transaction_whose_turn_it_is_pays_more(world: World) -> None:
    sender = world.sender()
    world.node.base = 10 * GWEI
    world.ask(sender)
    world.ask(sender, b"another", 2)
    world.node.base = 50 * GWEI
    world.node.clock.advance(30)
    sender.tend()
    assert sorted(decode_transaction(raw).nonce for raw in set(world.sent)) == [1, 1, 2]


def test_a_base_fee_above_the_ceiling_waits_and_goes_on(world: World) -> None:
    world.node.base = 100 * GWEI
    low = world.sender(fees=Fees(ceiling=50 * GWEI, patience=30))
    with pytest.raises(Pending, match=r"base fee is 100000000000 .* \[chain\] max_fee is raised"):
        low.send(world.counter, words(1), gas=100_000, act=ACT)
    with pytest.raises(Pending):
        low.send(world.counter, words(2), gas=100_000, act=b"another")
    assert world.sent == []
    high = world.sender(fees=Fees(ceiling=200 * GWEI))  # raised
    high.tend()
    assert len(world.sent) == 2
    assert decode_transaction(world.sent[0]).max_fee_per_gas == 200 * GWEI
    world.mine(2)
    high.tend()
    assert (world.counted(1), world.counted(2)) == (1, 1)
    world.ask(low, b"third", 3)
    world.node.base = 10 * GWEI  # fallen
    low.tend()
    world.mine()
    low.send(world.counter, words(3), gas=100_000, act=b"third")
    assert world.counted(3) == 1


def test_a_spike_after_signing_waits_below_the_ceiling(world: World) -> None:
    sender = world.sender(fees=Fees(ceiling=50 * GWEI, patience=0))
    world.ask(sender)
    world.node.base = 100 * GWEI
    for _ in range(30):
        sender.tend()
    assert all(decode_transaction(raw).max_fee_per_gas <= 50 * GWEI for raw in world.sent)
    world.mine(3)
    assert world.counted() == 0
    with pytest.raises(Pending, match="ceiling"):
        sender.send(world.counter, words(1), gas=100_000, act=ACT)
    world.node.base = GWEI
    world.mine()
    sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(0, 10**12), st.integers(0, 10**12),
       st.integers(0, 10**13))
def test_a_better_offer_is_an_eighth_better_and_below_the_ceiling(fee: int, tip: int, base: int, wanted: int,
                                                                   ceiling: int) -> None:
    tip = min(tip, fee)
    better = Fees(ceiling).more(fee, tip, base, wanted)
    if better is None:
        assert ceiling < max(base, fee + fee // 8 + 1)
    else:
        assert 8 * better[0] >= 9 * fee
        assert 8 * better[1] >= 9 * tip
        assert base <= better[0] <= ceiling
        assert better[1] <= better[0]
    filler = Fees(ceiling).filler(fee, tip, base, wanted)
    if better is not None or filler is None:
        assert filler == better
        assert better is not None or ceiling < max(fee, base)
    else:
        assert filler == (ceiling, tip)
        assert max(fee, base) <= ceiling
    first = Fees(ceiling).first(base, wanted)
    assert (first is None) == (ceiling < base)
    assert first is None or (base <= first[0] <= ceiling and first[1] <= first[0])


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    for wrong in (lambda: Fees(-1), lambda: Fees(patience=-1), lambda: World(tmp_path).sender(depth=-1)):
        with pytest.raises(BadInput):
            wrong()
    (tmp_path / "x").write_bytes(b"no database at all" * 100)
    with pytest.raises(BadInput, match="cannot be read"):
        Outbox(tmp_path / "x")
    with sqlite3.connect(tmp_path / "y") as other:
        other.execute("CREATE TABLE acts (id)")
    with pytest.raises(BadInput, match="no outbox of this layout"):
        Outbox(tmp_path / "y")


def test_what_the_account_cannot_pay_is_not_kept(world: World) -> None:
    sender = world.sender()
    with pytest.raises(OutsideFailed, match="insufficient funds"):
        sender.send(world.counter, words(1), value=10**22, gas=100_000, act=ACT)
    assert (sender.acts(), world.sent) == ((), [])
    world.hook = lambda method, _: {"result": "0x0"} if method == "eth_getBalance" else None
    with pytest.raises(OutsideFailed, match="Pay some to"):
        sender.send(world.counter, words(1), gas=100_000, act=ACT)


# -- nonces --------------------------------------------------------------------------------------------------------


def test_a_nonce_taken_by_another_wallet_waits_until_that_is_final(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    world.node.pool.clear()  # the node forgets ours, and takes another's
    world.foreign(1)
    world.mine()
    with pytest.raises(Pending, match="waits until that is final"):
        sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert {decode_transaction(raw).nonce for raw in world.sent} == {1}
    world.mine(3)
    world.ask(sender)
    assert decode_transaction(world.sent[-1]).nonce == 2
    world.mine()
    sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1


def test_a_nonce_taken_and_given_back_by_a_reorganisation_is_ours_again(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    world.node.pool.clear()
    world.foreign(1)
    world.mine()
    world.ask(sender)
    rewind(world, 1)
    world.node.pool.clear()
    sender.tend()
    world.node.clock.advance(20)
    sender.tend()
    world.mine()
    receipt = sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1
    assert decode_transaction(world.sent[0]).nonce == 1
    assert receipt.block_number == world.node.chain.head().number


def test_a_gap_left_by_another_wallet_is_filled_after_patience(world: World) -> None:
    sender = world.sender()
    world.foreign(1)
    world.ask(sender)  # behind it
    assert decode_transaction(world.sent[-1]).nonce == 2
    del world.node.pool[1]  # and then the node forgets the other's
    sender.tend()
    assert len(set(world.sent)) == 1
    world.node.clock.advance(30)
    sender.tend()
    filler = next(tx for tx in map(decode_transaction, world.sent) if tx.nonce == 1)
    assert (filler.to, filler.value, filler.data) == (ACCOUNT, 0, b"")
    world.mine(2)
    sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1


def test_a_gap_that_another_transaction_is_about_to_fill_is_left(world: World) -> None:
    sender = world.sender()
    world.foreign(1)
    world.ask(sender)
    world.node.clock.advance(30)
    sender.tend()
    assert {decode_transaction(raw).nonce for raw in world.sent} == {2}


def test_a_node_that_lags_gets_no_nonce_twice(world: World) -> None:
    sender = world.sender(mining=True)
    sender.send(world.counter, words(1), gas=100_000, act=ACT, until=FINALIZED)
    lag = {"result": "0x0"}
    world.hook = lambda method, _: lag if method == "eth_getTransactionCount" else None
    stale = world.sender()
    with pytest.raises(OutsideFailed, match=r"kept and not done: the node knows less .* expected 2 .* found 0"):
        stale.send(world.counter, words(2), gas=100_000, act=b"another")
    world.node.clock.advance(100)
    stale.tend()
    assert {decode_transaction(raw).nonce for raw in world.sent} == {1}
    world.calm()
    stale.tend()
    assert {decode_transaction(raw).nonce for raw in world.sent} == {1, 2}
    world.mine()
    stale.send(world.counter, words(2), gas=100_000, act=b"another")
    assert (world.counted(1), world.counted(2)) == (1, 1)


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_lowest_that_holds(first: int, beyond: int) -> None:
    asked = []

    def holds(number: int) -> bool:
        asked.append(number)
        assert 0 <= number <= first + beyond
        return number >= first

    assert lowest(holds, first + beyond) == first
    assert len(asked) <= 2 * (beyond + 2).bit_length() + 2


# -- what nodes answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["already known", "nonce too low", "replacement transaction underpriced",
                                    "transaction underpriced", "nonce too high", "ALREADY_EXISTS: already known"])
def test_answers_that_prove_nothing(world: World, answer: str) -> None:
    """The node may say so of an act that it has and will mine, and of one that it has not."""
    world.answer("eth_sendRawTransaction", answer)
    sender = world.sender()
    world.ask(sender)
    world.calm()
    world.node.clock.advance(25)
    sender.tend()
    world.mine()
    sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1
    assert {decode_transaction(raw).nonce for raw in world.sent} == {1}


def test_a_node_that_cannot_is_asked_again(world: World) -> None:
    world.answer("eth_sendRawTransaction", "rate limit exceeded")
    sender = world.sender()
    with pytest.raises(OutsideFailed, match=r"kept and not done.*rate limit"):
        sender.send(world.counter, words(1), gas=100_000, act=ACT)
    world.calm()
    world.sender().tend()
    world.mine()
    world.sender().send(world.counter, words(1), gas=100_000, act=ACT)
    assert world.counted() == 1


def test_what_no_node_will_ever_take_makes_room(world: World) -> None:
    sender = world.sender(mining=True)
    with pytest.raises(OutsideFailed, match=r"refuses it for good: .*gas"):
        sender.send(world.counter, words(1), gas=20_000, act=ACT)
    with pytest.raises(OutsideFailed, match="under a new id"):
        sender.send(world.counter, words(1), gas=20_000, act=ACT)
    sender.send(world.counter, words(1), gas=100_000, act=b"anew")
    assert world.counted() == 1


def test_a_receipt_that_is_not_in_its_block_is_not_believed(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    world.mine()
    (tx,) = (bytes.fromhex(one[2:]) for one in
             world.node.make_request("eth_getBlockByNumber", ["latest", False])["result"]["transactions"])
    true = world.node.make_request("eth_getTransactionReceipt", ["0x" + tx.hex()])["result"]
    for change in ({"blockHash": "0x" + "11" * 32}, {"blockNumber": "0x0"}, {"blockNumber": "0xffff"},
                   {"transactionHash": "0x" + "22" * 32}):
        lie = {"result": true | change}
        world.hook = lambda method, _, lie=lie: lie if method == "eth_getTransactionReceipt" else None  # type: ignore[misc]
        with pytest.raises(OutsideFailed, match="not in the block that it names"):
            sender.send(world.counter, words(1), gas=100_000, act=ACT)
        assert sender.progress(ACT).state == "pending"
    world.calm()
    assert sender.send(world.counter, words(1), gas=100_000, act=ACT).tx_hash == tx


def test_an_invented_receipt_of_what_is_in_no_block(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    head = world.node.chain.head()
    lie = {"result": {"transactionHash": "0x" + "00" * 32, "blockNumber": hex(head.number), "status": "0x1",
                      "blockHash": "0x" + head.hash.hex(), "gasUsed": "0x0", "logs": []}}

    def answer(method: str, params: list[Any]) -> Mapping[str, Any] | None:
        if method == "eth_getTransactionCount":
            return {"result": "0x2"}
        if method == "eth_getTransactionReceipt":
            return {"result": lie["result"] | {"transactionHash": params[0]}}
        return None

    world.hook = answer
    with pytest.raises(OutsideFailed, match="not in the block that it names"):
        sender.send(world.counter, words(1), gas=100_000, act=ACT)
    assert sender.progress(ACT).state == "pending"


def test_another_chain_behind_the_address(world: World, tmp_path: Path) -> None:
    world.sender(mining=True).send(world.counter, words(1), act=ACT)
    other = World(tmp_path / "..")
    other.node.chain.close()
    other.node = MoodyNode(random.Random(8))
    genesis = other.node._pass("eth_getBlockByNumber", "0x0", False)
    genesis["result"]["hash"] = "0x" + "33" * 32
    other.hook = lambda method, params: genesis if params[:1] == ["0x0"] else None
    with pytest.raises(Misuse, match="another chain with the id"):
        other.sender(path=world.path)
    other.hook = lambda method, params: {"result": "0x1"} if method == "eth_chainId" else None
    assert other.sender(path=world.path).acts() == ()  # another id: another queue
    other.node.chain.close()


# -- how it ends -----------------------------------------------------------------------------------------------------


def rewind(world: World, blocks: int) -> None:
    """Take the last blocks back; what they held is forgotten."""
    store, head = world.node.chain._store, world.node.chain.head().number
    with store.writing():
        store._db.execute("DELETE FROM blocks WHERE number > ?", (head - blocks,))
        store._head = None
    world.node.chain._engine.forget()
    world.node.clock.advance(1)


def test_from_pending_to_finalized(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    states = [sender.progress(ACT).state]
    for _ in range(5):
        world.mine()
        sender.tend()
        states.append(sender.progress(ACT).state)
    assert states == ["pending", INCLUDED, INCLUDED, SAFE, FINALIZED, FINALIZED] or states == [
        "pending", INCLUDED, SAFE, SAFE, FINALIZED, FINALIZED]
    done = sender.progress(ACT)
    assert done.block_hash == sender.wait(ACT).block_hash


def test_nothing_is_released_before_it_is_final(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    world.mine()
    assert sender.wait(ACT, INCLUDED).block_number == world.node.chain.head().number
    with pytest.raises(Pending, match=r"is included in block \d+, and not yet finalized"):
        sender.wait(ACT)
    world.mine(3)
    assert sender.wait(ACT).block_number == world.node.final
    with pytest.raises(Misuse, match="no such state"):
        sender.wait(ACT, "soon")


def test_a_reorganisation_makes_it_pending_and_sends_it_again(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    world.mine(2)
    first = sender.wait(ACT, INCLUDED)
    rewind(world, 2)
    world.mine(3)
    with pytest.raises(Pending):
        sender.wait(ACT, INCLUDED)
    assert world.sent[-1] == world.sent[0]
    world.mine()
    second = sender.wait(ACT, INCLUDED)
    assert (first.tx_hash, world.counted()) == (second.tx_hash, 1)
    assert first.block_hash != second.block_hash


def test_what_was_told_and_taken_back_is_the_same_act_when_asked_again(world: World) -> None:
    """Asked without an id, after a re-organisation that the asker has heard of and the outbox has not."""
    sender = world.sender(mining=True)
    first = sender.send(world.counter, words(1))
    rewind(world, 1)
    again = world.sender(mining=True).send(world.counter, words(1))
    world.mine(2)
    assert (again.tx_hash, world.counted()) == (first.tx_hash, 1)
    assert world.sender(mining=True).send(world.counter, words(1)).tx_hash != first.tx_hash
    assert world.counted() == 2


def test_a_reorganisation_between_two_questions_makes_nothing_final(world: World) -> None:
    """The block is seen, then it is taken away, then the node says that its height is final."""
    sender = world.sender()
    world.ask(sender)
    world.mine(2)

    def shift(method: str, params: list[Any]) -> None:
        if method == "eth_getBlockByNumber" and params[0] not in ("finalized", "safe", "latest", "0x0"):
            world.node.make_request(method, params)
            world.calm()
            self_answer.append(world.node.make_request(method, params))
            rewind(world, 2)
            world.node.pool.clear()
            world.mine(6)

    self_answer: list[Mapping[str, Any]] = []

    def answer(method: str, params: list[Any]) -> Mapping[str, Any] | None:
        shift(method, params)
        return self_answer[0] if self_answer else None

    world.hook = answer
    sender.tend()
    assert self_answer
    assert sender.progress(ACT).state != FINALIZED
    sender.tend()
    world.mine()
    assert sender.wait(ACT, INCLUDED)
    assert world.counted() == 1


def test_the_state_moved_and_the_contract_says_so(world: World) -> None:
    once = world.contract(ONCE)
    sender = world.sender()
    for act in (b"one", b"two"):
        with pytest.raises(Pending):
            sender.send(once, act=act)
    world.mine(2)
    sender.send(once, act=b"one")
    with pytest.raises(ActRefused, match=r"has = 3.*re-organisation may still change") as caught:
        sender.send(once, act=b"two")
    assert caught.value.code == "TooPoor"
    world.mine(3)
    with pytest.raises(ActRefused) as caught:
        sender.wait(b"two")
    assert "re-organisation" not in str(caught.value)
    assert sender.progress(b"two").state == "failed"
    with pytest.raises(ActRefused):
        sender.send(once, act=b"three")  # refused before anything is written
    assert len(sender.acts()) == 2


def test_giving_up_fills_the_nonce_and_says_which_came_true(world: World) -> None:
    sender = world.sender()
    world.ask(sender)
    sender.give_up(ACT, "not needed")
    world.mine(5)
    with pytest.raises(OutsideFailed, match="given up: not needed"):
        sender.wait(ACT)
    assert (world.counted(), sender.progress(ACT).state) == (0, "failed")
    world.ask(sender, b"late", 2)
    world.mine()
    with pytest.raises(Misuse, match="is in a block"):
        sender.tend() or sender.give_up(b"late", "too late")
    world.ask(sender, b"crossed", 3)
    held = world.node.pool.copy(), world.node.raw.copy()
    sender.give_up(b"crossed", "regretted")
    world.node.pool, world.node.raw = held  # the node never saw the replacement
    world.mine()
    assert sender.wait(b"crossed", INCLUDED)  # done all the same
    assert (world.counted(2), world.counted(3)) == (1, 1)


def test_a_chain_without_tags_has_a_depth(world: World) -> None:
    world.ask(world.sender())
    world.mine()
    world.hook = lambda method, params: {"error": {"code": -32602, "message": "unknown tag"}} \
        if params[:1] in (["finalized"], ["safe"]) else None
    with pytest.raises(OutsideFailed, match=r"\[chain\] finality"):
        world.sender().tend()
    sender = world.sender(depth=10)
    sender.tend()
    assert sender.progress(ACT).state == INCLUDED
    world.mine(10)
    sender.tend()
    assert sender.progress(ACT).state == FINALIZED
