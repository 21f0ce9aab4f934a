"""What a writer does on finding a log: take in what others appended, finish or undo what a crash left.

1. Where the checkpoint, the tiles' right edge and the journal agree, nothing is to do.
2. Otherwise the journal is read: from the checkpoint on if tiles and checkpoint agree, else from its start. Each
   commit must be signed, and its root be that of the records before it, and each body must give its entry.
3. Tiles, offsets and checkpoint are made to say what the last whole commit says. What follows it was never
   acknowledged and is cut off; but a journal that ends before a published checkpoint, or is unreadable where the
   checkpoint is gone too, is damaged, and nothing is touched.
"""

from __future__ import annotations

from troth.core.errors import BadInput, OutsideFailed, Refuted, TrothError, Undecidable
from troth.ledger import journal
from troth.ledger.checkpoints import Checkpoint, Note, Verifier
from troth.ledger.files import LogFiles, disk
from troth.ledger.journal import COMMIT, Record
from troth.ledger.tiles import Edge

_RESTORE = "Restore the log's directory from a copy; never go on from less than was signed."


def recover(files: LogFiles, key: Verifier) -> tuple[Edge, int]:
    """Bring the files into one state. Returns the tree's edge and where the journal ends. The lock is held.

    Raises Refuted for a damaged or another log, OutsideFailed if the disk fails.
    """
    with disk("the log cannot be read"):
        published = _published(files, key)
        if published is not None:
            state = _settled(files, published)
            if state is not None and state[1] == files.length():
                return state
            return _replay(files, key, state, published.size)
        return _replay(files, key, None, None)


def rebuild(files: LogFiles, key: Verifier) -> tuple[Edge, int]:
    """Write everything that is derived from the journal again. As ``recover``."""
    published = _published(files, key)
    with disk("the log cannot be rebuilt"):
        return _replay(files, key, None, None if published is None else published.size)


def _published(files: LogFiles, key: Verifier) -> Checkpoint | None:
    """The checkpoint, None if it is missing or unreadable. One of another log or key is refused."""
    try:
        return Checkpoint.open(files.note(), key)
    except BadInput:
        return None
    except Undecidable as error:
        if files.mark():
            raise Refuted("this log is not signed by the key given", expected=error.expected, actual=error.actual,
                          do="Use the log's own key.") from None
        return None


def _settled(files: LogFiles, published: Checkpoint) -> tuple[Edge, int] | None:
    """The edge and the journal's end at the published checkpoint, if tiles, offsets and journal agree on them."""
    size = published.size
    try:
        edge = files.tiles.edge(size)
        if edge.root() != published.root:
            return None
        start = files.record(size - 1, size).offset if size else len(journal.MAGIC)
        for found in journal.scan(files.journal, start, files.length()):
            if found.kind == COMMIT:
                text = Note.from_bytes(found.data).text
                return (edge, found.end) if text == published.text() else None
    except OutsideFailed:
        raise
    except TrothError:
        return None
    return None


def _replay(files: LogFiles, key: Verifier, state: tuple[Edge, int] | None, published: int | None) -> tuple[Edge, int]:
    """Read the journal from ``state`` (else from its start) and write what follows from it."""
    edge, end = state or (Edge(), len(journal.MAGIC))
    if state is None:
        files.journal.seek(0)
        if files.journal.read(len(journal.MAGIC)) != journal.MAGIC:
            raise Refuted("this is not a log's journal, or it is damaged", actual=files.directory, do=_RESTORE)
        files.drop_index()
    note: bytes | None = None
    waiting: list[Record] = []
    partials: dict[str, bytes] = {}  # written at the end: most are of tiles that have become full
    why = "it ends within a record"
    for found in journal.scan(files.journal, end, files.length()):
        if found.kind != COMMIT:
            waiting.append(found)
            continue
        try:
            grown = _check(edge, waiting, found, key)
        except TrothError as error:
            why = error.message
            break
        whole = {name: data for name, data in grown[1] if ".p/" not in name}
        files.write_tiles(whole.items())
        partials = {name: data for name, data in [*partials.items(), *grown[1]]
                    if ".p/" in name and name.partition(".p/")[0] not in whole}
        files.write_offsets(edge.size, [one.offset for one in waiting])
        edge, end, note, waiting = grown[0], found.end, found.data, []
    if published is not None and edge.size < published:
        raise Refuted("the journal is damaged", expected=f"{published} claims", actual=f"{edge.size}: {why}",
                      do=_RESTORE)
    if note is None and state is None:
        raise Refuted("the journal is damaged", expected="a signed checkpoint", actual=why, do=_RESTORE)
    if end < files.length():
        if published is None:
            raise Refuted("the checkpoint is gone and the journal is damaged", actual=why, do=_RESTORE)
        files.cut(end)
    files.write_tiles(partials.items())
    if note is not None:
        files.publish(files.stage(note))
    files.drop_caches()
    return edge, end


def _check(edge: Edge, waiting: list[Record], commit: Record, key: Verifier) -> tuple[Edge, list[tuple[str, bytes]]]:
    """The edge after these records and the tiles they add, if the commit signs exactly that."""
    checkpoint = Checkpoint.open(commit.data, key)
    entries = [one.entry for one in waiting]
    grown, tiles = edge.grow(entries)
    if (checkpoint.size, checkpoint.root) != (grown.size, grown.root()):
        raise Refuted("a commit signs another tree", expected=f"{grown.size} {grown.root().hex()}",
                      actual=f"{checkpoint.size} {checkpoint.root.hex()}")

    def id_at(position: int) -> bytes:
        if position >= edge.size:
            return entries[position - edge.size][:32]
        raise Refuted("a member stands apart from its batch", actual=position)

    for position, one in enumerate(waiting, edge.size):
        journal.check_body(journal.entry_of(one, position, id_at))
    return grown, tiles
