"""Keys that change: into the keystore, the log and the registry, killed between any two, and what holds afterwards."""

from __future__ import annotations

import json

import pytest
from places import PASSPHRASE, Place, attest, meet
from test_faults import killed

from troth.app import Troth, file_subject, verify_bundle
from troth.app.keys import revoke, rotate, standing, standings
from troth.core.errors import Misuse, OutsideFailed, Refuted
from troth.core.verdicts import Outcome
from troth.identity import keystore
from troth.identity.documents import IDENTITY, signature_pairs
from troth.ledger.sending import Sender


def seeds(party: Troth) -> list[str]:
    content = json.loads(keystore.load(party.root / "keys.json", PASSPHRASE))["identity"]
    return [*content["current"], *content["following"]]


def test_a_rotation_is_in_the_keystore_the_log_and_the_registry(place: Place) -> None:
    alice, bob = place.make("alice"), place.make("bob")
    bob.use_contracts(alice.deploy())
    alice.register()
    meet(alice, bob)
    sealed = bob.add("secret", b"for alice", [alice.did])
    before, old = attest(alice, "before"), seeds(alice)
    done = rotate(alice, PASSPHRASE)
    after = attest(alice, "after")
    assert (done.version, done.published) == (1, True)
    assert alice.records_of(alice.did)[1].value == done.document == alice.keybook.head(alice.did)[1]
    # The keys committed to are in use, the old ones are nowhere, and what was sealed to the old key still opens.
    assert seeds(alice)[:2] == old[2:]
    assert not set(old[:2]) & set(seeds(alice))
    assert [name.rpartition("-")[2] for name, _ in signature_pairs(alice.envelope(after))] == ["1", "1"]
    bob.send([alice.did], [bob.attest("dataset", [file_subject("s", b"s")], {"rows": 1}, evidence=[sealed])], [sealed])
    alice.receive()
    assert alice.read(sealed) == b"for alice"
    # Bob learns of it with the next claim, and a bundle holds claims from before and after.
    alice.send([bob.did], [before, after])
    assert set(bob.receive()) >= {before, after}
    assert standing(bob, alice.did).version == 1
    alice.anchor()
    for claim in (before, after):
        alice.bundle(claim, place.root / "b")
        trust = bob.trust({"issuer": (alice.did,)}, alice.log_pin(), {"name": "attested"})
        assert verify_bundle(place.root / "b", trust).outcome is Outcome.UPHELD
    # Opened anew, it is the same.
    assert attest(place.again("alice"), "later") != after


