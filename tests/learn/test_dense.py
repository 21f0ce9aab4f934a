"""Dense networks in integers: they agree with floats, learn real data, and no parameter within the limit overflows."""

from __future__ import annotations

import numpy as np
import pytest

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE, FloatArray, IntArray, dequantise
from troth.learn import site
from troth.learn.arrays import State, flatten
from troth.learn.data import STANDARD_LIMIT, Inputs, Part, Schema, scaling
from troth.learn.dense import PARAMETER_LIMIT, Dense
from troth.learn.draws import seed_of, uniform
from troth.learn.sets import BREAST_CANCER, DIGITS, breast_cancer, consortium, digits, skewed
from troth.learn.tasks import task_of
from troth.learn.training import Run, dense, train

SHAPES = [Dense(5, 2), Dense(5, 4), Dense(5, 0), Dense(5, 2, (7,)), Dense(5, 3, (7, 6)), Dense(5, 0, (4,))]


def floats(task: Dense, state: State, features: FloatArray) -> FloatArray:
    """The same network in floats."""
    here = features
    for prefix, before, after in task.layers():
        here = here @ dequantise(state[f"{prefix}weights"]).reshape(before, after) + dequantise(state[f"{prefix}bias"])
        here = np.maximum(here, 0) if prefix else here
    return here


def losses(task: Dense, out: FloatArray, labels: IntArray) -> FloatArray:
    """Each record's loss in floats."""
    if task.outputs > 1:
        return np.log(np.exp(out).sum(axis=1)) - out[np.arange(len(labels)), labels]
    if task.classes:
        return np.logaddexp(0, np.where(labels == 1, -out[:, 0], out[:, 0]))
    gap = np.abs(out[:, 0] - labels / ONE)
    return np.where(gap <= 1, gap**2 / 2, gap - 0.5)


def some(task: Dense, rng: np.random.Generator, size: int = 40) -> tuple[dict[str, IntArray], Inputs]:
    state = {name: rng.integers(-ONE, ONE, shape) for name, shape in task.layout}
    labels = rng.integers(0, task.classes, size) if task.classes else rng.integers(-2 * ONE, 2 * ONE, size)
    return state, Inputs(rng.integers(-2 * ONE, 2 * ONE, (size, task.inputs)), labels)


@pytest.mark.parametrize("task", SHAPES, ids=str)
def test_integers_agree_with_floats(task: Dense) -> None:
    rng = np.random.default_rng(1)
    state, data = some(task, rng)
    other, _ = some(task, rng)
    vectors = np.stack([flatten(state), flatten(other)])
    out, found = task.outputs_of(vectors, data.features), task.row_losses(vectors, data)
    for index, one in enumerate((state, other)):
        real = floats(task, one, data.features / ONE)
        assert np.abs(out[index] / ONE - real).max() < 1e-3
        assert np.abs(found[index] / ONE - losses(task, real, data.labels)).max() < 2e-3
    assert (found >= 0).all()
    assert task.loss(state, data) == pytest.approx(found[0].mean(), abs=1)


@pytest.mark.parametrize("task", SHAPES, ids=str)
def test_no_parameter_within_the_limit_overflows(task: Dense) -> None:
    for sign in (1, -1):
        state = {name: np.full(shape, sign * PARAMETER_LIMIT) for name, shape in task.layout}
        label = np.zeros(3, np.int64) if task.classes else np.full(3, -STANDARD_LIMIT)
        data = Inputs(np.full((3, task.inputs), STANDARD_LIMIT), label)
        assert (task.row_losses(flatten(state).reshape(1, -1), data) >= 0).all()
        task.score(state, data)


@pytest.mark.parametrize("task", SHAPES, ids=str)
def test_gradients_are_right(task: Dense) -> None:
    """One step of descent moves every parameter by the rate times the slope that differences of the loss give."""
    rng = np.random.default_rng(2)
    schema = Schema(tuple("abcde"), 0, classes=tuple("uvwxyz"[:task.classes]))
    part = Part(rng.integers(-1000, 1000, (50, 5)), rng.integers(0, task.classes or 900, 50), schema)
    by, (base, _) = scaling(part), some(task, rng)
    data, fit = by.inputs(part), site.Fit(1, 1.0, 0.0)

    def loss(state: dict[str, FloatArray]) -> float:
        here = data.features / ONE
        for prefix, before, after in task.layers():
            here = here @ state[f"{prefix}weights"].reshape(before, after) + state[f"{prefix}bias"]
            here = np.maximum(here, 0) if prefix else here
        return float(losses(task, here, data.labels).mean())

    start = {name: dequantise(array) for name, array in base.items()}
    moved = site.descend(task, base, part, by, fit) - np.concatenate([start[n].reshape(-1) for n, _ in task.layout])
    at = 0
    for name, shape in task.layout:
        for index in np.ndindex(shape):
            up, down = ({k: v.copy() for k, v in start.items()} for _ in range(2))
            up[name][index] += 1e-5
            down[name][index] -= 1e-5
            assert -moved[at] == pytest.approx((loss(up) - loss(down)) / 2e-5, abs=1e-5)
            at += 1


