"""Sums that survive restarts: the same messages, one set of survivors, nothing left of the secrets afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports.sums import World, world
from troth.core.errors import BadInput, Misuse, Refuted, TrothError
from troth.fixed.numbers import IntArray
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.learn.masked_recheck import AnyVersion
from troth.learn.masking.journal import SumJournal
from troth.learn.masking.kept import KeptSite, Sums, read_transcripts, split_calls, write_transcripts
from troth.learn.masking.port import Session
from troth.learn.masking.server import check_transcript
from troth.learn.masking.terms import default_threshold
from troth.learn.masking.wire import Phase, bundle, unbundle

PLAN = bytes(32)


class Kept:
    """Sites and a server with journals in a folder; ``restart`` is a new process."""

    def __init__(self, folder: Path, people: World, sessions: Sequence[Session]) -> None:
        self.people, self.sessions = people, sessions
        self.journals = {did: SumJournal(folder / f"{number}.sqlite") for number, did in enumerate(people.dids)}
        self.server = SumJournal(folder / "server.sqlite")
        self.session = {did: one for one in sessions for did in one.sites}
        self.vectors: dict[str, IntArray] = {did: np.arange(3) * (place + 1) - 2
                                             for place, did in enumerate(people.dids)}
        self.ends: dict[str, KeptSite] = {}
        for did in people.dids:
            self.journals[did].begin(PLAN, 1, self.session[did].id, bytes([len(self.ends)]) * 32, self.vectors[did])
            self.restart(did)

    def restart(self, did: str) -> None:
        part = self.journals[did].part(PLAN, 1)
        assert part is not None
        signer = next(one for one in self.people.signers if one.did == did)
        self.ends[did] = KeptSite(self.session[did], signer, self.people.keys, part, self.journals[did])

    def ask(self, calls: bytes, dids: Sequence[str], phase: Phase) -> Mapping[str, bytes]:
        return {did: self.ends[did].answer(split_calls(calls)[self.session[did].id]) for did in dids}

    def sums(self) -> Sums:
        return Sums(self.sessions, self.people.keys, self.people.dids, self.server)

    def close(self) -> None:
        for journal in (*self.journals.values(), self.server):
            journal.close()


def session_of(people: World, name: bytes = b"one") -> Session:
    dids = people.dids
    return Session(hashlib.sha256(name).digest(), dids, default_threshold(len(dids)), 3, 1 << 20)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(restarts=st.lists(st.tuples(st.sampled_from(list(Phase)), st.integers(0, 3)), max_size=5),
       cut=st.sampled_from([None, *Phase]), gone=st.sampled_from([None, *Phase]))
def test_whatever_is_restarted_when_the_sum_is_the_plain_one(
        tmp_path_factory: pytest.TempPathFactory, restarts: list[tuple[Phase, int]], cut: Phase | None,
        gone: Phase | None) -> None:
    """Sites restart before a phase; the server is cut off after one; one of four is silent from a phase on."""
    people = world(4)
    kept = Kept(tmp_path_factory.mktemp("kept"), people, [session_of(people)])

    class Cut(Exception):
        """The coordinator's process ends."""

    def ask(calls: bytes, dids: Sequence[str], phase: Phase) -> Mapping[str, bytes]:
        for at, place in restarts:
            if at is phase:
                kept.restart(people.dids[place])
        found = kept.ask(calls, [did for did in dids if not (gone and phase >= gone and did == people.dids[3])], phase)
        if phase is cut and once:
            once.clear()
            raise Cut
        return found

    once = [1]
    try:
        try:
            (transcript,) = kept.sums().run(ask)
        except Cut:
            (transcript,) = kept.sums().run(ask)
        assert transcript is not None
        whole = check_transcript(transcript, people.keys, kept.sessions[0])
        assert (whole.total == sum(kept.vectors[did] for did in whole.included)).all()
        assert (people.dids[3] in whole.included) == (gone is None or gone > Phase.MASKED)
        part = kept.journals[people.dids[0]].part(PLAN, 1)
        assert part is not None
        assert (part.seed, part.vector) == (None, None), "what could unmask it is gone"
        assert all(one.call is None for one in kept.journals[people.dids[0]].said(part.session))
    finally:
        kept.close()


