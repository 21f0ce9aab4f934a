"""Python and the contract hash and read the same bytes the same way."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_terms import digests, entries, results, terms
from eth_abi.abi import decode, encode
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ports.evm_world import EvmWorld
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import (
    ENTRY,
    RUNG,
    Answered,
    Entry,
    Result,
    Root,
    Rule,
    Terms,
    history_hash,
    kind_of,
    label,
)
from troth.ledger.artefacts import artefact
from troth.ledger.evmcodec import long_history, short_history
from troth.ledger.sending import call

RULE = "(uint8,uint8,uint8,uint32,address[],uint128[])"
TERMS = f"(address,uint64,address,(bytes32,address,uint128,address,{RULE}[])[],{RUNG}[])"
"""The contract's struct, as only these tests see it."""
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture,
                                                                     HealthCheck.too_slow])


class Prober:
    """Calls the libraries' functions."""

    def __init__(self, world: EvmWorld) -> None:
        self.web3, self.address = world.web3, world.make("Prober")

    def ask(self, name: str, kinds: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        data = keccak256(f"{name}({','.join(kinds)})".encode())[:4] + encode(kinds, values)
        return call(self.web3, self.address, data, errors=artefact("Book").errors)

    def terms(self, data: bytes) -> bytes | None:
        """The ABI form of the terms that the contract reads, or None where it refuses the bytes."""
        try:
            return self.ask("terms", ("bytes",), (data,))
        except ActRefused as error:
            if error.code != "BadTerms":
                raise
            return None


@pytest.fixture(scope="module")
def prober(probing: EvmWorld) -> Prober:
    return Prober(probing)


@FEW
@given(value=terms)
def test_terms(prober: Prober, value: Terms) -> None:
    """The contract reads from the bytes what Python wrote into them."""
    assert prober.terms(value.to_bytes()) == encode((TERMS,), (whole(value),))


def whole(value: Terms) -> tuple[Any, ...]:
    """Terms as the contract has them in memory."""
    pots = tuple((label(pot.name), pot.depositor, pot.amount, pot.residual,
                  tuple(rule_of(outcome, pot.pays[outcome]) for outcome in sorted(pot.pays))) for pot in value.pots)
    return (value.token, value.fund_by, value.wrong_bonds, pots, tuple(rung.abi() for rung in value.rungs))


def rule_of(outcome: int, rule: Rule) -> tuple[Any, ...]:
    if isinstance(rule, Answered):
        return (outcome, 3, rule.rung, 0, (), ())
    if isinstance(rule, Root):
        return (outcome, 4, 0, rule.term, (), ())
    return (outcome, kind_of(rule), 0, 0, rule.payees, rule.amounts or rule.weights or ())


@FEW
@given(value=terms)
def test_rungs(prober: Prober, value: Terms) -> None:
    """Policies are given what the terms' bytes say."""
    for index, rung in enumerate(value.rungs):
        found = prober.ask("rung", ("bytes", "uint256"), (value.to_bytes(), index))
        assert found == encode((RUNG,), (rung.abi(),))


@settings(max_examples=200, deadline=None)
@given(value=terms)
def test_terms_come_back_from_their_bytes(value: Terms) -> None:
    assert Terms.from_bytes(value.to_bytes()) == value


@settings(FEW, max_examples=150)
@given(value=terms, cuts=st.data())
def test_bytes_that_are_no_terms(prober: Prober, value: Terms, cuts: st.DataObject) -> None:
    """Every altered, shortened or lengthened encoding is the one form of some terms for both, or is refused by both.

    Rules that do not ascend and names that are no UTF-8 are the exception: the contract refuses the first later, as
    BadPot, and does not read the second.
    """
    data = bytearray(value.to_bytes())
    how = cuts.draw(st.sampled_from(("byte", "cut", "more", "small")))
    place = cuts.draw(st.integers(0, len(data) - 1))
    if how == "byte":
        data[place] ^= 1 << cuts.draw(st.integers(0, 7))
    elif how == "small":
        data[place] = cuts.draw(st.integers(0, 3))
    elif how == "cut":
        del data[place:]
    else:
        data += cuts.draw(st.binary(min_size=1, max_size=40))
    expected = None
    try:
        expected = encode((TERMS,), (whole(Terms.from_bytes(bytes(data))),))
    except BadInput as error:
        assume("UTF-8" not in str(error) and "ascend by outcome" not in str(error) and "not a name" not in str(error))
    assert prober.terms(bytes(data)) == expected


@FEW
@given(deal=digests, value=st.lists(entries, max_size=4))
def test_history(prober: Prober, deal: bytes, value: list[Entry]) -> None:
    """Both forms lead to the hash, and the long one to the entries."""
    expected = deal
    for entry in value:
        expected = history_hash(expected, entry)
    kinds = (f"{ENTRY}[]", "bytes32")
    found = decode(kinds, prober.ask("history", ("bytes", "bytes32"), (long_history(value), deal)))
    assert encode(kinds, found) == encode(kinds, ([entry.abi() for entry in value], expected))
    short = short_history(value)
    assert decode(("bytes32", "uint256"), prober.ask("short", ("bytes", "bytes32"), (short, deal))) == (
        expected, len(short))


@FEW
@given(value=results)
def test_results(prober: Prober, value: Result) -> None:
    data = value.to_bytes()
    assert decode(("bool", "bytes"), prober.ask("decode", ("bytes",), (data,))) == (True, data)


@settings(FEW, max_examples=150)
@given(value=results, cuts=st.data())
def test_bytes_that_are_no_result(prober: Prober, value: Result, cuts: st.DataObject) -> None:
    """Every altered, shortened or lengthened encoding is a result for both or for neither, and never a revert."""
    data = bytearray(value.to_bytes())
    how = cuts.draw(st.sampled_from(("word", "byte", "cut", "more")))
    if how == "word":
        at = 32 * cuts.draw(st.integers(0, len(data) // 32 - 1))
        data[at : at + 32] = cuts.draw(st.sampled_from((0, 1, 31, 32, 64, 160, 192, 224, 2**128, 2**160, 2**256 - 1,
                                                        2**255))).to_bytes(32, "big")
    elif how == "byte":
        data[cuts.draw(st.integers(0, len(data) - 1))] ^= 1 << cuts.draw(st.integers(0, 7))
    elif how == "cut":
        del data[cuts.draw(st.integers(0, len(data) - 1)) :]
    else:
        data += cuts.draw(st.binary(min_size=1, max_size=64))
    altered = bytes(data)
    try:
        expected = (True, Result.from_bytes(altered).to_bytes())
    except BadInput:
        expected = (False, b"")
    assert decode(("bool", "bytes"), prober.ask("decode", ("bytes",), (altered,))) == expected
