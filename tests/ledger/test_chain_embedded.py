"""The embedded chain: the shared suite in memory and on file, then what only a file and one's own clock can do."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rlp
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth_account import Account
from eth_bloom import BloomFilter
from eth_hash.auto import keccak
from trie import HexaryTrie

from ports.chain_suite import ALICE, ALICE_KEY, BOB, BOB_KEY, ETHER, ChainSuite
from ports.contracts import CELL, creation, emitter, words
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.ledger.chains import Chain, open_chain
from troth.ledger.chains.blocks import single_root
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.sending import Sender, call

GENESIS = 1_700_000_000


def fresh(path: Path | None) -> EmbeddedChain:
    return EmbeddedChain(path, genesis_time=GENESIS, accounts={ALICE: 10 * ETHER}, clock=ManualClock(GENESIS))


class TestMemory(ChainSuite):
    def make(self) -> Chain:
        return fresh(None)

    def advance(self, chain: Chain, seconds: int) -> None:
        assert isinstance(chain, EmbeddedChain)
        chain.advance(seconds)


class TestFile(TestMemory):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.count = 0

    def make(self) -> Chain:
        self.count += 1
        return fresh(self.path / f"{self.count}.chain")


# -- time ----------------------------------------------------------------------------------------------------------


def test_time_is_the_clocks_and_the_operators() -> None:
    clock = ManualClock(GENESIS)
    with EmbeddedChain(None, genesis_time=GENESIS, clock=clock) as chain:
        assert chain.now() == GENESIS
        assert chain.mine().header.timestamp == GENESIS
        clock.advance(10)
        assert chain.now() == GENESIS + 10
        assert chain.advance(100) == chain.now() == GENESIS + 110
        assert chain.head().header.timestamp == GENESIS  # advancing mines nothing
        assert chain.mine().header.timestamp == GENESIS + 110
        with pytest.raises(Misuse):
            chain.advance(-1)
        with pytest.raises(Misuse):
            clock.advance(-1)


def test_a_clock_that_falls_back_does_not_turn_the_chain_back() -> None:
    with EmbeddedChain(None, genesis_time=GENESIS, clock=ManualClock(GENESIS - 500)) as chain:
        assert chain.now() == GENESIS
        assert chain.mine().header.timestamp == GENESIS


def test_advanced_time_is_kept_in_the_file(tmp_path: Path) -> None:
    with fresh(tmp_path / "c") as chain:
        chain.advance(77)
    with fresh(tmp_path / "c") as chain:
        assert chain.now() == GENESIS + 77


# -- the file ------------------------------------------------------------------------------------------------------


def test_a_chain_is_found_again_as_it_was_left(tmp_path: Path) -> None:
    with fresh(tmp_path / "c") as chain:
        cell = Sender(chain.web3, ALICE_KEY).deploy(CELL).contract
        assert cell is not None
        Sender(chain.web3, ALICE_KEY).send(cell, words(42))
        head = chain.head()
    with EmbeddedChain(tmp_path / "c") as chain:
        assert chain.head() == head
        assert call(chain.web3, cell, b"") == words(42)
        Sender(chain.web3, ALICE_KEY).send(cell, words(43))
        assert chain.head().header.parent_hash == head.hash


def test_another_chains_file_is_refused(tmp_path: Path) -> None:
    fresh(tmp_path / "c").close()
    for arguments in ({"chain_id": 1}, {"genesis_time": GENESIS + 1}, {"accounts": {ALICE: 1}}):
        with pytest.raises(Misuse, match="another"):
            EmbeddedChain(tmp_path / "c", **arguments)  # type: ignore[arg-type]
    (tmp_path / "text").write_text("no chain " * 1_000)
    with pytest.raises(BadInput):
        EmbeddedChain(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE notes (text)")
    with pytest.raises(BadInput, match="layout"):
        EmbeddedChain(tmp_path / "other")
    with pytest.raises(OutsideFailed):
        EmbeddedChain(tmp_path / "no" / "such" / "folder")
    with pytest.raises(Misuse, match="unknown kind"):
        open_chain("carrier-pigeon:c")
    with open_chain(f"embedded:{tmp_path / 'c'}") as chain:
        assert chain.now() >= GENESIS


def test_two_chains_on_one_file_see_each_other(tmp_path: Path) -> None:
    with fresh(tmp_path / "c") as one, fresh(tmp_path / "c") as two:
        alice, bob = Sender(one.web3, ALICE_KEY), Sender(two.web3, BOB_KEY)
        cell = alice.deploy(CELL).contract
        assert cell is not None
        for value in range(1, 6):
            (alice if value % 2 else bob).send(cell, words(value))
            assert call(one.web3, cell, b"") == call(two.web3, cell, b"") == words(value)
            assert one.head() == two.head()


COUNTER = creation("0 SLOAD 1 ADD 0 SSTORE")
FORK = multiprocessing.get_context("fork")


def write_on(path: Path, key: bytes, contract: bytes, count: int, told: int) -> None:
    """Send ``count`` transactions, and tell each block's number to the pipe ``told`` once it is known."""
    with EmbeddedChain(path) as chain:
        sender = Sender(chain.web3, key)
        for _ in range(count):
            os.write(told, sender.send(contract, gas=100_000).block_number.to_bytes(4, "big"))


