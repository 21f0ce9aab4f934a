"""Who would choose a jury, hold jurors, or be fined for nothing: on the contract, each ends poorer and without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.court_parts import (
    CHEAT,
    CLIENT,
    KEEP_ALIVE,
    RIVAL,
    Courts,
    committed,
    drawn,
    fill,
    refused,
    voted,
    worth,
    worths,
)
from ports.courts import JURORS, RULES, SEATS, SINK, EvmCourts, ManualBlocks, MemoryCourts
from stateful.jury_machine import chosen
from troth.core.jury_state import Case, Round
from troth.core.terms import Account


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> EvmCourts:
    world = EvmCourts(path=tmp_path_factory.mktemp("courts") / "chain")
    world.close()
    return world


@pytest.fixture
def world(deployed: EvmCourts, tmp_path: Path) -> Iterator[EvmCourts]:
    copy = EvmCourts(path=tmp_path / "chain", origin=deployed)
    yield copy
    copy.close()


def begun(world: Courts, by: Account, size: int = SEATS, excluded: tuple[Account, ...] = ()) -> tuple[int, bytes]:
    """A dispute about nothing that ``by`` pays, and its extra data."""
    extra = Case(size, bytes(20), excluded).encode()
    return world.jury.create_dispute(by, 2, extra, size * RULES.fee), extra


def lucky(world: Courts, wanted: Callable[[tuple[Account, ...]], bool]) -> int:
    """A dispute whose jury of 5 is as wanted; the seeds of a chain change with every byte of a contract."""
    for _ in range(40):
        dispute, extra = begun(world, CLIENT, 5)
        if wanted(drawn(world, dispute, extra)):
            return dispute
    raise AssertionError("40 unlucky juries")


def last(world: Courts, dispute: int) -> Round:
    return world.jury.dispute(dispute).rounds[-1]


def as_the_seed_says(world: Courts, dispute: int, pool: tuple[int, ...], barred: set[Account]) -> bool:
    """Whether the jury is the one that this pool and the seed alone give."""
    found = last(world, dispute)
    owners = [one.juror for one in world.court().tickets]
    return found.among == pool and list(found.seats) == chosen(found, owners, barred)


def all_settled(world: Courts) -> None:
    """Every dispute's periods pass, and every round is paid."""
    world.advance(RULES.longest)
    waiting = [(dispute, number) for dispute, found in enumerate(world.court().disputes)
               for number, one in enumerate(found.rounds) if not one.settled]
    for dispute, number in waiting:
        world.jury.settle(KEEP_ALIVE, dispute, number)


def test_tickets_held_elsewhere_choose_no_jury(world: EvmCourts) -> None:
    """9 % of the tickets, and as many rounds over everybody else as there is time for: the jury stays as it was."""
    others = JURORS[:10]
    fill(world, 3, (*others, CHEAT))
    pool, before = world.court().pool, worth(world, CHEAT)
    # Rounds that leave out nearly everybody are not begun, in however many words and whoever pays for them.
    for excluded in (others, others[:4], (*others[:3], *others[3:6] * 9)):
        refused("ExcludesTooMany", begun, world, RIVAL, 15, excluded)
    refused("ExcludesTooMany", world.jury.create_dispute, CHEAT, 2, Case(15, others[0], others[1:4]).encode(),
            15 * RULES.fee)
    # The widest that are: one over all, one over all but a few; the first stays unfinished, the second is complete.
    begun(world, CHEAT, 15)
    held, extra = begun(world, CHEAT, 15, (*others[:2], *others[:2], CHEAT))
    case, words = begun(world, CLIENT)
    world.mine(RULES.delay + 1)
    for dispute in (0, held, case):
        world.jury.seed(CHEAT, dispute)
    world.jury.draw(CHEAT, 0, Case(15).encode(), 14)
    while not last(world, held).drawn_at:
        world.jury.draw(CHEAT, held, extra)
    world.jury.draw(CHEAT, case, words)
    assert as_the_seed_says(world, case, pool, {CLIENT})
    assert {juror for juror, _ in last(world, case).seats} != {CHEAT}
    # A round asked after all that is drawn from the same pool: nothing is held.
    world.advance(1)
    later, words = begun(world, CLIENT)
    drawn(world, later, words)
    assert as_the_seed_says(world, later, pool, {CLIENT})
    all_settled(world)
    assert worth(world, CHEAT) <= before - 15 * RULES.fee


