"""Tables of integers: what a listing holds, a site trains on and a sponsor measures by.

A `Schema` names the columns and how a label is read; a `Part` is some records under a schema, with one canonical CSV.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from troth.core.encoding import take
from troth.core.errors import BadInput
from troth.fixed.numbers import (
    INT64_MAX,
    ONE,
    IntArray,
    as_ints,
    divide_int,
    divide_round,
    magnitude,
    multiply,
    subtract,
)

MAX_COLUMNS = 4096
MAX_CLASSES = 256
MAX_FEATURE = 1 << 44
"""Largest magnitude of a stored number: 1.7 million at seven decimals; standardising it cannot overflow."""
STANDARD_LIMIT = 8 * ONE
"""Standardised numbers are clamped to 8 standard deviations, by definition of a model's input."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Schema:
    """What a table's columns are. Nothing in it is about a person.

    columns: the features, in order. decimals: features (and a label that is a number) are stored as integers in units
    of 10**-decimals. label: the label's column, the last one. classes: the names of the classes 0 … k - 1 of a label;
    none if the label is a number. source: where the records come from, in words.
    Raises BadInput for names that repeat or are malformed, for one class, and beyond the limits.
    """

    columns: tuple[str, ...]
    decimals: int
    label: str = "label"
    classes: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        names = (*self.columns, self.label)
        bad = [name for name in names if not _NAME.fullmatch(name)]
        if bad or len(set(names)) != len(names) or not 1 <= len(self.columns) <= MAX_COLUMNS:
            raise BadInput("a schema's columns are distinct names", actual=bad or names[:5],
                           expected=f"1 to {MAX_COLUMNS} of letters, digits, _ . -, not starting with a digit")
        if not 0 <= self.decimals <= 12:
            raise BadInput("a schema's decimals are out of range", expected="0 to 12", actual=self.decimals)
        if len(self.classes) == 1 or len(self.classes) > MAX_CLASSES or len(set(self.classes)) != len(self.classes):
            raise BadInput("a label has distinct classes", expected=f"none (a number) or 2 to {MAX_CLASSES}",
                           actual=self.classes[:5])

    def json(self) -> dict[str, object]:
        """What a listing says of its records."""
        return {"classes": list(self.classes), "columns": list(self.columns), "decimals": self.decimals,
                "label": self.label, "media_type": "text/csv", "source": self.source}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Read `json` back, strictly. Raises BadInput."""
        classes, columns, decimals, label, media, source = take(
            dict(value), classes=list, columns=list, decimals=int, label=str, media_type=str, source=str)
        if media != "text/csv" or any(type(name) is not str for name in (*classes, *columns)):
            raise BadInput("not a table's schema", expected="text/csv, names as texts", actual=media)
        return cls(tuple(columns), decimals, label, tuple(classes), source)

    @property
    def header(self) -> str:
        """The first line of a part's CSV."""
        return ",".join((*self.columns, self.label))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some records: features (n, d) int64 in units of 10**-decimals, labels (n,) int64: a class, or a number likewise.

    Raises BadInput for other shapes, dtypes, labels that are no class, and numbers beyond MAX_FEATURE.
    """

    features: IntArray
    labels: IntArray
    schema: Schema

    def __post_init__(self) -> None:
        as_ints(self.features, "features")
        as_ints(self.labels, "labels")
        width = len(self.schema.columns)
        if self.features.ndim != 2 or self.labels.ndim != 1 or self.features.shape != (len(self.labels), width):
            raise BadInput("features and labels do not fit", expected=f"(n, {width}) and (n,)",
                           actual=f"{self.features.shape} and {self.labels.shape}")
        classes = len(self.schema.classes)
        if classes and not ((self.labels >= 0) & (self.labels < classes)).all():
            raise BadInput("a label is none of the classes", expected=f"0 to {classes - 1}")
        if max(magnitude(self.features), magnitude(self.labels)) > MAX_FEATURE:
            raise BadInput("a number is out of range", expected=f"magnitude at most {MAX_FEATURE}",
                           actual=max(magnitude(self.features), magnitude(self.labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self.schema == other.schema and np.array_equal(
            self.features, other.features) and np.array_equal(self.labels, other.labels)

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def rows(self, indices: Sequence[int]) -> Part:
        """The records at ``indices``, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Part(self.features[chosen], self.labels[chosen], self.schema)

    def to_bytes(self) -> bytes:
        """Canonical CSV: a header, one line a record, plain decimal integers, ``\\n`` ends every line."""
        lines = [self.schema.header]
        lines += [",".join(map(str, [*row, label])) for row, label in
                  zip(self.features.tolist(), self.labels.tolist(), strict=True)]
        return ("\n".join(lines) + "\n").encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes, schema: Schema) -> Part:
        """The part whose canonical CSV is ``data``. Raises BadInput unless encoding it again gives the same bytes."""
        lines = data.decode("ascii", errors="replace").split("\n")
        if lines[0] != schema.header or lines[-1] != "":
            raise BadInput("not a part's CSV", expected="the schema's header and a final newline",
                           actual=ascii(lines[0][:60]))
        width = len(schema.columns) + 1
        rows = [_numbers(line, at, width) for at, line in enumerate(lines[1:-1], start=2)]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), width)
        part = cls(np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1]), schema)
        if part.to_bytes() != data:
            raise BadInput("a part's CSV is not in canonical form", expected="plain integers as Python prints them")
        return part


