"""Bitstring Status List v1.0 (W3C): one bit a credential, so that nobody need ask about a single one.

The first entry is the most significant bit of the first byte. A list has at least 131,072 entries, so that an index
hides among many. The text of a list is GZIP in base64url, as multibase (``u…``).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troth.core.errors import BadInput, Misuse
from troth.identity.credentials import CONTEXT, CREDENTIAL, Credential
from troth.identity.jsondoc import time_text
from troth.identity.multibase import multibase_base64url, multibase_decode

ENTRY, LIST, LIST_CREDENTIAL = "BitstringStatusListEntry", "BitstringStatusList", "BitstringStatusListCredential"
REVOCATION, SUSPENSION = "revocation", "suspension"
MIN_ENTRIES = 131_072
MAX_ENTRIES = 1 << 24
DAY = 86_400


class StatusBits:
    """The bits of one list. ``entries``: a multiple of 8, at least ``MIN_ENTRIES``."""

    __slots__ = ("_bits",)

    def __init__(self, entries: int = MIN_ENTRIES, bits: bytes | None = None) -> None:
        size = entries if bits is None else 8 * len(bits)
        if not MIN_ENTRIES <= size <= MAX_ENTRIES or size % 8:
            raise BadInput("improper length of a status list", expected=f"{MIN_ENTRIES} to {MAX_ENTRIES} entries",
                           actual=size)
        self._bits = bytearray(size // 8) if bits is None else bytearray(bits)

    def __len__(self) -> int:
        return 8 * len(self._bits)

    def __getitem__(self, index: int) -> bool:
        self._check(index)
        return bool(self._bits[index >> 3] & 0x80 >> (index & 7))

    def __setitem__(self, index: int, on: bool) -> None:
        self._check(index)
        if on:
            self._bits[index >> 3] |= 0x80 >> (index & 7)
        else:
            self._bits[index >> 3] &= ~(0x80 >> (index & 7))

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise BadInput("no such entry in the status list", expected=f"0 to {len(self) - 1}", actual=index)

    def encode(self) -> str:
        """The list's text. The same bits always give the same text (no time in the GZIP header)."""
        return multibase_base64url(gzip.compress(bytes(self._bits), mtime=0))

    @classmethod
    def decode(cls, text: object) -> StatusBits:
        """Read a list's text. Raises BadInput, also for one that would unpack to more than ``MAX_ENTRIES``."""
        if type(text) is not str or not text.startswith("u"):
            raise BadInput("unreadable status list", expected="multibase base64url (u…)", actual=str(text)[:16])
        unpacker = zlib.decompressobj(wbits=31)
        try:
            bits = unpacker.decompress(multibase_decode(text), MAX_ENTRIES // 8 + 1)
        except zlib.error as error:
            raise BadInput("unreadable status list", expected="GZIP", actual=error) from None
        if not unpacker.eof or unpacker.unused_data:
            raise BadInput("unreadable status list", expected=f"one GZIP member of at most {MAX_ENTRIES // 8} bytes",
                           actual=f"more than {len(bits)} bytes, or a cut one")
        return cls(bits=bits)


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """Where a credential's status stands: bit ``index`` of the list that ``list_id`` names, for ``purpose``."""

    purpose: str
    index: int
    list_id: str

    def json(self) -> dict[str, str]:
        """As ``credentialStatus``."""
        return {"id": f"{self.list_id}#{self.index}", "type": ENTRY, "statusPurpose": self.purpose,
                "statusListIndex": str(self.index), "statusListCredential": self.list_id}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> StatusEntry:
        """Read a ``credentialStatus`` of type ``BitstringStatusListEntry``. Raises BadInput."""
        purpose, index, list_id = (value.get(name) for name in
                                   ("statusPurpose", "statusListIndex", "statusListCredential"))
        if type(purpose) is not str or type(list_id) is not str:
            raise BadInput("unreadable status entry", expected="statusPurpose and statusListCredential as text")
        if type(index) is not str or not index.isascii() or not index.isdigit() or str(int(index[:20])) != index:
            raise BadInput("unreadable status entry", expected="statusListIndex in decimal digits", actual=index)
        if value.get("statusSize", 1) != 1:
            raise BadInput("a status of several bits", expected="statusSize 1", actual=value.get("statusSize"))
        return cls(purpose, int(index), list_id)


def list_document(list_id: str, issuer: str, purpose: str, bits: StatusBits, now: int, lasts: int = DAY,
                  ) -> dict[str, Any]:
    """The unsecured credential of a list, good for ``lasts`` seconds: an old one must not speak for long."""
    if lasts < 1:
        raise Misuse("a status list that is never current", expected="at least one second", actual=lasts)
    return {
        "@context": [CONTEXT],
        "id": list_id,
        "type": [CREDENTIAL, LIST_CREDENTIAL],
        "issuer": issuer,
        "validFrom": time_text(now),
        "validUntil": time_text(now + lasts),
        "credentialSubject": {"id": f"{list_id}#list", "type": LIST, "statusPurpose": purpose,
                              "encodedList": bits.encode()},
    }


def list_bits(credential: Credential, purpose: str) -> StatusBits:
    """The bits that a list's credential holds for ``purpose``. Raises BadInput where it holds no such list."""
    if LIST_CREDENTIAL not in credential.types or len(credential.subjects) != 1:
        raise BadInput("not a status list", expected=LIST_CREDENTIAL, actual=", ".join(credential.types))
    subject = credential.subjects[0]
    purposes = subject.get("statusPurpose")
    if subject.get("type") != LIST or purpose not in (purposes if type(purposes) is list else [purposes]):
        raise BadInput("a status list for another purpose", expected=purpose, actual=purposes)
    return StatusBits.decode(subject.get("encodedList"))