@pytest.mark.parametrize("memory", [True, False])
def test_nobody_refuses_a_case_by_staking_in_front_of_it(deployed: EvmCourts, tmp_path: Path, memory: bool) -> None:
    """Who is left out counts by the pool before that second, as the draw does: not by what it does on seeing a case."""
    world = MemoryCourts() if memory else EvmCourts(path=tmp_path / "chain", origin=deployed)
    try:
        fill(world, 2, JURORS[:6])
        world.jury.stake(CHEAT, 2 * RULES.unit)
        world.advance(1)
        extra = Case(SEATS, bytes(20), (CHEAT,)).encode()
        price = SEATS * RULES.fee
        # In the second of the case, a third of the pool and more.
        world.jury.stake(CHEAT, 5 * RULES.unit)
        world.jury.create_dispute(CLIENT, 2, extra, price)
        # From the next second on it takes as many tickets as half of all others'.
        world.advance(1)
        refused("ExcludesTooMany", lambda: world.jury.create_dispute(CLIENT, 2, extra, price))
        # Nor does leaving in that second make a case pass whose draw would still see the tickets.
        world.jury.unstake(CHEAT, tuple(range(12, 19)))
        refused("ExcludesTooMany", lambda: world.jury.create_dispute(CLIENT, 2, extra, price))
        world.advance(1)
        world.jury.create_dispute(CLIENT, 2, extra, price)
        # Away and back within one second is as it was before.
        world.jury.stake(CHEAT, 7 * RULES.unit)
        world.jury.unstake(CHEAT, tuple(range(19, 26)))
        world.jury.create_dispute(CLIENT, 2, extra, price)
    finally:
        if isinstance(world, EvmCourts):
            world.close()


def test_a_jury_of_ones_own_is_appealed_and_pays() -> None:
    """Most of a small jury by luck, for a question about nothing: it rules against the rest for their deposits. One of
    them appeals; the next jury is drawn from all, so the first one's majority pays."""
    cheats = (CHEAT, RIVAL)
    for salt in range(99):
        world = MemoryCourts(blocks=ManualBlocks(bytes([salt])))
        fill(world, 3, (*JURORS[:10], *cheats))
        before = worths(world, (*JURORS, *cheats))
        dispute, extra = begun(world, CLIENT)
        first = drawn(world, dispute, extra)
        if sum(juror in cheats for juror in first) == 2:
            break
    voted(world, dispute, lambda juror: 1 if juror in cheats else 0)
    assert world.jury.current_ruling(dispute) == 1
    victim = next(juror for juror in first if juror not in cheats)
    world.jury.appeal(KEEP_ALIVE, dispute, extra, world.jury.appeal_cost(dispute))
    second = drawn(world, dispute, extra)
    assert sum(juror in cheats for juror in second) <= len(second) // 2
    voted(world, dispute, lambda juror: 1 if juror in cheats else 0)
    all_settled(world)
    assert sum(worth(world, who) - before[who] for who in cheats) <= -2 * RULES.penalty
    assert worth(world, victim) >= before[victim] + RULES.fee + 2 * RULES.penalty


