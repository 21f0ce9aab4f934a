"""Real processes on a real node: killed by SIGKILL at any point, while anvil re-organises 1 to 12 blocks at a time.

A contract that counts acts by their id is the judge: every count on the final branch must be exactly 1. Children are
forked, so they share nothing but the outbox's file and its locks.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import coincurve
import pytest

from ledger.moody import COUNT, GWEI
from ports.anvil import anvil as started
from ports.contracts import words
from troth.core.errors import OutsideFailed, Pending
from troth.ledger.chains.rpc import RpcChain, next_time, request
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction, account_of
from troth.ledger.fees import Fees, Sending
from troth.ledger.outbox import FINALIZED, INCLUDED, Expired, Outbox
from troth.ledger.sending import Sender

KILLS = int(os.environ.get("TROTH_KILLS", "4"))
CHAIN = 31_337
STRANGER = coincurve.PrivateKey(b"\x77" * 32)
"""Whose transactions fill the blocks that replace others."""
CHILDREN, ACTS = 3, 2
EACH = 4
"""Schedules on one node."""


class Anvil:
    """A node that mines when told; a block is final when 16 are on top of it, so 12 are never final."""

    def __init__(self, url: str) -> None:
        self.chain = RpcChain(url)
        self.url, self.web3 = url, self.chain.web3
        self.strange = 0
        self.fund(account_of(STRANGER.public_key))
        self.counter = b""

    def fund(self, account: bytes) -> None:
        request(self.web3, "anvil_setBalance", "0x" + account.hex(), hex(10**21))

    def mine(self, blocks: int = 1) -> None:
        request(self.web3, "anvil_mine", hex(blocks))

    def reorg(self, depth: int) -> None:
        """Replace ``depth`` blocks by others with a stranger's payment in each."""
        account = account_of(STRANGER.public_key)
        head = int(request(self.web3, "eth_blockNumber"), 16)
        nonce = int(request(self.web3, "eth_getTransactionCount", "0x" + account.hex(), hex(head - depth)), 16)
        pairs = []
        for at in range(depth):
            self.strange += 1
            paid = Transaction(DYNAMIC_FEE, CHAIN, nonce + at, GWEI, 10**12, 21_000, b"\x88" * 20, self.strange, b"")
            pairs.append(["0x" + paid.signed(STRANGER, account).encode().hex(), at])
        request(self.web3, "anvil_reorg", depth, pairs)

    def count(self, act: bytes) -> int:
        return int(request(self.web3, "eth_getStorageAt", "0x" + self.counter.hex(), "0x" + act.hex(), FINALIZED), 16)


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    """A fresh node: after some 950 blocks anvil 1.7.1 forgets contracts' code when it re-organises."""
    with started("--no-mining", "--slots-in-an-epoch", "8", chain_id=CHAIN) as chain:
        node = Anvil(chain.web3.provider._place)  # type: ignore[attr-defined]
        node.counter = deployed(node)
        yield node


def deployed(node: Anvil) -> bytes:
    node.fund(account_of(coincurve.PrivateKey(b"\x66" * 32).public_key))
    receipt = Sender(node.web3, b"\x66" * 32, how=Sending(sleep=lambda _: node.mine())).deploy(COUNT)
    node.mine(40)
    assert receipt.contract is not None
    return receipt.contract


class DyingOutbox(Outbox):
    """May die before and after every write."""

    def __init__(self, path: Path, point: Callable[[], None]) -> None:
        self.point = point
        super().__init__(path)

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        self.point()
        with super().writing(durable=durable):
            yield
            self.point()  # and before the commit
        self.point()


def child(node: Anvil, path: Path, key: bytes, acts: dict[bytes, int | None], lives: int | None) -> None:
    """Have the acts done, some before their time is over; die at the ``lives``-th point."""
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == lives:
            os.kill(os.getpid(), signal.SIGKILL)

    web3 = RpcChain(node.url).web3  # a connection of its own

    def make_request(method: str, params: list[Any]) -> Mapping[str, Any]:
        point()
        answer = web3.provider.make_request(method, params)  # type: ignore[arg-type]
        point()
        return answer

    face: Any = SimpleNamespace(provider=SimpleNamespace(make_request=make_request))
    sender = Sender(face, key, outbox=DyingOutbox(path, point),
                    how=Sending(Fees(patience=0.5), wait=60, sleep=lambda _: time.sleep(0.02)))
    until = time.monotonic() + 60  # so that nobody outlives the test
    for act, not_after in acts.items():
        while time.monotonic() < until:
            try:
                sender.send(node.counter, act, gas=100_000, act=act, until=FINALIZED, not_after=not_after)
                break
            except Expired:
                break
            except OutsideFailed:  # a block went away between two questions
                time.sleep(0.02)


