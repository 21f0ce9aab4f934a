"""What was bought under a licence, and trained on: the rate that it asks for, and what its erasure opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sale_parts import LICENCE, MONEY, Market

from troth.app.royalties import touched_by
from troth.core.claims import Ref, Subject
from troth.flows import royalties
from troth.flows.sale_deal import read
from troth.learn.contributions import CONTRIBUTION, DECLARED, Contribution, Row


def test_a_real_sale_sets_the_rate_and_names_who_may_claim(tmp_path: Path) -> None:
    market = Market(tmp_path)
    seller, buyer = market["seller"], market["buyer"]
    accounts = {party.did: (party.account,) for party in market.parties.values()}
    offer = market.sells(licence=replace(LICENCE, royalty=2_500, erasure="ends", refund=4_000))
    listing = seller.statement(offer).ref("listing")
    handover = market.bought(offer)
    market.reveals(handover)
    market.ends(handover)
    subject = [Subject("model", {"sha256": "33" * 32})]
    model = buyer.attest("run", subject, {}, refs=[Ref("data", listing)])
    said = Contribution(model, buyer.account, DECLARED, 10_000, (Row(listing, seller.account, 1),))
    claim = buyer.attest(CONTRIBUTION, subject, said.body(), refs=said.refs())
    found = royalties.due(buyer, model, 1_000, lambda did: accounts[did])
    assert "licences that its maker ordered ask for 250000" in found.notes[0]
    assert {part.claim: part.amount for part in found.parts} == {listing: 250, model: 750}

    buyer.send([seller.did], [model, claim])
    market.receive()
    seller.erase(listing)
    after = touched_by(seller, listing)
    (licence,) = after.licences
    assert (after.erased, licence.offer, licence.erasure, licence.holders) == (True, offer, "ends", (buyer.did,))
    assert licence.claim == MONEY.price * 4 // 10
    assert read(seller, handover)[0].deal() in licence.deals
    assert (model, "run") in after.stale
    market.close()
