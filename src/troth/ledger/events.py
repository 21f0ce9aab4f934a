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
_int = int.from_bytes
_ENTRY = Struct(">BBBBQ20s32s")
_AT_96 = (96).to_bytes(32, "big")
_CLOSED = Struct(">31xB24xQ31xB24xQ24xQ32s16x16s24xQ")
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
    _sized(data, layout.size)
    return _exact(layout, data)


def _account(word: bytes) -> bytes:
    if any(word[:12]):
        raise Strange("an account of more than 20 bytes")
    return word[12:]


def _number(word: bytes) -> str:
    return str(_int(word))


def _pot(word: bytes) -> int:
    pot = _int(word)
    if pot > 255:
        raise Strange("a pot beyond 255")
    return pot


def _amount(word: bytes) -> str:
    if any(word[:16]):
        raise Strange("an amount beyond 2^128")
    return str(_int(word))


def _word(data: bytes) -> bytes:
    if len(data) != 32:
        raise Strange("not a word")
    return data


def _sized(data: bytes, size: int) -> None:
    if len(data) != size:
        raise Strange(f"{len(data)} bytes where {size} belong")


def _time(value: int) -> int:
    if value >> 63:  # what the tables hold; no deal lives that long
        raise Strange("a time beyond 2^63")
    return value


# -- the Book's simple events ----------------------------------------------------------------------------------------


def _joined(topics: Sequence[bytes], data: bytes) -> Row:
    _sized(data, 64)
    return topics[0], _pot(data[:32]), _time(_int(data[32:]))


def _recorded(topics: Sequence[bytes], data: bytes) -> Row:
    kind, rung, ask, slot, at, account, claim = _ENTRY.unpack_from(data)  # no bits to spare: nothing to check again
    if data[64:96] != _AT_96 or not 1 <= kind <= 3:
        raise Strange("not one entry")
    return topics[0], kind, account, rung, ask, slot, _time(at), claim, _bytes(data, 96)


def _closed(topics: Sequence[bytes], data: bytes) -> Row:
    status, offset, outcome, values, slashed, _, _, count = _exact(_CLOSED, data)
    if offset != 64 or values != 160 or slashed != 192 + 32 * count or not 3 <= status <= 4:
        raise Strange("not one result")
    last = _list(data, 64 + slashed, 12)
    if _list(data, 64 + values, 16) != 64 + slashed or last != len(data):
        raise Strange("a result with slack bytes")
    return topics[0], status, outcome, data[64:]


def _list(data: bytes, at: int, zeros: int) -> int:
    """Where the list of words at ``at`` ends, each with so many leading zeros."""
    (count,) = _exact(_WORD, data, at)
    end = at + 32 + 32 * count
    if end > len(data) or any(any(data[one : one + zeros]) for one in range(at + 32, end, 32)):
        raise Strange("a list beyond its end, or of something else")
    return int(end)


def _collected(topics: Sequence[bytes], data: bytes) -> Row:
    _sized(data, 128)
    return topics[0], _pot(data[:32]), _number(data[32:64]), _account(data[64:96]), _amount(data[96:])


def _swept(topics: Sequence[bytes], data: bytes) -> Row:
    _sized(data, 64)
    return topics[0], _pot(data[:32]), _amount(data[32:])


def _money(topics: Sequence[bytes], data: bytes) -> Row:
    _sized(data, 32)
    return _account(topics[0]), _account(topics[1]), _number(data)


def _stopped(topics: Sequence[bytes], data: bytes) -> Row:
    (stopped,) = _whole(_FLAG, data)
    if stopped > 1:
        raise Strange("neither true nor false")
    return (stopped,)


def _anchored(topics: Sequence[bytes], data: bytes) -> Row:
    size, root = _whole(_ANCHORED, data)
    return _account(topics[0]), topics[1], str(size), root


# -- a deal's opening ------------------------------------------------------------------------------------------------


def _bytes(data: bytes, at: int) -> bytes:
    """The byte string that begins at ``at`` and ends the data, padded with zeros."""
    size = _int(data[at : at + 32])
    end = at + 32 + size
    padding = -size % 32
    if len(data) != end + padding or (padding and any(data[end:])):
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

