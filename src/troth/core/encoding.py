"""The one canonical encoding and the digests.

A claim's payload is JSON that equals its own RFC 8785 form, so two different byte strings never say the same thing.
We write integers only: anything that may pass 2**53 - 1 travels as a string, and there are no floats.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
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


def encode(value: Any, levels: int = MAX_DEPTH) -> bytes:
    """The RFC 8785 form of ``value``: dicts with string keys, lists, strings, integers within 2**53 - 1, bools, None.

    levels: how deep it may nest; less where the result becomes part of something larger.
    Raises BadInput for anything else (floats too), for nesting deeper than ``levels`` and for lone surrogates.
    """
    ascii_keys = check(value, levels)
    try:
        # orjson sorts keys by code point; RFC 8785 by UTF-16 unit. They differ only beyond ASCII.
        return orjson.dumps(value, option=_OPTIONS) if ascii_keys else rfc8785.dumps(value)
    except (orjson.JSONEncodeError, rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise BadInput("this value has no canonical form", expected="well-formed text, integers within 2**53 - 1",
                       actual=error, do="Write larger integers as strings.") from None


def encode_for_writer(value: Any, part: Any, levels: int) -> bytes:
    """``encode`` of a value whose writer has named the exact type of each member of it, but for those of ``part``.

    levels: how deep ``part`` may nest. Faster than ``encode`` where the result is ASCII, since the value is walked
    once. Raises BadInput.
    """
    check(part, levels)
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return encode(value)  # it says what is wrong
    # Where all is ASCII so are the keys, and code point order is UTF-16 order.
    return data if data.isascii() else encode(value)


def decode(data: bytes) -> Any:
    """Parse canonical bytes strictly: what ``encode`` would write for the result, byte for byte, or BadInput.

    That refuses white space, other key orders, duplicate keys, floats, other escapes and integers beyond 2**53 - 1.
    """
    value = _loads(data)
    if encode(value) != data:
        raise _not_canonical()
    return value


def decode_for_reader(data: bytes) -> tuple[Any, bool]:
    """Parse canonical bytes whose reader checks every type itself: (value, whether ``check`` was already done).

    Faster than ``decode`` where the bytes are ASCII, since members of a known shape need no second walk. Where the
    second value is False, floats and nesting beyond the bound may still be inside: the reader must name the exact
    type of each member it takes and call ``check`` on each part whose shape is open. Raises BadInput.
    """
    if not data.isascii():
        return decode(data), True
    value = _loads(data)
    try:
        # No key is beyond ASCII here, so code point order is UTF-16 order.
        again = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise BadInput("this value has no canonical form", actual=error) from None
    if again != data:
        raise _not_canonical()
    return value, False


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
    # First a parser that bounds nesting by itself: the standard one recurses as deep as the interpreter's limit, which
    # libraries raise until the process dies of it.
    _loads(data)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
        return rfc8785.dumps(value)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise BadInput("this document has no canonical form", actual=error) from None


def jcs_of(value: Any) -> bytes:
    """RFC 8785 canonical form of a foreign value, floats allowed. Raises BadInput where it has none."""
    with suppress(BadInput):
        return encode(value)  # many times faster, and the same bytes where it takes the value
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise BadInput("this document has no canonical form", actual=error) from None


def read_foreign(data: bytes, most: int, levels: int = MAX_DEPTH) -> Any:
    """The value of a foreign JSON document: any spelling, floats allowed, each key once in its object.

    most: bytes. levels: how deep it may nest. Raises BadInput for anything else.
    """
    if len(data) > most:
        raise BadInput("a document too large", expected=f"at most {most} bytes", actual=len(data))
    _loads(data)  # for the reason above
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadInput("this is not JSON that everybody reads alike", actual=error) from None
    level = [value]
    while levels and level:
        level = [item for one in level if isinstance(one, dict | list)
                 for item in (one.values() if isinstance(one, dict) else one)]
        levels -= 1
    if any(isinstance(one, dict | list) for one in level):
        raise BadInput("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
    return value


def take(source: Any, /, **fields: type) -> list[Any]:
    """The values of exactly these fields of ``source``, each of exactly this type, in the order asked for.

    Raises BadInput for anything but an object and for a missing, surplus or mistyped field: a reader that ignores
    what it does not know would let two different documents mean the same.
    """
    if type(source) is not dict:
        raise BadInput("unexpected JSON", expected="an object", actual=type(source).__name__)
    if source.keys() != fields.keys():
        raise BadInput("wrong fields", expected=sorted(fields), actual=sorted(map(str, source)))
    for name, kind in fields.items():
        if type(source[name]) is not kind:
            raise BadInput(f"wrong type of field {name!r}", expected=kind.__name__, actual=type(source[name]).__name__)
    return [source[name] for name in fields]


def from_hex(text: object, size: int | None = None) -> bytes:
    """Bytes from canonical (lowercase, even, no prefix) hex text, of ``size`` bytes if given, or BadInput."""
    if type(text) is str:
        try:
            data = bytes.fromhex(text)
        except ValueError:
            data = None
        # Writing it again refuses capitals and the white space that fromhex skips.
        if data is not None and data.hex() == text and (size is None or len(data) == size):
            return data
    raise BadInput("not canonical hex", expected="lowercase hex" + (f" of {size} bytes" if size else ""), actual=text)


def amount(text: str) -> int:
    """Money from a claim: canonical decimal text. Raises BadInput."""
    if type(text) is str and text.isascii() and text.isdigit() and len(text) <= 39 and str(int(text)) == text:
        return int(text)
    raise BadInput("not an amount", expected="decimal digits without leading zeros, below 10**39", actual=text)


def check(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Refuse what a claim may not hold, but for the size of integers, which the encoder refuses.

    Returns whether every key is ASCII. The bound on nesting also bounds the recursion. Raises BadInput.
    """
    ascii_keys, items = True, value
    if type(value) is dict:
        ascii_keys, items = _check_keys(value), value.values()
    elif type(value) is not list:
        items = (value,)
    for item in items:
        kind = type(item)
        if kind is str or kind is int or kind is bool or item is None:
            continue
        if kind is not dict and kind is not list:
            raise BadInput("a value that claims cannot hold", expected="dict, list, str, int, bool or None",
                           actual=kind.__name__, do="Write amounts and fractions as integers or strings.")
        if levels <= 1:
            raise BadInput("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        ascii_keys = check(item, levels - 1) and ascii_keys
    return ascii_keys


def _check_keys(value: dict[Any, Any]) -> bool:
    """Whether every key is ASCII. Raises BadInput for one that is not a string."""
    try:
        if "".join(value).isascii():
            return True  # a subclass of str among them is refused by the encoder
    except TypeError:
        raise BadInput("object key that is not a string", actual=[key for key in value if type(key) is not str],
                       ) from None
    if any(type(key) is not str for key in value):
        raise BadInput("object key that is not plain text", expected="str")
    return False


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInput("not JSON in UTF-8", actual=error) from None


def _not_canonical() -> BadInput:
    return BadInput("JSON that is not its own canonical form", expected="RFC 8785 bytes without duplicate keys",
                    do="Encode it with troth.core.encoding.encode.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("duplicate keys in a JSON object", expected="each key once")
    return found
