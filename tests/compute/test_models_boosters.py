"""LightGBM's and XGBoost's own files: the same margins, the same labels, and what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn import datasets

from compute.families import table
from troth.compute.models.boosters import of_booster, of_lightgbm, of_xgboost
from troth.compute.models.quantise import quantise
from troth.core.errors import BadInput

VECTORS = Path(__file__).parents[1] / "vectors" / "xgboost"
LIGHT: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "binary": ("cancer", lightgbm.LGBMClassifier, {}),
    "classes": ("wine", lightgbm.LGBMClassifier, {}),
    "number": ("diabetes", lightgbm.LGBMRegressor, {}),
    "forest": ("diabetes", lightgbm.LGBMRegressor, {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}),
    "dart": ("cancer", lightgbm.LGBMClassifier, {"boosting_type": "dart"}),
    "absolute": ("diabetes", lightgbm.LGBMRegressor, {"objective": "regression_l1"}),
}


def light(case: str, **more: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    name, kind, how = LIGHT[case]
    rows, truth = table(name)
    half = len(rows) // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(n_estimators=15, num_leaves=7, verbose=-1, n_jobs=1, **{**how, **more}).fit(
            rows[:half], truth[:half]), rows, truth


@pytest.mark.parametrize("case", LIGHT)
@pytest.mark.filterwarnings("ignore")
def test_lightgbm_gives_its_own_scores(case: str) -> None:
    fitted, rows, _ = light(case)
    model = of_booster(fitted)
    scores = model.run(rows)
    if model.head == "number":
        assert np.allclose(scores[:, 0], fitted.predict(rows))
    else:
        assert np.allclose(scores, fitted.predict(rows, raw_score=True).reshape(len(rows), -1))
        assert (model.labels(scores) == fitted.predict(rows)).all()
    assert model.features[0] == "Column_0"


@pytest.mark.filterwarnings("ignore")
def test_lightgbm_keeps_its_labels_as_integers() -> None:
    fitted, rows, truth = light("binary")
    half, three = len(rows) // 2, len(rows) * 3 // 4
    found = quantise(of_booster(fitted), rows[half:three], held_out=rows[three:], answers=fitted.predict(rows[half:]),
                     truth=truth[half:])
    assert found.report.held_out.ppm >= 990_000


@pytest.mark.parametrize("case", ["wine", "cancer", "diabetes", "diabetes_forest"])
def test_xgboost_gives_its_own_margins(case: str) -> None:
    model = of_xgboost((VECTORS / f"{case}.json").read_bytes())
    load = {"wine": datasets.load_wine, "cancer": datasets.load_breast_cancer}.get(case, datasets.load_diabetes)
    rows, _ = load(return_X_y=True)
    said = json.loads((VECTORS / f"{case}.margins.json").read_text())
    scores = model.run(rows)
    assert np.allclose(scores, said["margins"], rtol=1e-5, atol=2e-6)  # XGBoost sums in 32 bits
    if model.head != "number":
        assert model.labels(scores).tolist() == said["labels"]
    third = len(rows) // 3
    assert quantise(model, rows[:2 * third], held_out=rows[2 * third:]).report.held_out.ppm >= 980_000


@pytest.mark.parametrize(("change", "why"), [
    (("objective", {"name": "survival:cox"}), "no converter for this model"),
    (("objective", {"name": "count:poisson"}), "no converter for this model"),
    (("gradient_booster", {"name": "gblinear"}), "no converter for this model"),
    (("gradient_booster", {"name": "dart"}), "no converter for this model"),
    (("learner_model_param", {"num_target": "2", "num_class": "0", "base_score": "0", "num_feature": "30"}), "targets"),
    (("learner_model_param", {"num_class": "0", "base_score": "[1.5]", "num_feature": "30"}), "no probability"),
    (("learner_model_param", {}), "not XGBoost's JSON"),
    (("learner_model_param", {"num_class": "99999999", "base_score": "0.5", "num_feature": "30"}), "too large"),
])
def test_another_model_of_xgboost_is_refused(change: tuple[str, dict[str, Any]], why: str) -> None:
    said = json.loads((VECTORS / "cancer.json").read_text())
    said["learner"][change[0]] = change[1]
    with pytest.raises(BadInput, match=why):
        of_xgboost(json.dumps(said).encode())


def test_trees_that_are_none_or_no_numbers_are_refused() -> None:
    said = json.loads((VECTORS / "cancer.json").read_text())
    tree = said["learner"]["gradient_booster"]["model"]["trees"][0]
    for field, value, why in (("left_children", 1, "a tree that is none"), ("split_conditions", float("nan"), "NaN"),
                              ("split_type", 1, "categories"), ("split_indices", 99, "does not fit")):
        kept, tree[field][0] = tree[field][0], value
        if field == "left_children":
            tree[field][0] = tree["right_children"][0]
        with pytest.raises(BadInput, match=why):
            of_xgboost(json.dumps(said).encode())
        tree[field][0] = kept


@pytest.mark.filterwarnings("ignore")
def test_another_model_of_lightgbm_is_refused() -> None:
    text = light("binary")[0].booster_.model_to_string()
    for old, new, why in (
            ("objective=binary sigmoid:1", "objective=poisson", "no converter for this objective"),
            ("num_cat=0", "num_cat=1", "categories"), ("is_linear=0", "is_linear=1", "linear leaves"),
            ("num_class=1", "num_class=3", "a tree a class"), ("tree\n", "forest\n", "not LightGBM's text"),
            ("decision_type=2", "decision_type=6", "zero for missing"), ("num_leaves=7", "num_leaves=x", "num_leaves"),
            ("num_leaves=7", "num_leaves=8", "a tree that is none"), ("leaf_value=", "leaf_value=a ", "no numbers")):
        assert old in text
        with pytest.raises(BadInput, match=why):
            of_lightgbm(text.replace(old, new, 1))
    crowd = text.replace("num_class=1", "num_class=99999999").replace("num_tree_per_iteration=1",
                                                                      "num_tree_per_iteration=99999999")
    with pytest.raises(BadInput, match="too large to be converted"):
        of_lightgbm(crowd.replace("objective=binary sigmoid:1", "objective=multiclass num_class:99999999"))
    with pytest.raises(BadInput, match="no model of LightGBM"):
        of_booster(object())
