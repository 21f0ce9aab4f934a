"""Blobs as files: one file a blob in a sharded directory; safe ways to replace any file, and to take turns.

Layout under the store's path::

    blobs/<two hex digits of sha256(name)>/<name>   the bytes, as they are
    tmp/<random>                                    being written; never read, swept when a day old

A blob is written to ``tmp``, synced, renamed into place, and its directory synced: a crash, a full disk or a second
process at any point leaves the whole blob or none. Deleting unlinks; it does not overwrite the disk's sectors, so
what must be erasable is stored sealed and its key deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from troth.core.errors import BadInput, OutsideFailed, Refuted, Undecidable
from troth.core.ports import Blobs
from troth.store.cid import Cid
from troth.store.names import check_name

_STEP = 0.02  # seconds between two looks at a lock that another process holds
_STALE_SECONDS = 86_400  # no single blob takes a day to write


class FileBlobs(Blobs):
    """A directory of blobs, safe for several processes at once.

    ``get`` checks blobs named by a CID against it, so a rotten disk is noticed by whoever reads.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the store at ``path``, creating it if need be. Raises OutsideFailed if that cannot be done."""
        self._blobs = Path(path) / "blobs"
        self._tmp = Path(path) / "tmp"
        with _outside(f"opening the store at {path}"):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._tmp.mkdir(exist_ok=True)
            _sweep(self._tmp)

    def put(self, name: str, data: bytes) -> None:
        """As the port says; the file and its folders are on the disk when it returns. Raises OutsideFailed."""
        target = self._path(name)
        with _outside(f"storing {name}"):
            if target.exists():
                return
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                _sync_directory(self._blobs)
            with _temporary(self._tmp, 0o600) as (file, temporary):
                file.write(data)
                _commit(file, temporary, target)

    def get(self, name: str) -> bytes:
        """As the port says.

        Raises Refuted for a file that was changed on disk, OutsideFailed where it cannot be read.
        """
        path = self._path(name)
        with _outside(f"reading {name}"):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise Undecidable(f"{name} is not in this store", do="Pull it from someone who has it.") from None
        expected = _digest_in(name)
        if expected is not None and (actual := hashlib.sha256(data).digest()) != expected:
            raise Refuted(f"the file of {name} was changed on disk", expected=f"sha256 {expected.hex()}",
                          actual=f"{actual.hex()} over {len(data)} bytes",
                          do="Delete it from this store and fetch it again; check the disk.")
        return data

    def has(self, name: str) -> bool:
        path = self._path(name)
        with _outside(f"looking for {name}"):
            return path.is_file()

    def delete(self, name: str) -> bool:
        """As the port says. Raises OutsideFailed."""
        path = self._path(name)
        with _outside(f"deleting {name}"):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            _sync_directory(path.parent)
            return True

    def names(self) -> Iterator[str]:
        with _outside("listing the store"):
            for shard in sorted(self._blobs.iterdir()):
                for path in sorted(shard.iterdir()):
                    yield path.name

    def _path(self, name: str) -> Path:
        # The shard comes from a hash, never from the name: CIDs share their first letters, and a name is no path.
        return self._blobs / hashlib.sha256(check_name(name).encode("ascii")).hexdigest()[:2] / name


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write that takes ``path``'s place, synced, only if the block ends without an error.

    Otherwise ``path`` is as it was and nothing is left behind. mode: permissions before the umask; 0o600 for secrets.
    Raises OutsideFailed for a full disk and the like.
    """
    target = Path(path)
    with _outside(f"writing {path}"), _temporary(target.parent, mode) as (file, temporary):
        yield file
        _commit(file, temporary, target)


@contextlib.contextmanager
def _temporary(directory: Path, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in ``directory``, removed at the end unless it was renamed away."""
    path = directory / f".troth-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def _commit(file: BinaryIO, temporary: Path, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    os.replace(temporary, target)
    _sync_directory(target.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(directory: Path) -> None:
    """Remove what writers that died left behind."""
    now = time.time()
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process swept it first
            if now - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def _digest_in(name: str) -> bytes | None:
    try:
        return Cid.parse(name).digest
    except BadInput:
        return None


@contextlib.contextmanager
def _outside(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideFailed(f"{what} failed: {error.strerror or error}", do="Free space or repair the disk.") from error


@contextlib.contextmanager
def holding(path: str | os.PathLike[str], wait: float, busy: str) -> Iterator[None]:
    """Hold the lock file at ``path``, waiting up to ``wait`` seconds for whoever has it.

    Raises OutsideFailed, saying ``busy``, if another process keeps it; or if it cannot be opened.
    """
    with _outside(f"lock {path}"):
        file = open(path, "ab")  # noqa: SIM115
    with file:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise OutsideFailed(busy, actual=os.path.dirname(path),
                                        do="Wait for it to finish, then try again.") from None
                time.sleep(_STEP)
        yield
