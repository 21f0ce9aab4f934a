"""Whole deals with a jury on top, in memory and on a chain, and the attacks: each ends with the adversary poorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import comb
from pathlib import Path

import pytest

from contracts.court_parts import (
    BAD,
    BOND,
    CHEAT,
    CLIENT,
    GOOD,
    HOUR,
    KEEP_ALIVE,
    PAY,
    RESULTS,
    RIVAL,
    STAKE,
    VERIFIERS,
    WORKER,
    Courts,
    ask,
    carried,
    closed,
    committed,
    drawn,
    extra_of,
    fill,
    gained,
    job,
    over,
    refused,
    to_court,
    voted,
    worth,
    worths,
)
from ports.books import account
from ports.courts import JURORS, RULES, SEATS, SINK, EvmCourts, ManualBlocks, MemoryCourts
from troth.core.jury_state import Case
from troth.core.seats import choices_hash, encoded, involved
from troth.core.terms import REFUTED, UPHELD, Account, Result

CASE_COST = SEATS * RULES.fee


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> EvmCourts:
    world = EvmCourts(path=tmp_path_factory.mktemp("courts") / "chain")
    world.close()
    return world


@pytest.fixture(params=["memory", "evm"])
def world(request: pytest.FixtureRequest, deployed: EvmCourts, tmp_path: Path) -> Iterator[Courts]:
    if request.param == "memory":
        yield MemoryCourts()
        return
    copy = EvmCourts(path=tmp_path / "chain", origin=deployed)
    yield copy
    copy.close()


@pytest.fixture
def memory() -> MemoryCourts:
    """For what a jury does alone: there ``tests/stateful/test_jury.py`` holds the contract to the same."""
    return MemoryCourts()


# -- whole deals -------------------------------------------------------------------------------------------------------


def test_a_jury_overturns_bought_verifiers(world: Courts) -> None:
    """Two rungs say the work is good; the client appeals, a jury looks, and the cheat's stake pays."""
    fill(world)
    deal, terms = to_court(world)
    before = worth(world, CLIENT)
    dispute = ask(world, deal)
    assert worth(world, CLIENT) == before - CASE_COST
    jurors = drawn(world, dispute, extra_of(world, deal))
    assert len(jurors) == SEATS
    had = {juror: worth(world, juror) for juror in set(jurors)}
    voted(world, dispute, 2)
    refused("NotRuled", world.seat.answer, KEEP_ALIVE, deal, RESULTS)
    over(world, dispute)
    assert carried(world, deal, terms).outcome == REFUTED
    # Right against both: each bond back, and the stake but for one unit that two shares leave over.
    assert gained(world, WORKER) == -STAKE
    assert gained(world, CLIENT) == STAKE - 1 - 60 - 20
    for juror in set(jurors):
        assert worth(world, juror) == had[juror] + jurors.count(juror) * RULES.fee


def test_a_cheat_that_appeals_loses_bond_and_fee(world: Courts) -> None:
    """Honest work, confirmed; a rival with a grudge climbs to the jury and is wrong."""
    fill(world)
    deal, terms = to_court(world, climbs=RIVAL)
    coins = worth(world, RIVAL)
    dispute = ask(world, deal, RIVAL)
    drawn(world, dispute, extra_of(world, deal, RIVAL))
    voted(world, dispute, 1)
    over(world, dispute)
    assert carried(world, deal, terms).outcome == UPHELD
    assert gained(world, WORKER) == PAY
    assert gained(world, RIVAL) == -2 * BOND
    assert worth(world, RIVAL) == coins - CASE_COST


