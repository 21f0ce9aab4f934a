"""Masked sums: the right sum whoever drops out when, the transcript, and that views tell nothing but the sum."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports.securesum_suite import SecureSumSuite
from ports.sums import World, drive, seeded, total, world
from troth.core.errors import BadInput, Misuse, Refuted, TrothError, Undecidable
from troth.fixed.numbers import IntArray
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.learn.engines.inprocess import InProcessEngine
from troth.learn.masking import masks
from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.port import SecureSum, Session, over, run
from troth.learn.masking.server import BonawitzServer, _pair_seeds, _secret, check_transcript, self_seed
from troth.learn.masking.terms import default_threshold
from troth.learn.masking.wire import Message, Phase, unbundle

WAY = Bonawitz()
STEPS = len(Phase)


class TestBonawitz(SecureSumSuite):
    @pytest.fixture
    def way(self) -> SecureSum:
        return WAY


@pytest.fixture(scope="module")
def five() -> World:
    return world(5)


def finished(people: World, change: Callable[[int, str, bytes], bytes | None] | None = None,
             session: Session | None = None) -> tuple[Session, BonawitzServer, list[IntArray]]:
    session = session or people.session()
    vectors = people.vectors(session)
    server = WAY.server(session, people.keys)
    drive(server, people.sites(WAY, session, vectors), change)
    return session, server, vectors


@settings(max_examples=int(os.environ.get("TROTH_MASKING", "15")), deadline=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_sum_is_right_whoever_drops_out_when(data: st.DataObject) -> None:
    people = world(data.draw(st.integers(3, 6)))
    threshold = data.draw(st.integers(len(people.signers) // 2 + 1, len(people.signers)))
    session = people.session(3, threshold, bound=data.draw(st.sampled_from([1, 1 << 20, 1 << 30, 1 << 48])))
    vectors = people.vectors(session, data.draw(st.integers(0, 999)))
    leavers = data.draw(st.lists(st.sampled_from(people.dids), unique=True,
                                 max_size=len(people.signers) - threshold + data.draw(st.sampled_from([0, 0, 0, 1]))))
    last = {did: data.draw(st.integers(1, STEPS)) if did in leavers else STEPS + 1  # silent from this step on
            for did in people.dids}
    server = WAY.server(session, people.keys)
    sites = people.sites(WAY, session, vectors)
    enough = all(sum(step < at for at in last.values()) >= threshold for step in range(1, STEPS + 1))
    try:
        drive(server, sites, lambda step, did, answer: answer if step < last[did] else None)
    except Undecidable:
        assert not enough
        return
    assert enough
    found = server.result()
    assert found.included == tuple(did for did in people.dids if last[did] > Phase.MASKED)
    assert (found.total == total(people, vectors, found)).all()
    assert found.faults == ()
    assert check_transcript(server.transcript(), people.keys, session) == found


def test_hybrid_identities_and_a_million_words() -> None:
    owners = sorted((HybridIdentity.create() for _ in range(3)), key=lambda one: one.did)
    people = World([one.signer() for one in owners], KeyBook([one.history for one in owners]))
    session = people.session(length=300_001, threshold=2)
    _, server, vectors = finished(people, lambda step, did, answer: (
        None if step >= Phase.MASKED and did == people.dids[1] else answer), session)
    found = server.result()
    assert (found.total == vectors[0] + vectors[2]).all()
    assert found.dropped == (people.dids[1],)


def test_who_leaves_after_masking_is_in_the_sum(five: World) -> None:
    leaver = five.dids[3]
    _, server, vectors = finished(five, lambda step, did, answer: (
        None if step > Phase.MASKED and did == leaver else answer))
    assert server.result().included == five.dids
    assert (server.result().total == np.sum(vectors, axis=0)).all()


def test_over_an_engine_where_one_site_fails_at_its_vector(five: World) -> None:
    session = five.session()
    vectors = five.vectors(session)
    sites = five.sites(WAY, session, vectors)
    server = BonawitzServer(session, five.keys, alike=True)
    told: list[str] = []
    failing = five.dids[1]

    def fails(call: bytes) -> bytes:
        if server.phase is Phase.MASKED:
            raise OSError("no disk")
        return sites[failing].answer(call)

    engine = InProcessEngine({**{did: one.answer for did, one in sites.items()}, failing: fails},
                             tell=lambda site, why: told.append(site))
    found = run(server, over(engine, 60))
    assert told == [failing]
    assert found.dropped == (failing,)
    assert (found.total == total(five, vectors, found)).all()
    assert check_transcript(server.transcript(), five.keys, session) == found
    with pytest.raises(Misuse, match="one call to all"):
        run(_second_phase(five), over(engine, 60))


def _second_phase(people: World) -> BonawitzServer:
    """A server that asks each site for its own, past the first phase."""
    session = people.session(context=5)
    server = WAY.server(session, people.keys)
    drive(server, people.sites(WAY, session, people.vectors(session)), steps=1)
    return server


# The transcript.

def _gone(people: World, index: int = 1, step: int = Phase.MASKED) -> Callable[[int, str, bytes], bytes | None]:
    return lambda now, did, answer: None if now >= step and did == people.dids[index] else answer


def test_a_transcript_gives_the_same_bits(five: World) -> None:
    session, server, _ = finished(five, _gone(five))
    data = server.transcript()
    assert check_transcript(data, five.keys, session) == server.result()
    # Keys and parcels are not in it, as nobody complained.
    held = unbundle(data[4 + int.from_bytes(data[:4], "little"):], session.id)
    assert [len(one.parts) for one in held if one.phase in (Phase.KEYS, Phase.SHARES)] == [0] * 10
    assert len([one for one in held if one.phase is Phase.CONFIRM and one.parts]) == 1


def test_a_transcript_that_was_changed_is_refused(five: World) -> None:
    session, server, _ = finished(five, _gone(five), five.session(length=1))
    data, honest = server.transcript(), server.result()
    for at in np.random.default_rng(3).integers(0, len(data), 40).tolist():
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        with pytest.raises(TrothError):
            check_transcript(bytes(changed), five.keys, session)
    with pytest.raises(TrothError):
        check_transcript(data[:-1], five.keys, session)
    with pytest.raises(TrothError):
        check_transcript(data + b"\0", five.keys, session)
    assert check_transcript(data, five.keys, session) == honest


def test_a_transcript_of_another_sum_is_refused(five: World) -> None:
    session, server, _ = finished(five)
    other = five.session(context=2)
    with pytest.raises(Refuted, match="another sum"):
        check_transcript(server.transcript(), five.keys, other)
    renamed = server.transcript().replace(session.to_bytes(), other.to_bytes())
    with pytest.raises(BadInput, match="not messages of this sum"):
        check_transcript(renamed, five.keys, other)


# Sessions.

@pytest.mark.parametrize(("count", "threshold"), [(3, 3), (4, 3), (5, 4), (6, 5), (10, 7), (11, 8), (100, 67)])
def test_the_default_threshold_is_over_two_thirds(count: int, threshold: int) -> None:
    assert default_threshold(count) == threshold
    session = Session(bytes(32), tuple(f"did:{number:03}" for number in range(count)), threshold, 1, 1)
    assert session.colluders >= (count - 1) // 3  # fewer than a third
    assert 2 * threshold > count + session.colluders  # the paper's condition
    assert Session.from_bytes(session.to_bytes()) == session


@pytest.mark.parametrize("wrong", [
    {"sites": ("a", "b")}, {"sites": ("b", "a", "c")}, {"sites": ("a", "a", "b", "c")}, {"threshold": 2},
    {"threshold": 5}, {"length": 0}, {"bound": 0}, {"bound": 1 << 49}, {"context": b"x"}, {"length": 1 << 27},
], ids=str)
def test_sessions_that_protect_nobody_are_refused(wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"context": bytes(32), "sites": ("a", "b", "c", "d"), "threshold": 3, "length": 1,
                                "bound": 1}
    Session(**given)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        Session(**{**given, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(("bound", "size"), [(1, 4), ((1 << 31) // 5, 4), ((1 << 31) // 5 + 1, 8), (1 << 48, 8)])
def test_words_are_as_wide_as_the_sum_needs(five: World, bound: int, size: int) -> None:
    session = five.session(length=2, bound=bound)
    assert masks.word_size(session) == size
    edge = np.array([5 * bound, -5 * bound], np.int64)
    assert masks.to_vector(masks.to_words(edge, size)).tolist() == edge.tolist()


def test_a_mask_is_the_seeds_counter_stream() -> None:
    # AES-256-CTR from a zero counter, against the block cipher itself: block k is AES(key, k).
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key, length = bytes(range(32)), 100_003
    for size in (4, 8):
        words = np.zeros(length, dtype=f"<u{size}")
        masks.apply(words, key)
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        blocks = -(-length * size // 16)
        stream = block.update(b"".join(number.to_bytes(16, "big") for number in range(blocks)))
        assert words.tobytes() == stream[:length * size]
        masks.apply(words, key, subtract=True)
        assert not words.any()


# The same sum from different inputs.

RUNS = 10_000 if os.environ.get("TROTH_MASKING") else 24
CRITICAL = {3: 11.345, 15: 30.578}
"""Chi-squared at 1 %, by degrees of freedom."""


def _residuals(people: World, session: Session, values: Sequence[int], random: Callable[[int], bytes],
               bits: int) -> list[int]:
    """What is left of each masked vector when the server has taken away all it can: every self mask, and the masks of
    the site that has gone. From the messages of a whole run, as cells of the two sites' last ``bits`` bits."""
    vectors = [np.array([value], np.int64) for value in values]
    server = WAY.server(session, people.keys)
    drive(server, people.sites(WAY, session, vectors, random), _gone(people, 3))
    found = server._proceedings  # all that the server holds
    left = []
    for place in found.active:
        words = masks.from_bytes(found.heard[Phase.MASKED][place].parts[0], session).copy()
        masks.apply(words, self_seed(_secret(found, place), session, found.keys_view, place), subtract=True)
        for gone in found.gone:
            masks.apply(words, _pair_seeds(found, gone)[place], subtract=place < gone)
        left.append(int(words[0]))
    assert sum(left) % 2**32 == sum(values[:3])  # and nothing else than the sum can be had from them
    return [one % (1 << bits) for one in left[:2]]


