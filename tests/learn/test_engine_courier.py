"""Letters that travel with calls: nothing is lost, nothing goes to whom it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.engine_suite import A, B, C, EngineSuite, echo
from troth.core.errors import BadInput
from troth.learn.engines import Answer, Engine
from troth.learn.engines.courier import CourierEngine, couriered, pack, unpack
from troth.learn.engines.inprocess import InProcessEngine
from troth.ledger.exchange import FolderExchange

SPONSOR = "did:troth:" + "5" * 32


class TestCouriered(EngineSuite):
    """The suite of all engines, with sites that each have a folder."""

    parallel = False
    tells_failure = True

    def make(self, stack: ExitStack, sites: Mapping[str, Answer], *, most: int | None = None) -> Engine:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        carried = {name: couriered(answer, FolderExchange(folder / name[-1]), name, lambda: [SPONSOR, A, B, C])
                   for name, answer in sites.items()}
        behind = InProcessEngine(carried) if most is None else InProcessEngine(carried, most=most + 16)
        return CourierEngine(behind, FolderExchange(folder / "sponsor"))


class Office:
    """A sponsor's and two sites' folders, and an engine that can lose answers."""

    def __init__(self, folder: Path) -> None:
        self.sponsor = FolderExchange(folder / "sponsor")
        self.sites = {A: FolderExchange(folder / "a"), B: FolderExchange(folder / "b")}
        self.lost: set[str] = set()
        self.calls: list[bytes] = []
        carried = {name: couriered(echo(name), one, name, lambda: [SPONSOR, A, B]) for name, one in self.sites.items()}
        self._behind = InProcessEngine(carried)
        self.engine = CourierEngine(self, self.sponsor)

    def ask(self, call: bytes, sites: list[str], patience: float) -> Mapping[str, bytes]:
        self.calls.append(call)
        found = self._behind.ask(call, sites, patience)
        return {name: answer for name, answer in found.items() if name not in self.lost}

    def waits(self, exchange: FolderExchange, address: str) -> list[bytes]:
        return [exchange.read(place) or b"" for place in exchange.waiting(address)]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_letters_go_both_ways_and_each_keeps_its_own(office: Office) -> None:
    office.sponsor.put(A, b"to a")
    office.sponsor.put(B, b"to b")
    office.sponsor.put(C, b"to nobody here")
    office.sites[A].put(SPONSOR, b"from a")
    office.sites[A].put(B, b"a to b")
    assert office.engine.ask(b"x", [A, B], 5) == {A: A.encode() + b"|x", B: B.encode() + b"|x"}
    assert office.waits(office.sites[A], A) == [b"to a"]
    assert office.waits(office.sites[B], B) == [b"to b"]
    assert office.waits(office.sponsor, SPONSOR) == [b"from a"]
    assert office.waits(office.sponsor, A) == []
    assert office.waits(office.sponsor, C) == [b"to nobody here"]
    office.engine.ask(b"y", [A, B], 5)  # the letter from A to B goes on, and A hears that its letters arrived
    assert office.waits(office.sites[B], B) == [b"to b", b"a to b"]
    assert office.waits(office.sites[A], SPONSOR) == office.waits(office.sites[A], B) == []
    office.engine.ask(b"z", [A, B], 5)
    assert office.waits(office.sites[B], B) == [b"to b", b"a to b"]
    assert office.waits(office.sponsor, SPONSOR) == [b"from a"]


def test_the_same_words_to_two_are_two_letters(office: Office) -> None:
    for site in (A, B):
        office.sponsor.put(site, b"to all")
    office.sites[A].put(SPONSOR, b"again")
    office.sites[A].put(SPONSOR, b"again")
    office.lost = {B}
    office.engine.ask(b"x", [A, B], 5)
    assert office.waits(office.sponsor, A) == []
    assert office.waits(office.sponsor, B) == [b"to all"]
    office.engine.ask(b"y", [A], 5)
    assert office.waits(office.sites[A], SPONSOR) == []


def test_a_lost_answer_loses_no_letter(office: Office) -> None:
    office.sponsor.put(A, b"to a")
    office.sites[A].put(SPONSOR, b"from a")
    office.lost = {A}
    assert office.engine.ask(b"x", [A], 5) == {}
    assert office.waits(office.sponsor, A) == [b"to a"]
    assert office.waits(office.sites[A], SPONSOR) == [b"from a"]
    office.lost = set()
    assert list(office.engine.ask(b"x", [A], 5)) == [A]
    assert set(office.waits(office.sites[A], A)) == {b"to a"}
    assert office.waits(office.sponsor, SPONSOR) == [b"from a"]


def test_an_answer_that_is_none_makes_its_site_absent(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    for said in (b"\0", b"", pack([b"answer"]), pack([b"answer", b"", b"address"]), pack([b"a", b"", b"\xff", b"x"])):
        behind = InProcessEngine({A: lambda call, said=said: said, B: couriered(  # type: ignore[misc]
            echo(B), FolderExchange(tmp_path / "b"), B, lambda: [])})
        engine = CourierEngine(behind, FolderExchange(tmp_path / "s"), lambda *one: told.append(one))
        assert list(engine.ask(b"x", [A, B], 5)) == [B]
    assert len(told) == 5


def test_a_site_takes_no_letter_for_another(office: Office) -> None:
    """A carrier cannot put letters into mailboxes of the site's folder other than its own."""
    answer = couriered(echo(A), office.sites[A], A, lambda: [SPONSOR])
    answer(pack([b"x", b"", SPONSOR.encode(), b"in a's name"]))
    assert office.waits(office.sites[A], SPONSOR) == []
    for call in (b"", pack([b"x"]), pack([b"x", b"", b"address"]), b"\0" * 9):
        with pytest.raises(BadInput):
            answer(call)


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_parts(parts: list[bytes]) -> None:
    assert unpack(pack(parts)) == parts
    for cut in range(1, len(pack(parts))):
        try:
            found = unpack(pack(parts)[:cut])
        except BadInput:
            continue
        assert found == parts[: len(found)]