def fork(run: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            run()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(1)
    return pid


@pytest.mark.parametrize("first", range(0, KILLS, EACH))
def test_real_processes_killed_at_any_point(anvil: Anvil, tmp_path: Path, first: int) -> None:
    deaths = reorgs = 0
    in_time = [0, 0]
    for seed in range(first, min(first + EACH, KILLS)):
        rng, path = random.Random(seed), tmp_path / f"{seed}"
        key = (1 + seed).to_bytes(32, "big")
        anvil.fund(account_of(coincurve.PrivateKey(key).public_key))
        todo: list[dict[bytes, int | None]] = [
            dict.fromkeys([words(seed << 32 | 1 << 16), *(words(seed << 32 | at << 8 | n) for n in range(ACTS))])
            for at in range(CHILDREN)]
        begin = next_time(anvil.web3)
        brief = [words(seed << 32 | 1 << 17 | at) for at in range(CHILDREN)]
        for at, act in enumerate(brief):
            todo[at][act] = begin + rng.randint(0, 4)  # asked for last
        running: dict[int, int] = {}

        def start(at: int, lives: int | None, path: Path = path, key: bytes = key,
                  todo: list[dict[bytes, int | None]] = todo, running: dict[int, int] = running) -> None:
            running[fork(lambda: child(anvil, path, key, todo[at], lives))] = at

        for at in range(CHILDREN):
            start(at, rng.randint(1, 120))
        until, calm = time.monotonic() + 60, time.monotonic() + 1.5
        while running:
            assert time.monotonic() < until, f"seed {seed}: an act was lost"
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                at = running.pop(pid)
                if os.WIFSIGNALED(status):
                    deaths += 1
                    start(at, rng.randint(1, 200) if time.monotonic() < calm else None)
                else:
                    assert os.WEXITSTATUS(status) == 0
            what = rng.random()
            if what < 0.1 and time.monotonic() < calm:
                anvil.reorg(rng.randint(1, 12))
                reorgs += 1
            elif what < 0.13 and time.monotonic() < calm:
                pool = request(anvil.web3, "txpool_content")["pending"]
                for held in pool.values():
                    for entry in held.values():
                        request(anvil.web3, "anvil_dropTransaction", entry["hash"])
            else:
                anvil.mine()
            time.sleep(0.01)
        counts = {act.hex(): anvil.count(act) for acts in todo for act in acts}
        outbox = Outbox(path)
        expired = {row[0] for row in outbox.rows("SELECT id FROM acts WHERE given_up = 'expired'")}
        known = {row[0] for row in outbox.rows("SELECT id FROM acts")}
        outbox.close()
        for act in brief:  # once, or expired and never
            assert counts.pop(act.hex()) == 1 or act in expired or act not in known, f"seed {seed}: {act.hex()}"
            in_time[act in expired or act not in known] += 1
        assert set(counts.values()) == {1}, f"seed {seed}: {counts}"
    code = request(anvil.web3, "eth_getCode", "0x" + anvil.counter.hex(), "latest")
    assert len(code) > 2, "the node forgot the judge"
    print(f"\nschedules {first} and after: {deaths} processes killed, {reorgs} re-organisations; of acts "
          f"with an expiry {in_time[0]} in time, {in_time[1]} not")
    assert deaths
    assert reorgs


def test_reorganisations_of_every_depth_while_sending(anvil: Anvil, tmp_path: Path) -> None:
    """Acts end on the new branch, once, after each of 12 re-organisations with other transactions in their blocks."""
    key = b"\x55" * 32
    anvil.fund(account_of(coincurve.PrivateKey(key).public_key))
    sender = Sender(anvil.web3, key, outbox=Outbox(tmp_path / "outbox"),
                    how=Sending(Fees(patience=1e9), wait=0, sleep=lambda _: None))
    acts, back = [], 0
    rng = random.Random(5)
    for depth in rng.sample(range(1, 13), 12):
        for _ in range(2):
            act = words(1 << 60 | len(acts))
            acts.append(act)
            with pytest.raises(Pending):
                sender.send(anvil.counter, act, gas=100_000, act=act)
            anvil.mine(rng.randint(0, 4))
            sender.tend()
        before = {act: sender.progress(act) for act in acts}
        anvil.reorg(depth)
        sender.tend()
        for act in acts:
            now = sender.progress(act)
            if before[act].block_hash is not None and now.block_hash != before[act].block_hash:
                back += 1
                assert now.state in ("pending", INCLUDED)
            if before[act].state == FINALIZED:
                assert now.block_hash == before[act].block_hash
    assert back
    for _ in range(12):
        sender.tend()
        anvil.mine()
    anvil.mine(16)
    for act in acts:
        done = sender.wait(act)
        block = request(anvil.web3, "eth_getBlockByNumber", hex(done.block_number), False)
        assert bytes.fromhex(block["hash"][2:]) == done.block_hash
        assert "0x" + done.tx_hash.hex() in block["transactions"]
        assert anvil.count(act) == 1
