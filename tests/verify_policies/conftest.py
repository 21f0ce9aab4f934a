"""Lets the tests of this room import what is in ``tests/ports``, and gives each its own chain with the contracts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

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


@pytest.fixture(scope="module")
def chain(deployed: EvmWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvmWorld]:
    """A copy that many tests ask and none changes."""
    world = EvmWorld(tmp_path_factory.mktemp("asked") / "chain", origin=deployed)
    yield world
    world.close()
