"""Proofs from tiles alone: every checked tree against RFC 6962's own recursion, the outside log, and lying places."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_parts import VECTOR_KEY, VECTORS
from tlog_parts import MemoryTiles, entries, log_of, reference_path, reference_proof, reference_root

from troth.core import merkle
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.tiles import ENTRIES, TileFiles, tile_path
from troth.ledger.views import View

BIG = log_of(66_000)
DATA = entries(0, 600)
LOG = MemoryTiles().grow(DATA)
SLOW = MemoryTiles()  # the same, published at every size: all its partial tiles are there
for _entry in DATA:
    SLOW.grow([_entry])


def outside(size: int) -> Checkpoint:
    return Checkpoint.open((VECTORS / f"checkpoint.{size}").read_bytes(), VECTOR_KEY)


@pytest.mark.parametrize("size", range(1, 16))
def test_the_outside_log_at_every_size(size: int) -> None:
    view = View(TileFiles(VECTORS), outside(size))
    for position, entry in enumerate(view.entries(0)):
        assert view.leaf(position) == entry
        merkle.verify_inclusion(merkle.leaf_hash(entry), position, size, view.inclusion(position), outside(size).root)
    for old in range(size + 1):
        merkle.verify_consistency(old, size, outside(old).root, outside(size).root, view.consistency(old))
        assert view.root(old) == outside(old).root


@settings(max_examples=60)
@given(st.data())
def test_proofs_are_the_reference_recursions(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 600))
    old = data.draw(st.integers(1, size))
    position = data.draw(st.integers(0, size - 1))
    said = DATA[:size]
    view = View(SLOW, Checkpoint("x", size, reference_root(said)))
    assert view.root(old) == reference_root(said[:old])
    assert view.consistency(old) == reference_proof(old, said)
    assert view.inclusion(position) == reference_path(position, said)
    assert view.leaf(position) == said[position]


def test_a_tree_of_three_levels_of_tiles() -> None:
    view = View(BIG, BIG.checkpoint)
    for old, position in itertools.product((1, 255, 256, 65_535, 65_536, 65_999, 66_000), (0, 65_535, 65_999)):
        merkle.verify_consistency(old, 66_000, view.root(old), BIG.checkpoint.root, view.consistency(old))
        leaf = merkle.leaf_hash(view.leaf(position))
        merkle.verify_inclusion(leaf, position, 66_000, view.inclusion(position), BIG.checkpoint.root)


def test_no_size_and_no_position_beyond() -> None:
    view = View(LOG, LOG.checkpoint)
    for act in (lambda: view.root(601), lambda: view.leaf(600), lambda: view.leaf(-1), lambda: view.inclusion(600),
                lambda: view.consistency(601)):
        with pytest.raises(BadInput):
            act()


# Attacks: a place that lies


def read(tiles: MemoryTiles) -> None:
    view = View(tiles, LOG.checkpoint)
    for index in range(3):
        view.entries(index)


@settings(max_examples=40)
@given(st.data())
def test_no_changed_byte_of_any_tile_passes(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in LOG.files if path != "checkpoint"]))
    liar = MemoryTiles()
    liar.files = dict(LOG.files)
    changed = bytearray(liar.files[path])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    liar.files[path] = bytes(changed)
    with pytest.raises(Refuted):
        read(liar)


@pytest.mark.parametrize("path", [tile_path(0, 0), tile_path(0, 2, 88), tile_path(1, 0, 2), tile_path(ENTRIES, 1)])
@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"",
                                   lambda data: data * 2])
def test_tiles_cut_short_or_too_long(path: str, spoil: object) -> None:
    liar = MemoryTiles()
    liar.files = {**LOG.files, path: spoil(LOG.files[path])}  # type: ignore[operator]
    with pytest.raises(Refuted):
        read(liar)


def test_a_bundle_that_differs_from_its_leaf_hashes() -> None:
    liar = MemoryTiles()
    liar.files = {**LOG.files, tile_path(ENTRIES, 1): log_of(600, "other").files[tile_path(ENTRIES, 1)]}
    View(liar, LOG.checkpoint).entries(0)
    with pytest.raises(Refuted, match="position 256"):
        View(liar, LOG.checkpoint).entries(1)


def test_a_tile_and_its_bundle_of_another_story() -> None:
    """They fit each other, and not the tree."""
    liar, other = MemoryTiles(), log_of(600, "other")
    swapped = {path: other.files[path] for path in (tile_path(0, 1), tile_path(ENTRIES, 1))}
    liar.files = {**LOG.files, **swapped}
    for act in (lambda view: view.entries(1), lambda view: view.inclusion(300), lambda view: view.consistency(300),
                lambda view: view.root(300)):
        with pytest.raises(Refuted, match="not a part of the tree"):
            act(View(liar, LOG.checkpoint))


def test_what_is_withheld_is_undecidable() -> None:
    liar = MemoryTiles()
    liar.files = {path: data for path, data in LOG.files.items() if path != tile_path(0, 1)}
    with pytest.raises(Undecidable, match="missing"):
        View(liar, LOG.checkpoint).leaf(300)


def test_an_empty_log_has_the_empty_root() -> None:
    View(MemoryTiles(), MemoryTiles().checkpoint).check()
    with pytest.raises(Refuted):
        View(MemoryTiles(), Checkpoint("x", 0, bytes(32))).check()
