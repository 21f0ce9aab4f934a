"""What every engine must do: the abstract suites of ``troth.learn.engines.Engine``."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import pytest

from troth.core.errors import Misuse
from troth.learn.engines import MAX_CALL, Answer, Engine

A, B, C, D = (f"did:troth:{letter * 32}" for letter in "abcd")
EVERY = bytes(range(256))


def echo(name: str) -> Answer:
    return lambda call: name.encode() + b"|" + call


class EngineSuite(ABC):
    """Inherit it and give ``make``. What ``make`` opens it registers with ``stack``, which the suite closes."""

    patience = 20.0
    """Enough for every site that answers at all, on a loaded machine."""
    short = 0.3
    """Too short for a site that waits, long enough for the others."""

    @abstractmethod
    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        """An engine that reaches these sites and takes answers of at most ``most`` bytes."""

    @pytest.fixture
    def stack(self) -> Iterator[ExitStack]:
        with ExitStack() as stack:
            yield stack

    def test_answers_come_back_by_site_in_the_order_asked(self, stack: ExitStack) -> None:
        gate = threading.Event()
        stack.callback(gate.set)

        def second(call: bytes) -> bytes:
            gate.set()
            return b"second"

        def first(call: bytes) -> bytes:
            gate.wait(2 if self.parallel else 0)  # the later answer comes first where sites answer at the same time
            return b"first"

        engine = self.make(stack, {A: first, B: second, C: echo(C)})
        found = engine.ask(b"call", [C, A, B], self.patience)
        assert list(found.items()) == [(C, C.encode() + b"|call"), (A, b"first"), (B, b"second")]
        assert list(engine.ask(b"again", [B], self.patience)) == [B]
        assert dict(engine.ask(b"nobody", [], self.short)) == {}

    parallel = True
    """Whether sites answer at the same time."""

    def test_any_bytes_pass_unchanged(self, stack: ExitStack) -> None:
        engine = self.make(stack, {A: lambda call: call, B: lambda call: call[::-1]})
        for call in (b"", b"\0", EVERY, b"\r\n--boundary\r\n\0\xff", "ü".encode("utf-16")):
            assert dict(engine.ask(call, [A, B], self.patience)) == {A: call, B: call[::-1]}

    def test_parcels_of_megabytes(self, stack: ExitStack) -> None:
        call = EVERY * (8 << 12)
        engine = self.make(stack, {A: lambda got: got, B: lambda got: got + b"b"})
        assert len(call) == 8 << 20
        assert dict(engine.ask(call, [A, B], self.patience)) == {A: call, B: call + b"b"}

    def test_whoever_fails_is_absent_and_stops_nobody(self, stack: ExitStack) -> None:
        def raises(call: bytes) -> bytes:
            raise ZeroDivisionError("a user's own training code")

        engine = self.make(stack, {A: raises, B: echo(B), D: lambda call: "text"})  # type: ignore[dict-item,return-value]
        assert dict(engine.ask(b"x", [A, B, C, D], self.patience if self.tells_failure else self.short)) == {
            B: B.encode() + b"|x"}

    tells_failure = False
    """Whether the engine learns at once that a site failed, or is not there: else it waits out its patience."""

    def test_a_site_is_asked_once(self, stack: ExitStack) -> None:
        calls: list[bytes] = []

        def count(call: bytes) -> bytes:
            calls.append(call)
            return b"%d" % len(calls)

        engine = self.make(stack, {A: count})
        assert dict(engine.ask(b"one", [A, A, A], self.patience)) == {A: b"1"}
        assert dict(engine.ask(b"one", [A], self.patience)) == {A: b"2"}, "the same call again is another call"
        assert calls == [b"one", b"one"]

    def test_too_long_an_answer_is_none(self, stack: ExitStack) -> None:
        engine = self.make(stack, {A: lambda call: bytes(1_001), B: lambda call: bytes(1_000)}, most=1_000)
        assert list(engine.ask(b"", [A, B], self.patience if self.tells_failure else self.short)) == [B]

    def test_what_makes_no_sense_is_refused_before_anybody_is_asked(self, stack: ExitStack) -> None:
        calls: list[bytes] = []

        def note(call: bytes) -> bytes:
            calls.append(call)
            return b""

        engine = self.make(stack, {A: note})
        with pytest.raises(Misuse, match="too long"):
            engine.ask(bytes(MAX_CALL + 1), [A], self.patience)
        for patience in (0, -1, float("inf"), float("nan")):
            with pytest.raises(Misuse, match="waited"):
                engine.ask(b"", [A], patience)
        assert calls == []

    def test_a_late_answer_answers_no_later_call(self, stack: ExitStack) -> None:
        gate = threading.Event()
        stack.callback(gate.set)

        def slow(call: bytes) -> bytes:
            if call == b"one":
                gate.wait(10 if self.parallel else self.short + 0.1)
            return b"about " + call

        engine = self.make(stack, {A: echo(A), B: slow})
        assert list(engine.ask(b"one", [A, B], self.short)) == [A]
        gate.set()
        found = {B: b""}
        for _ in range(50):  # it may still be busy with the first
            found = dict(engine.ask(b"two", [B], self.patience if self.tells_failure else self.short))
            if found:
                break
        assert found == {B: b"about two"}


class WireSuite(EngineSuite):
    """Of engines whose answers come over something that others can write to."""

    @abstractmethod
    def made_with(self, stack: ExitStack, sites: Mapping[str, Answer], said: Sequence[tuple[str, bytes]]) -> Engine:
        """As ``make``; and on every call these (site, answer) are on the wire before any site's own."""

    def test_an_answer_from_who_was_not_asked_is_dropped(self, stack: ExitStack) -> None:
        engine = self.made_with(stack, {A: echo(A), B: echo(B)}, [(C, b"me too"), (B, b"me too"), (D, bytes(9))])
        assert dict(engine.ask(b"x", [A], self.patience)) == {A: A.encode() + b"|x"}

    def test_the_first_answer_counts(self, stack: ExitStack) -> None:
        engine = self.made_with(stack, {A: lambda call: b"second"}, [(A, b"first")])
        assert dict(engine.ask(b"x", [A], self.patience)) == {A: b"first"}
