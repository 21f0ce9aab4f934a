"""A statement's proof in a deal: the policy Proof upholds it for this deal, and a fair bank is paid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ports.books import account
from troth.compute.provers.groth16 import Groth16
from troth.compute.statements.audits import Fairness
from troth.compute.statements.statement import prove
from troth.compute.statements.tables import Column, Layout, Table
from troth.core.terms import REFUTED, UPHELD, Ask, Result
from troth.verify.groth16 import Proof as Bytes
from troth.verify.groth16 import VerifyingKey
from troth.verify.policies.proof import Proof, answer_context, answer_data, key_name, proof_param
from verify_policies.cases import DEAL, WORKER, asks, question, said

pytest.importorskip("zksnake")
CHAIN, BOOK = 31337, account("book")


def test_a_fair_bank_is_upheld_by_the_policy() -> None:
    layout = Layout((Column("group", 0, 1), Column("decision", 0, 1)), 24, 24)
    table = Table.of(layout, [(at % 2, at % 4 < 2) for at in range(24)], bytes(range(32)))
    statement, prover = Fairness(layout, "group", "decision"), Groth16()
    instance, keys = statement.instance(table, 50_000, 12), prover.setup(statement.circuit)
    key = VerifyingKey(keys.verifying)
    fixed = [instance.publics[name] for name in statement.publics]      # commitment, limit, least: all the deal's
    rung = replace(asks(Ask("answer", (WORKER,), 5)), param=proof_param(key_name(key), fixed))
    policy = Proof({key_name(key): key}.get, CHAIN, BOOK)

    def answered(deal: bytes, publics: list[int] = fixed) -> bytes:
        context = answer_context(CHAIN, BOOK, deal, 1, WORKER)
        proven = prove(statement, instance, context, prover, keys)
        data = answer_data(key_name(key), Bytes(proven.proof), publics, [])
        return policy.judge(question(rung, said(WORKER, 0, data)))

    assert answered(DEAL) == Result(UPHELD).to_bytes()
    assert answered(bytes(32)) == Result(REFUTED).to_bytes()      # for another deal
    assert answered(DEAL, [fixed[0], 40_000, fixed[2]]) == Result(REFUTED).to_bytes()      # says it is fairer
