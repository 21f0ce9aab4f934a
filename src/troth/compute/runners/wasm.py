"""WebAssembly: one computation, the same bits on every machine, with nothing but its input in sight.

Two shapes of module are executed, told apart by what they export:

- **a command** (``_start`` and ``memory``), as compilers make for ``wasm32-wasi``: it reads standard input and writes
  standard output through `wasi`, and finds nothing else there;
- **a stepped module** (``memory``, ``input``, ``step``, ``output``; no imports): its whole state lies in its memory,
  and anybody can execute any one step of it. So two who disagree on its output can find the first step on which they
  do, and a third executes that step alone (`troth.verify.bisect`). `Stepped` says how.

Same bits: NaNs are made canonical, threads and vectors of relaxed meaning are off, fuel is counted by instruction, and
memory that would pass its limit is refused at the same instruction everywhere. The exception is a program that
overflows its stack, whose depth is the machine's, or runs out of time: `Ran.same` is false then.
"""

from __future__ import annotations

import atexit
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock, Timer
from typing import Any, ClassVar

from troth.compute.runners import PROGRAM, WASM, Job, Limits, Ran, Runner, printable
from troth.compute.runners.process import rows_of
from troth.compute.runners.wasi import MODULE, Exit, Fault, Flood, OutOfFuel, System
from troth.core.errors import OutsideFailed, TrothError
from troth.fixed.program import Program

MOST_MODULE = 16 << 20
"""Bytes of a module: compiling takes time by the byte that no fuel bounds."""
PAGE = 1 << 16
CALL_FUEL, STEP_FUEL = 500, 50_000
"""What a call of the system, and a new instance for a step, are charged."""


def wasmtime() -> Any:
    """The engine's Python package. Raises OutsideFailed with a hint where it is not installed."""
    try:
        # Imported here: an extra, with a compiler inside.
        import wasmtime
    except ImportError:
        raise OutsideFailed("wasmtime is not installed", do="pip install 'troth[wasm]'") from None
    return wasmtime


class Stopped(Exception):
    """Fuel, output or time came to an end. same: whether it would anywhere, which time alone would not."""

    def __init__(self, why: str, same: bool = True) -> None:
        self.same = same
        super().__init__(why)


class Failed(Exception):
    """The module did something that ends it. same: whether it would anywhere."""

    def __init__(self, why: str, same: bool = True) -> None:
        self.same = same
        super().__init__(why)


class View:
    """A module's memory, with every address checked."""

    def __init__(self, store: Any, memory: Any) -> None:
        self._store, self._memory = store, memory

    @property
    def size(self) -> int:
        return int(self._memory.data_len(self._store))

    def read(self, begin: int, end: int) -> bytes:
        if not 0 <= begin <= end <= self.size:
            raise Fault("an address beyond the memory")
        return bytes(self._memory.read(self._store, begin, end))

    def write(self, data: bytes, begin: int) -> None:
        if not 0 <= begin <= begin + len(data) <= self.size:
            raise Fault("an address beyond the memory")
        if data:
            self._memory.write(self._store, data, begin)


