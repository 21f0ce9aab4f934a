"""Canonical JSON: RFC 8785's outside vectors, equality with a second implementation, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from troth.core import encoding
from troth.core.errors import BadInput

VECTORS = Path(__file__).parents[1] / "vectors" / "jcs"
NAMES = sorted(path.name for path in (VECTORS / "input").glob("*.json"))

INTEGERS = st.integers(-encoding.MAX_INT, encoding.MAX_INT)
# Surrogate pairs matter: RFC 8785 sorts keys by UTF-16 unit, where U+10000 comes before U+FFFF.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["\U00010000", "\uffff", "", "é", "\x00", "\x1f", "\x7f", '"\\/', "\u2028", "a", "B"])
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5), max_leaves=25)


def test_every_vector_is_here() -> None:
    assert NAMES == ["arrays.json", "french.json", "structures.json", "unicode.json", "values.json", "weird.json"]


@pytest.mark.parametrize("name", NAMES)
def test_jcs_outside_vectors(name: str) -> None:
    given_bytes, expected = ((VECTORS / folder / name).read_bytes() for folder in ("input", "output"))
    assert encoding.jcs(given_bytes) == expected
    assert encoding.jcs(expected) == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name != "values.json"])
def test_our_encoder_on_the_vectors_without_fractions(name: str) -> None:
    output = (VECTORS / "output" / name).read_bytes()
    value = json.loads(output)
    if name in ("arrays.json", "structures.json"):
        value = _whole(value)
    assert encoding.encode(value) == rfc8785.dumps(value)
    assert encoding.decode(encoding.encode(value)) == value


def _whole(value: Any) -> Any:
    if type(value) is dict:
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if type(value) is list else int(value) if type(value) is float else value


@given(VALUES)
def test_encode_equals_rfc8785_and_decode_inverts_it(value: Any) -> None:
    data = encoding.encode(value)
    assert data == rfc8785.dumps(value)
    assert encoding.decode(data) == value
    again, checked = encoding.decode_for_reader(data)
    assert again == value
    assert checked or data.isascii()


@given(st.dictionaries(TEXT, INTEGERS, min_size=2, max_size=6))
def test_key_order_is_by_utf16_unit(value: dict[str, int]) -> None:
    keys = list(json.loads(encoding.encode(value)))
    assert keys == sorted(value, key=lambda key: key.encode("utf-16-be"))


@given(st.binary(max_size=60) | TEXT.map(str.encode))
def test_decode_never_crashes_and_accepts_only_fixed_points(data: bytes) -> None:
    try:
        value = encoding.decode(data)
    except BadInput:
        return
    assert encoding.encode(value) == data


@given(VALUES, st.integers(0, 400), st.integers(0, 255))
def test_one_changed_byte_is_another_value_or_refused(value: Any, at: int, byte: int) -> None:
    data = bytearray(encoding.encode(value))
    at %= len(data)
    if data[at] == byte:
        byte ^= 1
    data[at] = byte
    try:
        assert encoding.decode(bytes(data)) != value or _same_type_differs(encoding.decode(bytes(data)), value)
    except BadInput:
        return


def _same_type_differs(one: Any, other: Any) -> bool:
    """Python holds 1 == True; JSON does not."""
    return rfc8785.dumps(one) != rfc8785.dumps(other)


@pytest.mark.parametrize("data", [
    b"", b" 1", b"1 ", b'{"a": 1}', b'{"a":1}\n', b"\xef\xbb\xbf1", b"01", b"+1", b"-0", b"1.0", b"1e2", b"1.5",
    b"NaN", b"Infinity", b"nul", b"[1,]", b'{"a":1,}', b"[1]]",
    b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"\\u0061":1}', b'"\\u0061"', b'"\\/"', b'"\\u000A"',
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\t"',
    b"9007199254740992", b"-9007199254740992", b"18446744073709551616", b"1" + b"0" * 400,
    '{"\uffff":1,"\U00010000":2}'.encode(), b'{"n":[{"a":1.5}]}', b'[":1.5",2.5]',
    b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65,
    b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000,
])
def test_decode_refuses(data: bytes) -> None:
    with pytest.raises(BadInput):
        encoding.decode(data)


@pytest.mark.parametrize("data", [b"0", b"null", b'""', b"[]", b"{}", b"9007199254740991", b"-9007199254740991",
                                  '{"\U00010000":2,"\uffff":1}'.encode(), b"[" * 64 + b"]" * 64,
                                  b'{"a":' * 64 + b"1" + b"}" * 64])
def test_decode_accepts_the_edges(data: bytes) -> None:
    assert encoding.encode(encoding.decode(data)) == data


class Text(str):
    """A string that is not plain: what it encodes to is its subclass's business."""


