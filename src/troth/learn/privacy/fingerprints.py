"""Records told again whatever they are called: keyed fingerprints that survive renaming, re-ordering and re-listing.

A record's fingerprint is an HMAC-SHA256, cut to 16 bytes, over the multiset of its numbers, without their columns'
names or order, without the label, and without trailing zeros of the decimals. So a data set that is listed again under
another name, with columns renamed or moved, rows shuffled, dropped or added, other labels or at another number of
decimals still shares the fingerprints of the rows it shares.

**What it does not see**: rows in which any number was changed, or from which columns were left out or to which some
were added, are other records to it. If every row of a listing is new in that way, nothing shows that it tells of the
same persons; name the first data set when the second is added (`PrivacyLedger.add`, ``same_as``). The other way round,
rows of equal numbers count as one record, also where they are different persons': the ledger then charges too much,
never too little.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence

from troth.core.errors import Misuse

SIZE = 16
_ROW, _SET = b"troth/privacy/record/1\n", b"troth/privacy/set/1\n"


def record_of(values: Iterable[int], decimals: int) -> bytes:
    """The bytes that a record of integers at 10**-decimals is fingerprinted by."""
    return "\n".join(sorted(_plain(value, decimals) for value in values)).encode("ascii")


def _plain(value: int, decimals: int) -> str:
    while decimals > 0 and value % 10 == 0:
        value, decimals = value // 10, decimals - 1
    return f"{value}e-{decimals}"


class Fingerprints:
    """Fingerprints under one secret key of at least 32 bytes: without it nobody can test a guess of a record."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise Misuse("a fingerprint key is too short", expected="at least 32 bytes", actual=len(key))
        self._key = key

    def __repr__(self) -> str:
        return "Fingerprints(secret key)"

    def of(self, rows: Iterable[Sequence[int]], decimals: int) -> Iterator[bytes]:
        """The fingerprint of each row."""
        for row in rows:
            yield hmac.digest(self._key, _ROW + record_of(row, decimals), "sha256")[:SIZE]

    def of_bytes(self, records: Iterable[bytes]) -> Iterator[bytes]:
        """The fingerprint of each record that is no row of numbers: any change makes it another one."""
        for record in records:
            yield hmac.digest(self._key, _ROW + b"bytes\n" + record, "sha256")[:SIZE]

    def of_set(self, fingerprints: Iterable[bytes]) -> bytes:
        """The name of a set of records, 32 bytes: the same for the same records in any order and number."""
        return hmac.digest(self._key, _SET + b"".join(sorted(set(fingerprints))), "sha256")
