"""A clinic is paid for a model's answer about a record that nobody is shown; and loses its stake for a cheaper answer.

Real patients (the breast cancer records of Wisconsin, with scikit-learn). The clinic commits to its model and to one
record. A buyer pays for the model's answer on it: the contract checks the proof and pays in the same act. Another time
the clinic answers with a model that always says "benign", in a proof that holds, and the contract takes its stake.

    python examples/proven_answer.py FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from troth.app.playing import play
from troth.app.proving import Proving, check
from troth.compute.circuits.model import ModelCircuit, Modes
from troth.compute.models import ints, quantise
from troth.compute.models.sklearn import of_sklearn
from troth.compute.provers.groth16 import Groth16
from troth.fixed.program import Affine, Program
from troth.flows import answer as flow
from troth.flows.answer import Offer, Question
from troth.flows.parts import Pin
from troth.identity.keystore import MIN_COST
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.erc20 import Erc20
from troth.ledger.kept import publish
from troth.verify.groth16 import Proof
from troth.verify.policies.proof import answer_data, key_name

PRICE, STAKE, HOUR, PURSE = 100, 300, 3600, 10_000
HIDDEN = Modes("committed", "committed", "label")


def model() -> tuple[Program, list[int]]:
    """A model of the first 400 patients as a program, and the record of one that it has not seen."""
    patients = load_breast_cancer()
    features, benign = patients.data[:, :10], patients.target
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[:400], benign[:400])
    program = quantise(of_sklearn(fitted), features[:400], answers=fitted.predict(features[:400])).program
    unseen = ints(program, features[400:][fitted.predict(features[400:]) == 0])
    inside = unseen[((program.low <= unseen) & (unseen <= program.high)).all(axis=1)]
    return program, inside[0].tolist()


def lazy(program: Program) -> Program:
    """Another model of the same architecture: it looks at nothing and says "benign"."""
    steps = tuple(replace(step, weights=np.zeros_like(step.weights), bias=np.abs(step.bias) + 1)
                  if isinstance(step, Affine) else step for step in program.steps)
    return replace(program, steps=steps)


def main(folder: Path) -> None:
    """Tell it."""
    program, record = model()
    with EmbeddedChain(folder / "chain") as chain:
        buyer, clinic = play(folder, ("buyer", "clinic"), "only for show", chain=chain, purse=PURSE, supply=2 * PURSE,
                             cost=MIN_COST).values()
        with buyer, clinic:
            contracts = buyer.contracts
            token = Erc20(chain.web3, contracts["token"].address)
            for party in (buyer, clinic):
                token.approve(party.sender, contracts["book"].address, PURSE)
            policy = Pin(contracts["proof"].address, contracts["proof"].codehash)

            proving = Proving(clinic, program, HIDDEN)
            publish(clinic.sender, contracts["keys"].address, proving.key.data)
            print(f"the clinic commits to a model of {program.weights} numbers and to a record of {len(record)}")

            def asked(number: int) -> bytes:
                question = Question(chain.chain_id, contracts["book"].address, policy, token.address, buyer.account,
                                    clinic.account, PRICE, STAKE, chain.now() + HOUR, HOUR, key_name(proving.key),
                                    proving.bound(record), proving.says, proving.ranges, HIDDEN.output,
                                    number.to_bytes(32, "big"))
                claim = flow.ask(buyer, question, clinic.did)
                clinic.receive()
                flow.accept(clinic, claim, Offer(proving.key, policy, token.address, PRICE, STAKE, HOUR, proving.says,
                                                 proving.ranges, HIDDEN.output))
                return claim

            first = asked(1)
            answer = flow.answer(clinic, first, proving.key, lambda context: proving.prove(record, context)[0])
            (label,), _ = flow.paid_for(buyer, first)
            buyer.receive()
            print(f"the answer: {('malignant', 'benign')[label]}, {check(buyer, answer).outcome} by the buyer, who saw "
                  "neither model nor record")
            print(f"paid in the act that proved it: the clinic has {token.balance(clinic.account) - PURSE:+}")

            second = asked(2)
            cheap, question = lazy(program), Question.of(clinic.statement(second).body)
            made = ModelCircuit(program, HIDDEN)
            witness = made.witness(record, question.place().context, row_salt=1, model=cheap, weights_salt=2)
            proof = Proof(Groth16().prove(proving.keys, made.circuit, witness))
            # Its publics name the cheap model; the deal's name the other. Either way the proof does not fit.
            told = answer_data(question.key, proof, question.bound, (1,))
            found = clinic.book.submit_and_close(clinic.account, question.deal(), 0, 0, second, told)
            print(f"a model that says benign to everybody: {('', 'upheld', 'refuted')[found.outcome]}; the clinic has "
                  f"{token.balance(clinic.account) - PURSE:+}, the buyer {token.balance(buyer.account) - PURSE:+}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
