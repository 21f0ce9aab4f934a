"""Networks given as their layers' arrays: the models that a consortium trains (`troth.learn.dense`), and one's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from troth.compute.models.real import Affine, Clip, Node, Real, shifted
from troth.core.errors import BadInput


def of_layers(layers: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], head: str, *,
              scaling: tuple[npt.ArrayLike, npt.ArrayLike] | None = None, features: Sequence[str] = (),
              classes: Sequence[str] = ()) -> Real:
    """Affine layers with ReLU between them.

    layers: (weights (inputs, outputs) or (inputs,), bias) of each, first to last. scaling: (centre, spread) of each
    feature where the first layer reads ``(x - centre) / spread``; a spread of 0 marks a feature that it never sees.
    Raises BadInput for layers that do not fit each other, and as `Real` does.
    """
    nodes: list[Node] = []
    for weights, bias in layers:
        w, b = np.asarray(weights, dtype=np.float64), np.asarray(bias, dtype=np.float64)
        w = w.reshape(-1, 1) if w.ndim == 1 else w
        before = nodes[-1].weights.shape[0] if nodes and isinstance(nodes[-1], Affine) else w.shape[0]
        if w.ndim != 2 or b.shape != w.shape[1:] or w.shape[0] != before or not w.size:
            raise BadInput("layers that do not fit each other", actual=f"{w.shape}, {b.shape}",
                           expected=f"weights ({before}, outputs), bias (outputs,)")
        if nodes:
            nodes.append(Clip(len(nodes)))
        nodes.append(Affine(len(nodes), np.ascontiguousarray(w.T), b))
    if not nodes or not isinstance(nodes[0], Affine):
        raise BadInput("a network without layers", expected="one or more")
    inputs = nodes[0].weights.shape[1]
    if scaling is not None:
        centre, spread = (np.asarray(part, dtype=np.float64) for part in scaling)
        if centre.shape != (inputs,) or spread.shape != (inputs,) or (spread < 0).any():
            raise BadInput("a scaling that does not fit", expected=f"{inputs} centres, {inputs} spreads from 0",
                           actual=f"{centre.shape}, {spread.shape}")
        scale = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0.0)
        nodes[0] = shifted(nodes[0], scale, -centre * scale)
    return Real(inputs, tuple(nodes), head, tuple(features), tuple(classes))
