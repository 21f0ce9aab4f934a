"""Faults: killed at any point, files cut short, disk full, two writers, damaged files. Nothing acknowledged is lost,
nothing is signed twice over, and what cannot be repaired is named."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_parts import LOG_SIGNER, SITE, OneKey, batch, claim, statement

from troth.core import merkle
from troth.core.claims import batch_statement, claim_id, seal_of_member, seal_of_signatures
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.identity.signers import attest
from troth.ledger import journal
from troth.ledger.audit import check_log, check_tiles
from troth.ledger.batches import WholeBatch
from troth.ledger.checkpoints import Checkpoint
from troth.ledger.log import Log
from troth.ledger.tiles import TileFiles

READER = LOG_SIGNER.verifier

WRITER = """
import sys
sys.path[:0] = [{tests!r}, {source!r}]
from pathlib import Path
from log_parts import LOG_SIGNER, batch, claim
from troth.ledger.log import Log
log = Log(Path({directory!r}), LOG_SIGNER)
start, out = int(sys.argv[1]), sys.stdout
for n in range(start, start + int(sys.argv[2])):
    if n % 3 == 2:
        log.append_batch(batch(n * 1000, 1 + n % 5 * 70))
    else:
        log.append([claim(n * 1000)])
    checkpoint = log.checkpoint()
    out.write(f"{{n}} {{checkpoint.size}} {{checkpoint.root.hex()}}\\n")
    out.flush()
"""


def writer(directory: Path, start: int, count: int) -> subprocess.Popen[str]:
    """A process that appends, and says after each append what it was told is safe."""
    here = Path(__file__).resolve().parent
    program = WRITER.format(tests=str(here), source=str(here.parents[1] / "src"), directory=str(directory))
    return subprocess.Popen([sys.executable, "-c", program, str(start), str(count)], stdout=subprocess.PIPE, text=True)


def acknowledged(process: subprocess.Popen[str]) -> list[tuple[int, int, bytes]]:
    """(what was appended, the log's size after it, its root) of each whole line the process printed."""
    text = process.communicate()[0]
    lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(n), int(size), bytes.fromhex(root)) for n, size, root in lines]


def fill(directory: Path) -> Log:
    """A log with single claims, batches and partial tiles."""
    log = Log.create(directory, LOG_SIGNER)
    log.append([claim(n) for n in range(3)])
    log.append_batch(batch(100, 260))
    log.append([claim(5)])
    log.append_batch(batch(1000, 9))
    return log


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("filled") / "log"
    fill(directory).close()
    return directory


