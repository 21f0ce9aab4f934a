"""The index beside ``MemoryBook`` and the contract: after every act all three show the same deal and credit."""

from __future__ import annotations

import shutil

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ports.books import MemoryWorld, World
from ports.evm_world import EvmWorld
from stateful.drawn import EVERYBODY, PARTIES
from stateful.machine import DEEP
from stateful.test_deals_twins import TwinMachine, origin
from troth.core.terms import SUBMISSION
from troth.ledger.projection import Contracts, Projection
from troth.ledger.projection_sql import SqliteStore
from troth.ledger.readings import Snapshot, reading

STATUSES: set[str] = set()


class ReadMachine(TwinMachine):
    """The twins, and an index of the contract's chain."""

    def worlds(self) -> tuple[MemoryWorld, World | None]:
        memory, twin = super().worlds()
        assert isinstance(twin, EvmWorld)
        self.store = SqliteStore(None)
        at = twin.addresses
        self.index = Projection(twin.web3, self.store, Contracts(at.chain_id, at.book, at.owner, 0))
        return memory, twin

    def check_twin(self, deal: bytes | None) -> None:
        assert isinstance(self.twin, EvmWorld)
        moved = self.twin.chain.head().hash != self.seen
        super().check_twin(deal)
        if not moved:
            return
        self.index.sync()
        with reading(self.store) as now:
            assert now.as_of.hash == self.seen
            for who in EVERYBODY:
                assert now.credit(self.memory.token, who) == self.book.credit(self.memory.token, who)
            if deal in self.held:
                self.compare(now, deal)

    def compare(self, now: Snapshot, deal: bytes) -> None:
        found, known = now.deal(deal), self.book._deals[deal]
        assert found.state == known.state() == self.book.state(deal)
        assert found.digest == known.digest
        collected = {(one.pot, one.account, one.amount) for one in found.payouts if one.what == "collected"}
        swept = {one.pot for one in found.payouts if one.what == "swept"}
        assert swept == {kept.pot for kept in known.kept if kept.swept}
        story = self.stories[deal]
        assert collected == {(kept.pot, *story.leaf(index)[1:]) for kept in known.kept for index in kept.collected}
        (line,) = [one for one in now.deals() if one.id == deal]
        outcome = None if known.final is None else known.final.outcome
        assert (line.status, line.rung, line.entries, line.outcome, line.fund_by) == (
            known.status, known.rung, len(known.history), outcome, known.terms.fund_by)
        assert line in now.deals(status=known.status, account=line.opener)
        named = {pot.depositor for pot in known.terms.pots} | {entry.by for entry in known.history}
        for who in PARTIES:
            assert (who not in named) or line in now.deals(account=who)
        for entry in known.history:
            if entry.kind == SUBMISSION:
                assert deal in {one.deal for one in now.submissions(entry.claim)}
        STATUSES.add(known.status)


def test_index_beside_both_books() -> None:
    """Quick: a few examples. Deep (TROTH_STATEFUL=deep): more of them."""
    STATUSES.clear()
    try:
        run_state_machine_as_test(ReadMachine, settings=settings(
            max_examples=100 if DEEP else 5, stateful_step_count=15, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, *[Phase.shrink] * DEEP)))
    finally:
        place = origin().path
        assert place is not None
        shutil.rmtree(place.parent)
        origin.cache_clear()
    assert {"running", "closed"} <= STATUSES
