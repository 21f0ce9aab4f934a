"""Whoever can write into a mailbox is an attacker: nothing forged enters, nothing good is lost, nobody is stopped."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from troth.app import Troth, file_subject
from troth.core.claims import Envelope, Evidence, Ref, Signature, Statement, Subject, batch_statement
from troth.core.encoding import encode
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.identity.hybrid import HybridIdentity
from troth.identity.signers import Ed25519Signer, attest
from troth.ledger.exchange import MAX_PARCEL, FolderExchange, Parcel
from troth.store import unixfs
from troth.store.cid import Cid, Codec
from troth.store.memory import MemoryBlobs
from troth.store.sealing import seal
from troth.store.wrapping import RecipientPublic, wrap

Make = Callable[[str], Troth]
SUBJECT = (Subject("it", {"sha256": "00" * 32}),)


@pytest.fixture
def alice(make: Make) -> Troth:
    return make("alice")


@pytest.fixture
def bob(make: Make, alice: Troth) -> Troth:
    party = make("bob")
    for one, other in ((alice, party), (party, alice)):
        one.introduce(other.did)
        other.receive()
    return party


def contents(party: Troth) -> dict[str, bytes]:
    """Every file of a workspace that a parcel could change."""
    folders = ("documents", "wraps", "blocks/blobs", "log")
    return {str(path.relative_to(party.root)): path.read_bytes() for folder in folders
            for path in sorted((party.root / folder).rglob("*"))
            if path.is_file() and "index.sqlite" not in path.name and path.name != "lock"}


def drop(party: Troth, data: bytes, name: str = "0-evil.parcel") -> Path:
    """Write into a party's mailbox."""
    assert party.settings.exchange
    box = FolderExchange(Path(party.settings.exchange))._box(party.did)
    box.mkdir(parents=True, exist_ok=True)
    (box / name).write_bytes(data)
    return box / name


def refused(party: Troth, parcel: Parcel | bytes, error: type[TrothError]) -> TrothError:
    """The parcel is refused, changes nothing, and a good one behind it is taken in."""
    before = contents(party)
    path = drop(party, parcel if isinstance(parcel, bytes) else parcel.to_bytes())
    assert party.receive() == ()
    assert [(at, type(found)) for at, found in party.refused] == [(path, error)]
    assert contents(party) == before
    assert not path.exists()
    assert path.with_suffix(".refused").exists()
    found = party.refused[0][1]
    assert party.receive() == ()
    assert party.refused == []
    return found


def claim(party: Troth, **body: object) -> Envelope:
    return party.envelope(party.attest("note", [file_subject("x", b"x")], body))


def signed(party: Troth, statement: Statement) -> Envelope:
    return attest(statement, party.identity.signer())


# Forged claims


def test_a_claim_without_its_post_quantum_signature_is_refused(alice: Troth, bob: Troth) -> None:
    good = claim(alice, n=1)
    refused(bob, Parcel(claims=(Envelope(good.payload, good.signatures[:1]),)), Refuted)
    refused(bob, Parcel(claims=(Envelope(good.payload, good.signatures[1:]),)), Refuted)
    refused(bob, Parcel(claims=(Envelope(good.payload, ()),)), Refuted)
    refused(bob, Parcel(claims=(Envelope(good.payload, good.signatures[::-1]),)), Refuted)
    refused(bob, Parcel(claims=(Envelope(good.payload, (*good.signatures, good.signatures[0])),)), Refuted)


def test_a_claim_signed_by_somebody_else_or_in_another_suite_is_refused(alice: Troth, bob: Troth) -> None:
    good, other = claim(alice, n=1), claim(bob, n=1)
    refused(bob, Parcel(claims=(Envelope(good.payload, other.signatures),)), Refuted)
    said = Statement("note", alice.did, 5, SUBJECT, {"n": 2})
    stranger = Ed25519Signer(bytes(32))
    lone = tuple(Signature(*one) for one in stranger.sign(Envelope(said.to_bytes(), ()).signed_bytes()))
    refused(bob, Parcel(claims=(Envelope(said.to_bytes(), lone),)), Refuted)


def test_a_changed_payload_is_refused_and_so_is_the_whole_parcel_with_it(alice: Troth, bob: Troth) -> None:
    good, changed = claim(alice, n=1), claim(alice, n=2)
    bad = Envelope(changed.payload.replace(b'"n":2', b'"n":3'), changed.signatures)
    refused(bob, Parcel(claims=(good, bad)), Refuted)
    assert bob.log.find(good.id) is None


