"""A node with moods: a simulated pool of transactions and fee market in front of a real embedded chain.

What is real: the EVM, its blocks, receipts and hashes, re-organisations (blocks are taken off the chain's store and
others mined in their place), SQLite files and file locks. What is simulated: the pool, its rules for replacing (those
of geth: both fees a tenth higher), the base fee, which blocks are safe and finalized, and every mood: broadcasts that
are dropped, delayed or delivered twice, answers that are lost, counts that lag, receipts that lie.

``Stage`` runs several writers, one step at a time in an order drawn from a seed: whoever runs is stopped before and
after every request to the node, every write to the disk and every try for the lock, and may be killed there.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import coincurve
from eth_hash.auto import keccak

from ports.contracts import creation, words
from troth.core.errors import OutsideFailed
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.transactions import DYNAMIC_FEE, Transaction, account_of, decode_transaction
from troth.ledger.fees import Fees, Sending
from troth.ledger.outbox import FINALIZED, TURN, Expired, Outbox, Queue
from troth.ledger.sending import Receipt, Sender

KEY = b"\x5e" * 32
ACCOUNT = account_of(coincurve.PrivateKey(KEY).public_key)
COUNT = creation("0 CALLDATALOAD DUP1 SLOAD 1 ADD SWAP1 SSTORE")
"""(id): adds one to the slot of that id. The judge: every act's slot must end at exactly 1."""
GWEI = 10**9
START = 1_700_000_000
SHARED = words(1 << 64)


class Killed(BaseException):
    """The process dies here."""