def test_a_stake_lost_elsewhere_excuses_nothing(world: EvmCourts) -> None:
    """A juror that loses its tickets in a round of its friends' pays for its vote in a case as if it had them."""
    fill(world, 4, JURORS[:5])
    fill(world, 12, (CHEAT, RIVAL))
    junk = lucky(world, lambda jurors: {CHEAT, RIVAL} <= set(jurors))
    case = lucky(world, lambda jurors: CHEAT in jurors and set(jurors) != {CHEAT})
    junk_seats, seats = last(world, junk).seats, last(world, case).seats
    mine, weight = [one for one in junk_seats if one[0] == CHEAT], sum(juror == CHEAT for juror, _ in seats)
    friends = sum(juror == RIVAL for juror, _ in junk_seats)
    before = worth(world, CHEAT)
    # In the junk round the friend alone speaks; in the case the cheat says 1 and all others 2.
    for dispute, says in ((junk, {RIVAL: 1}), (case, {who: 1 if who == CHEAT else 2 for who, _ in seats})):
        for juror in {who for who, _ in last(world, dispute).seats} & set(says):
            digest = world.jury.vote_hash(dispute, 0, juror, says[juror], bytes(32))
            refused("WrongDeposit", world.jury.commit, juror, dispute, digest, 0)
            committed(world, dispute, juror, digest)
    world.advance(RULES.commit)
    world.jury.reveal(RIVAL, junk, 1, bytes(32))
    for juror in {who for who, _ in seats}:
        world.jury.reveal(juror, case, 1 if juror == CHEAT else 2, bytes(32))
    world.advance(RULES.reveal + RULES.appeal)
    world.jury.settle(CHEAT, junk, 0)
    # Its stake went to the sink, and its friend has its own fee and nothing of it.
    assert worth(world, CHEAT) == before - (weight + len(mine)) * RULES.penalty
    assert world.jury.credit(SINK) == (5 - friends) * (RULES.penalty + RULES.fee)
    assert world.jury.credit(RIVAL) == friends * (RULES.penalty + RULES.fee)
    had = world.court().credits
    world.jury.settle(CHEAT, case, 0)
    now = world.court().credits
    assert now.get(CHEAT, 0) == had.get(CHEAT, 0)
    share = RULES.fee + weight * RULES.penalty // (5 - weight)
    for juror, count in Counter(who for who, _ in seats if who != CHEAT).items():
        assert now[juror] - had.get(juror, 0) == count * (RULES.penalty + share)


def test_silence_in_many_rounds_costs_a_ticket_once(world: EvmCourts) -> None:
    """The ticket is gone with the first; its record serves until the last of its rounds is settled."""
    fill(world, 1)
    before = worths(world, JURORS)
    for dispute, extra in [begun(world, CLIENT, 5) for _ in range(3)]:
        drawn(world, dispute, extra)
    seats = Counter(seat for dispute in range(3) for seat in last(world, dispute).seats)
    (juror, ticket), most = seats.most_common(1)[0]
    assert most > 1
    world.advance(RULES.commit + RULES.reveal + RULES.appeal)
    first = next(dispute for dispute in range(3) if (juror, ticket) in last(world, dispute).seats)
    world.jury.settle(KEEP_ALIVE, first, 0)
    court = world.court()
    assert (court.tickets[ticket].gone, court.tickets[ticket].serving) == (True, most - 1)
    assert ticket not in court.pool
    for act in (world.jury.unstake, world.jury.take):
        refused("BadTicket", act, juror, (ticket,))
    all_settled(world)
    assert worths(world, JURORS) == {who: before[who] - RULES.penalty * any(seat[0] == who for seat in seats)
                                     for who in JURORS}
    assert world.jury.credit(SINK) == len(seats) * RULES.penalty + 3 * 5 * RULES.fee
    assert not any(one.serving for one in world.court().tickets)
    # Who was fined may stake again.
    world.jury.stake(juror, RULES.unit)


def test_nobody_holds_a_juror_that_leaves(world: EvmCourts) -> None:
    """Rounds that are begun and not finished hold no ticket; one that is drawn holds it until anybody settles it."""
    fill(world, 1)
    junk = [begun(world, CHEAT, 5) for _ in range(2)]
    case, extra = begun(world, CLIENT)
    for dispute, _ in junk:
        world.mine(RULES.delay + 1)
        world.jury.seed(CHEAT, dispute)
        world.jury.draw(CHEAT, dispute, Case(5).encode(), 4)
    drawn(world, case, extra)
    serving = last(world, case).seats
    kept, kept_ticket = serving[0]
    seated = {seat for dispute, _ in junk for seat in last(world, dispute).seats}
    juror, ticket = min(seated - set(serving))
    world.jury.unstake(juror, (ticket,))
    world.jury.unstake(kept, (kept_ticket,))
    assert not {ticket, kept_ticket} & set(world.court().pool)
    refused("TooEarly", world.jury.take, juror, (ticket,))
    world.advance(RULES.draw)
    world.jury.take(juror, (ticket,))
    assert world.jury.credit(juror) == RULES.unit
    refused("Serving", world.jury.take, kept, (kept_ticket,))
    all_settled(world)
    # It said nothing: what is left of the stake was credited, and the fees of what was never drawn went back.
    assert world.jury.credit(kept) == RULES.unit - RULES.penalty
    assert world.jury.credit(CHEAT) == 2 * 5 * RULES.fee


