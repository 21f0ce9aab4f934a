"""WebAssembly gives NumPy's bits: every kind of step, the edges of ranges, real models; and it cannot run on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.families import FAMILIES, fitted, quantised
from compute.programs import KINDS, edges, random_program
from troth.compute import wasm
from troth.compute import wasmcode as w
from troth.compute.models.build import ints
from troth.compute.wasm import module_of
from troth.compute.wasm_run import Module
from troth.core.errors import BadInput, Refuted
from troth.fixed.program import LIMIT, Affine, Clamp, Program, Rescale, Sum


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_random_program_gives_the_same_bits(seed: int) -> None:
    program = random_program(seed)
    inputs = edges(program, seed)
    module = Module.of(program)
    assert module.run(inputs).tolist() == program.run(inputs).tolist()
    assert module.run(inputs[:0]).shape == (0, program.outputs)


def test_random_programs_have_every_kind_of_step() -> None:
    seen = Counter(step.KIND for seed in range(30) for step in random_program(seed).steps)
    assert set(seen) == set(KINDS)
    assert min(seen.values()) >= 10, seen


@pytest.mark.parametrize("family", FAMILIES)
def test_a_real_model_gives_the_same_bits(family: str) -> None:
    program, rows = quantised(family).program, fitted(family).rows
    inputs = np.clip(ints(program, rows), program.low, program.high)
    inputs = np.concatenate([inputs, program.low[None], program.high[None]])
    module = Module.of(program)
    assert np.array_equal(module.run(inputs), program.run(inputs))
    assert module_of(program) == module_of(Program.from_bytes(program.to_bytes()))


def test_values_at_the_limit_of_a_word_do_not_wrap() -> None:
    high = 1 << 31
    first = Affine(0, np.array([[high - 1], [1 - high], [0]]), np.zeros(3, np.int64))
    steps = (first, Rescale(1, 30), Clamp(1, -LIMIT, LIMIT), Rescale(1, 1), Clamp(1, 1 - high, high), Sum(4, 5))
    program = Program(np.array([1 - high]), np.array([high // 2]), steps, "largest")
    inputs = np.array([[1 - high], [high // 2], [0], [2 - high]])
    assert Module.of(program).run(inputs).tolist() == program.run(inputs).tolist()
    assert int(np.abs(program.ranges[1][0]).max()) > (1 << 62) - (1 << 33)


def one_affine() -> Program:
    return Program(np.array([-5, 0]), np.array([5, 9]), (Affine(0, np.array([[2, 3]]), np.array([7])),), "number")


def test_more_rows_than_memory_holds_are_run_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "MOST_ROWS", 3)
    program = one_affine()
    inputs = np.stack([np.arange(11) - 5, np.arange(11) % 10], axis=1)
    module = Module.of(program)
    assert np.array_equal(module.run(inputs), program.run(inputs))
    assert module._run(module._store, 4) == -1
    assert module._run(module._store, -1) == -1


@pytest.mark.parametrize("row", [[6, 0], [-6, 0], [0, 10], [0, -1]])
def test_an_input_beyond_the_range_is_refused_by_the_module_itself(row: list[int]) -> None:
    module = Module.of(one_affine())
    with pytest.raises(BadInput, match="beyond the model's range"):
        module.run(np.array([[0, 0], row]))
    module._store.set_fuel(10_000)
    module._memory.write(module._store, np.array([[0, 0], row]).astype("<i8").tobytes(), module._input)
    assert module._run(module._store, 2) == 2
    with pytest.raises(BadInput, match="another shape"):
        module.run(np.array([[1]]))


def test_fuel_is_enough_for_every_program_and_the_same_every_time() -> None:
    for seed in range(12):
        program = random_program(seed)
        inputs = edges(program, seed)
        module = Module.of(program)
        module.run(inputs)
        used = module.fuel_used
        module.run(inputs)
        assert used == module.fuel_used > 0
        assert used <= 40 + module._fuel_a_row * len(inputs)


def foreign(body: bytes, places: dict[str, int] | None = None, pages: int = 1) -> bytes:
    code = w.Code(1)
    code.body += body
    return w.module(code, pages, b"", {"input": 0, "output": 64, "rows": 2} if places is None else places)


def test_a_module_that_runs_on_leaves_its_memory_or_refuses_is_found_out() -> None:
    program, rows = one_affine(), np.array([[1, 2]])
    cases = {
        b"\x03\x40\x0c\x00\x0b\x41\x00": "does not behave",  # loop without an end
        b"\x41\x7f\x29\x03\x00\x1a\x41\x00": "does not behave",  # loads from the end of all memory
        b"\x00": "does not behave",  # unreachable
        b"\x41\x01": "refuses inputs that its program takes",
    }
    for body, why in cases.items():
        with pytest.raises(Refuted, match=why):
            Module(program, foreign(body)).run(rows)


def test_what_is_no_module_of_a_program_is_refused() -> None:
    program = one_affine()
    whole = module_of(program)
    reaching = wasmtime.wat2wasm('(module (import "env" "clock" (func)) (memory (export "memory") 1))')
    greedy = foreign(b"\x41\x00", pages=4000)  # whole but for a quarter of a gigabyte that the program has no use for
    starting = wasmtime.wat2wasm("(module (func $f (loop br 0)) (start $f))")
    for data in (b"", b"\x00asm", whole[:-3], bytes(reaching), bytes(greedy), bytes(starting),
                 foreign(b"\x41\x00", {})):
        with pytest.raises(BadInput, match="not a program's module"):
            Module(program, data)


def test_a_module_imports_nothing_and_keeps_its_memory() -> None:
    for family in ("mlp", "forest"):
        compiled = wasmtime.Module(wasmtime.Engine(), module_of(quantised(family).program))
        assert not compiled.imports
        assert sorted(one.name for one in compiled.exports) == ["input", "memory", "output", "rows", "run"]
        [memory] = [one.type for one in compiled.exports if isinstance(one.type, wasmtime.MemoryType)]
        assert memory.limits.min == memory.limits.max
    with pytest.raises(BadInput, match="too large for WebAssembly"):
        wasm._Layout().room(wasm.MOST_MEMORY // 8 + 1)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_written_as_the_specification_says(value: int) -> None:
    found, shift = 0, 0
    data = w.signed(value)
    for one in data:
        found |= (one & 0x7F) << shift
        shift += 7
    assert (found - (1 << shift) if data[-1] & 0x40 else found) == value
    assert len(data) <= 10
    assert w.unsigned(624_485) == b"\xe5\x8e\x26"
    assert w.signed(-123_456) == b"\xc0\xbb\x78"
