"""A job with a jury on top, and a jury that is led through its periods, for the tests of courts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from ports.books import MINT, account
from ports.courts import JURORS, RULES, EvmCourts, MemoryCourts
from troth.core.errors import ActRefused
from troth.core.seats import Choice, court_rung, encoded
from troth.core.terms import (
    CHALLENGER,
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
from troth.verify.policies.voices import commit_data, reveal_data

Courts = MemoryCourts | EvmCourts
CLIENT, WORKER, CHEAT, RIVAL, KEEP_ALIVE = (account(name) for name in ("client", "worker", "cheat", "rival", "keeper"))
VERIFIERS = tuple(account(f"verifier {n}") for n in range(3))
COURT_FEE = account("wrong bonds")
CLAIM = b"\x11" * 32
HOUR = 3600
PAY, STAKE, FEE, BOND = 1000, 2500, 60, 300
GOOD = Result(UPHELD)
BAD = Result(REFUTED, slashed=frozenset({WORKER}))
CHOICES: tuple[Choice, ...] = (GOOD, BAD)
RESULTS = encoded(CHOICES)


def job(world: Courts, seat: Account | None = None, choices: tuple[Choice, ...] = CHOICES) -> Terms:
    """Work for pay: the worker's word, above it a re-execution by 2 of 3, above that a court."""
    policy = world.addresses.policies
    pots = (
        Pot("reward", CLIENT, PAY, {UPHELD: Split((WORKER,), amounts=(PAY,))}),
        Pot("stake", WORKER, STAKE, {SLASHED: Split((CHALLENGER, CLIENT), weights=(1, 1))}),
        Pot("keeper", CLIENT, 20, {outcome: Split((KEEPER,), amounts=(20,)) for outcome in (UPHELD, REFUTED)}),
        Pot("fee", climber(1), FEE, {outcome: Answered(1) for outcome in (UPHELD, REFUTED)}),
    )
    rungs = (
        Rung(*policy["assumed"], (Ask("result", (WORKER,), HOUR),), HOUR, HOUR, BOND, REFUTED),
        Rung(*policy["rerun2"], (Ask("commit", VERIFIERS, HOUR), Ask("reveal", VERIFIERS, HOUR)), HOUR, HOUR, 2 * BOND),
        court_rung(world.court_policy, seat or world.seat.address, choices, RULES.longest + HOUR, HOUR),
    )
    return Terms(world.token, pots, rungs, world.now() + HOUR, COURT_FEE)


def fill(world: Courts, tickets: int = 3, jurors: tuple[Account, ...] = JURORS) -> None:
    """The jurors stake."""
    for juror in jurors:
        world.jury.stake(juror, RULES.unit * tickets)
    world.advance(1)


def to_court(world: Courts, verifiers_say: Result = GOOD, worker_says: Result = GOOD, *, terms: Terms | None = None,
             salt: bytes = bytes(32), climbs: Account = CLIENT) -> tuple[bytes, Terms]:
    """A deal at its court: claimed, challenged, re-executed, challenged again by ``climbs``."""
    terms = terms or job(world)
    for who in {CLIENT, WORKER, CHEAT, RIVAL, climbs, *VERIFIERS}:
        world.fund(who)
    book = world.book
    deal = book.open(CLIENT, terms, salt)
    for index in range(3):
        book.join(terms.pots[index].depositor, deal, index)
    book.submit(WORKER, deal, 0, 0, CLAIM, worker_says.to_bytes())
    book.judge(KEEP_ALIVE, deal)
    book.challenge(CLIENT, deal)
    for verifier in VERIFIERS:
        book.submit(verifier, deal, 0, 0, CLAIM, commit_data(deal, 1, verifier, verifiers_say.to_bytes(), bytes(32)))
    for verifier in VERIFIERS:
        book.submit(verifier, deal, 1, 0, CLAIM, reveal_data(verifiers_say.to_bytes(), bytes(32)))
    book.judge(KEEP_ALIVE, deal)
    book.challenge(climbs, deal)
    return deal, terms


