"""The terms of ``tests/core/test_deals_terms.py`` put to the contract: the same are accepted, the same codes refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.test_deals_terms import BAD, GOOD, NOW
from ports.evm_world import EvmWorld
from troth.core.errors import ActRefused
from troth.core.terms import Terms


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvmWorld]:
    made = EvmWorld(tmp_path_factory.mktemp("terms") / "chain")
    yield made
    made.close()


def code(world: EvmWorld, terms: Terms) -> str:
    """How the contract refuses these terms: all name a token that is not there, which is checked after their shape."""
    shifted = replace(terms, fund_by=terms.fund_by - NOW + world.now())
    with pytest.raises(ActRefused) as error:
        world.book.open(world.addresses.owner, shifted, bytes(32))
    return error.value.code


def test_accepted(world: EvmWorld) -> None:
    assert {name: code(world, terms) for name, terms in GOOD.items()} == dict.fromkeys(GOOD, "BadToken")


def test_refused(world: EvmWorld) -> None:
    assert {why: code(world, terms) for _, why, terms in BAD} == {why: expected for expected, why, _ in BAD}
