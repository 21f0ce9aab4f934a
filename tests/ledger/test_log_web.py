"""Tile logs over HTTP: served and read, and places that lie, drip, flood, redirect or point inwards."""

from __future__ import annotations

import gzip
import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_parts import LOG_SIGNER, VECTOR_KEY, VECTORS, batch, claim
from tlog_parts import KEY, MemoryTiles, Place, Raw, entries, log_of, raw

from troth.core import merkle
from troth.core.errors import Misuse, OutsideFailed, Refuted, Undecidable
from troth.ledger.audit import check_tiles
from troth.ledger.checkpoints import Checkpoint, Note, NoteSignature, NoteSigner
from troth.ledger.log import Log
from troth.ledger.logserver import TileServer
from troth.ledger.tiles import ENTRIES, TileFiles, tile_path
from troth.ledger.views import View
from troth.ledger.webtiles import KeptTiles, WebTiles, tiles_at
from troth.ledger.wire import Site, _public

OK = b"HTTP/1.1 200 OK\r\n"
LOG = log_of(600)


@pytest.fixture
def place() -> Iterator[Place]:
    with Place(LOG) as one:
        yield one


def web(place: Place, seconds: float = 5.0) -> WebTiles:
    return WebTiles(Site(place.url, private=True, timeout=seconds))


def read(tiles: WebTiles | KeptTiles) -> None:
    view = View(tiles, Checkpoint.open(tiles.note(), KEY))
    assert [entry for index in range(3) for entry in view.entries(index)] == LOG.data


# Served and read


def test_the_outside_log_over_http() -> None:
    with TileServer(TileFiles(VECTORS)) as server:
        assert check_tiles(tiles_at(server.url, private=True), VECTOR_KEY).claims == 15


def test_a_log_that_grows_is_read_while_it_grows(tmp_path: Path) -> None:
    with Log.create(tmp_path / "log", LOG_SIGNER) as log, TileServer(TileFiles(tmp_path / "log")) as server:
        tiles, seen = WebTiles(Site(server.url, private=True)), Checkpoint.open(log.note(), KEY)
        for start in (0, 3, 260, 700):
            log.append_batch(batch(10_000 * start + 1, 250))
            log.append([claim(10_000 * start)])
            now = Checkpoint.open(tiles.note(), KEY)
            view = View(tiles, now)
            merkle.verify_consistency(seen.size, now.size, seen.root, now.root, view.consistency(seen.size))
            merkle.verify_inclusion(merkle.leaf_hash(log.leaf(start)), start, now.size, view.inclusion(start), now.root)
            seen = now
        assert check_tiles(tiles, KEY).claims == log.size


