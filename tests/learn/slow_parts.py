"""Worker processes for the tests of slow links. Forked from one server that has loaded PyTorch: loading it takes longer
than a session."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from troth.core.errors import Refuted, TrothError
from troth.fixed.numbers import IntArray
from troth.identity.keybook import KeyBook
from troth.identity.signers import Ed25519Signer
from troth.learn.adapters import into, to_state
from troth.learn.slow.link import Link, Meeting, Patience
from troth.learn.slow.outer import Session, pack
from troth.learn.slow.records import MOST, Signed, place
from troth.learn.slow.worker import Worker

START: dict[str, IntArray] = {"bias": np.zeros(10, np.int64), "weights": np.zeros((64, 10), np.int64)}
SIGNERS = {one.did: one for one in (Ed25519Signer(sha256(bytes([index])).digest()) for index in range(4))}
DIDS = sorted(SIGNERS)


def session(workers: int, syncs: int = 4, **more: Any) -> Session:
    return Session.of(DIDS[:workers], START, syncs, 5, **more)


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    features, labels = load_digits(return_X_y=True)
    return features / 16, labels


class Softmax:
    """A softmax regression by NumPy, with a momentum that it must remember. naps: seconds at each sync."""

    def __init__(self, index: int, count: int, steps: int = 5, nap: float = 0.0) -> None:
        features, labels = digits()
        self._x, self._y = features[index:1200:count], labels[index:1200:count]
        self._steps, self._nap, self._speed = steps, nap, np.zeros((65, 10))

    def train(self, state, sync):
        time.sleep(self._nap)
        floats = {"bias": np.zeros(10), "weights": np.zeros((64, 10))}
        into(floats, state)
        w = np.vstack([floats["weights"], floats["bias"]])
        x = np.hstack([self._x, np.ones((len(self._x), 1))])
        for step in range((sync - 1) * self._steps, sync * self._steps):
            rows = slice(step % 4, None, 4)
            logits = x[rows] @ w
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            odds /= odds.sum(axis=1, keepdims=True)
            odds[np.arange(len(odds)), self._y[rows]] -= 1
            self._speed = 0.8 * self._speed + x[rows].T @ odds / len(odds)
            w = w - 0.2 * self._speed
        return to_state({"weights": w[:64], "bias": w[64]})

    def memory(self) -> bytes:
        return self._speed.tobytes()

    def recall(self, memory: bytes) -> None:
        self._speed = np.frombuffer(memory).reshape(65, 10).copy() if memory else np.zeros((65, 10))


def score(state) -> float:
    features, labels = digits()
    logits = features[1200:] @ (state["weights"] / 65536) + state["bias"] / 65536
    return float((logits.argmax(axis=1) == labels[1200:]).mean())


class Cheat(Worker):
    """Commits to one difference and shows another."""

    def _revealed(self, work) -> bytes:
        return work.data if work.point.sync != 1 else pack(-2 * work.delta)


class TwoFaced(Worker):
    """Shows its values to the first worker, and others to the rest."""

    def _reveal(self, group, work) -> None:
        exchange = group.exchange
        lie = {index: work.data if index == 0 else pack(-work.delta) for index in group.members}
        group.exchange = lambda _, most: exchange(lie, most)
        try:
            super()._reveal(group, work)
        finally:
            group.exchange = exchange


class Dies(Worker):
    """Is killed after it has committed to its third sync, and before it shows its values."""

    def _revealed(self, work) -> bytes:
        if work.point.sync == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return work.data


class Sealless(Worker):
    """Is killed when all others have its values, before it seals the third sync."""

    def _seal(self, group, work):
        if work.point.sync == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._seal(group, work)


class Sleeps(Worker):
    """Stops in its second sync, as a machine does that is suspended."""

    def _revealed(self, work) -> bytes:
        if work.point.sync == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return work.data


class Boasts(Worker):
    """Says that it is far ahead, and that it brings a terabyte to prove it."""

    def _greet(self, group) -> None:
        said = Signed.by(self._signer, place(self._session.id, group.attempt, 99) | {"point": bytes(32).hex()})
        group.exchange(said.to_bytes(), MOST)
        group.exchange({}, 1)
        others = [index for index in group.members if index != group.mine]
        sizes = {index: torch.zeros(1, dtype=torch.int64) for index in others}
        group._swap({index: torch.tensor([1 << 39]) for index in others}, sizes)
        group._swap({}, {})
        time.sleep(0.5)  # the others have taken note before it is gone
        raise Refuted("unmasked")


class Waits(Worker):
    """Goes on after its fourth sync when somebody waits to come in."""

    def _train(self):
        until = time.monotonic() + 30
        while self._point.sync == 4 and not self._link.waiting(self._attempt, ()):
            assert time.monotonic() < until, "nobody came"
            time.sleep(0.02)
        return super()._train()


KINDS = {kind.__name__: kind for kind in (Worker, Cheat, TwoFaced, Dies, Sealless, Sleeps, Boasts, Waits)}
PRELOADED = ["torch", "torch.distributed", "sklearn.datasets", "troth.learn.slow.worker", "troth.learn.adapters.plain",
             "troth.identity.keybook", "troth.identity.signers"]
class Forged:
    """Says that it is a worker, without that worker's key."""

    def __init__(self, did: str) -> None:
        self.did, self._key = did, Ed25519Signer(bytes(32))

    def sign(self, message: bytes) -> tuple[tuple[str, bytes], ...]:
        return tuple((f"{self.did}#{self.did[8:]}", value) for _, value in self._key.sign(message))