@pytest.fixture
def two(tmp_path: Path) -> Kept:
    people = world(4)
    return Kept(tmp_path, people, [session_of(people)])


def test_no_second_set_of_survivors_is_signed_after_a_restart(two: Kept) -> None:
    """A server that waits for a restart, and then shows another set, is refused as it was before."""
    first, name = two.people.dids[0], two.sessions[0].id
    heard: dict[Phase, bytes] = {}

    def ask(calls: bytes, dids: Sequence[str], phase: Phase) -> Mapping[str, bytes]:
        heard[phase] = split_calls(calls)[name]
        return two.ask(calls, dids, phase)

    def until(calls: bytes, dids: Sequence[str], phase: Phase) -> Mapping[str, bytes]:
        if phase is Phase.UNMASK:
            raise KeyboardInterrupt
        return ask(calls, dids, phase)

    with pytest.raises(KeyboardInterrupt):
        two.sums().run(until)
    messages = unbundle(heard[Phase.AGREE], name)
    fewer = bundle(name, [one for one in messages if one.sender != 3])
    for again in range(2):
        with pytest.raises((Misuse, Refuted, BadInput)):
            two.ends[first].answer(fewer)
        if not again:
            two.restart(first)
    assert two.ends[first].answer(heard[Phase.AGREE]) == two.journals[first].answered(name, heard[Phase.AGREE])
    (transcript,) = two.sums().run(two.ask)
    assert transcript is not None
    with pytest.raises(Misuse):
        two.ends[first].answer(fewer)
    two.close()


def test_a_vector_is_in_one_sum_and_another_answer_is_not_written(two: Kept) -> None:
    first = two.people.dids[0]
    journal, other = two.journals[first], session_of(two.people, b"two")
    for act in (lambda: journal.begin(PLAN, 1, other.id, bytes(32), two.vectors[first]),
                lambda: journal.part(PLAN, 1, other.id)):
        with pytest.raises(Refuted, match="in another sum"):
            act()
    kept = journal.begin(PLAN, 1, two.sessions[0].id, bytes(32), two.vectors[first] * 5)
    assert (kept.vector == two.vectors[first]).all(), "the first one stays"
    journal.say(kept.session, Phase.KEYS, b"call", b"answer")
    for phase in (Phase.KEYS, Phase.CONFIRM):
        with pytest.raises(Misuse, match="one process a site"):
            journal.say(kept.session, phase, b"other", b"answer")
    assert len(SumJournal(journal.path).said(kept.session)) == 1
    journal.begin(PLAN, 2, other.id, bytes(32), two.vectors[first])
    before = journal.part(PLAN, 1)
    assert before is not None
    assert before.vector is None
    (journal.path.parent / "x.sqlite").write_bytes(b"no database at all, but some text")
    with pytest.raises(BadInput):
        SumJournal(journal.path.parent / "x.sqlite")
    two.close()


def test_transcripts_are_read_as_they_were_written(two: Kept) -> None:
    assert read_transcripts(write_transcripts([b"one", None, b"three"])) == (b"one", None, b"three")
    for wrong in (b"", b"x" * 40, write_transcripts([b"one"])[:-1], write_transcripts([b"one"]) + b"x"):
        with pytest.raises(BadInput):
            read_transcripts(wrong)
    two.close()


def test_keys_of_any_version_count_and_nobody_else_s() -> None:
    before, other = HybridIdentity.create(), world(1).signers[0]
    said = before.signer().sign(b"message")
    after, rotation = before.rotate(1)
    book = KeyBook([before.history])
    book.learn_rotation(rotation)
    with pytest.raises(Refuted):
        book.verify(before.did, b"message", said)
    keys = AnyVersion(book)
    keys.verify(before.did, b"message", said)
    keys.verify(before.did, b"message", after.signer().sign(b"message"))
    keys.verify(other.did, b"message", other.sign(b"message"))
    for did, message in ((before.did, b"other"), (other.did, b"message")):
        with pytest.raises(TrothError):
            keys.verify(did, message, said)
