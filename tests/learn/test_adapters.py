"""Named arrays of floats as states: names, numbers, and what is refused. NumPy and scikit-learn; PyTorch beside it."""

import warnings
from hashlib import sha256

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor

from troth.core.errors import BadInput, Refuted
from troth.fixed.numbers import LIMIT
from troth.learn import arrays
from troth.learn.adapters import into, to_state
from troth.learn.adapters.form import key_of, name_of
from troth.learn.adapters.partial import Partial
from troth.learn.adapters.sklearn import prepare, train, worst

UNIT = 2.0**-16


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(max_codepoint=0x2FF) | st.characters(min_codepoint=0xD700, max_codepoint=0x1F600),
               max_size=40))
def test_a_name_has_one_legal_form_and_is_read_back(name: str) -> None:
    if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        with pytest.raises(BadInput, match="no text"):
            key_of(name)
        return
    key = key_of(name)
    arrays.encode({key: np.zeros(1, np.int64)})
    if not key.startswith("h."):
        assert name_of(key) == name


@given(st.lists(st.text(alphabet="aA_.q0é", max_size=70), unique=True, max_size=8))
def test_two_names_never_become_one(names: list[str]) -> None:
    assert len({key_of(name) for name in names}) == len(names)


@pytest.mark.parametrize(("name", "key"), [
    ("weights", "weights"), ("layer.0.in_proj_weight", "layer.0.in_proj_weight"), ("0.weight", "q.0.weight"),
    ("Dense_1/kernel", "q._44ense_5f1_2fkernel"), ("q.x", "q.q.x"), ("", "q."),
    ("x" * 65, "h." + sha256(b"x" * 65).hexdigest()[:60]), ("X" * 21, "h." + sha256(b"X" * 21).hexdigest()[:60]),
])
def test_names_by_example(name: str, key: str) -> None:
    assert key_of(name) == key


@pytest.mark.parametrize("key", ["q._41_4", "q.abc", "h." + "0" * 60, "q._ff", "Q", "q._61"])
def test_a_key_that_no_name_gives_is_not_read_back(key: str) -> None:
    with pytest.raises(BadInput):
        name_of(key)


FLOATS = st.floats(-LIMIT * UNIT, LIMIT * UNIT, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=6, max_side=3), elements=FLOATS))
def test_a_round_trip_is_within_half_a_unit_and_the_second_is_exact(values: np.ndarray) -> None:
    model = {"W": values.copy()}
    state = to_state(model)
    assert arrays.equal(arrays.decode(arrays.encode(state)), state)
    into(model, state)
    assert model["W"].shape == values.shape
    assert np.abs(model["W"] - values).max() <= UNIT / 2
    assert arrays.equal(to_state(model), state)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, 5, elements=st.floats(-256, 256, width=32)))
def test_float32_up_to_256_comes_back_as_the_state_says(values: np.ndarray) -> None:
    model = {"w": values}
    state = to_state(model)
    assert model["w"] is values
    into(model, state)
    assert model["w"].dtype == np.float32
    assert model["w"] is not values, "somebody else may hold the old array"
    assert arrays.equal(to_state(model), state)


def test_narrow_types_round_to_the_nearest_and_keep_their_type() -> None:
    model = {"half": np.zeros(2, np.float16), "wide": np.zeros(2, np.float64)}
    into(model, {"half": np.array([65537, 3], np.int64), "wide": np.array([65537, 3], np.int64)})
    assert model["half"].dtype == np.float16
    assert model["half"].tolist() == [1.0, 3 * UNIT]
    assert model["wide"].tolist() == [1 + UNIT, 3 * UNIT]


def test_integers_are_left_out_by_name_and_stay() -> None:
    model = {"w": np.ones(2), "steps": np.array(7), "mask": np.array([True])}
    assert list(to_state(model)) == ["w"]
    into(model, {"w": np.array([1, 2], np.int64)})
    assert model["steps"] == 7
    assert model["mask"].tolist() == [True]


