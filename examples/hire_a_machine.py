"""A client rents machines: the cheapest one makes its answer up and loses its stake, the next one is paid.

The job is a WebAssembly module that counts primes, one candidate a step, so that it gives the same bits everywhere and
two who disagree can find the first step on which they do. Everything is here: offers, the order as a deal, the run,
the check, a review by two others who execute it again, and who is hired the next time.

    python examples/hire_a_machine.py FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import wasmtime

from troth import Troth
from troth.app import jobs
from troth.app.jobs import JobFile
from troth.app.playing import play
from troth.compute.bisect import WasmSteps, trace_of
from troth.compute.runners import Job, Limits
from troth.flows import job as flow
from troth.flows.job_market import Needs, Provider
from troth.flows.job_terms import RERUN, Milestone, Money, Periods
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20
from troth.verify.bisect import Trace, dispute

PRICE, FEE, PURSE, HOUR = 100, 30, 10_000, 3600
PRIMES = """
(module
 (memory (export "memory") 1)
 (func (export "input") (param i32) (result i32)
  (i32.store (i32.const 0) (i32.const 2)) (i32.const 16))
 (func (export "step") (result i32) (local $n i32) (local $d i32)
  (local.set $n (i32.load (i32.const 0)))
  (if (i32.gt_u (local.get $n) (i32.load (i32.const 16))) (then (return (i32.const 0))))
  (local.set $d (i32.const 2))
  (block $composite (block $prime (loop
   (br_if $prime (i32.gt_u (i32.mul (local.get $d) (local.get $d)) (local.get $n)))
   (br_if $composite (i32.eqz (i32.rem_u (local.get $n) (local.get $d))))
   (local.set $d (i32.add (local.get $d) (i32.const 1)))
   (br 0)))
   (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))))
  (i32.store (i32.const 0) (i32.add (local.get $n) (i32.const 1)))
  (i32.const 1))
 (func (export "output") (result i64) (i64.const 0x800000004)))
"""


def main(folder: Path) -> None:
    """Tell it."""
    folder.mkdir(parents=True, exist_ok=True)
    with EmbeddedChain(folder / "chain") as chain:
        names = ("client", "honest", "cheap", "anna", "ben")
        parties = play(folder, names, "only for show", chain=chain, purse=PURSE, supply=PURSE * len(names),
                       cost=MIN_COST)
        client, honest, cheap, *reviewers = parties.values()
        token = Erc20(chain.web3, client.contracts["token"].address)
        for name, party in parties.items():
            if party is not client:
                does = ("wasm",) if party in (honest, cheap) else ("review",)
                jobs.offer(party, Provider(party.account, does, 4, 8 << 30, (), token.address,
                                           {"honest": 90, "cheap": 60}.get(name, 0), 1, 1_000, chain.now() + 99 * HOUR),
                           [client.did])
        client.receive()

        def gains() -> str:
            return ", ".join(f"{name} {token.balance(party.account) - PURSE:+}" for name, party in parties.items())

        needs = Needs("wasm", token.address, PRICE, 3 * PRICE, processors=2)
        wanted = JobFile("count the primes up to this number", "", tuple(one.did for one in reviewers), {},
                         (Milestone("all", PRICE, 3 * PRICE),), Money(FEE, FEE + 1, FEE + 10), RERUN, "wasm",
                         Limits(fuel=200_000_000), Periods(HOUR, HOUR, HOUR, HOUR, HOUR), {}, {},
                         {"code": bytes(wasmtime.wat2wasm(PRIMES)), "input": (100).to_bytes(4, "little")})

        def hire() -> tuple[bytes, Troth]:
            claim, order = jobs.order(client, wanted)
            for party in parties.values():
                party.receive()
            found = next(party for party in parties.values() if party.did == order.provider.did)
            for party in (found, *reviewers):
                jobs.take(party, claim)
            return claim, found

        first, hired = hire()
        fitting = [one for one in jobs.find(client, needs) if not one.why]
        print(f"hired: {hired.name}, the cheapest of {len(fitting)} that fit")
        jobs.deliver(hired, first, (42).to_bytes(4, "little"), note="done!")
        client.receive()
        said = jobs.check(client, first)
        print(f"the client executes it again: {said.why}")
        jobs.refuse(client, first, 0, said.why)
        for party in parties.values():
            party.receive()
        flow.show_again(hired, first)
        for party in (*reviewers, *reviewers):
            party.receive()
            jobs.review(party, first)
        flow.settle(client, first)
        print(f"refunded: {gains()}")

        second, hired = hire()
        avoided = next(one.why for one in jobs.find(client, needs) if one.did == cheap.did)
        print(f"hired: {hired.name}; the cheap one {avoided}")
        _, ran = jobs.do(hired, second)
        client.receive()
        print(f"{jobs.check(client, second).why}: {int.from_bytes(ran.output, 'little')} primes, {ran.fuel} fuel")
        chain.advance(HOUR)
        flow.settle(hired, second)
        print(f"paid: {gains()}")

        # Which step was it? Both commit to all their states; a third executes one step.
        job = replace(flow.job_of(client, second), limits=Limits())
        print(f"the first wrong step: {first_wrong_step(job)}")
        for party in parties.values():
            party.close()


def first_wrong_step(job: Job) -> int:
    """A machine that counts 91 = 7 * 13 as a prime, found by bisection."""
    right, _ = trace_of(job)
    machine, states = WasmSteps(job), []
    for state in machine.states():
        if int.from_bytes(state[1:5], "little") > 91:
            state = state[:9] + (int.from_bytes(state[9:13], "little") + 1).to_bytes(4, "little") + state[13:]
        states.append(state)
    wrong = Trace(machine, states, apart=1)
    found = dispute(WasmSteps(job), machine.start(), ((right.committed, right), (wrong.committed, wrong)))
    assert found.wrong == {1}
    return found.step + 1  # the first candidate is 2


if __name__ == "__main__":
    main(Path(sys.argv[1]))
