"""CIDs: the names of bytes (CIDv1, SHA-256, codecs raw and dag-pb, text in base32 lower case).

Source: https://github.com/multiformats/cid, RFC 4648 section 6 for base32. One CID has one binary and one text
form here; every other spelling of the same digest is refused, so names can be compared as text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import IntEnum

from troth.core.errors import BadInput

BINARY_LENGTH = 36
"""Bytes in a CID's binary form: version, codec, hash function, digest length (one byte each), digest."""

TEXT_LENGTH = 59
"""Characters in a CID's text form: the multibase prefix ``b`` and 58 of base32."""

_SHA2_256 = 0x12
_DIGEST_LENGTH = 32


class Codec(IntEnum):
    """What the named block holds (multicodec table)."""

    RAW = 0x55
    DAG_PB = 0x70


@dataclass(frozen=True, slots=True)
class Cid:
    """A CIDv1 over SHA-256. ``digest`` is the 32-byte hash of the block's bytes."""

    codec: Codec
    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != _DIGEST_LENGTH:
            raise BadInput("not a SHA-256 digest", expected=f"{_DIGEST_LENGTH} bytes", actual=len(self.digest))

    @classmethod
    def of(cls, block: bytes | bytearray | memoryview, codec: Codec = Codec.RAW) -> Cid:
        """The CID of one block's bytes."""
        return cls(codec, hashlib.sha256(block).digest())

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Read the 36-byte binary form. Raises BadInput for any other version, codec, hash or length."""
        if len(data) != BINARY_LENGTH or data[0] != 1 or data[2] != _SHA2_256 or data[3] != _DIGEST_LENGTH:
            raise BadInput("not a CID Troth uses", expected=f"CIDv1 with SHA-256, {BINARY_LENGTH} bytes",
                           actual=data[:BINARY_LENGTH].hex() or "no bytes")
        if data[1] not in (Codec.RAW, Codec.DAG_PB):
            raise BadInput("not a CID codec Troth uses", expected="0x55 (raw) or 0x70 (dag-pb)", actual=hex(data[1]))
        return cls(Codec(data[1]), data[4:])

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Read the text form. Raises BadInput for another base, upper case, padding or stray low bits."""
        if len(text) != TEXT_LENGTH or text[0] != "b":
            raise BadInput("not a CID in base32", expected=f"b and {TEXT_LENGTH - 1} characters",
                           actual=repr(text[:80]), do="CIDv0 (Qm…) and other bases are not used here.")
        try:
            data = base64.b32decode(text[1:].upper().encode("ascii") + b"======")
        except (binascii.Error, UnicodeEncodeError) as error:
            raise BadInput("not a CID in base32", expected="a-z 2-7 after the b", actual=repr(text)) from error
        cid = cls.from_bytes(data)
        # 58 characters carry 290 bits for 288: b32decode drops the last two, and upper() forgives capitals.
        if str(cid) != text:
            raise BadInput("a CID in a second spelling", expected=str(cid), actual=text)
        return cid

    def encode(self) -> bytes:
        """The binary form."""
        return bytes((1, self.codec, _SHA2_256, _DIGEST_LENGTH)) + self.digest

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.encode()).decode("ascii").rstrip("=").lower()
