"""Two annotators are paid for a model's sale by what their records were worth; then its maker tries to pay one less.

    python examples/royalties.py [FOLDER]

Anna and Ben each annotated half of the same real records (breast cancer, with scikit-learn); 15 % of Ben's labels are
wrong. A maker trains a model on both, and says before it earns what it rests on and what each part was worth:
nearest-neighbour Shapley values on a third listing, which everybody can compute again. Equal shares would pay a spoiled
half like a careful one. The same values say which of Ben's records to look at again.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped, unused-ignore]

from troth.app import Troth
from troth.app.paying import collect_payouts
from troth.app.playing import play
from troth.app.royalties import Measure, Paying, answer, challenge, check, check_use, contribute, join, judge, pay
from troth.app.running import Recorder
from troth.core.claims import Ref
from troth.core.terms import UPHELD, Result
from troth.flows import royalties as flow
from troth.flows.roles import list_records
from troth.flows.royalty_words import Money
from troth.identity.keystore import MIN_COST
from troth.learn.data import Part, scaling
from troth.learn.data_worth import knn_shapley
from troth.learn.sets import breast_cancer
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20

NAMES = ("maker", "anna", "ben", "verifier")
PRICE, MONEY = 10_000, Money(stake=9_000, bond=100, fee=40, verifier_stake=100)


def parts(seed: int) -> tuple[Part, Part, Part, Part, np.ndarray]:
    """Anna's, Ben's, the validation's and the test's records, and which of Ben's labels are wrong."""
    rng, whole = np.random.default_rng(seed), breast_cancer()
    order = rng.permutation(len(whole))
    anna, ben, validation, test = (whole.rows(some.tolist()) for some in np.split(order, (180, 360, 460)))
    wrong = np.zeros(len(ben), dtype=bool)
    wrong[rng.permutation(len(ben))[:len(ben) * 15 // 100]] = True
    return anna, Part(ben.features, np.where(wrong, 1 - ben.labels, ben.labels), ben.schema), validation, test, wrong


def auc(marks: np.ndarray, values: np.ndarray) -> float:
    """The chance that a wrong record is valued below a right one; 0.5 for a guess."""
    return float((values[marks][:, None] < values[~marks][None, :]).mean())


def settle(maker: Troth, bench: Troth, payees: tuple[Troth, ...], chain: EmbeddedChain, deal: bytes) -> None:
    """The window passes, or the verifier is called; then the deal closes and everybody collects."""
    if check(payees[0], deal).outcome.exit_status:
        challenge(payees[0], deal)
        answer(maker, deal)
        bench.receive()
        print(f"the verifier finds: {judge(bench, deal)[1].faults[0]}")
        judge(bench, deal)
        payees[0].book.judge(payees[0].account, deal)
    else:
        chain.advance(86_400)
    payees[0].book.close(payees[0].account, deal)
    for payee in payees:
        payee.receive()
        collect_payouts(payee, deal)


def main(folder: Path) -> None:
    """Listings, a model, its sale, an honest run and a dishonest one."""
    chain = EmbeddedChain(folder / "chain")
    parties = list(play(folder, NAMES, "x", chain=chain, purse=40_000, supply=4 * 40_000, quorum=1,
                        cost=MIN_COST).values())
    maker, anna, ben, bench = parties
    token = Erc20(chain.web3, maker.contracts["token"].address)

    def told(party: Troth, *claims: bytes) -> None:
        party.send([one.did for one in parties if one is not party], claims, party.evidence_here(claims))
        for one in parties:
            one.receive()

    mine, his, public, test, wrong = parts(1)
    listings = [list_records(who, part, bytes(32), who.add("records", part.to_bytes()))
                for who, part in ((anna, mine), (ben, his), (maker, public))]
    for who, listing in zip((anna, ben, maker), listings, strict=True):
        told(who, listing)

    by = scaling(public)
    train = [by.inputs(part) for part in (mine, his)]
    fitted = LogisticRegression(max_iter=200).fit(np.concatenate([one.features for one in train]) / 65536,
                                                  np.concatenate([one.labels for one in train]))
    score = fitted.score(by.inputs(test).features / 65536, test.labels)
    weights = folder / "model.npz"
    np.savez(weights, coef=fitted.coef_, intercept=fitted.intercept_)
    with Recorder(lambda: nullcontext(maker), "fit", [Ref("data", listing) for listing in listings[:2]]) as run:
        run.metric("accuracy", score)
        run.model(weights)
    model = run.claim
    assert model is not None
    print(f"a model on both halves: {score:.3f} right on records that nobody trained on")
    claim, said = contribute(maker, model, 400_000, Measure(validation=listings[2]))
    told(maker, model, claim)
    values = knn_shapley(train[1], by.inputs(public))
    share = {row.claim: row.weight / sum(one.weight for one in said.rows) for row in said.rows}
    print(f"anna's half was worth {share[listings[0]]:.1%}, ben's {share[listings[1]]:.1%}; equal shares say 50.0%")
    print(f"ben's wrong labels are valued below his right ones: AUC {auc(wrong, values):.3f}; a guess has 0.500")
    print(f"was anna's work used? {check_use(anna, listings[0], model).outcome}")

    for honest in (True, False):
        before = {party.name: token.balance(party.account) for party in parties}
        run_ = pay(maker, Paying(model, PRICE, token.address, (bench.did,), MONEY))
        for party in parties:
            party.receive()
        join(bench, run_.deal)
        if honest:
            answer(maker, run_.deal)
        else:
            flow.answer(maker, run_.claim, Result(UPHELD))  # upheld, and nobody is paid
        settle(maker, bench, (anna, ben), chain, run_.deal)
        print(", ".join(f"{party.name} {token.balance(party.account) - before[party.name]:+}" for party in parties))
    for party in parties:
        party.close()
    chain.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
