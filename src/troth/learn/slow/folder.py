"""A worker's folder: every sync with the records that prove it, the newest parameters, and the values themselves.

Values, memory and numbers are written first and the sync's own file last, by rename: a sync is committed when its file
is there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.core.ports import KeyHistory
from troth.learn.slow.outer import Point, Session
from troth.learn.slow.records import Commitment, Signed, place, seal


def history_after(before: bytes, counted: Mapping[str, bytes], left_out: Mapping[str, str]) -> bytes:
    """The next point's history: the old one, whose commitments were counted, who was left out."""
    said = {"counted": {worker: digest.hex() for worker, digest in counted.items()}, "left_out": dict(left_out)}
    return hashlib.sha256(b"troth-slow-1\n" + before + encode(said)).digest()


@dataclass(frozen=True, slots=True)
class Committed:
    """One sync: the point after it, what was left out, and the records: commitments and seals of all counted."""

    before: bytes
    point: Mapping[str, Any]
    attempt: int
    commitments: tuple[Signed, ...]
    left_out: Mapping[str, str]
    seals: tuple[Signed, ...]

    @property
    def counted(self) -> dict[str, bytes]:
        """Whose commitment counts, and its digest."""
        return {one.worker: one.digest for one in self.commitments}

    def check(self, session: Session, keys: KeyHistory) -> None:
        """Raises Refuted, BadInput or Undecidable unless more than half of the workers committed and every one of them
        sealed this very point."""
        counted, sync = self.counted, self.point.get("sync")
        if type(sync) is not int or len(counted) < session.quorum or not set(counted) <= set(session.workers):
            raise Refuted("a sync of too few workers", expected=f"{session.quorum} of the session's", actual=counted)
        if list(counted) != sorted(counted) or [one.worker for one in self.seals] != list(counted):
            raise Refuted("a sync is sealed by those whose values it counts, in order", expected=list(counted),
                          actual=[one.worker for one in self.seals])
        result = hashlib.sha256(encode(dict(self.point))).digest()
        where = place(session.id, self.attempt, sync)
        bases = {Commitment.of(one.record).base for one in self.commitments}
        if len(bases) != 1:
            raise Refuted("commitments from different points", actual=[base.hex() for base in bases])
        for one in self.commitments:
            one.check(keys, one.worker, **where)
        for one in self.seals:
            one.check(keys, one.worker, **where, **seal(counted, self.left_out, result))
        if self.point.get("history") != history_after(self.before, counted, self.left_out).hex():
            raise Refuted("a sync does not follow from the one before it")

    def to_bytes(self) -> bytes:
        """Canonical."""
        return encode({"attempt": self.attempt, "before": self.before.hex(), "left_out": dict(self.left_out),
                       "commitments": [one.json() for one in self.commitments], "point": dict(self.point),
                       "seals": [one.json() for one in self.seals]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises BadInput."""
        attempt, before, left_out, commitments, point, seals = take(
            decode_object(data), attempt=int, before=str, left_out=dict, commitments=list, point=dict, seals=list)
        if any(type(reason) is not str for reason in left_out.values()):
            raise BadInput("a reason is text", actual=left_out)
        return cls(from_hex(before, 32), point, attempt, tuple(map(Signed.read, commitments)), left_out,
                   tuple(map(Signed.read, seals)))


def _write(path: Path, data: bytes) -> None:
    """Durably, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Folder:
    """Where one worker keeps one session. Raises OSError as the disk does."""

    def __init__(self, path: Path, session: Session) -> None:
        self._path, self._session = path, session
        (path / "values").mkdir(parents=True, exist_ok=True)
        said = encode(session.json())
        file = path / "session.json"
        if not file.exists():
            _write(file, said)
        elif file.read_bytes() != said:
            raise BadInput("this folder holds another session", expected=session.id.hex(), actual=str(path),
                           do="Take another folder.")

    def _name(self, sync: int, kind: str) -> Path:
        return self._path / f"{sync:08d}.{kind}"

    def syncs(self) -> tuple[int, ...]:
        """Committed ones, ascending."""
        return tuple(sorted(int(file.stem) for file in self._path.glob("[0-9]" * 8 + ".json")))

    def committed(self, sync: int) -> Committed:
        """One of them. Raises Undecidable where it is not here."""
        try:
            return Committed.from_bytes(self._name(sync, "json").read_bytes())
        except FileNotFoundError:
            raise Undecidable(f"sync {sync} is not in this folder", do="Ask another worker for its folder.") from None

    def point(self, sync: int) -> Point:
        """The point after a sync whose numbers are still here. Raises Undecidable, Refuted, BadInput."""
        try:
            numbers = self._name(sync, "numbers").read_bytes()
        except FileNotFoundError:
            raise Undecidable(f"the numbers of sync {sync} are not in this folder") from None
        return Point.read(dict(self.committed(sync).point), numbers, self._session)

    def memory(self, sync: int) -> bytes:
        """What the worker's own optimiser remembered after a sync; empty where it took no part."""
        file = self._name(sync, "memory")
        return file.read_bytes() if file.exists() else b""

    def value(self, digest: bytes) -> bytes:
        """One worker's packed difference. Raises Undecidable where it is not here, Refuted where it is another."""
        try:
            data = (self._path / "values" / digest.hex()).read_bytes()
        except FileNotFoundError:
            raise Undecidable(f"values {digest.hex()[:16]}… are not in this folder",
                              do="Ask a worker that was there.") from None
        if hashlib.sha256(data).digest() != digest:
            raise Refuted("values were changed on disk", expected=digest.hex())
        return data

    def prepare(self, sync: int, values: Mapping[bytes, bytes], memory: bytes) -> None:
        """Before a sync is sealed: the values, by digest, and what the own optimiser remembers after its steps."""
        for digest, data in values.items():
            _write(self._path / "values" / digest.hex(), data)
        _write(self._name(sync, "memory"), memory)

    def keep(self, done: Committed, point: Point) -> None:
        """Commit a sync."""
        _write(self._name(point.sync, "numbers"), point.numbers())
        _write(self._name(point.sync, "json"), done.to_bytes())
        for file in (*self._path.glob("*.numbers"), *self._path.glob("*.memory")):  # the last two are enough
            if int(file.stem) < point.sync - 1:
                file.unlink()
