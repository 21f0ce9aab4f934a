"""The files of a model's directory by name and digest, hashed as a stream: memory does not grow with their size.

Names are relative, with ``/``, in UTF-8, in the order of their code points. A symbolic link or anything else that is
no regular file stops the walk: what it leads to could change without the directory changing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from troth.core.errors import BadInput, OutsideFailed, Refuted

CHUNK = 1 << 20
MAX_FILES = 1_000_000
HASHES: dict[str, Callable[[], Any]] = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b}
"""What files are hashed with, by the name that manifests use."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """One file: its name in the directory, its size in bytes, its digest (or that of a range of it)."""

    name: str
    size: int
    digest: bytes


def names(root: Path, ignored: frozenset[str] = frozenset()) -> list[str]:
    """Every file below ``root``, sorted; those at or below an ignored relative path are passed over.

    Raises Refuted for a symbolic link or a special file, BadInput for a name that is no UTF-8 and for too many files,
    OutsideFailed where the directory cannot be read.
    """
    if not root.is_dir():
        raise BadInput("not a directory", actual=root)
    with reading(root):
        found = sorted(_walk(str(root), "", ignored))
    return found


def _walk(folder: str, prefix: str, ignored: frozenset[str]) -> Iterator[str]:
    pending, count = [(folder, prefix)], 0
    while pending:
        folder, prefix = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if name in ignored:
                    continue
                if not _is_text(name):
                    raise BadInput("a file name that is not UTF-8", actual=name.encode(errors="surrogateescape"))
                if entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, name + "/"))
                elif entry.is_file(follow_symlinks=False):
                    count += 1
                    if count > MAX_FILES:
                        raise BadInput("too many files", expected=f"at most {MAX_FILES}")
                    yield name
                else:
                    raise Refuted("something in the directory is no regular file", actual=name,
                                  do="Replace links by the files they lead to: what a link leads to can change.")


def digest(path: Path, algorithm: str = "sha256", start: int = 0, end: int | None = None) -> Hashed:
    """A file's digest, or that of its bytes from ``start`` up to ``end``. The name in the result is the path's last.

    Raises OutsideFailed where it cannot be read or changes while it is read, Refuted where it is no regular file.
    """
    hasher, view, left = HASHES[algorithm](), memoryview(bytearray(CHUNK)), end
    with reading(path), open(_descriptor(path), "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise Refuted("not a regular file", actual=path.name)
        file.seek(start)
        left = (before.st_size if end is None else min(end, before.st_size)) - start
        while left > 0 and (taken := file.readinto(view[:min(CHUNK, left)])):
            hasher.update(view[:taken])
            left -= taken
        after = os.fstat(file.fileno())
    if left > 0 or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OutsideFailed(f"{path.name} changed while it was read", do="Sign when nobody writes to it.")
    return Hashed(path.name, before.st_size, hasher.digest())


def _descriptor(path: Path) -> int:
    # Not through a link, and not waiting for the other end of a pipe.
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def hash_all(root: Path, ignored: frozenset[str] = frozenset()) -> Iterator[Hashed]:
    """Every file below ``root`` in the order of ``names``, by SHA-256."""
    for name in names(root, ignored):
        found = digest(root / name)
        yield Hashed(name, found.size, found.digest)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the disk says into OutsideFailed."""
    try:
        yield
    except OSError as error:
        raise OutsideFailed(f"cannot read {path}", actual=error.strerror) from None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
