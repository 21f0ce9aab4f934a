"""The in-process engine, and the sorting that all engines share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.engine_suite import A, B, C, EngineSuite, echo
from troth.core.errors import Misuse
from troth.learn.engines import MAX_ANSWER, Answer, Engine, sorted_out
from troth.learn.engines.inprocess import InProcessEngine


class TestInTurn(EngineSuite):
    """One after another, in the caller's thread."""

    parallel = False
    tells_failure = True

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        return InProcessEngine(sites, most=MAX_ANSWER if most is None else most)

    def test_in_the_callers_thread(self) -> None:
        seen: list[threading.Thread] = []

        def note(call: bytes) -> bytes:
            seen.append(threading.current_thread())
            return b""

        InProcessEngine({A: note}).ask(b"", [A], 1)
        assert seen == [threading.current_thread()]


class TestInThreads(EngineSuite):
    """All at the same time."""

    tells_failure = True

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        return InProcessEngine(sites, threads=3, most=MAX_ANSWER if most is None else most)

    def test_no_site_is_asked_two_things_at_once(self, stack: ExitStack) -> None:
        gate, inside, most = threading.Event(), 0, 0
        stack.callback(gate.set)

        def slow(call: bytes) -> bytes:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            gate.wait(10)
            inside -= 1
            return b""

        told: list[tuple[str, str]] = []
        engine = InProcessEngine({A: slow, B: echo(B)}, threads=2, tell=lambda *said: told.append(said))
        assert list(engine.ask(b"", [A, B], self.short)) == [B]
        assert list(engine.ask(b"", [A, B], self.short)) == [B]
        assert most == 1
        assert told == [(A, "did not answer in time"), (A, "is still busy with an earlier call")]

    def test_no_more_at_a_time_than_threads(self) -> None:
        barrier = threading.Barrier(2)
        engine = InProcessEngine(dict.fromkeys((A, B), lambda call: b"%d" % barrier.wait(10)), threads=2)
        assert sorted(engine.ask(b"", [A, B], 10).values()) == [b"0", b"1"]
        with pytest.raises(Misuse):
            InProcessEngine({}, threads=-1)


def test_it_tells_why_a_site_is_absent() -> None:
    def raises(call: bytes) -> bytes:
        raise ZeroDivisionError("no records")

    told: dict[str, str] = {}
    engine = InProcessEngine({A: raises, B: lambda call: bytes(9)}, most=8, tell=told.__setitem__)
    assert engine.ask(b"", [A, B, C], 1) == {}
    assert told == {A: "ZeroDivisionError: no records", B: "answered 9 bytes; at most 8 bytes are taken",
                    C: "is not in this process"}


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.binary(max_size=4))),
       st.lists(st.sampled_from("abcd"), unique=True))
def test_sorted_out(answers: list[tuple[str, bytes]], sites: list[str]) -> None:
    """First answers, of those asked, in their order, whatever order they came in between sites."""
    found = sorted_out(sites, answers, 3)
    first = {site: next((data for by, data in answers if by == site), None) for site in sites}
    assert list(found.items()) == [(site, data) for site, data in first.items() if data is not None and len(data) <= 3]
    assert sorted_out(sites, sorted(answers, key=lambda one: one[0]), 3) == found