class Compiled:
    """A module compiled once. Raises Failed for bytes that are no module."""

    def __init__(self, code: bytes) -> None:
        if len(code) > MOST_MODULE:
            raise Failed(f"a module of more than {MOST_MODULE} bytes")
        self.engine_package = package = wasmtime()
        config = package.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        config.cranelift_nan_canonicalization = True
        config.wasm_threads = False
        config.wasm_relaxed_simd = False
        config.wasm_memory64 = False
        config.wasm_multi_memory = False
        config.parallel_compilation = False
        self.engine = package.Engine(config)
        try:
            self.module = package.Module(self.engine, code)
        except package.WasmtimeError as error:
            raise Failed(f"not a module: {printable(str(error), 120)}") from None
        self._turn, self._seconds, self._deadline = Lock(), 0, math.inf
        # A name alone tells nothing: a module may call a number "memory".
        self.exports = frozenset(one.name for one in self.module.exports if isinstance(
            one.type, package.MemoryType if one.name == "memory" else package.FuncType))
        self.imports = {(one.module, one.name) for one in self.module.imports}

    @contextmanager
    def timed(self, seconds: int) -> Iterator[None]:
        """What is run meanwhile ends after so many seconds on the clock. One at a time: the engine has one clock."""
        with self._turn:
            self._seconds, self._deadline = seconds, time.monotonic() + seconds
            alarm = Timer(seconds, self.engine.increment_epoch)
            alarm.daemon = True
            alarm.start()
            try:
                yield
            finally:
                alarm.cancel()
                self._deadline = math.inf

    def store(self, limits: Limits) -> Any:
        """A store with these limits, and its fuel in it. Raises Stopped where its time is over."""
        if time.monotonic() > self._deadline:
            raise self._late()
        store = self.engine_package.Store(self.engine)
        store.set_limits(memory_size=limits.memory, table_elements=1 << 20, instances=1, memories=1, tables=16)
        store.set_fuel(limits.fuel)
        store.set_epoch_deadline(1)
        return store

    def _late(self) -> Stopped:
        return Stopped(f"more than {self._seconds} seconds", same=False)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What the engine raises, as Stopped or Failed."""
        package = self.engine_package
        try:
            yield
        except (Flood, OutOfFuel) as error:
            raise Stopped(str(error)) from None
        except Fault as error:
            raise Failed(str(error)) from None
        except package.Trap as trap:
            code = trap.trap_code
            if code == package.TrapCode.OUT_OF_FUEL:
                raise Stopped("out of fuel") from None
            if code == package.TrapCode.INTERRUPT:
                raise self._late() from None
            raise Failed(printable(str(trap).strip().splitlines()[-1], 120),
                         code != package.TrapCode.STACK_OVERFLOW) from None
        except package.WasmtimeError as error:
            raise Failed(printable(str(error), 160)) from None


class Wasm(Runner):
    """Jobs as WebAssembly under wasmtime. A program is written as a module first (`troth.compute.wasm`)."""

    name: ClassVar[str] = "wasm"
    bounded: ClassVar[bool] = True
    forms = frozenset({WASM, PROGRAM})

    def _run(self, job: Job) -> Ran:
        wasmtime()
        begun, spent = time.monotonic(), [0]
        output, why, ending, same = bytearray(), "", "done", True
        try:
            if job.form == PROGRAM:
                output += _model(job, spent)
            else:
                compiled = _compiled(job.code)
                run = _stepped if "step" in compiled.exports else _command
                with compiled.timed(job.limits.seconds):
                    run(compiled, job, output, spent)
        except Stopped as error:
            ending, why, same = "stopped", str(error), error.same
        except Failed as error:
            ending, why, same = "failed", str(error), error.same
        if ending == "done" and len(output) > job.limits.output:
            ending, why = "stopped", f"more than {job.limits.output} bytes of output"
        milliseconds = round(1000 * (time.monotonic() - begun))
        return Ran(ending, bytes(output[: job.limits.output]), why, spent[0], milliseconds, same)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def _compiled(code: bytes) -> Compiled:
    """A module's compiled form, kept: the same job for many inputs is common. Nothing of a run stays in it."""
    return Compiled(code)


atexit.register(_compiled.cache_clear)  # before the engine's own package is taken apart


def _model(job: Job, spent: list[int]) -> bytes:
    # Imported here: it loads what only models need.
    from troth.compute.wasm_run import Module

    try:
        program = Program.from_bytes(job.code)
        module = Module.of(program)
        found = module.run(rows_of(program, job.input))
    except TrothError as error:
        raise Failed(printable(error.message)) from None
    spent[0] = module.fuel_used
    return found.astype("<i8").tobytes()


def _command(compiled: Compiled, job: Job, output: bytearray, spent: list[int]) -> None:
    """``_start`` with standard input and output."""
    store = compiled.store(job.limits)

    def charge(amount: int) -> None:
        left = store.get_fuel() - amount
        if left < 0:
            store.set_fuel(0)
            raise OutOfFuel("out of fuel")
        store.set_fuel(left)

    if not {"memory", "_start"} <= compiled.exports:
        raise Failed("neither a command (memory, _start) nor a stepped module (memory, input, step, output)")
    system = System(job.input, job.digest, job.limits.output, charge)
    linker = _linker(compiled, store, system, charge)
    try:
        with compiled.watched():
            linker.instantiate(store, compiled.module).exports(store)["_start"](store)
    except Exit as done:
        if done.code:
            said = printable(system.errors.decode("utf-8", "replace"), 200)
            raise Failed(f"exit {done.code}" + (f": {said}" if said else "")) from None
    finally:
        output += system.output
        spent[0] = job.limits.fuel - store.get_fuel()


def _linker(compiled: Compiled, store: Any, system: System, charge: Callable[[int], None]) -> Any:
    package = compiled.engine_package
    kinds = {"i": package.ValType.i32(), "I": package.ValType.i64()}
    linker = package.Linker(compiled.engine)
    for name, (parameters, function) in system.functions().items():
        if (MODULE, name) in compiled.imports:
            results = [] if name == "proc_exit" else [kinds["i"]]
            kind = package.FuncType([kinds[one] for one in parameters], results)
            linker.define_func(MODULE, name, kind, _host(store, function, charge), access_caller=True)
    linker.define_unknown_imports_as_traps(compiled.module)
    return linker