def test_killed_again_and_again_it_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    directory, chance = tmp_path / "log", random.Random(7)
    Log.create(directory, LOG_SIGNER).close()
    start, signed = 0, [(0, merkle.EMPTY_ROOT)]
    for _ in range(6):
        process = writer(directory, start, 10_000)
        assert process.stdout is not None
        first = process.stdout.readline()  # it is up and writing
        time.sleep(chance.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        found = acknowledged(process)
        told = [(int(first.split()[0]), int(first.split()[1]), bytes.fromhex(first.split()[2])), *found]
        signed += [(size, root) for _, size, root in told]
        with Log(directory, LOG_SIGNER) as log:
            size = log.size
            assert size >= signed[-1][0]
            assert log.verify().claims == size
            for one, root in signed:
                assert log.root(one) == root
            for n, _, _ in told:
                wanted = batch(n * 1000, 1 + n % 5 * 70).envelope.id if n % 3 == 2 else claim(n * 1000).id
                assert log.find(wanted) is not None
            assert len({entry.id for entry in log.iterate()}) == size  # nothing doubled
            signed.append((size, log.checkpoint().root))
        start = told[-1][0] + 2  # the one in flight may or may not be in: it is not said again
    assert size > 6


def test_two_processes_on_one_log(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    log = Log.create(directory, LOG_SIGNER)
    processes = [writer(directory, start, 12) for start in (0, 500)]
    for n in range(12):
        log.append([claim(n + 900_000)])
    told = [acknowledged(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [len(one) for one in told] == [12, 12]
    for _, size, root in sorted(told[0] + told[1], key=lambda one: one[1]):
        assert log.root(size) == root  # every signed state is a prefix of the next: no fork
    assert log.verify().claims == log.size == len({entry.id for entry in log.iterate()})
    assert log.append([claim(0), claim(501_000)])[0] < log.size


def test_a_second_writer_waits_then_gets_a_clear_error(tmp_path: Path) -> None:
    log = fill(tmp_path / "log")
    with log._writing():
        with pytest.raises(OutsideFailed, match="another process is writing"):
            Log(tmp_path / "log", LOG_SIGNER, wait=0.1)
        assert Log(tmp_path / "log", READER).size == log.size  # readers do not wait


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_file_cut_anywhere_is_repaired_or_named(filled: Path, tmp_path_factory: pytest.TempPathFactory,
                                                    data: st.DataObject) -> None:
    """Cut tails of what was synced mean a damaged disk: never less than what was signed is signed again."""
    directory = tmp_path_factory.mktemp("cut") / "log"
    shutil.copytree(filled, directory)
    before = Checkpoint.open((filled / "checkpoint").read_bytes(), READER)
    names = sorted(str(path.relative_to(directory)) for path in directory.rglob("*")
                   if path.is_file() and path.stat().st_size)
    name = data.draw(st.sampled_from(names))
    path = directory / name
    size = path.stat().st_size
    end = data.draw(st.integers(0, size - 1) | st.integers(max(0, size - 40), size - 1))
    os.truncate(path, end)
    if name == "journal":
        with pytest.raises(Refuted, match="damaged"):
            Log(directory, LOG_SIGNER)
        assert path.stat().st_size == end  # nothing touched
        shutil.rmtree(directory)
        return
    with Log(directory, LOG_SIGNER) as log:
        assert log.checkpoint() == before
        try:
            log.verify()
        except (Refuted, Undecidable):
            assert name.startswith("tile/")
            log.repair()
        assert log.append([claim(7777)]) == [before.size]
        assert log.verify().claims == before.size + 1
        assert log.root(before.size) == before.root
        assert [log.find(entry.id) for entry in log.iterate()] == list(log.iterate())
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", ["tile", "offsets", "index.sqlite", "checkpoint", "lock"])
def test_everything_but_the_journal_can_be_lost(filled: Path, tmp_path: Path, name: str) -> None:
    directory = tmp_path / "log"
    shutil.copytree(filled, directory)
    path = directory / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with Log(directory, LOG_SIGNER) as log:
        assert log.note() == (filled / "checkpoint").read_bytes()
        assert log.append([claim(0), claim(8888)]) == [0, log.size - 1]
        log.verify()
    assert check_tiles(TileFiles(directory), READER).claims == log.size


def test_with_neither_a_whole_journal_nor_a_checkpoint_nothing_is_signed(filled: Path, tmp_path: Path) -> None:
    for name, act in (("none", lambda path: path.unlink()), ("empty", lambda path: os.truncate(path, 0)),
                      ("magic", lambda path: path.write_bytes(b"x" + path.read_bytes()[1:])),
                      ("tail", lambda path: os.truncate(path, path.stat().st_size - 5))):
        directory = tmp_path / name
        shutil.copytree(filled, directory)
        act(directory / "journal")
        (directory / "checkpoint").unlink()
        with pytest.raises((Refuted, Undecidable)):
            Log(directory, LOG_SIGNER)
        if name != "none":
            with pytest.raises((Refuted, Undecidable)):
                Log(directory, READER)
        if name in ("magic", "tail"):
            with pytest.raises(Misuse, match="already"):  # starting anew would fork the log
                Log.create(directory, LOG_SIGNER)
        assert not (directory / "checkpoint").exists()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_power_lost_during_an_append(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """What was not synced may be missing, short, or garbage; what was acknowledged before is all there."""
    directory = tmp_path_factory.mktemp("power") / "log"
    log = fill(directory)
    old, before = (directory / "journal").stat().st_size, log.checkpoint()
    note = log.note()
    if data.draw(st.booleans()):
        log.append_batch(batch(5000, data.draw(st.integers(1, 300))))
    else:
        log.append([claim(5000)])
    after = log.checkpoint()
    log.close()
    whole = (directory / "journal").stat().st_size
    (directory / "checkpoint").write_bytes(note)  # the rename had not happened
    end = data.draw(st.integers(old, whole) | st.integers(whole - 3, whole))
    kept = bytearray((directory / "journal").read_bytes()[:end])
    for at in data.draw(st.lists(st.integers(old, end - 1), max_size=2)) if end > old else ():
        kept[at] ^= 0x55  # sectors that hold what was there before
    (directory / "journal").write_bytes(kept)
    if data.draw(st.booleans()):
        os.truncate(directory / "offsets", data.draw(st.integers(0, after.size * 8)))
    untouched = bytes(kept) == (directory / "journal").read_bytes()[:end] and end == whole
    with Log(directory, LOG_SIGNER) as again:
        found = again.checkpoint()
        assert found in (before, after)
        assert untouched or found == before or end == whole
        assert again.root(before.size) == before.root
        assert again.append([claim(6000)]) == [found.size]
        assert again.verify().claims == found.size + 1
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", ["checkpoint.new", "offsets"])
def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, name: str) -> None:
    log = fill(tmp_path / "log")
    before, kept_journal = log.note(), (tmp_path / "log" / "journal").read_bytes()
    path = tmp_path / "log" / name
    kept = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")
    for act in (lambda: log.append([claim(9)]), lambda: log.append_batch(batch(9000, 300))):
        with pytest.raises(OutsideFailed, match="No space left"):
            act()
        assert (log.note(), (tmp_path / "log" / "journal").read_bytes()) == (before, kept_journal)
        assert log.find(claim(9).id) is None
    path.unlink()
    if kept is not None:
        path.write_bytes(kept)
    assert log.append([claim(9)]) == [Checkpoint.open(before, READER).size]
    assert log.append_batch(batch(9000, 300)).stop == log.size
    assert log.verify().claims == log.size


LIMITED = """
import resource, sys
sys.path[:0] = [{tests!r}, {source!r}]
from pathlib import Path
from log_parts import LOG_SIGNER, batch, claim
from troth.core.errors import OutsideFailed
from troth.ledger.log import Log
log = Log(Path({directory!r}), LOG_SIGNER)
failed, path = 0, Path({directory!r}) / "journal"
for limit in range(0, {most}, {step}):
    note, size, length = log.note(), log.size, path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        log.append_batch(batch(10_000, 300))
    except OutsideFailed:
        failed += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if log.size > size:
        break
    assert (log.note(), path.stat().st_size) == (note, length), limit
    assert log.verify().claims == size, limit
assert log.verify().claims == log.size
assert log.append([claim(31337)]) == [log.size - 1]
print(failed, log.size)
"""


def test_files_that_may_not_grow_leave_the_log_as_it_was(tmp_path: Path) -> None:
    """Every write in turn fails: index, tiles, offsets, checkpoint, journal."""
    log = fill(tmp_path / "log")
    size = log.size
    log.close()
    here = Path(__file__).resolve().parent
    program = LIMITED.format(tests=str(here), source=str(here.parents[1] / "src"), directory=str(tmp_path / "log"),
                             most=400_000, step=7_000)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    failed, after = map(int, done.stdout.split())
    assert failed >= 10
    assert after == size + 302


@settings(max_examples=80, deadline=None)
@given(data=st.data(), flip=st.integers(1, 255))
def test_no_changed_byte_passes_verify(filled: Path, data: st.DataObject, flip: int) -> None:
    names = sorted(str(path.relative_to(filled)) for path in filled.rglob("*")
                   if path.is_file() and path.stat().st_size and path.name not in ("offsets", "index.sqlite"))
    name = data.draw(st.sampled_from([*names, *["journal"] * len(names)]))
    path = filled / name
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    try:
        path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1:])
        with pytest.raises((Refuted, Undecidable, BadInput)):
            check_log(filled, READER)
        if name.startswith("tile") and ".p" not in name:
            with pytest.raises(Refuted):
                check_tiles(TileFiles(filled), READER)
    finally:
        path.write_bytes(content)
    assert check_log(filled, READER).claims == 275


def test_a_wrong_tile_gives_no_wrong_proof(filled: Path, tmp_path: Path) -> None:
    directory = tmp_path / "log"
    shutil.copytree(filled, directory)
    path = directory / "tile" / "0" / "000"
    content = path.read_bytes()
    path.write_bytes(content[:64] + bytes(32) + content[96:])
    with Log(directory, READER) as log:
        with pytest.raises(Refuted):
            log.inclusion(3)
        with pytest.raises(Refuted):
            log.verify()


def test_a_body_exchanged_for_another_genuine_one_is_refused(tmp_path: Path) -> None:
    """Two claims of equal length: their bodies swapped in the journal, entries left in place."""
    log = Log.create(tmp_path / "log", LOG_SIGNER)
    log.append([claim(1), claim(2)])
    path = tmp_path / "log" / "journal"
    data = path.read_bytes()
    one, two = claim(1).payload, claim(2).payload
    assert len(one) == len(two)
    path.write_bytes(data.replace(one, b"\x00" * len(one)).replace(two, one).replace(b"\x00" * len(one), two))
    with pytest.raises(Refuted, match="position 0"):
        log.verify()


@pytest.mark.parametrize("change", [
    "UPDATE chunks SET rows = substr(rows, 17) WHERE first = (SELECT min(first) FROM chunks)",
    "DELETE FROM chunks WHERE first = 0; DELETE FROM runs WHERE first = 0",
])
def test_a_wrong_index_is_named_and_made_again(filled: Path, tmp_path: Path, change: str) -> None:
    import sqlite3

    directory = tmp_path / "log"
    shutil.copytree(filled, directory)
    with sqlite3.connect(directory / "index.sqlite") as table:
        table.executescript(change)
    table.close()
    with Log(directory, LOG_SIGNER) as log:
        lost = log.entry(4).id
        with pytest.raises(Refuted, match="index is damaged"):
            log.verify()
        log.repair()
        assert log.verify().claims == log.size
        assert log.find(lost) == log.entry(4)


def test_an_older_copy_of_the_checkpoint_is_brought_up_to_date(tmp_path: Path) -> None:
    log = Log.create(tmp_path / "log", LOG_SIGNER)
    log.append([claim(1)])
    old = log.note()
    log.append([claim(2)])
    new = log.note()
    log.close()
    (tmp_path / "log" / "checkpoint").write_bytes(old)
    with Log(tmp_path / "log", LOG_SIGNER) as again:
        assert again.note() == new


def test_errors_name_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrothError) as caught:
        Log(tmp_path, LOG_SIGNER)
    assert caught.value.do


def test_nothing_is_published_before_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fill(tmp_path / "log")
    seen: list[str] = []
    inode = os.stat(tmp_path / "log" / "journal").st_ino
    real_write, real_sync, real_replace = os.pwrite, os.fdatasync, os.replace

    def name(descriptor: int) -> str:
        return "journal" if os.fstat(descriptor).st_ino == inode else "note"

    def write(descriptor: int, data: bytes, at: int) -> int:
        seen.append(f"write {name(descriptor)}")
        return real_write(descriptor, bytes(data)[:5000], at)  # a short write is not an error

    def sync(descriptor: int) -> None:
        seen.append(f"sync {name(descriptor)}")
        real_sync(descriptor)

    def rename(old: Path, new: Path) -> None:
        seen.append("publish")
        real_replace(old, new)

    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(os, "replace", rename)
    log.append_batch(batch(70_000, 30))
    assert seen[0] == "sync note"
    assert len(seen) > 4
    assert set(seen[1:-2]) == {"write journal"}
    assert seen[-2:] == ["sync journal", "publish"]
    assert log.verify().claims == log.size


def commits(directory: Path) -> list[tuple[int, bytes]]:
    """(offset of the note, note) of every commit in a journal."""
    data, found, at = (directory / "journal").read_bytes(), [], len(b"troth journal v1\n")
    while at < len(data):
        length = int.from_bytes(data[at + 1:at + 5], "big")
        if data[at:at + 1] == b"C":
            found.append((at + 5, data[at + 5:at + 5 + length]))
        at += 5 + length
    return found


def test_a_fork_signed_in_the_past_is_found(tmp_path: Path) -> None:
    """The log's own key signed another tree of the same size once: its journal shows it."""
    log = Log.create(tmp_path / "log", LOG_SIGNER)
    log.append([claim(1)])
    log.append([claim(2)])
    at, note = commits(tmp_path / "log")[1]
    other = Checkpoint(LOG_SIGNER.verifier.name, 1, merkle.root([b"x"])).sign(LOG_SIGNER)
    assert len(other) == len(note)
    data = bytearray((tmp_path / "log" / "journal").read_bytes())
    data[at:at + len(note)] = other
    (tmp_path / "log" / "journal").write_bytes(data)
    with pytest.raises(Refuted, match="signs another tree"):
        log.verify()


@pytest.mark.parametrize("case", ["issuer", "root", "size", "inner", "unread"])
def test_a_batch_that_does_not_speak_for_its_members_is_found(tmp_path: Path, case: str) -> None:
    """Its keeper wrote what ``build`` and ``gather`` refuse, and signed the log over it."""
    good, other = batch(0, 3), batch(0, 3, OneKey("other", b"\x04" * 32))
    payloads = list(good.payloads)
    if case == "issuer":
        payloads[1] = other.payloads[1]
    elif case == "root":
        payloads[1] = statement(99).to_bytes()
    elif case == "inner":
        payloads[1] = batch(50, 1).envelope.payload
    elif case == "unread":
        payloads[1] = b'{"a": 1}'
    ids = [claim_id(one) for one in payloads]
    said = [claim_id(one) for one in good.payloads] if case == "root" else ids
    if case == "size":
        payloads, ids = payloads[:2], ids[:2]
    envelope = attest(batch_statement(SITE.did, 7, said), SITE)
    log = Log.create(tmp_path / "log", LOG_SIGNER)
    log.append_batch(WholeBatch(envelope, tuple(payloads), tuple(ids)))
    with pytest.raises((Refuted, BadInput)):
        log.verify()
    log.append([claim(7)])
    with pytest.raises((Refuted, BadInput)):
        log.verify()


def test_two_writers_take_turns(tmp_path: Path) -> None:
    one = fill(tmp_path / "log")
    two = Log(tmp_path / "log", LOG_SIGNER)
    size = one.size
    for n in range(6):
        assert (one, two)[n % 2].append([claim(40_000 + n)]) == [size + n]
    assert one.append([claim(40_001)]) == two.append([claim(40_001)]) == [size + 1]
    assert one.verify().claims == two.verify().claims == size + 6


@pytest.mark.parametrize("less", [1, 4000, 4097, 9000])
def test_an_index_cut_short_lets_no_claim_in_twice(filled: Path, tmp_path: Path, less: int) -> None:
    directory = tmp_path / "log"
    shutil.copytree(filled, directory)
    path = directory / "index.sqlite"
    os.truncate(path, path.stat().st_size - less)
    with Log(directory, LOG_SIGNER) as log:
        assert log.append([claim(n) for n in range(3)]) == [0, 1, 2]
        assert [log.find(entry.id) for entry in log.iterate()] == list(log.iterate())


@pytest.mark.parametrize("member", [False, True])
def test_a_seal_that_the_body_does_not_give_is_found(tmp_path: Path, member: bool) -> None:
    """The keeper signs a leaf for other signatures, or another membership, than it keeps."""
    log = Log.create(tmp_path / "log", LOG_SIGNER)
    whole = batch(0, 2)
    entries = [whole.envelope.id + seal_of_signatures(whole.envelope.signatures),
               whole.ids[0] + seal_of_member(whole.envelope.id, 0), whole.ids[1] + seal_of_member(whole.envelope.id, 1)]
    entries[1 if member else 0] = entries[1 if member else 0][:32] + bytes(32)
    records = [journal.signed_record(whole.envelope, entries[0])] + [
        journal.record(journal.MEMBER, entry + bytes(8) + payload)
        for entry, payload in zip(entries[1:], whole.payloads, strict=True)]
    with log._writing() as signer:
        log._commit(signer, entries, records)
    with pytest.raises(Refuted):
        log.verify()
