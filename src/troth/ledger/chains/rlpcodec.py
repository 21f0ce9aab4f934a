"""Recursive Length Prefix, strictly: the encoding of Ethereum's headers, transactions, receipts and trie nodes.

Source: Ethereum yellow paper, appendix B. Own code because verifying a receipt proof must start in milliseconds and
the usual package pulls in a quarter of a second of imports; a property test holds the two equal. The decoder
accepts exactly the byte strings that the encoder produces: no leading zeros in lengths, no long form where the short
one fits, nothing after the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from troth.core.errors import BadInput

Item: TypeAlias = "bytes | Sequence[Item]"

MAX_DEPTH = 16
"""Nesting deeper than any Ethereum object has (an access list has four levels)."""


SHORT = [bytes((0x80 + length,)) for length in range(56)]
"""The prefix of a byte string by its length: most are short, and a table is faster than a call."""


def encode(item: Item) -> bytes:
    """The RLP of ``item``: bytes, or a sequence of items."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(len(item), 0x80) + item
    parts = []
    for part in item:
        if part.__class__ is bytes and len(part) < 56:
            if len(part) != 1 or part[0] >= 0x80:
                parts.append(SHORT[len(part)])
            parts.append(part)
        else:
            parts.append(encode(part))
    body = b"".join(parts)
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes((offset + length,))
    size = (length.bit_length() + 7) // 8
    return bytes((offset + 55 + size,)) + length.to_bytes(size, "big")


def decode(data: bytes) -> Item:
    """The item whose encoding is exactly ``data``; lists come back as tuples. Raises BadInput otherwise."""
    item, end = _decode(data, 0, len(data), 0)
    if end != len(data):
        raise BadInput("RLP has bytes after its end", expected=f"{end} bytes", actual=f"{len(data)} bytes")
    return item


def decode_list(data: bytes) -> tuple[Item, ...]:
    """As :func:`decode`, refusing anything but a list."""
    item = decode(data)
    if isinstance(item, bytes):
        raise BadInput("RLP holds a byte string", expected="a list")
    return tuple(item)


def _decode(data: bytes, at: int, end: int, depth: int) -> tuple[Item, int]:
    if at >= end:
        raise BadInput("RLP ends too early", expected=f"an item at byte {at}", actual=f"{end} bytes")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    start, stop = _span(data, at, end, first - (0xC0 if is_list else 0x80))
    if not is_list:
        if stop - start == 1 and data[start] < 0x80:
            raise BadInput("RLP is not canonical: a single small byte carries a length", actual=f"byte {at}")
        return data[start:stop], stop
    if depth >= MAX_DEPTH:
        raise BadInput("RLP nests too deeply", expected=f"at most {MAX_DEPTH} levels")
    items: list[Item] = []
    while start < stop:
        item, start = _decode(data, start, stop, depth + 1)
        items.append(item)
    return tuple(items), stop


def _span(data: bytes, at: int, end: int, code: int) -> tuple[int, int]:
    """Where the payload of the item at ``at`` starts and stops."""
    start, length = at + 1, code
    if code >= 56:
        size = code - 55
        digits = data[start : start + size]
        start += size
        length = int.from_bytes(digits, "big")
        if start > end or digits[:1] == b"\0" or length < 56:
            raise BadInput("RLP is not canonical: a bad length", actual=f"byte {at}")
    if start + length > end:
        raise BadInput("RLP ends too early", expected=f"{start + length} bytes", actual=f"{end} bytes")
    return start, start + length


def as_bytes(item: Item, what: str, size: int | None = None) -> bytes:
    """``item`` as bytes, of ``size`` where given. Raises BadInput naming ``what``."""
    if not isinstance(item, bytes):
        raise BadInput(f"{what} is a list", expected="bytes")
    if size is not None and len(item) != size:
        raise BadInput(f"{what} has the wrong length", expected=f"{size} bytes", actual=f"{len(item)} bytes")
    return item


def as_list(item: Item, what: str) -> tuple[Item, ...]:
    """``item`` as a list. Raises BadInput naming ``what``."""
    if isinstance(item, bytes):
        raise BadInput(f"{what} is a byte string", expected="a list")
    return tuple(item)


def as_int(item: Item, what: str) -> int:
    """``item`` as an unsigned integer without leading zeros. Raises BadInput naming ``what``."""
    data = as_bytes(item, what)
    if data[:1] == b"\0" or len(data) > 32:
        raise BadInput(f"{what} is not a canonical integer", expected="at most 32 bytes, no leading zero")
    return int.from_bytes(data, "big")


def integer(value: int) -> bytes:
    """The shortest big-endian form of ``value`` (>= 0); zero is the empty string."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
