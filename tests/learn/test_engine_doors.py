"""Doors, and the engine whose carrier is another process."""

from __future__ import annotations

import socket
import stat
import struct
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.engine_suite import A, B, EngineSuite, WireSuite, echo
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.learn.engines import MAX_ANSWER, Answer, Engine
from troth.learn.engines.carried import CarriedEngine, carry
from troth.learn.engines.door import Door, door_of, knock, receive_parts, send_parts
from troth.learn.engines.inprocess import InProcessEngine


class Wild:
    """A carrier that hands back what others put on the wire too, before the sites' own answers."""

    def __init__(self, engine: Engine, said: Sequence[tuple[str, bytes]]) -> None:
        self._engine, self._said = engine, said

    def ask(self, call: bytes, sites: Sequence[str], patience: float) -> Mapping[str, bytes]:
        return dict(self._engine.ask(call, sites, patience)) | dict(self._said)


class TestCarried(WireSuite):
    """A carrier in a thread, with doors behind it: what a Flower run does, without Flower."""

    tells_failure = True

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        return self._engine(stack, sites, (), MAX_ANSWER if most is None else most)

    def made_with(self, stack: ExitStack, sites: Mapping[str, Answer], said: Sequence[tuple[str, bytes]]) -> Engine:
        return self._engine(stack, sites, said, MAX_ANSWER)

    def _engine(self, stack: ExitStack, sites: Mapping[str, Answer], said: Sequence[tuple[str, bytes]],
                most: int) -> Engine:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for name, answer in sites.items():
            stack.enter_context(Door(door_of(folder, name), answer))
        behind = InProcessEngine({name: _through(door_of(folder, name)) for name in sites}, threads=4)
        engine = CarriedEngine(folder / "engine", most=most)
        def work() -> None:
            with suppress(OutsideFailed):  # the engine was closed before anybody was asked
                carry(engine.path, Wild(behind, said))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(engine.close)
        return engine


def _through(path: Path) -> Answer:
    return lambda call: knock(path, call, EngineSuite.patience)


def test_only_its_owner_may_knock(tmp_path: Path) -> None:
    with Door(tmp_path / "d", echo(A)) as door, CarriedEngine(tmp_path / "e") as engine:
        for path in (door.path, engine.path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(Misuse, match="already"):
                Door(path, echo(B))
        assert knock(door.path, b"x", 5) == A.encode() + b"|x"
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutsideFailed, match="nobody answers"):
        knock(door.path, b"x", 5)


def test_calls_are_answered_in_the_thread_that_serves(tmp_path: Path) -> None:
    """A workspace's files are opened for one thread."""
    seen: list[threading.Thread] = []

    def note(call: bytes) -> bytes:
        seen.append(threading.current_thread())
        return call

    found: list[bytes] = []
    with Door(tmp_path / "d", note, apart=False) as door:
        visits = [threading.Thread(target=lambda: found.append(knock(door.path, b"x", 10))) for _ in range(3)]
        for visit in visits:
            visit.start()
        door.serve(lambda: len(seen) == 3)
        for visit in visits:
            visit.join(10)
    assert seen == [threading.current_thread()] * 3
    assert found == [b"x"] * 3


def test_a_dead_door_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "d"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with Door(path, echo(A)):
        assert knock(path, b"", 5) == A.encode() + b"|"


def test_why_a_site_failed_stays_with_the_site(tmp_path: Path) -> None:
    def raises(call: bytes) -> bytes:
        raise ValueError("patient 17 has no age")

    told: list[tuple[str, str]] = []
    with Door(tmp_path / "d", raises, lambda *said: told.append(said)) as door:
        with pytest.raises(OutsideFailed) as error:
            knock(door.path, b"", 5)
        assert "patient" not in str(error.value)
        assert told == [(str(door.path), "ValueError: patient 17 has no age")]
        with pytest.raises(OutsideFailed):  # it is still there
            knock(door.path, b"", 5)


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too long"):
        door_of(tmp_path / ("x" * 100), A)


def test_no_carrier(tmp_path: Path) -> None:
    with CarriedEngine(tmp_path / "e") as engine:
        assert engine.ask(b"", [], 1) == {}
        with pytest.raises(OutsideFailed, match="no carrier came"):
            engine.ask(b"", [A], 0.05)
    with pytest.raises(OutsideFailed, match="nobody asks"):
        carry(tmp_path / "e", InProcessEngine({}))


def test_another_carrier_takes_over(tmp_path: Path) -> None:
    """A carrier that goes loses the call it had; the next one is asked."""
    with CarriedEngine(tmp_path / "e") as engine:
        with socket.socket(socket.AF_UNIX) as lost:
            lost.connect(str(engine.path))
            gone = threading.Timer(0.1, lost.shutdown, [socket.SHUT_RDWR])
            gone.start()
            with pytest.raises(OutsideFailed, match="lost in the middle"):
                engine.ask(b"one", [A], 5)
        threading.Thread(target=carry, args=(engine.path, InProcessEngine({A: echo(A)})), daemon=True).start()
        assert engine.ask(b"two", [A], 5) == {A: A.encode() + b"|two"}


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_parts_come_back(parts: list[bytes]) -> None:
    left, right = socket.socketpair()
    with left, right:
        send_parts(left, parts)
        assert receive_parts(right, 5, 40) == parts
        left.close()
        assert receive_parts(right, 5, 40) is None


def test_nothing_is_sent_after_the_last_byte() -> None:
    """Whoever has read everything may hang up at once, also after a part without bytes."""
    class Hangs:
        """A connection whose other side hangs up as soon as it has all."""

        def __init__(self) -> None:
            self.sent = b""

        def sendall(self, data: bytes) -> None:
            assert len(self.sent) < 20, "it has hung up"
            self.sent += data

    link = Hangs()
    send_parts(link, [b"", b""])  # type: ignore[arg-type]
    assert link.sent == struct.pack(">IQQ", 2, 0, 0)


@pytest.mark.parametrize("wire", [
    struct.pack(">I", 3), struct.pack(">I", 2**32 - 1), struct.pack(">IQ", 1, 9), struct.pack(">IQ", 1, 2**64 - 1),
    struct.pack(">IQ", 1, 4) + b"abc", struct.pack(">I", 1), b"\0"], ids=range(7))
def test_what_makes_no_sense_is_refused_unread(wire: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(wire)
        left.close()
        with pytest.raises(BadInput):
            receive_parts(right, 2, 8)
