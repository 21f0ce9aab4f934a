"""Jobs whose steps a third can execute: stepped WebAssembly and models as programs."""

from __future__ import annotations

import numpy as np
import pytest
from small_programs import program as drawn

from ports.runner_suite import SMALL
from ports.wat_modules import command, stepped, summed
from troth.compute.bisect import ProgramSteps, WasmSteps, _written, machine_of, trace_of
from troth.compute.runners import Job, Limits
from troth.compute.runners.process import InProcess
from troth.core.errors import BadInput, Misuse, Refuted
from troth.verify.bisect import Trace, dispute

GIVEN = bytes(range(40))
JOB = Job("wasm", stepped(), GIVEN, SMALL)


def test_the_wrong_step_of_a_module_is_found() -> None:
    honest, output = trace_of(JOB)
    assert output == summed(GIVEN)
    machine = WasmSteps(JOB)
    states = list(machine.states())
    assert honest.committed.states == len(states) == len(GIVEN) + 2
    for at in (1, 17, 40):
        other = bytearray(states[at])
        other[17] ^= 1  # in the sum
        wrong = [*states[:at], bytes(other)]
        while wrong[-1][0] == 0:
            wrong.append(machine.step(wrong[-1]))
        cheat = Trace(machine, wrong, apart=1)
        found = dispute(WasmSteps(JOB), WasmSteps(JOB).start(),
                        ((cheat.committed, cheat), (honest.committed, honest)))
        assert (found.wrong, found.step) == ({0}, at)


def test_what_a_module_keeps_outside_its_memory_lasts_one_step() -> None:
    """It counts steps in a hidden variable: to everybody the count is 1 after every step."""
    last = list(WasmSteps(JOB).states())[-1]
    assert int.from_bytes(last[1 + 24 : 1 + 28], "little") == 1


def test_states_and_modules_that_are_none() -> None:
    machine = WasmSteps(Job("wasm", stepped(), GIVEN, Limits(memory=1 << 20, fuel=SMALL.fuel)))
    for state in (b"\0", b"\0" + bytes(100), b"\0" + bytes(1 << 21)):
        with pytest.raises(Refuted):
            machine.step(state)
    with pytest.raises(Refuted, match="not finished"):
        machine.output(machine.start())
    with pytest.raises(BadInput, match="not a stepped job"):
        WasmSteps(Job("wasm", command("reverse"), GIVEN, SMALL))
    with pytest.raises(Refuted, match="out of fuel"):
        trace_of(Job("wasm", stepped(), GIVEN, Limits(fuel=100_000)))
    with pytest.raises(Misuse):
        machine_of(Job("python", b"", b""))


def test_the_wrong_layer_of_a_model_is_found() -> None:
    program = drawn(np.random.default_rng(3))
    rows = np.stack([program.low, program.high]).astype("<i8").tobytes()
    job = Job("program", program.to_bytes(), rows)
    honest, output = trace_of(job)
    assert output == InProcess().run(job).output
    machine = ProgramSteps(job)
    states = list(machine.states())
    for at in range(1, len(states)):
        vectors = machine._read(states[at])
        low, high = program.ranges[at]
        place = int(np.argmax(high > low))
        vectors[-1][0, place] = high[place] if vectors[-1][0, place] != high[place] else low[place]
        wrong = [*states[:at], _written(vectors)]
        while len(wrong) < len(states):
            wrong.append(machine.step(wrong[-1]))
        cheat = Trace(machine, wrong, apart=1)
        if cheat.committed.root == honest.committed.root or wrong[-1] == states[-1]:
            continue
        found = dispute(ProgramSteps(job), machine.start(), ((honest.committed, honest), (cheat.committed, cheat)))
        assert (found.wrong, found.step) == ({1}, at)
    for state in (b"{}", b'{"vectors":[]}', b'{"vectors":[[["1"]]]}'):
        with pytest.raises(Refuted):
            machine.step(state)
