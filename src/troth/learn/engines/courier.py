"""A courier: what parties put into mailboxes for each other travels along with calls and answers.

A site that is reached by an engine alone (over Flower, say) has an exchange of its own, a folder on its machine. With
each call it gets the letters that wait for it; with its answer it hands over those that it wrote. The letters are what
passes an exchange anyway: signed, and sealed to whom they concern. All sites that are asked together are handed all
letters that wait for any of them, and each keeps its own.

A letter stays with its writer until the other side has said that it arrived. One that is carried twice is taken in
twice, which changes nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath

from troth.core.errors import BadInput
from troth.learn.engines import MAX_ANSWER, MAX_CALL, Answer, Engine, Tell, asked
from troth.ledger.exchange import Exchange

_DIGEST = 32
_ROOM = 1 << 16
"""Bytes kept for what goes around the letters."""


def pack(parts: Sequence[bytes]) -> bytes:
    """Parts as one text of bytes: each with its length before it (8 bytes, big-endian)."""
    return b"".join(piece for part in parts for piece in (struct.pack(">Q", len(part)), part))


def unpack(data: bytes) -> list[bytes]:
    """What ``pack`` put together. Raises BadInput."""
    parts, at = [], 0
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 8], "big")
        if at + 8 > len(data) or end > len(data):
            raise BadInput("parts that are cut off", expected=f"{end} bytes", actual=len(data))
        parts.append(data[at + 8 : end])
        at = end
    return parts


class _Bag:
    """The letters for some addresses in an exchange, and which of them were handed over."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._there: dict[bytes, set[PurePath]] = {}

    def fill(self, addresses: Iterable[str], room: int) -> list[bytes]:
        """(address, letter) after (address, letter), the oldest first, as many as there is room for."""
        parts: list[bytes] = []
        for address in addresses:
            for place in self._exchange.waiting(address):
                letter = self._exchange.read(place)
                if letter is None:
                    continue
                room -= len(letter) + len(address) + 16
                if room < 0:
                    return parts
                self._there.setdefault(_digest(address, letter), set()).add(place)
                parts += [address.encode(), letter]
        return parts

    def arrived(self, digests: bytes) -> None:
        """The other side has these: they need not be kept."""
        for at in range(0, len(digests), _DIGEST):
            for place in self._there.pop(digests[at : at + _DIGEST], ()):
                self._exchange.done(place)


def _digest(address: str, letter: bytes) -> bytes:
    """A letter to somebody: the same words to another are another letter."""
    return hashlib.sha256(pack([address.encode(), letter])).digest()


def _deliver(exchange: Exchange, parts: Sequence[bytes], to: Callable[[str], bool]) -> bytes:
    """Put letters into the mailboxes that they are for, where ``to`` allows; the digests of all."""
    if len(parts) % 2:
        raise BadInput("a letter without an address")
    digests = []
    for address, letter in zip(parts[::2], parts[1::2], strict=True):
        try:
            name = address.decode()
        except UnicodeDecodeError:
            raise BadInput("an address that is no text") from None
        if to(name):
            exchange.put(name, letter)
        digests.append(_digest(name, letter))
    return b"".join(digests)


class CourierEngine:
    """Another engine, with letters. exchange: the caller's. What sites send goes into the mailboxes they name.

    A site that answers something that is no answer is absent.
    """

    def __init__(self, engine: Engine, exchange: Exchange, tell: Tell | None = None) -> None:
        self._engine, self._exchange = engine, exchange
        self._tell = tell or (lambda site, why: None)
        self._bags: dict[str, _Bag] = {}
        self._got = b""

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        """As ``Engine.ask``. Letters that do not fit go with the next call."""
        names = asked(call, sites, patience, MAX_CALL - _ROOM)
        bags = {name: self._bags.setdefault(name, _Bag(self._exchange)) for name in names}
        room = MAX_CALL - _ROOM - len(call) - len(self._got)
        letters: list[bytes] = []
        for name, bag in bags.items():
            mine = bag.fill([name], room)
            room -= sum(map(len, mine)) + 8 * len(mine)
            letters += mine
        got, self._got = self._got, b""
        found = {}
        for name, data in self._engine.ask(pack([call, got, *letters]), names, patience).items():
            try:
                answer, arrived, *sent = unpack(data)
                self._got += _deliver(self._exchange, sent, lambda address: True)
            except (BadInput, ValueError) as error:
                self._tell(name, f"answered something else than an answer: {error}")
                continue
            bags[name].arrived(arrived)
            found[name] = answer
        return found


def couriered(answer: Answer, exchange: Exchange, own: str, others: Callable[[], Iterable[str]]) -> Answer:
    """A site's answer, with letters. exchange: the site's own. own: its DID. others: whom it may have written to.

    Raises BadInput for a call that is none.
    """
    bag = _Bag(exchange)

    def carried(data: bytes) -> bytes:
        """The answer, with the letters that it brings."""
        parts = unpack(data)
        if len(parts) < 2:
            raise BadInput("a call without its letters", actual=len(parts))
        call, got, *letters = parts
        bag.arrived(got)
        arrived = _deliver(exchange, letters, lambda address: address == own)
        said = answer(call)
        return pack([said, arrived, *bag.fill((one for one in others() if one != own),
                                              MAX_ANSWER - _ROOM - len(said) - len(arrived))])

    return carried
