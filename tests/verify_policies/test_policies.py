"""Every policy in Python and as a contract, on the same cases; and what they may not depend on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.books import STEP, MemoryWorld, made_up
from ports.evm_world import EvmWorld
from troth.core.encoding import keccak256
from troth.core.errors import BadInput
from troth.core.terms import ENTRY, RUNG, Account
from troth.ledger.sending import call
from troth.verify.policies.signed import Signed
from troth.verify.policies.voices import VERDICT, commit_data, read
from verify_policies.all_cases import cases, shapes
from verify_policies.cases import BENCH, DEAL, rerun_cases, signed_cases

MADE_UP = made_up()


def test_cases_in_python() -> None:
    policies = MemoryWorld().book.policies
    for case in cases(MADE_UP):
        code = policies[MADE_UP.policies[case.policy][0]].code
        assert code.judge(case.question) == case.answer, case.name


def test_shapes_in_python() -> None:
    policies = MemoryWorld().book.policies
    for name, policy, rung, accepted in shapes():
        assert policies[MADE_UP.policies[policy][0]].code.accepts(rung) is accepted, name


def test_cases_as_contracts(chain: EvmWorld) -> None:
    selector = keccak256(f"judge(bytes32,uint8,{RUNG},uint64,{ENTRY}[])".encode())[:4]
    types = ("bytes32", "uint8", RUNG, "uint64", f"{ENTRY}[]")
    for case in cases(chain.addresses):
        asked = case.question
        data = encode(types, (asked.deal, asked.rung, asked.terms.abi(), asked.frozen_at,
                              [entry.abi() for entry in asked.history]))
        found = call(chain.web3, chain.addresses.policies[case.policy][0], selector + data, sender=chain.addresses.book)
        assert decode(["bytes"], found)[0] == (case.answer or b""), case.name


@pytest.mark.parametrize(("name", "policy", "rung", "accepted"), shapes(), ids=[shape[0] for shape in shapes()])
def test_shapes(chain: EvmWorld, name: str, policy: str, rung: object, accepted: bool) -> None:
    selector = keccak256(f"accepts({RUNG})".encode())[:4]
    found = call(chain.web3, chain.addresses.policies[policy][0],
                 selector + encode((RUNG,), (rung.abi(),)))  # type: ignore[attr-defined]
    assert decode(["bool"], found)[0] is accepted


TICKS = {"median2": STEP}
"""Of all others it is 0."""


def test_ticks(chain: EvmWorld) -> None:
    policies = MemoryWorld().book.policies
    for name in {case.policy for case in cases(MADE_UP)}:
        assert policies[MADE_UP.policies[name][0]].code.tick() == TICKS.get(name, 0), name
        found = call(chain.web3, chain.addresses.policies[name][0], keccak256(b"tick()")[:4])
        assert int.from_bytes(found, "big") == TICKS.get(name, 0), name


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_voices_does_not_matter(seed: int) -> None:
    """Within an ask, who came first changes nothing."""
    policies = MemoryWorld().book.policies
    for case in (*rerun_cases(), *signed_cases(MADE_UP)):
        last = len(case.question.terms.asks) - 1
        voices = [entry for entry in case.question.history if (entry.rung, entry.ask) == (1, last)]
        rest = [entry for entry in case.question.history if (entry.rung, entry.ask) != (1, last)]
        random.Random(seed).shuffle(voices)
        code = policies[MADE_UP.policies[case.policy][0]].code
        assert code.judge(replace(case.question, history=(*rest, *voices))) == case.answer, case.name


def test_a_contract_account_may_sign() -> None:
    """ERC-1271: whoever knows says whether a contract accepts the signature; by default nobody is a contract."""
    def contract(account: Account, digest: bytes, signature: bytes) -> bool:
        return account == BENCH[0] and len(digest) == 32 and signature != b""

    case = next(case for case in signed_cases(MADE_UP) if case.name == "signed: another's signature")
    assert Signed(2, MADE_UP.chain_id, MADE_UP.book).judge(case.question) is None
    assert Signed(2, MADE_UP.chain_id, MADE_UP.book, contract).judge(case.question) is not None


def test_a_commit_needs_its_whole_salt() -> None:
    with pytest.raises(BadInput):
        commit_data(DEAL, 1, BENCH[0], b"", b"short")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_reading_any_bytes_never_fails(data: bytes) -> None:
    """Whatever somebody submits, reading it gives values whose one encoding it is, or nothing."""
    found = read(VERDICT, data)
    assert found is None or encode(VERDICT, found) == data
