"""Sums under CKKS: the port's suite, and what this way refuses. Whole under `make ckks`, which installs TenSEAL."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from ports.securesum_suite import SecureSumSuite
from ports.sums import World, drive, world
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.ckks import Ckks
from troth.learn.masking.port import SecureSum, Session, SumSite
from troth.learn.masking.wire import Message, Phase, block, bundle, sign

WAY = Ckks()
THERE = importlib.util.find_spec("tenseal") is not None
needs_tenseal = pytest.mark.skipif(not THERE, reason="needs TenSEAL: make ckks")


@needs_tenseal
class TestCkks(SecureSumSuite):
    @pytest.fixture
    def way(self) -> SecureSum:
        return WAY


@pytest.mark.skipif(THERE, reason="TenSEAL is there")
def test_without_tenseal_it_says_what_to_install() -> None:
    people = world(3)
    session = people.session()
    server, sites = WAY.server(session, people.keys), people.sites(WAY, session, people.vectors(session))
    with pytest.raises(Misuse, match=r"troth\[ckks\]"):
        drive(server, sites)


def test_bounds_that_it_would_not_sum_exactly_are_refused() -> None:
    people = world(4)
    session = people.session(bound=1 << 29)
    with pytest.raises(BadInput, match="exactly"):
        WAY.server(session, people.keys)
    with pytest.raises(BadInput, match="exactly"):
        people.sites(WAY, session, people.vectors(session))


@pytest.mark.parametrize("length", [10_000, 1_000_000])
def test_what_it_costs_against_masking(length: int) -> None:
    masked, encrypted = Bonawitz().cost(10, length), WAY.cost(10, length)
    assert encrypted.sent > 6 * masked.sent * (length > 100_000)
    assert encrypted.factor > 7


@needs_tenseal
def test_several_ciphertexts_to_the_unit() -> None:
    people = world(3)
    session = people.session(length=9_000, bound=1 << 24)
    vectors = people.vectors(session)
    server = WAY.server(session, people.keys)
    drive(server, people.sites(WAY, session, vectors))
    assert (server.result().total == np.sum(vectors, axis=0)).all()


def _until_keys(people: World) -> tuple[Session, dict[str, SumSite], Message]:
    session = people.session()
    sites = people.sites(WAY, session, people.vectors(session))
    server = WAY.server(session, people.keys)
    calls = server.calls()
    return session, sites, Message.from_bytes(sites[people.dids[0]].answer(calls[people.dids[0]]))


@needs_tenseal
def test_a_key_that_the_holder_did_not_sign() -> None:
    people = world(3)
    session, sites, found = _until_keys(people)
    forged = sign(people.signers[1], Phase.KEYS, session.id, 0, b"", list(found.parts.values()))
    own = sign(people.signers[1], Phase.KEYS, session.id, 1, b"", list(found.parts.values()))
    for wrong in (forged, own):
        with pytest.raises(Refuted, match="did not sign"):
            sites[people.dids[1]].answer(block("I", bundle(session.id, [wrong])) + block("I", b""))
    sites[people.dids[1]].answer(block("I", bundle(session.id, [found])) + block("I", b""))


@needs_tenseal
def test_the_holder_decrypts_once_and_only_for_enough() -> None:
    people = world(4)
    session = people.session()
    vectors = people.vectors(session)
    sites, server = people.sites(WAY, session, vectors), WAY.server(session, people.keys)
    drive(server, sites, steps=2)
    holder, call = people.dids[0], server.calls()[people.dids[0]]
    few = [message.with_parts(()) for message, _ in server._sent.values()][:2]
    reader_rest = call[4 + int.from_bytes(call[:4], "little"):]
    with pytest.raises(Undecidable, match="too few"):
        sites[holder].answer(block("I", bundle(session.id, few)) + reader_rest)
    server.take({holder: sites[holder].answer(call)})
    assert (server.result().total == np.sum(vectors, axis=0)).all()
    with pytest.raises(Misuse, match="already"):
        sites[holder].answer(block("I", bundle(session.id, [
            message.with_parts(()) for message, _ in server._sent.values()][:3])) + reader_rest)


@needs_tenseal
def test_ciphertexts_that_are_none_count_as_absent() -> None:
    people = world(4)
    session = people.session()
    vectors = people.vectors(session)
    sites, server = people.sites(WAY, session, vectors), WAY.server(session, people.keys)
    junk = sign(people.signers[2], Phase.MASKED, session.id, 2, bytes(32), [block("I", b"junk")]).to_bytes()
    drive(server, sites, lambda step, did, answer: junk if step == 2 and did == people.dids[2] else answer)
    assert server.result().dropped == (people.dids[2],)
    with pytest.raises(Refuted):
        server._summed((4).to_bytes(4, "little") + bytes(range(4)) + bytes(8 * session.length))
