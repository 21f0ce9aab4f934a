"""Checkpoints: signed statements of a log's size and root (C2SP tlog-checkpoint, signed-note, tlog-cosignature).

A checkpoint is a note: text, an empty line, signature lines. The log signs the text with Ed25519 (type 0x01);
witnesses sign it together with the time they saw it, with Ed25519 (type 0x04) or ML-DSA-44 (type 0x06). Parsing is
strict: every byte sequence that is read is the one that would be written.

An Ed25519 cosignature covers the whole text. An ML-DSA-44 one covers the witness's name, the time, origin, size and
root, and no extension lines.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256 as _sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from troth.core.claims import from_base64
from troth.core.errors import BadInput, Misuse, Refuted, Undecidable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

LOG_KEY = 0x01
WITNESS_KEY = 0x04
WITNESS_KEY_ML_DSA = 0x06
WITNESS_KEYS = (WITNESS_KEY, WITNESS_KEY_ML_DSA)
_SIZES = {LOG_KEY: 32, WITNESS_KEY: 32, WITNESS_KEY_ML_DSA: 1312}
"""Bytes of a public key, by type."""
MAX_SIZE = 2**63 - 1
MAX_SIGNATURES = 64
MAX_NOTE = 2**17
_DASH = "\u2014 "


def _name(name: str) -> str:
    if not name or "+" in name or any(char.isspace() or ord(char) < 32 or ord(char) == 127 for char in name):
        raise BadInput("not a key name", expected="no spaces, plus or control characters", actual=repr(name))
    return name


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that signs notes: its name, its type (``LOG_KEY`` or one of ``WITNESS_KEYS``) and its public key, raw."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        _name(self.name)
        if len(self.public) != _SIZES.get(self.kind, -1):
            raise BadInput("not a note key", expected="type 1 or 4 and 32 bytes, or type 6 and 1312 bytes",
                           actual=f"type {self.kind} and {len(self.public)} bytes")

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return _sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @classmethod
    def from_vkey(cls, text: str) -> Verifier:
        """Read ``<name>+<hex key id>+<base64 of type and key>``. Raises BadInput."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise BadInput("not a verifier key", expected="name+key id+base64", actual=text)
        data = from_base64(parts[2])
        found = cls(parts[0], data[0] if data else 0, data[1:])
        if found.key_id.hex() != parts[1]:
            raise BadInput("verifier key with the wrong key id", expected=found.key_id.hex(), actual=parts[1])
        return found

    def vkey(self) -> str:
        """The key as text, for trust files and command lines."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def verify(self, text: bytes, signature: bytes) -> int | None:
        """Check one signature over a note's text; a witness's time (Unix seconds), None for a log. Raises Refuted."""
        if self.kind == LOG_KEY:
            time, message = None, text
        else:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = self.cosigned_by(text, time)
        try:
            if self.kind == WITNESS_KEY_ML_DSA:
                # Imported here: most logs have no witness of this type, and it costs start-up time.
                from cryptography.hazmat.primitives.asymmetric import mldsa

                mldsa.MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise Refuted(f"signature of {self.name} does not verify") from None
        if time is not None and time > MAX_SIZE:
            raise Refuted("witness time out of range", expected="below 2**63", actual=time)
        return time

    def cosigned_by(self, text: bytes, time: int) -> bytes:
        """What this witness signs: the time it saw the checkpoint, and the checkpoint."""
        return cosigned(text, time) if self.kind == WITNESS_KEY else cosigned_tree(self.name, text, time)


def cosigned(text: bytes, time: int) -> bytes:
    """What a witness signs (cosignature/v1): the time it saw the checkpoint and the note's text."""
    return b"cosignature/v1\ntime %d\n%s" % (time, text)