@pytest.mark.parametrize(("array", "words"), [
    (np.array([1.0, np.nan]), "finite"), (np.array([np.inf]), "finite"), (np.array([32768.0]), "too large"),
    (np.zeros((0, 3)), "no elements"), (np.array([1j]), "type"), (np.array(["a"]), "type"),
    (np.array([object()]), "type"), ([1.0], "NumPy"), (np.ma.masked_array([1.0], [True]), "masked"),
], ids=["nan", "infinity", "large", "empty", "complex", "text", "object", "list", "masked"])
def test_what_no_state_can_hold_is_refused_by_name(array: object, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        to_state({"fine": np.ones(1), "odd": array})
    assert "odd" in str(refused.value)


HOSTILE = {
    "missing": {"w": np.ones(2, np.int64)},
    "surplus": {"w": np.ones(2, np.int64), "b": np.ones(1, np.int64), "c": np.ones(1, np.int64)},
    "other name": {"w": np.ones(2, np.int64), "B": np.ones(1, np.int64)},
    "other shape": {"w": np.ones((1, 2), np.int64), "b": np.ones(1, np.int64)},
    "floats": {"w": np.ones(2), "b": np.ones(1, np.int64)},
    "int32": {"w": np.ones(2, np.int32), "b": np.ones(1, np.int64)},
    "too large": {"w": np.ones(2, np.int64), "b": np.array([LIMIT + 1])},
    "smallest": {"w": np.ones(2, np.int64), "b": np.array([-(2**63)])},
}


@pytest.mark.parametrize("state", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_state_changes_nothing(state: dict[str, np.ndarray]) -> None:
    model = {"w": np.array([0.5, 0.25]), "b": np.array([3.0])}
    with pytest.raises(BadInput):
        into(model, state)
    assert [array.tolist() for array in model.values()] == [[0.5, 0.25], [3.0]]


def test_a_partial_update_rests_on_its_base_and_on_no_other() -> None:
    base = {"head": np.zeros(2), "body": np.ones((2, 2), np.float32), "positions": np.arange(3)}
    part = Partial.read(Partial.of(base, ["head"]).json())
    assert list(part.to_state(base)) == ["head"]
    part.into(base, {"head": np.array([65536, 0], np.int64)})
    assert base["head"].tolist() == [1.0, 0.0]
    changed = {"value": base | {"body": np.full((2, 2), 1.0000001, np.float32)},
               "type": base | {"body": np.ones((2, 2))}, "integers": base | {"positions": np.array([0, 2, 1])},
               "shape": base | {"body": np.ones(4, np.float32)}, "name": {**base, "extra": np.ones(1)}}
    for what, model in changed.items():
        for act in (lambda m: part.to_state(m), lambda m: part.into(m, {"head": np.zeros(2, np.int64)})):
            with pytest.raises(Refuted, match="frozen"):
                act(model)
        assert model["head"].tolist() == [1.0, 0.0], what
    with pytest.raises(BadInput, match="surplus"):
        part.into(base, {"head": np.zeros(2, np.int64), "body": np.zeros((2, 2), np.int64)})
    with pytest.raises(BadInput, match="no such array"):
        Partial.of(base, ["positions"])


def _standard(features: np.ndarray) -> np.ndarray:
    return np.clip((features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9), -8, 8)


def _classification(name: str) -> tuple[np.ndarray, np.ndarray]:
    features, labels = (load_digits if name == "digits" else load_breast_cancer)(return_X_y=True)
    words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    return _standard(features), words[labels]


CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=200), "sgd": SGDClassifier(loss="log_loss", random_state=0),
    "perceptron": Perceptron(random_state=0), "no intercept": LogisticRegression(max_iter=200, fit_intercept=False),
    "layers": MLPClassifier((16,), max_iter=30, random_state=0),
}


