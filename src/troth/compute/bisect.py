"""Machines whose steps `troth.verify.bisect` can dispute: stepped WebAssembly modules, and models as programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from troth.compute.runners import PROGRAM, WASM, Job
from troth.compute.runners.process import rows_of
from troth.compute.runners.wasm import Compiled, Failed, Stepped, Stopped
from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.fixed.numbers import IntArray
from troth.fixed.program import Program
from troth.fixed.program_bytes import ints_of
from troth.fixed.steps import apply
from troth.verify.bisect import Trace


class WasmSteps:
    """A stepped module's machine (`compute.runners.wasm.Stepped`). Raises BadInput for a job that is none."""

    def __init__(self, job: Job) -> None:
        try:
            self._stepped = Stepped(Compiled(job.code), job)
        except Failed as error:
            raise BadInput("not a stepped job", expected="memory, input, step and output", actual=error) from None

    def start(self) -> bytes:
        """The first state. Raises Refuted where the module fails before it."""
        return self._tried(self._stepped.start)

    def step(self, state: bytes) -> bytes:
        """One step. Raises Refuted where the module fails in it, or the state is none of this module's; Undecidable
        where it is this machine that fails."""
        return self._tried(self._stepped.step, state)

    def output(self, state: bytes) -> bytes:
        """What a finished state says. Raises Refuted for one that is not finished, or says nothing."""
        if state[:1] != b"\1":
            raise Refuted("a state that is not finished has no output")
        return self._tried(self._stepped.output, state)

    def states(self) -> Iterator[bytes]:
        """All states to the finished one. Raises Refuted where the module fails, or passes the job's fuel."""
        try:
            yield from self._stepped.states()
        except (Failed, Stopped) as error:
            raise _why(error) from None

    @staticmethod
    def _tried(act: Callable[..., bytes], *values: bytes) -> bytes:
        try:
            return act(*values)
        except (Failed, Stopped) as error:
            raise _why(error) from None


def _why(error: Failed | Stopped) -> Refuted | Undecidable:
    if isinstance(error, Failed) and not error.same:
        return Undecidable(f"this machine cannot tell: {error}", do="Try one with a deeper stack.")
    return Refuted(f"the module fails: {error}")


class ProgramSteps:
    """A model's machine: a state is every vector so far, and a step is the program's next one.

    So the third party of a dispute computes one layer, not the model. Raises BadInput for a job that is none.
    """

    def __init__(self, job: Job) -> None:
        if job.form != PROGRAM:
            raise BadInput("not a program", expected=PROGRAM, actual=job.form)
        self.program, self._rows = Program.from_bytes(job.code), job.input

    def start(self) -> bytes:
        """The first state: the inputs. Raises BadInput for inputs that the program refuses."""
        rows = rows_of(self.program, self._rows)
        beyond = (rows < self.program.low) | (rows > self.program.high)
        if beyond.any():
            raise BadInput("an input beyond the model's range", actual=int(rows[beyond][0]))
        return _written([rows])

    def step(self, state: bytes) -> bytes:
        """The next vector. Raises Refuted for a state that is none of this program's."""
        vectors = self._read(state)
        done = len(vectors) - 1
        if done == len(self.program.steps):
            return state
        return _written([*vectors, apply(self.program.steps[done], vectors)])

    def output(self, state: bytes) -> bytes:
        """The scores. Raises Refuted for a state that is not finished."""
        vectors = self._read(state)
        if len(vectors) - 1 != len(self.program.steps):
            raise Refuted("a state that is not finished has no output")
        return vectors[-1].astype("<i8").tobytes()

    def states(self) -> Iterator[bytes]:
        """All states to the finished one."""
        state = self.start()
        yield state
        for _ in self.program.steps:
            state = self.step(state)
            yield state

    def _read(self, state: bytes) -> list[IntArray]:
        try:
            (said,) = take(decode_object(state), vectors=list)
            vectors = [ints_of([[int(value) for value in row] for row in one], 2) for one in said]
        except (BadInput, ValueError, TypeError) as error:
            raise Refuted("not a state of a program", actual=error) from None
        widths = [len(one[0]) for one in self.program.ranges]
        if not 1 <= len(vectors) <= len(widths) or [one.shape[1] for one in vectors] != widths[: len(vectors)] or (
                len({len(one) for one in vectors}) != 1):
            raise Refuted("not a state of this program", expected=f"vectors of {widths}")
        for (low, high), one in zip(self.program.ranges, vectors, strict=False):
            if ((one < low) | (one > high)).any():
                raise Refuted("a state with values that this program cannot reach")
        return vectors


def machine_of(job: Job) -> WasmSteps | ProgramSteps:
    """A job's machine. Raises Misuse for a job whose steps nobody else can execute, BadInput for one that is none."""
    if job.form == WASM:
        return WasmSteps(job)
    if job.form != PROGRAM:
        raise Misuse("a job without steps that others can execute", expected=f"{WASM} or {PROGRAM}", actual=job.form)
    return ProgramSteps(job)


def trace_of(job: Job) -> tuple[Trace, bytes]:
    """Execute a job step by step: what to commit to, and its output. Raises as ``machine_of``, and Refuted for a job
    that fails."""
    machine = machine_of(job)
    last = [b""]

    def watched() -> Iterator[bytes]:
        for state in machine.states():
            last[0] = state
            yield state

    trace = Trace(machine, watched())
    return trace, machine.output(last[0])


def _written(vectors: list[IntArray]) -> bytes:
    return encode({"vectors": [[[str(value) for value in row] for row in one.tolist()] for one in vectors]})
