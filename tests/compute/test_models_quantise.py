"""Quantisation: the smallest setting, what it says of itself, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.families import converted, fitted, quantised, table
from troth.compute.circuits.model import declared_bits
from troth.compute.models.build import Bits, build, ints, limits_of, price
from troth.compute.models.layers import of_layers
from troth.compute.models.quantise import Aim, _Search, quantise
from troth.compute.models.real import Affine, Clip, Real, Sum
from troth.core.errors import BadInput, Misuse, Refuted
from troth.fixed.program import Clamp, Rescale


@pytest.mark.parametrize("family", ["logistic", "mlp", "tree binary", "boosting"])
def test_no_setting_with_one_bit_less_reaches_the_target(family: str) -> None:
    found, model, aim = fitted(family), converted(family), Aim(guard=0)
    search = _Search(model, found.calibration, found.answers(found.calibration).astype(float), aim)
    small = search.smallest()
    assert search.reaches(small)
    parts = ["inputs", "head", *(["weights", "activations"] if family == "mlp" else [])]
    floors = {"inputs": 0, "head": 2, "weights": 2, "activations": 1}
    assert not any(search.reaches(replace(small, **{part: getattr(small, part) - 1}))
                   for part in parts if getattr(small, part) > floors[part])


def test_the_report_says_what_it_cost() -> None:
    found, result = fitted("mlp"), quantised("mlp")
    said = result.report.json()
    assert result.program.weights == said["weights"] == 64 * 32 + 32 + 32 * 10 + 10
    labels = result.program.labels(result.program.run(ints(result.program, found.calibration)))
    assert result.report.calibration.agreed == (labels == found.answers(found.calibration)).sum()
    assert result.report.bits.activations <= 16
    clamp = next(step for step in result.program.steps if isinstance(step, Clamp))
    assert clamp.high == 2 ** (result.report.bits.activations + 1) - 1
    hidden = sum(max(int(high).bit_length(), int(-low - 1).bit_length()) + (low < 0)
                 for low, high in zip(*(part.tolist() for part in result.program.ranges[1]), strict=True))
    assert hidden < price(result.program) == result.report.price < hidden + 64 * 8 + 9 * 64


def test_a_looser_target_costs_fewer_bits() -> None:
    found, model = fitted("mlp"), converted("mlp")
    loose = quantise(model, found.calibration, held_out=found.unseen, aim=Aim(target=950_000))
    assert loose.report.price < quantised("mlp").report.price
    assert loose.report.held_out.ppm >= 950_000


def test_weights_that_are_proven_unseen_get_fewer_bits_and_keep_the_labels() -> None:
    found, model = fitted("logistic"), converted("logistic")
    plain, hidden = (quantise(model, found.calibration, held_out=found.unseen, aim=Aim(committed=committed))
                     for committed in (False, True))
    assert hidden.report.held_out.of - hidden.report.held_out.agreed <= 1   # of 141, at 99.5 %
    assert sum(declared_bits(hidden.program)) < sum(declared_bits(plain.program))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_network_with_a_shortcut_stays_near_the_real_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = Real(3, (Affine(0, rng.normal(size=(4, 3)), rng.normal(size=4)), Clip(1),
                     Affine(2, rng.normal(size=(4, 4)), rng.normal(size=4)), Sum(3, 2), Clip(4, 0, 6.0),
                     Affine(5, rng.normal(size=(2, 4)), rng.normal(size=2))), "largest")
    rows = rng.normal(size=(20, 3))
    peaks = [float(np.abs(vector).max()) for vector in model.vectors(rows)]
    gaps = []
    for bits in (Bits(8, 10, 8, 10), Bits(16, 20, 16, 20)):
        program = build(model, bits, limits_of(rows, 0, bits.inputs), peaks)
        gaps.append(np.abs(program.run(ints(program, rows)) / 2.0 ** program.output_scale - model.run(rows)).max())
    assert gaps[0] < 0.2 * max(peaks)
    assert gaps[1] < 0.001 * max(peaks)


@pytest.mark.parametrize("places", [0, 2])
def test_thresholds_decide_on_the_grid_as_in_real_numbers(places: int) -> None:
    """Digits' splits lie at halves: a threshold that was rounded instead of cut would let whole numbers through."""
    model, rng = converted("forest"), np.random.default_rng(2)
    low, high = np.zeros(64, dtype=np.int64), np.full(64, 16 << places)
    grid = rng.integers(low, high + 1, (300, 64))
    vote = build(model, Bits(places, 2, 1, 30), (low, high), [1.0, 1.0])
    assert np.allclose(vote.run(grid) / 2.0 ** vote.output_scale, model.run(grid / 2.0 ** places), atol=1e-6)


