"""Identities whose keys are lost, stolen, or wanted by their own guardians: who gets what, and who believes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from places import PASSPHRASE, Place, attest, meet

from troth.app import Settings, Troth, verify_bundle
from troth.app.guarding import (
    Case,
    approve,
    execute,
    open_case,
    overrule,
    proposals,
    propose,
    recover,
    set_guardians,
)
from troth.app.keys import date, good, revoke, rotate, standing
from troth.core.errors import ActRefused, BadInput, Misuse, Pending, Refuted, Undecidable
from troth.core.verdicts import Outcome
from troth.identity.binding import bind
from troth.identity.documents import Recovery
from troth.identity.hybrid import HybridIdentity
from troth.identity.keys import Secp256k1KeyPair
from troth.identity.keystore import MIN_COST
from troth.ledger.exchange import Parcel
from troth.ledger.guardians import MAX_DELAY, MIN_DELAY, Guardians, Proposal, Quorum, proposal_for
from troth.ledger.registries import entry_of

DAY = 86_400
WEEK = 7 * DAY


class Circle:
    """Alice, her three guardians, and Bob who knows her; all on one chain with one registry."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.alice = place.make("alice")
        self.contracts = self.alice.deploy()
        self.guardians = [place.make(f"guardian{n}") for n in range(3)]
        self.bob = place.make("bob")
        for one in (*self.guardians, self.bob):
            one.use_contracts(self.contracts)
        self.quorum = Quorum.of(2, WEEK, [one.account for one in self.guardians])
        done, card = set_guardians(self.alice, PASSPHRASE, self.quorum)
        assert done.published
        assert card is not None
        self.card = Case.from_bytes(card.to_bytes())
        meet(self.alice, *self.guardians, self.bob)

    def lose(self, name: str = "new") -> tuple[Troth, Case]:
        """Alice's keys are lost. The first guardian opens the case, and she makes fresh ones."""
        opened = Case.from_bytes(open_case(self.guardians[0], self.card).to_bytes())
        party, case = recover(opened, self.place.root / name, PASSPHRASE,
                              Settings(name, "", str(self.place.root / "exchange")), cost=MIN_COST,
                              clock=self.place.clock, chain=self.place.chain)
        self.place.open_.append(party)
        party.use_contracts(self.contracts)
        return party, Case.from_bytes(case.to_bytes())

    def signed(self, case: Case, *places: int) -> list[bytes]:
        return [approve(self.guardians[n], case) for n in places or (0, 2)]

    def later(self, seconds: int) -> None:
        self.place.clock.advance(seconds)


@pytest.fixture
def circle(place: Place) -> Circle:
    return Circle(place)


def refused(code: str, act: Callable[[], object]) -> None:
    with pytest.raises(ActRefused) as error:
        act()
    assert error.value.code == code


def test_lost_keys_come_back(circle: Circle, place: Place) -> None:
    alice, bob = circle.alice, circle.bob
    before = attest(alice, "before")
    alice.send([bob.did], [before])
    bob.receive()
    alice.anchor()
    anchored = date(alice, before)
    new, case = circle.lose()
    assert new.did == alice.did
    assert new.account != alice.account
    claim = attest(new, "after")
    # Nobody believes it yet.
    new.send([bob.did], [claim])
    assert bob.receive() == ()
    assert "has not recorded this recovery" in str(bob.refused[0][1])
    due = propose(circle.guardians[1], case, circle.signed(case))
    assert due == place.chain.now() + WEEK or due > place.clock.now()
    with pytest.raises(Pending, match="may still say no"):
        execute(new, case)
    circle.later(WEEK - 60)
    refused("NotDue", lambda: Guardians(new.identities).execute(
        new.sender, case.entry(), case.document()[1], circle.quorum))
    circle.later(120)
    execute(bob, case)  # anybody
    execute(bob, case)  # again is a no-op
    # Everybody who asks the registry believes it now, and says how it came about.
    new.register()
    new.introduce(bob.did)
    new.send([bob.did], [claim])
    assert claim in bob.receive()
    assert not bob.refused
    assert standing(bob, alice.did).recoveries == {2: "2 of 3 guardians"}
    assert standing(bob, alice.did).state == "in force"
    # Bob opens his workspace anew, and it still stands.
    assert place.again("bob").keybook.history(alice.did).recoveries == {2: Recovery(2, 3)}
    # What was signed before is as good as it was, and the old keys are refused.
    assert "version 1" in good(bob, anchored)[1]
    with pytest.raises(Refuted):
        bob.keybook.verify(alice.did, b"x", alice.identity.signer().sign(b"x"))
    # A bundle of the recovered identity: upheld where the trust file takes the recovery on, and it says so.
    new.anchor()
    new.bundle(claim, place.root / "b")
    report = verify_bundle(place.root / "b", bob.trust({"issuer": (new.did,)}, new.log_pin(), {"name": "attested"}))
    assert report.outcome is Outcome.UPHELD
    assert f"version 2 of {new.did} was made by 2 of 3 guardians" in next(
        step.detail for step in report.steps if step.n == 3)
    # It is not the old log under another key.
    assert new.log.origin == alice.log.origin + "/2"
    # It goes on like any identity: a change of keys, published under the entry of the old account.
    assert rotate(new, PASSPHRASE).published
    assert bob.records_of(alice.did)[3].value == new.identity.history.head.digest
    carol = place.make("carol")  # who meets it only now
    carol.use_contracts(circle.contracts)
    new.introduce(carol.did)
    carol.receive()
    assert not carol.refused
    assert standing(carol, new.did).recoveries == {2: "2 of 3 guardians"}


