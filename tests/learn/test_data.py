"""The records are exact in integers, the split is disjoint, whole, uneven and repeatable."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter

import numpy as np
import pytest

from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import ONE
from troth.learn import data, sets
from troth.learn.data import Part, scaling
from troth.learn.draws import permutation, seed_of
from troth.learn.sets import BREAST_CANCER, Consortium, consortium


def test_the_records_are_exactly_scikit_learns(records: Part) -> None:
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    assert np.array_equal(records.features / 10**BREAST_CANCER.decimals, table.data)
    assert np.array_equal(records.labels, table.target)
    assert [name.replace(" ", "_") for name in table.feature_names[:10]] == list(BREAST_CANCER.columns[:10])
    assert [f"error_{n.removesuffix(' error').replace(' ', '_')}" for n in table.feature_names[10:20]] == list(
        BREAST_CANCER.columns[10:20])
    assert [name.replace(" ", "_") for name in table.feature_names[20:]] == list(BREAST_CANCER.columns[20:])
    assert list(table.target_names) == ["malignant", "benign"]


def test_csv_round_trip(four: Consortium) -> None:
    for part in (*four.sites, four.validation, four.test):
        assert Part.from_bytes(part.to_bytes(), BREAST_CANCER) == part


def test_csv_bytes_are_strict(four: Consortium) -> None:
    good = four.test.to_bytes()
    first = good.index(b"\n") + 1
    bad = [b"", good[:-1], good + b"\n", good.replace(b"\n", b"\r\n"), good.replace(b",", b", ", 1), good[first:],
           good[:first] + b"+" + good[first:], good[:first] + b"0" + good[first:], good[:first] + b"-0,1\n",
           good[:first] + b",".join([b"1"] * 30) + b",2\n", good[:first] + b",".join([b"9" * 19] * 31) + b"\n",
           good[:first] + ",".join(["١"] * 31).encode() + b"\n", good + b"\xff"]
    for attempt in bad:
        with pytest.raises(BadInput):
            Part.from_bytes(attempt, BREAST_CANCER)


def test_a_part_refuses_what_does_not_fit() -> None:
    features, labels = np.zeros((2, 30), np.int64), np.zeros(2, np.int64)
    for given in ((features[:1], labels), (features[:, :3], labels), (features.astype(float), labels),
                  (features, labels + 2), (features + data.MAX_FEATURE + 1, labels)):
        with pytest.raises(BadInput):
            Part(*given, BREAST_CANCER)


def rows_of(part: Part) -> Counter[bytes]:
    return Counter(part.to_bytes().splitlines()[1:])


def test_parts_are_disjoint_and_together_all_records(records: Part, four: Consortium) -> None:
    together: Counter[bytes] = Counter()
    for part in (*four.sites, four.validation, four.test):
        together += rows_of(part)
    assert together == rows_of(records)


@pytest.mark.parametrize("sites", [2, 3, 4, 10, 20])
def test_uneven_by_class_and_repeatable(records: Part, sites: int) -> None:
    one, again = consortium(7, sites, records), consortium(7, sites, records)
    assert one.sites == again.sites
    assert one.validation == again.validation
    assert one.test == again.test
    benign = [int(part.labels.sum()) * 100 // len(part) for part in one.sites]
    assert min(map(len, one.sites)) >= 5
    assert max(benign) - min(benign) > 25
    assert consortium(8, sites, records).test != one.test


@pytest.mark.parametrize("sites", [1, 21])
def test_other_numbers_of_sites_are_refused(records: Part, sites: int) -> None:
    with pytest.raises(BadInput):
        consortium(1, sites, records)


def test_scaling_comes_from_the_validation_part_and_matches_numpy(four: Consortium) -> None:
    by = scaling(four.validation)
    assert np.abs(by.centre - four.validation.features.mean(axis=0)).max() <= 0.5 + 1e-3
    assert np.abs(by.spread - four.validation.features.std(axis=0)).max() <= 1
    standard = by.apply(four.validation.features) / ONE
    assert np.abs(standard.mean(axis=0)).max() < 0.02
    assert int(np.abs(by.apply(four.test.features)).max()) <= data.STANDARD_LIMIT


def test_the_most_extreme_part_cannot_overflow_scaling(four: Consortium) -> None:
    extreme = Part(np.full((2, 30), data.MAX_FEATURE, np.int64), np.zeros(2, np.int64), BREAST_CANCER)
    extreme.features[1] -= 1
    assert set(scaling(four.validation).apply(extreme.features).reshape(-1).tolist()) == {data.STANDARD_LIMIT}
    assert set(scaling(extreme).apply(-extreme.features).reshape(-1).tolist()) == {-data.STANDARD_LIMIT}


def test_without_scikit_learn_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(OutsideFailed, match=r"pip install 'troth\[learn\]'"):
        sets.breast_cancer()


def test_permutations_are_permutations_pinned_and_separated() -> None:
    seed = seed_of(1)
    assert sorted(permutation(seed, "x", 100)) == list(range(100))
    assert permutation(seed, "x", 100) != permutation(seed, "y", 100) != permutation(seed_of(2), "y", 100)
    assert permutation(seed, "pinned", 8) == PINNED
    with pytest.raises(BadInput):
        permutation(b"short", "x", 3)


def digest_of(split: Consortium) -> str:
    return hashlib.sha256(b"".join(p.to_bytes() for p in (*split.sites, split.validation, split.test))).hexdigest()


def test_splits_are_pinned(records: Part, four: Consortium) -> None:
    """A listing commits to these bytes: another machine or version must cut the records the same way."""
    assert [len(part) for part in (*four.sites, four.validation, four.test)] == [86, 76, 64, 59, 113, 171]
    assert digest_of(four) == "64cdc9b74309b0f9f899ef136b1e0d59cb31a93a24fef8891f0994609bf0ae00"
    assert digest_of(consortium(1, 10, records)) == "f81a675853f5be6d53c38012e59f1583c3c236d067ba4cef15c70d05730d4a96"
    assert seed_of(0).hex() == "30a59cdcc29b0711468bdf5dafd5123327ab94cff89c17d3a0650d06780b6c77"
    for number in (-1, 1 << 64):
        with pytest.raises(BadInput):
            seed_of(number)


PINNED = (6, 7, 3, 4, 0, 1, 2, 5)