def test_digits_are_learned_by_softmax_and_by_a_hidden_layer() -> None:
    split = skewed(digits(), 1, 5, 1.0)
    by = scaling(split.validation)
    for hidden, least in (((), 880_000), ((32,), 900_000)):
        run = Run(rounds=6, fit=site.Fit(20, 0.5, 0.0001, site.DEFAULT_CLIP * 4), rule="mean", hidden=hidden)
        last = train(split, run)[-1].params
        assert dense(split.test, hidden).score(last, by.inputs(split.test)) > least


def test_a_number_is_learned() -> None:
    """Tumour area from the other measurements: nearly all of the variance."""
    cells, columns = breast_cancer().features, BREAST_CANCER.columns
    keep = [index for index, name in enumerate(columns) if name.startswith("mean") and name != "mean_area"]
    schema = Schema(tuple(columns[k] for k in keep), 7, "mean_area", source=BREAST_CANCER.source)
    every = Part(np.ascontiguousarray(cells[:, keep]), cells[:, columns.index("mean_area")].copy(), schema)
    part, test = every.rows(range(400)), every.rows(range(400, 569))
    by, task = scaling(part), Dense(len(keep), 0)
    delta = site.train(task, task.zeros(), part, by, site.Fit(300, 0.3, 0.0, site.UNBOUNDED))
    assert task.score(delta, by.inputs(test)) > 950_000
    assert task.score(task.zeros(), by.inputs(part)) == pytest.approx(0, abs=10)
    with pytest.raises(BadInput):
        task.correct(delta, by.inputs(test))


def test_batches_are_repeatable_and_drawn_from_the_seed() -> None:
    part = consortium(1).sites[0]
    by, task = scaling(part), Dense(30, 2)
    one, again, other = (flatten(site.train(task, task.zeros(), part, by, site.Fit(batch=16), seed_of(seed)))
                         for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_the_start_is_pinned_and_a_column_without_spread_says_nothing() -> None:
    task = Dense(4, 3, (5,))
    start = task.start(seed_of(1))
    assert not start["weights"].any()
    assert np.abs(start["hidden1.weights"]).max() <= ONE
    assert len(set(start["hidden1.weights"].reshape(-1).tolist())) > 15
    assert uniform(seed_of(1), "x", 6, 100).tolist() == PINNED
    assert uniform(seed_of(1), "x", 50, 0).tolist() == [0] * 50
    flat = Part(np.full((4, 64), 7), np.arange(4), DIGITS)
    assert not scaling(flat).apply(flat.features + 5).any()


@pytest.mark.parametrize("said", [{}, {"family": "dense"}, {"family": "dense", "hidden": [0]}, {"family": "tree"},
                                  {"family": "dense", "hidden": ["9"]}, {"family": "dense", "hidden": [1] * 9},
                                  {"family": "dense", "hidden": [], "more": 1}])
def test_a_plan_with_another_task_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        task_of(said, DIGITS)


@pytest.mark.parametrize("said", [
    {"columns": ["a", "a"], "decimals": 0}, {"columns": [], "decimals": 0}, {"columns": ["a b"], "decimals": 0},
    {"columns": ["label"], "decimals": 0}, {"columns": ["a"], "decimals": 13}, {"columns": ["a"], "decimals": -1},
    {"columns": ["a"], "decimals": 0, "classes": ["x"]}, {"columns": ["a"], "decimals": 0, "classes": ["x", "x"]},
])
def test_a_schema_refuses_what_does_not_fit(said: dict[str, object]) -> None:
    whole = {"classes": [], "label": "label", "media_type": "text/csv", "source": ""} | said
    with pytest.raises(BadInput):
        Schema.of(whole)
    assert Schema.of(DIGITS.json()) == DIGITS


PINNED = [77, -76, 68, -41, 44, 48]