@pytest.mark.parametrize("data", ["cancer", "digits"])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_quantised_classifier_labels_real_records_as_the_float_one(kind: str, data: str) -> None:
    features, labels = _classification(data)
    half = len(labels) // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = sklearn.base.clone(CLASSIFIERS[kind]).fit(features[:half], labels[:half])
    before, order = fitted.predict(features), list(fitted.classes_)
    state = to_state(fitted)
    other = into(prepare(CLASSIFIERS[kind], features.shape[1], sorted(set(labels))), state)
    assert list(other.classes_) == order
    assert arrays.equal(to_state(other), state)
    assert (other.predict(features) == before).mean() >= 0.999
    if hasattr(fitted, "decision_function"):
        gap = np.abs(other.decision_function(features) - fitted.decision_function(features))
        bound = worst(features) + 1e-9
        assert (gap <= (bound if gap.ndim == 1 else bound[:, None])).all()


REGRESSIONS = {"least squares": LinearRegression(), "ridge": Ridge(), "sgd": SGDRegressor(random_state=0),
               "layers": MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0)}


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("kind", REGRESSIONS)
def test_a_quantised_regression_answers_as_the_float_one(kind: str, targets: int) -> None:
    if kind == "sgd" and targets == 2:
        with pytest.raises(ValueError, match="array"):
            prepare(REGRESSIONS[kind], 4, targets=2)
        return
    features, values = load_diabetes(return_X_y=True)
    features = _standard(features)
    values = values / 100 if targets == 1 else np.stack([values / 100, -values / 50], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = sklearn.base.clone(REGRESSIONS[kind]).fit(features, values)
    other = into(prepare(REGRESSIONS[kind], features.shape[1], targets=targets), to_state(fitted))
    assert np.shape(getattr(other, "intercept_", 0.0)) == np.shape(getattr(fitted, "intercept_", 0.0))
    assert np.abs(other.predict(features) - fitted.predict(features)).max() < 0.002


def test_sites_train_on_from_the_rounds_state_and_their_mean_predicts() -> None:
    features, labels = _classification("digits")
    sites = [slice(start, 900, 3) for start in range(3)]
    for start in (SGDClassifier(loss="log_loss", random_state=1, alpha=0.01),
                  MLPClassifier((16,), random_state=1, learning_rate_init=0.01)):
        model = prepare(start, 64, sorted(set(labels)))
        for _ in range(3):
            base = to_state(model)
            states = [to_state(train(into(prepare(start, 64, sorted(set(labels))), base), features[rows], labels[rows],
                                     passes=8)) for rows in sites]
            into(model, {name: sum(state[name] for state in states) // 3 for name in base})
        assert model.score(features[900:], labels[900:]) > 0.85


def test_records_of_some_classes_only_do_not_change_what_the_arrays_mean() -> None:
    features, labels = _classification("digits")
    few = np.isin(labels, ["one", "two"])
    warm = prepare(LogisticRegression(warm_start=True, max_iter=5), 64, sorted(set(labels)))
    with pytest.raises(BadInput, match="some classes only"):
        train(warm, features[few], labels[few])
    with pytest.raises(BadInput, match="start anew"):
        train(prepare(LogisticRegression(), 64, sorted(set(labels))), features, labels)
    stepwise = prepare(SGDClassifier(loss="log_loss"), 64, sorted(set(labels)))
    assert to_state(train(stepwise, features[few], labels[few]))["coef_"].shape == (10, 64)


@pytest.mark.parametrize("model", [LogisticRegression(), MLPRegressor()], ids=["linear", "layers"])
def test_an_estimator_that_was_never_fitted_has_no_state(model: object) -> None:
    with pytest.raises(BadInput, match="never fitted"):
        to_state(model)


def test_other_models_are_refused() -> None:
    from sklearn.tree import DecisionTreeClassifier

    with pytest.raises(BadInput, match="no adapter for this estimator"):
        to_state(DecisionTreeClassifier())
    with pytest.raises(BadInput, match="no adapter for this model"):
        to_state(object())
    with pytest.raises(BadInput, match="averag"):
        to_state(prepare(SGDClassifier(average=True), 3, [0, 1]))
    with pytest.raises(BadInput, match="ascending"):
        prepare(LogisticRegression(), 3, [1, 0])
    with pytest.raises(BadInput, match="classifier needs"):
        prepare(LogisticRegression(), 3)
