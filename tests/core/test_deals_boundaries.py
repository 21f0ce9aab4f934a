"""To the second and to the unit: every time and every amount that the rules compare, one off on both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_deals_attacks import (
    BAD,
    BOND,
    CHEAT,
    CLAIM,
    CLIENT,
    FEE,
    GOOD,
    HOUR,
    JURORS,
    KEEP_ALIVE,
    SALT,
    VERIFIERS,
    WORKER,
    claims,
    digest_of,
    gained,
    job,
    refused,
    rerun,
    root_deal,
    signed,
    start,
)
from ports.books import World, account, key
from troth.core.errors import BadInput
from troth.core.payouts import PayoutTree
from troth.core.terms import (
    KEEPER,
    REFUTED,
    SLASHED,
    UPHELD,
    Answered,
    Ask,
    Pot,
    Result,
    Root,
    Rung,
    Split,
    payout_leaf,
)
from troth.core.typed_data import join_digest


def one_rung(world: World, *pots: Pot, policy: str = "puppet", slots: int = 1) -> bytes:
    """A deal with one rung whose puppet says what the worker says."""
    rung = Rung(*world.addresses.policies[policy], (Ask("result", (WORKER,), HOUR, slots),), HOUR, silent=REFUTED)
    return start(world, replace(job(world), rungs=(rung,), pots=pots))


def say(world: World, deal: bytes, result: Result) -> None:
    world.book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + result.to_bytes())


@pytest.mark.parametrize("late", [0, 1])
def test_join_until_fund_by(world: World, late: int) -> None:
    terms = job(world)
    world.fund(CLIENT)
    deal = world.book.open(CLIENT, terms, SALT)
    refused("NotYet", world.book.close, CLIENT, deal)
    world.until(terms.fund_by - 1 + late)
    if late:
        refused("TooLate", world.book.join, CLIENT, deal, 0)
        world.book.close(CHEAT, deal)
    else:
        world.book.join(CLIENT, deal, 0)
        refused("NotYet", world.book.close, CLIENT, deal)
        world.advance(1)
        world.book.close(CHEAT, deal)
    assert world.book.state(deal).status == "void"
    assert gained(world, CLIENT) == 0


@pytest.mark.parametrize("late", [0, 1])
def test_consent_until_its_expiry(world: World, late: int) -> None:
    terms = job(world)
    for who in (CLIENT, CHEAT):
        world.fund(who)
    deal = world.book.open(CHEAT, terms, SALT)
    expiry = world.now() + 10
    at = world.addresses
    signature = key("client").sign_digest(join_digest(at.chain_id, at.book, deal, 0, at.tokens["token"], 1000, expiry))
    world.until(expiry + late)
    if late:
        refused("BadConsent", world.book.join_with_consent, CHEAT, deal, 0, expiry, signature)
    else:
        refused("BadConsent", world.book.join_with_consent, CHEAT, deal, 2, expiry, signature)
        refused("BadConsent", world.book.join_with_consent, CHEAT, deal, 0, expiry + 1, signature)
        world.book.join_with_consent(CHEAT, deal, 0, expiry, signature)
        refused("Joined", world.book.join_with_consent, CHEAT, deal, 0, expiry, signature)
    assert gained(world, CLIENT) == (0 if late else -1000)
    assert gained(world, CHEAT) == 0


@pytest.mark.parametrize("late", [0, 1])
def test_submit_until_the_period_ends(world: World, late: int) -> None:
    deal = one_rung(world, Pot("x", CLIENT, 10, {}))
    world.advance(HOUR - 1 + late)
    if late:
        refused("TooLate", world.book.submit, WORKER, deal, 0, 0, CLAIM, b"\x02")
        refused("NoVerdict", world.book.judge, CHEAT, deal)
    else:
        refused("TooEarly", world.book.submit, WORKER, deal, 1, 0, CLAIM, b"\x02")
        world.book.submit(WORKER, deal, 0, 0, CLAIM, b"\x02")
        refused("TooLate", world.book.submit, WORKER, deal, 1, 0, CLAIM, b"\x02")


@pytest.mark.parametrize("late", [0, 1])
def test_judge_until_the_verdict_period_ends(world: World, late: int) -> None:
    """A verdict counts until the last second; silence begins in the next, and there is no window at the top."""
    deal = one_rung(world, Pot("x", CLIENT, 10, {UPHELD: Split((WORKER,), amounts=(10,))}))
    refused("TooEarly", world.book.judge, CHEAT, deal)
    world.advance(7)
    say(world, deal, GOOD)
    world.advance(HOUR - 1 + late)
    if late:
        refused("TooLate", world.book.judge, CHEAT, deal)
    else:
        refused("NotYet", world.book.close, CHEAT, deal)
        world.book.judge(CHEAT, deal)
        refused("Judged", world.book.judge, CHEAT, deal)
    world.book.close(CHEAT, deal)
    assert gained(world, WORKER) == (0 if late else 10)


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("silent", [0, 1])
@pytest.mark.parametrize("rungs", [2, 3])
def test_challenge_until_the_window_ends(world: World, late: int, silent: int, rungs: int) -> None:
    terms = job(world)
    if rungs == 2:
        terms = replace(terms, rungs=(terms.rungs[0], replace(terms.rungs[1], window=0, bond=0)))
    deal = start(world, terms)
    if silent:
        world.advance(2 * HOUR - 1)
        refused("TooEarly", world.book.challenge, CHEAT, deal)
        world.advance(1)
    else:
        world.advance(5)
        claims(world, deal)
    world.advance(HOUR - 1 + late)
    if late:
        refused("TooLate", world.book.challenge, CHEAT, deal)
        world.book.close(KEEP_ALIVE, deal)
        assert gained(world, CHEAT) == 0
    else:
        refused("NotYet", world.book.close, CHEAT, deal)
        world.book.challenge(CHEAT, deal)
        assert gained(world, CHEAT) == -BOND - FEE


@pytest.mark.parametrize("late", [0, 1])
def test_collect_until_the_term_ends(world: World, late: int) -> None:
    _, deal, tree = root_deal(world, 600, [(CHEAT, 600), (WORKER, 0)])
    world.book.judge(KEEP_ALIVE, deal)
    world.book.close(KEEP_ALIVE, deal)
    world.advance(HOUR - 1 + late)
    if late:
        refused("TooLate", world.book.collect, CHEAT, deal, 0, (0, CHEAT, 600), tree.proof(0))
        world.book.sweep(CHEAT, deal, 0)
    else:
        refused("NotYet", world.book.sweep, CHEAT, deal, 0)
        world.book.collect(CLIENT, deal, 0, (0, CHEAT, 600), tree.proof(0))
        world.book.collect(CLIENT, deal, 0, (1, WORKER, 0), tree.proof(1))
    assert gained(world, CHEAT) == (0 if late else 600)


def test_data_of_just_the_limit(world: World) -> None:
    deal = one_rung(world, Pot("x", CLIENT, 10, {}), slots=2)
    refused("TooLong", world.book.submit, WORKER, deal, 0, 0, CLAIM, bytes(4097))
    world.book.submit(WORKER, deal, 0, 1, CLAIM, bytes(4096))
    refused("BadSlot", world.book.submit, WORKER, deal, 0, 2, CLAIM, b"")


@pytest.mark.parametrize(("values", "slashed", "fits"), [(64, 0, True), (65, 0, False), (0, 2, True), (0, 3, False)])
def test_results_of_just_the_limits(world: World, values: int, slashed: int, fits: bool) -> None:
    """64 values; only who deposited (the client, the worker) or sits on a bench can be slashed."""
    deal = one_rung(world, Pot("x", CLIENT, 10, {}), Pot("y", WORKER, 10, {}))
    say(world, deal, Result(UPHELD, (1,) * values, frozenset((CLIENT, WORKER, CHEAT)[:slashed])))
    if fits:
        world.book.judge(CHEAT, deal)
    else:
        refused("BadResult", world.book.judge, CHEAT, deal)


@pytest.mark.parametrize(("total", "fits"), [(10, True), (11, False)])
def test_total_of_just_the_pot(world: World, total: int, fits: bool) -> None:
    deal = one_rung(world, Pot("x", CLIENT, 10, {UPHELD: Root(5), REFUTED: Root(5)}), Pot("y", WORKER, 5, {3: Root(5)}))
    say(world, deal, Result(UPHELD, root=b"\x01" * 32, total=total))
    if fits:
        world.book.judge(CHEAT, deal)
    else:
        refused("BadResult", world.book.judge, CHEAT, deal)


def test_a_root_of_a_slashed_depositor_keeps_no_more_than_the_pot(world: World) -> None:
    deal = one_rung(world, Pot("x", CLIENT, 10, {SLASHED: Root(5)}), Pot("y", CHEAT, 1000, {}))
    say(world, deal, Result(UPHELD, (), frozenset({CLIENT}), b"\x01" * 32, 300))
    world.book.judge(CHEAT, deal)
    world.book.close(CHEAT, deal)
    assert world.balance(world.addresses.book) == 10
    assert gained(world, CHEAT) == 0
    world.advance(5)
    world.book.sweep(CHEAT, deal, 0)
    assert world.balance(world.addresses.book) == 0
    assert gained(world, CLIENT) == -10  # blocked: the rest is nobody's of this deal


@pytest.mark.parametrize(("amounts", "paid"), [((4, 5), (4, 5)), ((4, 6), (4, 6)), ((7, 6), (7, 3)),
                                                ((10, 1), (10, 0))])
def test_amounts_are_clamped_in_order(world: World, amounts: tuple[int, int], paid: tuple[int, int]) -> None:
    other = account("other")
    deal = one_rung(world, Pot("x", CLIENT, 10, {UPHELD: Split((WORKER, other), amounts=amounts)}))
    say(world, deal, GOOD)
    world.book.judge(CHEAT, deal)
    world.book.close(CHEAT, deal)
    assert (gained(world, WORKER), world.balance(other)) == paid
    assert gained(world, CLIENT) == -sum(paid)


def test_odd_units(world: World) -> None:
    """Floors: weights, the keeper's halves, seats; what is left goes to the residual."""
    other = account("other")
    deal = one_rung(
        world, Pot("w", CLIENT, 11, {UPHELD: Split((WORKER, other), weights=(1, 2))}, other),
        Pot("k", CLIENT, 5, {UPHELD: Split((KEEPER,), amounts=(3,))}, KEEPER),
        Pot("s", CLIENT, 7, {UPHELD: Answered(0)}, other),
        Pot("v", CLIENT, 50, {UPHELD: Split((other, other))}, WORKER))
    say(world, deal, Result(UPHELD, (9,)))
    world.book.judge(CHEAT, deal)
    world.book.close(KEEP_ALIVE, deal)
    assert world.balance(other) == 11 - 3 + 9
    assert gained(world, WORKER) == 3 + 7 + 41
    assert (gained(world, CHEAT), gained(world, KEEP_ALIVE)) == (1 + 1, 2 + 1)


