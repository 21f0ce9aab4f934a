"""The log of a workspace: claims in the order they were issued or received, never changed, cheap to prove.

A directory holds::

    journal       the truth: every claim's entry and body, and every checkpoint (see ``troth.ledger.journal``)
    checkpoint    the newest signed checkpoint, renamed into place last
    tile/         hash tiles and entry bundles (C2SP tlog-tiles), derived from the journal
    offsets       where each position's record starts in the journal, 8 bytes each, derived
    index.sqlite  claim id to position, derived
    lock          held while one process writes

A leaf's data is 64 bytes: claim id and seal. Bodies stand beside and can be forgotten; the tree does not change.

An append is acknowledged when its records and the checkpoint over them are on the disk (one write, one fsync of the
journal). Killed before that, the log is as it was; killed after, the next writer finishes the rest. Processes take
turns: an append waits for the lock, then takes in what others appended. Readers need no lock. One ``Log`` object
serves one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256 as _sha256
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from troth.core import merkle
from troth.core.claims import Batch, Envelope, Membership, claim_id, seal_of_member, seal_of_signatures
from troth.core.closing import Closing
from troth.core.errors import BadInput, Misuse, OutsideFailed, Refuted, Undecidable
from troth.ledger import journal
from troth.ledger.audit import Audit, Check, check_log
from troth.ledger.batches import Member, WholeBatch, check_member
from troth.ledger.checkpoints import Checkpoint, Note, NoteSigner, Verifier, witnessed
from troth.ledger.files import LogFiles, disk
from troth.ledger.index import Index
from troth.ledger.journal import Entry
from troth.ledger.recovery import rebuild, recover
from troth.ledger.tiles import Edge

T = TypeVar("T")


class Log(Closing):
    """A log on disk. With a ``NoteSigner`` it can be written, with a ``Verifier`` only read."""

    def __init__(self, directory: Path, key: NoteSigner | Verifier, *, wait: float = 10.0) -> None:
        """Open the log in ``directory``, repairing what a crash left if the key can sign.

        ``wait``: seconds to wait for another writer. Raises Undecidable if there is no log, Refuted if what is there
        is another log or damaged, OutsideFailed if the disk fails or another process keeps writing.
        """
        self._signer = key if isinstance(key, NoteSigner) else None
        self.key = key.verifier if isinstance(key, NoteSigner) else key
        self._wait = wait
        self._files = LogFiles(directory, writable=self._signer is not None)
        self._index: Index | None = None
        self._edge = Edge()
        self._end = 0
        self._seen: tuple[int, ...] = ()
        self._known: tuple[tuple[int, ...], Checkpoint] | None = None
        self._batch = (-1, b"")
        self._batch_tree: tuple[int, int, merkle.Node] | None = None
        if self._signer is not None:
            with self._writing():
                pass
        else:
            self.checkpoint()

    @classmethod
    def create(cls, directory: Path, signer: NoteSigner, *, wait: float = 10.0) -> Log:
        """Start an empty log. Its origin is the signer's name. Raises Misuse if a log is there already."""
        note = Checkpoint(signer.verifier.name, 0, merkle.EMPTY_ROOT).sign(signer)
        LogFiles.create(directory, note)
        return cls(directory, signer, wait=wait)

    @property
    def origin(self) -> str:
        """The log's name: the first line of its checkpoints."""
        return self.key.name

    @property
    def size(self) -> int:
        """Number of claims under the newest checkpoint."""
        return self.checkpoint().size

    def close(self) -> None:
        """Close the files. Nothing is lost without it."""
        self._close_index()
        self._files.close()

    # Reading

    def note(self) -> bytes:
        """The newest signed checkpoint as bytes, with its cosignatures."""
        return self._files.note()

    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint, its signature checked."""
        mark = self._files.mark()
        if self._known is None or self._known[0] != mark:
            self._known = (mark, Checkpoint.open(self._files.note(), self.key))
        return self._known[1]

    def node(self, size: int | None = None) -> merkle.Node:
        """``node(level, index)`` of the tree at ``size`` (now by default), for proofs by ``troth.core.merkle``."""
        self._size(size)
        return self._files.tiles.node(self.size)  # complete subtrees stay what they are, and these tiles are here

    def root(self, size: int | None = None) -> bytes:
        """The root of the first ``size`` claims."""
        size = self._size(size)
        return merkle.root_at(size, self.node(size))

    def inclusion(self, position: int, size: int | None = None) -> list[bytes]:
        """Path of a position to the root at ``size``, checked before it is given out."""
        size = self._size(size)
        path = merkle.inclusion_proof(position, size, self.node(size))
        merkle.verify_inclusion(merkle.leaf_hash(self.leaf(position)), position, size, path, self.root(size))
        return path

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that the log of ``old`` claims is a prefix of that of ``new``, checked before it is given out."""
        new = self._size(new)
        path = merkle.consistency_proof(old, new, self.node(new))
        merkle.verify_consistency(old, new, self.root(old), self.root(new), path)
        return path

    def leaf(self, position: int) -> bytes:
        """The leaf's data at a position: claim id and seal, 64 bytes."""
        return self._files.leaf(position, self._below(position))

    def entry(self, position: int) -> Entry:
        """The claim at a position."""
        size = self._below(position)
        return journal.entry_of(self._files.record(position, size), position, self._id_at)

    def iterate(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """The claims of [start, stop), streaming. Their bodies are not checked here: ``verify`` does."""
        stop = self._size(stop)
        if start >= stop:
            return
        records = self._files.records(start, self._below(start))
        for position, found in zip(range(start, stop), records, strict=False):
            yield journal.entry_of(found, position, self._id_at)

    def find(self, claim: bytes) -> Entry | None:
        """The claim with this id, None if the log has none."""
        position = self._find(claim, self.size)
        return None if position is None else self.entry(position)

    def beginning(self, prefix: str) -> list[bytes]:
        """Ids of the claims that begin with these hex digits (8 to 64), in the log's order."""
        size, index, seen = self.size, self._table(), 0
        places: set[int] = set()
        if index is not None:
            try:
                seen = min(index.count(), size)
                places.update(index.beginning(prefix))
            except sqlite3.Error:
                seen = 0
        places.update(range(seen, size))  # what the index has not seen yet
        found = {at: self._files.leaf(at, size)[:32] for at in places if at < size}
        return [found[at] for at in sorted(found) if found[at].hex().startswith(prefix)]

    def membership(self, position: int) -> Membership:
        """A batch member's place in its batch, with its path. Raises Misuse for a claim that is not a member."""
        found = self.entry(position)
        if found.batch is None or found.index is None:
            raise Misuse("not a member of a batch", expected="a member's position", actual=position)
        if found.path is not None:
            return Membership(found.batch, found.index, found.path)
        count, node = self.batch_tree(position - found.index - 1)
        return Membership(found.batch, found.index, tuple(merkle.inclusion_proof(found.index, count, node)))

    def batch_tree(self, position: int) -> tuple[int, merkle.Node]:
        """(size, node) of the tree over the member ids of the whole batch whose claim is at ``position``.

        Raises Undecidable if the batch's claim was forgotten.
        """
        if self._batch_tree is None or self._batch_tree[0] != position:
            claim = self.entry(position)
            if claim.payload is None:
                raise Undecidable("the batch's claim was forgotten", actual=f"position {position}")
            count = Batch.of(claim.envelope().statement()).size
            leaves = [merkle.leaf_hash(self.leaf(at)[:32]) for at in range(position + 1, position + 1 + count)]
            self._batch_tree = (position, count, merkle.node_of(leaves))
        return self._batch_tree[1:]

    def verify(self, check: Check | None = None) -> Audit:
        """Check the whole log from disk (``troth.ledger.audit``). ``check(position, envelope, statement)`` is called
        for each signed claim and raises if its signatures do not verify."""
        index = self._table()
        try:
            sound = index is None or index.check()
        except sqlite3.Error:
            sound = False
        if not sound:
            raise Refuted("the log's index is damaged", do="Repair the log: the index is made again.")
        return check_log(self._files.directory, self.key, check)

    # Writing

    def repair(self) -> None:
        """Make tiles, offsets and index again from the journal, as after damage that ``verify`` found."""
        with self._writing():
            self._close_index()
            self._edge, self._end = rebuild(self._files, self.key)
            self._known = None
            self._seen = self._files.stamp()

    def append(self, items: Iterable[Envelope | Member]) -> list[int]:
        """Append signed claims, and single members of batches whose claim is in the log or earlier among the items.

        All or none. Returns each one's position, the old one for a claim that is there already. Raises Misuse for a
        claim that is there with other signatures, BadInput or Refuted for one that cannot be read or is not its
        batch's, OutsideFailed if the disk fails or another process keeps writing. Signatures are not checked here.
        """
        with self._writing() as signer:
            self._catch_up()
            positions: list[int] = []
            new: dict[bytes, int] = {}
            entries: list[bytes] = []
            records: list[bytes] = []
            envelopes: dict[bytes, Envelope] = {}
            for item in items:
                if isinstance(item, Envelope):
                    item.statement()
                    claim, seal = item.id, seal_of_signatures(item.signatures)
                    envelopes[claim] = item
                else:
                    self._check_member(item, envelopes)
                    claim = claim_id(item.payload)
                    seal = seal_of_member(item.membership.batch, item.membership.index)
                entry = claim + seal
                at = new.get(claim)
                at = self._find(claim, self._edge.size) if at is None else at
                if at is None:
                    at = new[claim] = self._edge.size + len(entries)
                    entries.append(entry)
                    records.append(journal.signed_record(item, entry) if isinstance(item, Envelope)
                                   else journal.loose_record(item.payload, item.membership, entry))
                elif entry != (entries[at - self._edge.size] if at >= self._edge.size else self.leaf(at)):
                    raise Misuse("this claim is in the log already, with other signatures", actual=claim.hex(),
                                 do="Keep the first; signatures of a claim are not replaced.")
                positions.append(at)
            if entries:
                self._commit(signer, entries, records)
            return positions

    def append_batch(self, batch: WholeBatch) -> range:
        """Append a batch's claim and, right after it, all its members. Returns the members' positions.

        All or none. A batch that is there whole already is left as it is; Raises Misuse if a
        member is there otherwise, OutsideFailed as ``append`` does.
        """
        with self._writing() as signer:
            self._catch_up()
            size, claim = self._edge.size, batch.envelope.id
            seal = b"troth/member/v1\n" + claim
            head = claim + seal_of_signatures(batch.envelope.signatures)
            sha = _sha256
            entries = [head]
            entries += [one + sha(b"%b%d" % (seal, i)).digest() for i, one in enumerate(batch.ids)]
            at = self._find(claim, size)
            if at is not None and self._stands(at, entries):
                return range(at + 1, at + len(entries))
            at_bytes = size.to_bytes(8, "big")
            pack, extra = journal.HEADER.pack, journal.ENTRY + 8
            records = [journal.signed_record(batch.envelope, head)]
            records += [b"%b%b%b%b" % (pack(b"M", extra + len(payload)), entry, at_bytes, payload)
                        for entry, payload in zip(entries[1:], batch.payloads, strict=True)]
            if self._any_known([claim, *batch.ids]):
                raise Misuse("a member of this batch is in the log already", actual=claim.hex(),
                             do="Append its members one by one, with their paths (troth.ledger.batches.member).")
            self._commit(signer, entries, records)
            return range(size + 1, size + len(entries))

    def forget(self, position: int) -> None:
        """Delete the body of the claim at a position, for good. The tree, and every proof, stays as it is."""
        with self._writing():
            self._files.forget(position, self._below(position))

    def cosign(self, note: bytes, witnesses: Sequence[Verifier]) -> None:
        """Keep a checkpoint that witnesses cosigned. It must be the newest, and every signature in it must verify.

        Raises Refuted if it is another checkpoint, and what ``checkpoints.witnessed`` raises.
        """
        with self._writing():
            Checkpoint.open(note, self.key)
            if Note.from_bytes(note).text != Note.from_bytes(self.note()).text:
                raise Refuted("not the newest checkpoint", do="Have the witnesses sign the newest one.")
            witnessed(note, witnesses, len(witnesses))
            with disk("the cosigned checkpoint could not be written"):
                self._files.publish(self._files.stage(note))

    # Inside

    def _size(self, size: int | None) -> int:
        now = self.size
        if size is None:
            return now
        if not 0 <= size <= now:
            raise BadInput("no such size", expected=f"0 to {now}", actual=size)
        return size

    def _below(self, position: int) -> int:
        now = self.size
        if not 0 <= position < now:
            raise BadInput("no such position", expected=f"0 to {now - 1}", actual=position)
        return now

    def _id_at(self, position: int) -> bytes:
        if self._batch[0] != position:
            self._batch = (position, self.leaf(position)[:32])
        return self._batch[1]

    def _stands(self, at: int, entries: Sequence[bytes]) -> bool:
        """Whether exactly these entries stand from a position on."""
        size = self._edge.size
        return at + len(entries) <= size and all(
            self._files.leaf(at + i, size) == entry for i, entry in enumerate(entries))

    def _check_member(self, item: Member, envelopes: dict[bytes, Envelope]) -> None:
        batch = envelopes.get(item.membership.batch)
        if batch is None:
            at = self._find(item.membership.batch, self._edge.size)
            if at is None:
                raise Undecidable("the member's batch is not in the log", expected=item.membership.batch.hex(),
                                  do="Append the batch's claim first.")
            batch = envelopes[item.membership.batch] = self.entry(at).envelope()
        check_member(batch, item)

    def _find(self, claim: bytes, size: int) -> int | None:
        """Position of a claim below ``size``: by the index, then through what the index has not seen yet."""
        index, seen = self._table(), 0
        if index is not None:
            try:
                seen = index.count()
                for position in index.candidates(claim):
                    if position < size and self._files.leaf(position, size)[:32] == claim:
                        return position
            except sqlite3.Error:
                seen = 0
        for position in range(min(seen, size), size):
            if self._files.leaf(position, size)[:32] == claim:
                return position
        return None

    def _any_known(self, ids: Sequence[bytes]) -> bool:
        """Whether one of these ids is in the log or stands twice among them. The lock is held."""
        if len(set(ids)) != len(ids):
            return True
        few = self._indexed(lambda index: index.perhaps(ids))
        return any(self._find(claim, self._edge.size) is not None for claim in few)

    def _table(self) -> Index | None:
        """The index; a reader goes without if it cannot be opened."""
        if self._index is None:
            try:
                self._index = Index(self._files.index_path, writable=self._signer is not None)
            except sqlite3.Error:
                return None
        return self._index

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _catch_up(self, *, fresh: bool = False) -> Index:
        """The index, containing all positions; rebuilt if it is damaged or of another log. The lock is held."""
        size = self._edge.size
        for again in (fresh, True):
            if again:
                self._close_index()
                self._files.drop_index()
            index = self._table()
            try:
                if index is None:
                    continue
                seen = index.count()
                if seen > size or (seen and seen - 1 not in index.candidates(self.leaf(seen - 1)[:32])):
                    continue
                for start in range(seen, size, 4096):
                    stop = min(size, start + 4096)
                    index.insert([self._files.leaf(at, size)[:32] for at in range(start, stop)], start)
                    index.commit()
                return index
            except sqlite3.Error:
                continue
        raise OutsideFailed("the log's index cannot be written", actual=self._files.index_path,
                            do="Check the disk and the directory's permissions.")

    @contextmanager
    def _writing(self) -> Iterator[NoteSigner]:
        """Hold the lock, with everything that others appended taken in and repaired."""
        if self._signer is None:
            raise Misuse("this log was opened for reading", do="Open it with its signing key.")
        with self._files.locked(self._wait):
            if self._seen != self._files.stamp():
                self._close_index()
                self._edge, self._end = recover(self._files, self.key)
                self._known = None
                self._seen = self._files.stamp()
            yield self._signer

    def _commit(self, signer: NoteSigner, entries: list[bytes], records: list[bytes]) -> None:
        """Append these leaves and records.

        Order: the index's rows (uncommitted), tiles, offsets and the next checkpoint beside the present one; then the
        journal, whose fsync decides; then the checkpoint by rename. A failure before the fsync cuts the journal back.
        """
        old, end, files = self._edge, self._end, self._files
        edge, tiles = old.grow(entries)
        note = Checkpoint(self.origin, edge.size, edge.root()).sign(signer)
        lengths = list(map(len, records))
        self._indexed(lambda index: index.insert([entry[:32] for entry in entries], old.size))
        records.append(journal.record(journal.COMMIT, note))
        data = b"".join(records)
        done = False
        try:
            with disk("the claims could not be written; the log is as it was"):
                files.write_tiles(tiles)
                files.write_offsets(old.size, list(accumulate(lengths[:-1], initial=end)))
                staged = files.stage(note)
                files.append(end, data)
            done = True
        finally:
            if not done:
                self._close_index()  # and its open transaction with it
                files.cut(end)
        self._edge, self._end = edge, end + len(data)
        if self._index is not None:
            self._index.commit()
        with disk("the claims are safe, but the checkpoint could not be renamed into place"):
            files.publish(staged)
        files.drop_partials(old.size, edge.size)
        self._known = None
        self._seen = files.stamp()

    def _indexed(self, act: Callable[[Index], T]) -> T:
        """``act`` on the index, containing all positions; where it turns out to be damaged, on a new one."""
        for again in (False, True):
            index = self._catch_up(fresh=again)
            try:
                return act(index)
            except sqlite3.DatabaseError:
                continue
        raise OutsideFailed("the log's index cannot be written", actual=self._files.index_path,
                            do="Check the disk and the directory's permissions.")
