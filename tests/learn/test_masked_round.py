"""Rounds over sums: training that learns behind masks, the same bits from transcripts, pay and slashing by mode."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection

import numpy as np
import pytest

from ports.sums import World, drive, world
from troth.core.errors import BadInput, Refuted
from troth.fixed.numbers import IntArray, norm
from troth.learn import site
from troth.learn.arrays import State, digest, flatten
from troth.learn.data import Part, scaling
from troth.learn.draws import seed_of
from troth.learn.masked_round import (
    GROUPED,
    MASKED,
    MIN_GROUP_ROUNDS,
    MaskedInput,
    Terms,
    from_transcripts,
    group_evidence,
    groups,
    round_name,
    run_masked_round,
    sessions,
)
from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.port import Fault, Session, Summed
from troth.learn.masking.wire import Phase
from troth.learn.round import RoundOutput
from troth.learn.sets import Consortium, consortium
from troth.learn.training import Run, dense, seats_of, train
from troth.learn.worth import Record

FIT = site.Fit()
PLAN, DEAL = hashlib.sha256(b"plan").digest(), hashlib.sha256(b"deal").digest()


def updates(split: Consortium, seats: tuple[str, ...], base: State, number: int,
            bad: Collection[int] = ()) -> dict[str, IntArray]:
    task, by = dense(split.validation), scaling(split.validation)
    return {seat: flatten((site.poisoned if index in bad else site.train)(task, base, part, by, FIT, seed_of(number)))
            for index, (seat, part) in enumerate(zip(seats, split.sites, strict=True))}


def masked_sum(people: World, session: Session, own: dict[str, IntArray], silent: Collection[str] = ()) -> bytes:
    """A whole masked sum; its transcript. Who is silent drops out when its masked vector is due."""
    way = Bonawitz()
    server = way.server(session, people.keys)
    sites = {one.did: way.site(session, one, people.keys, own[one.did]) for one in people.signers
             if one.did in session.sites}
    drive(server, sites, lambda step, did, answer: None if step >= Phase.MASKED and did in silent else answer)
    return server.transcript()


def given(split: Consortium, seats: tuple[str, ...], sums: tuple[Summed | None, ...], terms: Terms,
          base: State | None = None, number: int = 0, history: tuple[Record, ...] = ()) -> MaskedInput:
    task = dense(split.validation)
    return MaskedInput(task, task.start(seed_of(0)) if base is None else base, seats, sums, split.validation,
                       seed_of(number), 1000, terms, history, clip=FIT.clip)


@pytest.mark.parametrize(("count", "terms"), [(4, Terms()), (9, Terms(GROUPED, 3))], ids=["masked", "grouped"])
def test_training_behind_masks_learns_and_transcripts_give_the_same_bits(
        records: Part, count: int, terms: Terms) -> None:
    """Rounds with the real protocol; in the second a site is silent. Everything again from the transcripts alone."""
    split, people = consortium(1, count, records=records), world(count)
    seats, task = people.dids, dense(split.validation)
    base: State = task.start(seed_of(0))
    history: tuple[Record, ...] = ()
    for number in range(6 if terms.privacy == MASKED else 3):
        named = round_name(PLAN, DEAL, number + 1, digest(base))
        of = sessions(terms, seats, seed_of(number), named, task, FIT.clip)
        own = updates(split, seats, base, number)
        silent = seats[2:3] if number == 1 and terms.privacy == MASKED else ()
        transcripts = [masked_sum(people, session, own, silent) for session in of]
        out = run_masked_round(given(split, seats, from_transcripts(transcripts, people.keys, of), terms, base, number,
                                     history))
        again = run_masked_round(given(split, seats, from_transcripts(transcripts, people.keys, of), terms, base,
                                       number, history))
        assert again.to_json() == out.to_json()
        assert out.rejected == tuple((seat, "dropped") for seat in silent)
        next_name = round_name(PLAN, DEAL, number + 2, digest(base))
        later = sessions(terms, seats, seed_of(number), next_name, task, FIT.clip)
        with pytest.raises(Refuted):  # another round's transcripts are none
            from_transcripts(transcripts, people.keys, later)
        base, history = out.params, (*history, out.record)
    assert out.score > 930_000
    assert out.slashed == ()
    assert sum(out.payments) == 1000
    if terms.privacy == MASKED:
        assert out.contributions == (0, 0, 0, 0)
        assert out.payments[2] < out.payments[0] == out.payments[1] == out.payments[3]


def test_masked_moves_by_the_plain_mean_to_the_bit(records: Part) -> None:
    split, seats = consortium(1, records=records), seats_of(4)
    own = updates(split, seats, dense(split.validation).start(seed_of(0)), 0)
    sums = (Summed(np.sum(list(own.values()), axis=0), seats, ()),)
    out = run_masked_round(given(split, seats, sums, Terms()))
    plain = train(consortium(1, records=records), Run(rounds=1, rule="mean"))[0]
    # The open mean is weighted by examples, this one is not: near, and here both learn.
    assert abs(out.score - plain.score) < 30_000
    mean = np.rint(np.sum(list(own.values()), axis=0) / 4).astype(np.int64)
    assert (flatten(out.params) - flatten(dense(split.validation).start(seed_of(0))) == mean).all()


def test_a_mean_beyond_the_bound_is_clipped(records: Part) -> None:
    split, seats = consortium(1, records=records), seats_of(4)
    base = dense(split.validation).start(seed_of(0))
    big = np.full(31, FIT.clip, np.int64)
    out = run_masked_round(given(split, seats, (Summed(4 * big, seats, ()),), Terms()))
    assert 0 < norm(flatten(out.params) - flatten(base)) <= FIT.clip


def test_no_sum_leaves_the_model(records: Part) -> None:
    split, seats = consortium(1, records=records), seats_of(4)
    out = run_masked_round(given(split, seats, (None,), Terms()))
    assert out.digest == digest(dense(split.validation).start(seed_of(0)))
    assert out.payments == (0, 0, 0, 0)
    assert [reason for _, reason in out.rejected] == ["dropped"] * 4


def test_protocol_faults_are_slashed_and_unpaid(records: Part) -> None:
    split, seats = consortium(1, records=records), seats_of(4)
    zero = np.zeros(31, np.int64)
    found = Summed(zero, (*seats[:1], *seats[2:]), seats[1:2], (Fault(seats[1], "shares", "malformed"),
                                                              Fault(seats[3], "unmask", "wrong share of site 0")))
    out = run_masked_round(given(split, seats, (found,), Terms()))
    assert out.slashed == (1, 3)
    assert out.payments == (500, 0, 500, 0)
    assert out.rejected == ((seats[1], "protocol"), (seats[3], "protocol"))


def test_pay_by_stake_and_rounds(records: Part) -> None:
    split, seats = consortium(1, records=records), seats_of(4)
    zero = np.zeros(31, np.int64)
    before = Record((0,) * 4, (0,) * 4, (True, True, False, True))
    out = run_masked_round(given(split, seats, (Summed(zero, seats, ()),), Terms(stakes=(1, 2, 4, 1)),
                                 history=(before,)))
    assert out.payments == (167, 333, 333, 167)  # 2, 4, 4, 2 of 12


# Groups.

def grouped(split: Consortium, count: int, rounds: int, bad: Collection[int] = (),
            size: int = 3) -> list[RoundOutput]:
    """The sums as the protocol gives them, without the protocol."""
    seats, terms = seats_of(count), Terms(GROUPED, size)
    base: State = dense(split.validation).start(seed_of(0))
    history: tuple[Record, ...] = ()
    outputs = []
    for number in range(rounds):
        own = updates(split, seats, base, number, bad)
        sums = tuple(Summed(np.sum([own[seat] for seat in members], axis=0), members, ())
                     for members in groups(terms, seats, seed_of(number)))
        outputs.append(run_masked_round(given(split, seats, sums, terms, base, number, history)))
        base, history = outputs[-1].params, (*history, outputs[-1].record)
    return outputs


def test_groups_cover_every_seat_and_change_by_lot() -> None:
    seats, terms = seats_of(11), Terms(GROUPED, 3)
    drawn = [groups(terms, seats, seed_of(number)) for number in range(20)]
    assert all(sorted(seat for members in one for seat in members) == list(seats) for one in drawn)
    assert all(min(map(len, one)) >= 3 for one in drawn)
    assert len(set(drawn)) == 20
    assert drawn == [groups(terms, seats, seed_of(number)) for number in range(20)]
    assert groups(Terms(), seats, seed_of(1)) == (seats,)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_poisoner_in_groups_is_found_by_its_company(records: Part, seed: int) -> None:
    outputs = grouped(consortium(seed, 12, records=records), 12, MIN_GROUP_ROUNDS, bad={5})
    assert all(out.slashed == () for out in outputs[:MIN_GROUP_ROUNDS - 1])  # never before there is enough
    assert outputs[-1].slashed == (5,)
    assert outputs[-1].payments[5] == 0
    assert outputs[-1].score > 930_000


def test_no_honest_seat_is_slashed_in_groups(records: Part) -> None:
    for bad in ((), (3,)):
        out = grouped(consortium(3, 12, records=records), 12, MIN_GROUP_ROUNDS + 2, bad=bad)[-1]
        assert set(out.slashed) <= set(bad)


def test_group_evidence() -> None:
    bad, good = Record((-5, 5), (-1, 3), (True, True)), Record((5, 5), (2, 3), (True, True))
    absent = Record((0, 0), (0, 0), (False, True))
    assert group_evidence([bad] * MIN_GROUP_ROUNDS) == {0}
    assert group_evidence([bad] * (MIN_GROUP_ROUNDS - 1)) == frozenset()
    assert group_evidence([*[bad] * MIN_GROUP_ROUNDS, good]) == frozenset()
    assert group_evidence([*[bad] * (MIN_GROUP_ROUNDS - 1), absent]) == frozenset()
    assert group_evidence([*[bad] * MIN_GROUP_ROUNDS, absent]) == {0}


@pytest.mark.parametrize("wrong", [("open", 0), (MASKED, 3), (GROUPED, 2), (GROUPED, 0)], ids=str)
def test_terms_that_say_nothing(wrong: tuple[str, int]) -> None:
    with pytest.raises(BadInput):
        Terms(*wrong)
    with pytest.raises(BadInput):
        Terms(GROUPED, 3, (1, 2))
    with pytest.raises(BadInput):
        Terms(stakes=(0, 1))


def test_inputs_that_do_not_fit(records: Part) -> None:
    split, seats = consortium(1, records=records), seats_of(4)
    fine = given(split, seats, (Summed(np.zeros(31, np.int64), seats, ()),), Terms())
    for wrong in ({"sums": ()}, {"sums": (Summed(np.zeros(31, np.int64), seats[:3], ()),)}, {"seats": seats[::-1]},
                  {"rule": "best"}, {"clip": 0}, {"reward": -1}, {"seed": b""}, {"terms": Terms(stakes=(1, 2))},
                  {"history": (Record((0,), (0,), (True,)),)}, {"terms": Terms(GROUPED, 3)}):
        with pytest.raises(BadInput):
            dataclasses.replace(fine, **wrong)  # type: ignore[arg-type]
