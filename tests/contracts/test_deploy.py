"""Deployments, and the port over the contract as a reader of events."""

from __future__ import annotations

from typing import Any

import pytest
from parts import CLAIM, CLIENT, HOUR, RIVAL, SALT, WORKER, begin, claims, refused, simple

from ports.books import MemoryWorld, account
from ports.evm_world import DEPLOYER, EvmWorld, call_data
from troth.core.errors import ActRefused, BadInput, OutsideFailed
from troth.core.terms import UPHELD, Result
from troth.ledger.anchors import AnchorEvent, anchor
from troth.ledger.artefacts import artefact
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.deploy import (
    BALLOTS,
    REVOCATIONS,
    SUPPLY,
    Contracts,
    Spec,
    deploy,
    extend,
    mandated,
    median,
    quorum,
    quote,
    vote,
)
from troth.ledger.erc20 import Erc20
from troth.ledger.evm import EvmBook, senders_of
from troth.ledger.sending import call


def test_deployment(world: EvmWorld) -> None:
    contracts = deploy(world.sender(DEPLOYER), reruns=(2, 3), signed=(), anchored=())
    assert sorted(contracts.named) == ["anchor", "assumed", "book", "forwarder", "identities", "keys", "licences",
                                       "logs", "preimage", "programs", "proof", "rerun:2", "rerun:3", "token"]
    contracts.check(world.web3)
    again = Contracts.decode(contracts.encode())
    assert again == contracts
    assert again["rerun:2"].codehash != again["rerun:3"].codehash
    assert Erc20(world.web3, contracts["token"].address).balance(DEPLOYER) == SUPPLY
    with pytest.raises(BadInput, match="no such contract"):
        contracts["jury"]
    with pytest.raises(BadInput):
        Contracts.decode(contracts.encode().replace(b'"version":1', b'"version":2'))
    with pytest.raises(BadInput):
        Contracts.decode(contracts.encode().replace(b'"Rerun"', b'"Other"'))
    swapped = Contracts.decode(contracts.encode().replace(contracts["anchor"].address.hex().encode(),
                                                          contracts["assumed"].address.hex().encode()))
    with pytest.raises(OutsideFailed, match="not the contract"):
        swapped.check(world.web3)


def test_a_contract_of_ours_under_anothers_name_or_made_otherwise_is_refused(world: EvmWorld) -> None:
    """What a sponsor's invitation may name: a bench that must be of one voice, so that one verifier of its own keeps
    every wrong aggregate standing; a tick within which no challenger is ever right; a registry, an anchor or a proof
    that believes its maker; and for the Book, which may take what is approved, something else."""
    sender = world.sender(DEPLOYER)
    contracts = deploy(sender, reruns=(2,), signed=(), anchored=())
    others = extend(sender, contracts, Spec("all", "Rerun", (("uint256", 3), ("uint128", 0))),
                    Spec("wide", "Rerun", (("uint256", 2), ("uint128", 1 << 100))),
                    Spec("deaf", "Assumed", (("uint128", 1),)),
                    *(Spec(name, contract, (("address", RIVAL),)) for name, contract in (
                        ("speaks", "Identities"), ("writes", "LogOwners"), ("dates", "Anchor"), ("believes", "Proof"))))
    for name, other in (("rerun:2", "all"), ("rerun:2", "wide"), ("rerun:2", "assumed"), ("assumed", "deaf"),
                        ("book", "forwarder"), ("anchor", "assumed"), ("identities", "speaks"), ("logs", "writes"),
                        ("anchor", "dates"), ("proof", "believes")):
        named = dict(contracts.named) | {name: others[other]}
        with pytest.raises(OutsideFailed, match=r"is not what it is called|is not Troth's"):
            Contracts(contracts.chain_id, contracts.block, named).check(world.web3)


def test_more_policies(world: EvmWorld) -> None:
    """What takes more than a number is deployed beside, under a name that is free."""
    sender = world.sender(DEPLOYER)
    contracts = deploy(sender, supply=None)
    more = extend(sender, contracts, quorum(2, 60, 500_000), median(3, 60, 500_000, 20_000, 5))
    assert more.named.keys() - contracts.named.keys() == {"quorum:2", "median:3"}
    more.check(world.web3)
    assert Contracts.decode(more.encode()) == more
    assert int.from_bytes(call(world.web3, more["median:3"].address, call_data("tick()")), "big") == 5
    both = extend(sender, more, BALLOTS, REVOCATIONS)
    last = extend(sender, both, vote(both["ballots"].address, 40_000), quote(2),
                  mandated("assumed", both["assumed"].address, both["revocations"].address, slashing=True),
                  mandated("preimage", both["preimage"].address, None, slashing=False))
    assert last.named.keys() - both.named.keys() == {"vote:40000:500000", "quote:2", "mandated:assumed",
                                                     "mandated:preimage"}
    last.check(world.web3)
    inner = call(world.web3, last["mandated:assumed"].address, call_data("innerHash()"))
    assert inner == last["assumed"].codehash
    with pytest.raises(BadInput, match="of this name"):
        extend(sender, more, quorum(2, 90, 0))