def test_a_bundle_with_a_recovery_that_nobody_vouches_for(circle: Circle, place: Place) -> None:
    """Offline: no trust file, one that does not pin this identity, and one that pins the document before."""
    new, case = circle.lose()
    old = circle.bob.trust({"issuer": (new.did,)}, new.log_pin(), {"name": "attested"})
    propose(new, case, circle.signed(case))
    circle.later(WEEK)
    execute(new, case)
    claim = attest(new, "after")
    new.anchor()
    new.bundle(claim, place.root / "b")
    for trust in (None, old, replace(old, documents={})):
        report = verify_bundle(place.root / "b", trust)
        assert report.outcome is Outcome.UNDECIDABLE
        assert [step.n for step in report.steps if step.outcome is Outcome.UNDECIDABLE] == [3]


def test_the_holder_overrules(circle: Circle) -> None:
    """Guardians collude; the holder, who lost nothing, says no within the delay."""
    alice = circle.alice
    new, case = circle.lose()
    assert proposals(alice) == ()
    with pytest.raises(Misuse, match="nothing is proposed"):
        overrule(alice, PASSPHRASE)
    propose(new, case, circle.signed(case, 0, 1))
    assert [one.document for one in proposals(alice)] == [new.identity.history.head.digest]
    circle.later(WEEK - 60)
    assert overrule(alice, PASSPHRASE).published
    assert proposals(alice) == ()
    circle.later(WEEK)
    refused("NotProposed", lambda: execute(new, case))
    # The same signatures are for a version that is over.
    refused("TooFew", lambda: new.identities.do(
        new.sender, PROPOSE, KINDS, case.entry(), *proposed(case), circle.quorum.abi(), packed(circle, case)))
    with pytest.raises(Undecidable, match="newer document"):
        approve(circle.guardians[0], case)


def test_colluding_guardians_take_it_over_if_the_holder_sleeps(circle: Circle) -> None:
    """Said in the page: k guardians can, after the delay. What Alice's keys could do then is nothing."""
    alice = circle.alice
    thief, case = circle.lose("thief")
    propose(thief, case, circle.signed(case, 1, 2))
    circle.later(WEEK)
    execute(thief, case)
    with pytest.raises(Refuted, match="another history"):
        rotate(alice, PASSPHRASE)
    with pytest.raises(ActRefused):
        alice.revoke_entry()
    assert alice.identity.history.head.version == 1  # and no key of hers was spent


