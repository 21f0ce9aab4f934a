"""A clinic's model sells answers over HTTP for signed payments; a practice buys within a budget and checks the answers.

Real patients (the breast cancer records of Wisconsin, with scikit-learn). Each payment names what it is for: presented
for anything else it opens nothing. The practice's budget is for three answers a day; the fourth is not signed for.

    python examples/answers_by_x402.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from troth.agents.x402.budget import Limits, OverBudget
from troth.agents.x402.server import ShopServer
from troth.agents.x402.wire import PAYMENT
from troth.app.payments import budget, open_shop, payer, question, receipt, refill, take_answer, token_of
from troth.app.playing import play
from troth.app.proving import check
from troth.compute.models import ints, quantise
from troth.compute.models.sklearn import of_sklearn
from troth.fixed.program import Program
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain

PRICE = 100
SHOP = f"""
[[sell]]
path = "/tumour"
price = {PRICE}
program = "tumour.program"
show = true
description = "malignant or benign, from ten measurements"
[[sell]]
path = "/card"
price = {PRICE}
file = "card.txt"
"""


def model() -> tuple[Program, list[list[float]]]:
    """A model of the first 400 patients as a program, and the records of some that it has not seen."""
    patients = load_breast_cancer()
    features, benign = patients.data[:, :10], patients.target
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[:400], benign[:400])
    program = quantise(of_sklearn(fitted), features[:400], answers=fitted.predict(features[:400])).program
    unseen = ints(program, features[400:])
    inside = ((program.low <= unseen) & (unseen <= program.high)).all(axis=1)
    return program, np.asarray(features[400:][inside])[:4].tolist()


def main(folder: Path) -> None:
    """Tell it."""
    program, records = model()
    (folder / "tumour.program").write_bytes(program.to_bytes())
    (folder / "card.txt").write_text("A logistic regression of 400 patients.")
    (folder / "shop.toml").write_text(SHOP)
    with EmbeddedChain(folder / "chain") as chain:
        clinic, practice = play(folder, ("clinic", "practice"), "only for show", chain=chain, purse=1_000,
                                supply=10_000, cost=MIN_COST).values()
        with clinic, practice, budget(practice) as spends:
            token = token_of(practice)
            refill(practice, 500)
            spends.allow(chain.chain_id, token.address, Limits(PRICE, 3 * PRICE, 3 * PRICE))
            with open_shop(clinic, folder / "shop.toml") as shop, ShopServer(shop) as server, \
                    payer(practice, spends) as paying:
                url, before = f"{server.url}/tumour", token.balance(clinic.account)
                for record in records[:3]:
                    bought = paying.post(url, question(practice, record), most=PRICE)
                    said = json.loads(bought.body)
                    found = check(practice, take_answer(practice, bought))
                    print(f"{('malignant', 'benign')[int(said['label'])]}: {found.outcome} by executing it again")
                print(f"the clinic has {token.balance(clinic.account) - before:+}")
                try:
                    paying.post(url, question(practice, records[3]), most=PRICE)
                except OverBudget as error:
                    print(f"the fourth: {error.message.partition(' of token')[0]}")
                assert bought.spending is not None
                card = Request(f"{server.url}/card", headers={PAYMENT: bought.spending.header or ""})
                try:
                    urlopen(card)
                except OSError as error:  # status 402
                    told = json.loads(error.read())["error"]  # type: ignore[attr-defined]
                    print(f"the last payment, presented for the card: {told.partition(';')[0]}")
                statement = practice.statement(receipt(practice, bought))
                print(f"the practice's receipt: a {statement.kind} of {statement.body['price']}, served: "
                      f"{statement.body['served']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
