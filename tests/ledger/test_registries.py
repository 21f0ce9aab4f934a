"""Registries on a chain: what they answer, and what nobody can do to somebody else's history."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, BadInput, Misuse, OutsideFailed, Pending, Refuted, Undecidable
from troth.core.ports import KeyHistory
from troth.core.typed_data import update_digest
from troth.identity.documents import signature_pairs
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.identity.keys import Secp256k1KeyPair
from troth.ledger import registries
from troth.ledger.anchors import AnchorEvent, origin_hash
from troth.ledger.artefacts import artefact
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.deploy import create
from troth.ledger.registries import (
    NOBODY,
    REVOKED,
    IdentityRegistry,
    LogRegistry,
    Record,
    RegisteredKeys,
    entry_of,
    key_hash,
    publish,
    revoke,
)
from troth.ledger.sending import Sender

START = 1_700_000_000
ORIGIN, VKEY, LATER = "example.org/log", "example.org/log+00000000+AAAA", "example.org/log+11111111+BBBB"


def counted(name: str) -> Callable[[int], bytes]:
    calls = iter(range(1000))
    return lambda size: hashlib.shake_256(f"{name}/{next(calls)}".encode()).digest(size)


class Place:
    """A chain with both registries, and senders by name."""

    def __init__(self, chain_id: int | None = None) -> None:
        self.clock = ManualClock(START)
        self.chain = EmbeddedChain(None, clock=self.clock, **({} if chain_id is None else {"chain_id": chain_id}))
        web3 = self.chain.web3
        maker = self.sender("maker")
        forwarder, _ = create(maker, artefact("Forwarder").bytecode)
        made = [create(maker, artefact(name).bytecode, ("address", forwarder))[0]
                for name in ("Identities", "Identities", "LogOwners")]
        self.identities, self.others = (IdentityRegistry(web3, address) for address in made[:2])
        self.logs = LogRegistry(web3, made[2])

    def sender(self, name: str) -> Sender:
        return Sender(self.chain.web3, keccak256(name.encode()))

    def of(self, identity: HybridIdentity) -> Sender:
        return Sender(self.chain.web3, identity.account.reveal_seed())

    def later(self, seconds: int = 10) -> int:
        """Time passes; the time of the next block."""
        self.clock.advance(seconds)
        return self.chain.now()


@pytest.fixture
def place() -> Iterator[Place]:
    found = Place()
    yield found
    found.chain.close()


def key(name: str) -> Secp256k1KeyPair:
    return Secp256k1KeyPair(keccak256(b"turn " + name.encode()))


def person(name: str = "alice") -> HybridIdentity:
    return HybridIdentity.create(random=counted(name))


def digest(identity: HybridIdentity) -> bytes:
    return identity.history.head.digest


def refused(code: str, act: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(ActRefused) as error:
        act(*arguments)
    assert error.value.code == code


# What it is for


def test_an_identity_publishes_its_documents(place: Place) -> None:
    """The chain's history is the identity's, with the times of the blocks; publishing again sends nothing."""
    alice = person()
    entry, sent = publish(place.identities, place.of(alice), alice)
    assert (entry, sent) == (entry_of(digest(alice), alice.account.public.account), 1)
    assert publish(place.identities, place.of(alice), alice) == (entry, 0)
    first = place.identities.history(entry)
    assert [record.value for record in first] == [digest(alice)]
    assert first[0].account == alice.turn_keys()[1].public.account
    before = first[0].time
    now = place.later()
    changed, _ = alice.rotate(1, random=counted("next"))
    assert publish(place.identities, place.of(alice), changed) == (entry, 1)
    second = place.identities.history(entry)
    assert second[:1] == first
    assert (second[1].value, second[1].time) == (digest(changed), now)
    place.later()
    assert place.identities.in_force(entry, before) == (0, digest(alice))
    assert place.identities.in_force(entry, now - 1) == (0, digest(alice))
    assert place.identities.in_force(entry, now) == (1, digest(changed))
    assert place.identities.in_force_at_block(entry, second[1].block - 1) == (0, digest(alice))
    assert place.identities.in_force_at_block(entry, second[1].block) == (1, digest(changed))
    with pytest.raises(Undecidable):
        place.identities.in_force(entry, before - 1)
    with pytest.raises(Undecidable):
        place.identities.in_force_at_block(entry, first[0].block - 1)


def test_an_identity_that_changed_before_it_registered(place: Place) -> None:
    alice = person()
    once, _ = alice.rotate(1, random=counted("one"))
    entry, sent = publish(place.identities, place.of(alice), once)
    assert sent == 2
    assert [record.value for record in place.identities.history(entry)] == [digest(alice), digest(once)]
    twice, _ = once.rotate(2, random=counted("two"))
    assert publish(place.identities, place.of(alice), twice) == (entry, 1)
    assert len(place.identities.history(entry)) == 3


def test_each_change_is_published_before_the_next(place: Place) -> None:
    alice = person()
    publish(place.identities, place.of(alice), alice)
    twice = alice.rotate(1, random=counted("one"))[0].rotate(2, random=counted("two"))[0]
    with pytest.raises(Misuse, match="before the next"):
        publish(place.identities, place.of(alice), twice)
    with pytest.raises(Misuse, match="before the next"):
        publish(place.identities, place.of(person("bob")), twice)


def test_an_answer_about_the_present_is_refused(place: Place) -> None:
    """This block may still change it."""
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    with pytest.raises(Pending):
        place.identities.in_force(entry, place.chain.now() + 5)
    with pytest.raises(Pending):
        place.identities.in_force_at_block(entry, place.chain.head().number + 5)
    with pytest.raises(Pending):
        place.logs.owner_at(entry, place.chain.now() + 5)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_what_was_in_force_is_what_a_walk_finds(place: Place, gaps: list[int]) -> None:
    """The contract's search against a plain walk over the history, at every time and block."""
    sender = place.sender("anybody")
    genesis = keccak256(b"first %d" % place.chain.head().number)  # another in each example
    entry = entry_of(genesis, sender.account)
    place.identities.register(sender, genesis, key("0").public.account)
    for at, gap in enumerate(gaps, 1):
        place.clock.advance(gap)
        turn, document = key(str(at)).public.account, keccak256(b"%d" % at)
        signature = place.identities.signed(entry, at, document, turn, key(str(at - 1)))
        place.identities.update(sender, entry, document, turn, signature)
    place.later()
    place.sender("anybody").send(sender.account)
    records = place.identities.history(entry)
    for when in range(records[0].time, records[-1].time + 2):
        known = [record.value for record in records if record.time <= when]
        assert place.identities.in_force(entry, when) == (len(known) - 1, known[-1])
    for block in range(records[0].block, records[-1].block + 1):
        known = [record.value for record in records if record.block <= block]
        assert place.identities.in_force_at_block(entry, block) == (len(known) - 1, known[-1])


