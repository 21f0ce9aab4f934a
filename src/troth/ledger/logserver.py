"""Serving logs and witnesses to this machine over HTTP (C2SP tlog-tiles and tlog-witness; ``troth.ledger.loopback``).

A tile server gives out what lies in a log's directory: ``/checkpoint`` and ``/tile/…``, nothing else of it. Where its
owner says so it also gives out claims' bodies (``/claim/<position>``) and takes claims in (``POST /add``): those two
work on the open log, which belongs to one thread, so they go through an executor of one worker.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Protocol, TypeVar

from troth.core.encoding import encode
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, TrothError, Undecidable
from troth.ledger.logproofs import plain
from troth.ledger.loopback import LoopbackHandler, LoopbackServer
from troth.ledger.tiles import ENTRIES, Tiles, tile_index
from troth.ledger.witness import MAX_BODY, Conflict, NotSigned, Witness

T = TypeVar("T")
MAX_ADD = 64 << 20
NOTE_TYPE = "text/plain; charset=utf-8"
TILE_TYPE = "application/octet-stream"
JSON_TYPE = "application/json"
SIZE_TYPE = "text/x.tlog.size"
_FRESH = {"Cache-Control": "no-cache"}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


class Desk(Protocol):
    """What a log's owner lets others do beyond reading tiles. Called by one thread alone."""

    def body(self, position: int) -> bytes | None:
        """The claim at a position as JSON (``troth.ledger.bodies``); None where it is not given out or forgotten."""
        ...

    def add(self, parcel: bytes) -> bytes:
        """Take a parcel's claims in after checking them; the answer, JSON. Raises as ``intake.check`` does."""
        ...


