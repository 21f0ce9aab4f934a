"""Consents: what they say, who can withdraw, and that a withdrawal reaches whatever rests on the consent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.app import Troth, consents
from troth.core.claims import Ref, Statement, Subject
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.core.verdicts import Outcome
from troth.flows.roles import list_records
from troth.learn.data import Part
from troth.learn.sets import BREAST_CANCER
from troth.verify.consents import Consent, check_consents
from troth.verify.trace import CONSENT, WITHDRAWAL, trace
from troth.web.graph import trace_page

Make = Callable[[str], Troth]
DATA = b"heart rate of one person, 2026"
DEAL = bytes([7]) * 32
LATER = 4_000_000_000


@pytest.fixture
def two(make: Make) -> tuple[Troth, Troth, consents.Opening]:
    """A person, a clinic that it consented to, and the consent."""
    person, clinic = make("person"), make("clinic")
    for one, other in ((person, clinic), (clinic, person)):
        one.introduce(other.did)
        other.receive()
    opening = consents.give(person, DATA, "training of a heart model", [clinic.did], LATER)
    clinic.receive()
    return person, clinic, opening


def uses(clinic: Troth, consent: bytes) -> tuple[bytes, bytes]:
    """A listing that rests on the consent, and an update in a deal that rests on the listing."""
    subject = [Subject("records", {"sha256": "00" * 32})]
    listing = clinic.attest("listing", subject, {"rows": 1}, refs=[Ref(CONSENT, consent)])
    return listing, clinic.attest("update", subject, {"deal": DEAL.hex()}, refs=[Ref("listing", listing)])


def test_a_withdrawal_reaches_every_claim_and_deal_that_rests_on_it(two: tuple[Troth, Troth, consents.Opening]) -> None:
    person, clinic, opening = two
    listing, update = uses(clinic, opening.consent)
    for target in (listing, update, DEAL):
        assert consents.check(clinic, target).outcome is Outcome.UPHELD
    assert not clinic.trace(update).stale
    withdrawal, resting = consents.withdraw(person, opening.consent)
    assert resting == {"claims": [], "deals": []}  # the person's own log does not hold what the clinic made
    assert clinic.receive() == (withdrawal,)
    for target in (listing, update, DEAL):
        report = consents.check(clinic, target)
        assert report.outcome is Outcome.REFUTED
        assert "withdrawn by its issuer" in report.steps[0].detail
    graph = clinic.trace(update)
    assert [node.state for node in graph.nodes] == ["stale", "stale", "withdrawn"]
    assert "A consent was withdrawn: 3 of 3 claims are stale." in trace_page(graph.json())
    [known] = consents.known(clinic)
    assert (known["claims"], known["deals"]) == (2, [DEAL.hex()])
    assert known["withdrawn"] is not None
    assert consents.rests(clinic, opening.consent) == {
        "claims": [f"listing {listing.hex()}", f"update {update.hex()}"], "deals": [DEAL.hex()]}
    assert consents.withdraw(person, opening.consent)[0] == withdrawal
    gone = [opening.consent.hex()]
    assert consents.withdrawn_under(clinic, DEAL, []) == gone
    assert consents.withdrawn_under(clinic, bytes(32), [update]) == gone  # submitted on chain without naming the deal
    assert consents.withdrawn_under(clinic, bytes(32), [bytes(32)]) == []
    assert consents.withdrawn_under(person, DEAL, []) == []


def test_a_consent_until_a_second_that_no_calendar_has_is_checked(
        two: tuple[Troth, Troth, consents.Opening]) -> None:
    person, clinic, _ = two
    consent = Consent(bytes(32), "research", (clinic.did,), (1 << 53) - 1)
    claim = person.attest(CONSENT, consent.subjects(), consent.body())
    person.send([clinic.did], [claim])
    clinic.receive()
    assert consents.check(clinic, uses(clinic, claim)[0]).outcome is Outcome.UPHELD


def test_a_peers_malformed_consent_hides_no_other(two: tuple[Troth, Troth, consents.Opening]) -> None:
    person, clinic, opening = two
    odd = person.attest(CONSENT, [Subject("data", {"commitment": "00" * 32})], {"surplus": 1})
    person.send([clinic.did], [odd])
    assert clinic.receive() == (odd,)
    assert [one["consent"] for one in consents.known(clinic)] == [opening.consent.hex()]
    listing, _ = uses(clinic, odd)
    assert consents.check(clinic, listing).outcome is Outcome.REFUTED
    before = person.log.size
    with pytest.raises(BadInput):
        consents.withdraw(person, odd)
    assert person.log.size == before


def test_nobody_else_can_withdraw(two: tuple[Troth, Troth, consents.Opening]) -> None:
    _, clinic, opening = two
    listing, _ = uses(clinic, opening.consent)
    with pytest.raises(Misuse, match="only whoever consented"):
        consents.withdraw(clinic, opening.consent)
    clinic.attest(WITHDRAWAL, [Subject("data", {"commitment": "00" * 32})], {}, refs=[Ref(CONSENT, opening.consent)])
    assert consents.check(clinic, listing).outcome is Outcome.UPHELD
    assert not clinic.trace(listing).stale
    with pytest.raises(Misuse, match="only whoever consented"):
        consents.withdraw(clinic, listing)


def test_the_claim_says_nothing_of_the_data_and_its_opening_shows_which_they_are(
        two: tuple[Troth, Troth, consents.Opening]) -> None:
    person, clinic, opening = two
    again = consents.give(person, DATA, "another purpose", [clinic.did], LATER)
    first, second = (Consent.of(person.statement(one.consent)) for one in (opening, again))
    assert first.data != second.data  # two consents over the same data cannot be linked by it
    assert DATA not in person.envelope(opening.consent).payload
    assert opening.key.hex() not in repr(opening)
    read = consents.Opening.of(json.loads(opening.to_bytes()))
    consents.check_opening(clinic, read, DATA)
    with pytest.raises(Refuted, match="about other data"):
        consents.check_opening(clinic, read, DATA + b"!")
    with pytest.raises(Misuse, match="over already"):
        consents.give(person, DATA, "x", [clinic.did], 5)


def test_what_is_not_here_is_undecidable(two: tuple[Troth, Troth, consents.Opening]) -> None:
    _, clinic, _ = two
    with pytest.raises(Undecidable):
        consents.check(clinic, bytes(32))
    listing, _ = uses(clinic, bytes([9]) * 32)
    assert consents.check(clinic, listing).outcome is Outcome.UNDECIDABLE
    alone = clinic.attest("listing", [Subject("records", {"sha256": "11" * 32})], {"rows": 1})
    assert consents.check(clinic, alone).outcome is Outcome.UNDECIDABLE


def test_a_rounds_listing_carries_its_consents(two: tuple[Troth, Troth, consents.Opening]) -> None:
    _, clinic, opening = two
    part = Part(np.zeros((3, 30), np.int64), np.zeros(3, np.int64), BREAST_CANCER)
    sealing = clinic.seal_records(part.to_bytes(), [b"a", b"b", b"c"])
    listing = list_records(clinic, part, sealing.commitment, sealing.evidence, [opening.consent])
    assert clinic.statement(listing).all_refs(CONSENT) == (opening.consent,)
    assert consents.check(clinic, listing).outcome is Outcome.UPHELD


# Rules, on statements alone

PERSON, USER = "did:example:person", "did:example:user"
GIVEN = Consent(bytes(32), "research", (USER,), 1_000)


class Said(dict[bytes, Statement]):
    def statement(self, claim: bytes) -> Statement:
        if claim not in self:
            raise Undecidable("not here")
        return self[claim]


def world(user: str = USER, at: int = 500, consent: Consent = GIVEN, role: str = CONSENT) -> Said:
    given = Statement(CONSENT, PERSON, 100, consent.subjects(), consent.body())
    used = Statement("listing", user, at, (Subject("r", {"sha256": "00"}),), {}, (Ref(role, b"c" * 32),))
    return Said({b"c" * 32: given, b"u" * 32: used})


def answer(said: Said, now: int = 600, withdrawals: tuple[Statement, ...] = (), purpose: str | None = None) -> Outcome:
    return check_consents(said, [b"u" * 32], now, withdrawals, purpose).outcome


def withdrawn(at: int, by: str = PERSON) -> Statement:
    return Statement(WITHDRAWAL, by, at, GIVEN.subjects(), {}, (Ref(CONSENT, b"c" * 32),))


@pytest.mark.parametrize(("made", "options", "expected"), [
    (world(), {}, Outcome.UPHELD), (world(), {"purpose": "research"}, Outcome.UPHELD),
    (world(), {"purpose": "advertising"}, Outcome.REFUTED), (world(), {"now": 1_001}, Outcome.REFUTED),
    (world(), {"now": 1_000}, Outcome.UPHELD), (world(user="did:example:other"), {}, Outcome.REFUTED),
    (world(at=1_001), {"now": 900}, Outcome.REFUTED), (world(role="other"), {"now": 1_001}, Outcome.REFUTED),
    (world(), {"withdrawals": (withdrawn(550),)}, Outcome.REFUTED),
    (world(), {"withdrawals": (withdrawn(550, USER),)}, Outcome.UPHELD)])
def test_rules(made: Said, options: dict[str, Any], expected: Outcome) -> None:
    assert answer(made, **options) is expected


def test_use_after_a_withdrawal_is_named() -> None:
    report = check_consents(world(at=560), [b"u" * 32], 600, [withdrawn(550)])
    assert "used after that: listing" in report.steps[0].detail
    assert trace(world(), b"u" * 32, (), [withdrawn(550)]).stale


BODY = GIVEN.body()


@pytest.mark.parametrize("change", [
    *({name: None} for name in BODY), {"more": 1}, {"data": "00"}, {"purpose": "Ann's heart"}, {"purpose": ""},
    {"to": []}, {"to": [USER, USER]}, {"to": [5]}, {"to": ["user"]}, {"until": -1}, {"until": "5"}])
def test_a_consent_is_read_strictly(change: dict[str, Any]) -> None:
    body = {name: value for name, value in (BODY | change).items() if value is not None}
    with pytest.raises(BadInput):
        Consent.of(Statement(CONSENT, PERSON, 1, GIVEN.subjects(), body))
    for other in (Statement(CONSENT, PERSON, 1, (Subject("x", {"sha256": "00"}),), BODY),
                  Statement("listing", PERSON, 1, GIVEN.subjects(), BODY)):
        with pytest.raises(BadInput):
            Consent.of(other)


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.none() | st.integers(0, 2_000))
@settings(max_examples=60, deadline=None)
def test_upheld_means_given_in_force_and_not_withdrawn(at: int, now: int, ended: int | None) -> None:
    withdrawals = () if ended is None else (withdrawn(ended),)
    upheld = answer(world(at=at), now, withdrawals) is Outcome.UPHELD
    assert upheld == (ended is None and at <= 1_000 and now <= 1_000)