def test_anchor(world: EvmWorld) -> None:
    """Each owner's log only grows, and nobody writes for another."""
    where = world.make("Anchor", ("address", world.forwarder))
    sender = world.sender(DEPLOYER)
    sender._errors = artefact("Anchor").errors
    first = Checkpoint("example.org/log", 3, b"\x01" * 32)
    sent = anchor(sender, where, first)
    event = AnchorEvent.decode(where, sent.logs[0].log.topics, sent.logs[0].log.data)
    assert (event.owner, event.size, event.root) == (DEPLOYER, 3, b"\x01" * 32)
    for size in (3, 2):
        refused("NotLarger", anchor, sender, where, Checkpoint("example.org/log", size, b"\x02" * 32))
    refused("NoRoot", anchor, sender, where, Checkpoint("example.org/log", 4, bytes(32)))
    anchor(sender, where, Checkpoint("example.org/log", 4, b"\x02" * 32))
    anchor(sender, where, Checkpoint("example.org/other", 1, b"\x03" * 32))
    world.fund(RIVAL)
    other = anchor(world.sender(RIVAL), where, Checkpoint("example.org/log", 1, b"\x04" * 32))
    assert AnchorEvent.decode(where, other.logs[0].log.topics, other.logs[0].log.data).owner == RIVAL
    latest = call(world.web3, where, call_data("latest(address,bytes32)", DEPLOYER, event.origin))
    assert latest[:32] == b"\x02" * 32


def test_token(world: EvmWorld) -> None:
    """The whole supply is there from the start; nobody mints."""
    token = world.make("Credits", ("address", RIVAL), ("uint256", 5))
    assert Erc20(world.web3, token).total() == 5
    assert call(world.web3, token, call_data("decimals()"))[-1] == 6
    with pytest.raises(ActRefused):
        world.send(RIVAL, token, "mint(address,uint256)", RIVAL, 1)


def test_states_are_the_same_step_by_step(world: EvmWorld) -> None:
    """The contract's deal, read from its events, is MemoryBook's at every step."""
    memory = MemoryWorld(world.addresses, world.now())
    both: tuple[Any, Any] = (world, memory)
    deals = [begin(one, simple(one)) for one in both]
    assert deals[0] == deals[1]

    def same() -> None:
        states = [one.book.state(deals[0]) for one in both]
        assert states[0] == states[1]
        for who in (CLIENT, WORKER, RIVAL, world.addresses.book):
            assert world.balance(who) == memory.balance(who)

    same()
    for one in both:
        claims(one, deals[0], Result(UPHELD, slashed=frozenset({WORKER})))
    same()
    for one in both:
        one.advance(60)
        one.book.challenge(RIVAL, deals[0])
    same()
    for one in both:
        one.book.submit(account("judge 0"), deals[0], 0, 1, CLAIM, b"\x02")
        one.advance(2 * HOUR)
    same()
    for one in both:
        one.book.close(CLIENT, deals[0])
    same()
    assert world.book.opened() == (deals[0],)


def test_a_second_reader_sees_the_same(world: EvmWorld) -> None:
    """Terms and history come from the events alone: a reader that did nothing knows as much."""
    deal = begin(world, simple(world))
    other = EvmBook(world.web3, world.addresses.book, senders_of({}), chain_id=world.chain.chain_id)
    assert other.state(deal) == world.book.state(deal)
    claims(world, deal)
    assert other.state(deal) == world.book.state(deal)
    world.advance(HOUR)
    with pytest.raises(BadInput, match="no key"):
        other.close(RIVAL, deal)
    late = EvmBook(world.web3, world.addresses.book, senders_of({}), chain_id=world.chain.chain_id,
                   first_block=world.chain.head().number)
    with pytest.raises(OutsideFailed, match="first event is missing"):
        late.state(deal)


def test_a_node_that_hides_an_event_is_noticed(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    claims(world, deal)
    world.book.state(deal)
    world.book._seen[deal].history.pop()
    world.book._seen[deal].digest = b"\x00" * 32
    with pytest.raises(OutsideFailed, match="do not lead"):
        world.book.state(deal)
    # What was wrong is forgotten, so the next answer is read afresh.
    assert len(world.book.state(deal).history) == 2


def test_a_reorganisation_is_noticed(world: EvmWorld) -> None:
    """When the newest event seen is no longer there, everything is read again."""
    from dataclasses import replace  # only here

    deal = begin(world, simple(world))
    before = world.book.state(deal)
    seen = world.book._seen[deal]
    seen.last = replace(seen.last, block_hash=b"\x01" * 32)
    seen.history.clear()
    claims(world, deal)
    after = world.book.state(deal)
    assert len(after.history) == len(before.history) + 2


def test_refuses_what_no_contract_can_be_given(world: EvmWorld) -> None:
    deal = begin(world, simple(world))
    for act in (lambda: world.book.submit(WORKER, deal, 256, 0, CLAIM, b""),
                lambda: world.book.submit(WORKER, deal, 0, -1, CLAIM, b""),
                lambda: world.book.submit(WORKER, deal, 0, 0, b"short", b""),
                lambda: world.book.open(CLIENT, simple(world), b"short"),
                lambda: world.book.open(CLIENT, simple(world, token=b"short"), SALT)):
        with pytest.raises(BadInput):
            act()
