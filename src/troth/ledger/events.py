"""The events of ``Book`` and ``Anchor`` as rows, read by hand from their fixed layouts (IBook.sol, Anchor.sol).

web3.py's ``process_log`` costs half a millisecond an event; an index reads millions. So each event has its own few
lines here, over ``struct`` and slices, and what nobody asked for yet (terms, results, data) stays the bytes it is.
Everything that knows a layout of an event for the index is in this module.

Strict all the same: the Book and the Anchor write one form of each event, and any other bytes raise OutsideFailed. A
deal's opening must lead to its id: pots and rungs are hashed where they lie, so whoever invents terms for a known id
is noticed. What this does not prove: that the chain holds these events at all (``troth.ledger.feed`` says what does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from struct import error as _StructError
from typing import Any

from eth_hash.auto import keccak

from troth.core.errors import OutsideFailed
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
"""Table -> its columns after (block, log_index, tx). One row an event, but for ``named``: one for each account that a
deal's terms name, and each challenger. Amounts, sizes and leaf indices are decimal text, since they pass 64 bits.
terms, result: ABI encoding as the event holds it; data: as submitted or answered."""

CREDITED = "0x" + keccak(b"CreditAdded(address,address,uint256)").hex()
WITHDRAWN = "0x" + keccak(b"Withdrawn(address,address,uint256)").hex()
STOPPED = "0x" + keccak(b"StopSet(bool)").hex()

# "31xB" is a word that holds a byte, and so on. Packing writes zeros where "x" is, so packing again checks them.
_JOINED = Struct(">31xB24xQ")
_ENTRY = Struct(">24xQ31xB12x20s31xB31xB31xB24xQ32s24xQ24xQ")
_CLOSED = Struct(">31xB24xQ31xB24xQ24xQ32s16x16s24xQ")
_COLLECTED = Struct(">31xB32s12x20s16x16s")
_SWEPT = Struct(">31xB16x16s")
_FLAG = Struct(">31xB")
_ANCHORED = Struct(">24xQ32s")
_TERMS = Struct(">32s24xQ12x20s24xQ12x20s24xQ24xQ")
_POT = Struct(">32s12x20s16x16s12x20s24xQ")
_RULE = Struct(">31xB31xB31xB28xI24xQ24xQ")
_RUNG = Struct(">12x20s32s24xQ28xI28xI16x16s31xB32s")
_ASK = Struct(">32s24xQ28xI31xB")
_WORD = Struct(">24xQ")
_OFFSET = _WORD.pack(32)
_HEAD = _WORD.pack(160)


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
    offset, kind, account, rung, ask, slot, at, claim, place, size = _exact(_ENTRY, data)
    end = 320 + size
    if (offset, place) != (32, 256) or not 1 <= kind <= 3 or len(data) != 320 + -size % 32 + size or any(data[end:]):
        raise Strange("not one entry")
    return topics[1], kind, account, rung, ask, slot, _time(at), claim, data[320:end]


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


@dataclass(frozen=True, slots=True)
class _Opening:
    """What of a ``DealOpened`` is read at once."""

    token: bytes
    fund_by: int
    salt: bytes
    terms: bytes
    hash: bytes
    named: frozenset[bytes]


def _opening(data: bytes) -> _Opening:
    """Read an opening: hash pots and rungs where they lie, and collect the accounts they name."""
    salt, offset, token, fund_by, wrong, pots_at, rungs_at = _exact(_TERMS, data)
    if offset != 64 or pots_at != 160:
        raise Strange("not one deal's terms")
    named = {wrong}
    pots = _parts(data, 64 + pots_at, 64 + rungs_at)
    rungs = _parts(data, 64 + rungs_at, len(data))
    for start, end in pots:
        _accounts_of_pot(data, start, end, named)
    for start, end in rungs:
        _accounts_of_rung(data, start, end, named)
    head = data[64:160]  # token, fund_by, wrong_bonds
    after = _WORD.pack(192 + 32 * len(pots))
    digest = keccak(b"".join((head, _HEAD, after, _hashes(data, pots), _hashes(data, rungs))))
    accounts = frozenset(one for one in named if any(one[:19]))  # the others are roles
    return _Opening(token, _time(fund_by), salt, data[64:], digest, accounts)


def _hashes(data: bytes, parts: Sequence[tuple[int, int]]) -> bytes:
    """``bytes32[]`` of the parts' hashes; a part alone is encoded with the offset 32 before it."""
    return b"".join((_WORD.pack(len(parts)), *(keccak(_OFFSET + data[start:end]) for start, end in parts)))