def test_a_statement_in_another_than_its_canonical_form_is_refused(alice: Troth, bob: Troth) -> None:
    loose = claim(alice, n=1).payload.replace(b'{"_type"', b'{ "_type"')
    pairs = alice.identity.signer().sign(Envelope(loose, ()).signed_bytes())
    refused(bob, Parcel(claims=(Envelope(loose, tuple(Signature(*one) for one in pairs)),)), BadInput)


def test_other_signatures_over_a_known_claim_leave_the_first_ones(alice: Troth, bob: Troth) -> None:
    said = Statement("note", alice.did, 5, SUBJECT, {"n": 1})
    first, second = signed(alice, said), signed(alice, said)
    assert first.signatures != second.signatures
    drop(bob, Parcel(claims=(first, second)).to_bytes())  # both in one parcel: the log would refuse the second
    assert bob.receive() == (first.id,)
    drop(bob, Parcel(claims=(second,)).to_bytes())
    assert bob.receive() == ()
    assert bob.refused == []
    assert bob.envelope(first.id) == first


def test_an_unknown_issuer_is_undecidable(make: Make, bob: Troth) -> None:
    carol = make("carol")
    assert "document" in str(refused(bob, Parcel(claims=(claim(carol, n=1),)), Undecidable))


@pytest.mark.parametrize("body", [{}, {"root": "00" * 32, "size": 0}, {"root": "00" * 32, "size": 1}])
def test_a_malformed_batch_is_refused(alice: Troth, bob: Troth, body: dict[str, object]) -> None:
    refused(bob, Parcel(claims=(signed(alice, Statement("batch", alice.did, 5, SUBJECT, body)),)), BadInput)


def test_a_good_batch_claim_is_taken_in(alice: Troth, bob: Troth) -> None:
    good = signed(alice, batch_statement(alice.did, 5, [bytes(32)]))
    drop(bob, Parcel(claims=(good,)).to_bytes())
    assert bob.receive() == (good.id,)


def test_half_a_binding_is_refused(alice: Troth, bob: Troth) -> None:
    body = {"account": "did:pkh:eip155:1:0x" + "11" * 20, "consent": ""}
    refused(bob, Parcel(claims=(signed(alice, Statement("binding", alice.did, 5, SUBJECT, body)),)), Refuted)


@pytest.mark.parametrize("cid", ["../../etc/passwd", "", "/etc/passwd", "Qm" + "a" * 44, "b" + "A" * 58, "b" * 59])
def test_evidence_that_names_no_cid_is_refused(alice: Troth, bob: Troth, cid: str) -> None:
    # A claim with such evidence once stood in the way of every bundle that rested on it.
    said = Statement("note", alice.did, 5, SUBJECT, {}, (), (Evidence("e", cid, "raw", False),))
    refused(bob, Parcel(claims=(signed(alice, said),)), BadInput)
    with pytest.raises(BadInput):
        alice.attest("note", SUBJECT, {}, evidence=said.evidence)


# Identities


def test_a_document_of_another_name_is_only_its_own(make: Make, alice: Troth, bob: Troth) -> None:
    carol = HybridIdentity.create()
    drop(bob, Parcel(documents=(carol.genesis,)).to_bytes())
    assert bob.receive() == ()
    assert bob.refused == []
    assert bob.known(carol.did)
    payload = Statement("note", alice.did, 5, SUBJECT, {}).to_bytes()
    pairs = carol.signer().sign(Envelope(payload, ()).signed_bytes())
    forged = Envelope(payload, tuple(Signature(*one) for one in pairs))
    refused(bob, Parcel(documents=(carol.genesis,), claims=(forged,)), Refuted)
    refused(bob, Parcel(documents=(carol.genesis.replace(b"z", b"y", 1),)), BadInput)


def rotated(party: Troth, times: int = 1) -> tuple[HybridIdentity, list[Envelope]]:
    identity, rotations = party.identity, []
    for n in range(times):
        identity, rotation = identity.rotate(100 + n)
        rotations.append(rotation)
    return identity, rotations


