"""An annotated set is sold: vouched for, found, checked, bought, opened and licensed; a cheat ends poorer.

    python examples/sell_annotations.py [FOLDER]

The data are real: 500 handwritten digits of the UCI set that scikit-learn brings (CC BY 4.0), each with the label that
somebody gave it by hand. A second seller offers the same pictures for less, with every third label wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import troth
from troth import Troth, TrothError
from troth.app import market, tending
from troth.app.market import Wish
from troth.app.playing import play
from troth.app.shelf import Filters
from troth.flows.sale_words import Licence
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

VERIFIERS = ("verifier-1", "verifier-2", "verifier-3")
NAMES = ("annotator", "careless", "evaluator", "buyer", *VERIFIERS)
PURSE, DAY = 100_000, 86_400


def annotated(wrong: int = 0) -> bytes:
    """The set as CSV: 64 grey values and a label; every ``wrong``-th label is another's."""
    pixels, labels = load_digits(return_X_y=True)
    pixels, labels = pixels[:500].astype(int), labels[:500].copy()
    if wrong:
        labels[::wrong] = (labels[::wrong] + 3) % 10
    head = ",".join([*(f"p{number}" for number in range(64)), "label"])
    return "\n".join([head, *(",".join(map(str, (*row, label))) for row, label in zip(pixels, labels, strict=True)),
                      ""]).encode()


def accuracy(data: bytes) -> float:
    """How well a model that learned from two thirds of the set says the labels of the rest; the mean of three ways."""
    rows = np.genfromtxt(data.decode().splitlines(), delimiter=",", skip_header=1, dtype=int)
    return float(cross_val_score(KNeighborsClassifier(3), rows[:, :-1], rows[:, -1], cv=3).mean())


class Town:
    """The parties, each with a workspace of its own, on one chain."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(1_700_000_000)
        self.chain = EmbeddedChain(None, clock=self.clock)
        self.parties = play(folder, NAMES, "a passphrase", chain=self.chain, purse=PURSE, supply=PURSE * len(NAMES),
                            cost=MIN_COST)
        self.coin = Erc20(self.chain.web3, self.parties["annotator"].contracts["token"].address)

    def __getitem__(self, name: str) -> Troth:
        return self.parties[name]

    def receive(self) -> None:
        """Everybody takes in what waits."""
        for party in self.parties.values():
            party.receive()

    def offers(self, seller: str, name: str, data: bytes, price: int) -> bytes:
        """Put up, vouched for by the evaluator, and known to the buyer."""
        lines = data.splitlines(keepends=True)
        wish = Wish(name, price, Licence("training of classifiers", 365 * DAY, royalty=250),
                    tuple(self[one].did for one in VERIFIERS), "Handwritten digits, 8 by 8, labelled by hand.",
                    ("digits", "handwriting"), "csv", preview=b"".join(lines[:4]))
        offer = market.put_up(self[seller], data, wish)
        market.announce(self[seller], offer, [self["buyer"].did])
        market.let_in(self[seller], offer, self["evaluator"].did)
        self.receive()
        opened = self["evaluator"].read(self["evaluator"].statement(
            self["evaluator"].statement(offer).ref("listing")).evidence[0])
        found = market.evaluate(self["evaluator"], offer, "3 nearest neighbours, 3-fold",
                                {"accuracy": int(accuracy(opened) * 1_000_000)})
        self["evaluator"].send([self["buyer"].did], [found])
        self.receive()
        return offer

    def tend(self, *names: str) -> None:
        """Each does what is due."""
        for name in names:
            tending.tend(self[name])

    def buys(self, offer: bytes) -> bytes:
        """Order after checking; the order."""
        return market.buy(self["buyer"], offer, [self["evaluator"].did], [self[one].did for one in VERIFIERS])

    def purse(self, name: str) -> int:
        """What a party holds."""
        return self.coin.balance(self[name].account)


def main(folder: Path) -> None:
    """Tell it all in ``folder``, which must not hold workspaces yet."""
    town = Town(folder)
    offers = {"annotator": town.offers("annotator", "Digits, labelled by hand", annotated(), 1_000),
              "careless": town.offers("careless", "Digits, cheap", annotated(wrong=3), 700)}
    found = market.search(town["buyer"], "handwriting", Filters(), [town["evaluator"].did])
    for one in found:
        print(f"{one['name']}: {one['price']}, quality {(one['quality'] or 0) / 1e6:.2f}")

    order = town.buys(bytes.fromhex(found[0]["offer"]))
    town.tend("annotator", "buyer", *VERIFIERS, "annotator", "buyer")
    table = troth.load(f"troth://{found[0]['offer']}", town["buyer"])
    print(tending.standing(town["buyer"], order)["state"] + ":", len(table["label"]), "rows, paid",
          PURSE - town.purse("buyer"))
    town.clock.advance(DAY)
    town.tend("annotator")
    seller, contract = town["annotator"], market.licences(town["verifier-1"])
    print("anybody sees the licence:", contract.licensed(town["buyer"].account, seller.account, offers["annotator"]))

    before = town.purse("buyer"), town.purse("careless")
    order = town.buys(offers["careless"])
    honest, market.data_key = market.data_key, lambda party, cid: bytes(32)  # this seller hands over rubbish
    town.tend("careless")
    market.data_key = honest
    town.tend("buyer", *VERIFIERS, "careless", "buyer", *VERIFIERS, *VERIFIERS, *VERIFIERS)
    town.clock.advance(DAY)
    town.tend("buyer")
    print("rubbish,", tending.standing(town["buyer"], order)["state"] + ": the buyer gains",
          town.purse("buyer") - before[0], "and the seller", town.purse("careless") - before[1])
    try:
        troth.load(f"troth://{offers['careless'].hex()}", town["buyer"])
    except TrothError as error:
        print("and opens nothing:", error.message)
    for party in town.parties.values():
        party.close()
    town.chain.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp()))
