"""Foreign JSON documents: read strictly, written in RFC 8785 form, and the times in them.

A document of others is not canonical as it stands, but what is signed is its canonical form. So a reader here refuses
whatever would let two parties see different things in one text: duplicate keys, lone surrogates, integers that a
double cannot hold, and sizes and depths that only serve to hurt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import rfc8785

from troth.core.encoding import MAX_DEPTH, MAX_INT, encode
from troth.core.errors import BadInput

MAX_BYTES = 1 << 20
_TIME = re.compile(r"(-?\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


def read_json(data: bytes, most: int = MAX_BYTES) -> dict[str, Any]:
    """A JSON object of others. most: bytes.

    Raises BadInput for anything else, duplicate keys, lone surrogates, integers beyond 2**53 - 1, numbers that are not
    finite, more than ``MAX_DEPTH`` levels, and more bytes than ``most``.
    """
    if len(data) > most:
        raise BadInput("document too long", expected=f"at most {most} bytes", actual=len(data))
    try:
        # A parser that bounds nesting by itself and refuses lone surrogates and bytes that are not UTF-8.
        orjson.loads(data)
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput("not JSON in UTF-8", actual=error) from None
    if type(value) is not dict:
        raise BadInput("unexpected JSON", expected="an object", actual=type(value).__name__)
    check_json(value)
    return value


def check_json(value: Any, levels: int = MAX_DEPTH) -> None:
    """Refuse what cannot be signed over: nesting beyond ``levels``, other types than JSON's, improper numbers."""
    if type(value) in (dict, list):
        if levels < 1:
            raise BadInput("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        if type(value) is dict and any(type(key) is not str for key in value):
            raise BadInput("object key that is not a string")
        for item in value.values() if type(value) is dict else value:
            check_json(item, levels - 1)
    elif type(value) is int:
        if abs(value) > MAX_INT:
            raise BadInput("an integer that a double cannot hold", expected="at most 2**53 - 1", actual=value,
                           do="Write larger integers as text.")
    elif type(value) is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise BadInput("not a finite number", actual=value)
    elif not (value is None or type(value) in (str, bool)):
        raise BadInput("not JSON", actual=type(value).__name__)


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785 form, fractions allowed. Raises BadInput for what has none."""
    try:
        return encode(value)  # the fast writer, which knows no fractions
    except BadInput:
        pass
    try:
        return rfc8785.dumps(dict(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise BadInput("this document has no canonical form", actual=error) from None


def unix_time(text: object) -> int:
    """Unix seconds, rounded down, of an ``xsd:dateTimeStamp`` (a time zone is required). Raises BadInput."""
    found = _TIME.match(text) if type(text) is str else None
    if found:
        try:
            return int(datetime.fromisoformat(str(text)).timestamp())
        except (ValueError, OverflowError):
            pass
    raise BadInput("not a time", expected="YYYY-MM-DDThh:mm:ssZ", actual=text)


def time_text(seconds: int) -> str:
    """Unix seconds as ``YYYY-MM-DDThh:mm:ssZ``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("duplicate keys in a JSON object", expected="each key once")
    return found


def _no_constant(name: str) -> Any:
    raise BadInput("not a finite number", actual=name)