def _homogeneity(first: Sequence[int], second: Sequence[int]) -> float:
    """Chi-squared of two samples of the same size over the same cells."""
    return float(sum((a - b) ** 2 / (a + b) for a, b in zip(first, second, strict=True) if a + b))


def _cells(values: Sequence[int], seed: int, bits: int, runs: int) -> list[int]:
    people, random = world(4), seeded(seed)
    counts = [0] * (1 << 2 * bits)
    for number in range(runs):
        first, second = _residuals(people, people.session(1, 3, context=number), values, random, bits)
        counts[first << bits | second] += 1
    return counts


BITS = 2 if RUNS > 1_000 else 1


@pytest.fixture(scope="module")
def usual() -> list[int]:
    return _cells((1, 2, 3, 4), 1, BITS, RUNS)


@pytest.mark.parametrize("others", [(3, 2, 1, 9), (6, 0, 0, -9)], ids=["permuted", "one has all"])
def test_the_same_sum_from_other_inputs_looks_the_same(usual: list[int], others: tuple[int, ...]) -> None:
    """With the deep setting: 10,000 runs each, 16 cells. The randomness is drawn from fixed seeds, so that the test
    comes out the same each time, but for keys that no mask depends on."""
    assert _homogeneity(usual, _cells(others, 2, BITS, RUNS)) < CRITICAL[(1 << 2 * BITS) - 1]


