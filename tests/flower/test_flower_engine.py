"""The engine over a Flower grid: the suite of all engines, and an operator who lies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from flower.grids import Lie, ThreadGrid, node_key
from ports.engine_suite import A, B, C, WireSuite, echo
from troth.core.errors import BadInput, OutsideFailed
from troth.learn.engines import MAX_ANSWER, Answer, Engine
from troth.learn.engines import flower as module
from troth.learn.engines.door import Door, door_of
from troth.learn.engines.flower import DOORS, GridEngine, client_app, read_nodes

KEYS = {site: node_key() for site in (A, B, C)}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def engine_of(stack: ExitStack, sites: Mapping[str, Answer], lie: Lie | None = None, *,
              keys: Mapping[str, bytes] | None = KEYS, most: int = MAX_ANSWER, told: list[str] | None = None,
              shown: Mapping[str, bytes] = KEYS) -> GridEngine:
    """Doors for these sites, nodes that show these keys, and the engine that knows ``keys``."""
    folder = Path(stack.enter_context(TemporaryDirectory()))
    stack.enter_context(pytest.MonkeyPatch.context()).setenv(DOORS, str(folder))
    for name, answer in sites.items():
        stack.enter_context(Door(door_of(folder, name), answer))
    grid = ThreadGrid({shown[name]: client_app() for name in sites if name in shown}, lie)
    tell = None if told is None else lambda site, why: told.append(f"{site[-1]} {why}")
    return GridEngine(grid, keys, most=most, pause=0.01, tell=tell)


def answer(message: Message, data: object, node: int | None = None) -> Message:
    """A reply to the same call that says something else, perhaps in another node's name."""
    record = RecordDict({"troth": ConfigRecord({"answer": data})})  # type: ignore[dict-item]
    reply = Message(record, reply_to=message)
    meta = message.metadata
    reply.metadata.__dict__.update(_reply_to_message_id=meta.reply_to_message_id,
                                   _src_node_id=meta.src_node_id if node is None else node)
    return reply


class TestGrid(WireSuite):
    """By node keys."""

    tells_failure = False
    short = 1.0

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        return engine_of(stack, sites, most=MAX_ANSWER if most is None else most)

    def made_with(self, stack: ExitStack, sites: Mapping[str, Answer], said: Sequence[tuple[str, bytes]]) -> Engine:
        """The wire is the operator's: what it says in a site's name comes first, as if from that site's node."""
        def lie(replies: list[Message]) -> list[Message]:
            order = {site: 1000 + index for index, site in enumerate(sites)}
            return [answer(reply, data, order.get(site, 7)) for reply in replies for site, data in said
                    if site not in sites or order[site] == reply.metadata.src_node_id] + replies

        return engine_of(stack, sites, lie)


class TestSimulated(TestGrid):
    """Any node for any site."""

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        return engine_of(stack, sites, keys=None, most=MAX_ANSWER if most is None else most)


def test_a_node_with_an_unregistered_key_is_not_asked(stack: ExitStack) -> None:
    told: list[str] = []
    engine = engine_of(stack, {A: echo(A), B: echo(B)}, shown=KEYS | {B: node_key()}, told=told)
    assert list(engine.ask(b"x", [A, B], 1)) == [A]
    assert told == ["b has no node here"]


def test_two_nodes_with_one_key_are_none(stack: ExitStack) -> None:
    """Flower refuses a second registration; an operator need not."""
    engine = engine_of(stack, {A: echo(A), B: echo(B)})
    grid = engine._grid
    assert isinstance(grid, ThreadGrid)
    grid.nodes[7] = (KEYS[A], client_app())
    assert list(engine.ask(b"x", [A, B], 0.5)) == [B]


def test_a_node_that_answers_in_anothers_name_is_dropped(stack: ExitStack) -> None:
    """The operator answers A's call from B's node, and swaps whose call an answer is to."""
    told: list[str] = []

    def lie(replies: list[Message]) -> list[Message]:
        return [answer(reply, b"I am a", 1001) if reply.metadata.src_node_id == 1000 else reply for reply in replies]

    engine = engine_of(stack, {A: echo(A), B: echo(B)}, lie, told=told)
    assert dict(engine.ask(b"x", [A, B], 1)) == {B: B.encode() + b"|x"}
    assert told == ["a was answered for by another node", "a did not answer in time"]


