"""Deals by Preimage, Quorum and Median on both Books, and what was tried against them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.books import MINT, READINGS, MemoryWorld, World, account
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import (
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
from troth.verify.policies.median import Median
from troth.verify.policies.preimage import hash_lock
from troth.verify.policies.readings import Reading
from verify_policies.cases import asks, said
from verify_policies.cases_readings import asked, reading

BUYER, SELLER, RIVAL, COURT = (account(name) for name in ("buyer", "seller", "rival", "court"))
REPORTERS = tuple(account(f"reporter {n}") for n in range(3))
PRICE, HOUR = 900, 3600
SECRET, SALT, CLAIM = b"\x2a" * 32, b"\x05" * 32, b"\x11" * 32
AGE, LEAST = READINGS


@pytest.fixture(params=["memory", "contract"])
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world of each kind."""
    if request.param == "memory":
        return MemoryWorld()
    found: World = request.getfixturevalue("on_chain")
    return found


def refused(code: str, act: object, *arguments: object) -> None:
    with pytest.raises(ActRefused) as error:
        act(*arguments)  # type: ignore[operator]
    assert error.value.code == code


def sale(world: World) -> Terms:
    """One pot and one rung: the price is the seller's for the secret, or the buyer's again."""
    rung = Rung(*world.addresses.policies["preimage"], (Ask("preimage", (SELLER,), HOUR),), HOUR, silent=REFUTED,
                param=hash_lock(SECRET))
    pots = (Pot("price", BUYER, PRICE, {UPHELD: Split((SELLER,), amounts=(PRICE,))}),)
    return Terms(world.token, pots, (rung,), world.now() + HOUR, COURT)


def sold(world: World) -> bytes:
    """The deal of a sale that runs."""
    for who in (BUYER, SELLER, RIVAL):
        world.fund(who)
    deal = world.book.open(SELLER, sale(world), SALT)
    world.book.join(BUYER, deal, 0)
    return deal


def test_a_secret_for_a_price(world: World) -> None:
    """Two acts by the seller's side: reveal and judge in one, then close, with no window to wait for."""
    deal = sold(world)
    assert world.book.submit_and_judge(SELLER, deal, 0, 0, CLAIM, SECRET) == Result(UPHELD)
    world.book.close(RIVAL, deal)
    assert (world.balance(SELLER), world.balance(BUYER)) == (MINT + PRICE, MINT - PRICE)


@pytest.mark.parametrize("shown", [None, b"", SECRET[:31], SECRET + b"\x00", hash_lock(SECRET)])
def test_no_secret_no_price(world: World, shown: bytes | None) -> None:
    """Silence, rubbish and a wrong secret are the same: the buyer has the price again."""
    deal = sold(world)
    if shown is None:
        world.advance(HOUR)
    else:
        world.book.submit(SELLER, deal, 0, 0, CLAIM, shown)
        refused("TooLate", world.book.submit, SELLER, deal, 0, 0, CLAIM, SECRET)
    assert world.book.judge(RIVAL, deal) == Result(REFUTED)
    world.book.close(RIVAL, deal)
    assert (world.balance(SELLER), world.balance(BUYER)) == (MINT, MINT)


def test_nobody_judges_a_sale(world: World) -> None:
    """Without any verdict the terms' ``silent`` refunds the buyer too."""
    deal = sold(world)
    world.advance(2 * HOUR)
    refused("TooLate", world.book.judge, RIVAL, deal)
    world.book.close(RIVAL, deal)
    assert world.balance(BUYER) == MINT


def test_a_secret_that_was_seen_pays_only_who_was_named(world: World) -> None:
    """Whoever copies a revealed secret out of the queue of transactions is not asked; nor is a late seller."""
    deal = sold(world)
    refused("NotNamed", world.book.submit, RIVAL, deal, 0, 0, CLAIM, SECRET)
    refused("NotNamed", world.book.submit, BUYER, deal, 0, 0, CLAIM, bytes(32))
    world.advance(HOUR)
    refused("TooLate", world.book.submit, SELLER, deal, 0, 0, CLAIM, SECRET)


def test_a_sale_without_a_lock_does_not_open(world: World) -> None:
    terms = sale(world)
    world.fund(BUYER)
    refused("BadPolicy", world.book.open, SELLER, replace(terms, rungs=(replace(terms.rungs[0], param=bytes(32)),)),
            SALT)


def test_secrets_have_one_size() -> None:
    with pytest.raises(BadInput, match="32 bytes"):
        hash_lock(b"short")
    assert hash_lock(bytes(32)).hex() == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"


@pytest.mark.parametrize("numbers", [(2**128, 0, 0), (-1, 0, 0), (0, 1_000_001, 0), (0, -1, 0), (0, 0, 2**64),
                                     (0, 0, -1)])
def test_readings_have_a_range(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match="not a reading"):
        Reading(*numbers).data()
    assert Reading.of(Reading(2**128 - 1, 1_000_000, 2**64 - 1).data()) == Reading(2**128 - 1, 1_000_000, 2**64 - 1)


