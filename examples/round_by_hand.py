"""One federated round with every call written out: three hospitals, real records, a deal on an embedded chain.

It leaves ``model.troth`` and ``trust.json`` for ``check_a_model.py``. With a poisoner and a liar: ``troth demo``.

    python examples/round_by_hand.py [FOLDER]
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from tempfile import mkdtemp

from troth import Troth
from troth.app.playing import play
from troth.flows import round as flow
from troth.flows.parts import Pin, join_all
from troth.flows.roles import Role, call_plan, list_records, publish_model
from troth.flows.terms import Money, Words, round_terms
from troth.identity.keystore import MIN_COST
from troth.learn import site
from troth.learn.claims import Plan, Seat
from troth.learn.data import scaling
from troth.learn.dense import Dense
from troth.learn.sets import consortium
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

LINEAR = Dense(30, 2)

HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")
NAMES = (*HOSPITALS, "sponsor", "aggregator", "verifier")
MONEY = Money(reward=300, fee=20, keeper=5, site_stake=250, aggregator_stake=700, verifier_stake=100,
              verifier_fee=30, bond=50)
COMMONS = hashlib.sha256(b"bonds of wrong challengers go here").digest()[:20]


def meet(folder: Path, chain: EmbeddedChain) -> tuple[dict[str, Troth], Erc20]:
    """Workspaces that know one another, contracts, and a purse of 1,000 units each."""
    parties = play(folder, NAMES, "play money", chain=chain, purse=1_000, supply=1_000 * len(NAMES), quorum=1,
                   cost=MIN_COST)
    contracts = parties["sponsor"].contracts
    token = Erc20(chain.web3, contracts["token"].address)
    for party in parties.values():
        token.approve(party.sender, contracts["book"].address, 1_000)
    return parties, token


def main(folder: Path) -> None:
    """Run the round in ``folder``, which must not hold workspaces yet."""
    folder.mkdir(parents=True, exist_ok=True)
    chain = EmbeddedChain(folder / "chain.sqlite")
    parties, token = meet(folder, chain)
    sponsor, aggregator, verifier = (parties[name] for name in ("sponsor", "aggregator", "verifier"))

    # Who holds what: three sealed listings, and public records to measure by.
    split = consortium(1, sites=len(HOSPITALS))
    listings = {}
    for name, part in zip(HOSPITALS, split.sites, strict=True):
        data = part.to_bytes()
        sealing = parties[name].seal_records(data, data.splitlines()[1:])
        listings[name] = list_records(parties[name], part, sealing.commitment, sealing.evidence)
        parties[name].send([sponsor.did], [listings[name]])
    sponsor.receive()
    public = sponsor.add("records", split.validation.to_bytes())
    validation = list_records(sponsor, split.validation, bytes(32), public)

    # The plan, and a seat for everybody.
    seats = {name: Seat(party.did, party.account) for name, party in parties.items()}
    plan = Plan(tuple(sorted((seats[name] for name in HOSPITALS), key=lambda seat: seat.did)), seats["aggregator"],
                (seats["verifier"],), 1, MONEY.reward, "nnm+trimmed_mean", site.DEFAULT_CLIP, bytes(32), "open")
    plan_id = call_plan(sponsor, plan, validation, listings.values())
    sponsor.send([party.did for party in parties.values() if party is not sponsor],
                 [*listings.values(), validation, plan_id], [public])
    for name in NAMES:
        parties[name].receive()

    # The deal: terms from the flow's own words, and everybody's deposit.
    assumed, rerun = (Pin(found.address, found.codehash)
                      for found in (sponsor.contracts["assumed"], sponsor.contracts["rerun:1"]))
    words = Words(token.address, sponsor.account, COMMONS, assumed, rerun, MONEY)
    terms = round_terms(words, plan, frozenset(plan.keys), chain.now())
    deal = sponsor.book.open(sponsor.account, terms, bytes(32))
    for party in parties.values():
        print(f"{party.name} deposits {join_all(party, deal)}")

    # Training: each hospital on the records that only it can open.
    sites = {name: flow.Site(parties[name], plan_id, listing=listings[name]) for name in HOSPITALS}
    for name, part in zip(HOSPITALS, split.sites, strict=True):
        seat = sites[name]
        delta = site.train(LINEAR, seat.base(), part, scaling(seat.replay.validation), site.Fit())
        seat.commit(deal, 1, delta, len(part))
    for party in (aggregator, verifier, sponsor):
        party.receive()

    # Nobody hands over an update before the aggregator has signed whose may count: so nobody can copy one.
    combining = flow.Aggregator(aggregator, plan_id)
    combining.fix(deal, 1)
    for name in HOSPITALS:
        parties[name].receive()
        sites[name].reveal(deal, 1)
    for party in (aggregator, verifier, sponsor):
        party.receive()

    # The aggregate: claimed by the aggregator, looked at by the hospitals, executed again by the verifier.
    output, updates = combining.aggregate(deal, 1)
    aggregate = combining.publish(deal, 1, output, updates)
    combining.submit(deal, aggregate, output)
    for name in NAMES:
        parties[name].receive()
    print("doubts:", [sites[name].doubt(aggregate) for name in HOSPITALS])
    again, result = flow.Verifier(verifier, plan_id).find(aggregate)
    print("the verifier finds the same bits:", again.digest == output.digest, "outcome", result.outcome)

    # Nobody challenges: after the window anybody may close, and the Book pays.
    chain.advance(words.periods.window)
    sponsor.book.close(sponsor.account, deal)
    for name in NAMES:
        print(f"{name} ends with {token.balance(parties[name].account)}")

    # What remains: one file for the world, and one that says what its reader believes.
    model = publish_model(Role(sponsor, plan_id, last=aggregate))
    sponsor.anchor()
    sponsor.bundle(model, folder / "model.troth")
    roles = {"hospital": [parties[name].did for name in HOSPITALS], "sponsor": [sponsor.did],
             "aggregator": [aggregator.did], "verifier": [verifier.did]}
    trust = sponsor.trust(roles, sponsor.log_pin(), {"name": "federated-model"})
    (folder / "trust.json").write_bytes(trust.to_bytes())
    for party in parties.values():
        party.close()
    chain.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp()))
