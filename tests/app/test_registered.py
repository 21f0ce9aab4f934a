"""Registries as a workspace uses them: register, read another's, pin what the chain says to be the newest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from troth.app import Settings, Troth, file_subject
from troth.app.resolving import resolve_for
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity.keystore import MIN_COST
from troth.identity.resolution import When
from troth.ledger.chains.clocks import ManualClock
from troth.ledger.chains.embedded import EmbeddedChain
from troth.ledger.deploy import Contracts
from troth.ledger.registries import REVOKED, key_hash, publish
from troth.verify.policies.anchored import is_final, prove

PASSPHRASE = "correct horse"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Troth, Troth]]:
    """Alice and Bob on one chain, who know each other's documents and bindings."""
    clock = ManualClock(1_700_000_000)
    chain = EmbeddedChain(None, clock=clock)
    settings = Settings("one", "", str(tmp_path / "exchange"))
    alice, bob = (Troth.init(tmp_path / name, PASSPHRASE, settings, cost=MIN_COST, clock=clock, chain=chain)
                  for name in ("alice", "bob"))
    bob.use_contracts(alice.deploy())
    alice.register()
    alice.introduce(bob.did)
    bob.introduce(alice.did)
    for one in (alice, bob):
        one.receive()
    yield alice, bob
    alice.close()
    bob.close()
    chain.close()


def test_registering_again_sends_nothing_and_makes_no_second_binding(pair: tuple[Troth, Troth]) -> None:
    alice, bob = pair
    size = alice.log.size
    entry, sent = alice.register()
    assert (sent, alice.log.size) == (0, size)
    assert [record.value for record in bob.records_of(alice.did)] == [alice.keybook.head(alice.did)[1]]
    assert alice.identities.history(entry) == bob.records_of(alice.did)
    assert bob.records_of(bob.did) == ()


def test_a_trust_file_pins_what_the_chain_says_is_the_newest(pair: tuple[Troth, Troth]) -> None:
    """Bob never saw Alice's change of keys; his trust file asks for it all the same."""
    alice, bob = pair
    roles = {"issuer": (alice.did, bob.did)}

    def pinned() -> bytes:
        return bob.trust(roles, bob.log_pin(), {"name": "attested"}).documents[alice.did]

    old = alice.keybook.head(alice.did)[1]
    assert pinned() == old
    changed, rotation = alice.identity.rotate(1)
    publish(alice.identities, alice.sender, changed)
    assert bob.keybook.head(alice.did)[1] == old
    assert pinned() == changed.history.head.digest
    with pytest.raises(Undecidable, match="newer document"):
        bob.registered.verify(alice.did, b"x", alice.identity.signer().sign(b"x"))
    bob.keybook.learn_rotation(rotation)
    bob.registered.verify(alice.did, b"x", changed.signer().sign(b"x"))


def test_a_revoked_identity_gets_into_no_trust_file(pair: tuple[Troth, Troth]) -> None:
    alice, bob = pair
    alice.revoke_entry()
    assert bob.records_of(alice.did)[-1].value == REVOKED
    with pytest.raises(Refuted, match="revoked"):
        bob.trust({"issuer": (alice.did,)}, bob.log_pin(), {"name": "attested"})
    with pytest.raises(Refuted, match="revoked"):
        alice.register()


def test_a_log_has_its_owner(pair: tuple[Troth, Troth]) -> None:
    alice, bob = pair
    (record,) = bob.log_owners.history(alice.register_log())
    assert (record.account, record.value) == (alice.account, key_hash(alice.log.key.vkey()))


def test_a_claim_is_proven_to_another_chain(pair: tuple[Troth, Troth]) -> None:
    """A real log, hybrid signatures, and its anchor: what Anchored makes of it."""
    alice, _ = pair
    claim = alice.attest("dataset", [file_subject("it", b"x")], {"rows": 1})
    with pytest.raises(Undecidable, match="never anchored"):
        alice.proof_across(claim)
    alice.anchor()
    proof = alice.proof_across(claim)
    block = prove(proof.shown.param(), b"".join(proof.parts(1)))
    assert block is not None
    assert is_final(alice.chain, block)
    assert proof.shown.claim == claim
    later = alice.attest("dataset", [file_subject("it", b"y")], {"rows": 2})
    with pytest.raises(Undecidable, match="does not anchor"):
        alice.proof_across(later)
    with pytest.raises(Undecidable, match="not in the log"):
        alice.proof_across(bytes(32))


def test_contracts_without_registries(pair: tuple[Troth, Troth]) -> None:
    """A workspace whose contracts are older: trust files pin what it knows, and registering says what is missing."""
    alice, bob = pair
    named = {name: one for name, one in alice.contracts.named.items() if name not in ("identities", "logs")}
    bob.use_contracts(Contracts(alice.contracts.chain_id, alice.contracts.block, named))
    assert bob.trust({"issuer": (alice.did,)}, bob.log_pin(), {"name": "attested"}).documents[alice.did] == \
        bob.keybook.head(alice.did)[1]
    for act in (bob.register, bob.register_log, lambda: bob.records_of(alice.did)):
        with pytest.raises(BadInput, match="no such contract"):
            act()


def test_a_hybrid_identity_is_resolved_as_of_a_time(pair: tuple[Troth, Troth]) -> None:
    """Bob resolves Alice by the registry's times; without her later documents he is told so, not given old keys."""
    alice, bob = pair
    (first,) = bob.records_of(alice.did)
    clock = alice.clock
    assert isinstance(clock, ManualClock)
    clock.advance(100)
    changed, rotation = alice.identity.rotate(1)
    publish(alice.identities, alice.sender, changed)
    later = bob.records_of(alice.did)[1]
    assert resolve_for(bob, alice.did, When(time=first.time)).metadata["versionId"] == "0"
    with pytest.raises(Undecidable):
        resolve_for(bob, alice.did, When(time=later.time))
    bob.keybook.learn_rotation(rotation)
    found = [resolve_for(bob, alice.did, When(time=time)).metadata["versionId"]
             for time in (first.time, later.time - 1, later.time)]
    assert found == ["0", "0", "1"]
    with pytest.raises(Undecidable):
        resolve_for(bob, alice.did, When(time=first.time - 1))
