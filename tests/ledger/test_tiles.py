"""Tiles: the outside log's every tile and bundle, the specification's paths and sizes, growth, damage."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_parts import VECTORS

from troth.core import merkle
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable
from troth.ledger.tiles import (
    ENTRIES,
    Edge,
    TileFiles,
    bundle,
    tile_index,
    tile_path,
    tile_width,
    tiles_of,
    unbundle,
)

TILES = sorted(str(path.relative_to(VECTORS)) for path in (VECTORS / "tile").rglob("*") if path.is_file())


def test_the_outside_log_is_all_here() -> None:
    assert len(TILES) == 30  # a hash tile and a bundle at each size from 1 to 15


@pytest.mark.parametrize("path", TILES)
def test_every_outside_tile_is_what_its_entries_give(path: str) -> None:
    level, index, width = tile_index(path)
    assert tile_path(level, index, width) == path
    files = TileFiles(VECTORS)
    entries = files.entries(index, width)
    edge, written = Edge().grow(entries)
    assert dict(written)[path] == (VECTORS / path).read_bytes()
    assert bundle(entries) == files.read(ENTRIES, index, width)
    assert files.hashes(0, index, width) == tuple(map(merkle.leaf_hash, entries))
    assert files.edge(width) == edge
    assert merkle.root_at(width, files.node(width)) == edge.root() == merkle.root(entries)


def test_paths_are_the_specifications() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(ENTRIES, 0, 255) == "tile/entries/000.p/255"
    assert tile_path(63, 999) == "tile/63/999"
    assert tile_path(1, 1000, 1) == "tile/1/x001/000.p/1"


def test_the_specifications_tree_of_70000() -> None:
    assert tiles_of(70_000) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert tiles_of(256) == [(0, 0, 256), (1, 0, 1)]
    assert tiles_of(0) == []
    assert [tile_width(70_000, *tile) for tile in ((0, 272), (0, 273), (0, 274), (1, 0), (1, 1), (2, 0), (3, 0))] == [
        256, 112, 0, 256, 17, 1, 0]


@given(st.integers(0, 63) | st.just(ENTRIES), st.integers(0, 10**10), st.integers(1, 256))
def test_a_path_is_read_back(level: int | str, index: int, width: int) -> None:
    assert tile_index(tile_path(level, index, width)) == (level, index, width)


@pytest.mark.parametrize("path", [
    "", "tile", "tile/0", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/0", "tile/0/0000", "tile/0/x000/001",
    "tile/0/001/001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p",
    "tile/entry/000", "tile/0/../000", "/tile/0/000", "tile/0/00a", "tile/0/x1/000", "tile/0/٠٠٠"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(BadInput):
        tile_index(path)


@pytest.mark.parametrize(("level", "index", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_no_such_tile(level: int, index: int, width: int) -> None:
    with pytest.raises(Misuse):
        tile_path(level, index, width)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_growing_in_steps_is_growing_at_once(steps: list[int]) -> None:
    data = [b"%d" % i for i in range(sum(steps))]
    edge, written, at = Edge(), {}, 0
    for step in steps:
        edge, files = edge.grow(data[at:at + step])
        written.update(files)
        at += step
        assert edge.root() == merkle.root(data[:at])
    whole, files = Edge().grow(data)
    assert edge == whole
    assert all(written[path] == content for path, content in files)


def test_files_give_the_tree_and_later_trees_keep_the_earlier(tmp_path: Path) -> None:
    data = [b"%d" % i for i in range(1000)]
    edge = Edge()
    for start in range(0, 1000, 90):
        edge, files = edge.grow(data[start:start + 90])
        for path, content in files:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
    files_ = TileFiles(tmp_path)
    assert files_.edge(1000) == edge
    for size in (1, 90, 256, 257, 540, 1000):
        node = TileFiles(tmp_path).node(size)
        assert merkle.root_at(size, node) == merkle.root(data[:size])
        merkle.verify_inclusion(merkle.leaf_hash(data[size // 2]), size // 2, size,
                                merkle.inclusion_proof(size // 2, size, node), merkle.root(data[:size]))
    # A partial tile may be gone once the full one is there (section "Partial Tiles").
    (tmp_path / tile_path(0, 0, 90)).unlink()
    (tmp_path / tile_path(ENTRIES, 0, 90)).unlink()
    assert TileFiles(tmp_path).hashes(0, 0, 90) == tuple(map(merkle.leaf_hash, data[:90]))
    assert TileFiles(tmp_path).entries(0, 90) == data[:90]


def test_missing_and_damaged_tiles_are_told_apart(tmp_path: Path) -> None:
    files = TileFiles(tmp_path)
    with pytest.raises(Undecidable, match="missing"):
        files.hashes(0, 0, 3)
    path = tmp_path / tile_path(0, 0, 3)
    path.parent.mkdir(parents=True)
    for content in (b"", bytes(95), bytes(97)):
        path.write_bytes(content)
        with pytest.raises(Refuted, match="wrong length"):
            files.hashes(0, 0, 3)
    for content in (b"\x00\x01ab", b"\x00\x03ab", b"\x00", b""):
        with pytest.raises(Refuted, match="wrong length"):
            unbundle(content, 1)


def test_bundles_hold_up_to_16_bits() -> None:
    entries = [b"", b"a", bytes(65535)]
    assert unbundle(bundle(entries), 3) == entries
    assert unbundle(bundle([]), 0) == []
    with pytest.raises(Misuse):
        bundle([bytes(65536)])
