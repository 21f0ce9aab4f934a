"""What an agent's loop costs beside the signatures in it, what bargaining gains, how fast a fleet's log is signed.

One thread, no chain: the gate is in memory, the log on the disk of the machine's temporary folder. A step
that moves money is two claims (intent and act) of a hybrid identity, sealed reasons, and four writes waited for.
The gain of bargaining is over the set that docs/reference/agents.md states; it is no speed, and the same everywhere.

Run: python -m benchmarks agents
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "agents"))

from agent_world import SHOP, Steps, World, pay
from test_bargain import stated_set, surplus, talked

from troth.agents.bargain import Buyer
from troth.agents.brain import Call
from troth.agents.runs import Runs
from troth.app.fleet import log_batch


def run(quick: bool = False) -> dict[str, Any]:
    """Milliseconds a step, the ratio to two hybrid signatures, the gain of bargaining, readings signed a second."""
    steps, rows = (20, 2_000) if quick else (100, 20_000)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), pages={"front": "hello"})
        try:
            reading = _steps(world, Path(folder), [Call("page", {"name": "front"})] * steps, 1)
            paying = _steps(world, Path(folder), [pay(SHOP, 1)] * steps, 2)
            signer = world.party.identity.signer()
            start = time.perf_counter()
            for n in range(steps):
                signer.sign(n.to_bytes(8, "big"))
            signature = (time.perf_counter() - start) / steps
            start = time.perf_counter()
            log_batch(world.party, [(world.clock.now(), {"second": n, "street": 7}) for n in range(rows)])
            logged = rows / (time.perf_counter() - start)
        finally:
            world.close()
    return {"milliseconds": {"a reading step": round(reading * 1000, 2), "a step that pays": round(paying * 1000, 2),
                             "hybrid signature": round(signature * 1000, 2)},
            "paying_to_two_signatures": round(paying / (2 * signature), 1),
            "bargained_over_list_price": _gain(), "readings_signed_per_second": round(logged)}


def _steps(world: World, folder: Path, calls: list[Call], run: int) -> float:
    with Runs(folder / "runs") as runs:
        start = time.perf_counter()
        world.loop(Steps(*calls), runs).run(run.to_bytes(16, "big"), f"pay 0x{SHOP.hex()} 1", most=len(calls))
        return (time.perf_counter() - start) / len(calls)


def _gain() -> float:
    kept = sum(surplus(talked(about, Buyer(reserve), seller), reserve) for about, reserve, seller in stated_set())
    return round(kept / sum(max(0, reserve - about.price) for about, reserve, _ in stated_set()), 2)


if __name__ == "__main__":
    print(run("--quick" in sys.argv))