# Attacks


def test_nobody_takes_anothers_place(place: Place) -> None:
    """A squatter who registers Alice's document first has an entry that her account does not lead to."""
    alice, mallory = person(), place.sender("mallory")
    place.identities.register(mallory, digest(alice), key("mallory").public.account)
    entry, _ = publish(place.identities, place.of(alice), alice)
    assert entry != entry_of(digest(alice), mallory.account)
    assert place.identities.history(entry)[0].account == alice.turn_keys()[1].public.account
    # Nor can anybody register under her name another document than the one her identifier hashes.
    place.identities.register(mallory, keccak256(b"another"), key("mallory").public.account)
    assert len(place.identities.history(entry)) == 1


def test_an_account_behind_the_calldata_is_not_believed(place: Place) -> None:
    """Only the forwarder, which checked a signature, may say whose act it is."""
    alice, mallory = person(), place.sender("mallory")
    victim = alice.account.public.account
    turn = key("m").public.account
    for registry, signature, second in ((place.identities, b"register(bytes32,address)", turn.rjust(32, b"\0")),
                                        (place.logs, b"register(bytes32,bytes32)", b"\1" * 32)):
        mallory.send(registry.address, keccak256(signature)[:4] + digest(alice) + second + victim)
        assert registry.history(entry_of(digest(alice), victim)) == ()
        assert len(registry.history(entry_of(digest(alice), mallory.account))) == 1