def test_a_verdict_below_can_be_the_choice(world: Courts) -> None:
    """Choices that name no result take the verdicts of the rungs below, in order."""
    fill(world)
    choices = (None, None, Result(7))
    terms = job(world, choices=choices)
    deal, _ = to_court(world, BAD, GOOD, terms=terms)
    results = encoded(choices)
    assert choices_hash(results) == terms.rungs[2].param
    dispute = world.seat.ask(CLIENT, deal, results, world.seat.cost(CLIENT, deal))
    drawn(world, dispute, extra_of(world, deal))
    voted(world, dispute, 1)
    over(world, dispute)
    world.seat.answer(KEEP_ALIVE, deal, results)
    world.book.judge(KEEP_ALIVE, deal)
    final = closed(world, deal, terms)
    # Rung 0's verdict: good. The verifiers' BAD is overturned and the worker keeps its stake.
    assert (final.outcome, final.slashed) == (UPHELD, frozenset())
    assert gained(world, WORKER) == PAY


# -- attacks -----------------------------------------------------------------------------------------------------------


def test_stalled_jury_keeps_and_pays_for_it(world: Courts) -> None:
    """Jurors who say nothing rule nothing: the verdict below stands; they lose, and their fees are nobody's."""
    fill(world)
    deal, terms = to_court(world, BAD, climbs=CHEAT)
    coins = worth(world, CHEAT)
    dispute = ask(world, deal, CHEAT)
    jurors = drawn(world, dispute, extra_of(world, deal, CHEAT))
    had = {juror: worth(world, juror) for juror in set(jurors)}
    voted(world, dispute, lambda _: None)
    over(world, dispute)
    refused("NoRuling", world.seat.answer, KEEP_ALIVE, deal, RESULTS)
    assert closed(world, deal, terms).outcome == REFUTED
    for juror in set(jurors):
        assert worth(world, juror) == had[juror] - jurors.count(juror) * RULES.penalty
    assert world.court().credits[SINK] == SEATS * (RULES.penalty + RULES.fee)
    assert worth(world, CHEAT) == coins - CASE_COST
    assert gained(world, CHEAT) == 0


def test_copying_a_vote_buys_a_penalty(memory: MemoryCourts) -> None:
    """A commitment fits one juror: whoever repeats another's cannot reveal it."""
    fill(memory, jurors=JURORS)
    deal, _ = to_court(memory)
    dispute = ask(memory, deal)
    jurors = drawn(memory, dispute, extra_of(memory, deal))
    copier, first = (sorted(set(jurors)) * 2)[:2]
    if copier == first:
        pytest.skip("one juror has all seats")
    had = worth(memory, copier)
    digest = memory.jury.vote_hash(dispute, 0, first, 2, first + bytes(12))
    committed(memory, dispute, copier, digest)
    for other in set(jurors) - {copier}:
        committed(memory, dispute, other, memory.jury.vote_hash(dispute, 0, other, 2, other + bytes(12)))
    memory.advance(RULES.commit)
    for other in set(jurors) - {copier}:
        memory.jury.reveal(other, dispute, 2, other + bytes(12))
    refused("BadReveal", memory.jury.reveal, copier, dispute, 2, first + bytes(12))
    memory.advance(RULES.reveal)
    over(memory, dispute)
    assert worth(memory, copier) == had - jurors.count(copier) * RULES.penalty


def test_a_vote_shown_to_a_briber_is_void(memory: MemoryCourts) -> None:
    """Who sells its vote must show it; whoever sees it can void it, the briber too."""
    fill(memory)
    deal, _ = to_court(memory)
    dispute = ask(memory, deal)
    jurors = drawn(memory, dispute, extra_of(memory, deal))
    seller = jurors[0]
    had = worth(memory, seller)
    salt = b"\x07" * 32
    committed(memory, dispute, seller, memory.jury.vote_hash(dispute, 0, seller, 1, salt))
    refused("BadReveal", memory.jury.denounce, RIVAL, dispute, seller, 2, salt)
    memory.jury.denounce(RIVAL, dispute, seller, 1, salt)
    memory.advance(RULES.commit)
    refused("Told", memory.jury.reveal, seller, dispute, 1, salt)
    memory.advance(RULES.reveal)
    over(memory, dispute)
    assert worth(memory, seller) == had - jurors.count(seller) * RULES.penalty
    assert worth(memory, RIVAL) == worth(memory, CHEAT)


