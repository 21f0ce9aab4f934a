"""What terms may be: hashes, refusals at their limits, and values that have no form on chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core import deals_terms
from troth.core.errors import ActRefused, BadInput
from troth.core.terms import (
    CHALLENGE,
    CHALLENGER,
    DEPOSITOR,
    KEEP,
    KEEPER,
    REFUTED,
    SLASHED,
    SUBMISSION,
    UPHELD,
    VERDICT,
    Answered,
    Ask,
    Pot,
    Result,
    Root,
    Rung,
    Split,
    Terms,
    climber,
    label,
    role,
    unlabel,
)

NOW = 1_000_000
A, B, C, COURT, POLICY, TOKEN = (bytes([n]) * 20 for n in range(1, 7))
BENCH = tuple(bytes([n]) * 20 for n in (50, 51, 52))
MAX_LIFE = 63_072_000


def terms(**changes: Any) -> Terms:
    """A deal with a bit of everything, valid at NOW."""
    pots = (
        Pot("reward", A, 100, {UPHELD: Split((B, CHALLENGER), amounts=(50, 50)), REFUTED: Split((A,), weights=(1,)),
                               3: Split((B, KEEPER))}),
        Pot("stake", B, 10, {SLASHED: Split((CHALLENGER, A), weights=(1, 1)), UPHELD: Root(5)}, C),
        Pot("fee", climber(1), 3, {UPHELD: Answered(1)}),
    )
    rungs = (Rung(POLICY, bytes(32), (Ask("result", (B,), 10),), 10, 10, 5, REFUTED),
             Rung(POLICY, bytes(32), (Ask("evidence", (B, C), 10, 2), Ask("verdict", BENCH, 10)), 10))
    return replace(Terms(TOKEN, pots, rungs, NOW + 10, COURT), **changes)


def wide(*rules: Answered | Root | Split) -> Terms:
    """Terms whose close pays 3 x (32 + 1) accounts, and those of one more pot for each of ``rules``."""
    paid = [{UPHELD: Split(accounts(32)), REFUTED: Split((A,))} for _ in range(3)] + [{UPHELD: one} for one in rules]
    return terms(pots=tuple(Pot(f"{n}", A, 1, pays) for n, pays in enumerate(paid)))


def rung(index: int, **changes: Any) -> Terms:
    rungs = list(terms().rungs)
    rungs[index] = replace(rungs[index], **changes)
    return terms(rungs=tuple(rungs))


def pot(**changes: Any) -> Terms:
    return terms(pots=(replace(terms().pots[0], **changes), *terms().pots[1:]))


def ask(**changes: Any) -> Terms:
    return rung(0, asks=(replace(terms().rungs[0].asks[0], **changes),))


def pays(rule: Any) -> Terms:
    return pot(pays={UPHELD: rule})


def accounts(size: int) -> tuple[bytes, ...]:
    return tuple(bytes([100, n]) * 10 for n in range(size))


GOOD: dict[str, Terms] = {
    "as it is": terms(),
    "32 pots": terms(pots=tuple(replace(terms().pots[1], name=f"{n}") for n in range(32))),
    "4 rungs": terms(rungs=(terms().rungs[0], *(Rung(POLICY, bytes(32), (Ask("x", (bytes([n]) * 20,), 1),), 1,
                                                     0 if n == 9 else 1, 0 if n == 9 else 10 * 2**(n - 7))
                                                for n in (7, 8, 9)))),
    "4 asks": rung(0, asks=(*terms().rungs[0].asks, *(Ask("x", None, 1),) * 3)),
    "32 accounts and 64 seats": rung(0, asks=(Ask("x", accounts(32), 1), Ask("x", accounts(25), 1))),
    "8 slots": ask(slots=8),
    "32 payees": pays(Split(accounts(32))),
    "8 rules": pot(pays={n: Split((A,)) for n in range(8)}),
    "112 payments": wide(Split(accounts(12))),
    "112 payments, some to a bench": wide(Split(accounts(8)), Answered(1)),
    "112 payments, a root among them": wide(Split(accounts(11)), Root(5)),
    "128 payees": terms(pots=(Pot("x", A, 1, {n: Split(accounts(32)) for n in range(4)}),)),
    "one second to fund": terms(fund_by=NOW + 1),
    "the longest life": rung(1, verdict_period=MAX_LIFE - 60),
    "bonds that just double": terms(rungs=(replace(terms().rungs[0], asks=(Ask("x", (A,), 1),), window=1, bond=3),
                                           replace(terms().rungs[1], window=1, bond=6, asks=(Ask("x", BENCH, 1),)),
                                           Rung(POLICY, bytes(32), (Ask("x", (C,), 1),), 1))),
    "the challenger gets just half": pays(Split((CHALLENGER, B, CHALLENGER), weights=(2, 5, 3))),
    "weights to the brim": pays(Split((A, B), weights=(2**127, 2**127 - 1))),
    "no rules": pot(pays={}),
    "the shortest term": pays(Root(1)),
    "the longest term": pays(Root(MAX_LIFE)),
    "the bench asked twice": rung(1, asks=(Ask("commit", BENCH, 1), Ask("reveal", None, 1), Ask("more", BENCH, 1))),
    "the bench asked before": rung(0, asks=(Ask("x", BENCH, 1), Ask("result", (B,), 1))),
    "a bench member's stake": terms(pots=(*terms().pots, Pot("seat", BENCH[0], 1, {}))),
}

BAD: list[tuple[str, str, Terms]] = [
    ("BadShape", "no pots", terms(pots=())),
    ("BadShape", "33 pots", terms(pots=tuple(replace(terms().pots[1], name=f"{n}") for n in range(33)))),
    ("BadShape", "only fee pots", terms(pots=terms().pots[2:])),
    ("BadShape", "no rungs", terms(rungs=())),
    ("BadShape", "5 rungs", terms(rungs=terms().rungs[:1] * 5)),
    ("BadShape", "no asks", rung(0, asks=())),
    ("BadShape", "5 asks", rung(0, asks=(*terms().rungs[0].asks, *(Ask("x", None, 1),) * 4))),
    ("BadShape", "nobody asked first", ask(who=None)),
    ("BadShape", "nobody asked first, empty", ask(who=())),
    ("BadShape", "33 accounts", ask(who=accounts(33))),
    ("BadShape", "65 seats", rung(0, asks=(Ask("x", accounts(29), 1), Ask("x", accounts(29), 1)))),
    ("BadShape", "no slots", ask(slots=0)),
    ("BadShape", "9 slots", ask(slots=9)),
    ("BadShape", "33 payees", pays(Split(accounts(33)))),
    ("BadShape", "9 rules", pot(pays={n: Split((A,)) for n in range(9)})),
    ("BadShape", "129 payees", terms(pots=(Pot("x", A, 1, {n: Split(accounts(32 if n else 1)) for n in range(5)}),))),
    ("BadShape", "113 payments", wide(Split(accounts(13)))),
    ("BadShape", "113 payments, some to a bench", wide(Split(accounts(9)), Answered(1))),
    ("BadShape", "two pots of one name", terms(pots=(*terms().pots, terms().pots[0]))),
    ("BadTimes", "no time to fund", terms(fund_by=NOW)),
    ("BadTimes", "a zero period", ask(period=0)),
    ("BadTimes", "a zero verdict period", rung(1, verdict_period=0)),
    ("BadTimes", "no window", rung(0, window=0)),
    ("BadTimes", "a window at the top", rung(1, window=1)),
    ("BadTimes", "too long a life", rung(1, verdict_period=MAX_LIFE - 59)),
    ("BadBond", "no bond", rung(0, bond=0)),
    ("BadBond", "a bond at the top", rung(1, bond=1)),
    ("BadBond", "bonds that do not double", terms(rungs=(
        replace(terms().rungs[0], bond=3), replace(terms().rungs[1], window=1, bond=5),
        Rung(POLICY, bytes(32), (Ask("x", (C,), 1),), 1)))),
    ("BadSilent", "rung 0 keeps", rung(0, silent=KEEP)),
    ("BadPot", "nothing in it", pot(amount=0)),
    ("BadPot", "no depositor", pot(depositor=role(0))),
    ("BadPot", "a role deposits", pot(depositor=DEPOSITOR)),
    ("BadPot", "a climber of rung 0", pot(depositor=climber(0))),
    ("BadPot", "a climber above the top", pot(depositor=climber(2))),
    ("BadPot", "no residual", pot(residual=role(0))),
    ("BadPot", "the challenger as residual", pot(residual=CHALLENGER)),
    ("BadPot", "a climber as residual", pot(residual=climber(1))),
    ("BadPot", "no payees", pays(Split((), amounts=()))),
    ("BadPot", "no payees of values", pays(Split(()))),
    ("BadPot", "nobody as payee", pays(Split((role(0),)))),
    ("BadPot", "an unknown role as payee", pays(Split((role(4),)))),
    ("BadPot", "too few amounts", pays(Split((A, B), amounts=(1,)))),
    ("BadPot", "too many weights", pays(Split((A,), weights=(1, 1)))),
    ("BadPot", "no weight", pays(Split((A,), weights=(0,)))),
    ("BadPot", "too much weight", pays(Split((A, B), weights=(2**127, 2**127)))),
    ("BadPot", "seats of no rung", pays(Answered(2))),
    ("BadPot", "seats of no rung, in a close of 112 payments", wide(Split(accounts(11)), Answered(7))),
    ("BadPot", "no term", pays(Root(0))),
    ("BadPot", "too long a term", pays(Root(MAX_LIFE + 1))),
    ("BadPot", "a root's rest to the keeper", pot(pays={UPHELD: Root(1)}, residual=KEEPER)),
    ("BadPot", "values for the challenger", pays(Split((B, CHALLENGER)))),
    ("BadPot", "over half for the challenger", pays(Split((CHALLENGER, B), amounts=(51, 0)))),
    ("BadPot", "over half of an odd pot", pot(amount=101, pays={1: Split((CHALLENGER,), amounts=(51,))})),
    ("BadPot", "over half in two places", pays(Split((CHALLENGER, B, CHALLENGER), amounts=(25, 0, 26)))),
    ("BadPot", "over half by weight", pays(Split((CHALLENGER, B), weights=(3, 2)))),
    ("BadPot", "fees as a stake", terms(pots=(*terms().pots[:2], replace(terms().pots[2], pays={SLASHED: Root(1)})))),
    ("BadWrongBonds", "nobody", terms(wrong_bonds=role(0))),
    ("BadWrongBonds", "a role", terms(wrong_bonds=KEEPER)),
    ("BadWrongBonds", "a depositor", terms(wrong_bonds=A)),
    ("BadWrongBonds", "an account asked", terms(wrong_bonds=BENCH[2])),
    ("BadWrongBonds", "a residual", pot(residual=COURT)),
    ("BadWrongBonds", "a payee", pays(Split((B, COURT)))),
    ("BadBench", "twice in an ask", ask(who=(B, B))),
    ("BadBench", "a role asked", ask(who=(role(77),))),
    ("BadBench", "part of a bench", ask(who=BENCH[:2])),
    ("BadBench", "a bench in another order", ask(who=BENCH[::-1])),
    ("BadBench", "a bench and another", ask(who=(*BENCH, B))),
    ("BadBench", "on two benches", terms(rungs=(
        terms().rungs[0], replace(terms().rungs[1], window=1, bond=10, asks=(Ask("x", BENCH, 1),)),
        Rung(POLICY, bytes(32), (Ask("x", (BENCH[1],), 1),), 1)))),
]


@pytest.mark.parametrize("name", GOOD)
def test_accepted(name: str) -> None:
    deals_terms.readable(GOOD[name])
    deals_terms.check(GOOD[name], NOW)


@pytest.mark.parametrize(("code", "why", "bad"), BAD, ids=[f"{code}: {why}" for code, why, _ in BAD])
def test_refused(code: str, why: str, bad: Terms) -> None:
    deals_terms.readable(bad)
    with pytest.raises(ActRefused) as error:
        deals_terms.check(bad, NOW)
    assert error.value.code == code


def test_the_first_code_of_the_order_wins() -> None:
    """Everything wrong at once, then less and less: the codes come in the page's order."""
    wrong = replace(ask(period=0, who=(B, B)), wrong_bonds=A, pots=(replace(terms().pots[0], amount=0),) * 2)
    wrong = replace(wrong, rungs=(replace(wrong.rungs[0], bond=0, silent=KEEP), wrong.rungs[1]))
    seen = []
    for mend in (lambda t: replace(t, pots=t.pots[:1]),
                 lambda t: replace(t, rungs=(replace(t.rungs[0], asks=(Ask("x", (B, B), 5),)), t.rungs[1])),
                 lambda t: replace(t, rungs=(replace(t.rungs[0], bond=1), t.rungs[1])),
                 lambda t: replace(t, rungs=(replace(t.rungs[0], silent=3), t.rungs[1])),
                 lambda t: replace(t, pots=terms().pots),
                 lambda t: replace(t, wrong_bonds=COURT),
                 lambda t: replace(t, rungs=terms().rungs)):
        with pytest.raises(ActRefused) as error:
            deals_terms.check(wrong, NOW)
        seen.append(error.value.code)
        wrong = mend(wrong)
    deals_terms.check(wrong, NOW)
    assert seen == ["BadShape", "BadTimes", "BadBond", "BadSilent", "BadPot", "BadWrongBonds", "BadBench"]