def test_a_rotation_is_taken_in_once_and_old_keys_end_with_it(alice: Troth, bob: Troth) -> None:
    before = signed(alice, Statement("note", alice.did, 5, SUBJECT, {"n": 1}))
    late = signed(alice, Statement("note", alice.did, 5, SUBJECT, {"n": 2}))
    identity, rotations = rotated(alice)
    after = attest(Statement("note", alice.did, 5, SUBJECT, {"n": 3}), identity.signer())
    drop(bob, Parcel(claims=(before, rotations[0], after)).to_bytes())  # in the order they were made
    assert bob.receive() == (before.id, rotations[0].id, after.id)
    drop(bob, Parcel(claims=(rotations[0], rotations[0])).to_bytes())
    assert bob.receive() == ()
    assert bob.refused == []
    refused(bob, Parcel(claims=(late,)), Refuted)


def test_a_rotation_does_not_vouch_for_what_came_before_it(alice: Troth, bob: Troth) -> None:
    identity, rotations = rotated(alice)
    after = attest(Statement("note", alice.did, 5, SUBJECT, {"n": 3}), identity.signer())
    refused(bob, Parcel(claims=(after, *rotations)), Refuted)
    refused(bob, Parcel(claims=(*rotations, signed(alice, Statement("note", alice.did, 5, SUBJECT, {})))), Refuted)
    assert bob.keybook.head(alice.did)[0] == 0


def test_forked_skipped_and_foreign_rotations_are_refused(alice: Troth, bob: Troth) -> None:
    _, rotations = rotated(alice, 2)
    refused(bob, Parcel(claims=(rotations[1],)), Undecidable)
    drop(bob, Parcel(claims=(rotations[0],)).to_bytes())
    assert bob.receive() == (rotations[0].id,)
    fork = rotated(alice)[1]  # other next keys: a second document of version 1
    refused(bob, Parcel(claims=tuple(fork)), Refuted)
    stranger = HybridIdentity.create().rotate(5)[1]
    refused(bob, Parcel(claims=(replace(stranger, payload=rotations[1].payload),)), Refuted)


def test_another_process_s_rotation_counts_before_the_next_parcel(alice: Troth, bob: Troth, tmp_path: Path) -> None:
    late = signed(alice, Statement("note", alice.did, 5, SUBJECT, {"n": 2}))
    _, rotations = rotated(alice)
    with Troth.open(tmp_path / "bob", "correct horse") as other:
        assert other.meet(Parcel(claims=tuple(rotations))) == (rotations[0].id,)
    refused(bob, Parcel(claims=(late,)), Refuted)


def test_nobody_attests_a_change_of_keys_by_hand(alice: Troth, tmp_path: Path) -> None:
    # Such a claim once made the workspace impossible to open.
    with pytest.raises(Misuse):
        alice.attest("identity", SUBJECT, {})
    with pytest.raises(BadInput):
        alice.attest("batch", SUBJECT, {})
    with Troth.open(tmp_path / "alice", "correct horse") as again:
        assert again.log.size == alice.log.size


# Blocks and keys


def test_a_changed_block_or_a_crooked_cid_is_refused(alice: Troth, bob: Troth) -> None:
    good = str(Cid.of(b"block"))
    refused(bob, Parcel(blocks={good: b"black"}), BadInput)
    for name in ("../../x", good.upper(), good[:-1], "a" * 59):
        refused(bob, Parcel(blocks={name: b"block"}), BadInput)
        refused(bob, Parcel(keys={name: b"k" * 1168}), BadInput)


def handed_over(alice: Troth, bob: Troth) -> tuple[Evidence, RecipientPublic]:
    """Something sealed to Bob, not sent yet, and Bob's public key."""
    public = alice.keybook.history(bob.did).head.recipient
    assert public is not None
    return alice.add("secret", b"forty-two", [bob.did]), RecipientPublic(public)


def wrong_keys(alice: Troth, bob: Troth) -> list[bytes]:
    """Keys that do not open, that open to another key, to one of another length, and no keys at all."""
    evidence, public = handed_over(alice, bob)
    info = Cid.parse(evidence.cid).encode()
    own = RecipientPublic(alice.identity.recipients[-1].public)
    return [wrap(bytes(32), public, info), wrap(b"short", public, info), wrap(bytes(32), own, info),
            wrap(bytes(32), public, b"another purpose"), b"", b"\0" * 1168]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("first", [True, False])