Read = Callable[[Sequence[bytes], bytes], Row]
"""The event's own values, from its topics after the first and its data."""
_BOOK: Mapping[bytes, tuple[str, int, Read]] = {
    evmcodec.JOINED: ("joined", 2, _joined),
    evmcodec.RECORDED: ("recorded", 2, _recorded),
    evmcodec.CLOSED: ("closed", 2, _closed),
    evmcodec.LEAF_COLLECTED: ("collected", 2, _collected),
    evmcodec.ROOT_SWEPT: ("swept", 2, _swept),
    CREDITED: ("credited", 3, _money),
    WITHDRAWN: ("withdrawn", 3, _money),
    STOPPED: ("stopped", 1, _stopped),
}
_ANCHOR: Mapping[bytes, tuple[str, int, Read]] = {anchors.event_topic(): ("anchored", 3, _anchored)}


def _by_text(layouts: Mapping[bytes, tuple[str, int, Read]]) -> dict[str, tuple[str, int, Read]]:
    return {"0x" + topic.hex(): layout for topic, layout in layouts.items()}


class Reader:
    """Reads the logs of one Book and one Anchor. chain_id and book enter every deal's id."""

    def __init__(self, chain_id: int, book: Account, anchor: Account) -> None:
        self.addresses = ("0x" + book.hex(), "0x" + anchor.hex())
        self._id = chain_id.to_bytes(32, "big") + bytes(12) + book
        # By text, as nodes write it: most of what a log says is looked up or compared, and not needed as bytes.
        book_events = {**_BOOK, evmcodec.OPENED: ("opened", 3, self._opened)}
        self._layouts = {self.addresses[0]: _by_text(book_events), self.addresses[1]: _by_text(_ANCHOR)}

    def rows(self, logs: Iterable[Mapping[str, Any]]) -> dict[str, list[Row]]:
        """JSON-RPC logs as rows by table, in their order. Logs of other contracts are passed over.

        Raises OutsideFailed for what is no log, or for an event that neither contract writes.
        """
        found: dict[str, list[Row]] = {table: [] for table in TABLES}
        named = found["named"]
        log: object = None
        hash_, number_, tx, number = "", "", b"", -1
        try:
            for log in logs:
                address = log["address"]
                layouts = self._layouts.get(address) or self._layouts.get(address.lower())
                if layouts is None:
                    continue
                names = log["topics"]
                table, count, read = layouts.get(names[0]) or layouts[names[0].lower()]
                if log.get("removed") or len(names) != count:
                    raise Strange(f"a log that was removed, or {len(names)} topics where {count} belong")
                topics = [_unhex(topic[2:]) for topic in names[1:]]
                for topic in topics:
                    if len(topic) != 32:
                        raise Strange("a topic that is no word")
                if log["transactionHash"] != hash_:  # several events are of one transaction, many of one block
                    hash_ = log["transactionHash"]
                    tx = _word(_unhex(hash_[2:]))
                if log["blockNumber"] != number_:
                    number_ = log["blockNumber"]
                    number = int(number_, 16)
                place = number, int(log["logIndex"], 16), tx
                row = read(topics, _unhex(log["data"][2:]))
                if table == "opened":
                    named += [(*place, row[0], account) for account in {*row[6], row[1]}]
                    row = row[:6]
                elif table == "recorded" and row[1] == CHALLENGE:
                    named.append((*place, row[0], row[2]))
                found[table].append(place + row)
        except (Strange, KeyError, TypeError, ValueError, IndexError, AttributeError, _StructError) as error:
            raise OutsideFailed("the node tells of an event that neither contract writes", actual=_named(log, error),
                                do="Check the contracts' addresses and the node.") from None
        return found

    def _opened(self, topics: Sequence[bytes], data: bytes) -> Row:
        """The row, and after it the accounts that the terms name."""
        deal, opener = topics[0], _account(topics[1])
        salt, offset = _exact(_OPENED, data)
        terms = _bytes(data, 64)
        # The id commits to opener, salt and terms: nobody can invent others for it.
        if offset != 64 or keccak(b"".join((self._id, topics[1], salt, keccak(terms)))) != deal:
            raise Strange("terms that do not lead to the deal's id")
        named, token, fund_by = _table(terms)
        return deal, opener, token, fund_by, salt, terms, named


def _named(log: object, error: Exception) -> str:
    topics = log.get("topics") if isinstance(log, Mapping) else None
    name = topics[0] if isinstance(topics, list) and topics else "no topics"
    return f"{str(name)[:66]}: {error or type(error).__name__}"
