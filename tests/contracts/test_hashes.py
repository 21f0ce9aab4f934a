"""Python and the contract hash and read the same bytes the same way."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_terms import digests, entries, results, terms
from eth_abi.abi import decode, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports.evm_world import EvmWorld
from troth.core.encoding import keccak256
from troth.core.errors import BadInput
from troth.core.terms import ENTRY, TERMS, Entry, Result, Terms, history_hash
from troth.ledger.evmcodec import HEAD, terms_of
from troth.ledger.sending import call

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture,
                                                                     HealthCheck.too_slow])


class Prober:
    """Calls the libraries' functions."""

    def __init__(self, world: EvmWorld) -> None:
        self.web3, self.address = world.web3, world.make("Prober")

    def ask(self, name: str, kinds: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        data = keccak256(f"{name}({','.join(kinds)})".encode())[:4] + encode(kinds, values)
        return call(self.web3, self.address, data)


@pytest.fixture(scope="module")
def prober(probing: EvmWorld) -> Prober:
    return Prober(probing)


@FEW
@given(value=terms)
def test_terms(prober: Prober, value: Terms) -> None:
    assert prober.ask("terms", (TERMS,), (value.abi(),)) == value.hash()
    assert prober.ask("head", (HEAD,), (value.head(),)) == value.hash()


@settings(max_examples=200, deadline=None)
@given(value=terms)
def test_terms_come_back_from_their_abi_form(value: Terms) -> None:
    (again,) = decode((TERMS,), encode((TERMS,), (value.abi(),)))
    assert terms_of(again) == value
    assert terms_of(again).hash() == value.hash()


@FEW
@given(deal=digests, value=st.lists(entries, max_size=4))
def test_history(prober: Prober, deal: bytes, value: list[Entry]) -> None:
    expected = deal
    for entry in value:
        expected = history_hash(expected, entry)
    assert prober.ask("history", ("bytes32", f"{ENTRY}[]"), (deal, [entry.abi() for entry in value])) == expected


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