class _TileHandler(LoopbackHandler):
    server: TileServer

    def do_GET(self) -> None:
        """A checkpoint, a tile, a bundle or a body."""
        if (refused := self.stranger()) is not None:
            self.refuse(*refused)
            return
        path = self.path.partition("?")[0].removeprefix("/")
        try:
            if path.startswith("claim/"):
                self._claim(path.removeprefix("claim/"))
            else:
                self._tile(path)
        except (BadInput, Undecidable):
            self.answer(HTTPStatus.NOT_FOUND, NOTE_TYPE, b"there is nothing here\n")
        except TrothError as error:
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, NOTE_TYPE, error.message.encode() + b"\n")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Claims to take in."""
        desk = self.server.desk
        refused = self.stranger() or self.unreadable(MAX_ADD)
        if refused is None and (self.path != "/add" or desk is None or not self.server.takes):
            refused = HTTPStatus.NOT_FOUND, "nothing is taken in here"
        if refused is not None:
            self.refuse(*refused)
            return
        body = self.body()
        if body is None or desk is None:
            return
        try:
            self.answer(HTTPStatus.OK, JSON_TYPE, self.server.ask(lambda: desk.add(body)), _FRESH)
        except TrothError as error:
            status = _STATUS.get(error.exit_status, HTTPStatus.INTERNAL_SERVER_ERROR)
            self.answer(status, JSON_TYPE, encode({"error": error.diagnostics(), "status": error.exit_status}))

    def _refuse_method(self) -> None:
        self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD and POST")

    do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _refuse_method

    def _tile(self, path: str) -> None:
        if path == "checkpoint":
            self.answer(HTTPStatus.OK, NOTE_TYPE, self.server.tiles.note(), _FRESH)
            return
        level, _, _ = tile_index(path)
        data = self.server.tiles.fetch(path)
        if data is None:
            raise Undecidable("no such tile")
        headers = dict(_FOREVER)
        if level == ENTRIES:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                data, headers["Content-Encoding"] = gzip.compress(data, 6, mtime=0), "gzip"
        self.answer(HTTPStatus.OK, TILE_TYPE, data, headers)

    def _claim(self, position: str) -> None:
        desk = self.server.desk
        if desk is None or not self.server.gives or not plain(position):
            raise Undecidable("no bodies are given out here")
        body = self.server.ask(lambda: desk.body(int(position)))
        if body is None:
            self.answer(HTTPStatus.GONE, NOTE_TYPE, b"this body was forgotten\n")
        else:
            self.answer(HTTPStatus.OK, JSON_TYPE, body, _FRESH)


_STATUS = {Refuted.exit_status: HTTPStatus.UNPROCESSABLE_ENTITY, Misuse.exit_status: HTTPStatus.BAD_REQUEST,
           Undecidable.exit_status: HTTPStatus.CONFLICT, OutsideFailed.exit_status: HTTPStatus.INTERNAL_SERVER_ERROR}


class TileServer(LoopbackServer):
    """Serves a log's tiles on 127.0.0.1. desk: opens what bodies and claims go through, in the thread that keeps it.

    gives: whether bodies are given out. takes: whether claims are taken in.
    """

    def __init__(self, tiles: Tiles, port: int = 0, *, desk: Callable[[], Desk] | None = None, gives: bool = False,
                 takes: bool = False) -> None:
        self.tiles, self.gives, self.takes = tiles, gives, takes
        self._worker = ThreadPoolExecutor(1, "desk")
        self.desk = None if desk is None else self._worker.submit(desk).result()
        super().__init__(_TileHandler, port)

    def ask(self, act: Callable[[], T]) -> T:
        """What ``act`` gives, done by the one thread that the desk belongs to."""
        return self._worker.submit(act).result()

    def close(self) -> None:
        """Stop; what is being taken in is taken in whole or not at all."""
        super().close()
        self._worker.shutdown(wait=True, cancel_futures=True)


class _WitnessHandler(LoopbackHandler):
    server: WitnessServer

    def do_POST(self) -> None:
        """Cosign a checkpoint."""
        refused = self.stranger() or self.unreadable(MAX_BODY)
        if refused is None and self.path != "/add-checkpoint":
            refused = HTTPStatus.NOT_FOUND, "a witness answers to add-checkpoint"
        if refused is not None:
            self.refuse(*refused)
            return
        body = self.body()
        if body is None:
            return
        try:
            self.answer(HTTPStatus.OK, NOTE_TYPE, self.server.witness.add_checkpoint(body))
        except Conflict as error:
            if error.size is None:
                self.answer(HTTPStatus.CONFLICT, NOTE_TYPE, error.message.encode() + b"\n")
            else:
                self.answer(HTTPStatus.CONFLICT, SIZE_TYPE, b"%d\n" % error.size)
        except TrothError as error:
            status = next(status for kind, status in _WITNESS_STATUS if isinstance(error, kind))
            self.answer(status, NOTE_TYPE, error.message.encode() + b"\n")

    def do_GET(self) -> None:
        """What the witness saw last of a log, for monitors: ``/<SHA-256 of the origin, hex>/checkpoint``."""
        if (refused := self.stranger()) is not None:
            self.refuse(*refused)
            return
        name, _, rest = self.path.removeprefix("/").partition("/")
        try:
            note = self.server.witness.seen_by_id(name) if rest == "checkpoint" else None
        except TrothError as error:
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, NOTE_TYPE, error.message.encode() + b"\n")
            return
        if note is None:
            self.answer(HTTPStatus.NOT_FOUND, NOTE_TYPE, b"there is nothing here\n")
        else:
            self.answer(HTTPStatus.OK, NOTE_TYPE, note, _FRESH)

    do_HEAD = do_GET

    def _refuse_method(self) -> None:
        self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD and POST")

    do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _refuse_method


_WITNESS_STATUS: tuple[tuple[type[TrothError], HTTPStatus], ...] = (
    (NotSigned, HTTPStatus.FORBIDDEN), (Refuted, HTTPStatus.UNPROCESSABLE_ENTITY), (BadInput, HTTPStatus.BAD_REQUEST),
    (Undecidable, HTTPStatus.NOT_FOUND), (TrothError, HTTPStatus.INTERNAL_SERVER_ERROR))
"""In this order: the first that fits."""


class WitnessServer(LoopbackServer):
    """Serves a witness on 127.0.0.1."""

    def __init__(self, witness: Witness, port: int = 0) -> None:
        self.witness = witness
        super().__init__(_WitnessHandler, port)
