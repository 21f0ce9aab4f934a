"""scikit-learn's estimators as integer programs: the same function, at the target on rows that no search saw."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from compute.families import FAMILIES, converted, fitted, quantised, table
from troth.compute.models.quantise import ints
from troth.compute.models.real import Real, narrow
from troth.compute.models.sklearn import of_sklearn
from troth.core.errors import BadInput
from troth.fixed.program import Program


@pytest.mark.parametrize("family", FAMILIES)
def test_a_converted_model_gives_the_librarys_own_scores(family: str) -> None:
    found, model = fitted(family), converted(family)
    scores = model.run(found.rows)
    estimator = found.estimator
    if model.head == "number":
        assert np.allclose(scores[:, 0], estimator.predict(found.rows), rtol=1e-9, atol=1e-9)
    elif hasattr(estimator, "decision_function"):
        assert np.allclose(scores if scores.shape[1] > 1 else scores[:, 0], estimator.decision_function(found.rows),
                           rtol=1e-9, atol=1e-9)
    assert (model.labels(scores) == found.answers(found.rows)).mean() > (0 if model.head == "number" else 0.998)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_smallest_setting_keeps_the_labels_of_unseen_rows(family: str) -> None:
    found, result = fitted(family), quantised(family)
    report, program = result.report, result.program
    inputs = ints(program, found.unseen)
    inside = ((inputs >= program.low) & (inputs <= program.high)).all(axis=1)
    assert report.held_out.refused == (~inside).sum()
    labels = program.labels(program.run(inputs[inside]))
    wanted = found.answers(found.unseen)[inside]
    if program.head == "number":
        near = np.abs(labels / 2.0 ** program.output_scale - wanted) <= 0.011 * found.answers(found.rows).std()
    else:
        near = labels == wanted
    assert report.held_out.agreed == pytest.approx(near.sum(), abs=1)
    assert (~near).sum() <= np.ceil(0.005 * len(near)), report
    assert report.held_out.refused <= 0.06 * len(found.unseen)
    assert abs(report.score_after - report.score_before) < 12_000
    assert Program.from_bytes(program.to_bytes()).digest == program.digest


def test_a_threshold_of_a_library_that_rounds_to_32_bits_decides_alike_on_both_sides() -> None:
    rng = np.random.default_rng(4)
    thresholds = np.concatenate([rng.normal(size=200), rng.normal(size=200).astype(np.float32), [0.0, 1.0, 1e-30]])
    single = thresholds.astype(np.float32)
    rows = np.concatenate([np.nextafter(thresholds, side) for side in (-9, 9)] + [
        thresholds, *((single.astype(np.float64) + np.nextafter(single, np.float32(side)).astype(np.float64)) / 2
                      for side in (-9, 9))])
    rows = np.concatenate([rows, np.nextafter(rows, 9), np.nextafter(rows, -9)]).reshape(-1, len(thresholds))
    assert ((rows.astype(np.float32) <= thresholds) == (rows <= narrow(thresholds))).all()
    assert ((rows.astype(np.float32) < thresholds) == (rows <= narrow(thresholds, strict=True))).all()


def cancer() -> tuple[np.ndarray, np.ndarray]:
    return table("cancer")


@pytest.mark.parametrize(("make", "why"), [
    (lambda x, y: AdaBoostClassifier(n_estimators=2).fit(x, y), "no converter for this estimator"),
    (lambda x, y: CalibratedClassifierCV(LogisticRegression()).fit(x / 1000, y), "no converter for this estimator"),
    (lambda x, y: LogisticRegression(), "never fitted"),
    (lambda x, y: MLPClassifier((2,), activation="tanh", max_iter=1).fit(x, y), "another activation"),
    (lambda x, y: MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(x, x[:, :2]), "many targets"),
    (lambda x, y: make_pipeline(PCA(2), LogisticRegression()).fit(x, y), "no converter for this step"),
    (lambda x, y: make_pipeline(MinMaxScaler(clip=True), LogisticRegression()).fit(x, y), "clips"),
    (lambda x, y: make_pipeline(StandardScaler(), "passthrough").fit(x, y), "no converter for this estimator"),
    (lambda x, y: GradientBoostingClassifier(n_estimators=1, init=LogisticRegression(max_iter=9999)).fit(x, y),
     "starts from another estimator"),
    (lambda x, y: HistGradientBoostingRegressor(loss="poisson", max_iter=1).fit(x, y), "exponential"),
    (lambda x, y: HistGradientBoostingRegressor(categorical_features=[0], max_iter=1).fit(np.round(x % 9), y),
     "categories"),
    (lambda x, y: LinearRegression().fit(x, x[:, :2]), "many targets"),
    (lambda x, y: type("Mine", (LogisticRegression,), {})().fit(x / 1000, y), "no converter for this estimator"),
], ids=["adaboost", "calibrated", "unfitted", "tanh", "targets", "pca", "clip", "nothing", "init", "poisson",
        "categories", "linear targets", "subclass"])
@pytest.mark.filterwarnings("ignore")
def test_what_is_another_function_is_refused_by_name(make: object, why: str) -> None:
    rows, truth = cancer()
    with pytest.raises(BadInput, match=why):
        of_sklearn(make(rows[:80], truth[:80]))  # type: ignore[operator]


def test_weights_that_are_no_numbers_are_refused() -> None:
    rows, truth = cancer()
    broken = LinearRegression().fit(rows, truth)
    broken.coef_[3] = np.nan
    with pytest.raises(BadInput, match=r"weights of node 1 \(Affine\) hold NaN"):
        of_sklearn(broken)
    model = of_sklearn(LinearRegression().fit(rows, truth))
    assert isinstance(model, Real)
    with pytest.raises(BadInput, match="another shape"):
        model.run(rows[:, :5])
