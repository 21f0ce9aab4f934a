"""scikit-learn: fitted linear models and multi-layer perceptrons.

Carried: ``coef_`` and ``intercept_``, or each layer's ``coefs_`` and ``intercepts_``. Not carried: the order of
``classes_`` (it is the estimator's, and every site's must be the same: `prepare` makes one for all), optimisers'
memory, and whatever stands before the estimator in a pipeline. Standardise features by public numbers first: an error
of 2**-17 in a weight is multiplied by the feature, so a linear model's output is off by at most
2**-17 * (sum of |feature| + 1) (`worst`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import ONE, FloatArray, IntArray, clip_norm, dequantise, subtract
from troth.learn.adapters.form import Form, Raw, narrow
from troth.learn.adapters.plain import exactly, split
from troth.learn.arrays import State, flatten
from troth.learn.data import Inputs
from troth.learn.dense import Dense

_E = TypeVar("_E")
LINEAR = ("LogisticRegression", "LinearRegression", "Ridge", "SGDClassifier", "SGDRegressor", "Perceptron")
LAYERED = ("MLPClassifier", "MLPRegressor")


def _library() -> Any:
    try:
        # Imported here: an extra, and a second to load.
        import sklearn.base
        import sklearn.linear_model
        import sklearn.neural_network
    except ImportError:
        raise OutsideFailed("scikit-learn is not installed", do="pip install 'troth[learn]'") from None
    return sklearn


def _is(estimator: Any, names: Sequence[str]) -> bool:
    library = _library()
    return any(isinstance(estimator, getattr(module, name)) for name in names
               for module in (library.linear_model, library.neural_network) if hasattr(module, name))


def _intercept(estimator: Any) -> bool:
    return bool(estimator.get_params()["fit_intercept"])


def arrays(estimator: Any) -> dict[str, Any]:
    """A fitted estimator's arrays by name. Raises BadInput for another estimator, or one that was never fitted."""
    if _is(estimator, LINEAR):
        if hasattr(estimator, "coef_"):
            found = {"coef_": np.asarray(estimator.coef_)}
            return found | ({"intercept_": np.asarray(estimator.intercept_)} if _intercept(estimator) else {})
    elif _is(estimator, LAYERED):
        if hasattr(estimator, "coefs_"):
            return {f"{name}.{index}": layer for name in ("coefs_", "intercepts_")
                    for index, layer in enumerate(getattr(estimator, name))}
    else:
        raise BadInput("no adapter for this estimator", expected=", ".join((*LINEAR, *LAYERED)),
                       actual=type(estimator).__name__, do="Of a pipeline, give the last step.")
    raise BadInput("the estimator was never fitted, so that its arrays have no shapes",
                   actual=type(estimator).__name__, do="Use troth.learn.adapters.sklearn.prepare first.")


