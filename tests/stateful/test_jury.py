"""Juries: ``MemoryJury`` alone over many runs, then side by side with the contract, on either machine."""

from __future__ import annotations

import shutil
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ports.courts import AnvilCourts, EvmCourts, MemoryCourts
from stateful.jury_machine import COUNTS, JuryMachine
from stateful.machine import DEEP

QUICK = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck),
         "phases": (Phase.generate, *[Phase.shrink] * DEEP)}
HAPPENS = ("stake", "unstake", "take", "create_dispute", "seed", "draw", "commit", "reveal", "denounce",
           "appeal", "execute_ruling", "settle", "withdraw")


def test_memory() -> None:
    """Every act happens, and everything holds."""
    COUNTS.clear()
    run_state_machine_as_test(JuryMachine, settings=settings(
        max_examples=1000 if DEEP else 40, stateful_step_count=40, **QUICK))
    print(sorted(COUNTS.items()))
    assert not [name for name in HAPPENS if not COUNTS[name]]


def test_twins(tmp_path: Path) -> None:
    """The contract gives the same answers, shows the same court and holds the same wei."""
    place = Path(tempfile.mkdtemp(prefix="troth-jury-"))
    origin, places = EvmCourts(path=place / "origin"), count()
    origin.close()

    class Twins(JuryMachine):
        def worlds(self) -> tuple[MemoryCourts, EvmCourts | None]:
            twin = EvmCourts(path=place / str(next(places)), origin=origin)
            # Both read the same chain's blocks.
            return MemoryCourts(blocks=twin.blocks, at=twin.addresses, jury=twin.court_address,
                                chain_id=twin.chain.chain_id, start=twin.now()), twin

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                if hasattr(self, "twin") and self.twin is not None:
                    self.twin.close()

    COUNTS.clear()
    try:
        run_state_machine_as_test(Twins, settings=settings(
            max_examples=60 if DEEP else 3, stateful_step_count=25, **QUICK))
    finally:
        shutil.rmtree(place)
    print(sorted(COUNTS.items()))
    assert not [name for name in ("seed", "draw", "commit", "reveal", "settle") if not COUNTS[name]]


def test_twins_on_anvil() -> None:
    """The same on another machine: what the embedded chain gets wrong of the EVM shows here."""
    twin = AnvilCourts()
    twin.keep()

    class OnAnvil(JuryMachine):
        def worlds(self) -> tuple[MemoryCourts, AnvilCourts | None]:
            twin.again()
            return MemoryCourts(blocks=twin.blocks, at=twin.addresses, jury=twin.court_address,
                                chain_id=twin.chain.chain_id, start=twin.now()), twin

    COUNTS.clear()
    try:
        run_state_machine_as_test(OnAnvil, settings=settings(
            max_examples=30 if DEEP else 2, stateful_step_count=25, **QUICK))
    finally:
        twin.close()
    print(sorted(COUNTS.items()))
    assert not [name for name in ("seed", "draw", "commit", "settle") if not COUNTS[name]]
