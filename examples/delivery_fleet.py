"""Delivery robots of one owner charge by the kilowatt-hour and are paid by the parcel; one lies, and costs its owner.

    python examples/delivery_fleet.py [FOLDER]

Each robot has an identity, and a policy account with its own limits. It pays charging stations by their signed
readings, keeps its log as batches, and says when it arrived. A customer who saw nothing calls two witnesses; then the
deal's ladder decides, and not the robot.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from troth.agents.brain import Call, Finish, Form, Seen, Step
from troth.agents.fleet import FEE, Errand, Judged, Station, accept, arrive, charging, dispute, done, order, witness
from troth.agents.journal import journal
from troth.app import Troth
from troth.app.agent import Given, loop_of, run_id, runs_of
from troth.app.devices import read as measure
from troth.app.fleet import log_batch
from troth.app.playing import play
from troth.core.errors import Pending, Refuted
from troth.flows.parts import Pin
from troth.identity.keystore import MIN_COST
from troth.ledger.accounts import PolicyAccounts
from troth.ledger.artefacts import artefact
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.deploy import create
from troth.ledger.erc20 import Erc20
from troth.ledger.limits import TRANSFER, Limits

HOUR, PRICE, STAKE, BOND, FEES, TARIFF = 3_600, 120, 400, 50, 20, 30
NAMES = ("owner", "honest", "liar", "station", "customer", "door", "neighbour")
WORDS = "Charge at the station when you need to."


class Charges:
    """A robot's brain at the station: it pays for each of these readings."""

    name = "charges"

    def __init__(self, readings: list[str]) -> None:
        self.readings = readings

    def next(self, words: str, seen: list[Seen], tools: list[Form]) -> Step:
        """The next reading."""
        if len(seen) < len(self.readings):
            return Call("charge", {"reading": self.readings[len(seen)]}, "the battery was low")
        return Finish("charged")


def main(folder: Path) -> None:
    """Three charges within limits, an errand done, and one that was not."""
    chain = EmbeddedChain(folder / "chain")
    parties = list(play(folder, NAMES, "x", chain=chain, purse=0, supply=10_000, cost=MIN_COST).values())
    owner, honest, liar, station, customer, door, neighbour = parties
    contracts = owner.contracts
    token = Erc20(chain.web3, contracts["token"].address)
    token.transfer(owner.sender, customer.account, 1_000)
    for party in (owner, customer):
        token.approve(party.sender, contracts["book"].address, 5_000)

    # One account a robot: at most 50 an act and 80 a day, to the station alone.
    factory, _ = create(owner.sender, artefact("PolicyAccounts").bytecode)
    maker, accounts = PolicyAccounts(chain.web3, factory), {}
    for n, robot in enumerate((honest, liar)):
        limits = Limits(robot.account, token.address, 50, 80, chain.now() + 30 * 86_400, (station.account,),
                        ((token.address, TRANSFER),))
        accounts[robot.name] = maker.make(owner.sender, n.to_bytes(32, "big"), limits).address
        token.transfer(owner.sender, accounts[robot.name], 500)

    # Charging, paid per use: a meter's signed reading, the owner's tariff, the robot's limits; a reading is paid once.
    readings = []
    for used in (900, 1_200, 2_500):
        claim, _ = measure(station, {"watt_hours": used})
        readings.append(claim)
    station.send([honest.did], readings)
    honest.receive()
    tool = charging(honest, token.address, {station.did: Station(station.account, TARIFF)})
    given = Given(accounts["honest"], more=(tool,), owners=(owner.did,), signers=(station.did,))
    with runs_of(honest) as runs:
        shown = [one.hex() for one in (*readings, readings[0])]
        loop_of(honest, Charges(shown), runs, given).run(run_id(None), WORDS)
    acts = [(one.outcome.outcome, one.outcome.reason, one.outcome.moved) for one in journal(honest) if one.outcome]
    print("charged:", ", ".join(f"{outcome} {reason or moved}" for outcome, reason, moved in acts))
    assert acts == [("done", "", 27), ("done", "", 36), ("refused", "OverAct", 0)], acts
    assert token.balance(station.account) == 27 + 36

    judged = Judged(token.address, (_pin(owner, "assumed"), _pin(owner, "rerun:2")),
                    frozenset({door.account, neighbour.account}))
    for robot, came in ((honest, True), (liar, False)):
        before = token.balance(owner.account), token.balance(customer.account)
        what = hashlib.sha256(f"a parcel by {robot.name}".encode()).digest()
        errand = Errand(contracts.chain_id, contracts["book"].address, _pin(owner, "assumed"), _pin(owner, "rerun:2"),
                        token.address, customer.account, owner.account, robot.account,
                        (door.account, neighbour.account), PRICE, STAKE, FEES, BOND, chain.now() + HOUR, HOUR, HOUR,
                        what, what)
        claim = order(customer, errand, [owner.did, robot.did, door.did, neighbour.did])
        for party in (owner, robot, door, neighbour):
            party.receive()
        accept(owner, claim, [honest.account, liar.account], judged)
        # Its log, one signature for all of it; the liar's says that it was there, and proves that it says so.
        log = log_batch(robot, [(chain.now(), {"street": 7, "second": second}) for second in range(60)])
        arrive(robot, claim, log, [owner.did, customer.did])
        try:
            done(owner, claim)
        except Pending as error:
            print(f"{robot.name} says it arrived: {error.message}")
        if not came:
            dispute(customer, claim)
            for reveal in (False, True):
                for party, salt in ((door, b"\x01" * 32), (neighbour, b"\x02" * 32)):
                    witness(party, claim, came, salt, reveal)
            customer.book.judge(customer.account, errand.deal())
        chain.advance(3 * HOUR)
        customer.book.close(customer.account, errand.deal())
        after = token.balance(owner.account), token.balance(customer.account)
        if came:
            done(owner, claim)
            assert (after[0] - before[0], after[1] - before[1]) == (PRICE, -PRICE)
            print(f"{robot.name}: done, {PRICE} earned")
        else:
            try:
                done(owner, claim)
                raise AssertionError("a lie was paid")
            except Refuted as error:
                print(f"{robot.name}: {error.message}; its owner lost {before[0] - after[0]}")
            assert after[0] - before[0] == -STAKE
            assert after[1] - before[1] == STAKE - FEES
            assert errand.terms().pots[FEE].amount == FEES
    for party in parties:
        party.close()
    chain.close()


def _pin(party: Troth, name: str) -> Pin:
    found = party.contracts[name]
    return Pin(found.address, found.codehash)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
