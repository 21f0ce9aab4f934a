"""Proof that a log forked: two checkpoints that it signed and that cannot both be true.

Both are signed by the log's key. The newer one's tree, cut to the older one's size, has the root ``prefix``, which a
consistency proof (RFC 6962) shows; it is not the root that the older one signs. No log that only grew signs both.
Anyone who knows the log's key can check that offline, and needs nobody's word for it.

What it does not prove: who did it, and why. A log restored from an old copy that goes on forks like one that lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troth.core import merkle
from troth.core.encoding import decode_object, encode, from_hex, take
from troth.core.errors import BadInput, Refuted
from troth.ledger.checkpoints import MAX_NOTE, Checkpoint, Note, Verifier

_FORMAT = "troth-fork-1"
MAX_BYTES = 4 * MAX_NOTE
MAX_PATH = 64


@dataclass(frozen=True, slots=True)
class ForkProof:
    """older, newer: signed notes, by size. prefix: root of the newer tree at the older size. path: its consistency."""

    key: Verifier
    older: bytes
    newer: bytes
    prefix: bytes
    path: tuple[bytes, ...]

    def check(self) -> tuple[Checkpoint, Checkpoint]:
        """The two checkpoints, (older, newer), when they cannot both be true.

        Raises Refuted where they can: a signature that does not verify, a proof that does not, or no contradiction.
        """
        older, newer = Checkpoint.open(self.older, self.key), Checkpoint.open(self.newer, self.key)
        merkle.verify_consistency(older.size, newer.size, self.prefix, newer.root, self.path)
        if self.prefix == older.root:
            raise Refuted("this proves no fork: both checkpoints can be true", expected="a root that contradicts",
                          actual=self.prefix.hex())
        return older, newer

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return encode({"format": _FORMAT, "key": self.key.vkey(), "newer": self.newer.decode(),
                       "older": self.older.decode(), "path": [item.hex() for item in self.path],
                       "prefix": self.prefix.hex()})

    @classmethod
    def from_bytes(cls, data: bytes) -> ForkProof:
        """Read a proof strictly. It is not checked yet. Raises BadInput."""
        if len(data) > MAX_BYTES:
            raise BadInput("fork proof too long", expected=f"at most {MAX_BYTES} bytes", actual=len(data))
        format_, key, newer, older, path, prefix = take(
            decode_object(data.removesuffix(b"\n")), format=str, key=str, newer=str, older=str, path=list, prefix=str)
        if format_ != _FORMAT or len(path) > MAX_PATH:
            raise BadInput("not a fork proof", expected=f"{_FORMAT}, a path of at most {MAX_PATH}", actual=format_)
        return cls(Verifier.from_vkey(key), older.encode(), newer.encode(), from_hex(prefix, 32),
                   tuple(from_hex(item, 32) for item in path))


def fork_of(key: Verifier, first: bytes, second: bytes, prefix: bytes, path: Sequence[bytes]) -> ForkProof:
    """The checked proof from two signed notes in either order, with only the log's own lines in them."""
    def order(note: bytes) -> tuple[int, bool]:
        found = Checkpoint.open(note, key)
        return found.size, found.root == prefix  # of two of one size, the newer is the one that the prefix is of

    notes = sorted((_own(note, key) for note in (first, second)), key=order)
    found = ForkProof(key, notes[0], notes[1], prefix, tuple(path))
    found.check()
    return found


def _own(data: bytes, key: Verifier) -> bytes:
    note = Note.from_bytes(data)
    return Note(note.text, tuple(one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id))
                ).to_bytes()
