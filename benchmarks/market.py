"""Searching many offers, and what a sale costs: milliseconds over 100,000 offers, gas and seconds of a sale.

The offers are made up: names and cards of words from a vocabulary of 5,000 whose frequencies fall as in a language
(1/rank), a tenth of them vouched for by one of ten evaluators. Searches have one to three words, drawn as the offers'
words are (so common ones are asked for most), every second one with filters, and five evaluators are believed. The sale
is between workspaces on an embedded chain; its peer is an ERC-20 transfer on the same chain.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from troth.app import Settings, Troth, market, tending
from troth.app.market import Wish
from troth.app.shelf import Filters, Shelf
from troth.core.claims import Ref, Statement
from troth.core.encoding import sha256
from troth.flows.parts import Pin
from troth.flows.sale_words import EVALUATION, OFFER, Deal, Evaluation, Judge, Licence, Money, Offer
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

OFFERS, ASKED = 100_000, 400
WORDS = [f"w{number:04d}" for number in range(5_000)]
WEIGHTS = [1 / (rank + 1) for rank in range(len(WORDS))]
EVALUATORS = [f"did:key:evaluator{number}" for number in range(10)]
START, DAY = 1_700_000_000, 86_400
DATA = b"token,tag\n" + b"".join(f"word{number},NOUN\n".encode() for number in range(1_000))


def made_up(count: int, dice: random.Random) -> Iterator[tuple[int, bytes, Statement]]:
    """So many offers, and evaluations of a tenth of them, with their places in a log."""
    account = bytes([7]) * 20
    pin = Pin(account, bytes(32))
    judges = (Judge("did:key:one", bytes([1]) * 20), Judge("did:key:two", bytes([2]) * 20))
    for number in range(count):
        said = dice.choices(WORDS, WEIGHTS, k=18)
        price = dice.randrange(100, 100_000)
        sealed = sha256(b"sealed" + number.to_bytes(4, "big"))
        deal = Deal(1, account, account, account, pin, pin, judges, Money(price, 3 * price, 90, 200, 5, 91))
        offer = Offer(" ".join(said[:3]), " ".join(said[5:]), tuple(said[3:5]), dice.choice(("csv", "npz", "model")),
                      "bafk", sealed, sealed, False, Licence(dice.choice(("research", "training")), DAY), deal)
        yield number, sha256(sealed), Statement(OFFER, f"did:key:seller{number % 999}", START, offer.subjects(),
                                                offer.body(), (Ref("listing", sealed),), ())
        if number % 10 == 0:
            found = Evaluation("bafk", sealed, "held out", {"accuracy": dice.randrange(1_000_000)})
            yield number, sha256(sealed + b"e"), Statement(EVALUATION, dice.choice(EVALUATORS), START,
                                                           found.subjects(), found.body(), (), ())


def searching(count: int, asked: int) -> dict[str, Any]:
    """Milliseconds of a search, and seconds of processor to make the index."""
    dice = random.Random(7)
    with TemporaryDirectory() as folder, closing(Shelf(Path(folder) / "market.sqlite")) as shelf:
        started = time.process_time()
        shelf.take_in(made_up(count, dice))
        made = time.process_time() - started
        took, cpu, hits = [], [], 0
        for number in range(asked):
            words = " ".join(dice.choices(WORDS, WEIGHTS, k=1 + number % 3))
            filters = Filters("csv", most=50_000) if number % 2 else Filters()
            begun, spent = time.perf_counter(), time.process_time()
            hits += len(list(shelf.search(words, filters, EVALUATORS[:5], 20)))
            took.append((time.perf_counter() - begun) * 1_000)
            cpu.append((time.process_time() - spent) * 1_000)
        size = (Path(folder) / "market.sqlite").stat().st_size
    parts, own = statistics.quantiles(took, n=100), statistics.quantiles(cpu, n=100)
    return {"offers": count, "searches": asked, "mean hits": hits / asked, "p50 ms": round(parts[49], 2),
            "p95 ms": round(parts[94], 2), "p99 ms": round(parts[98], 2), "p50 cpu ms": round(own[49], 2),
            "p95 cpu ms": round(own[94], 2), "index cpu s": round(made, 1), "index MB": round(size / 1e6, 1)}


class Town:
    """A seller, a buyer and two verifiers on an embedded chain."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START)
        self.chain = EmbeddedChain(None, clock=self.clock)
        self.parties = {name: Troth.init(folder / name, "x", Settings(name, "", str(folder / "exchange")),
                                         cost=MIN_COST, clock=self.clock, chain=self.chain)
                        for name in ("seller", "buyer", "one", "two")}
        seller = self.parties["seller"]
        contracts = seller.deploy(supply=10**6)
        self.coin = Erc20(self.chain.web3, contracts["token"].address)
        for party in self.parties.values():
            if party is not seller:
                self.coin.transfer(seller.sender, party.account, 10**5)
            market.join(party, contracts, [one.did for one in self.parties.values() if one is not party])
        self.receive()

    def receive(self) -> None:
        for party in self.parties.values():
            party.receive()

    def gas(self) -> dict[str, int]:
        """Gas by account, since the chain began."""
        found = dict.fromkeys(self.parties, 0)
        web3, names = self.chain.web3, {party.account: name for name, party in self.parties.items()}
        for number in range(1, web3.eth.block_number + 1):
            for tx in web3.eth.get_block(number)["transactions"]:
                receipt = web3.eth.get_transaction_receipt(tx)
                name = names.get(bytes.fromhex(receipt["from"][2:]))
                if name is not None:
                    found[name] += receipt["gasUsed"]
        return found

    def close(self) -> None:
        for party in self.parties.values():
            party.close()
        self.chain.close()


def sale(folder: Path) -> dict[str, Any]:
    """Gas and seconds of one sale that nobody complains of, from the order to the minted licence."""
    town = Town(folder)
    seller, buyer = town.parties["seller"], town.parties["buyer"]
    bench = (town.parties["one"].did, town.parties["two"].did)
    offer = market.put_up(seller, DATA, Wish("Tags", 1_000, Licence("training", DAY), bench, form="csv"))
    market.announce(seller, offer, [buyer.did])
    town.receive()
    before, begun, wall = town.gas(), time.process_time(), time.perf_counter()
    order = market.buy(buyer, offer, [], bench)
    for name in ("seller", "buyer", "one", "two", "seller", "buyer"):
        tending.tend(town.parties[name])
    assert tending.standing(buyer, order)["state"] == "opened"
    town.clock.advance(3 * 7_200)
    tending.tend(seller)
    took, cpu = time.perf_counter() - wall, time.process_time() - begun
    spent = {name: now - before[name] for name, now in town.gas().items()}
    then = town.gas()["seller"]
    town.coin.transfer(seller.sender, buyer.account, 1)
    transfer = town.gas()["seller"] - then
    town.close()
    return {"gas": spent | {"all": sum(spent.values())}, "transfer": transfer,
            "all over transfer": round(sum(spent.values()) / transfer, 1), "cpu s": round(cpu, 2),
            "wall s": round(took, 2)}


def run(quick: bool = False) -> dict[str, Any]:
    """The figures."""
    print("searching", file=sys.stderr)
    found = searching(2_000 if quick else OFFERS, 60 if quick else ASKED)
    with TemporaryDirectory() as folder:
        return {"search": found, "sale": sale(Path(folder))}


if __name__ == "__main__":
    print(run())
