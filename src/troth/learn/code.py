"""Models of anybody's own code: one Python file, named by its SHA-256 in the plan.

The file defines, over dicts of named float arrays and ``Records``::

    def start(seed: bytes) -> arrays                # the untrained model
    def fit(arrays, data, config) -> arrays         # a site's training; nobody re-executes it
    def evaluate(arrays, data) -> losses            # one number a record, lower is better; re-executed by verifiers
    def score(arrays, data) -> number               # optional: how good, 1.0 for perfect; else minus the mean loss
    requires = ["torch"]                            # optional: libraries whose versions count, besides NumPy's

**Nothing that merely arrived is run.** A process runs a file only after ``give``: a person named it here, and
its digest equals the plan's. What it does then it does with that person's rights: read it first. There is no sandbox.

**Floats.** ``evaluate`` runs in floating point, so its last bits depend on the machine. The plan therefore names the
runtime (Python, libraries, threads, instruction set), and the aggregator must have it. Where it is another,
re-execution is *undecidable* (`NotHere`), never refuted; a site may train there all the same, from the start whose
digest the plan names. Everything else in a round (norms, aggregation, Shapley values, pay) is integer arithmetic over
these losses, rounded to 2**-16 and clamped to 0 … 256.0; NaN, and an error in
arithmetic or of linear algebra (a matrix that has no inverse), count as 256.0, so that no update can stop a round.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from troth.core.encoding import from_hex, take
from troth.core.errors import BadInput, OutsideFailed, Undecidable, unreadable
from troth.fixed.numbers import ONE, FloatArray, IntArray, clip_norm, dequantise, divide_int, magnitude, subtract
from troth.learn import arrays
from troth.learn.adapters.form import Form, Slot, narrow
from troth.learn.adapters.plain import NamedArrays
from troth.learn.arrays import Layout, State, flatten, layout, unflatten
from troth.learn.data import Inputs, Schema

PPM = 1_000_000
PARAMETER_LIMIT = 1 << 24
LOSS_LIMIT = 1 << 24


class NotHere(Undecidable):
    """This process cannot run the plan's code as the plan says: it was not given the file, or is another runtime."""


_NEEDED = ("start", "fit", "evaluate")
_NO_NUMBER = (ArithmeticError, np.linalg.LinAlgError)
"""What an update can make honest code raise, which no update may stop a round by."""

_given: dict[bytes, Path] = {}
"""What a person gave this process to run, by digest. Nothing else adds to it: no claim, no plan, no message."""


def give(path: Path | str) -> bytes:
    """Let plans that name this very file run it in this process; its digest. Nothing is run yet."""
    path = Path(path)
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise unreadable(path, error, "Name the file of code that the plan is to run.") from None
    _given[digest] = path
    return digest


def _load(digest: bytes) -> ModuleType:
    path = _given.get(digest)
    if path is None:
        raise NotHere("the plan names a file of code that this process was not given", expected=digest.hex(),
                          do="Get it from the sponsor, read it, and give it with --code FILE.")
    data = path.read_bytes()
    if hashlib.sha256(data).digest() != digest:
        raise NotHere("the file of code was changed since it was given", expected=digest.hex(), actual=str(path))
    module = ModuleType(f"troth_code_{digest.hex()[:16]}")
    # the very bytes that were hashed, of a file that a person gave
    exec(compile(data, str(path), "exec"), module.__dict__)  # noqa: S102
    missing = [name for name in _NEEDED if not callable(getattr(module, name, None))]
    if missing:
        raise BadInput("the file of code lacks functions", expected=", ".join(_NEEDED), actual=", ".join(missing))
    return module


