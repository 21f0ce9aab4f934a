"""Offers and matching: who fits, and who is avoided for how its jobs ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hired import HOUR, PRICE, REVIEWERS, STAKE, Hired

from troth.core.claims import Statement, Subject
from troth.core.errors import BadInput
from troth.core.terms import REFUTED, UPHELD
from troth.flows import job as flow
from troth.flows.job_claims import Opinion
from troth.flows.job_market import PROVIDER, Gpu, Needs, Provider, Record, match, of_a_job, offers_of, records
from troth.flows.job_terms import ASKED

TOKEN, NOW = b"\1" * 20, 1_000
OFFER = Provider(b"\2" * 20, ("wasm", "python"), 8, 32 << 30, (Gpu("NVIDIA H200", 141 << 30),), TOKEN, 50, 10, 1_000,
                 NOW + 60, "in a cellar")
NEEDS = Needs("wasm", TOKEN, 70, 1_000, 8, 32 << 30, "h200", 120)


def said(body: dict[str, Any], issuer: str = "did:key:z1", version: int = 1) -> Statement:
    return Statement(PROVIDER, issuer, 1, (Subject("account", {"sha256": "00"}),), body, version=version)


@pytest.fixture(scope="module")
def hired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hired]:
    found = Hired(tmp_path_factory.mktemp("market"))
    yield found
    found.close()


def test_an_offer_reads_as_it_was_written() -> None:
    assert Provider.of(said(OFFER.body())) == OFFER
    for name, value in {"does": [], "processors": 0, "memory": 0, "gpus": [{"name": "x"}], "price": "-1", "token": "00",
                        "until": "soon"}.items():
        with pytest.raises(BadInput):
            Provider.of(said(OFFER.body() | {name: value}))
    with pytest.raises(BadInput):
        Provider.of(said(OFFER.body() | {"more": 1}))
    with pytest.raises(BadInput):
        Provider.of(said({name: value for name, value in OFFER.body().items() if name != "note"}))
    with pytest.raises(BadInput):
        Provider.of(said(OFFER.body() | {"does": ["mining"]}))


def test_the_newest_offer_counts_and_rubbish_is_nobodys() -> None:
    newer = replace(OFFER, price=1)
    claims = [(b"1", said(OFFER.body())), (b"2", said(newer.body())), (b"3", said({"x": 1}, "did:key:z2")),
              (b"4", said(OFFER.body() | {"does": [[]]}, "did:key:z3"))]
    assert offers_of(claims) == {"did:key:z1": newer}


@pytest.mark.parametrize(("needs", "why"), [
    (NEEDS, ""), (replace(NEEDS, price=69), "asks 70"), (replace(NEEDS, seconds=121), "asks 80"),
    (replace(NEEDS, stake=1_001), "stakes at most"), (replace(NEEDS, processors=9), "processors"),
    (replace(NEEDS, memory=(32 << 30) + 1), "memory"), (replace(NEEDS, gpu="A100"), "has no A100"),
    (replace(NEEDS, does="work"), "does no work"), (replace(NEEDS, token=b"\3" * 20), "another token"),
])
def test_what_does_not_fit_says_why(needs: Needs, why: str) -> None:
    found = needs.unmet(OFFER, NOW)
    assert why in found if why else not found
    assert "ended" in NEEDS.unmet(OFFER, NOW + 60)


def test_the_cheapest_that_fits_and_nobody_who_failed_lately() -> None:
    offers = {name: replace(OFFER, account=bytes([n]) * 20, price=price) for n, (name, price) in enumerate(
        [("dear", 50), ("cheap", 40), ("cheat", 10), ("once", 20), ("often", 15), ("late", 500)], 1)}
    account = {name: one.account for name, one in offers.items()}
    history = {account["cheat"]: Record(50, 1, True), account["once"]: Record(9, 1), account["often"]: Record(8, 1)}
    found = match(NEEDS, offers, history, NOW)
    assert [one.did for one in found if not one.why] == ["once", "cheap", "dear"]
    assert {one.did: one.why for one in found if one.why} == {
        "cheat": "lost its stake lately", "often": "lost its stake lately", "late": "asks 520"}


def test_how_jobs_ended_is_read_from_their_deals(hired: Hired) -> None:
    states = []
    for good in (True, False, True):
        order, claim = hired.place(ASKED)
        hired.deliver(claim, b"cat")
        if not good:
            flow.refuse(hired["client"], claim, 0, "no")
            hired.receive()
            flow.show_again(hired["provider"], claim)
            hired.verdicts(claim, {name: Opinion(REFUTED, "a dog") for name in REVIEWERS})
        states.append(hired.settle(claim, HOUR if good else 0))
        provider = order.provider.account
    assert [state.final.outcome for state in states if state.final] == [UPHELD, REFUTED, UPHELD]
    assert of_a_job(states[0]) == provider
    assert records(states) == {provider: Record(2, 1, False)}
    assert records(states)[provider].avoided, "one of three"
    assert records(states[:2])[provider] == Record(1, 1, True)
    assert not records(states[:1])[provider].avoided
    assert records([replace(states[0], status="running", final=None)]) == {}
    other = states[0].terms
    shaped = replace(other, pots=tuple(replace(pot, name="x") for pot in other.pots))
    assert of_a_job(replace(states[0], terms=shaped)) is None
    assert (PRICE, STAKE) == (100, 300)
