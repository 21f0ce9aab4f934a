"""The trusted reference and its weighing, against the same rules in unbounded integers."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.fixed.numbers import ONE, IntArray, clip_norm, norm
from troth.learn import trusted
from troth.learn.aggregate import Update, aggregate
from troth.learn.arrays import Rows, flatten
from troth.learn.data import Inputs
from troth.learn.dense import ACTIVATION_LIMIT, Dense
from troth.learn.draws import seed_of

LIMITS = (0, 1 << 8, 1 << 16, 1 << 22, 1 << 24)


def rounded(values: Any, divisor: int) -> Any:
    """Element by element, half to even."""
    found = [round(Fraction(v, divisor)) for v in values.reshape(-1).tolist()]
    return np.array(found, dtype=object).reshape(values.shape)


def layers(task: Dense, vector: Any, features: Any) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """What each layer gets, the outputs at the end; and (weights, bias) of each."""
    state, given_, found = task.state_of(vector), [features], []
    for prefix, before, after in task.layers():
        weights, bias = state[f"{prefix}weights"].reshape(before, after), state[f"{prefix}bias"]
        out = rounded(given_[-1] @ weights, ONE) + bias
        given_.append(np.clip(out, 0, ACTIVATION_LIMIT) if prefix else out)
        found.append((weights, bias))
    return given_, found


def plain_gradient(task: Dense, vector: IntArray, data: Inputs) -> IntArray:
    """`trusted.gradient` in Python's integers, the derivatives at the head apart."""
    given_, parts = layers(task, vector.astype(object), data.features.astype(object))
    error = trusted._error(task, given_.pop().astype(np.int64), data.labels).astype(object)
    count, found = len(data.labels), {}
    for (prefix, *_), inputs, (weights, _) in list(zip(task.layers(), given_, parts, strict=True))[::-1]:
        found[f"{prefix}weights"] = rounded(inputs.T @ error, count * ONE)
        found[f"{prefix}bias"] = rounded(error.sum(axis=0), count)
        error = np.clip(rounded(error @ weights.T, ONE), -4 * ONE, 4 * ONE) * (inputs > 0)
    return np.concatenate([found[name].reshape(-1) for name, _ in task.layout]).astype(np.int64)


def plain_reference(task: Dense, start: IntArray, data: Inputs, clip: int) -> IntArray:
    here = start.astype(object)

    def loss(vector: Any) -> int:
        out = layers(task, vector, data.features.astype(object))[0][-1]
        return int(task.losses_of(out.astype(np.int64)[None], data).sum())

    for _ in range(trusted.STEPS):
        slope = plain_gradient(task, here.astype(np.int64), data).astype(object)
        tries = [np.clip(here - slope * long, -task.limit, task.limit) for long in trusted.LENGTHS]
        tries += [here - rounded(slope, 2 ** (half + 1)) for half in range(trusted.HALVES)]
        losses = [loss(one) for one in tries]
        if min(losses) >= loss(here):
            break
        here = tries[losses.index(min(losses))]
    return clip_norm((here - start).astype(np.int64), clip)


@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_reference_equals_a_second_implementation(classes: int, hidden: tuple[int, ...]) -> None:
    """For small parameters, where doubles do it, and up to the largest, where products pass what a double holds."""
    task = Dense(4, classes, hidden)
    for number, limit in enumerate(LIMITS):
        draw = np.random.default_rng(number)
        labels = draw.integers(0, classes, 9) if classes else draw.integers(-ONE, ONE, 9)
        data = Inputs(draw.integers(-8 * ONE, 8 * ONE + 1, (9, 4)), labels)
        base = task.state_of(np.clip(flatten(task.start(seed_of(number))) + draw.integers(
            -limit, limit + 1, sum(int(np.prod(shape)) for _, shape in task.layout)), -task.limit, task.limit))
        vector = flatten(base)
        assert trusted.gradient(task, vector, data).tolist() == plain_gradient(task, vector, data).tolist()
        assert task.outputs_of(vector[None], data.features)[0].tolist() == layers(
            task, vector.astype(object), data.features.astype(object))[0][-1].tolist()
        found = trusted.reference(task, base, data, 40 * ONE)
        assert found.tolist() == plain_reference(task, vector, data, 40 * ONE).tolist()


