"""The round: repeatable bits, bad updates rejected by name, attackers unpaid, honest sites paid."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import subprocess
import sys

import numpy as np
import pytest

from troth.core.errors import BadInput
from troth.fixed.numbers import INT64_MAX, ONE, IntArray
from troth.learn import site
from troth.learn.aggregate import MAX_EXAMPLES, RULES, Update
from troth.learn.arrays import State, encode, equal, flatten
from troth.learn.data import Part, Scaling, scaling
from troth.learn.dense import PARAMETER_LIMIT, Dense
from troth.learn.draws import seed_of
from troth.learn.round import MAX_CLIP, RoundInput, run_round
from troth.learn.sets import BREAST_CANCER, Consortium, consortium
from troth.learn.training import Attack, Run, seats_of, train

LINEAR = Dense(30, 2)

SEATS = seats_of(4)
PLAN = site.Fit()


def synthetic_part(count: int) -> Part:
    """Records from SHA-256 alone: the same on every machine, without scikit-learn or any floating point."""
    cells = [int.from_bytes(hashlib.sha256(b"%d" % k).digest()[:4], "big") for k in range(count * 30)]
    features = np.array(cells, np.int64).reshape(count, 30)
    return Part(features, (features[:, 0] + features[:, 1] > 1 << 32).astype(np.int64), BREAST_CANCER)


def synthetic_delta(site_number: int) -> State:
    cells = [int.from_bytes(hashlib.sha256(b"d%d-%d" % (site_number, k)).digest()[:2], "big") - (1 << 15)
             for k in range(31)]
    return LINEAR.state_of(np.array(cells, np.int64) // 4)


def synthetic_round(rule: str) -> RoundInput:
    updates = tuple(Update(SEATS[k], 10 + k, synthetic_delta(k)) for k in range(4))
    return RoundInput(LINEAR, LINEAR.zeros(), SEATS, updates, synthetic_part(40), seed_of(1), 10**18, rule=rule)


def honest_round(split: Consortium, **changes: object) -> RoundInput:
    by = scaling(split.validation)
    updates = tuple(Update(seat, len(part), site.train(LINEAR, LINEAR.zeros(), part, by, PLAN))
                    for seat, part in zip(SEATS, split.sites, strict=True))
    return dataclasses.replace(RoundInput(LINEAR, LINEAR.zeros(), SEATS, updates, split.validation, seed_of(1), 1000),
                               **changes)  # type: ignore[arg-type]


PINNED = {
    "mean": "fc57265901fe3a6ac015ba21932ade82e340c52e3ccba3dbaf6f057da6595c6d",
    "nnm+trimmed_mean": "c8e13c1318db9b78c15cb398a56c2c09b42137312511f96b43833dd0b26d0b5f",
    "centered_clipping": "086ce50f7b9371b30046ee5766124f71de38b1d6281efc7eedcd7c5d82231c78",
    "median": "0e0b32e3d0d4da4a486c4bfe6009af9c7b738ef622b11677cc636dc17aa58d74",
}


@pytest.mark.parametrize("rule", RULES)
def test_the_bits_are_pinned(rule: str) -> None:
    """A machine, NumPy version or change of ours that alters one bit fails here."""
    found = json.dumps(run_round(synthetic_round(rule)).to_json(), sort_keys=True)
    assert hashlib.sha256(found.encode()).hexdigest() == PINNED[rule]


def test_another_process_with_other_settings_gets_the_same_bits() -> None:
    code = ("import json, sys; sys.path.insert(0, sys.argv[1]); import test_round as t; from troth.learn.round import"
            " run_round; print(json.dumps(run_round(t.synthetic_round('nnm+trimmed_mean')).to_json(), sort_keys=True))")
    here = __file__.rpartition("/")[0]
    out = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True,
                         env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1",
                              "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"})
    assert out.stdout.strip() == json.dumps(run_round(synthetic_round("nnm+trimmed_mean")).to_json(), sort_keys=True)


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_arrival_cannot_matter(four: Consortium, rule: str) -> None:
    given = honest_round(four, rule=rule)
    shuffled = list(given.updates)
    random.Random(4).shuffle(shuffled)
    one, other = run_round(given), run_round(dataclasses.replace(given, updates=tuple(shuffled)))
    assert one.to_json() == other.to_json()
    assert encode(one.params) == encode(other.params)


def test_everything_in_the_result_is_an_integer_a_string_or_a_list(four: Consortium) -> None:
    text = json.dumps(run_round(honest_round(four)).to_json(), sort_keys=True)

    def refuse(token: str) -> float:
        raise AssertionError(f"a float in the result: {token}")

    json.loads(text, parse_float=refuse)


def test_the_input_is_left_as_it_was(four: Consortium) -> None:
    given = honest_round(four)
    before = [encode(u.delta) for u in given.updates], encode(given.base), given.validation.to_bytes()
    run_round(given)
    assert before == ([encode(u.delta) for u in given.updates], encode(given.base), given.validation.to_bytes())


def with_delta(given: RoundInput, seat: int, delta: State, examples: int = 50) -> RoundInput:
    updates = list(given.updates)
    updates[seat] = Update(SEATS[seat], examples, delta)
    return dataclasses.replace(given, updates=tuple(updates))


def full(value: int) -> State:
    return LINEAR.state_of(np.full(31, value, np.int64))


@pytest.mark.parametrize(("delta", "examples", "reason"), [
    ({"weights": np.ones(30, np.int64)}, 50, "layout"),
    ({"bias": np.ones(1, np.int64), "weights": np.ones(29, np.int64)}, 50, "layout"),
    ({"bias": np.ones(1, np.int64), "weights": np.ones((30, 1), np.int64)}, 50, "layout"),
    ({"bias": np.ones(1, np.int64), "weights": np.ones(30, np.int64), "z": np.ones(1, np.int64)}, 50, "layout"),
    ({"bias": np.array([np.nan]), "weights": np.ones(30)}, 50, "layout"),
    ({"bias": np.array([-(2**63)], np.int64), "weights": np.ones(30, np.int64)}, 50, "layout"),
    (full(INT64_MAX), 50, "norm"),
    (full(-INT64_MAX), 50, "norm"),
    (full(1 << 31), 50, "norm"),
    (full(1 << 32), 50, "norm"),
    (full(PLAN.clip), 50, "norm"),
    (full(1), 0, "examples"),
    (full(1), -1, "examples"),
    (full(1), MAX_EXAMPLES + 1, "examples"),
    (full(1), 10**9 * 10**9, "examples"),
])
def test_a_bad_update_is_rejected_by_name_and_the_round_goes_on(
        four: Consortium, delta: State, examples: int, reason: str) -> None:
    given = honest_round(four)
    found = run_round(with_delta(given, 1, delta, examples))
    without = run_round(dataclasses.replace(given, updates=(given.updates[0], *given.updates[2:])))
    assert found.rejected == ((SEATS[1], reason),)
    assert encode(found.params) == encode(without.params)
    assert found.record == without.record
    assert found.record.counted == (True, False, True, True)
    assert found.payments[1] == 0
    assert sum(found.payments) == 1000


def test_norm_is_admitted_at_the_bound_and_rejected_one_above(four: Consortium) -> None:
    given = honest_round(four)
    assert run_round(dataclasses.replace(given, clip=1)).rejected == tuple((seat, "norm") for seat in SEATS)
    for value, expected in ((PLAN.clip, ()), (PLAN.clip + 1, ((SEATS[0], "norm"),))):
        delta = np.zeros(31, np.int64)
        delta[5] = value
        assert run_round(with_delta(given, 0, LINEAR.state_of(delta))).rejected == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sites", [4, 10, 16])
def test_no_admitted_update_can_stop_a_round(four: Consortium, rule: str, sites: int) -> None:
    """The widest bound, the largest claims, a base near the model's limit: every sum still fits."""
    seats = seats_of(sites)
    rng = np.random.default_rng(sites)
    edge = PARAMETER_LIMIT
    base = LINEAR.state_of(rng.choice(np.array([-edge, edge]), 31))
    updates = []
    for seat in seats:
        delta = np.zeros(31, np.int64)
        delta[rng.integers(31)] = rng.choice([-MAX_CLIP, MAX_CLIP])
        updates.append(Update(seat, MAX_EXAMPLES, LINEAR.state_of(delta)))
    given = RoundInput(LINEAR, base, seats, tuple(updates), four.validation, seed_of(1), 10, rule=rule, clip=MAX_CLIP)
    found = run_round(given)
    assert found.rejected == ()
    LINEAR.check(found.params)


