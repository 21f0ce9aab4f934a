"""The engine over an exchange holds what every engine must, through a folder and through a post office."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ports.engine_suite import A, Answer, B, C, D, Engine, WireSuite
from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.learn.engines import exchange as letters
from troth.learn.engines.exchange import ANSWER, CALL, ExchangeEngine, Writer, answer_letters
from troth.ledger.exchange import Exchange, FolderExchange
from troth.ledger.postoffice import PostExchange, PostServer

PEOPLE = {name: HybridIdentity.create() for name in (A, B, C, D, "caller", "stranger")}
KEYS = KeyBook([one.history for one in PEOPLE.values()])
DIDS = {name: one.did for name, one in PEOPLE.items()}
NAMES = {did: name for name, did in DIDS.items()}


class Named:
    """An engine whose sites are called as the suite calls them."""

    def __init__(self, inner: Engine, before: Callable[[bytes], None]) -> None:
        self._inner, self._before = inner, before

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        self._before(call)
        found = self._inner.ask(call, [DIDS[name] for name in sites], patience)
        return {NAMES[did]: answer for did, answer in found.items()}


class LettersSuite(WireSuite):
    """Inherit, implement ``exchange``."""

    short = 0.4
    look = 0.2
    """Seconds that a site waits for a call before it looks whether the test is over."""

    def exchange(self, name: str) -> Exchange:
        raise NotImplementedError

    def writer(self, name: str) -> Writer:
        return Writer(self.exchange(name), PEOPLE[name].signer(), lambda: KEYS)

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        return self._made(stack, sites, lambda call: None, most)

    def made_with(self, stack: ExitStack, sites: Mapping[str, Answer], said: Sequence[tuple[str, bytes]]) -> Engine:
        def before(call: bytes) -> None:
            for name, data in said:
                # It cannot know the call's id: the worst is to see it and be quicker.
                self.early.append((name, data))

        return self._made(stack, sites, before, None)

    def _made(self, stack: ExitStack, sites: Mapping[str, Answer], before: Callable[[bytes], None],
              most: int | None) -> Engine:
        self.early: list[tuple[str, bytes]] = []
        stop = threading.Event()
        threads = [threading.Thread(target=self._serve, args=(name, answer, stop)) for name, answer in sites.items()]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(stop.set)
        writer = self.writer("caller")
        write = writer.write

        class Early(Writer):
            def write(inner, purpose: str, to: str, id_: bytes, data: bytes) -> None:
                for name, said in self.early:
                    self.writer(name).write(ANSWER, DIDS["caller"], id_, said)
                self.early.clear()
                write(purpose, to, id_, data)

        early = Early(writer.exchange, writer.signer, writer.keys)
        return Named(ExchangeEngine(early) if most is None else ExchangeEngine(early, most=most), before)

    def _serve(self, name: str, answer: Answer, stop: threading.Event) -> None:
        writer = self.writer(name)
        while not stop.is_set():
            answer_letters(writer, answer, lambda: [DIDS["caller"]], self.look)
        writer.exchange.close()

    def test_who_may_not_call_is_not_answered(self, stack: ExitStack) -> None:
        called: list[bytes] = []

        def note(call: bytes) -> bytes:
            called.append(call)
            return b"yes"

        engine = self.make(stack, {A: note})
        stranger = Named(ExchangeEngine(self.writer("stranger")), lambda call: None)
        assert dict(stranger.ask(b"give me your records", [A], self.short)) == {}
        assert dict(engine.ask(b"x", [A], self.patience)) == {A: b"yes"}
        assert called == [b"x"]

    def test_letters_that_are_none_are_taken_away(self, stack: ExitStack) -> None:
        engine = self.make(stack, {A: lambda call: b"yes"})
        mailbox = self.exchange("stranger")
        good = self.writer("caller")
        for box in (DIDS[A] + "#calls", DIDS["caller"] + "#answers"):
            for rubbish in (b"", b"{}", b"\xff" * 100):
                mailbox.put(box, rubbish)
        good.write(CALL, DIDS[B], bytes(32), b"for b")  # a letter to B in A's mailbox
        for place in self.exchange(B).waiting(DIDS[B] + "#calls"):
            data = self.exchange(B).read(place)
            assert data is not None
            mailbox.put(DIDS[A] + "#calls", data)
        self.writer(A).write(ANSWER, DIDS["caller"], bytes(32), b"about another call")
        assert dict(engine.ask(b"x", [A], self.patience)) == {A: b"yes"}
        assert self.exchange("caller").waiting(DIDS["caller"] + "#answers") == ()


class TestFolderEngine(LettersSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def exchange(self, name: str) -> Exchange:
        return FolderExchange(self.folder)


class TestPostEngine(LettersSuite):
    short = look = 1.0  # a post office is asked in whole seconds

    @pytest.fixture(autouse=True)
    def _office(self, tmp_path: Path, stack: ExitStack) -> None:
        self.server = stack.enter_context(PostServer(tmp_path))

    def exchange(self, name: str) -> Exchange:
        one = PEOPLE[name]
        return PostExchange(self.server.url, one.signer(), one.genesis)


def test_a_call_that_a_crash_cut_off_is_answered_again(tmp_path: Path) -> None:
    caller, site = (Writer(FolderExchange(tmp_path), PEOPLE[name].signer(), lambda: KEYS) for name in ("caller", A))
    caller.write(CALL, DIDS[A], b"i" * 32, b"x")

    def dies(call: bytes) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_letters(site, dies, lambda: [DIDS["caller"]], 0)
    assert answer_letters(site, lambda call: b"now", lambda: [DIDS["caller"]], 0) == 1
    assert [(sender, data) for sender, _, data in caller.letters(ANSWER, 0)] == [(DIDS[A], b"now")]
    assert letters.ID == 32
