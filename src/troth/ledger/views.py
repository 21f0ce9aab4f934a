"""One state of a tile log, checked: no hash and no entry is given out that does not belong under the root.

1. The rightmost tiles of every level give the root. They hold every complete subtree that no full tile covers.
2. A full tile's own root is the hash that the tile above has for it, up to step 1.
3. An entry bundle's entries hash to the tile of leaves beside it.

So a place that serves tiles can withhold, and cannot lie: what it answers is this tree or is refuted. Proofs of
inclusion and consistency are made here from tiles alone.
"""

from __future__ import annotations

from functools import lru_cache

from troth.core import merkle
from troth.core.errors import BadInput, Refuted
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.tiles import ENTRIES, HEIGHT, WIDTH, Edge, Tiles, bundle, subtree, tile_path, tile_width, tiles_of


class View:
    """The tree of ``checkpoint``, read from ``tiles``. The caller has checked the checkpoint's signature.

    Everything raises Refuted for tiles that are not this tree's, Undecidable for missing ones, OutsideFailed.
    """

    def __init__(self, tiles: Tiles, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._tiles = tiles
        self._edge: dict[int, tuple[bytes, ...]] | None = None
        self._rows = lru_cache(maxsize=256)(self._checked_row)
        self._levels = lru_cache(maxsize=128)(self._inner_levels)

    @property
    def size(self) -> int:
        """Leaves under the root."""
        return self.checkpoint.size

    def check(self) -> None:
        """Step 1 alone: that the place has this tree's right edge."""
        self._right_edge()

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree of 2**level leaves at ``index``, for ``troth.core.merkle``."""
        tile, inner = divmod(level, HEIGHT)
        number, place = divmod(index, 1 << (HEIGHT - inner))
        return self._levels(tile, number)[inner][place]

    def root(self, size: int) -> bytes:
        """The root of the first ``size`` leaves."""
        if not 0 <= size <= self.size:
            raise BadInput("no such size", expected=f"0 to {self.size}", actual=size)
        return merkle.root_at(size, self.node)

    def inclusion(self, position: int) -> list[bytes]:
        """Path from a position to the root."""
        return merkle.inclusion_proof(position, self.size, self.node)

    def consistency(self, old: int) -> list[bytes]:
        """Proof that the first ``old`` leaves are a prefix."""
        return merkle.consistency_proof(old, self.size, self.node)

    def leaf(self, position: int) -> bytes:
        """The data of the leaf at a position."""
        if not 0 <= position < self.size:
            raise BadInput("no such position", expected=f"0 to {self.size - 1}", actual=position)
        return self.entries(position // WIDTH)[position % WIDTH]

    def entries(self, index: int) -> list[bytes]:
        """The entries of bundle ``index``, as many as there are under the root."""
        width = tile_width(self.size, 0, index)
        found = self._tiles.entries(index, width)
        for place, (entry, hash_) in enumerate(zip(found, self._rows(0, index), strict=True)):
            if merkle.leaf_hash(entry) != hash_:
                raise Refuted(f"the entry at position {index * WIDTH + place} is not the one in the tree",
                              expected=f"leaf hash {hash_.hex()}", actual=merkle.leaf_hash(entry).hex())
        self._tiles.keep(ENTRIES, index, width, bundle(found))
        return found

    def _inner_levels(self, level: int, index: int) -> list[list[bytes]]:
        return merkle.levels(self._rows(level, index))

    def _checked_row(self, level: int, index: int) -> tuple[bytes, ...]:
        """The hashes of a tile, after its check."""
        if tile_width(self.size, level, index) < WIDTH:
            return self._right_edge()[level]
        expected = self._rows(level + 1, index // WIDTH)[index % WIDTH]
        row = self._tiles.hashes(level, index, WIDTH)
        found = subtree(row)
        if found != expected:
            raise Refuted(f"{tile_path(level, index)} is not a part of the tree", expected=expected.hex(),
                          actual=found.hex(), do="Fetch it again, or from another place.")
        self._tiles.keep(level, index, WIDTH, b"".join(row))
        return row

    def _right_edge(self) -> dict[int, tuple[bytes, ...]]:
        """The partial tiles, by level, after their check against the root."""
        if self._edge is None:
            places = [place for place in tiles_of(self.size) if place[2] < WIDTH]
            rows = {level: self._tiles.hashes(level, index, width) for level, index, width in places}
            deep = max(rows, default=-1)
            found = Edge(self.size, tuple(rows.get(level, ()) for level in range(deep + 1))).root()
            if found != self.checkpoint.root:
                raise Refuted("the log's tiles do not give the root that its checkpoint signs",
                              expected=self.checkpoint.root.hex(), actual=found.hex())
            for level, index, width in places:
                self._tiles.keep(level, index, width, b"".join(rows[level]))
            self._edge = rows
        return self._edge
