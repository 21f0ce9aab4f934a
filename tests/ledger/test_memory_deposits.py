"""Permits and authorizations on ``MemoryBook``, as ``tests/contracts/test_deposits.py`` has them on the contract."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from ports.books import MemoryWorld, account, key
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput
from troth.core.ports import Consent
from troth.core.terms import REFUTED, UPHELD, Ask, Pot, Rung, Split, Terms
from troth.core.typed_data import authorization_digest, authorization_nonce, permit_digest
from troth.ledger.memory_token import MemoryToken

BUYER, SELLER, OTHER, COURT, HOUR = account("buyer"), account("seller"), account("other"), account("court"), 3600
DOMAIN = keccak256(b"a token's domain")


def opened(fee: int = 0) -> tuple[MemoryWorld, bytes, MemoryToken]:
    """A deal of one pot, of a token that takes signatures; nothing is approved."""
    world = MemoryWorld()
    token = world.book.tokens[world.token] = MemoryToken(domain=DOMAIN, fee=fee)
    token.mint(BUYER, 5_000)
    rung = Rung(*world.addresses.policies["assumed"], (Ask("delivery", (SELLER,), HOUR),), HOUR, silent=REFUTED)
    pots = (Pot("price", BUYER, 1_000, {UPHELD: Split((SELLER,), (1_000,))}),)
    terms = Terms(world.token, pots, (rung,), world.now() + HOUR, COURT)
    return world, world.book.open(SELLER, terms, bytes(32)), token


def refused(code: str, act: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(ActRefused) as error:
        act(*arguments)
    assert error.value.code == code


def test_permits() -> None:
    world, deal, token = opened()
    book, deadline = world.book, world.now() + 60

    def signed(amount: int = 1_000, until: int = deadline, by: str = "buyer", nonce: int = 0) -> bytes:
        return key(by).sign_digest(permit_digest(DOMAIN, BUYER, book.address, amount, nonce, until))

    for wrong in (signed(999), signed(until=deadline + 1), signed(by="other"), signed(nonce=1), bytes(65)):
        refused("TransferFailed", book.join_with_permit, BUYER, deal, 0, deadline, wrong)
    refused("TransferFailed", book.join_with_permit, BUYER, deal, 0, deadline - 61, signed(until=deadline - 61))
    refused("NotDepositor", book.join_with_permit, OTHER, deal, 0, deadline, signed())
    with pytest.raises(BadInput):
        book.join_with_permit(BUYER, deal, 0, deadline, b"short")
    token.transfer(BUYER, OTHER, 4_500)
    refused("TransferFailed", book.join_with_permit, BUYER, deal, 0, deadline, signed())
    assert (token.nonce_of(BUYER), token.allowance(BUYER, book.address)) == (0, 0)  # nothing stays of what is refused
    token.transfer(OTHER, BUYER, 4_500)
    token.permit(BUYER, book.address, 1_000, deadline, signed(), world.now())  # somebody was faster
    assert token.nonce_of(BUYER) == 1
    book.join_with_permit(BUYER, deal, 0, deadline, signed())
    assert (token.balance_of(BUYER), book.state(deal).status) == (4_000, "running")


def test_authorizations() -> None:
    world, deal, token = opened()
    book, now = world.book, world.now()

    def signed(after: int = 0, before: int = now + 60, pot: int = 0, of: bytes = deal, by: str = "buyer") -> bytes:
        nonce = authorization_nonce(of, pot)
        digest = authorization_digest(DOMAIN, BUYER, book.address, 1_000, after, before, nonce)
        return key(by).sign_digest(digest)

    def bring(signature: bytes, after: int = 0, before: int = now + 60) -> None:
        book.join_with_authorization(OTHER, deal, 0, after, before, signature)

    for wrong in (signed(after=1), signed(before=now + 61), signed(pot=1), signed(of=bytes(32)), signed(by="other")):
        refused("TransferFailed", bring, wrong)
    refused("TransferFailed", bring, signed(after=now), now)
    refused("TransferFailed", bring, signed(before=now), 0, now)
    bring(signed())
    assert (token.balance_of(BUYER), book.state(deal).status) == (4_000, "running")
    with pytest.raises(ActRefused):
        token.receive_with_authorization(BUYER, book.address, 1_000, (0, now + 60), authorization_nonce(deal, 0),
                                         signed(), now)


def test_a_token_that_takes_a_fee_brings_less() -> None:
    world, deal, token = opened(fee=1)
    nonce = authorization_nonce(deal, 0)
    good = key("buyer").sign_digest(authorization_digest(DOMAIN, BUYER, world.book.address, 1_000, 0, 2**40, nonce))
    refused("TransferFailed", world.book.join_with_authorization, OTHER, deal, 0, 0, 2**40, good)
    assert token.balance_of(BUYER) == 5_000


def test_an_act_that_no_contract_could_be_given_changes_nothing() -> None:
    """The opener's deposit was taken before an expiry of more than 256 bits was seen, and stayed taken."""
    world, deal, token = opened()
    book = world.book
    token.approve(BUYER, book.address, 1_000)
    terms = book.state(deal).terms
    two = replace(terms, pots=(*terms.pots, Pot("more", OTHER, 5, {})))
    for expiry in (2**256, 2**64, -1):
        with pytest.raises(BadInput):
            book.open_and_join(BUYER, two, bytes(32), 0, [Consent(1, expiry, bytes(65))])
        with pytest.raises(BadInput):
            book.join_with_consent(OTHER, deal, 0, expiry, bytes(65))
    for time in (2**256, -1):
        with pytest.raises(BadInput):
            book.join_with_permit(BUYER, deal, 0, time, bytes(65))
        with pytest.raises(BadInput):
            book.join_with_authorization(OTHER, deal, 0, 0, time, bytes(65))
    assert (token.balance_of(BUYER), token.balance_of(book.address)) == (5_000, 0)
