"""A post office: mailboxes over HTTP, for parties that only ever ask outward. The server, and ``PostExchange``.

A party puts a parcel into anybody's mailbox, and asks for its own, waiting a while if it is empty. So two parties that
nobody can reach from outside can still exchange parcels. Everything is HTTP/1.1 ``POST``:

- ``/put/<mailbox>``: the parcel's bytes. 204; 413 too large; 507 the mailbox or the office is full; 400 it was cut, or
  came slower than SLOWEST.
- ``/documents``: an identity's documents, so that its signature can be checked. They vouch for themselves: an office
  only ever learns more of a history, never another one. 204; 422.
- ``/nonce``: 32 bytes that are good for one question, for NONCE_SECONDS.
- ``/ask``: a ``Message`` by the mailbox's owner: what it asks, this office's address, and a nonce, all signed by every
  key that its document names. Answers with the next nonce (32 bytes) and what was asked for; 401 with a nonce where
  this one is spent or too old, or the documents are not known here.

**Only its owner reads and empties a mailbox**: an answered question cannot be asked again by who saw it, nor at another
office. What an office can do: drop, delay, repeat and reorder what passes, add parcels, and see who exchanges
with whom, when, and how much. It reads claims that are not sealed. It never alters a claim unnoticed.

Everything is bounded in bytes: a parcel, a mailbox, all mailboxes, all documents (``Bounds``); parcels pass through
memory in pieces of CHUNK. Who puts is not known, so there is no bound for a sender: anybody who reaches an office can
fill a mailbox up to its bounds. It listens on loopback only, and whoever lets others reach it puts a web server in
front that knows who may (``url`` is then the address that they use).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, BinaryIO

from troth.core.encoding import decode_object, encode, take
from troth.core.errors import BadInput, OutsideFailed, Refuted, TrothError, Undecidable
from troth.core.ports import Signer
from troth.identity.documents import DocumentHistory
from troth.identity.keybook import KeyBook
from troth.identity.messages import Message, documents_from_bytes, documents_to_bytes
from troth.ledger.exchange import MAX_PARCEL, Exchange, box_of, check_size
from troth.ledger.loopback import LoopbackHandler, LoopbackServer
from troth.ledger.wire import Site
from troth.store.files import replacing

PURPOSE = "troth-post-1"
NONCE_SECONDS = 120
NONCE = 32
MAX_ASK = 1 << 16
MAX_DOCUMENTS = 1 << 20
SLOWEST, GRACE = 1 << 14, 60.0
"""Bytes a second that a parcel comes in at least, after so many seconds: what trickles in holds room that others need.
"""
MAX_WAIT = 20
"""Seconds that a question for mail is kept open at most: shorter than what proxies let a connection be silent."""
MAX_SHOWN = 64
"""How many parcels of a mailbox are named at once."""
CHUNK = 1 << 16
BYTES = "application/octet-stream"
_BOX = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{16}")
LIST, GET, DROP = "list", "get", "drop"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an office takes: bytes of a parcel, parcels and bytes in a mailbox, bytes in all, mailboxes; identities, and
    bytes of all their documents. Raises BadInput for a parcel's bound beyond MAX_PARCEL or the mailbox's."""

    parcel: int = MAX_PARCEL
    parcels: int = 10_000
    box: int = 1 << 30
    whole: int = 16 << 30
    boxes: int = 100_000
    identities: int = 100_000
    documents: int = 1 << 30

    def __post_init__(self) -> None:
        if not 1 <= self.parcel <= min(MAX_PARCEL, self.box) or self.box > self.whole:
            raise BadInput("a post office's bounds do not fit each other",
                           expected=f"a parcel of 1 to {MAX_PARCEL} bytes, a mailbox no smaller, the whole neither",
                           actual=f"{self.parcel}, {self.box}, {self.whole}")


class Full(OutsideFailed):
    """The mailbox or the office takes no more."""


