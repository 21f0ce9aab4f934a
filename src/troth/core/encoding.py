"""The one canonical encoding and the digests.

A claim's payload is JSON that equals its own RFC 8785 form, so two different byte strings never say the same thing.
We write integers only: anything that may pass 2**53 - 1 travels as a string, and there are no floats.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
import rfc8785

from troth.core.errors import BadInput

MAX_INT = 2**53 - 1
MAX_DEPTH = 64
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4) of ``data``, 32 bytes."""
    return hashlib.sha256(data).digest()


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not SHA3-256), 32 bytes."""
    # Imported here: only on-chain hashes need it, and the command line's start-up should not pay for it.
    from eth_hash.auto import keccak

    return bytes(keccak(data))


def encode(value: Any) -> bytes:
    """The RFC 8785 form of ``value``: dicts with string keys, lists, strings, integers within 2**53 - 1, bools, None.

    Raises BadInput for anything else (floats too), for nesting deeper than 64 and for lone surrogates.
    """
    ascii_keys = _check(value)
    try:
        # orjson sorts keys by code point; RFC 8785 by UTF-16 unit. They differ only beyond ASCII.
        return orjson.dumps(value, option=_OPTIONS) if ascii_keys else rfc8785.dumps(value)
    except (orjson.JSONEncodeError, rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise BadInput("this value has no canonical form", actual=error, do="Use well-formed Unicode text.") from None


def decode(data: bytes) -> Any:
    """Parse canonical bytes strictly: what ``encode`` would write for the result, byte for byte, or BadInput.

    That refuses white space, other key orders, duplicate keys, floats, other escapes and integers beyond 2**53 - 1.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInput("not JSON in UTF-8", actual=error) from None
    if encode(value) != data:
        raise BadInput("JSON that is not its own canonical form", expected="RFC 8785 bytes without duplicate keys",
                       do="Encode it with troth.core.encoding.encode.")
    return value


def decode_object(data: bytes) -> dict[str, Any]:
    """``decode``, and the result must be an object."""
    value = decode(data)
    if type(value) is not dict:
        raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
    return value


def jcs(data: bytes) -> bytes:
    """RFC 8785 canonical form of a foreign JSON document, floats allowed, duplicate keys refused.

    Raises BadInput where the text is not JSON or holds numbers that RFC 8785 cannot write exactly.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
        return rfc8785.dumps(value)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise BadInput("this document has no canonical form", actual=error) from None


def take(source: dict[str, Any], /, **fields: type) -> list[Any]:
    """The values of exactly these fields of ``source``, each of exactly this type, in the order asked for.

    Raises BadInput for a missing, surplus or mistyped field: a reader that ignores what it does not know would let
    two different documents mean the same.
    """
    if source.keys() != fields.keys():
        raise BadInput("wrong fields", expected=sorted(fields), actual=sorted(map(str, source)))
    for name, kind in fields.items():
        if type(source[name]) is not kind:
            raise BadInput(f"wrong type of field {name!r}", expected=kind.__name__, actual=type(source[name]).__name__)
    return [source[name] for name in fields]


def from_hex(text: object, size: int | None = None) -> bytes:
    """Bytes from canonical (lowercase, even, no prefix) hex text, of ``size`` bytes if given, or BadInput."""
    if type(text) is str and text == text.lower():
        try:
            data = bytes.fromhex(text)
        except ValueError:
            data = None
        if data is not None and data.hex() == text and (size is None or len(data) == size):
            return data
    raise BadInput("not canonical hex", expected="lowercase hex" + (f" of {size} bytes" if size else ""), actual=text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("duplicate keys in a JSON object", expected="each key once")
    return found


def _check(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Refuse what a claim may not hold; whether every key is ASCII. The depth bound also bounds the recursion."""
    kind = type(value)
    if kind is dict:
        items, ascii_keys = value.values(), True
        for key in value:
            if type(key) is not str:
                raise BadInput("object key that is not a string", actual=repr(key))
            ascii_keys = ascii_keys and key.isascii()
    elif kind is list:
        items, ascii_keys = value, True
    else:
        items, ascii_keys = (value,), True
    for item in items:
        kind = type(item)
        if kind is str or kind is bool or item is None:
            continue
        if kind is int:
            if not -MAX_INT <= item <= MAX_INT:
                raise BadInput("integer beyond 2**53 - 1", actual=item, do="Write it as a string.")
        elif kind is dict or kind is list:
            if depth == 1:
                raise BadInput("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
            ascii_keys = _check(item, depth - 1) and ascii_keys
        else:
            raise BadInput("a value that claims cannot hold", expected="dict, list, str, int, bool or None",
                           actual=kind.__name__, do="Write amounts and fractions as integers or strings.")
    return ascii_keys
