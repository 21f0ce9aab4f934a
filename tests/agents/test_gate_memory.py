"""The gate in memory: the specification that the contract follows."""

from __future__ import annotations

import pytest

from ports.gate_suite import GateSuite
from ports.gate_worlds import MemoryGateWorld


class TestGateInMemory(GateSuite):
    @pytest.fixture
    def world(self) -> MemoryGateWorld:
        return MemoryGateWorld()