def cosigned_tree(name: str, text: bytes, time: int) -> bytes:
    """What a witness signs with ML-DSA-44 (``cosigned_message``): the first three lines of the checkpoint's text.

    Raises Misuse for a name or an origin over 255 bytes, BadInput for a text that is no checkpoint.
    """
    found = Checkpoint.from_text(text)
    who, origin = name.encode(), found.origin.encode()
    if len(who) > 255 or len(origin) > 255:
        raise Misuse("name too long for this type of cosignature", expected="at most 255 bytes",
                     actual=max(len(who), len(origin)))
    return b"".join((b"subtree/v1\n\0", bytes([len(who)]), who, time.to_bytes(8, "big"), bytes([len(origin)]), origin,
                     bytes(8), found.size.to_bytes(8, "big"), found.root))


class NoteSigner:
    """Signs notes, from a seed of 32 bytes. kind: ``LOG_KEY`` for a log, one of ``WITNESS_KEYS`` for a witness."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes, kind: int = LOG_KEY) -> None:
        if len(seed) != 32:
            raise Misuse("wrong seed", expected="32 bytes", actual=len(seed))
        self._private: Ed25519PrivateKey | MLDSA44PrivateKey
        if kind == WITNESS_KEY_ML_DSA:
            # Imported here for the same reason as above.
            from cryptography.hazmat.primitives.asymmetric import mldsa

            self._private = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        else:
            self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, kind, self._private.public_key().public_bytes_raw())

    def __reduce__(self) -> tuple[object, ...]:
        raise Misuse("a signing key is not written out this way", do="Keep it in the keystore.")

    def sign(self, text: bytes, time: int | None = None) -> NoteSignature:
        """A signature line over a note's text. A witness needs the ``time`` (Unix seconds) it saw the checkpoint."""
        key = self.verifier
        if (time is None) != (key.kind == LOG_KEY):
            raise Misuse("a witness signs with a time, a log without")
        if time is None:
            return NoteSignature(key.name, key.key_id, self._private.sign(text))
        if not 0 <= time <= MAX_SIZE:
            raise Misuse("witness time out of range", expected="0 to 2**63 - 1", actual=time)
        return NoteSignature(key.name, key.key_id, time.to_bytes(8, "big") + self._private.sign(
            key.cosigned_by(text, time)))


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: key name, key id (4 bytes) and the signature's bytes."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """As the note writes it, with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """Signed text. ``text`` ends in a newline."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        return self.text + b"\n" + "".join(signature.line() for signature in self.signatures).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Note:
        """Read a note strictly. Raises BadInput."""
        if len(data) > MAX_NOTE:
            raise BadInput("note too long", expected=f"at most {MAX_NOTE} bytes", actual=len(data))
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadInput("note is not UTF-8", actual=error) from None
        if any(ord(char) < 32 and char != "\n" for char in whole):
            raise BadInput("control character in a note")
        cut = whole.rfind("\n\n") + 1
        text, lines = whole[:cut], whole[cut + 1:].split("\n")
        if cut < 2 or lines[-1] or not 2 <= len(lines) <= MAX_SIGNATURES + 1:
            raise BadInput("not a signed note", expected=f"text, an empty line, 1 to {MAX_SIGNATURES} signature lines")
        return cls(text.encode(), tuple(_signature(line) for line in lines[:-1]))

    def signed_by(self, key: Verifier) -> int | None:
        """Check every signature of this key; a witness's newest time. Raises Undecidable if there is none by it."""
        times = [key.verify(self.text, s.value) for s in self.signatures
                 if (s.name, s.key_id) == (key.name, key.key_id)]
        if not times:
            raise Undecidable("note is not signed by the expected key", expected=f"{key.name}+{key.key_id.hex()}",
                              actual=", ".join(f"{s.name}+{s.key_id.hex()}" for s in self.signatures))
        return max((time for time in times if time is not None), default=None)