def test_nobody_can_grind_the_draw(world: Courts) -> None:
    """The seed comes after the case; what is staked or unstaked after it changes no seat."""
    fill(world)
    deal, _ = to_court(world, climbs=CHEAT)
    dispute = ask(world, deal, CHEAT)
    # One case a deal: there is no second throw.
    refused("Asked", world.seat.ask, CHEAT, deal, RESULTS, CASE_COST)
    # Nothing to look at yet.
    refused("TooEarly", world.jury.seed, CHEAT, dispute)
    refused("NotSeeded", world.jury.draw, CHEAT, dispute, extra_of(world, deal, CHEAT))
    friend = account("briber")
    before = worth(world, friend)
    # The seed is known now, and the cheat's friend buys tickets and a juror tries to leave.
    world.mine(RULES.delay + 1)
    world.jury.stake(friend, 20 * RULES.unit)
    world.jury.seed(CHEAT, dispute)
    refused("Seeded", world.jury.rearm, CHEAT, dispute)
    leaver = 0
    owner = world.court().tickets[leaver].juror
    world.jury.unstake(owner, (leaver,))
    refused("TooEarly", world.jury.take, owner, (leaver,))
    extra = extra_of(world, deal, CHEAT)
    for most in (1, 2, 256):
        world.jury.draw(KEEP_ALIVE, dispute, extra, most)
        if world.court().disputes[dispute].rounds[0].drawn_at:
            break
    seats = world.court().disputes[dispute].rounds[0].seats
    assert len(seats) == SEATS
    assert friend not in dict(seats)
    assert worth(world, friend) == before


def test_a_missed_seed_block_is_set_again(memory: MemoryCourts) -> None:
    """Where nobody recorded the seed in time, a later block serves; too late for any, the fee returns."""
    fill(memory)
    deal, terms = to_court(memory)
    coins = worth(memory, CLIENT)
    dispute = ask(memory, deal)
    memory.mine(10)
    refused("TooEarly", memory.jury.rearm, KEEP_ALIVE, dispute)
    memory.mine(256)
    refused("BadHeader", memory.jury.seed, KEEP_ALIVE, dispute)
    memory.jury.rearm(KEEP_ALIVE, dispute)
    refused("TooEarly", memory.jury.seed, KEEP_ALIVE, dispute)
    memory.advance(RULES.draw)
    refused("NotDrawing", memory.jury.seed, KEEP_ALIVE, dispute)
    over(memory, dispute)
    refused("NoRuling", memory.seat.answer, KEEP_ALIVE, deal, RESULTS)
    assert closed(memory, deal, terms).outcome == UPHELD
    assert worth(memory, CLIENT) == coins


def test_parties_and_challengers_are_never_drawn(world: Courts) -> None:
    """A third of the pool is theirs, and none of them judges; others take the seats. More, and there is no case."""
    for party in (WORKER, CLIENT, RIVAL):
        world.jury.stake(party, 3 * RULES.unit)
    fill(world, 4, JURORS[:4])
    deal, terms = to_court(world, climbs=RIVAL)
    refused("ExcludesTooMany", ask, world, deal, RIVAL)
    world.jury.stake(JURORS[3], 2 * RULES.unit)
    world.advance(1)
    dispute = ask(world, deal, RIVAL)
    extra = extra_of(world, deal, RIVAL)
    assert Case.decode(extra).excluded == involved(terms, world.book.state(deal).history)
    assert {WORKER, CLIENT, RIVAL, *VERIFIERS} <= set(Case.decode(extra).excluded)
    assert set(drawn(world, dispute, extra)) <= set(JURORS[:4])