def test_fewer_than_k_get_nothing(circle: Circle) -> None:
    new, case = circle.lose()
    (one,) = circle.signed(case, 0)
    stranger = Guardians(new.identities).approval(case.entry(), case.document()[1], new.identity.account)
    for signatures in ([], [one], [one, one], [one, stranger], [one, bytes(65)]):
        with pytest.raises(Misuse, match="too few"):
            propose(new, case, signatures)
    entry, (document, turn) = case.entry(), proposed(case)
    place = circle.quorum.accounts.index(circle.guardians[0].account)
    for approvals in ([], [(place, one)], [(place, one), (place, one)], [(place, one), ((place + 1) % 3, one)],
                      [(place, one), (3, stranger)], [(place, one), (place, stranger)]):
        refused("TooFew", lambda approvals=approvals: new.identities.do(  # type: ignore[misc]
            new.sender, PROPOSE, KINDS, entry, document, turn, circle.quorum.abi(), approvals))
    # Nor with a quorum of one's own, nor of whom the holder named but with a smaller k or a shorter delay.
    for other in (Quorum.of(1, WEEK, [new.account]), replace(circle.quorum, k=1), replace(circle.quorum, delay=DAY)):
        refused("NoGuardians", lambda other=other: new.identities.do(  # type: ignore[misc]
            new.sender, PROPOSE, KINDS, entry, document, turn, other.abi(), [(place, one)]))
    refused("NotProposed", lambda: execute(new, case))


def test_signatures_are_good_for_one_proposal_alone(circle: Circle, place: Place) -> None:
    """Not for another identity, chain, registry, version, document or turn account."""
    new, case = circle.lose()
    guardians, entry, proposal = Guardians(new.identities), case.entry(), case.document()[1]
    good_ones = circle.signed(case, 0, 1)
    # Another identity with the very same guardians, at the same version.
    eve = place.make("eve")
    eve.use_contracts(circle.contracts)
    set_guardians(eve, PASSPHRASE, circle.quorum)
    for where, what in ((eve.entry(), proposal), (entry, replace(proposal, document=bytes([1]) * 32)),
                        (entry, replace(proposal, turn=bytes([1]) * 20)),
                        (entry, replace(proposal, version=proposal.version + 1))):
        with pytest.raises(Misuse, match="too few"):
            guardians.propose(new.sender, where, what, circle.quorum, good_ones)
    # A proposal for a version that is not next: signed by guardians, and by none in the contract's eyes.
    ahead = replace(proposal, version=proposal.version + 1)
    signed = [guardians.approval(entry, ahead, one.identity.account) for one in circle.guardians[:2]]
    refused("TooFew", lambda: guardians.propose(new.sender, entry, ahead, circle.quorum, signed))
    # Once proposed, it is not proposed again: nobody can begin the delay anew.
    guardians.propose(new.sender, entry, proposal, circle.quorum, good_ones)
    due = guardians.due(entry, proposal)
    circle.later(DAY)
    again = circle.signed(case, 0, 2)
    refused("Proposed", lambda: guardians.propose(new.sender, entry, proposal, circle.quorum, again))
    # Nor does another proposal beside it.
    other, second = circle.lose("other")
    propose(other, second, circle.signed(second))
    assert guardians.due(entry, proposal) == due
    assert len(proposals(circle.alice)) == 2
    circle.later(WEEK - DAY)
    execute(new, case)
    circle.later(DAY)
    refused("NotProposed", lambda: execute(other, second))


def test_what_a_recovery_cannot_say(circle: Circle) -> None:
    """Guardians do not sign, and readers do not believe, a document that breaks a rule."""
    _, case = circle.lose()
    assert case.proposed is not None
    rotation, turn = case.proposed
    half = type(rotation)(rotation.payload, rotation.signatures[:1])
    for bad in (replace(case, proposed=(half, turn)),
                replace(case, quorum=replace(case.quorum, k=1)),
                replace(case, quorum=replace(case.quorum, k=3)),
                replace(case, proposed=(HybridIdentity.recover(case.history(), Recovery(3, 3), 1)[1], turn)),
                replace(case, proposed=(circle.alice.identity.rotate(1)[1], turn)),
                replace(case, proposed=(HybridIdentity.recover(
                    circle.bob.identity.rotate(1, place=bytes(32))[0].history, Recovery(2, 3), 1)[1], turn))):
        with pytest.raises((Refuted, BadInput)):
            approve(circle.guardians[0], bad)
    with pytest.raises(Misuse, match="no guardian"):
        approve(circle.bob, case)
    with pytest.raises(Misuse, match="nothing is proposed"):
        replace(case, proposed=None).document()
    # Guardians who record another document than the one they show: readers refuse what they are shown.
    liar, other = circle.lose("liar")
    propose(liar, other, circle.signed(other))
    circle.later(WEEK)
    execute(liar, other)
    with pytest.raises(Refuted, match="does not say that guardians made this document"):
        circle.bob.ask_guardians(case.history(), case.document()[0], ())
    # And a holder's own change of keys is no recovery.
    claimed = replace(other.document()[0], recovery=Recovery(3, 3))
    with pytest.raises(Refuted, match="by 2 of 3 guardians"):
        circle.bob.ask_guardians(other.history(), claimed, ())


