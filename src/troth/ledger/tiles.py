"""Tiles: the tree of a log as files (C2SP tlog-tiles), tile height 8.

A hash tile ``tile/<L>/<N>`` holds 256 hashes of level 8L; ``tile/<L>/<N>.p/<W>`` the W hashes there are so far. An
entry bundle ``tile/entries/<N>[.p/<W>]`` holds the leaves' data, each after its big-endian 16-bit length. Everything
here is pure but ``TileFiles``, which reads them from a directory. What ``Tiles`` gives out is what the place holds:
``troth.ledger.views`` checks it against a checkpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256 as _sha256
from pathlib import Path

from troth.core import merkle
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH = 32
MAX_ENTRY = 2**16 - 1
ENTRIES = "entries"


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Path of a tile below the log's directory. ``level`` 0 to 63, or ``ENTRIES``; ``width`` 1 to 256 hashes.

    Index 1234067 is written ``x001/x234/067``; a tile narrower than 256 ends in ``.p/<width>``.
    """
    if not (level == ENTRIES or (type(level) is int and 0 <= level < 64)) or index < 0 or not 1 <= width <= WIDTH:
        raise Misuse("no such tile", expected="level 0 to 63 or entries, width 1 to 256",
                     actual=f"level {level}, index {index}, width {width}")
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def tile_index(path: str) -> tuple[int | str, int, int]:
    """(level, index, width) of a tile's path. Raises BadInput for anything ``tile_path`` would not write."""
    parts = path.split("/")
    try:
        level: int | str = parts[1] if parts[1] == ENTRIES else int(parts[1])
        numbers, width = parts[2:], WIDTH
        if len(numbers) > 1 and numbers[-2].endswith(".p"):
            width = int(numbers.pop())
            numbers[-1] = numbers[-1].removesuffix(".p")
        index = int("".join(number[-3:] for number in numbers))
        if width >= 1 and tile_path(level, index, width) == path:
            return level, index, width
    except (ValueError, IndexError, Misuse):
        pass
    raise BadInput("not a tile's path", expected="tile/<L>/<N>[.p/<W>]", actual=path)


def tile_width(size: int, level: int, index: int) -> int:
    """How many hashes tile (level, index) has in a tree of ``size`` leaves (0 if there is none)."""
    return max(0, min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH))


