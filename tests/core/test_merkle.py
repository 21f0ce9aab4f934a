"""RFC 6962 trees: outside roots, a second implementation from the RFC's recursive definition, attacks on proofs."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.core import merkle
from troth.core.errors import BadInput, Refuted

# Certificate Transparency's reference leaves and the roots of their prefixes.
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = st.integers(1, 70)


def leaves(size: int) -> list[bytes]:
    return [b"%d" % i for i in range(size)]


def hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(leaf) for leaf in leaves(size)]


def mth(data: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = max(2**i for i in range(20) if 2**i < len(data))
    return sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, word for word."""
    if len(data) == 1:
        return []
    k = max(2**i for i in range(20) if 2**i < len(data))
    return [*path(m, data[:k]), mth(data[k:])] if m < k else [*path(m - k, data[k:]), mth(data[:k])]


def proof(m: int, data: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2, word for word."""
    if m == len(data):
        return [] if whole else [mth(data)]
    k = max(2**i for i in range(20) if 2**i < len(data))
    if m <= k:
        return [*proof(m, data[:k], whole), mth(data[k:])]
    return [*proof(m - k, data[k:], False), mth(data[:k])]


@pytest.mark.parametrize("size", range(9))
def test_outside_roots(size: int) -> None:
    expected = bytes.fromhex(ROOTS[size])
    assert merkle.root(LEAVES[:size]) == expected == mth(LEAVES[:size])
    frontier = merkle.Frontier()
    frontier.extend(map(merkle.leaf_hash, LEAVES[:size]))
    assert frontier.root() == expected
    node = merkle.node_of([merkle.leaf_hash(leaf) for leaf in LEAVES])
    assert merkle.root_at(size, node) == expected


@given(SIZES)
def test_every_inclusion_proof_is_the_rfcs_and_verifies(size: int) -> None:
    node, root = merkle.node_of(hashes(size)), merkle.root(leaves(size))
    for index in range(size):
        found = merkle.inclusion_proof(index, size, node)
        assert found == path(index, leaves(size))
        merkle.verify_inclusion(hashes(size)[index], index, size, found, root)


@given(SIZES, SIZES)
def test_every_consistency_proof_is_the_rfcs_and_verifies(one: int, two: int) -> None:
    old, new = sorted((one, two))
    found = merkle.consistency_proof(old, new, merkle.node_of(hashes(new)))
    assert found == proof(old, leaves(new))
    merkle.verify_consistency(old, new, merkle.root(leaves(old)), merkle.root(leaves(new)), found)
    merkle.verify_consistency(0, new, merkle.EMPTY_ROOT, merkle.root(leaves(new)), [])


@given(st.data())
def test_a_changed_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 40))
    index = data.draw(st.integers(0, size - 1))
    leaf, root = hashes(size)[index], merkle.root(leaves(size))
    good = merkle.inclusion_proof(index, size, merkle.node_of(hashes(size)))
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes([good[at][0] ^ 1]) + good[at][1:]
    for bad in ([*good, leaf], good[:-1], [*good[:at], flipped, *good[at + 1:]], good[:at] + good[at + 1:]):
        with pytest.raises(Refuted):
            merkle.verify_inclusion(leaf, index, size, bad, root)
    with pytest.raises(Refuted):
        merkle.verify_inclusion(leaf, other, size, good, root)
    with pytest.raises(Refuted):
        merkle.verify_inclusion(merkle.leaf_hash(b"another"), index, size, good, root)


@given(st.data())
def test_a_changed_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 40))
    old = data.draw(st.integers(1, new - 1))
    roots = merkle.root(leaves(old)), merkle.root(leaves(new))
    good = merkle.consistency_proof(old, new, merkle.node_of(hashes(new)))
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes([good[at][0] ^ 1]) + good[at][1:]
    for bad in ([*good, good[0]], good[:-1], [*good[:at], flipped, *good[at + 1:]]):
        with pytest.raises(Refuted):
            merkle.verify_consistency(old, new, *roots, bad)
    with pytest.raises(Refuted):  # a rewritten past
        merkle.verify_consistency(old, new, merkle.root([b"x", *leaves(old)[1:]]), roots[1], good)
    with pytest.raises(Refuted):  # backwards
        merkle.verify_consistency(new, old, roots[1], roots[0], good)


def test_trees_of_one_size_are_consistent_only_if_equal() -> None:
    one, two = merkle.root([b"a"]), merkle.root([b"b"])
    merkle.verify_consistency(1, 1, one, one, [])
    for old, new, first, second, proof_ in ((1, 1, one, two, []), (1, 1, one, one, [two]), (0, 1, one, one, []),
                                            (0, 1, merkle.EMPTY_ROOT, one, [one]), (-1, 1, one, one, [])):
        with pytest.raises(Refuted):
            merkle.verify_consistency(old, new, first, second, proof_)


def test_every_choice_of_leaves_of_every_small_tree() -> None:
    """Each shape of proof that there is up to nine leaves, the cut-off subtrees of the right edge among them."""
    for size in range(1, 10):
        node, root = merkle.node_of(hashes(size)), merkle.root(leaves(size))
        for mask in range(1, 1 << size):
            indices = [i for i in range(size) if mask >> i & 1]
            proof = merkle.multi_proof(indices, size, node)
            pairs = [(i, hashes(size)[i]) for i in indices]
            assert merkle.root_from_multi(size, pairs, proof) == root
            for wrong in ([*proof, root], proof[:-1] if proof else [root]):
                with pytest.raises(Refuted):
                    merkle.root_from_multi(size, pairs, wrong)


@given(st.data())
def test_one_proof_for_many_leaves(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 50))
    indices = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    node, root = merkle.node_of(hashes(size)), merkle.root(leaves(size))
    good = merkle.multi_proof(indices, size, node)
    pairs = [(i, hashes(size)[i]) for i in indices]
    assert merkle.root_from_multi(size, iter(pairs), iter(good)) == root
    assert len(good) <= sum(len(merkle.inclusion_proof(i, size, node)) for i in indices)
    with pytest.raises(Refuted):
        merkle.root_from_multi(size, pairs, [*good, root])
    if good:
        with pytest.raises(Refuted):
            merkle.root_from_multi(size, pairs, good[:-1])
        assert merkle.root_from_multi(size, pairs, [sha256(good[0]).digest(), *good[1:]]) != root
    if len(pairs) > 1:
        with pytest.raises(Refuted):
            merkle.root_from_multi(size, pairs[::-1], good)
    at = data.draw(st.integers(0, len(pairs) - 1))
    assert merkle.root_from_multi(size, [*pairs[:at], (pairs[at][0], b"\x00" * 32), *pairs[at + 1:]], good) != root
    with pytest.raises(Refuted):
        merkle.root_from_multi(size, [*pairs, (size, root)], good)
    with pytest.raises(Refuted):
        merkle.root_from_multi(size, [], good)


@pytest.mark.parametrize("indices", [[], [1, 0], [0, 0], [-1], [4]])
def test_a_proof_for_impossible_leaves_is_refused(indices: list[int]) -> None:
    with pytest.raises(BadInput):
        merkle.multi_proof(indices, 4, merkle.node_of(hashes(4)))


def test_an_index_outside_the_tree_is_refused() -> None:
    for index, size in ((4, 4), (-1, 4), (0, 0)):
        with pytest.raises(BadInput):
            merkle.inclusion_proof(index, size, merkle.node_of(hashes(4)))
    with pytest.raises(BadInput):
        merkle.consistency_proof(3, 2, merkle.node_of(hashes(4)))


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_frontier_goes_on_from_its_edge(first: int, more: int) -> None:
    frontier = merkle.Frontier()
    frontier.extend(hashes(first))
    again = merkle.Frontier(frontier.size, frontier.edge)
    again.extend(hashes(first + more)[first:])
    assert (again.size, again.root()) == (first + more, merkle.root(leaves(first + more)))
    with pytest.raises(BadInput):
        merkle.Frontier(first + 1, [b""] * ((first + 1).bit_count() + 1))


def test_a_leaf_is_never_a_node() -> None:
    left, right = hashes(2)
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
