"""Jobs a second in every runner, and what a job costs as a deal: gas and time, beside a transfer of the token.

The job is the smallest there is: it answers its input's 64 bytes backwards. So the figures are what a runner itself
takes. ``wasm`` has its module compiled beforehand; ``sandbox`` starts a Python; ``ray`` is a cluster of this machine,
where Ray is installed (``make ray``), with WebAssembly on it. Ratios: to the same function called in this process. A
sandbox's processes are not this one's children, so its figure is of the clock alone.

A deal's figures are of the embedded chain (Prague's prices): three reviewers with stakes, policies that are there,
approvals given. ``agreed``: order, seats, result, window, close. ``refused``: a review by re-execution besides.
``seconds`` is processor time of one process that plays all parties, without their claims.

Run: python benchmarks/jobs.py
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ports.books import KEYS, account
from ports.evm_world import EvmWorld
from ports.wat_modules import command, stepped
from troth.compute.bisect import WasmSteps, trace_of
from troth.compute.runners import Job, Limits, Runner
from troth.compute.runners.process import InProcess
from troth.compute.runners.ray import OnRay
from troth.compute.runners.sandbox import Sandbox
from troth.compute.runners.wasm import Wasm
from troth.core.encoding import keccak256
from troth.core.errors import OutsideFailed
from troth.core.terms import UPHELD, Account, Result
from troth.flows.job_terms import RERUN, Milestone, Money, Order, Periods, Seat
from troth.flows.parts import Pin
from troth.ledger.artefacts import artefact
from troth.ledger.sending import Receipt, Sender
from troth.verify.bisect import Trace, dispute
from troth.verify.policies.voices import commit_data, reveal_data

GIVEN, SMALL = bytes(range(64)), Limits(seconds=10, fuel=10_000_000)
HOUR, CLAIM = 3600, keccak256(b"claim")
CLIENT, PROVIDER = account("client"), account("worker")


def a_second(runner: Runner, job: Job, seconds: float) -> tuple[float, float]:
    """How many of this job a runner executes in a second on the clock, and of a processor."""
    assert runner.run(job).output == GIVEN[::-1]
    begun, spent, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        runner.run(job)
        count += 1
    return count / (time.perf_counter() - begun), count / (time.process_time() - spent)


def runners(seconds: float) -> dict[str, Any]:
    """Jobs a second, by runner; and as a share of what this process does."""
    reverse: Callable[[bytes], bytes] = lambda data: data[::-1]  # noqa: E731
    turned = b"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    wasm = Job("wasm", command("reverse"), GIVEN, SMALL)
    found: dict[str, tuple[float, float] | None] = {
        "process": a_second(InProcess({"reverse": reverse}), Job("function", b"reverse", GIVEN, SMALL), seconds),
        "wasm": a_second(Wasm(), wasm, seconds), "sandbox": None}
    many: dict[str, float] = {}
    try:
        found["sandbox"] = a_second(Sandbox(), Job("python", turned, GIVEN, SMALL), seconds)
    except OutsideFailed as error:
        print(f"no sandbox here: {error.message}", file=sys.stderr)
    if importlib.util.find_spec("ray"):
        ray = OnRay()
        many["ray, one after the other"] = a_second(ray, wasm, seconds)[0]
        jobs = [wasm] * round(100 * seconds)
        begun = time.perf_counter()
        ray.run_all(jobs)
        many["ray, all at once"] = len(jobs) / (time.perf_counter() - begun)
    clock = {name: value[0] for name, value in found.items() if value} | many
    return {"a_second": {name: round(value, 1) for name, value in clock.items()},
            "a_processor_second": {name: round(found[name][1], 1) for name in ("process", "wasm")},  # type: ignore[index]
            "over_process": {name: round(value / clock["process"], 6) for name, value in clock.items()}}


class Counted(Sender):
    """Adds up the gas of all that is sent."""

    gas = 0

    def send(self, to: bytes | None, data: bytes = b"", **options: Any) -> Receipt:
        receipt = super().send(to, data, **options)
        Counted.gas += receipt.gas_used
        return receipt


class Metered(EvmWorld):
    """A world whose actors count."""

    def sender(self, who: Account) -> Sender:
        if who not in self._senders:
            self._senders[who] = Counted(self.web3, KEYS[who].reveal_seed(), errors=artefact("Book").errors)
        return self._senders[who]

    def order(self, number: int) -> Order:
        at = self.addresses
        seats = [Seat(str(n), account(f"verifier{n}")) for n in range(3)]
        return Order(at.chain_id, at.book, self.token, Seat("client", CLIENT), Seat("provider", PROVIDER),
                     tuple(seats), "a job", (Milestone("all", 1000, 3000),), Money(30, 30, 40), RERUN,
                     Pin(*at.policies["assumed"]), Pin(*at.policies["rerun2"]), self.now() + HOUR,
                     number.to_bytes(32, "big"), "wasm", SMALL, Periods(HOUR, HOUR, HOUR, HOUR, HOUR))


def deals() -> dict[str, Any]:
    """Gas and time of a job that is agreed on, and of one that is refused and executed again."""
    world = Metered()
    everybody = [CLIENT, PROVIDER, *(account(f"verifier{n}") for n in range(3))]
    for who in everybody:
        world.fund(who)
    found: dict[str, Any] = {}
    for name in ("warm", "agreed", "refused"):
        order, book = world.order(len(found) + 1), world.book
        terms, deal = order.terms(0), order.deal(0)
        Counted.gas, begun = 0, time.process_time()
        book.open_and_join(CLIENT, terms, order.salt(0), terms.pot("price"))
        for index, pot in enumerate(terms.pots):
            if pot.depositor in everybody and pot.name != "price":
                book.join(pot.depositor, deal, index)
        good, bad = Result(UPHELD).to_bytes(), order.refusal().to_bytes()
        book.submit_and_judge(PROVIDER, deal, 0, 0, CLAIM, good)
        if name == "refused":
            book.challenge(CLIENT, deal)
            book.submit(PROVIDER, deal, 0, 0, CLAIM, b"")
            for who in order.bench:
                book.submit(who, deal, 1, 0, CLAIM, commit_data(deal, 1, who, bad, bytes(32)))
            for who in order.bench:
                book.submit(who, deal, 2, 0, CLAIM, reveal_data(bad, bytes(32)))
            book.judge(CLIENT, deal)
        else:
            world.advance(HOUR)
        book.close(CLIENT, deal)
        found[name] = {"gas": Counted.gas, "seconds": round(time.process_time() - begun, 3)}
    Counted.gas = 0
    world.erc20.transfer(world.sender(CLIENT), PROVIDER, 1)
    transfer = Counted.gas
    del found["warm"]
    return found | {"transfer_gas": transfer,
                    "over_transfer": {name: round(found[name]["gas"] / transfer, 1) for name in ("agreed", "refused")}}


def disputes(steps: int) -> dict[str, Any]:
    """A stepped job of so many steps: executed step by step, and one wrong step in it found."""
    job = Job("wasm", stepped(), bytes(steps - 1), Limits(fuel=1 << 50))
    begun = time.process_time()
    right, _ = trace_of(job)
    traced = time.process_time() - begun
    machine, states = WasmSteps(job), []
    for number, state in enumerate(machine.states()):
        states.append(state if number < steps // 3 else state[:17] + b"\7" + state[18:])
    wrong = Trace(machine, states, apart=1)
    begun = time.process_time()
    found = dispute(machine, states[0], ((right.committed, right), (wrong.committed, wrong)))
    assert found.wrong == {1}
    return {"steps": steps, "steps_a_second": round(steps / traced), "questions": found.questions,
            "seconds": round(time.process_time() - begun, 4), "over_executing": round(
                (time.process_time() - begun) / traced, 4)}


def run(quick: bool = False) -> dict[str, Any]:
    """All figures."""
    return {"runners": runners(0.5 if quick else 3), "deal": deals(), "bisection": disputes(200 if quick else 1000)}


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1))
