"""Messages of a masked sum: one canonical byte form, signed by the site's identity, with parts that can be left out.

A message's *body* is what is signed and what others refer to, by its SHA-256. Big or private parts stand in it by
digest only, so a message is passed on with just the parts that its reader needs, under the same signature::

    body     = "troth-masking-1\\n"  u8 phase  session (32)  u8 sender  u32 size, head  u8 count, digest (32) each
    message  = u32 size, body  u8 count, each: u16 size, method id  u16 size, signature
               u8 count, each: u8 index, u32 size, part           indices ascending
    bundle   = "troth-masking-bundle-1\\n"  session (32)  u16 count, each: u32 size, message
               ascending by (phase, sender), all distinct

Numbers are little-endian. Nothing before, between or after. What a head holds is in `proceedings`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from troth.core.claims import pae
from troth.core.errors import BadInput
from troth.core.ports import Signer

MAGIC = b"troth-masking-1\n"
BUNDLE_MAGIC = b"troth-masking-bundle-1\n"
PAYLOAD_TYPE = "application/vnd.troth.masking"
MAX_MESSAGE = (1 << 30) - 1


class Phase(IntEnum):
    """The steps of a sum; each is one message of each site."""

    KEYS = 1
    SHARES = 2
    CONFIRM = 3
    MASKED = 4
    AGREE = 5
    UNMASK = 6


class Reader:
    """Takes bytes off the front and refuses to read past the end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises BadInput where there are fewer."""
        if count > len(self._data) - self._at:
            raise BadInput("a masking message ends too early", expected=f"{count} more bytes at {self._at}",
                           actual=len(self._data) - self._at)
        self._at += count
        return self._data[self._at - count:self._at]

    def number(self, code: str) -> int:
        """The next number, by its ``struct`` code."""
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0])

    def block(self, code: str) -> bytes:
        """The next bytes, after their size."""
        return self.take(self.number(code))

    def expect(self, front: bytes) -> None:
        """Raises BadInput unless exactly these bytes come next."""
        if self.take(len(front)) != front:
            raise BadInput("bytes of another kind", expected=front)

    def end(self) -> None:
        """Raises BadInput unless everything was read."""
        if self._at != len(self._data):
            raise BadInput("bytes after the end of a masking message", expected="none",
                           actual=len(self._data) - self._at)


def block(code: str, data: bytes) -> bytes:
    """Bytes after their size."""
    return struct.pack(f"<{code}", len(data)) + data


@dataclass(frozen=True, slots=True)
class Message:
    """One site's word in one phase. parts: those at hand, by index; each is what the body's digest says."""

    phase: Phase
    session: bytes
    sender: int
    head: bytes
    digests: tuple[bytes, ...]
    signatures: tuple[tuple[str, bytes], ...] = ()
    parts: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def body(self) -> bytes:
        """What is signed."""
        return b"".join([MAGIC, bytes([self.phase]), self.session, bytes([self.sender]), block("I", self.head),
                         bytes([len(self.digests)]), *self.digests])

    @property
    def digest(self) -> bytes:
        """What others call it."""
        return hashlib.sha256(self.body).digest()

    def signed_bytes(self) -> bytes:
        """The DSSE pre-authentication encoding of the body: no claim can be read as a message, nor the other way."""
        return pae(PAYLOAD_TYPE, self.body)

    def with_parts(self, indices: Iterable[int]) -> Message:
        """The same message with only these of its parts."""
        return replace(self, parts={index: self.parts[index] for index in sorted(indices) if index in self.parts})

    def to_bytes(self) -> bytes:
        """The message's bytes."""
        signatures = [block("H", method.encode()) + block("H", value) for method, value in self.signatures]
        parts = [bytes([index]) + block("I", self.parts[index]) for index in sorted(self.parts)]
        return b"".join([block("I", self.body), bytes([len(signatures)]), *signatures, bytes([len(parts)]), *parts])

    @classmethod
    def from_bytes(cls, data: bytes) -> Message:
        """Read strictly; signatures are not checked here. Raises BadInput, also for a part that was not signed."""
        outer = Reader(data)
        inner = Reader(outer.block("I"))
        if inner.take(len(MAGIC)) != MAGIC:
            raise BadInput("not a masking message", expected=MAGIC)
        phase, session, sender = inner.number("B"), inner.take(32), inner.number("B")
        if phase not in tuple(Phase):
            raise BadInput("a masking message of no phase", expected="1 to 6", actual=phase)
        head = inner.block("I")
        digests = tuple(inner.take(32) for _ in range(inner.number("B")))
        inner.end()
        try:
            signatures = tuple((outer.block("H").decode("utf-8"), outer.block("H")) for _ in range(outer.number("B")))
        except UnicodeDecodeError:
            raise BadInput("a method id that is not text") from None
        parts: dict[int, bytes] = {}
        for _ in range(outer.number("B")):
            index = outer.number("B")
            if (parts and index <= max(parts)) or index >= len(digests):
                raise BadInput("parts out of order, or one that was not signed", actual=index)
            parts[index] = outer.block("I")
            if hashlib.sha256(parts[index]).digest() != digests[index]:
                raise BadInput("a part is not what was signed", expected=digests[index].hex(), actual=f"part {index}")
        outer.end()
        return cls(Phase(phase), session, sender, head, digests, signatures, parts)


def sign(signer: Signer, phase: Phase, session: bytes, sender: int, head: bytes,
         parts: Iterable[bytes] = ()) -> Message:
    """A message, signed under every suite of the site's identity."""
    held = dict(enumerate(parts))
    digests = tuple(hashlib.sha256(part).digest() for part in held.values())
    bare = Message(phase, session, sender, head, digests, (), held)
    return replace(bare, signatures=signer.sign(bare.signed_bytes()))


def view(messages: Iterable[Message]) -> bytes:
    """What everybody must have seen alike before going on: the digest of a phase's messages, in order of sender."""
    found = sorted(messages, key=lambda one: one.sender)
    return hashlib.sha256(b"troth/masking/view/1\n" + b"".join(one.digest for one in found)).digest()


def bundle(session: bytes, messages: Iterable[Message]) -> bytes:
    """Several messages as one: a server's call, or a transcript."""
    found = [one.to_bytes() for one in sorted(messages, key=lambda one: (one.phase, one.sender))]
    return b"".join([BUNDLE_MAGIC, session, struct.pack("<H", len(found)), *(block("I", one) for one in found)])


def unbundle(data: bytes, session: bytes) -> tuple[Message, ...]:
    """The messages of a bundle of this session. Raises BadInput, also for another session's."""
    reader = Reader(data)
    if reader.take(len(BUNDLE_MAGIC)) != BUNDLE_MAGIC or reader.take(32) != session:
        raise BadInput("not messages of this sum", expected=f"session {session.hex()}",
                       do="Another round's messages are never taken for this one's.")
    found = tuple(Message.from_bytes(reader.block("I")) for _ in range(reader.number("H")))
    reader.end()
    places = [(one.phase, one.sender) for one in found]
    if places != sorted(set(places)):
        raise BadInput("messages out of order, or one twice", expected="ascending by phase and sender")
    return found
