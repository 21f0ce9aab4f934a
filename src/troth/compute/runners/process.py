"""Jobs in this process: functions that its owner wrote and gave a name, and models as integer programs.

Nothing here bounds a function: it has this process's rights. So a job can only name one, and bring none. A program can
do nothing but arithmetic, and ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from troth.compute.runners import FUNCTION, PROGRAM, Job, Ran, Runner, printable
from troth.core.errors import BadInput, TrothError
from troth.fixed.program import Program

Function = Callable[[bytes], bytes]


class InProcess(Runner):
    """functions: what jobs of the form ``function`` may call, by name. One that raises a TrothError, ValueError,
    LookupError, TypeError or ArithmeticError has failed; other errors are its owner's to see."""

    name: ClassVar[str] = "process"
    bounded: ClassVar[bool] = False
    forms = frozenset({FUNCTION, PROGRAM})

    def __init__(self, functions: Mapping[str, Function] | None = None) -> None:
        self._functions = dict(functions or {})

    def _run(self, job: Job) -> Ran:
        begun = time.monotonic()
        try:
            output = scores(job.code, job.input) if job.form == PROGRAM else self._call(job)
        except (TrothError, ValueError, LookupError, TypeError, ArithmeticError) as error:
            return Ran("failed", b"", printable(f"{type(error).__name__}: {error}"), 0, _since(begun),
                       job.form == PROGRAM)
        if len(output) > job.limits.output:
            return Ran("stopped", output[: job.limits.output], f"more than {job.limits.output} bytes of output", 0,
                       _since(begun), job.form == PROGRAM)
        return Ran("done", output, "", 0, _since(begun), job.form == PROGRAM)

    def _call(self, job: Job) -> bytes:
        name = job.code.decode("ascii", "replace")
        if name not in self._functions:
            raise BadInput("no such function here", expected=", ".join(sorted(self._functions)) or "none is given",
                           actual=printable(name, 80))
        return bytes(self._functions[name](job.input))


def rows_of(program: Program, data: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """A job's input as rows of little-endian 64-bit integers. Raises BadInput for bytes that are no whole rows."""
    wide = 8 * len(program.low)
    if not data or len(data) % wide:
        raise BadInput("not whole rows of inputs", expected=f"a multiple of {wide} bytes", actual=len(data))
    return np.frombuffer(data, dtype="<i8").astype(np.int64).reshape(-1, len(program.low))


def scores(code: bytes, data: bytes) -> bytes:
    """What a program makes of rows of integers: rows of scores, both little-endian, 64 bits each. Raises BadInput."""
    program = Program.from_bytes(code)
    return program.run(rows_of(program, data)).astype("<i8").tobytes()


def _since(begun: float) -> int:
    return round(1000 * (time.monotonic() - begun))
