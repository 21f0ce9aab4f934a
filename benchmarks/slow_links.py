"""Bytes on the wire at equal accuracy: four gloo workers train the same network on digits for the same number of steps,
with a gradient exchange at every step (PyTorch's DistributedDataParallel) and with local steps between committed syncs.

Each case runs in a network namespace of its own where the machine allows it, so that the loopback's counter is exactly
what went over the wire: headers, the meeting, signatures and all. Elsewhere the wire is not reported.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKERS, HIDDEN, BATCH, RATE = 4, 128, 32, 0.05


def _network(seed: int) -> Any:
    # PyTorch is loaded in the processes that a case starts, not by whoever lists benchmarks
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10))


def _records(index: int | None) -> tuple[Any, Any]:
    """One worker's stripe of the training records, or with None the test records."""
    import torch
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    rows = slice(1200, None) if index is None else slice(index, 1200, WORKERS)
    return torch.tensor(features[rows] / 16, dtype=torch.float32), torch.tensor(labels[rows])


def _stepper(index: int, seed: int) -> Callable[[Any, int], None]:
    """One step of SGD with momentum on this worker's next records."""
    import torch

    x, y = _records(index)
    speed: list[Any] = []

    def step(module: Any, number: int) -> None:
        rows = torch.randint(len(y), (BATCH,), generator=torch.Generator().manual_seed(seed * 100_003 + number))
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
        with torch.no_grad():
            for place, parameter in enumerate(module.parameters()):
                if len(speed) <= place:
                    speed.append(torch.zeros_like(parameter))
                speed[place].mul_(0.9).add_(parameter.grad)
                parameter.sub_(RATE * speed[place])

    return step


def _accuracy(module: Any) -> float:
    x, y = _records(None)
    return float((module(x).argmax(dim=1) == y).float().mean())


def _every_step(meeting: tuple[str, int], index: int, steps: int, seed: int, results: Any) -> None:
    import torch
    import torch.distributed as dist

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = dist.TCPStore(*meeting, is_master=False, wait_for_workers=False)
    dist.init_process_group("gloo", store=store, rank=index, world_size=WORKERS)
    module = torch.nn.parallel.DistributedDataParallel(_network(seed))
    step = _stepper(index, seed)
    for number in range(steps):
        step(module, number)
    if index == 0:
        results.put((_accuracy(module), None))
    dist.barrier()
    dist.destroy_process_group()


def _local_steps(meeting: tuple[str, int], index: int, steps: int, seed: int, results: Any, every: int,
                 folder: str) -> None:
    from troth.identity.keybook import KeyBook
    from troth.identity.signers import Ed25519Signer
    from troth.learn import into, to_state
    from troth.learn.slow.link import Link
    from troth.learn.slow.local import ModuleSteps
    from troth.learn.slow.outer import Session
    from troth.learn.slow.worker import Worker

    signers = {one.did: one for one in (Ed25519Signer(hashlib.sha256(bytes([k])).digest()) for k in range(WORKERS))}
    module = _network(seed)
    start = to_state(module)
    session = Session.of(signers, start, steps // every, every)
    worker = Worker(session, start, signers[session.workers[index]], KeyBook(),
                    ModuleSteps(module, every, _stepper(index, seed)), Link(meeting, index, WORKERS),
                    Path(folder) / str(index))
    point = worker.run()
    if index == 0:
        results.put((_accuracy(into(module, point.state(session))), worker.sent))


def _case(every: int, steps: int, seed: int) -> dict[str, Any]:
    """Run one case here, in processes of its own. every: local steps between syncs, 0 for an exchange at every step."""
    import torch  # before the fork, so that it is loaded once
    import torch.distributed

    from troth.learn.slow.link import Meeting

    torch.set_num_threads(1)
    context = multiprocessing.get_context("fork")
    results, meeting = context.Queue(), Meeting()
    address = (meeting.address, meeting.port)
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.perf_counter(), _on_the_wire()
        processes = [context.Process(target=_local_steps, args=(address, k, steps, seed, results, every, folder))
                     if every else context.Process(target=_every_step, args=(address, k, steps, seed, results))
                     for k in range(WORKERS)]
        for process in processes:
            process.start()
        accuracy, sent = results.get(timeout=600)
        for process in processes:
            process.join()
        return {"accuracy": accuracy, "seconds": time.perf_counter() - start, "payload": sent,
                "wire": (_on_the_wire() - before) / WORKERS}


def _on_the_wire() -> int:
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.split(":")[0].strip() == "lo")


def _apart(every: int, steps: int, seed: int) -> dict[str, Any]:
    """`_case` in a network namespace of its own where that is allowed."""
    alone = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
    command = [sys.executable, "-m", "benchmarks.slow_links", str(every), str(steps), str(seed)]
    if alone:
        command = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', *command]
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return found if alone else found | {"wire": None}


def run(quick: bool = False) -> dict[str, Any]:
    """Accuracy (mean over seeds) and megabytes that one worker sends, by steps between exchanges."""
    steps, seeds = (100, (0,)) if quick else (500, (0, 1, 2))
    found: dict[str, Any] = {"workers": WORKERS, "steps": steps, "parameters": 64 * HIDDEN + HIDDEN + 10 * HIDDEN + 10}
    wires = {}
    for every in (0, 10, 50):
        cases = [_apart(every, steps, seed) for seed in seeds]
        name = f"every_{every}_steps" if every else "every_step"
        found[f"{name}_accuracy"] = round(sum(case["accuracy"] for case in cases) / len(cases), 4)
        found[f"{name}_seconds"] = round(sum(case["seconds"] for case in cases) / len(cases), 2)
        if cases[0]["wire"] is not None:
            wires[every] = sum(case["wire"] for case in cases) / len(cases)
            found[f"{name}_megabytes_a_worker"] = round(wires[every] / 1e6, 3)
    for every in (10, 50):
        if wires:
            found[f"every_{every}_steps_fewer_bytes"] = round(wires[0] / wires[every], 1)
    return found


if __name__ == "__main__":
    print(json.dumps(_case(*map(int, sys.argv[1:4]))))
