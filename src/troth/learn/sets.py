"""Real records that come with libraries, in integers, and consortia that hold parts of them.

- The Wisconsin Diagnostic Breast Cancer set (Wolberg, Mangasarian, Street, 1995; CC BY 4.0): 569 records, 30
  measurements with at most seven decimals, so ``value * 10**7`` is exact.
- Optical recognition of handwritten digits (Alpaydin, Kaynak, 1998; CC BY 4.0): 1,797 images of 8 x 8 pixels, 0 to 16.

Both as scikit-learn carries them (extra ``learn``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import IntArray
from troth.learn.data import Part, Schema, pooled
from troth.learn.draws import permutation, seed_of

if TYPE_CHECKING:
    from troth.fixed.numbers import FloatArray

_MEASURES = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points",
             "symmetry", "fractal_dimension")
BREAST_CANCER = Schema(tuple(f"{kind}_{name}" for kind in ("mean", "error", "worst") for name in _MEASURES), 7,
                       classes=("malignant", "benign"), source="Wisconsin Diagnostic Breast Cancer, 1995")
MALIGNANT, BENIGN = 0, 1
DIGITS = Schema(tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)), 0,
                classes=tuple("0123456789"), source="Optical Recognition of Handwritten Digits, 1998")


def breast_cancer() -> Part:
    """All 569 records in scikit-learn's order. Raises OutsideFailed with the install hint without scikit-learn."""
    features, labels = _table("breast_cancer")
    return Part(np.rint(features * 10**BREAST_CANCER.decimals).astype(np.int64), labels, BREAST_CANCER)


def digits() -> Part:
    """All 1,797 images in scikit-learn's order, one pixel a column. Raises OutsideFailed without scikit-learn."""
    features, labels = _table("digits")
    return Part(np.rint(features).astype(np.int64), labels, DIGITS)


def _table(name: str) -> tuple[FloatArray, IntArray]:
    try:
        # Imported here: an optional extra, and seconds of start-up that only the data's owner needs.
        from sklearn.datasets import load_breast_cancer, load_digits  # type: ignore[import-untyped, unused-ignore]
    except ImportError as missing:
        raise OutsideFailed("these records come with scikit-learn, which is not installed",
                            do="Run: pip install 'troth[learn]'") from missing
    table: Mapping[str, FloatArray] = {"breast_cancer": load_breast_cancer, "digits": load_digits}[name]()
    return table["data"], table["target"].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Consortium:
    """A split of the records: each site's part, the sponsor's public validation part, and a test part nobody trains on.

    The parts are disjoint and together are all records.
    """

    sites: tuple[Part, ...]
    validation: Part
    test: Part

    def pooled(self) -> Part:
        """All sites' records in one part: what the sites may not do."""
        return pooled(self.sites)


VALIDATION_TEST_SITES = (20, 30, 50)
"""Percent of each class in the validation part, the test part, and all the sites' parts together."""
SHARES: tuple[tuple[int, int], ...] = ((8, 44), (17, 32), (30, 18), (45, 6))
"""Percent of the (malignant, benign) records left for training that each of four hospitals holds."""


def cut(order: Sequence[int], shares: Sequence[int]) -> list[list[int]]:
    """``order`` cut in proportion to ``shares``, at the floors of their running sums."""
    ends = [len(order) * sum(shares[:k + 1]) // sum(shares) for k in range(len(shares))]
    return [list(order[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def consortium(seed: int, sites: int = 4, records: Part | None = None) -> Consortium:
    """The breast-cancer records split unevenly by class: 20 % validation and 30 % test by class, the rest to the sites.

    seed: which split. sites: 4 uses SHARES; other numbers from 2 to 20 share by class in the ratios 1 : 2 : … : sites
    for malignant and the reverse for benign. records: instead of `breast_cancer()`. Raises BadInput otherwise.
    """
    if not 2 <= sites <= 20:
        raise BadInput("number of sites out of range", expected="2 to 20", actual=sites)
    shares = [[pair[label] for pair in SHARES] if sites == 4 else [
        k + 1 if label == MALIGNANT else sites - k for k in range(sites)] for label in (MALIGNANT, BENIGN)]
    return divided(breast_cancer() if records is None else records, seed, shares)


def divided(data: Part, seed: int, shares: Sequence[Sequence[int]]) -> Consortium:
    """Records with classes split by class: 20 % validation, 30 % test, the rest to the sites by ``shares``.

    shares: per class, the proportion of each site. Raises BadInput unless there is a row a class.
    """
    names = data.schema.classes
    if len(shares) != len(names) or len({len(row) for row in shares}) != 1:
        raise BadInput("shares are a row for each class, a number for each site", expected=f"{len(names)} rows",
                       actual=[len(row) for row in shares])
    sites = len(shares[0])
    chosen: list[list[int]] = [[] for _ in range(sites + 2)]
    for label, name in enumerate(names):
        members = np.flatnonzero(data.labels == label).tolist()
        order = tuple(members[k] for k in permutation(seed_of(seed), f"split {name}", len(members)))
        validation, test, rest = cut(order, VALIDATION_TEST_SITES)
        for index, rows in enumerate([*cut(rest, shares[label]), validation, test]):
            chosen[index] += rows
    parts = [data.rows(sorted(rows)) for rows in chosen]
    return Consortium(tuple(parts[:sites]), parts[sites], parts[sites + 1])


def skewed(data: Part, seed: int, sites: int, alpha: float) -> Consortium:
    """Records with classes split as in `divided`, each class over the sites by a draw from Dirichlet(alpha).

    The usual benchmark of label skew (Hsu, Qi, Brown, 2019): alpha 0.1 is severe, 10 nearly even. Shares are drawn with
    NumPy's generator from ``seed``, in ppm. A site that would hold nothing takes a record of the largest one.
    """
    if not 2 <= sites <= len(data) // 4 or not alpha > 0:
        raise BadInput("a skewed split takes sites for its records and a positive alpha", actual=f"{sites}, {alpha}",
                       expected=f"2 to {len(data) // 4} sites, alpha > 0")
    drawn = np.random.default_rng(seed).dirichlet(np.full(sites, alpha), len(data.schema.classes))
    shares = np.rint(drawn * 1_000_000).astype(np.int64).tolist()
    split = divided(data, seed, [row if sum(row) else [1] * sites for row in shares])
    parts = list(split.sites)
    for empty in [index for index, part in enumerate(parts) if not len(part)]:
        largest = max(range(sites), key=lambda index: len(parts[index]))
        count = len(parts[largest])
        parts[empty], parts[largest] = parts[largest].rows([count - 1]), parts[largest].rows(range(count - 1))
    return Consortium(tuple(parts), split.validation, split.test)
