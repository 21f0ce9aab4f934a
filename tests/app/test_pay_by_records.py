"""Pay by worth and by records: dealing one's records to two seats earns less than keeping one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rounds_parts import PASSPHRASE, write

from troth.app import verify_bundle
from troth.app.conducting import AGGREGATOR, SPONSOR
from troth.app.following import the_plan
from troth.app.inviting import invite, join, open_invitation
from troth.app.rounds import Agreed, load
from troth.app.seating import given, seat
from troth.app.training import Coordinator, train
from troth.core.errors import BadInput, Misuse, Refuted
from troth.core.verdicts import Outcome
from troth.learn import attacks, site
from troth.learn.aggregate import Update
from troth.learn.claims import Plan
from troth.learn.data import scaling
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, owed, run_round
from troth.learn.sets import breast_cancer, skewed
from troth.learn.training import dense, seats_of
from troth.learn.worth import Record, pay
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.chains.server import RpcServer
from troth.ledger.postoffice import PostServer
from troth.verify.trust import Trust

REWARD = 10**9


def quiet(text: str) -> None:
    """Tells nobody."""


def asked(folder: Path, **changes: str) -> Path:
    """A ROUND.toml that says nothing of pay: it pays by records."""
    return write(folder, rounds=1, pay="", **changes)


@pytest.mark.parametrize("seats", [2, 3])
def test_dealing_records_to_several_seats_loses(seats: int) -> None:
    """The attack: what one site earns alone, and from several seats with a part of its records each."""
    split = skewed(breast_cancer(), 3, 4, 10.0)
    task, by = dense(split.validation), scaling(split.validation)
    parts = attacks.parts_of(split.sites[0], seats)
    base = task.start(seed_of(0))

    def earned(records: bool, *own: object) -> int:
        rows = [*own, *split.sites[1:]]
        names = seats_of(len(rows))
        updates = tuple(Update(name, len(part), site.train(task, base, part, by, site.Fit()))
                        for name, part in zip(names, rows, strict=True))
        counts = tuple(len(part) for part in rows) if records else ()
        found = run_round(RoundInput(task, base, names, updates, split.validation, seed_of(1), REWARD, records=counts))
        assert sum(found.payments) == REWARD
        return sum(found.payments[:len(own)])

    assert earned(False, *parts) > 1.3 * earned(False, split.sites[0]), "by worth alone it pays"
    assert earned(True, *parts) < earned(True, split.sites[0]), "the cheat ends poorer"


def test_pay_follows_worth_times_records_and_harm_is_paid_nothing() -> None:
    record = Record((30, 10, -5), (40, 20, 5), (True, True, True))
    assert owed([record], 100, (1, 3, 1000)).payments == (50, 50, 0)
    assert owed([record], 100).payments == pay((30, 10, 0), 100)


def test_a_training_pays_by_records_to_the_end(tmp_path: Path) -> None:
    file = load(asked(tmp_path / "files"))
    assert file.agreed.pay == "records"
    assert Agreed.of(file.agreed.json()) == file.agreed
    result = train(file, tmp_path / "out", PASSPHRASE, say=quiet)
    row = result["rounds"][0]
    with Coordinator(file, tmp_path / "out", PASSPHRASE, say=quiet) as home:
        home.prepare()
        sponsor = home[SPONSOR]
        plan_id = home.gather()
        plan = Plan.of(sponsor.statement(plan_id))
        sizes = {home["north"].did: 40, home["south"].did: 41}
        assert plan.records == tuple(sizes[did] for did in plan.keys)
        said = next(one for _, one in sponsor.claims("aggregate")).body["result"]
        expected = pay([value * count for value, count in zip(said["smoothed"], plan.records, strict=True)], 3000)
        assert [int(row["paid"][did]) for did in plan.keys] == list(expected)
        # A plan that pays otherwise than was agreed to is refused, in either direction.
        with pytest.raises(Refuted, match="not what was agreed"):
            the_plan(home["north"], replace(file.agreed, pay="worth"), sponsor.did, home[AGGREGATOR].did)
        bare = sponsor.attest("plan", sponsor.statement(plan_id).subjects, replace(plan, records=()).body(),
                              refs=sponsor.statement(plan_id).refs)
        party = SimpleNamespace(did=home["north"].did, account=home["north"].account,
                                claims=lambda kind: [(bare, sponsor.statement(bare))])
        with pytest.raises(Refuted, match="not what was agreed"):
            the_plan(party, file.agreed, sponsor.did, home[AGGREGATOR].did)  # type: ignore[arg-type]
    report = verify_bundle(Path(result["bundle"]), Trust.from_bytes(Path(result["trust"]).read_bytes()))
    assert report.outcome is Outcome.UPHELD


def test_the_sponsor_says_how_many_records_an_invitation_is_for(tmp_path: Path) -> None:
    with PostServer(tmp_path / "post") as office, EmbeddedChain(tmp_path / "chain.sqlite") as chain, \
            RpcServer(chain, 0) as node:
        rest = f'[invited]\nsites = 2\npost = "{office.url}"\nchain = "{node.url}"\n'
        file = load(asked(tmp_path / "files", rest=rest))
        with Coordinator(file, tmp_path / "out", PASSPHRASE, say=quiet) as home:
            home.prepare()
            for wrong in ({"open_": True, "records": 40}, {"role": "verifier", "records": 40}):
                with pytest.raises(Misuse):
                    invite(home, **wrong)
            with pytest.raises(Misuse, match="--records N") as asked_for:
                invite(home)
            assert 'pay = "worth"' in asked_for.value.do
            said = open_invitation(invite(home, records=40))
            assert "times its number of records: 40 of yours" in "\n".join(said.terms())
            joined = join(said, file.path.parent / "north.csv", tmp_path / "site", PASSPHRASE, quiet)
            home[SPONSOR].receive()
            found = seat(home[SPONSOR], home.agreed, given(home.out), set(), 0)
            assert found.records == {joined.party.did: 40}
            joined.party.close()


def test_what_no_records_are_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, pay="hours")
    with pytest.raises(BadInput, match="pay: not possible"):
        load(path)
    given_ = RoundInput(dense(breast_cancer()), dense(breast_cancer()).start(seed_of(0)), seats_of(2), (),
                        breast_cancer(), seed_of(1), 1)
    for records in ((1,), (0, 1)):
        with pytest.raises(BadInput, match="numbers of records"):
            replace(given_, records=records)
    assert np.all(given_.base["bias"] == 0)
