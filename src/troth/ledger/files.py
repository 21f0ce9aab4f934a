"""A log's files on disk: reading them, and the few ways in which they change. What they mean is ``troth.ledger.log``'s.

Everything but the journal and the checkpoint can be made again from the journal, so only those two are synced.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from troth.core.errors import Misuse, OutsideFailed, Refuted, Undecidable
from troth.ledger import journal
from troth.ledger.journal import COMMIT, FORGOTTEN, HEADER, Record
from troth.ledger.tiles import ENTRIES, WIDTH, TileFiles, tile_path, tile_width, tiles_of
from troth.store.files import holding

_CLAIMS = (journal.SIGNED, journal.MEMBER, journal.LOOSE, FORGOTTEN)


@contextmanager
def disk(what: str) -> Iterator[None]:
    """Turn the operating system's errors into OutsideFailed."""
    try:
        yield
    except OSError as error:
        raise OutsideFailed(what, actual=error, do="Check the disk's space and permissions, then try again.") from None


class LogFiles:
    """The files of one log."""

    def __init__(self, directory: Path, *, writable: bool) -> None:
        """Open them. Raises Undecidable if there is no log, OutsideFailed if the disk fails."""
        self.directory = directory
        self._writable = writable
        try:
            self.journal: BinaryIO = open(directory / "journal", "r+b" if writable else "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            raise Undecidable("there is no log here", actual=directory,
                              do="Create one, or name its directory.") from None
        except OSError as error:
            raise OutsideFailed("the log cannot be opened", actual=error) from None
        self.tiles = TileFiles(directory)
        self._bundles = lru_cache(maxsize=128)(self.tiles.entries)
        self._offsets: BinaryIO | None = None
        self._made: set[Path] = set()

    @staticmethod
    def create(directory: Path, note: bytes) -> None:
        """Write an empty log: a journal that holds only the signed checkpoint ``note``. Misuse if one is there."""
        with disk("the log cannot be created"):
            directory.mkdir(parents=True, exist_ok=True)
            empty, path = journal.MAGIC + journal.record(COMMIT, note), directory / "journal"
            if (directory / "checkpoint").exists() or (path.exists() and path.stat().st_size > len(empty)):
                raise Misuse("there is a log here already", actual=directory, do="Open it.")
            _write_synced(path, empty)
            _write_synced(directory / "checkpoint.new", note)
            os.replace(directory / "checkpoint.new", directory / "checkpoint")
            _sync_directory(directory)
            _sync_directory(directory.parent)

    def close(self) -> None:
        """Close what is open."""
        self.journal.close()
        if self._offsets is not None:
            self._offsets.close()
            self._offsets = None

    # Reading

    @property
    def index_path(self) -> Path:
        """Where the index is."""
        return self.directory / "index.sqlite"

    def note(self) -> bytes:
        """The checkpoint's bytes. Raises Undecidable if it is missing."""
        try:
            return (self.directory / "checkpoint").read_bytes()
        except FileNotFoundError:
            raise Undecidable("the log has no checkpoint", actual=self.directory,
                              do="Open the log for writing: it is repaired.") from None
        except OSError as error:
            raise OutsideFailed("the checkpoint cannot be read", actual=error) from None

    def mark(self) -> tuple[int, ...]:
        """Changes whenever the checkpoint does."""
        try:
            found = os.stat(self.directory / "checkpoint")
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def length(self) -> int:
        """The journal's length in bytes."""
        return os.fstat(self.journal.fileno()).st_size

    def stamp(self) -> tuple[int, ...]:
        """Changes whenever a writer did something."""
        return (*self.mark(), self.length())

    def leaf(self, position: int, size: int) -> bytes:
        """A leaf's data in the tree of ``size`` leaves."""
        index, place = divmod(position, WIDTH)
        return self._bundles(index, tile_width(size, 0, index))[place]

    def record(self, position: int, size: int) -> Record:
        """The record of the claim at a position. Raises Refuted if it is not the one that the tree names."""
        for found in self.records(position, size):
            return found
        raise Refuted(f"the journal ends before position {position}", do="Restore the log's directory.")

    def records(self, start: int, size: int) -> Iterator[Record]:
        """The claims' records from a position on, commits left out."""
        leaf = self.leaf(start, size)
        found = next(journal.scan(self.journal, self._offset(start), self.length()), None)
        if found is None or found.kind not in _CLAIMS or found.entry != leaf:
            found = self._count_to(start)
            if found is None or found.entry != leaf:
                raise Refuted(f"the journal's record at position {start} is not the one in the tree",
                              do="Restore the log's directory.")
        return (one for one in journal.scan(self.journal, found.offset, self.length()) if one.kind != COMMIT)

    def _offset(self, position: int) -> int:
        if self._offsets is None:
            try:
                self._offsets = open(self.directory / "offsets", "rb", buffering=0)  # noqa: SIM115
            except OSError:
                return self.length()
        data = os.pread(self._offsets.fileno(), 8, position * 8)
        return min(int.from_bytes(data, "little"), self.length()) if len(data) == 8 else self.length()

    def _count_to(self, position: int) -> Record | None:
        claims = (one for one in journal.scan(self.journal, len(journal.MAGIC), self.length()) if one.kind != COMMIT)
        for at, found in enumerate(claims):
            if at == position:
                return found
        return None

    # Writing; the lock is held

    @contextmanager
    def locked(self, wait: float) -> Iterator[None]:
        """Hold the lock, waiting up to ``wait`` seconds. Raises OutsideFailed if another process keeps it."""
        with holding(self.directory / "lock", wait, "another process is writing to this log"):
            yield

    def write_tiles(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write tiles and bundles. Raises OSError."""
        for name, data in files:
            path = self.directory / name
            if path.parent not in self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.parent.suffix != ".p":
                    self._made.add(path.parent)
            with open(path, "wb", buffering=0) as file:
                file.write(data)

    def drop_partials(self, old: int, new: int) -> None:
        """Delete the partial tiles of the tree of ``old`` leaves that are full in that of ``new``."""
        for level, index, width in tiles_of(old):
            if width < WIDTH and tile_width(new, level, index) == WIDTH:
                for kind in (level, ENTRIES) if level == 0 else (level,):
                    shutil.rmtree(self.directory / f"{tile_path(kind, index)}.p", ignore_errors=True)

    def write_offsets(self, first: int, offsets: Sequence[int]) -> None:
        """Say where positions ``first`` and following are. Raises OSError."""
        with open(self.directory / "offsets", "r+b" if (self.directory / "offsets").exists() else "w+b") as file:
            file.seek(first * 8)
            file.write(struct.pack(f"<{len(offsets)}Q", *offsets))

    def append(self, at: int, data: bytes) -> None:
        """Write to the journal at its end and wait until it is on the disk. Raises OSError; cut it back then."""
        view, descriptor = memoryview(data), self.journal.fileno()
        while view:
            written = os.pwrite(descriptor, view, at)
            at, view = at + written, view[written:]
        os.fdatasync(descriptor)

    def cut(self, end: int) -> None:
        """Cut the journal back to ``end``."""
        os.ftruncate(self.journal.fileno(), end)
        os.fsync(self.journal.fileno())

    def stage(self, note: bytes) -> Path:
        """Write the next checkpoint beside the present one. Raises OSError."""
        path = self.directory / "checkpoint.new"
        _write_synced(path, note)
        return path

    def publish(self, staged: Path) -> None:
        """Make the staged checkpoint the present one. Raises OSError."""
        os.replace(staged, self.directory / "checkpoint")

    def forget(self, position: int, size: int) -> None:
        """Overwrite a body with zeros. Marked first, so that a crash between leaves a body that is to be forgotten."""
        found = self.record(position, size)
        descriptor = self.journal.fileno()
        with disk("the body cannot be forgotten"):
            os.pwrite(descriptor, HEADER.pack(FORGOTTEN, len(found.data)), found.offset)
            os.fdatasync(descriptor)
            zeros = bytes(len(found.data) - journal.ENTRY)
            os.pwrite(descriptor, zeros, found.offset + HEADER.size + journal.ENTRY)
            os.fdatasync(descriptor)

    def drop_index(self) -> None:
        """Delete the index: it is rebuilt."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.index_path}{suffix}").unlink(missing_ok=True)

    def drop_caches(self) -> None:
        """Forget bundles and tiles read before: a repair has rewritten some."""
        self.tiles = TileFiles(self.directory)
        self._bundles = lru_cache(maxsize=128)(self.tiles.entries)


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)
        os.fdatasync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