def _host(store: Any, function: Callable[..., int], charge: Callable[[int], None]) -> Callable[..., int]:
    """A function of the system as the engine calls it: numbers without sign, memory by checked addresses."""
    def call(caller: Any, *given: int) -> int:
        charge(CALL_FUEL)
        memory = caller.get("memory")
        if memory is None:
            raise Fault("no memory to read or write")
        return function(View(store, memory), *(value & 0xFFFFFFFF for value in given))

    return call


class Stepped:
    """A stepped module's meaning, step by step: a machine in the sense of `troth.verify.bisect`.

    A state is a byte 0 (running) or 1 (finished) and the whole memory. The first state: a new instance is given
    ``input(n)``, which answers where n bytes have room, and the job's input is put there. One step: a new instance, its
    memory made that of the state, then ``step()``, which answers 0 where the work is done. So what a module keeps
    outside its memory does not outlive a step, for anybody. ``output()`` answers where the output is, as address times
    2**32, plus length. A finished state's step is itself.

    Each call may use the job's fuel. Raises Failed for a module of another shape, Stopped where a limit ends a step.
    """

    def __init__(self, compiled: Compiled, job: Job) -> None:
        if compiled.imports or not {"memory", "input", "step", "output"} <= compiled.exports:
            raise Failed("a stepped module exports memory, input, step and output, and imports nothing")
        self._compiled, self._job = compiled, job
        self.fuel_used = 0

    def start(self) -> bytes:
        """The first state."""
        with self._instance() as (store, exports, memory):
            place = exports["input"](store, len(self._job.input))
            self._number(place)
            memory.write(self._job.input, place & 0xFFFFFFFF)
            return b"\0" + memory.read(0, memory.size)

    def step(self, state: bytes) -> bytes:
        """The state after this one."""
        if state[:1] == b"\1":
            return state
        with self._instance(state[1:]) as (store, exports, memory):
            more = exports["step"](store)
            self._number(more)
            return (b"\0" if more else b"\1") + memory.read(0, memory.size)

    def states(self) -> Iterator[bytes]:
        """Every state, from the first to the finished one."""
        state = self.start()
        yield state
        while state[:1] == b"\0":
            state = self.step(state)
            if self.fuel_used > self._job.limits.fuel:
                raise Stopped("out of fuel")
            yield state

    def output(self, state: bytes) -> bytes:
        """What a finished state says."""
        with self._instance(state[1:]) as (store, exports, memory):
            word = exports["output"](store)
            self._number(word)
            place, size = (word >> 32) & 0xFFFFFFFF, word & 0xFFFFFFFF
            if size > self._job.limits.output:
                raise Flood(f"more than {self._job.limits.output} bytes of output")
            return memory.read(place, place + size)

    @staticmethod
    def _number(value: object) -> None:
        if type(value) is not int:
            raise Failed("a stepped module's functions answer one integer")

    @contextmanager
    def _instance(self, state: bytes | None = None) -> Iterator[tuple[Any, Any, View]]:
        compiled, limits = self._compiled, self._job.limits
        store = compiled.store(limits)
        try:
            with compiled.watched():
                exports = compiled.engine_package.Instance(store, compiled.module, []).exports(store)
                memory = View(store, exports["memory"])
                if state is not None:
                    self._restore(store, exports["memory"], memory, state)
                try:
                    yield store, exports, memory
                except TypeError as error:
                    raise Failed(f"a stepped module's functions take other values: {error}") from None
        finally:
            # A new instance and two copies of its memory are work too, and endless steps would be endless work.
            self.fuel_used += limits.fuel - store.get_fuel() + STEP_FUEL + len(state or b"") // 32

    @staticmethod
    def _restore(store: Any, raw: Any, memory: View, state: bytes) -> None:
        pages = len(state) // PAGE
        if len(state) % PAGE or pages < memory.size // PAGE:
            raise Failed("a state that this module's memory cannot have")
        if pages > memory.size // PAGE:
            raw.grow(store, pages - memory.size // PAGE)
        memory.write(state, 0)


def _stepped(compiled: Compiled, job: Job, output: bytearray, spent: list[int]) -> None:
    machine = Stepped(compiled, job)
    try:
        for state in machine.states():
            last = state
        output += machine.output(last)
    finally:
        spent[0] = machine.fuel_used
