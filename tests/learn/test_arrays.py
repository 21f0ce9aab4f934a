"""Canonical bytes of a state: one byte form, no slack, hostile bytes refused."""

from __future__ import annotations

import contextlib
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from troth.core.errors import BadInput
from troth.learn import arrays

NAMES = st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True)
ARRAYS = hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=4, max_side=3),
                    elements=st.integers(-(2**63) + 1, 2**63 - 1))
STATES = st.dictionaries(NAMES, ARRAYS, max_size=4)


def named(name: str, dims: tuple[int, ...], body: bytes) -> bytes:
    return (struct.pack("<B", len(name)) + name.encode() + struct.pack(f"<B{len(dims)}I", len(dims), *dims) + body)


def whole(*parts: bytes) -> bytes:
    return arrays.MAGIC + struct.pack("<I", len(parts)) + b"".join(parts)


@given(STATES)
def test_round_trip_and_independence_of_insertion_order(state: dict[str, np.ndarray]) -> None:
    data = arrays.encode(state)
    again = arrays.decode(data)
    assert arrays.equal(state, again)
    assert arrays.encode(again) == data == arrays.encode(dict(reversed(state.items())))
    assert arrays.digest(state) == hashlib.sha256(data).digest()
    vector = arrays.flatten(state)
    assert arrays.equal(arrays.unflatten(vector, arrays.layout(state)), state)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_decoding_copies_nothing_and_hands_out_nothing_to_write_on(kind: type) -> None:
    data = kind(arrays.encode({"a": np.arange(1000), "b": np.arange(6).reshape(2, 3)}))
    state = arrays.decode(data)
    for array in state.values():
        assert np.shares_memory(array, np.frombuffer(data, dtype=np.uint8))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    assert arrays.encode(state) == bytes(data)


@given(STATES, st.data())
def test_any_changed_byte_changes_the_state_or_is_refused(state: dict[str, np.ndarray], data: st.DataObject) -> None:
    raw = bytearray(arrays.encode(state))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = arrays.decode(bytes(raw))
    except BadInput:
        return
    assert arrays.encode(found) == bytes(raw)
    assert not arrays.equal(found, state)


@given(st.binary(max_size=80))
def test_noise_is_refused(noise: bytes) -> None:
    for data in (noise, arrays.MAGIC + noise):
        with contextlib.suppress(BadInput):
            assert arrays.encode(arrays.decode(data)) == data


ONE = struct.pack("<q", 1)


@pytest.mark.parametrize("data", [
    b"",
    whole(named("a", (1,), ONE)) + b"\0",
    whole(named("a", (1,), ONE))[:-1],
    whole(named("b", (1,), ONE), named("a", (1,), ONE)),
    whole(named("a", (1,), ONE), named("a", (1,), ONE)),
    whole(named("A", (1,), ONE)),
    whole(named("", (1,), ONE)),
    whole(named("é", (1,), ONE)),
    whole(named("a", (), ONE)),
    whole(named("a", (0,), b"")),
    whole(named("a", (1, 1, 1, 1, 1), ONE)),
    whole(named("a", (2**32 - 1, 2**32 - 1), ONE)),
    whole(named("a", (1,), struct.pack("<q", -(2**63)))),
    arrays.MAGIC + struct.pack("<I", 2**32 - 1),
], ids=["empty", "slack", "short", "order", "twice", "case", "nameless", "not ascii", "no dimension", "empty array",
        "five dimensions", "huge", "no magnitude", "many"])
def test_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        arrays.decode(data)


@pytest.mark.parametrize("state", [{"a": np.ones(1)}, {"a": np.ones(1, np.int32)}, {"A": np.ones(1, np.int64)},
                                   {"a": np.ones(0, np.int64)}, {"a": np.array(1)}])
def test_states_without_a_byte_form_are_refused(state: dict[str, np.ndarray]) -> None:
    with pytest.raises(BadInput):
        arrays.encode(state)


def test_a_transposed_array_encodes_by_its_elements() -> None:
    grid = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert arrays.encode({"a": grid.T}) == arrays.encode({"a": np.ascontiguousarray(grid.T)})


def test_decoded_arrays_are_read_only() -> None:
    found = arrays.decode(whole(named("a", (1,), ONE)))
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0] = 2


def test_the_bytes_are_pinned() -> None:
    state = {"weights": np.array([1, -2], dtype=np.int64), "bias": np.array([3], dtype=np.int64)}
    assert arrays.encode(state) == (
        b"troth-arrays-1\n\x02\0\0\0" b"\x04bias\x01\x01\0\0\0" b"\x03\0\0\0\0\0\0\0"
        b"\x07weights\x01\x02\0\0\0" b"\x01\0\0\0\0\0\0\0" b"\xfe\xff\xff\xff\xff\xff\xff\xff")
