"""Gives the tests of this room a chain with the contracts, deployed once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ports.evm_world import EvmWorld


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> EvmWorld:
    """A chain with everything deployed, to copy."""
    world = EvmWorld(tmp_path_factory.mktemp("deployed") / "chain")
    world.close()
    return world


@pytest.fixture
def on_chain(deployed: EvmWorld, tmp_path: Path) -> Iterator[EvmWorld]:
    """A fresh copy of the deployed chain."""
    world = EvmWorld(tmp_path / "chain", origin=deployed)
    yield world
    world.close()
