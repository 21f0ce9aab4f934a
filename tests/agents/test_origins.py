"""Arguments that move money come from the owner's words or a claim: what is typed as what, and what gets through."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.agents.origins import (
    AMOUNT,
    PAYEE,
    TARGET,
    Claimed,
    Origins,
    Owned,
    Read,
    derived,
    refusal,
    says,
)
from troth.core.errors import BadInput

WORDS = ("Pay Anna 1,050.50 for order 17, and send 0x" + "ab" * 20 + " the 10% (due 2022-03-01).",)
ORIGINS = Origins(WORDS, {PAYEE: {"DE1": "bank"}, AMOUNT: {50.0: "bank"}}, {"Anna": "GB29", "Bert": "FR7"})
MONEY = {"to": PAYEE, "amount": AMOUNT, "id": TARGET}


@pytest.mark.parametrize(("value", "kind"), [
    (1050.5, Owned), (Decimal("1050.50"), Owned), (17, Owned), (10, Owned), ("Anna", Owned), ("GB29", Owned),
    (b"\xab" * 20, Owned), ("0x" + "ab" * 20, Owned), (50, Claimed),
    (1050, Read), (50.5, Read), (2022, Read), (3, Read), (1, Read), (-10, Read), (True, Read), ("", Read), (" ", Read),
    ("Ann", Read), ("Bert", Read), ("FR7", Read), ("ab", Read), ("DE1", Read), (b"\xab" * 19, Read), (None, Read),
    (float("nan"), Read), (["Anna", "Mallory"], Read), (["Anna", 17], Owned), ([], Read), ({"Anna": "evil"}, Read)])
def test_where_a_value_comes_from(value: object, kind: type) -> None:
    assert type(ORIGINS.of(AMOUNT, value)) is kind


def test_a_record_counts_as_what_it_says_and_no_more() -> None:
    assert ORIGINS.of(PAYEE, "DE1") == Claimed("DE1", "bank")
    assert ORIGINS.of(PAYEE, 50) == Read(50)


@pytest.mark.parametrize(("expression", "value", "kind"), [
    ("50 * 10 / 100", 5, Claimed), ("10 / 2 + 17", 22, Owned), ("(17 - 10) * 10", 70, Owned), ("17/4", "4.25", Owned),
    ("17 * 60000", 1_020_000, Read), ("17 + 1", 18, Read), ("17 / 0.001", 17_000, Read), ("9", 9, Read)])
def test_a_number_that_is_computed(expression: str, value: int | str, kind: type) -> None:
    found = ORIGINS.compute(AMOUNT, expression)
    assert (type(found), found.value) == (kind, Decimal(value))


@pytest.mark.parametrize("expression", [
    "", "17 ** 9", "__import__('os')", "a", "17 / 0", "-17", "17 if 1 else 2", "[17]", "'17'", "True", "17 //2",
    "9" * 1001, "(" * 400 + "17" + ")" * 400, "1e999999999 * 17"])
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(BadInput):
        ORIGINS.compute(AMOUNT, expression)


def test_a_call_is_as_trusted_as_its_worst_argument() -> None:
    assert refusal("send", {"to": "Anna", "amount": 17, "note": "anything"}, MONEY, ORIGINS) is None
    assert refusal("send", {"to": "Anna", "amount": 17, "id": None}, MONEY, ORIGINS) is None
    found = refusal("send", {"to": "Mallory", "amount": 18}, MONEY, ORIGINS)
    assert found is not None
    assert (found.reason, found.recorded) == ("NotOwners", False)
    assert "'Mallory'" in found.said
    assert "18" in found.said


def test_a_sum_must_give_the_argument() -> None:
    assert refusal("send", {"to": "Anna", "amount": 70}, MONEY, ORIGINS, {"amount": "(17 - 10) * 10"}) is None
    for sums in ({"amount": "17 * 10"}, {"amount": "71"}, {"to": "70"}):
        assert refusal("send", {"to": "Anna", "amount": 71}, MONEY, ORIGINS, sums) is not None


def test_a_value_does_not_say_itself_where_it_comes_from() -> None:
    with pytest.raises(BadInput):
        ORIGINS.of(PAYEE, Owned("Mallory", "trust me"))
    with pytest.raises(BadInput):
        refusal("send", {"to": [Owned("Mallory", "")]}, MONEY, ORIGINS)


@given(st.lists(st.sampled_from((Owned(1, "w"), Claimed(1, "c"), Read(1, "page"))), max_size=5))
def test_what_is_made_of_values_is_no_better_than_any(parts: list[Owned | Claimed | Read]) -> None:
    worst = Read if not parts or any(isinstance(one, Read) for one in parts) else (
        Claimed if any(isinstance(one, Claimed) for one in parts) else Owned)
    assert type(derived(7, *parts)) is worst


@given(st.text("ab1. -", max_size=12), st.text("ab1", min_size=1, max_size=4))
def test_a_text_counts_only_as_a_whole_word(around: str, value: str) -> None:
    assert says(f"{around} {value} {around}", value)
    assert not says(f"x{value}", value)
    assert not says(f"{value}x", value)
