"""What the tests of the page share: the second verifier, and the bundles that the Python verifier's tests forge."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "verify"))
sys.path.insert(0, str(Path(__file__).parent))

from second import Second, node


@pytest.fixture(scope="session")
def second() -> Iterator[Second]:
    """One Node process for all questions."""
    with node() as found:
        yield found