class Estimator:
    """The `Model` port over a fitted estimator."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.form = split(arrays(estimator))
        if estimator.get_params().get("average"):
            raise BadInput("an averaging SGD estimator keeps a second set of weights", expected="average=False",
                           do="Rounds average already.")

    def read(self, form: Form) -> dict[str, FloatArray]:
        found = arrays(self._estimator)
        return {slot.name: found[slot.name].astype(np.float64) for slot in form.slots}

    def write(self, form: Form, values: Mapping[str, FloatArray]) -> None:
        for slot in form.slots:
            value = narrow(values[slot.name].reshape(slot.shape), slot.dtype)
            name, _, index = slot.name.partition(".")
            if index:
                getattr(self._estimator, name)[int(index)] = value
            else:  # a regression of one target holds its intercept as a number
                setattr(self._estimator, name, value if slot.shape else value.reshape(())[()])

    def raw(self, names: Iterable[str]) -> dict[str, Raw]:
        found = arrays(self._estimator)
        return {name: exactly(found[name]) for name in names}


def prepare(estimator: _E, features: int, classes: Sequence[Any] | None = None, targets: int = 1) -> _E:
    """A new estimator with the same settings and arrays of the right shapes: the start that every site shares.

    A linear model starts at zero, a perceptron of layers as its ``random_state`` says. classes: of a classifier, all of
    them, also those that a site has no record of, ascending. targets: of a regression.
    Raises BadInput for other classes than an ascending list of two or more, or where none belong.
    """
    library = _library()
    one: Any = library.base.clone(estimator)
    if (library.base.is_classifier(one)) != (classes is not None):
        raise BadInput("classes are a classifier's, and a classifier needs them", actual=classes)
    count = 2 if classes is None else len(classes)
    labels: Any = np.zeros((count, targets)) if classes is None else np.asarray(classes)
    if features < 1 or targets < 1 or count < 2 or (classes is not None and list(np.unique(labels)) != list(labels)):
        raise BadInput("no shapes for an estimator", expected="features, and two or more classes, ascending",
                       actual=(features, classes, targets))
    settings = one.get_params()
    passing = {"max_iter": 1, "early_stopping": False, "warm_start": False}
    one.set_params(**{name: value for name, value in passing.items() if name in settings})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge on rows of zeros, nor shall it
        one.fit(np.zeros((count, features)), labels.reshape(-1) if targets == 1 else labels)
    one.set_params(**{name: settings[name] for name in passing if name in settings})
    if _is(one, LINEAR):
        one.coef_ = np.zeros_like(one.coef_)
        one.intercept_ = one.intercept_ * 0.0
    arrays(one)
    return one  # type: ignore[no-any-return]


def train(estimator: _E, features: npt.ArrayLike, labels: npt.ArrayLike, passes: int = 1) -> _E:
    """Go on training from the arrays that the estimator holds; itself is returned.

    ``partial_fit`` where there is one, ``passes`` times; a logistic regression goes on with ``warm_start``; least
    squares have a closed form, which does not depend on where it starts.
    Raises BadInput where the records lack a class that the estimator knows: its arrays would lose their meaning.
    """
    one: Any = estimator
    before = split(arrays(one))
    known = getattr(one, "classes_", None)
    if hasattr(one, "partial_fit"):
        for _ in range(passes):
            one.partial_fit(features, labels)
        return estimator
    if known is not None:
        if set(np.unique(np.asarray(labels)).tolist()) != set(known.tolist()):
            raise BadInput(f"{type(one).__name__} cannot train on records of some classes only", expected=known,
                           actual=np.unique(np.asarray(labels)), do="Take SGDClassifier(loss='log_loss').")
        if not one.warm_start or one.solver == "liblinear":
            raise BadInput(f"{type(one).__name__} would start anew", expected="warm_start=True, and not liblinear")
    one.fit(features, labels)
    if split(arrays(one)).layout != before.layout:
        raise BadInput("training changed the model's shapes", expected=before.layout)
    return estimator


def _matching(task: Dense, estimator: Any) -> dict[str, tuple[str, int | None]]:
    """The estimator's arrays that are this network's: its names to (attribute, layer). Raises BadInput where another
    function is computed."""
    classes = list(getattr(estimator, "classes_", []))
    why = ""
    if classes != list(range(task.classes)):
        why = f"classes 0 to {task.classes - 1}" if task.classes else "a regression"
    elif _is(estimator, LAYERED):
        if task.hidden and estimator.activation != "relu":
            why = "activation='relu'"
    elif not _is(estimator, LINEAR) or task.hidden:
        why = "a linear model without, a perceptron with hidden layers"
    elif not _intercept(estimator):
        why = "an intercept"
    elif _is(estimator, ("Perceptron",)) or (_is(estimator, ("SGDClassifier",)) and (
            estimator.loss != "log_loss" or task.classes > 2)):
        why = "probabilities by logistic or softmax regression: of SGDClassifier, log_loss and two classes"
    elif _is(estimator, ("LogisticRegression",)) and estimator.solver == "liblinear" and task.classes > 2:
        why = "softmax regression"
    if why:
        raise BadInput("this estimator does not compute what the plan's network does", expected=why, actual=estimator)
    if _is(estimator, LINEAR):
        return {"bias": ("intercept_", None), "weights": ("coef_", None)}
    found: dict[str, tuple[str, int | None]] = {}
    for index, (prefix, _, _) in enumerate(task.layers()):
        found |= {f"{prefix}bias": ("intercepts_", index), f"{prefix}weights": ("coefs_", index)}
    return found


def to_dense(task: Dense, estimator: Any) -> dict[str, IntArray]:
    """A fitted estimator as a state of the plan's integer network, which everybody evaluates alike.

    Of two classes the output is the log-odds of class 1, as in scikit-learn. Raises BadInput for an estimator that
    computes something else, for other shapes, and for parameters beyond the network's limit.
    """
    state = Estimator(estimator)
    numbers = state.form.encode(state.read(state.form))
    found = {}
    shapes = dict(task.layout)
    for name, (attribute, index) in _matching(task, estimator).items():
        array = numbers[attribute if index is None else f"{attribute}.{index}"]
        if attribute == "coef_" and task.outputs > 1:
            array = np.ascontiguousarray(array.T)
        if array.size != np.prod(shapes[name]):
            raise BadInput(f"{name} has another shape than the plan's", expected=shapes[name], actual=array.shape)
        found[name] = array.reshape(shapes[name])
    task.check(found)
    return found


def into_dense(task: Dense, estimator: _E, state: State) -> _E:
    """Put a state of the plan's network into a fitted estimator, which is returned. Raises BadInput as `to_dense`."""
    task.check(state)
    seen = Estimator(estimator)
    numbers: dict[str, IntArray] = {}
    shapes = dict(seen.form.layout)
    for name, (attribute, index) in _matching(task, estimator).items():
        key = attribute if index is None else f"{attribute}.{index}"
        array = np.ascontiguousarray(state[name].T) if attribute == "coef_" and task.outputs > 1 else state[name]
        if key not in shapes or array.size != np.prod(shapes[key]):
            raise BadInput(f"{key} has another shape than the plan's", expected=array.shape, actual=shapes.get(key))
        numbers[key] = array.reshape(shapes[key])
    seen.write(seen.form, seen.form.decode(numbers))
    return estimator


def update(task: Dense, base: State, estimator: Any, data: Inputs, clip: int, passes: int = 1) -> dict[str, IntArray]:
    """A site's update of the plan's network, trained by scikit-learn: what `train` makes of ``base``, minus it.

    estimator: as `prepare` gives it, for features and classes of the task; it is trained in place. clip: norm bound.
    """
    labels = data.labels if task.classes else dequantise(data.labels)
    after = train(into_dense(task, estimator, base), dequantise(data.features), labels, passes)
    return task.state_of(clip_norm(subtract(flatten(to_dense(task, after)), flatten(base)), clip))


def worst(features: npt.ArrayLike) -> FloatArray:
    """By how much a linear model's output may differ once quantised, per record: 2**-17 * (sum of |feature| + 1)."""
    return np.asarray((np.abs(np.asarray(features, dtype=np.float64)).sum(axis=1) + 1) / (2 * ONE), dtype=np.float64)
