"""The events of ``Book`` and ``Anchor`` as rows, read by hand from their fixed layouts (IBook.sol, Anchor.sol).

web3.py's ``process_log`` costs half a millisecond an event; an index reads millions. So each event has its own few
lines here, over ``struct`` and slices, and what nobody asked for yet (terms, results, data) stays the bytes it is.
Everything that knows a layout of an event for the index is in this module.

Strict all the same: the Book and the Anchor write one form of each event, and any other bytes raise OutsideFailed. A
deal's opening must lead to its id, so whoever invents terms for a known id is noticed.
What this does not prove: that the chain holds these events at all (``troth.ledger.feed`` says what does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from struct import error as _StructError
from typing import Any

from eth_hash.auto import keccak

from troth.core.errors import OutsideFailed
from troth.core.packed import ROLES
from troth.core.terms import CHALLENGE, Account
from troth.ledger import anchors, evmcodec

Row = tuple[Any, ...]
"""(block, log_index, tx, *the event's own values) in the order of ``TABLES``."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "opened": ("deal", "opener", "token", "fund_by", "salt", "terms"),
    "named": ("deal", "account"),
    "joined": ("deal", "pot", "started"),
    "recorded": ("deal", "kind", "account", "rung", "ask", "slot", "at", "claim", "data"),
    "closed": ("deal", "status", "outcome", "result"),
    "collected": ("deal", "pot", "leaf", "account", "amount"),
    "swept": ("deal", "pot", "amount"),
    "credited": ("token", "account", "amount"),
    "withdrawn": ("token", "account", "amount"),
    "stopped": ("stopped",),
    "anchored": ("owner", "origin", "size", "root"),
}
"""Table -> its columns after (block, log_index, tx). One row an event, but for ``named``: one for each account in the
table of a deal's terms, its opener, and each challenger. Amounts, sizes and leaf indices are decimal text, since they
pass 64 bits. terms, data: the bytes that the event holds; result: its words."""

CREDITED = keccak(b"CreditAdded(address,address,uint256)")
WITHDRAWN = keccak(b"Withdrawn(address,address,uint256)")
STOPPED = keccak(b"StopSet(bool)")

# "31xB" is a word that holds a byte, and so on. Packing writes zeros where "x" is, so packing again checks them.
_unhex = bytes.fromhex
_ALL_32 = {32}
_JOINED = Struct(">31xB24xQ")
_ENTRY = Struct(">BBBBQ20s32s24xQ")
_CLOSED = Struct(">31xB24xQ31xB24xQ24xQ32s16x16s24xQ")
_COLLECTED = Struct(">31xB32s12x20s16x16s")
_SWEPT = Struct(">31xB16x16s")
_FLAG = Struct(">31xB")
_ANCHORED = Struct(">24xQ32s")
_OPENED = Struct(">32s24xQ")
_WORD = Struct(">24xQ")


class Strange(Exception):
    """Inside this module: bytes that neither contract writes. ``Reader`` says which event they came with."""


def _exact(layout: Struct, data: bytes, at: int = 0) -> Row:
    """The words at ``at``, each in its one form."""
    values = layout.unpack_from(data, at)
    if layout.pack(*values) != data[at : at + layout.size]:
        raise Strange("a word that is out of its range")
    return values


def _whole(layout: Struct, data: bytes) -> Row:
    if len(data) != layout.size:
        raise Strange(f"{len(data)} bytes where {layout.size} belong")
    return _exact(layout, data)


def _account(word: bytes) -> bytes:
    if any(word[:12]):
        raise Strange("an account of more than 20 bytes")
    return word[12:]


def _number(word: bytes) -> str:
    return str(int.from_bytes(word, "big"))


def _time(value: int) -> int:
    if value >> 63:  # what the tables hold; no deal lives that long
        raise Strange("a time beyond 2^63")
    return value


# -- the Book's simple events ----------------------------------------------------------------------------------------


def _joined(topics: Sequence[bytes], data: bytes) -> Row:
    pot, started = _whole(_JOINED, data)
    return topics[1], pot, _time(started)


def _recorded(topics: Sequence[bytes], data: bytes) -> Row:
    kind, rung, ask, slot, at, account, claim, offset = _exact(_ENTRY, data)
    if offset != 96 or not 1 <= kind <= 3:
        raise Strange("not one entry")
    return topics[1], kind, account, rung, ask, slot, _time(at), claim, _bytes(data, 96)


def _closed(topics: Sequence[bytes], data: bytes) -> Row:
    status, offset, outcome, values, slashed, _, _, count = _exact(_CLOSED, data)
    if offset != 64 or values != 160 or slashed != 192 + 32 * count or not 3 <= status <= 4:
        raise Strange("not one result")
    last = _list(data, 64 + slashed, 12)
    if _list(data, 64 + values, 16) != 64 + slashed or last != len(data):
        raise Strange("a result with slack bytes")
    return topics[1], status, outcome, data[64:]


def _list(data: bytes, at: int, zeros: int) -> int:
    """Where the list of words at ``at`` ends, each with so many leading zeros."""
    (count,) = _exact(_WORD, data, at)
    end = at + 32 + 32 * count
    if end > len(data) or any(any(data[one : one + zeros]) for one in range(at + 32, end, 32)):
        raise Strange("a list beyond its end, or of something else")
    return int(end)


def _collected(topics: Sequence[bytes], data: bytes) -> Row:
    pot, leaf, account, amount = _whole(_COLLECTED, data)
    return topics[1], pot, _number(leaf), account, _number(amount)


def _swept(topics: Sequence[bytes], data: bytes) -> Row:
    pot, amount = _whole(_SWEPT, data)
    return topics[1], pot, _number(amount)


