"""The terms of ``tests/core/test_deals_terms.py`` put to the contract: the same are accepted, the same codes refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.test_deals_terms import BAD, GOOD, NOW
from ports.books import World
from ports.evm_world import EvmWorld
from troth.core.deals_terms import check
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import Terms
from troth.ledger.evmcodec import calldata
from troth.ledger.sending import call


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvmWorld]:
    made = EvmWorld(tmp_path_factory.mktemp("terms") / "chain")
    yield made
    made.close()


def code(world: World, terms: Terms) -> str:
    """How a Book refuses these terms: all name a token that is not there, which is checked after their shape."""
    shifted = replace(terms, fund_by=terms.fund_by - NOW + world.now())
    with pytest.raises(ActRefused) as error:
        world.book.open(world.addresses.owner, shifted, bytes(32))
    return error.value.code


def test_accepted(world: EvmWorld) -> None:
    assert {name: code(world, terms) for name, terms in GOOD.items()} == dict.fromkeys(GOOD, "BadToken")


def test_refused(world: EvmWorld) -> None:
    assert {why: code(world, terms) for _, why, terms in BAD} == {why: expected for expected, why, _ in BAD}


CODES = ("BadShape", "BadTimes", "BadBond", "BadSilent", "BadPot", "BadWrongBonds", "BadBench")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(GOOD)), cuts=st.data())
def test_altered_bytes(world: EvmWorld, name: str, cuts: st.DataObject) -> None:
    """Terms with a byte changed, bytes cut or added: what Python cannot read, the contract does not take; what it can,
    both refuse alike. The contract minds no name that is no UTF-8.
    """
    shifted = replace(GOOD[name], fund_by=GOOD[name].fund_by - NOW + world.now())
    data = bytearray(shifted.to_bytes())
    place = cuts.draw(st.integers(0, len(data) - 1))
    how = cuts.draw(st.sampled_from(("bit", "small", "small", "cut", "more")))
    if how == "bit":
        data[place] ^= 1 << cuts.draw(st.integers(0, 7))
    elif how == "small":
        data[place] = cuts.draw(st.integers(0, 5))
    elif how == "cut":
        del data[place:]
    else:
        data[place:place] = cuts.draw(st.binary(min_size=1, max_size=3))
    with pytest.raises(ActRefused) as error:
        call(world.web3, world.addresses.book, calldata("open", bytes(32), bytes(data)), errors=world.book._errors)
    expected = refusal(bytes(data), world.now())
    assert (error.value.code != "BadToken") if expected is None else (error.value.code in expected)


def refusal(data: bytes, now: int) -> tuple[str, ...] | None:
    """How the rules may refuse these terms at this time; their token is nowhere. None: they are no terms at all."""
    try:
        terms = Terms.from_bytes(data)
    except BadInput as error:
        # Of names the contract reads the length alone.
        return ("BadToken", "BadTerms", *CODES) if "UTF-8" in str(error) or "not a name" in str(error) else None
    try:
        check(terms, now)
    except ActRefused as error:
        return (error.code,)
    return ("BadToken",)