def test_types_caching_and_compression(tmp_path: Path) -> None:
    LOG.write(tmp_path)
    (tmp_path / "journal").write_bytes(b"private")
    with TileServer(TileFiles(tmp_path)) as server:
        line = http.client.HTTPConnection("127.0.0.1", server.port)

        def get(path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
            line.request(method, path, headers=headers)
            answer = line.getresponse()
            return answer, answer.read()

        note, data = get("/checkpoint")
        assert (note.status, data) == (200, LOG.note())
        assert note.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert note.headers["Cache-Control"] == "no-cache"
        tile, data = get("/tile/0/000")
        assert (tile.headers["Content-Type"], data) == ("application/octet-stream", LOG.files["tile/0/000"])
        assert "immutable" in tile.headers["Cache-Control"]
        assert tile.headers["Access-Control-Allow-Origin"] is None
        packed, data = get("/tile/entries/000", **{"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(data) == LOG.files["tile/entries/000"]
        assert get("/tile/0/000", "HEAD")[1] == b""
        for missing in ("/journal", "/tile/0/../../journal", "/tile/9/000", "/", "/claim/0", "/lock"):
            assert get(missing)[0].status == 404
        line.request("POST", "/add", b"{}")
        assert line.getresponse().status == 404  # nothing is taken in unless its owner says so
        line.close()
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert get("/checkpoint", **headers)[0].status == 403
            line.close()
        line.request("PUT", "/checkpoint", b"x")
        assert line.getresponse().status == 405


def test_what_was_checked_is_fetched_once(place: Place, tmp_path: Path) -> None:
    kept = KeptTiles(web(place), tmp_path)
    read(kept)
    first = list(place.asked)
    place.asked.clear()
    read(KeptTiles(web(place), tmp_path))
    assert len(first) > 5
    assert place.asked == ["checkpoint"]
    (tmp_path / "checkpoint").write_bytes(LOG.note())
    assert check_tiles(TileFiles(tmp_path), KEY).claims == 600
    (tmp_path / tile_path(0, 1)).write_bytes(b"")  # as a power cut may leave it: fetched again
    read(KeptTiles(web(place), tmp_path))
    assert (tmp_path / tile_path(0, 1)).read_bytes() == LOG.files[tile_path(0, 1)]
    (tmp_path / tile_path(ENTRIES, 1)).write_bytes(b"poison")  # whoever can write the cache cannot lie either
    with pytest.raises(Refuted):
        read(KeptTiles(web(place), tmp_path))


def test_a_partial_tile_that_is_gone_is_taken_from_the_full_one(place: Place) -> None:
    larger = log_of(600).grow(entries(600, 800))
    del larger.files[tile_path(0, 2, 88)], larger.files[tile_path(ENTRIES, 2, 88)]
    place.tiles, place.spoilt["checkpoint"] = larger, LOG.note()
    read(web(place))


# Attacks


@pytest.mark.parametrize("spoil", [
    lambda data: data[:-32], lambda data: data + bytes(32), lambda data: b"", lambda data: data[32:] + data[:32]])
def test_tiles_cut_long_or_reordered(place: Place, spoil: object) -> None:
    place.spoilt[tile_path(0, 1)] = spoil(LOG.files[tile_path(0, 1)])  # type: ignore[operator]
    with pytest.raises((Refuted, OutsideFailed)):
        read(web(place))


def test_a_bundle_of_another_story(place: Place) -> None:
    place.spoilt[tile_path(ENTRIES, 1)] = log_of(600, "other").files[tile_path(ENTRIES, 1)]
    with pytest.raises(Refuted, match="position 256"):
        read(web(place))


def test_a_checkpoint_by_another_key_of_the_same_name(place: Place) -> None:
    thief = NoteSigner(KEY.name, b"\x66" * 32)
    place.spoilt["checkpoint"] = Checkpoint(KEY.name, 600, LOG.checkpoint.root).sign(thief)
    with pytest.raises(Undecidable, match="not signed by the expected key"):
        read(web(place))
    text = Note.from_bytes(LOG.note()).text  # and one that found a key with the same four bytes of id
    collided = NoteSignature(KEY.name, KEY.key_id, thief.sign(text).value)
    for lines in ((collided,), (collided, *Note.from_bytes(LOG.note()).signatures)):
        place.spoilt["checkpoint"] = Note(text, lines).to_bytes()
        with pytest.raises(Refuted, match="does not verify"):
            read(web(place))


def drip(line: socket.socket) -> None:
    line.sendall(OK + b"Content-Length: 100\r\n\r\n")
    for _ in range(100):
        line.sendall(b"x")
        time.sleep(0.2)


def flood(line: socket.socket) -> None:
    line.sendall(OK + b"\r\n")
    while True:
        line.sendall(bytes(1 << 16))


BOMB = gzip.compress(bytes(1 << 24))


@pytest.mark.parametrize(("how", "word"), [
    (drip, "in time"), (flood, "at most"), (lambda line: time.sleep(2), "in time"),
    (raw(OK + b"Content-Length: 999999999\r\n\r\n"), "at most"),
    (raw(OK + b"Content-Length: 100\r\n\r\nshort"), "IncompleteRead"),
    (raw(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"), "redirect"),
    (raw(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), "500"), (raw(b"nonsense\r\n\r\n"), "HTTP"),
    (raw(b""), "HTTP"),
    (raw(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB), "gzip member"),
    (raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), "gzip"),
    (raw(OK + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\nnope"), "identity")])
def test_answers_that_are_none(place: Place, how: Raw, word: str) -> None:
    place.spoilt["checkpoint"] = how
    with pytest.raises(OutsideFailed, match=word):
        read(web(place, 1.0))
    place.spoilt.clear()
    read(web(place))


def test_gzip_that_was_not_asked_for_is_read(place: Place) -> None:
    packed = gzip.compress(LOG.files[tile_path(ENTRIES, 0)])
    place.spoilt[tile_path(ENTRIES, 0)] = raw(
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    read(web(place))


def test_this_machine_and_private_networks_are_asked_only_if_one_says_so(place: Place) -> None:
    with pytest.raises(Undecidable, match="--private"):
        tiles_at(place.url).note()
    with pytest.raises(Undecidable, match="--private"):
        tiles_at(place.url.replace("127.0.0.1", "localhost")).note()
    assert not place.asked
    for address in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
                    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
                    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"):
        assert not _public(address), address
    for address in ("1.1.1.1", "2606:4700:4700::1111"):
        assert _public(address), address


@pytest.mark.parametrize("url", [
    "ftp://a/", "http://", "http://user@host/", "http://user:pw@host/", "http://host:99999/", "http://host/?q=1",
    "http://host/#f", "http://host/a b", "http://host/\r\nX: y", "http://host/\u0430", "file:///etc/passwd"])
def test_places_that_are_none(url: str) -> None:
    with pytest.raises(Misuse):
        Site(url)


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(OutsideFailed, match="does not answer"):
        tiles_at(f"http://127.0.0.1:{port}", private=True).note()
    with pytest.raises(Undecidable, match="no checkpoint"):
        check_tiles(MemoryTilesWithout(), KEY)


class MemoryTilesWithout(MemoryTiles):
    def fetch(self, path: str) -> bytes | None:
        return None