def test_an_end_is_not_recovered(circle: Circle) -> None:
    new, case = circle.lose()
    propose(new, case, circle.signed(case))
    revoke(circle.alice, PASSPHRASE)
    circle.later(WEEK)
    refused("Revoked", lambda: execute(new, case))
    refused("Revoked", lambda: new.identities.do(
        new.sender, PROPOSE, KINDS, case.entry(), *proposed(case), circle.quorum.abi(), []))


def test_guardians_can_be_left_and_changed(circle: Circle) -> None:
    new, case = circle.lose()
    propose(new, case, circle.signed(case))
    guardians, entry = Guardians(circle.alice.identities), case.entry()
    done, card = set_guardians(circle.alice, PASSPHRASE, None)
    assert (done.published, card) == (True, None)
    assert guardians.named(entry) == bytes(32)
    circle.later(WEEK)
    refused("NoGuardians", lambda: execute(new, case))
    set_guardians(circle.alice, PASSPHRASE, replace(circle.quorum, k=3))
    assert guardians.named(entry) == replace(circle.quorum, k=3).hash
    rotate(circle.alice, PASSPHRASE)  # a plain change of keys leaves them as they are
    assert guardians.named(entry) == replace(circle.quorum, k=3).hash
    meet(circle.alice, circle.guardians[0])
    with pytest.raises(Refuted, match="other guardians"):
        open_case(circle.guardians[0], circle.card)


def test_a_thief_of_the_chain_account_changes_no_guardians(circle: Circle) -> None:
    """It has Alice's account and her keys in use, not those committed to."""
    alice = circle.alice
    entry, guardians = alice.entry(), Guardians(alice.identities)
    own = Quorum.of(1, DAY, [alice.account])
    thief = HybridIdentity(alice.identity.history, alice.identity.current, alice.identity.current,
                           alice.identity.account)
    proposal = Proposal(2, bytes([1]) * 32, bytes([2]) * 20)
    for key in (thief.turn_keys()[0], thief.turn_keys()[1], alice.identity.account):
        refused("BadSignature", lambda key=key: guardians.guard(  # type: ignore[misc]
            alice.sender, entry, proposal, own.hash, key))
    # What the holder signed for one set of guardians is good for no other, and not for a plain change of keys.
    changed, _ = alice.identity.rotate(1)
    proposal = proposal_for(changed)
    signature = alice.identities.signed(entry, 2, proposal.document, proposal.turn, alice.identity.turn_keys()[1])
    refused("BadSignature", lambda: alice.identities.do(
        alice.sender, GUARD, GUARD_KINDS, entry, proposal.document, proposal.turn, own.hash, signature))
    assert guardians.named(entry) == circle.quorum.hash


def test_a_thief_of_the_keys_in_use_makes_guardians_of_its_own(circle: Circle, place: Place) -> None:
    """It binds an account of its own, begins an entry there with its own turn key and guardians, and recovers.

    All of that it can do, in the registry. No reader believes it: the document before names another entry, or none.
    """
    alice, bob, registry = circle.alice, circle.bob, circle.bob.identities
    thief, own = place.make("thief"), Secp256k1KeyPair(b"\1" * 32)
    thief.use_contracts(circle.contracts)
    quorum, guardians = Quorum.of(1, DAY, [thief.account]), Guardians(registry)
    genesis = alice.identity.history.documents[0].digest
    registry.register(thief.sender, genesis, own.public.account)
    entry = entry_of(genesis, thief.account)
    head = alice.identity.history.head
    guardians.guard(thief.sender, entry, Proposal(1, head.digest, b"\2" * 20), quorum.hash, own)
    forged, rotation = HybridIdentity.recover(alice.identity.history, Recovery(1, 1), 1)
    proposal = proposal_for(forged)
    approval = guardians.approval(entry, proposal, thief.identity.account)
    guardians.propose(thief.sender, entry, proposal, quorum, [approval])
    circle.later(DAY)
    guardians.execute(thief.sender, entry, proposal, quorum)
    stolen = bind(alice.identity.signer(), thief.identity.account, circle.contracts.chain_id, place.clock.now())
    carol = place.make("carol")  # who never met Alice, and is shown only this
    carol.use_contracts(circle.contracts)
    said = (*alice.identity.history.rotations, stolen, rotation)
    for reader in (bob, carol):
        with pytest.raises(Undecidable, match="nothing here leads to the entry that it names"
                           if reader is carol else "has not recorded this recovery"):
            reader.meet(Parcel((alice.identity.genesis,), said))
        assert not reader.known(alice.did) or reader.keybook.head(alice.did)[0] == 1


