"""Workspaces that exchange through a post office: push and pull as ever, also after a change of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from troth.app import Settings, Troth, file_subject
from troth.core.errors import BadInput, Misuse
from troth.identity.keystore import MIN_COST
from troth.ledger.exchange import box_of
from troth.ledger.postoffice import PostServer

PASSPHRASE = "correct horse"


def test_push_and_pull_through_a_post_office(tmp_path: Path) -> None:
    with PostServer(tmp_path / "post") as office:
        alice, bob = (Troth.init(tmp_path / name, PASSPHRASE, Settings(name, "", office.url), cost=MIN_COST)
                      for name in ("alice", "bob"))
        with alice, bob:
            for one, other in ((alice, bob), (bob, alice)):
                one.introduce(other.did)
                other.receive()
            sealed = alice.add("secret", b"forty-two", [bob.did])
            said = alice.attest("note", [file_subject("it", b"it")], {"n": 1}, evidence=[sealed])
            alice.send([bob.did], [said], [sealed])
            assert bob.receive() == (said,)
            assert bob.read(sealed) == b"forty-two"
            bob.become(lambda identity: identity.rotate(bob.clock.now())[0], PASSPHRASE)
            alice.exchange.put(bob.did, b"rubbish")
            again = alice.attest("note", [file_subject("it", b"it")], {"n": 2})
            alice.send([bob.did], [again])
            assert bob.receive(5.0) == (again,)  # asked for with the keys of now
            assert [type(error) for _, error in bob.refused] == [BadInput]
            assert bob.receive() == ()
            assert list((tmp_path / "post" / "boxes" / box_of(bob.did)).iterdir()) == []


@pytest.mark.parametrize("place", ["http://", "http://127.0.0.1:1/x?y=1", "https://user@host"])
def test_an_address_that_is_none_is_told(tmp_path: Path, place: str) -> None:
    with Troth.init(tmp_path, PASSPHRASE, Settings("me", "", place), cost=MIN_COST) as party, \
            pytest.raises(Misuse, match="not a place"):
        party.receive()