class PostOffice:
    """The mailboxes in one folder. Safe for threads; one office a folder. Survives a restart but for its nonces.

    url: the address that parties use, which their questions name.
    """

    def __init__(self, folder: Path, url: str, bounds: Bounds = Bounds()) -> None:
        self.folder, self.url, self.bounds = folder, url.rstrip("/"), bounds
        self._changed = threading.Condition()
        self._secret = secrets.token_bytes(32)
        self._spent: dict[bytes, float] = {}
        try:
            for name in ("boxes", "identities"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            self._sizes = {box.name: {path.name: path.stat().st_size for path in box.iterdir()
                                      if _NAME.fullmatch(path.name)}
                           for box in (folder / "boxes").iterdir() if _BOX.fullmatch(box.name)}
            self._known = {path.name: path.stat().st_size for path in (folder / "identities").iterdir()
                           if _BOX.fullmatch(path.name)}
        except OSError as error:
            raise OutsideFailed(f"the post office's folder {folder} cannot be used", actual=error.strerror) from None
        self._whole = sum(sum(box.values()) for box in self._sizes.values())
        self._coming: dict[str, list[int]] = {}

    # Putting

    def put(self, box: str, size: int, chunks: Iterator[bytes]) -> str:
        """Keep what comes, whole or not at all; its name. Raises Full, BadInput for another size, OutsideFailed."""
        if _BOX.fullmatch(box) is None:
            raise BadInput("not a mailbox", expected="32 hex digits", actual=box[:40])
        place = self.folder / "boxes" / box
        unnamed = place / f"coming-{secrets.token_hex(8)}"
        with self._changed:
            self._hold(box, size)
        name = None
        try:
            place.mkdir(exist_ok=True)
            digest, came = hashlib.sha256(), 0
            with replacing(unnamed, 0o600) as out:
                for chunk in chunks:
                    digest.update(chunk)
                    came += len(chunk)
                    out.write(chunk)
                if came != size:
                    raise BadInput("a parcel that was cut", expected=f"{size} bytes", actual=came)
            with self._changed:
                at = f"{time.time_ns():020d}-{digest.hexdigest()[:16]}"
                os.replace(unnamed, place / at)
                self._release(box, size)
                name = at
                self._sizes.setdefault(box, {})[name] = size
                self._whole += size
                self._changed.notify_all()
        except OSError as error:
            raise OutsideFailed(f"cannot keep a parcel in {place}", actual=error.strerror) from None
        finally:
            if name is None:
                with self._changed:
                    self._release(box, size)
                unnamed.unlink(missing_ok=True)
        return name

    def _hold(self, box: str, size: int) -> None:
        """Hold room for what is coming in. Raises Full."""
        found, coming = self._sizes.get(box, {}), self._coming.get(box, [])
        boxes = self._sizes.keys() | self._coming.keys()
        held = sum(sum(sizes) for sizes in self._coming.values())
        if (len(found) + len(coming) >= self.bounds.parcels
                or sum(found.values()) + sum(coming) + size > self.bounds.box
                or self._whole + held + size > self.bounds.whole
                or (box not in boxes and len(boxes) >= self.bounds.boxes)):
            raise Full("this mailbox takes no more", actual=f"{len(found)} parcels, {sum(found.values())} bytes",
                       do="Its owner has to take in what waits there.")
        self._coming.setdefault(box, []).append(size)

    def _release(self, box: str, size: int) -> None:
        self._coming[box].remove(size)
        if not self._coming[box]:
            del self._coming[box]

    # Asking

    def nonce(self) -> bytes:
        """32 bytes that are good for one question: the time, chance, and a tag by this office's own secret."""
        said = int(time.monotonic()).to_bytes(8, "big") + secrets.token_bytes(8)
        return said + self._tag(said)

    def _tag(self, said: bytes) -> bytes:
        return hmac.digest(self._secret, said, "sha256")[:16]

    def _fresh(self, nonce: bytes) -> bool:
        age = time.monotonic() - int.from_bytes(nonce[:8], "big")
        return (len(nonce) == NONCE and hmac.compare_digest(self._tag(nonce[:16]), nonce[16:])
                and age <= NONCE_SECONDS and nonce not in self._spent)

    def learn(self, data: bytes) -> None:
        """Keep an identity's documents. Raises BadInput, Refuted for another history than is known, Full."""
        found = documents_from_bytes(data)
        with self._changed:
            path = self._documents(found.did)
            known = self._history(found.did)
            if known is None and len(self._known) >= self.bounds.identities:
                raise Full("this office knows as many identities as it may", actual=self.bounds.identities)
            whole = found if known is None else documents_from_bytes(data, known)
            if known is None or len(whole.documents) > len(known.documents):
                kept = documents_to_bytes(whole.documents[0].to_bytes(), whole.rotations)
                held = sum(self._known.values()) - self._known.get(path.name, 0)
                if held + len(kept) > self.bounds.documents:
                    raise Full("this office holds as many bytes of documents as it may", actual=held)
                with replacing(path, 0o600) as out:
                    out.write(kept)
                self._known[path.name] = len(kept)

    def _documents(self, did: str) -> Path:
        return self.folder / "identities" / box_of(did)

    def _history(self, did: str) -> DocumentHistory | None:
        try:
            return documents_from_bytes(self._documents(did).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutsideFailed("an identity's documents cannot be read", actual=error.strerror) from None

    def answer(self, data: bytes) -> bytes | BinaryIO:
        """The answer to a question for one's own mail, without the next nonce: bytes, or a parcel's file to read from.

        Raises Stale where the nonce is spent, too old or not this office's, or the documents are not known, so that it
        may be asked anew; Refuted where it is not the mailbox's owner who asks; BadInput.
        """
        message = Message.from_bytes(data)
        act, address, names, nonce, office, wait = take(
            decode_object(message.body), act=str, address=str, names=list, nonce=str, office=str, wait=int)
        if office != self.url:
            raise Refuted("a question for another office", expected=self.url, actual=office[:200])
        if address.partition("#")[0] != message.sender:
            raise Refuted("a mailbox is read by its owner alone", expected=address[:200], actual=message.sender)
        if act not in (LIST, GET, DROP) or not 0 <= wait <= MAX_WAIT or len(names) > MAX_SHOWN or not all(
                type(name) is str and _NAME.fullmatch(name) for name in names):
            raise BadInput("not a question for mail", expected=f"list, get or drop; at most {MAX_SHOWN} names")
        history = self._history(message.sender)
        try:
            message.check(PURPOSE, KeyBook(() if history is None else [history]))
        except (Undecidable, Refuted) as error:
            raise Stale("this signature is not by keys that are known here", actual=error.message) from None
        spent = bytes.fromhex(nonce) if re.fullmatch(r"[0-9a-f]{64}", nonce) else b""
        with self._changed:
            if not spent or not self._fresh(spent):
                raise Stale("this nonce is good for nothing any more")
            now = time.monotonic()
            self._spent = {one: at for one, at in self._spent.items() if now - at <= NONCE_SECONDS}
            self._spent[spent] = now
        box = box_of(address)
        if act == LIST:
            return encode({"names": self._list(box, wait)})
        if act == GET:
            return self._get(box, names)
        self._drop(box, names)
        return b""

    def _list(self, box: str, wait: int) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._sizes.get(box)), wait)
            return sorted(self._sizes.get(box, {}))[:MAX_SHOWN]

    def _get(self, box: str, names: list[Any]) -> BinaryIO:
        if len(names) != 1 or names[0] not in self._sizes.get(box, {}):
            raise Gone("there is no such parcel")
        try:
            return Path(self.folder / "boxes" / box / str(names[0])).open("rb")
        except FileNotFoundError:
            raise Gone("there is no such parcel") from None
        except OSError as error:
            raise OutsideFailed("a parcel cannot be read", actual=error.strerror) from None

    def _drop(self, box: str, names: list[Any]) -> None:
        with self._changed:
            found = self._sizes.get(box, {})
            for name in names:
                try:
                    (self.folder / "boxes" / box / name).unlink(missing_ok=True)
                except OSError as error:
                    raise OutsideFailed("a parcel cannot be taken away", actual=error.strerror) from None
                self._whole -= found.pop(name, 0)


