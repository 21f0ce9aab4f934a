"""A hospital's own work: it learns, stays within the bound, and refuses plans that make no sense."""

from __future__ import annotations

import numpy as np
import pytest

from troth.core.errors import BadInput
from troth.fixed.numbers import LIMIT, ONE, norm
from troth.learn import site
from troth.learn.arrays import flatten, layout
from troth.learn.data import Part, scaling
from troth.learn.dense import PARAMETER_LIMIT, Dense
from troth.learn.sets import BREAST_CANCER, Consortium

LINEAR = Dense(30, 2)


def test_an_update_lowers_the_sites_loss_and_is_an_integer_state(four: Consortium) -> None:
    by = scaling(four.validation)
    for part in four.sites:
        update = site.train(LINEAR, LINEAR.zeros(), part, by, site.Fit())
        assert layout(update) == LINEAR.layout
        data = by.inputs(part)
        assert LINEAR.loss(update, data) < LINEAR.loss(LINEAR.zeros(), data) // 2
        assert LINEAR.loss(LINEAR.zeros(), data) == 45426  # ln 2 at 2**16


def test_gradient_is_the_float_gradient(four: Consortium) -> None:
    """One step from zero is -rate times the gradient, written out."""
    by = scaling(four.validation)
    part = four.sites[0]
    features = by.apply(part.features) / ONE
    error = 0.5 - part.labels
    expected = -0.2 * np.concatenate([[error.mean()], features.T @ error / len(part)])
    update = flatten(site.train(LINEAR, LINEAR.zeros(), part, by, site.Fit(steps=1)))
    assert np.abs(update / ONE - expected).max() < 2e-5


def test_updates_and_poison_stay_within_the_bound(four: Consortium) -> None:
    by = scaling(four.validation)
    for clip in (1, 100, ONE, site.DEFAULT_CLIP):
        plan = site.Fit(clip=clip)
        for made in (site.train, site.poisoned):
            assert norm(flatten(made(LINEAR, LINEAR.zeros(), four.sites[2], by, plan))) <= clip


def test_poison_points_the_other_way(four: Consortium) -> None:
    by = scaling(four.validation)
    good, bad = (flatten(made(LINEAR, LINEAR.zeros(), four.sites[2], by, site.Fit()))
                 for made in (site.train, site.poisoned))
    assert int(good @ bad) < 0
    assert norm(bad) > norm(good)
    assert site.poison(site.poison(four.sites[2])) == four.sites[2]


@pytest.mark.parametrize("changes", [{"steps": 0}, {"rate": 0.0}, {"rate": float("nan")}, {"decay": -1.0},
                                     {"clip": 0}, {"clip": LIMIT + 1}])
def test_senseless_plans_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        site.Fit(**changes)  # type: ignore[arg-type]


def test_training_without_records_is_refused(four: Consortium) -> None:
    empty = four.test.rows([])
    with pytest.raises(BadInput):
        site.train(LINEAR, LINEAR.zeros(), empty, scaling(four.validation), site.Fit())
    with pytest.raises(BadInput):
        scaling(empty)
    for measure in (LINEAR.loss, LINEAR.score):
        with pytest.raises(BadInput):
            measure(LINEAR.zeros(), scaling(four.validation).inputs(empty))


def test_a_factor_that_overflows_is_refused(four: Consortium) -> None:
    with pytest.raises(BadInput):
        site.poisoned(LINEAR, LINEAR.zeros(), four.sites[0], scaling(four.validation), site.Fit(), factor=1 << 40)


def test_model_measures(four: Consortium) -> None:
    by = scaling(four.validation)
    data = by.inputs(Part(four.test.features[:3], np.array([0, 0, 1], np.int64), BREAST_CANCER))
    assert LINEAR.predict(LINEAR.zeros(), data).tolist() == [0, 0, 0]  # a logit of zero is not benign
    assert LINEAR.score(LINEAR.zeros(), data) == 666_666
    assert LINEAR.probabilities(LINEAR.zeros(), data).tolist() == [ONE // 2] * 3
    with pytest.raises(BadInput):
        LINEAR.check({"weights": np.zeros(30, np.int64)})
    with pytest.raises(BadInput):
        LINEAR.check(LINEAR.state_of(np.full(31, -PARAMETER_LIMIT - 1, np.int64)))
