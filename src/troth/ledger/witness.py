"""A witness: it cosigns checkpoints of logs it knows, and never two views of one (C2SP tlog-witness, add-checkpoint).

For each origin it keeps the newest checkpoint that it cosigned. The next one must extend that, by a consistency proof.
Comparing and keeping happen under one lock, and what is kept is on the disk before a signature leaves. So a witness
that is killed, or asked by many at once, has still signed one history.

What a cosignature says: at this time, this was the largest tree of this log that the witness had seen, and it extends
all that it had seen before. It says nothing about what is in the log.

A folder holds::

    keys.json       the signing seed, encrypted (the caller's)
    logs            the keys of the logs it knows, a vkey a line
    seen/<id>       the newest cosigned checkpoint of a log; id: SHA-256 of its origin
    forks/<id>      proofs of forks that were shown to it
    lock            held while one request is decided
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from troth.core import merkle
from troth.core.claims import from_base64
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.ledger.checkpoints import (
    LOG_KEY,
    MAX_NOTE,
    WITNESS_KEY_ML_DSA,
    WITNESS_KEYS,
    Checkpoint,
    Note,
    NoteSigner,
    Verifier,
)
from troth.ledger.forks import fork_of
from troth.ledger.logproofs import plain
from troth.store.files import holding, replacing

MAX_PROOF = 63
MAX_BODY = MAX_NOTE + 64 * 48
WAIT = 10.0
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to cosign: the size of the witness's last checkpoint, the proof from it, the signed note."""

    old: int
    path: tuple[bytes, ...]
    note: bytes

    def to_bytes(self) -> bytes:
        """The body of ``add-checkpoint``."""
        hashes = b"".join(base64.b64encode(item) + b"\n" for item in self.path)
        return b"old %d\n%b\n%b" % (self.old, hashes, self.note)

    @classmethod
    def from_bytes(cls, data: bytes) -> Asked:
        """Read a body strictly. Raises BadInput."""
        if len(data) > MAX_BODY:
            raise BadInput("request too long", expected=f"at most {MAX_BODY} bytes", actual=len(data))
        head, gap, note = data.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            first, lines = "", []
        size = first.removeprefix("old ")
        path = tuple(map(from_base64, lines))
        if not gap or first != f"old {size}" or not plain(size) or len(path) > MAX_PROOF or {*map(len, path)} - {32}:
            raise BadInput("not a request to cosign", expected=f"old size, at most {MAX_PROOF} hashes, a checkpoint",
                           actual=first[:40])
        Note.from_bytes(note)
        return cls(int(size), path, note)


class Conflict(Refuted):
    """The witness cosigned another size than the request starts from, or another tree of this size.

    ``size``: the newest size it cosigned; None where the two trees contradict each other.
    """

    def __init__(self, message: str, size: int | None, *, expected: object, actual: object, do: str) -> None:
        super().__init__(message, expected=expected, actual=actual, do=do)
        self.size = size


class NotSigned(Refuted):
    """The log is known, and the checkpoint carries no signature of its key that verifies."""


