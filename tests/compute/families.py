"""Fitted models of every family that scikit-learn brings, on the real data sets that it brings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from troth.compute.models.quantise import Aim, Quantised, quantise
from troth.compute.models.real import Real
from troth.compute.models.sklearn import of_sklearn

Array = Any


def scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


#: name -> (data set, estimator)
FAMILIES: Mapping[str, tuple[str, Callable[[], Any]]] = {
    "linear regression": ("diabetes", lambda: make_pipeline(RobustScaler(), LinearRegression())),
    "ridge": ("diabetes", lambda: Ridge(0.1)),
    "logistic": ("cancer", lambda: scaled(LogisticRegression())),
    "softmax": ("digits", lambda: make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=60))),
    "mlp binary": ("cancer", lambda: scaled(MLPClassifier((16, 8), max_iter=150, random_state=0))),
    "mlp": ("digits", lambda: MLPClassifier((32,), max_iter=40, random_state=0)),
    "mlp number": ("diabetes", lambda: scaled(MLPRegressor(
        hidden_layer_sizes=(12,), solver="lbfgs", max_iter=200, alpha=10, random_state=0))),
    "tree binary": ("cancer", lambda: DecisionTreeClassifier(max_depth=4, random_state=0)),
    "tree": ("digits", lambda: scaled(DecisionTreeClassifier(max_depth=8, random_state=0))),
    "tree number": ("diabetes", lambda: DecisionTreeRegressor(max_depth=3, random_state=0)),
    "forest binary": ("cancer", lambda: RandomForestClassifier(12, max_depth=5, random_state=0)),
    "forest": ("digits", lambda: RandomForestClassifier(12, max_depth=7, random_state=0)),
    "extra trees": ("wine", lambda: ExtraTreesClassifier(12, max_depth=4, random_state=0)),
    "forest number": ("diabetes", lambda: RandomForestRegressor(12, max_depth=4, random_state=0)),
    "boosting binary": ("cancer", lambda: GradientBoostingClassifier(n_estimators=20, random_state=0)),
    "boosting": ("wine", lambda: GradientBoostingClassifier(n_estimators=8, random_state=0)),
    "boosting number": ("diabetes", lambda: GradientBoostingRegressor(n_estimators=20, random_state=0)),
    "binned binary": ("cancer", lambda: HistGradientBoostingClassifier(max_iter=15, random_state=0)),
    "binned": ("digits", lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0)),
    "binned number": ("diabetes", lambda: HistGradientBoostingRegressor(max_iter=15, random_state=0)),
}


@dataclass(frozen=True)
class Fitted:
    """An estimator, and rows: half of the data set trained it, a quarter calibrates, a quarter is unseen."""

    estimator: Any
    calibration: Array
    unseen: Array
    truth: Array

    @property
    def rows(self) -> Array:
        return np.concatenate([self.calibration, self.unseen])

    def answers(self, rows: Array) -> Array:
        """The library's own labels, as numbers from 0, or numbers."""
        found = self.estimator.predict(rows)
        classes = getattr(self.estimator, "classes_", None)
        return found if classes is None else np.searchsorted(classes, found)


@cache
def table(name: str) -> tuple[Array, Array]:
    load = {"cancer": datasets.load_breast_cancer, "digits": datasets.load_digits, "wine": datasets.load_wine,
            "diabetes": lambda **how: datasets.load_diabetes(scaled=False, **how)}[name]
    rows, truth = load(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(rows))
    return rows[order], truth[order]


@cache
def fitted(family: str) -> Fitted:
    data, make = FAMILIES[family]
    rows, truth = table(data)
    half, three = len(rows) // 2, len(rows) * 3 // 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few steps are enough here
        estimator = make().fit(rows[:half], truth[:half])
    return Fitted(estimator, rows[half:three], rows[three:], truth[half:])


@cache
def converted(family: str) -> Real:
    return of_sklearn(fitted(family).estimator)


@cache
def quantised(family: str) -> Quantised:
    found = fitted(family)
    return quantise(converted(family), found.calibration, held_out=found.unseen, answers=found.answers(found.rows),
                    truth=found.truth, aim=Aim())
