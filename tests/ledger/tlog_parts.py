"""What the tests of the tile log in full share: logs as mere tiles on disk, logs that fork, places that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from log_parts import LOG_SIGNER

from troth.core import merkle
from troth.ledger.checkpoints import Checkpoint, NoteSigner
from troth.ledger.tiles import Edge, Tiles

KEY = LOG_SIGNER.verifier
Raw = Callable[[socket.socket], None]


class MemoryTiles(Tiles):
    """A tile log in memory that grows by its entries; every tile of every size it was published at stays."""

    def __init__(self, signer: NoteSigner = LOG_SIGNER) -> None:
        super().__init__()
        self.signer, self.files, self._edge = signer, dict[str, bytes](), Edge()
        self.data = list[bytes]()
        self.publish()

    def grow(self, entries: Sequence[bytes]) -> MemoryTiles:
        self._edge, files = self._edge.grow(entries)
        self.files.update(files)
        self.data += entries
        self.publish()
        return self

    def publish(self) -> None:
        self.files["checkpoint"] = Checkpoint(self.signer.verifier.name, self._edge.size, self._edge.root()).sign(
            self.signer)

    def fetch(self, path: str) -> bytes | None:
        return self.files.get(path)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint.open(self.note(), self.signer.verifier)

    def write(self, directory: Path) -> Path:
        for path, data in self.files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(data)
        return directory


def entries(start: int, stop: int, story: str = "") -> list[bytes]:
    return [f"entry {n} {story}".encode() for n in range(start, stop)]


def log_of(size: int, story: str = "", *, same: int = 0) -> MemoryTiles:
    """A log of ``size`` entries: the first ``same`` of the plain story, the rest of another one."""
    return MemoryTiles().grow(entries(0, min(same, size))).grow(entries(min(same, size), size, story))


def reference_root(data: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not data:
        return merkle.EMPTY_ROOT
    if len(data) == 1:
        return merkle.leaf_hash(data[0])
    k = 1
    while k * 2 < len(data):
        k *= 2
    return merkle.node_hash(reference_root(data[:k]), reference_root(data[k:]))


def reference_path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1."""
    if len(data) == 1:
        return []
    k = 1
    while k * 2 < len(data):
        k *= 2
    if m < k:
        return [*reference_path(m, data[:k]), reference_root(data[k:])]
    return [*reference_path(m - k, data[k:]), reference_root(data[:k])]


def reference_proof(m: int, data: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962, section 2.1.2: SUBPROOF(m, D[n], whole)."""
    if m == len(data):
        return [] if whole else [reference_root(data)]
    k = 1
    while k * 2 < len(data):
        k *= 2
    if m <= k:
        return [*reference_proof(m, data[:k], whole), reference_root(data[k:])]
    return [*reference_proof(m - k, data[k:], False), reference_root(data[:k])]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Place

    def do_GET(self) -> None:
        path = self.path.removeprefix("/log/")
        self.server.asked.append(path)
        how = self.server.spoilt.get(path, self.server.spoilt.get("*"))
        if callable(how):
            self.close_connection = True
            try:
                how(self.connection)
            except OSError:
                return
            return
        data = how if how is not None else self.server.tiles.fetch(path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, kind, data = self.server.says
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Silence."""


class Place(ThreadingHTTPServer):
    """A web server for tiles that does what it is told: ``spoilt[path]`` are other bytes, or a raw answer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tiles: Tiles) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tiles, self.spoilt, self.asked = tiles, dict[str, bytes | Raw](), list[str]()
        self.says = (500, "text/plain", b"")
        self.url = f"http://127.0.0.1:{self.server_address[1]}/log"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def raw(data: bytes) -> Raw:
    return lambda line: line.sendall(data)
