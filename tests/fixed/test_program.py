"""Integer programs: each step against its definition in Python's own integers, ranges that hold, bytes that are one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed.program import Affine, Clamp, Conv, Forest, Gather, Maximum, Program, Rescale, Sum, Tree

INTS = np.int64


def network(rng: np.random.Generator, features: int, hidden: int, outputs: int) -> Program:
    """A small network with every kind of step that a network has."""
    weights = rng.integers(-128, 128, (hidden, features))
    head = rng.integers(-128, 128, (outputs, hidden))
    steps = (Affine(0, weights, rng.integers(-1000, 1000, hidden)), Rescale(1, 7), Clamp(2, 0, 1 << 40),
             Affine(3, head, rng.integers(-1000, 1000, outputs)))
    return Program(np.full(features, -512), np.full(features, 511), steps, "sign" if outputs == 1 else "largest")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), features=st.integers(1, 6), hidden=st.integers(1, 6), outputs=st.integers(1, 4))
def test_a_network_is_what_its_steps_say(seed: int, features: int, hidden: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    program = network(rng, features, hidden, outputs)
    inputs = rng.integers(-512, 512, (5, features))
    first, last = program.steps[0], program.steps[3]
    assert isinstance(first, Affine)
    assert isinstance(last, Affine)
    for row, scores in zip(inputs.tolist(), program.run(inputs).tolist(), strict=True):
        middle = [sum(w * x for w, x in zip(line, row, strict=True)) + b
                  for line, b in zip(first.weights.tolist(), first.bias.tolist(), strict=True)]
        middle = [max(0, (v + 64) // 128) for v in middle]
        assert scores == [sum(w * x for w, x in zip(line, middle, strict=True)) + b
                          for line, b in zip(last.weights.tolist(), last.bias.tolist(), strict=True)]
    again = Program.from_bytes(program.to_bytes())
    assert (again.digest, again.run(inputs).tolist()) == (program.digest, program.run(inputs).tolist())
    low, high = program.ranges[-1]
    assert ((program.run(inputs) >= low) & (program.run(inputs) <= high)).all()


def test_a_convolution_is_its_definition() -> None:
    rng = np.random.default_rng(3)
    step = Conv(0, rng.integers(-9, 9, (3, 2, 3, 2)), rng.integers(-9, 9, 3), (2, 5, 4), (2, 1), (1, 0, 0, 1))
    program = Program(np.full(40, -8), np.full(40, 8), (step, Gather(1, np.array([4, 0]))), "largest")
    image = rng.integers(-8, 9, (1, 40))
    padded = np.pad(image.reshape(2, 5, 4), ((0, 0), (1, 0), (0, 1)))
    flat = [int((step.weights[o] * padded[:, 2 * y:2 * y + 3, x:x + 2]).sum() + step.bias[o])
            for o in range(3) for y in range(2) for x in range(4)]
    assert step.places == (2, 4)
    assert program.run(image)[0].tolist() == [flat[4], flat[0]]
    assert Program.from_bytes(program.to_bytes()).digest == program.digest


def stump(feature: int, threshold: int, left: int, right: int) -> Tree:
    return Tree(np.array([feature, -1, -1]), np.array([threshold, 0, 0]), np.array([1, 0, 0]), np.array([2, 0, 0]),
                np.array([[0], [left], [right]]))


def test_a_forest_adds_the_leaves_that_an_input_falls_into() -> None:
    program = Program(np.zeros(2, INTS), np.full(2, 9), (
        Forest(0, (stump(0, 4, 10, -20), stump(1, 2, 3, 5)), np.array([1])), Maximum(1, np.array([[0, 0]])), Sum(1, 2)),
        "sign")
    inputs = np.array([[4, 2], [5, 2], [4, 3], [9, 9]])
    assert program.run(inputs)[:, 0].tolist() == [28, -32, 32, -28]
    assert program.labels(program.run(inputs)).tolist() == [1, 0, 1, 0]
    assert [int(v[0]) for v in program.ranges[1]] == [-16, 16]
    assert Program.from_bytes(program.to_bytes()).digest == program.digest


def test_what_could_overflow_or_is_no_model_is_refused_before_anything_runs() -> None:
    low, high = np.full(2, -(1 << 40)), np.full(2, 1 << 40)
    wide = Affine(0, np.full((1, 2), 1 << 30), np.zeros(1, INTS))
    with pytest.raises(BadInput, match="could overflow"):
        Program(low, high, (wide,), "sign")
    with pytest.raises(BadInput, match="not before it"):
        Program(low, high, (Rescale(1, 3),), "number")
    with pytest.raises(BadInput, match="do not fit the head"):
        Program(low, high, (Rescale(0, 3),), "sign")
    loop = Tree(np.array([0, 0]), np.array([0, 0]), np.array([1, 0]), np.array([1, 0]), np.zeros((2, 1), INTS))
    with pytest.raises(BadInput, match="a tree that is none"):
        Program(low, high, (Forest(0, (loop,), np.zeros(1, INTS)),), "sign")
    program = Program(np.zeros(1, INTS), np.full(1, 9), (Affine(0, np.ones((1, 1), INTS), np.zeros(1, INTS)),), "sign")
    for inputs in (np.array([[10]]), np.array([[-1]]), np.array([[1, 2]])):
        with pytest.raises(BadInput):
            program.run(inputs)


def test_windows_beyond_what_memory_holds_are_refused_before_they_are_made() -> None:
    """A small file can ask for them: an image of padding, and a kernel as wide as it."""
    size = 1 << 14
    wide = Conv(0, np.ones((1, 1, 1, size), INTS), np.zeros(1, INTS), (1, 1, size), pad=(0, size, 0, size))
    with pytest.raises(BadInput, match="in its windows together"):
        Program(np.zeros(size, INTS), np.ones(size, INTS), (wide,), "largest")
