"""Amounts split down random lineages: every unit, once, whatever the order; and graphs that go in a circle."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.errors import BadInput
from troth.fixed.flow import Network
from troth.fixed.split import LEAF, Share, apportion, split


def node(number: int) -> bytes:
    return number.to_bytes(32, "big")


@st.composite
def lineages(draw: st.DrawFn) -> dict[bytes, Share]:
    """Random graphs in which a node rests on later ones only; what it does with what reaches it is never nothing."""
    count = draw(st.integers(1, 14))
    found = {}
    weights = st.one_of(st.integers(0, 3), st.integers(0, 1 << 70))
    for at in range(count):
        below = draw(st.sets(st.integers(at + 1, count - 1), max_size=5)) if at + 1 < count else set()
        passes = {node(one): draw(weights) for one in sorted(below)}
        keeps = draw(weights)
        found[node(at)] = Share(keeps if keeps or any(passes.values()) else 1, passes)
    return found


def exactly(amount: int, top: bytes, shares: dict[bytes, Share]) -> dict[bytes, Fraction]:
    """By definition, in fractions, down every path by itself."""
    found: dict[bytes, Fraction] = {}
    paths = [(top, Fraction(amount))]
    while paths:
        at, came = paths.pop()
        share = shares[at]
        whole = share.keeps + sum(share.passes.values())
        found[at] = found.get(at, Fraction(0)) + came * share.keeps / whole
        paths += [(below, came * weight / whole) for below, weight in share.passes.items()]
    return found


@settings(max_examples=60)
@given(lineages(), st.one_of(st.integers(0, 20), st.integers(0, 1 << 120)), st.randoms(use_true_random=False))
def test_every_unit_is_somebodys_and_nobody_is_off_by_one(shares: dict[bytes, Share], amount: int,
                                                          dice: random.Random) -> None:
    found = split(amount, node(0), shares)
    assert sum(found.values()) == amount
    assert all(part >= 0 for part in found.values())
    for at, part in exactly(amount, node(0), shares).items():
        assert abs(found[at] - part) < 1 + Fraction(1, 1 << 100), "a diamond gives what its paths give together"
        assert part or not found[at], "who is due nothing gets nothing"
    mixed = list(shares.items())
    dice.shuffle(mixed)
    turned = {at: Share(share.keeps, dict(reversed(share.passes.items()))) for at, share in mixed}
    assert split(amount, node(0), turned) == found


@given(lineages(), st.integers(1, 1 << 60))
def test_a_node_between_that_keeps_nothing_earns_nobody_more_than_a_unit(shares: dict[bytes, Share],
                                                                         amount: int) -> None:
    """The split is of the graph's shares, not of its form; but equal remainders go by names, and a node between has
    another name than the one that it stands before."""
    between = node(1000)
    longer = {at: Share(share.keeps, {between if below == node(1) else below: weight
                                      for below, weight in share.passes.items()})
              for at, share in shares.items()} | {between: Share(0, {node(1): 7})}
    straight, bent = split(amount, node(0), shares), split(amount, node(0), longer)
    assert sum(bent.values()) == amount
    assert not bent.get(between)
    assert all(abs(bent.get(at, 0) - part) <= 1 for at, part in straight.items())


def test_a_diamond_by_hand() -> None:
    """The top keeps half; two in the middle keep a third each and pass the rest to one source."""
    shares = {node(0): Share(2, {node(1): 1, node(2): 1}), node(1): Share(1, {node(3): 2}),
              node(2): Share(1, {node(3): 2}), node(3): LEAF}
    assert split(1200, node(0), shares) == {node(0): 600, node(1): 100, node(2): 100, node(3): 400}
    # Rounded at each step, the source would have had 0 of 3; summed first it has its one.
    assert split(3, node(0), shares)[node(3)] == 1


@pytest.mark.parametrize("shares", [
    {node(0): Share(1, {node(0): 1})},
    {node(0): Share(1, {node(1): 1}), node(1): Share(0, {node(2): 1}), node(2): Share(1, {node(1): 1})},
    {node(0): Share(1, {node(1): 0}), node(1): Share(1, {node(0): 1})},
], ids=["itself", "below", "through the top"])
def test_a_circle_is_refused(shares: dict[bytes, Share]) -> None:
    with pytest.raises(BadInput, match="circle"):
        split(100, node(0), shares)


@pytest.mark.parametrize("shares", [
    {node(0): Share(1, {node(1): 1})}, {node(0): Share(0, {})}, {node(0): Share(2, {node(1): -1}), node(1): LEAF},
    {node(0): Share(-1, {node(1): 2}), node(1): LEAF},
], ids=["unknown", "nothing", "negative", "keeps less than nothing"])
def test_what_is_no_share_is_refused(shares: dict[bytes, Share]) -> None:
    with pytest.raises(BadInput):
        split(100, node(0), shares)


@given(st.integers(0, 1 << 90), st.lists(st.integers(0, 1 << 40), min_size=1, max_size=12))
def test_apportioned_within_a_unit(amount: int, weights: list[int]) -> None:
    if not sum(weights):
        with pytest.raises(BadInput):
            apportion(amount, weights)
        return
    parts = apportion(amount, weights)
    assert sum(parts) == amount
    assert all(abs(part - Fraction(amount * weight, sum(weights))) < 1
               for part, weight in zip(parts, weights, strict=True))


def least_cut(edges: dict[tuple[int, int], int], source: int, sink: int, count: int) -> int:
    """By trying every set of nodes that holds the source and not the sink."""
    best: int | None = None
    for mask in range(1 << count):
        if mask >> source & 1 and not mask >> sink & 1:
            crossing = sum(room for (a, b), room in edges.items() if mask >> a & 1 and not mask >> b & 1)
            best = crossing if best is None else min(best, crossing)
    assert best is not None
    return best


@given(st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda pair: pair[0] != pair[1]),
                       st.integers(0, 9), max_size=24))
def test_the_largest_flow_is_the_least_cut(edges: dict[tuple[int, int], int]) -> None:
    network = Network(edges)
    assert network.flow([0], [6]) == least_cut(edges, 0, 6, 7)
    assert network.flow([0], [6]) == least_cut(edges, 0, 6, 7), "asked again, it answers again"
    with pytest.raises(BadInput, match="source"):
        network.flow([0], [0])
