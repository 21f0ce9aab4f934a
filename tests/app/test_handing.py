"""What is pushed can be checked: with what it rests on, and with nothing that the receiver may not open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from places import Place, attest, meet

from troth.app import Troth, file_subject
from troth.app.handing import push
from troth.core.claims import Evidence, Ref
from troth.core.errors import Undecidable

Three = tuple[Troth, Troth, Troth]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Three]:
    place = Place(tmp_path)
    parties = place.make("alice"), place.make("bob"), place.make("carol")
    meet(*parties)
    yield parties
    place.close()


def rests_on(party: Troth, text: str, *below: bytes, evidence: tuple[Evidence, ...] = ()) -> bytes:
    return party.attest("model", [file_subject("it", text.encode())], {"n": text},
                        refs=[Ref("from", claim) for claim in below], evidence=evidence)


def test_a_pushed_claim_can_be_bundled(three: Three, tmp_path: Path) -> None:
    """Over two hands and two issuers: what bob got of alice goes on to carol."""
    alice, bob, carol = three
    table = alice.add("table.csv", b"1\n")
    root = rests_on(alice, "root", evidence=(table,))
    middle = rests_on(alice, "middle", root)
    assert push(alice, bob.did, [middle]).claims == (middle, root)
    assert set(bob.receive()) == {root, middle}
    top = rests_on(bob, "top", middle, root)
    went = push(bob, carol.did, [top])
    assert (went.claims[0], set(went.claims), went.named, went.missing) == (top, {top, middle, root}, 1, ())
    assert went.size > 3 * 3_309  # each claim has an ML-DSA signature
    assert set(carol.receive()) == {top, middle, root}
    assert not carol.refused
    assert carol.bundle(top, tmp_path / "top.troth") == 3
    assert carol.read(table) == b"1\n"


def test_only_the_claim(three: Three, tmp_path: Path) -> None:
    alice, bob, _ = three
    root = attest(alice, "root")
    top = rests_on(alice, "top", root)
    went = push(alice, bob.did, [top], only=True)
    assert (went.claims, went.missing) == ((top,), ())
    assert bob.receive() == (top,)
    with pytest.raises(Undecidable, match="not in this log"):
        bob.bundle(top, tmp_path / "top.troth")


def test_sealed_evidence_goes_along_only_where_it_opens(three: Three) -> None:
    """A model's records stay where they are, also as ciphertext, unless they were sealed to the receiver."""
    alice, bob, _ = three
    own, his = alice.add("own", b"for me", ()), alice.add("his", b"for bob", [bob.did])
    top = rests_on(alice, "top", rests_on(alice, "root", evidence=(own, his)))
    push(alice, bob.did, [top])
    assert len(bob.receive()) == 2
    assert bob.read(his) == b"for bob"
    assert not any(bob.blobs.has(cid) for cid in alice._cids(own.cid))


def test_what_is_not_here_is_named(three: Three) -> None:
    alice, bob, carol = three
    root = attest(alice, "root")
    top = rests_on(alice, "top", root)
    push(alice, bob.did, [top], only=True)
    bob.receive()
    went = push(bob, carol.did, [top])
    assert (went.claims, went.missing) == ((top,), (root,))
    assert carol.receive() == (top,)
    with pytest.raises(Undecidable, match="not here"):
        push(bob, carol.did, [root])
    assert carol.receive() == ()
