"""Runners execute jobs: some code and one input in, bytes out, under limits. They know nothing of claims or money.

A job reads its input as standard input (a model: rows of integers) and its output is what it writes to standard output.
That is all a job can see and all it can say, in every runner. What goes wrong because of the job is part of what is
found (`Ran`), never an error of the runner.

======== =================== ========== ===================================================================
runner   forms               bounded    what it is
======== =================== ========== ===================================================================
process  function, program   no         in this process: functions that its owner wrote, and integer models
wasm     wasm, program       by fuel    WebAssembly: the same bits on every machine, nothing else in sight
sandbox  python, binary      by limits  a process of its own in bubblewrap, without network, files or rights
ray      what it carries     as carried one of the others, on the machines of a Ray cluster
======== =================== ========== ===================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Literal, Self

from troth.core.encoding import encode, sha256, take
from troth.core.errors import BadInput, Misuse

FUNCTION, PROGRAM, WASM, PYTHON, BINARY = "function", "program", "wasm", "python", "binary"
FORMS = (FUNCTION, PROGRAM, WASM, PYTHON, BINARY)
MOST_CODE = MOST_INPUT = 64 << 20

Ending = Literal["done", "failed", "stopped"]
"""done: the job ended as it should. failed: by its own fault. stopped: a limit was passed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may use. A runner that is not bounded keeps to ``output`` alone.

    seconds: on the clock, and of a processor for each process. memory, disk, output: bytes; memory is each process's,
    disk is what it may write and never see again. processes: at one time, threads counted. fuel: instructions, about;
    of WebAssembly alone, where nothing else ends a run. Raises BadInput for a limit out of range.
    """

    seconds: int = 60
    memory: int = 256 << 20
    disk: int = 64 << 20
    processes: int = 1
    output: int = 16 << 20
    fuel: int = 10_000_000_000

    def __post_init__(self) -> None:
        most = {"seconds": 86_400, "memory": 1 << 40, "disk": 1 << 40, "processes": 4096, "output": 1 << 30,
                "fuel": 1 << 53}
        for name, value in self.json().items():
            if not 1 <= value < most[name]:
                raise BadInput(f"a job's limit of {name}", expected=f"1 to {most[name] - 1}", actual=value)

    def json(self) -> dict[str, int]:
        """As an order says it."""
        return {"disk": self.disk, "fuel": self.fuel, "memory": self.memory, "output": self.output,
                "processes": self.processes, "seconds": self.seconds}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read exactly what ``json`` writes. Raises BadInput."""
        disk, fuel, memory, output, processes, seconds = take(body, disk=int, fuel=int, memory=int, output=int,
                                                              processes=int, seconds=int)
        return cls(seconds, memory, disk, processes, output, fuel)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be executed. code: a module, a script, a program; of a function its name. Raises BadInput for a form
    that is none, or more than MOST_CODE or MOST_INPUT bytes."""

    form: str
    code: bytes = field(repr=False)
    input: bytes = field(repr=False)
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise BadInput("an unknown form of job", expected=", ".join(FORMS), actual=self.form)
        if len(self.code) > MOST_CODE or len(self.input) > MOST_INPUT:
            raise BadInput("a job is too large", actual=f"{len(self.code)} and {len(self.input)} bytes",
                           expected=f"code of at most {MOST_CODE} bytes, input of at most {MOST_INPUT}")

    @property
    def digest(self) -> bytes:
        """32 bytes that name this job."""
        return sha256(b"troth/job/1\n" + encode({
            "code": sha256(self.code).hex(), "form": self.form, "input": sha256(self.input).hex(),
            "limits": self.limits.json()}))


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run came to. output: what was written, at most the limit; of a run that is not done, what there was.

    why: of a run that is not done, in printable characters. fuel: instructions used, 0 where nothing counts them.
    milliseconds: on the clock. same: whether another run of this job comes to the same on any machine; false where
    time, memory or a runner that is bound to its machine had a part in it.
    """

    ending: Ending
    output: bytes = field(repr=False)
    why: str = ""
    fuel: int = 0
    milliseconds: int = 0
    same: bool = False


class Runner(ABC):
    """Executes jobs. A backend implements ``_run``; ``RunnerSuite`` in the tests holds every backend to this."""

    name: ClassVar[str]
    forms: frozenset[str]
    bounded: ClassVar[bool]
    """Whether a hostile job can neither outlive its limits nor see or change anything but its input and output."""

    def run(self, job: Job) -> Ran:
        """Execute a job, and come back when nothing of it is left.

        Whatever the job does is in what is returned. Raises Misuse for a form that this runner does not execute,
        OutsideFailed where what it needs is not installed or does not work here.
        """
        if job.form not in self.forms:
            raise Misuse(f"the runner {self.name} does not execute jobs of this form", actual=job.form,
                         expected=", ".join(sorted(self.forms)), do="Choose another runner (troth job run --runner).")
        return self._run(job)

    @abstractmethod
    def _run(self, job: Job) -> Ran:
        """As ``run``, for a form that is one of ``forms``."""


def printable(text: str, most: int = 400) -> str:
    """What a job said, in characters that move no cursor."""
    return text.encode("ascii", "backslashreplace").decode().replace("\x1b", "\\x1b").strip()[-most:]


_RUNNERS: Mapping[str, tuple[str, str]] = {
    "process": ("troth.compute.runners.process", "InProcess"),
    "wasm": ("troth.compute.runners.wasm", "Wasm"),
    "sandbox": ("troth.compute.runners.sandbox", "Sandbox"),
    "ray": ("troth.compute.runners.ray", "OnRay"),
}
NAMES = tuple(_RUNNERS)


def runner(name: str) -> Runner:
    """The runner of this name, as it is without settings. Raises Misuse for no such runner, OutsideFailed with a hint
    where what it needs is not installed."""
    if name not in _RUNNERS:
        raise Misuse("no such runner", expected=", ".join(NAMES), actual=name)
    module, made = _RUNNERS[name]
    # Imported here: a backend loads what nobody else needs.
    make: Callable[[], Runner] = getattr(import_module(module), made)
    return make()


def runner_for(form: str) -> Runner:
    """The runner that executes jobs of this form. Raises BadInput for an unknown form, and what ``runner`` raises."""
    names = {FUNCTION: "process", PROGRAM: "process", WASM: "wasm", PYTHON: "sandbox", BINARY: "sandbox"}
    if form not in names:
        raise BadInput("an unknown form of job", expected=", ".join(FORMS), actual=form)
    return runner(names[form])
