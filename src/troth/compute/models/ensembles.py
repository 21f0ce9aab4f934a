"""The tree and linear operators of ``ai.onnx.ml``, from their attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from troth.compute.models.real import Forest, Tree, narrow, ordered
from troth.core.errors import BadInput
from troth.fixed.numbers import FloatArray

_MONOTONE = (b"NONE", b"LOGISTIC", b"SOFTMAX")
"""What may follow the scores without changing which is the largest; PROBIT and SOFTMAX_ZERO may not."""


def tree_scores(kind: str, said: Mapping[str, Any], source: int, width: int) -> tuple[Forest, tuple[str, ...]]:
    """(the forest, the names of the classes) of a TreeEnsembleClassifier or a TreeEnsembleRegressor.

    Two classes of which only one has weights give one score, above 0 for class 1: weights that are all positive are
    shares, and so a half is taken off (as onnxruntime does). Raises BadInput.
    """
    classifies = kind == "TreeEnsembleClassifier"
    word = "class" if classifies else "target"
    classes = _classes(said, "classlabels") if classifies else ()
    count = len(classes) if classifies else int(said.get("n_targets", 1))
    if not classifies and (count != 1 or said.get("aggregate_function", b"SUM") != b"SUM"):
        raise BadInput("a regression of many targets, or one that does not sum", expected="one target, SUM")
    if said.get("post_transform", b"NONE") not in (_MONOTONE if classifies else (b"NONE",)):
        raise BadInput(f"{kind} with another transform", expected="NONE, LOGISTIC or SOFTMAX",
                       actual=said["post_transform"])
    ids = np.asarray(said.get(f"{word}_ids", ()), dtype=np.int64)
    weights = np.asarray(said.get(f"{word}_weights", ()), dtype=np.float64)
    binary = classifies and count == 2 and len(set(ids.tolist())) == 1
    outputs = 1 if binary else count
    bias = np.zeros(outputs) + np.asarray(said.get("base_values", [0.0]), dtype=np.float64)[-outputs:]
    if binary and (weights >= 0).all():
        bias = bias - 0.5
    leaves: dict[tuple[int, int], FloatArray] = {}
    for tree, node, place, weight in zip(said[f"{word}_treeids"], said[f"{word}_nodeids"], ids.tolist(),
                                         weights.tolist(), strict=True):
        leaf = leaves.setdefault((int(tree), int(node)), np.zeros(outputs))
        leaf[0 if binary else place] += weight
    return Forest(source, _trees(said, leaves, outputs, width), bias), classes


def _trees(said: Mapping[str, Any], leaves: Mapping[tuple[int, int], FloatArray], outputs: int, width: int
           ) -> tuple[Tree, ...]:
    owner = np.asarray(said["nodes_treeids"], dtype=np.int64)
    found = []
    for number in dict.fromkeys(owner.tolist()):
        rows = np.flatnonzero(owner == number)
        part = {name: np.asarray(said[f"nodes_{name}"])[rows] for name in
                ("nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
        place = {int(node): at for at, node in enumerate(part["nodeids"])}
        values = np.asarray(part["values"], dtype=np.float64)
        if not np.isfinite(values).all():
            raise BadInput("thresholds hold NaN or infinity", expected="finite numbers")
        feature, threshold, left, right = [], [], [], []
        for at, mode in enumerate(part["modes"]):
            name = mode.decode()
            if name == "LEAF":
                feature.append(-1)
                threshold.append(0.0)
                left.append(0)
                right.append(0)
                continue
            if name not in ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"):
                raise BadInput(f"a split by {name}", expected="BRANCH_LEQ, BRANCH_LT, BRANCH_GT or BRANCH_GTE")
            yes, no = place[int(part["truenodeids"][at])], place[int(part["falsenodeids"][at])]
            turned = name in ("BRANCH_GT", "BRANCH_GTE")  # true where above: the other child is ours on the left
            feature.append(int(part["featureids"][at]))
            threshold.append(float(narrow(values[at:at + 1], strict=name in ("BRANCH_LT", "BRANCH_GTE"))[0]))
            left.append(no if turned else yes)
            right.append(yes if turned else no)
        if max(feature) >= width:
            raise BadInput("a split by a feature that is none", expected=f"0 to {width - 1}", actual=max(feature))
        leaf = np.stack([leaves.get((int(number), int(node)), np.zeros(outputs)) for node in part["nodeids"]])
        found.append(ordered(feature, threshold, left, right, leaf))
    return tuple(found)


def linear_scores(kind: str, said: Mapping[str, Any]) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    """(weights, biases, names of the classes) of a LinearClassifier or a LinearRegressor. Raises BadInput."""
    classifies = kind == "LinearClassifier"
    classes = _classes(said, "classlabels") if classifies else ()
    if said.get("post_transform", b"NONE") not in (_MONOTONE if classifies else (b"NONE",)):
        raise BadInput(f"{kind} with another transform", expected="NONE, LOGISTIC or SOFTMAX",
                       actual=said["post_transform"])
    flat = np.asarray(said["coefficients"], dtype=np.float64)
    bias = np.asarray(said.get("intercepts", [0.0]), dtype=np.float64)
    rows = len(bias) if classifies else int(said.get("targets", 1))
    if not classifies and rows != 1:
        raise BadInput("a regression of many targets", expected="one", actual=rows)
    if not rows or len(flat) % rows or (classifies and rows != len(classes)):
        raise BadInput("weights that do not fit", expected=f"a row for each of {len(classes)} classes", actual=rows)
    return flat.reshape(rows, -1), bias, classes


def _classes(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Names of the classes, whether texts or integers."""
    texts = said.get(f"{name}_strings") or [str(one).encode() for one in said.get(f"{name}_int64s") or
                                            said.get(f"{name}_ints") or ()]
    if len(texts) < 2:
        raise BadInput("a classifier of fewer than two classes", expected="classlabels", actual=len(texts))
    return tuple(one.decode(errors="replace") for one in texts)
