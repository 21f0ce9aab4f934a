"""Multibase text and unsigned varints, as did:key and did:peer:4 need them: base58btc (``z``) and base64url (``u``).

Source: the multiformats specifications (multibase, multicodec, unsigned-varint). Decoding accepts only the one text
that encoding writes, so two texts never name the same bytes.
"""

from __future__ import annotations

import base64
import binascii

from troth.core.errors import BadInput

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {letter: value for value, letter in enumerate(_ALPHABET)}
_CHUNK = 5  # 58**5 < 2**30: a division by it stays in one machine digit of Python's integers
_BASE = 58**_CHUNK
_MAX_TEXT = 64 * 1024  # conversion is quadratic: a longer text is refused rather than worked on


def base58_encode(data: bytes) -> str:
    """base58btc text of ``data`` (Bitcoin alphabet, leading zero bytes as ``1``)."""
    number, parts = int.from_bytes(data, "big"), []
    while number:
        number, rest = divmod(number, _BASE)
        part = ""
        for _ in range(_CHUNK):
            rest, digit = divmod(rest, 58)
            part = _ALPHABET[digit] + part
        parts.append(part)
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(parts)).lstrip("1")


def base58_decode(text: str) -> bytes:
    """Bytes of base58btc ``text``. Raises BadInput for foreign letters and for texts beyond 64 KiB."""
    if len(text) > _MAX_TEXT:
        raise BadInput("base58 text too long", expected=f"at most {_MAX_TEXT} letters", actual=len(text))
    number = 0
    for start in range(0, len(text), _CHUNK):
        part = text[start:start + _CHUNK]
        value = 0
        for letter in part:
            digit = _DIGIT.get(letter)
            if digit is None:
                raise BadInput("not base58btc", expected="the Bitcoin alphabet", actual=repr(letter))
            value = value * 58 + digit
        number = number * 58 ** len(part) + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def multibase_base58(data: bytes) -> str:
    """Multibase text in base58btc."""
    return "z" + base58_encode(data)


def multibase_base64url(data: bytes) -> str:
    """Multibase text in base64url without padding."""
    return "u" + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def multibase_decode(text: str) -> bytes:
    """Bytes of a multibase text in base58btc or base64url, canonical only. Raises BadInput."""
    if text.startswith("z"):
        return base58_decode(text[1:])
    if text.startswith("u"):
        body = text[1:]
        try:
            data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            data = None
        if data is not None and multibase_base64url(data) == text:
            return data
    raise BadInput("unreadable multibase text", expected="canonical base58btc (z…) or base64url (u…)",
                   actual=text[:24])


def varint(value: int) -> bytes:
    """Unsigned varint (LEB128) of ``value`` >= 0."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