def _signature(line: str) -> NoteSignature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:
        raise BadInput("not a signature line", expected="an em dash, a key name, base64", actual=line[:80])
    data = from_base64(parts[1])
    if len(data) < 5:
        raise BadInput("signature too short", expected="a key id and a signature", actual=f"{len(data)} bytes")
    return NoteSignature(_name(parts[0]), data[:4], data[4:])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's state: its origin line, its number of leaves, its root (32 bytes); extension lines if it has any."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> bytes:
        """The note's text. Raises Misuse for a field that no checkpoint can say."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != 32 or not all(lines) or any("\n" in x for x in lines):
            raise Misuse("not a checkpoint", expected="origin, size below 2**63, 32-byte root", actual=self)
        return ("\n".join(lines) + "\n").encode()

    @classmethod
    def from_text(cls, text: bytes) -> Checkpoint:
        """Read a note's text strictly. Raises BadInput."""
        try:
            origin, size, root, *extensions = text.decode().removesuffix("\n").split("\n")
        except ValueError:
            raise BadInput("not a checkpoint", expected="origin, size and root on three lines") from None
        plain = size.isascii() and size.isdecimal() and len(size) < 20 and str(int(size)) == size
        digest = from_base64(root)
        if not plain or int(size) > MAX_SIZE or len(digest) != 32 or not all((origin, *extensions, text[-1:] == b"\n")):
            raise BadInput("not a checkpoint", expected="origin, decimal size, base64 root of 32 bytes",
                           actual=text[:120])
        return cls(origin, int(size), digest, tuple(extensions))

    def sign(self, signer: NoteSigner) -> bytes:
        """The signed note. Raises Misuse if the signer is not named as the origin."""
        if signer.verifier.name != self.origin:
            raise Misuse("a log signs its own checkpoints only", expected=self.origin, actual=signer.verifier.name)
        text = self.text()
        return Note(text, (signer.sign(text),)).to_bytes()

    @classmethod
    def open(cls, data: bytes, key: Verifier) -> Checkpoint:
        """Read a signed note and check the log's signature and origin.

        Raises BadInput (unreadable), Undecidable (not signed by this key), Refuted (a wrong signature or origin).
        """
        note = Note.from_bytes(data)
        found = cls.from_text(note.text)
        note.signed_by(key)
        if found.origin != key.name:
            raise Refuted("checkpoint of another log", expected=key.name, actual=found.origin)
        return found


def cosign(data: bytes, witness: NoteSigner, time: int) -> bytes:
    """The note with a witness's signature added. The witness must have checked consistency before."""
    note = Note.from_bytes(data)
    return Note(note.text, (*note.signatures, witness.sign(note.text, time))).to_bytes()


def witnessed(data: bytes, keys: Sequence[Verifier], threshold: int) -> tuple[int, ...]:
    """The times at which at least ``threshold`` distinct witnesses saw this checkpoint, oldest first.

    Raises Misuse for a threshold that these keys cannot meet, Undecidable if fewer signed, Refuted for a wrong one.
    """
    if len({key.public for key in keys}) != len(keys) or any(key.kind not in WITNESS_KEYS for key in keys):
        raise Misuse("witness keys must be distinct and of type 4 or 6")
    if len({key.name for key in keys}) != len(keys):
        raise Misuse("two witness keys of one name", actual=sorted(key.name for key in keys))  # it would count twice
    if not 0 <= threshold <= len(keys):
        raise Misuse("threshold out of reach", expected=f"0 to {len(keys)}", actual=threshold)
    note = Note.from_bytes(data)
    ids = {(signature.name, signature.key_id) for signature in note.signatures}
    times = _times(note, [key for key in keys if (key.name, key.key_id) in ids])
    if len(times) < threshold:
        raise Undecidable("too few witnesses", expected=f"{threshold} of {len(keys)}", actual=len(times),
                          do="Ask the log for a checkpoint with more cosignatures.")
    return times


def _times(note: Note, keys: Iterable[Verifier]) -> tuple[int, ...]:
    found = (note.signed_by(key) for key in keys)
    return tuple(sorted(time for time in found if time is not None))
