"""Mandates as credentials: read by people, checked by deals, refused beyond what they say."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from ports.books import MINT, MemoryWorld, account, key
from troth.core.errors import BadInput, Refuted
from troth.core.terms import REFUTED, SLASHED, UPHELD, Ask, Pot, Result, Rung, Split, Terms
from troth.core.verdicts import Outcome
from troth.identity import integrity as di
from troth.identity.credentials import Credential
from troth.identity.jsondoc import time_text
from troth.identity.party import DocumentParty
from troth.verify.credentials import Believed, Issuer
from troth.verify.mandates import HeldMandate, check_act, mandate_document, read_mandate, sign_mandate, verify_act
from troth.verify.policies.mandated import Mandate, act_data

PRINCIPAL, AGENT, SHOP, COURT = (account(name) for name in ("principal", "agent", "shop", "court"))
HOUR = 3600
OWNER, BOT = (DocumentParty.create("hybrid", lambda size, seed=seed: bytes([seed]) * size) for seed in (5, 6))


def paper(world: MemoryWorld, **changes: Any) -> tuple[HeldMandate, dict[str, Any]]:
    """The mandate, and its signed credential."""
    what = replace(Mandate(PRINCIPAL, AGENT, "purchase", 500, world.now() + HOUR, b"\x05" * 32), **changes)
    at = world.addresses
    held = sign_mandate(what, at.chain_id, at.book, key("principal"))
    document = mandate_document(held, BOT.short) | {"issuer": OWNER.did, "validFrom": time_text(world.now())}
    return held, di.secure(document, OWNER.keys, di.Options(world.now()))


def believed(world: MemoryWorld) -> Believed:
    return Believed(world.now(), {OWNER.short: Issuer()})


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld()


def deal_of(world: MemoryWorld, held: HeldMandate) -> bytes:
    at = world.addresses
    rung = Rung(*at.policies["mandated"], (Ask("act", (AGENT,), 2 * HOUR), Ask("result", None, HOUR)), HOUR,
                silent=UPHELD, param=held.digest)
    pots = (Pot("price", PRINCIPAL, 500, {UPHELD: Split((SHOP,), amounts=(500,))}),
            Pot("stake", AGENT, 100, {SLASHED: Split((PRINCIPAL,), weights=(1,))}))
    for who in (PRINCIPAL, AGENT):
        world.fund(who)
    deal: bytes = world.book.open(PRINCIPAL, Terms(world.token, pots, (rung,), world.now() + HOUR, COURT), b"\x05" * 32)
    for index, pot in enumerate(pots):
        world.book.join(pot.depositor, deal, index)
    return deal


def test_a_credential_comes_back_as_the_mandate_that_a_deal_checks(world: MemoryWorld) -> None:
    held, document = paper(world)
    read = read_mandate(Credential.of(document))
    assert read == held
    report = verify_act(document, believed(world), "purchase", 500)
    assert report.outcome is Outcome.UPHELD
    assert [step.name for step in report.steps][-2:] == ["account", "act"]
    deal = deal_of(world, read)
    world.book.submit(AGENT, deal, 0, 0, bytes(32), read.act("purchase", 500))
    world.book.submit(AGENT, deal, 1, 0, bytes(32), Result(UPHELD).to_bytes())
    assert world.book.judge(COURT, deal) == Result(UPHELD)
    world.book.close(COURT, deal)
    assert (world.balance(SHOP), world.balance(AGENT)) == (500, MINT)


@pytest.mark.parametrize(("kind", "units"), [("purchase", 501), ("gift", 1)])
def test_an_act_beyond_it_is_refused_by_the_paper_and_leaves_the_agent_poorer_in_the_deal(
        world: MemoryWorld, kind: str, units: int) -> None:
    held, document = paper(world)
    assert verify_act(document, believed(world), kind, units).steps[-1].outcome is Outcome.REFUTED
    with pytest.raises(Refuted):
        held.act(kind, units)
    deal = deal_of(world, held)
    world.book.submit(AGENT, deal, 0, 0, bytes(32), act_data(kind, units, held.mandate, held.signature))
    world.book.submit(AGENT, deal, 1, 0, bytes(32), Result(UPHELD).to_bytes())
    assert world.book.judge(COURT, deal) == Result(REFUTED, slashed=frozenset({AGENT}))
    world.book.close(COURT, deal)
    assert (world.balance(SHOP), world.balance(AGENT)) == (0, MINT - 100)


def test_the_paper_and_the_policy_agree_on_time_and_revocation(world: MemoryWorld) -> None:
    held, document = paper(world)
    end = held.mandate.expiry
    check_act(held, "purchase", 1, end)
    with pytest.raises(Refuted, match="after the mandate's end"):
        check_act(held, "purchase", 1, end + 1)
    late = replace(believed(world), now=end + 1)
    assert verify_act(document, late, "purchase", 1).outcome is Outcome.REFUTED

    def taken_back(who: bytes, digest: bytes) -> int:
        return end - 5 if (who, digest) == (PRINCIPAL, held.digest) else 0

    check_act(held, "purchase", 1, end - 5, taken_back)
    with pytest.raises(Refuted, match="taken back"):
        check_act(held, "purchase", 1, end - 4, taken_back)


def test_a_widened_or_borrowed_mandate_is_refuted(world: MemoryWorld) -> None:
    """Whoever issues the credential cannot widen what the account signed, nor say it of another agent's account."""
    _, document = paper(world)
    for change in ({"most": "501"}, {"scope": "gift"}, {"salt": "06" * 32},
                   {"agent": document["credentialSubject"]["mandate"]["principal"]}):
        forged = di.unsecured(copy.deepcopy(document))
        forged["credentialSubject"]["mandate"] |= change
        signed = di.secure(forged, OWNER.keys, di.Options(world.now()))
        report = verify_act(signed, believed(world), change.get("scope", "purchase"), 1)
        assert (report.outcome, report.steps[-1].name) == (Outcome.REFUTED, "account")
    longer = di.unsecured(copy.deepcopy(document)) | {"validUntil": time_text(world.now() + 2 * HOUR)}
    signed = di.secure(longer, OWNER.keys, di.Options(world.now()))
    assert verify_act(signed, believed(world), "purchase", 1).steps[-1].name == "account"
    stranger = DocumentParty.create()
    other = di.secure(di.unsecured(document) | {"issuer": stranger.did}, stranger.keys, di.Options(world.now()))
    assert verify_act(other, believed(world), "purchase", 1).outcome is Outcome.UNDECIDABLE


@pytest.mark.parametrize("change", [{"most": 5}, {"most": "05"}, {"scope": "No"}, {"salt": "00"},
                                    {"agent": "did:key:x"}, {"more": 1}, {"signature": "00"}, {"most": str(2**128)}])
def test_an_unreadable_mandate(world: MemoryWorld, change: dict[str, Any]) -> None:
    _, document = paper(world)
    document["credentialSubject"]["mandate"] |= change
    with pytest.raises(BadInput):
        read_mandate(Credential.of(document))


def test_only_the_principal_signs_and_only_what_can_be_said(world: MemoryWorld) -> None:
    held, document = paper(world)
    with pytest.raises(BadInput, match="signed by its principal"):
        sign_mandate(held.mandate, held.chain_id, held.book, key("agent"))
    with pytest.raises(BadInput, match="not a mandate"):
        sign_mandate(replace(held.mandate, scope="Any thing"), held.chain_id, held.book, key("principal"))
    del document["validUntil"]
    with pytest.raises(BadInput, match="an end"):
        read_mandate(Credential.of(document))
