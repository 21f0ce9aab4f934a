"""Parts of a data set in integers, and the breast-cancer records split over a consortium.

The records are the Wisconsin Diagnostic Breast Cancer set (Wolberg, Mangasarian, Street, 1995; CC BY 4.0) as
scikit-learn carries them: 569 records, 30 measurements with at most seven decimals, so ``value * 10**7`` is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import ONE, IntArray, as_ints, divide_int, divide_round, magnitude, multiply, subtract
from troth.learn.draws import permutation, seed_of

_MEASURES = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points",
             "symmetry", "fractal_dimension")
COLUMNS: tuple[str, ...] = tuple(f"{kind}_{name}" for kind in ("mean", "error", "worst") for name in _MEASURES)
DECIMALS = 7
MALIGNANT, BENIGN = 0, 1
MAX_FEATURE = 1 << 44
"""Largest magnitude of a stored feature: 1.7 million at seven decimals; standardising it cannot overflow."""
STANDARD_LIMIT = 8 * ONE
"""Standardised features are clamped to 8 standard deviations, by definition of the model's input."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some records: features (n, 30) int64 in units of 10**-7, labels (n,) int64 with 0 malignant and 1 benign.

    Raises BadInput for other shapes, dtypes, labels and for features beyond MAX_FEATURE.
    """

    features: IntArray
    labels: IntArray

    def __post_init__(self) -> None:
        as_ints(self.features, "features")
        as_ints(self.labels, "labels")
        if self.features.ndim != 2 or self.features.shape != (len(self.labels), len(COLUMNS)) or self.labels.ndim != 1:
            raise BadInput("features and labels do not fit", expected=f"(n, {len(COLUMNS)}) and (n,)",
                           actual=f"{self.features.shape} and {self.labels.shape}")
        if not ((self.labels == MALIGNANT) | (self.labels == BENIGN)).all():
            raise BadInput("a label is neither 0 nor 1")
        if magnitude(self.features) > MAX_FEATURE:
            raise BadInput("a feature is out of range", expected=f"magnitude at most {MAX_FEATURE}",
                           actual=magnitude(self.features))

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and np.array_equal(self.features, other.features) and np.array_equal(
            self.labels, other.labels)

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def rows(self, indices: Sequence[int]) -> Part:
        """The records at ``indices``, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Part(self.features[chosen], self.labels[chosen])

    def to_bytes(self) -> bytes:
        """Canonical CSV: a header, one line a record, plain decimal integers, ``\\n`` ends every line."""
        lines = [_HEADER]
        lines += [",".join(map(str, [*row, label])) for row, label in
                  zip(self.features.tolist(), self.labels.tolist(), strict=True)]
        return ("\n".join(lines) + "\n").encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Part:
        """The part whose canonical CSV is ``data``. Raises BadInput unless encoding it again gives the same bytes."""
        lines = data.decode("ascii", errors="replace").split("\n")
        if lines[0] != _HEADER or lines[-1] != "":
            raise BadInput("not a part's CSV", expected="the schema's header and a final newline",
                           actual=ascii(lines[0][:60]))
        rows = [_numbers(line, at) for at, line in enumerate(lines[1:-1], start=2)]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), len(COLUMNS) + 1)
        part = cls(np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1]))
        if part.to_bytes() != data:
            raise BadInput("a part's CSV is not in canonical form", expected="plain integers as Python prints them")
        return part


_HEADER = ",".join((*COLUMNS, "label"))


def _numbers(line: str, at: int) -> list[int]:
    cells = line.split(",")
    if len(cells) != len(COLUMNS) + 1 or not all(c.removeprefix("-").isdigit() and len(c) < 19 for c in cells):
        raise BadInput(f"line {at} of a part's CSV is malformed", expected=f"{len(COLUMNS) + 1} integers",
                       actual=ascii(line[:60]))
    return [int(cell) for cell in cells]


