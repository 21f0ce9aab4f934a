"""Programs' WebAssembly modules under wasmtime (extra ``wasm``).

Each runs with fuel for what its program's size needs and no more, so that no module can run on, and with the memory
that it declares.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from troth.compute.wasm import module_of, needs_of
from troth.core.errors import BadInput, OutsideFailed, Refuted
from troth.fixed.numbers import IntArray, as_ints
from troth.fixed.program import Program


class Module:
    """A program's module under wasmtime. ``fuel_used``: instructions of the last `run`, the same on every machine."""

    def __init__(self, program: Program, data: bytes) -> None:
        """data: bytes that are said to be this program's module. Raises BadInput for no module, or one with imports or
        other exports; OutsideFailed without wasmtime."""
        try:
            # Imported here: an extra, with a compiler inside.
            import wasmtime
        except ImportError:
            raise OutsideFailed("wasmtime is not installed", do="pip install 'troth[wasm]'") from None
        self.program, self.fuel_used = program, 0
        self._trap, self._error = wasmtime.Trap, wasmtime.WasmtimeError
        self._fuel_a_row, memory = needs_of(program)
        config = wasmtime.Config()
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        try:
            compiled = wasmtime.Module(engine, data)
            self._store = wasmtime.Store(engine)
            self._store.set_limits(memory_size=memory, instances=1, memories=1, tables=0)
            self._store.set_fuel(self._fuel_a_row)
            exports: Any = wasmtime.Instance(self._store, compiled, []).exports(self._store)
            self._run, self._memory = exports["run"], exports["memory"]
            self._input, self._output, self._rows = (exports[name].value(self._store) for name in
                                                     ("input", "output", "rows"))
        except (wasmtime.WasmtimeError, wasmtime.Trap, KeyError, AttributeError, TypeError) as error:
            raise BadInput("not a program's module", actual=ascii(str(error)[:80]),
                           expected="memory, run, input, output and rows, and no imports") from None

    @classmethod
    def of(cls, program: Program) -> Self:
        """The module as `module_of` writes it, ready to run."""
        return cls(program, module_of(program))

    def run(self, inputs: IntArray) -> IntArray:
        """(n, features) -> (n, outputs) scores, bit by bit those of `Program.run`.

        Raises BadInput for another shape or an input beyond its range; Refuted where the module runs longer than its
        program can, or leaves its memory: it is not the program's module.
        """
        program = self.program
        if as_ints(inputs, "inputs").ndim != 2 or inputs.shape[1] != len(program.low):
            raise BadInput("inputs of another shape", expected=f"(n, {len(program.low)})", actual=inputs.shape)
        found, self.fuel_used = [], 0
        for begin in range(0, len(inputs), self._rows):
            part = inputs[begin:begin + self._rows]
            given = 40 + self._fuel_a_row * len(part)
            self._store.set_fuel(given)
            try:
                self._memory.write(self._store, np.ascontiguousarray(part).astype("<i8").tobytes(), self._input)
                bad = self._run(self._store, len(part))
                size = 8 * len(part) * program.outputs
                data = self._memory.read(self._store, self._output, self._output + size)
            except (self._trap, self._error, IndexError) as error:
                raise Refuted("the module does not behave as its program", expected=f"at most {given} instructions, "
                              "inside its memory", actual=ascii(str(error).strip().split("\n")[-1][:80])) from None
            self.fuel_used += given - self._store.get_fuel()
            if bad:
                program.run(part)  # says which value, and what its range is
                raise Refuted("the module refuses inputs that its program takes", actual=f"row {begin + bad - 1}")
            found.append(np.frombuffer(data, dtype="<i8").astype(np.int64).reshape(len(part), program.outputs))
        return np.concatenate(found) if found else np.zeros((0, program.outputs), dtype=np.int64)