def test_two_right_challengers_share_by_their_bonds(world: World) -> None:
    """The worker's word, a wrong re-execution, a right jury: bonds 300 and 600 share what a challenger gets."""
    terms = job(world)
    deal = start(world, terms)
    claims(world, deal, Result(UPHELD, (1,)))
    world.book.challenge(CHEAT, deal)
    rerun(world, deal, dict.fromkeys(VERIFIERS, GOOD))
    world.book.challenge(CLIENT, deal)
    evidence = digest_of(world, deal)
    for juror in range(2):
        world.book.submit(JURORS[juror], deal, 0, 0, CLAIM, signed(world, deal, evidence, juror, BAD))
    world.advance(HOUR)
    world.book.judge(KEEP_ALIVE, deal)
    world.book.close(KEEP_ALIVE, deal)
    # Half of 2,500: a third to the smaller bond, two thirds to the larger, one unit left for wrong_bonds.
    assert gained(world, CHEAT) == 416 - FEE
    assert gained(world, CLIENT) == 833 + 1250 - 20


@pytest.mark.parametrize(("more", "fits"), [((CLIENT,), True), ((CLIENT, WORKER), False)])
def test_slashed_of_just_the_limit(world: World, more: tuple[bytes, ...], fits: bool) -> None:
    """63 bench members and one or two depositors: 64 may be slashed."""
    policy = world.addresses.policies["puppet"]
    seats = tuple(account(f"seat {n}") for n in range(63))
    rungs = (Rung(*policy, (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, 1, REFUTED),
             Rung(*policy, (Ask("result", seats[:32], HOUR),), HOUR, HOUR, 2),
             Rung(*policy, (Ask("result", seats[32:], HOUR),), HOUR))
    deal = start(world, replace(job(world), rungs=rungs, pots=(Pot("x", CLIENT, 10, {}), Pot("y", WORKER, 10, {}))))
    for _ in range(2):
        world.advance(2 * HOUR)
        world.book.challenge(CHEAT, deal)
    everybody = Result(UPHELD, (), frozenset((*seats, *more))).to_bytes()
    world.book.submit(seats[40], deal, 0, 0, CLAIM, b"\x00" + everybody)
    world.advance(HOUR)
    if fits:
        world.book.judge(CHEAT, deal)
    else:
        refused("BadResult", world.book.judge, CHEAT, deal)


def test_a_claim_id_is_32_bytes(world: World) -> None:
    deal = one_rung(world, Pot("x", CLIENT, 10, {}))
    for claim in (bytes(31), bytes(33)):
        with pytest.raises(BadInput):
            world.book.submit(WORKER, deal, 0, 0, claim, b"")


@pytest.mark.parametrize("leaf", [(-1, CHEAT, 1), (2**256, CHEAT, 1), (0, CHEAT[:19], 1), (0, CHEAT, 2**128)])
def test_a_leaf_has_a_form_on_chain(world: World, leaf: tuple[int, bytes, int]) -> None:
    _, deal, tree = root_deal(world, 600, [(CHEAT, 600)])
    world.book.judge(KEEP_ALIVE, deal)
    world.book.close(KEEP_ALIVE, deal)
    with pytest.raises(BadInput):
        world.book.collect(CHEAT, deal, 0, leaf, tree.proof(0))


@pytest.mark.parametrize(("said", "paid"), [(b"\x00" + GOOD.to_bytes(), 7), (b"\x02", 0)])
def test_seats_of_a_silent_rung_stay(world: World, said: bytes, paid: int) -> None:
    """A bench is paid for deciding, not for having been there."""
    outcome = {one: Answered(0) for one in (UPHELD, REFUTED)}
    deal = one_rung(world, Pot("s", CLIENT, 7, outcome))
    world.book.submit(WORKER, deal, 0, 0, CLAIM, said)
    if paid:
        world.book.judge(CHEAT, deal)
    world.advance(HOUR)
    world.book.close(CHEAT, deal)
    assert gained(world, WORKER) == paid
    assert gained(world, CLIENT) == -paid


def test_silence_keeps_the_whole_result_below(world: World) -> None:
    """Verifiers that sleep leave the claim's values and root as they were, for the leaves to be collected."""
    leaves = [(CHEAT, 40), (KEEP_ALIVE, 60)]
    policy = world.addresses.policies
    rungs = (Rung(*policy["puppet"], (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, 1, REFUTED),
             Rung(*policy["puppet"], (Ask("result", VERIFIERS[:1], HOUR),), HOUR))
    pots = (Pot("many", CLIENT, 150, {UPHELD: Root(HOUR)}), Pot("one", CLIENT, 50, {UPHELD: Split((WORKER,))}))
    deal = start(world, replace(job(world), rungs=rungs, pots=pots))
    at = world.addresses
    tree = PayoutTree([payout_leaf(at.chain_id, at.book, deal, 0, n, *leaf) for n, leaf in enumerate(leaves)])
    say(world, deal, Result(UPHELD, (30,), root=tree.root, total=100))
    world.book.judge(CHEAT, deal)
    world.book.challenge(CLIENT, deal)
    world.advance(2 * HOUR)
    world.book.close(CHEAT, deal)
    final = world.book.state(deal).final
    assert final == Result(UPHELD, (30,), frozenset(VERIFIERS[:1]), tree.root, 100)
    for index, (who, amount) in enumerate(leaves):
        world.book.collect(CLIENT, deal, 0, (index, who, amount), tree.proof(index))
        assert gained(world, who) == amount
    assert gained(world, WORKER) == 30
    assert gained(world, CLIENT) == -130


def test_each_root_is_kept_by_itself(world: World) -> None:
    """Three pots under roots: what happens to one leaves the others as they were."""
    pots = tuple(Pot(f"root {n}", CLIENT, 100, {UPHELD: Root(HOUR + n)}) for n in range(3))
    deal = one_rung(world, *pots)
    at = world.addresses
    tree = PayoutTree([payout_leaf(at.chain_id, at.book, deal, pot, 0, CHEAT, 10 + pot) for pot in range(3)])
    say(world, deal, Result(UPHELD, root=tree.root, total=20))
    world.book.judge(CHEAT, deal)
    world.book.close(CHEAT, deal)
    for pot in range(3):
        world.book.collect(CLIENT, deal, pot, (0, CHEAT, 10 + pot), tree.proof(pot))
    world.advance(HOUR)
    for pot in range(3):
        world.book.sweep(CHEAT, deal, pot)
        refused("Swept", world.book.sweep, CHEAT, deal, pot)
        world.advance(1)
    assert gained(world, CHEAT) == 33
    assert gained(world, CLIENT) == -33
    assert world.balance(at.book) == 0


def test_a_fresh_deal(world: World) -> None:
    """Open and nothing else: no deposit, no clock running, no history."""
    terms = job(world)
    state = world.book.state(world.book.open(CLIENT, terms, SALT))
    assert (state.terms, state.status, state.rung, state.ask, state.ask_start) == (terms, "funding", 0, 0, 0)
    assert (state.joined, state.history, state.final) == (frozenset(), (), None)


@pytest.mark.parametrize(("bench", "fits"), [(0, True), (1, False), (2, False)])
def test_a_verdict_slashes_no_bench_above_it(world: World, bench: int, fits: bool) -> None:
    """Whoever is yet to judge has done nothing: the next bench, nor the one after it."""
    policy = world.addresses.policies["puppet"]
    rungs = (Rung(*policy, (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, 1, REFUTED),
             Rung(*policy, (Ask("result", VERIFIERS, HOUR),), HOUR, HOUR, 2),
             Rung(*policy, (Ask("result", JURORS, HOUR),), HOUR))
    deal = start(world, replace(job(world), rungs=rungs, pots=(Pot("x", CLIENT, 10, {}), Pot("y", WORKER, 10, {}))))
    say(world, deal, Result(UPHELD, (), frozenset((WORKER, VERIFIERS[0], JURORS[0])[bench:bench + 1])))
    if fits:
        world.book.judge(CHEAT, deal)
    else:
        refused("BadResult", world.book.judge, CHEAT, deal)
