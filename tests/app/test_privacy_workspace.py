"""A workspace's privacy ledger: real listings, spendings as claims, the log that brings a lost ledger back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from places import Place, meet

from troth.app import Troth
from troth.app.privacy import FILE, Privacy, check, opened
from troth.core.claims import Evidence, Ref
from troth.core.errors import Misuse
from troth.core.verdicts import Outcome
from troth.flows.roles import list_records
from troth.learn.claims import UPDATE, Training, UpdateClaim, digest_subject
from troth.learn.data import Part, Schema
from troth.learn.privacy import accounting
from troth.learn.privacy.claims import SPENDING, SpendingClaim
from troth.learn.privacy.ledger import Budget, Overspent
from troth.learn.privacy.mechanisms import Mechanism

UNIT = 1 << 28
ONE = Mechanism(UNIT, 8 * UNIT)
DELTA = "0.00001"
SCHEMA = Schema(("age", "dose"), 1, classes=("no", "yes"))


def of(count: int) -> int:
    return accounting.epsilon([ONE] * count, DELTA)


def records(shift: int = 0) -> Part:
    rows = np.arange(40).reshape(20, 2) * 10 + shift
    return Part(rows.astype(np.int64), (np.arange(20) % 2).astype(np.int64), SCHEMA)


def listed(party: Troth, part: Part) -> bytes:
    sealed = party.seal_records(part.to_bytes(), part.to_bytes().splitlines())
    return list_records(party, part, sealed.commitment, sealed.evidence)


def spend(party: Troth, listing: bytes, purpose: str = "round 1") -> bytes:
    with opened(party) as privacy:
        return privacy.begin(listing, privacy.reserve(listing, ONE, purpose), purpose)


@pytest.fixture
def site(place: Place) -> tuple[Troth, bytes]:
    """A site with a listing that two of ``ONE`` may be done to."""
    party = place.make("site")
    listing = listed(party, records())
    with opened(party) as privacy:
        privacy.set_budget(listing, Budget(of(2), DELTA))
    return party, listing


def test_spendings_are_claims_that_anybody_computes_again(place: Place, site: tuple[Troth, bytes]) -> None:
    party, listing = site
    claims = [spend(party, listing, f"round {number}") for number in (1, 2)]
    with pytest.raises(Overspent):
        spend(party, listing)
    assert len(list(party.claims(SPENDING))) == 2, "what was refused is not said"
    said = SpendingClaim.of(party.statement(claims[1]))
    assert (said.total, said.spent.epsilon, said.budget) == (of(2), of(1), of(2))
    assert party.statement(claims[1]).ref("before") == claims[0]
    reader = place.make("reader")
    meet(party, reader)
    party.send([reader.did], [claims[1]])
    reader.receive()
    assert check(reader, claims[1]).outcome is Outcome.UNDECIDABLE, "the one before it is not here"
    party.send([reader.did], claims)
    reader.receive()
    report = check(reader, claims[1])
    assert report.outcome is Outcome.UPHELD, report
    assert [step.name for step in report.steps] == ["read", "alone", "before", "together"]


def test_the_same_records_listed_again_are_told_again(site: tuple[Troth, bytes]) -> None:
    party, listing = site
    spend(party, listing)
    shuffled = records().rows(range(19, 4, -1))
    other = listed(party, shuffled)
    with opened(party) as privacy:
        found = privacy.set_budget(other, Budget(10 * of(2), DELTA))
        assert found.total == of(1)
    claim = spend(party, other)
    said = SpendingClaim.of(party.statement(claim))
    assert said.total == of(2)
    assert len(said.kin) == 1
    assert check(party, claim).outcome is Outcome.UPHELD
    for one in (listing, other):
        with pytest.raises(Overspent):
            spend(party, one)
    unlike = listed(party, records(1))
    with opened(party) as privacy:
        assert privacy.set_budget(unlike, Budget(of(1), DELTA)).total == 0
        changed = listed(party, records(2))
        assert privacy.set_budget(changed, Budget(of(9), DELTA), same_as=[listing]).total == of(2)


def test_a_ledger_that_was_lost_or_rolled_back_is_made_again_from_the_log(site: tuple[Troth, bytes]) -> None:
    party, listing = site
    spend(party, listing)
    old = (party.root / FILE).read_bytes()
    spend(party, listing)
    for content in (None, old):
        for end in ("", "-wal", "-shm"):
            (party.root / (FILE + end)).unlink(missing_ok=True)
        if content is not None:
            (party.root / FILE).write_bytes(content)
        with opened(party) as privacy:
            if content is None:
                with pytest.raises(Misuse, match="more than was promised"):
                    privacy.set_budget(listing, Budget(of(9), DELTA))
            assert privacy.of_listing(listing).data.budget == Budget(of(2), DELTA), "the log has it"
            assert privacy.of_listing(listing).total == of(2)
            with pytest.raises(Overspent):
                privacy.reserve(listing, ONE, "round 3")


def test_a_lost_ledger_gives_no_part_of_the_records_a_second_budget(site: tuple[Troth, bytes]) -> None:
    """Listed anew without some rows, or as the same persons' by the owner's word: both are kin, before and after."""
    party, listing = site
    spend(party, listing)
    changed = listed(party, records(2))
    with opened(party) as privacy:
        privacy.set_budget(changed, Budget(of(2), DELTA), same_as=[listing])
    spend(party, changed)
    for end in ("", "-wal", "-shm"):
        (party.root / (FILE + end)).unlink(missing_ok=True)
    for part in (records().rows(range(15)), records(2).rows(range(15))):
        again = listed(party, part)
        with opened(party) as privacy:
            assert privacy.set_budget(again, Budget(of(2), DELTA)).total == of(2)
            with pytest.raises(Overspent):
                privacy.reserve(again, ONE, "round 3")


def test_a_reservation_that_was_not_begun_is_given_back_or_counts(site: tuple[Troth, bytes]) -> None:
    party, listing = site
    with opened(party) as privacy:
        privacy.release(privacy.reserve(listing, ONE, "round 1"))
        privacy.reserve(listing, ONE, "round 1")
    with opened(party) as privacy:  # the process that reserved is gone
        assert privacy.of_listing(listing).total == of(1)
    assert not list(party.claims(SPENDING))


@pytest.mark.parametrize("change", ["alone", "total", "budget", "fork", "entry"])
def test_a_spending_that_says_too_little_is_refuted(site: tuple[Troth, bytes], change: str) -> None:
    party, listing = site
    first = spend(party, listing)
    said = SpendingClaim.of(party.statement(first))
    second = replace(said, entry=bytes(32), total=of(2))
    before = [Ref("before", first)]
    if change == "alone":
        second = replace(second, spent=replace(said.spent, epsilon=said.spent.epsilon // 2))
    elif change == "total":
        second = replace(second, total=of(1))
    elif change == "budget":
        second = replace(second, total=of(2) + 10)
    elif change == "entry":
        second = replace(second, entry=said.entry)
    else:
        before = []
    claim = party.attest(SPENDING, digest_subject("data", second.data), second.body(),
                         refs=[Ref("listing", listing), *before])
    report = check(party, claim)
    assert report.outcome is Outcome.REFUTED, report
    assert check(party, first).outcome is (Outcome.REFUTED if change == "fork" else Outcome.UPHELD)


def test_a_spending_that_leaves_out_kin_which_an_earlier_one_named_is_refuted(site: tuple[Troth, bytes]) -> None:
    party, listing = site
    other = listed(party, records().rows(range(5)))
    with opened(party) as privacy:
        privacy.know(listing)
        privacy.set_budget(other, Budget(of(2), DELTA))
    before = spend(party, other)
    last = spend(party, listing)
    said = SpendingClaim.of(party.statement(last))
    assert said.kin == (SpendingClaim.of(party.statement(before)).data,)
    lie = replace(said, entry=bytes(32), kin=(), total=of(2))  # two on these records by now, and one on its kin
    claim = party.attest(SPENDING, digest_subject("data", lie.data), lie.body(),
                         refs=[Ref("listing", listing), Ref("before", last)])
    assert check(party, claim).outcome is Outcome.REFUTED


def test_what_an_update_says_was_spent_is_computed_again(site: tuple[Troth, bytes]) -> None:
    party, listing = site
    right = accounting.spent(ONE, DELTA)
    for privacy, outcome in ((right, Outcome.UPHELD), (replace(right, epsilon=right.epsilon - 10), Outcome.REFUTED),
                             (None, Outcome.UNDECIDABLE)):
        said = UpdateClaim(1, bytes(32), bytes(32), bytes(32), 20, bytes(32), Training(1, privacy=privacy))
        claim = party.attest(UPDATE, digest_subject("update", bytes(32)), said.body(), refs=[Ref("listing", listing)])
        assert UpdateClaim.of(party.statement(claim)) == said
        assert check(party, claim).outcome is outcome


def test_nobody_spends_on_others_records(place: Place, site: tuple[Troth, bytes]) -> None:
    party, listing = site
    other = place.make("other")
    meet(party, other)
    party.send([other.did], [listing])
    other.receive()
    with opened(other) as privacy, pytest.raises(Misuse, match="only whoever listed"):
        privacy.set_budget(listing, Budget(of(1), DELTA))


def test_records_that_are_no_table_are_told_by_their_lines(place: Place) -> None:
    party = place.make("site")
    evidence = party.add("records", b"name,pulse\nx,61\ny,70\n", ())
    listing = party.attest("listing", digest_subject("records", bytes(32)),
                           {"cid": evidence.cid, "commitment": "00" * 32, "rows": 2, "schema": {}, "sealed": True},
                           evidence=[Evidence("records", evidence.cid, evidence.profile, True)])
    with opened(party) as privacy:
        assert privacy.know(listing).records == 3, "the header is a line like others: it makes kin of like headers"


def test_the_ledger_is_this_partys_alone(site: tuple[Troth, bytes]) -> None:
    party, _ = site
    assert (party.root / FILE).stat().st_mode & 0o077 == 0
    privacy = Privacy(party)
    assert party.identity.account.reveal_seed().hex() not in repr(privacy.ledger) + repr(privacy._prints)
    privacy.close()
