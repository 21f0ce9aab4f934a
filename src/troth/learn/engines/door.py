"""Doors: sockets of this machine through which a carrier's processes reach the ones that hold keys.

What carries calls (Flower's processes, say) often runs code that came with the call. It gets no key and no workspace:
it knocks at a door, a Unix socket that only its owner may open, hands in the call and gets the answer. What the
answering process does with a call, it does for a call that it checks itself.

On the wire: how many parts (4 bytes), then each part's length (8 bytes) and bytes; numbers big-endian.
"""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from troth.core.closing import Closing
from troth.core.errors import BadInput, Misuse, OutsideFailed
from troth.learn.engines import MAX_ANSWER, MAX_CALL, Answer, Tell

MAX_PATH = 100
"""Bytes of a Unix socket's path: the system takes 108 with the zero."""
_CHUNK = 1 << 20
_IDLE = 60.0
"""Seconds that a connection may be silent in the middle of a call or an answer."""
_LOOK = 0.1
_ANSWERED, _FAILED = b"\1", b"\0"


def door_of(folder: Path, site: str) -> Path:
    """Where the door of a site lies in a folder of doors. Raises BadInput where that is too long for a socket."""
    return checked_path(folder / f"{hashlib.sha256(site.encode()).hexdigest()[:16]}.door")


def checked_path(path: Path) -> Path:
    """A path that a socket can have. Raises BadInput for a longer one."""
    if len(os.fsencode(path)) > MAX_PATH:
        raise BadInput("this path is too long for a socket", expected=f"at most {MAX_PATH} bytes", actual=path,
                       do="Use a folder nearer to the root, such as one in /run/user or /tmp.")
    return path


def send_parts(link: socket.socket, parts: Sequence[bytes]) -> None:
    """Write parts. Raises OSError where the other side is gone."""
    link.sendall(struct.pack(">I", len(parts)))
    for part in parts:
        link.sendall(struct.pack(">Q", len(part)))
        if part:  # whoever has read all may have answered and hung up: nothing is sent after that
            link.sendall(part)


def receive_parts(link: socket.socket, most: int, longest: int) -> list[bytes] | None:
    """Read at most ``most`` parts of at most ``longest`` bytes; None where the other side hung up before the first.

    Raises BadInput for more, or for an end in the middle; OSError where the connection fails.
    """
    head = link.recv(1)
    if not head:
        return None
    (count,) = struct.unpack(">I", head + _exactly(link, 3))
    if count > most:
        raise BadInput("too many parts", expected=f"at most {most}", actual=count)
    parts = []
    for _ in range(count):
        (length,) = struct.unpack(">Q", _exactly(link, 8))
        if length > longest:
            raise BadInput("too long a part", expected=f"at most {longest} bytes", actual=length)
        parts.append(_exactly(link, length))
    return parts


def _exactly(link: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        read = link.recv(min(_CHUNK, length - len(data)))
        if not read:
            raise BadInput("the other side hung up in the middle", expected=f"{length} bytes", actual=len(data))
        data += read
    return bytes(data)


def listening(path: Path, backlog: int = 8) -> socket.socket:
    """A socket that listens at ``path``, for its owner alone. A dead one's file is taken away.

    Raises Misuse where somebody listens there already, OutsideFailed where the disk refuses.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        checked_path(path)
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(str(path))
                except OSError:
                    path.unlink(missing_ok=True)
                else:
                    raise Misuse("somebody listens at this door already", actual=path)
        link.bind(str(path))  # until it listens nobody can connect, whatever the file's mode is
        path.chmod(0o600)
        link.listen(backlog)
    except OSError as error:
        link.close()
        raise OutsideFailed(f"cannot listen at {path}", actual=error.strerror) from None
    except (Misuse, BadInput):
        link.close()
        raise
    return link


class Door(Closing):
    """Lets calls in at ``path`` from when it is made until it is closed; they are answered one at a time, in order.

    Only this user's processes may knock (mode 0600). tell: told why a call was not answered. apart: answer in a thread
    of the door's own; without it calls wait until ``serve`` answers them in its caller's thread, which is what a
    workspace needs, since its files are opened for one thread.
    """

    def __init__(self, path: Path, answer: Answer, tell: Tell | None = None, *, apart: bool = True) -> None:
        self.path = path
        self._answer, self._tell = answer, tell or (lambda site, why: None)
        self._calls: queue.SimpleQueue[tuple[bytes, queue.SimpleQueue[tuple[bytes, bytes]]]] = queue.SimpleQueue()
        self._listening = listening(path)
        self._closed = threading.Event()
        threading.Thread(target=self._let_in, name="door", daemon=True).start()
        if apart:
            threading.Thread(target=self.serve, args=(self._closed.is_set,), name="answers", daemon=True).start()

    def close(self) -> None:
        """Nobody is let in any more. A call that is being answered is answered."""
        if not self._closed.is_set():
            self._closed.set()
            self.path.unlink(missing_ok=True)
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()

    def serve(self, stop: Callable[[], bool]) -> None:
        """Answer what comes, in this thread, until ``stop`` says so or the door is closed."""
        while not (stop() or self._closed.is_set()):
            try:
                call, back = self._calls.get(timeout=_LOOK)
            except queue.Empty:
                continue
            back.put(self._say(call))

    def _let_in(self) -> None:
        while not self._closed.is_set():
            try:
                link, _ = self._listening.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._one, args=(link,), name="visitor", daemon=True).start()

    def _one(self, link: socket.socket) -> None:
        with link:
            try:
                link.settimeout(_IDLE)
                parts = receive_parts(link, 1, MAX_CALL)
                if parts:
                    back: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
                    self._calls.put((parts[0], back))
                    send_parts(link, back.get())
            except (OSError, BadInput) as error:
                self._tell(str(self.path), f"a visitor left or made no sense: {error}")

    def _say(self, call: bytes) -> tuple[bytes, bytes]:
        try:
            return _ANSWERED, bytes(memoryview(self._answer(call)))
        except Exception as error:  # whatever a user's own training code raises: the door stays, the caller hears
            self._tell(str(self.path), f"{type(error).__name__}: {error}")
            return _FAILED, b""  # why is the site's business: a carrier is told no more than that


def knock(path: Path, call: bytes, patience: float, most: int = MAX_ANSWER) -> bytes:
    """Hand a call in at a door and wait for the answer.

    Raises OutsideFailed where nobody answers, in time or at all; BadInput for an answer that is none.
    """
    end = time.monotonic() + patience
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.settimeout(_IDLE)
            link.connect(str(checked_path(path)))
            send_parts(link, [call])
            link.settimeout(max(end - time.monotonic(), 0.001))
            parts = receive_parts(link, 2, most)
        except OSError as error:
            raise OutsideFailed(f"nobody answers at {path}", actual=error,
                                do="Start the process of this site: troth join INVITATION --flower NODE.") from None
    if parts is None or len(parts) != 2 or parts[0] != _ANSWERED:
        raise OutsideFailed("the site did not answer this call", actual=path, do="Its own log says why.")
    return parts[1]
