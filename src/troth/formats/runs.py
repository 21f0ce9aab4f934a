"""What a run of some training says: kind ``run``, written and read strictly, and two runs compared.

Numbers that a run measured are decimal texts: claims hold no floats. One page under docs/kinds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from troth.core.claims import Statement, Subject
from troth.core.encoding import encode, from_hex, sha256, take
from troth.core.errors import BadInput

RUN = "run"
FINISHED, FAILED = "finished", "failed"
_DECIMAL = re.compile(r"(-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?|NaN|-?Infinity)\Z")
MAX_NUMBER = 400
MAX_ITEMS = 10_000
MAX_TEXT = 8_000


def decimal_text(value: float | int | str | Decimal) -> str:
    """A number as claims write it: plain decimal digits, no exponent, no zeros that say nothing.

    A float becomes the shortest decimal that reads back as the same float. Raises BadInput for what is no number.
    """
    try:
        number = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(str(value))
    except ArithmeticError:
        raise BadInput("not a number", actual=value) from None
    if number.is_nan():
        return "NaN"
    if number.is_infinite():
        return "-Infinity" if number < 0 else "Infinity"
    if abs(number.adjusted()) > MAX_NUMBER:
        raise BadInput("a number too long for a claim", expected=f"at most {MAX_NUMBER} digits", actual=value)
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def read_decimal(text: Any) -> Decimal:
    """The number in a claim. Raises BadInput for another spelling than ``decimal_text`` writes."""
    if type(text) is not str or len(text) > 2 * MAX_NUMBER + 3 or not _DECIMAL.match(text) or text == "-0":
        raise BadInput("not a number as claims write it", expected="decimal digits, such as -0.25", actual=text)
    return Decimal(text)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file or a directory that a run read or made. ``files`` 0: one file, by SHA-256 of its bytes.

    A directory's digest is the root of a model signature's manifest (``oms.root_digest``) over its ``files``.
    """

    name: str
    digest: bytes
    size: int
    files: int = 0

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return {"bytes": self.size, "files": self.files, "name": self.name, "sha256": self.digest.hex()}

    @classmethod
    def read(cls, value: Any) -> Self:
        """From JSON, strictly. Raises BadInput."""
        size, files, name, digest = take(value, bytes=int, files=int, name=str, sha256=str)
        if size < 0 or files < 0:
            raise BadInput("a negative size", actual=(size, files))
        return cls(name, from_hex(digest, 32), size, files)

    @property
    def subject(self) -> Subject:
        """As a claim's subject."""
        return Subject(self.name, {"sha256": self.digest.hex()})


@dataclass(frozen=True, slots=True)
class Metric:
    """The last value of a measured number, and at which step."""

    value: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are Unix seconds; ``environment`` says what ran it; ``source`` which code, by its own word."""

    name: str
    status: str
    started_at: int
    ended_at: int
    params: Mapping[str, str]
    metrics: Mapping[str, Metric]
    data: tuple[Artefact, ...]
    models: tuple[Artefact, ...]
    environment: Mapping[str, str]
    source: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """The claim's body."""
        return {"data": [one.json() for one in self.data], "ended_at": self.ended_at,
                "environment": dict(self.environment),
                "metrics": {name: {"step": one.step, "value": one.value} for name, one in self.metrics.items()},
                "models": [one.json() for one in self.models], "name": self.name, "params": dict(self.params),
                "source": dict(self.source), "started_at": self.started_at, "status": self.status}

    def subjects(self) -> tuple[Subject, ...]:
        """What the claim is about: the models made, else the data read, else what it says itself."""
        about = self.models or self.data
        return tuple(one.subject for one in about) or (
            Subject(RUN, {"sha256": sha256(encode(self.body())).hex()}),)

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read a claim strictly. Raises BadInput, for subjects that are not what the body names too."""
        if (statement.kind, statement.version) != (RUN, 1):
            raise BadInput("not a run", expected="run v1", actual=f"{statement.kind} v{statement.version}")
        data, ended, environment, metrics, models, name, params, source, started, status = take(
            dict(statement.body), data=list, ended_at=int, environment=dict, metrics=dict, models=list, name=str,
            params=dict, source=dict, started_at=int, status=str)
        if status not in (FINISHED, FAILED) or not 0 <= started <= ended:
            raise BadInput("not a run", expected="finished or failed, begun before it ended",
                           actual=f"{status}, {started} to {ended}")
        found = cls(name, status, started, ended, _texts(params), {key: _metric(one) for key, one in metrics.items()},
                    tuple(map(Artefact.read, data)), tuple(map(Artefact.read, models)), _texts(environment),
                    _texts(source))
        found.check()
        if statement.subjects != found.subjects():
            raise BadInput("run: the subjects are not what the body says", expected=found.subjects(),
                           actual=statement.subjects)
        return found

    def check(self) -> None:
        """Raises BadInput for more, or longer texts, than a claim of this kind holds."""
        texts = [self.name, *self.params, *self.params.values(), *self.metrics, *self.environment.values(),
                 *self.source.values(), *(one.name for one in (*self.data, *self.models))]
        if len(texts) > MAX_ITEMS or any(len(text) > MAX_TEXT for text in texts):
            raise BadInput("a run that says too much", expected=f"{MAX_ITEMS} items of {MAX_TEXT} characters",
                           do="Name files by digest instead.")


def _texts(value: dict[str, Any]) -> dict[str, str]:
    if any(type(item) is not str for item in value.values()):
        raise BadInput("not texts by name", expected="text", actual=value)
    return value


def _metric(value: Any) -> Metric:
    step, text = take(value, step=int, value=str)
    read_decimal(text)
    return Metric(text, step)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which runs differ. ``values``: one a run, None where it says nothing. delta: last minus first."""

    what: str
    name: str
    values: tuple[str | None, ...]
    delta: str | None = None


def compare(runs: Iterable[Run]) -> tuple[Difference, ...]:
    """Parameters, metrics, data, models, source and environment in which these runs differ, by name."""
    asked = tuple(runs)
    tables: tuple[tuple[str, list[dict[str, str]]], ...] = (
        ("param", [dict(run.params) for run in asked]),
        ("metric", [{name: one.value for name, one in run.metrics.items()} for run in asked]),
        ("data", [{one.name: one.digest.hex() for one in run.data} for run in asked]),
        ("model", [{one.name: one.digest.hex() for one in run.models} for run in asked]),
        ("source", [dict(run.source) for run in asked]),
        ("environment", [dict(run.environment) for run in asked]))
    found = []
    for what, rows in tables:
        for name in sorted({key for row in rows for key in row}):
            values = tuple(row.get(name) for row in rows)
            if len(set(values)) > 1:
                found.append(Difference(what, name, values, _delta(values) if what == "metric" else None))
    return tuple(found)


def _delta(values: tuple[str | None, ...]) -> str | None:
    first, last = values[0], values[-1]
    if first is None or last is None:
        return None
    numbers = read_decimal(last), read_decimal(first)
    if not all(number.is_finite() for number in numbers):
        return None
    return decimal_text(numbers[0] - numbers[1])
