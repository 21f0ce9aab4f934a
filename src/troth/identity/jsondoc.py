"""Foreign JSON documents: read strictly, written in RFC 8785 form, and the times in them.

A document of others is not canonical as it stands, but what is signed is its canonical form. So a reader here refuses
whatever would let two parties see different things in one text: duplicate keys, lone surrogates, integers that a
double cannot hold, and sizes and depths that only serve to hurt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from troth.core.encoding import MAX_DEPTH, MAX_INT, jcs_of, read_foreign
from troth.core.errors import BadInput

MAX_BYTES = 1 << 20
_TIME = re.compile(r"(-?\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


def read_json(data: bytes, most: int = MAX_BYTES) -> dict[str, Any]:
    """A JSON object of others. most: bytes.

    Raises BadInput for anything else, duplicate keys, lone surrogates, integers beyond 2**53 - 1, numbers that are not
    finite, more than ``MAX_DEPTH`` levels, and more bytes than ``most``.
    """
    value = read_foreign(data, most)
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
    return jcs_of(dict(value))


def unix_time(text: object) -> int:
    """Unix seconds, rounded down, of an ``xsd:dateTimeStamp`` (a time zone is required). Raises BadInput."""
    found = _TIME.match(text) if type(text) is str else None
    if found:
        try:
            # In UTC, and not only where it was written: what is read here can be written by time_text.
            return int(datetime.fromisoformat(str(text)).astimezone(UTC).timestamp())
        except (ValueError, OverflowError):
            pass
    raise BadInput("not a time", expected="YYYY-MM-DDThh:mm:ssZ", actual=text)


def time_text(seconds: int) -> str:
    """Unix seconds as ``YYYY-MM-DDThh:mm:ssZ``; beyond the years 1 to 9999 in words, which nothing reads as a time.

    It raises nothing: a consent or a block may name any second, and is still shown.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() + "Z"
    except (ValueError, OverflowError, OSError):
        return f"Unix second {seconds}"
