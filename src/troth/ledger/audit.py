"""Checking a whole log from disk, in one pass and flat memory.

1. The checkpoint is signed by the log's key and names its origin.
2. Every leaf's data hashes to the tree: every tile and entry bundle is exactly what the leaves give.
3. The root of that tree is the checkpoint's.

That is all a bare tile log (C2SP tlog-tiles, no journal) offers. With the journal, also:

4. Every checkpoint that was ever signed is the root of the claims before it: the log only grew.
5. Every body gives its leaf: the payload gives the id, signatures or batch membership give the seal.
6. Every statement is canonical; every member is in its batch and has its issuer.
7. The caller's ``check`` of each signed claim (signatures, say) passes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256 as _sha256
from pathlib import Path

from troth.core import merkle
from troth.core.claims import BATCH, PAYLOAD_TYPE, Batch, Envelope, Membership, Statement, fields_of, pae
from troth.core.errors import BadInput, OutsideFailed, Refuted
from troth.ledger import journal
from troth.ledger.batches import Member, check_member
from troth.ledger.checkpoints import Checkpoint, Verifier
from troth.ledger.journal import COMMIT, ENTRY, FORGOTTEN, MEMBER, Entry
from troth.ledger.tiles import ENTRIES, WIDTH, TileFiles, Tiles, bundle, subtree, tile_path, tile_width

Check = Callable[[int, Envelope, Statement], None]
_CHUNK = 1024
_MEMBER = b"troth/member/v1\n"
_DSSE = pae(PAYLOAD_TYPE, b"")[:-2]  # all of it before the payload's length


@dataclass(frozen=True, slots=True)
class Audit:
    """What a whole-log check found: the checkpoint, how many leaves it checked to which depth.

    ``claims``: leaves in all. ``signed``, ``members``: bodies checked. ``forgotten``: bodies deleted. ``orphans``:
    members whose batch's claim was forgotten, so that nobody's signature for them can be shown.
    """

    checkpoint: Checkpoint
    claims: int
    signed: int = 0
    members: int = 0
    forgotten: int = 0
    orphans: int = 0


class Tree:
    """A tree grown leaf by leaf that compares each tile it completes with the one on disk. O(log n) memory."""

    def __init__(self, files: Tiles | None = None) -> None:
        self.size = 0
        self._peaks: list[bytes | None] = []  # the complete subtree of 2**i leaves at the right edge, if there is one
        self._rows: list[list[bytes]] = [[]]
        self._bundle: list[bytes] = []
        self._files = files

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf *hashes*."""
        at, end = 0, len(leaves)
        while at < end:
            aligned = self.size % WIDTH == 0 and end - at >= WIDTH
            step = WIDTH if aligned else min(end - at, WIDTH - self.size % WIDTH)
            part = leaves[at:at + step]
            if self._files is not None:
                self._rows[0] += part
            if aligned:
                self._push(8, subtree(part))
            else:
                for leaf in part:
                    self._push(0, leaf)
            self.size += step
            if self._files is not None and self.size % WIDTH == 0:
                self._compare(0)
            at += step

    def entries(self, entries: Sequence[bytes]) -> None:
        """Add leaves by their data, comparing entry bundles too."""
        if self._files is None:
            raise BadInput("a tree without files compares no bundles")
        at = 0
        while at < len(entries):
            step = WIDTH - len(self._bundle)
            self._bundle += entries[at:at + step]
            at += step
            if len(self._bundle) == WIDTH:
                self._same(ENTRIES, (self.size + at) // WIDTH - 1, bundle(self._bundle), WIDTH)
                self._bundle = []
        self.extend([_sha256(b"\x00" + entry).digest() for entry in entries])

    def compare_edge(self, final: int) -> None:
        """Compare the partial tiles of the right edge that are not full in the log of ``final`` leaves."""
        for level, row in enumerate(self._rows):
            index = self.size >> 8 * (level + 1)
            if row and tile_width(final, level, index) < WIDTH:
                self._same(level, index, b"".join(row), len(row))
        if self._bundle and tile_width(final, 0, self.size // WIDTH) < WIDTH:
            self._same(ENTRIES, self.size // WIDTH, bundle(self._bundle), len(self._bundle))

    def root(self) -> bytes:
        """The root now."""
        found: bytes | None = None
        for peak in self._peaks:
            if peak is not None:
                found = peak if found is None else _sha256(b"\x01" + peak + found).digest()
        return merkle.EMPTY_ROOT if found is None else found

    def _push(self, level: int, node: bytes) -> None:
        peaks = self._peaks
        while len(peaks) <= level:
            peaks.append(None)
        if level == 8:
            self._above(level, node)
        while (left := peaks[level]) is not None:
            peaks[level] = None
            node = _sha256(b"\x01" + left + node).digest()
            level += 1
            if level % 8 == 0:
                self._above(level, node)
            if level == len(peaks):
                peaks.append(None)
        peaks[level] = node

    def _above(self, level: int, node: bytes) -> None:
        """A full tile's root goes into the tile above."""
        if self._files is not None:
            if len(self._rows) <= level // 8:
                self._rows.append([])
            self._rows[level // 8].append(node)

    def _compare(self, level: int) -> None:
        """Compare the tiles that are full now, lowest first."""
        while level < len(self._rows) and len(self._rows[level]) == WIDTH:
            full = self._rows[level]
            self._rows[level] = []
            self._same(level, (self.size >> 8 * (level + 1)) - 1, b"".join(full), WIDTH)
            level += 1

    def _same(self, level: int | str, index: int, expected: bytes, width: int) -> None:
        found = self._files.read(level, index, width) if self._files is not None else expected
        if found != expected:
            raise Refuted(f"{tile_path(level, index, width)} is not what the log's leaves give",
                          expected=f"SHA-256 {_sha256(expected).hexdigest()}", actual=_sha256(found).hexdigest(),
                          do="Restore it, or rebuild the tiles from the journal.")


class _Run:
    """The members of one whole batch as they pass: the tree over their ids, and how many are still to come."""

    def __init__(self, position: int, claim: bytes, batch: Batch) -> None:
        self.head = position.to_bytes(8, "big")
        self.seal = _MEMBER + claim
        self.batch = batch
        self.tree = Tree()


class _Pass:
    """One pass over a journal's records."""

    def __init__(self, files: TileFiles, key: Verifier, size: int, check: Check | None) -> None:
        self.tree = Tree(files)
        self.signed = self.members = self.forgotten = self.orphans = 0
        self._files, self._key, self._size, self._check = files, key, size, check
        self._entries: list[bytes] = []
        self._ids: list[bytes] = []  # of members since the last flush
        self._passing: list[bytes] = []  # records of the passing batch's members that are still to be checked
        self._batches: dict[bytes, Envelope | None] = {}  # by id; None where the claim was forgotten
        self._run: _Run | None = None

    def run(self, records: Iterator[tuple[bytes, int, bytes]]) -> None:
        """Check records until the commit at the checkpoint's size."""
        for kind, offset, data in records:
            if kind == MEMBER and self._run is not None:
                self._passing.append(data)
                if len(self._passing) >= _CHUNK:
                    self._members(self._run)
                    self._flush()
                continue
            if self._run is not None:
                self._members(self._run)
            if kind == COMMIT:
                self._commit(data)
                if self.tree.size >= self._size:
                    return
            else:
                self._other(kind, offset, data)
            if len(self._entries) >= _CHUNK:
                self._flush()
        raise Refuted("the journal ends before the checkpoint", expected=f"{self._size} claims", actual=self.tree.size,
                      do="Restore the log's directory.")

    def _members(self, run: _Run) -> None:
        """The records that have come of members of the whole batch that is passing, together: it is faster."""
        records, self._passing = self._passing, []
        index, sha, dsse, head = run.tree.size + len(self._ids), _sha256, _DSSE, run.head
        payloads = [data[ENTRY + 8:] for data in records]
        ids = [sha(b"%b%d %b" % (dsse, len(payload), payload)).digest() for payload in payloads]
        seals = [sha(b"%b%d" % (run.seal, at)).digest() for at in range(index, index + len(ids))]
        right = [claim + seal + head for claim, seal in zip(ids, seals, strict=True)]
        if [data[:ENTRY + 8] for data in records] != right or index + len(ids) > run.batch.size:
            bad = next((at for at, data in enumerate(records) if data[:ENTRY + 8] != right[at]), run.batch.size - index)
            raise self._wrong("the member does not give its leaf", bad)
        issuer = run.batch.issuer
        for at, payload in enumerate(payloads):
            said = fields_of(payload)
            if said[2] != issuer or said[0] == BATCH:
                raise self._wrong("the member is not its batch's to sign", at)
        self._entries += [data[:ENTRY] for data in records]
        self._ids += ids
        self.members += len(ids)

    def _other(self, kind: bytes, offset: int, data: bytes) -> None:
        """A signed claim, a loose member, a forgotten body, or a member out of place."""
        position = self.tree.size + len(self._entries)
        entry = journal.entry_of(journal.Record(kind, offset, data), position, self._batch_at)
        journal.check_body(entry)
        if kind == FORGOTTEN:
            self._forgotten(entry, data)
        elif kind == MEMBER:
            self._end_run()
            self._stray(entry)
        else:
            self._end_run()
            if entry.batch is None:
                self._claim(entry)
            else:
                self._loose(entry)
        self._entries.append(data[:ENTRY])

    def _claim(self, entry: Entry) -> None:
        envelope = entry.envelope()
        statement = envelope.statement()
        if self._check is not None:
            self._check(entry.position, envelope, statement)
        self.signed += 1
        if statement.kind == BATCH:
            self._batches[entry.id] = envelope
            self._run = _Run(entry.position, entry.id, Batch.of(statement))

    def _loose(self, entry: Entry) -> None:
        envelope = self._batches.get(entry.batch or b"")
        if envelope is not None and entry.payload is not None:
            place = Membership(entry.batch or b"", entry.index or 0, entry.path or ())
            check_member(envelope, Member(entry.payload, place))
            self.members += 1
        elif entry.batch in self._batches:
            self.orphans += 1
        else:
            raise self._wrong("the member's batch is not in the log before it")

    def _forgotten(self, entry: Entry, data: bytes) -> None:
        if data.count(0, ENTRY) != len(data) - ENTRY:
            raise Refuted(f"the body at position {entry.position} was forgotten only half", do="Forget it again.")
        self.forgotten += 1
        run = self._run
        if run is not None and entry.seal == _sha256(b"%b%d" % (run.seal, run.tree.size + len(self._ids))).digest():
            self._ids.append(entry.id)
        else:
            self._end_run()
            self._batches[entry.id] = None

    def _stray(self, entry: Entry) -> None:
        """A member of a whole batch that is not passing: only where the batch's claim was forgotten."""
        if self._batches.get(entry.batch or b"", self) is not None:
            raise self._wrong("the member stands apart from its batch")
        self.orphans += 1

    def _commit(self, data: bytes) -> None:
        """A checkpoint signed in the past: the claims before it, and no others."""
        self._end_run()
        self._flush()
        before = Checkpoint.open(data, self._key)
        if (before.size, before.root) != (self.tree.size, self.tree.root()):
            raise Refuted("a checkpoint in the journal signs another tree", expected=f"size {self.tree.size}",
                          actual=f"size {before.size}", do="Restore the log's directory.")
        self.tree.compare_edge(self._size)

    def _end_run(self) -> None:
        """The batch that was passing is over: nobody or all of its members must have passed."""
        run = self._run
        if run is not None:
            self._flush()
            if run.tree.size and (run.tree.size, run.tree.root()) != (run.batch.size, run.batch.root):
                raise self._wrong("the batch's members are not those its claim names")
            self._run = None

    def _flush(self) -> None:
        """Hand what has been collected to the trees."""
        self.tree.entries(self._entries)
        self._entries = []
        if self._run is not None:
            self._run.tree.extend([_sha256(b"\x00" + claim).digest() for claim in self._ids])
        self._ids = []

    def _batch_at(self, position: int) -> bytes:
        """Id of the claim at an earlier position."""
        here = position - self.tree.size
        if 0 <= here < len(self._entries):
            return self._entries[here][:32]
        if not 0 <= position < self.tree.size:
            raise self._wrong("the member names a batch after it")
        index, place = divmod(position, WIDTH)
        return self._files.entries(index, tile_width(self._size, 0, index))[place][:32]

    def _wrong(self, what: str, after: int = 0) -> Refuted:
        position = self.tree.size + len(self._entries) + after
        return Refuted(f"position {position}: {what}", do="Restore the log's directory.")


def check_tiles(tiles: Tiles, key: Verifier, note: bytes | None = None) -> Audit:
    """Steps 1 to 3 for a bare tile log, at its ``checkpoint`` or at the signed ``note`` given.

    Raises Refuted, Undecidable (a tile or the key's signature is missing), BadInput, OutsideFailed.
    """
    checkpoint = Checkpoint.open(tiles.note() if note is None else note, key)
    tree, size = Tree(tiles), checkpoint.size
    for index in range((size + WIDTH - 1) // WIDTH):
        tree.entries(tiles.entries(index, tile_width(size, 0, index)))
    tree.compare_edge(size)
    _same_root(checkpoint, tree)
    return Audit(checkpoint, size)


def check_log(directory: Path, key: Verifier, check: Check | None = None) -> Audit:
    """All steps for a log with its journal, at its ``checkpoint``; later claims, if any, are left out.

    Raises Refuted (naming the position), Undecidable, BadInput, OutsideFailed, and what ``check`` raises.
    """
    files = TileFiles(directory)
    checkpoint = Checkpoint.open(files.note(), key)
    pass_ = _Pass(files, key, checkpoint.size, check)
    try:
        with open(directory / "journal", "rb", buffering=0) as file:
            if file.read(len(journal.MAGIC)) != journal.MAGIC:
                raise Refuted("this is not a log's journal", actual=directory)
            pass_.run(journal.scan_raw(file, len(journal.MAGIC), os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise OutsideFailed("the journal cannot be read", actual=error) from None
    _same_root(checkpoint, pass_.tree)
    return Audit(checkpoint, pass_.tree.size, pass_.signed, pass_.members, pass_.forgotten, pass_.orphans)


def _same_root(checkpoint: Checkpoint, tree: Tree) -> None:
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise Refuted("the log is not what its checkpoint signs", expected=f"{checkpoint.size} {checkpoint.root.hex()}",
                      actual=f"{tree.size} {tree.root().hex()}", do="Restore the log's directory.")
