"""LightGBM's and XGBoost's trees, read from their own files: neither library is needed, and no code of the file runs.

LightGBM: the text of ``Booster.save_model``. XGBoost: the JSON of ``Booster.save_model('….json')``. What makes a model
another function than a sum of trees (categories, linear leaves, dart's weights, zero as missing, an exponential answer)
is refused by name. Missing values do not exist here: a program's inputs are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from troth.compute.models.real import Forest, Real, Tree, narrow, ordered
from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray
from troth.fixed.program import MAX_WEIGHTS

MOST_BYTES = 1 << 28
_LIGHT_HEADS = {"binary": "sign", "cross_entropy": "sign", "multiclass": "largest", "multiclassova": "largest",
                "regression": "number", "regression_l1": "number", "huber": "number", "fair": "number",
                "quantile": "number", "mape": "number"}
_XG_HEADS = {"binary:logistic": "sign", "binary:logitraw": "sign", "multi:softmax": "largest",
             "multi:softprob": "largest", "reg:squarederror": "number", "reg:absoluteerror": "number",
             "reg:pseudohubererror": "number", "reg:quantileerror": "number"}


def of_booster(model: Any) -> Real:
    """A fitted model of LightGBM or XGBoost, of its own classes or in scikit-learn's manner. Raises BadInput."""
    kind = type(model).__module__.split(".")[0]
    if kind == "lightgbm":
        best = getattr(model, "booster_", model)
        return of_lightgbm(best.model_to_string())
    if kind == "xgboost":
        best = model.get_booster() if hasattr(model, "get_booster") else model
        return of_xgboost(bytes(best.save_raw("json")))
    raise BadInput("no model of LightGBM or XGBoost", actual=type(model).__name__)


def _room(width: int, leaves: int) -> None:
    """Raises BadInput where a forest's leaves, a value for each class, were more than a program holds: a small file may
    speak of any number of classes."""
    if width * (1 + leaves) > MAX_WEIGHTS:
        raise BadInput("a model is too large to be converted", expected=f"at most {MAX_WEIGHTS} values",
                       actual=f"{leaves} leaves of {width} classes")


# ---- LightGBM ----

