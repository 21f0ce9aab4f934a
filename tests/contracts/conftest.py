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
def world(deployed: EvmWorld, tmp_path: Path) -> Iterator[EvmWorld]:
    """A fresh copy of the deployed chain."""
    copy = EvmWorld(tmp_path / "chain", origin=deployed)
    copy.forwarder = deployed.forwarder
    yield copy
    copy.close()


@pytest.fixture(scope="session")
def probing(deployed: EvmWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvmWorld]:
    """A copy that many tests ask and none changes what another sees."""
    copy = EvmWorld(tmp_path_factory.mktemp("probing") / "chain", origin=deployed)
    yield copy
    copy.close()
