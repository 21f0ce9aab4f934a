"""A workspace killed, on a full disk, damaged, or used twice at once: nothing lost, doubled or half done."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from worker import Child

from troth.app import Settings, Troth, file_subject
from troth.core.claims import Evidence
from troth.core.errors import BadInput, Misuse, OutsideFailed, TrothError, Undecidable
from troth.core.merkle import EMPTY_ROOT
from troth.identity.keystore import MIN_COST
from troth.learn.claims import LISTING
from troth.ledger.exchange import FolderExchange
from troth.store import unixfs
from troth.store.cid import Cid

PASSPHRASE = "correct horse"
KILLS = 20
Make = Callable[[str], Troth]


def killed(after: float, *words: str | Path) -> list[str]:
    """Start a worker, kill it ``after`` seconds from when it is ready; what it acknowledged."""
    child = Child(*words)
    assert child.out.readline() == "ready\n", child.out.read()
    time.sleep(after)
    os.kill(child.pid, signal.SIGKILL)
    said = child.out.read().split("\n")
    assert child.wait() in (0, -9), said
    return said[:-1]


def run(*words: str | Path) -> list[str]:
    child = Child(*words)
    said = child.out.read().split("\n")
    assert child.wait() == 0, said
    return said[1:-1]


def reopen(directory: Path) -> Troth:
    """The workspace, whose log must check from end to end."""
    party = Troth.open(directory, PASSPHRASE)
    party.log.verify()
    return party


def close(*parties: Troth) -> None:
    for party in parties:
        party.close()


# Killed


def test_an_init_killed_at_any_point_is_done_again(tmp_path: Path) -> None:
    finished = 0
    for n in range(KILLS):
        place = tmp_path / str(n)
        place.mkdir()
        killed(random.Random(n).uniform(0, 0.12), "init", place)
        if (place / ".troth").exists():
            finished += 1
            with reopen(place) as party:  # it appeared whole
                assert party.log.checkpoint().root == EMPTY_ROOT
            continue
        with pytest.raises(Misuse, match="troth init"):
            Troth.open(place, PASSPHRASE)
        with Troth.init(place, PASSPHRASE, cost=MIN_COST) as party:
            party.attest("note", [file_subject("x", b"x")], {})
        assert [path.name for path in place.iterdir()] == [".troth"]
    assert finished < KILLS, "no init was killed half way"


def test_what_was_attested_is_there_and_once(tmp_path: Path) -> None:
    with Troth.init(tmp_path, PASSPHRASE, cost=MIN_COST):
        pass
    said: list[str] = []
    for n in range(KILLS // 2):
        said += killed(random.Random(n).uniform(0.02, 0.3), "attest", tmp_path, "1000000")
    with reopen(tmp_path) as party:
        ids = [entry.id.hex() for entry in party.log.iterate()]
        assert len(ids) == len(set(ids))
        assert len(said) > KILLS // 2
        assert set(said) <= set(ids)  # attesting the same again in the same second gives the same claim
        assert len(ids) <= len(set(said)) + KILLS // 2, "at most the one in hand at each kill"


def test_a_sender_killed_leaves_whole_parcels_and_a_receiver_killed_takes_each_once(make: Make, tmp_path: Path) -> None:
    alice, bob = make("alice"), make("bob")
    for one, other in ((alice, bob), (bob, alice)):
        one.introduce(other.did)
        other.receive()
    close(alice, bob)
    sent = [claim for n in range(6) for claim in killed(0.1 + 0.02 * n, "send", tmp_path / "alice", bob.did)]
    assert sent
    taken: list[str] = []
    for n in range(KILLS // 2):
        taken += killed(random.Random(n).uniform(0, 0.04), "receive", tmp_path / "bob")
    taken += run("receive", tmp_path / "bob")
    with reopen(tmp_path / "bob") as party:
        ids = [entry.id.hex() for entry in party.log.iterate()]
        assert len(ids) == len(set(ids))
        assert set(sent) | set(taken) <= set(ids)
        assert party.receive() == ()
        assert party.refused == []
        assert not list(FolderExchange(tmp_path / "exchange").waiting(party.did))
        sealed = [path.name for path in (party.root / "wraps").iterdir()]
        assert len(sealed) >= len(sent)
        assert {party.get(cid) for cid in sealed} == {b"s" * 1000}


def listed(party: Troth, data: bytes) -> tuple[bytes, Evidence]:
    sealing = party.seal_records(data, data.splitlines())
    return party.attest(LISTING, [file_subject("r", data)], {}, evidence=[sealing.evidence]), sealing.evidence


def test_an_erasure_killed_at_any_point_is_finished_by_the_next(make: Make, tmp_path: Path) -> None:
    party = make("alice")
    listings = [listed(party, os.urandom(3 << 20)) for _ in range(8)]
    blocks = {listing: list(map(str, unixfs.cids(Cid.parse(item.cid), party.blobs))) for listing, item in listings}
    close(party)
    unfinished = 0
    for n, (listing, item) in enumerate(listings):
        said = killed(0.004 * n, "erase", tmp_path / "alice", listing.hex())
        with reopen(tmp_path / "alice") as again:
            unfinished += not said
            found = again.erase(listing)
            assert again.erase(listing) == found
            assert not said or said == [found.hex()]
            assert not [cid for cid in blocks[listing] if again.blobs.has(cid)]
            with pytest.raises(Undecidable):
                again.read(item)
            assert again.trace(listing).stale
            assert len(list(again.claims("erasure"))) == n + 1
            assert not list(again.root.glob("erasing-*"))
    assert unfinished, "no erasure was killed half way"


def test_an_erasure_that_lost_some_blocks_goes_through_the_rest(make: Make) -> None:
    party = make("alice")
    listing, item = listed(party, os.urandom(3 << 20))
    names = list(map(str, unixfs.cids(Cid.parse(item.cid), party.blobs)))
    real, left = party.blobs.delete, 2

    def delete(name: str) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            raise OutsideFailed("the disk went away")
        return real(name)

    party.blobs.delete = delete  # type: ignore[method-assign]
    with pytest.raises(OutsideFailed):
        party.erase(listing)
    party.blobs.delete = real  # type: ignore[method-assign]
    assert any(map(party.blobs.has, names))
    party.erase(listing)
    assert not any(map(party.blobs.has, names))


def test_a_bundle_killed_at_any_point_is_whole_or_not_there(make: Make, tmp_path: Path) -> None:
    party = make("alice")
    claim = party.attest("note", [file_subject("x", b"x")], {}, evidence=[party.add("big", os.urandom(900_000))])
    target = tmp_path / "it.troth"
    party.bundle(claim, target)
    whole = target.read_bytes()
    close(party)
    target.unlink()
    for n in range(KILLS // 2):
        killed(0.003 * n, "bundle", tmp_path / "alice", f"{claim.hex()}:{target}")
        assert not target.exists() or target.read_bytes() == whole
        target.unlink(missing_ok=True)
    run("bundle", tmp_path / "alice", f"{claim.hex()}:{target}")
    assert target.read_bytes() == whole


# Two at once


def test_two_processes_attest_and_receive_at_once(make: Make, tmp_path: Path) -> None:
    alice, bob = make("alice"), make("bob")
    for one, other in ((alice, bob), (bob, alice)):
        one.introduce(other.did)
        other.receive()
    sent = []
    for n in range(30):
        sent.append(alice.attest("note", [file_subject("x", b"x")], {"n": -n}))
        alice.send([bob.did], sent[-1:])
    close(alice, bob)
    children = [Child("attest", tmp_path / "bob", "25"), Child("attest", tmp_path / "bob", "25"),
                Child("receive", tmp_path / "bob"), Child("receive", tmp_path / "bob")]
    said = [child.out.read().split()[1:] for child in children]
    assert [child.wait() for child in children] == [0] * 4, said
    with reopen(tmp_path / "bob") as party:
        ids = [entry.id.hex() for entry in party.log.iterate()]
        assert len(ids) == len(set(ids))
        assert {claim for lines in said for claim in lines} == set(ids)
        assert {claim.hex() for claim in sent} <= set(ids)
        assert sorted(said[2] + said[3]) == sorted(claim.hex() for claim in sent), "each was new to one of them"
        assert party.refused == []
        assert not list((tmp_path / "exchange").rglob("*.refused"))


# Disk full


def limited(size: int, act: Callable[[], object]) -> None:
    """Run ``act`` where no file may grow beyond ``size`` bytes: a disk that fills up."""
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 700, 2_000, 6_000, 20_000])
def test_a_disk_that_fills_up_while_receiving_loses_nothing(make: Make, size: int) -> None:
    alice, bob = make("alice"), make("bob")
    bob.introduce(alice.did)
    alice.receive()
    evidence = alice.add("big", os.urandom(50_000), [bob.did])
    claims = [alice.attest("note", [file_subject("x", b"x")], {"n": n, "pad": "x" * 3_000}) for n in range(5)]
    alice.send([bob.did], claims, [evidence])
    before = [path.name for path in bob.exchange.waiting(bob.did)]
    with pytest.raises(OutsideFailed):
        limited(size, bob.receive)
    assert bob.log.size == 0
    assert [path.name for path in bob.exchange.waiting(bob.did)] == before
    assert bob.receive() == tuple(claims)
    assert bob.refused == []
    assert len(bob.read(evidence)) == 50_000
    bob.log.verify()
    assert not [path for path in bob.root.rglob(".troth-*")]


@pytest.mark.parametrize("size", [0, 500, 5_000])
def test_a_disk_that_fills_up_while_bundling_leaves_the_old_bundle(make: Make, tmp_path: Path, size: int) -> None:
    party = make("alice")
    claim = party.attest("note", [file_subject("x", b"x")], {}, evidence=[party.add("big", os.urandom(50_000))])
    target = tmp_path / "it.troth"
    target.write_bytes(b"the old one")
    with pytest.raises(OutsideFailed):
        limited(size, lambda: party.bundle(claim, target))
    assert target.read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice", "it.troth"]
    party.bundle(claim, target)
    assert target.stat().st_size > 50_000


@pytest.mark.parametrize("size", [0, 300, 3_000])
def test_a_disk_that_fills_up_during_init_leaves_nothing(tmp_path: Path, size: int) -> None:
    with pytest.raises(OutsideFailed):
        limited(size, lambda: Troth.init(tmp_path / "w", PASSPHRASE, cost=MIN_COST))
    assert list((tmp_path / "w").iterdir()) == []
    Troth.init(tmp_path / "w", PASSPHRASE, cost=MIN_COST).close()


# Damage


def damage(name: str, data: bytes | None) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        path = next(root.glob(name))
        if data is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            path.write_bytes(data)
    return act


@pytest.mark.parametrize(("act", "error", "says"), [
    (damage("troth.toml", None), Undecidable, "troth.toml"),
    (damage("troth.toml", b"\xff\xfe"), BadInput, "troth.toml"),
    (damage("troth.toml", b"[workspace\n"), BadInput, "troth.toml"),
    (damage("troth.toml", b"name = 'x'\n"), BadInput, "unknown setting"),
    (damage("troth.toml", b"a = " + b"[" * 5_000), BadInput, "troth.toml"),
    (damage("keys.json", None), Undecidable, "keystore"),
    (damage("keys.json", b""), BadInput, "damaged"),
    (damage("keys.json", b"{}"), BadInput, "damaged"),
    (damage("documents", None), OutsideFailed, "documents"),
    (damage("documents/*", b"{}"), BadInput, "documents"),
    (damage("documents/*", b"\xff"), BadInput, "documents"),
    (damage("log", None), Undecidable, "Restore it from a backup"),
    (damage("log/journal", None), Undecidable, "Restore it from a backup"),
])
def test_a_damaged_workspace_says_what_is_damaged(tmp_path: Path, act: Callable[[Path], None],
                                                  error: type[TrothError], says: str) -> None:
    with Troth.init(tmp_path, PASSPHRASE, cost=MIN_COST) as party:
        party.attest("note", [file_subject("x", b"x")], {})
    act(tmp_path / ".troth")
    with pytest.raises(TrothError, match=says) as found:
        Troth.open(tmp_path, PASSPHRASE)
    assert type(found.value) is error
    assert found.value.do or found.value.actual
    with pytest.raises(Misuse, match="already"):  # and no new one is made over it
        Troth.init(tmp_path, PASSPHRASE, cost=MIN_COST)


def test_what_a_killed_writer_left_does_no_harm(tmp_path: Path) -> None:
    # A half-written document once made the workspace impossible to open.
    with Troth.init(tmp_path, PASSPHRASE, cost=MIN_COST):
        pass
    for folder in ("", "documents", "wraps", "log"):
        (tmp_path / ".troth" / folder / ".troth-0123456789abcdef").write_bytes(b"half")
    with reopen(tmp_path) as party:
        party.attest("note", [file_subject("x", b"x")], {})


def test_a_wrong_passphrase_changes_nothing(tmp_path: Path) -> None:
    with Troth.init(tmp_path, PASSPHRASE, cost=MIN_COST):
        pass
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for wrong in ("wrong", PASSPHRASE + " ", "\ud800"):
        with pytest.raises(Misuse, match="passphrase"):
            Troth.open(tmp_path, wrong)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline", "tab\t", "nul\0", "del\x7f", "🦉", "]\n[x]\n"])
def test_any_name_is_read_back(tmp_path: Path, name: str) -> None:
    settings = Settings(name, name, name)
    (tmp_path / "troth.toml").write_text(settings.text(), encoding="utf-8")
    assert Settings.load(tmp_path / "troth.toml", {}) == settings


def test_two_inits_at_once_make_one_workspace(tmp_path: Path) -> None:
    children = [Child("init", tmp_path) for _ in range(3)]
    said = [child.out.read() for child in children]
    assert sorted(child.wait() for child in children) == [0, 1, 1], said
    reopen(tmp_path).close()


# Bundles that are none


def verify(path: Path) -> subprocess.CompletedProcess[str]:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))  # it must not read 2 GB into memory

    return subprocess.run([sys.executable, "-m", "troth.cli.main", "verify", str(path)], capture_output=True, text=True,
                          timeout=60, check=False, preexec_fn=bound)


def test_unreadable_bundles_are_bad_input(make: Make, tmp_path: Path) -> None:
    party = make("alice")
    claim = party.attest("note", [file_subject("x", b"x")], {})
    good = tmp_path / "good.troth"
    party.bundle(claim, good)
    data = good.read_bytes()
    assert verify(good).returncode == 3
    bad = tmp_path / "bad.troth"
    cases = [b"", data[:len(data) // 2], data + b"\0", b"\xff" * 5_000]
    for case in cases:
        bad.write_bytes(case)
        done = verify(bad)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), (case[:10], done)
    bad.write_bytes(data)
    os.truncate(bad, 2 << 30)  # sparse: a bundle with a tail of nothing
    done = verify(bad)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done