def of_lightgbm(text: str) -> Real:
    """The text of a LightGBM model. Raises BadInput."""
    if len(text) > MOST_BYTES:
        raise BadInput("a model's file is too large", expected=f"at most {MOST_BYTES} bytes", actual=len(text))
    parts = text.split("\nTree=")
    header = _said(parts[0].splitlines())
    if parts[0].split("\n", 1)[0].strip() != "tree" or "objective" not in header:
        raise BadInput("not LightGBM's text", expected="a file of Booster.save_model", actual=ascii(text[:20]))
    objective, *settings = header["objective"].split()
    head = _LIGHT_HEADS.get(objective)
    if head is None or "sqrt" in settings:
        raise BadInput("no converter for this objective", expected=", ".join(_LIGHT_HEADS), actual=header["objective"])
    width, each = _whole(header, "num_class"), _whole(header, "num_tree_per_iteration")
    if each != width or (head == "largest") != (width > 1):
        raise BadInput("a tree a class and round", expected=width, actual=each)
    if head == "sign" and "sigmoid:0" in settings:
        raise BadInput("an objective that turns the classes around", actual=header["objective"])
    share = 1.0 / max(1, (len(parts) - 1) // width) if "average_output" in parts[0].splitlines() else 1.0
    said = [_said(part.split("\n\n", 1)[0].splitlines()[1:]) for part in parts[1:]]
    _room(width, sum(_whole(one, "num_leaves") for one in said))
    trees = tuple(_light_tree(one, place % width, width, share) for place, one in enumerate(said))
    names = tuple(header.get("feature_names", "").split())
    inputs = _whole(header, "max_feature_idx") + 1
    return Real(inputs, (Forest(0, trees, np.zeros(width)),), head, names if len(names) == inputs else ())


def _said(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, equals, value in pairs if equals}


def _whole(said: Mapping[str, str], name: str) -> int:
    try:
        return int(said[name])
    except (KeyError, ValueError):
        raise BadInput(f"LightGBM's text has no {name}", expected="an integer", actual=said.get(name)) from None


def _floats(said: Mapping[str, str], name: str) -> FloatArray:
    try:
        return np.array([float(one) for one in said.get(name, "").split()], dtype=np.float64)
    except ValueError:
        raise BadInput(f"LightGBM's {name} are no numbers", actual=ascii(said[name][:40])) from None


def _light_tree(said: Mapping[str, str], place: int, width: int, share: float) -> Tree:
    leaves = _whole(said, "num_leaves")
    if _whole(said, "num_cat") or said.get("is_linear", "0") != "0":
        raise BadInput("a tree with categories or linear leaves", expected="splits of numbers, constant leaves")
    feature, kinds = _floats(said, "split_feature").astype(np.int64), _floats(said, "decision_type").astype(np.int64)
    threshold, value = _floats(said, "threshold"), _floats(said, "leaf_value")
    left, right = (_floats(said, name).astype(np.int64) for name in ("left_child", "right_child"))
    inner = leaves - 1
    if any(len(array) != inner for array in (feature, kinds, threshold, left, right)) or len(value) != leaves:
        raise BadInput("a tree that is none", expected=f"{inner} splits and {leaves} leaves")
    if (kinds & 1).any() or ((kinds >> 2 & 3) == 1).any():
        raise BadInput("a tree that takes zero for missing, or categories", expected="zero_as_missing=false",
                       do="Train it with zero_as_missing=false and numbers alone.")
    # A child below 0 is the leaf of that number's complement: leaves are numbered after the splits here.
    left, right = (np.where(child < 0, inner + ~child, child) for child in (left, right))
    leaf = np.zeros((inner + leaves, width))
    leaf[inner:, place] = value * share
    none = [0] * leaves
    return ordered([*feature.tolist(), *([-1] * leaves)], [*threshold.tolist(), *none], [*left.tolist(), *none],
                   [*right.tolist(), *none], leaf)


# ---- XGBoost ----

def of_xgboost(data: bytes) -> Real:
    """The JSON of an XGBoost model. Raises BadInput."""
    if len(data) > MOST_BYTES:
        raise BadInput("a model's file is too large", expected=f"at most {MOST_BYTES} bytes", actual=len(data))
    try:
        learner = json.loads(data)["learner"]
        objective, said = str(learner["objective"]["name"]), learner["learner_model_param"]
        booster = learner["gradient_booster"]
        head, kind = _XG_HEADS.get(objective), booster["name"]
        if head is None or kind != "gbtree":
            raise BadInput("no converter for this model of XGBoost", expected=f"gbtree, {', '.join(_XG_HEADS)}",
                           actual=f"{kind}, {objective}")
        if int(said.get("num_target", "1")) > 1:
            raise BadInput("a regression of many targets", expected="one")
        width = max(1, int(said["num_class"]))
        model = booster["model"]
        _room(width, sum(len(tree["left_children"]) for tree in model["trees"]))
        start = _start(said["base_score"], width, objective)
        trees = tuple(_xg_tree(tree, int(place), width)
                      for tree, place in zip(model["trees"], model["tree_info"], strict=True))
        names = tuple(map(str, learner.get("feature_names", ())))
        inputs = int(said["num_feature"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise BadInput("not XGBoost's JSON", expected="a file of Booster.save_model('model.json')",
                       actual=ascii(str(error)[:60])) from None
    return Real(inputs, (Forest(0, trees, start),), head, names if len(names) == inputs else ())


def _start(text: str, width: int, objective: str) -> FloatArray:
    """The scores that boosting starts from: a probability for a logistic objective, written as one or as a list."""
    found = np.array([float(one) for one in str(text).strip("[]").split(",")], dtype=np.float64)
    if objective == "binary:logistic":
        if not ((found > 0) & (found < 1)).all():
            raise BadInput("a base score that is no probability", actual=text)
        found = np.log(found) - np.log1p(-found)
    return np.broadcast_to(found, (width,)).copy()


def _xg_tree(said: Mapping[str, Any], place: int, width: int) -> Tree:
    count = len(said["left_children"])
    if any(said.get("split_type", ())) or said.get("categories"):
        raise BadInput("a tree with categories", expected="splits of numbers", do="Encode categories as numbers first.")
    if int(said["tree_param"].get("size_leaf_vector", "1")) > 1:
        raise BadInput("a tree with many values a leaf", expected="multi_strategy='one_output_per_tree'")
    value = np.array(said["split_conditions"], dtype=np.float64).astype(np.float32).astype(np.float64)
    left = np.array(said["left_children"], dtype=np.int64)
    leaf = np.zeros((count, width))
    leaf[:, place] = np.where(left < 0, value, 0.0)
    return ordered(np.where(left < 0, -1, np.array(said["split_indices"], dtype=np.int64)).tolist(),
                   narrow(value, strict=True).tolist(), left.tolist(), list(said["right_children"]), leaf)