def ask(world: Courts, deal: bytes, payer: Account = CLIENT) -> int:
    """The case comes to the court."""
    return world.seat.ask(payer, deal, RESULTS, world.seat.cost(payer, deal))


def extra_of(world: Courts, deal: bytes, payer: Account = CLIENT) -> bytes:
    """What the court was told of it."""
    return world.seat.extra_data(payer, deal)


def drawn(world: Courts, dispute: int, extra: bytes) -> tuple[Account, ...]:
    """The last round's jurors, one for each seat, drawn now."""
    world.mine(RULES.delay + 1)
    world.jury.seed(KEEP_ALIVE, dispute)
    # Once is enough unless most of the pool may not judge.
    for _ in range(20):
        world.jury.draw(KEEP_ALIVE, dispute, extra)
        found = world.jury.dispute(dispute).rounds[-1]
        if found.drawn_at:
            break
    assert found.drawn_at
    return tuple(juror for juror, _ in found.seats)


def voted(world: Courts, dispute: int, says: int | Mapping[Account, int | None] | Callable[[Account], int | None]) \
        -> None:
    """The drawn jurors commit and reveal; None is silence. Afterwards the appeal period runs."""
    rounds = world.jury.dispute(dispute).rounds
    number, jurors = len(rounds) - 1, sorted({juror for juror, _ in rounds[-1].seats})
    choices = {juror: says if isinstance(says, int) else says.get(juror) if isinstance(says, Mapping) else says(juror)
               for juror in jurors}
    for juror, choice in choices.items():
        if choice is not None:
            committed(world, dispute, juror, world.jury.vote_hash(dispute, number, juror, choice, juror + bytes(12)))
    world.advance(RULES.commit)
    for juror, choice in choices.items():
        if choice is not None:
            world.jury.reveal(juror, dispute, choice, juror + bytes(12))
    world.advance(RULES.reveal)


def committed(world: Courts, dispute: int, juror: Account, digest: bytes) -> None:
    """The juror commits and deposits what its seats need."""
    world.jury.commit(juror, dispute, digest, world.jury.deposit(dispute, juror))


def over(world: Courts, dispute: int) -> None:
    """The appeal period passes; everybody is paid and the ruling is told."""
    world.advance(RULES.appeal)
    world.jury.execute_ruling(KEEP_ALIVE, dispute)
    for number in range(len(world.jury.dispute(dispute).rounds)):
        world.jury.settle(KEEP_ALIVE, dispute, number)


def carried(world: Courts, deal: bytes, terms: Terms) -> Result:
    """Anybody carries the ruling, judges and closes."""
    world.seat.answer(KEEP_ALIVE, deal, RESULTS)
    world.book.judge(KEEP_ALIVE, deal)
    return closed(world, deal, terms)


def closed(world: Courts, deal: bytes, terms: Terms) -> Result:
    world.until(terms.closes_by)
    world.book.close(KEEP_ALIVE, deal)
    final = world.book.state(deal).final
    assert final is not None
    return final


def gained(world: Courts, who: Account) -> int:
    """What the account has more of the deal's token than it was given; each ``to_court`` gives it once."""
    return world.balance(who) - MINT


def worth(world: Courts, who: Account) -> int:
    """Wei that are the account's: its own, its credit and its stakes."""
    return worths(world, (who,))[who]


def worths(world: Courts, accounts: tuple[Account, ...]) -> dict[Account, int]:
    """The same for several, with one look at the court."""
    court = world.court()
    return {who: world.coins(who) + court.credits.get(who, 0)
            + sum(RULES.unit for one in court.tickets if one.juror == who and not one.gone) for who in accounts}


def refused(code: str, act: Callable[..., object], *arguments: object) -> None:
    """The act is refused with this code."""
    with pytest.raises(ActRefused) as error:
        act(*arguments)
    assert error.value.code == code
