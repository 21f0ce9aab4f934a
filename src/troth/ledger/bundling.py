"""Make a bundle: collect what a claim rests on from a log, and write it in the format of docs/reference/bundle.md."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from troth.core import merkle
from troth.core.claims import Batch, Statement
from troth.core.errors import BadInput, Misuse, Undecidable
from troth.identity import did as dids
from troth.identity.keybook import KeyBook
from troth.ledger import bundle
from troth.ledger.anchors import AnchorEvent, event_topic, origin_hash
from troth.ledger.chains.blocks import Receipt
from troth.ledger.checkpoints import Checkpoint, Note, Verifier
from troth.ledger.journal import Entry
from troth.ledger.log import Log
from troth.ledger.receipts import ReceiptProof

Embed = Callable[[str], bytes | None]
_SWEEP = 32
"""How many claims a sweep over the log reads in the time that finding one by its id takes, about."""
_Place = tuple[int, tuple[bytes, ...] | None]


def write_bundle(out: BinaryIO, target: bytes, *, log: Log, keys: KeyBook, receipt: ReceiptProof | None = None,
                 embed: Embed | None = None, plain: bool = False) -> int:
    """Write the bundle of claim ``target`` (id, 32 bytes) to ``out``; how many claims it holds.

    out: a new seekable binary file; the caller renames it into place and removes it after an error. receipt: proof,
    up to the block that trust files will pin, of the transaction that anchored the log; without one the bundle is
    undecidable to everybody. embed: bytes of public evidence by CID where they shall travel along (one raw block, at
    most 1 MiB), None where not. Asked only for evidence that is not sealed.
    plain: without cosignatures, for readers whose trust file does not pin these witnesses: to them such a line is
    undecidable.

    Raises Undecidable if the target, something it refers to, or a body is not in the log; Misuse if a known change of
    documents is not in the log, or the receipt anchors another log; OutsideFailed if the disk fails.
    """
    found = _Closure(log, keys).collect(target)
    note = log.note()  # read once: another process may append while this one writes
    checkpoint, positions = Checkpoint.open(note, log.key), sorted(found.positions)
    writer = bundle.BundleWriter(out, target)
    writer.section(b"IDEN", bundle.list_of(_documents(keys, found.issuers)))
    writer.section(b"NOTE", [_canonical(Note.from_bytes(note), log.key, plain)])
    writer.section(b"CLMS", _claims(log, positions, found.batches))
    writer.section(b"TREE", merkle.multi_proof(positions, checkpoint.size, log.node(checkpoint.size)))
    writer.section(b"BTCH", (bundle.hashes_of(_members_proof(log, batch, found.batches[batch]))
                             for batch in sorted(found.batches)))
    writer.section(b"ANCH", [] if receipt is None else bundle.anchor_parts(_anchor(log, checkpoint.size, receipt)))
    blobs = [] if embed is None else [blob for cid in sorted(found.public) if (blob := embed(cid)) is not None]
    writer.section(b"BLOB", bundle.blob_parts(blobs))
    return len(positions)


@dataclass(slots=True)
class _Closure:
    """What a target rests on. ``batches``: position of a batch's claim -> (place in it, path or None) of its members;
    None where the log holds the batch whole."""

    log: Log
    keys: KeyBook
    positions: set[int] = field(default_factory=set)
    issuers: set[str] = field(default_factory=set)
    batches: dict[int, list[_Place]] = field(default_factory=dict)
    heads: dict[bytes, int] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)

    def collect(self, target: bytes) -> _Closure:
        """Follow references, batches and changes of documents from the target until nothing is new."""
        wave: dict[bytes, bytes | None] = {target: None}
        seen: set[bytes] = {target}
        while wave:
            following: dict[bytes, bytes | None] = {}
            for entry in self._entries(wave):
                if entry.payload is None:
                    raise _absent("a claim's body was forgotten", entry.id, wave[entry.id])
                for wanted in self._wanted(entry, entry.payload):
                    if wanted not in seen:
                        seen.add(wanted)
                        following[wanted] = entry.id
            wave = following
        return self

    def _entries(self, wave: Mapping[bytes, bytes | None]) -> Iterator[Entry]:
        """The claims with these ids: one by one, or by one sweep over the log where that reads less."""
        missing = set(wave)
        sweep = len(wave) * _SWEEP > self.log.size
        for entry in self.log.iterate() if sweep else map(self.log.find, wave):
            if entry is not None and entry.id in missing:
                missing.remove(entry.id)
                yield entry
        for claim in missing:
            raise _absent("a claim is not in this log", claim, wave[claim])

    def _wanted(self, entry: Entry, payload: bytes) -> Iterator[bytes]:
        """Take in one claim; the ids it needs."""
        statement = Statement.from_bytes(payload)
        self.positions.add(entry.position)
        self.public.update(item.cid for item in statement.evidence if not item.sealed)
        for ref in statement.refs:
            yield ref.claim
        if entry.batch is not None and entry.index is not None:
            if entry.batch not in self.heads:
                batch = self.log.find(entry.batch)
                if batch is None:
                    raise Undecidable("a member's batch is not in this log", expected=entry.batch.hex())
                self.heads[entry.batch] = batch.position
                yield entry.batch
            self.batches.setdefault(self.heads[entry.batch], []).append((entry.index, entry.path))
        if statement.issuer not in self.issuers:
            self.issuers.add(statement.issuer)
            yield from self._rotations(statement.issuer)

    def _rotations(self, did: str) -> Iterator[bytes]:
        if did.startswith(dids.KEY):
            return
        for rotation in self.keys.history(did).rotations:
            if self.log.find(rotation.id) is None:
                raise Misuse("a change of an issuer's documents is not in this log", expected=rotation.id.hex(),
                             do="Append it to the log, then bundle again.")
            yield rotation.id


def _absent(what: str, claim: bytes, by: bytes | None) -> Undecidable:
    return Undecidable(what, expected=claim.hex() + (f", referred to by {by.hex()}" if by else ""),
                       do="Pull it from whoever made it, then bundle again.")


def _canonical(note: Note, key: Verifier, plain: bool) -> bytes:
    """The note with its lines in the bundle's order: the log's own, then each witness's newest, ascending by name."""
    own = [line for line in note.signatures if (line.name, line.key_id) == (key.name, key.key_id)]
    others = {line.name: line for line in note.signatures if line not in own and not plain}
    return Note(note.text, (own[0], *(others[name] for name in sorted(others)))).to_bytes()