def tiles_of(size: int) -> list[tuple[int, int, int]]:
    """(level, index, width) of the rightmost tile of every level of a tree of ``size`` leaves."""
    found, level, width = [], 0, size
    while width:
        found.append((level, (width - 1) // WIDTH, (width - 1) % WIDTH + 1))
        level, width = level + 1, width >> HEIGHT
    return found


def bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle. Raises Misuse for an entry over 65,535 bytes."""
    sizes = set(map(len, entries))
    if len(sizes) == 1:
        prefix = _length(sizes.pop())
        return prefix + prefix.join(entries) if entries else b""
    return b"".join(_length(len(entry)) + entry for entry in entries)


def unbundle(data: bytes, width: int) -> list[bytes]:
    """The ``width`` entries of a bundle. Raises Refuted for surplus or missing bytes."""
    entries, offset = [], 0
    for _ in range(width):
        start = offset + 2
        offset = start + int.from_bytes(data[start - 2:start], "big")
        entries.append(data[start:offset])
    if offset != len(data):
        raise Refuted("entry bundle of the wrong length", expected=f"{offset} bytes for {width} entries",
                      actual=len(data))
    return entries


def _length(size: int) -> bytes:
    if size > MAX_ENTRY:
        raise Misuse("entry too long for a bundle", expected=f"at most {MAX_ENTRY} bytes", actual=size)
    return size.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: what is needed to grow it. ``rows[l]``: the hashes of tile level l not yet in a full
    tile; ``entries``: the leaves' data not yet in a full bundle."""

    size: int = 0
    rows: tuple[tuple[bytes, ...], ...] = ()
    entries: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """RFC 6962 root of the tree."""
        found: bytes | None = None
        for row in self.rows:
            end = len(row)
            while end:  # complete subtrees from the right: the low bits of the row's length
                width = end & -end
                part = subtree(row[end - width:end])
                found = part if found is None else _sha256(b"\x01" + part + found).digest()
                end -= width
        return merkle.EMPTY_ROOT if found is None else found

    def grow(self, entries: Sequence[bytes]) -> tuple[Edge, list[tuple[str, bytes]]]:
        """The edge after appending this leaf data, and the files (path, bytes) that the larger tree adds."""
        files: list[tuple[str, bytes]] = []
        waiting = [*self.entries, *entries]
        first = self.size // WIDTH
        full = len(waiting) // WIDTH
        for i in range(full):
            files.append((tile_path(ENTRIES, first + i), bundle(waiting[i * WIDTH:(i + 1) * WIDTH])))
        rest = tuple(waiting[full * WIDTH:])
        if rest and entries:
            files.append((tile_path(ENTRIES, first + full, len(rest)), bundle(rest)))
        new: list[bytes] = [_sha256(b"\x00" + entry).digest() for entry in entries]
        rows: list[tuple[bytes, ...]] = []
        size, level = self.size, 0
        while new or level < len(self.rows):
            row = [*(self.rows[level] if level < len(self.rows) else ()), *new]
            first, full, above = size // WIDTH, len(row) // WIDTH, []
            for i in range(full):
                part = row[i * WIDTH:(i + 1) * WIDTH]
                files.append((tile_path(level, first + i), b"".join(part)))
                above.append(subtree(part))
            left = tuple(row[full * WIDTH:])
            if left and new:
                files.append((tile_path(level, first + full, len(left)), b"".join(left)))
            rows.append(left)
            new, size, level = above, size >> HEIGHT, level + 1
        return Edge(self.size + len(entries), tuple(rows), rest), files


def subtree(row: Sequence[bytes]) -> bytes:
    """Root over a power of two of hashes."""
    while len(row) > 1:
        pairs = iter(row)
        row = [_sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return row[0]


class Tiles(ABC):
    """Where a log's checkpoint and tiles can be had. A backend says what bytes there are at a path."""

    def __init__(self) -> None:
        self._rows = lru_cache(maxsize=128)(self._read_rows)

    @abstractmethod
    def fetch(self, path: str) -> bytes | None:
        """The bytes at a path below the log's place, None if there are none. Raises OutsideFailed."""

    def note(self) -> bytes:
        """The signed checkpoint as it stands there now. Raises Undecidable if there is none."""
        found = self.fetch("checkpoint")
        if found is None:
            raise Undecidable("there is no checkpoint here", expected="checkpoint", do="Name the place of a tile log.")
        return found

    def keep(self, level: int | str, index: int, width: int, data: bytes) -> None:  # noqa: B027 (it may be left out)
        """Told of each tile that was checked against a checkpoint: a cache keeps it. Nothing by default."""

    def read(self, level: int | str, index: int, width: int) -> bytes:
        """The bytes of a tile or bundle, whole: from the tile of that width, or from the full tile that followed it.

        Raises Undecidable if neither is there.
        """
        for candidate in dict.fromkeys((width, WIDTH)):
            data = self.fetch(tile_path(level, index, candidate))
            if data is not None:
                return _narrow(data, level, width) if candidate != width else data
        raise Undecidable("a tile is missing", expected=tile_path(level, index, width),
                          do="Rebuild the log's tiles from its journal, or fetch them again.")

    def hashes(self, level: int, index: int, width: int) -> tuple[bytes, ...]:
        """The first ``width`` hashes of a tile. Raises Refuted for a tile of the wrong length."""
        data = self.read(level, index, width)
        if len(data) != width * HASH:
            raise Refuted(f"tile {tile_path(level, index, width)} has the wrong length", expected=width * HASH,
                          actual=len(data))
        return tuple(data[i:i + HASH] for i in range(0, len(data), HASH))

    def entries(self, index: int, width: int) -> list[bytes]:
        """The first ``width`` entries of a bundle."""
        return unbundle(self.read(ENTRIES, index, width), width)

    def node(self, size: int) -> merkle.Node:
        """``node(level, index)`` of the tree of ``size`` leaves, for ``troth.core.merkle``."""
        rows = self._rows

        def node(level: int, index: int) -> bytes:
            tile, inner = divmod(level, HEIGHT)
            number, place = divmod(index, 1 << (HEIGHT - inner))
            return rows(tile, number, tile_width(size, tile, number))[inner][place]

        return node

    def edge(self, size: int) -> Edge:
        """The right edge of the tree of ``size`` leaves."""
        rows = []
        for level, index, width in tiles_of(size):
            rows.append(self.hashes(level, index, width) if width < WIDTH else ())
        rest = size % WIDTH
        return Edge(size, tuple(rows), tuple(self.entries(size // WIDTH, rest)) if rest else ())

    def _read_rows(self, level: int, index: int, width: int) -> list[list[bytes]]:
        return merkle.levels(self.hashes(level, index, width))


class TileFiles(Tiles):
    """Reads the tiles of the log in ``directory``."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def fetch(self, path: str) -> bytes | None:
        try:
            return (self._directory / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise OutsideFailed(f"{path} of the log cannot be read", actual=error) from None


def _narrow(data: bytes, level: int | str, width: int) -> bytes:
    """The first ``width`` items of a full tile's bytes."""
    if level != ENTRIES:
        return data[:width * HASH]
    offset = 0
    for _ in range(width):
        offset += 2 + int.from_bytes(data[offset:offset + 2], "big")
    return data[:offset]