def test_that_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the masks of pairs the same test sees other inputs at once."""
    monkeypatch.setattr(masks, "seed", _no_pairs(masks.seed))
    chi = _homogeneity(_cells((1, 2, 3, 4), 1, 1, 12), _cells((6, 0, 0, -9), 2, 1, 12))
    assert chi > CRITICAL[3]


def _no_pairs(whole: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda material, session, label, *rest: bytes(32) if label == "pair" else whole(
        material, session, label, *rest)


# Bytes.

@given(st.binary(max_size=200))
def test_noise_is_no_message(noise: bytes) -> None:
    with pytest.raises(BadInput):
        Message.from_bytes(noise)
    with pytest.raises(BadInput):
        unbundle(noise, bytes(32))


def test_messages_have_one_form(five: World) -> None:
    _, server, _ = finished(five)
    for message in server._proceedings.heard[Phase.SHARES].values():
        data = message.to_bytes()
        assert Message.from_bytes(data).to_bytes() == data
        for wrong in (data + b"\0", data[:-1]):
            with pytest.raises(BadInput):
                Message.from_bytes(wrong)
    some = server._proceedings.heard[Phase.SHARES].values()
    data = Message.to_bytes(next(iter(some)))
    changed = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(BadInput, match="not what was signed"):
        Message.from_bytes(changed)
