"""A proof that one entry is in a log, as a file (C2SP tlog-proof): position, path, checkpoint with cosignatures.

To check it takes the entry, the log's key and the keys of the witnesses one believes, nothing else. ``extra`` is not
authenticated; Troth puts the leaf's 64 bytes there, which the path then has to prove.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from troth.core import merkle
from troth.core.claims import from_base64
from troth.core.errors import BadInput
from troth.ledger.checkpoints import MAX_NOTE, MAX_SIZE, Checkpoint, Verifier, witnessed

MAGIC = "c2sp.org/tlog-proof@v1"
MAX_PATH = 63
MAX_EXTRA = 1 << 16


@dataclass(frozen=True, slots=True)
class LogProof:
    """The entry at ``index`` is in the tree of the checkpoint in ``note``, by ``path``. ``extra``: opaque, or None."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None

    def check(self, entry: bytes, key: Verifier, witnesses: Sequence[Verifier] = (), threshold: int = 0) -> Checkpoint:
        """The checkpoint, when the entry (its data, not its hash) is under it and enough witnesses saw it.

        Raises Refuted, Undecidable (not signed by this key, too few witnesses), BadInput.
        """
        checkpoint = Checkpoint.open(self.note, key)
        witnessed(self.note, witnesses, threshold)
        merkle.verify_inclusion(merkle.leaf_hash(entry), self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint

    def to_bytes(self) -> bytes:
        """The file."""
        extra = [] if self.extra is None else [f"extra {base64.b64encode(self.extra).decode()}"]
        lines = [MAGIC, *extra, f"index {self.index}", *(base64.b64encode(item).decode() for item in self.path), "", ""]
        return "\n".join(lines).encode() + self.note

    @classmethod
    def from_bytes(cls, data: bytes) -> LogProof:
        """Read a proof strictly. Raises BadInput."""
        if len(data) > MAX_NOTE + MAX_EXTRA:
            raise BadInput("log proof too long", expected=f"at most {MAX_NOTE + MAX_EXTRA} bytes", actual=len(data))
        head, gap, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            lines = []
        if not gap or lines[:1] != [MAGIC]:
            raise BadInput("not a log proof", expected=MAGIC, actual=data[:40])
        extra = from_base64(lines.pop(1)[6:]) if lines[1:2] and lines[1].startswith("extra ") else None
        index, hashes = lines[1].removeprefix("index ") if lines[1:] else "", lines[2:]
        path = tuple(map(from_base64, hashes))
        if lines[1:2] != [f"index {index}"] or not plain(index) or len(path) > MAX_PATH or {*map(len, path)} - {32}:
            raise BadInput("not a log proof", expected=f"an index, at most {MAX_PATH} hashes, an empty line",
                           actual=lines[1:3])
        return cls(int(index), path, note, extra)


def plain(text: str) -> bool:
    """Whether a text is a number of the log's size range, as the formats write it: ASCII digits, no leading zero."""
    return text.isascii() and text.isdecimal() and len(text) < 20 and str(int(text)) == text and int(text) <= MAX_SIZE