class Stale(Undecidable):
    """A question that may be asked anew with a fresh nonce, after showing one's documents."""


class Gone(Undecidable):
    """A parcel that is not there any more."""


class _PostHandler(LoopbackHandler):
    server: PostServer

    def do_POST(self) -> None:
        """Put, learn, nonce, ask."""
        office = self.server.office
        box = self.path.removeprefix("/put/") if self.path.startswith("/put/") else None
        most = office.bounds.parcel if box is not None else MAX_DOCUMENTS if self.path == "/documents" else MAX_ASK
        refused = self.stranger() or self.unreadable(most)
        if refused is not None:
            self.refuse(*refused)
            return
        try:
            if box is not None:
                office.put(box, int(self.headers["Content-Length"]), self._chunks())
                self.answer(HTTPStatus.NO_CONTENT, "", b"")
                return
            body = self.body()
            if body is None:
                return
            if self.path == "/documents":
                office.learn(body)
                self.answer(HTTPStatus.NO_CONTENT, "", b"")
            elif self.path == "/nonce":
                self.answer(HTTPStatus.OK, BYTES, office.nonce())
            elif self.path == "/ask":
                found = office.answer(body)
                if isinstance(found, bytes):
                    self.answer(HTTPStatus.OK, BYTES, office.nonce() + found)
                else:
                    self._stream(found)
            else:
                self.answer(HTTPStatus.NOT_FOUND, BYTES, b"")
        except TrothError as error:
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            if box is not None:  # what is left of the body is not read
                self.refuse(status, error.message)
            else:
                self.answer(status, BYTES, office.nonce() if status is HTTPStatus.UNAUTHORIZED
                            else error.message.encode())

    def _stream(self, parcel: BinaryIO) -> None:
        """A parcel behind the next nonce, a piece at a time: many who ask at once must not fill the memory."""
        with parcel:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", BYTES)
            self.send_header("Content-Length", str(NONCE + os.fstat(parcel.fileno()).st_size))
            self.end_headers()
            self.wfile.write(self.server.office.nonce())
            shutil.copyfileobj(parcel, self.wfile, CHUNK)

    def _chunks(self) -> Iterator[bytes]:
        """The body as it comes, until it is whole, or cut, or too slow."""
        left, began = int(self.headers["Content-Length"]), time.monotonic()
        came = 0
        while left:
            chunk = self.rfile.read1(min(left, CHUNK))
            came += len(chunk)
            if not chunk or came < (time.monotonic() - began - GRACE) * SLOWEST:
                self.close_connection = True
                return
            left -= len(chunk)
            yield chunk

    def _refuse_method(self) -> None:
        self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "POST")

    do_GET = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _refuse_method