def test_history_is_not_overwritten(place: Place) -> None:
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    changed, _ = alice.rotate(1, random=counted("one"))
    publish(place.identities, place.of(alice), changed)
    before = place.identities.history(entry)
    refused("Exists", place.identities.register, place.of(alice), digest(alice), key("x").public.account)
    # The first turn account's signature was used: it adds nothing, again or for another document.
    used, turn = alice.turn_keys()[1], key("x").public.account
    for version in (0, 1, 2, 3):
        signature = place.identities.signed(entry, version, b"\1" * 32, turn, used)
        refused("BadSignature", place.identities.update, place.of(alice), entry, b"\1" * 32, turn, signature)
    assert place.identities.history(entry) == before


def test_a_thief_of_the_account_changes_nothing(place: Place) -> None:
    """The thief holds the chain account and the keys in use, but not those committed to."""
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    thief, turn, document = place.of(alice), key("thief").public.account, b"\6" * 32
    for stolen in (alice.account, alice.turn_keys()[0], key("thief")):
        signature = place.identities.signed(entry, 1, document, turn, stolen)
        refused("BadSignature", place.identities.update, thief, entry, document, turn, signature)
        end = place.identities.signed(entry, 1, REVOKED, NOBODY, stolen)
        refused("BadSignature", place.identities.revoke, thief, entry, end)
    for rubbish in (b"", bytes(65), b"\xff" * 65, bytes(64)):
        refused("BadSignature", place.identities.update, thief, entry, document, turn, rubbish)
    changed, _ = alice.rotate(1, random=counted("one"))
    assert publish(place.identities, place.of(alice), changed) == (entry, 1)


def test_seeing_a_change_before_it_is_mined_helps_nobody(place: Place) -> None:
    """The signature is over this document and the next account: whoever sends it adds exactly what was signed."""
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    changed, _ = alice.rotate(1, random=counted("one"))
    turn = changed.turn_keys()[1].public.account
    seen = place.identities.signed(entry, 1, digest(changed), turn, changed.turn_keys()[0])
    mallory = place.sender("mallory")
    refused("BadSignature", place.identities.update, mallory, entry, digest(changed), key("m").public.account, seen)
    refused("BadSignature", place.identities.update, mallory, entry, b"\1" * 32, turn, seen)
    refused("BadSignature", place.identities.revoke, mallory, entry, seen)
    place.identities.update(mallory, entry, digest(changed), turn, seen)  # she pays for it, that is all
    assert publish(place.identities, place.of(alice), changed) == (entry, 0)


def test_a_change_is_good_for_one_entry_registry_and_chain(place: Place) -> None:
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    publish(place.others, place.of(alice), alice)
    changed, _ = alice.rotate(1, random=counted("one"))
    now, following = changed.turn_keys()
    turn, sender = following.public.account, place.of(alice)
    second = place.sender("second")
    place.identities.register(second, digest(alice), now.public.account)
    for signature in (
            place.others.signed(entry, 1, digest(changed), turn, now),
            now.sign_digest(update_digest(sender.chain_id + 1, place.identities.address, entry, 1, digest(changed),
                                          turn)),
            place.identities.signed(entry_of(digest(alice), second.account), 1, digest(changed), turn,
                                    now)):
        refused("BadSignature", place.identities.update, sender, entry, digest(changed), turn, signature)
    other = Place(chain_id=7408)
    publish(other.identities, other.of(alice), alice)
    assert other.identities.address == place.identities.address  # the chain's id alone keeps them apart
    signature = place.identities.signed(entry, 1, digest(changed), turn, now)
    refused("BadSignature", other.identities.update, other.of(alice), entry, digest(changed), turn, signature)
    place.identities.update(sender, entry, digest(changed), turn, signature)
    other.chain.close()


