"""Deals read as ERC-8183 jobs: the states a marketplace sees at every point of a deal's life, and the events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.parts import CLIENT, HOUR, PAY, RIVAL, SALT, WORKER, begin, claims, refused, simple
from ports.evm_world import EvmWorld
from troth.core.encoding import keccak256
from troth.core.terms import REFUTED, UPHELD, Result, Split
from troth.ledger.jobs import EvmJobs

EVENTS = {keccak256(f"{name}({types})".encode()): name for name, types in (
    ("JobCreated", "uint256,address,address,address,uint256"), ("BudgetSet", "uint256,uint256"),
    ("JobFunded", "uint256,address,uint256"), ("JobSubmitted", "uint256,address,bytes32"),
    ("JobCompleted", "uint256,address,bytes32"), ("JobRejected", "uint256,address,bytes32"),
    ("JobExpired", "uint256"))}


@pytest.fixture
def jobs(world: EvmWorld) -> EvmJobs:
    return EvmJobs(world.book, world.make("Jobs", ("address", world.addresses.book)), world.sender)


def told(jobs: EvmJobs, deal: bytes) -> list[str]:
    """The names of the events that following emits now."""
    return [EVENTS[event.log.topics[0]] for event in jobs.follow(RIVAL, deal).logs]


def test_a_job_from_open_to_completed(world: EvmWorld, jobs: EvmJobs) -> None:
    terms = simple(world)
    for who in (CLIENT, WORKER):
        world.fund(who)
    deal = world.book.open(CLIENT, terms, SALT)
    refused("Unknown", jobs.job, deal)
    jobs.publish(RIVAL, deal, 0)
    found = jobs.job(deal)
    assert (found.deal, found.client, found.provider, found.evaluator) == (deal, CLIENT, WORKER, world.addresses.book)
    assert (found.budget, found.expired_at, found.status) == (PAY, terms.closes_by, "open")
    assert found.description == f"urn:troth:deal:0x{deal.hex()}"
    assert told(jobs, deal) == []
    world.book.join(CLIENT, deal, 0)
    assert jobs.job(deal).status == "open"
    world.book.join(WORKER, deal, 1)
    assert jobs.job(deal).status == "funded"
    assert told(jobs, deal) == ["JobFunded"]
    claims(world, deal)
    assert jobs.job(deal).status == "submitted"
    assert told(jobs, deal) == ["JobSubmitted"]
    world.until(terms.closes_by)
    world.book.close(RIVAL, deal)
    # How it ended is in the history alone.
    assert jobs.job(deal).status == "submitted"
    assert told(jobs, deal) == ["JobCompleted"]
    assert jobs.job(deal).status == "completed"
    assert told(jobs, deal) == []


def test_a_job_that_is_refuted_above(world: EvmWorld, jobs: EvmJobs) -> None:
    terms = simple(world)
    deal = begin(world, terms)
    jobs.publish(RIVAL, deal, 0)
    claims(world, deal)
    world.book.challenge(RIVAL, deal)
    judges = terms.rungs[1].bench
    for judge in judges:
        for slot in range(2):
            world.book.submit(judge, deal, 0, slot, b"\x11" * 32, b"\x00" + Result(REFUTED).to_bytes())
    world.book.judge(RIVAL, deal)
    world.until(terms.closes_by)
    world.book.close(RIVAL, deal)
    assert told(jobs, deal) == ["JobFunded", "JobSubmitted", "JobRejected"]
    assert jobs.job(deal).status == "rejected"


def test_silence_above_keeps_the_job_completed(world: EvmWorld, jobs: EvmJobs) -> None:
    """A challenge that nobody answers does not undo what was upheld."""
    terms = simple(world)
    deal = begin(world, terms)
    jobs.publish(RIVAL, deal, 0)
    claims(world, deal)
    world.book.challenge(RIVAL, deal)
    world.until(terms.closes_by)
    world.book.close(RIVAL, deal)
    assert told(jobs, deal)[-1] == "JobCompleted"


def test_a_job_that_nobody_did_and_one_never_funded(world: EvmWorld, jobs: EvmJobs) -> None:
    terms = simple(world)
    deal = begin(world, terms)
    jobs.publish(RIVAL, deal, 0)
    world.until(terms.closes_by)
    assert jobs.job(deal).status == "funded"
    world.book.close(RIVAL, deal)
    assert told(jobs, deal) == ["JobFunded", "JobExpired"]
    assert jobs.job(deal).status == "expired"
    other = replace(terms, fund_by=world.now() + HOUR)
    void = world.book.open(CLIENT, other, SALT)
    jobs.publish(RIVAL, void, 0)
    world.until(other.fund_by)
    world.book.close(RIVAL, void)
    assert jobs.job(void).status == "rejected"
    assert told(jobs, void) == ["JobRejected"]


def test_what_is_no_job_or_not_its_own(world: EvmWorld, jobs: EvmJobs) -> None:
    """Only a deal of this Book, with its own terms and history, whose provider is paid, and once."""
    terms = simple(world)
    deal = begin(world, terms)
    refused("NotAJob", jobs.publish, RIVAL, deal, 1)  # a stake pays nobody for good work
    refused("NotAJob", jobs.publish, RIVAL, deal, 2)  # a fee pot is nobody's
    refused("NotAJob", jobs.publish, RIVAL, deal, 3)
    other = replace(terms.pots[0], pays={UPHELD: Split((CLIENT,), amounts=(PAY,))})
    unpaid = world.book.open(CLIENT, replace(terms, pots=(other, *terms.pots[1:])), SALT)
    refused("NotAJob", jobs.publish, RIVAL, unpaid, 0)
    made_of, history = world.book.brought(deal)
    for bytes_ in (made_of[:-1] + b"\x09", made_of + b"\x00", made_of[:40], b""):
        refused("Unknown", jobs.send, RIVAL, "publish", ("bytes", "uint256"), (bytes_, 0))
    refused("Unknown", jobs.follow, RIVAL, deal)
    jobs.publish(RIVAL, deal, 0)
    claims(world, deal)
    refused("BadHistory", jobs.send, RIVAL, "follow", ("bytes", "bytes"), (made_of, history))
    refused("Published", jobs.publish, WORKER, deal, 0)
