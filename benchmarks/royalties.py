"""Royalties and reputation: what measured weights find, and what splitting and standings cost.

Weights: real records (breast cancer; digits, odd or even) in two halves, 15 % of one half turned. ``spoiled``: what the
spoiled half is paid over what the careful one is (equal shares: 1). ``fair``: the same with nothing turned, which
should be near 1. ``right_side``: in how many splits the spoiled half got less. ``auc``: the chance that a wrong record
of the spoiled half is valued below a right one (a guess: 0.5). Costs are processor seconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from troth.fixed.split import LEAF, Share, split
from troth.learn.data import Part, Schema, scaling
from troth.learn.data_worth import knn_shapley
from troth.learn.sets import breast_cancer, digits
from troth.ledger.readings import AsOf
from troth.verify.reputation import History, Paid, Reputation

PERCENT = 15


def run(quick: bool = False) -> dict[str, Any]:
    """All figures."""
    seeds = range(3 if quick else 20)
    whole = digits()
    schema = Schema(whole.schema.columns, 0, classes=("even", "odd"), source=whole.schema.source)
    sets = {"breast cancer": breast_cancer(), "digits": Part(whole.features, whole.labels % 2, schema)}
    return {"weights": {name: _weights(records, seeds) for name, records in sets.items()},
            "split": _split(2_000 if quick else 20_000), "reputation": _reputation(2_000 if quick else 20_000)}


def _weights(records: Part, seeds: range) -> dict[str, float]:
    spoiled, fair, found = [], [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(records))
        first, second, validation = (records.rows(some.tolist()) for some in np.split(order, (
            len(order) * 2 // 5, len(order) * 4 // 5)))
        wrong = np.zeros(len(second), dtype=bool)
        wrong[rng.permutation(len(second))[:len(second) * PERCENT // 100]] = True
        turned = Part(second.features, np.where(wrong, 1 - second.labels, second.labels), second.schema)
        by = scaling(validation)
        for other, ratios in ((second, fair), (turned, spoiled)):
            both = Part(np.concatenate([first.features, other.features]), np.concatenate([first.labels, other.labels]),
                        first.schema)
            values = knn_shapley(by.inputs(both), by.inputs(validation))
            ratios.append(float(values[len(first):].sum() / values[:len(first)].sum()))
        own = values[len(first):]
        found.append(float((own[wrong][:, None] < own[~wrong][None, :]).mean()))
    return {"spoiled": round(statistics.fmean(spoiled), 3), "fair": round(statistics.fmean(fair), 3),
            "right_side": sum(one < 1 for one in spoiled) / len(spoiled), "auc": round(statistics.fmean(found), 4),
            "auc_least": round(min(found), 4)}


def _timed(act: Callable[[], object]) -> float:
    before = time.process_time()
    act()
    return round(time.process_time() - before, 3)


def _split(nodes: int) -> dict[str, float]:
    """A lineage in which each node rests on up to five later ones."""
    rng = np.random.default_rng(1)
    shares: dict[bytes, Share] = {}
    for at in range(nodes):
        below = {int(one) for one in rng.integers(at + 1, min(at + 50, nodes), 5)} if at + 1 < nodes else set()
        shares[at.to_bytes(4, "big")] = Share(3, {one.to_bytes(4, "big"): 1 + one % 7 for one in below}) if below \
            else LEAF
    return {"nodes": nodes, "seconds": _timed(lambda: split(10**24, bytes(4), shares))}


def _reputation(payments: int) -> dict[str, float]:
    """Payments among a tenth as many accounts, a hundred of whose standings are asked for."""
    rng = np.random.default_rng(1)
    ends = rng.integers(0, payments // 10, (payments, 2))
    paid = tuple(Paid(bytes(32), int(a).to_bytes(20, "big"), int(b).to_bytes(20, "big"), 1 + int(a) % 97, 10**6)
                 for a, b in ends if a != b)
    found = Reputation(History(AsOf(1, bytes(32), 1), frozenset(), paid, ()), frozenset({bytes(20)}))
    return {"payments": payments, "seconds_for_100": _timed(lambda: [found.of(int(one).to_bytes(20, "big"))
                                                                    for one in range(1, 101)])}