_STATUS: tuple[tuple[type[TrothError], HTTPStatus], ...] = (
    (Stale, HTTPStatus.UNAUTHORIZED), (Gone, HTTPStatus.GONE), (Full, HTTPStatus.INSUFFICIENT_STORAGE),
    (Refuted, HTTPStatus.FORBIDDEN), (BadInput, HTTPStatus.BAD_REQUEST), (Undecidable, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TrothError, HTTPStatus.INTERNAL_SERVER_ERROR))
"""In this order: the first that fits."""


_WHY: dict[int, tuple[str, str]] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "takes no parcel of this size", "Send less at once, or ask whoever keeps the office for a larger --parcel."),
    HTTPStatus.INSUFFICIENT_STORAGE: (
        "has no room for this", "Its addressee has to take in what waits there: send it again then.")}
"""What a refusal says to whoever asked, and what to do."""


class PostServer(LoopbackServer):
    """Serves a post office on 127.0.0.1. url: the address that parties use, where it is not this one."""

    def __init__(self, folder: Path, port: int = 0, *, url: str = "",
                 bounds: Bounds = Bounds()) -> None:
        self.office = PostOffice(folder, url, bounds)
        super().__init__(_PostHandler, port)
        if not url:
            self.office.url = self.url


class PostExchange(Exchange):
    """Mailboxes at a post office. signer, genesis, rotations: the party whose own mail is asked for.

    Parcels that were refused are taken away: an office sets nothing aside.
    """

    def __init__(self, url: str, signer: Signer, genesis: bytes, rotations: tuple[Any, ...] = ()) -> None:
        self._signer = signer
        self._documents = documents_to_bytes(genesis, rotations)
        self._site = Site(url, private=True, timeout=MAX_WAIT + 40.0)
        self.url = self._site.url
        self._nonce: bytes | None = None

    def put(self, to: str, data: bytes) -> PurePath:
        check_size(len(data))
        box = box_of(to)
        status, _, said = self._site.post(f"put/{box}", data, BYTES, MAX_ASK)
        if status != HTTPStatus.NO_CONTENT:
            raise self._refused(status, said)
        return PurePosixPath(box) / hashlib.sha256(data).hexdigest()[:16]

    def waiting(self, address: str, patience: float = 0.0) -> tuple[PurePath, ...]:
        """The names that the post office lists, oldest first; it is asked to wait, in turns of at most `MAX_WAIT`
        seconds. Raises OutsideFailed.
        """
        until = time.monotonic() + patience
        while True:
            left = max(0, min(MAX_WAIT, round(until - time.monotonic())))
            found = self._ask(LIST, address, (), left)
            (names,) = take(decode_object(found or b""), names=list)
            if not all(type(name) is str and _NAME.fullmatch(name) for name in names):
                raise OutsideFailed(f"{self.url} gives no answer that can be used", expected="names of parcels")
            if names or time.monotonic() + 0.5 >= until:
                return tuple(_place(address, name) for name in names)

    def read(self, place: PurePath) -> bytes | None:
        address, name = _address(place)
        return self._ask(GET, address, (name,))

    def done(self, place: PurePath, *, refused: bool = False) -> None:
        address, name = _address(place)
        with contextlib.suppress(OutsideFailed):
            self._ask(DROP, address, (name,))

    def close(self) -> None:
        self._site.close()

    def _ask(self, act: str, address: str, names: tuple[str, ...], wait: int = 0) -> bytes | None:
        """What the office answers; None for a parcel that is gone. Asked anew once, where it wants to know more."""
        for again in (True, False):
            nonce = self._nonce or self._fresh()
            self._nonce = None
            body = encode({"act": act, "address": address, "names": list(names), "nonce": nonce.hex(),
                           "office": self.url, "wait": wait})
            status, _, said = self._site.post("ask", Message.sign(PURPOSE, body, self._signer).to_bytes(), BYTES,
                                              MAX_PARCEL + NONCE)
            if status == HTTPStatus.OK and len(said) >= NONCE:
                self._nonce = said[:NONCE]
                return said[NONCE:]
            if status == HTTPStatus.GONE:
                return None
            if status != HTTPStatus.UNAUTHORIZED or not again:
                raise self._refused(status, said)
            known, _, why = self._site.post("documents", self._documents, BYTES, MAX_ASK)
            if known != HTTPStatus.NO_CONTENT:
                raise self._refused(known, why)
            self._nonce = said if len(said) == NONCE else None
        raise AssertionError

    def _fresh(self) -> bytes:
        status, _, said = self._site.post("nonce", b"", BYTES, MAX_ASK)
        if status != HTTPStatus.OK or len(said) != NONCE:
            raise self._refused(status, said)
        return said

    def _refused(self, status: int, said: bytes) -> OutsideFailed:
        why, do = _WHY.get(status, ("refuses this", "Is the address the office's own (its --url)? Ask again later."))
        return OutsideFailed(f"the post office at {self.url} {why}", expected="its answer",
                             actual=f"HTTP {status}: {said[:200].decode(errors='replace')!a}", do=do)


def _place(address: str, name: str) -> PurePath:
    return PurePosixPath(address) / name


def _address(place: PurePath) -> tuple[str, str]:
    return str(place.parent), place.name


def is_address(text: str) -> bool:
    """Whether an exchange's setting names a post office, and not a folder."""
    return text.startswith(("http://", "https://"))