@pytest.mark.parametrize("bad", [
    terms(token=b"\x01" * 19), terms(wrong_bonds="0x00"), terms(fund_by=-1), terms(fund_by=2**64), terms(fund_by=1.5),
    pot(name=""), pot(name="x" * 32), pot(name="a\x00b"), pot(depositor=b""), pot(residual=None), pot(amount=2**128),
    pot(amount=True), pot(pays={256: Root(1)}), pot(pays={-1: Root(1)}), pays(Answered(256)), pays(Root(2**32)),
    pays(Split((A,), amounts=(1,), weights=(1,))), pays(Split((b"",))), pays(Split((A,), weights=(2**128,))),
    rung(0, policy=b""), rung(0, codehash=b""), rung(0, codehash=bytes(31)), rung(0, codehash=bytes(33)),
    rung(0, verdict_period=2**32), rung(0, window=-1), rung(0, window=2**32), rung(0, bond=-1),
    rung(0, bond=2**128), rung(0, silent=256), ask(kind=""), ask(period=2**32), ask(slots=256), ask(who=(b"",)),
])
def test_no_form_on_chain(bad: Terms) -> None:
    with pytest.raises(BadInput):
        deals_terms.readable(bad)


def test_numbers_of_the_page() -> None:
    """What the page fixes and every contract, claim and bundle relies on (docs/reference/deals.md, section 1)."""
    assert (SLASHED, KEEP, UPHELD, REFUTED) == (0, 0, 1, 2)
    assert (SUBMISSION, VERDICT, CHALLENGE) == (1, 2, 3)
    assert [int.from_bytes(one, "big") for one in (CHALLENGER, KEEPER, DEPOSITOR)] == [1, 2, 3]
    assert [int.from_bytes(climber(n), "big") for n in (1, 2, 3)] == [0x11, 0x12, 0x13]
    assert all(len(one) == 20 for one in (CHALLENGER, climber(3)))


