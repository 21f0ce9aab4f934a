"""The bytes of terms, piece by piece (docs/reference/deals.md, section 1, "Bytes"): every value has one form.

Accounts stand once, ascending, in a table at the front, and are referred to by a byte; the addresses 0x…00 to 0x…1f,
among them every role, are their own reference. Numbers have no leading zero byte and labels no trailing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from troth.core.errors import BadInput

T = TypeVar("T")

ROLES = 0x20  # references below this are the addresses 0x…00 to 0x…1f themselves
MAX_ACCOUNTS = 224
_PLAIN = bytes(19)


class Writer:
    """Gathers the bytes behind the table. accounts: every account that will be referred to."""

    __slots__ = ("_parts", "_places", "table")

    def __init__(self, accounts: Iterable[bytes]) -> None:
        self.table = sorted(one for one in set(accounts) if not _plain(one))
        if len(self.table) > MAX_ACCOUNTS:
            raise BadInput("too many accounts in one deal", expected=f"at most {MAX_ACCOUNTS}", actual=len(self.table))
        self._places = {one: ROLES + place for place, one in enumerate(self.table)}
        self._parts: list[bytes] = []

    def to_bytes(self) -> bytes:
        """The table and everything written."""
        return b"".join((bytes((len(self.table),)), *self.table, *self._parts))

    def number(self, value: int, size: int) -> None:
        """A number of ``size`` bytes. Raises BadInput if it does not fit."""
        if not 0 <= value < 1 << 8 * size:
            raise BadInput("a number that has no place in a deal's bytes", expected=f"0 to 2^{8 * size} - 1",
                           actual=value)
        self._parts.append(value.to_bytes(size, "big"))

    def amount(self, value: int) -> None:
        """A number in as few bytes as it takes, behind their count."""
        size = (value.bit_length() + 7) // 8
        self.number(size, 1)
        self._parts.append(value.to_bytes(size, "big"))

    def account(self, account: bytes) -> None:
        """A reference."""
        self.number(account[19] if _plain(account) else self._places[account], 1)

    def accounts(self, accounts: Sequence[bytes]) -> None:
        """References behind their count."""
        self.number(len(accounts), 1)
        for account in accounts:
            self.account(account)

    def label(self, word: bytes) -> None:
        """A name of at most 31 bytes, given padded with zeros to a word."""
        text = word.rstrip(b"\x00")
        self.number(len(text), 1)
        self._parts.append(text)

    def word(self, word: bytes) -> None:
        """32 bytes as they are."""
        self._parts.append(word)

    def part(self, write: Callable[[], None]) -> None:
        """What ``write`` writes, behind its length in two bytes."""
        outer, self._parts = self._parts, []
        write()
        inner, self._parts = b"".join(self._parts), outer
        self.number(len(inner), 2)
        self._parts.append(inner)


class Reader:
    """Reads what a Writer wrote. Raises BadInput for anything that is not the one form of what it reads."""

    __slots__ = ("_at", "_data", "_table", "_used")

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._used = data, 0, set[int]()
        self._table = [self._take(20) for _ in range(self.number(1))]
        rising = all(one < two for one, two in zip(self._table, self._table[1:], strict=False))
        if len(self._table) > MAX_ACCOUNTS or not rising or any(_plain(one) for one in self._table[:1]):
            raise _unformed("accounts that do not ascend")

    def end(self) -> None:
        """Refuse bytes that were not read and accounts that nothing referred to."""
        if self._at != len(self._data) or len(self._used) != len(self._table):
            raise _unformed("something that means nothing")

    def number(self, size: int) -> int:
        """A number of ``size`` bytes."""
        return int.from_bytes(self._take(size), "big")

    def amount(self) -> int:
        """A number behind the count of its bytes."""
        data = self._take(self.number(1))
        if len(data) > 16 or data[:1] == b"\x00":
            raise _unformed("a number in another than its shortest form")
        return int.from_bytes(data, "big")

    def account(self) -> bytes:
        """The account that a reference leads to."""
        place = self.number(1)
        if place < ROLES:
            return _PLAIN + bytes((place,))
        if place - ROLES >= len(self._table):
            raise _unformed("a reference beyond the table")
        self._used.add(place - ROLES)
        return self._table[place - ROLES]

    def accounts(self) -> tuple[bytes, ...]:
        """Accounts behind their count."""
        return tuple(self.account() for _ in range(self.number(1)))

    def label(self) -> bytes:
        """A name, padded with zeros to a word."""
        text = self._take(self.number(1))
        if len(text) > 31 or text[-1:] == b"\x00":
            raise _unformed("a name in another than its shortest form")
        return text.ljust(32, b"\x00")

    def word(self) -> bytes:
        """32 bytes as they are."""
        return self._take(32)

    def part(self, read: Callable[[], T]) -> T:
        """What ``read`` reads, if that is exactly as long as the two bytes before it say."""
        end = self.number(2) + self._at
        found = read()
        if self._at != end:
            raise _unformed("a part of another length")
        return found

    def _take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) != size:
            raise _unformed("less than they promise")
        self._at += size
        return found


def _plain(account: bytes) -> bool:
    return account[:19] == _PLAIN and account[19] < ROLES


def _unformed(what: str) -> BadInput:
    return BadInput(f"the bytes of terms hold {what}", expected="the one form of docs/reference/deals.md, section 1")
