"""Payout trees: every leaf has its proof, nothing else has one, and the form is OpenZeppelin's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.core.encoding import keccak256
from troth.core.errors import BadInput
from troth.core.payouts import PayoutTree, proves

leaves = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20, unique=True)


@settings(deadline=None)
@given(leaves)
def test_every_leaf_is_proven_and_no_other(found: list[bytes]) -> None:
    tree = PayoutTree(found)
    for place, leaf in enumerate(found):
        proof = tree.proof(place)
        assert proves(leaf, proof, tree.root)
        assert not proves(keccak256(leaf), proof, tree.root)
        assert not proves(leaf, (*proof, leaf), tree.root)
        for cut in range(len(proof)):
            assert not proves(leaf, proof[:cut], tree.root)


def test_by_hand() -> None:
    """Three leaves: the pair is hashed smaller first, the third moves up unchanged."""
    a, b, c = (bytes([n]) * 32 for n in (3, 1, 2))
    pair = keccak256(b + a)
    assert PayoutTree([a, b]).root == pair
    assert PayoutTree([a, b, c]).root == keccak256(min(pair, c) + max(pair, c))
    assert PayoutTree([a, b, c]).proof(2) == (pair,)
    assert PayoutTree([a]).root == a
    assert PayoutTree([a]).proof(0) == ()


@pytest.mark.parametrize("bad", [[], [bytes(31)], [bytes(32), bytes(33)]])
def test_no_leaves(bad: list[bytes]) -> None:
    with pytest.raises(BadInput):
        PayoutTree(bad)


@pytest.mark.parametrize("place", [-1, 2])
def test_no_such_leaf(place: int) -> None:
    with pytest.raises(BadInput):
        PayoutTree([bytes(32), b"\x01" * 32]).proof(place)
