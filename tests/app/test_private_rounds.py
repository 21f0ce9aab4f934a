"""A site that trains a plan's rounds privately: within its budget, said, checked again; refusals of plain training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rounds_parts import PASSPHRASE, write

from troth.app import privacy, verify_bundle
from troth.app.following import Follower
from troth.app.privacy import check, opened
from troth.app.rounds import load
from troth.app.site import Holding, Member
from troth.app.training import Coordinator
from troth.core.errors import Misuse
from troth.core.verdicts import Outcome
from troth.flows import round as flow
from troth.learn.claims import UPDATE, UpdateClaim
from troth.learn.privacy import accounting
from troth.learn.privacy.claims import SPENDING, SpendingClaim
from troth.learn.privacy.ledger import Budget, Overspent
from troth.learn.privacy.mechanisms import Mechanism
from troth.verify.trust import Trust

ROUNDS, BUDGET = 2, Budget(4_000_000, "0.00001")


class Private(Coordinator):
    """North trains privately."""

    def seats(self, plan: bytes) -> tuple[Follower, Follower]:
        found = super().seats(plan)
        old = self.members["north"]
        assert old.holding is not None
        self.members["north"] = Member(old.party, old.agreed, old._sponsor, old._aggregator,
                                       replace(old.holding, private=1.0))
        return found


def test_a_site_trains_within_its_budget_and_says_what_it_spent(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Private(load(write(tmp_path / "files", rounds=ROUNDS)), out, PASSPHRASE, say=lambda _: None) as home:
        home.prepare()
        plan = home.gather()
        north = home["north"]
        listing = home._listing(north)
        assert listing is not None
        with opened(north) as ledger:
            ledger.set_budget(listing, BUDGET)
        rows = home.run(plan)
        assert [len(row.rejected) for row in rows] == [0] * ROUNDS
        home.finish(plan, rows)
        updates = [(claim, UpdateClaim.of(said)) for claim, said in home["aggregator"].claims(UPDATE)]
        private = [(claim, said) for claim, said in updates if said.training.privacy is not None]
        assert len(updates) == 2 * ROUNDS
        assert [said.round for _, said in private] == [1, 2]
        assert all(check(home["aggregator"], claim).outcome is Outcome.UPHELD for claim, _ in private)
        spendings = [(claim, SpendingClaim.of(said)) for claim, said in north.claims(SPENDING)]
        assert [said.spent for _, said in spendings] == [said.training.privacy for _, said in private]
        assert all(check(north, claim).outcome is Outcome.UPHELD for claim, _ in spendings)
        assert BUDGET.epsilon * 0.97 < spendings[-1][1].total <= BUDGET.epsilon, "the rounds share the budget"
        mechanisms = [said.spent.mechanism for _, said in spendings]
        assert accounting.epsilon(mechanisms, BUDGET.delta) == spendings[-1][1].total
        refused(home, listing, mechanisms[-1])
    report = verify_bundle(out / "model.troth", Trust.from_bytes((out / "trust.json").read_bytes()))
    assert report.outcome is Outcome.UPHELD


def refused(home: Coordinator, listing: bytes, mechanism: Mechanism) -> None:
    """What is spent is spent: neither another round nor one without noise is trained on these records."""
    old = home.members["north"]
    site = old.follower.seat
    assert isinstance(site, flow.Site)
    assert old.holding is not None
    with opened(old.party) as ledger, pytest.raises(Overspent):
        ledger.reserve(listing, mechanism, "one more")
    plain = Member(old.party, old.agreed, old._sponsor, old._aggregator,
                   Holding(old.holding.part, listing))
    with pytest.raises(Misuse, match="without noise would pass it"):
        plain.trained(site, ROUNDS, old.holding.part())
    for file in old.party.root.glob(f"{privacy.FILE}*"):  # lost, and made again from the log
        file.rename(file.with_name(f"lost-{file.name}"))
    with pytest.raises(Misuse, match="without noise would pass it"):
        plain.trained(site, ROUNDS, old.holding.part())
    for file in old.party.root.glob(f"{privacy.FILE}*"):
        file.unlink()
    for file in old.party.root.glob("lost-*"):
        file.rename(file.with_name(file.name.removeprefix("lost-")))
    south = home.members["south"]
    assert isinstance(south.follower.seat, flow.Site)
    assert south.holding is not None
    assert south.trained(south.follower.seat, 1, south.holding.part())[1] is None
    assert not (south.party.root / privacy.FILE).exists()
