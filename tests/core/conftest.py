"""Lets the tests of this room import what is in ``tests/ports``, and gives every test of deals each Book."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from ports.books import MemoryWorld, World


@pytest.fixture(params=["memory"])
def world(request: pytest.FixtureRequest) -> World:
    return MemoryWorld()
