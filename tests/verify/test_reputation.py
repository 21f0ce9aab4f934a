"""Standings from payments: what reaches an account, and what a thousand keys of one hand can do to it: nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import Misuse
from troth.core.terms import CHALLENGER, DEPOSITOR, REFUTED, SLASHED, UPHELD, Pot, Split
from troth.ledger.readings import AsOf
from troth.verify.reputation import History, Lost, Paid, Reputation, is_stake

AS_OF = AsOf(1, bytes(32), 1)
STAKE = 1 << 40


def who(number: int) -> bytes:
    return number.to_bytes(20, "big")


def paid(payer: int, payee: int, amount: int, stake: int = STAKE) -> Paid:
    return Paid(bytes(32), who(payer), who(payee), amount, stake)


def reader(payments: list[Paid], lost: tuple[Lost, ...] = (), trusted: tuple[int, ...] = (0,)) -> Reputation:
    return Reputation(History(AS_OF, frozenset({who(999)}), tuple(payments), lost), frozenset(map(who, trusted)))


edges = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 100)).filter(
    lambda edge: edge[0] != edge[1]), max_size=16)
inside = st.lists(st.tuples(st.integers(100, 107), st.integers(100, 107), st.integers(1, 10**9)).filter(
    lambda edge: edge[0] != edge[1]), max_size=30)
outward = st.lists(st.tuples(st.integers(100, 107), st.integers(1, 7), st.integers(1, 10**9)), max_size=6)


@settings(max_examples=40)
@given(edges, inside, outward)
def test_keys_that_nobody_paid_move_nobody(honest: list[tuple[int, int, int]], ring: list[tuple[int, int, int]],
                                           praise: list[tuple[int, int, int]]) -> None:
    """Whatever fresh keys pay each other, or to anybody else."""
    before = reader([paid(*edge) for edge in honest])
    after = reader([paid(*edge) for edge in (*honest, *ring, *praise)])
    for number in range(1, 8):
        one, other = before.of(who(number)), after.of(who(number))
        assert (one.score, one.earned, one.direct, one.paid) == (other.score, other.earned, other.direct, other.paid)
    for number in range(100, 108):
        assert (after.of(who(number)).score, after.of(who(number)).earned) == (0, 0)


@settings(max_examples=40)
@given(edges, st.integers(1, 7), inside)
def test_who_was_paid_once_shows_at_most_that_however_it_pays_on(
        honest: list[tuple[int, int, int]], cheat: int, ring: list[tuple[int, int, int]]) -> None:
    """An account with standing pays keys of its own in circles: they show at most its own, all together too."""
    before = reader([paid(*edge) for edge in honest]).of(who(cheat))
    keys = [who(cheat), *map(who, range(100, 108))]
    out = [(cheat, 100 + at, 10**9) for at in range(8)] + [(100 + at, cheat, 10**9) for at in range(8)]
    after = reader([paid(*edge) for edge in (*honest, *ring, *out)])
    assert after.of(who(cheat)).earned == before.earned
    assert after.together(keys) == before.earned
    assert all(after.of(key).earned <= before.earned for key in keys)


def test_a_thousand_fresh_keys_praise_each_other_and_it_moves_by_zero() -> None:
    """Rings, cliques and stars of 1,000 keys, which pay the one who made them as well; exactly nothing moves."""
    dice = random.Random(1)
    honest = [paid(0, 1, 700), paid(1, 2, 500), paid(0, 2, 50), paid(2, 0, 20)]
    fresh = range(1_000, 2_000)
    praise = [paid(key, key + 1 if key + 1 in fresh else 1_000, 10**9) for key in fresh]
    praise += [paid(dice.choice(fresh), dice.choice(fresh), dice.randint(1, 10**9)) for _ in range(5_000)]
    praise += [paid(key, 3, 10**9) for key in fresh]  # the one they want to lift
    before, after = reader(honest), reader([*honest, *(one for one in praise if one.payer != one.payee)])
    for number in (1, 2, 3):
        one, other = before.of(who(number)), after.of(who(number))
        assert (one.score, one.earned, one.paid) == (other.score, other.earned, other.paid)
    assert after.of(who(3)).score == 0
    assert {after.of(who(key)).score for key in range(1_000, 2_000, 97)} == {0}
    assert after.together(map(who, (3, *fresh))) == 0


def test_what_a_standing_is_by_hand() -> None:
    """The reader paid 1 for staked work, who paid 2; 2 lost a stake; 3 paid the reader."""
    found = reader([paid(0, 1, 100), paid(1, 2, 300), paid(0, 2, 30, stake=10), paid(3, 0, 40), paid(3, 1, 5)],
                   (Lost(bytes(32), who(2), 50),))
    one, two, three = (found.of(who(number)) for number in (1, 2, 3))
    assert (one.direct, one.earned, one.score, one.deals, one.roles) == (100, 100, 100, 1, {"worker": 100})
    assert (two.direct, two.earned, two.lost, two.score) == (10, 110, 50, 60), "30 against a stake of 10 counts for 10"
    assert (three.earned, three.paid, three.score) == (0, 40, 0)
    assert reader([paid(0, 1, 1)], (Lost(bytes(32), who(1), 9),)).of(who(1)).score == 0
    with pytest.raises(Misuse, match="trusted beforehand"):
        found.of(who(0))


def test_roles_are_counted_apart() -> None:
    """Called as a verifier by somebody whom the reader paid, and paid for work by the reader."""
    judged = replace(paid(1, 2, 70), role="verifier")
    found = reader([paid(0, 1, 60), judged, paid(0, 2, 5)]).of(who(2))
    assert (found.earned, found.roles) == (65, {"worker": 5, "verifier": 60})


def test_what_is_a_stake() -> None:
    """A pot that only ever goes back is no stake, whatever it is called."""
    mine, other = who(1_001), who(1_002)
    assert is_stake(Pot("stake", mine, 5, {SLASHED: Split((CHALLENGER,), amounts=(2,))}, mine))
    assert is_stake(Pot("stake", mine, 5, {REFUTED: Split((other,), amounts=(5,))}, mine))
    assert not is_stake(Pot("stake", mine, 5, {UPHELD: Split((mine,), amounts=(5,))}, mine))
    assert not is_stake(Pot("stake", mine, 5, {}, DEPOSITOR))
    assert not is_stake(Pot("price", mine, 5, {UPHELD: Split((other,), amounts=(5,))}))
    assert not is_stake(Pot("stake", mine, 5, {REFUTED: Split((DEPOSITOR,), amounts=(5,))}))
    assert not is_stake(Pot("fee", who(0x11), 5, {UPHELD: Split((other,), amounts=(5,))}))
