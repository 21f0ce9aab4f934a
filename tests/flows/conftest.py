"""The consortium that all attacks on rounds happen in: setting it up takes longer than any of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small import Small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    found = Small(tmp_path_factory.mktemp("small"))
    yield found
    found.close()
