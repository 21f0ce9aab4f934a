"""Integer programs by model: labels kept, what a circuit would compare, and WebAssembly's time against NumPy's.

One row at a time is what a service answers; a thousand at once is what an audit runs again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from benchmarks import median_seconds
from troth.compute.explain import explain
from troth.compute.models import ints, quantise
from troth.compute.models.sklearn import of_sklearn
from troth.compute.wasm import module_of
from troth.compute.wasm_run import Module

MODELS: Mapping[str, tuple[str, Callable[[], Any]]] = {
    "logistic": ("cancer", lambda: make_pipeline(StandardScaler(), LogisticRegression())),
    "mlp 30-64-32-1": ("cancer", lambda: make_pipeline(StandardScaler(), MLPClassifier(
        (64, 32), max_iter=150, random_state=0))),
    "tree": ("cancer", lambda: DecisionTreeClassifier(max_depth=4, random_state=0)),
    "boosting 20 x depth 3": ("cancer", lambda: GradientBoostingClassifier(n_estimators=20, random_state=0)),
    "forest 30 x depth 8": ("digits", lambda: RandomForestClassifier(30, max_depth=8, random_state=0)),
    "mlp 64-32-10": ("digits", lambda: MLPClassifier((32,), max_iter=60, random_state=0)),
}


def _one(name: str, repeats: int) -> dict[str, object]:
    data, make = MODELS[name]
    rows, truth = (load_breast_cancer if data == "cancer" else load_digits)(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(rows))
    rows, truth = rows[order], truth[order]
    half, three = len(rows) // 2, len(rows) * 3 // 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make().fit(rows[:half], truth[:half])
    result = quantise(of_sklearn(fitted), rows[half:three], held_out=rows[three:], answers=fitted.predict(rows[half:]),
                      truth=truth[half:])
    program, report = result.program, result.report
    inputs = np.clip(ints(program, rows), program.low, program.high)
    many = np.resize(inputs, (1000, inputs.shape[1]))
    module = Module.of(program)
    assert np.array_equal(module.run(many), program.run(many))
    native, wasm = (median_seconds(lambda one=one: one.run(many), repeats) for one in (program, module))
    single, lone = (median_seconds(lambda one=one: one.run(inputs[:1]), repeats) for one in (program, module))
    return {"agreement": report.held_out.json(), "bits": report.bits.json(), "price": report.price,
            "score_before": report.score_before, "score_after": report.score_after, "weights": report.weights,
            "module_bytes": len(module_of(program)), "fuel_a_row": module.fuel_used,
            "numpy_us_a_row_of_1000": native * 1000, "wasm_us_a_row_of_1000": wasm * 1000,
            "wasm_over_numpy_of_1000": wasm / native, "numpy_us_a_single_row": single * 1e6,
            "wasm_us_a_single_row": lone * 1e6, "wasm_over_numpy_single": lone / single,
            "explain_ms": median_seconds(lambda: explain(program, inputs[0], inputs[1:101]), repeats) * 1000}


def run(quick: bool = False) -> dict[str, object]:
    """By model."""
    names = ["logistic", "boosting 20 x depth 3"] if quick else list(MODELS)
    return {name: _one(name, 3 if quick else 9) for name in names}