def test_a_vote_is_committed_once(memory: MemoryCourts) -> None:
    fill(memory)
    deal, _ = to_court(memory)
    dispute = ask(memory, deal)
    jurors = drawn(memory, dispute, extra_of(memory, deal))
    had = worth(memory, jurors[0])
    for choice, code in ((1, None), (2, "Committed")):
        digest = memory.jury.vote_hash(dispute, 0, jurors[0], choice, bytes(32))
        if code is None:
            committed(memory, dispute, jurors[0], digest)
        else:
            refused(code, memory.jury.commit, jurors[0], dispute, digest, memory.jury.deposit(dispute, jurors[0]))
    refused("NotJuror", memory.jury.commit, CHEAT, dispute, digest, 0)
    for other in set(jurors) - {jurors[0]}:
        committed(memory, dispute, other, memory.jury.vote_hash(dispute, 0, other, 2, bytes(32)))
    memory.advance(RULES.commit)
    refused("BadReveal", memory.jury.reveal, jurors[0], dispute, 2, bytes(32))
    for other in set(jurors) - {jurors[0]}:
        memory.jury.reveal(other, dispute, 2, bytes(32))
    memory.advance(RULES.reveal)
    over(memory, dispute)
    assert worth(memory, jurors[0]) == had - jurors.count(jurors[0]) * RULES.penalty


def test_an_appeal_at_the_last_second(memory: MemoryCourts) -> None:
    """The larger jury gets all its periods, its ruling still reaches the deal, and the one who stalled pays for it."""
    fill(memory, 6)
    deal, terms = to_court(memory)
    extra = extra_of(memory, deal)
    dispute = ask(memory, deal)
    coins = worth(memory, CHEAT)
    drawn(memory, dispute, extra)
    voted(memory, dispute, 2)
    spent = 0
    for size in (2 * SEATS + 1, 4 * SEATS + 3):
        memory.advance(RULES.appeal - 1)
        price = memory.jury.appeal_cost(dispute)
        assert price == size * RULES.fee >= 2 * spent
        refused("WrongFee", memory.jury.appeal, CHEAT, dispute, extra, price - 1)
        refused("BadCase", memory.jury.appeal, CHEAT, dispute, Case(SEATS).encode(), price)
        memory.jury.appeal(CHEAT, dispute, extra, price)
        spent = price
        memory.advance(RULES.draw - 10)
        jurors = drawn(memory, dispute, extra)
        assert len(jurors) == size
        assert CHEAT not in jurors
        voted(memory, dispute, 2)
    # No round is left, so no period to appeal in.
    refused("NotAppealable", memory.jury.appeal, CHEAT, dispute, extra, 10**6)
    memory.jury.execute_ruling(KEEP_ALIVE, dispute)
    for number in range(3):
        memory.jury.settle(KEEP_ALIVE, dispute, number)
    assert carried(memory, deal, terms).outcome == REFUTED
    assert worth(memory, CHEAT) == coins - (2 * SEATS + 1 + 4 * SEATS + 3) * RULES.fee


def test_the_first_jury_pays_when_it_was_wrong(world: Courts) -> None:
    """An appeal overturns: the first jurors lose, and none of it goes to whoever appealed."""
    fill(world, 6)
    deal, terms = to_court(world)
    extra = extra_of(world, deal)
    dispute = ask(world, deal)
    first = drawn(world, dispute, extra)
    had = worths(world, JURORS)
    voted(world, dispute, 1)
    coins = worth(world, RIVAL)
    world.jury.appeal(RIVAL, dispute, extra, world.jury.appeal_cost(dispute))
    second = drawn(world, dispute, extra)
    voted(world, dispute, 2)
    over(world, dispute)
    assert carried(world, deal, terms).outcome == REFUTED
    assert worths(world, JURORS) == {
        juror: had[juror] + second.count(juror) * RULES.fee - first.count(juror) * RULES.penalty for juror in JURORS}
    assert world.court().credits[SINK] == SEATS * (RULES.penalty + RULES.fee)
    assert worth(world, RIVAL) == coins - (2 * SEATS + 1) * RULES.fee


