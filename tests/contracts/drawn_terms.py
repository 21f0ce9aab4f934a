"""Random terms, entries and results: everything that has an ABI form, whether or not a Book would open it."""

from __future__ import annotations

from hypothesis import strategies as st

from troth.core.terms import (
    CHALLENGE,
    SUBMISSION,
    VERDICT,
    Answered,
    Ask,
    Entry,
    Pot,
    Result,
    Root,
    Rung,
    Split,
    Terms,
)

accounts = st.binary(min_size=20, max_size=20)
digests = st.binary(min_size=32, max_size=32)
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=7)
uint8 = st.integers(0, 2**8 - 1)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
uint128 = st.integers(0, 2**128 - 1)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    payees = tuple(draw(st.lists(accounts, min_size=1, max_size=3)))
    numbers = tuple(draw(st.lists(uint128, min_size=len(payees), max_size=len(payees))))
    return draw(st.sampled_from((Split(payees), Split(payees, amounts=numbers), Split(payees, weights=numbers))))


rules = st.one_of(splits(), st.builds(Answered, uint8), st.builds(Root, uint32))
pots = st.builds(Pot, names, accounts, uint128, st.dictionaries(uint8, rules, max_size=3), accounts)
asks = st.builds(Ask, names, st.none() | st.lists(accounts, min_size=1, max_size=3).map(tuple), uint32, uint8)
rungs = st.builds(Rung, accounts, digests, st.lists(asks, max_size=3).map(tuple), uint32, uint32, uint128, uint8)
terms = st.builds(Terms, accounts, st.lists(pots, max_size=3).map(tuple), st.lists(rungs, max_size=3).map(tuple),
                  uint64, accounts)

@st.composite
def entries_(draw: st.DrawFn) -> Entry:
    """As a Book makes them: only submissions claim something, and challenges bring no data."""
    kind = draw(st.sampled_from((SUBMISSION, VERDICT, CHALLENGE)))
    claim = draw(digests) if kind == SUBMISSION else bytes(32)
    data = b"" if kind == CHALLENGE else draw(st.binary(max_size=70))
    return Entry(kind, draw(accounts), draw(uint8), draw(uint8), draw(uint8), draw(uint64), claim, data)


entries = entries_()
results = st.builds(Result, uint8, st.lists(uint128, max_size=4).map(tuple), st.frozensets(accounts, max_size=4),
                    digests, uint128)