@pytest.mark.parametrize("data", ["text", 1.5, float("nan"), [1, 2], True], ids=str)
def test_an_answer_that_is_none_stops_nobody(stack: ExitStack, data: object) -> None:
    def lie(replies: list[Message]) -> list[Message]:
        return [answer(reply, data) if reply.metadata.src_node_id == 1000 else reply for reply in replies]

    assert list(engine_of(stack, {A: echo(A), B: echo(B)}, lie).ask(b"x", [A, B], 5)) == [B]


def test_another_record_stops_nobody(stack: ExitStack) -> None:
    def lie(replies: list[Message]) -> list[Message]:
        for reply in replies:
            if reply.metadata.src_node_id == 1000:
                reply.content = RecordDict({"surprise": ConfigRecord({"answer": b""})})
        return replies

    assert list(engine_of(stack, {A: echo(A), B: echo(B)}, lie).ask(b"x", [A, B], 5)) == [B]


def test_a_reply_that_flower_cannot_read_stops_nobody(stack: ExitStack) -> None:
    """As when an object of a reply is damaged: pulling all raises, pulling each raises for one."""
    def lie(replies: list[Message]) -> list[Message]:
        if any(reply.metadata.src_node_id == 1000 for reply in replies):
            grid.came.extend(reply for reply in replies if reply.metadata.src_node_id != 1000)
            raise ValueError("not an object")
        return replies

    engine = engine_of(stack, {A: echo(A), B: echo(B)}, lie)
    grid = engine._grid
    assert isinstance(grid, ThreadGrid)
    assert list(engine.ask(b"x", [A, B], 1)) == [B]


def test_a_node_that_comes_late_is_asked_then(stack: ExitStack) -> None:
    engine = engine_of(stack, {A: echo(A), B: echo(B)})
    grid = engine._grid
    assert isinstance(grid, ThreadGrid)
    late = grid.nodes.pop(1001)
    plain = grid.get_nodes

    def nodes() -> object:
        grid.get_nodes = plain  # type: ignore[method-assign]
        before = list(plain())
        grid.nodes[1001] = late
        return before

    grid.get_nodes = nodes  # type: ignore[method-assign,assignment]
    assert list(engine.ask(b"x", [A, B], 5)) == [A, B]


def test_without_a_grid_nobody_can_be_asked(stack: ExitStack) -> None:
    engine = engine_of(stack, {A: echo(A)})

    def gone() -> None:
        raise ConnectionError("no SuperLink")

    engine._grid.get_nodes = gone  # type: ignore[method-assign,assignment]
    with pytest.raises(OutsideFailed, match="no SuperLink"):
        engine.ask(b"", [A], 1)


def test_what_a_site_says_of_its_failure_names_no_data(stack: ExitStack) -> None:
    def raises(call: bytes) -> bytes:
        raise ValueError("patient 17")

    told: list[str] = []
    assert engine_of(stack, {A: raises}, told=told).ask(b"", [A], 5) == {}
    assert len(told) == 1
    assert "did not answer this call" in told[0]
    assert "patient" not in told[0]


def test_nodes_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({A: KEYS[A].decode()}))
    assert read_nodes(str(path)) == {A: KEYS[A]}
    assert read_nodes(None) is None
    for text in ("[]", "{", '"x"'):
        path.write_text(text)
        with pytest.raises(BadInput):
            read_nodes(str(path))
    with pytest.raises(BadInput):
        GridEngine(ThreadGrid({}), {A: b"no key"})


def test_flower_tells_its_makers_nothing() -> None:
    """The names that this Flower reads are the ones that are set."""
    from flwr.supercore import constant, telemetry
    assert constant.FLWR_DISABLE_UPDATE_CHECK in module.OFF
    assert "FLWR_TELEMETRY_ENABLED" in module.OFF
    assert Path(telemetry.__file__).read_text().count('"FLWR_TELEMETRY_ENABLED"')