def test_a_case_without_its_fee_or_time_is_refused(world: Courts) -> None:
    fill(world)
    deal, terms = to_court(world)
    coins = worth(world, CLIENT)
    for value in (0, CASE_COST - 1, CASE_COST + 1):
        refused("WrongFee", world.seat.ask, CLIENT, deal, RESULTS, value)
    refused("BadResults", world.seat.ask, CLIENT, deal, RESULTS[::-1], CASE_COST)
    world.advance(HOUR + 1)
    # A ruling could now come after the rung's ask: nobody is made to pay for that.
    refused("TooLate", world.seat.ask, CLIENT, deal, RESULTS, CASE_COST)
    assert worth(world, CLIENT) == coins
    assert closed(world, deal, terms).outcome == UPHELD
    refused("NotRunning", world.seat.ask, CLIENT, deal, RESULTS, CASE_COST)


def test_terms_whose_court_has_no_time_do_not_open(world: Courts) -> None:
    """The policy asks the seat for its longest case when the deal is opened."""
    terms = job(world)
    rungs = list(terms.rungs)
    for ask_, param in ((replace(rungs[2].asks[0], period=RULES.longest), rungs[2].param),
                        (replace(rungs[2].asks[0], kind="word"), rungs[2].param), (rungs[2].asks[0], bytes(32)),
                        (replace(rungs[2].asks[0], who=(RIVAL,)), rungs[2].param)):
        rungs[2] = replace(terms.rungs[2], asks=(ask_,), param=param)
        refused("BadPolicy", world.book.open, CLIENT, replace(terms, rungs=tuple(rungs)), bytes(32))


def test_a_serving_juror_cannot_leave(memory: MemoryCourts) -> None:
    """Its stake is there until its round is settled, and then it goes, less what it lost."""
    fill(memory)
    deal, _ = to_court(memory)
    dispute = ask(memory, deal)
    drawn(memory, dispute, extra_of(memory, deal))
    juror, place = memory.court().disputes[dispute].rounds[0].seats[0]
    had = worth(memory, juror)
    memory.jury.unstake(juror, (place,))
    memory.advance(RULES.draw)
    refused("Serving", memory.jury.take, juror, (place,))
    memory.advance(RULES.longest)
    for number in range(1):
        memory.jury.settle(KEEP_ALIVE, dispute, number)
    refused("BadTicket", memory.jury.take, juror, (place,))
    mine = sum(who == juror for who, _ in memory.court().disputes[dispute].rounds[0].seats)
    assert worth(memory, juror) == had - mine * RULES.penalty


