"""scikit-learn's fitted estimators as models in real numbers.

Linear models, perceptrons of layers with ReLU, trees, forests, gradient boosting (also by histograms), alone or last in
a Pipeline after scalers, which are folded in. What is dropped: the logistic function and softmax at the end, which do
not change which score is the largest. Everything else is refused by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from troth.compute.models.real import Affine, Clip, Forest, Node, Real, Tree, narrow, ordered, shifted
from troth.core.errors import BadInput, OutsideFailed
from troth.fixed.numbers import FloatArray

LINEAR = ("LinearRegression", "Ridge", "Lasso", "ElasticNet", "SGDRegressor", "LogisticRegression",
          "RidgeClassifier", "SGDClassifier", "Perceptron", "LinearSVC", "LinearSVR")
LAYERED = ("MLPClassifier", "MLPRegressor")
TREES = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
FORESTS = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")
BOOSTED = ("GradientBoostingClassifier", "GradientBoostingRegressor")
BINNED = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
KNOWN = (*LINEAR, *LAYERED, *TREES, *FORESTS, *BOOSTED, *BINNED)


def of_sklearn(estimator: Any) -> Real:
    """A fitted estimator, or a Pipeline of scalers and one, as a model in real numbers.

    Raises BadInput for an estimator of another class, one that was never fitted, or one whose settings make it
    another function than its class says; OutsideFailed without scikit-learn.
    """
    try:
        # Imported here: an extra, and a second to load.
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted
    except ImportError:
        raise OutsideFailed("scikit-learn is not installed", do="pip install 'troth[learn]'") from None
    steps = [step for _, step in estimator.steps] if _name(estimator) == "Pipeline" else [estimator]
    *scalers, last = [step for step in steps if step is not None and step != "passthrough"] or [None]
    if _name(last) not in KNOWN:
        raise BadInput("no converter for this estimator", expected=", ".join(KNOWN), actual=_name(last),
                       do="Export it to ONNX, or take one of these.")
    try:
        check_is_fitted(last)
    except NotFittedError:
        raise BadInput("the estimator was never fitted", actual=_name(last)) from None
    nodes, head = _nodes(last)
    for scaler in reversed(scalers):
        nodes = (shifted(nodes[0], *_scaling(scaler)), *nodes[1:])
    features = tuple(str(name) for name in getattr(steps[0], "feature_names_in_", ()))
    classes = tuple(str(one) for one in getattr(last, "classes_", ())) if head != "number" else ()
    return Real(int(last.n_features_in_), nodes, head, features, classes)


def _name(estimator: Any) -> str:
    """The class's name, of scikit-learn's own classes only: a subclass may compute anything."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.split(".")[0] == "sklearn" else f"{kind.__module__}.{kind.__qualname__}"


def _nodes(estimator: Any) -> tuple[tuple[Node, ...], str]:
    name = _name(estimator)
    if name in LINEAR:
        return _linear(estimator)
    if name in LAYERED:
        return _layers(estimator)
    if name in TREES:
        return _forest([estimator], estimator)
    if name in FORESTS:
        return _forest(list(estimator.estimators_), estimator)
    return _boosted(estimator) if name in BOOSTED else _binned(estimator)


def _scaling(scaler: Any) -> tuple[FloatArray, FloatArray]:
    """(scale, offset) of ``x * scale + offset``. Raises BadInput."""
    name = _name(scaler)
    if name not in SCALERS:
        raise BadInput("no converter for this step of the pipeline", expected=", ".join(SCALERS), actual=name)
    width = int(scaler.n_features_in_)
    if name == "MinMaxScaler":
        if scaler.clip:
            raise BadInput("a scaler that clips is not an affine map", expected="clip=False", actual=name)
        return np.asarray(scaler.scale_, dtype=np.float64), np.asarray(scaler.min_, dtype=np.float64)
    spread = getattr(scaler, "scale_", None)
    centre = getattr(scaler, "center_" if name == "RobustScaler" else "mean_", None)
    centred = {"StandardScaler": "with_mean", "RobustScaler": "with_centering"}.get(name)
    scale = 1.0 / (np.ones(width) if spread is None else np.asarray(spread, dtype=np.float64))
    if centre is None or (centred is not None and not getattr(scaler, centred)):
        return scale, np.zeros(width)
    return scale, -np.asarray(centre, dtype=np.float64) * scale


def _linear(estimator: Any) -> tuple[tuple[Node, ...], str]:
    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    bias = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).reshape(-1), len(weights)).copy()
    if not hasattr(estimator, "classes_"):
        _one_target(len(weights))
        return (Affine(0, weights, bias),), "number"
    return (Affine(0, weights, bias),), "sign" if len(weights) == 1 else "largest"