@pytest.mark.parametrize("value", [
    1.0, float("nan"), (1,), {1: 2}, {None: 1}, {b"a": 1}, b"bytes", {"a": {"b": [object()]}}, {1, 2},
    2**53, -(2**53), 10**30, {"é": 2**53}, "\ud800", {"\ud800": 1}, {"a": "\udfff"}, ["é", {"\udfff": 1}],
    {Text("a"): 1}, {Text("é"): 1}, [Text("a")], [True, [1.0]], {"é": 1.0},
])
def test_encode_refuses(value: Any) -> None:
    with pytest.raises(BadInput):
        encoding.encode(value)


def test_nesting_is_bounded_exactly() -> None:
    value: Any = 1
    for _ in range(encoding.MAX_DEPTH):
        value = [value]
    assert encoding.encode(value) == b"[" * 64 + b"1" + b"]" * 64
    with pytest.raises(BadInput, match="nested too deeply"):
        encoding.encode([value])
    with pytest.raises(BadInput, match="nested too deeply"):
        encoding.encode({"a": value})
    assert encoding.encode([[1]], 2) == b"[[1]]"
    with pytest.raises(BadInput, match="nested too deeply"):
        encoding.encode([[1]], 1)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BadInput, match="nested too deeply"):
        encoding.encode(loop)


def test_a_reader_is_told_when_it_must_check() -> None:
    assert encoding.decode_for_reader(b"[1.5]") == ([1.5], False)
    with pytest.raises(BadInput):
        encoding.check([1.5])
    with pytest.raises(BadInput):
        encoding.decode_for_reader('["é",1.5]'.encode())
    for data in (b"[1, 2]", b'{"b":1,"a":1}', b'{"a":1,"a":1}', b"9007199254740992", b"[" * 300 + b"]" * 300):
        with pytest.raises(BadInput):
            encoding.decode_for_reader(data)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":1,"a":1}', b"[NaN]", b"[Infinity]", b"9007199254740992",
                                  b'"\xff"', b"[" * 100_000])
def test_jcs_refuses(data: bytes) -> None:
    with pytest.raises(BadInput):
        encoding.jcs(data)


def test_deep_nesting_is_refused_whatever_the_recursion_limit() -> None:
    """Libraries raise the limit on import; the standard parser then overruns the C stack instead of raising."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        for data in (b"[" * 10**6, b'{"a":' * 10**6, b"[" * 10**6 + b"]" * 10**6):
            for read in (encoding.jcs, encoding.decode, encoding.decode_for_reader):
                with pytest.raises(BadInput):
                    read(data)
    finally:
        sys.setrecursionlimit(before)


def test_take_wants_exactly_the_fields_and_types() -> None:
    assert encoding.take({"b": 1, "a": "x"}, a=str, b=int) == ["x", 1]
    for wrong in ([], "ab", None, {"a": "x"}, {"a": "x", "b": 1, "c": 1}, {"a": "x", "b": True}, {"a": 1, "b": 1}):
        with pytest.raises(BadInput):
            encoding.take(wrong, a=str, b=int)


def test_decode_object_wants_an_object() -> None:
    assert encoding.decode_object(b'{"a":1}') == {"a": 1}
    with pytest.raises(BadInput, match="unexpected JSON"):
        encoding.decode_object(b"[]")


@given(st.binary(max_size=40))
def test_hex_has_one_spelling(data: bytes) -> None:
    assert encoding.from_hex(data.hex()) == data
    assert encoding.from_hex(data.hex(), len(data)) == data
    for wrong in (data.hex() + " ", " " + data.hex(), "0x" + data.hex(), data.hex() + "0", data.hex() + "zz"):
        with pytest.raises(BadInput):
            encoding.from_hex(wrong)
    with pytest.raises(BadInput):
        encoding.from_hex(data.hex(), len(data) + 1)


@pytest.mark.parametrize("wrong", ["AB", "a b0", "ab\n", None, 12, b"ab", ["ab"]])
def test_hex_refuses(wrong: Any) -> None:
    with pytest.raises(BadInput):
        encoding.from_hex(wrong)


def test_digests() -> None:
    assert encoding.sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert encoding.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