def test_layers_of_a_consortiums_network_give_its_function() -> None:
    rng = np.random.default_rng(5)
    layers = [(rng.normal(size=(4, 3)), rng.normal(size=3)), (rng.normal(size=3), rng.normal(size=1))]
    centre, spread = rng.normal(size=4), np.array([1.0, 2.0, 0.0, 0.5])
    model = of_layers(layers, "sign", scaling=(centre, spread), classes=("no", "yes"))
    rows = rng.normal(size=(30, 4)) * 3
    standard = np.where(spread > 0, (rows - centre) / np.where(spread > 0, spread, 1), 0)
    scores = np.maximum(standard @ layers[0][0] + layers[0][1], 0) @ layers[1][0] + layers[1][1]
    assert np.allclose(model.run(rows)[:, 0], scores)
    program = quantise(model, rng.normal(size=(600, 4)) * 3).program
    assert any(isinstance(step, Rescale) for step in program.steps)
    with pytest.raises(BadInput, match="do not fit each other"):
        of_layers([layers[0], (rng.normal(size=5), np.zeros(1))], "sign")
    with pytest.raises(BadInput, match="scaling that does not fit"):
        of_layers(layers, "sign", scaling=(centre, spread[:2]))
    with pytest.raises(BadInput, match="without layers"):
        of_layers([], "sign")


def test_inputs_are_rounded_half_up_and_never_clamped() -> None:
    program = quantised("ridge").program
    unit = 2.0 ** -program.input_scale
    found = ints(program, [[0.5 * unit, -0.5 * unit, 0.49 * unit, 1.5 * unit] + [0.0] * 6])
    assert found[0, :4].tolist() == [1, 0, 0, 2]
    with pytest.raises(BadInput, match="beyond the model's range"):
        program.run(ints(program, [[1e6] * 10]))
    for bad, why in (([[np.nan] * 10], "NaN or infinity"), ([[1e300] * 10], "too large"), ([1.0], "another shape"),
                     ([["a"] * 10], "no number")):
        with pytest.raises(BadInput, match=why):
            ints(program, bad)


def test_what_cannot_be_reached_or_does_not_fit_is_refused() -> None:
    rows, _ = table("cancer")
    model, found = converted("logistic"), fitted("logistic")
    with pytest.raises(BadInput, match="does not give the library's answers"):
        quantise(model, found.calibration, answers=1 - found.answers(found.calibration))
    with pytest.raises(BadInput, match="another shape"):
        quantise(model, rows[:, :3])
    with pytest.raises(BadInput, match="too few rows"):
        quantise(model, rows[:2])
    with pytest.raises(BadInput, match="answers do not fit"):
        quantise(model, found.calibration, answers=[1, 0])
    with pytest.raises(Misuse, match="aim out of range"):
        Aim(target=0)
    noise = np.random.default_rng(1).normal(size=(300, 30))
    with pytest.raises(Refuted, match="span too little"):  # calibrated on rows unlike those it meets
        quantise(model, rows[:1] + noise * 1e-3, held_out=rows)
    near = rows[found.answers(rows) == 1]
    with pytest.raises(Refuted, match="held-out rows agree less"):
        quantise(converted("mlp binary"), near[:9], held_out=rows, aim=Aim(margin=1_000_000, guard=0))
    steep = Real(1, (Affine(0, np.array([[1e18], [1.0]]), np.zeros(2)),), "largest")
    with pytest.raises(BadInput, match="no setting of bits reaches"):
        quantise(steep, np.linspace(-1e12, 1e12, 90)[:, None] + 1 / 3)
