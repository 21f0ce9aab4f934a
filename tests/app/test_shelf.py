"""The index of offers: words, filters, order, and what cannot be read or is asked in somebody's syntax."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from troth.app.shelf import Filters, Found, Shelf
from troth.core.claims import Ref, Statement
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.flows.parts import Pin
from troth.flows.sale_words import EVALUATION, OFFER, Deal, Evaluation, Judge, Licence, Money, Offer

ONE = bytes([1]) * 20
PIN = Pin(ONE, bytes(32))
MONEY = Money(1_000, 2_500, 90, 200, 40, 100)
DEAR = replace(MONEY, price=10**30, stake=10**31)
BASE = Offer("Birds of prey", "Photographs, each with the bird's name.", ("birds",), "csv", "bafk", bytes(32),
             bytes(32), False, Licence("research", 10),
             Deal(1, ONE, ONE, ONE, PIN, PIN, (Judge("did:key:a", ONE),), MONEY))


def offered(number: int, seller: str = "did:key:s", **changes: object) -> tuple[int, bytes, Statement]:
    sealed = number.to_bytes(32, "big")
    made = replace(BASE, commitment=sealed, content=sealed, **changes)  # type: ignore[arg-type]
    return number, sealed, Statement(OFFER, seller, 1, made.subjects(), made.body(), (Ref("listing", sealed),), ())


def said(number: int, issuer: str, value: int) -> tuple[int, bytes, Statement]:
    found = Evaluation("bafk", number.to_bytes(32, "big"), "looked", {"accuracy": value, "coverage": 1_000_000})
    return number, bytes([255]) * 31 + bytes([number]), Statement(EVALUATION, issuer, 1, found.subjects(), found.body(),
                                                                  (), ())


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with closing(Shelf(None)) as found:
        found.take_in([offered(1), offered(2, name="Owls", card="Birds that fly at night."), offered(3, form="npz"),
                       offered(4, "did:key:t", deal=replace(BASE.deal, money=DEAR)),
                       said(1, "did:key:e", 500_000), said(1, "did:key:f", 900_000), said(2, "did:key:e", 800_000),
                       said(4, "did:key:t", 999_999), said(3, "did:key:x", 1_000_000)])
        yield found


def ids(found: Iterator[Found]) -> list[int]:
    return [int.from_bytes(one.offer, "big") for one in found]


def test_order_is_what_believed_evaluators_say(shelf: Shelf) -> None:
    believed = ["did:key:e", "did:key:f", "did:key:t"]
    found = list(shelf.search("birds", Filters(metric="accuracy"), believed, 10))
    assert [(int.from_bytes(one.offer, "big"), one.quality, one.by) for one in found][:2] == [
        (2, 800_000, 1), (1, 500_000, 2)]
    assert {one.quality for one in found[2:]} == {None}, "a seller's own word, and a stranger's, count for nothing"
    assert len(found) == 4
    assert ids(shelf.search("birds", Filters(quality=750_000), believed, 10)) == [2, 1], "overall: the mean"
    assert [one.quality for one in shelf.search("birds", Filters(), [], 10)] == [None] * 4
    assert len(list(shelf.search("birds", Filters(), believed, 3))) == 3


def test_words_and_filters(shelf: Shelf) -> None:
    assert ids(shelf.search("owl", Filters(), [], 10)) == [2], "the last word may be a beginning"
    assert ids(shelf.search("OWLS night", Filters(), [], 10)) == [2]
    assert ids(shelf.search("owls day", Filters(), [], 10)) == []
    assert ids(shelf.search("", Filters(form="npz"), [], 10)) == [3]
    assert ids(shelf.search("", Filters(most=2_000), [], 10)) == [1, 2, 3]
    assert ids(shelf.search("birds", Filters(seller="did:key:t"), [], 10)) == [4]
    for nothing in (Filters(purpose="training"), Filters(derivatives="none"), Filters(token=bytes(20))):
        assert ids(shelf.search("", nothing, [], 10)) == []
    assert len(ids(shelf.search("", Filters(royalty=0, purpose="research", token=ONE), [], 10))) == 4


@pytest.mark.parametrize("text", ['"', 'owls" OR "prey', "name: owls", "NEAR(a b)", "*", "owls -night", "';--", "\x00"])
def test_nothing_in_the_words_is_syntax(shelf: Shelf, text: str) -> None:
    assert set(ids(shelf.search(text, Filters(), [], 10))) <= {1, 2, 3, 4}
    assert ids(shelf.search(f"zebra {text}", Filters(), [], 10)) == []


def test_what_cannot_be_read_hides_nothing(shelf: Shelf) -> None:
    place, claim, statement = offered(9)
    shelf.take_in([(9, b"\x09" * 32, replace(statement, body={"name": "birds"})), (10, claim, statement),
                   (11, claim, statement)])
    assert (ids(shelf.search("birds", Filters(), [], 10)).count(9), shelf.read) == (1, 12)
    with pytest.raises(Misuse):
        list(shelf.search("birds", Filters(), [], 0))
    assert place == 9


def test_a_file_that_is_no_index(tmp_path: Path) -> None:
    path = tmp_path / "market.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises((BadInput, OutsideFailed), match="index of offers"):
        Shelf(path)
    path.unlink()
    with closing(Shelf(path)) as first:
        first.take_in([offered(1)])
    with closing(Shelf(path)) as again:
        assert (again.read, ids(again.search("birds", Filters(), [], 10))) == (2, [1])