def test_a_wrong_key_opens_nothing_and_takes_nothing_away(alice: Troth, bob: Troth, number: int, first: bool) -> None:
    evidence, _ = handed_over(alice, bob)
    said = alice.attest("note", SUBJECT, {}, evidence=[evidence])
    wrong = wrong_keys(alice, bob)[number]
    blocks = {evidence.cid: alice.blobs.get(evidence.cid)}
    evil = Parcel(blocks=blocks, keys={evidence.cid: wrong})
    if first:
        drop(bob, evil.to_bytes())
        bob.receive()
        with pytest.raises(Undecidable):
            bob.read(evidence)
        with pytest.raises(Undecidable):
            bob.share(evidence, [alice.did])
    alice.send([bob.did], [said], [evidence])
    assert bob.receive() == (said,)
    drop(bob, evil.to_bytes())
    bob.receive()
    assert bob.read(evidence) == b"forty-two"


def test_the_right_key_heals_a_damaged_one(alice: Troth, bob: Troth) -> None:
    evidence, _ = handed_over(alice, bob)
    said = alice.attest("note", SUBJECT, {}, evidence=[evidence])
    alice.send([bob.did], [said], [evidence])
    bob.receive()
    path = next((bob.root / "wraps" / evidence.cid).iterdir())
    path.write_bytes(b"damaged")
    with pytest.raises(Undecidable):
        bob.read(evidence)
    alice.send([bob.did], [said], [evidence])
    assert bob.receive() == ()
    assert bob.read(evidence) == b"forty-two"


def test_a_key_to_a_public_file_does_not_make_it_sealed(alice: Troth, bob: Troth) -> None:
    public = bob.add("open", b"for all")
    key = wrap(bytes(32), handed_over(alice, bob)[1], Cid.parse(public.cid).encode())
    drop(bob, Parcel(keys={public.cid: key}).to_bytes())
    bob.receive()
    assert not bob.stored(public.cid).sealed
    assert bob.get(public.cid) == b"for all"


def test_a_sealing_that_does_not_open_is_told(alice: Troth, bob: Troth) -> None:
    blobs = MemoryBlobs()
    sealed = seal(io.BytesIO(b"x" * 100), blobs)
    crooked = blobs.get(str(sealed.cid))[:-1] + b"!"
    cid = Cid.of(crooked)
    key = wrap(sealed.data_key, handed_over(alice, bob)[1], cid.encode())
    drop(bob, Parcel(blocks={str(cid): crooked}, keys={str(cid): key}).to_bytes())
    bob.receive()
    with pytest.raises(Refuted):
        bob.read(Evidence("e", str(cid), "p", True))


def test_sharing_hands_on_what_one_can_open(make: Make, alice: Troth, bob: Troth) -> None:
    carol = make("carol")
    for one, other in ((carol, bob), (alice, carol)):
        one.introduce(other.did)
        other.receive()
    evidence, _ = handed_over(alice, bob)
    said = alice.attest("note", SUBJECT, {}, evidence=[evidence])
    alice.send([bob.did], [said], [evidence])
    bob.receive()
    bob.send([carol.did], [said], [evidence])
    carol.receive()
    with pytest.raises(Undecidable):
        carol.read(evidence)
    bob.share(evidence, [carol.did])
    bob.send([carol.did], [said], [evidence])
    carol.receive()
    assert carol.read(evidence) == b"forty-two"


# Parcels that are none


@pytest.mark.parametrize("data", [
    b"", b"\xff" * 50, b"{}", b"[]", b"null", b'{"format":"troth-parcel-1"}', b"[" * 100_000, b'{"a":' * 5_000,
    encode({"blocks": {}, "claims": [7], "documents": [], "format": "troth-parcel-1", "keys": {}}),
    encode({"blocks": {}, "claims": ["AA=="], "documents": [], "format": "troth-parcel-1", "keys": {}}),
    encode({"blocks": {}, "claims": [], "documents": ["e30="], "format": "troth-parcel-1", "keys": {}}),
    encode({"blocks": {}, "claims": [], "documents": [], "format": "troth-parcel-2", "keys": {}}),
    encode({"blocks": [], "claims": [], "documents": [], "format": "troth-parcel-1", "keys": {}}),
    b'{"blocks":{},"blocks":{},"claims":[],"documents":[],"format":"troth-parcel-1","keys":{}}',
])
def test_garbage_is_refused(bob: Troth, data: bytes) -> None:
    refused(bob, data, BadInput)


