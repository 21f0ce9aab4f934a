"""A monitor and its fork proofs: logs that grow, fork, go back, show two people two stories, or withhold."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_parts import LOG_SIGNER, SITE, OneKey, batch, claim
from tlog_parts import KEY, MemoryTiles, Place, entries, log_of, raw, reference_root

from troth.app.tlog import LogDesk, bodies_at
from troth.core.encoding import decode_object, encode
from troth.core.errors import BadInput, OutsideFailed, Pending, Refuted, Undecidable
from troth.ledger.audit import check_tiles
from troth.ledger.bodies import body_bytes, entry_of_body
from troth.ledger.checkpoints import Checkpoint, NoteSigner, cosign
from troth.ledger.forks import ForkProof, fork_of
from troth.ledger.log import Log
from troth.ledger.logserver import TileServer
from troth.ledger.monitor import Forked, Monitor
from troth.ledger.tiles import TileFiles
from troth.ledger.views import View
from troth.ledger.webtiles import WebTiles, tiles_at
from troth.ledger.wire import Site


def followed(tmp_path: Path, *sizes: int) -> Monitor:
    """A monitor that saw the plain story at these sizes."""
    monitor = Monitor(tmp_path / "mirror", MemoryTiles(), KEY)
    for size in sizes:
        shown(monitor, log_of(size)).look()
    return monitor


def shown(monitor: Monitor, log: MemoryTiles) -> Monitor:
    """The monitor, for whom the log now looks like this."""
    monitor._source = log
    return monitor


@pytest.mark.parametrize("sizes", [(0, 1, 2), (3, 3, 255), (255, 256, 257), (1, 512, 513, 700), (600,), (300, 3_000)])
def test_it_follows_a_log_and_its_mirror_is_one(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    monitor, before = Monitor(tmp_path / "mirror", MemoryTiles(), KEY), 0
    for size in sizes:
        found = shown(monitor, log_of(size)).look()
        assert (found.before, found.checkpoint) == (before, log_of(size).checkpoint)
        assert check_tiles(TileFiles(monitor.directory), KEY).claims == size
        before = size
    partials = [path for path in monitor.directory.rglob("*.p/*") if path.is_file()]
    assert len(partials) <= 4  # of the last look alone


# Forks


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600), st.data())
def test_every_fork_is_found_and_proven(tmp_path_factory: pytest.TempPathFactory, seen: int, now: int,
                                        data: st.DataObject) -> None:
    same = data.draw(st.integers(0, min(seen, now) - 1))
    monitor = followed(tmp_path_factory.mktemp("m"), seen)
    with pytest.raises(Forked) as found:
        shown(monitor, log_of(now, "other", same=same)).look()
    older, newer = ForkProof.from_bytes(found.value.path.read_bytes()).check()
    assert {older.size, newer.size} == {seen, now}
    last = monitor.last()
    assert last is not None
    assert last[1] == log_of(seen).checkpoint  # what it saw first stays
    shown(monitor, log_of(650)).look()  # and it goes on with that story


def test_a_log_that_goes_back_is_refuted_and_forks_when_it_goes_on(tmp_path: Path) -> None:
    monitor = followed(tmp_path, 300)
    with pytest.raises(Refuted, match="went back"):
        shown(monitor, log_of(120)).look()
    assert not (monitor.directory / "forks").exists()  # an old copy is no contradiction yet
    with pytest.raises(Forked):
        shown(monitor, log_of(310, "after", same=120)).look()


def test_two_views_of_one_log(tmp_path: Path) -> None:
    """Two clients are shown two stories; each is whole. One file between them is enough."""
    ann, ben = Monitor(tmp_path / "ann", log_of(400), KEY), Monitor(tmp_path / "ben", log_of(500, "b", same=90), KEY)
    ann.look()
    ben.look()
    anns, bens = (one.directory / "checkpoint" for one in (ann, ben))
    with pytest.raises(Forked):
        ben.compare(anns.read_bytes())  # the smaller one against the mirror: the note alone tells
    with pytest.raises(Pending):
        ann.compare(bens.read_bytes())  # the larger one: not yet
    with pytest.raises(Forked) as found:
        ann.compare(bens.read_bytes(), TileFiles(ben.directory))  # with its mirror: at once
    proof = ForkProof.from_bytes(found.value.path.read_bytes())
    assert [one.size for one in proof.check()] == [400, 500]


@pytest.mark.parametrize(("mine", "theirs"), [(400, 400), (400, 90), (400, 0), (90, 400), (256, 512)])
def test_one_story_compares_well(tmp_path: Path, mine: int, theirs: int) -> None:
    monitor, other = followed(tmp_path, mine), log_of(theirs)
    assert monitor.compare(other.note(), other) == other.checkpoint


@pytest.mark.parametrize(("mine", "theirs"), [(400, 400), (400, 95), (95, 400), (256, 512), (91, 91)])
def test_two_stories_do_not(tmp_path: Path, mine: int, theirs: int) -> None:
    monitor, other = followed(tmp_path, mine), log_of(theirs, "other", same=90)
    with pytest.raises(Forked) as found:
        monitor.compare(other.note(), other)
    assert sorted(one.size for one in found.value.proof.check()) == sorted((mine, theirs))


def test_notes_of_others_prove_nothing(tmp_path: Path) -> None:
    monitor = followed(tmp_path, 10)
    thief = NoteSigner(KEY.name, b"\x66" * 32)
    forged = Checkpoint(KEY.name, 10, bytes(32)).sign(thief)
    with pytest.raises(Undecidable, match="expected key"):
        monitor.compare(forged)
    with pytest.raises(Undecidable, match="nothing"):
        Monitor(tmp_path / "new", log_of(1), KEY).compare(forged)
    with pytest.raises(Undecidable):
        shown(monitor, MemoryTiles(thief).grow(entries(0, 10))).look()


def test_anchors_are_compared(tmp_path: Path) -> None:
    monitor = followed(tmp_path, 300)
    monitor.compare_anchor(120, reference_root(entries(0, 120)))
    with pytest.raises(Refuted, match="anchored"):
        monitor.compare_anchor(120, reference_root(entries(0, 120, "other")))
    with pytest.raises(Pending):
        monitor.compare_anchor(301, bytes(32))


def test_tiles_that_are_not_the_checkpoints(tmp_path: Path) -> None:
    liar = log_of(400)
    liar.files["checkpoint"] = Checkpoint(KEY.name, 500, bytes(32)).sign(LOG_SIGNER)
    monitor = followed(tmp_path, 300)
    with pytest.raises((Refuted, Undecidable)):
        shown(monitor, liar).look()
    last = monitor.last()
    assert last is not None
    assert last[1].size == 300


# Fork proofs


def proof() -> ForkProof:
    log, fork = log_of(300), log_of(500, "other", same=90)
    view = View(fork, fork.checkpoint)
    witness = NoteSigner("witness.example/w", b"\x21" * 32, 4)
    return fork_of(KEY, cosign(log.note(), witness, 5), fork.note(), view.root(300), view.consistency(300))


def test_a_proof_stands_alone() -> None:
    found = proof()
    assert ForkProof.from_bytes(found.to_bytes() + b"\n") == found
    assert [one.size for one in found.check()] == [300, 500]
    assert b"witness" not in found.to_bytes()  # only the log's own words are in it


def test_nothing_that_is_no_fork_passes() -> None:
    log, later, other = log_of(300), log_of(500), log_of(500, "other", same=90)
    view = View(later, later.checkpoint)
    honest = ForkProof(KEY, log.note(), later.note(), view.root(300), tuple(view.consistency(300)))
    with pytest.raises(Refuted, match="no fork"):
        honest.check()
    alien = View(other, other.checkpoint)
    for bad in (ForkProof(KEY, log.note(), later.note(), alien.root(300), tuple(alien.consistency(300))),
                ForkProof(KEY, log.note(), later.note(), bytes(32), tuple(view.consistency(300))),
                ForkProof(KEY, later.note(), log.note(), bytes(32), tuple(view.consistency(300))),
                ForkProof(KEY, log.note(), log.note(), log.checkpoint.root, ())):
        with pytest.raises(Refuted):
            bad.check()
    thief = NoteSigner(KEY.name, b"\x66" * 32)
    framed = Checkpoint(KEY.name, 300, bytes(32)).sign(thief)
    with pytest.raises(Undecidable):
        ForkProof(KEY, framed, later.note(), view.root(300), tuple(view.consistency(300))).check()


@settings(max_examples=60)
@given(st.data())
def test_no_changed_proof_passes(data: st.DataObject) -> None:
    whole = proof().to_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 127))
    with pytest.raises((BadInput, Refuted, Undecidable)):
        ForkProof.from_bytes(bytes(changed)).check()


@pytest.mark.parametrize("change", [
    lambda said: said | {"more": 1}, lambda said: {k: v for k, v in said.items() if k != "prefix"},
    lambda said: said | {"format": "x"}, lambda said: said | {"path": [1]}, lambda said: said | {"path": ["00"] * 65}])
def test_proofs_of_another_shape(change: object) -> None:
    with pytest.raises(BadInput):
        ForkProof.from_bytes(encode(change(decode_object(proof().to_bytes()))))  # type: ignore[operator]


# What is said about you


class Party:
    """As much of a workspace as its desk needs."""

    def __init__(self, directory: Path) -> None:
        self.log = Log(directory, LOG_SIGNER)


def test_claims_about_somebody_are_reported_from_a_directory_and_over_http(tmp_path: Path) -> None:
    other, place = OneKey("other", b"\x03" * 32), tmp_path / "log"
    with Log.create(place, LOG_SIGNER) as log:
        log.append([claim(0), claim(1, other), claim(2, text=other.did), claim(3)])
        members = log.append_batch(batch(10, 300, other))
        lone = log.append([claim(900, text="forget me")])[0]
        about = (other.did, claim(3).id.hex(), f"{2:064x}", "did:example:oth")
        with TileServer(TileFiles(place), desk=lambda: LogDesk(Party(place)), gives=True) as server:  # type: ignore[arg-type]
            for n, where in enumerate((str(place), server.url)):
                tiles = tiles_at(where, private=True)
                found = Monitor(tmp_path / f"m{n}", tiles, KEY).look(about, bodies_at(tiles, where, KEY))
                by = {one: [m.position for m in found.mentions if m.about == one] for one in about}
                assert by[other.did] == [1, 2, 4, *members]  # issuer, a text in a body, the batch and its members
                assert by[claim(3).id.hex()] == [3]
                assert by[f"{2:064x}"] == [2]  # a subject's digest
                assert not by["did:example:oth"]  # the beginning of a name is no name
                assert found.unread == 0
        log.forget(lone)
    tiles = TileFiles(place)
    found = Monitor(tmp_path / "late", tiles, KEY).look((SITE.did,), bodies_at(tiles, str(place), KEY))
    assert (found.unread, len(found.mentions)) == (1, 3)
    with TileServer(tiles) as server:  # which gives out no bodies
        web = tiles_at(server.url, private=True)
        found = Monitor(tmp_path / "blind", web, KEY).look((SITE.did,), bodies_at(web, server.url, KEY))
        assert (found.unread, found.mentions) == (306, ())
        assert Monitor(tmp_path / "blind", web, KEY).look((SITE.did,), again=True).unread == 306
        assert Monitor(tmp_path / "blind", web, KEY).look((SITE.did,)).unread == 0  # nothing is new


def test_bodies_that_are_not_the_leafs_are_refuted(tmp_path: Path) -> None:
    with Log.create(tmp_path / "log", LOG_SIGNER) as log, Place(TileFiles(tmp_path / "log")) as place:
        log.append([claim(0), claim(1)])
        log.append_batch(batch(5, 3))
        bodies = [body_bytes(log.entry(at), None if log.entry(at).batch is None else log.membership(at))
                  for at in range(log.size)]
        for at, body in enumerate(bodies):
            assert entry_of_body(body, at, log.leaf(at)).payload == log.entry(at).payload
        for at, other in itertools.permutations(range(log.size), 2):
            with pytest.raises(Refuted):
                entry_of_body(bodies[other], at, log.leaf(at))
        signed = decode_object(bodies[0])
        stripped = encode(signed | {"signatures": []})
        with pytest.raises(Refuted):
            entry_of_body(stripped, 0, log.leaf(0))
        for bad in (b"", b"{}", b"[]", encode(signed | {"more": 1}), encode(signed | {"signatures": [1]})):
            with pytest.raises(BadInput):
                entry_of_body(bad, 0, log.leaf(0))
        place.spoilt = {"claim/0": bodies[1], "claim/1": raw(b"HTTP/1.1 200 OK\r\n\r\n{")}
        tiles = WebTiles(Site(place.url, private=True))
        with pytest.raises(Refuted):
            Monitor(tmp_path / "m", tiles, KEY).look((SITE.did,), bodies_at(tiles, place.url, KEY))
        place.spoilt["claim/0"] = bodies[0]
        with pytest.raises((BadInput, OutsideFailed)):
            Monitor(tmp_path / "m", tiles, KEY).look((SITE.did,), bodies_at(tiles, place.url, KEY))


def test_another_logs_entries_are_searched_as_bytes(tmp_path: Path) -> None:
    found = Monitor(tmp_path / "m", log_of(300), KEY).look(("entry 299",))
    assert [(one.position, one.claim) for one in found.mentions] == [(299, None)]
    assert found.unread == 0


def test_a_mirror_is_watched_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from troth.ledger import monitor as module
    from troth.store.files import holding

    monkeypatch.setattr(module, "WAIT", 0.05)
    monitor = Monitor(tmp_path, log_of(3), KEY)
    with holding(tmp_path / "lock", 1, "busy"), pytest.raises(OutsideFailed, match="another process"):
        monitor.look()
