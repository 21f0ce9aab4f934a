"""The backends of the Blobs port: the shared suite, then what only files can suffer."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports.blobs_suite import BlobsSuite
from troth.core.errors import Misuse, OutsideFailed, Refuted
from troth.core.ports import Blobs
from troth.store import BACKENDS, open_store
from troth.store.cid import Cid
from troth.store.files import FileBlobs, replacing
from troth.store.memory import MemoryBlobs


class TestMemory(BlobsSuite):
    def make(self) -> Blobs:
        return MemoryBlobs()


class TestFiles(BlobsSuite):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "store"

    def make(self) -> Blobs:
        return FileBlobs(self.path)

    def test_another_process_sees_it(self, blobs: Blobs) -> None:
        blobs.put("note", b"text")
        assert FileBlobs(self.path).get("note") == b"text"

    def test_nothing_lies_outside_the_store(self, blobs: Blobs, tmp_path: Path) -> None:
        for name in ("x..y", "a", "0.", "a--"):
            blobs.put(name, b"text")
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) == 4
        assert all(path.parent.parent == self.path / "blobs" for path in files)


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Makes every write beyond ``size`` bytes of a file fail, as a full disk does (EFBIG instead of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def files_under(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()]


def test_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    with disk_full_at(1000), pytest.raises(OutsideFailed, match=r"storing note failed.*Free space"):
        blobs.put("note", bytes(5000))
    assert files_under(tmp_path) == []
    assert not blobs.has("note")
    blobs.put("note", bytes(5000))
    assert blobs.get("note") == bytes(5000)


def test_full_disk_while_replacing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with disk_full_at(1000), pytest.raises(OutsideFailed), replacing(path) as out:
        out.write(bytes(5000))
    assert path.read_bytes() == b"old"
    assert files_under(tmp_path) == [path]


def write_and_fail(path: Path) -> None:
    with replacing(path) as out:
        out.write(b"new")
        raise Refuted("found out late")


def test_an_error_while_replacing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with pytest.raises(Refuted):
        write_and_fail(path)
    assert path.read_bytes() == b"old"
    assert files_under(tmp_path) == [path]
    with replacing(path) as out:
        out.write(b"new")
    assert path.read_bytes() == b"new"


def test_secrets_can_be_kept_from_others(tmp_path: Path) -> None:
    with replacing(tmp_path / "secret", mode=0o600) as out:
        out.write(b"x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    FileBlobs(tmp_path).put("note", b"x")
    assert files_under(tmp_path / "blobs")[0].stat().st_mode & 0o777 == 0o600


def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutsideFailed, match="opening the store"):
        FileBlobs(tmp_path / "file" / "store")


@pytest.mark.parametrize("damage", ["flip", "cut", "append", "empty"])
def test_a_blob_changed_on_disk_is_refuted(tmp_path: Path, damage: str) -> None:
    data = os.urandom(3000)
    name = str(Cid.of(data))
    blobs = FileBlobs(tmp_path)
    blobs.put(name, data)
    changed = {"flip": data[:99] + bytes([data[99] ^ 1]) + data[100:], "cut": data[:-1], "append": data + b"\0",
               "empty": b""}[damage]
    files_under(tmp_path)[0].write_bytes(changed)
    with pytest.raises(Refuted, match="changed on disk"):
        blobs.get(name)
    blobs.delete(name)
    blobs.put(name, data)
    assert blobs.get(name) == data


def test_a_killed_writer_leaves_no_blob_and_no_rubbish(tmp_path: Path) -> None:
    """Killed between writing and renaming: no blob, and the leftover is swept once it is surely nobody's."""
    program = (
        "import os, signal, sys\n"
        "from troth.store import files\n"
        "store = files.FileBlobs(sys.argv[1])\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.put('note', bytes(100000))\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False,
                          env={**os.environ, "PYTHONPATH": source})
    assert done.returncode == -signal.SIGKILL
    blobs = FileBlobs(tmp_path)
    assert not blobs.has("note")
    assert list(blobs.names()) == []
    leftover = files_under(tmp_path)
    assert [path.parent.name for path in leftover] == ["tmp"]
    long_ago = time.time() - 100_000
    os.utime(leftover[0], (long_ago, long_ago))
    FileBlobs(tmp_path)
    assert files_under(tmp_path) == []


def test_synced_before_it_is_visible_and_its_directory_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut cannot be had in a test; the order of the calls that survive one can."""
    acts: list[str] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        acts.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def recorded_replace(source: Path, target: Path) -> None:
        acts.append("rename")
        replace(source, target)

    blobs = FileBlobs(tmp_path)
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    blobs.put("note", b"text")
    assert acts == ["sync directory", "sync file", "rename", "sync directory"]  # the first: a new shard
    acts.clear()
    blobs.delete("note")
    assert acts == ["sync directory"]
    acts.clear()
    with replacing(tmp_path / "file") as out:
        out.write(b"text")
    assert acts == ["sync file", "rename", "sync directory"]


def test_open_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory:"), MemoryBlobs)
    store = open_store(f"files:{tmp_path}/a:b")
    assert isinstance(store, FileBlobs)
    assert (tmp_path / "a:b" / "blobs").is_dir()


@pytest.mark.parametrize("spec", ["", "files", "files:", "memory", "memory:x", "s3:bucket", "FILES:/tmp/x", "/tmp/x"])
def test_open_store_refuses_what_it_does_not_know(spec: str) -> None:
    with pytest.raises(Misuse, match="files:PATH, memory:"):
        open_store(spec)


def test_open_store_is_lazy_and_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    from troth.store import Backend  # beside its use: the registry line is what is tested

    monkeypatch.setitem(BACKENDS, "far", Backend("troth_far_away", "Far", "URL", "pip install troth[far]"))
    with pytest.raises(Misuse, match=r"not installed.*pip install troth\[far\]"):
        open_store("far:x")
    done = subprocess.run(
        [sys.executable, "-c", "import sys, troth.store; print('troth.store.files' in sys.modules)"],
        check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")})
    assert done.stdout.strip() == "False"