def test_a_pool_that_changes_after_the_start_changes_no_seat(world: EvmCourts) -> None:
    """Others come, all that were there leave, some are fined in between: the jury is of the pool before the start."""
    size = 7
    fill(world, 2, JURORS[:7])
    old, extra = begun(world, CLIENT, size)
    drawn(world, old, extra)
    world.advance(RULES.commit + RULES.reveal + RULES.appeal)
    pool = world.court().pool
    case, extra = begun(world, CLIENT, size)
    world.mine(RULES.delay + 1)
    world.jury.seed(KEEP_ALIVE, case)
    world.jury.settle(KEEP_ALIVE, old, 0)
    fined = {number for number, one in enumerate(world.court().tickets) if one.gone}
    assert len(fined) == size
    world.jury.stake(CHEAT, 32 * RULES.unit)
    for number, juror in enumerate(JURORS[:7]):
        world.jury.unstake(juror, tuple({2 * number, 2 * number + 1} - fined))
    court = world.court()
    assert all(court.tickets[number].juror == CHEAT for number in court.pool)
    world.advance(RULES.draw - 1)
    world.jury.draw(KEEP_ALIVE, case, extra, 5)
    world.jury.draw(KEEP_ALIVE, case, extra)
    assert as_the_seed_says(world, case, pool, {CLIENT})
    # A ticket that is gone keeps its seat: its juror may vote, on a deposit of its own, and is paid as any other.
    seats = last(world, case).seats
    juror = next(juror for juror, ticket in seats if ticket in fined)
    before = worth(world, juror)
    voted(world, case, lambda one: 1 if one == juror else None)
    all_settled(world)
    weight = sum(who == juror for who, _ in seats)
    assert worth(world, juror) == before + weight * RULES.fee
    silent = {ticket for who, ticket in seats if who != juror} | fined
    assert {number for number, one in enumerate(world.court().tickets) if one.gone} == silent
    assert world.jury.credit(SINK) == len(silent) * RULES.penalty + (2 * size - weight) * RULES.fee


def test_exhausting_a_jurors_cash_costs_its_fees(world: EvmCourts) -> None:
    """To silence a juror with cash for so many votes, somebody pays it so many fees; then it loses a penalty a ticket,
    which nobody gets."""
    juror, votes, size = JURORS[0], 3, 9
    fill(world, 3, JURORS[:6])
    world.sender(juror).send(SINK, b"", value=world.coins(juror) - votes * RULES.penalty)
    before, had = world.coins(CHEAT), worth(world, juror)
    served: dict[int, int] = {}
    disputes = 0
    while world.coins(juror) >= RULES.penalty:
        dispute, extra = begun(world, CHEAT, size)
        drawn(world, dispute, extra)
        disputes += 1
        if 0 < world.jury.deposit(dispute, juror) <= world.coins(juror):
            served[dispute] = world.jury.deposit(dispute, juror) // RULES.penalty
            committed(world, dispute, juror, world.jury.vote_hash(dispute, 0, juror, 1, bytes(32)))
    assert sum(served.values()) == votes
    # Its cash is gone: in one more round it must be silent.
    while True:
        dispute, extra = begun(world, CHEAT, size)
        drawn(world, dispute, extra)
        disputes += 1
        if world.jury.deposit(dispute, juror):
            break
    world.advance(RULES.commit)
    for dispute in served:
        world.jury.reveal(juror, dispute, 1, bytes(32))
    all_settled(world)
    court = world.court()
    assert before - world.coins(CHEAT) == disputes * size * RULES.fee >= votes * RULES.fee
    assert not court.credits.get(CHEAT)
    lost = sum(one.gone for one in court.tickets if one.juror == juror)
    assert lost >= 1
    # It has the fees of its own seats, and those of silent ones are lost to whoever asked, juror or not.
    assert worth(world, juror) == had + votes * RULES.fee - lost * RULES.penalty
    silent = sum(one.gone for one in court.tickets)
    assert court.credits[SINK] == silent * RULES.penalty + (disputes * size - votes) * RULES.fee