class MoodyNode:
    """Answers JSON-RPC. ``moods``: whether it misbehaves; ``depth``: blocks on top that make one final."""

    def __init__(self, rng: random.Random, depth: int = 5) -> None:
        self.rng, self.depth, self.moods = rng, depth, True
        self.clock = ManualClock(START)
        self.chain = EmbeddedChain(None, genesis_time=START, accounts={ACCOUNT: 10**21}, clock=self.clock)
        self.provider = SimpleNamespace(make_request=self.make_request)
        self.pool: dict[int, Transaction] = {}
        self.raw: dict[int, bytes] = {}
        self.delayed: list[bytes] = []
        self.seen: list[bytes] = []  # whatever was broadcast once, somebody still has
        self.base, self.final = GWEI, 0
        self.reorgs = self.foreign = self.replaced = self.deepest = 0

    # -- what it is asked --------------------------------------------------------------------------------------------

    def make_request(self, method: str, params: list[Any]) -> Mapping[str, Any]:
        if self._mood(0.02):
            raise ConnectionError("no answer")
        handler = getattr(self, method, None)
        answer = self.chain.provider.make_request(method, params) if handler is None else handler(*params)
        if self._mood(0.02):
            raise ConnectionError("the answer is lost")
        return answer

    def _mood(self, chance: float) -> bool:
        return self.moods and self.rng.random() < chance

    def _pass(self, method: str, *params: Any) -> Any:
        return self.chain.provider.make_request(method, list(params))

    def eth_gasPrice(self) -> Any:
        return {"result": hex(self.base + GWEI)}

    def eth_maxPriorityFeePerGas(self) -> Any:
        return {"result": hex(GWEI)}

    def eth_getBlockByNumber(self, tag: str, full: bool) -> Any:
        number = {"finalized": self.final, "safe": (self.final + self.chain.head().number) // 2}.get(tag)
        answer = self._pass("eth_getBlockByNumber", tag if number is None else hex(number), full)
        if answer["result"] is not None:
            answer["result"]["baseFeePerGas"] = hex(self.base)
        return answer

    def eth_getTransactionCount(self, account: str, tag: str) -> Any:
        if tag == "latest" and self._mood(0.1):  # it lags
            tag = hex(max(0, self.chain.head().number - self.rng.randint(1, 4)))
        answer = self._pass("eth_getTransactionCount", account, tag)
        if tag == "pending":
            count = int(answer["result"], 16)
            while count in self.pool:
                count += 1
            answer["result"] = hex(count)
        return answer

    def eth_getTransactionReceipt(self, tx_hash: str) -> Any:
        answer = self._pass("eth_getTransactionReceipt", tx_hash)
        if answer["result"] is not None and self._mood(0.05):
            return {"result": answer["result"] | {"blockHash": "0x" + self.rng.randbytes(32).hex()}}
        return answer

    def eth_getTransactionByHash(self, tx_hash: str) -> Any:
        pooled = any("0x" + bytes(keccak(self.raw[nonce])).hex() == tx_hash for nonce in self.pool)
        return {"result": {"hash": tx_hash}} if pooled else self._pass("eth_getTransactionByHash", tx_hash)

    def eth_sendRawTransaction(self, text: str) -> Any:
        raw = bytes.fromhex(text[2:])
        tx_hash = "0x" + bytes(keccak(raw)).hex()
        self.seen.append(raw)
        if self._mood(0.15):
            return {"result": tx_hash}  # dropped
        if self._mood(0.1):
            self.delayed.append(raw)
            return {"result": tx_hash}
        if self._mood(0.1):
            self._accept(raw)
        error = self._accept(raw)
        return {"result": tx_hash} if error is None else {"error": {"code": -32000, "message": error}}

    def _accept(self, raw: bytes) -> str | None:
        tx = decode_transaction(raw)
        held = self.pool.get(tx.nonce)
        if tx.gas < max(tx.intrinsic_gas, tx.floor_gas):
            return "intrinsic gas too low"
        if tx.nonce < self.chain.account(ACCOUNT).nonce:
            return "nonce too low"
        if held is not None:
            if self.raw[tx.nonce] == raw:
                return "already known"
            if any(10 * new < 11 * old for new, old in (
                    (tx.max_fee_per_gas, held.max_fee_per_gas),
                    (tx.max_priority_fee_per_gas, held.max_priority_fee_per_gas))):
                return "replacement transaction underpriced"
            self.replaced += 1
        self.pool[tx.nonce], self.raw[tx.nonce] = tx, raw
        return None

    # -- what happens to it ------------------------------------------------------------------------------------------

    def mine(self) -> None:
        """A block: with the next transaction that pays enough, or empty."""
        self.clock.advance(self.rng.randint(1, 12))
        nonce = self.chain.account(ACCOUNT).nonce
        tx = self.pool.get(nonce)
        if tx is not None and tx.max_fee_per_gas >= self.base:
            self.chain.submit(self.raw[nonce])
        else:
            self.chain.mine()
        self.pool = {at: one for at, one in self.pool.items() if at >= self.chain.account(ACCOUNT).nonce}
        self.final = max(self.final, self.chain.head().number - self.depth)

    def reorg(self) -> None:
        """Take the last blocks back, never finalized ones; mine others. What they held is pooled again, or lost."""
        head = self.chain.head().number
        depth = self.rng.randint(0, head - self.final)
        if not depth:
            return
        store = self.chain._store
        with self.chain.reading():
            lost = [store.block(number) for number in range(head - depth + 1, head + 1)]
            with store.writing():
                store._db.execute("DELETE FROM blocks WHERE number > ?", (head - depth,))
                store._db.execute("DELETE FROM logs WHERE block > ?", (head - depth,))
                store._head = None
            self.chain._engine.forget()
        for block in lost:
            if block is not None and block.tx is not None and self.rng.random() < 0.5:
                self._accept(block.tx)
        self.gossip()
        self.reorgs, self.deepest = self.reorgs + 1, max(self.deepest, depth)
        for _ in range(depth + 1):
            self.mine()

    def gossip(self) -> None:
        """Others hand back some of what was ever broadcast, dropped ones too, before the node has new ones."""
        for raw in self.rng.sample(self.seen, min(len(self.seen), 4)):
            self._accept(raw)

    def somebody_else(self) -> None:
        """Another wallet with the same key sends something."""
        nonce = self.chain.account(ACCOUNT).nonce
        while nonce in self.pool and self.rng.random() < 0.7:
            nonce += 1
        unsigned = Transaction(DYNAMIC_FEE, self.chain.chain_id, nonce, 3 * GWEI, 100 * GWEI, 21_000, b"\x99" * 20,
                               1 + self.foreign, b"")
        if self._accept(unsigned.signed(coincurve.PrivateKey(KEY), ACCOUNT).encode()) is None:
            self.foreign += 1

    def happen(self) -> None:
        """One event."""
        self.clock.advance(self.rng.randint(0, 3))
        if not self.moods:
            self.base = GWEI
            for raw in self.delayed:
                self._accept(raw)
            self.delayed.clear()
            return self.mine()
        what = self.rng.random()
        if what < 0.6:
            self.mine()
        elif what < 0.7:
            self.reorg()
        elif what < 0.75:
            self.somebody_else()
        elif what < 0.85:
            self.base = GWEI * self.rng.choice((1, 1, 2, 5, 40, 200))
        elif what < 0.9 and self.pool:  # it forgets
            self.pool.pop(self.rng.choice(list(self.pool)))
        elif what < 0.95:
            self.gossip()
        elif self.delayed:
            self._accept(self.delayed.pop(self.rng.randrange(len(self.delayed))))
        return None


class StagedOutbox(Outbox):
    """An outbox that stops its process around every write and every try for the lock."""

    def __init__(self, path: Path, pause: Callable[[], None]) -> None:
        pause()
        self.pause: Callable[[], None] = lambda: None  # whoever opens it holds a lock that others wait for in earnest
        super().__init__(path)
        self.pause = pause
        pause()

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        self.pause()
        with super().writing(durable=durable):
            yield
        self.pause()

    def queue(self, chain_id: int, genesis: bytes, account: bytes) -> Queue:
        queue = super().queue(chain_id, genesis, account)
        return StagedQueue(self, queue._key, account)


class StagedQueue(Queue):
    """Takes its turn without blocking the stage."""

    @contextmanager
    def turn(self, wait: float = TURN) -> Iterator[None]:
        while True:
            held = super().turn(0)
            try:
                held.__enter__()
                break
            except OutsideFailed:
                self.outbox.pause()  # type: ignore[attr-defined]
        try:
            self.outbox.pause()  # type: ignore[attr-defined]
            yield
        finally:
            held.__exit__(None, None, None)


class Writer:
    """One process: has its acts done, dies now and then, starts again and asks for all of them again."""

    def __init__(self, stage: Stage, name: int, acts: list[bytes]) -> None:
        self.stage, self.name, self.acts = stage, name, acts
        self.go = threading.Semaphore(0)
        self.kill = self.done = False
        self.deaths = 0
        self.error: BaseException | None = None
        self.receipts: dict[bytes, Receipt] = {}
        self.expired: set[bytes] = set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def pause(self) -> None:
        """Let others go on; maybe never come back."""
        self.stage.back.release()
        self.go.acquire()
        if self.kill:
            self.kill = False
            raise Killed

    def make_request(self, method: str, params: list[Any]) -> Mapping[str, Any]:
        if method == "eth_sendRawTransaction":
            self.stage.broadcast(bytes.fromhex(params[0][2:]))
        self.pause()
        answer = self.stage.node.make_request(method, params)
        self.pause()
        return answer

    def run(self) -> None:
        self.go.acquire()
        while not self.done:
            try:
                self.live()
                self.done = True
            except Killed:
                self.deaths += 1
            except BaseException as error:
                self.error, self.done = error, True
        self.stage.back.release()

    def live(self) -> None:
        """From start to end, or death."""
        outbox = None
        try:
            while True:
                try:
                    outbox = StagedOutbox(self.stage.path, self.pause)
                    sender = self.stage.sender(self, outbox)
                    for act in self.acts:
                        try:
                            receipt = sender.send(self.stage.counter, act, gas=100_000, act=act, until=FINALIZED,
                                                  not_after=self.stage.expiries.get(act))
                        except Expired:
                            self.expired.add(act)
                            continue
                        if self.receipts.setdefault(act, receipt) != receipt:
                            raise AssertionError("a finalized receipt changed")
                    return
                except OutsideFailed:
                    self.pause()  # the node did not answer: ask again
        finally:
            if outbox is not None:
                outbox.close()


class Stage:
    """Runs one schedule, drawn from ``seed``."""

    def __init__(self, seed: int, path: Path, *, writers: int = 3, acts: int = 2, turmoil: int = 400) -> None:
        self.rng = random.Random(seed)
        self.path, self.turmoil = path, turmoil
        self.node = MoodyNode(self.rng)
        self.back = threading.Semaphore(0)
        moods, self.node.moods = self.node.moods, False
        self.counter = self._deploy()
        self.node.moods = moods
        shared = [SHARED, words(1 << 65)]  # every writer is told to do these; the second expires
        self.writers = [Writer(self, at, shared + [words(100 * at + n + 1) for n in range(acts)])
                        for at in range(writers)]
        moment = self.node.clock.now()
        self.expiries = {act: moment + self.rng.randint(1, 700)
                         for act in (shared[1], *(writer.acts[2] for writer in self.writers))}
        for writer in self.writers:
            self.rng.shuffle(writer.acts)
        self.late: list[bytes] = []

    def broadcast(self, raw: bytes) -> None:
        """Somebody hands this to the node now."""
        sent = decode_transaction(raw)
        if sent.to == self.counter and self.node.clock.now() > self.expiries.get(sent.data, 1 << 60):
            self.late.append(sent.data)

    def _deploy(self) -> bytes:
        unsigned = Transaction(DYNAMIC_FEE, self.node.chain.chain_id, 0, GWEI, 2 * GWEI, 200_000, b"", 0, COUNT)
        self.node._accept(unsigned.signed(coincurve.PrivateKey(KEY), ACCOUNT).encode())
        for _ in range(self.node.depth + 2):
            self.node.mine()
        with self.node.chain.reading() as store:
            created = [block.created for number in range(9) if (block := store.block(number)) and block.created]
        return created[0]

    def sender(self, writer: Writer, outbox: Outbox) -> Sender:
        """A process's way to the chain."""
        web3: Any = SimpleNamespace(provider=SimpleNamespace(make_request=writer.make_request))
        how = Sending(Fees(ceiling=150 * GWEI, patience=20), wait=1e9, sleep=lambda _: writer.pause(),
                      clock=lambda: float(self.node.clock.now()))
        return Sender(web3, KEY, outbox=outbox, how=how)

    def run(self, limit: int = 60_000) -> int:
        """Run to the end; how many steps it took."""
        for writer in self.writers:
            writer.thread.start()
        steps = 0
        while alive := [writer for writer in self.writers if not writer.done]:
            steps += 1
            assert steps < limit, "an act was lost: it is never done"
            self.node.moods = steps < self.turmoil
            if self.rng.random() < 0.15:
                self.node.happen()
            writer = self.rng.choice(alive)
            writer.kill = self.node.moods and self.rng.random() < 0.02
            writer.go.release()
            self.back.acquire()
        for writer in self.writers:
            writer.thread.join()
            if writer.error is not None:
                raise writer.error
        return steps

    def fillers(self) -> int:
        """How many payments of nothing were signed."""
        return self._number("SELECT count(*) FROM signed WHERE filler")

    def taken(self) -> int:
        """How many nonces went to the other wallet."""
        return self._number("SELECT count(*) FROM slots WHERE level = 'taken'")

    def _number(self, query: str) -> int:
        outbox = Outbox(self.path)
        (row,) = outbox.rows(query)
        outbox.close()
        return int(row[0])

    def dropped(self) -> int:
        """How many acts expired before anything was signed for them."""
        return self._number("SELECT count(*) FROM acts WHERE given_up = 'expired' AND nonce IS NULL")

    def replaced(self) -> int:
        """How many acts expired after they were signed for."""
        return self._number("SELECT count(*) FROM acts WHERE given_up = 'expired' AND nonce IS NOT NULL")

    def counts(self) -> dict[int, int]:
        """How often each act was done, by the contract."""
        asked = {int.from_bytes(act, "big") for writer in self.writers for act in writer.acts}
        return {act: self.node.chain.storage(self.counter, act) for act in asked}
