"""Real records and consortia, read once."""

from __future__ import annotations

import pytest

from troth.learn.data import Part
from troth.learn.sets import Consortium, breast_cancer, consortium


@pytest.fixture(scope="session")
def records() -> Part:
    return breast_cancer()


@pytest.fixture(scope="session")
def four(records: Part) -> Consortium:
    return consortium(1, records=records)