def test_a_thief_of_the_keys_in_use_hides_no_end(circle: Circle, place: Place) -> None:
    """It binds the identity to an account of its own, in whose entry nothing ends. Bob goes by the one that he knew."""
    alice, bob = circle.alice, circle.bob
    thief = place.make("thief")
    thief.use_contracts(circle.contracts)
    genesis, first = alice.identity.history.documents
    registry, entry = thief.identities, entry_of(genesis.digest, thief.account)
    one, two = (Secp256k1KeyPair(bytes([n]) * 32) for n in (1, 2))
    registry.register(thief.sender, genesis.digest, one.public.account)
    registry.update(thief.sender, entry, first.digest, two.public.account,
                    registry.signed(entry, 1, first.digest, two.public.account, one))
    binding = bind(alice.identity.signer(), thief.identity.account, thief.contracts.chain_id, place.clock.now())
    thief.exchange.send(bob.did, Parcel((), (binding,)))
    assert bob.receive() == (binding.id,)
    assert bob.newest_document(alice.did) == first.digest
    revoke(alice, PASSPHRASE)
    assert standing(bob, alice.did).state == "ended"
    with pytest.raises(Refuted, match="was revoked"):
        bob.newest_document(alice.did)


@pytest.mark.parametrize("bad", [
    (0, WEEK, 3), (4, WEEK, 3), (2, MIN_DELAY - 1, 3), (2, MAX_DELAY + 1, 3), (1, WEEK, 17), (1, WEEK, 0)])
def test_no_quorum(circle: Circle, bad: tuple[int, int, int]) -> None:
    """The same in Python and in the contract."""
    k, delay, n = bad
    accounts = [bytes([1 + at]) * 20 for at in range(n)]
    with pytest.raises((BadInput, IndexError)):
        Quorum.of(k, delay, accounts)
    refused("BadQuorum", lambda: circle.bob.identities.ask(
        "hashOf((uint8,uint32,address[]))", ("(uint8,uint32,address[])",), (k, delay, accounts)))


def test_quorums_have_one_hash(circle: Circle) -> None:
    accounts = [bytes([9 - at]) * 20 for at in range(3)]
    quorum = Quorum.of(2, WEEK, accounts)
    asked = circle.bob.identities.ask("hashOf((uint8,uint32,address[]))", ("(uint8,uint32,address[])",), quorum.abi())
    assert asked == quorum.hash
    assert Quorum.from_json(quorum.json()) == quorum
    for twice in ((accounts[0], accounts[0]), tuple(accounts), (bytes(20), accounts[0])):
        with pytest.raises(BadInput):
            Quorum(1, WEEK, twice)
        refused("BadQuorum", lambda twice=twice: circle.bob.identities.ask(  # type: ignore[misc]
            "hashOf((uint8,uint32,address[]))", ("(uint8,uint32,address[])",), (1, WEEK, list(twice))))


PROPOSE = "propose(bytes32,bytes32,address,(uint8,uint32,address[]),(uint8,bytes)[])"
KINDS = ("bytes32", "bytes32", "address", "(uint8,uint32,address[])", "(uint8,bytes)[]")
GUARD = "guard(bytes32,bytes32,address,bytes32,bytes)"
GUARD_KINDS = ("bytes32", "bytes32", "address", "bytes32", "bytes")


def proposed(case: Case) -> tuple[bytes, bytes]:
    _, proposal = case.document()
    return proposal.document, proposal.turn


def packed(circle: Circle, case: Case) -> list[tuple[int, bytes]]:
    """The approvals of the first two guardians as the contract takes them, whatever the registry says now."""
    guardians = Guardians(circle.bob.identities)
    found = {one.account: guardians.approval(case.entry(), case.document()[1], one.identity.account)
             for one in circle.guardians[:2]}
    return [(at, found[account]) for at, account in enumerate(circle.quorum.accounts) if account in found]
