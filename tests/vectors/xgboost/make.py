"""Writes the models and margins beside it: ``python make.py``, with xgboost, scikit-learn and NumPy installed."""

import json
from pathlib import Path

import xgboost
from sklearn import datasets

HERE = Path(__file__).parent
CASES = {
    "wine": (datasets.load_wine, xgboost.XGBClassifier, {}),
    "cancer": (datasets.load_breast_cancer, xgboost.XGBClassifier, {}),
    "diabetes": (datasets.load_diabetes, xgboost.XGBRegressor, {}),
    "diabetes_forest": (datasets.load_diabetes, xgboost.XGBRegressor, {"num_parallel_tree": 3, "subsample": 0.5}),
}
for name, (load, kind, how) in CASES.items():
    rows, truth = load(return_X_y=True)
    model = kind(n_estimators=6, max_depth=3, random_state=0, n_jobs=1, **how).fit(rows[::2], truth[::2])
    model.get_booster().save_model(HERE / f"{name}.json")
    margins = model.predict(rows, output_margin=True).reshape(len(rows), -1).astype(float)
    (HERE / f"{name}.margins.json").write_text(json.dumps({
        "labels": model.predict(rows).astype(float).round(4).tolist(), "margins": margins.round(6).tolist()}))
