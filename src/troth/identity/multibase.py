"""Multibase text and unsigned varints, as did:key and did:peer:4 need them: base58btc (``z``) and base64url (``u``).

Source: the multiformats specifications (multibase, multicodec, unsigned-varint). Decoding accepts only the one text
that encoding writes, so two texts never name the same bytes.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

from troth.core.errors import BadInput

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_CHUNK = 8
"""Letters up to which a piece is converted by itself: below 2**47, so that dividing it costs next to nothing."""
_MAX_TEXT = 64 * 1024  # conversion costs more than length: a longer text is refused rather than worked on


def base58_encode(data: bytes) -> str:
    """base58btc text of ``data`` (Bitcoin alphabet, leading zero bytes as ``1``)."""
    number = int.from_bytes(data, "big")
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + _digits(number).lstrip("1")


def base58_decode(text: str) -> bytes:
    """Bytes of base58btc ``text``. Raises BadInput for foreign letters and for texts beyond 64 KiB."""
    if len(text) > _MAX_TEXT:
        raise BadInput("base58 text too long", expected=f"at most {_MAX_TEXT} letters", actual=len(text))
    number = _number(text)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _digits(number: int) -> str:
    """``number``, with ones before it. Halves are converted apart, so that few divisions are of large numbers."""
    size = _CHUNK
    while _power(size) <= number:
        size *= 2
    pieces = [number]
    while size > _CHUNK:
        size //= 2
        power = _power(size)
        pieces = [half for piece in pieces for half in divmod(piece, power)]
    letters: list[str] = []
    for piece in pieces:
        high, low = divmod(piece, 58**4)
        letters += (_PAIRS[high // 58**2], _PAIRS[high % 58**2], _PAIRS[low // 58**2], _PAIRS[low % 58**2])
    return "".join(letters)


def _number(text: str) -> int:
    """The number that a text is; the other way round."""
    if len(text) > _CHUNK:
        half = len(text) // 2
        return _number(text[:-half]) * _power(half) + _number(text[-half:])
    value = 0
    for letter in text:
        digit = _DIGIT.get(letter)
        if digit is None:
            raise BadInput("not base58btc", expected="the Bitcoin alphabet", actual=repr(letter))
        value = value * 58 + digit
    return value


@lru_cache(maxsize=1024)
def _power(size: int) -> int:
    return int(58**size)


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