@given(st.text(max_size=40))
def test_labels(text: str) -> None:
    try:
        data = text.encode()
        fits = 1 <= len(data) <= 31 and b"\x00" not in data
    except UnicodeEncodeError:
        return
    if fits:
        assert unlabel(label(text)) == text
        assert len(label(text)) == 32
    else:
        with pytest.raises(BadInput):
            label(text)


@pytest.mark.parametrize("data", [b"", b"a\x00b", b"\x00a", b"\xff"])
def test_names_that_are_no_text(data: bytes) -> None:
    """What ``label`` does not write is not read either: terms that are read have bytes."""
    with pytest.raises(BadInput):
        unlabel(data.ljust(32, b"\x00"))


amounts = st.integers(0, 2**128 - 1)
results = st.builds(Result, st.integers(0, 255), st.lists(amounts, max_size=5).map(tuple),
                    st.frozensets(st.binary(min_size=20, max_size=20), max_size=4),
                    st.binary(min_size=32, max_size=32), amounts)


@settings(deadline=None)
@given(results)
def test_results_have_one_form(result: Result) -> None:
    data = result.to_bytes()
    assert Result.from_bytes(data) == result
    for other in (data + bytes(32), data[:-1], b"\x00" + data, data[32:]):
        with pytest.raises(BadInput):
            Result.from_bytes(other)


@settings(deadline=None)
@given(results, st.data())
def test_no_other_bytes_are_a_result_of_the_same(result: Result, data: st.DataObject) -> None:
    """Any changed bit reads as another result, or as none."""
    bytes_of = bytearray(result.to_bytes())
    bit = data.draw(st.integers(0, 8 * len(bytes_of) - 1))
    bytes_of[bit // 8] ^= 1 << bit % 8
    try:
        found = Result.from_bytes(bytes(bytes_of))
    except BadInput:
        return
    assert found != result
    assert found.to_bytes() == bytes(bytes_of)