@dataclass(frozen=True, slots=True)
class Consortium:
    """A split of the records: each site's part, the sponsor's public validation part, and a test part nobody trains on.

    The parts are disjoint and together are all 569 records.
    """

    sites: tuple[Part, ...]
    validation: Part
    test: Part

    def pooled(self) -> Part:
        """All sites' records in one part: what the hospitals may not do."""
        return Part(np.concatenate([site.features for site in self.sites]),
                    np.concatenate([site.labels for site in self.sites]))


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Centre and spread of each feature in its own units (10**-7), from the public validation part alone."""

    centre: IntArray
    spread: IntArray

    def apply(self, features: IntArray) -> IntArray:
        """(n, 30) features -> standardised at scale 2**16, clamped to STANDARD_LIMIT."""
        scaled = divide_round(multiply(subtract(features, self.centre), ONE), self.spread)
        return np.clip(scaled, -STANDARD_LIMIT, STANDARD_LIMIT)


def scaling(part: Part) -> Scaling:
    """Mean (half to even) and population standard deviation (floor of the root, at least 1) of a part, in integers.

    Use the public validation part: constants taken from private records would tell something about them.
    Raises BadInput for an empty part.
    """
    if not len(part):
        raise BadInput("scaling needs records", expected="at least one", actual=0)
    columns = part.features.T.tolist()
    count = len(part)
    spread = [max(1, math.isqrt(count * sum(v * v for v in column) - sum(column) ** 2) // count) for column in columns]
    return Scaling(np.array([divide_int(sum(column), count) for column in columns], dtype=np.int64),
                   np.array(spread, dtype=np.int64))


def schema() -> dict[str, object]:
    """What a listing says of its records: JSON-able, nothing personal."""
    return {"columns": list(COLUMNS), "decimals": DECIMALS, "label": {"0": "malignant", "1": "benign"},
            "media_type": "text/csv", "source": "Wisconsin Diagnostic Breast Cancer, 1995"}


def breast_cancer() -> Part:
    """All 569 records in scikit-learn's order. Raises OutsideFailed with the install hint without scikit-learn."""
    try:
        # Imported here: an optional extra, and seconds of start-up that only the data's owner needs.
        from sklearn.datasets import load_breast_cancer  # type: ignore[import-untyped, unused-ignore]
    except ImportError as missing:
        raise OutsideFailed("the breast-cancer records come with scikit-learn, which is not installed",
                            do="Run: pip install 'troth[learn]'") from missing
    table: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = load_breast_cancer()
    return Part(np.rint(table["data"] * 10**DECIMALS).astype(np.int64), table["target"].astype(np.int64))


VALIDATION_TEST_SITES = (20, 30, 50)
"""Percent of each class in the validation part, the test part, and all the sites' parts together."""
SHARES: tuple[tuple[int, int], ...] = ((8, 44), (17, 32), (30, 18), (45, 6))
"""Percent of the (malignant, benign) records left for training that each of four hospitals holds."""


def _cut(order: Sequence[int], shares: Sequence[int]) -> list[list[int]]:
    """``order`` cut in proportion to ``shares``, at the floors of their running sums."""
    ends = [len(order) * sum(shares[:k + 1]) // sum(shares) for k in range(len(shares))]
    return [list(order[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def consortium(seed: int, sites: int = 4, records: Part | None = None) -> Consortium:
    """The records split unevenly by class: 20 % validation and 30 % test by class, the rest to the sites by SHARES.

    seed: which split. sites: 4 uses SHARES; other numbers from 2 to 20 share by class in the ratios 1 : 2 : … : sites
    for malignant and the reverse for benign. records: instead of `breast_cancer()`. Raises BadInput otherwise.
    """
    if not 2 <= sites <= 20:
        raise BadInput("number of sites out of range", expected="2 to 20", actual=sites)
    data = breast_cancer() if records is None else records
    chosen: list[list[int]] = [[] for _ in range(sites + 2)]
    for label, name in ((MALIGNANT, "malignant"), (BENIGN, "benign")):
        members = np.flatnonzero(data.labels == label).tolist()
        order = tuple(members[k] for k in permutation(seed_of(seed), f"split {name}", len(members)))
        validation, test, rest = _cut(order, VALIDATION_TEST_SITES)
        shares = [pair[label] for pair in SHARES] if sites == 4 else [
            k + 1 if label == MALIGNANT else sites - k for k in range(sites)]
        for index, rows in enumerate([*_cut(rest, shares), validation, test]):
            chosen[index] += rows
    parts = [data.rows(sorted(rows)) for rows in chosen]
    return Consortium(tuple(parts[:sites]), parts[sites], parts[sites + 1])
