"""``MemoryBook`` and the contract side by side on one clock: they agree at every step, on everything."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ports.anvil_world import AnvilWorld
from ports.books import MemoryWorld, World
from ports.evm_world import EvmWorld
from stateful import labels
from stateful.drawn import NAME_OF, PARTIES
from stateful.machine import COUNTS, DEEP, DealMachine, endow
from troth.core.encoding import keccak256
from troth.core.terms import Account

PLACES = count()


def stored_balance(world: EvmWorld, who: Account) -> int:
    """The token's balance of ``who`` as it is stored (OpenZeppelin's slot 0): much faster than a call."""
    return world.stored(world.token, int.from_bytes(keccak256(who.rjust(32, b"\x00") + bytes(32)), "big"))


@cache
def origin() -> EvmWorld:
    """A chain with everything deployed and everybody endowed, to copy for each example."""
    world = EvmWorld(Path(tempfile.mkdtemp(prefix="troth-twins-")) / "origin")
    endow(world)
    assert stored_balance(world, PARTIES[0]) == world.balance(PARTIES[0]) > 0
    world.close()
    return world


class TwinMachine(DealMachine):
    """The same machine with the contract beside."""

    def worlds(self) -> tuple[MemoryWorld, World | None]:
        first = origin()
        assert first.path is not None
        twin = EvmWorld(first.path.parent / str(next(PLACES)), origin=first)
        self.seen = b""
        self.credited: dict[tuple[Account, Account], int] = {}
        return MemoryWorld(addresses=first.addresses, start=twin.now()), twin

    spoils = 1

    def check_twin(self, deal: bytes | None) -> None:
        """Both Books show the same deal and the same money. A chain without a new block shows what it showed before."""
        twin = self.twin
        assert isinstance(twin, EvmWorld)
        head = twin.head()
        if head == self.seen:
            return
        self.seen = head
        for who in self.accounts():
            assert stored_balance(twin, who) == self.memory.balance(who), NAME_OF.get(who, "the Book")
            if self.credited != self.book._credits:
                assert twin.book.credit(twin.token, who) == self.book.credit(twin.token, who)
        self.credited = dict(self.book._credits)
        if deal in self.held:
            one, other = self.book.state(deal), twin.book.state(deal)
            # ask and ask_start are as last stored, and the Books need not store them at the same acts.
            assert replace(other, ask=0, ask_start=0) == replace(one, ask=0, ask_start=0)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "twin"):
                assert isinstance(self.twin, EvmWorld)
                assert self.twin.path is not None
                self.twin.close()
                self.twin.path.unlink()


class AnvilMachine(TwinMachine):
    """The same again with the contract on another machine: what the embedded chain gets wrong of the EVM shows here."""

    def worlds(self) -> tuple[MemoryWorld, World | None]:
        twin = on_anvil()
        twin.again()
        self.seen = b""
        self.credited = {}
        return MemoryWorld(addresses=twin.addresses, start=twin.now()), twin

    def teardown(self) -> None:
        DealMachine.teardown(self)


@cache
def on_anvil() -> AnvilWorld:
    """A node with everything deployed and everybody endowed, which goes back there for each example."""
    world = AnvilWorld()
    endow(world)
    world.keep()
    return world


def test_twins_on_anvil() -> None:
    """``MemoryBook`` and the contract on anvil: with the test below, all three agree."""
    COUNTS.clear()
    try:
        run_state_machine_as_test(AnvilMachine, settings=settings(
            max_examples=100 if DEEP else 6, stateful_step_count=12, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, *[Phase.shrink] * DEEP)))
    finally:
        on_anvil().close()
        on_anvil.cache_clear()
    print(labels.table(COUNTS, "MemoryBook and the contract on anvil side by side"))
    assert COUNTS["close"] > 0


def test_twins() -> None:
    """Quick: a few examples. Deep (TROTH_STATEFUL=deep): more of them, counts printed."""
    COUNTS.clear()
    try:
        run_state_machine_as_test(TwinMachine, settings=settings(
            max_examples=200 if DEEP else 12, stateful_step_count=15, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, *[Phase.shrink] * DEEP)))
    finally:
        place = origin().path
        assert place is not None
        shutil.rmtree(place.parent)
        origin.cache_clear()
    print(labels.table(COUNTS, "MemoryBook and the contract side by side"))
    assert COUNTS["close"] > 0
