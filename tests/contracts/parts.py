"""A small deal with a puppet for a judge, for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ports.books import World, account
from ports.evm_world import EvmWorld
from troth.core.errors import ActRefused
from troth.core.terms import (
    KEEPER,
    REFUTED,
    SLASHED,
    UPHELD,
    Account,
    Answered,
    Ask,
    Pot,
    Result,
    Rung,
    Split,
    Terms,
    climber,
)
from troth.ledger.sending import call

CLIENT, WORKER, RIVAL, COURT = (account(name) for name in ("client", "worker", "rival", "court"))
BENCH = tuple(account(f"judge {n}") for n in range(2))
HOUR = 3600
PAY, STAKE, FEE, BOND = 1000, 500, 60, 100
SALT = b"\x05" * 32
CLAIM = b"\x11" * 32


def simple(world: World, policy: str = "puppet", token: Account | None = None) -> Terms:
    """Work for pay in two rungs: the worker's word, then two judges'; both policies are puppets unless said."""
    pinned = world.addresses.policies[policy]
    pots = (
        Pot("reward", CLIENT, PAY, {UPHELD: Split((WORKER, KEEPER), amounts=(PAY - 10, 10))}),
        Pot("stake", WORKER, STAKE, {SLASHED: Split((CLIENT,), weights=(1,))}),
        Pot("fee", climber(1), FEE, {UPHELD: Answered(1), REFUTED: Answered(1)}),
    )
    rungs = (
        Rung(*pinned, (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, BOND, REFUTED),
        Rung(*world.addresses.policies["puppet"], (Ask("word", BENCH, HOUR, 2),), HOUR),
    )
    return Terms(world.token if token is None else token, pots, rungs, world.now() + HOUR, COURT)


def with_pot(terms: Terms, index: int, **changes: Any) -> Terms:
    """The terms with one pot changed."""
    pots = list(terms.pots)
    pots[index] = replace(pots[index], **changes)
    return replace(terms, pots=tuple(pots))


def with_rung(terms: Terms, index: int, **changes: Any) -> Terms:
    """The terms with one rung changed."""
    rungs = list(terms.rungs)
    rungs[index] = replace(rungs[index], **changes)
    return replace(terms, rungs=tuple(rungs))


def begin(world: World, terms: Terms) -> bytes:
    """Everybody has money; the deal is open and joined."""
    for who in (CLIENT, WORKER, RIVAL, *BENCH):
        world.fund(who)
    deal = world.book.open(CLIENT, terms, SALT)
    world.book.join(CLIENT, deal, 0)
    world.book.join(WORKER, deal, 1)
    return deal


def claims(world: World, deal: bytes, result: Result | None = None) -> None:
    """The worker answers and the puppet repeats it."""
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + (result or Result(UPHELD)).to_bytes())
    world.book.judge(RIVAL, deal)


def refused(code: str, act: Callable[..., object], *arguments: object) -> None:
    """The act is refused with this code."""
    with pytest.raises(ActRefused) as error:
        act(*arguments)
    assert error.value.code == code


def raw(world: EvmWorld, by: Account, data: bytes) -> None:
    """Calldata straight to the Book, as an attacker would write it."""
    call(world.web3, world.addresses.book, data, sender=by, errors=world.book._errors)
