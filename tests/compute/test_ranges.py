"""The interval analysis: no value ever leaves its range, and one map's range is reached at both ends."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.programs import edges, random_program
from troth.fixed.program import Affine, Conv, Program, windows
from troth.fixed.steps import apply


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_vector_stays_in_its_range(seed: int) -> None:
    program = random_program(seed)
    vectors = [edges(program, seed, 12)]
    for step in program.steps:
        vectors.append(apply(step, vectors))
    for values, (low, high) in zip(vectors, program.ranges, strict=True):
        assert ((values >= low) & (values <= high)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_maps_range_is_reached_at_both_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.integers(-20, 5, 12)
    high = low + rng.integers(0, 30, 12)
    image = Conv(0, rng.integers(-9, 10, (2, 1, 2, 3)), rng.integers(-9, 10, 2), (1, 3, 4), (2, 1), (1, 0, 1, 2))
    line = Affine(0, rng.integers(-9, 10, (5, 12)), rng.integers(-9, 10, 5))
    flat = np.zeros((2 * len(windows(image)), 12), dtype=np.int64)  # the convolution as a matrix
    for out in range(2):
        for place, seen in enumerate(windows(image)):
            for at, weight in zip(seen, image.weights[out].reshape(-1), strict=True):
                if at >= 0:
                    flat[out * len(windows(image)) + place, at] += weight
    for step, weights in ((image, flat), (line, line.weights)):
        program = Program(low, high, (step,), "largest")
        least, most = program.ranges[1]
        for at, row in enumerate(weights):
            ends = np.stack([np.where(row > 0, low, high), np.where(row > 0, high, low)])
            assert program.run(ends)[:, at].tolist() == [least[at], most[at]]