class Writer:
    """A process of its own that sends transactions until it is done or killed."""

    def __init__(self, path: Path, key: bytes, contract: bytes, count: int) -> None:
        self.ear, mouth = os.pipe()
        self.process = FORK.Process(target=write_on, args=(path, key, contract, count, mouth))
        self.process.start()
        os.close(mouth)

    def first(self) -> int:
        """Wait for the first block it tells."""
        return int.from_bytes(os.read(self.ear, 4), "big")

    def rest(self) -> list[int]:
        """Wait for its end; every further block it told."""
        with os.fdopen(self.ear, "rb") as pipe:
            data = pipe.read()
        self.process.join()
        return [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data) - 3, 4)]


def check_whole(chain: EmbeddedChain) -> None:
    """The chain's blocks link, its receipts are where the headers say, its head's state is all there."""
    with chain.reading() as store:
        parent = bytes(32)
        for number in range(chain.head().number + 1):
            block = store.block(number)
            assert block is not None
            assert (block.header.parent_hash, block.header.number) == (parent, number)
            assert keccak(block.header.encode()) == block.hash
            if block.receipt is not None:
                assert block.header.receipts_root == single_root(block.receipt)
            parent = block.hash


def test_two_processes_lose_no_update_and_fork_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with fresh(path) as chain:
        counter = Sender(chain.web3, ALICE_KEY).deploy(COUNTER).contract
    assert counter is not None
    writers = [Writer(path, key, counter, 40) for key in (ALICE_KEY, BOB_KEY)]
    told = [number for writer in writers for number in writer.rest()]
    assert [writer.process.exitcode for writer in writers] == [0, 0]
    assert sorted(told) == list(range(2, 82))
    with EmbeddedChain(path) as chain:
        assert chain.storage(counter, 0) == 80
        check_whole(chain)


def test_two_processes_may_create_one_file(tmp_path: Path) -> None:
    for at in range(5):
        path = tmp_path / str(at)
        pair = [FORK.Process(target=lambda path=path: fresh(path).close()) for _ in range(2)]
        for process in pair:
            process.start()
        for process in pair:
            process.join()
        assert [process.exitcode for process in pair] == [0, 0]
        with fresh(path) as chain:
            check_whole(chain)


def test_killed_at_any_point_the_last_whole_block_stays(tmp_path: Path) -> None:
    """``kill -9`` while it opens the file, between blocks and within one; ``TROTH_KILLS`` sets how many times."""
    path = tmp_path / "c"
    with fresh(path) as chain:
        counter = Sender(chain.web3, ALICE_KEY).deploy(COUNTER).contract
    assert counter is not None
    rng, height = random.Random(7), 1
    for kill in range(int(os.environ.get("TROTH_KILLS", "30"))):
        writer = Writer(path, ALICE_KEY, counter, 100_000)
        told = [] if kill % 3 == 0 else [writer.first()]
        time.sleep(rng.random() * (0.05 if told else 0.15))
        writer.process.kill()
        told += writer.rest()
        assert told[:1] in ([], [height + 1])  # it went on from what the one before left
        last = told[-1] if told else height
        with EmbeddedChain(path) as chain:
            height = chain.head().number
            assert last <= height <= last + 1  # what was told is there, and nothing half done
            assert chain.storage(counter, 0) == height - 1  # every block's transaction, once
            with chain.reading() as store:
                past = store.block(rng.randint(1, height))
            assert past is not None
            assert chain.storage(counter, 0, past) == past.number - 1  # and every state that was
            check_whole(chain)


def count_up(sender: Sender, cell: bytes) -> None:
    for value in range(1, 1_000):
        sender.send(cell, words(value), gas=100_000)


def test_a_full_disk_loses_the_transaction_alone(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with fresh(path) as chain:
        alice = Sender(chain.web3, ALICE_KEY)
        cell = alice.deploy(CELL).contract
        assert cell is not None
        head = chain.head()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size + 50_000, hard))
        try:
            with pytest.raises(OutsideFailed, match="Nothing was written"):
                count_up(alice, cell)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        full = chain.head()
        assert full.number > head.number
        assert chain.storage(cell, 0) == full.number - head.number
        alice.send(cell, words(99), gas=100_000)
        with chain.reading() as store:
            refused, last = store.block(full.number + 1), chain.head()
        assert refused is not None  # its sender kept it
        assert refused.header.parent_hash == full.hash
        assert last.header.parent_hash == refused.hash
        check_whole(chain)


# -- against ordinary tools and hand-made numbers --------------------------------------------------------------------