def _layers(estimator: Any) -> tuple[tuple[Node, ...], str]:
    if estimator.activation not in ("relu", "identity"):
        raise BadInput("a perceptron with another activation", expected="relu or identity", actual=estimator.activation,
                       do="Train it with activation='relu'.")
    nodes: list[Node] = []
    for weights, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        if nodes and estimator.activation == "relu":
            nodes.append(Clip(len(nodes)))
        nodes.append(Affine(len(nodes), np.asarray(weights, dtype=np.float64).T.copy(),
                            np.asarray(bias, dtype=np.float64)))
    width = int(estimator.n_outputs_)
    if _name(estimator) == "MLPRegressor":
        _one_target(width)
        return tuple(nodes), "number"
    if estimator.out_activation_ != "softmax" and width > 1:
        raise BadInput("a perceptron with many labels a row", expected="one label", actual=width)
    return tuple(nodes), "sign" if width == 1 else "largest"


def _one_target(width: int) -> None:
    if width != 1:
        raise BadInput("a regression of many targets", expected="one", actual=width, do="Convert one model a target.")


def _tree(fitted: Any, leaf: FloatArray) -> Tree:
    """leaf: (nodes, outputs)."""
    left, right = fitted.children_left, fitted.children_right
    return ordered(np.where(left == -1, -1, fitted.feature).tolist(), narrow(fitted.threshold).tolist(), left.tolist(),
                   right.tolist(), leaf)


def _forest(trees: list[Any], estimator: Any) -> tuple[tuple[Node, ...], str]:
    """The mean of the trees' values; of a classifier the sum of their shares of each class (a mean would round where
    the votes are equal), of two classes the difference of the two."""
    _one_target(int(estimator.n_outputs_))
    found = []
    for one in trees:
        values = np.asarray(one.tree_.value[:, 0, :], dtype=np.float64)
        if hasattr(estimator, "classes_"):
            values = values / values.sum(axis=1, keepdims=True)
            if values.shape[1] == 2:
                values = values[:, 1:] - values[:, :1]
            elif values.shape[1] < 2:
                raise BadInput("a classifier of one class", expected="two or more", actual=1)
        else:
            values = values / len(trees)
        found.append(_tree(one.tree_, values))
    width = found[0].leaf.shape[1]
    head = "number" if not hasattr(estimator, "classes_") else "sign" if width == 1 else "largest"
    return (Forest(0, tuple(found), np.zeros(width)),), head


def _boosted(estimator: Any) -> tuple[tuple[Node, ...], str]:
    if not (estimator.init is None or estimator.init == "zero"):
        raise BadInput("boosting that starts from another estimator", expected="init=None or 'zero'",
                       actual=estimator.init)
    stages = estimator.estimators_
    width = stages.shape[1]
    trees = tuple(_tree(one.tree_, _column(one.tree_.value[:, 0, 0] * estimator.learning_rate, place, width))
                  for stage in stages for place, one in enumerate(stage))
    zero = np.zeros((1, int(estimator.n_features_in_)))
    classifies = hasattr(estimator, "classes_")
    whole = np.asarray(estimator.decision_function(zero) if classifies else estimator.predict(zero)).reshape(-1)
    # The start is a constant: what the whole gives anywhere, less what the trees give there.
    bias = whole - Real(zero.shape[1], (Forest(0, trees, np.zeros(width)),), "number").run(zero)[0]
    return (Forest(0, trees, bias),), "number" if not classifies else "sign" if width == 1 else "largest"


def _column(values: Any, place: int, width: int) -> FloatArray:
    leaf = np.zeros((len(values), width))
    leaf[:, place] = values
    return leaf


def _binned(estimator: Any) -> tuple[tuple[Node, ...], str]:
    if getattr(estimator, "is_categorical_", None) is not None and np.any(estimator.is_categorical_):
        raise BadInput("boosting over categories", expected="numbers only", do="Encode categories as numbers first.")
    classifies = hasattr(estimator, "classes_")
    if not classifies and estimator.loss in ("poisson", "gamma"):
        raise BadInput("a regression whose answer is an exponential", expected="squared_error, absolute_error or "
                       "quantile", actual=estimator.loss)
    rounds = estimator._predictors  # scikit-learn names no public way; `tests/compute` compares every version tested
    width = len(rounds[0]) if rounds else 1
    trees = []
    for stage in rounds:
        for place, one in enumerate(stage):
            nodes = one.nodes
            trees.append(ordered(np.where(nodes["is_leaf"], -1, nodes["feature_idx"]).tolist(),
                                 nodes["num_threshold"].tolist(), nodes["left"].tolist(), nodes["right"].tolist(),
                                 _column(nodes["value"], place, width)))
    bias = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    return (Forest(0, tuple(trees), bias),), "number" if not classifies else "sign" if width == 1 else "largest"
