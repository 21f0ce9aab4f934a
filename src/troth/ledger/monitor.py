"""A monitor: it follows a log, keeps a mirror of it, and notices when the log tells others, or later, another story.

Each time it looks:

1. The checkpoint is signed by the log's key.
2. The log's tiles give that checkpoint's root, and the last checkpoint seen is a prefix of it.
3. Every new entry is fetched, checked against the tree, and kept. The mirror is a tile log like any other: it can be
   checked, served, and compared with.
4. Checkpoints that others were shown are compared with the mirror: files, other mirrors, anchors.

A contradiction between two checkpoints that the log signed becomes a fork proof (``troth.ledger.forks``), kept in
``forks/`` beside the mirror. What a monitor cannot do: notice a second view that nobody shows it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from troth.core import merkle
from troth.core.encoding import decode_object
from troth.core.errors import OutsideFailed, Pending, Refuted, Undecidable
from troth.ledger.checkpoints import Checkpoint, Verifier
from troth.ledger.forks import ForkProof, fork_of
from troth.ledger.journal import ENTRY, Entry
from troth.ledger.tiles import ENTRIES, WIDTH, TileFiles, Tiles, tile_path, tile_width, tiles_of
from troth.ledger.views import View
from troth.ledger.webtiles import KeptTiles
from troth.store.files import holding, replacing

Bodies = Callable[[int, bytes], Entry | None]
"""(position, leaf) -> the claim there; None where its body cannot be had."""
WAIT = 10.0


class Forked(Refuted):
    """The log signed two checkpoints that cannot both be true. ``proof`` shows it to anybody; ``path``: its file."""

    def __init__(self, proof: ForkProof, path: Path) -> None:
        older, newer = proof.check()
        super().__init__("the log forked: it signed two checkpoints that cannot both be true",
                         expected=f"root {older.root.hex()} at size {older.size}",
                         actual=f"{proof.prefix.hex()} at that size, by the checkpoint of size {newer.size}",
                         do=f"Do not believe this log. Show others the proof: {path}")
        self.proof, self.path = proof, path


@dataclass(frozen=True, slots=True)
class Mention:
    """An entry that names somebody or something watched for. ``claim``: its id, where it is a claim."""

    position: int
    about: str
    claim: bytes | None
    kind: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look found: the checkpoint, the size before, mentions among the new entries, bodies not to be had."""

    checkpoint: Checkpoint
    before: int
    mentions: tuple[Mention, ...]
    unread: int