def test_headers_are_what_other_tools_read() -> None:
    with fresh(None) as chain:
        alice = Sender(chain.web3, ALICE_KEY)
        contract = alice.deploy(emitter(2)).contract
        assert contract is not None
        sent = alice.send(contract, words(1, 2) + b"data")
        block = chain.head()
        theirs = rlp.decode(block.header.encode(), PragueBlockHeader)
        assert (theirs.hash, theirs.block_number) == (block.hash, 2)
        assert theirs.gas_used == sent.gas_used
        for root, value in ((theirs.receipt_root, block.receipt), (theirs.transaction_root, block.tx)):
            trie = HexaryTrie({})
            trie[rlp.encode(0)] = value
            assert trie.root_hash == root
        assert theirs.bloom == int(BloomFilter.from_iterable([contract, words(1), words(2)]))
        assert theirs.timestamp == GENESIS


def test_gas_by_hand() -> None:
    """EIP-2028, 2929, 3529, 7623: the sums written out."""
    with fresh(None) as chain:
        alice = Sender(chain.web3, ALICE_KEY)
        cell = alice.deploy(CELL).contract
        assert cell is not None
        overhead = 2 + 3 + 10 + 1 + 3 + 3 + 3  # CALLDATASIZE, PUSH, JUMPI, JUMPDEST, PUSH, CALLDATALOAD, PUSH
        word = 31 * 4 + 16
        assert alice.send(cell, words(1)).gas_used == 21_000 + word + overhead + 22_100  # empty slot, cold
        assert alice.send(cell, words(2)).gas_used == 21_000 + word + overhead + 5_000  # taken slot, cold
        unchanged = alice.send(cell, words(2)).gas_used
        assert unchanged == 21_000 + word + overhead + 2_200
        used = 21_000 + 32 * 4 + overhead + 5_000
        assert alice.send(cell, words(0)).gas_used == used - min(4_800, used // 5)  # cleared: refund
        floor = 21_000 + 10 * 4 * 1_000
        assert alice.send(BOB, b"\1" * 1_000).gas_used == floor


def test_a_tip_is_paid_and_nothing_else_is() -> None:
    with fresh(None) as chain:
        tip = 10**9
        fields = {"to": chain.web3.to_checksum_address(BOB), "value": 1, "gas": 30_000, "chainId": chain.chain_id}
        fees = {"nonce": 0, "maxFeePerGas": 5 * tip, "maxPriorityFeePerGas": tip, "type": 2}
        raw = Account.sign_transaction(fields | fees, ALICE_KEY).raw_transaction
        chain.submit(bytes(raw))
        assert chain.account(ALICE).balance == 10 * ETHER - 1 - 21_000 * tip
        assert chain.account(bytes(20)).balance == 21_000 * tip


def test_storage_wiped_and_accounts_emptied_leave_the_state_root_of_genesis() -> None:
    """A transfer there and back, at no fee, leaves only nonces behind: roots are a function of the state alone."""
    with fresh(None) as chain, fresh(None) as other:
        for one in (chain, other):
            cell = Sender(one.web3, ALICE_KEY).deploy(CELL).contract
            assert cell is not None
        Sender(chain.web3, ALICE_KEY).send(cell, words(5))
        Sender(chain.web3, ALICE_KEY).send(cell, words(0))
        for _ in range(2):
            Sender(other.web3, ALICE_KEY).send(cell, words(0))
        assert chain.head().header.state_root == other.head().header.state_root


def test_many_threads_on_one_chain() -> None:
    with fresh(None) as chain:
        counter = Sender(chain.web3, ALICE_KEY).deploy(COUNTER).contract
        assert counter is not None
        keys = [bytes((at,)) * 32 for at in range(1, 5)]
        senders = [Sender(chain.web3, key) for key in keys]

        def work(sender: Sender) -> None:
            for _ in range(10):
                sender.send(counter, gas=100_000)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, senders))
        assert chain.storage(counter, 0) == 40
        check_whole(chain)


def test_a_key_never_shows() -> None:
    with fresh(None) as chain:
        sender = Sender(chain.web3, ALICE_KEY)
        assert ALICE_KEY.hex() not in repr(sender) + str(sender)
        with pytest.raises(BadInput) as caught:
            Sender(chain.web3, b"\xff" * 32)
        assert "ff" * 8 not in repr(caught.value) + repr(caught.value.__cause__)


def test_a_value_nobody_has_is_not_sent() -> None:
    with fresh(None) as chain:
        with pytest.raises(OutsideFailed, match="InsufficientFunds"):
            Sender(chain.web3, BOB_KEY).send(ALICE, value=1)
        assert chain.head().number == 0


def test_wei_beyond_256_bits_is_refused() -> None:
    for wei in (-1, 1 << 256):
        with pytest.raises(BadInput, match="wei"):
            EmbeddedChain(None, accounts={ALICE: wei})
    with pytest.raises(BadInput, match="wei"):
        EmbeddedChain(None, accounts={ALICE: 1 << 255, BOB: 1 << 255})
    with pytest.raises(BadInput, match="20 bytes"):
        EmbeddedChain(None, accounts={b"short": 1})