PATIENCE = Patience(grace=0.5, wait=5.0, meet=20.0)


def work(results: Any, said: Session, meeting: tuple[str, int], index: int, folder: str, kind: str,
         nap: float = 0.0, patience: Patience = PATIENCE) -> None:
    """One worker process; what came of it goes to ``results``."""
    os.environ["OMP_NUM_THREADS"] = "1"
    seen: list[Any] = []
    count = len(said.workers)
    try:
        link = Link(meeting, index, count, patience)
        did = said.workers[index]
        signer: Any = Forged(did) if kind == "Forged" else SIGNERS[did]
        worker = KINDS.get(kind, Worker)(said, START, signer, KeyBook(), Softmax(index, count, nap=nap), link,
                                         Path(folder), lambda sync, left_out: seen.append((sync, dict(left_out))))
        point = worker.run()
        results.put((index, "done", point.digest, seen, worker.sent))
    except TrothError as error:
        results.put((index, type(error).__name__, str(error), seen, 0))


class Room:
    """A meeting, and processes that meet there."""

    def __init__(self, said: Session, folder: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self.said, self.folder = said, folder
        self.results: Any = self._context.Queue()
        self.meeting = Meeting()
        self.processes: dict[int, Any] = {}

    def start(self, index: int, kind: str = "Worker", nap: float = 0.0, patience: Patience = PATIENCE) -> Any:
        process = self._context.Process(target=work, args=(
            self.results, self.said, (self.meeting.address, self.meeting.port), index, str(self.folder / str(index)),
            kind, nap, patience), daemon=True)
        process.start()
        self.processes[index] = process
        return process

    def syncs(self, index: int) -> int:
        """How many a worker has committed."""
        return len(list((self.folder / str(index)).glob("[0-9]*.json")))

    def wait_for(self, index: int, syncs: int) -> None:
        until = time.monotonic() + 30
        while self.syncs(index) < syncs:
            assert time.monotonic() < until, "the session stands still"
            time.sleep(0.02)

    def finish(self, count: int) -> dict[int, tuple[str, Any, list[Any], int]]:
        """The first ``count`` results, by worker: (how it ended, digest or message, what it told, bytes sent)."""
        found = [self.results.get(timeout=40) for _ in range(count)]
        return {index: (how, what, seen, sent) for index, how, what, seen, sent in found}

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.join()
        self.meeting.close()
