"""What every exchange must do. A backend's test class inherits this and says how to open one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import pytest

from troth.core.errors import BadInput
from troth.identity.hybrid import HybridIdentity
from troth.ledger.exchange import MAX_PARCEL, Exchange, Parcel
from troth.store.cid import Cid

PEOPLE = {name: HybridIdentity.create() for name in ("alice", "bob")}
ALICE, BOB = (PEOPLE[name].did for name in ("alice", "bob"))


def parcel(data: bytes) -> Parcel:
    return Parcel(blocks={str(Cid.of(data)): data})


class ExchangeSuite(ABC):
    """Inherit, implement ``open``: the same mailboxes each time, as a party of ``PEOPLE``."""

    @abstractmethod
    def open(self, name: str) -> Exchange:
        """The mailboxes, as this party reaches them."""

    def test_a_parcel_arrives_as_it_was_sent_and_stays_until_it_is_done(self) -> None:
        self.open("alice").send(BOB, parcel(b"one"))
        bob = self.open("bob")
        for _ in range(2):
            (place,) = bob.waiting(BOB)
            assert bob.open(place) == parcel(b"one")
        bob.done(place)
        assert bob.waiting(BOB) == ()
        assert bob.open(place) is None
        bob.done(place)

    def test_whoever_never_looked_has_a_mailbox(self) -> None:
        assert self.open("bob").waiting(BOB) == ()
        assert self.open("alice").waiting(ALICE + "#calls") == ()

    def test_parcels_wait_in_their_order_and_none_is_lost(self) -> None:
        alice, bob = self.open("alice"), self.open("bob")
        for number in range(70):
            alice.put(BOB, b"%d" % number)
        alice.put(BOB, b"69")  # the same bytes are another parcel
        found: list[bytes | None] = []
        while places := bob.waiting(BOB):
            for place in places:
                found.append(bob.read(place))
                bob.done(place)
        assert found == [b"%d" % number for number in [*range(70), 69]]

    def test_mailboxes_are_apart(self) -> None:
        alice, bob = self.open("alice"), self.open("bob")
        alice.put(BOB + "#calls", b"call")
        alice.put(ALICE, b"mine")
        assert bob.waiting(BOB) == ()
        assert [bob.read(place) for place in bob.waiting(BOB + "#calls")] == [b"call"]
        assert [alice.read(place) for place in alice.waiting(ALICE)] == [b"mine"]

    def test_what_was_refused_is_not_shown_again(self) -> None:
        alice, bob = self.open("alice"), self.open("bob")
        alice.put(BOB, b"rubbish")
        (place,) = bob.waiting(BOB)
        with pytest.raises(BadInput):
            bob.open(place)
        bob.done(place, refused=True)
        assert bob.waiting(BOB) == ()

    def test_waiting_ends_when_something_comes(self) -> None:
        alice, bob = self.open("alice"), self.open("bob")
        sender = threading.Timer(0.1, lambda: alice.put(BOB, b"late"))
        sender.start()
        (place,) = bob.waiting(BOB, 60.0)
        sender.join()
        assert bob.read(place) == b"late"

    def test_waiting_ends_when_patience_does(self) -> None:
        assert self.open("bob").waiting(BOB, 0.2) == ()

    def test_large_and_empty_parcels(self) -> None:
        alice, bob = self.open("alice"), self.open("bob")
        for data in (b"", bytes(range(256)) * 40_000):
            alice.put(BOB, data)
            (place,) = bob.waiting(BOB)
            assert bob.read(place) == data
            bob.done(place)
        with pytest.raises(BadInput):
            alice.put(BOB, bytes(MAX_PARCEL + 1))
        assert bob.waiting(BOB) == ()

    def test_it_survives_being_closed(self) -> None:
        alice = self.open("alice")
        alice.put(BOB, b"one")
        alice.close()
        alice.put(BOB, b"two")
        bob = self.open("bob")
        assert [bob.read(place) for place in bob.waiting(BOB)] == [b"one", b"two"]