def plain_weigh(rows: list[list[int]], reference: list[int]) -> list[int]:
    """`trusted.weigh` in Python's integers."""
    def length(row: list[int]) -> int:
        square = sum(v * v for v in row)
        return isqrt(square) + (isqrt(square) ** 2 < square)

    counted = []
    for row in rows:
        along = sum(a * b for a, b in zip(row, reference, strict=True))
        size = length(row) * length(reference)
        cosine = round(Fraction(max(0, along) * ONE, size)) if size else 0
        if weight := round(Fraction(cosine * cosine, ONE)):
            counted.append((row, length(row), weight))
    if not counted:
        return [0] * len(reference)
    middle = sorted(size for _, size, _ in counted)[(len(counted) - 1) // 2]
    return [round(Fraction(sum(round(Fraction(row[at] * middle, size)) * weight for row, size, weight in counted),
                           sum(weight for _, _, weight in counted))) for at in range(len(reference))]


@given(st.data(), st.integers(1, 7), st.sampled_from([3, 1 << 12, 1 << 24, 1 << 27]))
def test_weighing_equals_a_second_implementation(data: st.DataObject, count: int, largest: int) -> None:
    cells = st.lists(st.integers(-largest, largest), min_size=4, max_size=4)
    rows, reference = data.draw(st.lists(cells, min_size=count, max_size=count)), data.draw(cells)
    matrix = Rows([{"x": np.array(row, dtype=np.int64)} for row in rows], (("x", (4,)),))
    assert trusted.weigh(matrix, np.array(reference, dtype=np.int64)).tolist() == plain_weigh(rows, reference)


@given(st.data(), st.integers(1, 7), st.sampled_from([3, 1 << 20, 1 << 31]))
def test_the_mean_equals_fractions(data: st.DataObject, count: int, most: int) -> None:
    rows = data.draw(st.lists(st.lists(st.integers(-(1 << 24), 1 << 24), min_size=3, max_size=3), min_size=count,
                              max_size=count))
    examples = data.draw(st.lists(st.integers(1, most - 1), min_size=count, max_size=count))
    updates = [Update(f"{k}", n, {"x": np.array(row)}) for k, (row, n) in enumerate(zip(rows, examples, strict=True))]
    assert aggregate("mean", updates)["x"].tolist() == [
        round(Fraction(sum(n * row[at] for n, row in zip(examples, rows, strict=True)), sum(examples)))
        for at in range(3)]


@pytest.mark.parametrize("wide", [64, 1 << 17])
def test_rows_are_a_matrix_s_whatever_the_block(wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(wide)
    shapes = (("a", (3, 50)), ("b", (1,)), ("c", (7, 11)))
    states = [{name: draw.integers(-99, 100, shape) for name, shape in shapes} for _ in range(3)]
    monkeypatch.setattr(Rows, "CELLS", 3 * wide)
    rows, whole = Rows(states, shapes), np.stack([flatten(state) for state in states])
    assert (rows.matrix() == whole).all()
    assert rows.bound == np.abs(whole).max()
    for kind in (np.int64, np.float64):
        blocks = [block.copy() for _, block in rows.blocks(kind)]
        assert (np.concatenate(blocks, axis=1) == whole).all()
        assert {block.dtype for block in blocks} == {np.dtype(kind)}
    assert norm(whole[0]) == norm(*states[0].values())


@given(st.integers(1 << 20, 1 << 31), st.data())
def test_inner_products_and_slopes_are_exact_where_no_double_holds_them(largest: int, data: st.DataObject) -> None:
    cells = st.lists(st.integers(largest - 99, largest), min_size=6, max_size=6)
    row, reference = data.draw(cells), data.draw(cells)
    along = sum(a * b for a, b in zip(row, reference, strict=True))
    square = sum(v * v for v in row)
    if 6 * largest ** 2 < 1 << 63:
        assert list(trusted._squares_and_products(np.array([row], dtype=np.float64), np.array(reference))) == [
            (square, along)]
        slope = trusted._mean_slope(*(np.array(v, dtype=np.float64)[:, None] for v in (row, reference)))
        assert slope.tolist() == [[round(Fraction(along, 6 * ONE))]]