def _numbers(line: str, at: int, width: int) -> list[int]:
    cells = line.split(",")
    if len(cells) != width or not all(c.removeprefix("-").isdigit() and len(c) < 19 for c in cells):
        raise BadInput(f"line {at} of a part's CSV is malformed", expected=f"{width} integers",
                       actual=ascii(line[:60]))
    return [int(cell) for cell in cells]


def pooled(parts: Sequence[Part]) -> Part:
    """The records of several parts in one. Raises BadInput for none, or for unlike schemas."""
    if not parts or any(part.schema != parts[0].schema for part in parts):
        raise BadInput("only parts of one schema can be pooled", actual=len(parts))
    return Part(np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts]),
                parts[0].schema)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A part as a model sees it: standardised features (n, d) at 2**16; labels (n,): classes, or the number
    standardised at 2**16."""

    features: IntArray
    labels: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Centre and spread of each column in its own units, from the public validation part alone: the features', and for
    a label that is a number its own (0 and 1 for classes). A spread of 0 marks a column that never varies."""

    centre: IntArray
    spread: IntArray
    label_centre: int = 0
    label_spread: int = 1

    def apply(self, features: IntArray) -> IntArray:
        """(n, d) features -> standardised at scale 2**16, clamped to STANDARD_LIMIT; 0 in a column without spread."""
        gaps = multiply(subtract(features, self.centre) * (self.spread > 0), ONE)
        return np.clip(divide_round(gaps, np.maximum(self.spread, 1)), -STANDARD_LIMIT, STANDARD_LIMIT)

    def inputs(self, part: Part) -> Inputs:
        """What a model sees of a part. Labels that are numbers are standardised and clamped like features."""
        if part.schema.classes:
            return Inputs(self.apply(part.features), part.labels)
        gaps = multiply(subtract(part.labels, np.array([self.label_centre])), ONE)
        labels = np.clip(divide_round(gaps, max(self.label_spread, 1)), -STANDARD_LIMIT, STANDARD_LIMIT)
        return Inputs(self.apply(part.features), labels)


def _centre_and_spread(values: IntArray) -> tuple[int, int]:
    count, largest = len(values), magnitude(values)
    if count * largest ** 2 <= INT64_MAX:
        whole, squares = int(values.sum()), int(values @ values)
    else:
        numbers = values.tolist()
        whole, squares = sum(numbers), sum(v * v for v in numbers)
    return divide_int(whole, count), math.isqrt(count * squares - whole ** 2) // count


def scaling(part: Part) -> Scaling:
    """Mean (half to even) and population standard deviation (floor of the root) of a part's columns, in integers.

    A column whose values differ has a spread of at least 1. Use the public validation part: constants taken from
    private records would tell something about them. Raises BadInput for an empty part.
    """
    if not len(part):
        raise BadInput("scaling needs records", expected="at least one", actual=0)
    found = [_centre_and_spread(column) for column in part.features.T]
    varies = (part.features != part.features[0]).any(axis=0)
    spread = np.where(varies, np.maximum([spread for _, spread in found], 1), 0)
    label = (0, 1) if part.schema.classes else _centre_and_spread(part.labels)
    return Scaling(np.array([centre for centre, _ in found], dtype=np.int64), spread.astype(np.int64), *label)