class Monitor:
    """Watches the log at ``source`` with key ``key``; its mirror is in ``directory``. One object serves one thread."""

    def __init__(self, directory: Path, source: Tiles, key: Verifier) -> None:
        self.directory, self.key = directory, key
        self._source = source
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutsideFailed(f"cannot keep a mirror in {directory}", actual=error.strerror) from None

    def last(self) -> tuple[bytes, Checkpoint] | None:
        """The newest checkpoint in the mirror, as a note too; None before the first look."""
        try:
            note = (self.directory / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutsideFailed("the mirror's checkpoint cannot be read", actual=error.strerror) from None
        return note, Checkpoint.open(note, self.key)

    def look(self, about: tuple[str, ...] = (), bodies: Bodies | None = None, *, again: bool = False) -> Looked:
        """Steps 1 to 3, and which new entries mention one of ``about``. again: among all entries.

        Raises Forked; Refuted for a log that went back or serves tiles that are not its own; Undecidable,
        OutsideFailed. What was seen before stays seen when it raises.
        """
        with holding(self.directory / "lock", WAIT, "another process is watching into this mirror"):
            note = self._source.note()
            found, last = Checkpoint.open(note, self.key), self.last()
            before = 0 if last is None else last[1].size
            if last is not None:
                self._extends(*last, note, found)
            view = View(KeptTiles(self._source, self.directory), found)
            view.check()
            mentions, unread = list[Mention](), 0
            for position, leaf in self._entries(view, before, again):
                entry = None if bodies is None or len(leaf) != ENTRY or not about else bodies(position, leaf)
                mentions += [_mention(position, leaf, entry, one) for one in about if _names(leaf, entry, one)]
                unread += bool(about) and entry is None and len(leaf) == ENTRY
            os.sync()  # the tiles, before the checkpoint says that they are here
            with replacing(self.directory / "checkpoint") as out:
                out.write(note)
            self._drop_partials(before, found.size)
            return Looked(found, before, tuple(mentions), unread)

    def compare(self, note: bytes, tiles: Tiles | None = None) -> Checkpoint:
        """The checkpoint that somebody else was shown, when it and the mirror can both be true.

        tiles: where the tree of that checkpoint can be had, for one that is larger than the mirror's. Raises Forked;
        Pending for a larger one without tiles: look again when the log shows as much; Undecidable for another's note.
        """
        last = self.last()
        if last is None:
            raise Undecidable("nothing of this log was seen yet", do="Look at it first.")
        mine, theirs = last[1], Checkpoint.open(note, self.key)
        if theirs.size <= mine.size:
            view = View(TileFiles(self.directory), mine)
            prefix, expected = view.root(theirs.size), theirs.root
        else:
            try:
                if tiles is None:
                    raise Undecidable("a note alone has no tiles")
                view = View(tiles, theirs)
                prefix, expected = view.root(mine.size), mine.root
            except Undecidable:
                raise Pending("others were shown more than the log shows here", expected=f"{theirs.size} entries",
                              actual=mine.size,
                              do="Look again; if it stays so, the log hides entries from you.") from None
        if prefix != expected:
            raise self._forked(last[0], note, prefix, view.consistency(min(mine.size, theirs.size)))
        return theirs

    def compare_anchor(self, size: int, root: bytes) -> None:
        """Refuted unless the mirror has this root at this size. Pending for a larger one: look again.

        An anchor is not signed by the log's key, so this gives no fork proof: the chain's receipt is the evidence.
        """
        last = self.last()
        if last is None or size > last[1].size:
            raise Pending("more is anchored than the log shows here", expected=f"{size} entries",
                          actual=0 if last is None else last[1].size)
        found = View(TileFiles(self.directory), last[1]).root(size)
        if found != root:
            raise Refuted("the log is not the one that was anchored", expected=f"root {root.hex()} at size {size}",
                          actual=found.hex(), do="Do not believe this log.")

    def _extends(self, old_note: bytes, old: Checkpoint, note: bytes, new: Checkpoint) -> None:
        """Step 2, from the source alone: what the mirror keeps would hide a tile that changed."""
        if new.size < old.size:
            view = View(TileFiles(self.directory), old)
            prefix = view.root(new.size)
            if prefix != new.root:
                raise self._forked(note, old_note, prefix, view.consistency(new.size))
            raise Refuted("the log went back", expected=f"at least {old.size} entries", actual=new.size,
                          do="An old copy is served, or was restored; it forks when it goes on.")
        if new.size == old.size:
            prefix, path = new.root, list[bytes]()
        else:
            view = View(self._source, new)
            prefix, path = view.root(old.size), view.consistency(old.size)
        if prefix != old.root:
            raise self._forked(old_note, note, prefix, path)
        merkle.verify_consistency(old.size, new.size, old.root, new.root, path)

    def _drop_partials(self, before: int, now: int) -> None:
        """Delete the partial tiles that only the tree of the last look had."""
        for level, index, width in tiles_of(before):
            if width < WIDTH and tile_width(now, level, index) != width:
                for kind in (level, ENTRIES) if level == 0 else (level,):
                    (self.directory / tile_path(kind, index, width)).unlink(missing_ok=True)

    def _forked(self, first: bytes, second: bytes, prefix: bytes, path: list[bytes]) -> Forked:
        proof = fork_of(self.key, first, second, prefix, path)
        data = proof.to_bytes()
        file = self.directory / "forks" / f"{hashlib.sha256(data).hexdigest()[:16]}.json"
        try:
            file.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise OutsideFailed(f"the fork proof cannot be kept in {file.parent}", actual=error.strerror) from None
        with replacing(file) as out:
            out.write(data)
        return Forked(proof, file)

    @staticmethod
    def _entries(view: View, before: int, again: bool) -> Iterator[tuple[int, bytes]]:
        """New entries, and the ones before them where all are asked for."""
        start = 0 if again else before
        for index in range(start // WIDTH, (view.size + WIDTH - 1) // WIDTH):
            for position, leaf in enumerate(view.entries(index), index * WIDTH):
                if position >= start:
                    yield position, leaf


def _names(leaf: bytes, entry: Entry | None, about: str) -> bool:
    """Whether an entry names ``about``: as a claim's id, as any text in a claim, or as bytes of another log's entry."""
    if len(leaf) == ENTRY and leaf[:32].hex() == about:
        return True
    if entry is None or entry.payload is None:
        return len(leaf) != ENTRY and about.encode() in leaf
    return _said(decode_object(entry.payload), about)


def _said(value: object, about: str) -> bool:
    """Whether a text stands anywhere in JSON, as a whole value or as the DID that ``did#key`` begins with."""
    if isinstance(value, str):
        return value == about or value.startswith(f"{about}#")
    if isinstance(value, dict):
        return any(_said(item, about) for item in value.values())
    return isinstance(value, list) and any(_said(item, about) for item in value)


def _mention(position: int, leaf: bytes, entry: Entry | None, about: str) -> Mention:
    kind = issuer = ""
    if entry is not None and entry.payload is not None:
        said = decode_object(entry.payload)
        kind = str(said.get("predicateType", ""))
        predicate = said.get("predicate")
        issuer = str(predicate.get("issuer", "")) if isinstance(predicate, dict) else ""
    return Mention(position, about, leaf[:32] if len(leaf) == ENTRY else None, kind, issuer)
