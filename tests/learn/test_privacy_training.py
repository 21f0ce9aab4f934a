"""Training that bounds each record: gradients, bounds by exact checks, sampling, and what an attacker then learns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE, FloatArray, IntArray, dequantise, norm, quantise
from troth.learn import site
from troth.learn.arrays import flatten, layout
from troth.learn.data import Part, Schema, scaling
from troth.learn.dense import Dense
from troth.learn.privacy.client import SiteNoise
from troth.learn.privacy.mechanisms import EVERY, RECORD, SITE
from troth.learn.privacy.training import BOUND, PrivateSteps, bounded, chance, descend, drawn, noisy_sum
from troth.learn.sets import Consortium

RNG = np.random.default_rng(3)


def source(seed: int) -> site.private_training.Source:
    return np.random.default_rng(seed).bytes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3), min_size=1,
                max_size=6), st.sampled_from([1e-6, 0.5, 1.0, 1e6]))
def test_no_record_passes_the_bound_whatever_its_gradient(rows: list[list[float]], limit: float) -> None:
    gradients = np.array(rows)
    found = bounded(gradients, limit)
    assert found.dtype == np.int64
    for row, given_ in zip(found, gradients, strict=True):
        assert sum(int(one) ** 2 for one in row) <= BOUND**2
        if not np.isfinite(given_).all():
            assert not row.any(), "a gradient that is no number counts as none"


def test_clipping_keeps_directions_and_small_gradients() -> None:
    rows = np.array([[3.0, 4.0], [0.03, -0.04], [1e300, 0.0], [0.0, 0.0]])
    found = bounded(rows, 1.0) / BOUND
    assert found == pytest.approx(np.array([[0.6, 0.8], [0.03, -0.04], [1.0, 0.0], [0.0, 0.0]]), abs=1e-7)


@pytest.mark.parametrize(("classes", "hidden"), [(2, ()), (3, ()), (0, ()), (2, (4,)), (3, (5, 4)), (0, (3,))])
def test_each_records_gradient_is_that_of_training_on_it_alone(classes: int, hidden: tuple[int, ...]) -> None:
    task = Dense(6, classes, hidden)
    features = RNG.normal(size=(8, 6))
    labels = RNG.integers(0, classes, 8) if classes else RNG.normal(size=8)
    start = {name: array / ONE + RNG.normal(size=array.shape) * 0.3 for name, array in task.start(bytes(32)).items()}
    each = site._Network(task, dict(start), site.Fit()).each(features, labels)
    for index in range(8):
        alone = site._Network(task, dict(start), site.Fit(rate=1.0, decay=0.0))
        alone.step(features[index:index + 1], labels[index:index + 1])
        moved = np.concatenate([(start[name] - alone.state[name]).reshape(-1) for name, _ in task.layout])
        assert each[index] == pytest.approx(moved, abs=1e-12)


def test_with_little_noise_it_is_gradient_descent(four: Consortium) -> None:
    task, by, part = Dense(30, 2), scaling(four.validation), four.sites[1]
    plain = site.descend(task, task.zeros(), part, by, site.Fit(steps=5, rate=0.1, decay=0.0))
    data = by.inputs(part)

    def gradients(vector: FloatArray, chosen: IntArray) -> FloatArray:
        state = {"bias": vector[:1], "weights": vector[1:]}
        return site._Network(task, state, site.Fit()).each(dequantise(data.features)[chosen], data.labels[chosen])

    how = PrivateSteps(5, BOUND // 5, norm=30.0, rate=0.1)  # a bound no gradient reaches
    found = descend(gradients, np.zeros(31), len(part), how, source(1))
    assert np.abs(found - plain).max() < 5 * 0.1 * 6 * 5**0.5 / len(part)
    assert how.mechanism(31).body() == {"dimension": 31, "noise": "discrete_gaussian", "rate": EVERY, "shares": 1,
                                        "sensitivity": BOUND, "sigma": BOUND // 5, "steps": 5, "unit": RECORD}


def test_sums_do_not_depend_on_chunks_and_noise_has_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RNG.normal(size=(50, 4))
    how = PrivateSteps(1, 2 * BOUND)
    chosen = np.arange(50)
    whole = noisy_sum(lambda _, index: rows[index], np.zeros(4), chosen, how, source(2))
    monkeypatch.setattr(site.private_training, "_CHUNK", 12)
    assert (noisy_sum(lambda _, index: rows[index], np.zeros(4), chosen, how, source(2)) == whole).all()
    many = noisy_sum(lambda _, index: np.zeros((len(index), 20_000)), np.zeros(20_000), chosen[:1], how, source(3))
    assert many.std() == pytest.approx(2.0, rel=0.03)
    with pytest.raises(BadInput, match="another shape"):
        noisy_sum(lambda _, index: rows[:1], np.zeros(4), chosen, how, source(2))


def test_poisson_samples() -> None:
    counts = [len(drawn(1000, EVERY // 10, source(seed))) for seed in range(300)]
    assert np.mean(counts) == pytest.approx(100, rel=0.02)
    assert np.var(counts) == pytest.approx(90, rel=0.25), "sizes vary as independent draws do"
    assert len(drawn(1000, EVERY)) == 1000
    assert chance(1, 3) == -(-EVERY // 3)
    for batch, count in ((0, 3), (4, 3)):
        with pytest.raises(BadInput):
            chance(batch, count)


def test_a_step_without_a_record_still_moves_by_its_noise() -> None:
    how = PrivateSteps(3, 2 * BOUND, sampled=1)  # one chance in 2**32
    found = descend(lambda _, index: np.full((len(index), 2), 1.0), np.zeros(2), 5, how, source(1))
    assert (found != 0).all()
    with pytest.raises(BadInput):
        descend(lambda _, index: np.zeros((len(index), 2)), np.zeros(2), 0, how)


@pytest.mark.parametrize("changes", [{"steps": 0}, {"sigma": 1}, {"sampled": 0}, {"norm": 0.0}, {"rate": 0.0},
                                     {"norm": float("nan")}, {"decay": -0.1}])
def test_senseless_private_training_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        PrivateSteps(**{"steps": 1, "sigma": BOUND, **changes})  # type: ignore[arg-type]


def test_a_private_update_still_learns_and_keeps_within_the_rounds_bound(four: Consortium) -> None:
    task, by, part = Dense(30, 2), scaling(four.validation), four.sites[1]
    how = PrivateSteps(60, 2 * BOUND, chance(16, len(part)), rate=0.3)
    update = site.train_privately(task, task.zeros(), part, by, how)
    assert layout(update) == task.layout
    assert norm(flatten(update)) <= site.DEFAULT_CLIP
    data = by.inputs(four.validation)
    assert task.score(update, data) > 800_000
    again = site.train_privately(task, task.zeros(), part, by, how)
    assert (flatten(again) != flatten(update)).any(), "noise is never drawn twice"


def test_sites_add_shares_of_noise_to_updates_within_the_clip_norm() -> None:
    noise = SiteNoise.together(2 * ONE, 1.0, 4)
    updates = [quantise(RNG.normal(size=2000) * 0.03) for _ in range(4)]
    summed = sum(noise.add_to(update, source(index)) - update for index, update in enumerate(updates))
    assert np.std(summed) == pytest.approx(2 * ONE, rel=0.06), "together the shares are the noise asked for"
    assert noise.of_sites(2000).unit == SITE
    with pytest.raises(BadInput, match="above the clip norm"):
        noise.add_to(quantise(np.full(2000, 1.0)))
    with pytest.raises(BadInput):
        SiteNoise.together(2 * ONE, 1.0, 0)


def attack(private: bool) -> float:
    """Membership inference by the loss (Yeom et al., 2018): the share of right guesses beyond a coin's, doubled.

    20 records of 40 random numbers with random labels: a model can only learn them by heart.
    """
    schema = Schema(tuple(f"x{index}" for index in range(40)), 0, classes=("no", "yes"))
    task, rng = Dense(40, 2), np.random.default_rng(11)
    advantages = []
    for trial in range(20):
        members, others, public = (Part(rng.integers(-100, 101, (size, 40)), rng.integers(0, 2, size), schema)
                                   for size in (20, 20, 200))
        by = scaling(public)
        if private:
            update = site.train_privately(task, task.zeros(), members, by, PrivateSteps(50, 30 * BOUND), 8 * ONE)
        else:
            update = site.train(task, task.zeros(), members, by, site.Fit(200, 0.5, 0.0, 8 * ONE), bytes([trial] * 32))
        losses = [task.row_losses(flatten(update).reshape(1, -1), by.inputs(part))[0] for part in (members, others)]
        limit = np.median(np.concatenate(losses))
        advantages.append(float((losses[0] < limit).mean() - (losses[1] < limit).mean()))
    return float(np.mean(advantages))


def test_membership_is_told_from_an_overfit_model_and_not_from_a_private_one() -> None:
    assert attack(private=False) > 0.6
    assert attack(private=True) < 0.3