def test_links_devices_and_directories_are_refused_unread(bob: Troth, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(Parcel().to_bytes())
    box = drop(bob, Parcel().to_bytes(), "9-good.parcel").parent
    os.symlink(secret, box / "1.parcel")
    os.symlink("/dev/zero", box / "2.parcel")
    os.mkfifo(box / "3.parcel")  # reading one without a writer would wait for ever
    (box / "4.parcel").mkdir()
    (box / "5.refused").mkdir()
    (box / "5.parcel").write_bytes(b"garbage whose place aside is taken")
    assert bob.receive() == ()
    assert [path.name for path, error in bob.refused if type(error) is BadInput] == [f"{n}.parcel" for n in range(1, 6)]
    assert not (box / "9-good.parcel").exists()
    assert secret.exists()


def test_a_parcel_that_cannot_be_read_stays_and_stops_nobody(alice: Troth, bob: Troth) -> None:
    good = claim(alice, n=1)
    path = drop(bob, b"", "0.parcel")
    drop(bob, Parcel(claims=(good,)).to_bytes(), "1.parcel")
    real = os.open
    with pytest.MonkeyPatch.context() as patch:  # tests may run as root, whom permissions do not stop
        def open_(name: object, *rest: int) -> int:
            if name == path:
                raise PermissionError(13, "Permission denied")
            return real(name, *rest)  # type: ignore[arg-type]
        patch.setattr(os, "open", open_)
        assert bob.receive() == (good.id,)
    assert [type(error) for _, error in bob.refused] == [OutsideFailed]
    assert path.exists()


def test_a_parcel_of_300_mb_is_refused_by_its_size(bob: Troth) -> None:
    path = drop(bob, b"")
    os.truncate(path, 300 << 20)
    assert MAX_PARCEL < 300 << 20
    assert bob.receive() == ()
    assert type(bob.refused[0][1]) is BadInput


def test_a_terabyte_of_blocks_that_name_each_other_is_not_read(alice: Troth, bob: Troth) -> None:
    """A megabyte in a mailbox, as evidence of a claim: whoever gathers evidence would run out of memory."""
    chunk = bytes(1 << 20)
    link = unixfs._Link(Cid.of(chunk), len(chunk), len(chunk))
    blocks = {str(link.cid): chunk}
    for _ in range(2):
        block = unixfs._encode_node([link] * 1024)
        link = unixfs._Link(Cid.of(block, Codec.DAG_PB), 1024 * link.size, len(block) + 1024 * link.tsize)
        blocks[str(link.cid)] = block
    assert sum(map(len, blocks.values())) < 2 << 20
    bomb = Evidence("update", str(link.cid), unixfs.PROFILE.name, False)
    said = Statement("note", alice.did, 1, SUBJECT, {}, evidence=(bomb,))
    claim = attest(said, alice.identity.signer())
    drop(bob, Parcel(claims=(claim,), blocks=blocks).to_bytes())
    assert bob.receive() == (claim.id,)
    with pytest.raises(BadInput, match="larger than this reader accepts"):
        bob.read(bomb)


def test_a_flood_of_garbage_and_replays_is_only_work(alice: Troth, bob: Troth) -> None:
    good = Parcel(claims=(claim(alice, n=1),)).to_bytes()
    for n in range(300):
        drop(bob, good if n % 2 else b"%d" % n, f"{n:04d}.parcel")
    assert len(bob.receive()) == 1
    assert len(bob.refused) == 150
    assert bob.log.size == 1
    assert bob.receive() == ()


def test_who_floods_a_mailbox_faster_than_it_is_emptied_keeps_nobody_in_it(
        bob: Troth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever is kept reading garbage answers nothing else, and misses what a deal asks."""
    waiting, count = FolderExchange.waiting, iter(range(10**9))

    def flooded(self: FolderExchange, address: str, patience: float = 0.0) -> tuple[Path, ...]:
        drop(bob, b"garbage", f"{next(count):020d}-evil.parcel")
        return waiting(self, address, patience)

    monkeypatch.setattr(FolderExchange, "waiting", flooded)
    monkeypatch.setattr("troth.app.LONGEST_RECEIVE", 0.1)
    assert bob.receive() == ()
    assert len(bob.refused) > 1


def test_a_parcel_that_another_process_took_is_passed_over(alice: Troth, bob: Troth) -> None:
    assert bob.exchange.open(drop(bob, b"").with_name("gone.parcel")) is None


def test_claims_are_sent_in_the_order_of_the_log(alice: Troth, bob: Troth) -> None:
    first = alice.attest("note", SUBJECT, {"n": 1})
    second = alice.attest("note", SUBJECT, {"n": 2}, refs=[Ref("after", first)])
    alice.send([bob.did], [second, first, second])
    assert bob.receive() == (first, second)
