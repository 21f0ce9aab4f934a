"""The boundaries of ``tests/core/test_deals_boundaries.py``, on the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.test_deals_boundaries import *  # noqa: F403
from ports.evm_world import EvmWorld


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> EvmWorld:
    """A chain with everything deployed, to copy."""
    world = EvmWorld(tmp_path_factory.mktemp("deployed") / "chain")
    world.close()
    return world


@pytest.fixture
def world(deployed: EvmWorld, tmp_path: Path) -> Iterator[EvmWorld]:
    """A fresh copy of the deployed chain."""
    copy = EvmWorld(tmp_path / "chain", origin=deployed)
    yield copy
    copy.close()
