"""Two parties with cheap keystores, on no chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from places import Place

from troth.app import Settings, Troth
from troth.identity.keystore import MIN_COST

PASSPHRASE = "correct horse"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Troth]]:
    """Makes workspaces that share one exchange folder."""
    made: list[Troth] = []

    def one(name: str) -> Troth:
        settings = Settings(name, "", str(tmp_path / "exchange"))
        made.append(Troth.init(tmp_path / name, PASSPHRASE, settings, cost=MIN_COST))
        return made[-1]

    yield one
    for party in made:
        party.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.close()