def _money(topics: Sequence[bytes], data: bytes) -> Row:
    if len(data) != 32:
        raise Strange("not one amount")
    return _account(topics[1]), _account(topics[2]), _number(data)


def _stopped(topics: Sequence[bytes], data: bytes) -> Row:
    (stopped,) = _whole(_FLAG, data)
    if stopped > 1:
        raise Strange("neither true nor false")
    return (stopped,)


def _anchored(topics: Sequence[bytes], data: bytes) -> Row:
    size, root = _whole(_ANCHORED, data)
    return _account(topics[1]), topics[2], str(size), root


# -- a deal's opening ------------------------------------------------------------------------------------------------


def _bytes(data: bytes, at: int) -> bytes:
    """The byte string that begins at ``at`` and ends the data, padded with zeros."""
    (size,) = _exact(_WORD, data, at)
    end = at + 32 + size
    if len(data) != end + -size % 32 or any(data[end:]):
        raise Strange("bytes beyond their end, or slack after them")
    return data[at + 32 : end]


def _table(terms: bytes) -> tuple[tuple[bytes, ...], bytes, int]:
    """(the accounts that terms name, the token, fund_by): what stands in front of their one form (section 1)."""
    count = terms[0]
    named = tuple(terms[at : at + 20] for at in range(1, 20 * count, 20))
    place = terms[1 + 20 * count]
    token = bytes(19) + bytes((place,)) if place < ROLES else named[place - ROLES]
    return named, token, _time(int.from_bytes(terms[2 + 20 * count : 10 + 20 * count], "big"))


# -- all of them -----------------------------------------------------------------------------------------------------

_BOOK: Mapping[bytes, tuple[str, int, Callable[[Sequence[bytes], bytes], Row]]] = {
    evmcodec.JOINED: ("joined", 2, _joined),
    evmcodec.RECORDED: ("recorded", 2, _recorded),
    evmcodec.CLOSED: ("closed", 2, _closed),
    evmcodec.LEAF_COLLECTED: ("collected", 2, _collected),
    evmcodec.ROOT_SWEPT: ("swept", 2, _swept),
    CREDITED: ("credited", 3, _money),
    WITHDRAWN: ("withdrawn", 3, _money),
    STOPPED: ("stopped", 1, _stopped),
}
_ANCHOR = {anchors.event_topic(): ("anchored", 3, _anchored)}
_OPENING = evmcodec.OPENED


class Reader:
    """Reads the logs of one Book and one Anchor. chain_id and book enter every deal's id."""

    def __init__(self, chain_id: int, book: Account, anchor: Account) -> None:
        self.addresses = ("0x" + book.hex(), "0x" + anchor.hex())
        self._id = chain_id.to_bytes(32, "big") + bytes(12) + book
        self._layouts = {self.addresses[0]: _BOOK, self.addresses[1]: _ANCHOR}

    def rows(self, logs: Iterable[Mapping[str, Any]]) -> dict[str, list[Row]]:
        """JSON-RPC logs as rows by table, in their order. Logs of other contracts are passed over.

        Raises OutsideFailed for what is no log, or for an event that neither contract writes.
        """
        found: dict[str, list[Row]] = {table: [] for table in TABLES}
        for log in logs:
            try:
                self._add(log, found)
            except (Strange, KeyError, TypeError, ValueError, IndexError, AttributeError, _StructError) as error:
                raise OutsideFailed("the node tells of an event that neither contract writes",
                                    actual=_named(log, error),
                                    do="Check the contracts' addresses and the node.") from None
        return found

    def _add(self, log: Mapping[str, Any], found: dict[str, list[Row]]) -> None:
        address = log["address"]
        layouts = self._layouts.get(address) or self._layouts.get(address.lower())
        if layouts is None:
            return
        names = log["topics"]
        data = _unhex(log["data"][2:])
        topics = [_unhex(topic[2:]) for topic in names]
        place = int(log["blockNumber"], 16), int(log["logIndex"], 16), _unhex(log["transactionHash"][2:])
        if log.get("removed") or len(place[2]) != 32 or set(map(len, topics)) != _ALL_32:
            raise Strange("a log that was removed, or is none")
        name = topics[0]
        if name == _OPENING and layouts is _BOOK:
            self._open(place, topics, data, found)
            return
        table, count, read = layouts[name]
        if len(topics) != count:
            raise Strange(f"{len(topics)} topics where {count} belong")
        row = read(topics, data)
        found[table].append(place + row)
        if table == "recorded" and row[1] == CHALLENGE:
            found["named"].append((*place, row[0], row[2]))

    def _open(self, place: Row, topics: Sequence[bytes], data: bytes, found: dict[str, list[Row]]) -> None:
        if len(topics) != 3:
            raise Strange(f"{len(topics)} topics where 3 belong")
        deal, opener = topics[1], _account(topics[2])
        salt, offset = _exact(_OPENED, data)
        terms = _bytes(data, 64)
        # The id commits to opener, salt and terms: nobody can invent others for it.
        if offset != 64 or keccak(b"".join((self._id, topics[2], salt, keccak(terms)))) != deal:
            raise Strange("terms that do not lead to the deal's id")
        named, token, fund_by = _table(terms)
        found["opened"].append((*place, deal, opener, token, fund_by, salt, terms))
        found["named"].extend((*place, deal, account) for account in {*named, opener})


def _named(log: object, error: Exception) -> str:
    topics = log.get("topics") if isinstance(log, Mapping) else None
    name = topics[0] if isinstance(topics, list) and topics else "no topics"
    return f"{str(name)[:66]}: {error or type(error).__name__}"