def runtime(requires: tuple[str, ...] = ()) -> dict[str, Any]:
    """This process's runtime, as a plan names it. Raises OutsideFailed for a library that is not installed."""
    versions = {"numpy": np.__version__}
    for name in requires:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise OutsideFailed(f"{name} is not installed", do=f"pip install {name}") from None
    found: Any = np.show_config(mode="dicts")
    return {"python": f"{platform.python_implementation()} {platform.python_version()}",
            "machine": f"{platform.system()} {platform.machine()}", "versions": versions,
            "instructions": sorted(str(one) for one in found["SIMD Extensions"].get("found", [])),
            "threads": os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count())}


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """What the file's functions see. features: (n, d), standardised. labels: classes 0 … k - 1 as int64, or the
    standardised number. classes: k, or 0 for a number."""

    features: FloatArray
    labels: npt.NDArray[Any]
    classes: int


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """The family ``code`` of `tasks.Task`. digest: of the file. first: of the state that training starts from. form:
    its arrays. runtime: the plan's."""

    digest: bytes
    first: bytes
    form: Form
    runtime: Mapping[str, Any]
    classes: int
    limit: int = PARAMETER_LIMIT

    FAMILY: ClassVar[str] = "code"

    @classmethod
    def propose(cls, path: Path | str, classes: int, seed: bytes) -> Self:
        """A sponsor's task for its own file, on this runtime. seed: the plan's. Runs the file."""
        path = Path(path)
        digest = give(path)
        module = _load(digest)
        start = NamedArrays({name: np.asarray(array) for name, array in dict(module.start(seed)).items()})
        form = start.form
        if form.kept:
            raise BadInput("arrays of a file of code are floats", actual=form.kept)
        first = arrays.digest(form.encode(start.read(form)))
        return cls(digest, first, form, runtime(tuple(getattr(module, "requires", ()))), classes)

    @classmethod
    def of(cls, said: Mapping[str, Any], schema: Schema) -> Self:
        """The task that a plan names. Raises BadInput."""
        _, listed, ground, digest, start = take(dict(said), family=str, arrays=list, runtime=dict, sha256=str,
                                                start=str)
        slots = []
        for item in listed:
            if type(item) is not dict:
                raise BadInput("an array is a name, a shape and a type", actual=item)
            dtype, name, shape = take(item, dtype=str, name=str, shape=list)
            if any(type(size) is not int or size < 1 for size in shape):
                raise BadInput("a shape is of positive integers", actual=shape)
            slots.append(Slot(name, tuple(shape), dtype))
        return cls(from_hex(digest, 32), from_hex(start, 32), Form(tuple(slots)), ground, len(schema.classes))

    def json(self) -> dict[str, object]:
        """What a plan says."""
        return {"family": self.FAMILY, "runtime": dict(self.runtime), "sha256": self.digest.hex(),
                "start": self.first.hex(),
                "arrays": [{"dtype": one.dtype, "name": one.name, "shape": list(one.shape)} for one in self.form.slots]}

    @property
    def layout(self) -> Layout:
        return self.form.layout

    def check(self, state: State) -> None:
        """Raises BadInput unless ``state`` has this task's names, shapes and magnitudes up to the limit."""
        if layout(state) != self.layout:
            raise BadInput("not a state of this model", expected=self.layout, actual=layout(state))
        worst = max(magnitude(array) for array in state.values())
        if worst > self.limit:
            raise BadInput("a parameter is out of range", expected=f"magnitude at most {self.limit}", actual=worst)

    def start(self, seed: bytes) -> dict[str, IntArray]:
        """The untrained model. Raises NotHere without the file, or where it comes out as another than the plan's."""
        state = self._state(_load(self.digest).start(seed))
        if arrays.digest(state) != self.first:
            raise NotHere("the plan's code starts otherwise here", expected=self.first.hex(),
                          actual=arrays.digest(state).hex(), do="Take the start from the sponsor; compare the seed.")
        return state

    def row_losses(self, vectors: IntArray, data: Inputs) -> IntArray:
        """(m, D) on n records -> (m, n). Raises NotHere without the file, or on another runtime."""
        evaluate, records = self._module().evaluate, self._records(data)
        return np.stack([self._losses(evaluate, unflatten(vector, self.layout), records) for vector in vectors])

    def loss(self, state: State, data: Inputs) -> int:
        """Mean loss at 2**16, half to even. Raises BadInput for no records; NotHere as above."""
        self.check(state)
        losses = self.row_losses(flatten(state).reshape(1, -1), data)[0].tolist()
        if not losses:
            raise BadInput("loss needs records", expected="at least one", actual=0)
        return divide_int(sum(losses), len(losses))

    def score(self, state: State, data: Inputs) -> int:
        """The file's ``score`` in parts per million, rounded down; without one, minus the mean loss."""
        self.check(state)
        judge = getattr(self._module(), "score", None)
        if judge is None:
            return -self.loss(state, data) * PPM // ONE
        try:
            found = float(judge(self._arrays(state), self._records(data)))
        except _NO_NUMBER:
            found = math.nan
        return math.floor(max(-1e6, min(1e6, found)) * PPM) if math.isfinite(found) else -PPM * PPM

    def update(self, base: State, data: Inputs, config: Mapping[str, Any], clip: int) -> dict[str, IntArray]:
        """A site's update: what ``fit`` gives minus ``base``, quantised, clipped to ``clip``. On any runtime."""
        self.check(base)
        after = self._state(_load(self.digest).fit(self._arrays(base), self._records(data), dict(config)))
        return unflatten(clip_norm(subtract(flatten(after), flatten(base)), clip), self.layout)

    def _module(self) -> ModuleType:
        module = _load(self.digest)
        here = runtime(tuple(getattr(module, "requires", ())))
        if here != dict(self.runtime):
            differs = [name for name in here if here[name] != self.runtime.get(name)]
            raise NotHere("the plan's code runs on another runtime than this one: its floats may differ",
                              expected={name: self.runtime.get(name) for name in differs},
                              actual={name: here[name] for name in differs}, do="Check it on a machine like that.")
        return module

    def _state(self, given: Any) -> dict[str, IntArray]:
        found = NamedArrays({name: np.asarray(array) for name, array in dict(given).items()})
        if found.form.layout != self.layout or found.form.kept:
            raise BadInput("the file of code gave other arrays", expected=self.layout, actual=found.form.layout)
        return found.form.encode(found.read(found.form))

    def _arrays(self, state: State) -> dict[str, Any]:
        values = self.form.decode(state)
        return {slot.name: narrow(values[slot.name], slot.dtype) for slot in self.form.slots}

    def _records(self, data: Inputs) -> Records:
        labels = data.labels.copy() if self.classes else dequantise(data.labels)
        return Records(dequantise(data.features), labels, self.classes)

    def _losses(self, evaluate: Callable[..., Any], state: State, records: Records) -> IntArray:
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(evaluate(self._arrays(state), records), dtype=np.float64)
        except _NO_NUMBER:
            found = np.full(len(records.labels), np.nan)
        if found.shape != records.labels.shape:
            raise BadInput("evaluate gives one loss a record", expected=records.labels.shape, actual=found.shape)
        most = LOSS_LIMIT / ONE
        kept = np.clip(np.nan_to_num(found, nan=most, posinf=most, neginf=0.0), 0.0, most)
        return np.rint(np.ldexp(kept, 16)).astype(np.int64)