def insured(world: World) -> Terms:
    """A payout of what the reporters read, at most the pot; they are asked at rung 1, above the insurer's word."""
    at = world.addresses.policies
    pots = (Pot("cover", BUYER, 1000, {UPHELD: Split((SELLER,))}),
            Pot("fee", climber(1), 60, {UPHELD: Answered(1), REFUTED: Answered(1)}),
            *(Pot(f"stake {n}", one, 100, {SLASHED: Split((BUYER,), weights=(1,))})
              for n, one in enumerate(REPORTERS)))
    rungs = (Rung(*at["assumed"], (Ask("result", (BUYER,), HOUR),), HOUR, HOUR, 100, REFUTED),
             Rung(*at["median2"], (Ask("reading", REPORTERS, AGE),), HOUR))
    return Terms(world.token, pots, rungs, world.now() + HOUR, COURT)


def climbed(world: World) -> bytes:
    """The insurer said nothing is due; the insured challenges, and the reporters are asked."""
    for who in (BUYER, SELLER, *REPORTERS):
        world.fund(who)
    deal = world.book.open(BUYER, insured(world), SALT)
    for who, pot in ((BUYER, 0), *((one, 2 + n) for n, one in enumerate(REPORTERS))):
        world.book.join(who, deal, pot)
    world.book.submit_and_judge(BUYER, deal, 0, 0, CLAIM, Result(UPHELD, (0,)).to_bytes())
    world.book.challenge(SELLER, deal)
    return deal


def report(world: World, deal: bytes, who: Account, value: int, confidence: int = LEAST, age: int = 0) -> None:
    world.book.submit(who, deal, 0, 0, CLAIM, Reading(value, confidence, world.now() - age).data())


def test_a_payout_by_the_median(world: World) -> None:
    """A liar does not move it, and loses its stake and its seat's fee."""
    deal = climbed(world)
    for who, value in zip(REPORTERS, (700, 10**9, 700), strict=True):
        report(world, deal, who, value)
    found = world.book.judge(RIVAL, deal)
    assert found == Result(UPHELD, (700,), frozenset({REPORTERS[1]}))
    world.book.close(RIVAL, deal)
    paid = [world.balance(one) - MINT for one in (SELLER, *REPORTERS)]
    assert paid == [700 - 60 + 20, 20, -100, 20], "right, so the bond came back; of the fee only the liar's seat"


def test_readings_that_do_not_count_leave_a_rung_silent(world: World) -> None:
    """One fresh reading of k = 2: silence keeps what the insurer said, whoever judges and however late."""
    deal = climbed(world)
    world.advance(1)
    for who, confidence, age in zip(REPORTERS, (LEAST, LEAST - 1, LEAST), (0, 0, AGE + 1), strict=True):
        report(world, deal, who, 700, confidence, age)
    refused("NoVerdict", world.book.judge, RIVAL, deal)
    world.advance(HOUR)
    refused("TooLate", world.book.judge, RIVAL, deal)
    world.book.close(RIVAL, deal)
    assert world.balance(SELLER) == MINT, "unanswered: bond back, and the fee"


def test_waiting_makes_nobodys_reading_too_old(world: World) -> None:
    """The last reporter keeps the others waiting to the last second, and beyond it; a late judge changes nothing."""
    deal = climbed(world)
    start = world.now()
    report(world, deal, REPORTERS[0], 700)
    report(world, deal, REPORTERS[1], 700)
    world.until(start + AGE)
    refused("TooLate", report, world, deal, REPORTERS[2], 5)
    world.advance(HOUR - 60)
    assert world.book.judge(RIVAL, deal).values == (700,)


@given(st.integers(1, 16), st.integers(0, 16), st.data())
def test_few_liars_do_not_move_the_median(honest: int, extra: int, data: st.DataObject) -> None:
    """With at most (k - 1) / 2 liars among k or more readings the median lies within what honest reporters read."""
    total = honest + extra
    k = total // 2 + 1
    liars = min(extra, (k - 1) // 2)
    people = tuple(account(f"reporter {n}") for n in range(honest + liars))
    bench = (*people, *(account(f"sleeper {n}") for n in range(total - len(people))))
    truth = data.draw(st.lists(st.integers(1000, 1100), min_size=honest, max_size=honest))
    lies = data.draw(st.lists(st.integers(0, 2**128 - 1), min_size=liars, max_size=liars))
    order = data.draw(st.permutations(list(zip(people, (*truth, *lies), strict=True))))
    entries = [said(who, 0, reading(value)) for who, value in order]
    policy = Median(k, AGE, LEAST)
    found = policy.judge(asked(asks(Ask("reading", bench, 5)), *entries))
    assert policy.tick() == 0
    if len(people) < k:
        assert found is None
    else:
        assert found is not None
        result = Result.from_bytes(found)
        assert min(truth) <= result.values[0] <= max(truth)
        assert not result.slashed, "unless a spread is stated"


@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=9), st.integers(0, 2**32 - 1))
def test_slashing_needs_k_against_one(values: list[int], spread: int) -> None:
    """Whatever is read: nobody is slashed unless k lie within the spread of the median, which never slashes itself."""
    people = tuple(account(f"reporter {n}") for n in range(len(values)))
    k = len(values) // 2 + 1
    entries = [said(who, 0, reading(value)) for who, value in zip(people, values, strict=True)]
    found = Median(k, AGE, LEAST, spread).judge(asked(asks(Ask("reading", people, 5)), *entries))
    assert found is not None
    result = Result.from_bytes(found)
    assert len(values) - len(result.slashed) >= k
    assert result.values[0] in {value for who, value in zip(people, values, strict=True) if who not in result.slashed}