def test_strangers_and_double_submissions_do_not_count(four: Consortium) -> None:
    given = honest_round(four)
    stranger = dataclasses.replace(given.updates[0], site="zzz")
    found = run_round(dataclasses.replace(given, updates=(*given.updates, given.updates[2], stranger)))
    assert found.rejected == ((SEATS[2], "twice"), ("zzz", "stranger"))
    assert found.record.counted == (True, True, False, True)


def test_no_updates_leave_the_model_as_it_is(four: Consortium) -> None:
    found = run_round(honest_round(four, updates=()))
    assert equal(found.params, LINEAR.zeros())
    assert found.contributions == (0, 0, 0, 0)
    assert found.payments == (0, 0, 0, 0)


@pytest.mark.parametrize("changes", [
    {"seats": SEATS[::-1]}, {"seats": (*SEATS, SEATS[0])}, {"seats": ()}, {"rule": "krum"}, {"seed": b""},
    {"reward": -1}, {"clip": 0}, {"clip": MAX_CLIP + 1}, {"base": {"weights": np.ones(30, np.int64)}},
    {"base": LINEAR.state_of(np.full(31, PARAMETER_LIMIT + 1, np.int64))},
])
def test_a_malformed_round_is_refused(four: Consortium, changes: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        honest_round(four, **changes)


@pytest.mark.parametrize("noise", [0, 1])
def test_a_copy_shares_its_originals_worth(four: Consortium, noise: int) -> None:
    given = honest_round(four)
    alone = run_round(dataclasses.replace(given, updates=given.updates[:3]))
    copy = {name: array + noise for name, array in given.updates[0].delta.items()}
    copied = run_round(with_delta(given, 3, copy))
    assert copied.contributions[0] == copied.contributions[3]
    assert abs(copied.contributions[0] * 2 - alone.contributions[0]) <= abs(alone.contributions[0]) // 1000 + 1


def test_sites_that_agree_keep_their_voices(four: Consortium) -> None:
    """Two who disagree are not the majority because the other two say the same."""
    given = honest_round(four)
    agreed = with_delta(with_delta(given, 1, given.updates[0].delta), 2, given.updates[0].delta)
    hostile = {name: -array for name, array in given.updates[0].delta.items()}
    moved = run_round(with_delta(agreed, 3, hostile)).params
    assert (np.sign(flatten(moved)) == np.sign(flatten(given.updates[0].delta))).all()


def free_rider(task: Dense, base: State, part: Part, by: Scaling, fit: site.Fit, seed: bytes) -> State:
    return LINEAR.zeros()


def sign_flip(task: Dense, base: State, part: Part, by: Scaling, fit: site.Fit, seed: bytes) -> State:
    return LINEAR.state_of(-flatten(site.train(task, base, part, by, fit, seed)))


def scaled(task: Dense, base: State, part: Part, by: Scaling, fit: site.Fit, seed: bytes) -> State:
    harm: IntArray = flatten(sign_flip(task, base, part, by, fit, seed)) * 10
    return LINEAR.state_of(site.clip_norm(harm, fit.clip))


def flipped(task: Dense, base: State, part: Part, by: Scaling, fit: site.Fit, seed: bytes) -> State:
    return site.train(LINEAR, base, site.poison(part), by, fit)


@pytest.mark.parametrize("attack", [sign_flip, scaled, flipped, site.poisoned])
@pytest.mark.parametrize("attacker", range(4))
def test_an_attacker_earns_nothing_is_slashed_and_hardly_hurts(
        four: Consortium, attacker: int, attack: Attack) -> None:
    test = scaling(four.validation).inputs(four.test)
    clean = LINEAR.score(train(four, Run())[-1].params, test)
    last = train(four, Run(attacks={attacker: attack}))[-1]
    assert last.slashed == (attacker,) or (attack is sign_flip and last.slashed == ())  # weak harm may stay unslashed
    assert last.payments[attacker] == 0
    assert sum(last.payments) == Run().reward
    assert LINEAR.score(last.params, test) > clean - 25_000


def test_free_riders_earn_less_than_anyone_honest(four: Consortium) -> None:
    for seat in range(4):
        last = train(four, Run(attacks={seat: free_rider}))[-1]
        assert last.payments[seat] < min(p for k, p in enumerate(last.payments) if k != seat) // 4


def test_late_poisoners_lose_pay_though_their_stake_may_stay(four: Consortium) -> None:
    honest = train(four, Run())[-1]
    started = LINEAR.zeros()

    def late(task: Dense, base: State, part: Part, by: Scaling, fit: site.Fit, seed: bytes) -> State:
        attack = site.train if equal(base, started) else site.poisoned
        return attack(task, base, part, by, fit, seed)

    last = train(four, Run(attacks={2: late}))[-1]
    assert last.payments[2] < honest.payments[2] // 4
    assert set(last.slashed) <= {2}


def economics(records: Part, seeds: range) -> tuple[int, int, int]:
    """(poisoners slashed, honest sites slashed, honest sites seen) over runs with and without a rotating poisoner."""
    caught = wronged = honest = 0
    for seed in seeds:
        split = consortium(seed, records=records)
        poisoner = seed % 4
        last = train(split, Run(attacks={poisoner: site.poisoned}))[-1]
        caught += poisoner in last.slashed
        wronged += len(set(last.slashed) - {poisoner}) + len(train(split, Run())[-1].slashed)
        honest += 3 + 4
    return caught, wronged, honest


def test_poisoners_are_slashed_and_honest_sites_are_not(records: Part) -> None:
    assert economics(records, range(100, 112)) == (12, 0, 84)


@pytest.mark.slow
def test_poisoners_are_slashed_and_honest_sites_are_not_over_many_splits(records: Part) -> None:
    caught, wronged, honest = economics(records, range(1000, 1300))
    print(f"poisoners slashed {caught} of 300; honest sites slashed {wronged} of {honest}")
    assert caught == 300
    assert wronged == 0


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "least"), [(sign_flip, 40), (scaled, 55), (flipped, 60), (free_rider, 45)])
def test_other_attacks_over_many_splits(records: Part, attack: Attack, least: int) -> None:
    caught = wronged = paid = 0
    for seed in range(300, 360):
        attacker = seed % 4
        last = train(consortium(seed, records=records), Run(attacks={attacker: attack}))[-1]
        caught += attacker in last.slashed
        wronged += len(set(last.slashed) - {attacker})
        paid += last.payments[attacker]
    print(f"{attack.__name__}: slashed {caught} of 60, honest slashed {wronged} of 180, paid {paid}")
    assert caught >= least
    assert wronged == 0
    assert paid == 0


def test_ten_sites_with_three_poisoners(records: Part) -> None:
    split = consortium(3, 10, records)
    last = train(split, Run(attacks=dict.fromkeys((1, 4, 8), site.poisoned)))[-1]
    assert set(last.slashed) == {1, 4, 8}
    assert LINEAR.score(last.params, scaling(split.validation).inputs(split.test)) > 930_000


@pytest.mark.parametrize("seed", range(1, 6))
def test_integer_model_agrees_with_the_float_model(records: Part, seed: int) -> None:
    split = consortium(seed, records=records)
    state = train(split, Run())[-1].params
    data = scaling(split.validation).inputs(split.test)
    real = data.features / ONE @ (state["weights"] / ONE) + state["bias"][0] / ONE
    assert (LINEAR.predict(state, data) == (real > 0)).mean() > 0.999
    assert np.abs(LINEAR.probabilities(state, data) / ONE - 1 / (1 + np.exp(-real))).max() < 1e-4
    expected = float(np.mean(np.logaddexp(0, np.where(data.labels == 1, -real, real))))
    assert abs(LINEAR.loss(state, data) / ONE - expected) < 1e-4
