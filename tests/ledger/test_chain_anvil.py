"""Anvil as a backend: the shared suite, its life as a program, its state file, and what tests ask of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import coincurve
import pytest
from eth_hash.auto import keccak

from ports import anvil as tools
from ports.anvil import PROGRAM, anvil
from ports.chain_suite import ALICE, ALICE_KEY, BOB, ETHER, ChainSuite
from ports.contracts import CELL, words
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.ledger.chains import Chain, open_chain
from troth.ledger.chains.anvil import BINARY
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.rpc import request
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction
from troth.ledger.sending import Sender, call

GENESIS = 1_700_000_000


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BINARY, str(PROGRAM))


class TestAnvil(ChainSuite):
    refuses_other_ids = False  # it mines them: whoever signs for the wrong chain is not told by anvil

    def make(self) -> Chain:
        return open_chain("anvil:", genesis_time=GENESIS, accounts={ALICE: 10 * ETHER})

    def advance(self, chain: Chain, seconds: int) -> None:
        tools.advance(chain, seconds)


# -- the program ---------------------------------------------------------------------------------------------------


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Whether it ends within a while."""
    until = time.monotonic() + 20
    while running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not running(pid)


def test_closing_ends_the_program_and_twice_is_fine() -> None:
    chain = anvil()
    assert running(chain.pid)
    chain.close()
    assert not running(chain.pid)
    chain.close()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(ending: signal.Signals) -> None:
    script = (
        "import sys, time; from troth.ledger.chains import open_chain; chain = open_chain('anvil:');"
        "print(chain.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=dict(os.environ)) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.send_signal(ending)
    assert gone(pid)


def test_it_listens_on_loopback_alone() -> None:
    with anvil() as chain:
        port = int(chain.url.rpartition(":")[2])
        listening = [line.split() for line in Path(f"/proc/{chain.pid}/net/tcp").read_text().splitlines()[1:]]
        assert {line[1] for line in listening if line[1].endswith(f":{port:04X}") and line[3] == "0A"} == {
            f"0100007F:{port:04X}"
        }


def test_without_the_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BINARY, str(tmp_path / "none"))
    with pytest.raises(OutsideFailed, match="@foundry-rs/anvil-linux-amd64"):
        open_chain("anvil:")
    monkeypatch.delenv(BINARY)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutsideFailed, match="none on the PATH"):
        open_chain("anvil:")


def test_a_program_that_does_not_start_is_told_with_what_it_said() -> None:
    with pytest.raises(OutsideFailed, match=r"did not start.*unexpected argument '--no-such-option'"):
        anvil("--no-such-option")


def test_what_it_does_not_take() -> None:
    with pytest.raises(Misuse, match="clock of its own"):
        open_chain("anvil:", clock=ManualClock(1))


# -- its chain -----------------------------------------------------------------------------------------------------


def test_the_same_settings_make_the_same_genesis() -> None:
    with anvil(genesis_time=GENESIS) as one, anvil(genesis_time=GENESIS) as two, anvil(genesis_time=5) as other:
        assert one.genesis_hash == two.genesis_hash != other.genesis_hash
        assert one.chain_id == 7_407
        assert GENESIS <= one.now() < GENESIS + 600


def test_state_stays_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with anvil(path=path, genesis_time=GENESIS, accounts={ALICE: 10 * ETHER}) as chain:
        alice = Sender(chain.web3, ALICE_KEY)
        cell = alice.deploy(CELL).contract
        assert cell is not None
        alice.send(cell, words(7))
        genesis, head = chain.genesis_hash, chain.finality().latest
        with pytest.raises(OutsideFailed, match="another process runs anvil"):
            anvil(path=path)
    before = time.time()
    with open_chain(f"anvil:{path}", genesis_hash=genesis) as chain:
        assert chain.finality().latest == head
        assert call(chain.web3, cell, b"") == words(7)
        Sender(chain.web3, ALICE_KEY).send(cell, words(8))
        latest = chain.web3.eth.get_block("latest")
        assert bytes(latest["parentHash"]) == head.hash
        assert latest["timestamp"] >= int(before)  # without a genesis time, its clock is the machine's
    with pytest.raises(Misuse, match="another genesis time"):
        anvil(path=path, genesis_time=GENESIS + 1)
    with pytest.raises(Misuse, match="is another chain"):
        open_chain(f"anvil:{path}", genesis_hash=bytes(32))
    with anvil(path=path) as chain:
        assert call(chain.web3, cell, b"") == words(8)
    path.write_text("{}")
    with pytest.raises(BadInput, match="no state of anvil's"):
        anvil(path=path)


def test_a_parent_that_is_killed_leaves_the_state_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    script = (
        "import os; from troth.ledger.chains import open_chain; from troth.ledger.chains.rpc import request;"
        f"chain = open_chain('anvil:{path}'); request(chain.web3, 'anvil_mine', '0x5');"
        "print(chain.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))
    with anvil(path=path) as chain:
        assert chain.finality().latest.number == 5


def test_finality_trails_the_head() -> None:
    with anvil("--slots-in-an-epoch", "2") as chain:
        tools.mine(chain, 10)
        found = chain.finality()
        assert found.safe is not None
        assert found.finalized is not None
        assert (found.latest.number, found.safe.number, found.finalized.number) == (10, 8, 6)
        assert found.finalized.hash == bytes(chain.web3.eth.get_block(6)["hash"])


# -- what other tests ask of it ------------------------------------------------------------------------------------


def transfer(chain: Chain, nonce: int, value: int) -> tuple[bytes, bytes]:
    unsigned = Transaction(DYNAMIC_FEE, chain.chain_id, nonce, 0, 0, 21_000, BOB, value, b"")
    raw = unsigned.signed(coincurve.PrivateKey(ALICE_KEY), ALICE).encode()
    return raw, keccak(raw)


def test_reorg_drop_snapshot_and_time() -> None:
    with anvil("--no-mining", accounts={ALICE: ETHER}, genesis_time=GENESIS) as chain:
        web3 = chain.web3
        bob = web3.to_checksum_address(BOB)
        first, first_hash = transfer(chain, 0, 1)
        request(web3, "eth_sendRawTransaction", "0x" + first.hex())
        assert request(web3, "eth_getTransactionReceipt", "0x" + first_hash.hex()) is None
        tools.mine(chain)
        assert web3.eth.get_balance(bob) == 1
        name = tools.snapshot(chain)
        second, second_hash = transfer(chain, 1, 2)
        request(web3, "eth_sendRawTransaction", "0x" + second.hex())
        tools.drop(chain, second_hash)
        tools.mine(chain, 3)
        assert web3.eth.get_balance(bob) == 1
        old = chain.finality().latest
        tools.reorg(chain, 2, [(second, 1)])
        new = chain.finality().latest
        assert new.number == old.number
        assert new.hash != old.hash
        assert web3.eth.get_balance(bob) == 3
        assert web3.eth.get_transaction_receipt(second_hash)["blockNumber"] == new.number
        tools.revert(chain, name)
        assert (chain.finality().latest.number, web3.eth.get_balance(bob)) == (1, 1)
        tools.block_seconds(chain, 100)
        tools.mine(chain, 2)
        one, two = web3.eth.get_block(2), web3.eth.get_block(3)
        assert two["timestamp"] - one["timestamp"] == 100