def test_changes_cannot_be_reordered_or_left_out(place: Place) -> None:
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    one, _ = alice.rotate(1, random=counted("one"))
    two, _ = one.rotate(2, random=counted("two"))
    sender = place.of(alice)

    def signed(identity: HybridIdentity, version: int) -> tuple[bytes, bytes, bytes, bytes]:
        now, following = identity.turn_keys()
        turn = following.public.account
        return entry, digest(identity), turn, place.identities.signed(entry, version,
                                                                      digest(identity), turn, now)

    refused("BadSignature", place.identities.update, sender, *signed(two, 2))
    refused("BadSignature", place.identities.update, sender, *signed(two, 1))
    place.identities.update(sender, *signed(one, 1))
    refused("Reused", place.identities.update, sender, *signed(one, 2))
    place.identities.update(sender, *signed(two, 2))
    assert [record.value for record in place.identities.history(entry)] == [digest(alice), digest(one), digest(two)]


def test_shapes_that_are_refused(place: Place) -> None:
    sender, turn = place.sender("anybody"), key("0").public.account
    refused("Nothing", place.identities.register, sender, bytes(32), turn)
    refused("Nothing", place.identities.register, sender, b"\1" * 32, NOBODY)
    place.identities.register(sender, b"\1" * 32, turn)
    entry = entry_of(b"\1" * 32, sender.account)
    for document, following, code in ((bytes(32), key("1").public.account, "Nothing"), (b"\2" * 32, NOBODY, "Nothing"),
                                      (b"\1" * 32, key("1").public.account, "Reused"), (b"\2" * 32, turn, "Reused")):
        signature = place.identities.signed(entry, 1, document, following, key("0"))
        refused(code, place.identities.update, sender, entry, document, following, signature)
    refused("Unknown", place.identities.update, sender, bytes(32), b"\2" * 32, turn, bytes(65))
    refused("Unknown", place.identities.revoke, sender, bytes(32), bytes(65))
    for wrong in (lambda: place.identities.register(sender, b"\1" * 31, turn), lambda: entry_of(b"", turn),
                  lambda: place.identities.register(sender, b"\1" * 32, turn[1:])):
        with pytest.raises(BadInput):
            wrong()


def test_a_revoked_identity_stays_revoked(place: Place) -> None:
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    now = place.later()
    revoke(place.identities, place.sender("anybody"), alice, alice.account.public.account)
    changed, _ = alice.rotate(1, random=counted("one"))
    with pytest.raises(Refuted, match="revoked"):
        publish(place.identities, place.of(alice), changed)
    key_now, following = changed.turn_keys()
    turn = following.public.account
    signature = place.identities.signed(entry, 2, digest(changed), turn, key_now)
    refused("Revoked", place.identities.update, place.of(alice), entry, digest(changed), turn, signature)
    refused("Revoked", place.identities.revoke, place.of(alice), entry, signature)
    place.later()
    assert place.identities.in_force(entry, now - 1) == (0, digest(alice))
    assert place.identities.in_force(entry, now) == (1, REVOKED)
    with pytest.raises(Undecidable):
        revoke(place.identities, place.of(alice), person("bob"), alice.account.public.account)