def test_a_crash_after_the_keystore_is_made_up_for_by_opening(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = place.make("alice")
    attest(alice, "before")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(alice.log, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        rotate(alice, PASSPHRASE)
    again = place.again("alice")
    assert [statement.body["version"] for _, statement in again.claims(IDENTITY)] == [1]
    attest(again, "after")
    assert again.identity.history.head.version == 1
    assert rotate(again, PASSPHRASE).version == 2


def test_rotations_killed_at_any_point(place: Place) -> None:
    """As its own process, with SIGKILL: the keystore opens, the log checks, and whatever was written is in force."""
    place.make("alice").close()
    for n in range(6):
        said = killed(0.02 * n, "rotate", place.root / "alice")
        alice = place.again("alice")
        alice.log.verify()
        version = alice.identity.history.head.version
        assert version >= max(map(int, said), default=0)
        assert [statement.body["version"] for _, statement in alice.claims(IDENTITY)] == [*range(1, version + 1)]
        attest(alice, str(n))
        alice.close()


def test_the_registry_is_made_up_for_before_the_next_change(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = place.make("alice")
    alice.deploy()
    alice.register()

    def away(*_: object, **__: object) -> None:
        raise OutsideFailed("the node does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", away)
        with pytest.raises(OutsideFailed, match="the keys are changed and the log has it, but not the registry"):
            rotate(alice, PASSPHRASE)
        assert standing(alice, alice.did).state == "not published"
        version = alice.identity.history.head.version
        with pytest.raises(OutsideFailed, match="node does not answer"):  # and no second one is begun
            rotate(alice, PASSPHRASE)
        assert alice.identity.history.head.version == version == 1
    assert rotate(alice, PASSPHRASE).version == 2
    assert [record.value for record in alice.records_of(alice.did)] == [
        document.digest for document in alice.identity.history.documents]


def test_another_process_does_not_sign_with_old_keys(place: Place) -> None:
    alice = place.make("alice")
    stale = place.again("alice")
    rotate(alice, PASSPHRASE)
    size = alice.log.size
    with pytest.raises(Misuse, match="another process has changed the keys"):
        attest(stale, "with old keys")
    with pytest.raises(Misuse, match="another process has changed the keys"):
        rotate(stale, PASSPHRASE)
    assert place.again("alice").log.size == size
    assert place.again("alice").identity.history.head.version == 1


def test_a_wrong_passphrase_and_a_full_disk_change_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = place.make("alice")
    before = (alice.root / "keys.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Misuse, match="wrong passphrase"):
        rotate(alice, "incorrect horse")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OutsideFailed, match="Nothing was changed"):
            rotate(alice, PASSPHRASE)
    assert (alice.root / "keys.json").read_bytes() == before
    assert alice.log.size == 0
    attest(alice, "still")


def test_the_cost_of_the_keystore_stays(place: Place) -> None:
    alice = place.make("alice")
    rotate(alice, PASSPHRASE)
    assert json.loads((alice.root / "keys.json").read_bytes())["kdf"]["n"] == keystore.MIN_COST


@pytest.mark.parametrize("registered", [True, False])
def test_an_end_is_an_end(place: Place, registered: bool) -> None:
    alice, bob = place.make("alice"), place.make("bob")
    contracts = alice.deploy()
    bob.use_contracts(contracts)
    if registered:
        alice.register()
    meet(alice, bob)
    before = attest(alice, "before")
    alice.send([bob.did], [before])
    bob.receive()
    thief = alice.identity.signer()
    done = revoke(alice, PASSPHRASE)
    assert done.published is (True if registered else None)
    assert revoke(alice, PASSPHRASE) == done  # again changes nothing
    for act in (lambda: attest(alice, "after"), lambda: rotate(alice, PASSPHRASE)):
        with pytest.raises(Misuse, match="has ended"):
            act()
    # Opened again it still reads and hands on, but signs nothing.
    again = place.again("alice")
    with pytest.raises(Misuse, match="has ended"):
        attest(again, "after")
    again.send([bob.did], [before])
    bob.receive()
    assert not bob.refused
    assert standing(bob, alice.did).state == "ended"
    with pytest.raises(Refuted, match="revoked"):
        bob.trust({"issuer": (alice.did,)}, alice.log_pin(), {"name": "attested"})
    with pytest.raises(Refuted, match="end"):  # by the thief of the keys that were in use
        bob.keybook.verify(alice.did, b"x", thief.sign(b"x"))
    # A trust file from before the end still upholds what was signed before.
    alice.anchor()
    again.bundle(before, place.root / "b")
    assert verify_bundle(place.root / "b", None).outcome is Outcome.UNDECIDABLE


def test_what_is_known_of_others(place: Place) -> None:
    alice, bob = place.make("alice"), place.make("bob")
    bob.use_contracts(alice.deploy())
    alice.register()
    meet(alice, bob)
    rotate(alice, PASSPHRASE)
    found = {one.did: one for one in standings(bob)}
    assert (found[alice.did].state, found[alice.did].by) == ("behind", "registry")
    assert (found[bob.did].state, found[bob.did].by) == ("in force", "known here")
    for _ in range(2):  # the second time the binding is older than the keys in force, but it is here already
        meet(alice, bob)
        assert standing(bob, alice.did).state == "in force"