@pytest.mark.parametrize("choices", [(0, 1, 2), (1, 2, 2)])
def test_a_tie_is_silence_and_punishes_nobody_who_spoke(world: Courts, choices: tuple[int, ...]) -> None:
    """Three seats of three jurors: all different is no ruling; a tie that the last one breaks is."""
    fill(world, 1)
    deal, _ = to_court(world)
    dispute = ask(world, deal)
    jurors = sorted(drawn(world, dispute, extra_of(world, deal)))
    had = [worth(world, juror) for juror in jurors]
    voted(world, dispute, dict(zip(jurors, choices, strict=True)))
    over(world, dispute)
    change = [worth(world, juror) - before for juror, before in zip(jurors, had, strict=True)]
    if choices == (0, 1, 2):
        refused("NoRuling", world.seat.answer, KEEP_ALIVE, deal, RESULTS)
        assert change == [RULES.fee] * 3
    else:
        world.seat.answer(KEEP_ALIVE, deal, RESULTS)
        assert change == [-RULES.penalty, *[RULES.fee + RULES.penalty // 2] * 2]


# -- about chance, in memory -------------------------------------------------------------------------------------------


def juries(owners: tuple[Account, ...], runs: int, size: int = SEATS) -> list[tuple[int, ...]]:
    """Which tickets sit on ``runs`` juries of a pool with these owners."""
    found = []
    for run in range(runs):
        world = MemoryCourts(blocks=ManualBlocks(run.to_bytes(4, "big")))
        for owner in owners:
            world.jury.stake(owner, RULES.unit)
        world.advance(1)
        extra = Case(size).encode()
        dispute = world.jury.create_dispute(account("asker"), 2, extra, size * RULES.fee)
        drawn(world, dispute, extra)
        found.append(tuple(place for _, place in world.court().disputes[dispute].rounds[0].seats))
    return found


def test_splitting_a_stake_gains_nothing() -> None:
    """The same tickets are drawn whether they are one account's or six accounts'."""
    one = (JURORS[0],) * 6 + JURORS[6:] * 2
    many = JURORS[:6] + JURORS[6:] * 2
    assert juries(one, 60) == juries(many, 60)


def test_seats_follow_stakes() -> None:
    """A third of the tickets gets about a third of the seats: 300 seats, within four standard deviations."""
    owners = (JURORS[0],) * 6 + JURORS[1:7] * 2
    seats = [place for jury in juries(owners, 100) for place in jury]
    taken = sum(place < 6 for place in seats)
    assert abs(taken - 100) < 4 * (300 * 2 / 9) ** 0.5


def test_a_majority_of_the_stake_is_not_prevented() -> None:
    """Whoever has most of the pool has most juries: the page gives these numbers."""
    def wins(share: float, size: int) -> float:
        return sum(comb(size, k) * share**k * (1 - share)**(size - k) for k in range(size // 2 + 1, size + 1))

    assert [[round(wins(share, size), 3) for size in (3, 7, 15)] for share in (0.09, 0.2, 1 / 3, 0.51, 0.6)] == [
        [0.023, 0.002, 0.0], [0.104, 0.033, 0.004], [0.259, 0.173, 0.088], [0.515, 0.522, 0.531], [0.648, 0.71, 0.787]]
    owners = (JURORS[0],) * 12 + JURORS[4:12]
    won = sum(sum(place < 12 for place in jury) >= 2 for jury in juries(owners, 100))
    assert won > 50


def test_what_a_draw_sees_is_fixed_to_the_second() -> None:
    """Who stakes in the second of the start comes too late, who asks to leave in it is still there."""
    world = MemoryCourts()
    world.jury.stake(JURORS[0], 8 * RULES.unit)
    world.advance(1)
    world.jury.stake(JURORS[1], 30 * RULES.unit)
    extra = Case(SEATS).encode()
    dispute = world.jury.create_dispute(account("asker"), 2, extra, CASE_COST)
    world.jury.unstake(JURORS[0], tuple(range(8)))
    assert set(drawn(world, dispute, extra)) == {JURORS[0]}
    # Who had asked before is not.
    world.advance(1)
    world.jury.stake(JURORS[2], 6 * RULES.unit)
    world.advance(1)
    later = world.jury.create_dispute(account("asker"), 2, extra, CASE_COST)
    assert not set(drawn(world, later, extra)) & {JURORS[0]}


def test_who_paid_for_any_round_judges_in_none() -> None:
    """Jurors that appeal are passed over in every later round, not only in their own."""
    world = MemoryCourts()
    fill(world, 15, JURORS[:2])
    fill(world, 6, JURORS[2:])
    extra = Case(1).encode()
    dispute = world.jury.create_dispute(account("asker"), 2, extra, RULES.fee)
    drawn(world, dispute, extra)
    for payer in JURORS[:2]:
        voted(world, dispute, 1)
        world.jury.appeal(payer, dispute, extra, world.jury.appeal_cost(dispute))
        assert not set(drawn(world, dispute, extra)) & set(JURORS[: JURORS.index(payer) + 1])