def _documents(keys: KeyBook, issuers: set[str]) -> list[bytes]:
    """First documents of the issuers that need one, ascending by identifier."""
    return [keys.history(did).documents[0].to_bytes() for did in sorted(issuers) if not did.startswith(dids.KEY)]


def _claims(log: Log, positions: Sequence[int], batches: Container[int]) -> Iterator[bytes]:
    """Section CLMS, streaming. ``batches``: positions of the batch claims that have members here."""
    yield len(positions).to_bytes(4, "big")
    numbers: dict[bytes, int] = {}
    for number, entry in enumerate(_entries(log, positions)):
        if entry.payload is None:
            raise Undecidable("a claim's body was forgotten while the bundle was made", actual=entry.id.hex())
        if entry.batch is not None and entry.index is not None:
            yield bundle.member_record(entry.position, numbers[entry.batch], entry.index, entry.payload)
        else:
            if entry.position in batches:
                numbers[entry.id] = number
            yield bundle.signed_record(entry.position, [item.value for item in entry.signatures], entry.payload)


def _entries(log: Log, positions: Sequence[int]) -> Iterator[Entry]:
    """The claims at these ascending positions, in as few sweeps over the log as there are gaps."""
    start = 0
    for stop in range(1, len(positions) + 1):
        if stop == len(positions) or positions[stop] != positions[stop - 1] + 1:
            yield from log.iterate(positions[start], positions[stop - 1] + 1)
            start = stop


def _members_proof(log: Log, batch: int, members: Sequence[_Place]) -> list[bytes]:
    """The multi-proof of these members in the batch whose claim is at position ``batch``."""
    paths = {place: path for place, path in members if path is not None}
    if len(paths) < len(members):
        size, node = log.batch_tree(batch)
        return merkle.multi_proof(sorted(place for place, _ in members), size, node)
    size = Batch.of(log.entry(batch).envelope().statement()).size
    return proof_from_paths(size, paths)


def proof_from_paths(size: int, paths: Mapping[int, Sequence[bytes]]) -> list[bytes]:
    """The multi-proof of some leaves of a tree of ``size`` from each one's audit path (leaf to root).

    What a multi-proof needs is the siblings on those paths that hold none of the leaves. Raises BadInput for a path
    of the wrong length.
    """
    siblings: dict[tuple[int, int], bytes] = {}
    for index, path in paths.items():
        low, high, rest = 0, size, list(path)
        while high - low > 1:
            if not rest:
                raise BadInput("an audit path that is too short", actual=len(path))
            middle = low + merkle.split(high - low)
            if index < middle:
                siblings[middle, high] = rest.pop()
                high = middle
            else:
                siblings[low, middle] = rest.pop()
                low = middle
        if rest:
            raise BadInput("an audit path that is too long", actual=len(path))
    proof, stack = [], [(0, size, sorted(paths))]
    while stack:
        low, high, inside = stack.pop()
        if not inside:
            proof.append(siblings[low, high])
        elif len(inside) < high - low:
            middle = low + merkle.split(high - low)
            stack.append((middle, high, [index for index in inside if index >= middle]))
            stack.append((low, middle, [index for index in inside if index < middle]))
    return proof


def _anchor(log: Log, size: int, receipt: ReceiptProof) -> bundle.RawAnchor:
    """The anchor of this log that the receipt holds, with the consistency proof up to ``size``."""
    origin = origin_hash(log.origin)
    events = [AnchorEvent.decode(item.address, item.topics, item.data) for item in Receipt.decode(receipt.receipt).logs
              if item.topics[:1] == (event_topic(),)]
    sizes = [event.size for event in events if event.origin == origin]
    if len(sizes) != 1:
        raise Misuse("this receipt does not anchor this log", expected=f"one anchor of {log.origin}", actual=len(sizes))
    return bundle.RawAnchor(tuple(merkle.consistency_proof(sizes[0], size, log.node(size))), receipt)
