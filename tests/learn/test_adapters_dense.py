"""scikit-learn trains locally what everybody evaluates in integers."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from troth.core.errors import BadInput
from troth.fixed.numbers import ONE, dequantise, quantise
from troth.learn.adapters.sklearn import into_dense, prepare, to_dense, update
from troth.learn.aggregate import Update
from troth.learn.arrays import equal
from troth.learn.data import Inputs, Part, Schema, scaling
from troth.learn.dense import Dense
from troth.learn.draws import seed_of
from troth.learn.round import RoundInput, run_round
from troth.learn.sets import Consortium


def _digits(classes: int) -> Inputs:
    features, labels = load_digits(return_X_y=True)
    here = labels < classes
    return Inputs(quantise((features[here] - 8) / 6), labels[here].astype(np.int64))


def _numbers() -> Inputs:
    data = _digits(10)
    return Inputs(data.features, quantise((data.labels - 4.5) / 2.9))


LAYERS = {"max_iter": 20, "learning_rate_init": 0.01, "random_state": 0}
CASES = {
    "logistic": (Dense(64, 2), LogisticRegression(), 2), "softmax": (Dense(64, 10), LogisticRegression(), 10),
    "sgd": (Dense(64, 2), SGDClassifier(loss="log_loss", alpha=0.01), 2),
    "relu, two": (Dense(64, 2, (8,)), MLPClassifier((8,), **LAYERS), 2),
    "relu, ten": (Dense(64, 10, (16, 12)), MLPClassifier((16, 12), **LAYERS), 10),
    "no hidden": (Dense(64, 10), MLPClassifier((), **LAYERS), 10),
    "least squares": (Dense(64, 0), Ridge(), 0), "sgd numbers": (Dense(64, 0), SGDRegressor(), 0),
    "relu numbers": (Dense(64, 0, (8,)), MLPRegressor(hidden_layer_sizes=(8,), **LAYERS), 0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_integer_network_answers_as_the_fitted_estimator(case: str) -> None:
    task, estimator, classes = CASES[case]
    data = _digits(classes) if classes else _numbers()
    x, y = dequantise(data.features), data.labels if classes else dequantise(data.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(x, y)
    state = to_dense(task, estimator)
    found, theirs = task.predict(state, data), estimator.predict(x)
    if classes:
        assert (found == theirs).mean() >= 0.999
        assert task.score(state, data) / 1e6 > 0.9
    else:
        assert np.abs(found / ONE - theirs).max() < 0.01
    other = into_dense(task, prepare(estimator, 64, range(classes) if classes else None), state)
    assert equal(to_dense(task, other), state)


def test_scikit_learn_trains_the_updates_of_an_integer_round(four: Consortium) -> None:
    task, by = Dense(30, 2), scaling(four.validation)
    base = task.zeros()
    start = prepare(LogisticRegression(warm_start=True, max_iter=3), 30, [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        updates = tuple(Update(f"site-{index}", len(part), update(task, base, start, by.inputs(part), 2 * ONE))
                        for index, part in enumerate(four.sites))
    found = run_round(RoundInput(task, base, tuple(one.site for one in updates), updates, four.validation, seed_of(1),
                                 1000))
    assert not found.rejected
    assert sum(found.payments) == 1000
    assert task.score(found.params, by.inputs(four.test)) > 930_000


@pytest.mark.parametrize(("task", "estimator", "classes", "words"), [
    (Dense(3, 2), Perceptron(), [0, 1], "probabilities"),
    (Dense(3, 3), SGDClassifier(loss="log_loss"), [0, 1, 2], "two"),
    (Dense(3, 2), SGDClassifier(), [0, 1], "log_loss"), (Dense(3, 2), LogisticRegression(), ["a", "b"], "classes 0"),
    (Dense(3, 2), LogisticRegression(fit_intercept=False), [0, 1], "intercept"),
    (Dense(3, 2, (4,)), LogisticRegression(), [0, 1], "hidden"),
    (Dense(3, 2, (4,)), MLPClassifier((4,), activation="tanh"), [0, 1], "relu"),
    (Dense(3, 2, (4,)), MLPClassifier((5,)), [0, 1], "shape"), (Dense(4, 2), LogisticRegression(), [0, 1], "shape"),
    (Dense(3, 0), LogisticRegression(), [0, 1], "regression"), (Dense(3, 2), LinearRegression(), None, "classes 0"),
], ids=["perceptron", "one against all", "hinge", "named classes", "no intercept", "linear", "tanh", "width",
        "features", "classifier", "regression"])
def test_an_estimator_that_computes_something_else_is_refused(task, estimator, classes, words) -> None:
    one = prepare(estimator, 3, classes)
    with pytest.raises(BadInput, match=words):
        to_dense(task, one)
    with pytest.raises(BadInput, match=words):
        into_dense(task, one, task.zeros())


def test_a_parameter_beyond_the_networks_limit_is_refused() -> None:
    one = prepare(LogisticRegression(), 3, [0, 1])
    one.coef_ = np.array([[300.0, 0.0, 0.0]])
    with pytest.raises(BadInput, match="range"):
        to_dense(Dense(3, 2), one)


def test_the_schema_of_a_part_leads_to_the_estimator() -> None:
    schema = Schema(("a", "b"), 1, classes=("no", "yes", "perhaps"))
    part = Part(np.arange(12).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2]), schema)
    task = Dense.of({"family": "dense", "hidden": []}, schema)
    one = prepare(LogisticRegression(), len(schema.columns), range(len(schema.classes)))
    assert equal(to_dense(task, one), task.zeros())
    assert task.predict(task.zeros(), scaling(part).inputs(part)).tolist() == [0] * 6