def _parts(data: bytes, at: int, end: int) -> list[tuple[int, int]]:
    """Where each member of an array of tuples lies; they follow each other and fill it up to ``end``."""
    (count,) = _exact(_WORD, data, at)
    first = at + 32
    if end > len(data) or first + 32 * count > end:
        raise Strange("an array beyond its end")
    starts = [first + _exact(_WORD, data, first + 32 * n)[0] for n in range(count)]
    if (starts[0] if starts else end) != first + 32 * count or sorted(starts) != starts:
        raise Strange("an array in another order")
    return list(zip(starts, [*starts, end][1:], strict=True))


def _accounts_of_pot(data: bytes, start: int, end: int, named: set[bytes]) -> None:
    _, depositor, _, residual, rules = _exact(_POT, data, start)
    if rules != 160:
        raise Strange("not one pot")
    named.update((depositor, residual))
    for rule, after in _parts(data, start + rules, end):
        *_, payees, numbers = _exact(_RULE, data, rule)
        if payees != 192 or _accounts(data, rule + payees, named) != rule + numbers:
            raise Strange("not one rule")
        if _list(data, rule + numbers, 16) != after:
            raise Strange("a rule with slack bytes")


def _accounts_of_rung(data: bytes, start: int, end: int, named: set[bytes]) -> None:
    _, _, asks, *_ = _exact(_RUNG, data, start)
    if asks != _RUNG.size:
        raise Strange("not one rung")
    for ask, after in _parts(data, start + asks, end):
        _, who, _, _ = _exact(_ASK, data, ask)
        if who != 128 or _accounts(data, ask + who, named) != after:
            raise Strange("not one ask")


def _accounts(data: bytes, at: int, named: set[bytes]) -> int:
    """Collect a list of accounts; where it ends."""
    end = _list(data, at, 12)
    named.update(data[one + 12 : one + 32] for one in range(at + 32, end, 32))
    return end


# -- all of them -----------------------------------------------------------------------------------------------------

_BOOK: Mapping[str, tuple[str, int, Callable[[Sequence[bytes], bytes], Row]]] = {
    "0x" + evmcodec.JOINED.hex(): ("joined", 2, _joined),
    "0x" + evmcodec.RECORDED.hex(): ("recorded", 2, _recorded),
    "0x" + evmcodec.CLOSED.hex(): ("closed", 2, _closed),
    "0x" + evmcodec.LEAF_COLLECTED.hex(): ("collected", 2, _collected),
    "0x" + evmcodec.ROOT_SWEPT.hex(): ("swept", 2, _swept),
    CREDITED: ("credited", 3, _money),
    WITHDRAWN: ("withdrawn", 3, _money),
    STOPPED: ("stopped", 1, _stopped),
}
_ANCHOR = {"0x" + anchors.event_topic().hex(): ("anchored", 3, _anchored)}
_OPENED = "0x" + evmcodec.OPENED.hex()


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
        address = log["address"].lower()
        layouts = self._layouts.get(address)
        if layouts is None:
            return
        names = log["topics"]
        data = bytes.fromhex(log["data"][2:])
        topics = [bytes.fromhex(topic[2:]) for topic in names]
        place = int(log["blockNumber"], 16), int(log["logIndex"], 16), bytes.fromhex(log["transactionHash"][2:])
        if log.get("removed") or len(place[2]) != 32 or any(len(topic) != 32 for topic in topics):
            raise Strange("a log that was removed, or is none")
        name = names[0].lower()
        if name == _OPENED and layouts is _BOOK:
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
        opening = _opening(data)
        if keccak(b"".join((self._id, topics[2], opening.salt, opening.hash))) != deal:
            raise Strange("terms that do not lead to the deal's id")
        found["opened"].append((*place, deal, opener, opening.token, opening.fund_by, opening.salt, opening.terms))
        found["named"].extend((*place, deal, account) for account in sorted(opening.named | {opener}))


def _named(log: object, error: Exception) -> str:
    topics = log.get("topics") if isinstance(log, Mapping) else None
    name = topics[0] if isinstance(topics, list) and topics else "no topics"
    return f"{str(name)[:66]}: {error or type(error).__name__}"