class Witness:
    """Cosigns with ``signer`` (Ed25519 or ML-DSA-44) and keeps what it must remember in ``directory``.

    Safe for threads and processes. ``clock()``: Unix seconds.
    """

    def __init__(self, directory: Path, signer: NoteSigner, clock: Callable[[], int]) -> None:
        if signer.verifier.kind not in WITNESS_KEYS:
            raise Misuse("a witness signs with a key of type 4 or 6", actual=signer.verifier.kind)
        self.directory, self._signer, self._clock = directory, signer, clock

    @property
    def key(self) -> Verifier:
        """What those who believe this witness pin."""
        return self._signer.verifier

    def add_checkpoint(self, body: bytes) -> bytes:
        """The cosignature line for a request's body, after every check, in the specification's order.

        Raises BadInput (400), Undecidable for a log it does not know (404), NotSigned (403), Conflict (409), Refuted
        for a proof that does not hold (422), OutsideFailed. A refused request changes nothing but ``forks``.
        """
        asked = Asked.from_bytes(body)
        note = Note.from_bytes(asked.note)
        found = Checkpoint.from_text(note.text)
        key = logs_of(self.directory).get(found.origin)
        if key is None:
            raise Undecidable("this witness does not know the log", actual=found.origin,
                              do="Have its keeper add the log's key.")
        try:
            Checkpoint.open(asked.note, key)
        except (Refuted, Undecidable) as error:
            raise NotSigned(error.message, expected=error.expected, actual=error.actual) from None
        if asked.old > found.size:
            raise BadInput("the old size is larger than the checkpoint's", expected=f"at most {found.size}",
                           actual=asked.old)
        with holding(self.directory / "lock", WAIT, "the witness is busy"):
            seen = self.seen(key)
            self._extends(key, asked, found, seen)
            if found.extensions and self.key.kind == WITNESS_KEY_ML_DSA:
                raise BadInput("an ML-DSA-44 cosignature does not cover extension lines", actual=found.extensions[0],
                               do="Ask a witness that signs with Ed25519.")
            kept = Note(note.text, tuple(one for one in note.signatures if (one.name, one.key_id) == (
                key.name, key.key_id))).to_bytes()
            self._keep("seen", key.name, kept)  # on the disk before a signature leaves
            return self._signer.sign(note.text, self._clock()).line().encode()

    def seen(self, key: Verifier) -> Checkpoint:
        """The newest checkpoint of a log that this witness cosigned; the empty tree if none."""
        note = self._seen_note(key)
        return Checkpoint(key.name, 0, merkle.EMPTY_ROOT) if note is None else Checkpoint.open(note, key)

    def seen_by_id(self, name: str) -> bytes | None:
        """The newest checkpoint that this witness cosigned of a log, by the log's id (hex), as the log signed it."""
        return self._read_seen(name) if _ID.fullmatch(name) else None

    def _seen_note(self, key: Verifier) -> bytes | None:
        return self._read_seen(_id(key.name))

    def _read_seen(self, name: str) -> bytes | None:
        try:
            return (self.directory / "seen" / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutsideFailed("the witness's record cannot be read", actual=error.strerror) from None

    def _extends(self, key: Verifier, asked: Asked, found: Checkpoint, seen: Checkpoint) -> None:
        """The lock is held."""
        if asked.old != seen.size:
            raise Conflict("the request starts from another size", seen.size, expected=seen.size, actual=asked.old,
                           do="Ask again from the size this witness has seen.")
        if found.size == seen.size and found.root != seen.root:
            before = self._seen_note(key)
            if before is not None:
                proof = fork_of(key, before, asked.note, found.root, ())
                self._keep("forks", hashlib.sha256(proof.to_bytes()).hexdigest(), proof.to_bytes())
            raise Conflict("the log shows two trees of one size", None, expected=seen.root.hex(),
                           actual=found.root.hex(), do="Do not believe this log: it forked.")
        merkle.verify_consistency(asked.old, found.size, seen.root, found.root, asked.path)

    def _keep(self, folder: str, name: str, data: bytes) -> None:
        try:
            (self.directory / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise OutsideFailed("the witness's record cannot be written", actual=error.strerror) from None
        with replacing(self.directory / folder / (_id(name) if folder == "seen" else name)) as out:
            out.write(data)


def logs_of(directory: Path) -> Mapping[str, Verifier]:
    """The logs that the witness in ``directory`` knows, by origin. Raises BadInput, OutsideFailed."""
    try:
        lines = (directory / "logs").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise OutsideFailed("the witness's list of logs cannot be read", actual=error) from None
    keys = [Verifier.from_vkey(line) for line in lines if line]
    return {key.name: key for key in keys}


def add_log(directory: Path, key: Verifier) -> None:
    """Let the witness in ``directory`` know a log. Raises Misuse for no log's key, and for a second of one origin."""
    if key.kind != LOG_KEY:
        raise Misuse("not a log's key", expected=f"a key of type {LOG_KEY}", actual=key.vkey())
    with holding(directory / "lock", WAIT, "the witness is busy"):
        known = logs_of(directory)
        if known.get(key.name, key) != key:
            raise Misuse("the witness knows this log under another key", expected=known[key.name].vkey(),
                         actual=key.vkey(), do="A log that changes its key begins a new origin.")
        with replacing(directory / "logs") as out:
            out.write("".join(f"{one.vkey()}\n" for one in {**known, key.name: key}.values()).encode())


def _id(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()
