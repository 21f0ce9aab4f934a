"""Attacks: as ByzFL makes them, bounded by the rules; a trusted reference in integers; a crowd of sites valued."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE, IntArray, norm
from troth.learn import attacks, site, trusted
from troth.learn.aggregate import DEFAULT_RULE, NAMES, Update, aggregate
from troth.learn.arrays import flatten
from troth.learn.data import Inputs, Part, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import DIGITS, Consortium
from troth.learn.training import Run, dense, seats_of, train
from troth.learn.worth import MAX_PLAYERS, crowd, sampled, worth

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "byzfl" / "vectors.json").read_text("utf-8"))
FIT = site.Fit()


def update_rows(split: Consortium) -> tuple[Dense, Inputs, IntArray]:
    task, by = dense(split.validation), scaling(split.validation)
    rows = np.stack([flatten(site.train(task, task.zeros(), part, by, FIT)) for part in split.sites])
    return task, by.inputs(split.validation), rows


@pytest.mark.parametrize("case", VECTORS, ids=[f"{len(case['rows'])} rows" for case in VECTORS])
def test_attacks_and_rules_are_byzfl_s(case: dict[str, list[float]]) -> None:
    rows = np.array(case["rows"], np.int64)
    updates = [Update(f"{k:02d}", 1, {"weights": row}) for k, row in enumerate(rows)]
    for name, found in (("sign_flip", attacks.sign_flip(rows)), ("ipm_2", attacks.ipm(rows)),
                        ("ipm_0.5", attacks.ipm(rows, 5)), ("alie_1.5", attacks.alie(rows)),
                        ("median", aggregate("median", updates)["weights"])):
        assert np.abs(found - np.array(case[name])).max() <= 0.5 + 1e-9, name
    mixed = aggregate("nnm+trimmed_mean", updates)["weights"]
    assert np.abs(mixed - np.array(case["nnm_trimmed_mean"])).max() <= 1


def test_a_fitted_attack_moves_the_rule_farther_than_the_plain_one(four: Consortium) -> None:
    _, _, rows = update_rows(four)

    def rule(every: IntArray) -> IntArray:
        return flatten(aggregate(DEFAULT_RULE, [Update(f"{k}", 1, {"weights": row}) for k, row in enumerate(every)]))

    def moved(harm: IntArray) -> int:
        return norm(rule(np.concatenate([rows, harm.reshape(1, -1)])) - attacks.mean_of(rows))

    fitted = attacks.fitted(attacks.ipm, rows, 1, rule, FIT.clip)
    assert moved(fitted) >= moved(attacks.ipm(rows, 10))
    assert norm(fitted) <= FIT.clip


def test_noise_is_about_as_long_as_asked() -> None:
    row = np.full(10_000, 1000, np.int64)
    found = attacks.noisy(row, 30, np.random.default_rng(1), 1 << 24)
    assert abs(norm(found - row) / norm(row) - 0.3) < 0.02


def test_a_patch_is_stamped_on_all_but_its_target() -> None:
    part = Part(np.zeros((3, 64), np.int64), np.array([0, 1, 2], np.int64), DIGITS)
    planted = attacks.DIGITS_PATCH.planted(part)
    assert planted.labels.tolist() == [0, 1, 2, 0, 0]
    assert planted.features.sum(axis=1).tolist() == [0, 0, 0, 64, 64]


def test_a_site_s_records_are_dealt_out_once(four: Consortium) -> None:
    part = four.sites[0]
    dealt = attacks.parts_of(part, 3)
    assert sorted(map(tuple, np.concatenate([one.features for one in dealt]).tolist())) == sorted(
        map(tuple, part.features.tolist()))


@pytest.mark.parametrize("classes", [0, 2, 4])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_the_reference_s_gradient_is_the_loss_s(classes: int, hidden: tuple[int, ...]) -> None:
    draw = np.random.default_rng(7)
    task = Dense(6, classes, hidden)
    labels = draw.integers(0, classes, 60) if classes else draw.integers(-ONE, ONE, 60)
    data = Inputs(draw.integers(-2 * ONE, 2 * ONE, (60, 6)), labels)
    start = flatten(task.start(seed_of(1)))
    vector = start + draw.integers(-ONE // 3, ONE // 3, len(start))
    slope, step = trusted.gradient(task, vector, data), 1 << 11
    for index in range(len(vector)):
        move = np.zeros_like(vector)
        move[index] = step
        up, down = task.row_losses(np.stack([vector + move, vector - move]), data).sum(axis=1).tolist()
        assert abs((up - down) / (2 * step * 60) - slope[index] / ONE) < 0.03


def test_a_reference_lowers_the_loss_within_the_bound_and_outvotes_a_majority(four: Consortium) -> None:
    task, data, rows = update_rows(four)
    reference = trusted.reference(task, task.zeros(), data, FIT.clip)
    assert norm(reference) <= FIT.clip
    start = task.loss(task.zeros(), data)
    assert task.loss(task.state_of(reference), data) < start
    hostile = np.concatenate([rows[:1], -rows[1:]])
    updates = [Update(f"{k}", 1, task.state_of(row)) for k, row in enumerate(hostile)]
    held = aggregate(trusted.NAME, updates, reference)
    assert task.loss(held, data) < start
    assert task.loss(aggregate(DEFAULT_RULE, updates), data) > task.loss(held, data)
    assert not aggregate(trusted.NAME, [Update("0", 1, task.state_of(-reference))], reference)["weights"].any()


def test_a_reference_goes_with_its_rule_and_no_other(four: Consortium) -> None:
    task, _, rows = update_rows(four)
    updates = [Update(f"{k}", 1, task.state_of(row)) for k, row in enumerate(rows)]
    for rule in NAMES:
        with pytest.raises(BadInput, match="reference"):
            aggregate(rule, updates, None if rule == trusted.NAME else rows[0])
    with pytest.raises(BadInput, match="size"):
        aggregate(trusted.NAME, updates, rows[0][1:])


def test_a_round_by_a_trusted_reference_repeats_and_holds(four: Consortium) -> None:
    run = Run(rounds=2, rule=trusted.NAME, attacks={0: site.poisoned, 1: site.poisoned})
    one, two = train(four, run)[-1], train(four, run)[-1]
    assert one.digest == two.digest
    assert one.score > 850_000


def test_a_crowd_is_valued_in_proportion_and_a_poisoner_below_everybody(four: Consortium) -> None:
    task, data, rows = update_rows(four)
    draw = np.random.default_rng(3)
    many = np.stack([attacks.noisy(rows[k % 4], 60, draw, FIT.clip) for k in range(80)])
    many[17] = -many[17]
    found = worth(task, flatten(task.zeros()), many, data, seed_of(4))
    assert found == crowd(task, flatten(task.zeros()), many, data, seed_of(4))
    assert len(many) > MAX_PLAYERS
    assert found.evaluations == 64 * 80
    assert min(range(80), key=found.values.__getitem__) == 17
    assert all(ceiling >= value for value, ceiling in zip(found.values, found.ceilings, strict=True))
    some = many[:40]
    one, other = (method(task, flatten(task.zeros()), some, data, seed_of(4)).values for method in (crowd, sampled))
    assert np.corrcoef(one, other)[0, 1] > 0.9


def test_a_round_of_seventy_sites_is_one_round(four: Consortium) -> None:
    task, _, rows = update_rows(four)
    draw = np.random.default_rng(5)
    seats = seats_of(70)
    updates = tuple(Update(seat, 10, task.state_of(attacks.noisy(rows[k % 4], 80, draw, FIT.clip)))
                    for k, seat in enumerate(seats))
    found = run_round(RoundInput(task, task.zeros(), seats, updates, four.validation, seed_of(1), 10**9))
    assert sum(found.payments) == 10**9
    assert all(found.record.counted)
    assert found.slashed == ()


@pytest.mark.parametrize("rule", [DEFAULT_RULE, trusted.NAME])
def test_rules_hold_where_plain_averaging_does_not(four: Consortium, rule: str) -> None:
    """The bounded form of `make attacks`: one hostile hospital of four, four rounds."""
    def score(name: str, hostile: bool) -> int:
        return train(four, Run(rounds=4, rule=name, attacks={0: site.poisoned} if hostile else {}))[-1].score

    assert score("mean", False) - score(rule, True) < 50_000
    assert score(rule, True) > score("mean", True)