@pytest.mark.parametrize("lie", ["hide", "add", "value", "account", "block"])
def test_a_node_that_lies_about_events_is_noticed(place: Place, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    alice = person()
    entry, _ = publish(place.identities, place.of(alice), alice)
    publish(place.identities, place.of(alice), alice.rotate(1, random=counted("one"))[0])
    assert len(place.identities.history(entry)) == 2
    truth = registries.get_logs

    def bent(*given: object, **named: object) -> tuple[object, ...]:
        events = truth(*given, **named)  # type: ignore[arg-type]
        last = events[-1]
        data = last.log.data
        if lie == "hide":
            return events[:-1]
        if lie == "add":
            return (*events, last)
        changed = {"value": data[:32] + bytes(32) + data[64:], "account": data[:-1] + b"\0", "block": data}[lie]
        return (*events[:-1], replace(last, log=replace(last.log, data=changed),
                                      block_number=last.block_number - (lie == "block")))

    monkeypatch.setattr(registries, "get_logs", bent)
    with pytest.raises(OutsideFailed, match="not what the registry stores"):
        place.identities.history(entry)


# As a source of keys


def test_the_chain_says_which_document_is_the_newest(place: Place) -> None:
    alice = person()
    changed, rotation = alice.rotate(1, random=counted("one"))
    book = KeyBook([alice.history])
    keys = RegisteredKeys(book, place.identities, lambda did: (alice.account.public.account,))
    history: KeyHistory = keys
    old, new = (one.signer().sign(b"message") for one in (alice, changed))
    history.verify(alice.did, b"message", old)  # not registered: the key book alone
    assert keys.newest(alice.did) == digest(alice)
    entry, _ = publish(place.identities, place.of(alice), alice)
    history.verify(alice.did, b"message", old)
    first = place.later()
    publish(place.identities, place.of(alice), changed)
    assert keys.newest(alice.did) == digest(changed)
    with pytest.raises(Undecidable, match="newer document"):  # the chain knows more than this reader
        history.verify(alice.did, b"message", old)
    book.learn_rotation(rotation)
    history.verify(alice.did, b"message", new)
    with pytest.raises(Refuted):
        history.verify(alice.did, b"message", old)
    history.verify(alice.did, b"message", old, 0)
    assert (keys.version_at(alice.did, first - 1), keys.version_at(alice.did, first)) == (0, 1)
    with pytest.raises(Undecidable):
        keys.version_at(alice.did, START - 1)
    place.later()
    revoke(place.identities, place.of(alice), changed, alice.account.public.account)
    for asked in (lambda: keys.newest(alice.did), lambda: history.verify(alice.did, b"message", new),
                  lambda: keys.version_at(alice.did, place.chain.now())):
        with pytest.raises(Refuted, match="revoked"):
            asked()
    assert keys.version_at(alice.did, first) == 1  # what was signed before stays
    assert place.identities.history(entry)[-1].value == REVOKED


def test_a_fork_shown_to_the_chain_is_noticed(place: Place) -> None:
    """The holder publishes one change and shows another to this reader."""
    alice = person()
    ours, rotation = alice.rotate(1, random=counted("one"))
    theirs, _ = alice.rotate(1, random=counted("two"))
    publish(place.identities, place.of(alice), alice)
    publish(place.identities, place.of(alice), theirs)
    book = KeyBook([alice.history])
    book.learn_rotation(rotation)
    keys = RegisteredKeys(book, place.identities, lambda did: (alice.account.public.account,))
    with pytest.raises(Refuted, match="another document"):
        keys.verify(alice.did, b"message", ours.signer().sign(b"message"))
    assert signature_pairs(rotation)
    with pytest.raises(Refuted, match="another history"):
        publish(place.identities, place.of(alice), ours)


def test_the_newest_binding_that_leads_somewhere_counts(place: Place) -> None:
    alice, mallory = person(), place.sender("mallory")
    place.identities.register(mallory, digest(alice), key("m").public.account)
    publish(place.identities, place.of(alice), alice)
    own = alice.account.public.account
    keys = RegisteredKeys(KeyBook([alice.history]), place.identities, lambda did: (bytes(19) + b"\x99", own))
    assert keys.records(alice.did)[0].account == alice.turn_keys()[1].public.account
    with pytest.raises(Undecidable):
        keys.newest("did:peer:4zQm")


# Logs


def test_a_log_is_handed_over_with_its_history(place: Place) -> None:
    owner, heir = place.sender("owner"), place.sender("heir")
    place.logs.register(owner, ORIGIN, VKEY)
    entry = entry_of(origin_hash(ORIGIN), owner.account)
    first = place.logs.history(entry)
    assert first == (Record(key_hash(VKEY), owner.account, first[0].time, first[0].block),)
    place.later()
    place.logs.offer(owner, entry, heir.account)
    now = place.later()
    place.logs.accept(heir, entry, LATER)
    after = place.logs.history(entry)
    assert after[:1] == first
    assert (after[1].value, after[1].account, after[1].time) == (key_hash(LATER), heir.account, now)
    place.later()
    assert place.logs.owner_at(entry, now - 1) == (owner.account, key_hash(VKEY))
    assert place.logs.owner_at(entry, now) == (heir.account, key_hash(LATER))
    assert place.logs.owner_at_block(entry, after[1].block - 1)[0] == owner.account
    assert place.logs.owner_at_block(entry, after[1].block)[0] == heir.account


def test_who_owned_the_log_when_it_was_anchored(place: Place) -> None:
    owner, heir, stranger = (place.sender(name) for name in ("owner", "heir", "stranger"))

    def event(by: Sender, origin: str = ORIGIN) -> AnchorEvent:
        return AnchorEvent(bytes(20), by.account, origin_hash(origin), 1, bytes(32))

    check = place.logs.check_anchor_owner
    check(event(owner), 1, ORIGIN, owner.account)  # nobody registered it: whom the trust file names
    with pytest.raises(Refuted):
        check(event(heir), 1, ORIGIN, owner.account)
    place.logs.register(owner, ORIGIN, VKEY)
    entry = entry_of(origin_hash(ORIGIN), owner.account)
    place.logs.offer(owner, entry, heir.account)
    place.logs.accept(heir, entry, LATER)
    change = place.logs.history(entry)[1].block
    check(event(owner), change - 1, ORIGIN, owner.account)
    check(event(heir), change, ORIGIN, owner.account)
    for wrong, block in ((event(heir), change - 1), (event(owner), change), (event(stranger), change),
                         (event(heir, "example.org/other"), change)):
        with pytest.raises(Refuted, match="did not own"):
            check(wrong, block, ORIGIN, owner.account)


def test_nobody_takes_a_log_or_gives_one_away(place: Place) -> None:
    owner, heir, mallory = (place.sender(name) for name in ("owner", "heir", "mallory"))
    place.logs.register(mallory, ORIGIN, LATER)  # squatting: an entry of its own, which no trust file leads to
    place.logs.register(owner, ORIGIN, VKEY)
    entry = entry_of(origin_hash(ORIGIN), owner.account)
    refused("Exists", place.logs.register, owner, ORIGIN, LATER)
    refused("NotOwner", place.logs.offer, mallory, entry, mallory.account)
    refused("NotOffered", place.logs.accept, mallory, entry, LATER)
    refused("Unknown", place.logs.offer, mallory, bytes(32), mallory.account)
    place.logs.offer(owner, entry, heir.account)
    refused("NotOffered", place.logs.accept, mallory, entry, LATER)
    refused("NotOwner", place.logs.offer, heir, entry, heir.account)
    place.logs.offer(owner, entry, NOBODY)  # taken back
    refused("NotOffered", place.logs.accept, heir, entry, LATER)
    place.logs.offer(owner, entry, heir.account)
    place.logs.accept(heir, entry, LATER)
    refused("NotOffered", place.logs.accept, heir, entry, VKEY)  # an offer is good once
    refused("NotOwner", place.logs.offer, owner, entry, owner.account)
    place.logs.offer(heir, entry, heir.account)  # to itself: another key
    place.logs.accept(heir, entry, VKEY)
    assert [record.account for record in place.logs.history(entry)] == [owner.account, heir.account, heir.account]
